"""Compiled inner loop of exact overlap means. One voxel is summed by one thread, in one order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import parallel

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@parallel
def weighted_means(
    region: NDArray[Any],
    z_first: IntArray,
    z_count: IntArray,
    z_weight: FloatArray,
    y_first: IntArray,
    y_count: IntArray,
    y_weight: FloatArray,
    x_first: IntArray,
    x_count: IntArray,
    x_weight: FloatArray,
    sums: FloatArray,
    covered: FloatArray,
) -> None:
    """Sums of fine voxels by the product of their weights along z, y, x.

    Parameters
    ----------
    region : (c, z, y, x) float32 or float64
    z_first, y_first, x_first : (n,) int64
        First fine voxel, in the region, of each coarse one.
    z_count, y_count, x_count : (n,) int64
        How many follow from there.
    z_weight, y_weight, x_weight : (n, most) float64
    sums, covered : (c, n_z, n_y, n_x) float64, zero
        Of weight times value, and of the weights; NaN has no weight.
    """
    n_channels, n_z, n_y, n_x = sums.shape
    for row in prange(n_z * n_y):
        iz, iy = row // n_y, row % n_y
        z0, y0 = z_first[iz], y_first[iy]
        for c in range(n_channels):
            v = region[c]
            for ix in range(n_x):
                x0 = x_first[ix]
                total = 0.0
                share = 0.0
                for a in range(z_count[iz]):
                    for b in range(y_count[iy]):
                        w = z_weight[iz, a] * y_weight[iy, b]
                        for d in range(x_count[ix]):
                            value = v[z0 + a, y0 + b, x0 + d]
                            if not math.isnan(value):
                                total += w * x_weight[ix, d] * value
                                share += w * x_weight[ix, d]
                sums[c, iz, iy, ix] = total
                covered[c, iz, iy, ix] = share
