"""The two images round one landmark, brought into one small frame.

The frame is the grid of the **coarser** image: its own voxels are compared, not interpolated ones.
The finer image is carried into it through the map's local affine part, blurred to the same voxel
size, and kept on a lattice several times as fine, on which it can be shifted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates

from ..geometry import Grid
from ..geometry.grid import apply_affine
from ..image import SpatialImage
from ..transform import Affine
from .working_image import working_image

FloatArray = NDArray[np.float64]

# samples along a patch's radius at most: a larger patch is looked at more coarsely
_MOST_ALONG_RADIUS = 12
# lattice steps per voxel: one in each voxel of the finer image, but no more than this
_MOST_STEPS = 6
# voxels that a cubic spline's value depends on, to 1e-4
_SPLINE_REACH = 6
_MOST_REGION = 2**24


@dataclass(frozen=True)
class View:
    """What of an image takes part.

    Parameters
    ----------
    image : SpatialImage
    channel, time : int
    """

    image: SpatialImage
    channel: int = 0
    time: int = 0


@dataclass(frozen=True, eq=False)
class Patch:
    """Samples of the coarser image, and the finer one on a lattice in the same frame.

    Parameters
    ----------
    values, weights : (n,) float64
        Samples and their weights: a Gaussian window of half the radius.
    offsets_um : (n, 3) float64
        From the landmark, along the frame's own axes.
    places : (n, 3) int64
        On the lattice, without a shift.
    shape : (int, int, int)
        Of the box that the samples come from; `numbers` are their places in it.
    numbers : (n,) int64
    fine : (z, y, x) float64
        NaN outside the data.
    step_um : (3,) float64
        Of the lattice, along the frame's axes.
    to_moving : (3, 3) float64
        A shift of the lattice, um along the frame's axes, as the landmark's step in moving world.
    free : (3,) bool
        Axes along which the images are not flat.
    voxel_um : (3,) float64
        Of the samples, along the frame's axes.
    reference_is_fixed : bool
        Whether the samples are the fixed image's.
    """

    values: FloatArray
    weights: FloatArray
    offsets_um: FloatArray
    places: NDArray[np.int64]
    shape: tuple[int, int, int]
    numbers: NDArray[np.int64]
    fine: FloatArray
    step_um: FloatArray
    to_moving: FloatArray
    free: NDArray[np.bool_]
    voxel_um: FloatArray
    reference_is_fixed: bool


def make_patch(
    reference: View,
    other: View,
    reference_point_um: FloatArray,
    other_point_um: FloatArray,
    linear: FloatArray,
    radius_um: float,
    bound_um: float,
    reference_is_fixed: bool,
) -> Patch | None:
    """Read both images round a landmark; None where a part of the patch lacks data.

    Parameters
    ----------
    reference, other : View
        The coarser and the finer image.
    reference_point_um, other_point_um : (3,) float64
        The landmark in either.
    linear : (3, 3) float64
        Derivative of the map from the reference's world to the other's.
    radius_um : float
        In the reference's world.
    bound_um : float
        Longest step of the moving landmark.
    reference_is_fixed : bool
    """
    own = reference.image.grid
    size = np.asarray(own.voxel_size_um)
    flat = np.asarray(own.shape) == 1
    wanted = np.maximum(size, radius_um / _MOST_ALONG_RADIUS)
    grid = own if np.all((wanted <= size) | flat) else own.at_spacing(np.where(flat, size, wanted))
    voxel = np.asarray(grid.voxel_size_um)
    axes = grid.index_to_world[:3, :3] / voxel
    centre = grid.to_index(reference_point_um)[0]
    reach = np.where(flat, 0, radius_um / voxel)
    low = np.maximum(np.ceil(centre - reach), 0).astype(int)
    high = np.minimum(np.floor(centre + reach) + 1, grid.shape).astype(int)
    if np.any(high <= low):
        return None
    box = grid.block(low, high)
    if grid is own:
        t, c = reference.time, reference.channel
        values = reference.image.read(0, (t, c, *low), (t + 1, c + 1, *high))[0, 0]
    else:
        values = working_image(
            reference.image, box, channel=reference.channel, time=reference.time
        ).array
    values = np.asarray(values, dtype=np.float64)
    index = np.indices(box.shape).reshape(3, -1).T
    offsets = (index + low - centre) * voxel
    offsets[:, flat] = 0
    away = np.linalg.norm(offsets, axis=1)
    inside = (away <= radius_um) & np.isfinite(values.ravel())
    if inside.sum() < 20:
        return None
    to_moving = linear @ axes if reference_is_fixed else -axes
    # voxels of the other image along one voxel of the frame
    across = other.image.grid.world_to_index[:3, :3] @ linear @ (axes * voxel)
    per_voxel = np.abs(across).max(axis=0)
    steps = np.where(flat, 1, np.clip(np.ceil(per_voxel - 1e-3), 1, _MOST_STEPS)).astype(int)
    # the farthest that a step within the bound goes along each axis
    furthest = bound_um * np.linalg.norm(np.linalg.inv(to_moving), axis=1)
    margin = np.where(flat, 0, np.ceil(furthest / voxel * steps) + 4).astype(int)
    step = voxel / steps
    shape = [int(n) for n in (np.array(box.shape) - 1) * steps + 1 + 2 * margin]
    matrix = np.eye(4)
    matrix[:3, :3] = axes * step
    matrix[:3, 3] = box.to_world(-margin / steps)[0]
    lattice = Grid((shape[0], shape[1], shape[2]), matrix)
    pull = np.eye(4)
    pull[:3, :3] = linear
    pull[:3, 3] = other_point_um - linear @ reference_point_um
    fine = _on_lattice(other, lattice, pull, per_voxel / steps)
    if fine is None:
        return None
    for a in range(3):
        # the frame's voxel is a box; so is the other's: their variances differ by this
        missing = voxel[a] ** 2 - max(voxel[a] / max(per_voxel[a], 1e-9), step[a]) ** 2
        if missing > 0 and not flat[a]:
            fine = _blurred(fine, float(np.sqrt(missing / 12) / step[a]), a)
    # the landmark itself may lie between samples: offsets say where
    return Patch(
        values.ravel()[inside],
        np.exp(-2 * (away[inside] / radius_um) ** 2),
        offsets[inside],
        (index * steps + margin)[inside].astype(np.int64),
        box.shape,
        np.flatnonzero(inside),
        fine,
        step,
        to_moving,
        ~flat,
        voxel,
        reference_is_fixed,
    )


def _on_lattice(
    view: View, lattice: Grid, pull: FloatArray, per_step: FloatArray
) -> FloatArray | None:
    if per_step.max() > 1.05:
        # the lattice is the coarser one: means of what there is
        return np.asarray(
            working_image(
                view.image, lattice, Affine(pull), channel=view.channel, time=view.time
            ).array,
            dtype=np.float64,
        )
    image = view.image
    corners = apply_affine(image.grid.world_to_index @ pull, lattice.corners())
    low = np.maximum(np.floor(corners.min(axis=0)) - _SPLINE_REACH, 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)) + _SPLINE_REACH + 1, image.grid.shape)
    high = high.astype(int)
    if np.any(high <= low) or np.prod(high - low) > _MOST_REGION:
        return None
    t, c = view.time, view.channel
    region = np.asarray(image.read(0, (t, c, *low), (t + 1, c + 1, *high))[0, 0], np.float64)
    known = np.isfinite(region)
    if not known.any():
        return None
    index = np.indices(lattice.shape).reshape(3, -1).T
    matrix = image.grid.world_to_index @ pull @ lattice.index_to_world
    where = apply_affine(matrix, index)
    size = np.asarray(image.grid.shape)
    found = map_coordinates(
        np.where(known, region, region[known].mean()), (where - low).T, order=3, mode="mirror"
    )
    inside = np.all((where >= -0.5) & (where <= size - 0.5), axis=1)
    if not known.all():
        touched = map_coordinates(
            (~known).astype(np.float64), (where - low).T, order=1, mode="nearest"
        )
        inside &= touched < 1e-9
    found[~inside] = np.nan
    return np.asarray(found.reshape(lattice.shape))


def _blurred(fine: FloatArray, sigma: float, axis: int) -> FloatArray:
    known = np.isfinite(fine)
    if known.all():
        return np.asarray(gaussian_filter1d(fine, sigma, axis, mode="nearest"))
    total = gaussian_filter1d(np.where(known, fine, 0.0), sigma, axis, mode="nearest")
    share = gaussian_filter1d(known.astype(np.float64), sigma, axis, mode="nearest")
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, total / share, np.nan)
