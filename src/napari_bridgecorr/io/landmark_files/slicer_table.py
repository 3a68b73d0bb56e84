"""3D Slicer's table of control points: ``label,l,p,s,defined,selected,visible,locked,description``.

The names of its columns say the frame (l,p,s or r,a,s); its lengths are in mm.
"""

from __future__ import annotations

from ...errors import ReadError
from ...geometry.anatomical import AnatomicalFrame
from .anatomical_points import point_from_texts
from .cells import Cells, Numbers
from .model import NamedPoint, PointFile
from .own_csv import refuse_too_many
from .slicer_fcsv import is_on

_FRAMES: dict[AnatomicalFrame, tuple[str, str, str]] = {
    "LPS": ("l", "p", "s"),
    "RAS": ("r", "a", "s"),
}


def slicer_table_frame(header: list[str]) -> AnatomicalFrame | None:
    """Frame of a control-point table by its header; None if it is none."""
    names = {c.lower() for c in header}
    if "label" not in names:
        return None
    return next((f for f, axes in _FRAMES.items() if names.issuperset(axes)), None)


def read_slicer_table(cells: Cells) -> PointFile:
    """Read a control-point table.

    Raises
    ------
    ReadError
        If it is no such table; the message names the line.
    """
    path = cells.path
    header, rows = cells.table()
    frame = slicer_table_frame(header)
    if frame is None:
        raise ReadError(path, "its header lacks label and l,p,s", "export the points again")
    names = [c.lower() for c in header]
    at = {name: names.index(name) for name in names}
    numbers = Numbers(cells)
    points = []
    for line, row in rows:
        position = None
        if "defined" not in at or is_on(row[at["defined"]]):
            texts = [row[at[axis]] for axis in _FRAMES[frame]]
            if not all(t.strip() for t in texts):
                raise ReadError(path, f"line {line}: the position is incomplete", "give all three")
            checked = [numbers.text(line, t) for t in texts]
            position = point_from_texts(path, f"line {line}", checked, "mm", frame)
        enabled = "selected" not in at or is_on(row[at["selected"]])
        points.append(NamedPoint("", row[at["label"]], enabled, position))
        refuse_too_many(path, len(points))
    if not points:
        raise ReadError(path, "it holds no points", "place points in 3D Slicer and save them again")
    return PointFile(tuple(points), "slicer_table", (*cells.warnings, *numbers.warnings))
