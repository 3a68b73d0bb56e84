"""3D Slicer's markups file ``.mrk.json``: lists of points, each of one image.

Numbers are kept as the text that they are, so that lengths are rounded once and a number of a
million digits costs nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import ReadError
from ...units import is_length_unit
from ..atomic import write_text
from .anatomical_points import mm_texts, point_from_texts
from .cells import Cells, Numbers, read_text
from .model import NamedPoint, PointFile
from .own_csv import refuse_too_many
from .slicer_fcsv import as_frame, is_on

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/"
    "Schema/markups-schema-v1.0.3.json#"
)
_MOST_BYTES = 50_000_000
_STATUSES = ("undefined", "preview", "defined", "missing")
_WRITER = "bridgecorr"


class _NumberText(str):
    """A number of a JSON file, unparsed."""


def is_markups_head(text: str) -> bool:
    """Whether a text begins as a markups file does."""
    return text.lstrip()[:1] == "{" and bool(
        re.search(r'"markups"\s*:|"@schema"\s*:\s*"[^"]*markups-schema', text)
    )


def read_mrk_json(path: Path, number: int | None = None) -> PointFile:
    """Read one list of points.

    Unselected points are disabled. Points that are not placed (undefined, missing, preview) keep
    their name and have no position.

    Parameters
    ----------
    path : Path
    number : int or None
        Which list of the file; None takes the only one with points, or the only point list.

    Raises
    ------
    ReadError
        If it is no such file, or it has several lists and none is chosen.
    """
    text, assumed = read_text(path, _MOST_BYTES)
    refuse_too_many(path, text.count('"position"') // 2)
    markups = _markups(path, text)
    chosen = _chosen(path, markups, number)
    markup = markups[chosen]
    warnings = list(assumed)
    if markup.get("type") != "Fiducial":
        kind = _word(markup.get("type")) or "unnamed kind"
        warnings.append(f"its points are the control points of a {kind}, not of a point list")
    frame = as_frame(_word(markup.get("coordinateSystem", "LPS")))
    if frame is None:
        raise ReadError(
            path,
            f"its coordinate system is {_word(markup['coordinateSystem'])!r}, not LPS or RAS",
            "save the points again in 3D Slicer",
        )
    unit = markup.get("coordinateUnits", "mm")
    unit = unit[0] if isinstance(unit, list) and unit else unit
    if not isinstance(unit, str) or not is_length_unit(unit):
        raise ReadError(
            path, f"its unit {_word(unit)!r} is not a length", "save the points again in 3D Slicer"
        )
    items = _points_of(markup)
    refuse_too_many(path, len(items))
    numbers = Numbers(Cells(path, "", ","))
    points = []
    for place, item in enumerate(items):
        where = f"control point {place + 1}"
        if not isinstance(item, dict):
            raise ReadError(path, f"{where} is not an object", "save the points again")
        texts = _position(path, where, place + 1, item, numbers, warnings)
        points.append(
            NamedPoint(
                _word(item.get("id", "")) if markup.get("writer") == _WRITER else "",
                _word(item.get("label", "")),
                is_on(_word(item.get("selected", True))),
                None if texts is None else point_from_texts(path, where, texts, unit, frame),
            )
        )
    return PointFile(tuple(points), "slicer_json", tuple(warnings))


def write_mrk_json(points: Sequence[NamedPoint], path: Path) -> None:
    """Write points of one image for 3D Slicer (LPS in mm, atomically).

    Unplaced points keep their place in the list, with the status "undefined".
    """
    # numbers are put in as text afterwards: json writes floats only, and mm need more digits
    coordinates: list[str] = []
    items: list[dict[str, Any]] = []
    for p in points:
        item: dict[str, Any] = {
            "id": p.id,
            "label": p.name,
            "description": "",
            "associatedNodeID": "",
        }
        if p.position_um is not None:
            item["position"] = len(coordinates)
            coordinates.append("[" + ", ".join(mm_texts(p.position_um, "LPS")) + "]")
            item["orientation"] = [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]
        items.append(
            item
            | {
                "selected": p.enabled,
                "locked": False,
                "visibility": True,
                "positionStatus": "undefined" if p.position_um is None else "defined",
            }
        )
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(items),
        "writer": _WRITER,
    }
    head = json.dumps({"@schema": _SCHEMA, "markups": [markup]}, ensure_ascii=False)
    body = []
    for item in items:
        place = item.get("position")
        rest = {k: v for k, v in item.items() if k != "position"}
        text = json.dumps(rest, ensure_ascii=False)
        body.append(text if place is None else f'{{"position": {coordinates[place]}, {text[1:]}')
    # head ends in "}]}": the list's own properties, the list of lists, the file
    listed = ",\n".join(body)
    write_text(path, f'{head[:-3]}, "controlPoints": [\n{listed}\n]}}]}}\n')


def _markups(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(
            text, parse_float=_NumberText, parse_int=_NumberText, parse_constant=_NumberText
        )
    except RecursionError as error:
        raise ReadError(path, "its JSON is nested too deeply", "save the points again") from error
    except ValueError as error:
        raise ReadError(path, f"it is not readable JSON ({error})", "save it again") from error
    markups = document.get("markups") if isinstance(document, dict) else None
    if not isinstance(markups, list) or not all(isinstance(m, dict) for m in markups):
        raise ReadError(
            path, "it is JSON but no markups file of 3D Slicer", "save the points as .mrk.json"
        )
    return markups


def _points_of(markup: dict[str, Any]) -> list[Any]:
    found = markup.get("controlPoints")
    return found if isinstance(found, list) else []


def _chosen(path: Path, markups: list[dict[str, Any]], number: int | None) -> int:
    filled = [i for i, m in enumerate(markups) if _points_of(m)]
    if not filled:
        raise ReadError(path, "it holds no points", "place points in 3D Slicer and save them again")
    if number is not None:
        if number not in filled:
            raise ReadError(
                path,
                f"it has no list number {number} with points",
                f"choose one of {', '.join(str(i) for i in filled[:20])}",
            )
        return number
    lists = [i for i in filled if markups[i].get("type") == "Fiducial"] or filled
    if len(lists) > 1:
        names = ", ".join(
            f"#{i} {_word(markups[i].get('name', ''))} ({len(_points_of(markups[i]))} points)"
            for i in lists[:10]
        )
        raise ReadError(
            path,
            f"it holds several lists of points: {names}",
            f"choose one: {path.name}#{lists[0]}",
        )
    return lists[0]


def _position(
    path: Path,
    where: str,
    place: int,
    item: dict[str, Any],
    numbers: Numbers,
    warnings: list[str],
) -> list[str] | None:
    """Decimal numbers (x, y, z); None where the point is not placed."""
    status = item.get("positionStatus", "defined")
    if status not in _STATUSES:
        raise ReadError(
            path, f"{where}: its status is {_word(status)!r}", "save the points again in 3D Slicer"
        )
    if status != "defined":
        return None
    found = item.get("position")
    if found is None or found == "":
        warnings.append(f"{where} has no position and is taken as not placed")
        return None
    if (
        not isinstance(found, list)
        or len(found) != 3
        or not all(isinstance(v, _NumberText) for v in found)
    ):
        raise ReadError(path, f"{where}: its position is not three numbers", "correct it")
    return [numbers.text(place, v) for v in found]


def _word(value: object) -> str:
    """A short text of any JSON value, for names and messages."""
    if isinstance(value, str):
        return str(value)
    return "" if isinstance(value, dict | list) else str(value)
