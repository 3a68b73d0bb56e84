"""napari's CSV of a Points layer: ``index,axis-0,axis-1,...`` and the layer's features.

napari writes a layer's data, which may be voxel indices or lengths: the file does not say. What is
written here has the features ``id``, ``name``, ``enabled`` and ``unit``, which napari shows and
keeps, and which are read back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import ReadError, WriteError
from ...landmarks import Side
from ..atomic import write_text
from .cells import MISSING, Cells, Numbers, flag, row_text
from .frames import frame_for, place
from .model import LandmarkFileOptions, NamedPoint, PointFile
from .own_csv import refuse_too_many

_NAMES = ("name", "label")


def is_napari_header(header: list[str]) -> bool:
    """Whether a header is that of a Points layer (a Shapes layer's is not)."""
    return {"axis-0", "axis-1"} <= set(header) and "shape-type" not in header


def read_napari_csv(cells: Cells, options: LandmarkFileOptions, side: Side) -> PointFile:
    """Read a Points layer's CSV. Two axes are (y, x), three (z, y, x); leading ones must not vary.

    Raises
    ------
    ReadError
        If it is no such table, its unit is not known, or its points lie at several times.
    """
    path = cells.path
    header, rows = cells.table()
    axes = sorted(
        (int(c[5:]), i)
        for i, c in enumerate(header)
        if c.startswith("axis-") and c[5:].isascii() and c[5:].isdigit() and len(c) < 9
    )
    if [n for n, _ in axes] != list(range(len(axes))) or len(axes) < 2:
        raise ReadError(path, "its axes are not axis-0, axis-1...", "save the layer again")
    at = {name: header.index(name) for name in header if name}
    name_at = next((at[n] for n in _NAMES if n in at), None)
    numbers = Numbers(cells)
    found: list[tuple[int, list[str]]] = []
    for line, row in rows:
        found.append((line, row))
        refuse_too_many(path, len(found))
    if not found:
        raise ReadError(path, "it holds no points", "place points and save the layer again")
    units = {row[at["unit"]].strip() for _, row in found} if "unit" in at else set()
    stated = next(iter(units)) if len(units) == 1 and "" not in units else None
    frame = frame_for(path, options, side, what="a CSV of napari's points", stated_unit=stated)
    leading = [i for _, i in axes[:-3]]
    if len({tuple(numbers.text(line, row[i]) for i in leading) for line, row in found}) > 1:
        raise ReadError(
            path,
            "its points lie at several times or channels",
            "save a layer with the axes z, y, x only",
        )
    points = []
    for line, row in found:
        texts = [row[i] for _, i in axes[-3:]]
        position = None
        if not all(t.strip().lower() in MISSING for t in texts):
            checked = [numbers.text(line, t) for t in texts]
            z, y, x = ["0", *checked] if len(checked) == 2 else checked
            position = place(path, line, frame, (z, y, x))
        points.append(
            NamedPoint(
                row[at["id"]] if "id" in at else "",
                row[name_at] if name_at is not None else "",
                "enabled" not in at or flag(path, line, row[at["enabled"]]),
                position,
            )
        )
    return PointFile(tuple(points), "napari_csv", (*cells.warnings, *numbers.warnings))


def write_napari_csv(points: Sequence[NamedPoint], path: Path) -> None:
    """Write points of one image as a CSV that napari opens as a Points layer.

    Coordinates are (z, y, x) in um; unplaced points are left out, as napari has no such points.

    Raises
    ------
    WriteError
        If no point is placed.
    """
    placed = [p for p in points if p.position_um is not None]
    if not placed:
        raise WriteError(path, "no point of this image is placed", "place points first")
    rows = [row_text(["index", "axis-0", "axis-1", "axis-2", "id", "name", "enabled", "unit"])]
    for index, p in enumerate(placed):
        assert p.position_um is not None
        numbers = [repr(float(v)) for v in p.position_um]
        rows.append(row_text([str(index), *numbers, p.id, p.name, str(p.enabled), "um"]))
    write_text(path, "".join(rows))
