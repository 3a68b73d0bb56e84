"""How far the trilinear interpolation of a sampled thin-plate spline can be from the spline.

In a cell with edge vectors a_k the interpolant of a function f errs at the cell's fractions t by at
most ``1/2 sum_k t_k (1 - t_k) max |d^2 f / da_k^2|`` (Davis, Interpolation and Approximation, ch.
3, axis by axis). A thin-plate spline's second derivatives are infinite at its landmarks, so that
the landmarks are parted for every box of cells:

- The kernels of those further away are summed as vectors at the box's centre, and what their sum
  can change within the box is added by the bound of the kernel's third derivative.
- Near ones are bounded one by one. In 3-D the kernel is a cone. The interpolant of ``|x - p|`` is
  the mean of ``|X - p|`` over the corners X, whose mean is x and whose variance is ``V = sum_k
  t_k (1 - t_k) |a_k|^2``; with Jensen's inequality the error is at most ``sqrt(r^2 + V) - r``,
  which is reached where the landmark lies in a cell's middle. In 2-D the second derivative is
  ``|a_k|^2 (2 log(R / s) + 2)``, which is summed with the others, but for ``2 log(r / R)`` and at
  most 1; with Green's function of linear interpolation these add at most ``t_k (1 - t_k) |a_k|^2
  (1.5 + log(2 R / |a_k|) + 0.5)`` while r < R.

Boxes are halved, the one with the largest bound first, until the bound is close to an error that
was found: cost does not depend on the number of cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cell_kernels import box_bounds
from .thin_plate import ThinPlateSpline

FloatArray = NDArray[np.float64]

_CLOSE_ENOUGH = 1.1
_MOST_BOXES = 400_000
_BATCH_BOXES = 4096
# a cell is halved at most so often
_DEEPEST_PART = 4


@dataclass(frozen=True, eq=False)
class SplineCells:
    """Cells of a lattice over a thin-plate spline.

    Parameters
    ----------
    spline : ThinPlateSpline
    index_to_fixed : (4, 4) float64
        From the lattice's indices to the spline's fixed points, (z, y, x) in um.
    shape : (int, int, int)
        Nodes of the lattice.
    outward : (3, 3) float64
        Linear map that follows the spline: the error is measured behind it.
    """

    spline: ThinPlateSpline
    index_to_fixed: FloatArray
    shape: tuple[int, int, int]
    outward: FloatArray

    def bound_um(self, found_um: float) -> float:
        """The error anywhere within the lattice, at most.

        Parameters
        ----------
        found_um : float
            An error that is reached: what cannot exceed it by a tenth is not looked into.
        """
        lower, size = self._whole()
        bounds = self._bounds(lower, size)
        settled = _CLOSE_ENOUGH * found_um
        examined = 0
        while len(lower) and examined < _MOST_BOXES:
            # the worst first: when the work ends, what is left is the bound
            order = np.argsort(bounds)[::-1]
            worst, rest = order[:_BATCH_BOXES], order[_BATCH_BOXES:]
            worst = worst[bounds[worst] > settled]
            if not len(worst):
                return settled
            parts_lower, parts_size = _halved(lower[worst], size[worst])
            parts = self._bounds(parts_lower, parts_size)
            examined += len(parts)
            is_last = np.all(parts_size <= 2.0**-_DEEPEST_PART, axis=1)
            settled = max(settled, float(np.max(parts[is_last], initial=0.0)))
            kept = ~is_last & (parts > settled)
            lower = np.concatenate([lower[rest], parts_lower[kept]])
            size = np.concatenate([size[rest], parts_size[kept]])
            bounds = np.concatenate([bounds[rest], parts[kept]])
        return max(settled, float(np.max(bounds, initial=0.0)))

    def _whole(self) -> tuple[FloatArray, FloatArray]:
        """The lattice as one box; an axis along which a planar spline is straight as one point."""
        size = np.maximum(np.asarray(self.shape, dtype=np.float64) - 1, 1)
        if self.spline.dimensions == 2:
            straight = np.all(self.index_to_fixed[1:3, :3] == 0, axis=0)
            size[straight] = 2.0**-_DEEPEST_PART
        return np.zeros((1, 3)), size[None]

    def _bounds(self, lower: FloatArray, size: FloatArray) -> FloatArray:
        """(b,) bounds of boxes ``lower <= index <= lower + size``; parts of a cell lie in one."""
        weights = self.spline.weights_um @ self.outward.T / self.spline.scale_um
        found: FloatArray = box_bounds(
            np.ascontiguousarray(lower),
            np.ascontiguousarray(size),
            np.ascontiguousarray(self.index_to_fixed),
            np.ascontiguousarray(self.spline.fixed_um),
            np.ascontiguousarray(weights),
            self.spline.scale_um,
            self.spline.dimensions == 2,
        )
        return found


def _halved(lower: FloatArray, size: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Boxes split along their longest axes; whole cells stay whole until there is but one."""
    least = 0.5 * size.max(axis=1)
    for axis in range(3):
        length = size[:, axis]
        split = (length > 2.0**-_DEEPEST_PART) & (length > least)
        half = np.where(length > 1, np.ceil(length / 2), length / 2)[split]
        left, right = lower[split], lower[split].copy()
        left_size, right_size = size[split].copy(), size[split].copy()
        left_size[:, axis] = half
        right[:, axis] += half
        right_size[:, axis] -= half
        lower = np.concatenate([lower[~split], left, right])
        size = np.concatenate([size[~split], left_size, right_size])
        least = np.concatenate([least[~split], least[split], least[split]])
    return lower, size
