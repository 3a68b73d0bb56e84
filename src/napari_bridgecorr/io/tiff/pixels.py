"""Planes of a TIFF file or folder as one lazy 5-D array. Knows no tags and no tifffile."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from dask.array import Array as DaskArray

from ...errors import ReadError
from ..lazy import Block, Shape5, lazy_array, plane_chunks


class Planes(Protocol):
    """Planes of one shape (see :class:`~.library.TiffLevel`)."""

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
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""

    @property
    def tile_rows(self) -> int:
        """Rows that are stored together."""

    def read(self, number: int, rows: tuple[int, int], columns: tuple[int, int]) -> Block:
        """A box of a plane, (samples, rows, columns)."""


@dataclass(frozen=True)
class _Layout:
    """Which plane and sample holds a (t, c, z)."""

    n_t: int
    n_c: int
    n_z: int
    strides: tuple[int, int, int]


def _layout(path: Path, level: Planes) -> _Layout:
    letters = list(level.axes)
    unknown = [axis for axis in letters if axis not in "TCZ"]
    if len(unknown) == 1 and unknown[0] in "IQ":
        # pages that nothing describes: a stack
        free = next((axis for axis in "ZTC" if axis not in letters), "")
        letters[letters.index(unknown[0])] = free
        unknown = [] if free else unknown
    if unknown or len(set(letters)) != len(letters):
        sizes = " x ".join(f"{a} {n}" for a, n in zip(level.axes, level.shape, strict=True))
        raise ReadError(
            path,
            f"has axes of unknown meaning ({sizes})",
            "save it as OME-TIFF or as an ImageJ hyperstack",
        )
    sizes_of = dict(zip(letters, level.shape, strict=True))
    strides = {a: prod(level.shape[i + 1 :]) for i, a in enumerate(letters)}
    t, c, z = (strides.get(axis, 0) for axis in "TCZ")
    return _Layout(sizes_of.get("T", 1), sizes_of.get("C", 1), sizes_of.get("Z", 1), (t, c, z))


class TiffPixels:
    """One level as a 5-D ``(t, c, z, y, x)`` array; the samples of a colour are channels."""

    def __init__(self, path: Path, level: Planes) -> None:
        self._level = level
        self._layout = layout = _layout(path, level)
        self.n_samples = level.samples
        self.shape: Shape5 = (layout.n_t, layout.n_c * level.samples, layout.n_z, *level.size)
        present = [("t", layout.n_t > 1), ("c", self.shape[1] > 1), ("z", layout.n_z > 1)]
        self.axes = "".join(axis for axis, is_there in present if is_there) + "yx"

    def array(self) -> DaskArray:
        """The lazy array."""
        chunks = plane_chunks(self.shape, self._level.dtype.itemsize, self._level.tile_rows)
        return lazy_array(self.shape, self._level.dtype, chunks, self.read)

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
                    number = t * by_t + z * by_z + c // self.n_samples * by_c
                    if loaded is None or loaded[0] != number:
                        loaded = number, self._level.read(number, rows, columns)
                    sample = loaded[1][c % self.n_samples]
                    box[t - starts[0], c - starts[1], z - starts[2]] = sample
        return box
