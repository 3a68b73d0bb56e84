"""Compiled inner loops of resampling. One voxel is summed by one thread, in a fixed order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import parallel

FloatArray = NDArray[np.float64]


@parallel
def accumulate(
    positions: FloatArray,
    region: NDArray[Any],
    region_start: NDArray[np.int64],
    image_shape: NDArray[np.int64],
    bricks: NDArray[np.int64],
    stepped: NDArray[np.bool_],
    sums: FloatArray,
    counts: NDArray[np.int64],
    missed: NDArray[np.int64],
) -> None:
    """Add the moving image at sample positions into the voxels that they belong to.

    Parameters
    ----------
    positions : (n, 3) float64
        Sample positions as fractional indices of the moving image, ordered
        (fine z, voxel y, sample y, voxel x, sample x).
    region : (c, z, y, x) float32 or float64
        The part of the moving image that was read.
    region_start, image_shape : (3,) int64
        Where the region begins, and the size of the whole image.
    bricks : (5,) int64
        Number of fine z, voxels y, samples y, voxels x, samples x.
    stepped : (3,) bool
        Per axis of the moving image: take the voxel that holds the sample (the image as a step
        function) instead of interpolating linearly.
    sums, counts : (c, fine z, voxels y, voxels x)
        Added to.
    missed : (fine z * voxels y,) int64
        Number of samples that lie in the image but not in the region.

    Notes
    -----
    A sample counts if it lies within the voxels' extent (-0.5 to n - 0.5), beyond the outermost
    centres with the value of the edge; a sample that touches a NaN does not count.
    """
    nz, ny, my, nx, mx = bricks[0], bricks[1], bricks[2], bricks[3], bricks[4]
    n_channels = region.shape[0]
    for row in prange(nz * ny):
        iz, iy = row // ny, row % ny
        low = np.empty(3, np.int64)
        high = np.empty(3, np.int64)
        part = np.empty(3)
        for j in range(my):
            start = (row * my + j) * nx * mx
            for i in range(nx * mx):
                ix = i // mx
                inside = True
                here = True
                for a in range(3):
                    p = positions[start + i, a]
                    last = image_shape[a] - 1
                    if not (-0.5 <= p <= last + 0.5):  # NaN fails too
                        inside = False
                        break
                    p = min(max(p, 0.0), float(last))
                    if stepped[a]:
                        first = min(int(p + 0.5), last)
                        part[a] = 0.0
                        second = first
                    else:
                        first = min(int(p), max(last - 1, 0))
                        part[a] = p - first
                        second = first + 1 if part[a] > 0.0 else first
                    low[a] = first - region_start[a]
                    high[a] = second - region_start[a]
                    if low[a] < 0 or high[a] >= region.shape[a + 1]:
                        here = False
                if not inside:
                    continue
                if not here:
                    missed[row] += 1
                    continue
                fz, fy, fx = part[0], part[1], part[2]
                for c in range(n_channels):
                    v = region[c]
                    z0y0 = v[low[0], low[1], low[2]] * (1 - fx) + v[low[0], low[1], high[2]] * fx
                    z0y1 = v[low[0], high[1], low[2]] * (1 - fx) + v[low[0], high[1], high[2]] * fx
                    z1y0 = v[high[0], low[1], low[2]] * (1 - fx) + v[high[0], low[1], high[2]] * fx
                    z1y1 = (
                        v[high[0], high[1], low[2]] * (1 - fx) + v[high[0], high[1], high[2]] * fx
                    )
                    z0 = z0y0 * (1 - fy) + z0y1 * fy
                    z1 = z1y0 * (1 - fy) + z1y1 * fy
                    value = z0 * (1 - fz) + z1 * fz
                    if not math.isnan(value):
                        sums[c, iz, iy, ix] += value
                        counts[c, iz, iy, ix] += 1
