"""``bridgecorr report``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import add_images, new_command
from .console import ConsoleProgress

if TYPE_CHECKING:
    from .arguments import Commands


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(commands, "report", "write an HTML report with pictures", run)
    add_images(parser)
    parser.add_argument("-o", "--out", metavar="REPORT.html", type=Path, required=True)
    parser.add_argument(
        "--table", metavar="VOXELS.parquet", type=Path, help="voxel table of this registration"
    )


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..workflow.landmarks import fit_of
    from ..workflow.reports import report
    from .opening import registered

    fixed, moving, source = registered(options)
    report(
        fixed,
        moving,
        source.transform,
        options.out,
        fit=fit_of(source),
        table=options.table,
        facts={"transform": options.transform.name},
        progress=ConsoleProgress(),
    )
    print(f"wrote {options.out}")
    return 0
