"""Any other CSV with a header: pairs or points, by the names of its columns or as the user says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import ReadError
from ...landmarks import Landmark, Point, Side
from ...units import is_length_unit
from .cells import MISSING, Cells, Numbers, flag
from .frames import PIXELS, Frame, frame_for, place
from .model import LandmarkFile, LandmarkFileOptions, NamedPoint, PointFile
from .own_csv import as_set, refuse_too_many
from .pairing import unique_ids

ROLES = (
    "id",
    "name",
    "enabled",
    *(f"{side}{axis}" for side in ("", "fixed_", "moving_") for axis in "zyx"),
)
_NAMES = {
    "id": ("id", "index", ""),
    "name": ("name", "label", "landmark", "point"),
    "enabled": ("enabled", "active", "selected"),
}
_SIDES = {
    "fix": "fixed_",
    "fixed": "fixed_",
    "mov": "moving_",
    "moving": "moving_",
    "mvg": "moving_",
}
_SIDE = "fixed|fix|moving|mov|mvg"
_BEFORE = re.compile(
    rf"(?:(?P<side>{_SIDE})[ _.-]*)?(?:pos(?:ition)?[ _.-]*)?(?P<axis>[xyz])"
    rf"(?:[ _.-]+(?P<behind>{_SIDE}))?(?:[ _.-]*[\[(]?(?P<unit>[a-zµμ]+)[\])]?)?"
)


@dataclass(frozen=True)
class Layout:
    """Which column is what.

    Parameters
    ----------
    at : mapping of str to int
        Place of each role of `ROLES` that the table has.
    units : mapping of str to str
        Unit that the names of a side's columns state; keys "", "fixed_", "moving_".
    """

    at: Mapping[str, int]
    units: Mapping[str, str]

    @property
    def has_pairs(self) -> bool:
        """Whether it has y and x of both sides."""
        return all(f"{s}_{a}" in self.at for s in ("fixed", "moving") for a in "yx")

    @property
    def has_points(self) -> bool:
        """Whether it has y and x of one image."""
        return "y" in self.at and "x" in self.at


def layout_of(header: list[str], columns: Mapping[str, str], path: Path) -> Layout:
    """Roles of a table's columns: those that the user names, then those that names tell.

    Raises
    ------
    ReadError
        If the user names a role or column that there is not, or columns state several units.
    """
    at: dict[str, int] = {}
    units: dict[str, set[str]] = {}
    for role, column in columns.items():
        if role not in ROLES:
            raise ReadError(path, f"no column can be {role!r}", f"use {', '.join(ROLES)}")
        if column.strip() not in header:
            raise ReadError(
                path,
                f"it has no column {column!r}",
                f"its columns are {', '.join(repr(c) for c in header[:20])}",
            )
        at[role] = header.index(column.strip())
    for place_, title in enumerate(header):
        told, unit = _role_of(title, place_)
        named = [r for r, p in at.items() if p == place_]
        if named:
            told = named[0]
        elif told is None or told in at:
            continue
        at[told] = place_
        if unit:
            units.setdefault(told[:-1], set()).add(unit)
    for stated in units.values():
        if len(stated) > 1:
            raise ReadError(
                path, f"its columns are in {' and '.join(sorted(stated))}", "use one unit"
            )
    return Layout(at, {side: next(iter(stated)) for side, stated in units.items()})


def read_plain_pairs(cells: Cells, options: LandmarkFileOptions) -> LandmarkFile:
    """Read pairs from a table with columns of both sides.

    Raises
    ------
    ReadError
        If columns are missing, the unit is not known, or a cell is wrong.
    """
    path = cells.path
    header, rows = cells.table()
    layout = layout_of(header, options.columns, path)
    if not layout.has_pairs:
        raise _unknown(path, header)
    if ("fixed_z" in layout.at) != ("moving_z" in layout.at):
        raise ReadError(
            path, "only one side of its pairs has z", "name the column of the other: --columns"
        )
    numbers = Numbers(cells)
    frames = {side: _frame(path, options, side, layout, f"{side}_") for side in _BOTH}
    ids: list[str] = []
    found: list[tuple[str, bool, Point | None, Point | None]] = []
    for line, row in rows:
        fixed, moving = (
            _point(path, line, row, numbers, frames[side], layout, f"{side}_") for side in _BOTH
        )
        identity, name, enabled = _about(path, line, row, layout)
        ids.append(identity)
        found.append((name, enabled, fixed, moving))
        refuse_too_many(path, len(found))
    if "id" not in layout.at:
        ids = unique_ids(name for name, *_ in found)
    marks = [
        Landmark(identity, name or identity, enabled, fixed, moving)
        for identity, (name, enabled, fixed, moving) in zip(ids, found, strict=True)
    ]
    warnings = (*cells.warnings, *numbers.warnings, *_flat(layout, "fixed_"))
    return LandmarkFile(as_set(path, marks), "plain_csv", warnings)


def read_plain_points(cells: Cells, options: LandmarkFileOptions, side: Side) -> PointFile:
    """Read points of one image from a table with the columns (z), y and x.

    Raises
    ------
    ReadError
        If columns are missing, the unit is not known, or a cell is wrong.
    """
    path = cells.path
    header, rows = cells.table()
    layout = layout_of(header, options.columns, path)
    key = "" if layout.has_points else f"{side}_"
    if f"{key}y" not in layout.at or f"{key}x" not in layout.at:
        raise _unknown(path, header)
    numbers = Numbers(cells)
    frame = _frame(path, options, side, layout, key)
    points = []
    for line, row in rows:
        position = _point(path, line, row, numbers, frame, layout, key)
        identity, name, enabled = _about(path, line, row, layout)
        points.append(NamedPoint("", name or identity, enabled, position))
        refuse_too_many(path, len(points))
    if not points:
        raise ReadError(path, "it holds no points", "fill the table")
    exact = {"z_um", "y_um", "x_um"} <= set(header)
    warnings = (*cells.warnings, *numbers.warnings, *_flat(layout, key))
    return PointFile(tuple(points), "points_csv" if exact else "plain_csv", warnings)


_BOTH: tuple[Side, Side] = ("fixed", "moving")


def _role_of(title: str, place_: int) -> tuple[str | None, str | None]:
    name = title.strip().lower()
    for role, names in _NAMES.items():
        if name in names and (name or place_ == 0):
            return role, None
    found = _BEFORE.fullmatch(name)
    if found is None:
        return None, None
    unit = found["unit"]
    if unit is not None and unit not in PIXELS and not is_length_unit(unit):
        return None, None
    side = found["side"] or found["behind"]
    return (_SIDES[side] if side else "") + found["axis"], unit


def _frame(path: Path, options: LandmarkFileOptions, side: Side, layout: Layout, key: str) -> Frame:
    return frame_for(
        path, options, side, what="a CSV of another program", stated_unit=layout.units.get(key)
    )


def _point(
    path: Path, line: int, row: list[str], numbers: Numbers, frame: Frame, layout: Layout, key: str
) -> Point | None:
    texts = [row[layout.at[f"{key}{a}"]] for a in "zyx" if f"{key}{a}" in layout.at]
    missing = [t.strip().lower() in MISSING for t in texts]
    if all(missing):
        return None
    if any(missing):
        what = f"the {key[:-1]} position" if key else "the position"
        raise ReadError(path, f"line {line}: {what} is incomplete", "give all its coordinates")
    checked = [numbers.text(line, t) for t in texts]
    z, y, x = checked if len(checked) == 3 else ["0", *checked]
    return place(path, line, frame, (z, y, x))


def _about(path: Path, line: int, row: list[str], layout: Layout) -> tuple[str, str, bool]:
    at = layout.at
    identity = row[at["id"]].strip() if "id" in at else ""
    if "id" in at and not identity:
        raise ReadError(path, f"line {line} has no id", "give every landmark an id of its own")
    name = row[at["name"]] if "name" in at else ""
    return identity, name, "enabled" not in at or flag(path, line, row[at["enabled"]])


def _flat(layout: Layout, key: str) -> tuple[str, ...]:
    if f"{key}z" in layout.at:
        return ()
    return ("it has no z: its points were put at z = 0 (fit them with --dimensions 2)",)


def _unknown(path: Path, header: list[str]) -> ReadError:
    shown = ", ".join(repr(c if len(c) <= 20 else c[:17] + "...") for c in header[:12])
    return ReadError(
        path,
        f"its columns are not those of landmarks: {shown}",
        "say which is which: --columns fixed_x=...,fixed_y=...,moving_x=...,moving_y=... "
        "(or x=...,y=...)",
    )
