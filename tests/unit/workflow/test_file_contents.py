"""Looking into files without a window: contents, choices, sizes, thumbnails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_bridgecorr.errors import Cancelled, GeometryError, ReadError
from napari_bridgecorr.geometry import Grid, Placement
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.workflow.files import (
    ImageChoice,
    chosen_images,
    direction_word,
    doubtful_scale,
    first_choices,
    n_bytes,
    open_file,
    unknown_axes,
)
from napari_bridgecorr.workflow.thumbnails import overview_channels, thumbnail


def image(
    values: np.ndarray,
    channels: tuple[Channel, ...] | None = None,
    size_um: tuple[float, float, float] = (4.0, 1.0, 1.0),
    role: Any = "image",
    **more: Any,
) -> SpatialImage:
    grid = Grid.from_spacing(values.shape[2:], size_um)
    return SpatialImage(
        levels=(da.from_array(values, chunks=values.shape),),
        grids=(grid,),
        channels=channels or tuple(Channel(f"C{n}") for n in range(values.shape[1])),
        source=Source(Path("made"), "memory", image_name="made", role=role),
        **more,
    )


def noise(shape: tuple[int, ...], dtype: Any = np.uint16) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 200, shape).astype(dtype)


def test_a_choice_is_a_part_in_its_place() -> None:
    whole = image(noise((5, 3, 2, 8, 8)))
    choice = ImageChoice(0, True, Placement((8.0, 2.0, 2.0)), (2, 0), (1, 4))
    part = choice.of(whole)
    assert np.array_equal(part.data.compute(), whole.data.compute()[1:4][:, [2, 0]])
    assert [c.name for c in part.channels] == ["C2", "C0"]
    assert (part.source.channels, part.source.times) == ((2, 0), (1, 4))
    assert part.grid.voxel_size_um == (8.0, 2.0, 2.0)
    assert n_bytes(whole, choice) == 2 * part.data.size
    again = part.part((1,), (1, 2))
    assert (again.source.channels, again.source.times) == ((0,), (2, 3))
    assert np.array_equal(again.data.compute(), whole.data.compute()[2:3][:, [0]])


@pytest.mark.parametrize(
    ("channels", "times"), [((3,), None), ((), None), (None, (2, 2)), (None, (0, 6)), ((-1,), None)]
)
def test_no_such_part(channels: Any, times: Any) -> None:
    with pytest.raises(GeometryError):
        image(noise((5, 3, 2, 8, 8))).part(channels, times)


def test_files_are_looked_into(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    write_image(image(noise((1, 1, 4, 8, 8))), path)
    contents = open_file(str(path))
    assert (contents.kind, contents.name, len(contents.images)) == ("image", "a.nii.gz", 1)
    assert len(open_file(f"{path}#0").images) == 1
    with pytest.raises(ReadError, match="has no image #4"):
        open_file(f"{path}#4")
    with pytest.raises(ReadError, match="does not exist"):
        open_file(str(tmp_path / "none.nii"))
    marks = tmp_path / "m.csv"
    marks.write_text(
        "id,name,enabled,fixed_z_um,fixed_y_um,fixed_x_um,"
        "moving_z_um,moving_y_um,moving_x_um\nL1,,true,1,2,3,4,5,6\n"
    )
    assert open_file(str(marks)).kind == "landmarks"


def test_photographs_of_the_slide_wait_to_be_asked_for() -> None:
    from napari_bridgecorr.workflow.files import FileContents

    values = noise((1, 1, 1, 8, 8))
    roles = ("image", "labels", "slide label", "slide preview")
    images = tuple(image(values, role=role) for role in roles)
    contents = FileContents(Path("made"), "image", images)
    choices = first_choices(contents)
    assert [c.is_wanted for c in choices] == [True, True, False, False]
    assert [i.source.role for i in chosen_images(contents, choices)] == ["image", "labels"]
    only = FileContents(Path("made"), "image", images[2:])
    assert all(c.is_wanted for c in first_choices(only))
    plate = FileContents(Path("made"), "image", images[:1] * 96)
    assert [c.number for c in first_choices(plate) if c.is_wanted] == [0]


def test_what_must_be_asked() -> None:
    stack = image(noise((1, 1, 4, 8, 8)), voxel_size_known=(False, True, True))
    flat = image(noise((1, 1, 1, 8, 8)), voxel_size_known=(False, True, True))
    assert unknown_axes(stack) == (True, False, False)
    assert unknown_axes(flat) == (False, False, False)  # a plane has no spacing in z
    assert direction_word("-y", True) == "posterior (−y)"
    assert direction_word("x", False) == "+x"


def test_a_thumbnail_has_the_worlds_proportions() -> None:
    values = np.zeros((1, 1, 3, 40, 40), np.uint8)
    values[..., 1, :20, :] = 200  # the middle plane's upper half
    picture = thumbnail(image(values, size_um=(1.0, 2.0, 4.0)), 64)
    assert picture.shape == (32, 64, 3)
    assert np.all(picture[:15] == 255)
    assert np.all(picture[17:] == 0)


def test_channels_are_laid_over_one_another_in_their_colours() -> None:
    values = np.zeros((1, 2, 1, 32, 32), np.uint16)
    values[0, 0, 0, :16] = 1000
    values[0, 1, 0, :, :16] = 1000
    channels = (Channel("a", "#FF0000"), Channel("b", "#0000FF"))
    picture = thumbnail(image(values, channels), 32)
    assert picture[4, 28].tolist() == [255, 0, 0]
    assert picture[28, 4].tolist() == [0, 0, 255]
    assert picture[4, 4].tolist() == [255, 0, 255]
    assert picture[28, 28].tolist() == [0, 0, 0]
    one = thumbnail(image(values, channels), 32, channels=(1,))
    assert one[4, 28].tolist() == [0, 0, 0]


def test_a_photograph_keeps_its_colours() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (1, 3, 1, 16, 16)).astype(np.uint8)
    channels = tuple(Channel(n) for n in ("Red", "Green", "Blue"))
    picture = thumbnail(image(values, channels, role="slide preview"), 16)
    assert np.array_equal(picture, np.moveaxis(values[0, :, 0], 0, -1))


def test_labels_are_told_apart_and_never_mixed() -> None:
    values = np.zeros((1, 1, 1, 60, 60), np.int32)
    values[..., 10:30, 10:50] = 7
    values[..., 30:50, 10:50] = 8
    picture = thumbnail(image(values, role="labels"), 20)
    colours = {tuple(c) for c in picture.reshape(-1, 3).tolist()}
    assert len(colours) == 3
    assert (0, 0, 0) in colours


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([np.uint8, np.int16, np.float32]))
def test_any_size_and_type(n_y: int, n_x: int, dtype: Any) -> None:
    picture = thumbnail(image(noise((1, 1, 2, n_y, n_x), dtype)), 24)
    assert max(picture.shape[:2]) == 24
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 7.0])
def test_planes_without_contrast(value: float) -> None:
    values = np.full((1, 1, 1, 16, 16), value, np.float32)
    values[0, 0, 0, 3, 3] = 5.0
    assert thumbnail(image(values), 16).shape == (16, 16, 3)


def test_a_thumbnail_reads_one_plane_of_the_coarsest_level_that_will_do() -> None:
    asked: list[tuple[int, ...]] = []
    levels, grids = [], []
    full = Grid.from_spacing((9, 1024, 1024), 1.0)
    for k in range(5):
        grid = full.averaged((1, 2**k, 2**k))

        def read(block_info: Any = None, k: int = k) -> np.ndarray:
            where = block_info[None]
            asked.append((k, where["chunk-location"][2]))
            return np.ones(where["chunk-shape"], np.uint8)

        chunks = da.core.normalize_chunks((1, 1, 1, 128, 128), (1, 1, *grid.shape))
        meta = np.empty((0,) * 5, np.uint8)
        levels.append(da.map_blocks(read, chunks=chunks, dtype=np.uint8, meta=meta))
        grids.append(grid)
    made = SpatialImage(tuple(levels), tuple(grids), (Channel("a"),), Source(Path("p"), "memory"))
    thumbnail(made, 96)
    assert set(asked) == {(3, 4)}  # 128 pixels; the middle plane


def test_a_thumbnail_can_be_cancelled() -> None:
    class Stopped:
        def begin(self, task: str, total: int) -> None:
            pass

        def advance(self, steps: int = 1) -> None:  # noqa: ARG002
            raise Cancelled

    with pytest.raises(Cancelled):
        thumbnail(image(noise((1, 1, 1, 8, 8))), progress=Stopped())


def test_forty_metals_show_the_dna() -> None:
    metals = tuple(Channel(f"m{n}", metal=f"Cd{100 + n}") for n in range(38))
    dna = (Channel("DNA1", metal="Ir191"), Channel("DNA2", metal="Ir193"))
    assert overview_channels(image(noise((1, 40, 1, 4, 4)), (*metals, *dna))) == (38,)
    assert overview_channels(image(noise((1, 40, 1, 4, 4)))) == (0, 1, 2, 3)


def test_an_answered_voxel_size_is_no_longer_doubtful() -> None:
    doubtful = image(noise((1, 1, 2, 8, 8)), metadata={"spacing_suspect": True})
    assert doubtful_scale(doubtful)
    assert doubtful_scale(doubtful.placed(Placement(orientation=("z", "-y", "x"))))
    assert not doubtful_scale(doubtful.placed(Placement((1.0, 1.0, 1.0))))
