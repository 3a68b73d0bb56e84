"""``bridgecorr raters``: two people's landmarks of the same images compared."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import LANDMARKS_HELP, UNIT_HELP, add_placement, new_command
from .console import ConsoleProgress, warn

if TYPE_CHECKING:
    from ..fitting import ErrorSummary
    from ..landmarks import LandmarkSet
    from .arguments import Commands

# of the other's pairs: with fewer, something has probably gone wrong
_FAR_FEWER = 0.7


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(
        commands, "raters", "compare two people's landmarks at the same places", run
    )
    parser.add_argument(
        "first",
        metavar="FIRST",
        type=Path,
        help=f"the first rater's landmarks; {LANDMARKS_HELP}",
    )
    parser.add_argument(
        "second",
        metavar="SECOND",
        type=Path,
        help="the second rater's, clicked at the first one's fixed points",
    )
    parser.add_argument(
        "--image",
        metavar="FIXED",
        required=True,
        help="the fixed image: in its slices the maps fitted to either are compared",
    )
    parser.add_argument(
        "--model",
        default="auto",
        choices=["translation", "rigid", "similarity", "affine", "tps", "gp", "auto"],
        help="that is fitted to either (default: auto)",
    )
    parser.add_argument("--dimensions", type=int, choices=[2, 3], default=3)
    parser.add_argument("--unit", metavar="UNIT", help=UNIT_HELP)
    parser.add_argument(
        "--report",
        metavar="REPORT.html",
        type=Path,
        help="write a page with pictures: where, along which axis, and what it does to the maps",
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    add_placement(parser)


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..fitting import FitOptions
    from ..io.landmark_files import LandmarkFileOptions
    from ..workflow.landmarks import read_pairs
    from ..workflow.raters import compare_raters, report_raters
    from .opening import open_one, placement_of

    image = open_one(options.image, placement_of(options))
    files = []
    for path in (options.first, options.second):
        file = read_pairs(path, LandmarkFileOptions(unit=options.unit, fixed_grid=image.grid))
        for warning in file.warnings:
            warn(f"{path.name}: {warning}")
        files.append(file.landmarks)
    _warn_of_few(options, files)
    progress = ConsoleProgress()
    found = compare_raters(
        files[0],
        files[1],
        image.grid,
        FitOptions(options.model, dimensions=options.dimensions),
        progress=progress,
    )
    progress.close()
    if options.report is not None:
        report_raters(
            found,
            options.report,
            names=(options.first.name, options.second.name),
            image=image.name,
            facts={"model": f"{options.model}, {options.dimensions}-D"},
        )
        warn(f"wrote {options.report}") if options.json else print(f"wrote {options.report}")
    if options.json:
        print(json.dumps(found.to_dict(), indent=1, allow_nan=False))
        return 0
    sites = found.sites
    print(f"clicks at {len(sites.ids)} places: {_words(sites.overall)}")
    if sites.n_missing:
        print(f"{sites.n_missing} of the first rater's places have no second click")
    if found.maps is None:
        print(f"the maps cannot be compared: {found.fault}")
    else:
        n_slices, n_y, n_x, _ = found.maps.points_um.shape
        print(
            f"maps at {n_y} x {n_x} points in each of {n_slices} slices: "
            f"{_words(found.maps.overall)}"
        )
    return 0


def _warn_of_few(options: Namespace, files: list[LandmarkSet]) -> None:
    """Say where one file has far fewer pairs than the other."""
    counts = [sum(m.is_pair for m in landmarks) for landmarks in files]
    few, many = sorted((0, 1), key=lambda k: counts[k])
    paths = (options.first, options.second)
    if counts[few] < _FAR_FEWER * counts[many]:
        warn(
            f"{paths[few].name} has {counts[few]} pair{'' if counts[few] == 1 else 's'}, "
            f"{paths[many].name} {counts[many]}: is it the whole file?"
        )


def _words(summary: ErrorSummary) -> str:
    axes = ", ".join(f"{a} {v:.3g}" for a, v in zip("zyx", summary.rms_zyx_um, strict=True))
    return (
        f"differ by RMS {summary.rms_um:.3g} um ({axes}), median {summary.median_um:.3g} um, "
        f"largest {summary.maximum_um:.3g} um"
    )
