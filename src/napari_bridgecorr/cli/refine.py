"""``bridgecorr refine``: its arguments, and what it says of the result."""

from __future__ import annotations

import json
import signal
from argparse import Namespace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from .arguments import (
    COLUMNS_HELP,
    LANDMARKS_HELP,
    TRANSFORM_HELP,
    UNIT_HELP,
    add_placement,
    columns,
    new_command,
)
from .console import ConsoleProgress, warn

if TYPE_CHECKING:
    from ..image import SpatialImage
    from ..landmarks import LandmarkPairs
    from ..refine.global_refinement import GlobalRefinement
    from ..refine.search import StartResult
    from ..workflow.refine import RefineOptions, RefineStart
    from .arguments import Commands

_DESCRIPTION = """\
Refine a map by the images themselves, the landmarks held as a soft constraint.

First it is checked whether that helps: the images must match here better than elsewhere, and
landmarks that are left out must be predicted no worse than before. If not, the map is kept as it
was, and T2.json says why. The images' contrasts may differ, and vessels be bright in one and dark
in the other.
"""


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(commands, "refine", "refine a map by the images, landmarks held", run)
    parser.description = _DESCRIPTION
    parser.add_argument("--fixed", metavar="FIXED", required=True)
    parser.add_argument("--moving", metavar="MOVING", required=True)
    parser.add_argument(
        "--transform", metavar="T", type=Path, help=f"where to start: {TRANSFORM_HELP}"
    )
    parser.add_argument(
        "--landmarks",
        metavar="LANDMARKS",
        type=Path,
        help=f"{LANDMARKS_HELP} (default: those that T.json was fitted to); without --transform "
        "they are fitted first; with neither, all rotations and places are tried",
    )
    parser.add_argument("-o", "--out", metavar="T2.json", type=Path, required=True)
    parser.add_argument(
        "--model",
        default="auto",
        choices=["auto", "rigid", "affine", "bspline", "displacement"],
        help="auto (default): local evidence and landmarks in one smooth map; the others: a step "
        "found by SimpleITK, gone as far as left-out landmarks agree (rigid, affine: the whole map "
        "at once; bspline: a smooth bend; displacement: a bend voxel by voxel)",
    )
    parser.add_argument(
        "--metric",
        default="mi",
        choices=["mi", "correlation"],
        help="of SimpleITK's models: mutual information (default) or correlation, for images whose "
        "contrasts are alike or each other's negative",
    )
    parser.add_argument(
        "--fixed-channel", metavar="NAME|N", default="0", help="(default: the first)"
    )
    parser.add_argument(
        "--channel",
        metavar="NAME|N",
        action="append",
        help="moving channel (repeatable; together they explain the fixed image; default: the "
        "first four)",
    )
    for side in ("fixed", "moving"):
        parser.add_argument(
            f"--{side}-mask", metavar="IMAGE", help=f"the {side} image counts where it is not 0"
        )
    parser.add_argument("--seed", type=int, default=0, help="of the check's folds (default: 0)")
    parser.add_argument(
        "--write-session",
        metavar="SESSION.json",
        type=Path,
        help="a session that repeats this with `run`; T2.json must lie in its folder",
    )
    parser.add_argument(
        "--report",
        metavar="PNG",
        type=Path,
        help="both images before and after, with the errors at left-out landmarks as arrows",
    )
    parser.add_argument("--json", action="store_true", help="print the diagnostics as JSON")
    group = parser.add_argument_group("landmark files of other programs")
    group.add_argument(
        "--landmarks-moving",
        metavar="FILE",
        type=Path,
        help="their moving points, where LANDMARKS holds the fixed image's only",
    )
    group.add_argument("--landmarks-unit", metavar="UNIT", help=UNIT_HELP)
    group.add_argument(
        "--landmarks-columns", type=columns, metavar="KEY=COLUMN,...", help=COLUMNS_HELP
    )
    add_placement(parser, "fixed-")
    add_placement(parser, "moving-")
    parser.set_defaults(wrong_use=parser.error)


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..errors import Cancelled, WriteError
    from ..io.registry import open_image
    from ..io.transform_files import read_transform
    from ..refine.preparation import dimensions_of
    from ..workflow.refine import RefineOptions, refine_to_file, search_start, start_from
    from ..workflow.refine_session import check_repeatable
    from .opening import open_one, placement_of

    session = options.write_session
    if session and not options.out.resolve().is_relative_to(session.resolve().parent):
        raise WriteError(
            options.out, "lies outside the session's folder", "save the session beside or above it"
        )
    source = None
    if options.transform is not None:
        source = read_transform(options.transform)
        for warning in source.warnings:
            warn(f"{options.transform.name}: {warning}")
    fixed = open_one(options.fixed, placement_of(options, "fixed_"))
    moving = open_one(options.moving, placement_of(options, "moving_"))
    landmarks = _landmarks(options, fixed, moving)
    masks = [
        None if name is None else open_image(name)
        for name in (options.fixed_mask, options.moving_mask)
    ]
    asked = RefineOptions(
        options.model,
        options.fixed_channel,
        tuple(options.channel or ()),
        options.seed,
        options.metric,
    )
    progress = _Stoppable()
    try:
        with progress:
            if source is None and landmarks is None:
                start = search_start(
                    fixed,
                    moving,
                    asked,
                    fixed_mask=masks[0],
                    moving_mask=masks[1],
                    progress=progress,
                )
            else:
                start = start_from(source, landmarks, dimensions_of(fixed, moving))
            if session:
                check_repeatable(start)
            result = refine_to_file(
                fixed,
                moving,
                start,
                options.out,
                asked,
                fixed_mask=masks[0],
                moving_mask=masks[1],
                picture=options.report,
                progress=progress,
            )
    except Cancelled:
        warn("stopped before the check was through: nothing is written")
        raise
    if session:
        _save_session(options, start, asked, fixed, moving)
        progress.tell(f"wrote {session}")
    if options.report is not None:
        progress.tell(f"wrote {options.report}")
    if not result.accepted:
        warn(result.verdict)
    said = result.to_dict()
    lines = []
    if start.search is not None:
        said["start"] = start.search.to_dict()
        lines = _of_search(start.search)
    if options.json:
        print(json.dumps({**said, "out": str(options.out)}, indent=1))
    else:
        print("\n".join([*lines, *_text(result, options.out)]))
    return 0


def _landmarks(
    options: Namespace, fixed: SpatialImage, moving: SpatialImage
) -> LandmarkPairs | None:
    if options.landmarks is None:
        return None
    from ..io.landmark_files import LandmarkFileOptions
    from ..workflow.landmarks import read_pairs

    reading = LandmarkFileOptions(
        unit=options.landmarks_unit,
        moving=options.landmarks_moving,
        columns=options.landmarks_columns or {},
        fixed_grid=fixed.grid,
        moving_grid=moving.grid,
    )
    file = read_pairs(options.landmarks, reading, "--landmarks-moving")
    for warning in file.warnings:
        warn(f"{options.landmarks.name}: {warning}")
    return file.landmarks.pairs()


def _save_session(
    options: Namespace,
    start: RefineStart,
    asked: RefineOptions,
    fixed: SpatialImage,
    moving: SpatialImage,
) -> None:
    from ..io.registry import parse_image_path
    from ..session import ImageRef, save_session
    from ..workflow.refine_session import refine_session

    def ref(name: str, given: str, image: SpatialImage | None = None) -> ImageRef:
        place, number = parse_image_path(given)
        if image is None:
            return ImageRef(name, str(place), number or 0)
        placement = image.placement
        return ImageRef(
            name,
            str(place),
            number or 0,
            spacing_um=placement.spacing_um,
            orientation=placement.orientation,
        )

    path = options.write_session
    session = refine_session(
        ref("fixed", options.fixed, fixed),
        ref("moving", options.moving, moving),
        start,
        options.out.resolve().relative_to(path.resolve().parent).as_posix(),
        asked,
        fixed_mask=ref("fixed_mask", options.fixed_mask) if options.fixed_mask else None,
        moving_mask=ref("moving_mask", options.moving_mask) if options.moving_mask else None,
    )
    save_session(session, path)


def _of_search(found: StartResult) -> list[str]:
    if not found.is_clear:
        warn(found.verdict)
    return [
        "start: searched, as there was neither a transform nor a landmark; confidence "
        f"{found.confidence:.2f} (0.5 and more is clear)",
        "not checked on landmarks, as there are none; parts of the images were left out instead",
    ]


def _text(result: GlobalRefinement, out: Path) -> list[str]:
    before, after, check = result.before, result.after, result.check
    lines = [result.verdict] if result.accepted else []
    if len(check.before_um):
        lines.append(
            f"left-out landmarks ({len(check.before_um)}, their own error included): median "
            f"{before.held_out_median_um:.3g} um before, {after.held_out_median_um:.3g} um after"
        )
    if result.step_um:
        lines.append(
            f"the images explain each other to {100 * before.explained:.1f} % before, "
            f"{100 * after.explained:.1f} % after"
        )
        lines.append(
            f"moved by {result.step_um['median']:.3g} um (median), {result.step_um['p95']:.3g} um "
            f"(95 % within), {result.step_um['largest']:.3g} um at most; folded: "
            f"{100 * after.folded:.2g} %"
        )
    if result.cancelled:
        lines.append("stopped early: the best map until then")
    lines.append(f"wrote {out}" + ("" if result.accepted else " (the map as it was)"))
    return lines


class _Stoppable(ConsoleProgress):
    """Progress on which Ctrl-C asks for the best result so far; a second one ends it at once."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = False
        self._before: Any = None

    def __enter__(self) -> _Stoppable:
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)
        self.close()

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def begin(self, task: str, total: int) -> None:
        super().begin(task, total)
        self._look()

    def advance(self, steps: int = 1) -> None:
        super().advance(steps)
        self._look()

    def _look(self) -> None:
        if self._asked:
            from ..errors import Cancelled

            raise Cancelled
