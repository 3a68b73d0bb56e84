"""Series of sections as JSON files that name a volume, sections and landmarks beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ReadError
from .beside import file_beside
from .transform_files import read_json_object

FORMAT = "bridgecorr-series"
VERSION = 1
# a brain is cut into hundreds; each asks for a row of a matrix
_MOST_SECTIONS = 2_000
# a kilometre: longer is a slip of the unit
_LONGEST_UM = 1e9
_ENTRY_KEYS = {"file", "landmarks", "position_um"}


@dataclass(frozen=True)
class SeriesEntry:
    """One section of a series file.

    Parameters
    ----------
    image : Path
        May end in ``#N``.
    landmarks : Path or None
    position_um : float
        Along the series, from where its count begins.
    """

    image: Path
    landmarks: Path | None
    position_um: float


@dataclass(frozen=True)
class SeriesFile:
    """What a series file says.

    Parameters
    ----------
    volume : Path
    distance_um, distance_tolerance_um : float
        From one section to the next, and the standard deviation of one such distance.
    entries : tuple of SeriesEntry
        In cutting order, at growing positions.
    """

    volume: Path
    distance_um: float
    distance_tolerance_um: float
    entries: tuple[SeriesEntry, ...]


def read_series(path: Path) -> SeriesFile:
    """Read a series.

    The file is ``{"format": "bridgecorr-series", "version": 1, "volume": IMAGE, "distance_um":
    NUMBER, "distance_tolerance_um": NUMBER, "sections": [{"file": IMAGE, "landmarks": CSV,
    "position_um": NUMBER}, {"missing": COUNT}, ...]}``. Sections stand in cutting order, each a
    distance behind the one before it, unless its position is given; landmarks, position and
    tolerance may be left out. Files lie in the series' folder or below.

    Raises
    ------
    ReadError
        If the file is damaged or names a file outside its folder.
    """
    document = read_json_object(path)
    if document.get("format") != FORMAT:
        raise ReadError(
            path,
            "it is no series of sections",
            f'write {{"format": "{FORMAT}", "version": {VERSION}, "volume": ..., "distance_um": '
            f'..., "sections": [...]}}',
        )
    if document.get("version") != VERSION:
        raise ReadError(
            path, f"its version is {document.get('version')!r}, not {VERSION}", "update bridgecorr"
        )
    distance_um = _number(path, document, "distance_um", "its", least=1e-9)
    tolerance_um = 0.0
    if document.get("distance_tolerance_um") is not None:
        tolerance_um = _number(path, document, "distance_tolerance_um", "its", least=0.0)
    entries = document.get("sections")
    if not isinstance(entries, list) or not 0 < len(entries) <= _MOST_SECTIONS:
        raise ReadError(path, "it lists no sections", "list them as its entry 'sections'")
    return SeriesFile(
        file_beside(path, _text(path, document, "volume", "the series"), "volume"),
        distance_um,
        tolerance_um,
        _entries(path, entries, distance_um),
    )


def _entries(path: Path, entries: list[Any], distance_um: float) -> tuple[SeriesEntry, ...]:
    found: list[SeriesEntry] = []
    here = 0.0
    for number, entry in enumerate(entries, 1):
        what = f"entry {number} of its sections"
        if not isinstance(entry, Mapping):
            raise ReadError(path, f"{what} is no object", 'write {"file": IMAGE}')
        if "missing" in entry:
            here += distance_um * _missing(path, entry, what)
            continue
        unknown = sorted(set(entry) - _ENTRY_KEYS)
        if unknown:
            raise ReadError(
                path,
                f"{what} says {unknown[0]!r}, which means nothing here",
                f"say {', '.join(sorted(_ENTRY_KEYS))}, or missing",
            )
        image = file_beside(path, _text(path, entry, "file", what), "section")
        landmarks = None
        if entry.get("landmarks") is not None:
            landmarks = file_beside(path, _text(path, entry, "landmarks", what), "landmarks")
        if entry.get("position_um") is not None:
            here = _number(path, entry, "position_um", f"{what}: its")
        if found and here <= found[-1].position_um:
            raise ReadError(
                path,
                f"{what} ({image.name}) is at {here:g} um, not behind the one before it at "
                f"{found[-1].position_um:g} um",
                "list the sections in cutting order",
            )
        found.append(SeriesEntry(image, landmarks, here))
        here += distance_um
    if not found:
        raise ReadError(path, "it names no section's file", 'write {"file": IMAGE} for each')
    return tuple(found)


def _missing(path: Path, entry: Mapping[str, Any], what: str) -> int:
    count = entry["missing"]
    good = isinstance(count, int) and not isinstance(count, bool) and 0 < count <= _MOST_SECTIONS
    if not good or len(entry) > 1:
        raise ReadError(
            path, f"{what} does not say how many are missing", 'write {"missing": 1} for a gap of 1'
        )
    return int(count)


def _text(path: Path, entry: Mapping[str, Any], key: str, what: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ReadError(path, f"{what} does not say its {key!r}", "name a file beside it")
    return value


def _number(
    path: Path, entry: Mapping[str, Any], key: str, what: str, least: float = -np.inf
) -> float:
    value = entry.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = np.inf
        if max(least, -_LONGEST_UM) <= number <= _LONGEST_UM:
            return number
    wanted = "a length in um" if least > -np.inf else "a number of um"
    raise ReadError(path, f"{what} {key} is not {wanted}", f'write it as "{key}": 100')
