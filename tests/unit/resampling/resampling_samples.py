"""Images, grids and maps for the tests of resampling, and references that share no code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.transform import Affine, Transform

FloatArray = NDArray[np.float64]


def image_of(
    data: Any,
    grid: Grid | None = None,
    chunks: Any = None,
    names: Sequence[str] | None = None,
) -> SpatialImage:
    """An image of 3-D (z, y, x), 4-D (c, ...) or 5-D data; unit voxels by default."""
    if isinstance(data, np.ndarray):
        data = data.reshape((1,) * (5 - data.ndim) + data.shape)
        data = da.from_array(data, chunks=chunks or (1, 1, 5, 7, 6))
    grid = grid or Grid.from_spacing(data.shape[2:], 1.0)
    names = names or [f"C{i}" for i in range(data.shape[1])]
    return SpatialImage(
        (data,), (grid,), tuple(Channel(n) for n in names), Source(Path("sample"), "sample")
    )


def smooth_noise(shape: Sequence[int], sigma: float = 1.0, seed: int = 0) -> FloatArray:
    """Noise between 0 and 1000, smooth on the scale of `sigma` voxels."""
    values = gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma, mode="wrap")
    return np.asarray(1000 * (values - values.min()) / np.ptp(values))


def oblique_grid(
    shape: Sequence[int], spacing: Sequence[float], angles: Sequence[float], centre: Sequence[float]
) -> Grid:
    """A grid whose axes are turned about its centre by Euler angles in degrees."""
    matrix = np.eye(4)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:3, :3] = turn @ np.diag(spacing)
    matrix[:3, 3] = centre - matrix[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid((shape[0], shape[1], shape[2]), matrix)


def rotation_about(point: Sequence[float], axis: Sequence[float], degrees: float) -> Affine:
    """The rotation of the world about an axis (z, y, x) through a point."""
    unit = np.asarray(axis) / np.linalg.norm(axis)
    linear = Rotation.from_rotvec(np.deg2rad(degrees) * unit).as_matrix()
    return Affine.from_parts(linear, np.asarray(point) - linear @ np.asarray(point))


def bent(grid: Grid, strength_um: float, n: int = 14, seed: int = 1) -> Transform:
    """An interpolating spline that bends the extent of `grid`."""
    fixed, moving = bent_pairs(grid, strength_um, n, seed)
    return fit(LandmarkSet.from_pairs(fixed, moving).pairs(), FitOptions("tps", 0.0)).transform


def bent_pairs(
    grid: Grid, strength_um: float, n: int = 14, seed: int = 1
) -> tuple[FloatArray, FloatArray]:
    """The landmarks of :func:`bent`."""
    rng = np.random.default_rng(seed)
    fixed = grid.to_world(rng.uniform(0, np.asarray(grid.shape) - 1, (n, 3)))
    return fixed, fixed + rng.normal(scale=strength_um, size=(n, 3))


def centres(grid: Grid) -> FloatArray:
    """(n, 3) world positions of all voxel centres, by a plain matrix product."""
    index = np.indices(grid.shape).reshape(3, -1)
    homogeneous = np.vstack([index, np.ones(index.shape[1])])
    return np.asarray((grid.index_to_world @ homogeneous)[:3].T)


def moving_index(points_um: FloatArray, moving: Grid) -> FloatArray:
    """(3, n) fractional indices of world points."""
    homogeneous = np.vstack([points_um.T, np.ones(len(points_um))])
    return np.asarray((np.linalg.inv(moving.index_to_world) @ homogeneous)[:3])


def scipy_at(data: NDArray[Any], index: FloatArray, order: int = 1) -> FloatArray:
    """SciPy's interpolation at (3, n) indices, NaN beyond half a voxel from the last centres."""
    found = map_coordinates(data.astype(np.float64), index, order=order, mode="nearest")
    upper = np.asarray(data.shape)[:, None] - 0.5
    found[np.any((index < -0.5) | (index > upper), axis=0)] = np.nan
    return np.asarray(found)


def on_a_face(index: FloatArray, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Whether rounding may decide if a sample lies within the image's extent."""
    upper = np.asarray(shape)[:, None] - 0.5
    return np.asarray(np.any((abs(index + 0.5) < 1e-7) | (abs(index - upper) < 1e-7), axis=0))


def sitk_resampled(moving: NDArray[Any], moving_grid: Grid, map_: Affine, fixed: Grid) -> Any:
    """SimpleITK's linear resampling; all lengths are um in both worlds, axes listed x, y, z."""
    source = _sitk_placed(sitk.GetImageFromArray(moving.astype(np.float64)), moving_grid)
    target = _sitk_placed(sitk.Image(*(int(n) for n in fixed.shape[::-1]), sitk.sitkUInt8), fixed)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(map_.matrix[:3, :3][::-1, ::-1].ravel().tolist())
    affine.SetTranslation(map_.matrix[:3, 3][::-1].tolist())
    found = sitk.Resample(source, target, affine, sitk.sitkLinear, float("nan"), sitk.sitkFloat64)
    return sitk.GetArrayFromImage(found)


def _sitk_placed(image: sitk.Image, grid: Grid) -> sitk.Image:
    spacing = np.asarray(grid.voxel_size_um)
    direction = grid.index_to_world[:3, :3] / spacing
    image.SetSpacing(spacing[::-1].tolist())
    image.SetOrigin(grid.index_to_world[:3, 3][::-1].tolist())
    image.SetDirection(direction[::-1, ::-1].ravel().tolist())
    return image
