"""Parsing of the command line, exit status, and one line per failure.

Exit status: 0 done; 1 the work failed (the reason in one line on standard error); 2 wrong use;
130 interrupted. Only the commands' arguments are loaded by ``bridgecorr --help``; the rest when it
is needed. Each command has a file with ``add``, its arguments, and ``run``, which opens what they
name, calls the use case and says what was done.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ..errors import BridgecorrError, Cancelled, one_line
from . import (
    align,
    chaining,
    convert,
    demo,
    evaluation,
    fit,
    info,
    map_points,
    place_section,
    place_sections,
    planes,
    raters,
    refine,
    refine_landmarks,
    report,
    reslicing,
    run,
    suggest,
    table,
    warp,
)
from .arguments import EPILOG

# in the order of --help; each loads what it needs when it runs
_COMMANDS = (
    info,
    convert,
    fit,
    map_points,
    align,
    refine,
    chaining,
    place_section,
    place_sections,
    refine_landmarks,
    suggest,
    warp,
    table,
    evaluation,
    raters,
    report,
    planes,
    reslicing,
    run,
    demo,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        status: int = options.run(options)
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
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add(commands)
    return parser


class _Version(argparse.Action):
    """``--version``, without loading package metadata for any other command."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"bridgecorr {version('napari-bridgecorr')}")
        parser.exit()
