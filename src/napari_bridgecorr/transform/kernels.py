"""Compiled inner loops of the transforms. Each point is computed by one thread: results do not
depend on the number of threads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import inlined, parallel

FloatArray = NDArray[np.float64]


@parallel
def lattice_points(matrix: FloatArray, z: FloatArray, y: FloatArray, x: FloatArray) -> FloatArray:
    """Affine images (n, 3) of all (z, y, x) of three index vectors, x fastest."""
    out = np.empty((z.size * y.size * x.size, 3))
    for row in prange(z.size * y.size):
        zi, yi = z[row // y.size], y[row % y.size]
        start = row * x.size
        for k in range(x.size):
            for a in range(3):
                out[start + k, a] = (
                    matrix[a, 0] * zi + matrix[a, 1] * yi + matrix[a, 2] * x[k] + matrix[a, 3]
                )
    return out


@parallel
def affine_points(matrix: FloatArray, points: FloatArray) -> FloatArray:
    """Affine images (n, 3) of (n, 3) points."""
    n = points.shape[0]
    out = np.empty((n, 3))
    for i in prange(n):
        for a in range(3):
            out[i, a] = (
                matrix[a, 0] * points[i, 0]
                + matrix[a, 1] * points[i, 1]
                + matrix[a, 2] * points[i, 2]
                + matrix[a, 3]
            )
    return out


@parallel
def spline_map_3d(
    points: FloatArray, control: FloatArray, weights: FloatArray, polynomial: FloatArray
) -> FloatArray:
    """``P (u, 1) + sum_i w_i (-|u - u_i|)`` for (n, 3) normalised points.

    `control` and `weights` are (3, m), so that the loop over landmarks runs along memory.
    """
    n, m = points.shape[0], control.shape[1]
    out = np.empty((n, 3))
    cz, cy, cx = control[0], control[1], control[2]
    wz, wy, wx = weights[0], weights[1], weights[2]
    for i in prange(n):
        z, y, x = points[i, 0], points[i, 1], points[i, 2]
        sz, sy, sx = 0.0, 0.0, 0.0
        for k in range(m):
            r = math.sqrt((z - cz[k]) ** 2 + (y - cy[k]) ** 2 + (x - cx[k]) ** 2)
            sz -= wz[k] * r
            sy -= wy[k] * r
            sx -= wx[k] * r
        p = polynomial
        out[i, 0] = sz + p[0, 0] * z + p[0, 1] * y + p[0, 2] * x + p[0, 3]
        out[i, 1] = sy + p[1, 0] * z + p[1, 1] * y + p[1, 2] * x + p[1, 3]
        out[i, 2] = sx + p[2, 0] * z + p[2, 1] * y + p[2, 2] * x + p[2, 3]
    return out


@parallel
def spline_map_2d(
    points: FloatArray, control: FloatArray, weights: FloatArray, polynomial: FloatArray
) -> FloatArray:
    """As :func:`spline_map_3d` with the planar kernel ``r^2 log r`` of the (y, x) distance."""
    n, m = points.shape[0], control.shape[1]
    out = np.empty((n, 3))
    cy, cx = control[1], control[2]
    wy, wx = weights[1], weights[2]
    for i in prange(n):
        z, y, x = points[i, 0], points[i, 1], points[i, 2]
        sy, sx = 0.0, 0.0
        for k in range(m):
            r2 = (y - cy[k]) ** 2 + (x - cx[k]) ** 2
            if r2 > 0.0:
                u = 0.5 * r2 * math.log(r2)
                sy += wy[k] * u
                sx += wx[k] * u
        p = polynomial
        out[i, 0] = p[0, 0] * z + p[0, 1] * y + p[0, 2] * x + p[0, 3]
        out[i, 1] = sy + p[1, 0] * z + p[1, 1] * y + p[1, 2] * x + p[1, 3]
        out[i, 2] = sx + p[2, 0] * z + p[2, 1] * y + p[2, 2] * x + p[2, 3]
    return out


@parallel
def spline_jacobian(
    points: FloatArray,
    control: FloatArray,
    weights: FloatArray,
    polynomial: FloatArray,
    planar: bool,
) -> FloatArray:
    """(n, 3, 3) derivatives of the spline by the normalised coordinates."""
    n, m = points.shape[0], control.shape[1]
    out = np.empty((n, 3, 3))
    cz, cy, cx = control[0], control[1], control[2]
    wz, wy, wx = weights[0], weights[1], weights[2]
    for i in prange(n):
        z, y, x = points[i, 0], points[i, 1], points[i, 2]
        # nine sums and no branch: the loop runs along memory in SIMD registers
        zz, zy, zx = 0.0, 0.0, 0.0
        yz, yy, yx = 0.0, 0.0, 0.0
        xz, xy, xx = 0.0, 0.0, 0.0
        for k in range(m):
            dz = 0.0 if planar else z - cz[k]
            dy, dx = y - cy[k], x - cx[k]
            r2 = dz * dz + dy * dy + dx * dx
            # U'(r) / r, for U = -r and for U = r^2 log r; at a landmark the cone's tip has none
            safe = r2 if r2 > 0.0 else 1.0
            g = math.log(safe) + 1.0 if planar else -1.0 / math.sqrt(safe)
            dz, dy, dx = g * dz, g * dy, g * dx
            zz += wz[k] * dz
            zy += wz[k] * dy
            zx += wz[k] * dx
            yz += wy[k] * dz
            yy += wy[k] * dy
            yx += wy[k] * dx
            xz += wx[k] * dz
            xy += wx[k] * dy
            xx += wx[k] * dx
        out[i, 0, 0], out[i, 0, 1], out[i, 0, 2] = zz, zy, zx
        out[i, 1, 0], out[i, 1, 1], out[i, 1, 2] = yz, yy, yx
        out[i, 2, 0], out[i, 2, 1], out[i, 2, 2] = xz, xy, xx
        for a in range(3):
            for b in range(3):
                out[i, a, b] += polynomial[a, b]
    return out


@parallel
def field_values(index: FloatArray, field: NDArray[Any]) -> FloatArray:
    """Trilinear values (n, 3) of a (3, z, y, x) field at fractional indices; NaN beyond."""
    n = index.shape[0]
    out = np.full((n, 3), np.nan)
    shape = field.shape[1:]
    for i in prange(n):
        low = np.empty(3, np.int64)
        part = np.empty(3)
        if _cell(index[i], shape, low, part):
            for a in range(3):
                out[i, a] = _trilinear(field[a], low, part)
    return out


@parallel
def field_gradient(index: FloatArray, field: NDArray[Any]) -> FloatArray:
    """(n, 3, 3) derivatives of a field by the index, exact for the trilinear interpolant."""
    n = index.shape[0]
    out = np.full((n, 3, 3), np.nan)
    shape = field.shape[1:]
    for i in prange(n):
        low = np.empty(3, np.int64)
        part = np.empty(3)
        if _cell(index[i], shape, low, part):
            for b in range(3):
                ends = part.copy()
                for a in range(3):
                    if shape[b] < 2 or not (0.0 <= index[i, b] <= shape[b] - 1):
                        out[i, a, b] = 0.0
                        continue
                    ends[b] = 1.0
                    high_value = _trilinear(field[a], low, ends)
                    ends[b] = 0.0
                    out[i, a, b] = high_value - _trilinear(field[a], low, ends)
    return out


@inlined
def _cell(index: Any, shape: Any, low: Any, part: Any) -> bool:
    """Lower corner and fraction of the cell that holds an index; False outside.

    The outer half of the outermost voxels takes the value at their centre, as in ITK.
    """
    for a in range(3):
        if not (-0.5 <= index[a] <= shape[a] - 0.5):
            return False
        inside = min(max(index[a], 0.0), shape[a] - 1.0)
        low[a] = max(0, min(int(inside), shape[a] - 2))
        part[a] = inside - low[a]
    return True


@inlined
def _trilinear(values: Any, low: Any, part: Any) -> float:
    total = 0.0
    for dz in range(2):
        wz = part[0] if dz else 1.0 - part[0]
        if wz == 0.0:
            continue
        for dy in range(2):
            wy = part[1] if dy else 1.0 - part[1]
            if wy == 0.0:
                continue
            for dx in range(2):
                wx = part[2] if dx else 1.0 - part[2]
                if wx != 0.0:
                    total += wz * wy * wx * values[low[0] + dz, low[1] + dy, low[2] + dx]
    return total
