"""Compiled means of groups of voxels, for :mod:`.pyramid`. Sums are exact for integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import parallel


@parallel
def whole_means(
    block: NDArray[Any], fz: int, fy: int, fx: int, like: NDArray[Any], out: NDArray[Any]
) -> None:
    """Means of groups of integers, to the nearest, halves to even.

    Parameters
    ----------
    block : (n, z, y, x) array
        Integers of at most 32 bits.
    fz, fy, fx : int
        Voxels per group; the last groups may hold fewer.
    like : (0,) int32 or int64 array
        Of a type that holds a group's sum.
    out : (n, ceil(z / fz), ceil(y / fy), ceil(x / fx)) array
    """
    n, nz, ny, nx = block.shape
    oz, oy, ox = out.shape[1], out.shape[2], out.shape[3]
    for row in prange(n * oz * oy):
        i, rest = row // (oz * oy), row % (oz * oy)
        z0, y0 = rest // oy * fz, rest % oy * fy
        z1, y1 = min(z0 + fz, nz), min(y0 + fy, ny)
        sums = np.zeros(ox, like.dtype)
        n_full = nx // fx
        for z in range(z0, z1):
            for y in range(y0, y1):
                source = block[i, z, y]
                if fx == 1:
                    for x in range(ox):
                        sums[x] += source[x]
                elif fx == 2:
                    for x in range(n_full):
                        sums[x] += source[2 * x] + source[2 * x + 1]
                else:
                    for x in range(n_full):
                        for k in range(fx):
                            sums[x] += source[x * fx + k]
                for x in range(n_full * fx, nx):
                    sums[n_full] += source[x]
        rows = (z1 - z0) * (y1 - y0)
        target = out[i, rest // oy, rest % oy]
        count = rows * fx
        shift = 0
        while (1 << shift) < count:
            shift += 1
        if (1 << shift) == count:
            half, mask = count >> 1, count - 1
            for x in range(n_full):
                # floor and remainder, for negative sums too
                q, r = sums[x] >> shift, sums[x] & mask
                target[x] = q + ((r > half) | ((r == half) & (count > 1) & (q & 1)))
        else:
            for x in range(n_full):
                q, r = sums[x] // count, sums[x] % count
                target[x] = q + ((2 * r > count) | ((2 * r == count) & (q & 1)))
        if n_full < ox:
            count = rows * (nx - n_full * fx)
            q, r = sums[n_full] // count, sums[n_full] % count
            target[n_full] = q + ((2 * r > count) | ((2 * r == count) & (q & 1)))


@parallel
def finite_means(block: NDArray[Any], fz: int, fy: int, fx: int, out: NDArray[Any]) -> None:
    """Means of the finite values of groups of floats, NaN where there is none; float64 sums.

    Parameters
    ----------
    block : (n, z, y, x) float array
    fz, fy, fx : int
        Voxels per group; the last groups may hold fewer.
    out : (n, ceil(z / fz), ceil(y / fy), ceil(x / fx)) array
    """
    n, nz, ny, nx = block.shape
    oz, oy, ox = out.shape[1], out.shape[2], out.shape[3]
    for row in prange(n * oz * oy):
        i, rest = row // (oz * oy), row % (oz * oy)
        z0, y0 = rest // oy * fz, rest % oy * fy
        z1, y1 = min(z0 + fz, nz), min(y0 + fy, ny)
        sums, counts = np.zeros(ox), np.zeros(ox, np.int32)
        for z in range(z0, z1):
            for y in range(y0, y1):
                source = block[i, z, y]
                for k in range(fx):
                    # groups that have a voxel number k
                    for x in range((nx - k + fx - 1) // fx):
                        value = source[x * fx + k]
                        here = np.isfinite(value)
                        sums[x] += value if here else 0.0
                        counts[x] += here
        target = out[i, rest // oy, rest % oy]
        for x in range(ox):
            target[x] = sums[x] / counts[x] if counts[x] else np.nan
