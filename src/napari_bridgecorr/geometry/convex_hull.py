"""The convex hull of points, and how far other points lie outside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import GeometryError

FloatArray = NDArray[np.float64]

# in units of the points' RMS radius: rounding of coordinates stays far below it
_FLAT = 1e-9
_BATCH = 1 << 18


class ConvexHull:
    """Convex hull of points in space, or of their places in the (y, x) plane.

    Points that span no volume have a hull, too: a flat polygon, a line segment or one point.

    Parameters
    ----------
    points_um : (n, 3) array-like
        (z, y, x) in um.
    dimensions : {3, 2}
        2 looks at y and x alone: the hull reaches through all of z.

    Attributes
    ----------
    vertices : (v,) int
        Which of the points are corners, ascending. A corner lies outside the hull of the others.
    rank : int
        Dimensions that the points span: 3 a body, 2 a polygon, 1 a segment, 0 a point.

    Raises
    ------
    GeometryError
        If there are no points, or some are not finite.

    Examples
    --------
    >>> hull = ConvexHull([[0, 0, 0], [0, 0, 10], [0, 10, 0], [10, 0, 0]])
    >>> hull.distance_um([[1, 1, 1], [-3, 1, 1], [0, -3, -4]]).tolist()
    [0.0, 3.0, 5.0]
    """

    def __init__(self, points_um: ArrayLike, dimensions: int = 3) -> None:
        points = np.array(points_um, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 3 or not len(points):
            raise GeometryError("a hull needs at least one point (z, y, x)")
        if not np.isfinite(points).all():
            raise GeometryError("a hull needs points whose coordinates are finite numbers")
        if dimensions not in (2, 3):
            raise GeometryError(f"a hull has 2 or 3 dimensions, not {dimensions}")
        self.dimensions = dimensions
        self._first_axis = 3 - dimensions
        points[:, : self._first_axis] = 0.0
        self._centre = points.mean(axis=0)
        centred = points - self._centre
        scale = float(np.sqrt(np.mean(np.sum(centred**2, axis=1))))
        self._scale = scale if scale > 0 else 1.0
        self._build(centred / self._scale)

    def distance_um(self, points_um: ArrayLike) -> FloatArray:
        """(n,) distance in um of (n, 3) points from the hull: 0 inside, NaN for NaN."""
        from .hull_kernels import distances

        points = np.array(points_um, dtype=np.float64).reshape(-1, 3)
        out = np.empty(len(points))
        for start in range(0, len(points), _BATCH):
            u = points[start : start + _BATCH].copy()
            u[:, : self._first_axis] = 0.0
            u = (u - self._centre) / self._scale
            out[start : start + _BATCH] = distances(u, self._triangles, self._planes)
        return out * self._scale

    def contains(self, points_um: ArrayLike) -> NDArray[np.bool_]:
        """Whether (n, 3) points lie in the hull or on it (to a part in 1e9 of its size)."""
        return np.asarray(self.distance_um(points_um) <= _FLAT * self._scale)

    def is_vertex(self, n_points: int) -> NDArray[np.bool_]:
        """(n_points,) whether each of the points is a corner."""
        found = np.zeros(n_points, dtype=np.bool_)
        found[self.vertices] = True
        return found

    def _build(self, u: FloatArray) -> None:
        # in the frame of the principal axes, a flat set's thin directions can be left out
        _, spread, axes = np.linalg.svd(np.linalg.qr(u, mode="r"), full_matrices=True)
        rank = int(np.sum(spread > _FLAT * np.sqrt(len(u))))
        found = None
        while rank >= 2 and found is None:
            found = _quickhull(u @ axes[:rank].T)
            if found is None:
                rank -= 1  # thinner than Qhull can tell from flat
        self.rank = rank
        planes = np.empty((0, 4))
        if found is None:
            along = u @ axes[0]
            ends = [int(along.argmin()), int(along.argmax())] if rank else [0, 0]
            self.vertices = np.unique(ends)
            corners = np.array([[ends[0], ends[1], ends[1]]])
        else:
            self.vertices = np.sort(found.vertices)
            corners = _corners(found, rank, self.dimensions)
            if rank == self.dimensions:
                planes = np.column_stack(
                    [found.equations[:, :rank] @ axes[:rank], found.equations[:, rank]]
                )
        self._triangles = np.ascontiguousarray(u[corners])
        self._planes = np.ascontiguousarray(planes)


def _corners(found: Any, rank: int, dimensions: int) -> NDArray[np.int64]:
    """(m, 3) numbers of the corners of the triangles that make up the surface.

    A segment is a triangle with two equal corners, a point one with three.
    """
    if rank == 3:
        return np.asarray(found.simplices)
    if dimensions == 2:  # the outline of a polygon: an edge per plane
        return np.asarray(found.simplices[:, [0, 1, 1]])
    ring = found.vertices  # a flat polygon in space, in the order of its outline
    return np.column_stack([np.full(len(ring) - 2, ring[0]), ring[1:-1], ring[2:]])


def _quickhull(points: FloatArray) -> Any:
    """SciPy's hull; None where the points are too flat for it."""
    # imported here: opening a file needs none of it
    from scipy.spatial import ConvexHull as Quickhull
    from scipy.spatial import QhullError

    try:
        return Quickhull(points)
    except (QhullError, ValueError):
        return None
