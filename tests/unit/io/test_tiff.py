"""TIFF against tifffile, and against damage."""

from __future__ import annotations

import pickle
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from napari_bridgecorr.errors import Cancelled, ReadError, WriteError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.tiff import TiffReader, write_ome_tiff

READER = TiffReader()
RNG = np.random.default_rng(3)
OBLIQUE = np.array([[0.5, 0.1, 0, 1e4], [-0.2, 0.7, 0.3, -7], [0, -0.25, 0.9, 1 / 3], [0, 0, 0, 1]])


def noise(*shape: int, dtype: Any = np.uint16) -> np.ndarray:
    return (RNG.random(shape) * 250).astype(dtype)


def make_image(pixels: np.ndarray, matrix: np.ndarray | None = None, **values: Any) -> SpatialImage:
    grid = Grid(pixels.shape[2:], np.eye(4) if matrix is None else matrix)
    return SpatialImage(
        levels=(da.from_array(pixels, chunks=(1, 1, 2, 400, 300)),),
        grids=(grid,),
        channels=tuple(Channel(f"µ{i}", "#FF8001") for i in range(pixels.shape[1])),
        source=Source(Path("made"), "memory"),
        **values,
    )


def read(path: Path) -> SpatialImage:
    (image,) = READER.read(path)
    return image


def refusal(path: Path) -> str:
    with pytest.raises(ReadError) as caught:
        [image.data.compute(scheduler="synchronous") for image in READER.read(path)]
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


STORAGE = {
    "plain": {},
    "strips": {"rowsperstrip": 7},
    "lzw": {"compression": "lzw", "predictor": True, "rowsperstrip": 7},
    "tiles": {"tile": (16, 32), "compression": "zlib"},
    "raw tiles": {"tile": (32, 16)},
    "zstd": {"compression": "zstd"},
    "big": {"bigtiff": True},
    "swapped": {"byteorder": ">"},
    "swapped tiles": {"byteorder": ">", "tile": (16, 32), "compression": "zlib", "predictor": True},
}


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_every_box_is_tifffiles(tmp_path: Path, storage: str, dtype: Any) -> None:
    pixels = noise(3, 50, 61, dtype=dtype)
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"photometric": "minisblack", **STORAGE[storage]}
    with tifffile.TiffWriter(
        path, bigtiff=options.pop("bigtiff", False), byteorder=options.pop("byteorder", "<")
    ) as tif:
        tif.write(pixels, **options)
    image = read(path)
    assert image.dtype == dtype
    assert image.dtype.isnative
    assert image.source.axes == "zyx"
    assert_array_equal(image.data[0, 0].compute(), tifffile.imread(path))
    for box in (np.s_[1, 3:40, 5:33], np.s_[::-1, 49, ::7], np.s_[2, 16:17, 60:]):
        assert_array_equal(image.data[0, 0][box].compute(), pixels[box])


def test_a_level_survives_pickling(tmp_path: Path) -> None:
    pixels = noise(50, 61, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(16, 16), compression="zlib")
    image = read(tmp_path / "a.tif")
    again = pickle.loads(pickle.dumps(image.data))
    assert_array_equal(again[0, 0, 0].compute(), pixels)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "tile": (16, 16)}])
def test_colours_become_channels(tmp_path: Path, planar: str, options: dict[str, Any]) -> None:
    pixels = noise(40, 50, 3, dtype=np.uint8)
    stored = pixels if planar == "contig" else pixels.transpose(2, 0, 1)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="rgb", planarconfig=planar, **options)
    image = read(path)
    assert [(c.name, c.colour) for c in image.channels] == [
        ("R", "#FF0000"),
        ("G", "#00FF00"),
        ("B", "#0000FF"),
    ]
    assert_array_equal(image.data[0, :, 0].compute(), pixels.transpose(2, 0, 1))
    assert_array_equal(image.data[0, 1, 0, 5:9].compute(), pixels[5:9, :, 1])


def test_jpeg_tiles(tmp_path: Path) -> None:
    pixels = noise(64, 80, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression="jpeg", tile=(16, 32))
    want = tifffile.imread(tmp_path / "a.tif")
    assert_array_equal(read(tmp_path / "a.tif").data[0, 0, 0].compute(), want)


def test_imagej_hyperstack(tmp_path: Path) -> None:
    pixels = noise(3, 4, 2, 10, 12)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        pixels,
        imagej=True,
        resolution=(4, 5),
        metadata={"axes": "TZCYX", "spacing": 2500, "unit": "nm", "finterval": 3.0},
    )
    image = read(path)
    assert image.source.axes == "tczyx"
    assert_array_equal(image.data.compute(), pixels.transpose(0, 2, 1, 3, 4))
    assert_allclose(image.grid.voxel_size_um, (2.5, 2e-4, 2.5e-4))
    assert image.time_step_s == 3
    assert image.warnings == ()


@pytest.mark.parametrize("unit", ["inch", "pixel", ""])
def test_imagej_without_a_length_is_not_believed(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "a.tif"
    values = {"axes": "ZYX", "spacing": 2.5, "unit": unit}
    tifffile.imwrite(path, noise(3, 10, 12), imagej=True, resolution=(72, 72), metadata=values)
    image = read(path)
    assert image.voxel_size_known == (False, False, False)
    assert image.grid.voxel_size_um == (1, 1, 1)
    assert image.warnings[0].startswith("no voxel size along z, y, x")


def test_resolution_tags(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    values: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
    tifffile.imwrite(path, noise(3, 9, 8), resolution=(2e4, 1e4), resolutionunit=3, **values)
    image = read(path)
    assert image.grid.voxel_size_um == (1, 1, 0.5)
    assert image.voxel_size_known == (False, True, True)
    assert image.warnings[0].startswith("no voxel size along z in the file")
    tifffile.imwrite(path, noise(9, 8), resolution=(72, 72), resolutionunit=2, **values)
    image = read(path)
    assert image.voxel_size_known == (False, False, False)
    assert "72 dots per inch" in image.warnings[0]
    # the thickness of one plane is asked of nobody
    tifffile.imwrite(path, noise(9, 8), resolution=(2e4, 1e4), resolutionunit=3, **values)
    assert read(path).warnings == ()


def test_ome_of_another_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        for name, channels in (("one", ["DAPI", "GFP"]), ("two", ["X", "Y"])):
            pixels = noise(4, 2, 64, 72)
            options: dict[str, Any] = {"photometric": "minisblack", "tile": (16, 16)}
            tif.write(
                pixels,
                subifds=1,
                metadata={
                    "axes": "ZCYX",
                    "Name": name,
                    "PhysicalSizeX": 250,
                    "PhysicalSizeXUnit": "nm",
                    "PhysicalSizeY": 0.5,
                    "PhysicalSizeYUnit": "µm",
                    "PhysicalSizeZ": 0.002,
                    "PhysicalSizeZUnit": "mm",
                    "Channel": {"Name": channels, "Color": [-16776961, 16711935]},
                },
                **options,
            )
            tif.write(pixels[..., ::2, ::3], subfiletype=1, **options)
    first, second = READER.read(path)
    assert (first.name, second.name) == ("one", "two")
    assert [(c.name, c.colour) for c in first.channels] == [("DAPI", "#FF0000"), ("GFP", "#00FF00")]
    assert_allclose(first.grid.voxel_size_um, (2, 0.5, 0.25))
    assert second.source.image_index == 1
    assert_array_equal(second.data[0].compute(), pixels.transpose(1, 0, 2, 3))
    # a level of its own grid: half and a third as many voxels in the same outer faces
    assert_allclose(second.grids[1].voxel_size_um, (2, 1, 0.75))
    assert_allclose(second.grids[1].corners(), second.grids[0].corners())
    assert_array_equal(second.levels[1][0, 1].compute(), pixels[:, 1, ::2, ::3])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    shape = data.draw(st.tuples(*[st.integers(1, 3)] * 3, *[st.integers(1, 40)] * 2))
    dtype = data.draw(st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8", ">u2"]))
    values = hnp.from_dtype(np.dtype(dtype))
    pixels = data.draw(hnp.arrays(dtype, shape, elements=values, fill=values))
    matrix = OBLIQUE.copy()
    matrix[:3, 3] = data.draw(hnp.arrays(np.float64, 3, elements=st.floats(-1e6, 1e6)))
    path = tmp_path_factory.mktemp("tiff") / "a.ome.tif"
    write_ome_tiff(make_image(pixels, matrix, time_step_s=0.1), path)
    image = read(path)
    assert_array_equal(image.grid.index_to_world, matrix)
    assert_array_equal(image.data.compute(), pixels)
    assert image.channels == make_image(pixels).channels
    assert image.time_step_s == 0.1
    assert image.warnings == ()
    other = tifffile.imread(path)
    assert_array_equal(other.ravel(), pixels.transpose(1, 0, 2, 3, 4).ravel())


def test_unknown_spacing_stays_unknown(tmp_path: Path) -> None:
    image = make_image(noise(1, 1, 3, 20, 30), voxel_size_known=(False, True, True))
    write_ome_tiff(image, tmp_path / "a.ome.tif")
    again = read(tmp_path / "a.ome.tif")
    assert again.voxel_size_known == (False, True, True)
    assert again.warnings[0].startswith("no voxel size along z in")


def test_large_planes_get_a_mean_pyramid(tmp_path: Path) -> None:
    pixels = noise(1, 2, 2, 1030, 2311, dtype=np.float32)
    pixels[0, 0, 0, :40, :40] = np.nan
    path = tmp_path / "a.ome.tif"
    write_ome_tiff(make_image(pixels, OBLIQUE), path)
    image = read(path)
    assert [level.shape[3:] for level in image.levels] == [(1030, 2311), (515, 1156), (258, 578)]
    assert_array_equal(image.data.compute(), pixels)
    for level, grid, factor in zip(image.levels, image.grids, (1, 2, 4), strict=True):
        means = pixels[:, :, :, : 1030 // factor * factor, : 2311 // factor * factor]
        rows, columns = means.shape[3] // factor, means.shape[4] // factor
        means = means.reshape(1, 2, 2, rows, factor, columns, factor).mean((4, 6))
        assert_allclose(level[..., :rows, :columns].compute(), means, rtol=1e-5)
        assert_array_equal(
            grid.index_to_world, image.grid.averaged((1, factor, factor)).index_to_world
        )
    with tifffile.TiffFile(path) as tif:
        assert [level.shape for level in tif.series[0].levels][1] == (2, 2, 515, 1156)
    assert sorted(tmp_path.iterdir()) == [path]


def test_labels_are_not_averaged(tmp_path: Path) -> None:
    pixels = np.where(noise(1, 1, 1, 16, 1100) > 120, 7, 1000).astype(np.uint16)
    write_ome_tiff(make_image(pixels, metadata={"is_label": True}), tmp_path / "a.ome.tif")
    level = read(tmp_path / "a.ome.tif").levels[1].compute()
    assert set(np.unique(level)) == {7, 1000}


def as_labels(pixels: np.ndarray) -> SpatialImage:
    image = make_image(pixels)
    return replace(image, source=replace(image.source, role="labels"))


def test_labels_stay_labels(tmp_path: Path) -> None:
    pixels = np.where(noise(1, 1, 2, 16, 2100) > 120, 70_000, 2**31 + 5).astype(np.uint64)
    write_ome_tiff(as_labels(pixels), tmp_path / "a.ome.tif")
    image = read(tmp_path / "a.ome.tif")
    assert image.source.role == "labels"
    assert image.is_labels
    assert image.dtype == np.uint32
    assert_array_equal(image.data.compute(), pixels)
    assert len(image.levels) == 3
    for level in image.levels[1:]:
        assert set(np.unique(level.compute())) == {70_000, 2**31 + 5}
    write_ome_tiff(make_image(pixels.astype(np.uint32)), tmp_path / "b.ome.tif")
    assert not read(tmp_path / "b.ome.tif").is_labels
    pixels[0, 0, 1, 5, 5] = 2**32
    with pytest.raises(WriteError, match="4294967296, which OME-TIFF cannot hold"):
        write_ome_tiff(as_labels(pixels), tmp_path / "c.ome.tif")
    assert not (tmp_path / "c.ome.tif").exists()


def test_other_programs_find_the_place(tmp_path: Path) -> None:
    """Without our annotation the planes' positions say the same of an image that is not turned."""
    matrix = np.diag([2, 0.5, 0.25, 1.0])
    matrix[:3, 3] = [10, -20, 1 / 3]
    write_ome_tiff(make_image(noise(2, 2, 3, 20, 30), matrix), tmp_path / "a.ome.tif")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        text = (tif.ome_metadata or "").replace("napari-bridgecorr/", "other/")
        pixels = tif.asarray()
    assert text.count("<Plane ") == 12
    options: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
    tifffile.imwrite(tmp_path / "b.ome.tif", pixels, description=text.encode(), **options)
    assert_allclose(read(tmp_path / "b.ome.tif").grid.index_to_world, matrix, rtol=0, atol=1e-12)


def test_wavelengths_survive(tmp_path: Path) -> None:
    image = make_image(noise(1, 1, 1, 20, 30))
    channel = Channel("x", None, excitation_nm=405.0, emission_nm=460.5)
    write_ome_tiff(replace(image, channels=(channel,)), tmp_path / "a.ome.tif")
    (again,) = read(tmp_path / "a.ome.tif").channels
    assert again.excitation_nm == pytest.approx(405, rel=1e-12)
    assert again.emission_nm == pytest.approx(460.5, rel=1e-12)


def test_rescaling_by_another_program_wins_over_our_note(tmp_path: Path) -> None:
    write_ome_tiff(make_image(noise(1, 1, 2, 20, 30), OBLIQUE), tmp_path / "a.ome.tif")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        text = re.sub(r'PhysicalSizeX="[^"]*"', 'PhysicalSizeX="5"', tif.ome_metadata or "")
        pixels = tif.asarray()
    options: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
    tifffile.imwrite(tmp_path / "b.ome.tif", pixels, description=text.encode(), **options)
    image = read(tmp_path / "b.ome.tif")
    assert image.grid.voxel_size_um[2] == 5
    assert "contradicts" in image.warnings[0]


class _Impatient:
    def begin(self, task: str, total: int) -> None:
        assert task
        assert total == 4

    def advance(self, steps: int = 1) -> None:
        raise Cancelled(f"after {steps}")


def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        write_ome_tiff(make_image(noise(2, 2, 1, 9, 9)), tmp_path / "a.ome.tif", _Impatient())
    assert list(tmp_path.iterdir()) == []


def test_impossible_outputs(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"\.ome\.tif"):
        write_ome_tiff(make_image(noise(1, 1, 1, 9, 9)), tmp_path / "a.png")
    with pytest.raises(WriteError, match="no int64 pixels"):
        write_ome_tiff(make_image(noise(1, 1, 1, 9, 9, dtype=np.int64)), tmp_path / "a.tif")
    assert list(tmp_path.iterdir()) == []


def test_opening_and_one_box_of_a_huge_file_cost_little(tmp_path: Path) -> None:
    path = tmp_path / "huge.tif"
    tifffile.imwrite(path, shape=(60, 8000, 8000), dtype=np.uint8, photometric="minisblack")
    with tifffile.TiffFile(path) as tif:
        last = tif.pages[59].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(last + 3 * 8000 + 5)
        file.write(b"\x2a")
    tracemalloc.start()
    box = read(path).data[0, 0, 59, 2:4, :9].compute(scheduler="synchronous")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert box[1, 5] == 42
    assert box.sum() == 42
    assert peak < 40e6  # one block of 8e6 bytes and its copies, of 3.84e9


def test_writing_holds_a_slab_at_a_time(tmp_path: Path) -> None:
    data = da.zeros((1, 1, 5, 6000, 8000), dtype=np.uint8, chunks=(1, 1, 1, 1000, 8000))
    grid = Grid.from_spacing(data.shape[2:], 1)
    image = SpatialImage((data,), (grid,), (Channel("C0"),), Source(Path("made"), "memory"))
    tracemalloc.start()
    write_ome_tiff(image, tmp_path / "a.ome.tif")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6  # the image has 240e6 bytes


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}])
@pytest.mark.parametrize("kept", [5, 9, 0.3, 0.6, 0.9, 0.99])
def test_truncated(tmp_path: Path, options: dict[str, Any], kept: float) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(6, 60, 70), photometric="minisblack", **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    refusal(path)


def test_truncated_imagej_stack_without_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(6, 60, 70), imagej=True, truncate=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as tif:
        assert len(tif.pages) == 1
        want = tif.asarray()
    assert_array_equal(read(path).data[0, 0].compute(), want)
    path.write_bytes(path.read_bytes()[:-100])
    assert "cut short" in refusal(path)


def test_damaged_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(60, 70), compression="zlib")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        start = tif.pages[0].dataoffsets[0]
    content[start : start + 40] = bytes(40)
    path.write_bytes(bytes(content))
    assert "damaged" in refusal(path)


@pytest.mark.parametrize(("code", "value"), [(256, 0), (257, 0), (256, 2**31), (277, 0)])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_absurd_tags(tmp_path: Path, code: int, value: int, options: dict[str, Any]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(60, 70), metadata=None, **options)
    with tifffile.TiffFile(path, mode="r+") as tif:
        tag = tif.pages[0].tags[code]
        tag.overwrite(value, dtype=tag.dtype if value < 2**16 else 4)
    refusal(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"hello", "no known image format"), (b"ZISRAWFILE" * 9, "end in .czi")],
)
def test_mislabelled(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    assert words in refusal(tmp_path / "a.tif")


def test_unnamed_axes_are_not_guessed(tmp_path: Path) -> None:
    pixels = noise(2, 3, 20, 30)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    images = READER.read(tmp_path / "a.tif")
    # one nameless axis is a stack; the other counts images, for it could be anything
    assert [image.name for image in images] == ["part 1", "part 2"]
    assert [image.source.image_index for image in images] == [0, 1]
    for image, want in zip(images, pixels, strict=True):
        assert_array_equal(image.data[0, 0].compute(), want)
    tifffile.imwrite(tmp_path / "b.tif", noise(30, 20, 2, 4, 5), photometric="minisblack")
    assert "unknown meaning" in refusal(tmp_path / "b.tif")


def save_planes(folder: Path, *names: str, **options: Any) -> np.ndarray:
    planes = noise(len(names), 20, 30)
    for name, plane in zip(names, planes, strict=True):
        tifffile.imwrite(folder / name, plane, **options)
    return planes


def test_a_folder_is_a_stack_in_natural_order(tmp_path: Path) -> None:
    planes = save_planes(tmp_path, "p_8.tif", "p_9.tif", "p_10.tif", "p_11.tif")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "._p_8.tif").write_bytes(b"what macOS leaves")
    assert READER.claim(tmp_path).accepted
    image = read(tmp_path)
    assert_array_equal(image.data[0, 0].compute(), planes)
    assert image.source.axes == "zyx"
    assert len(image.warnings) == 1
    assert image.warnings[0].startswith("no voxel size along z, y, x")


def test_doubtful_folders_are_warned_of(tmp_path: Path) -> None:
    save_planes(tmp_path, "p_1.tif", "p_2.tif", "p_4.tif")
    assert "after 2 comes 4" in read(tmp_path).warnings[0]
    save_planes(tmp_path, "q_1.tif")
    assert "differ in more than one number" in read(tmp_path).warnings[0]


def test_the_odd_plane_is_named(tmp_path: Path) -> None:
    save_planes(tmp_path, "p_1.tif", "p_2.tif")
    odd = tmp_path / "p_3.tif"
    for pixels, words in (
        (noise(20, 31), "(20, 31)"),
        (noise(20, 30, dtype=np.uint8), "uint8"),
        (noise(2, 20, 30), "several planes"),
    ):
        tifffile.imwrite(odd, pixels, photometric="minisblack")
        with pytest.raises(ReadError, match=r"p_3\.tif") as caught:
            READER.read(tmp_path)
        assert words in str(caught.value)
    odd.write_bytes(b"")
    with pytest.raises(ReadError, match=r"p_3\.tif: is empty"):
        READER.read(tmp_path)


def test_real_two_photon_folder(real_data: Path) -> None:
    folder = real_data / "two_photon_brain"
    image = read(folder)
    assert image.data.shape == (1, 1, 270, 193, 271)
    want = tifffile.imread(sorted(folder.glob("*.tif")))
    assert_array_equal(image.data[0, 0].compute(), want)
    assert image.voxel_size_known == (False, False, False)
