"""Parsing of the command line, exit status, and one line per failure.

Exit status: 0 done; 1 the work failed (the reason in one line on standard error); 2 wrong use;
130 interrupted. Only this file is loaded by ``bridgecorr --help``; the rest when it is needed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BridgecorrError, Cancelled, one_line
from .evaluation import add_evaluation

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_EPILOG = """\
PATH, FIXED, MOVING and IMAGE may end in #N for image N of the file (from 0), as in slide.czi#2.
World coordinates are (z, y, x) in micrometres. A transform maps fixed points to moving points.
Start with:  bridgecorr demo
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = build_parser().parse_args(arguments)
    from . import commands

    try:
        status: int = getattr(commands, options.run)(options)
        sys.stdout.flush()
    except BridgecorrError as error:
        print(f"bridgecorr: {one_line(error)}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Cancelled):
        print("bridgecorr: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away (| head): not our failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        print("bridgecorr: out of memory; close other programs and try again", file=sys.stderr)
        return 1
    return status


def build_parser() -> argparse.ArgumentParser:
    """The parser of all sub-commands."""
    parser = argparse.ArgumentParser(
        prog="bridgecorr",
        description="Register two images of one sample and tabulate their voxels.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_image_commands(commands)
    _add_landmark_commands(commands)
    _add_registered_commands(commands)
    _add_reslice(commands)
    _add_whole_chain_commands(commands)
    return parser


class _Version(argparse.Action):
    """``--version``, without loading package metadata for any other command."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"bridgecorr {version('napari-bridgecorr')}")
        parser.exit()


def _add_image_commands(commands: Commands) -> None:
    info = _command(commands, "info", "say what is in a file")
    info.add_argument("path", metavar="PATH", help="image, landmarks or transform")
    info.add_argument("--json", action="store_true", help="machine-readable")
    info.add_argument(
        "--checksum", action="store_true", help="read every pixel and print its SHA-256"
    )
    _add_placement(info)

    convert = _command(
        commands, "convert", "write an image as OME-Zarr, landmarks or a transform for others"
    )
    convert.add_argument("path", metavar="PATH", help="image, landmarks or transform, by content")
    convert.add_argument(
        "out",
        metavar="OUT",
        type=Path,
        help=".ome.zarr for an image; .csv, .fcsv or .mrk.json for landmarks (the last two hold "
        "one image's points: OUT_fixed and OUT_moving are written); .json, .h5, .tfm, .mat, .txt, "
        ".nii.gz, .nrrd or .ome.zarr for a transform (TransformParameters.txt is elastix's)",
    )
    which = convert.add_mutually_exclusive_group()
    which.add_argument("--image", type=int, metavar="N", help="number of the image in the file")
    which.add_argument("--all", action="store_true", help="every image, to one .ome.zarr")
    _add_placement(convert)
    _add_landmark_reading(convert)
    _add_landmark_writing(convert)
    _add_transform_writing(convert)


def _add_transform_writing(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("transforms", "one that a format cannot hold is sampled")
    group.add_argument(
        "--like",
        metavar="IMAGE",
        help="sample over the box of this image (default: about the landmarks); "
        "with --spacing every Z,Y,X um",
    )
    group.add_argument(
        "--tolerance",
        type=float,
        metavar="UM",
        help="how far the sampled field may be from the transform (default: 1)",
    )
    group.add_argument("--inverse", action="store_true", help="write the map moving to fixed")
    group.add_argument(
        "--frame",
        choices=["LPS", "RAS"],
        default="LPS",
        help="what x, y, z mean in files of ITK, ANTs and elastix; RAS keeps the axes' signs, "
        "as for images that have no anatomical directions (TIFF)",
    )


def _add_landmark_commands(commands: Commands) -> None:
    fit = _command(commands, "fit", "fit a transform to landmark pairs")
    fit.add_argument("landmarks", metavar="LANDMARKS", type=Path, help=_LANDMARKS_HELP)
    fit.add_argument("-o", "--out", metavar="T.json", type=Path, required=True)
    _add_model(fit)
    _add_landmark_reading(fit)
    fit.add_argument("--json", action="store_true", help="print the diagnostics as JSON")
    fit.add_argument(
        "--folds",
        type=_folds,
        metavar="N",
        help="leave the landmarks out in N folds and tell how well the others predict them (with "
        "--json 10 by default, none above 1,000 landmarks; 0: not at all)",
    )

    map_ = _command(commands, "map", "map points through a transform")
    map_.add_argument("transform", metavar="T", type=Path, help=_TRANSFORM_HELP)
    map_.add_argument(
        "points",
        metavar="POINTS",
        type=Path,
        help="CSV with the columns z_um,y_um,x_um (others are carried through), or points of any "
        "landmark format",
    )
    map_.add_argument(
        "-o", "--out", metavar="OUT", type=Path, required=True, help=".csv, .fcsv or .mrk.json"
    )
    map_.add_argument("--unit", metavar="UNIT", help=_UNIT_HELP)
    map_.add_argument("--columns", type=_columns, metavar="KEY=COLUMN,...", help=_COLUMNS_HELP)
    map_.add_argument("--image", metavar="IMAGE", help="the points' image, for --unit px")
    map_.add_argument("--inverse", action="store_true", help="map moving points to fixed ones")


def _add_registered_commands(commands: Commands) -> None:
    warp = _command(commands, "warp", "resample a moving image on the fixed grid")
    _add_images(warp)
    warp.add_argument(
        "-o",
        "--out",
        metavar="OUT",
        type=Path,
        required=True,
        help=".ome.zarr, .nii.gz, .nii or .ome.tif",
    )
    warp.add_argument("--channel", metavar="NAME|N", help="one channel (default: all)")
    warp.add_argument("--time", type=int, metavar="N", help="one time point (default: all)")
    warp.add_argument(
        "--spacing",
        type=_triple,
        metavar="Z,Y,X",
        help="sample the fixed extent at this spacing in um",
    )
    warp.add_argument(
        "--interpolation",
        choices=["auto", "linear", "mean", "nearest"],
        default="auto",
        help="auto: the volume-weighted mean where a fixed voxel "
        "holds more than two moving ones, else linear (default)",
    )

    table = _command(commands, "table", "write one row per fixed voxel")
    _add_images(table)
    table.add_argument(
        "-o",
        "--out",
        metavar="VOXELS.parquet",
        type=Path,
        required=True,
        help=".parquet, .csv or .csv.gz",
    )
    table.add_argument(
        "--mask",
        metavar="[NAME=]MASK",
        action="append",
        default=[],
        help="image whose inside becomes a column mask_NAME (repeatable)",
    )
    table.add_argument(
        "--landmarks",
        metavar="LANDMARKS",
        type=Path,
        help="check landmarks, in any format: give the error of a transform that brings none",
    )
    table.add_argument(
        "--landmarks-moving",
        metavar="FILE",
        type=Path,
        help="their moving points, where LANDMARKS holds the fixed image's only",
    )
    table.add_argument("--landmarks-unit", metavar="UNIT", help=_UNIT_HELP)
    table.add_argument(
        "--landmarks-columns", type=_columns, metavar="KEY=COLUMN,...", help=_COLUMNS_HELP
    )
    table.add_argument(
        "--spacing",
        type=_triple,
        metavar="Z,Y,X",
        help="rows at this spacing in um instead of the fixed voxels",
    )

    table.add_argument(
        "--add",
        choices=["jacobian", "fold", "hull"],
        action="append",
        default=[],
        help="a column jacobian_determinant, folding (1 where that is <= 0) or outside_hull_um "
        "(distance from the landmarks' convex hull) more (repeatable)",
    )

    evaluate = _command(commands, "evaluate", "tell how good a registration is")
    evaluate.add_argument(
        "--transform", metavar="T", type=Path, required=True, help=_TRANSFORM_HELP
    )
    evaluate.add_argument("--landmarks", metavar="CHECK", type=Path, help=_LANDMARKS_HELP)
    evaluate.add_argument(
        "--spacing",
        type=_triple,
        metavar="Z,Y,X",
        help="sample the map over the image's extent at this spacing in um",
    )
    add_evaluation(evaluate)
    _add_landmark_reading(evaluate)

    report = _command(commands, "report", "write an HTML report with pictures")
    _add_images(report)
    report.add_argument("-o", "--out", metavar="REPORT.html", type=Path, required=True)
    report.add_argument(
        "--table", metavar="VOXELS.parquet", type=Path, help="voxel table of this registration"
    )


def _add_reslice(commands: Commands) -> None:
    from .reslicing import add_arguments

    parser = _command(commands, "reslice", "cut an image along a reference plane")
    add_arguments(parser)
    _add_placement(parser, "image-")


def _add_whole_chain_commands(commands: Commands) -> None:
    run = _command(commands, "run", "repeat a session: fit, warp, table, report")
    run.add_argument("session", metavar="SESSION.json", type=Path)

    demo = _command(commands, "demo", "register a phantom with known truth, from files to report")
    demo.add_argument(
        "out", metavar="OUT_DIR", type=Path, nargs="?", default=Path("bridgecorr-demo")
    )
    demo.add_argument("--seed", type=int, default=0)

    phantom = _command(
        commands, "phantom", "write a phantom: two-photon CZI, MRI, landmarks, truth"
    )
    phantom.add_argument("out", metavar="OUT_DIR", type=Path)
    phantom.add_argument("--size", choices=["sample", "demo"], default="demo")
    phantom.add_argument("--seed", type=int, default=0)


def _command(commands: Commands, name: str, summary: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=name)
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default="tps", choices=["translation", "rigid", "similarity", "affine", "tps"]
    )
    parser.add_argument(
        "--smoothing",
        default="auto",
        metavar="auto|NUMBER",
        help="lambda of the thin-plate spline in um (0 interpolates); "
        "auto: by leave-one-out error (default)",
    )
    parser.add_argument(
        "--dimensions",
        type=int,
        choices=[2, 3],
        default=3,
        help="2 for flat images: z is only shifted",
    )


def _add_landmark_reading(parser: argparse.ArgumentParser) -> None:
    """What a landmark file of another program leaves open."""
    group = parser.add_argument_group("landmark files of other programs")
    group.add_argument(
        "--moving",
        metavar="FILE",
        type=Path,
        help="the moving image's points, where LANDMARKS holds the fixed image's only (3D Slicer, "
        "napari); paired by name, else by order; FILE#N takes list N of a .mrk.json",
    )
    group.add_argument("--unit", metavar="UNIT", help=_UNIT_HELP)
    group.add_argument(
        "--moving-unit", metavar="UNIT", help="the same for moving points, where it differs"
    )
    group.add_argument("--columns", type=_columns, metavar="KEY=COLUMN,...", help=_COLUMNS_HELP)
    for side in ("fixed", "moving"):
        group.add_argument(
            f"--{side}-image",
            metavar="IMAGE",
            help=f"the {side} image: needed for px, and for BigWarp where it is rotated or does "
            "not start at zero",
        )
        _add_placement(group, f"{side}-")


def _add_landmark_writing(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("landmarks to other programs")
    group.add_argument(
        "--to",
        choices=["bridgecorr", "bigwarp", "napari"],
        help="which CSV (default: bridgecorr); moving points come first in BigWarp's, one file a "
        "side is written for napari, in um",
    )
    group.add_argument(
        "--out-unit",
        metavar="UNIT",
        help="calibrated unit of BigWarp's images: um, mm, ... or px (default: --unit)",
    )
    group.add_argument(
        "--out-moving-unit", metavar="UNIT", help="the same for the moving image, if it differs"
    )
    group.add_argument(
        "--side",
        choices=["fixed", "moving"],
        help="one image's points only: take LANDMARKS for this one's, write this one's",
    )
    group.add_argument(
        "--out-dimensions",
        type=int,
        choices=[2, 3],
        default=3,
        help="2 leaves z out of BigWarp's file, for flat images",
    )


def _add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fixed", metavar="FIXED", required=True)
    parser.add_argument("--moving", metavar="MOVING", required=True)
    parser.add_argument("--transform", metavar="T", type=Path, required=True, help=_TRANSFORM_HELP)
    _add_placement(parser, "fixed-")
    _add_placement(parser, "moving-")


def _add_placement(parser: argparse._ActionsContainer, side: str = "") -> None:
    """What a user says of an image whose file does not say it, or says it wrongly."""
    parser.add_argument(f"--{side}spacing", type=_triple, metavar="Z,Y,X", help=_SPACING_HELP)
    parser.add_argument(f"--{side}orientation", metavar="Z,Y,X", help=_ORIENTATION_HELP)


def _columns(text: str) -> dict[str, str]:
    """``fixed_x=X1,fixed_y=Y1`` as a mapping."""
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(key.strip() and equals and value.strip() for key, equals, value in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form x=COLUMN,y=COLUMN,...")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _folds(text: str) -> int:
    """0, or a number of folds from 2."""
    if not text.isdecimal() or int(text) == 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 0 nor a number of folds from 2")
    return int(text)


def _triple(text: str) -> tuple[float, float, float]:
    """``z,y,x`` as three positive numbers."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 3 or not all(0 < v < float("inf") for v in values):
        raise argparse.ArgumentTypeError(f"{text!r} is not three positive lengths in um: z,y,x")
    return values[0], values[1], values[2]


_LANDMARKS_HELP = (
    "landmarks CSV, BigWarp CSV, 3D Slicer .fcsv or .mrk.json, napari points CSV, or any CSV with "
    "a header"
)
_UNIT_HELP = (
    "unit of the coordinates, asked for where the file states none (BigWarp, napari, plain CSV): "
    "um, mm, nm, ... or px"
)
_COLUMNS_HELP = (
    "which column of a plain CSV is what, where its name does not tell: keys fixed_z, fixed_y, "
    "fixed_x, moving_z, moving_y, moving_x, or z, y, x for the points of one image; name, id, "
    "enabled"
)
_TRANSFORM_HELP = (
    "transform: T.json, or one of ITK, ANTs, Slicer, elastix or OME-Zarr, told by content"
)
_SPACING_HELP = "voxel size in um where the file has none"
_ORIENTATION_HELP = (
    "where the file's world axes really run: z,-y,x mirrors y, y,-z,x turns about x "
    "(write --orientation=-z,y,x where a minus comes first)"
)
