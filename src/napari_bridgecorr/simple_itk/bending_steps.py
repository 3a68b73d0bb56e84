"""Steps that bend, B-splines and displacement fields: how they begin, and what they came to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..geometry import Grid
from .images import EngineSpace
from .library import library

# a field is read linearly between its vectors: so many to a control point's distance make that
# error 0.5 % of the bend between them
_VECTORS_PER_MESH = 6
# voxels squared, at each iteration
_FIELD_VARIANCE = 0.1
# a voxel keeps at least this share of its volume; Gaussians (voxels) that are tried to reach it
_LEAST_VOLUME = 0.2
_UNFOLDING = (0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def spline_step(fixed: Any, mesh_um: float, space: EngineSpace) -> Any:
    """A cubic B-spline over SimpleITK's `fixed` image that moves nothing."""
    mesh = [
        max(1, int(np.ceil(n * s * space.radius_um / mesh_um)))
        for n, s in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)
    ]
    return library().BSplineTransformInitializer(fixed, mesh, 3)


def displacement_step(fixed: Any, sigma_voxels: float) -> Any:
    """A field with a vector per voxel of `fixed` that moves nothing.

    Its updates are smoothed. The field itself is smoothed a little: without that what updates leave
    behind piles up until the images agree less; with more it stops short of where they agree.
    """
    itk = library()
    still = itk.Image(fixed.GetSize(), itk.sitkVectorFloat64, fixed.GetDimension())
    still.CopyInformation(fixed)
    step = itk.DisplacementFieldTransform(still)
    step.SetSmoothingGaussianOnUpdate(sigma_voxels**2, _FIELD_VARIANCE)
    return step


def field_of(
    step: Any, grid: Grid, distance_um: float, space: EngineSpace
) -> tuple[Grid, NDArray[np.float32]]:
    """Displacements in um, (3, z, y, x) along z, y, x, of a step over an image.

    Parameters
    ----------
    step : SimpleITK.Transform
    grid : Grid
        Of the fixed image.
    distance_um : float
        Of a B-spline's control points; 0 of a displacement field, whose vectors are all kept.
    space : EngineSpace
    """
    itk = library()
    voxel = np.asarray(grid.voxel_size_um)
    spacing = np.minimum(distance_um / _VECTORS_PER_MESH, np.asarray(grid.shape) * voxel)
    spacing = np.maximum(spacing, voxel)
    if space.dimensions == 2:
        spacing[0] = voxel[0]
    coarse = grid.at_spacing(spacing)
    like = space.image(np.zeros(coarse.shape, np.uint8), coarse)
    field = itk.TransformToDisplacementField(
        step,
        itk.sitkVectorFloat64,
        like.GetSize(),
        like.GetOrigin(),
        like.GetSpacing(),
        like.GetDirection(),
    )
    vectors = itk.GetArrayFromImage(field)[..., ::-1] * space.radius_um
    n = space.dimensions
    whole = np.zeros((3, *coarse.shape), dtype=np.float32)
    whole[3 - n :] = np.moveaxis(vectors.reshape(*coarse.shape, n), -1, 0)
    return coarse, unfolded(coarse, whole) if distance_um == 0 else whole


def unfolded(grid: Grid, displacement_um: NDArray[np.float32]) -> NDArray[np.float32]:
    """The field, smoothed as little as it takes that it folds nowhere.

    Parameters
    ----------
    grid : Grid
    displacement_um : (3, z, y, x) float32
    """
    free = np.asarray(grid.shape) > 1
    smooth = displacement_um
    for sigma in _UNFOLDING:
        blur = (0.0, *np.where(free, sigma, 0.0))
        smooth = gaussian_filter(displacement_um, blur, mode="nearest") if sigma else smooth
        if _least_volume(grid, smooth) > _LEAST_VOLUME:
            break
    return smooth


def _least_volume(grid: Grid, displacement_um: NDArray[np.float32]) -> float:
    """The smallest Jacobian determinant between neighbouring voxels."""
    by_index = np.einsum("ij,jzyx->izyx", grid.world_to_index[:3, :3], displacement_um)
    jacobian = np.zeros((*grid.shape, 3, 3)) + np.eye(3)
    for axis in range(3):
        if grid.shape[axis] > 1:
            change = np.diff(by_index, axis=axis + 1, append=np.take(by_index, [-1], axis + 1))
            jacobian[..., axis] += np.moveaxis(change, 0, -1)
    return float(np.linalg.det(jacobian).min())
