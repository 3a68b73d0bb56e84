"""Arguments of commands that write large images: who works, and going on after a crash."""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..io.long_run import LongRun
    from .console import ConsoleProgress


def add_long_run(parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    group = parser.add_argument_group(
        "large outputs (.ome.zarr)",
        "A run that was stopped or killed goes on where it was when the same command runs again; "
        "what is finished waits beside OUT in a folder .unfinished.OUT",
    )
    who = group.add_mutually_exclusive_group()
    who.add_argument(
        "--workers",
        metavar="N",
        type=_workers,
        default=0,
        help="work in N processes of one core each (default: the cores of one process)",
    )
    who.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        default="",
        help="work on a running dask cluster, as tcp://node1:8786; it must see the same folders",
    )
    group.add_argument(
        "--restart", action="store_true", help="drop what an earlier run has finished"
    )


def long_run(options: Namespace, progress: ConsoleProgress) -> LongRun:
    """What the arguments ask."""
    from ..io.long_run import LongRun

    return LongRun(
        workers=options.workers,
        scheduler=options.scheduler,
        restart=options.restart,
        tell=progress.tell,
    )


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes from 1")
    return int(text)
