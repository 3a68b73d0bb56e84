"""CZI files against pylibCZIrw and czifile read directly, and against planes that we wrote."""

from __future__ import annotations

import pickle
import struct
import threading
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from pylibCZIrw import czi as library

from napari_bridgecorr.errors import Cancelled, ReadError, WriteError
from napari_bridgecorr.io.czi import CziReader, write_czi
from napari_bridgecorr.io.czi import levels as czi_levels
from napari_bridgecorr.io.czi.library import close_readers
from napari_bridgecorr.io.czi.metadata import parse_metadata

READABLE = [
    "1_tileregion.czi",
    "24.10_Blood.czi",
    "CellDivision_T3_Z5_CH2_X240_Y170.czi",
    "CellDivision_T3_Z5_CH2_X240_Y170_comp1.czi",
    "S3_1Pos_2Mosaic_T2Z3_CH2_sm.czi",
    "tiles_z.czi",
]


@pytest.fixture(autouse=True)
def _no_file_stays_open():
    yield
    close_readers()


def read(path: Path):
    """The images of a file but for photographs of the slide."""
    return tuple(i for i in CziReader().read(path) if i.source.role == "image")


def random_image(shape=(2, 3, 4, 60, 70), dtype=np.uint16, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


def refusal(path: Path) -> str:
    with pytest.raises(ReadError) as caught:
        [image.data.compute(scheduler="sync") for image in read(path)]
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


# ---- real files -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", READABLE)
def test_every_plane_is_that_of_the_library(real_data, name):
    path = real_data / "czi" / name
    images = read(path)
    with library.open_czi(str(path)) as reference:
        scenes = reference.scenes_bounding_rectangle_no_pyramid or {
            None: reference.total_bounding_rectangle_no_pyramid
        }
        assert len(images) == len(scenes)
        for image, (scene, box) in zip(images, scenes.items(), strict=True):
            n_t, n_c, n_z, n_y, n_x = image.data.shape
            assert (n_y, n_x) == (box.h, box.w)
            _, y_um, x_um = image.grid.voxel_size_um
            assert np.allclose(
                image.grid.to_world([[0, 0, 0]]), [[0, box.y * y_um, box.x * x_um]], atol=1e-9
            )
            for t, c, z in {(0, 0, 0), (n_t - 1, n_c - 1, n_z - 1), (0, n_c - 1, n_z // 2)}:
                wanted = reference.read(
                    roi=box, scene=scene, plane={"T": t, "C": c, "Z": z}, zoom=1.0
                )
                found = image.data[t, c, z].compute(scheduler="sync")
                assert np.array_equal(found, wanted[..., 0])
                roi = (slice(5, 31), slice(7, 29))
                part = image.data[(t, c, z, *roi)].compute(scheduler="sync")
                assert np.array_equal(part, wanted[..., 0][roi])


@pytest.mark.parametrize("name", ["24.10_Blood.czi", "CellDivision_T3_Z5_CH2_X240_Y170.czi"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pixels_are_those_of_a_reader_that_shares_no_code(real_data, name):
    czifile = pytest.importorskip("czifile")
    path = real_data / "czi" / name
    (image,) = read(path)
    with czifile.CziFile(str(path)) as reference:
        axes, stored = reference.axes, reference.asarray(max_workers=1)
    keep = [i for i, a in enumerate(axes) if a in "TCZYX"]
    drop = tuple(i for i in range(len(axes)) if i not in keep)
    wanted = stored.squeeze(axis=drop)
    letters = [axes[i] for i in keep]
    wanted = wanted.transpose([letters.index(a) for a in "TCZYX" if a in letters])
    assert np.array_equal(image.data.compute(scheduler="sync").reshape(wanted.shape), wanted)


def test_metadata_of_a_real_file(real_data):
    (image,) = read(real_data / "czi" / "CellDivision_T3_Z5_CH2_X240_Y170.czi")
    assert image.source.axes == "tczyx"
    assert image.grid.voxel_size_um == pytest.approx((0.32, 0.0905766741, 0.0905766741), rel=1e-9)
    assert [c.name for c in image.channels] == ["LED555", "LED470"]
    assert [c.colour for c in image.channels] == ["#FF7E00", "#00FF33"]
    assert image.channels[0].display_range == pytest.approx((0, 3921), abs=0.01)
    assert image.time_step_s == pytest.approx(60.075)
    assert image.metadata["objective"] == "Plan-Apochromat 50x/1.2"
    assert image.metadata["emission_nm"] == (568.0, 517.0)
    assert image.warnings == ()


def test_scenes_are_named_and_holes_are_told(real_data):
    images = read(real_data / "czi" / "S3_1Pos_2Mosaic_T2Z3_CH2_sm.czi")
    assert [i.name for i in images] == ["TR1", "P1", "TR2"]
    assert [i.source.image_index for i in images] == [0, 1, 2]
    assert images[1].warnings == ()
    (hole,) = images[2].warnings
    assert "27.9%" in hole
    # tiles are 64 x 64: the pixels of no tile are those that read as 0
    assert np.mean(images[2].data[0, 0, 0].compute(scheduler="sync") == 0) == pytest.approx(
        images[2].metadata["uncovered_fraction"], abs=1e-4
    )


def test_a_scale_of_zero_is_missing(real_data):
    (image,) = read(real_data / "czi" / "CellDivision_T3_Z5_CH2_X240_Y170_comp1.czi")
    assert image.voxel_size_known == (False, False, False)
    assert image.grid.voxel_size_um == (1, 1, 1)
    assert [w.startswith("no voxel size along z, y, x") for w in image.warnings] == [True]


def test_the_pyramid_of_zen_lies_where_its_pixels_were_sampled(real_data):
    (image,) = read(real_data / "czi" / "1_tileregion.czi")
    assert [level.shape[3:] for level in image.levels] == [(570, 1480), (285, 740)]
    # the level's own pixels fit level 0, smoothed as ZEN does, at pixel 2 i: to half a grey value
    full, half = (level[0, 0, 0].compute(scheduler="sync").astype(float) for level in image.levels)
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    tile = full[20:250, 20:340]
    smooth = np.apply_along_axis(np.convolve, 0, tile, kernel, "same")
    smooth = np.apply_along_axis(np.convolve, 1, smooth, kernel, "same")
    expected = smooth[::2, ::2][5:-5, 5:-5]
    assert np.abs(expected - half[10:125, 10:170][5:-5, 5:-5]).max() <= 0.51
    assert np.array_equal(image.grids[1].index_to_world[:3, 3], image.grid.index_to_world[:3, 3])
    assert image.grids[1].voxel_size_um == pytest.approx((1, 0.8, 0.8))
    assert image.metadata["pyramid_sampled_at"] == "first pixel"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("write_roi.czi", "no directory")],
)
def test_real_files_that_cannot_be_read_say_why(real_data, name, reason):
    assert reason in refusal(real_data / "czi" / name)


# ---- what we write --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_round_trip(tmp_path, dtype):
    data = random_image(dtype=dtype)
    path = tmp_path / "brain.czi"
    lazy = da.from_array(data, chunks=(1, 1, 2, 30, 70))
    write_czi(
        path,
        lazy,
        (5.0, 0.7, 0.6),
        ["DAPI", "GFP", "RFP"],
        colours=["#0000FF", None, "#ff0000"],
        origin_px=(-20, 1000),
    )
    (image,) = read(path)
    assert image.dtype == dtype
    assert np.array_equal(image.data.compute(scheduler="sync"), data)
    wanted = [[5, 0, 0, 0], [0, 0.7, 0, -14], [0, 0, 0.6, 600], [0, 0, 0, 1]]
    assert np.allclose(image.grid.index_to_world, wanted, atol=1e-9, rtol=1e-12)
    assert [c.name for c in image.channels] == ["DAPI", "GFP", "RFP"]
    assert [c.colour for c in image.channels] == ["#0000FF", None, "#FF0000"]
    assert image.voxel_size_known == (True, True, True)
    assert image.warnings == ()
    assert list(tmp_path.iterdir()) == [path]


def test_a_large_plane_without_a_pyramid_gets_means(tmp_path):
    y, x = np.mgrid[:2201, :2050]
    blob = 6e4 * np.exp(-((y - 1000.3) ** 2 + (x - 700.6) ** 2) / (2 * 40**2))
    path = tmp_path / "slide.czi"
    with library.create_czi(str(path)) as writer:
        writer.write(blob.astype(np.uint16))
        writer.write_metadata(scale_x=0.25e-6, scale_y=0.5e-6, scale_z=1e-6)
    (image,) = read(path)
    assert [level.shape[3:] for level in image.levels] == [(2201, 2050), (1101, 1025)]
    centroids = []
    for level, grid in zip(image.levels, image.grids, strict=True):
        plane = level[0, 0, 0].compute(scheduler="sync").astype(float)
        at = [
            (plane.sum(1 - i) * np.arange(n)).sum() / plane.sum() for i, n in enumerate(plane.shape)
        ]
        centroids.append(grid.to_world([[0, *at]])[0])
    assert np.allclose(centroids[0], [0, 1000.3 * 0.5, 700.6 * 0.25], atol=0.01)
    assert np.allclose(centroids[0], centroids[1], atol=1e-3)
    inner = image.levels[1][0, 0, 0, 500:510, 300:310].compute(scheduler="sync")
    wanted = blob.astype(np.uint16)[1000:1020, 600:620].reshape(10, 2, 10, 2).mean((1, 3))
    assert np.abs(inner - wanted).max() <= 0.5


def test_colour_pixels_become_three_channels(tmp_path):
    rgb = np.random.default_rng(2).integers(0, 255, (50, 40, 3), dtype=np.uint8)
    path = tmp_path / "histology.czi"
    with library.create_czi(str(path)) as writer:
        writer.write(rgb[..., ::-1].copy())  # the library takes blue first
        writer.write_metadata(channel_names={0: "H&E"}, scale_x=1e-6, scale_y=1e-6)
    (image,) = read(path)
    assert [c.name for c in image.channels] == ["R", "G", "B"]
    assert [c.colour for c in image.channels] == ["#FF0000", "#00FF00", "#0000FF"]
    assert np.array_equal(image.data[0, :, 0].compute(scheduler="sync"), rgb.transpose(2, 0, 1))
    assert np.array_equal(image.data[0, 1, 0].compute(scheduler="sync"), rgb[..., 1])
    assert image.voxel_size_known == (False, True, True)
    assert image.warnings == ()  # a single plane has no spacing along z to ask for


def test_channels_of_two_types_are_promoted_and_a_missing_plane_is_told(tmp_path):
    path = tmp_path / "mixed.czi"
    byte, word = random_image((20, 30), np.uint8), random_image((20, 30), np.uint16)
    with library.create_czi(str(path)) as writer:
        writer.write(byte, plane={"C": 0, "Z": 0})
        writer.write(word, plane={"C": 1, "Z": 0})
        writer.write(byte, plane={"C": 0, "Z": 1})
    (image,) = read(path)
    assert image.dtype == np.uint16
    assert np.array_equal(image.data[0, 0, 1].compute(scheduler="sync"), byte)
    assert np.array_equal(image.data[0, 1, 0].compute(scheduler="sync"), word)
    assert any("1 of 4 planes were not recorded" in w for w in image.warnings)


def test_a_file_whose_indices_do_not_begin_at_0(tmp_path):
    path = tmp_path / "part.czi"
    data = random_image((3, 20, 30))
    with library.create_czi(str(path)) as writer:
        for z, plane in enumerate(data, start=4):
            writer.write(plane, plane={"Z": z, "C": 2})
        writer.write_metadata(scale_x=1e-6, scale_y=1e-6, scale_z=2e-6)
    (image,) = read(path)
    assert np.array_equal(image.data[0, 0].compute(scheduler="sync"), data)


def test_one_block_reads_one_rectangle(tmp_path, monkeypatch):
    path = tmp_path / "lazy.czi"
    write_czi(path, random_image((1, 2, 3, 1500, 2100), np.uint8), (1, 1, 1), ["a", "b"])
    asked = []
    original = czi_levels.compose
    monkeypatch.setattr(
        czi_levels, "compose", lambda *a: (asked.append((a[2], len(a[1]))), original(*a))[1]
    )
    (image,) = read(path)
    asked.clear()  # opening looks at a patch of the pyramid
    image.data.blocks[0, 1, 0, 1, 0].compute(scheduler="sync")
    assert [r for r, _ in asked] == [(0, 1024, 1024, 476)] * 3  # one per plane of the block
    asked.clear()
    image.data[0, 0, 1, 100:110, 1020:1030].compute(scheduler="sync")
    assert {r for r, _ in asked} == {(1020, 100, 4, 10), (1024, 100, 6, 10)}
    asked.clear()
    image.read(0, (0, 0, 1, 100, 1020), (1, 1, 2, 110, 1030))
    # two tiles of full resolution, one of half, one of a quarter of it
    assert asked == [((1020, 100, 10, 10), 4)]


def test_many_threads_and_processes_see_the_same_pixels(tmp_path):
    path = tmp_path / "threads.czi"
    data = random_image((1, 1, 24, 200, 220))
    write_czi(path, data, (1, 1, 1), ["a"])
    (image,) = read(path)
    with dask.config.set(scheduler="threads", num_workers=8):
        for _ in range(3):
            assert np.array_equal(image.data.compute(), data)
    thawed = pickle.loads(pickle.dumps(image.data))
    assert np.array_equal(thawed.compute(scheduler="sync"), data)
    assert threading.active_count() < 50


def test_a_file_that_changed_is_not_read_as_the_old_one(tmp_path):
    path = tmp_path / "changing.czi"
    write_czi(path, random_image(), (1, 1, 1), list("abc"))
    (image,) = read(path)
    close_readers()
    write_czi(path, random_image((2, 3, 4, 60, 71)), (1, 1, 1), list("abc"))
    with pytest.raises(ReadError, match="changed since it was opened"):
        image.data[0, 0, 0].compute(scheduler="sync")


def test_writing_reports_progress_and_leaves_nothing_when_cancelled(tmp_path):
    class Impatient:
        seen = 0

        def begin(self, _task, total):
            self.total = total

        def advance(self, steps=1):
            self.seen += steps
            if self.seen == 5:
                raise Cancelled

    watcher = Impatient()
    with pytest.raises(Cancelled):
        write_czi(tmp_path / "never.czi", random_image(), (1, 1, 1), list("abc"), watcher)
    assert watcher.total == 24
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "spacing", "names"),
    [
        (np.zeros((1, 1, 1, 4, 4), np.float32), (1, 1, 1), ["a"]),
        (np.zeros((4, 4), np.uint8), (1, 1, 1), ["a"]),
        (np.zeros((1, 2, 1, 4, 4), np.uint8), (1, 1, 1), ["a"]),
        (np.zeros((1, 1, 1, 4, 4), np.uint8), (1, 0, 1), ["a"]),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, data, spacing, names):
    with pytest.raises(WriteError, match=r"new\.czi"):
        write_czi(tmp_path / "new.czi", data, spacing, names)
    assert list(tmp_path.iterdir()) == []


# ---- damaged files --------------------------------------------------------------------------


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "sound.czi"
    write_czi(path, random_image(), (1, 1, 1), list("abc"))
    close_readers()
    return path


def test_empty_and_foreign_files(tmp_path):
    path = tmp_path / "empty.czi"
    path.touch()
    assert "empty" in refusal(path)
    path.write_bytes(b"GIF89a" * 100)
    assert "does not begin as a CZI" in refusal(path)
    path.write_bytes(b"ZISRAWFILE")
    assert "ends within its header" in refusal(path)
    with pytest.raises(ReadError, match=r"missing\.czi"):
        read(tmp_path / "missing.czi")


def test_a_file_cut_anywhere_is_refused(sound):
    whole = sound.read_bytes()
    for length in np.linspace(11, len(whole) - 1, 40).astype(int):
        sound.write_bytes(whole[:length])
        refusal(sound)


def test_a_garbled_tile_header_never_reaches_the_library(sound):
    # libCZI 6.1 ends the interpreter on this: a negative count of dimensions in the tile's header
    whole = bytearray(sound.read_bytes())
    at = whole.find(b"ZISRAWSUBBLOCK")
    struct.pack_into("<i", whole, at + 76, -5)
    sound.write_bytes(whole)
    assert "header of a tile is garbled" in refusal(sound)


def test_damage_in_the_pixels_is_one_line(sound):
    whole = bytearray(sound.read_bytes())
    at = whole.find(b"ZISRAWSUBBLOCK")
    whole[at + 300 : at + 4000] = b"\xa5" * 3700
    sound.write_bytes(whole)
    assert "the pixels of a tile are damaged" in refusal(sound)


def test_random_damage_is_an_image_or_one_line(sound):
    whole = sound.read_bytes()
    rng = np.random.default_rng(11)
    for _ in range(60):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 12):
            damaged[at] = rng.integers(0, 256)
        sound.write_bytes(damaged)
        try:
            for image in read(sound):
                image.data[0, :, :, :8, :8].compute(scheduler="sync")
        except ReadError as error:
            assert "\n" not in str(error)  # noqa: PT017 - any outcome but a crash is right
        close_readers()


def test_garbled_or_absurd_metadata_is_a_warning():
    assert "garbled" in parse_metadata("<ImageDocument><Metadata>", 255.0).warnings[0]
    absurd = (
        "<ImageDocument><Metadata><Scaling><Items>"
        "<Distance Id='X'><Value>0.325</Value></Distance>"
        "<Distance Id='Y'><Value>NaN</Value></Distance>"
        "<Distance Id='Z'><Value>-1e-6</Value></Distance>"
        "</Items></Scaling></Metadata></ImageDocument>"
    )
    parsed = parse_metadata(absurd, 255.0)
    assert parsed.spacing_um == (None, None, None)
    assert "micrometres as metres" in parsed.warnings[0]


def test_claim(tmp_path, sound):
    assert CziReader().claim(sound).accepted
    renamed = tmp_path / "sound.dat"
    renamed.write_bytes(sound.read_bytes())
    assert CziReader().claim(renamed).accepted
    other = tmp_path / "other.tif"
    other.write_bytes(b"II*\0")
    assert not CziReader().claim(other).accepted
    assert not CziReader().claim(tmp_path / "missing.tif").accepted
