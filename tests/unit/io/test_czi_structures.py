"""CZI files of every structure the format allows, beside pylibCZIrw and the values written."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pylibCZIrw import czi as library

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.io.czi import CziReader
from napari_bridgecorr.io.czi.library import close_readers
from napari_bridgecorr.io.czi.metadata import parse_metadata
from napari_bridgecorr.io.czi.segment_writer import Dimension, SegmentWriter
from napari_bridgecorr.io.czi.write import SceneToWrite, write_scenes

CODECS = {
    "uncompressed": "uncompressed:",
    "zstd0": "zstd0:ExplicitLevel=3",
    "zstd1": "zstd1:ExplicitLevel=2;PreProcess=HiLoByteUnpack",
}


@pytest.fixture(autouse=True)
def _no_file_stays_open():
    yield
    close_readers()


def read(path: Path):
    return CziReader().read(path)


def noise(shape, seed=0, dtype=np.uint16):
    return np.random.default_rng(seed).integers(1, np.iinfo(dtype).max, shape, dtype=dtype)


def tile(writer, pixels, x=0, y=0, factor=1, compression=0, payload=None, pixel_type=None, **dims):
    """Add a tile; `pixels` is (y, x) or (y, x, 3), blue first."""
    h, w = pixels.shape[:2]
    grey = {"uint8": 0, "uint16": 1, "float32": 2}[pixels.dtype.name]
    number = grey if pixels.ndim == 2 else {0: 3, 1: 4, 2: 8}[grey]
    place = [Dimension("X", x, w * factor, w), Dimension("Y", y, h * factor, h)]
    place += [Dimension(name, index) for name, index in dims.items()]
    raw = np.ascontiguousarray(pixels).tobytes() if payload is None else payload
    writer.tile(place, number if pixel_type is None else pixel_type, compression, raw)


def make(path: Path, fill, xml: str = "") -> Path:
    with path.open("xb") as file:
        writer = SegmentWriter(file)
        fill(writer)
        writer.finish(xml)
    return path


def document(information: str = "", more: str = "") -> str:
    image = f"<Information><Image>{information}</Image></Information>"
    return f"<ImageDocument><Metadata>{image}{more}</Metadata></ImageDocument>"


# ---- scenes, mosaics, codecs -----------------------------------------------------------------


def test_wells_far_apart_lie_where_they_are_and_no_canvas_joins_them(tmp_path):
    wells = [noise((1, 2, 2, 300, 260), 1), noise((1, 2, 2, 200, 310), 2)]
    path = tmp_path / "wells.czi"
    places = [(-400, -90_000), (7, 500)]
    scenes = [SceneToWrite(w, p, n) for w, p, n in zip(wells, places, ("A1", "B2"), strict=True)]
    write_scenes(path, scenes, (3, 0.5, 0.25), ["DAPI", "GFP"])
    images = read(path)
    assert [i.name for i in images] == ["A1", "B2"]
    with library.open_czi(str(path)) as reference:
        boxes = reference.scenes_bounding_rectangle
        for number, (image, well, (y, x)) in enumerate(zip(images, wells, places, strict=True)):
            assert image.data.shape == well.shape
            assert np.allclose(image.grid.index_to_world[:3, 3], (0, y * 0.5, x * 0.25))
            assert np.array_equal(image.data.compute(scheduler="sync"), well)
            box = boxes[number]
            assert (box.x, box.y, box.w, box.h) == (x, y, *well.shape[:2:-1])
            by_library = reference.read(scene=number, plane={"C": 1, "Z": 1})
            assert np.array_equal(by_library[..., 0], well[0, 1, 1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("samples", [1, 3])
def test_the_same_pixels_in_every_codec(tmp_path, dtype, samples):
    stored = noise((70, 90, samples), 3, np.uint16).astype(dtype)
    for name, options in CODECS.items():
        if dtype == np.float32 and name != "uncompressed":
            continue  # pylibCZIrw packs no floats
        path = tmp_path / f"{name}.czi"
        with library.create_czi(str(path), compression_options=options) as writer:
            writer.write(stored, location=(-33, -5))
        (image,) = read(path)
        found = image.data.compute(scheduler="sync")[0, :, 0]
        assert found.dtype == dtype
        assert np.array_equal(found, np.moveaxis(stored[..., ::-1], -1, 0))


def test_jpeg_xr_is_decoded_by_the_library_and_jpeg_by_ourselves(tmp_path):
    grey = noise((40, 60), 4)
    coded = bytes(imagecodecs.jpegxr_encode(grey))
    path = make(tmp_path / "xr.czi", lambda w: tile(w, grey, compression=4, payload=coded, C=0))
    assert np.array_equal(read(path)[0].data[0, 0, 0].compute(scheduler="sync"), grey)
    y, x = np.mgrid[:48, :64]
    smooth = np.stack([2 * y, 3 * x, 200 - y - x], axis=-1).astype(np.uint8)
    coded = bytes(imagecodecs.jpeg_encode(smooth, level=98))
    path = make(tmp_path / "j.czi", lambda w: tile(w, smooth, compression=1, payload=coded, C=0))
    found = read(path)[0].data[0, :, 0].compute(scheduler="sync")
    assert np.abs(found.astype(int) - np.moveaxis(smooth, -1, 0)).max() < 12


def test_where_tiles_overlap_the_later_lies_on_top_as_in_the_library(tmp_path):
    tiles = [noise((50, 60), seed) for seed in range(6)]
    order = [3, 0, 5, 1, 4, 2]

    def fill(writer):
        for m in order:  # not in the order of the mosaic
            tile(writer, tiles[m], x=-40 + 45 * (m % 3), y=-9 + 40 * (m // 3), C=0, S=0, M=m)

    path = make(tmp_path / "overlap.czi", fill)
    (image,) = read(path)
    with library.open_czi(str(path)) as reference:
        wanted = reference.read(plane={"C": 0}, scene=0)[..., 0]
    assert image.data.shape[3:] == (90, 150)
    assert np.array_equal(image.data[0, 0, 0].compute(scheduler="sync"), wanted)
    for y, x in ((0, 0), (35, 40), (41, 100), (60, 7)):
        box = image.read(0, (0, 0, 0, y, x), (1, 1, 1, y + 30, x + 50))[0, 0, 0]
        assert np.array_equal(box, wanted[y : y + 30, x : x + 50])


@pytest.mark.parametrize(
    "name", ["1_tileregion.czi", "S3_1Pos_2Mosaic_T2Z3_CH2_sm.czi", "tiles_z.czi"]
)
def test_random_windows_of_real_mosaics_are_those_of_the_library(real_data, name):
    path = real_data / "czi" / name
    rng = np.random.default_rng(5)
    with library.open_czi(str(path)) as reference:
        scenes = reference.scenes_bounding_rectangle_no_pyramid
        for number, image in enumerate(i for i in read(path) if i.source.role == "image"):
            box = scenes.get(number) or reference.total_bounding_rectangle_no_pyramid
            n_t, n_c, n_z, n_y, n_x = image.data.shape
            for _ in range(25):
                t, c, z = (int(rng.integers(n)) for n in (n_t, n_c, n_z))
                y, x = int(rng.integers(n_y - 20)), int(rng.integers(n_x - 20))
                h, w = int(rng.integers(1, n_y - y + 1)), int(rng.integers(1, n_x - x + 1))
                wanted = reference.read(
                    roi=(box.x + x, box.y + y, w, h),
                    plane={"T": t, "C": c, "Z": z},
                    scene=number if scenes else None,
                )
                found = image.read(0, (t, c, z, y, x), (t + 1, c + 1, z + 1, y + h, x + w))
                assert np.array_equal(found[0, 0, 0], wanted[..., 0])


# ---- pyramids --------------------------------------------------------------------------------


def test_a_level_holds_the_pixels_stored_for_it_and_no_others(tmp_path):
    levels = {1: noise((512, 768)) % 100, 2: 1000 + noise((256, 384)) % 100}
    levels[4] = 2000 + noise((128, 192)) % 100

    def fill(writer):
        for factor, pixels in levels.items():
            for y in range(0, pixels.shape[0], 128):
                for x in range(0, pixels.shape[1], 128):
                    part = pixels[y : y + 128, x : x + 128]
                    tile(writer, part, x * factor - 50, y * factor + 9, factor, C=0, S=0)

    path = make(tmp_path / "pyramid.czi", fill)
    (image,) = read(path)
    assert [level.shape[3:] for level in image.levels] == [(512, 768), (256, 384)]
    with library.open_czi(str(path)) as reference:
        for level, (factor, pixels) in zip(image.levels, levels.items(), strict=False):
            assert np.array_equal(level[0, 0, 0].compute(scheduler="sync"), pixels)
            by_library = reference.read(plane={"C": 0}, zoom=1 / factor, scene=0)[..., 0]
            assert np.array_equal(by_library, pixels)


def test_a_level_that_is_not_everywhere_is_not_used(tmp_path):
    full, half = noise((2, 100, 120)), noise((50, 60))

    def fill(writer):
        for z in range(2):
            tile(writer, full[z], C=0, Z=z)
        tile(writer, half, factor=2, C=0, Z=0)

    (image,) = read(make(tmp_path / "partial.czi", fill))
    assert len(image.levels) == 1


def test_our_own_pyramid_is_of_means_at_their_centres(tmp_path):
    y, x = np.mgrid[:2501, :2300]
    bumps = (3e4 * (1 + np.sin(y / 9) * np.cos(x / 7))).astype(np.uint16)
    path = tmp_path / "large.czi"
    write_scenes(path, [SceneToWrite(bumps[None, None, None], (5, -2000))], (1, 2, 4), ["C"])
    (image,) = read(path)
    assert [level.shape[3:] for level in image.levels] == [(2501, 2300), (1250, 1150), (625, 575)]
    assert np.array_equal(image.data[0, 0, 0].compute(scheduler="sync"), bumps)
    means = bumps[:2500].reshape(1250, 2, 1150, 2).mean((1, 3))
    assert np.abs(image.levels[1][0, 0, 0].compute(scheduler="sync") - means).max() <= 0.5
    assert np.allclose(image.grids[2].index_to_world[:3, 3], (0, (5 + 1.5) * 2, (-2000 + 1.5) * 4))
    with library.open_czi(str(path)) as reference:
        assert np.array_equal(reference.read(scene=0)[..., 0], bumps)
        assert reference.total_bounding_rectangle == (-2000, 5, 2300, 2501)


# ---- dimensions ------------------------------------------------------------------------------


def test_phases_and_illuminations_are_channels(tmp_path):
    planes = {(c, h, i): noise((20, 30), 9 * c + 3 * h + i) for c in (0, 1) for h in (0, 1, 2)
              for i in (0, 1) if c == 0 or (h, i) == (0, 0)}  # fmt: skip

    def fill(writer):
        for (c, h, i), pixels in planes.items():
            tile(writer, pixels, C=c, H=h, I=i)

    names = "<Dimensions><Channels><Channel Id='a' Name='ChA'/><Channel Id='b' Name='ChB'/>"
    path = make(tmp_path / "phases.czi", fill, document(f"{names}</Channels></Dimensions>"))
    (image,) = read(path)
    assert [c.name for c in image.channels] == [
        *(f"ChA phase {h} illumination {i}" for h in range(3) for i in range(2)),
        "ChB",
    ]
    found = image.data[0, :, 0].compute(scheduler="sync")
    with library.open_czi(str(path)) as reference:
        for pixels, ((c, h, i), wanted) in zip(found, planes.items(), strict=True):
            assert np.array_equal(pixels, wanted)
            by_library = reference.read(plane={"C": c, "H": h, "I": i})[..., 0]
            assert np.array_equal(by_library, wanted)


def test_the_phases_of_a_real_airyscan_are_channels(real_data):
    path = real_data / "czi" / "LSM880_AiryScan.czi"
    image = read(path)[0]
    names = [c.name for c in image.channels]
    # four detectors of 32 phases, and four channels of one
    assert len(names) == 4 * 32 + 4
    assert names[:2] == ["ChA-T1 phase 0", "ChA-T1 phase 1"]
    assert names[-5:] == ["ChA-T4 phase 31", "C4", "C5", "C6", "C7"]
    assert image.channels[33].excitation_nm == 561
    assert image.warnings == ()
    found = image.data.compute(scheduler="sync")
    with library.open_czi(str(path)) as reference:
        for number in (0, 1, 31, 32, 77, 127, 128, 131):
            c, h = (number // 32, number % 32) if number < 128 else (number - 124, 0)
            wanted = reference.read(plane={"C": c, "H": h}, pixel_type="Gray16")[..., 0]
            assert np.array_equal(found[0, number, 0], wanted)


@pytest.mark.parametrize(("dim", "noun"), [("V", "view"), ("R", "rotation"), ("B", "block")])
def test_views_rotations_and_blocks_are_images(tmp_path, dim, noun):
    planes = [noise((20, 30), k) for k in range(3)]

    def fill(writer):
        for k, pixels in enumerate(planes):
            tile(writer, pixels, C=0, S=0, **{dim: k})

    path = make(tmp_path / "views.czi", fill)
    images = read(path)
    assert [i.name for i in images] == [f"{noun} {k}" for k in range(3)]
    with library.open_czi(str(path)) as reference:
        for k, (image, wanted) in enumerate(zip(images, planes, strict=True)):
            assert np.array_equal(image.data[0, 0, 0].compute(scheduler="sync"), wanted)
            by_library = reference.read(plane={"C": 0, dim: k}, scene=0)[..., 0]
            assert np.array_equal(by_library, wanted)


def test_an_unknown_dimension_and_a_camera_s_codec_are_refused_with_the_reason(tmp_path):
    plane = noise((20, 30))
    path = make(tmp_path / "q.czi", lambda w: tile(w, plane, C=0, Q=1))
    with pytest.raises(ReadError, match="unknown dimension 'Q'"):
        read(path)
    path = make(tmp_path / "raw.czi", lambda w: tile(w, plane, compression=104, C=0))
    with pytest.raises(ReadError, match=r"camera's own way \(104\)"):
        read(path)
    path = make(tmp_path / "type.czi", lambda w: tile(w, plane, pixel_type=9, C=0))
    with pytest.raises(ReadError, match="pixels are of type 9"):
        read(path)


# ---- line scans and time ---------------------------------------------------------------------


def stamps(*seconds: float) -> bytes:
    return struct.pack(f"<ii{len(seconds)}d", 8 + 8 * len(seconds), len(seconds), *seconds)


def test_lines_stored_many_at_a_time_are_times(tmp_path):
    lines = noise((90, 2, 25))  # (t, c, x)

    def fill(writer):
        for c in (0, 1):
            for first, last in ((0, 40), (40, 80), (80, 90)):
                dims = [Dimension("X", 0, 25), Dimension("Y", 0, 1), Dimension("C", c)]
                dims.append(Dimension("T", first, last - first))
                writer.tile(dims, 1, 0, np.ascontiguousarray(lines[first:last, c]).tobytes())
        writer.attachment("TimeStamps", "CZTIMS", stamps(*np.arange(90) * 0.25))

    (image,) = read(make(tmp_path / "lines.czi", fill))
    assert image.source.axes == "tcyx"
    assert image.time_step_s == pytest.approx(0.25)
    wanted = lines[:, :, None, None]
    assert np.array_equal(image.data.compute(scheduler="sync"), wanted)
    assert np.array_equal(
        image.read(0, (35, 1, 0, 0, 3), (85, 2, 1, 1, 9)), wanted[35:85, 1:, :, :, 3:9]
    )


def test_rows_that_repeat_one_line_are_times(tmp_path):
    rows = noise((60, 25))
    mode = "<LaserScanInfo><ScanningMode>Line</ScanningMode></LaserScanInfo>"
    channel = f"<Dimensions><Channels><Channel Id='a'>{mode}</Channel></Channels></Dimensions>"
    path = make(tmp_path / "rows.czi", lambda w: tile(w, rows, C=0, Z=0), document(channel))
    (image,) = read(path)
    assert image.data.shape == (60, 1, 1, 1, 25)
    assert np.array_equal(image.data.compute(scheduler="sync")[:, 0, 0, 0], rows)
    assert any("60 rows" in w and "shown as times" in w for w in image.warnings)


def test_uneven_times_are_told(tmp_path):
    def fill(writer):
        for t in range(3):
            tile(writer, noise((5, 6), t), C=0, T=t)
        writer.attachment("TimeStamps", "CZTIMS", stamps(10, 11, 15))

    (image,) = read(make(tmp_path / "uneven.czi", fill))
    assert image.time_step_s == pytest.approx(2.5)
    assert any("1 to 4 s apart" in w for w in image.warnings)


# ---- metadata --------------------------------------------------------------------------------


def test_a_scene_may_have_a_scale_of_its_own(tmp_path):
    def scaling(x):
        return f"<Scaling><Items><Distance Id='X'><Value>{x}</Value></Distance></Items></Scaling>"

    scene = f"<Scene Index='1' Name='B'>{scaling(3e-6)}</Scene><Scene Index='x'/>"
    xml = document(f"<Dimensions><S><Scenes>{scene}</Scenes></S></Dimensions>", scaling(1e-6))

    def fill(writer):
        for s in (0, 1):
            tile(writer, noise((5, 6), s), x=100, C=0, S=s)

    first, second = read(make(tmp_path / "scales.czi", fill, xml))
    assert first.grid.voxel_size_um[2] == pytest.approx(1)
    assert second.grid.voxel_size_um[2] == pytest.approx(3)
    assert second.grid.index_to_world[2, 3] == pytest.approx(300)
    assert first.voxel_size_known == second.voxel_size_known == (False, False, True)
    assert any(w.startswith("no voxel size along y ") for w in first.warnings)


def test_wavelengths_belong_to_their_channels(real_data):
    image = read(real_data / "czi" / "S3_1Pos_2Mosaic_T2Z3_CH2_sm.czi")[0]
    optics = [(c.name, c.excitation_nm, c.emission_nm, c.colour) for c in image.channels]
    assert optics == [("DAPI", 353, 465, "#00A1FF"), ("EGFP", 488, 509, "#00FF5B")]
    assert image.time_step_s == pytest.approx(33.412)
    assert image.metadata["acquisition_date"].startswith("2021-06-15T06:09:43")


def test_a_document_type_is_not_parsed():
    parsed = parse_metadata("<!DOCTYPE x [<!ENTITY a 'b'>]><ImageDocument>&a;</ImageDocument>", 1.0)
    assert "garbled" in parsed.warnings[0]


# ---- attachments -----------------------------------------------------------------------------


def test_photographs_of_the_slide_follow_the_scenes(tmp_path):
    plane, label = noise((20, 30)), noise((1, 1, 1, 44, 55), 1, np.uint8)
    inner = tmp_path / "inner.czi"
    write_scenes(inner, [SceneToWrite(label, (-8, 60))], (1, 20, 30), ["label"])
    y, x = np.mgrid[:48, :64]
    smooth = np.stack([2 * y, 3 * x, 200 - y - x], axis=-1).astype(np.uint8)

    def fill(writer):
        tile(writer, plane, C=0)
        writer.attachment("Label", "CZI", inner.read_bytes())
        writer.attachment("SlidePreview", "JPG", imagecodecs.jpeg_encode(smooth, level=98))
        writer.attachment("Prescan", "CZI", inner.read_bytes()[:700])
        writer.attachment("EventList", "CZEVL", b"\1" * 50)

    path = make(tmp_path / "slide.czi", fill)
    images = read(path)
    roles = ["image", "slide label", "slide preview"]
    assert [i.source.role for i in images] == roles
    assert [i.source.image_index for i in images] == [0, 1, 2]
    assert images[1].grid.voxel_size_um == pytest.approx((1, 20, 30))
    assert np.array_equal(images[1].data.compute(scheduler="sync"), label)
    assert np.array_equal(
        images[1].read(0, (0, 0, 0, 3, 5), (1, 1, 1, 9, 50)), label[:, :, :, 3:9, 5:50]
    )
    found = images[2].data[0, :, 0].compute(scheduler="sync")
    assert np.abs(found.astype(int) - np.moveaxis(smooth, -1, 0)).max() < 12
    assert [c.name for c in images[2].channels] == ["R", "G", "B"]
    assert images[2].voxel_size_known == (False, False, False)
    assert all("where it lies on the scan is not known" in i.warnings[0] for i in images[1:])
    assert "the embedded prescan is damaged and is left out" in images[0].warnings


def test_the_thumbnail_of_a_real_file_is_no_image_of_its_own(real_data):
    (image,) = read(real_data / "czi" / "24.10_Blood.czi")
    assert image.source.role == "image"
