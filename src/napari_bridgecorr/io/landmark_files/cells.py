"""Text of a table, cell by cell: encodings, separators, decimal signs, numbers.

What spreadsheets make of a CSV is read where it can be told for sure (UTF-16, semicolons with
decimal commas) and refused in one line where it cannot.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import ReadError
from ...landmarks import Point

Row = tuple[int, list[str]]

_MOST_BYTES = 100_000_000
_TRUE = {"true", "1", "yes", "t", ""}
_FALSE = {"false", "0", "no", "f"}
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
# what programs write for a number that is not there
MISSING = {"", "nan", "na", "n/a", "null", "none"}


@dataclass(frozen=True)
class Cells:
    """The rows of a text table.

    Parameters
    ----------
    path : Path
    text : str
        Without the byte-order mark and without a spreadsheet's ``sep=`` line.
    separator : {",", ";", "tab", "|"}
    first_line : int
        Number in the file of the first line of `text`.
    warnings : tuple of str
        What was assumed about the file.
    """

    path: Path
    text: str
    separator: str
    first_line: int = 1
    warnings: tuple[str, ...] = ()

    @property
    def is_cut(self) -> bool:
        """Whether the last line has no end: a number in it may lack digits."""
        return not self.text.endswith(("\n", "\r"))

    def _is_last(self, line: int) -> bool:
        return line - self.first_line + 1 == len(self.text.splitlines())

    def rows(self) -> Iterator[Row]:
        """(line number, cells) of the rows that are not blank.

        Raises
        ------
        ReadError
            If quotes do not match up or a cell is absurdly long.
        """
        reader = csv.reader(_lines(self.text), strict=True, delimiter=self.separator)
        try:
            for cells in reader:
                if any(c.strip() for c in cells):
                    yield reader.line_num + self.first_line - 1, cells
        except csv.Error as error:
            raise ReadError(
                self.path, f"it is not a readable CSV ({error})", "save it as CSV"
            ) from error

    def table(self) -> tuple[list[str], Iterator[Row]]:
        """Header and rows, each as long as the header.

        Raises
        ------
        ReadError
            If there is no header, it names a column twice, or a row has another length.
        """
        rows = self.rows()
        first = next(rows, None)
        if first is None:
            raise ReadError(self.path, "it is empty", "save the landmarks or points again")
        header = [c.strip() for c in first[1]]
        named = [c for c in header if c]
        if len(set(named)) < len(named):
            raise ReadError(
                self.path, "two columns have the same name", "name every column differently"
            )
        return header, self._checked(rows, len(header))

    def _checked(self, rows: Iterator[Row], width: int) -> Iterator[Row]:
        for line, cells in rows:
            if len(cells) > width and not any(c.strip() for c in cells[width:]):
                cells = cells[:width]  # spreadsheets leave empty cells behind
            if len(cells) < width and self.is_cut and self._is_last(line):
                raise ReadError(
                    self.path,
                    f"it ends in the middle of line {line} ({len(cells)} of {width} cells)",
                    "it was cut off: save or copy it again",
                )
            if len(cells) != width:
                raise ReadError(
                    self.path,
                    f"line {line} has {len(cells)} cells, the header {width}",
                    "use commas between cells only and points as decimal sign",
                )
            yield line, cells


def read_cells(path: Path, separators: str = ",;\t", most_bytes: int = _MOST_BYTES) -> Cells:
    """Read and decode a text table.

    Parameters
    ----------
    path : Path
    separators : str
        Signs that may stand between cells; the first line decides.
    most_bytes : int

    Raises
    ------
    ReadError
        If it is missing, no file, not text, empty, or larger than any table of landmarks.
    """
    text, warnings = read_text(path, most_bytes)
    return cells_of(path, text, separators, warnings)


def cells_of(
    path: Path, text: str, separators: str = ",;\t", warnings: tuple[str, ...] = ()
) -> Cells:
    """The same from text that was read.

    Raises
    ------
    ReadError
        If it is empty.
    """
    first_line = 1
    head = text[:8].lower()
    if head.startswith("sep=") and text[5:6] in ("\r", "\n"):  # written by and for Excel
        separators, text = text[4], text[5:].removeprefix("\r").removeprefix("\n")
        first_line = 2
    if not text.strip():
        raise ReadError(path, "it is empty", "save the landmarks or points again")
    return Cells(path, text, _separator(text, separators), first_line, warnings)


def read_text(path: Path, most_bytes: int = _MOST_BYTES) -> tuple[str, tuple[str, ...]]:
    """Text of a file in UTF-8, UTF-16 or, failing both, Windows-1252; with what was assumed.

    Raises
    ------
    ReadError
        If it is missing, no file, not text, or larger than `most_bytes`.
    """
    try:
        if path.is_dir():
            raise ReadError(path, "it is a folder", "give a CSV file")
        if path.exists() and not path.is_file():
            # a pipe would be waited for, a device read, without end
            raise ReadError(path, "it is not a file", "give a CSV file")
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except FileNotFoundError as error:
        raise ReadError(path, "there is no such file", "check the path") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ReadError(path, f"it cannot be opened ({reason})", "check it") from error
    if len(content) > most_bytes:
        raise ReadError(path, "it is too large for a table of points", "give a CSV file")
    text, warnings = decode(path, content)
    if "\0" in text:
        raise ReadError(path, "it is not a text file", "give a CSV file")
    return text, warnings


def decode(path: Path, content: bytes) -> tuple[str, tuple[str, ...]]:
    """Text of `content`, with what was assumed.

    Raises
    ------
    ReadError
        If it is text in none of the encodings that spreadsheets write.
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        wide: str | None = "utf-16"
    else:  # without its mark: every other byte of plain letters is zero
        zeros = (content[:200:2].count(0), content[1:200:2].count(0))
        wide = None
        if len(content) % 2 == 0 and max(zeros) > min(50, len(content[:200]) // 4):
            wide = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    try:
        return content.decode(wide or "utf-8-sig"), ()
    except UnicodeDecodeError as error:
        if wide is not None:
            raise ReadError(path, "it is not a text file", "save it as CSV (UTF-8)") from error
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise ReadError(path, "it is not a text file in UTF-8", "save it as CSV (UTF-8)") from error
    if _CONTROL.search(text):  # any bytes at all are letters here
        raise ReadError(path, "it is not a text file", "give a CSV file")
    return text, (
        "it is not in UTF-8 and was read as Windows-1252: check the letters in its names",
    )


def _lines(text: str) -> Iterator[str]:
    # io.StringIO would hold a copy of four bytes a letter
    return (found.group() for found in _LINE.finditer(text))


def _separator(text: str, candidates: str) -> str:
    """The sign between the cells of the first line that holds any; quoted cells do not count."""
    for line in _lines(text):
        outside = "".join(line.split('"')[::2])
        counts = {c: outside.count(c) for c in candidates}
        # decimal commas outnumber the semicolons of a header-less line
        for strong in ";\t|":
            if counts.get(strong, 0):
                return strong
        if line.strip():
            break
    return candidates[0]


class Numbers:
    """Reads the numbers of one table, all with the same decimal sign.

    A comma is a decimal sign only where it does not separate cells; a table that uses both signs
    (thousands) is refused, since 1.234 may be either.
    """

    def __init__(self, cells: Cells) -> None:
        self._path = cells.path
        self._comma_separates = cells.separator == ","
        self._seen_comma = self._seen_point = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was assumed about the decimal sign."""
        if self._seen_comma:
            return ("its commas were read as decimal signs (1,5 is one and a half)",)
        return ()

    def text(self, line: int, cell: str) -> str:
        """`cell` as a finite decimal number with a point.

        Raises
        ------
        ReadError
            If it is none.
        """
        number = cell.strip()
        if "," in number:
            if self._comma_separates:
                raise self._fault(line, cell, "is not a number", "use a point as decimal sign")
            self._seen_comma = True
        if "." in number:
            self._seen_point = True
        if self._seen_comma:
            if self._seen_point:
                raise self._fault(
                    line,
                    cell,
                    "leaves open which sign is the decimal one: the table has points and commas",
                    "save it without thousands separators, with points as decimal sign",
                )
            number = number.replace(",", ".")
        try:
            value = float(number)
        except ValueError as error:
            raise self._fault(line, cell, "is not a number", "correct the cell") from error
        if "_" in number or not number.isascii():  # Python's own spellings, nobody else's
            raise self._fault(line, cell, "is not a number", "correct the cell")
        if not math.isfinite(value):
            raise self._fault(line, cell, "is not a finite number", "correct it")
        return number

    def point(self, line: int, cells: Sequence[str], what: str) -> Point | None:
        """Three numbers as they stand; None if all cells are empty."""
        filled = [c.strip() for c in cells]
        if not any(filled):
            return None
        if not all(filled):
            raise ReadError(
                self._path, f"line {line}: the {what} position is incomplete", "give z, y and x"
            )
        z, y, x = (float(self.text(line, c)) for c in filled)
        return z, y, x

    def _fault(self, line: int, cell: str, fault: str, remedy: str) -> ReadError:
        return ReadError(self._path, f"line {line}: {_shown(cell)} {fault}", remedy)


def flag(path: Path, line: int, cell: str, column: str = "enabled") -> bool:
    """A cell that says yes or no.

    Raises
    ------
    ReadError
        If it says neither.
    """
    value = cell.strip().lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ReadError(path, f"line {line}: {column} is {_shown(cell)}", "write true or false")


def row_text(cells: Sequence[str]) -> str:
    """One row of a CSV with commas."""
    text = io.StringIO(newline="")
    # a bare carriage return ends a row for the readers of CSV, but is not quoted by all writers
    if any("\r" in c for c in cells):
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(cells)
    else:
        csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")
