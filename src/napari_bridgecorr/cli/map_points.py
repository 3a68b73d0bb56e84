"""``bridgecorr map``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import COLUMNS_HELP, TRANSFORM_HELP, UNIT_HELP, columns, new_command
from .console import warn

if TYPE_CHECKING:
    from ..io.landmark_files import LandmarkFileOptions
    from .arguments import Commands


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(commands, "map", "map points through a transform", run)
    parser.add_argument("transform", metavar="T", type=Path, help=TRANSFORM_HELP)
    parser.add_argument(
        "points",
        metavar="POINTS",
        type=Path,
        help="CSV with the columns z_um,y_um,x_um (others are carried through), or points of any "
        "landmark format",
    )
    parser.add_argument(
        "-o", "--out", metavar="OUT", type=Path, required=True, help=".csv, .fcsv or .mrk.json"
    )
    parser.add_argument("--unit", metavar="UNIT", help=UNIT_HELP)
    parser.add_argument("--columns", type=columns, metavar="KEY=COLUMN,...", help=COLUMNS_HELP)
    parser.add_argument("--image", metavar="IMAGE", help="the points' image, for --unit px")
    parser.add_argument("--inverse", action="store_true", help="map moving points to fixed ones")
    parser.add_argument(
        "--error",
        action="store_true",
        help="add the columns predicted_error_um (expected RMS error of the mapped point), "
        "target_error_68_um, target_error_95_um (what that error stays below with that "
        "probability) and landmark_error_68_um, landmark_error_95_um (the same if you compare with "
        "one more landmark, whose clicks are not exact either); OUT is a .csv",
    )


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..workflow.landmarks import map_points

    result = map_points(
        options.transform,
        options.points,
        options.out,
        inverse=options.inverse,
        reading=_points_reading(options),
        with_error=options.error,
    )
    for warning in result.warnings:
        warn(warning)
    if result.n_lost:
        warn(f"{result.n_lost} points could not be mapped and have no coordinates in {options.out}")
    print(f"wrote {options.out}")
    return 0


def _points_reading(options: Namespace) -> LandmarkFileOptions:
    from ..io.landmark_files import LandmarkFileOptions
    from .opening import grid_of

    grid = grid_of(options.image)
    return LandmarkFileOptions(
        options.unit, columns=options.columns or {}, fixed_grid=grid, moving_grid=grid
    )
