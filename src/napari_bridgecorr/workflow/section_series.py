"""A series of sections placed in a volume, from files to files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import FitError, GeometryError, WriteError, one_line
from ..fitting.section_series import SeriesFit, SeriesOptions, SeriesSection, fit_series
from ..geometry import Grid
from ..io.atomic import write_text
from ..io.registry import open_image
from ..io.series_file import read_series
from .landmarks import read_pairs
from .sections import check_section, write_placement

REPORT = "placed-series.json"


@dataclass(frozen=True, eq=False)
class PlacedSeries:
    """A series placed, and where its volume's slices are.

    Parameters
    ----------
    source : Path
        The series file.
    fit : SeriesFit
    names : tuple of str
        Of the sections' transform files.
    slices : tuple of (float, float, float)
        Array index (z, y, x) of the volume at the middle of each section.
    warnings : tuple of str
        Of files and fit, those of a section led by its name.
    """

    source: Path
    fit: SeriesFit
    names: tuple[str, ...]
    slices: tuple[tuple[float, float, float], ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = self.fit.to_dict()
        for one, name, index in zip(values["sections"], self.names, self.slices, strict=True):
            one["transform"], one["volume_index"] = name, list(index)
        return values


def place_series(path: Path, options: SeriesOptions | None = None) -> PlacedSeries:
    """Place the sections that a series file lists, by the landmarks that some of them have.

    Parameters
    ----------
    path : Path
    options : SeriesOptions, optional
        Its distances are the file's.

    Raises
    ------
    ReadError, GeometryError, FitError
    """
    series = read_series(path)
    volume = open_image(series.volume)
    warnings = [f"{series.volume.name}: {warning}" for warning in volume.warnings]
    sections: list[SeriesSection] = []
    grids: list[Grid] = []
    for entry in series.entries:
        image = open_image(entry.image)
        try:
            check_section(image)
        except GeometryError as error:
            raise GeometryError(f"{entry.image}: {error}") from error
        warnings += [f"{entry.image.name}: {warning}" for warning in image.warnings]
        pairs = None
        if entry.landmarks is not None:
            file = read_pairs(entry.landmarks)
            warnings += [f"{entry.landmarks.name}: {warning}" for warning in file.warnings]
            pairs = file.landmarks.pairs()
        middle = float(image.grid.centre_um[0])
        sections.append(SeriesSection(entry.image.name, entry.position_um, pairs, middle))
        grids.append(image.grid)
    options = replace(
        options or SeriesOptions(),
        distance_um=series.distance_um,
        distance_tolerance_um=series.distance_tolerance_um,
    )
    try:
        found = fit_series(sections, options)
    except FitError as error:
        raise FitError(f"{path}: {error}") from error
    slices = []
    for placed, grid in zip(found.sections, grids, strict=True):
        middle_um = placed.placement.map(grid.centre_um[None])
        z, y, x = volume.grid.to_index(middle_um)[0].tolist()
        slices.append((z, y, x))
    digits = len(str(len(sections)))
    names = tuple(f"{n:0{digits}}_{_stem(s.name)}.json" for n, s in enumerate(sections, 1))
    warnings += found.warnings
    warnings += [f"{p.section.name}: {text}" for p in found.sections for text in p.warnings]
    return PlacedSeries(path, found, names, tuple(slices), tuple(warnings))


def _stem(name: str) -> str:
    """A file's name up to its first dot, and the number of its image."""
    place, _, number = name.partition("#")
    return place.split(".")[0] + (f"_{number}" if number else "")


def write_series(placed: PlacedSeries, folder: Path) -> Path:
    """Write one transform for each section, and a report of all; returns the report's path.

    Raises
    ------
    WriteError
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(folder, one_line(error), "name a folder that can be made") from error
    report = folder / REPORT
    if placed.source.resolve() in {(folder / name).resolve() for name in (REPORT, *placed.names)}:
        raise WriteError(placed.source, "it would be written over", "name another folder with -o")
    values: Mapping[str, Any] = placed.to_dict()
    for section, name, record in zip(
        placed.fit.sections, placed.names, values["sections"], strict=True
    ):
        write_placement(section.placement, record, folder / name)
    write_text(report, json.dumps(values, indent=1, allow_nan=False) + "\n")
    return report
