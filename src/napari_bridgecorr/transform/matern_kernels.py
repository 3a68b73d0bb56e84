"""Compiled sums of Matern kernels. Each point is computed by one thread."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import inlined, parallel

FloatArray = NDArray[np.float64]


@inlined
def _value(a: Any, order: Any) -> Any:
    """Matern kernel of smoothness ``order + 1/2`` at ``a = sqrt(2 order + 1) r / length``.

    Order 4 is the limit of them, the Gaussian, at ``a = r / length``.
    """
    e = math.exp(-a)
    if order == 0:
        return e
    if order == 1:
        return (1.0 + a) * e
    if order == 2:
        return (1.0 + a + a * a / 3.0) * e
    if order == 3:
        return (1.0 + a + a * a * (0.4 + a / 15.0)) * e
    return math.exp(-0.5 * a * a)


@inlined
def _slope(a: Any, order: Any) -> Any:
    """Its derivative by `a`, over `a`; 0 at the tip of the kernel that has one."""
    e = math.exp(-a)
    if order == 0:
        return -e / a if a > 0.0 else 0.0
    if order == 1:
        return -e
    if order == 2:
        return -(1.0 + a) / 3.0 * e
    if order == 3:
        return -(1.0 + a + a * a / 3.0) / 5.0 * e
    return -math.exp(-0.5 * a * a)


@parallel
def matern_map(
    points: FloatArray,
    control: FloatArray,
    weights: FloatArray,
    order: int,
    first: int,
) -> FloatArray:
    """``sum_i w_i k(|v - v_i|)`` (n, 3) of (n, 3) points in units of the kernel.

    `control` and `weights` are (3, m); coordinates before `first` do not count as distance.
    """
    n, m = points.shape[0], control.shape[1]
    out = np.empty((n, 3))
    for i in prange(n):
        sz, sy, sx = 0.0, 0.0, 0.0
        for k in range(m):
            square = 0.0
            for a in range(first, 3):
                square += (points[i, a] - control[a, k]) ** 2
            value = _value(math.sqrt(square), order)
            sz += weights[0, k] * value
            sy += weights[1, k] * value
            sx += weights[2, k] * value
        out[i, 0], out[i, 1], out[i, 2] = sz, sy, sx
    return out


@parallel
def matern_jacobian(
    points: FloatArray,
    control: FloatArray,
    weights: FloatArray,
    order: int,
    first: int,
) -> FloatArray:
    """(n, 3, 3) derivatives of :func:`matern_map` by the points."""
    n, m = points.shape[0], control.shape[1]
    out = np.zeros((n, 3, 3))
    for i in prange(n):
        for k in range(m):
            square = 0.0
            for a in range(first, 3):
                square += (points[i, a] - control[a, k]) ** 2
            slope = _slope(math.sqrt(square), order)
            for b in range(first, 3):
                along = slope * (points[i, b] - control[b, k])
                out[i, 0, b] += weights[0, k] * along
                out[i, 1, b] += weights[1, k] * along
                out[i, 2, b] += weights[2, k] * along
    return out
