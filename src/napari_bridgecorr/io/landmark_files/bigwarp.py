"""BigWarp's landmark CSV: quoted cells, no header, no unit, moving before fixed, x before y and z.

A point that is not placed is ``Infinity``, and BigWarp keeps such a row inactive until it is
complete, so that the flag of a half pair says nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import ReadError
from ...landmarks import Landmark, LandmarkSet, Point
from ..atomic import write_text
from .cells import Cells, Numbers, flag
from .frames import Frame, frame_for, place
from .model import LandmarkFile, LandmarkFileOptions
from .own_csv import as_set, refuse_too_many
from .pairing import unique_ids

_PENDING = re.compile(r"[+-]?(infinity|inf|∞|nan)", re.IGNORECASE)
_NUMBER = re.compile(r"\s*([+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?)\s*", re.IGNORECASE)


def is_bigwarp_row(row: list[str]) -> bool:
    """Whether a first row is one of BigWarp's: name, flag, then four or six coordinates."""
    return (
        len(row) in (6, 8)
        and row[1].strip().lower() in ("true", "false")
        and all(_PENDING.fullmatch(c.strip()) or _NUMBER.fullmatch(c) for c in row[2:])
    )


def read_bigwarp(cells: Cells, options: LandmarkFileOptions) -> LandmarkFile:
    """Read BigWarp's landmarks; those of flat images (6 columns) get z = 0.

    Raises
    ------
    ReadError
        If it is no such table or the unit is not given; the message names the line.
    """
    path = cells.path
    what = "a BigWarp landmark file"
    moving = frame_for(path, options, "moving", what=what, from_first_voxel=True)
    fixed = frame_for(path, options, "fixed", what=what, from_first_voxel=True)
    numbers = Numbers(cells)
    names: list[str] = []
    found: list[tuple[bool, Point | None, Point | None]] = []
    width = 0
    for line, row in cells.rows():
        width = width or len(row)
        if len(row) != width or width not in (6, 8):
            raise ReadError(
                path,
                f"line {line} has {len(row)} cells, not {width if width in (6, 8) else '6 or 8'}",
                "export the landmarks from BigWarp again",
            )
        half = (width - 2) // 2
        at_moving = _point(path, line, numbers, moving, row[2 : 2 + half])
        at_fixed = _point(path, line, numbers, fixed, row[2 + half :])
        active = flag(path, line, row[1]) or at_moving is None or at_fixed is None
        names.append(row[0])
        found.append((active, at_fixed, at_moving))
        refuse_too_many(path, len(found))
    marks = [
        Landmark(identity, name, *rest)
        for identity, name, rest in zip(unique_ids(names), names, found, strict=True)
    ]
    return LandmarkFile(
        as_set(path, marks),
        "bigwarp_csv",
        (*cells.warnings, *numbers.warnings, *_warnings(fixed, moving)),
    )


def write_bigwarp(
    landmarks: LandmarkSet, path: Path, fixed: Frame, moving: Frame, dimensions: int = 3
) -> None:
    """Write landmarks for BigWarp (atomically).

    Parameters
    ----------
    landmarks : LandmarkSet
        Names are kept; ids only where a landmark has no name.
    path : Path
    fixed, moving : Frame
        Units of the file's coordinates; BigWarp expects the calibrated units of its images.
    dimensions : {2, 3}
        2 leaves z out, as BigWarp does for flat images.
    """
    lines = []
    for m in landmarks:
        cells = [m.name or m.id, "true" if m.enabled and m.is_pair else "false"]
        for frame, point in ((moving, m.moving_um), (fixed, m.fixed_um)):
            numbers = ("Infinity",) * 3 if point is None else frame.from_world(point)
            cells += list(numbers[::-1][:dimensions])
        lines.append(",".join('"' + c.replace('"', '""') + '"' for c in cells) + "\n")
    write_text(path, "".join(lines))


def _point(path: Path, line: int, numbers: Numbers, frame: Frame, row: list[str]) -> Point | None:
    # as BigWarp decides: by any coordinate that is not a number, whatever stands beside it
    if any(_PENDING.fullmatch(c.strip()) for c in row):
        return None
    texts = [numbers.text(line, c) for c in row]
    z = texts[2] if len(texts) == 3 else "0"
    return place(path, line, frame, (z, texts[1], texts[0]))


def _warnings(fixed: Frame, moving: Frame) -> tuple[str, ...]:
    if fixed.grid is not None and moving.grid is not None:
        return ()
    return (
        "BigWarp measures from each image's first voxel: give the images where one is rotated or "
        "does not start at zero (--fixed-image, --moving-image)",
    )
