"""Points as CSV with the columns ``z_um,y_um,x_um``, others being carried through."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ..atomic import write_text
from .cells import Cells, Numbers, read_cells, row_text

POINT_COLUMNS = ("z_um", "y_um", "x_um")


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
    return read_point_table(read_cells(path))


def read_point_table(cells: Cells) -> PointTable:
    """The same from cells that were read."""
    path = cells.path
    header, rows = cells.table()
    missing = [c for c in POINT_COLUMNS if c not in header]
    if missing:
        raise ReadError(
            path, f"its header lacks {', '.join(missing)}", "name the columns z_um,y_um,x_um"
        )
    at = [header.index(c) for c in POINT_COLUMNS]
    numbers = Numbers(cells)
    points = []
    carried = []
    for line, row in rows:
        point = numbers.point(line, [row[i] for i in at], "point")
        if point is None:
            raise ReadError(path, f"line {line} has no coordinates", "fill or delete the line")
        points.append(point)
        carried.append(tuple(row))
    return PointTable(
        np.array(points, dtype=np.float64).reshape(-1, 3), tuple(header), tuple(carried)
    )


def write_points(table: PointTable, points_um: NDArray[np.float64], path: Path) -> None:
    """Write `table` with its coordinates replaced by `points_um`; other columns carried through.

    A point that could not be mapped (NaN) has empty cells.
    """
    lines = [row_text(table.header)]
    at = [table.header.index(c) for c in POINT_COLUMNS]
    for cells, point in zip(table.rows, points_um, strict=True):
        changed = list(cells)
        for i, value in zip(at, point, strict=True):
            changed[i] = repr(float(value)) if math.isfinite(value) else ""
        lines.append(row_text(changed))
    write_text(path, "".join(lines))
