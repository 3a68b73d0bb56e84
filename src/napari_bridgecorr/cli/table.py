"""``bridgecorr table``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import COLUMNS_HELP, UNIT_HELP, add_images, columns, new_command, triple
from .console import ConsoleProgress, warn

if TYPE_CHECKING:
    from ..image import SpatialImage
    from ..landmarks import LandmarkSet
    from .arguments import Commands


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(commands, "table", "write one row per fixed voxel", run)
    add_images(parser)
    parser.add_argument(
        "-o",
        "--out",
        metavar="VOXELS.parquet",
        type=Path,
        required=True,
        help=".parquet, .csv or .csv.gz",
    )
    parser.add_argument(
        "--mask",
        metavar="[NAME=]MASK",
        action="append",
        default=[],
        help="image whose inside becomes a column mask_NAME (repeatable)",
    )
    parser.add_argument(
        "--landmarks",
        metavar="LANDMARKS",
        type=Path,
        help="check landmarks, in any format: give the error of a transform that brings none",
    )
    parser.add_argument(
        "--landmarks-moving",
        metavar="FILE",
        type=Path,
        help="their moving points, where LANDMARKS holds the fixed image's only",
    )
    parser.add_argument("--landmarks-unit", metavar="UNIT", help=UNIT_HELP)
    parser.add_argument(
        "--landmarks-columns", type=columns, metavar="KEY=COLUMN,...", help=COLUMNS_HELP
    )
    parser.add_argument(
        "--spacing",
        type=triple,
        metavar="Z,Y,X",
        help="rows at this spacing in um instead of the fixed voxels",
    )

    parser.add_argument(
        "--add",
        choices=["jacobian", "fold", "hull", "error68", "error95"],
        action="append",
        default=[],
        help="a column jacobian_determinant, folding (1 where that is <= 0), outside_hull_um "
        "(distance from the landmarks' convex hull), registration_error_68_um or _95_um (what the "
        "error stays below with that probability) more (repeatable)",
    )


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..voxels import TableOptions
    from ..workflow.tables import tabulate, transform_error
    from .opening import registered

    fixed, moving, source = registered(options)
    landmarks = _check_landmarks(options, fixed, moving) if options.landmarks else None
    error = transform_error(source, landmarks)
    if error is None:
        warn(
            "the transform does not say how wrong it is, so registration_error_um is empty; "
            "give --landmarks"
        )
    quantities = {}
    if options.add:
        from ..workflow.evaluate import table_quantities

        quantities = table_quantities(options.add, source, landmarks)
    written = tabulate(
        fixed,
        moving,
        source.transform,
        options.out,
        error=error,
        masks=_masks(options.mask),
        options=TableOptions(spacing_um=options.spacing),
        quantities=quantities,
        metadata={"transform": str(options.transform)},
        progress=ConsoleProgress(),
    )
    print(f"wrote {options.out} ({written.n_rows} rows)")
    return 0


def _check_landmarks(options: Namespace, fixed: SpatialImage, moving: SpatialImage) -> LandmarkSet:
    from ..io.landmark_files import LandmarkFileOptions
    from ..workflow.landmarks import read_pairs

    reading = LandmarkFileOptions(
        options.landmarks_unit,
        moving=options.landmarks_moving,
        columns=options.landmarks_columns or {},
        fixed_grid=fixed.grid,
        moving_grid=moving.grid,
    )
    file = read_pairs(options.landmarks, reading, "--landmarks-moving")
    for warning in file.warnings:
        warn(f"{options.landmarks.name}: {warning}")
    return file.landmarks


def _masks(arguments: list[str]) -> dict[str, SpatialImage]:
    """Masks from ``NAME=FILE`` or ``FILE`` (named after the file)."""
    from ..errors import ReadError
    from .opening import open_one

    found: dict[str, SpatialImage] = {}
    for text in arguments:
        name, equals, file = text.partition("=")
        if not equals or Path(text).exists():
            name, file = Path(text).name.split(".")[0], text
        if name in found:
            raise ReadError(file, f"two masks are named {name!r}", "write --mask NAME=FILE")
        found[name] = open_one(file)
    return found
