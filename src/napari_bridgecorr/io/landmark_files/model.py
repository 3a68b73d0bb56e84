"""What landmark files hold, and what a caller says that the file does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ...geometry import Grid
from ...landmarks import LandmarkSet, Point, Side

LandmarkFormat = Literal[
    "bridgecorr_csv",
    "bigwarp_csv",
    "slicer_fcsv",
    "slicer_json",
    "slicer_table",
    "napari_csv",
    "points_csv",
    "plain_csv",
]

# formats that hold the points of one image; a pair takes two such files
ONE_SIDED: frozenset[LandmarkFormat] = frozenset(
    ("slicer_fcsv", "slicer_json", "slicer_table", "napari_csv", "points_csv")
)
# formats that state no unit of length: it must be given
WITHOUT_UNIT: frozenset[LandmarkFormat] = frozenset(("bigwarp_csv", "napari_csv", "plain_csv"))
# more is a mislabelled table, not what people click; `map` takes points without limit
MOST_LANDMARKS = 100_000


@dataclass(frozen=True)
class LandmarkFileOptions:
    """What is needed beside a landmark file to read it. All may be left out.

    Parameters
    ----------
    unit : str or None
        Unit of the coordinates in files that state none (BigWarp, napari, plain CSV): a length
        (``"um"``, ``"mm"``, ``"nm"``...) or ``"px"``.
    moving_unit : str or None
        The same for the moving points, where it differs.
    moving : Path or None
        File of the moving points, where the first file holds the points of one image (3D Slicer,
        napari); it may end in ``#N`` for list N of a ``.mrk.json``. The first file is the fixed
        image's.
    columns : mapping of str to str
        Which column of a plain CSV is what: keys ``id``, ``name``, ``enabled``, ``z``, ``y``, ``x``
        (points of one image) or ``fixed_z``, ... ``moving_x`` (pairs); values are the file's
        column names. Columns that are named like their key need no entry.
    side : {"fixed", "moving"}
        Whose points a file of one image is, where no second file is given.
    fixed_grid, moving_grid : Grid or None
        Grids of the images at full resolution. Needed for ``"px"``. BigWarp measures from the
        centre of the first voxel: with the grid its coordinates find their place in the world also
        where an image is rotated or starts elsewhere.
    """

    unit: str | None = None
    moving_unit: str | None = None
    moving: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    side: Side = "fixed"
    fixed_grid: Grid | None = None
    moving_grid: Grid | None = None

    def unit_of(self, side: Side) -> str | None:
        """Unit stated for a side."""
        return self.unit if side == "fixed" or self.moving_unit is None else self.moving_unit

    def grid_of(self, side: Side) -> Grid | None:
        """Grid of a side's image."""
        return self.fixed_grid if side == "fixed" else self.moving_grid


@dataclass(frozen=True)
class NamedPoint:
    """A point of one image.

    Parameters
    ----------
    id : str
        Its identity where the file was written by this project, else empty: the ids that 3D Slicer
        writes number the points of one list and mean nothing in another.
    name : str
        May be empty and need not be unique.
    enabled : bool
    position_um : (float, float, float) or None
        World (z, y, x) in um; None where the file names the point without placing it.
    """

    id: str
    name: str
    enabled: bool
    position_um: Point | None


@dataclass(frozen=True)
class PointFile:
    """The points of one image, as read from a file."""

    points: tuple[NamedPoint, ...]
    format: LandmarkFormat
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LandmarkFile:
    """Landmarks as read from a file (or two)."""

    landmarks: LandmarkSet
    format: LandmarkFormat
    warnings: tuple[str, ...] = ()
