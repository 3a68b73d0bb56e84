"""``bridgecorr run``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import new_command
from .console import ConsoleProgress, warn
from .fit import fit_text

if TYPE_CHECKING:
    from .arguments import Commands


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(commands, "run", "repeat a session: fit, warp, table, report", run)
    parser.add_argument("session", metavar="SESSION.json", type=Path)


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..workflow.replay import run_session

    result = run_session(options.session, ConsoleProgress())
    for warning in result.warnings:
        warn(warning)
    for fitted in result.fits.values():
        print(fit_text(fitted))
    for path in result.written:
        print(f"wrote {path}")
    return 0
