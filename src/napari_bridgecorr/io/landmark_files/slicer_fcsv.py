"""3D Slicer's ``.fcsv``: the points of one image, in mm of the frame that the header names.

Read as Slicer reads it (vtkMRMLMarkupsFiducialStorageNode): quotes only where a cell starts with
one; files without a version are of Slicer 3 and RAS; Slicer writes LPS since 4.11.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from ...errors import ReadError, WriteError
from ...geometry.anatomical import AnatomicalFrame
from ..atomic import write_text
from .anatomical_points import mm_texts, point_from_texts
from .cells import Cells, Numbers, read_text, row_text
from .model import NamedPoint, PointFile
from .own_csv import refuse_too_many, refuse_too_many_lines

_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
_SLICER_3_COLUMNS = "label,x,y,z,sel,vis"
_OURS = "writer"
_LINE_END = re.compile(r"\r\n|\n|\r")
# what Slicer 5.4 and later write behind the last named column
_STATUS_DEFINED = "2"
# Slicer's versions from which files without a frame are LPS
_LPS_SINCE = (4, 11)


def is_fcsv_head(lines: Sequence[str]) -> bool:
    """Whether comment lines at a file's start are those of an ``.fcsv``."""
    comments = [line for line in lines if line.startswith("#")]
    return any(
        re.match(r"#\s*(Markups fiducial file|Fiducial List file|CoordinateSystem\s*=)", line)
        or re.match(r"#\s*columns\s*=.*\bx\s*,\s*y\s*,\s*z\b", line)
        for line in comments
    )


def read_fcsv(path: Path) -> PointFile:
    """Read the points of an ``.fcsv``.

    Unselected points are disabled; the flag for visibility is for the display only.

    Raises
    ------
    ReadError
        If it is no such file; the message names the line.
    """
    text, assumed = read_text(path)
    refuse_too_many_lines(path, text)
    warnings = list(assumed)
    facts: dict[str, str] = {}
    rows: list[tuple[int, list[str]]] = []
    for number, line in enumerate(_LINE_END.split(text), start=1):
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            facts.setdefault(key.strip().lower(), value.strip())
        elif line.strip():
            rows.append((number, _cells(path, number, line)))
            refuse_too_many(path, len(rows))
    frame = _frame(path, facts, warnings)
    columns = _columns(path, facts)
    numbers = Numbers(Cells(path, "", ","))
    points = [_named_point(path, n, row, columns, numbers, frame, facts) for n, row in rows]
    if not points:
        raise ReadError(path, "it holds no points", "place points in 3D Slicer and save them again")
    return PointFile(tuple(points), "slicer_fcsv", tuple(warnings))


def write_fcsv(points: Sequence[NamedPoint], path: Path) -> None:
    """Write points of one image for 3D Slicer (LPS, atomically); unplaced ones are left out.

    Raises
    ------
    WriteError
        If no point is placed.
    """
    placed = [p for p in points if p.position_um is not None]
    if not placed:
        raise WriteError(path, "no point of this image is placed", "place points first")
    lines = [
        "# Markups fiducial file version = 4.11\n",
        "# CoordinateSystem = LPS\n",
        f"# {_OURS} = bridgecorr\n",
        f"# columns = {_COLUMNS}\n",
    ]
    for p in placed:
        assert p.position_um is not None
        x, y, z = mm_texts(p.position_um, "LPS")
        selected = "1" if p.enabled else "0"
        cells = [p.id, x, y, z, "0", "0", "0", "1", "1", selected, "0", p.name, "", ""]
        # a record is one line here, whatever its quotes say
        line = row_text([" ".join(_LINE_END.split(c)) for c in cells])
        lines.append(line if line[0] != "#" else _quoted_first(line))
    write_text(path, "".join(lines))


def _quoted_first(line: str) -> str:
    """A line that would be a comment, which a quoted first cell is not."""
    first, comma, rest = line.partition(",")
    return f'"{first}"{comma}{rest}'


def _cells(path: Path, number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line]))
    except csv.Error as error:
        raise ReadError(
            path, f"line {number} is not readable ({error})", "save the points again"
        ) from error


def _frame(path: Path, facts: dict[str, str], warnings: list[str]) -> AnatomicalFrame:
    said = facts.get("coordinatesystem")
    if said is not None:
        frame = as_frame(said)
        if frame is None:
            raise ReadError(
                path,
                f"its coordinate system is {said!r}, not LPS or RAS",
                "save the points again in 3D Slicer",
            )
        return frame
    version = facts.get("markups fiducial file version")
    if version is None:
        warnings.append("it names no coordinate system and no version: read as RAS, as Slicer does")
        return "RAS"
    parts = tuple(int(p) for p in re.findall(r"\d{1,6}", version)[:2])
    frame = "LPS" if parts >= _LPS_SINCE else "RAS"
    warnings.append(f"it names no coordinate system: read as {frame}, as Slicer {version} wrote it")
    return frame


def as_frame(said: object) -> AnatomicalFrame | None:
    """RAS or LPS from a name or one of Slicer's numbers; None for anything else."""
    name = str(said).strip().upper()
    if name in ("RAS", "0"):
        return "RAS"
    if name in ("LPS", "1"):
        return "LPS"
    return None


def is_on(cell: str) -> bool:
    """A flag of 3D Slicer's: any number but zero, and what is not stated."""
    return cell.strip().lower() not in ("0", "0.0", "false", "none")


def _columns(path: Path, facts: dict[str, str]) -> dict[str, int]:
    old = "markups fiducial file version" not in facts
    said = facts.get("columns") or (_SLICER_3_COLUMNS if old else _COLUMNS)
    names = [c.strip().lower() for c in said.split(",")]
    if not {"x", "y", "z"} <= set(names):
        raise ReadError(path, "its columns do not include x, y and z", "save the points again")
    return {name: names.index(name) for name in names}


def _named_point(
    path: Path,
    line: int,
    row: list[str],
    columns: dict[str, int],
    numbers: Numbers,
    frame: AnatomicalFrame,
    facts: dict[str, str],
) -> NamedPoint:
    def cell(name: str) -> str:
        place = columns.get(name, len(row))
        return row[place].strip() if place < len(row) else ""

    texts = [cell(a) for a in "xyz"]
    if not all(texts):
        raise ReadError(path, f"line {line}: the position is incomplete", "give x, y and z")
    status = row[len(columns)].strip() if len(row) > len(columns) else _STATUS_DEFINED
    position = None
    if status in (_STATUS_DEFINED, ""):
        checked = [numbers.text(line, t) for t in texts]
        position = point_from_texts(path, f"line {line}", checked, "mm", frame)
    label = columns.get("label", len(row))
    return NamedPoint(
        cell("id") if facts.get(_OURS) == "bridgecorr" else "",
        row[label] if label < len(row) else "",
        is_on(cell("sel")),
        position,
    )
