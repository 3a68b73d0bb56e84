"""Images that name objects, on another grid: numbers are chosen, never mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import parallel
from ..errors import GeometryError
from ..geometry import Grid
from ..image import SpatialImage
from ..transform import Transform
from .sampler import TOLERANCE_VOXELS, Block, PullSampler

LABEL_INTERPOLATIONS = ("auto", "nearest", "majority")
"""What can be done with numbers of objects; a mask has `fraction` besides."""

# samples that a block is worked on in at once
_MOST_SAMPLES = 8_000_000
# float64 holds whole numbers up to here
_LARGEST_EXACT = 2**53


class LabelSampler:
    """Numbers of objects over the voxels of a fixed grid.

    Parameters
    ----------
    moving : SpatialImage
        Labels: whole numbers (some programs store them as floats), 0 where there is no object.
    transform : Transform
        Fixed world to moving world.
    grid : Grid
    interpolation : {"auto", "nearest", "majority"}
        ``majority``: the number that fills the most of a fixed voxel, 0 counting like the others;
        of equals the smallest. ``auto``: the majority where a fixed voxel holds more than two
        moving ones, else the nearest voxel's.
    channels : sequence of int, optional
    tolerance_voxels : float
        See :class:`~.sampler.PullSampler`.

    Raises
    ------
    GeometryError
        If the interpolation would mix numbers.

    Notes
    -----
    Values are of the image's own type, and 0 outside the image: no object is known there. A voxel
    counts as far as it lies in the image: what lies outside has no vote.
    """

    def __init__(
        self,
        moving: SpatialImage,
        transform: Transform,
        grid: Grid,
        interpolation: str = "auto",
        channels: Sequence[int] | None = None,
        tolerance_voxels: float = TOLERANCE_VOXELS,
    ) -> None:
        if interpolation not in LABEL_INTERPOLATIONS:
            raise GeometryError(
                f"{moving.name} names objects by numbers, which cannot be mixed "
                f"({interpolation!r}): choose {', '.join(LABEL_INTERPOLATIONS)}, or fraction for "
                f"the part of each voxel that objects fill"
            )
        self._name = moving.name
        self.dtype = moving.dtype
        kind = "mean" if interpolation == "majority" else interpolation

        # whether voxels are larger is asked as of any image
        plain = _as_image(moving)

        def sampler(grid: Grid, kind: str) -> PullSampler:
            return PullSampler(
                plain, transform, grid, kind, channels, tolerance_voxels=tolerance_voxels
            )

        usual = sampler(grid, kind)
        self.interpolation = "majority" if usual.interpolation == "mean" else "nearest"
        self.samples = usual.samples if self.interpolation == "majority" else (1, 1, 1)
        self.channels = usual.channels
        self._fine = sampler(_divided(grid, self.samples), "nearest")
        self.map_error_voxels = self._fine.map_error_voxels
        self.device = self._fine.device

    def block(self, time: int, start: Sequence[int], stop: Sequence[int]) -> Block:
        """Numbers over ``start <= index < stop``, however blocks are cut."""
        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        out = np.zeros((len(self.channels), *shape), self.dtype)
        per_voxel = int(np.prod(self.samples)) * len(self.channels)
        side = max(1, int((_MOST_SAMPLES / per_voxel) ** (1 / 3)))
        step = (max(1, _MOST_SAMPLES // (per_voxel * shape[1] * shape[2])), shape[1], shape[2])
        if per_voxel * shape[1] * shape[2] > _MOST_SAMPLES:
            step = (side, side, side)
        for first in np.ndindex(*(-(-n // s) for n, s in zip(shape, step, strict=True))):
            low = [i * s for i, s in zip(first, step, strict=True)]
            high = [min(a + s, n) for a, s, n in zip(low, step, shape, strict=True)]
            part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            begin = [a + s for a, s in zip(start, low, strict=True)]
            end = [a + s for a, s in zip(start, high, strict=True)]
            out[(slice(None), *part)] = self._part(time, begin, end)
        return Block(out)

    def _part(self, time: int, start: Sequence[int], stop: Sequence[int]) -> NDArray[Any]:
        low = [a * m for a, m in zip(start, self.samples, strict=True)]
        high = [b * m for b, m in zip(stop, self.samples, strict=True)]
        found = self._fine.block(time, low, high).values
        if found.size and np.nanmax(np.abs(found), initial=0.0) >= _LARGEST_EXACT:
            raise GeometryError(
                f"{self._name} has labels beyond 2^53, which would lose digits: number the "
                f"objects anew from 1"
            )
        if self.interpolation == "majority":
            shape = [b - a for a, b in zip(start, stop, strict=True)]
            chosen = np.empty((len(found), *shape))
            _majority(found, np.array(self.samples, dtype=np.int64), chosen)
            found = chosen
        return np.asarray(np.nan_to_num(found, nan=0.0), dtype=self.dtype)


def filled(image: SpatialImage) -> SpatialImage:
    """The image as a mask: 1 where a voxel holds an object (is not 0), else 0; lazy.

    Its mean over a larger voxel is the part of the voxel that objects fill.
    """
    levels = tuple((level != 0).astype(np.uint8) for level in image.levels)
    return replace(_as_image(image), levels=levels)


def _as_image(image: SpatialImage) -> SpatialImage:
    """The same voxels, not said to name objects."""
    metadata = {k: v for k, v in image.metadata.items() if k != "is_label"}
    return replace(image, source=replace(image.source, role="image"), metadata=metadata)


def _divided(grid: Grid, parts: Sequence[int]) -> Grid:
    """The grid with every voxel cut into parts along z, y, x."""
    step = np.diag([*(1 / n for n in parts), 1.0])
    step[:3, 3] = [(1 / n - 1) / 2 for n in parts]
    z, y, x = (n * m for n, m in zip(grid.shape, parts, strict=True))
    return Grid((z, y, x), grid.index_to_world @ step)


@parallel
def _majority(samples: NDArray[Any], parts: NDArray[np.int64], out: NDArray[np.float64]) -> None:
    """The commonest of each voxel's samples; of equals the smallest; NaN where all are NaN.

    Parameters
    ----------
    samples : (c, z * pz, y * py, x * px)
        NaN has no vote.
    parts : (3,) int64
        pz, py, px.
    out : (c, z, y, x) float64
    """
    n_channels, nz, ny, nx = out.shape
    pz, py, px = parts
    for row in prange(nz * ny):
        iz, iy = row // ny, row % ny
        names = np.empty(pz * py * px)
        votes = np.empty(pz * py * px, np.int64)
        for c in range(n_channels):
            for ix in range(nx):
                n = 0
                for a in range(iz * pz, (iz + 1) * pz):
                    for b in range(iy * py, (iy + 1) * py):
                        for d in range(ix * px, (ix + 1) * px):
                            value = samples[c, a, b, d]
                            if np.isnan(value):
                                continue
                            k = 0
                            while k < n and names[k] != value:
                                k += 1
                            if k == n:
                                names[n] = value
                                votes[n] = 0
                                n += 1
                            votes[k] += 1
                best, most = np.nan, 0
                for k in range(n):
                    if votes[k] > most or (votes[k] == most and names[k] < best):
                        best, most = names[k], votes[k]
                out[c, iz, iy, ix] = best
