"""Points as CSV with the columns ``z_um,y_um,x_um``, others being carried through."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ..atomic import replacing
from .cells import Numbers, read_cells, row_text

POINT_COLUMNS = ("z_um", "y_um", "x_um")
# the text is held in memory, its numbers are not
_MOST_BYTES = 1_000_000_000


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


def read_points(path: Path) -> PointTable:
    """Read a CSV with the columns ``z_um,y_um,x_um`` and any others.

    Raises
    ------
    ReadError
        If a column is missing or a cell is not a number; the message names the line.
    """
    chunks = list(iter_points(path))
    return PointTable(
        np.concatenate([c.points_um for c in chunks]),
        chunks[0].header,
        tuple(row for c in chunks for row in c.rows),
    )


def iter_points(path: Path, rows_per_chunk: int = 100_000) -> Iterator[PointTable]:
    """The same table by and by; at least one part.

    Raises
    ------
    ReadError
    """
    cells = read_cells(path, most_bytes=_MOST_BYTES)
    header, rows = cells.table()
    missing = [c for c in POINT_COLUMNS if c not in header]
    if missing:
        raise ReadError(
            path, f"its header lacks {', '.join(missing)}", "name the columns z_um,y_um,x_um"
        )
    at = [header.index(c) for c in POINT_COLUMNS]
    numbers = Numbers(cells)
    empty = True
    while chunk := list(islice(rows, rows_per_chunk)):
        points = np.empty((len(chunk), 3))
        for i, (line, row) in enumerate(chunk):
            point = numbers.point(line, [row[place] for place in at], "point")
            if point is None:
                raise ReadError(path, f"line {line} has no coordinates", "fill or delete the line")
            points[i] = point
        yield PointTable(points, tuple(header), tuple(tuple(row) for _, row in chunk))
        empty = False
    if empty:
        yield PointTable(np.empty((0, 3)), tuple(header), ())


def write_points(table: PointTable, points_um: NDArray[np.float64], path: Path) -> None:
    """Write `table` with its coordinates replaced by `points_um`; other columns carried through.

    A point that could not be mapped (NaN) has empty cells.
    """
    write_point_chunks([(table, points_um)], path)


def write_point_chunks(
    chunks: Iterable[tuple[PointTable, NDArray[np.float64]]], path: Path
) -> None:
    """The same for the parts of a table, each written before the next is asked for (atomically)."""
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        for number, (table, points_um) in enumerate(chunks):
            if not number:
                file.write(row_text(table.header))
            at = [table.header.index(c) for c in POINT_COLUMNS]
            for cells, point in zip(table.rows, points_um, strict=True):
                changed = list(cells)
                for i, value in zip(at, point, strict=True):
                    changed[i] = repr(float(value)) if math.isfinite(value) else ""
                file.write(row_text(changed))
