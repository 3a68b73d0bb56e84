"""Compiled interpolation: nearest, linear and cubic B-spline at rows of positions.

Positions are fractional indices of the moving image. They lie in the image within its voxels'
extent (-0.5 to n - 0.5), beyond the outermost centres with the value of the edge; outside, and
where a voxel of some weight is NaN, the result is NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import inlined, parallel, serial
from ..transform.lattice_kernels import ROWS, expand, fill_row, near_rows, node_rows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@inlined
def _in_image(z: float, y: float, x: float, shape: IntArray) -> bool:
    # NaN is not
    here = -0.5 <= z <= shape[0] - 0.5 and -0.5 <= y <= shape[1] - 0.5
    return bool(here and -0.5 <= x <= shape[2] - 0.5)


@serial
def _nearest_row(
    row: FloatArray, region: NDArray[Any], start: IntArray, shape: IntArray, values: NDArray[Any]
) -> int:
    missed = 0
    for k in range(row.shape[1]):
        z, y, x = row[0, k], row[1, k], row[2, k]
        if not _in_image(z, y, x, shape):
            for c in range(values.shape[0]):
                values[c, k] = np.nan
            continue
        z0 = min(max(math.floor(z + 0.5), 0), shape[0] - 1) - start[0]
        y0 = min(max(math.floor(y + 0.5), 0), shape[1] - 1) - start[1]
        x0 = min(max(math.floor(x + 0.5), 0), shape[2] - 1) - start[2]
        if not (
            0 <= z0 < region.shape[1] and 0 <= y0 < region.shape[2] and 0 <= x0 < region.shape[3]
        ):
            missed += 1
            continue
        for c in range(values.shape[0]):
            values[c, k] = region[c, z0, y0, x0]
    return missed


@serial
def _linear_row(
    row: FloatArray, region: NDArray[Any], start: IntArray, shape: IntArray, values: NDArray[Any]
) -> int:
    n_channels, r_z, r_y, r_x = region.shape
    flat = region.reshape(-1)
    real = region.dtype.type
    one = real(1.0)
    per_channel = np.uint64(r_z * r_y * r_x)
    per_plane, per_line = r_y * r_x, r_x
    s_z, s_y, s_x = float(start[0]), float(start[1]), float(start[2])
    last_z, last_y, last_x = float(r_z - 1), float(r_y - 1), float(r_x - 1)
    missed = 0
    for k in range(row.shape[1]):
        z, y, x = row[0, k] - s_z, row[1, k] - s_y, row[2, k] - s_x
        if not (0.0 <= z < last_z and 0.0 <= y < last_y and 0.0 <= x < last_x):
            if not _in_image(row[0, k], row[1, k], row[2, k], shape):
                for c in range(n_channels):
                    values[c, k] = np.nan
                continue
            z = min(max(row[0, k], 0.0), shape[0] - 1.0) - s_z
            y = min(max(row[1, k], 0.0), shape[1] - 1.0) - s_y
            x = min(max(row[2, k], 0.0), shape[2] - 1.0) - s_x
            if not (0.0 <= z <= last_z and 0.0 <= y <= last_y and 0.0 <= x <= last_x):
                missed += 1
                continue
        z0, y0, x0 = int(z), int(y), int(x)
        fz, fy, fx = real(z - z0), real(y - y0), real(x - x0)
        gz, gy, gx = one - fz, one - fy, one - fx
        # a neighbour of no weight may be NaN or lie beyond the image: take the voxel itself
        next_z = np.uint64(per_plane if z > z0 else 0)
        next_y = np.uint64(per_line if y > y0 else 0)
        next_x = np.uint64(1 if x > x0 else 0)
        # unsigned: Numba would else look for indices from the end
        at = np.uint64(z0 * per_plane + y0 * per_line + x0)
        for c in range(n_channels):
            low = (flat[at] * gx + flat[at + next_x] * fx) * gy
            low += (flat[at + next_y] * gx + flat[at + next_y + next_x] * fx) * fy
            up = at + next_z
            high = (flat[up] * gx + flat[up + next_x] * fx) * gy
            high += (flat[up + next_y] * gx + flat[up + next_y + next_x] * fx) * fy
            values[c, k] = low * gz + high * fz
            at += per_channel
    return missed


@inlined
def _cubic_taps(p: float, size: int, first: int, weight: FloatArray, tap: IntArray) -> None:
    """B-spline weights round a position in the image; taps beyond it are mirrored, as in SciPy."""
    base = min(int(p), max(size - 2, 0))
    f = p - base
    g = 1.0 - f
    weight[0] = g * g * g / 6.0
    weight[1] = (4.0 - 3.0 * f * f * (2.0 - f)) / 6.0
    weight[2] = (4.0 - 3.0 * g * g * (2.0 - g)) / 6.0
    weight[3] = f * f * f / 6.0
    for t in range(4):
        i = base - 1 + t
        if size == 1:
            i = 0
        elif i < 0:
            i = -i
        elif i > size - 1:
            i = 2 * (size - 1) - i
        if size == 2:
            i = abs(i) % 2
        tap[t] = i - first


@serial
def _cubic_row(
    row: FloatArray,
    region: NDArray[Any],
    holes: NDArray[np.bool_],
    start: IntArray,
    shape: IntArray,
    values: NDArray[Any],
) -> int:
    """`region` holds B-spline coefficients."""
    wz, wy, wx = np.empty(4), np.empty(4), np.empty(4)
    tz, ty, tx = np.empty(4, np.int64), np.empty(4, np.int64), np.empty(4, np.int64)
    missed = 0
    for k in range(row.shape[1]):
        if not _in_image(row[0, k], row[1, k], row[2, k], shape):
            for c in range(values.shape[0]):
                values[c, k] = np.nan
            continue
        _cubic_taps(min(max(row[0, k], 0.0), shape[0] - 1.0), shape[0], start[0], wz, tz)
        _cubic_taps(min(max(row[1, k], 0.0), shape[1] - 1.0), shape[1], start[1], wy, ty)
        _cubic_taps(min(max(row[2, k], 0.0), shape[2] - 1.0), shape[2], start[2], wx, tx)
        if (
            min(tz.min(), ty.min(), tx.min()) < 0
            or tz.max() >= region.shape[1]
            or ty.max() >= region.shape[2]
            or tx.max() >= region.shape[3]
        ):
            missed += 1
            continue
        for c in range(values.shape[0]):
            total = 0.0
            for a in range(4):
                plane = 0.0
                for b in range(4):
                    line = region[c, tz[a], ty[b]]
                    plane += wy[b] * (
                        wx[0] * line[tx[0]]
                        + wx[1] * line[tx[1]]
                        + wx[2] * line[tx[2]]
                        + wx[3] * line[tx[3]]
                    )
                total += wz[a] * plane
            if holes.size > 0:
                for a in range(1, 3):
                    for b in range(1, 3):
                        for d in range(1, 3):
                            if holes[c, tz[a], ty[b], tx[d]]:
                                total = np.nan
            values[c, k] = total
    return missed


@serial
def _row(
    order: int,
    row: FloatArray,
    region: NDArray[Any],
    holes: NDArray[np.bool_],
    start: IntArray,
    shape: IntArray,
    values: NDArray[Any],
) -> int:
    if order == 1:
        return _linear_row(row, region, start, shape, values)
    if order == 0:
        return _nearest_row(row, region, start, shape, values)
    return _cubic_row(row, region, holes, start, shape, values)


@parallel
def interpolate(
    positions: FloatArray,
    order: int,
    region: NDArray[Any],
    holes: NDArray[np.bool_],
    region_start: IntArray,
    image_shape: IntArray,
    out: NDArray[Any],
    missed: IntArray,
) -> None:
    """Values at positions.

    Parameters
    ----------
    positions : (n, 3) float64
    order : {0, 1, 3}
        Nearest, linear, cubic; for cubic the region holds B-spline coefficients.
    region : (c, z, y, x) float32 or float64
        The part of the moving image that was read.
    holes : (c, z, y, x) bool
        For cubic: voxels that are not finite; of no size if there are none.
    region_start, image_shape : (3,) int64
        Where the region begins, and the size of the whole image.
    out : (c, n) of the region's type
    missed : (n_chunks,) int64
        Number of positions that lie in the image but not in the region, per chunk of the loop.
    """
    n, n_channels = positions.shape[0], region.shape[0]
    for chunk in prange(missed.size):
        row = np.empty((3, 256))
        values = np.empty((n_channels, 256), region.dtype)
        first, stop = chunk * n // missed.size, (chunk + 1) * n // missed.size
        for begin in range(first, stop, 256):
            size = min(256, stop - begin)
            for k in range(size):
                for a in range(3):
                    row[a, k] = positions[begin + k, a]
            for k in range(size, 256):
                row[0, k] = np.nan
            missed[chunk] += _row(order, row, region, holes, region_start, image_shape, values)
            for c in range(n_channels):
                for k in range(size):
                    out[c, begin + k] = values[c, k]


@parallel
def interpolate_rows(
    z: FloatArray,
    y: FloatArray,
    x: FloatArray,
    matrix: FloatArray,
    to_u: FloatArray,
    control: FloatArray,
    weights: FloatArray,
    kind: int,
    radius: FloatArray,
    inside: FloatArray,
    planes: FloatArray,
    step: IntArray,
    first_cell: IntArray,
    order: int,
    region: NDArray[Any],
    holes: NDArray[np.bool_],
    region_start: IntArray,
    image_shape: IntArray,
    out: NDArray[Any],
    missed: IntArray,
) -> None:
    """What :func:`interpolate` gives at the positions of a lattice, which are never stored.

    The arguments after x are those of
    :meth:`~napari_bridgecorr.transform.lattice_map.LatticeMap.row_arguments`.

    Parameters
    ----------
    out : (c, z, y, x) of the region's type
    missed : (z * y,) int64
        Number of positions of a row that lie in the image but not in the region.
    """
    n_channels, nx = region.shape[0], x.size
    n_chunks = (y.size + ROWS - 1) // ROWS
    for task in prange(z.size * n_chunks):
        iz, chunk = task // n_chunks, task % n_chunks
        rows = y[chunk * ROWS : min((chunk + 1) * ROWS, y.size)]
        near = np.empty(control.shape[1], np.int64)
        expanded = np.empty((node_rows(rows[0], rows[-1], step[1], planes), 3, nx))
        n_near, first_row = 0, 0
        if expanded.shape[0] > 0:
            first_row = math.floor(rows[0] / step[1])
            plane = planes[min(iz, planes.shape[0] - 1)]
            expand(plane, first_row - first_cell[1], x, step[2], first_cell[2], expanded)
            n_near = near_rows(z[iz], rows, x, to_u, control, radius, kind == 1, near)
        row = np.empty((3, nx))
        values = np.empty((n_channels, nx), region.dtype)
        for r in range(rows.size):
            fill_row(
                z[iz], rows[r], x, matrix, to_u, control, weights, kind, radius, inside,
                near, n_near, step[1], expanded, first_row, row,
            )  # fmt: skip
            iy = chunk * ROWS + r
            missed[iz * y.size + iy] = _row(
                order, row, region, holes, region_start, image_shape, values
            )
            for c in range(n_channels):
                for k in range(nx):
                    out[c, iz, iy, k] = values[c, k]
