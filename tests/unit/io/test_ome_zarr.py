"""OME-Zarr against zarr read directly, ome-zarr-models, and images that we wrote."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr
from ome_zarr_models import open_ome_zarr
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import Cancelled, ReadError, WriteError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.ome_zarr import OmeZarrReader, write_ome_zarr
from napari_bridgecorr.io.ome_zarr import layout as ome_zarr_layout
from napari_bridgecorr.io.pyramid import mean_downsample

CARDIO = "20200812-CardiomyocyteDifferentiation14-Cycle1_B_03_mip.zarr"


def read(path: Path):
    return OmeZarrReader().read(path)


def refusal(path: Path) -> str:
    with pytest.raises(ReadError) as caught:
        [image.data.compute(scheduler="sync") for image in read(path)]
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


def an_image(data, matrix=None, axes="tczyx", **more):
    five = data.reshape((1,) * (5 - data.ndim) + data.shape)
    matrix = np.diag([3, 0.5, 0.25, 1.0]) if matrix is None else matrix
    return SpatialImage(
        levels=(da.from_array(five, chunks=(1, 1, 7, 50, 90)),),
        grids=(Grid(five.shape[2:], matrix),),
        channels=tuple(Channel(f"channel {c}") for c in range(five.shape[1])),
        source=Source(Path("made up"), "test", axes=axes),
        **more,
    )


def oblique():
    matrix = np.eye(4)
    turn = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    matrix[:3, :3] = turn @ np.diag([5.0, 0.7, 0.7])
    matrix[:3, 3] = [11.5, -2000.25, 1 / 3]
    return matrix


# ---- real files -----------------------------------------------------------------------------


def test_levels_without_pixels_are_left_out(real_data):
    path = real_data / "ome_zarr" / CARDIO
    image, labels = read(path)
    assert "level 0 holds no data" in image.warnings[0]
    assert image.data.shape == (1, 3, 1, 1080, 1280)
    for level, name in zip(image.levels, "123", strict=True):
        stored = zarr.open_array(str(path / name), mode="r")[:]
        assert np.array_equal(level.compute(scheduler="sync")[0], stored)
    # means of 2 x 2 pixels of 0.325 um: the file states no translation, its pixels do
    wanted = [[1, 0, 0, 0], [0, 0.65, 0, 0.1625], [0, 0, 0.65, 0.1625], [0, 0, 0, 1]]
    assert np.allclose(image.grid.index_to_world, wanted, atol=1e-12)
    assert [c.name for c in image.channels] == ["DAPI", "nanog", "Lamin B1"]
    assert image.channels[0].colour == "#00FFFF"
    assert image.channels[0].display_range == (0, 700)
    assert labels.source.role == "labels"
    assert labels.metadata["is_label"] is True
    assert labels.metadata["source_image"] == "../../"
    assert labels.name == "nuclei"
    assert labels.source.image_index == 1
    assert labels.data.shape == (1, 1, 1, 2160, 2560)
    assert np.allclose(labels.grid.corners()[0], image.grid.corners()[0], atol=1e-9)


def test_units_and_stated_translations_are_obeyed(real_data):
    (image,) = read(real_data / "ome_zarr" / "simple_0.5")
    assert image.source.axes == "yx"
    assert image.grid.voxel_size_um == pytest.approx((1, 0.004, 0.030), rel=1e-12)
    for grid in image.grids:
        assert np.allclose(grid.corners()[0], image.grid.corners()[0], atol=1e-12)
    assert np.array_equal(image.data[0, 0, 0].compute(), np.arange(100).reshape(10, 10))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("simple/affine.zarr", [[4, 0, 0, 32], [0, 3, 0, 21], [0, 0, 2, 10]]),
        ("basic/sequenceScaleTranslation.zarr", [[4, 0, 0, 32], [0, 3, 0, 21], [0, 0, 2, 10]]),
        (
            "simple/anisotropic_rotation.zarr",
            [[-1.4142, -0.35355, 0, 0], [1.4142, -0.35355, 0, 0], [0, 0, 0.25, 0]],
        ),
    ],
)
def test_transforms_of_version_0_6(real_data, name, wanted):
    path = real_data / "ome_zarr" / "all_0.6" / name
    (image,) = read(path)
    assert np.allclose(image.grid.index_to_world[:3], wanted, atol=1e-12)
    stored = zarr.open_array(str(path / "array"), mode="r")[:]
    assert stored.any()
    assert np.array_equal(image.data[0, 0].compute(scheduler="sync"), stored)


# ---- round trips ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axes", "dtype"),
    [
        ((2, 3, 20, 300, 280), "tczyx", np.uint16),
        ((70, 90, 300), "zyx", np.float32),
        ((2, 1, 300, 310), "czyx", np.uint8),
        ((600, 500), "yx", np.int16),
        ((3, 1, 40, 50), "cyx", np.float64),
    ],
)
@pytest.mark.parametrize("matrix", [None, oblique()], ids=["upright", "oblique"])
def test_round_trip(tmp_path, shape, axes, dtype, matrix):
    data = (np.random.default_rng(1).random(shape) * 250).astype(dtype)
    if dtype == np.float32:
        data[0, :5] = np.nan
    image = an_image(data, matrix, axes)
    path = tmp_path / "brain.ome.zarr"
    write_ome_zarr(image, path)
    (back,) = read(path)
    assert back.dtype == dtype
    assert np.array_equal(
        back.data.compute(scheduler="sync"), image.data.compute(), equal_nan=dtype == np.float32
    )
    assert np.abs(back.grid.index_to_world - image.grid.index_to_world).max() < 1e-9
    assert back.source.axes == axes
    assert [c.name for c in back.channels] == [c.name for c in image.channels]
    assert back.warnings == ()
    # all levels describe the same box, but for last incomplete voxels
    for grid in back.grids:
        assert np.allclose(grid.corners()[0], image.grid.corners()[0], atol=1e-6)
    # each level is the mean of the one before
    for fine, coarse in zip(back.levels[:-1], back.levels[1:], strict=True):
        factors = [-(-a // b) for a, b in zip(fine.shape[2:], coarse.shape[2:], strict=True)]
        wanted = mean_downsample(fine.compute(scheduler="sync"), factors)
        assert np.array_equal(coarse.compute(scheduler="sync"), wanted, equal_nan=True)
    group = zarr.open_group(str(path), mode="r")
    assert type(open_ome_zarr(group)).__module__ == "ome_zarr_models.v05.image"
    assert list(tmp_path.iterdir()) == [path]


def test_a_blob_is_at_one_place_at_every_level(tmp_path):
    z, y, x = np.mgrid[:24, :300, :520]
    at = (12.2, 150.4, 260.7)
    blob = np.exp(
        -sum((a - c) ** 2 / (2 * s**2) for a, c, s in zip((z, y, x), at, (2, 20, 20), strict=True))
    )
    image = an_image(blob.astype(np.float32), oblique(), "zyx")
    write_ome_zarr(image, tmp_path / "blob.ome.zarr")
    (back,) = read(tmp_path / "blob.ome.zarr")
    assert len(back.levels) == 3
    for level, grid in zip(back.levels, back.grids, strict=True):
        centre = ndimage.center_of_mass(level[0, 0].compute(scheduler="sync").astype(float))
        assert np.allclose(grid.to_world([centre]), image.grid.to_world([at]), atol=1e-3)


def test_what_the_image_knows_comes_back(tmp_path):
    image = replace(
        an_image(np.ones((3, 1, 4, 40, 50), np.uint8)),
        channels=(Channel("DAPI", "#0000FF", (2.0, 100.5)),),
        time_step_s=2.5,
        voxel_size_known=(False, True, True),
        metadata={"is_label": True},
    )
    write_ome_zarr(image, tmp_path / "a.zarr")
    (back,) = read(tmp_path / "a.zarr")
    assert back.channels == image.channels
    assert back.time_step_s == 2.5
    assert back.voxel_size_known == (False, True, True)
    assert [w.startswith("no voxel size along z in") for w in back.warnings] == [True]
    assert back.metadata["is_label"] is True


def test_blocks_and_shards_never_change_what_is_written(tmp_path, monkeypatch):
    image = an_image(np.random.default_rng(0).integers(0, 999, (9, 400, 700)).astype(np.uint16))
    write_ome_zarr(image, tmp_path / "plain.zarr")
    monkeypatch.setattr(ome_zarr_layout, "BLOCK_BYTES", 2**20)
    monkeypatch.setattr(ome_zarr_layout, "VOLUME_CHUNK", (4, 64, 64))
    monkeypatch.setattr(ome_zarr_layout, "MOST_FILES", 20)
    write_ome_zarr(image, tmp_path / "sharded.zarr")
    plain, sharded = (read(tmp_path / n)[0] for n in ("plain.zarr", "sharded.zarr"))
    for a, b in zip(plain.levels, sharded.levels, strict=True):
        assert np.array_equal(a.compute(scheduler="sync"), b.compute(scheduler="sync"))
    stored = zarr.open_array(str(tmp_path / "sharded.zarr" / "0"), mode="r")
    assert stored.shards is not None
    n_files = sum(1 for p in (tmp_path / "sharded.zarr" / "0").rglob("*") if p.is_file())
    assert n_files < 40


def test_no_more_than_a_block_is_computed_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(ome_zarr_layout, "BLOCK_BYTES", 2**22)
    largest = 0

    def block(block_info=None):
        shape = block_info[None]["chunk-shape"]
        return np.ones(shape, np.uint8)

    lazy = da.map_blocks(
        block, chunks=((1,), (1,), (16,) * 8, (128,) * 4, (128,) * 4), dtype=np.uint8
    )
    compute = type(lazy).compute

    def watched(self, **options):
        nonlocal largest
        largest = max(largest, self.nbytes)
        return compute(self, **options)

    monkeypatch.setattr(type(lazy), "compute", watched)
    grid = Grid(lazy.shape[2:], np.eye(4))
    source = Source(Path("made up"), "test", axes="zyx")
    write_ome_zarr(SpatialImage((lazy,), (grid,), (Channel("a"),), source), tmp_path / "large.zarr")
    assert 0 < largest <= 2**22
    (back,) = read(tmp_path / "large.zarr")
    assert (back.levels[-1].compute() == 1).all()


def test_cancelling_leaves_nothing_and_keeps_what_was_there(tmp_path, monkeypatch):
    monkeypatch.setattr(ome_zarr_layout, "BLOCK_BYTES", 2**16)

    class Impatient:
        seen = 0

        def begin(self, _task, total):
            self.total = total

        def advance(self, steps=1):
            self.seen += steps
            if self.seen == self.total - 1 > 0:
                raise Cancelled

    path = tmp_path / "a.zarr"
    image = an_image(np.ones((3, 600, 600), np.uint8))
    write_ome_zarr(image, path)
    with pytest.raises(Cancelled):
        write_ome_zarr(an_image(np.zeros((3, 600, 600), np.uint8)), path, Impatient())
    assert list(tmp_path.iterdir()) == [path]
    assert (read(path)[0].data.compute(scheduler="sync") == 1).all()


def test_complex_voxels_are_refused(tmp_path):
    with pytest.raises(WriteError, match="complex"):
        write_ome_zarr(an_image(np.zeros((4, 5), np.complex64)), tmp_path / "a.zarr")


def test_a_changed_scale_outweighs_the_stored_affine(tmp_path):
    path = tmp_path / "a.zarr"
    write_ome_zarr(an_image(np.zeros((4, 50, 60), np.uint8), oblique()), path)
    mend(path, lambda ome: scale_of(ome).update(scale=[1, 1, 4.0, 2.0, 2.0]))
    (back,) = read(path)
    assert back.grid.voxel_size_um == pytest.approx((4, 2, 2))
    assert "rotation is dropped" in back.warnings[0]


# ---- other writers' habits ------------------------------------------------------------------


def mend(path, change):
    """Change the OME metadata of a written group in place."""
    document = json.loads((path / "zarr.json").read_text())
    change(document["attributes"]["ome"])
    (path / "zarr.json").write_text(json.dumps(document))


def scale_of(ome, level=0):
    return ome["multiscales"][0]["datasets"][level]["coordinateTransformations"][0]


def old_group(folder, version, arrays, **multiscale):
    """A Zarr format 2 group, as 0.1 to 0.4 have it."""
    folder.mkdir(parents=True)
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    datasets = multiscale.pop("datasets", [{"path": str(i)} for i in range(len(arrays))])
    entry = {"version": version, "datasets": datasets, **multiscale}
    (folder / ".zattrs").write_text(json.dumps({"multiscales": [entry]}))
    for i, data in enumerate(arrays):
        stored = zarr.create_array(
            str(folder / str(i)), shape=data.shape, dtype=data.dtype, chunks=data.shape,
            zarr_format=2, fill_value=0,
        )  # fmt: skip
        stored[...] = data


def test_versions_without_scale_ask_for_it(tmp_path):
    data = np.arange(2 * 3 * 4 * 40 * 60, dtype=">u2").reshape(2, 3, 4, 40, 60)
    old_group(tmp_path / "a.zarr", "0.1", [data, data[..., ::2, ::2]])
    (image,) = read(tmp_path / "a.zarr")
    assert image.dtype == np.dtype("=u2")
    assert np.array_equal(image.data.compute(scheduler="sync"), data)
    assert image.voxel_size_known == (False, False, False)
    assert "no voxel size along z, y, x" in image.warnings[0]
    assert image.grids[1].voxel_size_um == (1, 2, 2)


def test_decimated_levels_lie_on_the_first_pixels(tmp_path):
    fine = ndimage.gaussian_filter(np.random.default_rng(3).random((200, 200)) * 1e6, 2.5)
    scales = [
        {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": [f, f]}]}
        for k, f in enumerate((0.5, 1.0))
    ]
    axes = [{"name": a, "type": "space", "unit": "millimeter"} for a in "yx"]
    means = fine.reshape(100, 2, 100, 2).mean((1, 3))
    for name, coarse, shift in (("means", means, 250.0), ("decimated", fine[::2, ::2], 0.0)):
        folder = tmp_path / f"{name}.zarr"
        old_group(folder, "0.4", [fine, coarse], axes=axes, datasets=scales)
        (image,) = read(folder)
        assert image.grid.voxel_size_um == (1, 500, 500)
        assert image.grids[1].index_to_world[1:3, 3].tolist() == [shift, shift]


def test_axes_in_any_order_and_without_units(tmp_path):
    data = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
    axes = [{"name": n} for n in ("x", "z", "y")]
    scale = {"coordinateTransformations": [{"type": "scale", "scale": [1, 2, 3]}], "path": "0"}
    old_group(tmp_path / "a.zarr", "0.4", [data], axes=axes, datasets=[scale])
    (image,) = read(tmp_path / "a.zarr")
    assert np.array_equal(image.data[0, 0].compute(), data.transpose(1, 2, 0))
    assert np.array_equal(image.data[0, 0, 3, 2:5, [3, 0]].compute(), data[[3, 0], 3, 2:5].T)
    assert image.grid.voxel_size_um == (2, 3, 1)
    assert "no unit along z, y, x" in image.warnings[0]


def test_series_wells_and_plates(tmp_path):
    root = tmp_path / "slide.zarr"
    root.mkdir()
    data = np.ones((1, 1, 1, 4, 5), np.uint8)
    for i in (10, 2):
        old_group(root / str(i), "0.4", [data * i])
    (root / ".zattrs").write_text('{"bioformats2raw.layout": 3}')
    assert [int(i.data.max()) for i in read(root)] == [2, 10]
    assert [i.source.image_index for i in read(root)] == [0, 1]
    (root / ".zattrs").write_text('{"well": {"images": [{"path": "10"}, {"path": "7"}]}}')
    (image,) = read(root)
    assert "image '7' is left out" in image.warnings[-1]
    (root / ".zattrs").write_text('{"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}}')
    assert "image 'A/1' is left out" in refusal(root)


def test_a_folder_linked_into_itself_has_an_end(tmp_path):
    root = tmp_path / "loop.zarr"
    root.mkdir()
    (root / ".zattrs").write_text('{"bioformats2raw.layout": 3}')
    (root / "0").symlink_to(root, target_is_directory=True)
    assert "nested without end" in refusal(root)


def test_an_image_of_nothing_is_refused(tmp_path):
    path = tmp_path / "a.zarr"
    write_ome_zarr(an_image(np.ones((300, 400), np.uint8)), path)
    for chunks in list(path.glob("*/c")):
        shutil.rmtree(chunks)
    assert "it holds no pixels (none of its 1 chunks is there)" in refusal(path)


def test_missing_chunks_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(ome_zarr_layout, "PLANE_CHUNK", (1, 64, 64))
    path = tmp_path / "a.zarr"
    write_ome_zarr(an_image(np.full((200, 250), 7, np.uint8), axes="yx"), path)
    assert read(path)[0].warnings == ()
    for key in ("0/0", "3/3", "1/2"):
        (path / "0" / "c" / key).unlink()
    # what is no chunk does not stand in for one
    (path / "0" / "c" / "9").mkdir()
    (path / "0" / "c" / "9" / "9").write_bytes(b"x")
    (path / "0" / "notes").write_bytes(b"x")
    (image,) = read(path)
    (warning,) = image.warnings
    assert warning.startswith("level 0: 3 of 16 chunks are not in the file and are shown as 0")
    found = image.data[0, 0, 0].compute(scheduler="sync")
    assert not found[:64, :64].any()
    assert (found[:64, 64:] == 7).all()


def test_one_plane_reads_one_plane(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    write_ome_zarr(an_image(np.ones((2, 8, 300, 400), np.uint8), axes="czyx"), path)
    (image,) = read(path)
    asked = []
    get = zarr.Array.__getitem__
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda s, k: (asked.append(k), get(s, k))[1])
    image.data[0, 1, 3, :100, :100].compute(scheduler="sync")
    assert asked == [(slice(1, 2), slice(3, 4), slice(0, 100), slice(0, 100))]


# ---- damage ---------------------------------------------------------------------------------


def _set(key, value):
    return lambda ome: ome["multiscales"][0].__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda ome: ome.clear(), "no OME-Zarr metadata"),
        (lambda ome: ome.update(multiscales=[]), "empty"),
        (lambda ome: ome.update(multiscales=[7]), "no JSON object"),
        (_set("datasets", []), "no arrays"),
        (_set("datasets", [{"path": "../b.zarr/0"}]), "leads out of the image"),
        (_set("datasets", [{"path": "/etc"}]), "leads out of the image"),
        (_set("datasets", [{"path": "C:\\secret"}]), "leads out of the image"),
        (_set("datasets", [{"path": 3}]), "no path"),
        (_set("datasets", [{"path": "9"}]), "no array '9'"),
        (_set("axes", []), "no axes"),
        (_set("axes", [{"name": "q"}, {"name": "y"}, {"name": "x"}]), "axis 'q'"),
        (_set("axes", [{"name": "y"}, {"name": "y"}, {"name": "x"}]), "axis 'y'"),
        (_set("axes", [{"name": "t"}, {"name": "c"}, {"name": "x"}]), "no axes y and x"),
        (_set("axes", [{"name": "y"}, {"name": "x"}]), "numbers"),
        (_set("axes", [{"name": a, "unit": "cubit"} for a in "zyx"]), "cubit"),
        (lambda ome: scale_of(ome).update(scale=[1, 0, 1]), "zero"),
        (lambda ome: scale_of(ome).update(scale=[1, float("nan"), 1]), "not finite"),
        (lambda ome: scale_of(ome).update(scale=[1, 1]), "2 numbers, 3 are needed"),
        (lambda ome: scale_of(ome).update(scale=["a", 1, 1]), "not made of numbers"),
        (lambda ome: scale_of(ome).update(type="spiral"), "'spiral' is not supported"),
        (lambda ome: scale_of(ome).update(type="affine", affine=[[0] * 4] * 3), "absurd"),
    ],
)
def test_bad_metadata_is_one_line(tmp_path, change, reason):
    path = tmp_path / "a.zarr"
    write_ome_zarr(an_image(np.zeros((4, 5, 6), np.uint8), axes="zyx"), path)
    document = json.loads((path / "zarr.json").read_text())
    del document["attributes"]["bridgecorr"]
    (path / "zarr.json").write_text(json.dumps(document))
    mend(path, change)
    assert reason in refusal(path)


def test_broken_files_are_one_line(tmp_path):
    path = tmp_path / "a.zarr"
    write_ome_zarr(an_image(np.ones((4, 5, 6), np.uint8), axes="zyx"), path)
    array = (path / "0" / "zarr.json").read_text()
    for change, reason in (
        (lambda d: d.update(shape=[4, 5]), "broken"),
        (lambda d: d.update(shape=[4, 0, 6]), "absurd shape"),
        (lambda d: d.update(shape=[4, 2**40, 6]), "absurd shape"),
        (lambda d: d.update(data_type="complex64", fill_value=[0, 0]), "no intensities"),
        (lambda d: d.update(data_type="unheard-of"), "broken"),
        (lambda d: d.pop("codecs"), "broken"),
        (lambda d: d.update(fill_value=-1), "broken"),
        (lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[2**20] * 3), "chunks"),
    ):
        document = json.loads(array)
        change(document)
        (path / "0" / "zarr.json").write_text(json.dumps(document))
        assert reason in refusal(path)
    (path / "0" / "zarr.json").write_text(array)
    (chunk,) = (p for p in (path / "0" / "c").rglob("*") if p.is_file())
    chunk.write_bytes(b"\x07" * 40)
    assert "a chunk cannot be read" in refusal(path)
    for text in ("{", "[1]", "{}" * 2, "[" * 100_000, "\0"):
        (path / "zarr.json").write_text(text)
        refusal(path)
    (path / "zarr.json").unlink()
    assert "no Zarr group" in refusal(path)
    refusal(path / "0")
    assert "no such folder" in refusal(tmp_path / "missing.zarr")
    (tmp_path / "file.zarr").write_bytes(b"PK")
    assert "not an OME-Zarr folder" in refusal(tmp_path / "file.zarr")


def test_claim(tmp_path):
    reader = OmeZarrReader()
    write_ome_zarr(an_image(np.zeros((4, 5), np.uint8)), tmp_path / "a.zarr")
    shutil.move(tmp_path / "a.zarr", tmp_path / "unnamed")
    assert reader.claim(tmp_path / "unnamed").accepted
    assert reader.claim(tmp_path / "anything.zarr").accepted
    assert not reader.claim(tmp_path).accepted
    assert not reader.claim(tmp_path / "a.tif").accepted
