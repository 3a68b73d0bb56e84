"""The levels of a CZI scene: a box reads the pixels it needs, no more.

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
from .guard import guard
from .library import read_pixels
from .planes import Layout, StoredChannel
from .segments import CziFile
from .side_by_side import compose

_STRIP_PX = 2**24
_WINDOW_PX = 1024


@dataclass(frozen=True)
class CziScene:
    """One scene at full resolution.

    Parameters
    ----------
    file : CziFile
    scene : int or None
        None where the file has no scenes.
    layout : Layout
    """

    file: CziFile
    scene: int | None
    layout: Layout

    def pixels(
        self, t: int, z: int, stored: StoredChannel, window: tuple[int, int, int, int], factor: int
    ) -> NDArray[Any]:
        """(h, w, samples) pixels of a window (y, x, h, w) in pixels of the pyramid's `factor`."""
        y, x, h, w = window
        at = self.layout
        rectangle = (at.x + x * factor, at.y + y * factor, w * factor, h * factor)
        plane = {"T": at.first_t + t, "Z": at.first_z + z, **dict(stored.plane)}
        tiles = guard(self.file).tiles(rectangle, plane, self.scene)
        found = compose(self.file, tiles, rectangle, stored.pixel_type, factor)
        if found is None:
            found = read_pixels(self.file, rectangle, plane, self.scene, stored.pixel_type, factor)
        return found


@dataclass(frozen=True)
class CziLevel:
    """One level (t, c, z, y, x), as a `VoxelSource`. Picklable.

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
        s = self.scene.layout
        # a last incomplete pixel of a stored pyramid may or may not have been written: left out
        up = 0 if self.stored else self.factor - 1
        h, w = (s.height + up) // self.factor, (s.width + up) // self.factor
        return s.n_t, len(s.channels), s.n_z, h, w

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return self.scene.layout.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 5

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> NDArray[Any]:
        """The box ``starts <= index < stops``."""
        size = [b - a for a, b in zip(starts, stops, strict=True)]
        window = (starts[3], starts[4], size[3], size[4])
        if size[:3] == [1, 1, 1]:
            stored = self.scene.layout.channels[starts[1]]
            pixels = self._window(starts[0], starts[2], stored, *window)[..., stored.sample]
            return pixels[None, None, None].astype(self.dtype, copy=False)
        block = np.empty(size, self.dtype)
        for t in range(starts[0], stops[0]):
            for z in range(starts[2], stops[2]):
                self._fill(block[t - starts[0], :, z - starts[2]], t, starts[1], z, window)
        return block

    def _fill(
        self, out: NDArray[Any], t: int, first: int, z: int, window: tuple[int, int, int, int]
    ) -> None:
        """Fill (c, y, x); the three samples of a coloured channel come from one reading."""
        last: tuple[object, NDArray[Any]] | None = None
        for i, stored in enumerate(self.scene.layout.channels[first : first + len(out)]):
            if last is None or last[0] != stored.plane:
                last = stored.plane, self._window(t, z, stored, *window)
            out[i] = last[1][..., stored.sample]

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
        inside = (y, x, min(h, self.scene.layout.height - y), min(w, self.scene.layout.width - x))
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
    stored = scene.layout.channels[0]
    z = scene.layout.n_z // 2
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
