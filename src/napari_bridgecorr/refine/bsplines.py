"""Uniform cubic B-splines over a grid of voxels: a smooth field from a few coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SplineBasis:
    """Cubic B-splines along three axes; an axis of one voxel has one constant function.

    Parameters
    ----------
    shape : (int, int, int)
        Voxels.
    step : float
        Voxels between control points.
    """

    shape: tuple[int, int, int]
    step: float

    @cached_property
    def parts(self) -> list[FloatArray]:
        """Three (voxels, control points) matrices."""
        return [_basis(n, self.step) for n in self.shape]

    @property
    def size(self) -> tuple[int, int, int]:
        """Control points along z, y, x."""
        z, y, x = (p.shape[1] for p in self.parts)
        return z, y, x

    def field(self, coefficients: FloatArray) -> FloatArray:
        """(3, z, y, x) values of (3, cz, cy, cx) coefficients."""
        return _along(coefficients, self.parts)

    def gathered(self, values: FloatArray) -> FloatArray:
        """The transpose of :meth:`field`."""
        return _along(values, [p.T for p in self.parts])

    def fitted(self, values: FloatArray) -> FloatArray:
        """Coefficients whose field is nearest to (3, z, y, x) values (least squares)."""
        return _along(
            values, [np.asarray(np.linalg.pinv(p, rcond=1e-6), np.float64) for p in self.parts]
        )


def bending(coefficients: FloatArray, step: float) -> tuple[float, FloatArray]:
    """Mean square of a field's second derivatives (per voxel), and its slope.

    Taken at the control points, from second differences of the coefficients.
    """
    wide = [a for a in (1, 2, 3) if coefficients.shape[a] > 3]
    total = 0.0
    slope = np.zeros_like(coefficients)
    n = float(np.prod(coefficients.shape[1:]))
    for i, a in enumerate(wide):
        for b in wide[i:]:
            weight = (1.0 if a == b else 2.0) / (n * step**4)
            if a == b:
                d = np.diff(coefficients, 2, axis=a)
                total += weight * float(np.sum(d * d))
                _add_second(slope, d, a, 2 * weight)
            else:
                d = np.diff(np.diff(coefficients, axis=a), axis=b)
                total += weight * float(np.sum(d * d))
                _add_mixed(slope, d, a, b, 2 * weight)
    return total, slope


def _add_second(slope: FloatArray, d: FloatArray, axis: int, weight: float) -> None:
    for offset, factor in ((0, 1.0), (1, -2.0), (2, 1.0)):
        part = [slice(None)] * slope.ndim
        part[axis] = slice(offset, offset + d.shape[axis])
        slope[tuple(part)] += weight * factor * d


def _add_mixed(slope: FloatArray, d: FloatArray, a: int, b: int, weight: float) -> None:
    for i in (0, 1):
        for j in (0, 1):
            part = [slice(None)] * slope.ndim
            part[a] = slice(i, i + d.shape[a])
            part[b] = slice(j, j + d.shape[b])
            slope[tuple(part)] += weight * (1.0 if i == j else -1.0) * d


def _basis(n: int, step: float) -> FloatArray:
    if n == 1:
        return np.ones((1, 1))
    # control points are centred on the voxels and reach one beyond them
    intervals = max(1, round((n - 1) / step))
    position = np.arange(n) * (intervals / (n - 1))
    distance = np.abs(position[:, None] - (np.arange(intervals + 3) - 1)[None])
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.asarray(np.where(distance < 1, inner, outer))


def _along(values: FloatArray, matrices: list[FloatArray]) -> FloatArray:
    out = values
    for axis, matrix in enumerate(matrices, start=1):
        out = np.moveaxis(np.tensordot(matrix, out, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(out)
