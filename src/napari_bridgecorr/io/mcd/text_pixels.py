"""The table of a text file: where its lines begin, and its numbers.

Files reach gigabytes, so the lines are counted once and a box is parsed from a mark near it; of a
line only the columns wanted are turned into numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .pixels import Piece

N_LEADING_COLUMNS = 6
"""Start_push, End_push, Pushes_duration, X, Y, Z."""
_X_COLUMN = 3
_STEP_BYTES = 4 * 2**20
_LONGEST_HEADER = 2**20
# digits that a float64 holds exactly, with a point and a sign
_LONGEST_PLAIN = 15
_LONGEST_NUMBER = 64

Marks = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class TextPixels:
    """Lines of a text file (see :class:`~.pixels.PixelList`).

    Parameters
    ----------
    path : str
    n_pixels, n_channels : int
    marks : tuple of (int, int)
        Number of a line (0 is the first pixel) and where it begins; the last one is the end.
    """

    path: str
    n_pixels: int
    n_channels: int
    marks: Marks

    def pieces(self, first: int, last: int, channels: tuple[int, int]) -> Iterator[Piece]:
        """See :class:`~.pixels.PixelList`."""
        n_columns = N_LEADING_COLUMNS + self.n_channels
        wanted = [_X_COLUMN, _X_COLUMN + 1, *(N_LEADING_COLUMNS + c for c in range(*channels))]
        with Path(self.path).open("rb") as file:
            for (start, begin), (stop, end) in zip(self.marks, self.marks[1:], strict=False):
                if stop <= first or start >= last:
                    continue
                file.seek(begin)
                data = file.read(end - begin)
                if len(data) < end - begin:
                    raise ValueError("the file ends before it")
                numbers = parse_columns(data, n_columns, wanted, stop - start)
                low, high = max(0, first - start), min(stop, last) - start
                yield start + low, numbers[low:high, :2], numbers[low:high, 2:]


def read_header(file: BinaryIO) -> list[str]:
    """Column names: the first line, at which the file is open. Raises ValueError."""
    line = file.readline(_LONGEST_HEADER)
    if not line.endswith(b"\n"):
        raise ValueError("its first line does not end")
    line = line.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    try:
        return line.decode("utf-8").split("\t")
    except UnicodeDecodeError:
        # what the instrument's Windows writes for letters as in TNF-alpha
        return line.decode("cp1252", "replace").split("\t")


def mark_lines(file: BinaryIO) -> Marks:
    """Marks (see :class:`TextPixels`) every few megabytes from here to the last line."""
    offset = file.tell()
    marks = [(0, offset)]
    n_lines = 0
    rest = b""
    while True:
        data = file.read(_STEP_BYTES)
        if not data:
            break
        whole, newline, tail = data.rpartition(b"\n")
        if not newline:
            rest += tail
            if len(rest) > _LONGEST_HEADER:
                raise ValueError("a line is too long")
            continue
        n_lines += whole.count(b"\n") + 1
        offset += len(rest) + len(whole) + 1
        rest = tail
        marks.append((n_lines, offset))
    if rest.strip():
        marks.append((n_lines + 1, offset + len(rest)))
    return _without_blank_end(file, marks)


def _without_blank_end(file: BinaryIO, marks: list[tuple[int, int]]) -> Marks:
    """Marks without the empty lines at the end of the file."""
    while len(marks) > 1:
        begin, (stop, end) = marks[-2][1], marks[-1]
        file.seek(begin)
        data = file.read(end - begin)
        kept = data.rstrip()
        if kept:
            n_blank = data[len(kept) :].count(b"\n") - (1 if b"\n" in data[len(kept) :] else 0)
            marks[-1] = (stop - n_blank, begin + len(kept))
            break
        marks.pop()
    return tuple(marks)


def last_position(file: BinaryIO, marks: Marks) -> tuple[float, float]:
    """X and Y of the last line. Raises ValueError."""
    begin, end = marks[-2][1], marks[-1][1]
    file.seek(max(begin, end - _LONGEST_HEADER))
    line = file.read(end - max(begin, end - _LONGEST_HEADER)).rpartition(b"\n")[2]
    cells = line.split(b"\t")
    if len(cells) < N_LEADING_COLUMNS:
        raise ValueError("its last line is cut off")
    return float(cells[_X_COLUMN]), float(cells[_X_COLUMN + 1])


def parse_columns(
    data: bytes, n_columns: int, wanted: Sequence[int], n_lines: int
) -> NDArray[np.float64]:
    """Numbers of some columns of a tab-separated table.

    Parameters
    ----------
    data : bytes
        Whole lines; the last newline may be missing.
    n_columns : int
        Cells of every line.
    wanted : sequence of int
    n_lines : int

    Returns
    -------
    (n_lines, len(wanted)) float64

    Raises
    ------
    ValueError
        If lines have another number of cells, or a cell holds no number.
    """
    data = data.replace(b"\r", b"").rstrip(b"\n") + b"\n"
    characters = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero((characters == ord("\t")) | (characters == ord("\n")))
    is_table = len(ends) == n_lines * n_columns
    if is_table:
        is_newline = (characters[ends] == ord("\n")).reshape(n_lines, n_columns)
        is_table = bool(is_newline[:, -1].all() and not is_newline[:, :-1].any())
    if not is_table:
        raise ValueError(f"lines do not have {n_columns} cells each")
    begins = np.concatenate([[0], ends[:-1] + 1]).reshape(n_lines, n_columns)
    columns = np.asarray(wanted)
    return _numbers(data, characters, begins[:, columns], ends.reshape(begins.shape)[:, columns])


def _numbers(
    data: bytes, characters: NDArray[np.uint8], begins: NDArray[Any], ends: NDArray[Any]
) -> NDArray[np.float64]:
    """Numbers between places. Plain decimals are added up digit by digit, all cells at once."""
    lengths = ends - begins
    if lengths.size == 0:
        return np.zeros(begins.shape)
    longest = int(lengths.max())
    if longest > _LONGEST_NUMBER or int(lengths.min()) == 0:
        raise ValueError("a cell holds no number")
    total = np.zeros(begins.shape)
    n_decimals = np.zeros(begins.shape, np.int64)
    n_digits = np.zeros(begins.shape, np.int64)
    n_points = np.zeros(begins.shape, np.int64)
    is_plain = np.ones(begins.shape, bool)
    for place in range(min(longest, _LONGEST_PLAIN + 1)):
        is_cell = place < lengths
        character = characters[np.minimum(begins + place, len(characters) - 1)]
        digit = character - np.uint8(ord("0"))  # below "0" wraps round to more than 9
        is_digit = is_cell & (digit <= 9)
        is_point = is_cell & (character == ord("."))
        is_plain &= is_digit | is_point | ~is_cell
        total = np.where(is_digit, total * 10 + digit, total)
        n_digits += is_digit
        n_decimals += is_digit & (n_points > 0)
        n_points += is_point
    is_plain &= (lengths <= _LONGEST_PLAIN) & (n_points <= 1) & (n_digits > 0)
    total /= 10.0**n_decimals
    # signs, exponents and the like are rare
    for index in zip(*np.nonzero(~is_plain), strict=True):
        text = data[int(begins[index]) : int(ends[index])].decode("ascii", "replace")
        try:
            total[index] = float(text)
        except ValueError:
            raise ValueError(f"{text!r} is no number") from None
    return total
