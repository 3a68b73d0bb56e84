"""The elastic map that maximises the local correlation, bending as little as possible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.optimize import minimize

from .bsplines import SplineBasis, bending
from .linear_match import Comparison
from .local_correlation import correlation_and_force
from .sampling_kernels import sample_field
from .structure import Structure

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

_SCALE = 1000.0


@dataclass(frozen=True, eq=False)
class ElasticMatch:
    """Result of :func:`match_elastic`.

    Parameters
    ----------
    shift : (3, z, y, x) float64
        Displacement of the fixed image's voxels, in its voxels, before `matrix` is applied.
    metric : float
        Mean squared local correlation over the overlap.
    least_volume : float
        Smallest Jacobian determinant of ``index -> index + shift``; <= 0 where it folds.
    """

    shift: FloatArray
    metric: float
    least_volume: float


def match_elastic(
    comparison: Comparison,
    matrix: FloatArray,
    shift: FloatArray,
    control_step: float,
    stiffness: float,
    iterations: int,
) -> ElasticMatch:
    """Climb from a displacement to the nearest maximum of correlation less bending.

    Parameters
    ----------
    comparison : Comparison
    matrix : (4, 4) float64
        Fixed index to moving index, applied after the displacement.
    shift : (3, z, y, x) float64
        Where to start, in fixed voxels.
    control_step : float
        Voxels between the control points of the cubic B-spline.
    stiffness : float
        How much correlation a bending costs: that of the mean square of the displacement's second
        derivatives times the square of the image's diagonal (so it means the same at every
        resolution).
    iterations : int
    """
    fixed = comparison.fixed
    shape = np.asarray(fixed.values.shape)
    basis = SplineBasis(fixed.values.shape, control_step)
    price = stiffness * float(np.sum(shape[shape > 1].astype(float) ** 2))
    wide = shape > 1
    size = (3, *basis.size)
    matching = _Matching(comparison, matrix)

    def cost(flat: FloatArray) -> tuple[float, FloatArray]:
        coefficients = _unpacked(flat, size, wide)
        total, slope = matching.slope(basis.field(coefficients))
        energy, by_energy = bending(coefficients, control_step)
        gradient = basis.gathered(slope) - price * by_energy
        return -_SCALE * (total - price * energy), -_SCALE * gradient[wide].ravel()

    start = basis.fitted(shift)[wide].ravel()
    found = minimize(
        cost, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations, "maxcor": 8}
    )
    moved = basis.field(_unpacked(found.x, size, wide))
    return ElasticMatch(moved, matching.metric(moved), float(volumes(moved).min()))


def resampled_shift(
    shift: FloatArray, of: Structure, at: Structure, in_voxels: bool = True
) -> FloatArray:
    """A displacement on the voxels of another grid, the rim's value beyond the rim.

    Parameters
    ----------
    shift : (3, z, y, x) float64
        In voxels of `of`, along its axes.
    of, at : Structure
    in_voxels : bool
        In voxels of `at`, along its axes; else in um, along world z, y, x.

    Returns
    -------
    (3, z, y, x) float64
    """
    index = of.grid.to_index(at.grid.to_world(np.indices(at.grid.shape).reshape(3, -1).T)).T
    found = np.stack([map_coordinates(s, index, order=1, mode="nearest") for s in shift])
    turn = of.grid.index_to_world[:3, :3]
    if in_voxels:
        turn = at.grid.world_to_index[:3, :3] @ turn
    return np.asarray((turn @ found).reshape(3, *at.grid.shape))


def volumes(shift: FloatArray) -> FloatArray:
    """(z, y, x) Jacobian determinant of ``index -> index + shift``."""
    wide = [a for a, n in enumerate(shift.shape[1:]) if n > 1]
    rows = [[np.gradient(shift[a], axis=b) + (a == b) for b in wide] for a in wide]
    stack = np.moveaxis(np.array(rows), (0, 1), (-2, -1))
    return np.asarray(np.linalg.det(stack))


def _unpacked(flat: FloatArray, size: tuple[int, ...], wide: NDArray[np.bool_]) -> FloatArray:
    coefficients = np.zeros(size)
    coefficients[wide] = flat.reshape(int(wide.sum()), *size[1:])
    return coefficients


class _Matching:
    def __init__(self, comparison: Comparison, matrix: FloatArray) -> None:
        self._comparison = comparison
        self._matrix = np.ascontiguousarray(matrix)
        shape = comparison.fixed.values.shape
        self._values = np.empty(shape, np.float32)
        self._inside = np.empty(shape, np.float32)
        self._slopes = np.empty((3, *shape), np.float32)

    def slope(self, shift: FloatArray) -> tuple[float, FloatArray]:
        """The metric, and its derivative by the displacement (3, z, y, x)."""
        total, n, force = self._evaluate(shift)
        if n <= 0:
            return 0.0, np.zeros_like(shift)
        # by the moving index, then by the fixed one
        turned = np.tensordot(self._matrix[:3, :3].T, self._slopes, axes=(1, 0))
        return total / n, force / n * turned

    def metric(self, shift: FloatArray) -> float:
        total, n, _ = self._evaluate(shift)
        return total / n if n > 0 else 0.0

    def _evaluate(self, shift: FloatArray) -> tuple[float, float, Float32Array]:
        c = self._comparison
        sample_field(
            c.moving.values,
            c.moving.valid,
            self._matrix,
            np.ascontiguousarray(shift),
            self._values,
            self._inside,
            self._slopes,
        )
        valid = ((self._inside > 0.99) & (c.fixed.valid > 0.99)).astype(np.float32)
        return correlation_and_force(c.fixed.values, self._values, valid, c.weight, c.windows)
