"""B-spline coefficients of a part of an image: what cubic interpolation takes instead of voxels.

The recursive filter of Unser, Aldroubi and Eden (IEEE Trans. Signal Process. 41, 1993), with the
image mirrored about its outermost voxels' centres, as SciPy does. A voxel's influence falls by
0.268 a voxel: a part of an image needs only so many voxels more round it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import parallel, serial

FloatArray = NDArray[np.float64]

_POLE = math.sqrt(3.0) - 2.0
_GAIN = 6.0
# voxels that still count to a double's last digit
_HORIZON = 32
# lines that are filtered side by side
_WIDTH = 32


def margin(dtype: np.dtype[Any]) -> int:
    """Voxels needed round a region so that its coefficients are those of the whole image."""
    return 14 if dtype == np.float32 else 28


def coefficients(region: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Coefficients of (c, z, y, x) floats, and where the voxels are not finite.

    Parameters
    ----------
    region : (c, z, y, x) float32 or float64
        Overwritten.

    Returns
    -------
    (c, z, y, x) of the same type
    (c, z, y, x) bool
        Voxels that are NaN or infinite, of no size if there are none. The nearest finite voxel's
        value stands in their place, so that what lies around is not spoilt.
    """
    holes = ~np.isfinite(region)
    if holes.any():
        for values, missing in zip(region, holes, strict=True):
            _fill(values, missing)
    else:
        holes = np.zeros((0, 0, 0, 0), np.bool_)
    for axis in (1, 2, 3):
        if region.shape[axis] > 1:
            lines = np.moveaxis(region, axis, 2)
            _filter_lines(lines)
    return region, holes


def _fill(values: NDArray[Any], missing: NDArray[np.bool_]) -> None:
    from scipy.ndimage import distance_transform_edt

    if missing.all():
        values[:] = 0
        return
    if missing.any():
        nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
        values[missing] = values[tuple(axis[missing] for axis in nearest)]


@parallel
def _filter_lines(lines: NDArray[Any]) -> None:
    """Filter a 4-D array in place along axis 2."""
    n_last = (lines.shape[3] + _WIDTH - 1) // _WIDTH
    for task in prange(lines.shape[0] * lines.shape[1] * n_last):
        a, b, first = (
            task // n_last // lines.shape[1],
            task // n_last % lines.shape[1],
            task % n_last,
        )
        start = first * _WIDTH
        width = min(_WIDTH, lines.shape[3] - start)
        buffer = np.empty((lines.shape[2], width))
        for k in range(lines.shape[2]):
            for j in range(width):
                buffer[k, j] = lines[a, b, k, start + j]
        _filter(buffer)
        for k in range(lines.shape[2]):
            for j in range(width):
                lines[a, b, k, start + j] = buffer[k, j]


@serial
def _filter(c: FloatArray) -> None:
    """Filter (n, width) along its first axis, n > 1."""
    n, width = c.shape
    total = np.empty(width)
    for j in range(width):
        total[j] = c[0, j]
    if n > _HORIZON:
        power = _POLE
        for k in range(1, _HORIZON):
            for j in range(width):
                total[j] += power * c[k, j]
            power *= _POLE
    else:  # all of the mirrored line
        end = _POLE ** (n - 1)
        for j in range(width):
            total[j] += end * c[n - 1, j]
        for k in range(1, n - 1):
            weight = _POLE**k + end * _POLE ** (n - 1 - k)
            for j in range(width):
                total[j] += weight * c[k, j]
        for j in range(width):
            total[j] /= 1.0 - end * end
    for j in range(width):
        c[0, j] = _GAIN * total[j]
    for k in range(1, n):
        for j in range(width):
            c[k, j] = _GAIN * c[k, j] + _POLE * c[k - 1, j]
    for j in range(width):
        c[n - 1, j] = (_POLE / (_POLE * _POLE - 1.0)) * (c[n - 1, j] + _POLE * c[n - 2, j])
    for i in range(1, n):
        k = n - 1 - i
        for j in range(width):
            c[k, j] = _POLE * (c[k + 1, j] - c[k, j])
