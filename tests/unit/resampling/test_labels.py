"""Labels on other grids: numbers are chosen, never mixed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.geometry import Grid, Plane
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.resampling import LabelSampler, resample, reslice
from napari_bridgecorr.transform import Affine


def labels(data: np.ndarray, grid: Grid) -> SpatialImage:
    source = Source(Path("x"), "sample", axes="zyx", role="labels")
    level = da.from_array(data[None, None], chunks=(1, 1, 5, 7, 9))
    return SpatialImage((level,), (grid,), (Channel("cells"),), source)


@pytest.fixture
def cells() -> SpatialImage:
    """Blocks of numbers with ragged borders, some of them large."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 5, (6, 8, 9)) * 10_001
    data = np.kron(coarse, np.ones((4, 4, 4), np.int64))
    noise = rng.random(data.shape) < 0.2
    data[noise] = 77
    return labels(data.astype(np.int32), Grid.from_spacing(data.shape, (2.0, 1.0, 1.0)))


def counted(values: np.ndarray) -> int:
    """The commonest value, of equals the smallest."""
    votes = Counter(values.ravel().tolist())
    return min(votes, key=lambda v: (-votes[v], v))


def test_the_majority_of_whole_voxels(cells: SpatialImage) -> None:
    grid = cells.grid.averaged((3, 4, 2))
    found = resample(cells, Affine.identity(), grid)
    assert found.dtype == np.int32
    assert found.is_labels
    assert found.metadata["interpolation"] == "majority"
    data = np.asarray(cells.data[0, 0])
    whole = np.asarray(found.data[0, 0])
    for z, y, x in np.ndindex(8, 8, 18):
        box = data[3 * z : 3 * z + 3, 4 * y : 4 * y + 4, 2 * x : 2 * x + 2]
        assert whole[z, y, x] == counted(box)


def test_parts_of_voxels_have_their_share_of_the_vote() -> None:
    # one coarse voxel over 2.5 fine ones: 1 fills 1.0, 2 fills 1.5
    data = np.zeros((1, 1, 5), np.uint8)
    data[0, 0] = [1, 2, 2, 3, 3]
    grid = Grid.from_spacing((1, 1, 2), (1, 1, 2.5), (0, 0, 0.75))
    found = resample(labels(data, Grid.from_spacing(data.shape, 1.0)), Affine.identity(), grid,
                     interpolation="majority")  # fmt: skip
    assert np.asarray(found.data).ravel().tolist() == [2, 3]


def test_the_nearest_voxel_at_equal_size(cells: SpatialImage) -> None:
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec([0.3, 0.2, 0.1]).as_matrix()
    turn[:3, 3] = (3.3, -2.1, 1.7)
    transform = Affine(turn)
    grid = Grid.from_spacing((20, 30, 40), 1.0, (2.0, 1.0, -3.0))
    found = resample(cells, transform, grid)
    assert found.metadata["interpolation"] == "nearest"
    assert found.dtype == np.int32
    points = grid.to_world(np.indices(grid.shape).reshape(3, -1).T)
    index = cells.grid.to_index(transform.map(points)).T
    inside = np.all((index > -0.5) & (index < np.array(cells.grid.shape)[:, None] - 0.5), axis=0)
    expected = map_coordinates(np.asarray(cells.data[0, 0]), index, order=0, mode="nearest")
    expected[~inside] = 0
    np.testing.assert_array_equal(np.asarray(found.data).ravel(), expected)
    assert inside.any()
    assert not inside.all()


def test_blocks_change_nothing_under_a_spline(cells: SpatialImage) -> None:
    rng = np.random.default_rng(1)
    fixed = rng.uniform(0, 40, (20, 3))
    pairs = LandmarkPairs(
        tuple(f"L{i}" for i in range(20)), fixed, fixed + rng.normal(0, 1.5, fixed.shape)
    )
    transform = fit(pairs, FitOptions("tps", smoothing=0.0)).transform
    grid = Grid.from_spacing((9, 8, 7), (5.0, 4.0, 5.0))
    sampler = LabelSampler(cells, transform, grid, "majority")
    whole = sampler.block(0, (0, 0, 0), grid.shape).values
    pieces = np.zeros_like(whole)
    for z in (0, 4):
        for x in (0, 3):
            stop = (min(z + 4 if z == 0 else 9, 9), 8, 3 if x == 0 else 7)
            pieces[:, z : stop[0], :, x : stop[2]] = sampler.block(0, (z, 0, x), stop).values
    np.testing.assert_array_equal(pieces, whole)
    assert set(np.unique(whole)) <= set(np.unique(cells.data.compute())) | {0}
    assert len(np.unique(whole)) > 3


def test_the_part_that_a_mask_fills(cells: SpatialImage) -> None:
    grid = cells.grid.averaged((4, 4, 4))
    found = resample(cells, Affine.identity(), grid, interpolation="fraction")
    data = np.asarray(cells.data[0, 0]) != 0
    expected = data.reshape(6, 4, 8, 4, 9, 4).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(np.asarray(found.data[0, 0]), expected, atol=1e-6)
    assert not found.is_labels
    # a mask that is an ordinary image needs no such word: its mean is the part that it fills
    mask = replace(cells, levels=((cells.data != 0).astype(np.uint8),),
                   source=replace(cells.source, role="image"))  # fmt: skip
    mean = resample(mask, Affine.identity(), grid)
    np.testing.assert_allclose(np.asarray(mean.data[0, 0]), expected, atol=1e-6)


def test_labels_that_are_stored_as_floats_take_part_when_told(cells: SpatialImage) -> None:
    floats = replace(cells, levels=(cells.data.astype(np.float32),),
                     source=replace(cells.source, role="image"))  # fmt: skip
    grid = cells.grid.averaged((3, 3, 3))
    found = resample(floats, Affine.identity(), grid, interpolation="majority")
    expected = resample(cells, Affine.identity(), grid)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(found.data), np.asarray(expected.data))


def test_labels_resliced_at_their_own_size_and_coarser(cells: SpatialImage) -> None:
    plane = Plane.from_normal((8, 8, 8), (1, 0, 0))
    same = reslice(cells, plane)
    assert same.metadata["interpolation"] == "nearest"
    assert same.dtype == cells.dtype
    coarse = reslice(cells, plane, spacing_um=6.0)
    assert coarse.metadata["interpolation"] == "majority"
    assert set(np.unique(np.asarray(coarse.data))) <= {0, *np.unique(np.asarray(cells.data))}


@pytest.mark.parametrize("interpolation", ["linear", "mean"])
def test_numbers_are_not_mixed(cells: SpatialImage, interpolation: str) -> None:
    with pytest.raises(GeometryError, match=r"cannot be mixed.*fraction"):
        resample(cells, Affine.identity(), cells.grid, interpolation=interpolation)


def test_numbers_that_would_lose_digits_are_refused() -> None:
    data = np.full((2, 2, 2), 2**53 + 1, np.int64)
    image = labels(data, Grid.from_spacing(data.shape, 1.0))
    found = resample(image, Affine.identity(), image.grid)
    with pytest.raises(GeometryError, match="number the objects anew"):
        found.data.compute()


def test_warped_labels_are_labels_in_a_file(cells: SpatialImage, tmp_path: Path) -> None:
    found = resample(cells, Affine.identity(), cells.grid.averaged((2, 2, 2)))
    for name in ("cells.ome.zarr", "cells.nii.gz", "cells.ome.tif"):
        write_image(found, tmp_path / name)
        back = open_image(str(tmp_path / name))
        assert back.dtype == np.int32
        np.testing.assert_array_equal(np.asarray(back.data), np.asarray(found.data))
