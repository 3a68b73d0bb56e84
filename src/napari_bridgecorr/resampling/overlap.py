"""Exact overlap-weighted means between grids whose axes are parallel.

Where a voxel of one grid is a box of the other's, the mean over it is a sum of products of overlaps
along each axis. Nothing is sampled: 33.33 slices to a slab weigh what they share with it, to
rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..geometry import Grid
from .overlap_kernel import weighted_means
from .sampler import Block

FloatArray = NDArray[np.float64]
ReadBox = Callable[[int, Sequence[int], Sequence[int]], NDArray[Any]]
"""``read(time, starts, stops)`` gives the (c, z, y, x) box of fine voxels."""

# of a fine voxel: axes that drift apart by less over the whole grid are parallel, faces that miss
# each other by less meet
_PARALLEL = 1e-6
_SAME_FACE = 1e-9
# fine voxels (times channels) that a block reads at once
_MAX_REGION = 8_000_000


@dataclass(frozen=True, eq=False)
class AxisWeights:
    """What the fine voxels along one axis give to the coarse ones.

    Parameters
    ----------
    first : (n,) int64
        First fine voxel of each coarse one.
    weights : (n, most) float64
        Shares of the coarse voxel; zero beyond the last fine voxel that it meets. A row's sum is
        the covered share of the coarse voxel.
    """

    first: NDArray[np.int64]
    weights: FloatArray

    @property
    def counts(self) -> NDArray[np.int64]:
        """(n,) number of fine voxels from `first` on that have a weight."""
        return np.asarray((self.weights > 0).sum(axis=1), dtype=np.int64)


class OverlapMean:
    """Means of an image over the voxels of a grid with parallel axes.

    Parameters
    ----------
    fine : Grid
        Of the image.
    grid : Grid
        Its axes run along the image's, in any order and either way.
    read : callable
        ``read(time, starts, stops)``: a (c, z, y, x) box of the image, of float type.
    n_channels : int
    dtype : dtype
        float32 or float64: of the means. Sums are float64.

    Raises
    ------
    GeometryError
        If the axes are not parallel.

    Notes
    -----
    Along an axis where the grid's voxels are the larger ones, or as large, an image voxel counts by
    the length that it shares with them (the image as a step function). Where they are the smaller
    ones the mean is of the linear interpolant. NaN does not count.
    """

    def __init__(
        self, fine: Grid, grid: Grid, read: ReadBox, n_channels: int, dtype: np.dtype[Any]
    ) -> None:
        found = parallel_axes(fine, grid)
        if found is None:
            raise GeometryError("an exact overlap needs grids whose axes are parallel")
        self.grid = grid
        self.dtype = dtype
        self.n_channels = n_channels
        self._fine = fine
        self._read = read
        self._axes, self._steps, self._offsets = found

    def block(self, time: int, start: Sequence[int], stop: Sequence[int]) -> Block:
        """Means and coverage over ``start <= index < stop``, however blocks are cut."""
        weights = [
            overlap_weights(start[a], stop[a], self._steps[k], self._offsets[k], n)
            for k, (a, n) in enumerate(zip(self._axes, self._fine.shape, strict=True))
        ]
        counts = [w.counts for w in weights]
        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        if not all(c.any() for c in counts):
            full = (self.n_channels, *shape)
            return Block(np.full(full, np.nan, self.dtype), np.zeros(full, np.float32))
        low = [int(w.first[c > 0].min()) for w, c in zip(weights, counts, strict=True)]
        high = [int((w.first + c)[c > 0].max()) for w, c in zip(weights, counts, strict=True)]
        size = int(np.prod(np.subtract(high, low))) * self.n_channels
        if size > _MAX_REGION and max(shape) > 1:
            return self._split(time, start, stop)
        region = np.ascontiguousarray(self._read(time, low, high))
        along = [len(w.first) for w in weights]
        sums = np.zeros((self.n_channels, *along))
        covered = np.zeros((self.n_channels, *along))
        z, y, x = (
            (np.where(c > 0, w.first - a, 0), c, w.weights)
            for w, c, a in zip(weights, counts, low, strict=True)
        )
        weighted_means(region, *z, *y, *x, sums, covered)
        with np.errstate(invalid="ignore"):
            means = (sums / np.where(covered > 0, covered, np.nan)).astype(self.dtype)
        order = [0, *(1 + self._axes.index(a) for a in range(3))]
        share = np.minimum(covered, 1).astype(np.float32)
        # rounding aside: a sum of shares may be a last bit short of all
        share[covered > 1 - 1e-9] = 1
        return Block(means.transpose(order), share.transpose(order))

    def _split(self, time: int, start: Sequence[int], stop: Sequence[int]) -> Block:
        axis = int(np.argmax(np.subtract(stop, start)))
        middle = (start[axis] + stop[axis]) // 2
        first_stop, second_start = list(stop), list(start)
        first_stop[axis] = second_start[axis] = middle
        a = self.block(time, start, first_stop)
        b = self.block(time, second_start, stop)
        return Block(
            np.concatenate([a.values, b.values], axis=axis + 1),
            np.concatenate([a.coverage, b.coverage], axis=axis + 1),
        )


def parallel_axes(fine: Grid, grid: Grid) -> tuple[list[int], list[float], list[float]] | None:
    """How the axes of two grids correspond, or None if they are not parallel.

    Returns
    -------
    axes, steps, offsets
        Per axis k of `fine`: which axis of `grid` runs along it, and ``fine index = step * index +
        offset``.
    """
    matrix = fine.world_to_index @ grid.index_to_world
    linear = matrix[:3, :3]
    axes = [int(v) for v in np.argmax(np.abs(linear), axis=1)]
    if sorted(axes) != [0, 1, 2]:
        return None
    beside = np.abs(linear) * np.asarray(grid.shape)
    beside[range(3), axes] = 0
    if beside.max() > _PARALLEL:
        return None
    steps = [float(linear[k, a]) for k, a in enumerate(axes)]
    # what little the axes lean is shared out evenly about the middle of the grid
    middle = (np.asarray(grid.shape) - 1) / 2
    at_middle = linear @ middle + matrix[:3, 3]
    return axes, steps, [float(at_middle[k] - steps[k] * middle[a]) for k, a in enumerate(axes)]


def overlap_weights(start: int, stop: int, step: float, offset: float, size: int) -> AxisWeights:
    """Weights of `size` fine voxels for the coarse voxels ``start <= i < stop`` of one axis.

    Coarse voxel i reaches from ``step * (i - 0.5) + offset`` to ``step * (i + 0.5) + offset`` in
    fine indices; fine voxel j from j - 0.5 to j + 0.5. Every edge is computed from its own number.
    """
    numbers = np.arange(start, stop + 1, dtype=np.float64)
    edges = np.clip(_snapped(step * (numbers - 0.5) + offset), -0.5, size - 0.5)
    lower, upper = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    if abs(step) > 1 - _PARALLEL:
        first = np.floor(lower + 0.5)
        most = int(np.ceil(upper + 0.5 - first).max(initial=1.0)) or 1
        voxel = first[:, None] + np.arange(most, dtype=np.float64)
        shares = np.minimum(upper[:, None], voxel + 0.5) - np.maximum(lower[:, None], voxel - 0.5)
    else:
        first = np.maximum(np.floor(lower), 0.0)
        most = int(np.ceil(upper - first).max(initial=1.0)) + 1
        voxel = first[:, None] + np.arange(most, dtype=np.float64)
        shares = _ramp(upper[:, None], voxel, size) - _ramp(lower[:, None], voxel, size)
    shares = np.where(voxel < size, shares, 0.0)
    shares = np.where((upper > lower)[:, None], np.maximum(shares, 0.0), 0.0)
    # a hat's first share may be nothing: the kernel takes weights from the first on, without gaps
    empty = (shares[:, 0] <= 0) & (shares > 0).any(axis=1)
    shares[empty] = np.roll(shares[empty], -1, axis=1)
    first = first + empty
    return AxisWeights(first.astype(np.int64), np.ascontiguousarray(shares / abs(step)))


def _snapped(edges: FloatArray) -> FloatArray:
    """Edges that miss a fine voxel's face by rounding alone, put onto it."""
    face = np.floor(edges) + 0.5
    return np.where(np.abs(edges - face) < _SAME_FACE, face, edges)


def _ramp(x: FloatArray, voxel: FloatArray, size: int) -> FloatArray:
    """Integral from the image's face to `x` of the weight of `voxel` in the linear interpolant.

    Beyond the outermost centres the value is that of the edge.
    """
    u = np.clip(x - voxel, -1.0, 1.0)
    rising = np.where(u < 0, (u + 1) ** 2 / 2, 1 - (1 - u) ** 2 / 2)
    from_edge = np.clip(x + 0.5, 0.0, 0.5) + np.where(u > 0, u - u**2 / 2, 0.0)
    found = np.where(voxel == 0, from_edge, rising)
    last = voxel == size - 1
    # on the last half voxel the weight is one instead of falling
    beyond = np.maximum(x - voxel, 0.0)
    to_edge = np.where(beyond > 0, beyond**2 / 2, 0.0)
    return np.asarray(np.where(last, found + to_edge, found))
