"""Cubic B-splines against SciPy; every type of voxel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from resampling_samples import bent, image_of, rotation_about, smooth_noise
from scipy.ndimage import map_coordinates

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import SpatialImage
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.resampling import PullSampler, resample
from napari_bridgecorr.transform import Affine, Transform
from napari_bridgecorr.workflow.images import warp


def cubic(image: SpatialImage, transform: Transform, grid: Grid) -> NDArray[Any]:
    found = resample(image, transform, grid, interpolation="cubic", tolerance_voxels=0)
    return np.asarray(found.data[0].compute(scheduler="synchronous"))


def by_scipy(data: NDArray[Any], transform: Transform, grid: Grid) -> NDArray[np.float64]:
    """SciPy's cubic spline, mirrored at the edges as ours, NaN beyond the outermost centres."""
    index = transform.map(np.indices(grid.shape).reshape(3, -1).T.astype(float)).T
    found = map_coordinates(data.astype(np.float64), index, order=3, mode="mirror")
    upper = np.asarray(data.shape)[:, None] - 1.0
    found[np.any((index < 0) | (index > upper), axis=0)] = np.nan
    return np.asarray(found.reshape(grid.shape))


@pytest.mark.parametrize("shape", [(20, 70, 50), (2, 30, 3), (1, 40, 45)])
@pytest.mark.parametrize("bends", [False, True])
def test_as_scipy(shape: tuple[int, int, int], bends: bool) -> None:
    data = smooth_noise((max(shape[0], 2), *shape[1:]), 0.7)[: shape[0]]
    image = image_of(data)
    middle = (np.asarray(shape) - 1) / 2
    map_: Transform = rotation_about(middle, (1, 0, 0), 8)
    if bends and shape[0] > 2:
        map_ = bent(image.grid, 1.0)
    found, expected = cubic(image, map_, image.grid)[0], by_scipy(data, map_, image.grid)
    inner = np.isfinite(expected)
    assert inner.mean() > 0.4
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-8)


def test_at_the_centres_it_is_the_image() -> None:
    data = np.random.default_rng(0).normal(size=(9, 40, 33))
    found = cubic(image_of(data), Affine.identity(), Grid.from_spacing(data.shape, 1.0))
    np.testing.assert_allclose(found[0], data, atol=1e-12)


def test_blocks_change_nothing_but_the_last_digits() -> None:
    data = np.random.default_rng(0).normal(size=(40, 70, 80))
    image = image_of(data)
    sampler = PullSampler(image, bent(image.grid, 1.0), image.grid, "cubic")
    whole = sampler.block(0, (0, 0, 0), data.shape).values
    part = sampler.block(0, (11, 23, 17), (24, 40, 51)).values
    np.testing.assert_allclose(part, whole[:, 11:24, 23:40, 17:51], atol=1e-12)


def test_a_hole_spoils_its_own_cells_only() -> None:
    data = smooth_noise((12, 14, 16), 1.0)
    holed = data.copy()
    holed[5, 6, 7] = np.nan
    grid = Grid.from_spacing(data.shape, 1.0)
    half = Affine.from_parts(np.eye(3), [0.3, 0.3, 0.3])
    whole, found = cubic(image_of(data), half, grid)[0], cubic(image_of(holed), half, grid)[0]
    lost = np.isnan(found) & np.isfinite(whole)
    assert lost.sum() == 8
    assert lost[4:6, 5:7, 6:8].all()
    far = np.isfinite(found)
    far[1:10, 2:11, 3:12] = False
    np.testing.assert_allclose(found[far], whole[far], atol=2)
    empty = cubic(image_of(np.full((4, 4, 4), np.nan)), half, Grid.from_spacing((4, 4, 4), 1.0))
    assert np.isnan(empty).all()


@pytest.mark.parametrize("kind", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int32", "uint32", "float32", "float64"]
)
def test_channels_of_every_type(kind: str, dtype: str) -> None:
    rng = np.random.default_rng(3)
    data = rng.integers(0, 2 if dtype == "bool" else 100, (3, 6, 9, 11)).astype(dtype)
    if dtype in ("int32", "uint32"):
        data = data + np.asarray(2**24, dtype)  # a float32 has no odd numbers here
    image = image_of(data)
    shift = Affine.from_parts(np.eye(3), [0.0, 1.0, 2.0])
    found = resample(image, shift, image.grid, interpolation=kind).data[0].compute()
    assert found.dtype == (np.float64 if dtype in ("int32", "uint32", "float64") else np.float32)
    exact = 0.0 if kind != "cubic" else 1e-3 if found.dtype == np.float32 else 1e-6
    expected = data[:, :, 1:, 2:].astype(np.float64)
    assert np.abs(found[:, :, :-1, :-2] - expected).max() <= exact
    assert np.isnan(found[:, :, -1]).all()


def test_labels_stay_labels(tmp_path: Path) -> None:
    data = np.arange(3 * 8 * 9, dtype=np.int32).reshape(3, 8, 9) + 2**24
    plain = image_of(data)
    labels = replace(plain, source=replace(plain.source, role="labels"))
    shift = Affine.from_parts(np.eye(3), [0.0, 0.3, 1.4])
    out = tmp_path / "labels.nii.gz"
    warp(plain, labels, shift, out)
    found = open_image(str(out)).data[0, 0].compute()
    assert np.issubdtype(found.dtype, np.integer)
    np.testing.assert_array_equal(found[:, :, :-1], data[:, :, 1:])
    assert not found[:, :, -1].any()
    with pytest.raises(GeometryError, match="labels, which have no cubic"):
        warp(plain, labels, shift, out, interpolation="cubic")


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_odd_tolerances_are_refused(tolerance: float, tmp_path: Path) -> None:
    image = image_of(np.zeros((2, 3, 4)))
    with pytest.raises(GeometryError, match="0 or more voxels"):
        warp(image, image, Affine.identity(), tmp_path / "a.nii", tolerance_voxels=tolerance)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_voxels_are_refused(dtype: str) -> None:
    image = image_of(np.ones((3, 4, 5), dtype))
    with pytest.raises(GeometryError, match="magnitude or the phase"):
        resample(image, Affine.identity(), image.grid)
