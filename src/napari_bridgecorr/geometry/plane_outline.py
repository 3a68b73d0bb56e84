"""Where a reference plane cuts an image's box, and where that outline crosses a slice."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .grid import Grid
from .plane import Plane

FloatArray = NDArray[np.float64]

# the box's edges, as pairs of its corners in the order of `Grid.corners`
_EDGES = tuple(
    (i, j)
    for i, j in product(range(8), repeat=2)
    if i < j and bin(i ^ j).count("1") == 1  # corners that differ along one axis
)
# of the box's extent: corners nearer to the plane than this lie on it
_ON_PLANE = 1e-12


def plane_outline(grid: Grid, plane: Plane) -> FloatArray:
    """The polygon in which a plane cuts the outer faces of a grid.

    Parameters
    ----------
    grid : Grid
    plane : Plane

    Returns
    -------
    (n, 3) float64
        Three to six world points (z, y, x) in um, in order round the polygon; (0, 3) where the
        plane misses the grid, or only touches it.
    """
    corners = grid.corners()
    depth = plane.place(corners)[:, 0]
    depth = np.where(np.abs(depth) <= _ON_PLANE * np.ptp(corners, axis=0).max(), 0.0, depth)
    side = depth >= 0
    met = [
        corners[i] + (corners[j] - corners[i]) * (depth[i] / (depth[i] - depth[j]))
        for i, j in _EDGES
        if side[i] != side[j]
    ]
    if not met:  # along a face of the box, or beside it
        met = list(corners[depth == 0])
    points = np.array(met, dtype=np.float64).reshape(-1, 3)
    if len(points) < 3:
        return np.empty((0, 3))
    flat = plane.place(points)[:, 1:]
    away = flat - flat.mean(axis=0)
    points = points[np.argsort(np.arctan2(away[:, 0], away[:, 1]))]
    step = np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1)
    points = points[step > _ON_PLANE * step.max()]
    return points if len(points) >= 3 else np.empty((0, 3))


def cut_polygon(polygon: ArrayLike, axis: int, position: float) -> FloatArray:
    """Where the edge of a flat convex polygon crosses a slice.

    Parameters
    ----------
    polygon : (n, 3) array-like
        In any frame, in order round it.
    axis : {0, 1, 2}
        The slice is perpendicular to this axis of the frame.
    position : float
        Where along it.

    Returns
    -------
    (2, 3) float64
        The ends of the line that both share; (0, 3) where they share none, or the slice holds all
        of the polygon.
    """
    points = np.asarray(polygon, dtype=np.float64).reshape(-1, 3)
    depth = points[:, axis] - position
    ends = []
    for a, b, da, db in zip(
        points, np.roll(points, -1, axis=0), depth, np.roll(depth, -1), strict=True
    ):
        if (da >= 0) != (db >= 0):
            ends.append(a + (b - a) * (da / (da - db)))
    return np.array(ends) if len(ends) == 2 else np.empty((0, 3))


def outline_bounds(polygon: FloatArray, plane: Plane) -> FloatArray:
    """(2, 2) least and greatest (y, x) in um of an outline, along the plane's axes."""
    flat = plane.place(polygon)[:, 1:]
    return np.array([flat.min(axis=0), flat.max(axis=0)])
