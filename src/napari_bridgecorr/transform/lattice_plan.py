"""Choosing the quickest coarse grids that keep a tolerance, for :mod:`.lattice_map`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .lattice_bound import INSIDE, OUTSIDE, RADIUS_POWER, largest_sum, sums_at

if TYPE_CHECKING:
    from .lattice_map import LatticeMap

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Shape = tuple[int, int, int]

# Error of 4-point Lagrange interpolation between its two inner nodes, times h^4 max|f''''|:
# max |t(t-1)(t+1)(t-2)| / 4! = 9/16 / 24. An error in the nodes grows by at most 5/4 an axis.
CUBIC_ERROR = 9 / 384
CUBIC_NORM = 1.25
# what the sums' rounding can add, in moving voxels; far more than was ever seen
ROUNDING_VOXELS = 1e-6

_STEPS = (64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2)
_RATIOS = (2, 3, 4, 6)
# what the last interpolation may use of the tolerance where there are two
_LAST_SHARE = 0.6
# nanoseconds of one kernel at a node, one near kernel at a voxel, one near landmark in a row, one
# node interpolated (one core, measured)
_NODE_NS, _NEAR_NS, _ROW_NS, _VOXEL_NS = 1.0, 2.0, 40.0, 10.0
# a logarithm or an exponential takes so much longer than a square root
_SLOW_KERNEL = 6.0
_PROBES, _WORST = 512, 32
# plans that are looked at closely, and the least that a coarse grid's own landmark leaves to others
_TRIED = 3
_OTHERS = 1.15


@dataclass(frozen=True, eq=False)
class Level:
    """A coarse grid.

    Parameters
    ----------
    step : (3,) int64
        Fixed voxels between nodes along z, y, x; node k stands at index ``step * k``. 0 along z:
        nodes stand wherever a value is wanted, and nothing is interpolated along z.
    radius : (m,) float64
        Where each landmark's kernel is split, in the coordinates of distances; 0: it is not.
    """

    step: IntArray
    radius: FloatArray


def plan(
    map_: LatticeMap, shape: Shape, tolerance_voxels: float
) -> tuple[tuple[Level, ...], float] | None:
    """Coarse grids, coarsest first, and the proven bound on their error; None: none is worth it."""
    bound = Bound(map_, shape)
    if bound.spacing[2] == 0 or not bound.sizes.any():
        return None
    direct = bound.node_cost(np.array([0, 1, 1]), halo=0)
    tried: list[tuple[float, int, tuple[IntArray, ...], tuple[float, ...]]] = []
    for steps, shares in _choices(bound.spacing, shape):
        if len(steps) > 1 and tried and bound.node_cost(steps[-1]) < 0.3 * min(tried)[0]:
            continue  # there is little to gain from a coarser grid below
        rough = bound.rough_cost(steps, shares, tolerance_voxels)
        tried.append((rough, len(tried), steps, shares))
    best: tuple[Level, ...] = ()
    allowed: list[float] = []
    best_cost, close = direct, 0
    for rough, _, steps, shares in sorted(tried):
        if rough >= best_cost or close >= (_TRIED if best else 3 * _TRIED):
            break
        wanted = [0.999 * share * tolerance_voxels for share in shares]
        radii = [bound.radius_for(s, w) for s, w in zip(steps, wanted, strict=True)]
        levels = tuple(Level(s, r) for s, r in zip(steps, radii, strict=True) if r is not None)
        if len(levels) < len(steps):
            continue  # so coarse a grid cannot keep the tolerance, whatever the radius
        close += 1
        cost = bound.cost(levels)
        if cost < best_cost:
            best, best_cost, allowed = levels, cost, wanted
    for _ in range(12):  # the radii were found at the landmarks; now everywhere counts
        if not best:
            return None
        errors = [bound.certified(level, w) for level, w in zip(best, allowed, strict=True)]
        total = ROUNDING_VOXELS
        for level, error in zip(best, errors, strict=True):
            total = total * CUBIC_NORM ** np.count_nonzero(level.step) + error
        if total <= tolerance_voxels:
            return best, total
        grown = (
            1.02 * max(1.0, error / w) ** 0.35 for error, w in zip(errors, allowed, strict=True)
        )
        best = tuple(Level(v.step, g * v.radius) for v, g in zip(best, grown, strict=True))
    return None


def _choices(
    spacing: FloatArray, shape: Shape
) -> Iterator[tuple[tuple[IntArray, ...], tuple[float, ...]]]:
    """Steps of the coarse grids worth trying, and the share of the tolerance of each."""
    for size in _STEPS:
        for fine in _steps(size, spacing, shape):
            yield (fine,), (1.0,)
    for size in _STEPS:
        for fine in _steps(size, spacing, shape):
            # the coarse grid's error passes through the fine one's interpolation
            share = (1 - _LAST_SHARE) / CUBIC_NORM ** np.count_nonzero(fine)
            for ratio in _RATIOS:
                for coarse in _steps(size * ratio, spacing, shape):
                    if coarse[0] > 0 or fine[0] == 0:
                        yield (coarse, fine), (share, _LAST_SHARE)


def _steps(size: int, spacing: FloatArray, shape: Shape) -> Iterator[IntArray]:
    """Steps of about equal length along z, y, x, `size` voxels along the finer of y and x."""
    length = size * min(s for s in spacing[1:] if s > 0)
    y, x = (
        round(min(max(length / s, 1.0), n)) if s > 0 else n
        for s, n in zip(spacing[1:], shape[1:], strict=True)
    )
    yield np.array([0, y, x], dtype=np.int64)
    if spacing[0] > 0:
        z = round(min(length / spacing[0], shape[0]))
        if z >= 2 and -(-shape[0] // z) + 3 < shape[0]:
            yield np.array([z, y, x], dtype=np.int64)


class Bound:
    """Bounds on the error of coarse grids, and their cost, for one map over one lattice."""

    def __init__(self, map_: LatticeMap, shape: Shape) -> None:
        self._map, self._shape = map_, np.asarray(shape, dtype=np.float64)
        columns = map_.to_u[:, :3].copy()
        if map_.kind == 1:
            columns[0] = 0.0
        self._columns = columns
        self.spacing = np.linalg.norm(columns, axis=0)
        self.sizes = np.linalg.norm(map_.weights, axis=0)
        corners = np.array(
            [[z, y, x] for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=np.float64
        )
        corners = (corners * shape - 0.5) @ columns.T + map_.to_u[:, 3]
        self._low, self._high = corners.min(axis=0), corners.max(axis=0)
        self._some = self.sizes > 0
        self._sizes = self.sizes[self._some]
        self._control = np.ascontiguousarray(map_.control[:, self._some])
        self._relative = (self.sizes / max(self.sizes.max(), 1e-300)) ** RADIUS_POWER[map_.kind]
        heaviest = np.argsort(-self.sizes, kind="stable")[:_PROBES]
        inside = np.clip(map_.control, self._low[:, None], self._high[:, None])
        self._probes = np.ascontiguousarray(inside.T[heaviest])
        self._slow = 1.0 if map_.kind == 0 else _SLOW_KERNEL
        self._heaviest = float(self.sizes.max())
        self._fourth = [float(v) ** 4 for v in self.spacing]
        self._spread()

    def _spread(self) -> None:
        """Rough figures for the cost, as if the landmarks were spread evenly over their box."""
        planar = self._map.kind == 1
        axes = slice(1 if planar else 0, 3)
        known = self.spacing > 0
        sides = np.maximum(np.ptp(self._map.control, axis=1)[axes], 1e-9)
        domain = np.maximum((self._high - self._low)[axes], 1e-12)
        self._extent = 0.5 * float(np.linalg.norm(np.maximum(sides, domain)))
        # what they add to the sum in a shell, over the logarithm of its radii
        shell = 2 * math.pi * OUTSIDE[1] if planar else 4 * math.pi * OUTSIDE[0]
        self._density = shell * float(self.sizes.sum()) / float(np.prod(sides))
        # voxels of the lattice within one unit of the landmarks, each with its own share
        power = 2 if planar else 3
        ball = math.pi if planar else 4 / 3 * math.pi
        ball *= min(1.0, float(np.prod(np.minimum(domain, sides) / sides)))
        if planar and not known[0]:
            ball *= float(self._shape[0])
        self._per_ball = ball * float((self._relative**power).sum() / np.prod(self.spacing[known]))
        self._power = power

    def radius_for(self, step: IntArray, tolerance: float) -> FloatArray | None:
        """(m,) radii at which a grid of that step keeps the tolerance at the landmarks."""
        allowed = tolerance / self._factor(step)
        low, high = 0.0, 4.0 * float(np.linalg.norm(self._high - self._low))
        # the own kernel alone needs that much; the others' sum comes on top
        radius = self._own_radius(step, tolerance)
        worst = np.argsort(-self._sums(self._probes, step, radius), kind="stable")[:_WORST]
        probes = self._probes[worst]
        if self._sums(probes, step, high).max() > allowed:
            return None
        while high - low > 0.05 * high:
            radius = min(max(radius, low + 0.1 * (high - low)), high - 0.1 * (high - low))
            if self._sums(probes, step, radius).max() > allowed:
                low, radius = radius, radius * _OTHERS
            else:
                high, radius = radius, 0.5 * (low + radius)
        return np.asarray(_OTHERS * high * self._relative)

    def _sums(self, probes: FloatArray, step: IntArray, radius: float) -> FloatArray:
        return sums_at(
            probes, self._reach(step), self._control, self._sizes,
            radius * self._relative[self._some], self._map.kind,
        )  # fmt: skip

    def _own_radius(self, step: IntArray, tolerance: float) -> float:
        """Radius that the heaviest landmark needs if the others are spread evenly."""
        kind = self._map.kind
        allowed = tolerance / self._factor(step)
        if kind > 1:  # near a landmark these are cones or rounder; far away they vanish
            own = self._heaviest / allowed
            return float(own ** (1 / 3) * 1.7 if kind == 2 else 3.5 * own)
        radius = 0.0
        for _ in range(3):
            shells = math.log(self._extent / radius) if 0 < radius < self._extent else 0.0
            others = self._density * shells
            if others >= allowed:
                return self._extent
            own = self._heaviest * INSIDE[kind] / (allowed - others)
            radius = own ** (1 / 2 if kind == 1 else 1 / 3)
        return radius

    def certified(self, level: Level, allowed: float) -> float:
        """Upper bound on a grid's error anywhere in the lattice, if that is at most `allowed`."""
        # stencils' centres lie up to half a cell beyond the lattice
        half = 0.5 * np.abs(self._columns) @ level.step
        reach, factor = self._reach(level.step), self._factor(level.step)
        derivative = largest_sum(
            self._low - half, self._high + half, reach, self._control, self._sizes,
            level.radius[self._some], self._map.kind, allowed / factor,
            0.15 * (float(level.radius.max()) + float(reach.max())),
        )  # fmt: skip
        return factor * float(derivative)

    def rough_cost(
        self, steps: tuple[IntArray, ...], shares: tuple[float, ...], tolerance: float
    ) -> float:
        """Nanoseconds if every landmark stood alone."""
        radii = (
            _OTHERS * self._own_radius(step, share * tolerance)
            for step, share in zip(steps, shares, strict=True)
        )
        return self._cost([(step, r) for step, r in zip(steps, radii, strict=True)])

    def node_cost(self, step: IntArray, halo: int = 3) -> float:
        """Nanoseconds of every kernel at every node."""
        nodes = [n / s + halo if s else n for n, s in zip(self._shape, step.tolist(), strict=True)]
        return float(math.prod(nodes) * self._map.control.shape[1] * _NODE_NS * self._slow)

    def cost(self, levels: tuple[Level, ...]) -> float:
        """Nanoseconds, roughly."""
        return self._cost([(level.step, float(level.radius.max())) for level in levels])

    def _cost(self, levels: list[tuple[IntArray, float]]) -> float:
        landmarks = self._map.control.shape[1]
        voxels = float(np.prod(self._shape))
        total, outer = 0.0, math.inf
        for step, radius in (*levels, (np.ones(3, np.int64), 0.0)):
            last = radius == 0.0
            halo = 0 if last else 3
            z, y, x = (
                n / s + halo if s else n
                for n, s in zip(self._shape.tolist(), step.tolist(), strict=True)
            )
            if self.spacing[0] == 0 and not last:
                z = 1.0
            nodes = z * y * x
            if math.isinf(outer):
                total += nodes * landmarks * _NODE_NS * self._slow
            else:
                total += nodes * _VOXEL_NS * (not last)
                total += self._near_cost(outer, nodes, z * y, voxels)
            if not last:
                total += self._near_cost(radius, nodes, z * y, voxels)
            outer = radius
        return float(total)

    def _near_cost(self, radius: float, nodes: float, rows: float, voxels: float) -> float:
        within = self._per_ball * radius**self._power
        within = min(within, self._map.control.shape[1] * voxels)
        evaluated = within * nodes / voxels
        # a row meets a landmark for about as many voxels as its radius is long
        length = max(radius * nodes / rows / (self._shape[2] * self.spacing[2]), 1.0)
        return float(evaluated * _NEAR_NS * self._slow + evaluated / length * _ROW_NS)

    def _reach(self, step: IntArray) -> FloatArray:
        """How far a stencil extends from its centre along the coordinates."""
        return np.asarray(1.5 * np.abs(self._columns) @ step)

    def _factor(self, step: IntArray) -> float:
        # z is interpolated first, then x, then y: each passes on the errors before it
        z, y, x = (f * s**4 for f, s in zip(self._fourth, step.tolist(), strict=True))
        return float(CUBIC_ERROR * (z * CUBIC_NORM**2 + x * CUBIC_NORM + y))
