"""Landmarks and points as CSV, in the project's own format."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import FitError, ReadError
from ...landmarks import Landmark, LandmarkSet, Point
from ..atomic import write_text

LANDMARK_COLUMNS = (
    "id",
    "name",
    "enabled",
    "fixed_z_um",
    "fixed_y_um",
    "fixed_x_um",
    "moving_z_um",
    "moving_y_um",
    "moving_x_um",
)
POINT_COLUMNS = ("z_um", "y_um", "x_um")

_TRUE = {"true", "1", "yes", "t", ""}
_FALSE = {"false", "0", "no", "f"}
# no landmark or point table is larger; a mislabelled image is
_MAX_BYTES = 2_000_000_000


@dataclass(frozen=True, eq=False)
class PointTable:
    """Points with whatever other columns stood beside them.

    Parameters
    ----------
    points_um : (n, 3) float64
        (z, y, x) in um.
    header : tuple of str
        All columns in the file's order.
    rows : tuple of tuple of str
        The cells as text.
    """

    points_um: NDArray[np.float64]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_landmarks(path: Path) -> LandmarkSet:
    """Read a landmark CSV.

    Raises
    ------
    ReadError
        If the file is not such a table; the message names the line.
    """
    header, rows = _read_cells(path)
    missing = [c for c in LANDMARK_COLUMNS if c not in header and c not in ("name", "enabled")]
    if missing:
        raise ReadError(
            path,
            f"its header lacks {', '.join(missing)}",
            f"the header must be {','.join(LANDMARK_COLUMNS)}",
        )
    at = {name: header.index(name) for name in LANDMARK_COLUMNS if name in header}
    found = []
    for line, cells in rows:
        identity = cells[at["id"]].strip()
        if not identity:
            raise ReadError(path, f"line {line} has no id", "give every landmark an id of its own")
        found.append(
            Landmark(
                identity,
                cells[at["name"]] if "name" in at else identity,
                _flag(path, line, cells[at["enabled"]]) if "enabled" in at else True,
                _point(path, line, [cells[at[f"fixed_{a}_um"]] for a in "zyx"], "fixed"),
                _point(path, line, [cells[at[f"moving_{a}_um"]] for a in "zyx"], "moving"),
            )
        )
    if not found:
        raise ReadError(path, "it holds no landmarks", "place landmarks and save them first")
    try:
        return LandmarkSet(tuple(found))
    except FitError as error:
        raise ReadError(path, str(error).split(";")[0], "give every landmark its own id") from error


def write_landmarks(landmarks: LandmarkSet, path: Path) -> None:
    """Write a landmark CSV (atomically; numbers with all their digits)."""
    text = io.StringIO(newline="")
    _write_row(text, LANDMARK_COLUMNS)
    for m in landmarks:
        cells = [m.id, m.name, "true" if m.enabled else "false"]
        for point in (m.fixed_um, m.moving_um):
            cells += ["", "", ""] if point is None else [repr(float(v)) for v in point]
        _write_row(text, cells)
    write_text(path, text.getvalue())


def read_points(path: Path) -> PointTable:
    """Read a CSV with the columns ``z_um,y_um,x_um`` and any others.

    Raises
    ------
    ReadError
        If a column is missing or a cell is not a number; the message names the line.
    """
    header, rows = _read_cells(path)
    missing = [c for c in POINT_COLUMNS if c not in header]
    if missing:
        raise ReadError(
            path, f"its header lacks {', '.join(missing)}", "name the columns z_um,y_um,x_um"
        )
    at = [header.index(c) for c in POINT_COLUMNS]
    points = []
    for line, cells in rows:
        point = _point(path, line, [cells[i] for i in at], "point")
        if point is None:
            raise ReadError(path, f"line {line} has no coordinates", "fill or delete the line")
        points.append(point)
    return PointTable(
        np.array(points, dtype=np.float64).reshape(-1, 3),
        tuple(header),
        tuple(tuple(cells) for _, cells in rows),
    )


def write_points(table: PointTable, points_um: NDArray[np.float64], path: Path) -> None:
    """Write `table` with its coordinates replaced by `points_um`; other columns carried through.

    A point that could not be mapped (NaN) has empty cells.
    """
    text = io.StringIO(newline="")
    _write_row(text, table.header)
    at = [table.header.index(c) for c in POINT_COLUMNS]
    for cells, point in zip(table.rows, points_um, strict=True):
        changed = list(cells)
        for i, value in zip(at, point, strict=True):
            changed[i] = repr(float(value)) if math.isfinite(value) else ""
        _write_row(text, changed)
    write_text(path, text.getvalue())


def _write_row(text: io.StringIO, cells: Sequence[str]) -> None:
    # a bare carriage return ends a row for the readers of CSV, but is not quoted by all writers
    if any("\r" in c for c in cells):
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(cells)
    else:
        csv.writer(text, lineterminator="\n").writerow(cells)


def _read_cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and (line number, cells) of a CSV; empty lines are skipped."""
    try:
        if path.is_dir():
            raise ReadError(path, "it is a folder", "give a CSV file")
        if path.exists() and not path.is_file():
            # a pipe would be waited for, a device read, without end
            raise ReadError(path, "it is not a file", "give a CSV file")
        if path.stat().st_size > _MAX_BYTES:
            raise ReadError(path, "it is too large for a table of points", "give a CSV file")
        text = path.read_bytes().decode("utf-8-sig")
        if "\0" in text:
            raise ReadError(path, "it is not a text file", "give a CSV file")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)]
    except FileNotFoundError as error:
        raise ReadError(path, "there is no such file", "check the path") from error
    except OSError as error:
        raise ReadError(path, f"it cannot be opened ({error.strerror})", "check it") from error
    except UnicodeDecodeError as error:
        raise ReadError(path, "it is not a text file in UTF-8", "save it as CSV (UTF-8)") from error
    except csv.Error as error:
        raise ReadError(path, f"it is not a readable CSV ({error})", "save it as CSV") from error
    if not lines:
        raise ReadError(path, "it is empty", "save the landmarks or points again")
    header = [c.strip() for c in lines[0][1]]
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise ReadError(
            path, "its cells are not separated by commas", "save it with commas and decimal points"
        )
    if len(set(header)) < len(header):
        raise ReadError(path, "two columns have the same name", "name every column differently")
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise ReadError(
                path,
                f"line {line} has {len(cells)} cells, the header {len(header)}",
                "use commas between cells only and points as decimal sign",
            )
    return header, lines[1:]


def _flag(path: Path, line: int, cell: str) -> bool:
    value = cell.strip().lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ReadError(path, f"line {line}: enabled is {cell!r}", "write true or false")


def _point(path: Path, line: int, cells: Sequence[str], what: str) -> Point | None:
    """A point, None if all cells are empty."""
    filled = [c.strip() for c in cells]
    if not any(filled):
        return None
    if not all(filled):
        raise ReadError(path, f"line {line}: the {what} position is incomplete", "give z, y and x")
    values = []
    for cell in filled:
        try:
            value = float(cell)
        except ValueError as error:
            remedy = "use a point as decimal sign" if "," in cell else "correct the cell"
            raise ReadError(path, f"line {line}: {cell!r} is not a number", remedy) from error
        if not math.isfinite(value):
            raise ReadError(path, f"line {line}: {cell!r} is not a finite number", "correct it")
        values.append(value)
    return values[0], values[1], values[2]
