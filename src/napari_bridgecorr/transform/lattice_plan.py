"""Choosing the quickest coarse grids that keep a tolerance, for :mod:`.lattice_map`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
# part of the cost of one grid
_LITTLE = 0.3
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
    steps, shares = _choices(bound.spacing, shape)
    allowed = 0.999 * shares * tolerance_voxels
    rough = bound.rough_cost(steps, allowed)
    # where every kernel at every node costs little, there is little to gain from a coarser grid
    one = shares[:, 0] == 0
    rough[~one & (bound.node_cost(steps[:, 1]) < _LITTLE * rough[one].min())] = np.inf
    best: tuple[Level, ...] = ()
    wanted: FloatArray = np.zeros(0)
    best_cost, close = bound.direct_cost(), 0
    for k in np.argsort(rough, kind="stable"):
        if rough[k] >= best_cost or close >= (_TRIED if best else 3 * _TRIED):
            break
        used = allowed[k] > 0
        radii = [
            bound.radius_for(s, w) for s, w in zip(steps[k, used], allowed[k, used], strict=True)
        ]
        levels = tuple(
            Level(s, r) for s, r in zip(steps[k, used], radii, strict=True) if r is not None
        )
        if len(levels) < len(radii):
            continue  # so coarse a grid cannot keep the tolerance, whatever the radius
        close += 1
        largest = np.zeros((1, 2))
        largest[0, used] = [r.radius.max() for r in levels]
        cost = float(bound.cost(steps[k : k + 1], largest, used[None])[0])
        if cost < best_cost:
            best, best_cost, wanted = levels, cost, allowed[k, used]
    for _ in range(12):  # the radii were found at the landmarks; now everywhere counts
        if not best:
            return None
        errors = [bound.certified(level, w) for level, w in zip(best, wanted, strict=True)]
        total = ROUNDING_VOXELS
        for level, error in zip(best, errors, strict=True):
            total = total * CUBIC_NORM ** np.count_nonzero(level.step) + error
        if total <= tolerance_voxels:
            return best, total
        grown = (
            1.02 * max(1.0, error / w) ** 0.35 for error, w in zip(errors, wanted, strict=True)
        )
        best = tuple(Level(v.step, g * v.radius) for v, g in zip(best, grown, strict=True))
    return None


def _choices(spacing: FloatArray, shape: Shape) -> tuple[IntArray, FloatArray]:
    """Coarse grids worth trying: steps (k, 2, 3), the coarser first, and their shares (k, 2).

    The shares are those of the tolerance; a grid without a share is not there.
    """
    sizes = np.array(_STEPS, dtype=np.float64)
    fine, is_fine = _steps(sizes, spacing, shape)
    coarse, is_coarse = _steps(sizes[:, None] * _RATIOS, spacing, shape)
    # size, kind of fine grid, ratio, kind of coarse grid
    pairs = np.empty((*fine.shape[:2], *coarse.shape[1:3], 2, 3), np.int64)
    pairs[..., 0, :], pairs[..., 1, :] = coarse[:, None], fine[:, :, None, None]
    known = is_fine[:, :, None, None] & is_coarse[:, None]
    known = known & ((pairs[..., 0, 0] > 0) | (pairs[..., 1, 0] == 0))
    alone = np.stack([np.zeros_like(fine), fine], axis=-2)
    steps = np.concatenate([alone[is_fine], pairs[known]])
    two = np.arange(len(steps)) >= np.count_nonzero(is_fine)
    # the coarse grid's error passes through the fine one's interpolation
    passed = CUBIC_NORM ** np.count_nonzero(steps[:, 1], axis=1)
    shares = np.where(two, [(1 - _LAST_SHARE) / passed, np.full(len(steps), _LAST_SHARE)],
                      [[0.0], [1.0]]).T  # fmt: skip
    return steps, np.ascontiguousarray(shares)


def _steps(
    sizes: FloatArray, spacing: FloatArray, shape: Shape
) -> tuple[IntArray, NDArray[np.bool_]]:
    """Steps (..., 2, 3) of about equal length along z, y, x: `sizes` voxels of the finer of y, x.

    The first of two leaves z as it is; the second does not, and is not always there (..., 2).
    """
    length = sizes * min(s for s in spacing[1:] if s > 0)
    steps = np.zeros((*sizes.shape, 2, 3), np.int64)
    there = np.ones((*sizes.shape, 2), np.bool_)
    for axis in (1, 2):
        n, s = shape[axis], spacing[axis]
        along = np.clip(length / s, 1, n) if s > 0 else np.full(sizes.shape, n)
        steps[..., axis] = np.round(along)[..., None]
    if spacing[0] > 0:
        z = np.round(np.minimum(length / spacing[0], shape[0])).astype(np.int64)
        steps[..., 1, 0] = z
        there[..., 1] = (z >= 2) & (-(-shape[0] // np.maximum(z, 1)) + 3 < shape[0])
    else:
        there[..., 1] = False
    return steps, there


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
        self._fourth = self.spacing**4 * [CUBIC_NORM**2, 1.0, CUBIC_NORM]
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
        allowed = tolerance / float(self._factor(step))
        low, high = 0.0, 4.0 * float(np.linalg.norm(self._high - self._low))
        # the own kernel alone needs that much; the others' sum comes on top
        radius = float(self._own_radii(allowed))
        reach, relative = self._reach(step), self._relative[self._some]

        def sums(points: FloatArray, r: float) -> FloatArray:
            return sums_at(points, reach, self._control, self._sizes, r * relative, self._map.kind)

        worst = np.argsort(-sums(self._probes, radius), kind="stable")[:_WORST]
        probes = self._probes[worst]
        if sums(probes, high).max() > allowed:
            return None
        # a radius below a voxel is as good as none: where no landmark is near, none is needed
        smallest = 0.05 * float(self.spacing[self.spacing > 0].min())
        while high - low > 0.05 * high and high > smallest:
            radius = min(max(radius, low + 0.1 * (high - low)), high - 0.1 * (high - low))
            if sums(probes, radius).max() > allowed:
                low, radius = radius, radius * _OTHERS
            else:
                high, radius = radius, 0.5 * (low + radius)
        return np.asarray(_OTHERS * high * self._relative)

    def _own_radii(self, allowed: FloatArray | float) -> FloatArray:
        """Radii that the heaviest landmark needs if the others are spread evenly."""
        kind = self._map.kind
        alone = self._heaviest / np.asarray(allowed)
        if kind > 1:  # near a landmark these are cones or rounder; far away they vanish
            return np.asarray(alone ** (1 / 3) * 1.7 if kind == 2 else 3.5 * alone)
        power = 1 / 2 if kind == 1 else 1 / 3
        radius = (alone * INSIDE[kind]) ** power
        for _ in range(2):
            others = self._density * np.log(self._extent / np.minimum(radius, self._extent))
            rest = np.maximum(1 - others / allowed, 1e-300)
            grown = (alone * INSIDE[kind] / rest) ** power
            # the others alone may be more than is allowed: then nothing is far enough
            radius = np.where((others < allowed) & (radius < np.inf), grown, np.inf)
        return np.asarray(np.where(radius < np.inf, radius, self._extent))

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
        return float(factor * derivative)

    def direct_cost(self) -> float:
        """Nanoseconds of every kernel at every voxel."""
        return float(np.prod(self._shape) * self._map.control.shape[1] * _NODE_NS * self._slow)

    def node_cost(self, steps: IntArray) -> FloatArray:
        """Nanoseconds of every kernel at every node of grids (..., 3)."""
        nodes = self._sizes_of(steps).prod(axis=-1)
        return np.asarray(nodes * self._map.control.shape[1] * _NODE_NS * self._slow)

    def _sizes_of(self, steps: IntArray) -> FloatArray:
        """Nodes along z, y, x of grids (..., 3)."""
        sizes = np.where(steps > 0, self._shape / np.maximum(steps, 1) + 3.0, self._shape)
        if self.spacing[0] == 0:
            sizes[..., 0] = 1.0
        return sizes

    def rough_cost(self, steps: IntArray, allowed: FloatArray) -> FloatArray:
        """(k,) nanoseconds of grids (k, 2, 3) if every landmark stood alone; see :meth:`cost`.

        ``allowed`` (k, 2) is what each grid may err, in moving voxels; 0: it is not there.
        """
        used = allowed > 0
        radii = _OTHERS * self._own_radii(
            np.where(used, allowed, 1.0) / np.where(used, self._factor(steps), 1.0)
        )
        return self.cost(steps, np.where(used, radii, 0.0), used)

    def cost(self, steps: IntArray, radii: FloatArray, used: NDArray[np.bool_]) -> FloatArray:
        """(k,) nanoseconds, roughly, of grids (k, 2, 3), the coarser first, with radii (k, 2)."""
        voxels = float(np.prod(self._shape))
        sizes = self._sizes_of(steps)
        nodes = sizes.prod(axis=-1)
        rows = sizes[..., 0] * sizes[..., 1]
        near = used * self._near_cost(radii, nodes, rows, voxels)  # the nodes' own
        two = used[:, 0]
        everywhere = np.where(two, *self.node_cost(steps).T)
        fine = nodes[:, 1] * _VOXEL_NS + self._near_cost(
            radii[:, 0], nodes[:, 1], rows[:, 1], voxels
        )
        last = self._near_cost(radii[:, 1], voxels, float(self._shape[0] * self._shape[1]), voxels)
        total = everywhere + near.sum(axis=1) + last
        return np.asarray(total + np.where(two, fine, 0.0))

    def _near_cost(
        self, radius: FloatArray, nodes: FloatArray | float, rows: FloatArray | float, voxels: float
    ) -> FloatArray:
        within = self._per_ball * radius**self._power
        evaluated = np.minimum(within, self._map.control.shape[1] * voxels) * nodes / voxels
        # a row meets a landmark for about as many voxels as its radius is long
        length = np.maximum(radius * nodes / rows / (self._shape[2] * self.spacing[2]), 1.0)
        return np.asarray(evaluated * _NEAR_NS * self._slow + evaluated / length * _ROW_NS)

    def _reach(self, step: IntArray) -> FloatArray:
        """How far a stencil extends from its centre along the coordinates."""
        return np.asarray(1.5 * np.abs(self._columns) @ step)

    def _factor(self, steps: IntArray) -> Any:
        # z is interpolated first, then x, then y: each passes on the errors before it
        return CUBIC_ERROR * (self._fourth * steps.astype(np.float64) ** 4).sum(axis=-1)
