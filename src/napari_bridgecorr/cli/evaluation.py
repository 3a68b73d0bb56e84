"""``bridgecorr evaluate``: its options, and what it prints."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import (
    LANDMARKS_HELP,
    TRANSFORM_HELP,
    add_landmark_reading,
    new_command,
    triple,
)
from .console import ConsoleProgress, warn

if TYPE_CHECKING:
    from ..evaluate import RaterDifference
    from ..fitting import ErrorSummary
    from ..geometry import Grid
    from ..io.landmark_files import LandmarkFileOptions
    from ..workflow.evaluate import CheckedTransform
    from .arguments import Commands

DESCRIPTION = """\
Three questions, by what is given beside --transform T:
  --landmarks CHECK                target error at check landmarks that were kept out of the fit
  --other T2 --image FIXED         difference of two registrations (two raters, two methods) at the
                                   same 50 x 50 points of every slice of the fixed image
  --map KIND --image FIXED -o OUT  an image of what can be said of every point
"""


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(commands, "evaluate", "tell how good a registration is", run)
    parser.description = DESCRIPTION
    parser.add_argument("--transform", metavar="T", type=Path, required=True, help=TRANSFORM_HELP)
    parser.add_argument("--landmarks", metavar="CHECK", type=Path, help=LANDMARKS_HELP)
    parser.add_argument(
        "--spacing",
        type=triple,
        metavar="Z,Y,X",
        help="sample the map over the image's extent at this spacing in um",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--other", metavar="T2", type=Path, help="another transform of the same two images"
    )
    mode.add_argument(
        "--map",
        choices=["jacobian", "fold", "hull", "error", "error68", "error95"],
        help="jacobian: determinant (1 keeps volume); fold: 1 where it is <= 0; hull: distance "
        "outside the fixed landmarks' convex hull in um; error: predicted registration error in um "
        "(expected RMS); error68, error95: what it stays below with that probability (the map's "
        "target error: a landmark's own error is not in it)",
    )
    parser.add_argument(
        "--image", "--like", metavar="IMAGE", help="the fixed image: its slices, or the map's grid"
    )
    parser.add_argument(
        "--grid",
        type=_grid,
        default=(50, 50),
        metavar="NYxNX",
        help="points of each slice along y and x (default: 50x50)",
    )
    parser.add_argument(
        "-o",
        "--out",
        metavar="OUT",
        type=Path,
        help="of --other: a CSV of every point; of --map: .ome.zarr, .nii.gz, .nii or .ome.tif",
    )
    parser.add_argument(
        "--frame",
        choices=["LPS", "RAS"],
        default="LPS",
        help="what x, y, z mean in transforms of ITK, ANTs and elastix (as for convert)",
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.set_defaults(wrong_use=parser.error)
    add_landmark_reading(parser)


def run(options: argparse.Namespace) -> int:
    """Do what the arguments ask."""
    from .opening import landmark_reading, open_one

    check_use(options)
    if options.map:
        return run_map(options, open_one(options.image).grid, landmark_reading(options))
    if options.other:
        return run_comparison(options, open_one(options.image).grid)
    return run_check(options, landmark_reading(options))


def check_use(options: argparse.Namespace) -> None:
    """End with exit status 2 and the usage if the options make no question."""
    if options.map and not (options.image and options.out):
        options.wrong_use("--map needs --image IMAGE and -o OUT")
    if options.other and not options.image:
        options.wrong_use("--other needs --image FIXED")
    if options.other and options.landmarks:
        options.wrong_use("give --landmarks or --other, not both")
    if not (options.map or options.other or options.landmarks):
        options.wrong_use("give --landmarks CHECK, --other T2 or --map KIND")
    if options.spacing and not options.map:
        options.wrong_use("--spacing belongs to --map")
    if options.out and not (options.map or options.other):
        options.wrong_use("--out belongs to --other or --map")


def run_check(options: argparse.Namespace, reading: LandmarkFileOptions) -> int:
    """Target error at check landmarks."""
    from ..workflow.evaluate import check_landmarks

    result = check_landmarks(options.transform, options.landmarks, reading, options.frame)
    for warning in result.warnings:
        warn(warning)
    _print(result.to_dict() if options.json else _check_text(result))
    return 0


def run_comparison(options: argparse.Namespace, grid: Grid) -> int:
    """Difference of two registrations."""
    from ..workflow.evaluate import compare_registrations

    progress = ConsoleProgress()
    found, warnings = compare_registrations(
        options.transform,
        options.other,
        grid,
        points=options.grid,
        out=options.out,
        frame=options.frame,
        progress=progress,
    )
    progress.close()
    for warning in warnings:
        warn(warning)
    _print(found.to_dict() | {"warnings": warnings} if options.json else _difference_text(found))
    if options.out and not options.json:
        print(f"wrote {options.out}")
    return 0


def run_map(options: argparse.Namespace, grid: Grid, reading: LandmarkFileOptions) -> int:
    """An image of what can be said of every point."""
    from ..workflow.evaluate import write_map
    from ..workflow.landmarks import read_pairs

    landmarks = None
    if options.landmarks:
        file = read_pairs(options.landmarks, reading, "--moving")
        for warning in file.warnings:
            warn(f"{options.landmarks.name}: {warning}")
        landmarks = file.landmarks
    progress = ConsoleProgress()
    image, warnings = write_map(
        options.map,
        options.transform,
        grid if options.spacing is None else grid.at_spacing(options.spacing),
        options.out,
        landmarks=landmarks,
        frame=options.frame,
        progress=progress,
    )
    progress.close()
    for warning in warnings:
        warn(f"{options.transform.name}: {warning}")
    shape = " x ".join(map(str, image.grid.shape))
    if options.json:
        size = list(image.grid.shape)
        _print({"map": options.map, "shape": size, "out": str(options.out), **image.metadata})
    else:
        print(f"wrote {options.out} ({shape} voxels: {image.metadata['meaning']})")
    return 0


def _check_text(result: CheckedTransform) -> str:
    lines = [
        f"target error at {result.error.summary.n} check landmarks: {_spread(result.error.summary)}"
    ]
    lines += _axes(result.error.summary)
    if result.outside_hull_um is not None:
        n = int((result.outside_hull_um > 0).sum())
        lines.append(f"{n} of them lie outside the hull of the fitted landmarks")
    predicted = result.to_dict().get("predicted_rms_um")
    if predicted is not None:
        lines.append(
            f"expected at these places from the fitted landmarks: RMS {predicted:.3g} um, without "
            f"the check landmarks' own localisation error"
        )
    within = list(result.within_landmark_levels().values())
    if within and within[0].of:
        told = ", ".join(f"{w.n} within their {100 * w.level:.0f} % level" for w in within)
        lines.append(
            f"of the {within[0].of} check landmarks inside the hull {told} (predicted for a "
            f"landmark, its own localisation error included)"
        )
    return "\n".join(lines)


def _difference_text(found: RaterDifference) -> str:
    n_slices, n_y, n_x, _ = found.points_um.shape
    summary = found.overall
    lines = [
        f"difference at {n_y} x {n_x} points in each of {n_slices} slices: {_spread(summary)}",
        *_axes(summary),
    ]
    slices = [(s.rms_um, k) for k, s in enumerate(found.by_slice()) if s.n]
    if len(slices) > 1:
        (low, first), (high, last) = min(slices), max(slices)
        lines.append(f"RMS by slice: {low:.3g} um (slice {first}) to {high:.3g} um (slice {last})")
    return "\n".join(lines)


def _spread(summary: ErrorSummary) -> str:
    p95 = summary.percentiles_um[-1]
    return (
        f"RMS {summary.rms_um:.3g} um, median {summary.median_um:.3g} um, "
        f"95 % within {p95:.3g} um, largest {summary.maximum_um:.3g} um"
    )


def _axes(summary: ErrorSummary) -> list[str]:
    return [
        "by axis: "
        + ", ".join(
            f"{a} RMS {rms:.3g} um (mean {bias:+.3g})"
            for a, rms, bias in zip("zyx", summary.rms_zyx_um, summary.bias_zyx_um, strict=True)
        )
    ]


def _print(found: dict[str, Any] | str) -> None:
    print(found if isinstance(found, str) else json.dumps(found, indent=1, allow_nan=False))


def _grid(text: str) -> tuple[int, int]:
    """``50x50`` as two positive numbers."""
    n_y, _, n_x = text.lower().partition("x")
    if not (n_y.isdecimal() and n_x.isdecimal() and int(n_y) and int(n_x)):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 50x50")
    if int(n_y) * int(n_x) > 1_000_000:
        raise argparse.ArgumentTypeError("more than a million points in a slice say nothing more")
    return int(n_y), int(n_x)
