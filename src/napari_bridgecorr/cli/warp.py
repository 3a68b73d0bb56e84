"""``bridgecorr warp``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import add_images, new_command, triple
from .console import ConsoleProgress
from .long_runs import add_long_run, long_run

if TYPE_CHECKING:
    from .arguments import Commands


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(commands, "warp", "resample a moving image on the fixed grid", run)
    add_images(parser)
    parser.add_argument(
        "-o",
        "--out",
        metavar="OUT",
        type=Path,
        required=True,
        help=".ome.zarr, .nii.gz, .nii or .ome.tif",
    )
    parser.add_argument("--channel", metavar="NAME|N", help="one channel (default: all)")
    parser.add_argument("--time", type=int, metavar="N", help="one time point (default: all)")
    parser.add_argument(
        "--spacing",
        type=triple,
        metavar="Z,Y,X",
        help="sample the fixed extent at this spacing in um",
    )
    parser.add_argument(
        "--interpolation",
        choices=["auto", "nearest", "linear", "cubic", "mean", "majority", "fraction"],
        default="auto",
        help="auto: the volume-weighted mean where a fixed voxel "
        "holds more than two moving ones, else linear (default); of labels the number that fills "
        "the most of the voxel (majority), else the nearest; fraction: how much of each voxel a "
        "mask, or any object, fills",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="VOXELS",
        default=0.02,
        help="how far a voxel may be fetched from its exact place, in voxels of the moving image: "
        "guaranteed, and much quicker than 0 (default: 0.02)",
    )
    parser.add_argument(
        "--dtype",
        choices=["float", "same"],
        default="float",
        help="float: float32, NaN outside the data (default); same: the moving image's own type, "
        "rounded, for large outputs",
    )
    parser.add_argument(
        "--outside",
        type=float,
        metavar="VALUE",
        default=0.0,
        help="what stands outside the data with --dtype same, whole numbers having no NaN "
        "(default: 0)",
    )
    add_long_run(parser)


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..workflow.images import warp
    from .opening import registered

    fixed, moving, source = registered(options)
    progress = ConsoleProgress()
    result = warp(
        fixed,
        moving,
        source.transform,
        options.out,
        channel=options.channel,
        time=options.time,
        spacing_um=options.spacing,
        interpolation=options.interpolation,
        tolerance_voxels=options.tolerance,
        dtype=options.dtype,
        outside=options.outside,
        progress=progress,
        run=long_run(options, progress),
    )
    shape = " x ".join(str(n) for n in result.grid.shape)
    print(f"wrote {options.out} ({shape} voxels, {result.metadata['interpolation']})")
    return 0
