"""Array-like views of the levels of a CZI scene: a slice reads the pixels it needs, no more.

A CZI file may hold a pyramid of its own. ZEN makes it by smoothing (5 x 5 binomial) and keeping
every other pixel from the first: the centre of its pixel i lies **on** level-0 pixel ``2 i``, not
between two as in a pyramid of means. Other programs store means. Which of the two a file has is
measured on its pixels (:func:`is_pyramid_of_means`): half a coarse pixel is 50 um in an overview.

A file without a pyramid gets means, computed from level 0 when asked for: they cost as much reading
as the full resolution under them, but never more than a strip of it in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pyramid import PROBE_PX, mean_downsample, sampled_at_centres, textured_corner
from .library import CziFile, read_pixels

_STRIP_PX = 2**24
_WINDOW_PX = 1024


@dataclass(frozen=True)
class StoredChannel:
    """Where a channel's pixels are: the file's channel, and the sample where it is coloured."""

    index: int
    pixel_type: str
    sample: int
    """0; or 0, 1, 2 for red, green, blue."""


@dataclass(frozen=True)
class CziScene:
    """One scene at full resolution.

    Parameters
    ----------
    file : CziFile
    scene : int or None
    first_t, first_z : int
        The file's index of our index 0.
    n_t, n_z : int
    channels : tuple of StoredChannel
    x, y, width, height : int
        Bounding rectangle, in the file's pixels.
    dtype : str
    """

    file: CziFile
    scene: int | None
    first_t: int
    n_t: int
    first_z: int
    n_z: int
    channels: tuple[StoredChannel, ...]
    x: int
    y: int
    width: int
    height: int
    dtype: str

    def pixels(
        self, t: int, z: int, stored: StoredChannel, window: tuple[int, int, int, int], factor: int
    ) -> NDArray[Any]:
        """(h, w, samples) pixels of a window (y, x, h, w) in pixels of the pyramid's `factor`."""
        y, x, h, w = window
        rectangle = (self.x + x * factor, self.y + y * factor, w * factor, h * factor)
        plane = {"T": self.first_t + t, "Z": self.first_z + z, "C": stored.index}
        return read_pixels(self.file, rectangle, plane, self.scene, stored.pixel_type, factor)


@dataclass(frozen=True)
class CziLevel:
    """Array-like (t, c, z, y, x) of one level, for `dask.array.from_array`. Picklable.

    Parameters
    ----------
    scene : CziScene
    factor : int
        Level-0 pixels per pixel.
    stored : bool
        Whether the file holds this level; otherwise it is the mean of level-0 pixels.
    """

    scene: CziScene
    factor: int = 1
    stored: bool = True

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Length of t, c, z, y, x."""
        s = self.scene
        # a last incomplete pixel of a stored pyramid may or may not have been written: left out
        up = 0 if self.stored else self.factor - 1
        h, w = (s.height + up) // self.factor, (s.width + up) // self.factor
        return s.n_t, len(s.channels), s.n_z, h, w

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return np.dtype(self.scene.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 5

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> NDArray[Any]:
        """The box ``starts <= index < stops``."""
        block = np.empty([b - a for a, b in zip(starts, stops, strict=True)], self.dtype)
        window = (starts[3], starts[4], stops[3] - starts[3], stops[4] - starts[4])
        for t in range(starts[0], stops[0]):
            for z in range(starts[2], stops[2]):
                self._fill(block[t - starts[0], :, z - starts[2]], t, starts[1], z, window)
        return block

    def _fill(
        self, out: NDArray[Any], t: int, first: int, z: int, window: tuple[int, int, int, int]
    ) -> None:
        """Fill (c, y, x); the three samples of a coloured channel come from one reading."""
        read: dict[int, NDArray[Any]] = {}
        for i, stored in enumerate(self.scene.channels[first : first + len(out)]):
            if stored.index not in read:
                read[stored.index] = self._window(t, z, stored, *window)
            out[i] = read[stored.index][..., stored.sample]

    def _window(
        self, t: int, z: int, stored: StoredChannel, y: int, x: int, h: int, w: int
    ) -> NDArray[Any]:
        if self.factor == 1:
            return self.scene.pixels(t, z, stored, (y, x, h, w), 1)
        parts = []
        step = _WINDOW_PX
        if not self.stored:
            step = max(1, min(h, _STRIP_PX // (self.factor**2 * w)))
        for top in range(y, y + h, step):
            rows = min(step, y + h - top)
            if self.stored:
                across = [
                    self.scene.pixels(
                        t, z, stored, (top, left, rows, min(step, x + w - left)), self.factor
                    )
                    for left in range(x, x + w, step)
                ]
                parts.append(np.concatenate(across, axis=1))
            else:
                parts.append(self._mean(t, z, stored, (top, x, rows, w)))
        return np.concatenate(parts)

    def _mean(
        self, t: int, z: int, stored: StoredChannel, window: tuple[int, int, int, int]
    ) -> NDArray[Any]:
        y, x, h, w = (v * self.factor for v in window)
        inside = (y, x, min(h, self.scene.height - y), min(w, self.scene.width - x))
        pixels = self.scene.pixels(t, z, stored, inside, 1)
        samples = np.moveaxis(pixels, -1, 0)
        return np.moveaxis(mean_downsample(samples, (1, self.factor, self.factor)), 0, -1)


def usable_factor(factor: int) -> bool:
    """Whether the library, multiplying in float32, gives n pixels for ``n * factor``."""
    n = np.arange(1, _WINDOW_PX + 1)
    scaled = (n * factor).astype(np.float32) * np.float32(1 / factor)
    return bool(np.array_equal(np.floor(scaled), n))


def is_pyramid_of_means(scene: CziScene, factors: Sequence[int]) -> bool:
    """Whether the pixels of the file's pyramid lie in the middle of those they stand for.

    Measured on a textured patch; a featureless image is taken for ZEN's.

    Returns
    -------
    bool
        True: pixel i of factor m lies at ``m i + (m - 1) / 2``. False: at ``m i``.
    """
    finest, coarsest = min(factors), max(factors)
    stored = scene.channels[0]
    z = scene.n_z // 2
    level = CziLevel(scene, coarsest)
    small = level.read((0, 0, z, 0, 0), (1, 1, z + 1, *level.shape[3:]))[0, 0, 0]
    corner = textured_corner(small)
    lengths = CziLevel(scene, finest).shape[3:]
    top, left = (
        min(c * coarsest // finest, max(0, n - PROBE_PX))
        for c, n in zip(corner, lengths, strict=True)
    )
    h, w = (min(PROBE_PX, n) for n in lengths)
    coarse = scene.pixels(0, z, stored, (top, left, h, w), finest)[..., stored.sample]
    window = (top * finest, left * finest, h * finest, w * finest)
    fine = scene.pixels(0, z, stored, window, 1)[..., stored.sample]
    return sampled_at_centres(fine, coarse, finest) is True
