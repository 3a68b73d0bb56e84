"""Landmark files of every format: read by content, written by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ...errors import ReadError, WriteError
from ...geometry import Grid
from ...landmarks import LandmarkSet, Side
from ..registry import parse_image_path
from .bigwarp import read_bigwarp, write_bigwarp
from .cells import read_cells
from .frames import frame_to_write
from .model import (
    LandmarkFile,
    LandmarkFileOptions,
    LandmarkFormat,
    NamedPoint,
    PointFile,
)
from .napari_csv import read_napari_csv, write_napari_csv
from .own_csv import is_own_header, read_own_csv, refuse_too_many_lines, write_own_csv
from .pairing import one_sided, pair_points
from .plain_csv import layout_of, read_plain_pairs, read_plain_points
from .recognise import is_image_header, landmark_format_of, table_format
from .slicer_fcsv import read_fcsv, write_fcsv
from .slicer_json import read_mrk_json, write_mrk_json
from .slicer_table import read_slicer_table

OutputFormat = Literal["bridgecorr_csv", "bigwarp_csv", "napari_csv", "slicer_fcsv", "slicer_json"]


@dataclass(frozen=True)
class LandmarkOutput:
    """How landmarks are written.

    Parameters
    ----------
    format : str or None
        None takes it from the name: ``.fcsv``, ``.mrk.json`` (or ``.json``), else the project's
        own CSV. ``"bigwarp_csv"`` and ``"napari_csv"`` must be asked for.
    unit : str or None
        BigWarp only, and required there: the calibrated unit of its images.
    moving_unit : str or None
        The same for the moving image, where it differs.
    side : {"fixed", "moving"} or None
        Formats of one image: write this side only, to the very name; None writes both, to
        ``NAME_fixed`` and ``NAME_moving``.
    dimensions : {2, 3}
        BigWarp only: 2 leaves z out, for flat images.
    fixed_grid, moving_grid : Grid or None
        BigWarp only: the images' grids, as for reading.
    """

    format: OutputFormat | None = None
    unit: str | None = None
    moving_unit: str | None = None
    side: Side | None = None
    dimensions: int = 3
    fixed_grid: Grid | None = None
    moving_grid: Grid | None = None


def read_landmarks(path: Path, options: LandmarkFileOptions | None = None) -> LandmarkSet:
    """Read landmarks of any format (see :func:`read_landmark_file`, which also has warnings)."""
    return read_landmark_file(path, options).landmarks


def read_landmark_file(path: Path, options: LandmarkFileOptions | None = None) -> LandmarkFile:
    """Read landmarks of any format, recognised by content.

    Parameters
    ----------
    path : Path
        May end in ``#N`` for list N of a ``.mrk.json``.
    options : LandmarkFileOptions or None
        What the file does not say. Formats that hold the points of one image take the other's from
        ``options.moving``; without it every landmark is half a pair.

    Raises
    ------
    ReadError
        One line: what is wrong with which file, and what to do.
    """
    options = options or LandmarkFileOptions()
    place, _ = _split(path)
    if options.moving is None:
        found = _read(path, options, options.side)
        if isinstance(found, LandmarkFile):
            return found
        other = "moving" if options.side == "fixed" else "fixed"
        said = (
            f"it holds the points of one image, taken as the {options.side} one: no {other} points"
        )
        marks = one_sided(found.points, options.side)
        return LandmarkFile(marks, found.format, (*found.warnings, said))
    paths = (place, _split(options.moving)[0])
    fixed = _one_sided(path, options, "fixed")
    moving = _one_sided(options.moving, options, "moving")
    marks, said_of_pairs = pair_points(fixed.points, moving.points, paths)
    warnings = [
        f"{of.name}: {w}"
        for of, file in zip(paths, (fixed, moving), strict=True)
        for w in file.warnings
    ]
    return LandmarkFile(marks, fixed.format, (*warnings, *said_of_pairs))


def read_points_file(
    path: Path, options: LandmarkFileOptions | None = None, side: Side = "fixed"
) -> PointFile:
    """Read the points of one image from a file of any format.

    Of a file of pairs, the points of `side` are taken.

    Raises
    ------
    ReadError
    """
    found = _read(path, options or LandmarkFileOptions(), side)
    if isinstance(found, PointFile):
        return found
    return PointFile(points_of(found.landmarks, side), found.format, found.warnings)


def points_of(landmarks: LandmarkSet, side: Side) -> tuple[NamedPoint, ...]:
    """The points of one side; landmarks that are not placed there have no position."""
    return tuple(
        NamedPoint(m.id, m.name, m.enabled, m.fixed_um if side == "fixed" else m.moving_um)
        for m in landmarks
    )


def write_landmark_file(
    landmarks: LandmarkSet, path: Path, output: LandmarkOutput | None = None
) -> tuple[Path, ...]:
    """Write landmarks in a format of this or another program (atomically, each file).

    Parameters
    ----------
    landmarks : LandmarkSet
    path : Path
    output : LandmarkOutput or None

    Returns
    -------
    tuple of Path
        What was written; two files for formats that hold the points of one image.

    Raises
    ------
    WriteError
    """
    output = output or LandmarkOutput()
    form = output.format or format_to_write(path)
    if form == "bridgecorr_csv":
        write_own_csv(landmarks, path)
        return (path,)
    if form == "bigwarp_csv":
        fixed = frame_to_write(path, output.unit, output.fixed_grid, "fixed")
        unit = output.moving_unit or output.unit
        moving = frame_to_write(path, unit, output.moving_grid, "moving")
        write_bigwarp(landmarks, path, fixed, moving, output.dimensions)
        return (path,)
    if output.side is not None:
        _write_points(points_of(landmarks, output.side), path, form)
        return (path,)
    sides: tuple[Side, ...] = ("fixed", "moving")
    placed = [
        side for side in sides if any(p.position_um is not None for p in points_of(landmarks, side))
    ]
    if not placed:
        raise WriteError(path, "no landmark is placed", "place landmarks first")
    written = []
    for side in placed:
        target = path_of_side(path, side)
        _write_points(points_of(landmarks, side), target, form)
        written.append(target)
    return tuple(written)


def write_points_file(points: Sequence[NamedPoint], path: Path) -> None:
    """Write the points of one image for 3D Slicer, in the format that the name asks for.

    Raises
    ------
    WriteError
    """
    form = format_to_write(path)
    if form not in ("slicer_fcsv", "slicer_json"):
        raise WriteError(path, "its ending names no file of 3D Slicer", "use .fcsv or .mrk.json")
    _write_points(points, path, form)


def as_output_format(program: str | None) -> OutputFormat | None:
    """CSV of a program: "bridgecorr", "bigwarp" or "napari"."""
    formats: dict[str, OutputFormat] = {
        "bridgecorr": "bridgecorr_csv",
        "bigwarp": "bigwarp_csv",
        "napari": "napari_csv",
    }
    return None if program is None else formats[program]


def format_to_write(path: Path) -> OutputFormat:
    """Format that a name asks for."""
    name = path.name.lower()
    if name.endswith(".fcsv"):
        return "slicer_fcsv"
    if name.endswith(".json"):
        return "slicer_json"
    if name.endswith(".csv"):
        return "bridgecorr_csv"
    raise WriteError(path, "its ending names no landmark format", "use .csv, .fcsv or .mrk.json")


def path_of_side(path: Path, side: Side) -> Path:
    """``points.mrk.json`` -> ``points_fixed.mrk.json``."""
    for ending in (".mrk.json", path.suffix):
        if ending and path.name.lower().endswith(ending.lower()):
            stem = path.name[: -len(ending)]
            return path.with_name(f"{stem}_{side}{path.name[len(stem) :]}")
    return path.with_name(f"{path.name}_{side}")


def _split(path: Path) -> tuple[Path, int | None]:
    place, number = parse_image_path(path)
    if not isinstance(place, Path):
        raise ReadError(str(path), "landmarks are not read from the web", "download the file first")
    return place, number


def _one_sided(path: Path, options: LandmarkFileOptions, side: Side) -> PointFile:
    other = "moving_" if side == "fixed" else "fixed_"
    ours = {role: name for role, name in options.columns.items() if not role.startswith(other)}
    found = _read(path, replace(options, columns=ours), side)
    if isinstance(found, LandmarkFile):
        raise ReadError(
            path, "it holds pairs, not the points of one image", "give it alone, without --moving"
        )
    return found


def _read(path: Path, options: LandmarkFileOptions, side: Side) -> LandmarkFile | PointFile:
    place, number = _split(path)
    form = landmark_format_of(place)
    if form == "slicer_json" or (form is None and place.suffix.lower() == ".json"):
        return read_mrk_json(place, number)
    if number:
        raise ReadError(path, f"it has no list number {number}", "leave #N out: it holds one list")
    if form == "slicer_fcsv" or (form is None and place.suffix.lower() == ".fcsv"):
        return read_fcsv(place)
    cells = read_cells(place)
    refuse_too_many_lines(place, cells.text)
    form = table_format(cells)
    if options.columns:
        form = "plain_csv"
    if form == "bigwarp_csv":
        return read_bigwarp(cells, options)
    if form == "bridgecorr_csv":
        return read_own_csv(cells)
    if form == "slicer_table":
        return read_slicer_table(cells)
    if form == "napari_csv":
        return read_napari_csv(cells, options, side)
    header = [c.strip() for c in next(cells.rows(), (0, [""]))[1]]
    if is_image_header(header):
        raise ReadError(path, "it is the image of a mass cytometer", "open it as an image")
    if layout_of(header, options.columns, place).has_pairs:
        return read_plain_pairs(cells, options)
    if is_own_header(header):
        return read_own_csv(cells)  # says which of its columns is missing
    return read_plain_points(cells, options, side)


def _write_points(
    points: Sequence[NamedPoint], path: Path, form: OutputFormat | LandmarkFormat
) -> None:
    if form == "slicer_json":
        write_mrk_json(points, path)
    elif form == "napari_csv":
        write_napari_csv(points, path)
    else:
        write_fcsv(_labelled(points), path)


def _labelled(points: Sequence[NamedPoint]) -> list[NamedPoint]:
    """Points by whose labels 3D Slicer's users can tell them apart."""
    names = [p.name.strip() for p in points]
    unique = all(names) and len(set(names)) == len(names)
    return list(points) if unique else [replace(p, name=p.name or p.id) for p in points]
