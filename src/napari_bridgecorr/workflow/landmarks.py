"""Landmarks to a transform or to another program, and points through a transform."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError, ReadError, TransformError, WriteError
from ..fitting import ErrorModel, Fit, FitOptions, errors_at_checks, fit
from ..fitting.error_levels import COLUMNS
from ..fitting.error_model import InverseErrorModel
from ..io.landmark_files import (
    POINT_COLUMNS,
    LandmarkFile,
    LandmarkFileOptions,
    LandmarkOutput,
    NamedPoint,
    PointTable,
    iter_points,
    landmark_format_of,
    points_of,
    read_landmark_file,
    read_points_file,
    write_landmark_file,
    write_point_chunks,
    write_points_file,
)
from ..io.transform_files import TransformFile, fit_document, read_transform, write_document
from ..landmarks import Side
from .tables import transform_error

_SIDES: tuple[Side, ...] = ("fixed", "moving")
_SLICER_ENDINGS = (".fcsv", ".json")


@dataclass(frozen=True)
class ConvertedLandmarks:
    """What a conversion wrote.

    Parameters
    ----------
    paths : tuple of Path
    n_landmarks : int
    warnings : tuple of str
        What the user should know about the file that was read.
    """

    paths: tuple[Path, ...]
    n_landmarks: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class MappedPoints:
    """What became of points.

    Parameters
    ----------
    n_points, n_lost : int
        Points read, and those that could not be mapped.
    warnings : tuple of str
        What the user should know about the file that was read.
    """

    n_points: int
    n_lost: int
    warnings: tuple[str, ...] = ()


def fit_landmarks(
    landmarks: Path,
    out: Path,
    options: FitOptions | None = None,
    reading: LandmarkFileOptions | None = None,
) -> Fit:
    """Fit the landmarks of a file of any format and write the transform's JSON.

    Returns
    -------
    Fit
        Its warnings include those about the file.

    Raises
    ------
    ReadError, FitError, WriteError
    """
    file = read_pairs(landmarks, reading, "--moving")
    try:
        result = fit(file.landmarks.pairs(), options)
    except FitError as error:
        raise FitError(f"{landmarks}: {error}") from error
    write_document(fit_document(result), out)
    return replace(result, warnings=(*file.warnings, *_checked(file, result), *result.warnings))


def _checked(file: LandmarkFile, result: Fit) -> tuple[str, ...]:
    checks = file.landmarks.check_pairs()
    if not len(checks):
        return ()
    found = errors_at_checks(result.transform, result.pairs, checks, result.options.dimensions)
    return (
        f"{len(checks)} check pairs were kept out of the fit; the RMS error at them is "
        f"{found.summary.rms_um:.3g} um",
    )


def read_pairs(
    landmarks: Path, reading: LandmarkFileOptions | None = None, option: str = "--moving"
) -> LandmarkFile:
    """Read landmarks of which some are pairs.

    Parameters
    ----------
    landmarks : Path
    reading : LandmarkFileOptions or None
    option : str
        How the file of the moving points is given, for the message.

    Raises
    ------
    ReadError
        If none is a pair.
    """
    file = read_landmark_file(landmarks, reading)
    if not any(m.is_pair for m in file.landmarks):
        raise ReadError(
            landmarks,
            "none of its landmarks is a pair",
            f"give the file of the moving image's points: {option} FILE",
        )
    return file


def convert_landmarks(
    landmarks: Path,
    out: Path,
    reading: LandmarkFileOptions | None = None,
    output: LandmarkOutput | None = None,
) -> ConvertedLandmarks:
    """Write the landmarks of a file of any format in another.

    Formats that hold the points of one image are written to `out` itself where only one side is
    placed, else to a file a side.

    Raises
    ------
    ReadError, WriteError
    """
    file = read_landmark_file(landmarks, reading)
    output = output or LandmarkOutput()
    placed = [s for s in _SIDES if any(p.position_um for p in points_of(file.landmarks, s))]
    if len(placed) == 1 and output.side is None:
        output = replace(output, side=placed[0])
    written = write_landmark_file(file.landmarks, out, output)
    return ConvertedLandmarks(written, len(file.landmarks), file.warnings)


def map_points(
    transform: Path,
    points: Path,
    out: Path,
    *,
    inverse: bool = False,
    reading: LandmarkFileOptions | None = None,
    with_error: bool = False,
) -> MappedPoints:
    """Map points of a file of any format through a transform file.

    Parameters
    ----------
    transform, points, out : Path
        A CSV with ``z_um,y_um,x_um`` keeps its other columns; other files become a CSV of names
        and positions. ``.fcsv`` and ``.mrk.json`` are written for 3D Slicer.
    inverse : bool
        Map moving points to fixed ones.
    reading : LandmarkFileOptions or None
        What the file of points does not say.
    with_error : bool
        Add columns of the predicted error: expected RMS, and the 68 % and 95 % levels of the
        target error and of the distance to one more landmark
        (:class:`~napari_bridgecorr.fitting.ErrorLevels`).

    Raises
    ------
    ReadError, WriteError
    TransformError
        If no point could be mapped, or nothing tells how wrong the transform is.
    """
    source = read_transform(transform)
    function = source.transform.inverse() if inverse else source.transform
    reading = reading or LandmarkFileOptions()
    warnings = source.warnings
    if reading.columns or landmark_format_of(points) not in (None, "points_csv"):
        file = read_points_file(points, reading, "moving" if inverse else "fixed")
        tables = iter([_table_of(points, file.points)])
        warnings += file.warnings
    else:
        tables = iter_points(points)
    error = _error_of(source, transform, out, inverse) if with_error else None
    counts = [0, 0]

    def mapped() -> Iterator[tuple[PointTable, NDArray[np.float64]]]:
        for table in tables:
            found = function.map(table.points_um)
            counts[0] += len(found)
            counts[1] += int(np.sum(~np.all(np.isfinite(found), axis=1)))
            yield table if error is None else _with_error(table, error), found
        if counts[0] and counts[0] == counts[1]:
            raise TransformError(
                f"{points}: none of the {counts[0]} points can be mapped; they lie outside the "
                "transform's domain or where it folds: check the direction (--inverse) and the "
                "units (um)"
            )

    if out.suffix.lower() in _SLICER_ENDINGS:
        write_points_file([p for part in mapped() for p in _named(*part)], out)
    else:
        write_point_chunks(mapped(), out)
    return MappedPoints(counts[0], counts[1], warnings)


def _error_of(source: TransformFile, path: Path, out: Path, inverse: bool) -> ErrorModel:
    if out.suffix.lower() in _SLICER_ENDINGS:
        raise WriteError(out, "has no place for predicted errors", "write a .csv")
    model = transform_error(source)
    if model is None:
        raise TransformError(
            f"{path}: it brings no landmarks that tell how wrong it is: fit it again"
        )
    return InverseErrorModel(model, source.transform.inverse()) if inverse else model


def _with_error(table: PointTable, error: ErrorModel) -> PointTable:
    columns = error.levels(table.points_um).columns().values()
    cells = [["" if np.isnan(v) else f"{v:.4g}" for v in column] for column in columns]
    rows = tuple((*row, *more) for row, *more in zip(table.rows, *cells, strict=True))
    return PointTable(table.points_um, (*table.header, *COLUMNS), rows)


def fit_of(source: TransformFile) -> Fit | None:
    """The fit that a transform file records, with its diagnostics; None if it records none.

    Raises
    ------
    FitError
        If the recorded landmarks can no longer be fitted.
    """
    if source.pairs is None or source.model is None:
        return None
    if source.options is not None:
        # suspects were left out when it was made: the recorded landmarks are those that count
        return fit(source.pairs, replace(source.options, robust="off"))
    smoothing = getattr(source.transform, "smoothing_um", "auto")
    return fit(source.pairs, FitOptions(source.model, smoothing, source.dimensions))


def _table_of(path: Path, points: tuple[NamedPoint, ...]) -> PointTable:
    placed = [p for p in points if p.position_um is not None]
    if not placed:
        raise ReadError(path, "none of its points is placed", "give a file with positions")
    return PointTable(
        np.array([p.position_um for p in placed], dtype=np.float64),
        ("name", *POINT_COLUMNS),
        tuple((p.name or p.id, "", "", "") for p in placed),
    )


def _named(table: PointTable, found: NDArray[np.float64]) -> list[NamedPoint]:
    column = next((table.header.index(n) for n in ("name", "label", "id") if n in table.header), -1)
    return [
        NamedPoint(
            "",
            row[column] if column >= 0 else "",
            True,
            (float(z), float(y), float(x)) if np.isfinite([z, y, x]).all() else None,
        )
        for row, (z, y, x) in zip(table.rows, found, strict=True)
    ]
