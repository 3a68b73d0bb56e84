"""Coordinates of files that state no unit or origin, as positions in the world and back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import GeometryError, ReadError, WriteError
from ...geometry import Grid
from ...landmarks import Point, Side
from ...units import is_length_unit
from .lengths import text_from_um, um_from_text
from .model import LandmarkFileOptions

PIXELS = ("px", "pixel", "pixels", "voxel", "voxels")

Numbers3 = tuple[str, str, str]


@dataclass(frozen=True)
class Frame:
    """Where the coordinates of one image's points lie.

    Parameters
    ----------
    unit : str
        A length, or ``"px"`` for voxel indices.
    grid : Grid or None
        Needed for ``"px"``.
    from_first_voxel : bool
        Lengths are measured along the image's axes from the centre of its first voxel (BigWarp),
        and are not world positions.
    """

    unit: str
    grid: Grid | None = None
    from_first_voxel: bool = False

    def to_world(self, numbers: Numbers3) -> Point:
        """World (z, y, x) in um of decimal numbers (z, y, x).

        Raises
        ------
        GeometryError
            If they are too large.
        """
        if self.unit == "px":
            assert self.grid is not None
            return _point(self.grid.to_world([[float(n) for n in numbers]])[0])
        z, y, x = (um_from_text(n, self.unit) for n in numbers)
        if self.grid is None or not self.from_first_voxel or _starts_at_zero(self.grid):
            return _point((z, y, x))
        index = np.array([[z, y, x]]) / self.grid.voxel_size_um
        return _point(self.grid.to_world(index)[0])

    def from_world(self, point_um: Point) -> Numbers3:
        """Decimal numbers (z, y, x) of a world position."""
        if self.unit == "px":
            assert self.grid is not None
            return _texts(self.grid.to_index([point_um])[0], "um")
        if self.grid is None or not self.from_first_voxel or _starts_at_zero(self.grid):
            return _texts(point_um, self.unit)
        along = self.grid.to_index([point_um])[0] * self.grid.voxel_size_um
        return _texts(along, self.unit)


def place(path: Path, line: int, frame: Frame, numbers: Numbers3) -> Point:
    """World position of a line's coordinates (z, y, x).

    Raises
    ------
    ReadError
        If they are too large.
    """
    try:
        return frame.to_world(numbers)
    except GeometryError as error:
        raise ReadError(path, f"line {line}: {error}", "check the numbers and the unit") from error


def frame_for(
    path: Path,
    options: LandmarkFileOptions,
    side: Side,
    *,
    what: str,
    stated_unit: str | None = None,
    from_first_voxel: bool = False,
) -> Frame:
    """Frame of a side's coordinates, from what the file states and the user says.

    Parameters
    ----------
    path : Path
    options : LandmarkFileOptions
    side : {"fixed", "moving"}
    what : str
        What the file is, for the message.
    stated_unit : str or None
        Unit that the file itself names.
    from_first_voxel : bool

    Raises
    ------
    ReadError
        If nobody states a unit, it is none, or it is pixels of an unknown image.
    """
    said = options.unit_of(side)
    unit = _canonical(path, stated_unit) or _canonical(path, said)
    if unit is None:
        raise ReadError(
            path,
            f"{what} states no unit of length",
            "say it: --unit um (or mm, nm, px; in Python unit=)",
        )
    if stated_unit is not None and said is not None and _canonical(path, said) != unit:
        raise ReadError(
            path,
            f"its coordinates are in {unit}, not in {said}",
            "leave the unit out, it is stated in the file",
        )
    grid = options.grid_of(side)
    if unit == "px" and grid is None:
        raise ReadError(
            path,
            f"its {side} coordinates are pixels and the {side} image is not known",
            f"give the image: --{side}-image IMAGE (in Python {side}_grid=)",
        )
    return Frame(unit, grid, from_first_voxel)


def _canonical(path: Path, unit: str | None) -> str | None:
    if unit is None:
        return None
    if unit.strip().lower() in PIXELS:
        return "px"
    if not is_length_unit(unit):
        raise ReadError(path, f"{unit!r} is not a unit of length", "give um, mm, nm or px")
    return unit.strip()


def _starts_at_zero(grid: Grid) -> bool:
    """Whether lengths along the axes are world positions: no offset, rotation or mirroring."""
    return np.array_equal(grid.index_to_world[:3, :3], np.diag(grid.voxel_size_um)) and not np.any(
        grid.index_to_world[:3, 3]
    )


def _point(values: Iterable[float]) -> Point:
    z, y, x = map(float, values)
    if not (math.isfinite(z) and math.isfinite(y) and math.isfinite(x)):
        raise GeometryError("a coordinate is too large")
    return z, y, x


def _texts(values: Iterable[float], unit: str) -> Numbers3:
    z, y, x = (text_from_um(float(v), unit) for v in values)
    return z, y, x


def frame_to_write(path: Path, unit: str | None, grid: Grid | None, side: Side) -> Frame:
    """Frame of the coordinates that BigWarp will read.

    Raises
    ------
    WriteError
        If no unit is given, it is none, or it is pixels of an unknown image.
    """
    if unit is None:
        raise WriteError(
            path,
            "a BigWarp landmark file states no unit of length",
            "give the unit of BigWarp's images: --out-unit um (or mm, nm, px)",
        )
    try:
        known = _canonical(path, unit)
    except ReadError as error:
        raise WriteError(path, error.fault, error.remedy) from error
    assert known is not None
    if known == "px" and grid is None:
        raise WriteError(
            path, f"the {side} image is not known", f"give the image: --{side}-image IMAGE"
        )
    return Frame(known, grid, from_first_voxel=True)
