"""Where the samples of a voxel lie that is averaged."""

from __future__ import annotations

from collections.abc import Sequence

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


def bricks(
    start: Sequence[int], stop: Sequence[int], samples: Triple, most_samples: int
) -> list[tuple[Triple, Triple, range]]:
    """Cut a block into bricks of few samples: (start, stop, range of sample planes in z)."""
    mz, my, mx = samples
    planes = max(1, min(mz, most_samples // (my * mx)))
    if planes < mz:  # one voxel is more than a brick: one voxel at a time, some planes of it
        size = (1, 1, 1)
    else:
        side = max(1, round((most_samples / (mz * my * mx)) ** (1 / 3)))
        size = (side, side, side)
    found = []
    for z in range(start[0], stop[0], size[0]):
        for y in range(start[1], stop[1], size[1]):
            for x in range(start[2], stop[2], size[2]):
                end = (
                    min(z + size[0], stop[0]),
                    min(y + size[1], stop[1]),
                    min(x + size[2], stop[2]),
                )
                for p in range(0, mz, planes):
                    found.append(((z, y, x), end, range(p, min(p + planes, mz))))
    return found
