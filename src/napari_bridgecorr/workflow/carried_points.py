"""Points of an image that was resliced: where they lie in the plane and in the result's voxels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ReadError
from ..geometry import Grid, Plane
from ..io.landmark_files import (
    POINT_COLUMNS,
    LandmarkFileOptions,
    NamedPoint,
    PointTable,
    iter_points,
    landmark_format_of,
    read_points_file,
    write_point_chunks,
)

FloatArray = NDArray[np.float64]
Side = Literal["fixed", "moving"]

PLACE_COLUMNS = ("depth_um", "down_um", "across_um", "slice", "row", "column", "inside")
"""Lengths along the plane's axes from its origin; indices (fractions too) of the result's voxels;
1 where the result has a voxel there, else 0."""


def carry_points(
    points: Path,
    out: Path,
    plane: Plane,
    grid: Grid,
    reading: LandmarkFileOptions | None = None,
    side: Side = "fixed",
) -> int:
    """Write points with their places in a resliced image beside their world coordinates.

    Parameters
    ----------
    points : Path
        Points of the image, of any format; of landmark pairs the points of `side`.
    out : Path
        CSV: the columns of `points` as they are (world coordinates hold for the resliced image
        too) and :data:`PLACE_COLUMNS`.
    plane : Plane
    grid : Grid
        Of the resliced image.
    reading : LandmarkFileOptions, optional
        What the file does not say.
    side : {"fixed", "moving"}

    Returns
    -------
    int
        Number of points outside of the resliced image.

    Raises
    ------
    ReadError, WriteError
    """
    outside = 0

    def placed() -> Iterator[tuple[PointTable, FloatArray]]:
        nonlocal outside
        for table in _tables(points, reading or LandmarkFileOptions(), side):
            inside = grid.contains(table.points_um)
            outside += int((~inside).sum())
            places = np.column_stack([plane.place(table.points_um), grid.to_index(table.points_um)])
            rows = tuple(
                (*row, *(repr(float(v)) for v in place), str(int(within)))
                for row, place, within in zip(table.rows, places, inside, strict=True)
            )
            yield (
                PointTable(table.points_um, (*table.header, *_free(table.header)), rows),
                table.points_um,
            )

    write_point_chunks(placed(), out)
    return outside


def _free(header: tuple[str, ...]) -> tuple[str, ...]:
    """The columns' names, with ``plane_`` in front of those that the file has already."""
    return tuple(f"plane_{name}" if name in header else name for name in PLACE_COLUMNS)


def _tables(path: Path, reading: LandmarkFileOptions, side: Side) -> Iterator[PointTable]:
    if not reading.columns and landmark_format_of(path) in (None, "points_csv"):
        yield from iter_points(path)
        return
    known: list[NamedPoint] = [
        p for p in read_points_file(path, reading, side).points if p.position_um is not None
    ]
    if not known:
        raise ReadError(path, f"it places no point of the {side} image", "choose the other side")
    yield PointTable(
        np.array([p.position_um for p in known], dtype=np.float64),
        ("id", "name", *POINT_COLUMNS),
        tuple((p.id, p.name, "", "", "") for p in known),
    )
