"""Grids for reslicing: the planes parallel to a reference plane, and slabs of several of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import GeometryError
from .grid import Grid
from .plane import Plane

FloatArray = NDArray[np.float64]

# a face that misses another by less than this share of a voxel is taken to meet it
_SAME_FACE = 1e-9
_MOST_VOXELS = 2**40


def natural_spacing(grid: Grid, plane: Plane) -> tuple[float, float, float]:
    """The spacing (depth, y, x) in um at which reslicing skips no voxel and repeats none.

    A step along the normal crosses one voxel of the axis that it crosses fastest; the step in the
    plane is the same in every direction, so that turning the plane does not change it. Along the
    image's own axes these are its voxel sizes.
    """
    to_index = grid.world_to_index[:3, :3] @ plane.axes
    depth = 1 / np.abs(to_index[:, 0]).max()
    flat = 1 / np.linalg.norm(to_index[:, 1:], axis=1).max()
    return float(depth), float(flat), float(flat)


def resliced_grid(
    grid: Grid,
    plane: Plane,
    spacing_um: ArrayLike | None = None,
    depth_range_um: tuple[float, float] | None = None,
) -> Grid:
    """The grid parallel to a plane that encloses all of another grid's voxels.

    Parameters
    ----------
    grid : Grid
        Of the image that will be resliced.
    plane : Plane
        One slice's centres lie on it.
    spacing_um : three values or one, optional
        Along depth, y, x of the plane; see :func:`natural_spacing`.
    depth_range_um : (float, float), optional
        Only slices whose centres have depths from the first to the second; (0, 0) is the plane
        itself.

    Returns
    -------
    Grid
        z along the normal, (y, x) in the plane. An image whose axes are the plane's, cut at its
        own spacing through a voxel's centre, keeps its voxels.

    Raises
    ------
    GeometryError
        If the spacing is not positive, no slice is within the range, or the grid would be absurdly
        large.
    """
    spacing = _spacing(natural_spacing(grid, plane) if spacing_um is None else spacing_um)
    corners = plane.place(grid.corners())
    low, high = corners.min(axis=0) / spacing, corners.max(axis=0) / spacing
    first = float(np.floor(low[0] + 0.5 + _SAME_FACE))
    last = float(np.ceil(high[0] - 0.5 - _SAME_FACE))
    if depth_range_um is not None:
        nearest, farthest = (float(v) / spacing[0] for v in depth_range_um)
        if not (np.isfinite(nearest) and np.isfinite(farthest)):
            raise GeometryError("the range of depths must be two finite lengths in um")
        first = max(first, float(np.ceil(nearest - _SAME_FACE)))
        last = min(last, float(np.floor(farthest + _SAME_FACE)))
    last = max(last, first) if depth_range_um is None else last
    if last < first:
        raise GeometryError(
            f"no slice of the image has a depth within {depth_range_um} um of the plane; "
            f"it reaches from {corners[:, 0].min():.6g} to {corners[:, 0].max():.6g} um"
        )
    counts = np.maximum(1.0, np.ceil(high[1:] - low[1:] - _SAME_FACE))
    sizes = (last - first + 1, float(counts[0]), float(counts[1]))
    if sizes[0] * sizes[1] * sizes[2] > _MOST_VOXELS:
        raise GeometryError(
            "the resliced image would have more than 1e12 voxels: widen the spacing"
        )
    matrix = np.eye(4)
    matrix[:3, :3] = plane.axes * spacing
    start = np.array([first, low[1] + 0.5, low[2] + 0.5]) * spacing
    matrix[:3, 3] = plane.points(start[None])[0]
    return Grid((int(sizes[0]), int(sizes[1]), int(sizes[2])), matrix)


def slab_grid(grid: Grid, thickness_um: float, edge_um: ArrayLike | None = None) -> Grid:
    """The grid of slabs of a given thickness: as `grid` in its (y, x), thicker along its z.

    Slab k reaches from ``edge + k * thickness`` to ``edge + (k + 1) * thickness``, each computed
    from k itself: nothing adds up over many slabs. The first and the last may hold less of `grid`.

    Parameters
    ----------
    grid : Grid
    thickness_um : float
        The other instrument's voxel depth, as 100 for slices 3 um apart.
    edge_um : (3,) array-like, optional
        World point (z, y, x) on a boundary between slabs; the outer face of the first slice by
        default.

    Raises
    ------
    GeometryError
        If the thickness is not a positive length or is less than a slice's, or the edge is not
        finite.
    """
    step = grid.voxel_size_um[0]
    ratio = float(thickness_um) / step
    if not (np.isfinite(ratio) and ratio > 0):
        raise GeometryError(
            f"the slabs' thickness must be a positive length, not {thickness_um} um"
        )
    if ratio < 1 - _SAME_FACE:
        raise GeometryError(
            f"slabs of {thickness_um:g} um are thinner than the slices ({step:g} um): "
            f"nothing can be averaged"
        )
    edge = -0.5
    if edge_um is not None:
        point = np.asarray(edge_um, dtype=np.float64)
        if point.shape != (3,) or not np.all(np.isfinite(point)):
            raise GeometryError("the slabs' edge must be three finite lengths z, y, x in um")
        edge = float(grid.to_index(point)[0, 0])
    first = int(np.floor((-0.5 - edge) / ratio + _SAME_FACE))
    stop = int(np.ceil((grid.shape[0] - 0.5 - edge) / ratio - _SAME_FACE))
    matrix = grid.index_to_world.copy()
    matrix[:3, 0] *= ratio
    matrix[:3, 3] = grid.to_world((edge + (first + 0.5) * ratio, 0.0, 0.0))[0]
    return Grid((max(1, stop - first), grid.shape[1], grid.shape[2]), matrix)


def _spacing(values: ArrayLike) -> FloatArray:
    spacing = np.broadcast_to(np.asarray(values, dtype=np.float64), (3,))
    if not np.all(np.isfinite(spacing)) or np.any(spacing <= 0):
        raise GeometryError(f"spacing must be positive, not {spacing.tolist()} um")
    return spacing
