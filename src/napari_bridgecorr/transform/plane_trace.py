"""Where a plane of one image crosses a slice of the other, seen through the map between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry import Grid, Plane
from .base import Transform

FloatArray = NDArray[np.float64]


def plane_trace(transform: Transform, plane: Plane, within: Grid, sheet: ArrayLike) -> FloatArray:
    """The curve on a slice whose points the map takes into a plane, as short straight pieces.

    Each cell of the lattice is split into two triangles, in which the distance from the plane is
    taken for linear (marching triangles): exact for affine maps, else as fine as the lattice.

    Parameters
    ----------
    transform : Transform
        From the slice's world to the plane's.
    plane : Plane
    within : Grid
        Of the plane's image: what lies outside it is left out, to a cell of the lattice.
    sheet : (rows, columns, 3) array-like
        A lattice of points on the slice, (z, y, x) in um.

    Returns
    -------
    (n, 2, 3) float64
        Ends of the pieces in the slice's world, in um; none where the map is not defined.
    """
    points = np.asarray(sheet, dtype=np.float64)
    rows, columns = points.shape[:2]
    points = points.reshape(-1, 3)
    landing = transform.map(points)
    is_known = np.all(np.isfinite(landing), axis=1)
    landing = np.where(is_known[:, None], landing, 0.0)
    is_known &= within.contains(landing)
    depth = plane.place(landing)[:, 0]
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (
        number[i : i + rows - 1, j : j + columns - 1].ravel() for i in (0, 1) for j in (0, 1)
    )
    triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([b, d, c], axis=1)])
    is_above = depth[triangles] >= 0
    n_above = is_above.sum(axis=1)
    is_met = (n_above % 3 > 0) & is_known[triangles].all(axis=1)
    triangles, is_above, n_above = triangles[is_met], is_above[is_met], n_above[is_met]
    # the corner that lies alone on its side of the plane
    alone = np.where(n_above == 1, is_above.argmax(axis=1), (~is_above).argmax(axis=1))
    each = np.arange(len(triangles))
    start = triangles[each, alone]
    ends = []
    for step in (1, 2):
        other = triangles[each, (alone + step) % 3]
        share = depth[start] / (depth[start] - depth[other])
        ends.append(points[start] + share[:, None] * (points[other] - points[start]))
    return np.stack(ends, axis=1) if len(each) else np.empty((0, 2, 3))
