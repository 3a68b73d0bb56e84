"""Landmark pairs as CSV, in the project's own format."""

from __future__ import annotations

import math
from pathlib import Path

from ...errors import FitError, ReadError
from ...landmarks import Landmark, LandmarkSet
from ..atomic import write_text
from .cells import Cells, Numbers, flag, row_text
from .model import MOST_LANDMARKS, LandmarkFile

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
_OPTIONAL = ("name", "enabled")
# written only where a weight is not 1: other programs' tables and older files have none
_WEIGHT = "weight"
# and where some were set aside to check fits
_CHECK = "check"
# and where some were not placed by hand
_SOURCE = "source"


def is_own_header(header: list[str]) -> bool:
    """Whether a header has a coordinate column of this format."""
    return any(column in header for column in LANDMARK_COLUMNS[3:])


def read_own_csv(cells: Cells) -> LandmarkFile:
    """Read a landmark CSV.

    Raises
    ------
    ReadError
        If the file is not such a table; the message names the line.
    """
    path = cells.path
    header, rows = cells.table()
    missing = [c for c in LANDMARK_COLUMNS if c not in header and c not in _OPTIONAL]
    if missing:
        raise ReadError(
            path,
            f"its header lacks {', '.join(missing)}",
            f"the header must be {','.join(LANDMARK_COLUMNS)}",
        )
    at = {name: header.index(name) for name in LANDMARK_COLUMNS if name in header}
    numbers = Numbers(cells)
    found: list[Landmark] = []
    for line, row in rows:
        identity = row[at["id"]].strip()
        if not identity:
            raise ReadError(path, f"line {line} has no id", "give every landmark an id of its own")
        found.append(
            Landmark(
                identity,
                row[at["name"]] if "name" in at else identity,
                flag(path, line, row[at["enabled"]]) if "enabled" in at else True,
                numbers.point(line, [row[at[f"fixed_{a}_um"]] for a in "zyx"], "fixed"),
                numbers.point(line, [row[at[f"moving_{a}_um"]] for a in "zyx"], "moving"),
                _weight(path, line, row[header.index(_WEIGHT)]) if _WEIGHT in header else 1.0,
                _is_check(path, line, row[header.index(_CHECK)]) if _CHECK in header else False,
                row[header.index(_SOURCE)].strip() if _SOURCE in header else "",
            )
        )
        refuse_too_many(path, len(found))
    warnings = [*cells.warnings, *numbers.warnings]
    if cells.is_cut and found:  # what we write ends with the end of a line
        warnings.append(
            f"its last line has no end, so that it may have been cut off: check landmark "
            f"{found[-1].id}, and whether others should follow"
        )
    return LandmarkFile(as_set(path, found), "bridgecorr_csv", tuple(warnings))


def write_own_csv(landmarks: LandmarkSet, path: Path) -> None:
    """Write a landmark CSV (atomically; numbers with all their digits)."""
    is_weighted = any(m.weight != 1.0 for m in landmarks)
    has_checks = any(m.check for m in landmarks)
    has_sources = any(m.source for m in landmarks)
    optional = {_WEIGHT: is_weighted, _CHECK: has_checks, _SOURCE: has_sources}
    more = [name for name, is_needed in optional.items() if is_needed]
    rows = [row_text([*LANDMARK_COLUMNS, *more])]
    for m in landmarks:
        cells = [m.id, m.name, "true" if m.enabled else "false"]
        for point in (m.fixed_um, m.moving_um):
            cells += ["", "", ""] if point is None else [repr(float(v)) for v in point]
        if is_weighted:
            cells.append(repr(float(m.weight)))
        if has_checks:
            cells.append("true" if m.check else "false")
        if has_sources:
            cells.append(m.source)
        rows.append(row_text(cells))
    write_text(path, "".join(rows))


def _weight(path: Path, line: int, text: str) -> float:
    if not text.strip():
        return 1.0
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ReadError(
            path,
            f"line {line}: the weight {text!r} is not a positive number",
            "write 1 for a usual landmark, 0.25 for one that is half as precise",
        )
    return value


def _is_check(path: Path, line: int, text: str) -> bool:
    return bool(text.strip()) and flag(path, line, text, _CHECK)


def as_set(path: Path, found: list[Landmark]) -> LandmarkSet:
    """The landmarks of a file as a set.

    Raises
    ------
    ReadError
        If there are none, or two have the same id.
    """
    if not found:
        raise ReadError(path, "it holds no landmarks", "place landmarks and save them first")
    try:
        return LandmarkSet(tuple(found))
    except FitError as error:
        raise ReadError(path, str(error).split(";")[0], "give every landmark its own id") from error


def refuse_too_many_lines(path: Path, text: str) -> None:
    """The same before any line is read: blank lines and lines of names may be half of them.

    Raises
    ------
    ReadError
    """
    refuse_too_many(path, max(text.count("\n"), text.count("\r")) // 2)


def refuse_too_many(path: Path, n_landmarks: int) -> None:
    """Stop reading a table that no one clicked.

    Raises
    ------
    ReadError
    """
    if n_landmarks > MOST_LANDMARKS:
        raise ReadError(
            path,
            f"it holds more than {MOST_LANDMARKS:,} landmarks",
            "check that it is a landmark file; tables of points go through `bridgecorr map`",
        )
