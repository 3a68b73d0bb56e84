"""Compiled inner loops of the search for one patch. They run on one thread and hold no lock."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@njit(cache=True, nogil=True)
def shifted_correlations(
    left: FloatArray,
    weights: FloatArray,
    basis: FloatArray,
    starts: NDArray[np.int64],
    fine: FloatArray,
    shifts: NDArray[np.int64],
    out: FloatArray,
) -> None:
    """Squared weighted partial correlation of samples with a lattice at whole steps of it.

    Parameters
    ----------
    left : (n,) float64
        The samples without what `basis` explains.
    weights : (n,) float64
    basis : (n, k) float64
        Orthonormal in the weighted sense; its part of the lattice's values is taken out as well.
    starts : (n, 3) int64
        Where each sample lies on the lattice without a shift.
    fine : (z, y, x) float64
        Finite everywhere.
    shifts : (m, 3) int64
        Every sample must stay within the lattice.
    out : (m,) float64
        0 where nothing varies.
    """
    n, n_basis = basis.shape
    vf = 0.0
    for i in range(n):
        vf += weights[i] * left[i] * left[i]
    parts = np.empty(n_basis)
    for k in range(shifts.shape[0]):
        dz, dy, dx = shifts[k, 0], shifts[k, 1], shifts[k, 2]
        parts[:] = 0.0
        both = power = 0.0
        for i in range(n):
            g = fine[starts[i, 0] + dz, starts[i, 1] + dy, starts[i, 2] + dx]
            w = weights[i] * g
            both += w * left[i]
            power += w * g
            for b in range(n_basis):
                parts[b] += w * basis[i, b]
        vg = power
        for b in range(n_basis):
            vg -= parts[b] * parts[b]
        out[k] = both * both / (vf * vg) if vf > 0.0 and vg > 1e-10 * power else 0.0


@njit(inline="always")
def _bspline(t: float, w: FloatArray, d: FloatArray) -> None:
    """Values and derivatives of the four cubic B-splines at a fraction t of a step."""
    s = 1.0 - t
    w[0], w[3] = s * s * s / 6.0, t * t * t / 6.0
    w[1] = 2.0 / 3.0 - t * t * (2.0 - t) / 2.0
    w[2] = 2.0 / 3.0 - s * s * (2.0 - s) / 2.0
    d[0], d[3] = -s * s / 2.0, t * t / 2.0
    d[1] = 1.5 * t * t - 2.0 * t
    d[2] = -1.5 * s * s + 2.0 * s


@njit(inline="always")
def _mirrored(i: int, n: int) -> int:
    if n == 1:
        return 0
    while i < 0 or i >= n:
        i = -i if i < 0 else 2 * (n - 1) - i
    return i


@njit(cache=True, nogil=True)
def spline_values(coefficients: FloatArray, where: FloatArray, out: FloatArray) -> None:
    """A cubic spline and its derivatives by z, y, x at fractional indices.

    Parameters
    ----------
    coefficients : (z, y, x) float64
        As ``scipy.ndimage.spline_filter(..., mode="mirror")`` gives them.
    where : (n, 3) float64
    out : (n, 4) float64
        Value, then derivatives per index step.
    """
    nz, ny, nx = coefficients.shape
    wz, wy, wx = np.empty(4), np.empty(4), np.empty(4)
    dz, dy, dx = np.empty(4), np.empty(4), np.empty(4)
    xs = np.empty(4, np.int64)
    for i in range(where.shape[0]):
        z0, y0, x0 = np.floor(where[i, 0]), np.floor(where[i, 1]), np.floor(where[i, 2])
        _bspline(where[i, 0] - z0, wz, dz)
        _bspline(where[i, 1] - y0, wy, dy)
        _bspline(where[i, 2] - x0, wx, dx)
        for c in range(4):
            xs[c] = _mirrored(int(x0) - 1 + c, nx)
        v = gz = gy = gx = 0.0
        for a in range(4):
            iz = _mirrored(int(z0) - 1 + a, nz)
            for b in range(4):
                iy = _mirrored(int(y0) - 1 + b, ny)
                row = slope = 0.0
                for c in range(4):
                    value = coefficients[iz, iy, xs[c]]
                    row += wx[c] * value
                    slope += dx[c] * value
                v += wz[a] * wy[b] * row
                gz += dz[a] * wy[b] * row
                gy += wz[a] * dy[b] * row
                gx += wz[a] * wy[b] * slope
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = v, gz, gy, gx
