"""Cubic B-spline coefficients (ITK's, elastix's) sampled to a displacement field with its error.

``d(u) = sum_k c_k B3(u - k)`` along each axis. Between the nodes of an m-fold finer grid the
trilinear interpolant errs by at most ``1/8 sum_a max|d^2 / du_a^2| / m^2``, and the second
derivative of a cubic B-spline is a convex mean of second differences of its coefficients
(de Boor, A Practical Guide to Splines, ch. X), so that their largest is a bound.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import TransformError
from ...geometry import Grid
from ...transform import DisplacementField

FloatArray = NDArray[np.float64]

TOLERANCE_UM = 0.05
_MOST_VECTORS = 2**24


def spline_field(
    grid: Grid, coefficients_um: FloatArray, dimensions: int
) -> tuple[DisplacementField, float]:
    """The field of a B-spline where all its support is known, and the largest error in um.

    Parameters
    ----------
    grid : Grid
        Of the coefficients.
    coefficients_um : (3, z, y, x) float64
    dimensions : int
        2 leaves out z, along which there is one coefficient.

    Raises
    ------
    TransformError
        If there are fewer than four coefficients along an axis.
    """
    axes = (0, 1, 2) if dimensions == 3 else (1, 2)
    if any(grid.shape[a] < 4 for a in axes):
        raise TransformError(
            f"its B-spline has {' x '.join(map(str, grid.shape))} coefficients, needs 4 an axis"
        )
    bends = []
    for axis in axes:
        second = np.diff(coefficients_um, n=2, axis=axis + 1)
        bends.append(float(np.linalg.norm(second, axis=0).max()))
    # between nodes u = 1 and n - 2 all four coefficients exist
    spans = [grid.shape[a] - 3 if a in axes else 0 for a in range(3)]
    factors = [1, 1, 1]
    while sum(_errors(bends, axes, factors)) > TOLERANCE_UM:
        worst = axes[int(np.argmax(_errors(bends, axes, factors)))]
        tried = [f * 2 if a == worst else f for a, f in enumerate(factors)]
        if np.prod([s * f + 1 for s, f in zip(spans, tried, strict=True)], dtype=object) > (
            _MOST_VECTORS
        ):
            break
        factors = tried
    values = np.asarray(coefficients_um, dtype=np.float64)
    step, start = np.eye(4), np.eye(4)
    for axis in axes:
        weights = _weights(grid.shape[axis], factors[axis])
        values = np.moveaxis(np.tensordot(weights, values, axes=(1, axis + 1)), 0, axis + 1)
        step[axis, axis] = 1 / factors[axis]
        start[axis, 3] = 1.0
    shape = values.shape[1:]
    fine = Grid((shape[0], shape[1], shape[2]), grid.index_to_world @ start @ step)
    return DisplacementField(fine, values), sum(_errors(bends, axes, factors))


def _errors(bends: list[float], axes: tuple[int, ...], factors: list[int]) -> list[float]:
    return [bend / factors[a] ** 2 / 8 for bend, a in zip(bends, axes, strict=True)]


def _weights(n: int, factor: int) -> FloatArray:
    """(m, n): row i gives the spline at u = 1 + i / factor."""
    count = (n - 3) * factor + 1
    u = 1 + np.arange(count) / factor
    first = np.minimum(np.floor(u).astype(int), n - 3) - 1
    t = u - first - 1
    matrix = np.zeros((count, n))
    rows = np.arange(count)
    parts = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for offset, part in enumerate(parts):
        matrix[rows, first + offset] = part / 6
    return matrix
