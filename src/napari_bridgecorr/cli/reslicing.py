"""``bridgecorr reslice``: its arguments and what it does."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import add_placement, new_command
from .console import ConsoleProgress
from .long_runs import add_long_run, long_run

if TYPE_CHECKING:
    from ..geometry import Plane
    from ..image import SpatialImage
    from ..workflow.reslice import ResliceOptions
    from .arguments import Commands

Numbers = tuple[float, ...]


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
    group = parser.add_argument_group("the plane", "lengths in um, points in the image's world")
    which = group.add_mutually_exclusive_group(required=True)
    which.add_argument("--plane", metavar="PLANE.json", type=Path, help="as --write-plane made it")
    which.add_argument(
        "--points",
        metavar="POINTS",
        type=Path,
        help="three or more points on it, of any landmark format: the least-squares plane",
    )
    which.add_argument(
        "--line",
        metavar="Z,Y,X:Z,Y,X",
        type=_line,
        action="append",
        help="its trace in one view; give it twice, for two views",
    )
    group.add_argument("--unit", metavar="UNIT", help="unit of --points, where their file has none")
    group.add_argument("--origin", metavar="Z,Y,X", type=_triple, help="put its origin near here")
    group.add_argument("--turn", metavar="DEGREES", type=float, help="turn its axes, x towards y")
    group.add_argument("--flip", action="store_true", help="look at it from the other side")
    group.add_argument(
        "--shift",
        metavar="DEPTH,Y,X",
        type=_triple,
        help="move it along its own axes (--shift=-5,0,0 where a minus comes first)",
    )
    grid = parser.add_argument_group("the slices")
    grid.add_argument(
        "--spacing",
        metavar="DEPTH,Y,X",
        type=_triple,
        help="in um (default: what skips no voxel of the image)",
    )
    grid.add_argument(
        "--depths", metavar="FROM,TO", type=_pair, help="only slices at these depths; 0,0 is one"
    )
    grid.add_argument("--channel", metavar="NAME|N", help="one channel (default: all)")
    grid.add_argument("--time", type=int, metavar="N", help="one time point (default: all)")
    grid.add_argument(
        "--interpolation",
        choices=["auto", "linear", "mean", "nearest"],
        default="auto",
        help="of the one interpolation; auto: nearest for labels",
    )
    slabs = parser.add_argument_group("slabs: slices grouped by overlap-weighted means")
    slabs.add_argument("--slab", metavar="UM", type=float, help="thickness of a slab")
    slabs.add_argument(
        "--slab-like", metavar="IMAGE", help="as thick as this image's voxels are along its z"
    )
    slabs.add_argument(
        "--slab-edge",
        metavar="Z,Y,X",
        type=_triple,
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
    add_placement(parser, "image-")
    add_long_run(parser)


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..errors import WriteError
    from ..io.writers import check_image_path
    from ..workflow.reslice import reslice_to_file
    from .opening import open_one, placement_of

    image = open_one(options.image, placement_of(options, "image_"))
    check_image_path(options.out)
    session = options.write_session
    if session and not options.out.resolve().is_relative_to(session.resolve().parent):
        raise WriteError(
            options.out, "lies outside the session's folder", "save the session beside or above it"
        )
    plane = _plane(options)
    chosen = _options(options)
    progress = ConsoleProgress()
    how = long_run(options, progress)
    result = reslice_to_file(image, plane, options.out, chosen, progress, how)
    shape = " x ".join(str(n) for n in result.grid.shape)
    spacing = " x ".join(f"{v:.6g}" for v in result.grid.voxel_size_um)
    print(f"wrote {options.out} ({shape} voxels of {spacing} um)")
    for line in _facts(plane):
        print(line)
    _write_extras(options, image, plane, chosen)
    return 0


def _plane(options: Namespace) -> Plane:
    from ..errors import GeometryError
    from ..geometry import Plane

    if options.plane is not None:
        from ..io.plane_file import read_plane

        plane = read_plane(options.plane)
    elif options.points is not None:
        from ..io.landmark_files import LandmarkFileOptions
        from ..workflow.reslice import plane_through_file

        plane = plane_through_file(options.points, LandmarkFileOptions(options.unit))
    else:
        if len(options.line) != 2:
            raise GeometryError(
                f"a plane needs a line in each of two views: give --line twice, not "
                f"{len(options.line)} times"
            )
        plane = Plane.through_lines(*options.line)
    if options.origin is not None:
        plane = plane.with_origin(options.origin)
    if options.turn is not None:
        plane = plane.turned(options.turn)
    if options.flip:
        plane = plane.flipped()
    if options.shift is not None:
        plane = plane.shifted(*options.shift)
    return plane


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


def _facts(plane: Plane) -> list[str]:
    """What is known of how well the plane is determined."""
    made = plane.made
    points, rms = made.get("points_um"), made.get("residual_rms_um")
    tilt, gap = made.get("tilt_sd_degrees"), made.get("gap_um")
    if isinstance(points, list) and isinstance(rms, float):
        known = f", tilt known to {tilt:.2g} degrees (1 sd)" if isinstance(tilt, float) else ""
        return [f"plane through {len(points)} points: residual RMS {rms:.3g} um{known}"]
    if isinstance(gap, float):
        return [f"plane through two lines that pass each other {gap:.3g} um apart"]
    return []


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


def _numbers(text: str, n: int, form: str) -> Numbers:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != n or not all(abs(v) < float("inf") for v in values):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form {form} (um)")
    return values


def _triple(text: str) -> Numbers:
    return _numbers(text, 3, "z,y,x")


def _pair(text: str) -> Numbers:
    return _numbers(text, 2, "from,to")


def _line(text: str) -> list[Numbers]:
    ends = text.split(":")
    if len(ends) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form z,y,x:z,y,x (um)")
    return [_triple(end) for end in ends]
