"""Planes of TIFF files as lazy 5-D arrays. Knows no tags and no tifffile."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from dask.array import Array as DaskArray

from ...errors import ReadError
from ..lazy import CHUNK_BYTES, Block, Shape5, lazy_array

# beyond it one window could not list them
_MOST_IMAGES = 512
# tifffile's letters of axes whose indices are places or looks of their own, not one image
_WORDS = {
    **{"A": "angle", "P": "position", "R": "tile", "M": "mosaic", "V": "event", "L": "exposure"},
    **{"Q": "part", "I": "part", "H": "lifetime", "E": "wavelength", "J": "column", "K": "row"},
}
# several looks at one place are channels
_LOOKS = "EHL"


class Planes(Protocol):
    """Planes of one shape (see :class:`~.levels.TiffLevel`)."""

    @property
    def axes(self) -> str:
        """tifffile's letters of the axes over planes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Their lengths."""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    def samples(self) -> int:
        """Colour samples of a plane."""

    @property
    def is_interleaved(self) -> bool:
        """A plane's samples are read together."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""

    @property
    def tile(self) -> tuple[int, int]:
        """Rows and columns that are read together."""

    def read(self, number: int, rows: tuple[int, int], columns: tuple[int, int]) -> Block:
        """A box of a plane, (samples, rows, columns)."""


@dataclass(frozen=True)
class Layout:
    """Which planes are one image, and which of them holds a (t, c, z).

    Parameters
    ----------
    name : str
        What tells it from the other images of the same planes; empty for the only one.
    first : int
        Number of the plane of t, c, z = 0.
    lengths, strides : (t, c, z)
    """

    name: str
    first: int
    lengths: tuple[int, int, int]
    strides: tuple[int, int, int]


def layouts(path: Path, level: Planes) -> tuple[Layout, ...]:
    """The images that a level's planes are.

    One axis that nothing names is a stack. Of several, all but the last count images: they are
    never taken for times or channels.

    Raises
    ------
    ReadError
        If there would be hundreds of images.
    """
    letters = list(level.axes)
    for number, axis in enumerate(letters):
        if axis in _LOOKS and "C" not in letters:
            letters[number] = "C"
    nameless = [i for i, axis in enumerate(letters) if axis in "IQ"]
    free = next((axis for axis in "ZTC" if axis not in letters), "")
    if nameless and free:
        letters[nameless[-1]] = free
    strides = [prod(level.shape[i + 1 :]) for i in range(len(letters))]
    extra = [i for i, axis in enumerate(letters) if axis not in "TCZ"]
    n_images = prod(level.shape[i] for i in extra)
    if n_images > _MOST_IMAGES or len(set(letters) & set("TCZ")) + len(extra) != len(letters):
        sizes = " x ".join(f"{a} {n}" for a, n in zip(level.axes, level.shape, strict=True))
        raise ReadError(
            path,
            f"has axes of unknown meaning ({sizes})",
            "save it as OME-TIFF or as an ImageJ hyperstack",
        )
    place = {axis: i for i, axis in enumerate(letters) if i not in extra}
    lengths = [level.shape[place[a]] if a in place else 1 for a in "TCZ"]
    steps = [strides[place[a]] if a in place else 0 for a in "TCZ"]
    found = []
    for index in np.ndindex(*(level.shape[i] for i in extra)):
        words = [
            f"{_WORDS.get(letters[i], letters[i])} {k + 1}"
            for i, k in zip(extra, index, strict=True)
        ]
        first = sum(strides[i] * k for i, k in zip(extra, index, strict=True))
        found.append(
            Layout(
                ", ".join(words),
                first,
                (lengths[0], lengths[1], lengths[2]),
                (steps[0], steps[1], steps[2]),
            )
        )
    return tuple(found)


class TiffPixels:
    """One image of a level as a 5-D ``(t, c, z, y, x)`` array; a colour's samples are channels."""

    def __init__(self, level: Planes, layout: Layout) -> None:
        self._level = level
        self._layout = layout
        n_t, n_c, n_z = layout.lengths
        self.n_samples = level.samples
        self.shape: Shape5 = (n_t, n_c * level.samples, n_z, *level.size)
        present = [("t", n_t > 1), ("c", self.shape[1] > 1), ("z", n_z > 1)]
        self.axes = "".join(axis for axis, is_there in present if is_there) + "yx"

    def array(self) -> DaskArray:
        """The lazy array."""
        return lazy_array(self.shape, self._level.dtype, self._chunks(), self.read)

    def _chunks(self) -> Shape5:
        """Blocks of about `CHUNK_BYTES`, made of whole tiles or strips."""
        _, _, n_z, n_y, n_x = self.shape
        # samples that lie together are decoded together
        n_c = self.n_samples if self._level.is_interleaved else 1
        item = self._level.dtype.itemsize * n_c
        high, wide = self._level.tile
        plane = n_y * n_x * item
        if plane <= 2 * CHUNK_BYTES:
            return 1, n_c, min(n_z, max(1, CHUNK_BYTES // plane)), n_y, n_x
        if wide >= n_x:
            rows = max(1, CHUNK_BYTES // (n_x * item))
            return 1, n_c, 1, min(n_y, max(high, rows // high * high)), n_x
        side = max(1, CHUNK_BYTES // item)
        columns = max(wide, int(side**0.5) // wide * wide)
        rows = max(high, side // columns // high * high)
        return 1, n_c, 1, min(n_y, rows), min(n_x, columns)

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> Block:
        """The box ``starts <= index < stops``."""
        size = [b - a for a, b in zip(starts, stops, strict=True)]
        box = np.empty(size, dtype=self._level.dtype)
        by_t, by_c, by_z = self._layout.strides
        rows, columns = (starts[3], stops[3]), (starts[4], stops[4])
        for t in range(starts[0], stops[0]):
            for z in range(starts[2], stops[2]):
                # a plane holds all samples of a colour: read it once for all of them
                loaded: tuple[int, Block] | None = None
                for c in range(starts[1], stops[1]):
                    number = self._layout.first + t * by_t + z * by_z + c // self.n_samples * by_c
                    if loaded is None or loaded[0] != number:
                        loaded = number, self._level.read(number, rows, columns)
                    sample = loaded[1][c % self.n_samples]
                    box[t - starts[0], c - starts[1], z - starts[2]] = sample
        return box
