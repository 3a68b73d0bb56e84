"""``bridgecorr plane``, and the arguments that say which plane for `reslice` too."""

from __future__ import annotations

import argparse
import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import add_placement, new_command
from .console import ConsoleProgress

if TYPE_CHECKING:
    from ..geometry import Plane
    from ..image import SpatialImage
    from ..progress import Progress
    from .arguments import Commands

Numbers = tuple[float, ...]


def add(commands: Commands) -> None:
    """The parser of `plane`."""
    summary = "find the window or the brain's surface, or fit a plane to points"
    parser = new_command(commands, "plane", summary, run)
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("-o", "--out", metavar="PLANE.json", type=Path, required=True)
    add_plane(parser, from_file=False)
    parser.add_argument("--json", action="store_true", help="print the plane as JSON")
    add_placement(parser, "image-")


def add_plane(parser: argparse.ArgumentParser, *, from_file: bool) -> None:
    """Which plane, and how its picture lies."""
    group = parser.add_argument_group("the plane", "lengths in um, points in the image's world")
    which = group.add_mutually_exclusive_group(required=True)
    if from_file:
        which.add_argument(
            "--plane", metavar="PLANE.json", type=Path, help="as `plane` or --write-plane made it"
        )
    which.add_argument(
        "--detect",
        choices=["window", "surface"],
        help="find it in the image: the glass of the cranial window (flat; the outermost boundary) "
        "or the brain's surface (may be curved; the innermost below a gap)",
    )
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
    group.add_argument("--unit", metavar="UNIT", help="unit of points, where their file has none")
    group.add_argument("--origin", metavar="Z,Y,X", type=triple, help="put its origin near here")
    group.add_argument("--turn", metavar="DEGREES", type=float, help="turn its axes, x towards y")
    group.add_argument("--flip", action="store_true", help="look at it from the other side")
    group.add_argument(
        "--shift",
        metavar="DEPTH,Y,X",
        type=triple,
        help="move it along its own axes (--shift=-5,0,0 where a minus comes first)",
    )
    found = parser.add_argument_group("finding it (--detect)")
    found.add_argument(
        "--detect-channel",
        metavar="NAME|N",
        help="look in this channel (default: the clearest)",
    )
    found.add_argument("--detect-time", type=int, default=0, metavar="N")
    found.add_argument(
        "--into",
        choices=["auto", "z", "+z", "-z", "y", "+y", "-y", "x", "+x", "-x"],
        default="auto",
        help="the image's own axis, and direction, that lead into the tissue (--into=-z where a "
        "minus comes first; default: z for a microscope's stack, any for an MRI)",
    )
    found.add_argument(
        "--centre", metavar="Z,Y,X", type=triple, help="look about this point (default: the middle)"
    )
    found.add_argument(
        "--radius",
        metavar="UM",
        type=float,
        help="as far as this to either side (default: everywhere, 2500 in fields above 6 mm)",
    )
    found.add_argument("--report", metavar="PNG", type=Path, help="a picture of what was found")


def plane_of(options: Namespace, image: SpatialImage, progress: Progress) -> Plane:
    """The plane that the arguments ask for.

    Raises
    ------
    GeometryError, ReadError, WriteError
    """
    plane = _plane(options, image, progress)
    if options.origin is not None:
        plane = plane.with_origin(options.origin)
    if options.turn is not None:
        plane = plane.turned(options.turn)
    if options.flip:
        plane = plane.flipped()
    if options.shift is not None:
        plane = plane.shifted(*options.shift)
    return plane


def _plane(options: Namespace, image: SpatialImage, progress: Progress) -> Plane:
    from ..errors import GeometryError
    from ..geometry import Plane

    if options.report is not None and options.detect is None:
        raise GeometryError("--report shows a plane that was found in the image: give --detect")
    if options.detect is not None:
        from ..surface import DetectOptions
        from ..workflow.planes import plane_in_image

        chosen = DetectOptions(
            options.detect,
            options.detect_channel,
            options.detect_time,
            options.into,
            options.centre,
            options.radius,
        )
        return plane_in_image(image, chosen, picture=options.report, progress=progress).plane
    if getattr(options, "plane", None) is not None:
        from ..io.plane_file import read_plane

        return read_plane(options.plane)
    if options.points is not None:
        from ..io.landmark_files import LandmarkFileOptions
        from ..workflow.planes import plane_through_file

        return plane_through_file(options.points, LandmarkFileOptions(options.unit))
    if len(options.line) != 2:
        raise GeometryError(
            f"a plane needs a line in each of two views: give --line twice, not "
            f"{len(options.line)} times"
        )
    return Plane.through_lines(*options.line)


def run(options: Namespace) -> int:
    """Do what the arguments of `plane` ask."""
    from ..io.plane_file import write_plane
    from .opening import open_one, placement_of

    image = open_one(options.image, placement_of(options, "image_"))
    progress = ConsoleProgress()
    plane = plane_of(options, image, progress)
    progress.close()
    write_plane(plane, options.out)
    if options.json:
        print(json.dumps(plane.to_dict(), indent=1))
        return 0
    print(f"wrote {options.out}")
    for line in facts(plane):
        print(line)
    if options.report is not None:
        print(f"wrote {options.report}")
    return 0


def facts(plane: Plane) -> list[str]:
    """What is known of how well the plane is determined."""
    made = plane.made
    if made.get("by") == "detection":
        return _detection_facts(made)
    points, rms = made.get("points_um"), made.get("residual_rms_um")
    tilt, gap = made.get("tilt_sd_degrees"), made.get("gap_um")
    if isinstance(points, list) and isinstance(rms, float):
        known = f", tilt known to {tilt:.2g} degrees (1 sd)" if isinstance(tilt, float) else ""
        return [f"plane through {len(points)} points: residual RMS {rms:.3g} um{known}"]
    if isinstance(gap, float):
        return [f"plane through two lines that pass each other {gap:.3g} um apart"]
    return []


def _detection_facts(made: Any) -> list[str]:
    try:
        name = {"window": "window", "surface": "brain surface"}[made["target"]]
        seen = "a thin bright sheet" if made["looks"] == "line" else f"{made['looks']} beyond it"
        radius = made["radius_of_curvature_um"]
        shape = "flat" if radius is None else f"radius of curvature {radius / 1000:.3g} mm"
        return [
            f"{name} found in channel {made['channel']} ({seen}, the tissue towards "
            f"{made['into']}): confidence {made['confidence']:.2f}, "
            f"{100 * made['support']:.0f} % of {made['columns']} columns agree",
            f"tilt {made['tilt_degrees']:.2f} degrees, known to {made['tilt_sd_degrees']:.2g} "
            f"(1 sd), depth to {made['depth_sd_um']:.2g} um; edges spread {made['spread_um']:.3g} "
            f"um about the surface ({shape}), RMS {made['rms_um']:.3g} um about the plane",
        ]
    except (KeyError, TypeError, ValueError):  # a file that someone wrote by hand
        return []


def triple(text: str) -> Numbers:
    """``z,y,x`` as three finite numbers."""
    return _numbers(text, 3, "z,y,x")


def pair(text: str) -> Numbers:
    """``from,to`` as two finite numbers."""
    return _numbers(text, 2, "from,to")


def _numbers(text: str, n: int, form: str) -> Numbers:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != n or not all(abs(v) < float("inf") for v in values):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form {form} (um)")
    return values


def _line(text: str) -> list[Numbers]:
    ends = text.split(":")
    if len(ends) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form z,y,x:z,y,x (um)")
    return [triple(end) for end in ends]
