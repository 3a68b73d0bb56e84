"""Round tubes with straight axes, and how far a point is from the nearest of many of them.

Vessels are chains of tubes and tumour cells are short ones, so both are known exactly, at any
resolution. Nothing here knows of images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import GeometryError
from ..transform.base import as_points

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tubes:
    """Tubes with round ends (capsules), each tapering linearly along its axis.

    Parameters
    ----------
    start_um, end_um : (n, 3) float64
        Ends of the axes (z, y, x).
    start_radius_um, end_radius_um : (n,) float64
        Radius at either end.
    """

    start_um: FloatArray
    end_um: FloatArray
    start_radius_um: FloatArray
    end_radius_um: FloatArray

    def __len__(self) -> int:
        return len(self.start_um)

    @property
    def length_um(self) -> FloatArray:
        """(n,) lengths of the axes."""
        return np.asarray(np.linalg.norm(self.end_um - self.start_um, axis=1), dtype=np.float64)

    def packed(self) -> FloatArray:
        """(n, 8) rows ``start, end, start radius, end radius``, as the kernels read them."""
        radii = np.column_stack([self.start_radius_um, self.end_radius_um])
        return np.ascontiguousarray(np.hstack([self.start_um, self.end_um, radii]))


@dataclass(frozen=True, eq=False)
class TubeIndex:
    """Tubes sorted into cubic cells, so that a point meets only the tubes near it.

    Parameters
    ----------
    tubes : (n, 8) float64
        :meth:`Tubes.packed`.
    lower_um : (3,) float64
        Low corner of the box of cells.
    counts : (3,) int64
        Cells along z, y, x.
    cell_um, reach_um : float
        Edge of a cell; distance up to which the answer is exact.
    offsets, items : int64 arrays
        Tubes of cell c are ``items[offsets[c]:offsets[c + 1]]``.
    """

    tubes: FloatArray
    lower_um: FloatArray
    counts: IntArray
    cell_um: float
    reach_um: float
    offsets: IntArray
    items: IntArray

    @classmethod
    def build(
        cls,
        tubes: Tubes,
        lower_um: ArrayLike,
        upper_um: ArrayLike,
        cell_um: float = 20.0,
        reach_um: float = 14.0,
    ) -> TubeIndex:
        """Index of `tubes` within the box from `lower_um` to `upper_um` (z, y, x in um).

        Raises
        ------
        GeometryError
            If the box is empty.
        """
        lower = np.asarray(lower_um, dtype=np.float64)
        size = np.asarray(upper_um, dtype=np.float64) - lower
        if not np.all(size > 0):
            raise GeometryError(f"the box of tissue is empty: {size.tolist()} um wide")
        counts = np.maximum(1, np.ceil(size / cell_um)).astype(np.int64)
        packed = tubes.packed()
        n_cells = int(np.prod(counts))
        per_cell = np.zeros(n_cells, dtype=np.int64)
        nothing = np.empty(0, dtype=np.int64)
        _sort_into_cells(packed, lower, counts, cell_um, reach_um, per_cell, nothing)
        offsets = np.concatenate([[0], np.cumsum(per_cell)]).astype(np.int64)
        items = np.empty(offsets[-1], dtype=np.int64)
        _sort_into_cells(packed, lower, counts, cell_um, reach_um, offsets[:-1].copy(), items)
        return cls(packed, lower, counts, float(cell_um), float(reach_um), offsets, items)

    def bundle(self) -> tuple[Any, ...]:
        """All fields in order, as the kernels take them."""
        return (
            self.tubes,
            self.lower_um,
            self.counts,
            self.cell_um,
            self.reach_um,
            self.offsets,
            self.items,
        )

    def distance(self, points_um: ArrayLike) -> FloatArray:
        """(n,) distance (um) of (n, 3) points from the surface of the nearest tube.

        Negative inside; never more than `reach_um`, which also stands for "outside the box".
        """
        points = as_points(points_um)
        out = np.empty(len(points))
        _distances(points, self.bundle(), out)
        return out


@numba.njit(inline="always")
def tube_distance(
    z: float, y: float, x: float, tubes: FloatArray, i: int, softening: float
) -> float:
    """Distance (um) of a point from the surface of tube i; negative inside.

    A ramp of width w across a curved surface holds more outside than inside it. To first order
    moving the surface in by ``w^2 / 24`` times the sum of its two curvatures makes up for that;
    `softening` (um^2) is that ``w^2 / 24``, or 0 for the true distance.
    """
    az, ay, ax = tubes[i, 0], tubes[i, 1], tubes[i, 2]
    dz, dy, dx = tubes[i, 3] - az, tubes[i, 4] - ay, tubes[i, 5] - ax
    squared = dz * dz + dy * dy + dx * dx
    t = 0.0
    if squared > 0.0:
        t = ((z - az) * dz + (y - ay) * dy + (x - ax) * dx) / squared
        t = min(1.0, max(0.0, t))
    ez, ey, ex = z - az - t * dz, y - ay - t * dy, x - ax - t * dx
    radius = tubes[i, 6] + t * (tubes[i, 7] - tubes[i, 6])
    curvature = (1.0 if 0.0 < t < 1.0 else 2.0) / radius
    return float(np.sqrt(ez * ez + ey * ey + ex * ex) - radius + softening * curvature)


@numba.njit(inline="always")
def nearest(
    z: float,
    y: float,
    x: float,
    tubes: FloatArray,
    lower: FloatArray,
    counts: IntArray,
    cell: float,
    reach: float,
    offsets: IntArray,
    items: IntArray,
    softening: float,
) -> float:
    """Distance (um) of one point from the nearest tube, at most the reach; see `tube_distance`."""
    iz = int(np.floor((z - lower[0]) / cell))
    iy = int(np.floor((y - lower[1]) / cell))
    ix = int(np.floor((x - lower[2]) / cell))
    best = reach
    if iz < 0 or iy < 0 or ix < 0 or iz >= counts[0] or iy >= counts[1] or ix >= counts[2]:
        return best
    c = (iz * counts[1] + iy) * counts[2] + ix
    for k in range(offsets[c], offsets[c + 1]):
        d = tube_distance(z, y, x, tubes, items[k], softening)
        if d < best:
            best = d
    return best


@numba.njit(inline="always")
def gather(
    z: float,
    y: float,
    x: float,
    tubes: FloatArray,
    lower: FloatArray,
    counts: IntArray,
    cell: float,
    offsets: IntArray,
    items: IntArray,
    within: float,
    found: IntArray,
) -> int:
    """Write into `found` the tubes nearer than `within` (at most the reach); their number.

    -1 if there are more than `found` holds.
    """
    iz = int(np.floor((z - lower[0]) / cell))
    iy = int(np.floor((y - lower[1]) / cell))
    ix = int(np.floor((x - lower[2]) / cell))
    n = 0
    if iz >= 0 and iy >= 0 and ix >= 0 and iz < counts[0] and iy < counts[1] and ix < counts[2]:
        c = (iz * counts[1] + iy) * counts[2] + ix
        for k in range(offsets[c], offsets[c + 1]):
            if n >= 0 and tube_distance(z, y, x, tubes, items[k], 0.0) < within:
                if n < found.shape[0]:
                    found[n] = items[k]
                    n += 1
                else:
                    n = -1
    return n


@numba.njit(inline="always")
def nearest_of(
    z: float,
    y: float,
    x: float,
    tubes: FloatArray,
    found: IntArray,
    n: int,
    softening: float,
) -> float:
    """Distance (um) of one point from the nearest of the first n tubes in `found`, or inf."""
    best = np.inf
    for k in range(n):
        d = tube_distance(z, y, x, tubes, found[k], softening)
        if d < best:
            best = d
    return best


@numba.njit(cache=True, nogil=True)
def _distances(points: FloatArray, index: Any, out: FloatArray) -> None:
    tubes, lower, counts, cell, reach, offsets, items = index
    for n in range(points.shape[0]):
        z, y, x = points[n, 0], points[n, 1], points[n, 2]
        out[n] = nearest(z, y, x, tubes, lower, counts, cell, reach, offsets, items, 0.0)


@numba.njit(cache=True, nogil=True)
def _sort_into_cells(
    tubes: FloatArray,
    lower: FloatArray,
    counts: IntArray,
    cell: float,
    reach: float,
    cursor: IntArray,
    items: IntArray,
) -> None:
    """Count each cell's tubes in `cursor` or, with room in `items`, write them from there on."""
    # half a cell's diagonal: a cell whose centre is farther holds no point within reach
    slack = reach + 0.5 * np.sqrt(3.0) * cell
    first = np.empty(3, dtype=np.int64)
    last = np.empty(3, dtype=np.int64)
    for i in range(tubes.shape[0]):
        pad = max(tubes[i, 6], tubes[i, 7]) + reach
        for a in range(3):
            low = min(tubes[i, a], tubes[i, a + 3]) - pad - lower[a]
            high = max(tubes[i, a], tubes[i, a + 3]) + pad - lower[a]
            first[a] = max(0, int(np.floor(low / cell)))
            last[a] = min(counts[a] - 1, int(np.floor(high / cell)))
        for iz in range(first[0], last[0] + 1):
            z = lower[0] + (iz + 0.5) * cell
            for iy in range(first[1], last[1] + 1):
                y = lower[1] + (iy + 0.5) * cell
                for ix in range(first[2], last[2] + 1):
                    x = lower[2] + (ix + 0.5) * cell
                    # the taper makes the surface's distance change by up to 1 + slope per um
                    d = tube_distance(z, y, x, tubes, i, 0.0)
                    if d > slack + abs(tubes[i, 7] - tubes[i, 6]):
                        continue
                    c = (iz * counts[1] + iy) * counts[2] + ix
                    if items.shape[0] > 0:
                        items[cursor[c]] = i
                    cursor[c] += 1
