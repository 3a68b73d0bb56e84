"""Pixels of an acquisition, which its file lists one by one, as an image.

Every pixel states its X and Y. Lines nearly always follow one another, so that a box is read from
where it must lie and X and Y prove it; where they do not, X and Y place each pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError, one_line
from ..lazy import Block, Shape5

N_POSITION_VALUES = 3
"""X, Y and Z precede the channels of a pixel."""
_PIECE_BYTES = 8 * 2**20
_CHUNK_BYTES = 8 * 2**20
_VALUE = np.dtype("<f4")

FloatBlock = NDArray[np.floating[Any]]
# number of the first pixel, X and Y as (n, 2), values as (n, channels)
Piece = tuple[int, FloatBlock, FloatBlock]


class PixelList(Protocol):
    """Pixels in the order in which the file has them. Hashable by value."""

    @property
    def path(self) -> str:
        """The file."""

    @property
    def n_pixels(self) -> int:
        """How many there are."""

    @property
    def n_channels(self) -> int:
        """Values of a pixel, positions apart."""

    def pieces(self, first: int, last: int, channels: tuple[int, int]) -> Iterator[Piece]:
        """Pixels ``first <= number < last`` and the channels wanted, a bounded number at a time.

        Raises
        ------
        OSError, ValueError
            If they cannot be read.
        """


@dataclass(frozen=True)
class BinaryPixels:
    """float32 values of all channels side by side, pixel after pixel (see :class:`PixelList`).

    Parameters
    ----------
    path : str
    offset : int
        Where the first pixel begins.
    n_pixels, n_channels : int
    """

    path: str
    offset: int
    n_pixels: int
    n_channels: int

    def pieces(self, first: int, last: int, channels: tuple[int, int]) -> Iterator[Piece]:
        """See :class:`PixelList`."""
        n_values = self.n_channels + N_POSITION_VALUES
        pixel_bytes = n_values * _VALUE.itemsize
        low, high = (N_POSITION_VALUES + c for c in channels)
        with Path(self.path).open("rb") as file:
            file.seek(self.offset + first * pixel_bytes)
            while first < last:
                count = min(max(1, _PIECE_BYTES // pixel_bytes), last - first)
                data = file.read(count * pixel_bytes)
                if len(data) < count * pixel_bytes:
                    raise ValueError("the file ends before it")
                values = np.frombuffer(data, _VALUE).reshape(count, n_values)
                yield first, values[:, :2], values[:, low:high]
                first += count


@dataclass(frozen=True)
class AcquisitionPixels:
    """Pixels of one acquisition as ``(t, c, z, y, x)`` with the rows flipped.

    Parameters
    ----------
    pixels : PixelList
        No more than rows x columns; fewer where the acquisition was stopped.
    name : str
        Of the acquisition, for errors.
    size : (int, int)
        Rows and columns.
    """

    pixels: PixelList
    name: str
    size: tuple[int, int]

    @property
    def shape(self) -> Shape5:
        """``(1, channels, 1, rows, columns)``."""
        return (1, self.pixels.n_channels, 1, *self.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, in native byte order."""
        return np.dtype(np.float32)

    @property
    def chunks(self) -> Shape5:
        """Strips of all channels: they lie side by side in the file and are read together."""
        row_bytes = self.size[1] * self.pixels.n_channels * _VALUE.itemsize
        rows = max(1, min(self.size[0], _CHUNK_BYTES // row_bytes))
        return (1, self.pixels.n_channels, 1, rows, self.size[1])

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> Block:
        """The box ``starts <= index < stops``; pixels that were not ablated are 0.

        Raises
        ------
        ReadError
            If the file has changed, or its pixels are not where they say.
        """
        n_rows = self.size[0]
        rows = (n_rows - stops[3], n_rows - starts[3])
        columns, channels = (starts[4], stops[4]), (starts[1], stops[1])
        box = np.zeros((stops[1] - starts[1], rows[1] - rows[0], stops[4] - starts[4]), np.float32)
        try:
            # a text's number beyond float32 is infinite, without a warning on the console
            with np.errstate(over="ignore", invalid="ignore"):
                if not self._fill_in_order(box, channels, rows, columns):
                    box[:] = 0
                    self._fill_by_position(box, channels, rows, columns)
        except (OSError, ValueError) as error:
            raise ReadError(
                self.pixels.path,
                f"is damaged: {self.name} cannot be read ({one_line(error)})",
                "copy it again from the instrument's computer",
            ) from error
        return box[None, :, None, ::-1]

    def _fill_in_order(
        self,
        box: FloatBlock,
        channels: tuple[int, int],
        rows: tuple[int, int],
        columns: tuple[int, int],
    ) -> bool:
        """Fill from where the rows must lie; False if the pixels there say otherwise."""
        width = self.size[1]
        last = min(rows[1] * width, self.pixels.n_pixels)
        for first, positions, values in self.pixels.pieces(rows[0] * width, last, channels):
            number = np.arange(first, first + len(positions))
            y, x = number // width, number % width
            if not (np.array_equal(positions[:, 0], x) and np.array_equal(positions[:, 1], y)):
                return False
            _put(box, rows, columns, (y, x), values)
        return True

    def _fill_by_position(
        self,
        box: FloatBlock,
        channels: tuple[int, int],
        rows: tuple[int, int],
        columns: tuple[int, int],
    ) -> None:
        seen = np.zeros(box.shape[1:], dtype=bool)
        for first, last, least, most in _rows_of_pieces(self):
            if most < rows[0] or least >= rows[1]:
                continue
            for _, positions, values in self.pixels.pieces(first, last, channels):
                y, x = self.indices(positions)
                _put(box, rows, columns, (y, x), values)
                _put(seen[None], rows, columns, (y, x), np.ones((len(y), 1), bool))
        is_whole = self.pixels.n_pixels >= self.size[0] * self.size[1]
        if is_whole and not seen.all():
            row, column = (int(n[0]) for n in np.nonzero(~seen))
            raise ValueError(
                f"the pixel at column {columns[0] + column}, row {rows[0] + row} is missing"
            )

    def indices(self, positions: FloatBlock) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of pixels. Raises ValueError if one lies outside."""
        x, y = positions[:, 0], positions[:, 1]
        # written so that NaN fails too
        inside = (x >= 0) & (x < self.size[1]) & (y >= 0) & (y < self.size[0])
        if not inside.all():
            worst = int(np.argmin(inside))
            raise ValueError(
                f"a pixel lies at column {x[worst]:g}, row {y[worst]:g} of "
                f"{self.size[1]} x {self.size[0]}"
            )
        return y.astype(np.intp), x.astype(np.intp)

    def rows_of_pieces(self) -> Iterator[tuple[int, int, int, int]]:
        """First and last pixel of each piece, its lowest and highest row."""
        for first, positions, _ in self.pixels.pieces(0, self.pixels.n_pixels, (0, 0)):
            y, _ = self.indices(positions)
            yield first, first + len(y), int(y.min()), int(y.max())


@lru_cache(maxsize=64)
def _rows_of_pieces(pixels: AcquisitionPixels) -> tuple[tuple[int, int, int, int], ...]:
    return tuple(pixels.rows_of_pieces())


def _put(
    box: NDArray[Any],
    rows: tuple[int, int],
    columns: tuple[int, int],
    place: tuple[NDArray[np.intp], NDArray[np.intp]],
    values: NDArray[Any],
) -> None:
    """Put those of the pixels (n, channels) that lie in the box (channels, rows, columns)."""
    y, x = place
    wanted = (y >= rows[0]) & (y < rows[1]) & (x >= columns[0]) & (x < columns[1])
    if wanted.all():
        box[:, y - rows[0], x - columns[0]] = values.T
    else:
        box[:, y[wanted] - rows[0], x[wanted] - columns[0]] = values[wanted].T
