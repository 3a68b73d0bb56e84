"""``bridgecorr suggest``: further landmark pairs at vessel bifurcations."""

from __future__ import annotations

import argparse
import json
from argparse import Namespace
from typing import TYPE_CHECKING

from .arguments import (
    LANDMARKS_HELP,
    UNIT_HELP,
    add_channels_and_time,
    add_pairs_of_images,
    add_placement,
    new_command,
)
from .console import ConsoleProgress, warn

if TYPE_CHECKING:
    from .arguments import Commands


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(
        commands, "suggest", "propose further landmark pairs at vessel bifurcations", run
    )
    add_pairs_of_images(
        parser,
        f"at least four pairs, far from each other; {LANDMARKS_HELP}",
        "the given landmarks and the proposed ones (column source: suggested)",
    )
    parser.add_argument(
        "--confidence",
        metavar="P",
        type=_share,
        default=0.9,
        help="only pairs that are at least so sure, from 0 to 1 (default: 0.9)",
    )
    parser.add_argument(
        "--most", metavar="N", type=_count, default=200, help="not more pairs (default: 200)"
    )
    for side in ("fixed", "moving"):
        parser.add_argument(
            f"--{side}-vessels",
            choices=["bright", "dark"],
            help="beside the tissue (default: found from the images)",
        )
    parser.add_argument(
        "--scale-um",
        metavar="R",
        type=float,
        help="radius of the thinnest vessels looked at, in um of the finer image (default: the "
        "coarser image's voxel size)",
    )
    add_channels_and_time(parser)
    parser.add_argument("--unit", metavar="UNIT", help=UNIT_HELP)
    parser.add_argument("--json", action="store_true", help="print all proposals as JSON")
    add_placement(parser, "fixed-")
    add_placement(parser, "moving-")


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..io.landmark_files import LandmarkFileOptions
    from ..vessels import SuggestionOptions
    from ..workflow.suggest import describe_suggestions, suggest_for_file
    from .opening import open_one, placement_of

    fixed = open_one(options.fixed, placement_of(options, "fixed_"))
    moving = open_one(options.moving, placement_of(options, "moving_"))
    progress = ConsoleProgress()
    found, warnings = suggest_for_file(
        options.landmarks,
        fixed,
        moving,
        options.out,
        confidence=options.confidence,
        options=SuggestionOptions(
            options.fixed_vessels, options.moving_vessels, options.scale_um, options.most
        ),
        fixed_channel=options.fixed_channel,
        moving_channel=options.channel,
        time=options.time,
        reading=LandmarkFileOptions(
            unit=options.unit, fixed_grid=fixed.grid, moving_grid=moving.grid
        ),
        progress=progress,
    )
    progress.close()
    for warning in warnings:
        warn(f"{options.landmarks.name}: {warning}")
    if options.json:
        described = describe_suggestions(found, options.confidence)
        print(json.dumps(described, indent=1, allow_nan=False))
        return 0
    n, rest = len(found.above(options.confidence)), len(found.pairs)
    print(
        f"{n} pairs added ({found.fixed_vessels} vessels in the fixed image, "
        f"{found.moving_vessels} in the moving one); {rest - n} more are less sure than "
        f"{options.confidence:g}"
    )
    if n:
        print("look at them before you rely on them: `bridgecorr fit` tells how well they agree")
    print(f"wrote {options.out}")
    return 0


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)
