"""Voxels of a 2dseq file: frames of numbers, read where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

import numpy as np

from ...errors import ReadError, one_line
from ..lazy import Block, Shape5
from .frames import Frames


@dataclass(frozen=True)
class PackagePixels:
    """A package of slices, or a volume, as ``(t, c, z, y, x)``.

    Parameters
    ----------
    frames : Frames
    slices : (int, int)
        Those of the package: the first, and the one behind the last.
    """

    frames: Frames
    slices: tuple[int, int]

    @property
    def shape(self) -> Shape5:
        """``(t, c, z, y, x)``."""
        frames = self.frames
        depth = frames.size[2] if len(frames.size) == 3 else self.slices[1] - self.slices[0]
        n_channels = len(frames.channel_names)
        return (frames.n_times, n_channels, depth, frames.size[1], frames.size[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the scaled values."""
        return self.frames.dtype

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> Block:
        """The box ``starts <= index < stops``.

        Raises
        ------
        ReadError
            If the file has changed since.
        """
        box = np.empty([b - a for a, b in zip(starts, stops, strict=True)], self.dtype)
        planes = (starts[2], stops[2])
        rows, columns = (starts[3], stops[3]), (starts[4], stops[4])
        try:
            # absurd scale factors give infinities, not a warning on the console
            with self.frames.path.open("rb") as file, np.errstate(over="ignore", invalid="ignore"):
                for t in range(starts[0], stops[0]):
                    for c in range(starts[1], stops[1]):
                        part = box[t - starts[0], c - starts[1]]
                        self._fill(part, file, (t, c), planes, rows, columns)
        except (OSError, ValueError) as error:
            raise ReadError(
                self.frames.path,
                f"is damaged: its voxels cannot be read ({one_line(error)})",
                "copy the whole folder again",
            ) from error
        return box

    def _fill(
        self,
        part: Block,
        file: BinaryIO,
        place: tuple[int, int],
        planes: tuple[int, int],
        rows: tuple[int, int],
        columns: tuple[int, int],
    ) -> None:
        """Fill (z, y, x)."""
        frames = self.frames
        for z in range(*planes):
            if len(frames.size) == 3:
                number = frames.number(*place, self.slices[0])
                plane = frames.size[2] - 1 - z if frames.is_reversed else z
            else:
                number, plane = frames.number(*place, self.slices[0] + z), 0
            if frames.exchanges[number] is not None:
                stored = self._exchanged_frame(file, number)[plane][slice(*rows)]
            else:
                stored = self._rows(file, number, plane, rows)
            values = stored[:, slice(*columns)]
            if frames.is_scaled:
                scaled = values.astype(np.float64) * frames.slopes[number]
                values = scaled + frames.offsets[number]
            part[z - planes[0]] = values

    def _rows(self, file: BinaryIO, number: int, plane: int, rows: tuple[int, int]) -> Block:
        width, height = self.frames.size[:2]
        first = number * prod(self.frames.size) + (plane * height + rows[0]) * width
        return self._numbers(file, first, (rows[1] - rows[0]) * width).reshape(-1, width)

    def _exchanged_frame(self, file: BinaryIO, number: int) -> Block:
        """(z, y, x) of a frame that is stored with two axes in each other's place."""
        size = list(self.frames.size)
        axes = self.frames.exchanges[number]
        assert axes is not None
        a, b = axes
        size[a], size[b] = size[b], size[a]
        # the first axis is the fastest: reversed, it is numpy's order
        last = len(size) - 1
        stored = self._numbers(file, number * prod(size), prod(size)).reshape(size[::-1])
        frame = np.swapaxes(stored, last - a, last - b)
        return frame if frame.ndim == 3 else frame[None]

    def _numbers(self, file: BinaryIO, first: int, count: int) -> Block:
        dtype = self.frames.stored_type
        file.seek(first * dtype.itemsize)
        data = file.read(count * dtype.itemsize)
        if len(data) < count * dtype.itemsize:
            raise ValueError("the file ends before them")
        return np.frombuffer(data, dtype)
