"""``bridgecorr align``."""

from __future__ import annotations

import json
import signal
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled
from .arguments import add_placement, new_command
from .console import ConsoleProgress, warn
from .session_files import add_session, image_ref, place_in_session

if TYPE_CHECKING:
    from ..image import SpatialImage
    from ..session import ImageRef
    from ..workflow.align import Alignment
    from .arguments import Commands


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(
        commands, "align", "register two images by their content, without landmarks", run
    )
    parser.add_argument("--fixed", metavar="FIXED", required=True)
    parser.add_argument("--moving", metavar="MOVING", required=True)
    parser.add_argument("-o", "--out", metavar="T.json", type=Path, required=True)
    parser.add_argument(
        "--model",
        choices=["rigid", "affine", "elastic"],
        default="elastic",
        help="elastic (default) bends only as far as the images agree that it bends",
    )
    parser.add_argument(
        "--mirror", action="store_true", help="also try the moving image turned over"
    )
    parser.add_argument("--fixed-channel", metavar="NAME|N", help="default: all of a picture")
    parser.add_argument("--moving-channel", metavar="NAME|N", help="default: all of a picture")
    parser.add_argument("--fixed-mask", metavar="MASK", help="what counts in the fixed image")
    parser.add_argument("--moving-mask", metavar="MASK", help="what counts in the moving image")
    parser.add_argument(
        "--report", metavar="PNG", type=Path, help="both images on a chessboard, before and after"
    )
    add_session(parser, "T.json")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    add_placement(parser, "fixed-")
    add_placement(parser, "moving-")


def run(options: Namespace) -> int:
    """Do what the arguments ask. The first Ctrl-C writes the best so far, the second ends it."""
    from ..workflow.align import align
    from .opening import open_one, placement_of

    session = options.write_session
    place = None if session is None else place_in_session(options.out, session)
    fixed = open_one(options.fixed, placement_of(options, "fixed_"))
    moving = open_one(options.moving, placement_of(options, "moving_"))
    masks = [
        None if name is None else open_one(name)
        for name in (options.fixed_mask, options.moving_mask)
    ]
    with _Stoppable() as progress:
        found = align(
            fixed,
            moving,
            options.out,
            model=options.model,
            mirror=options.mirror,
            channels=(options.fixed_channel, options.moving_channel),
            masks=(masks[0], masks[1]),
            picture=options.report,
            progress=progress,
        )
    for warning in found.warnings:
        warn(warning)
    if place is not None and found.is_complete:
        _save_session(options, place, (fixed, moving), (masks[0], masks[1]))
        progress.tell(f"wrote {session}")
    elif place is not None:
        warn("stopped early, which no session can repeat: none is written")
    print(json.dumps(found.to_dict(), indent=1) if options.json else _text(found, options.out))
    return 0


def _save_session(
    options: Namespace,
    place: str,
    images: tuple[SpatialImage, SpatialImage],
    masks: tuple[SpatialImage | None, SpatialImage | None],
) -> None:
    from ..session import save_session
    from ..workflow.pair_session import align_session

    def mask(side: int, name: str, given: str | None) -> ImageRef | None:
        image = masks[side]
        return None if image is None or given is None else image_ref(name, given, image)

    session = align_session(
        image_ref("fixed", options.fixed, images[0]),
        image_ref("moving", options.moving, images[1]),
        place,
        model=options.model,
        mirror=options.mirror,
        channels=(options.fixed_channel, options.moving_channel),
        masks=(
            mask(0, "fixed_mask", options.fixed_mask),
            mask(1, "moving_mask", options.moving_mask),
        ),
    )
    save_session(session, options.write_session)


def _text(found: Alignment, out: Path) -> str:
    lines = [f"start: {found.start.verdict}"]
    if found.start.candidates[0].is_mirrored:
        lines.append("the moving image is turned over")
    if found.elastic is not None:
        lines.append(f"elastic: {found.elastic.verdict}")
    return "\n".join([*lines, f"wrote {out}"])


class _Stoppable(ConsoleProgress):
    """Cancels at the next step once Ctrl-C was pressed; pressed again, it interrupts at once."""

    def __init__(self) -> None:
        super().__init__()
        self._is_stopped = False
        self._before: Any = None

    def __enter__(self) -> _Stoppable:
        self._before = signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)
        self.close()

    def advance(self, steps: int = 1) -> None:
        super().advance(steps)
        if self._is_stopped:
            self._is_stopped = False  # said once: what follows writes the best so far
            raise Cancelled

    def _stop(self, *_: object) -> None:
        self._is_stopped = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.tell("stopping; Ctrl-C again ends it at once, with nothing written")
