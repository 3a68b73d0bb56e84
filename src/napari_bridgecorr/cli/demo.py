"""``bridgecorr demo`` and ``phantom``: a sample whose truth is known."""

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
    """Their parsers."""
    demo = new_command(
        commands,
        "demo",
        "register a phantom with known truth, from files to report",
        run_demonstration,
    )
    demo.add_argument(
        "out", metavar="OUT_DIR", type=Path, nargs="?", default=Path("bridgecorr-demo")
    )
    demo.add_argument("--seed", type=int, default=0)

    phantom = new_command(
        commands, "phantom", "write a phantom: two-photon CZI, MRI, landmarks, truth", run_phantom
    )
    phantom.add_argument("out", metavar="OUT_DIR", type=Path)
    phantom.add_argument("--size", choices=["sample", "demo"], default="demo")
    phantom.add_argument("--seed", type=int, default=0)


def run_demonstration(options: Namespace) -> int:
    """``bridgecorr demo``."""
    from ..workflow.demo import run_demo

    progress = ConsoleProgress()
    result = run_demo(options.out, seed=options.seed, progress=progress)
    progress.close()
    for warning in result.warnings:
        warn(warning)
    print(fit_text(result.fit))
    print(
        f"target registration error against the truth ({len(result.error.distances_um)} points): "
        f"median {result.error.median_um:.1f} um, RMS {result.error.rms_um:.1f} um, "
        f"95 % within {result.error.percentile_95_um:.1f} um"
    )
    print(f"table: {result.table} ({result.n_rows} rows)")
    print(f"report: {result.report}   <- open this in a browser")
    print(f"again: bridgecorr run {result.session}")
    return 0


def run_phantom(options: Namespace) -> int:
    """``bridgecorr phantom``."""
    from ..workflow.demo import phantom_options, write_phantom

    made = write_phantom(
        options.out, phantom_options(options.size, options.seed), ConsoleProgress()
    )
    for path in made.paths:
        print(f"wrote {path}")
    return 0
