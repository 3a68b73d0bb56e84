"""Folders of TIFF files: order, patterns of names, what does not belong together."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.image import SpatialImage
from napari_bridgecorr.io.tiff import TiffReader
from napari_bridgecorr.io.tiff.names import arrangement_of

READER = TiffReader()
RNG = np.random.default_rng(6)


def noise(*shape: int) -> np.ndarray:
    return (1 + RNG.random(shape) * 240).astype(np.uint16)


def read(path: Path) -> SpatialImage:
    (image,) = READER.read(path)
    return image


def save(path: Path, pixels: np.ndarray) -> None:
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata=None)


@pytest.mark.parametrize(
    "pattern",
    [
        "img_t{t:04}_c{c}_z{z:03}.tif",
        "scan_z{z}_ch{c}_T{t}.tif",
        "day 1 Frame{t:02} channel-{c} slice_{z:03}.tiff",
        "x.c{c}.t{t}.z{z}.tif",
        "time{t}-w{c}-section{z}.tif",
    ],
)
def test_names_that_state_place(tmp_path: Path, pattern: str) -> None:
    planes = noise(2, 3, 4, 20, 30)
    for t, c, z in product(range(2), range(3), range(4)):
        save(tmp_path / pattern.format(t=t + 1, c=c, z=9 + z), planes[t, c, z])
    image = read(tmp_path)
    assert_array_equal(image.data.compute(), planes)
    assert image.source.axes == "tczyx"
    assert [channel.name for channel in image.channels] == ["C0", "C1", "C2"]
    assert len(image.warnings) == 1


@pytest.mark.parametrize(
    ("names", "axes"),
    [
        (["a_t1.tif", "a_t2.tif"], "T"),
        (["a_z1.tif", "a_z2.tif"], "Z"),
        (["a_c1.tif", "a_c2.tif"], "C"),
        (["a_c1_z1.tif", "a_c2_z1.tif"], "C"),
    ],
)
def test_one_word_that_varies(names: list[str], axes: str) -> None:
    arranged = arrangement_of(names)
    assert arranged is not None
    assert (arranged.axes, arranged.shape, arranged.places) == (axes, (2,), (0, 1))


@pytest.mark.parametrize(
    "names",
    [
        ["C01.tif", "C02.tif"],  # wells
        ["a1.tif", "a2.tif"],
        ["a_t1_x1.tif", "a_t2_x2.tif"],
        ["a_t1_t1.tif", "a_t2_t2.tif"],
        ["a_z1.tif", "b_z2.tif"],
        ["a_c1_z1.tif", "a_c2_z2.tif", "a_c3_z3.tif"],  # two words for one thing
        ["mouse12.tif", "rat12.tif"],
    ],
)
def test_names_that_leave_doubt_state_nothing(names: list[str]) -> None:
    assert arrangement_of(names) is None


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    planes = noise(2, 3, 20, 30)
    for c, z in product(range(2), range(3)):
        if (c, z) != (1, 1):
            save(tmp_path / f"a_c{c}_z{z}.tif", planes[c, z])
    image = read(tmp_path)
    assert image.warnings[0] == (
        "files are missing by their names (c1 z1): their planes cannot be read"
    )
    assert_array_equal(image.data[0, 0].compute(), planes[0])
    with pytest.raises(ReadError, match="no file for c1 z1"):
        image.data[0, 1].compute(scheduler="synchronous")


def test_each_file_may_be_a_stack(tmp_path: Path) -> None:
    stacks = noise(2, 3, 4, 20, 30)
    for t, c in product(range(2), range(3)):
        save(tmp_path / f"a_t{t}_ch{c}.tif", stacks[t, c])
    assert_array_equal(read(tmp_path).data.compute(), stacks)
    save(tmp_path / "a_t1_ch2.tif", stacks[0, 0, :3])
    with pytest.raises(ReadError, match=r"a_t1_ch2\.tif.*several planes"):
        READER.read(tmp_path)


def test_a_stack_of_imagejs_that_has_one_page_is_no_plane(tmp_path: Path) -> None:
    planes = noise(5, 20, 30)
    save(tmp_path / "p_1.tif", planes[0])
    tifffile.imwrite(tmp_path / "p_2.tif", planes, imagej=True, truncate=True)
    with tifffile.TiffFile(tmp_path / "p_2.tif") as tif:
        assert len(tif.pages) == 1
    with pytest.raises(ReadError, match=r"p_2\.tif.*several planes"):
        READER.read(tmp_path)


def test_planes_may_be_stored_differently(tmp_path: Path) -> None:
    planes = noise(3, 40, 50)
    for number, options in enumerate(
        ({"compression": "zlib"}, {"tile": (16, 16)}, {"byteorder": ">", "bigtiff": True})
    ):
        tifffile.imwrite(tmp_path / f"p_{number}.tif", planes[number], metadata=None, **options)
    assert_array_equal(read(tmp_path).data[0, 0].compute(), planes)


def test_a_lone_file_is_opened_as_itself(tmp_path: Path) -> None:
    planes = noise(5, 20, 30)
    tifffile.imwrite(
        tmp_path / "a.tif",
        planes,
        imagej=True,
        resolution=(2, 2),
        metadata={"axes": "ZYX", "unit": "um", "spacing": 3},
    )
    image = read(tmp_path)
    assert_array_equal(image.data[0, 0].compute(), planes)
    assert image.grid.voxel_size_um == (3, 0.5, 0.5)
    assert image.source.path == tmp_path


def test_the_planes_own_scale_counts_in_the_plane(tmp_path: Path) -> None:
    for number in range(3):
        tifffile.imwrite(
            tmp_path / f"p_{number}.tif",
            noise(20, 30),
            resolution=(20_000, 20_000),
            resolutionunit=3,
            metadata=None,
        )
    image = read(tmp_path)
    assert image.grid.voxel_size_um == (1, 0.5, 0.5)
    assert image.voxel_size_known == (False, True, True)
