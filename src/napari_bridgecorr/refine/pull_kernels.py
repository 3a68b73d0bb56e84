"""Compiled: the mean of a moving image over each fixed voxel, and how it changes with the map."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import parallel

FloatArray = NDArray[np.float64]


@parallel
def pull_means(
    moving: NDArray[np.float32],
    centres: FloatArray,
    steps: FloatArray,
    samples: NDArray[np.int64],
    means: FloatArray,
    slopes: FloatArray,
    coverage: FloatArray,
) -> None:
    """Trilinear samples at regular midpoints of each voxel, and their derivative.

    Parameters
    ----------
    moving : (z, y, x) float32
        At least two voxels along each axis; NaN where there is no data.
    centres : (n, 3) float64
        Moving index of each fixed voxel's centre.
    steps : (n, 3, 3) float64
        ``steps[i, r, a]``: change of moving index r over one fixed voxel along axis a.
    samples : (3,) int64
        Samples along the fixed voxel's axes.
    means : (n,) float64
        Filled with the mean over the samples that met data; 0 where none did.
    slopes : (n, 3) float64
        Filled with the mean's derivative by a shift in moving index.
    coverage : (n,) float64
        Filled with the share of the samples that met data.
    """
    nz, ny, nx = samples[0], samples[1], samples[2]
    mz, my, mx = moving.shape[0] - 1, moving.shape[1] - 1, moving.shape[2] - 1
    for i in prange(len(centres)):
        total, sz, sy, sx, n = 0.0, 0.0, 0.0, 0.0, 0
        for a in range(nz):
            p = (a + 0.5) / nz - 0.5
            for b in range(ny):
                q = (b + 0.5) / ny - 0.5
                for c in range(nx):
                    r = (c + 0.5) / nx - 0.5
                    z = centres[i, 0] + steps[i, 0, 0] * p + steps[i, 0, 1] * q + steps[i, 0, 2] * r
                    y = centres[i, 1] + steps[i, 1, 0] * p + steps[i, 1, 1] * q + steps[i, 1, 2] * r
                    x = centres[i, 2] + steps[i, 2, 0] * p + steps[i, 2, 1] * q + steps[i, 2, 2] * r
                    # written so that NaN is outside
                    if not (z >= 0 and y >= 0 and x >= 0 and z <= mz and y <= my and x <= mx):
                        continue
                    iz, iy, ix = min(int(z), mz - 1), min(int(y), my - 1), min(int(x), mx - 1)
                    tz, ty, tx = z - iz, y - iy, x - ix
                    v000, v001 = moving[iz, iy, ix], moving[iz, iy, ix + 1]
                    v010, v011 = moving[iz, iy + 1, ix], moving[iz, iy + 1, ix + 1]
                    v100, v101 = moving[iz + 1, iy, ix], moving[iz + 1, iy, ix + 1]
                    v110, v111 = moving[iz + 1, iy + 1, ix], moving[iz + 1, iy + 1, ix + 1]
                    e00, e01 = v000 + tx * (v001 - v000), v010 + tx * (v011 - v010)
                    e10, e11 = v100 + tx * (v101 - v100), v110 + tx * (v111 - v110)
                    low, high = e00 + ty * (e01 - e00), e10 + ty * (e11 - e10)
                    value = low + tz * (high - low)
                    if np.isnan(value):
                        continue
                    total += value
                    n += 1
                    sz += high - low
                    sy += (1 - tz) * (e01 - e00) + tz * (e11 - e10)
                    sx += (1 - tz) * ((1 - ty) * (v001 - v000) + ty * (v011 - v010)) + tz * (
                        (1 - ty) * (v101 - v100) + ty * (v111 - v110)
                    )
        coverage[i] = n / (nz * ny * nx)
        share = 1.0 / n if n else 0.0
        means[i] = total * share
        slopes[i, 0], slopes[i, 1], slopes[i, 2] = sz * share, sy * share, sx * share
