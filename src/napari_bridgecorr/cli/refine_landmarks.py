"""``bridgecorr refine-landmarks``."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import (
    LANDMARKS_HELP,
    TRANSFORM_HELP,
    UNIT_HELP,
    add_channels_and_time,
    add_pairs_of_images,
    add_placement,
    new_command,
)
from .console import ConsoleProgress, warn
from .session_files import add_session, image_ref, place_in_session

if TYPE_CHECKING:
    from ..refine import RefinedLandmarks
    from .arguments import Commands


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(
        commands, "refine-landmarks", "move landmarks to where the images agree", run
    )
    add_pairs_of_images(
        parser,
        LANDMARKS_HELP,
        "all landmarks, those moved that are certain; fixed points stay where they are",
    )
    parser.add_argument(
        "--transform",
        metavar="T",
        type=Path,
        help=f"{TRANSFORM_HELP}; its rotation and scale are taken out (default: the landmarks')",
    )
    parser.add_argument(
        "--radius-um",
        metavar="R",
        type=float,
        help="radius of the surroundings compared (default: 5 voxels of the coarser image)",
    )
    parser.add_argument(
        "--max-step-um",
        metavar="S",
        type=float,
        help="longest step of a moving point (default: 3 voxels of the moving image; up to 3 of "
        "the coarser one where left-out landmarks are farther off)",
    )
    parser.add_argument(
        "--metric",
        choices=["correlation", "mi"],
        default="correlation",
        help="correlation, of either sign (default), or Mattes mutual information",
    )
    add_channels_and_time(parser)
    parser.add_argument(
        "--only", metavar="ID", nargs="+", help="only these landmarks (default: all pairs)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="landmarks at once")
    parser.add_argument("--unit", metavar="UNIT", help=UNIT_HELP)
    add_session(parser, "OUT.csv")
    parser.add_argument("--json", action="store_true", help="print the steps as JSON")
    add_placement(parser, "fixed-")
    add_placement(parser, "moving-")


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..io.landmark_files import LandmarkFileOptions
    from ..io.transform_files import read_transform
    from ..refine import LandmarkRefinementOptions
    from ..workflow.refine_landmarks import describe_steps, refine_landmark_file
    from .opening import open_one, placement_of

    refinement = LandmarkRefinementOptions(
        options.radius_um, options.max_step_um, options.metric, options.threads
    )
    session = options.write_session
    place = None if session is None else place_in_session(options.out, session)
    transform = None
    if options.transform is not None:
        source = read_transform(options.transform)
        for warning in source.warnings:
            warn(f"{options.transform.name}: {warning}")
        transform = source.transform
    fixed = open_one(options.fixed, placement_of(options, "fixed_"))
    moving = open_one(options.moving, placement_of(options, "moving_"))
    progress = ConsoleProgress()
    result, warnings = refine_landmark_file(
        options.landmarks,
        fixed,
        moving,
        options.out,
        transform=transform,
        options=refinement,
        fixed_channel=options.fixed_channel,
        moving_channel=options.channel,
        time=options.time,
        only=options.only,
        reading=LandmarkFileOptions(
            unit=options.unit, fixed_grid=fixed.grid, moving_grid=moving.grid
        ),
        progress=progress,
    )
    progress.close()
    for warning in warnings:
        warn(f"{options.landmarks.name}: {warning}")
    if place is not None:
        from ..session import save_session
        from ..workflow.pair_session import refine_landmarks_session

        made = refine_landmarks_session(
            image_ref("fixed", options.fixed, fixed),
            image_ref("moving", options.moving, moving),
            result.before,
            place,
            transform=transform,
            options=refinement,
            fixed_channel=options.fixed_channel,
            moving_channel=options.channel,
            time=options.time,
            only=options.only,
        )
        save_session(made, session)
        progress.tell(f"wrote {session}")
    if options.json:
        print(json.dumps(describe_steps(result), indent=1, allow_nan=False))
    else:
        print(_text(result))
        print(f"wrote {options.out}")
    return 0


def _text(result: RefinedLandmarks) -> str:
    lines = [
        f"{len(result.accepted)} of {len(result.steps)} landmarks moved (surroundings of "
        f"{result.radius_um:.3g} um, at most {result.max_step_um:.3g} um)"
    ]
    for step in result.steps:
        if step.accepted:
            z, y, x = step.shift_um
            lines.append(
                f"  {step.id}: {step.length_um:.3g} um (z {z:+.3g}, y {y:+.3g}, x {x:+.3g}), "
                f"agreement {step.metric_before:.3f} -> {step.metric_after:.3f}"
            )
        else:
            lines.append(f"  {step.id}: left, {step.reason}")
    return "\n".join(lines)
