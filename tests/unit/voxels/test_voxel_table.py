"""The voxel table: its schema, and every column against what it must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import Cancelled, GeometryError, ReadError, WriteError
from napari_bridgecorr.fitting import FitOptions, error_model, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.table_file import read_table, table_metadata, write_table
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.transform import Affine
from napari_bridgecorr.voxels import TableOptions, VoxelTable, table
from napari_bridgecorr.workflow.tables import tabulate

SHAPE = (4, 6, 5)
POSITION = ["index", "iz", "iy", "ix", "z_um", "y_um", "x_um"]


def image(data: Any, grid: Grid, *names: str) -> SpatialImage:
    data = data.reshape((1,) * (5 - data.ndim) + data.shape)
    level = da.from_array(data, chunks=(1, 1, 3, 4, 4))
    channels = tuple(Channel(n) for n in names)
    return SpatialImage((level,), (grid,), channels, Source(Path("x"), "x"))


def oblique() -> Grid:
    matrix = np.eye(4)
    turn = Rotation.from_euler("xyz", (10, -20, 30), degrees=True).as_matrix()
    matrix[:3, :3] = turn @ np.diag([8.0, 4.0, 4.0])
    matrix[:3, 3] = (100, -50, 3000)
    return Grid(SHAPE, matrix)


def fixed(dtype: str = "u2", *names: str) -> SpatialImage:
    names = names or ("T2w",)
    data = np.random.default_rng(0).integers(0, 60_000, (len(names), *SHAPE)).astype(dtype)
    return image(data, oblique(), *names)


def moving(*names: str) -> SpatialImage:
    """Four times finer than the fixed image, on the same extent."""
    names = names or ("vessels", "tumour")
    grid = oblique().at_spacing((2.0, 1.0, 1.0))
    data = np.random.default_rng(1).integers(0, 4000, (len(names), *grid.shape)).astype(np.uint16)
    return image(data, grid, *names)


def all_rows(voxels: VoxelTable) -> dict[str, np.ndarray]:
    slabs = list(voxels.rows())
    return {name: np.concatenate([s[name] for s in slabs]) for name in slabs[0]}


def landmarks(grid: Grid, n: int = 14, noise: float = 1.0) -> LandmarkSet:
    rng = np.random.default_rng(3)
    points = grid.to_world(rng.uniform(0, np.asarray(grid.shape) - 1, (n, 3)))
    return LandmarkSet.from_pairs(points, points + rng.normal(scale=noise, size=(n, 3)))


def test_the_schema_is_the_designs() -> None:
    voxels = VoxelTable(fixed(), moving(), Affine.identity())
    columns = {c.name: c.dtype for c in voxels.columns()}
    assert list(columns) == [
        *POSITION,
        "T2w",
        "vessels",
        "vessels_coverage",
        "tumour",
        "tumour_coverage",
        "registration_error_um",
    ]
    assert columns["index"] == np.int64
    assert all(columns[f"i{a}"] == np.int32 for a in "zyx")
    assert all(columns[f"{a}_um"] == np.float64 for a in "zyx")
    assert columns["T2w"] == np.uint16
    assert columns["vessels"] == columns["vessels_coverage"] == np.float32
    assert columns["registration_error_um"] == np.float32
    rows = all_rows(voxels)
    assert list(rows) == list(columns)
    for name, dtype in columns.items():
        assert rows[name].dtype == dtype, name
        assert rows[name].shape == (np.prod(SHAPE),)
    assert all(c.description for c in voxels.columns())


def test_every_row_is_its_voxel() -> None:
    source, finer = fixed(), moving()
    rows = all_rows(VoxelTable(source, finer, Affine.identity()))
    index = np.arange(np.prod(SHAPE))
    np.testing.assert_array_equal(rows["index"], index)
    iz, iy, ix = np.unravel_index(index, SHAPE)
    for name, expected in (("iz", iz), ("iy", iy), ("ix", ix)):
        np.testing.assert_array_equal(rows[name], expected)
    world = oblique().index_to_world @ np.stack([iz, iy, ix, np.ones_like(iz)])
    found = np.stack([rows["z_um"], rows["y_um"], rows["x_um"]])
    np.testing.assert_allclose(found, world[:3], rtol=1e-14, atol=1e-10)
    np.testing.assert_array_equal(rows["T2w"], source.data.compute().ravel())
    blocks = finer.data.compute()[0].astype(float).reshape(2, 4, 4, 6, 4, 5, 4)
    for name, expected in zip(("vessels", "tumour"), blocks.mean(axis=(2, 4, 6)), strict=True):
        np.testing.assert_allclose(rows[name], expected.ravel(), rtol=1e-6)
        np.testing.assert_allclose(rows[f"{name}_coverage"], 1)
    assert np.all(np.isnan(rows["registration_error_um"]))


def test_coverage_where_the_moving_image_ends() -> None:
    shift = np.eye(4)
    shift[:3, 3] = oblique().index_to_world[:3, 0] * 2.5  # two and a half planes
    rows = all_rows(VoxelTable(fixed(), moving(), Affine(shift)))
    covered = rows["vessels_coverage"].reshape(SHAPE)
    np.testing.assert_allclose(covered[0], 1)
    np.testing.assert_allclose(covered[1], 0.5, atol=1e-6)
    assert np.all(covered[2:] == 0)
    assert np.all(np.isnan(rows["vessels"].reshape(SHAPE)[2:]))


@pytest.mark.parametrize(
    ("fixed_names", "moving_names", "expected"),
    [
        (("a",), ("b",), ["a", "b", "b_coverage"]),
        (("a",), ("a",), ["fixed_a", "moving_a", "moving_a_coverage"]),
        (("z_um",), ("b",), ["fixed_z_um", "moving_b", "moving_b_coverage"]),
        (("b_coverage",), ("b",), ["fixed_b_coverage", "moving_b", "moving_b_coverage"]),
        (("a", "a"), ("b",), ["a_1", "a_2", "b", "b_coverage"]),
        (("mask_m",), ("b",), ["fixed_mask_m", "moving_b", "moving_b_coverage"]),
    ],
)
def test_names_that_collide(
    fixed_names: tuple[str, ...], moving_names: tuple[str, ...], expected: list[str]
) -> None:
    source = fixed("u2", *fixed_names)
    mask = image(np.ones(SHAPE, np.uint8), oblique(), "m")
    voxels = VoxelTable(source, moving(*moving_names), Affine.identity(), masks={"m": mask})
    names = [c.name for c in voxels.columns()]
    assert names[7:-2] == expected


@pytest.mark.parametrize(
    ("fixed_names", "moving_names"),
    [
        (("a",), ("x", "x_coverage")),
        (("a", "a", "a_1"), ("b",)),
        (("index",), ("iz", "iz", "iz_coverage", "iz_1")),
        (("moving_a", "a"), ("a", "fixed_a")),
    ],
)
def test_no_two_columns_are_ever_alike(
    fixed_names: tuple[str, ...], moving_names: tuple[str, ...]
) -> None:
    source, finer = fixed("u2", *fixed_names), moving(*moving_names)
    voxels = VoxelTable(source, finer, Affine.identity())
    names = [c.name for c in voxels.columns()]
    assert len(set(names)) == len(names)
    rows, which = all_rows(voxels), voxels.channel_columns()
    for c, name in enumerate(which["fixed"]):
        np.testing.assert_array_equal(rows[name], source.data.compute()[0, c].ravel())
    for c, name in enumerate(which["moving"]):
        blocks = finer.data.compute()[0, c].astype(float).reshape(4, 4, 6, 4, 5, 4)
        np.testing.assert_allclose(rows[name], blocks.mean(axis=(1, 3, 5)).ravel(), rtol=1e-6)


def test_masks_are_fractions() -> None:
    rng = np.random.default_rng(0)
    same = (rng.random(SHAPE) > 0.5).astype(np.int16) * 7
    finer_grid = oblique().at_spacing((2.0, 1.0, 1.0))
    finer = rng.random(finer_grid.shape) > 0.7
    masks = {"same": image(same, oblique(), "m"), "finer": image(finer, finer_grid, "m")}
    rows = all_rows(VoxelTable(fixed(), moving(), Affine.identity(), masks=masks))
    np.testing.assert_array_equal(rows["mask_same"], (same > 0).ravel())
    expected = finer.reshape(4, 4, 6, 4, 5, 4).mean(axis=(1, 3, 5)).ravel()
    np.testing.assert_allclose(rows["mask_finer"], expected, atol=1e-6)


def test_rows_at_another_spacing_are_means_of_both_images() -> None:
    source, finer = fixed(), moving()
    options = TableOptions(spacing_um=(16.0, 8.0, 20.0), moving_channels=(1,))
    voxels = VoxelTable(source, finer, Affine.identity(), options=options)
    assert voxels.n_rows == 2 * 3 * 1
    rows = all_rows(voxels)
    assert "vessels" not in rows
    blocks = source.data.compute()[0, 0].astype(float).reshape(2, 2, 3, 2, 1, 5)
    np.testing.assert_allclose(rows["T2w"], blocks.mean(axis=(1, 3, 5)).ravel(), rtol=1e-6)
    blocks = finer.data.compute()[0, 1].astype(float).reshape(2, 8, 3, 8, 1, 20)
    np.testing.assert_allclose(rows["tumour"], blocks.mean(axis=(1, 3, 5)).ravel(), rtol=1e-6)


@pytest.mark.parametrize("rows_at_once", [1, 7, 13, 60])
def test_slabs_change_nothing(rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = landmarks(oblique()).pairs()
    fitted = fit(pairs, FitOptions("tps"))
    error = error_model(pairs, fitted.transform, "tps")
    mask = {"m": image(np.ones(SHAPE, np.uint8), oblique(), "m")}
    voxels = VoxelTable(fixed(), moving(), fitted.transform, error, mask)
    expected = all_rows(voxels)
    monkeypatch.setattr(table, "_MAX_ROWS", rows_at_once)
    assert len(voxels.slabs()) > 1
    found = all_rows(voxels)
    for name, values in expected.items():
        if name == "registration_error_um":  # a matrix product may round by its height
            np.testing.assert_allclose(found[name], values, rtol=1e-5)
        else:
            np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("model", ["rigid", "affine", "tps"])
def test_registration_error_is_the_models_at_the_centres(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = Grid.from_spacing((20, 32, 32), (25.0, 20.0, 20.0))
    source = image(np.zeros(grid.shape, np.uint8), grid, "c")
    pairs = landmarks(grid, 20, 15.0).pairs()
    fitted = fit(pairs, FitOptions(model))
    error = error_model(pairs, fitted.transform, model)
    voxels = VoxelTable(source, source, fitted.transform, error)
    points = grid.to_world(np.indices(grid.shape).reshape(3, -1).T)
    expected = error.predict(points)
    assert np.ptp(expected) > 1
    exact = all_rows(voxels)["registration_error_um"]
    np.testing.assert_allclose(exact, expected, rtol=1e-5)
    monkeypatch.setattr(table, "_MAX_ERROR_POINTS", 5000)
    between = all_rows(voxels)["registration_error_um"]
    inner = np.all(
        (np.indices(grid.shape) >= 1) & (np.indices(grid.shape).T < [9, 15, 15]).T, axis=0
    )
    relative = abs(between / expected - 1)[inner.ravel()]
    assert np.median(relative) < 0.02
    assert not np.array_equal(between, exact)


def test_time_points_and_channels_that_are_not_there() -> None:
    for options in (
        TableOptions(fixed_time=1),
        TableOptions(moving_time=-1),
        TableOptions(moving_channels=(2,)),
        TableOptions(moving_channels=(-1,)),
    ):
        with pytest.raises(GeometryError, match=r"no -?[12]"):
            VoxelTable(fixed(), moving(), Affine.identity(), options=options)


def written(folder: Path, name: str, source: SpatialImage | None = None) -> Path:
    path = folder / name
    options = TableOptions(moving_channels=(0,))
    mask = {"m": image(np.ones(SHAPE, np.uint8), oblique(), "m")}
    metadata = {"session": "abc"}
    tabulate(
        source or fixed(), moving(), Affine.identity(), path,
        masks=mask, options=options, metadata=metadata,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("dtype", ["u1", ">u2", ">i4", ">f4", ">f8", "?"])
def test_parquet_is_read_by_plain_pyarrow(tmp_path: Path, dtype: str) -> None:
    source = fixed(dtype)
    found = pq.read_table(written(tmp_path, "v.parquet", source))
    assert found.column_names == [
        *POSITION, "T2w", "vessels", "vessels_coverage", "mask_m", "registration_error_um",
    ]  # fmt: skip
    np.testing.assert_array_equal(found["T2w"].to_numpy(), source.data.compute().ravel())
    expected = all_rows(VoxelTable(source, moving(), Affine.identity()))
    for name in ("index", "ix", "z_um", "vessels"):
        np.testing.assert_array_equal(found[name].to_numpy(), expected[name])
    document = json.loads(found.schema.metadata[b"bridgecorr"])
    assert document["session"] == "abc"
    assert document["versions"]["numpy"] == np.__version__
    assert document["options"]["moving_channels"] == [0]
    assert document["options"]["masks"] == ["m"]
    assert document["sampling"]["samples_per_voxel_zyx"] == [8, 8, 8]
    assert document["sampling"]["checked_voxels"] > 0
    assert document["sampling"]["rms_difference_to_twice_as_many"]["vessels"] < 1e-3
    assert set(document["columns"]) == set(found.column_names)
    assert document["channel_columns"] == {"fixed": ["T2w"], "moving": ["vessels"]}
    assert Grid.from_dict(document["grid"]) == oblique()
    assert table_metadata(tmp_path / "v.parquet") == document


@pytest.mark.parametrize("name", ["v.csv", "v.csv.gz", "V.CSV"])
def test_csv_holds_the_same_numbers(tmp_path: Path, name: str) -> None:
    table_of = pq.read_table(written(tmp_path, "v.parquet"))
    path = written(tmp_path, name)
    found = pacsv.read_csv(path)
    assert found.column_names == table_of.column_names
    for column in found.column_names:
        a, b = found[column].to_numpy(), table_of[column].to_numpy()
        np.testing.assert_array_equal(a.astype(b.dtype), b)
    beside = json.loads((tmp_path / f"{name}.json").read_text())
    inside = table_metadata(tmp_path / "v.parquet")
    assert beside == inside


def test_read_table_takes_what_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, "v.parquet")
    columns, n = read_table(path, ["ix", "vessels"])
    assert (n, list(columns)) == (120, ["ix", "vessels"])
    with pytest.raises(ReadError, match="nothing"):
        read_table(path, ["nothing"])
    other = tmp_path / "bad.parquet"
    for content in (b"", b"PAR1", path.read_bytes()[:-20], b"x" * 500):
        other.write_bytes(content)
        for function in (read_table, table_metadata):
            with pytest.raises(ReadError) as caught:
                function(other)
            assert "\n" not in str(caught.value)


class Cancels:
    """Progress whose user cancels."""

    def __init__(self, at: str) -> None:
        self.at = at

    def begin(self, task: str, total: int) -> None:  # noqa: ARG002
        if self.at == "begin":
            raise Cancelled

    def advance(self, steps: int = 1) -> None:  # noqa: ARG002
        if self.at == "advance":
            raise Cancelled


@pytest.mark.parametrize("name", ["v.parquet", "v.csv", "v.csv.gz"])
@pytest.mark.parametrize("at", ["begin", "advance"])
def test_cancelling_leaves_no_file(tmp_path: Path, name: str, at: str) -> None:
    voxels = VoxelTable(fixed(), moving(), Affine.identity())
    with pytest.raises(Cancelled):
        write_table(voxels, tmp_path / name, {}, Cancels(at))
    assert list(tmp_path.iterdir()) == []


def test_names_and_places_that_cannot_be_written(tmp_path: Path) -> None:
    voxels = VoxelTable(fixed(), moving(), Affine.identity())
    (tmp_path / "folder.parquet").mkdir()
    for name, said in [
        ("v.txt", "Parquet or CSV"),
        ("none/v.csv", "folder does not exist"),
        ("folder.parquet", "a folder of this name"),
    ]:
        with pytest.raises(WriteError, match=said):
            write_table(voxels, tmp_path / name, {})
    assert [p.name for p in tmp_path.iterdir()] == ["folder.parquet"]
