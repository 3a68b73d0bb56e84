"""Where the samples of a voxel lie that is averaged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Triple = tuple[int, int, int]

# samples per moving voxel and axis until a voxel has 8, then one is enough
_SAMPLES_PER_VOXEL = 2.0
_PLENTY = 8


def enough_samples(steps: FloatArray) -> Triple:
    """Samples (z, y, x) per fixed voxel that meet every moving voxel in it."""
    longest = np.abs(steps).max(axis=0)
    dense = _SAMPLES_PER_VOXEL * longest
    # where so many samples divide the voxel evenly, each moving voxel gets its exact weight
    even = (abs(dense - np.round(dense)) < 1e-6) & (longest <= _PLENTY)
    wanted = np.where(even, np.round(dense), np.minimum(dense, _PLENTY))
    n = np.ceil(np.maximum(longest, wanted) - 1e-6)
    z, y, x = (max(2, int(v)) for v in n)
    return z, y, x


def midpoints(start: int, stop: int, samples: int) -> FloatArray:
    """(voxels, samples) positions of the samples along one axis, as fractional indices."""
    offsets = (np.arange(samples) + 0.5) / samples - 0.5
    return np.asarray(np.arange(start, stop)[:, None] + offsets)
