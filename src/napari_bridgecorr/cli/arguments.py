"""Arguments that several commands share, and the words that explain them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

EPILOG = """\
PATH, FIXED, MOVING and IMAGE may end in #N for image N of the file (from 0), as in slide.czi#2.
World coordinates are (z, y, x) in micrometres. A transform maps fixed points to moving points.
Start with:  bridgecorr demo
"""
LANDMARKS_HELP = (
    "landmarks CSV, BigWarp CSV, 3D Slicer .fcsv or .mrk.json, napari points CSV, or any CSV with "
    "a header"
)
UNIT_HELP = (
    "unit of the coordinates, asked for where the file states none (BigWarp, napari, plain CSV): "
    "um, mm, nm, ... or px"
)
COLUMNS_HELP = (
    "which column of a plain CSV is what, where its name does not tell: keys fixed_z, fixed_y, "
    "fixed_x, moving_z, moving_y, moving_x, or z, y, x for the points of one image; name, id, "
    "enabled"
)
TRANSFORM_HELP = (
    "transform: T.json, or one of ITK, ANTs, Slicer, elastix or OME-Zarr, told by content"
)
_SPACING_HELP = "voxel size in um where the file has none"
_ORIENTATION_HELP = (
    "where the file's world axes really run: z,-y,x mirrors y, y,-z,x turns about x "
    "(write --orientation=-z,y,x where a minus comes first)"
)


def new_command(
    commands: Commands, name: str, summary: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """The parser of a further command, which `run` does."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_images(parser: argparse.ArgumentParser) -> None:
    """The two images of a registration, and its transform."""
    parser.add_argument("--fixed", metavar="FIXED", required=True)
    parser.add_argument("--moving", metavar="MOVING", required=True)
    parser.add_argument("--transform", metavar="T", type=Path, required=True, help=TRANSFORM_HELP)
    add_placement(parser, "fixed-")
    add_placement(parser, "moving-")


def add_placement(parser: argparse._ActionsContainer, side: str = "") -> None:
    """What a user says of an image whose file does not say it, or says it wrongly."""
    parser.add_argument(f"--{side}spacing", type=triple, metavar="Z,Y,X", help=_SPACING_HELP)
    parser.add_argument(f"--{side}orientation", metavar="Z,Y,X", help=_ORIENTATION_HELP)


def add_landmark_reading(parser: argparse.ArgumentParser) -> None:
    """What a landmark file of another program leaves open."""
    group = parser.add_argument_group("landmark files of other programs")
    group.add_argument(
        "--moving",
        metavar="FILE",
        type=Path,
        help="the moving image's points, where LANDMARKS holds the fixed image's only (3D Slicer, "
        "napari); paired by name, else by order; FILE#N takes list N of a .mrk.json",
    )
    group.add_argument("--unit", metavar="UNIT", help=UNIT_HELP)
    group.add_argument(
        "--moving-unit", metavar="UNIT", help="the same for moving points, where it differs"
    )
    group.add_argument("--columns", type=columns, metavar="KEY=COLUMN,...", help=COLUMNS_HELP)
    for side in ("fixed", "moving"):
        group.add_argument(
            f"--{side}-image",
            metavar="IMAGE",
            help=f"the {side} image: needed for px, and for BigWarp where it is rotated or does "
            "not start at zero",
        )
        add_placement(group, f"{side}-")


def columns(text: str) -> dict[str, str]:
    """``fixed_x=X1,fixed_y=Y1`` as a mapping."""
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(key.strip() and equals and value.strip() for key, equals, value in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form x=COLUMN,y=COLUMN,...")
    return {key.strip(): value.strip() for key, _, value in pairs}


def triple(text: str) -> tuple[float, float, float]:
    """``z,y,x`` as three positive numbers."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 3 or not all(0 < v < float("inf") for v in values):
        raise argparse.ArgumentTypeError(f"{text!r} is not three positive lengths in um: z,y,x")
    return values[0], values[1], values[2]


def add_pairs_of_images(parser: argparse.ArgumentParser, landmarks: str, out: str) -> None:
    """Two images, the landmarks in them, and the file for what becomes of these.

    Parameters
    ----------
    parser : ArgumentParser
    landmarks, out : str
        Help on either file.
    """
    parser.add_argument("--fixed", metavar="FIXED", required=True)
    parser.add_argument("--moving", metavar="MOVING", required=True)
    parser.add_argument(
        "--landmarks", metavar="LANDMARKS", type=Path, required=True, help=landmarks
    )
    parser.add_argument("-o", "--out", metavar="OUT.csv", type=Path, required=True, help=out)


def add_channels_and_time(parser: argparse.ArgumentParser) -> None:
    """Which channel of either image is looked at, and when."""
    parser.add_argument("--fixed-channel", metavar="NAME|N", default="0")
    parser.add_argument("--channel", "--moving-channel", metavar="NAME|N", default="0")
    parser.add_argument("--time", type=int, metavar="N", default=0, help="time point (default: 0)")
