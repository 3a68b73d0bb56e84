"""A map over a lattice of voxels: much quicker than kernel by kernel, to a stated error.

Every kernel ``U`` is split at a radius: ``U = S + N``. ``S`` is the kernel outside the radius and a
polynomial of the squared distance inside, which agrees with it in value and three derivatives; it
is smooth, and is interpolated by cubics from a coarse grid. ``N`` is zero outside the radius and
is added exactly to the few voxels that it reaches. The coarse grid itself may be made in the same
way from a coarser one with a larger radius.

The error is that of the interpolations. It is bounded by the fourth derivatives of ``S``, whose
largest sum anywhere is found by dividing space (:func:`~.lattice_kernels.largest_sum`): nothing is
estimated from samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Shape = tuple[int, int, int]
Axes = tuple[FloatArray, FloatArray, FloatArray]

# Error of 4-point Lagrange interpolation between its two inner nodes, times h^4 max|f''''|:
# max |t(t-1)(t+1)(t-2)| / 4! = 9/16 / 24. An error in the nodes grows by at most 5/4 an axis.
CUBIC_ERROR = 9 / 384
CUBIC_NORM = 1.25

# |d^4 S / dt^4| along any direction at a distance r: at most OUTSIDE r^(1 - 4) in 3-D and
# OUTSIDE r^(2 - 4) in 2-D beyond the radius, and INSIDE times the same of the radius within it
OUTSIDE = {3: 3.0, 2: 6.0}
INSIDE = {3: 9.66, 2: 13.65}

_STEPS = (24, 16, 12, 8, 6, 4, 3, 2)
_RATIOS = (1, 3, 4, 6)
# what the last interpolation may use of the tolerance where there are two
_LAST_SHARE = 0.6
# nanoseconds of one kernel at a node, one near kernel at a voxel, one voxel interpolated
_NODE_NS, _NEAR_NS, _VOXEL_NS = 2.0, 2.5, 2.0
_PROBES = 256


@dataclass(frozen=True, eq=False)
class Level:
    """A coarse grid.

    Parameters
    ----------
    step : (3,) int64
        Fixed voxels between nodes along z, y, x; node k stands at index ``step * k``.
    radius : float
        Where the kernels are split, in the coordinates of distances.
    """

    step: IntArray
    radius: float


@dataclass(frozen=True, eq=False)
class LatticeMap:
    """A map from fixed to moving voxel indices, in the parts that the compiled loops take.

    ``index -> linear @ index + offset + sum_i weights_i U(|to_u(index) - control_i|)``

    Parameters
    ----------
    linear, offset : (3, 3), (3,) float64
        The affine part.
    to_u : (3, 4) float64
        Fixed index to the coordinates in which distances are taken.
    control : (3, m) float64
        Landmarks in those coordinates; m = 0 for an affine map.
    weights : (3, m) float64
        Kernel weights in moving voxels.
    dimensions : {3, 2}
        3: ``U = -r``; 2: ``U = r^2 log r`` of the distance along the last two coordinates.
    levels : tuple of Level
        Coarse grids, coarsest first; none: every kernel at every voxel.
    error_bound_voxels : float
        No mapped index is further than this from the exact one.
    """

    linear: FloatArray
    offset: FloatArray
    to_u: FloatArray
    control: FloatArray
    weights: FloatArray
    dimensions: int = 3
    levels: tuple[Level, ...] = ()
    error_bound_voxels: float = 0.0

    @classmethod
    def affine(cls, matrix: FloatArray) -> LatticeMap:
        """From a (4, 4) matrix on index columns."""
        none = np.zeros((3, 0))
        linear, offset = np.ascontiguousarray(matrix[:3, :3]), np.ascontiguousarray(matrix[:3, 3])
        return cls(linear, offset, np.eye(4)[:3].copy(), none, none)

    @property
    def is_affine(self) -> bool:
        """Whether there are no kernels."""
        return bool(self.control.shape[1] == 0)

    def planned(self, shape: Shape, tolerance_voxels: float) -> LatticeMap:
        """The same map with the quickest coarse grids for a tolerance.

        Parameters
        ----------
        shape : (int, int, int)
            Fixed voxels that will be mapped: the indices from -1/2 to shape - 1/2.
        tolerance_voxels : float
            Largest allowed error of a mapped index, in moving voxels; 0: exact.
        """
        exact = replace(self, levels=(), error_bound_voxels=0.0)
        if self.is_affine or tolerance_voxels <= 0:
            return exact
        bound = _Bound(self, shape)
        best: tuple[Level, ...] = ()
        best_cost = float(np.prod(shape)) * self.control.shape[1] * _NODE_NS
        for steps, shares in _choices(bound.spacing, shape):
            levels = tuple(
                Level(step, bound.radius_for(step, share * tolerance_voxels))
                for step, share in zip(steps, shares, strict=True)
            )
            cost = bound.cost(levels)
            nested = all(a.radius > b.radius for a, b in pairwise(levels))
            if nested and cost < best_cost:
                best, best_cost = levels, cost
        for _ in range(8):  # the radii were found at the landmarks; now everywhere counts
            if not best:
                return exact
            error = bound.certified(best, tolerance_voxels)
            if error <= tolerance_voxels:
                return replace(self, levels=best, error_bound_voxels=error)
            best = tuple(replace(level, radius=1.15 * level.radius) for level in best)
        return exact

    def nodes(self, axes: Axes) -> tuple[FloatArray, IntArray]:
        """What the finest coarse grid holds where a lattice needs it.

        Parameters
        ----------
        axes : three (n_a,) float64
            Fixed indices along z, y, x, ascending.

        Returns
        -------
        (z, 3, y', x') float64
            The grid interpolated at each z of `axes`; empty without levels.
        (3,) int64
            Its first cell along z, y, x; cell c takes the nodes c - 1 to c + 2.
        """
        from .lattice_kernels import node_values, planes_of

        lattices = [axes]
        for level in reversed(self.levels):
            lattices.insert(0, _node_axes(lattices[0], level.step))
        planes, first, step, outer = np.zeros((1, 3, 0, 0)), np.zeros(3, np.int64), _ONES, np.inf
        for level, here, (next_z, _, _) in zip(self.levels, lattices, lattices[1:], strict=False):
            values = node_values(
                *here, self.to_u, self.control, self.weights, self.dimensions == 2,
                outer, level.radius, planes, step, first,
            )  # fmt: skip
            step, outer = level.step, level.radius
            first = np.array([round(a[0] / s) + 1 for a, s in zip(here, step, strict=True)])
            planes = planes_of(values, next_z, int(step[0]), int(first[0]))
        return planes, first

    @property
    def last_step(self) -> IntArray:
        """Step of the finest coarse grid."""
        return self.levels[-1].step if self.levels else _ONES

    @property
    def last_radius(self) -> float:
        """Radius of the finest coarse grid; infinite without one."""
        return self.levels[-1].radius if self.levels else np.inf

    def positions(self, axes: Axes) -> FloatArray:
        """Mapped indices (n, 3) of all triples of three ascending index vectors, x fastest."""
        from .lattice_kernels import lattice_positions

        planes, first = self.nodes(axes)
        found = lattice_positions(
            *axes, self.linear, self.offset, self.to_u, self.control, self.weights,
            self.dimensions == 2, self.last_radius, planes, self.last_step, first,
        )  # fmt: skip
        return np.asarray(found)


_ONES = np.ones(3, np.int64)


def _node_axes(axes: Axes, step: IntArray) -> Axes:
    """Indices of the nodes that a lattice needs: a cell takes one node before and two behind it."""
    z, y, x = (
        np.arange(np.floor(axis[0] / s) - 1, np.floor(axis[-1] / s) + 3) * float(s)
        for axis, s in zip(axes, step, strict=True)
    )
    return z, y, x


def _choices(
    spacing: FloatArray, shape: Shape
) -> Iterator[tuple[tuple[IntArray, ...], tuple[float, ...]]]:
    """Steps of the coarse grids worth trying, and the share of the tolerance of each."""
    for step in _STEPS:
        fine = _steps(step, spacing, shape)
        yield (fine,), (1.0,)
        for ratio in _RATIOS:
            coarse = _steps(step * ratio, spacing, shape)
            # the coarse grid's error passes through the fine one's interpolation
            yield (coarse, fine), ((1 - _LAST_SHARE) / CUBIC_NORM**3, _LAST_SHARE)


def _steps(finest: int, spacing: FloatArray, shape: Shape) -> IntArray:
    """Steps along z, y, x of about equal length, `finest` voxels along the finest axis."""
    known = spacing[spacing > 0]
    with np.errstate(divide="ignore"):
        step = np.where(spacing > 0, finest * known.min() / spacing, np.inf)
    return np.asarray(np.clip(np.round(step), 1, np.maximum(shape, 1)), dtype=np.int64)


class _Bound:
    """Bounds on the error of coarse grids for one map over one lattice."""

    def __init__(self, map_: LatticeMap, shape: Shape) -> None:
        self._map, self._shape = map_, shape
        columns = map_.to_u[:, :3].copy()
        if map_.dimensions == 2:
            columns[0] = 0.0
        self._columns = columns
        self.spacing = np.linalg.norm(columns, axis=0)
        self._sizes = np.linalg.norm(map_.weights, axis=0)
        self._planar = map_.dimensions == 2
        corners = np.array(
            [[z, y, x] for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=np.float64
        )
        corners = (corners * shape - 0.5) @ map_.to_u[:, :3].T + map_.to_u[:, 3]
        self._low, self._high = corners.min(axis=0), corners.max(axis=0)
        inside = np.clip(map_.control, self._low[:, None], self._high[:, None])
        every = max(1, inside.shape[1] // _PROBES)
        self._probes = np.ascontiguousarray(inside.T[::every])

    def radius_for(self, step: IntArray, tolerance: float) -> float:
        """Radius at which a grid of that step keeps the tolerance at the landmarks."""
        from .lattice_kernels import largest_sum_at

        allowed = tolerance / self._factor(step)
        low, high = 0.0, 4.0 * float(np.linalg.norm(self._high - self._low))
        for _ in range(14):
            radius = 0.5 * (low + high)
            derivative = largest_sum_at(
                self._probes, self._map.control, self._sizes, self._reach(step), radius,
                OUTSIDE[self._map.dimensions], INSIDE[self._map.dimensions], self._planar,
            )  # fmt: skip
            if derivative > allowed:
                low = radius
            else:
                high = radius
        return float(high)

    def certified(self, levels: tuple[Level, ...], tolerance: float) -> float:
        """Upper bound on the error of a mapped index anywhere in the lattice."""
        from .lattice_kernels import largest_sum

        error = 0.0
        for level in levels:
            derivative = largest_sum(
                self._low, self._high, self._map.control, self._sizes, self._reach(level.step),
                level.radius, OUTSIDE[self._map.dimensions], INSIDE[self._map.dimensions],
                self._planar, 0.25 * tolerance / self._factor(level.step),
            )  # fmt: skip
            error = error * CUBIC_NORM**3 + self._factor(level.step) * derivative
        return float(error)

    def cost(self, levels: tuple[Level, ...]) -> float:
        """Nanoseconds, roughly."""
        shape = np.asarray(self._shape, dtype=np.float64)
        known = self.spacing > 0
        spacing = np.where(known, self.spacing, 1.0)
        landmarks = self._map.control.shape[1]
        total = 0.0
        outer = np.inf
        for level in (*levels, Level(_ONES, 0.0)):
            counts = np.ceil(shape / level.step) + (3 if level.radius else 0)
            reached = counts.copy()
            if np.isfinite(outer):
                np.minimum(2 * outer / (spacing * level.step), counts, out=reached, where=known)
            ball = float(np.prod(reached))
            share = np.pi / 6 if np.isfinite(outer) else 1.0
            total += landmarks * ball * share * (_NEAR_NS if np.isfinite(outer) else _NODE_NS)
            total += float(np.prod(counts)) * _VOXEL_NS * np.isfinite(outer)
            outer = level.radius
        return total

    def _reach(self, step: IntArray) -> float:
        """How far a stencil extends from a point in its middle cell."""
        return 2.0 * float(np.linalg.norm(np.abs(self._columns) @ step))

    def _factor(self, step: IntArray) -> float:
        # z is interpolated first: its error passes through the interpolations along y and x
        z, y, x = (self.spacing * step) ** 4
        return float(CUBIC_ERROR * (z * CUBIC_NORM**2 + y * CUBIC_NORM + x))
