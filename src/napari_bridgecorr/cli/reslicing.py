"""``bridgecorr reslice``: its arguments and what it does."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import add_placement, new_command
from .console import ConsoleProgress
from .long_runs import add_long_run, long_run
from .planes import add_plane, facts, pair, plane_of, triple

if TYPE_CHECKING:
    from ..geometry import Grid, Plane
    from ..image import SpatialImage
    from ..workflow.reslice import ResliceOptions
    from .arguments import Commands


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(commands, "reslice", "cut an image along a reference plane", run)
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument(
        "-o",
        "--out",
        metavar="OUT",
        type=Path,
        required=True,
        help=".ome.zarr, .nii.gz, .nii or .ome.tif; all channels and times",
    )
    add_plane(parser, from_file=True)
    grid = parser.add_argument_group("the slices")
    grid.add_argument(
        "--spacing",
        metavar="DEPTH,Y,X",
        type=triple,
        help="in um (default: what skips no voxel of the image)",
    )
    grid.add_argument(
        "--depths", metavar="FROM,TO", type=pair, help="only slices at these depths; 0,0 is one"
    )
    grid.add_argument("--channel", metavar="NAME|N", help="one channel (default: all)")
    grid.add_argument("--time", type=int, metavar="N", help="one time point (default: all)")
    grid.add_argument(
        "--interpolation",
        choices=["auto", "linear", "mean", "nearest", "majority", "fraction"],
        default="auto",
        help="of the one interpolation; of labels the nearest or the majority",
    )
    slabs = parser.add_argument_group("slabs: slices grouped by overlap-weighted means")
    slabs.add_argument("--slab", metavar="UM", type=float, help="thickness of a slab")
    slabs.add_argument(
        "--slab-like", metavar="IMAGE", help="as thick as this image's voxels are along its z"
    )
    slabs.add_argument(
        "--slab-edge",
        metavar="Z,Y,X",
        type=triple,
        help="a point where a slab begins (default: the plane)",
    )
    slabs.add_argument(
        "--coverage", action="store_true", help="add a channel NAME_coverage (0-1) for each channel"
    )
    slabs.add_argument(
        "--least-coverage", metavar="0-1", type=float, default=0.0, help="NaN below it"
    )
    kept = parser.add_argument_group("what else to write")
    kept.add_argument("--write-plane", metavar="PLANE.json", type=Path, help="the plane")
    kept.add_argument(
        "--write-transform",
        metavar="T.json",
        type=Path,
        help="(depth, y, x) in the plane to the world, for `map` (world to plane: --inverse)",
    )
    kept.add_argument(
        "--write-session",
        metavar="SESSION.json",
        type=Path,
        help="a session that repeats this with `run`; OUT must lie in its folder",
    )
    carried = parser.add_argument_group("points of the image")
    carried.add_argument(
        "--carry",
        metavar="POINTS",
        type=Path,
        help="points or landmarks of any format: write where they lie in the plane and in OUT",
    )
    carried.add_argument("--carry-out", metavar="OUT.csv", type=Path)
    carried.add_argument(
        "--carry-side",
        choices=["fixed", "moving"],
        default="fixed",
        help="of landmark pairs: the image is this one (default: fixed)",
    )
    add_placement(parser, "image-")
    parser.set_defaults(wrong_use=parser.error)
    add_long_run(parser)


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..errors import WriteError
    from ..io.writers import check_image_path
    from ..workflow.reslice import reslice_to_file
    from .opening import open_one, placement_of

    if (options.carry is None) != (options.carry_out is None):
        options.wrong_use("--carry POINTS and --carry-out OUT.csv belong together")
    image = open_one(options.image, placement_of(options, "image_"))
    check_image_path(options.out)
    session = options.write_session
    if session and not options.out.resolve().is_relative_to(session.resolve().parent):
        raise WriteError(
            options.out, "lies outside the session's folder", "save the session beside or above it"
        )
    progress = ConsoleProgress()
    plane = plane_of(options, image, progress)
    chosen = _options(options)
    how = long_run(options, progress)
    result = reslice_to_file(image, plane, options.out, chosen, progress, how)
    shape = " x ".join(str(n) for n in result.grid.shape)
    spacing = " x ".join(f"{v:.6g}" for v in result.grid.voxel_size_um)
    print(f"wrote {options.out} ({shape} voxels of {spacing} um)")
    for line in facts(plane):
        print(line)
    if options.carry is not None:
        _carry(options, plane, result.grid)
    _write_extras(options, image, plane, chosen)
    return 0


def _options(options: Namespace) -> ResliceOptions:
    from ..errors import GeometryError
    from ..io.registry import open_image
    from ..workflow.reslice import ResliceOptions

    slab = options.slab
    if options.slab_like is not None:
        if slab is not None:
            raise GeometryError("give --slab or --slab-like, not both")
        slab = open_image(options.slab_like).grid.voxel_size_um[0]
    return ResliceOptions(
        options.spacing,
        options.depths,
        slab,
        options.slab_edge,
        options.coverage,
        options.least_coverage,
        options.channel,
        options.time,
        options.interpolation,
    )


def _carry(options: Namespace, plane: Plane, grid: Grid) -> None:
    from ..io.landmark_files import LandmarkFileOptions
    from ..workflow.carried_points import carry_points

    reading = LandmarkFileOptions(options.unit)
    side = options.carry_side
    n = carry_points(options.carry, options.carry_out, plane, grid, reading, side)
    print(f"wrote {options.carry_out}" + (f" ({n} points lie outside of OUT)" if n else ""))


def _write_extras(
    options: Namespace, image: SpatialImage, plane: Plane, chosen: ResliceOptions
) -> None:
    if options.write_plane is not None:
        from ..io.plane_file import write_plane

        write_plane(plane, options.write_plane)
        print(f"wrote {options.write_plane}")
    if options.write_transform is not None:
        from ..io.transform_files import transform_document, write_document
        from ..transform import Affine

        write_document(transform_document(Affine(plane.to_world)), options.write_transform)
        print(f"wrote {options.write_transform}")
    if options.write_session is not None:
        from ..io.registry import parse_image_path
        from ..session import ImageRef, save_session
        from ..workflow.reslice import reslice_output, reslice_session

        place, number = parse_image_path(options.image)
        ref = ImageRef(
            "image",
            str(place),
            number or 0,
            spacing_um=image.placement.spacing_um,
            orientation=image.placement.orientation,
        )
        folder = options.write_session.resolve().parent
        path = options.out.resolve().relative_to(folder).as_posix()
        session = reslice_session(ref, reslice_output("image", plane, path, chosen))
        save_session(session, options.write_session)
        print(f"wrote {options.write_session}")
