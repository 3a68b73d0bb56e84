"""``bridgecorr place-section``: its arguments and what it does."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import LANDMARKS_HELP, add_landmark_reading, add_placement, new_command
from .console import ConsoleProgress, warn

if TYPE_CHECKING:
    from ..fitting.sections import SectionFit
    from ..geometry import Plane
    from ..image import SpatialImage
    from ..transform import SectionPlacement
    from .arguments import Commands

DESCRIPTION = """\
Place a flat section (slide scan, widefield, 80-100 um thick) in a volume (MRI). T.json maps the
section (fixed) to the volume (moving); `chain T.json^-1` leads back.

  by landmarks (3 or more, not on a line): --landmarks L.csv, fixed in the section, moving in the
  volume; with --plane PLANE.json the slice is chosen and they are projected onto it
"""


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(commands, "place-section", "place a flat section in a volume", run)
    parser.description = DESCRIPTION
    parser.add_argument("--section", metavar="SECTION", required=True, help="image of one slice")
    parser.add_argument("--volume", metavar="VOLUME", required=True)
    parser.add_argument("-o", "--out", metavar="T.json", type=Path, required=True)
    parser.add_argument("--landmarks", metavar="LANDMARKS", type=Path, help=LANDMARKS_HELP)
    parser.add_argument(
        "--plane",
        metavar="PLANE.json",
        type=Path,
        help="the slice, in the volume's world, as `reslice --write-plane` made it",
    )
    parser.add_argument(
        "--model",
        default="tps",
        choices=["translation", "rigid", "similarity", "affine", "tps"],
        help="of the map within the plane (default: tps, which bends)",
    )
    parser.add_argument(
        "--smoothing",
        default="auto",
        metavar="auto|NUMBER",
        help="lambda of the spline in um^2 (0 interpolates; auto: by leave-one-out error)",
    )
    parser.add_argument(
        "--thickness",
        type=float,
        metavar="UM",
        help="of the section; the volume is averaged over it",
    )
    written = parser.add_argument_group("images to write (.ome.zarr, .nii.gz, .nii or .ome.tif)")
    written.add_argument(
        "--volume-on-section",
        metavar="OUT",
        type=Path,
        help="the volume over the section's pixels, mean over its thickness",
    )
    written.add_argument(
        "--section-in-volume",
        metavar="OUT",
        type=Path,
        help="the section over the volume's voxels, area-weighted",
    )
    parser.add_argument("--json", action="store_true", help="print the diagnostics as JSON")
    add_placement(parser, "section-")
    add_placement(parser, "volume-")
    add_landmark_reading(parser)
    parser.set_defaults(wrong_use=parser.error)


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..workflow import sections
    from .opening import open_one, placement_of

    if options.landmarks is None:
        options.wrong_use("give --landmarks")
    section = open_one(options.section, placement_of(options, "section_"))
    volume = open_one(options.volume, placement_of(options, "volume_"))
    sections.check_section(section)
    found = _by_landmarks(options, _plane(options))
    for warning in found.warnings:
        warn(warning)
    sections.write_placement(found.placement, found.to_dict(), options.out)
    if options.json:
        print(json.dumps(found.to_dict(), indent=1, allow_nan=False))
    else:
        print(_text(found))
        print(f"wrote {options.out}")
    _write_images(options, section, volume, found.placement)
    return 0


def _plane(options: Namespace) -> Plane | None:
    if options.plane is None:
        return None
    from ..io.plane_file import read_plane

    return read_plane(options.plane)


def _by_landmarks(options: Namespace, plane: Plane | None) -> SectionFit:
    from ..fitting import parse_smoothing
    from ..fitting.sections import SectionFitOptions
    from ..workflow.sections import place_by_landmarks
    from .opening import landmark_reading

    chosen = SectionFitOptions(
        options.model, parse_smoothing(options.smoothing), plane, options.thickness or 0.0
    )
    return place_by_landmarks(options.landmarks, chosen, landmark_reading(options))


def _text(found: SectionFit) -> str:
    plane = "chosen plane" if found.options.plane is not None else "plane"
    tilt = found.tilt_sd_degrees
    known = "" if tilt is None else f" (tilt known to {tilt:.2g} degrees, 1 sd)"
    lines = [
        f"{found.options.model} of {len(found.pairs)} landmarks: the volume's lie RMS "
        f"{found.off_plane_rms_um:.3g} um off the {plane}{known}"
    ]
    if found.loo_rms_um is not None:
        lines.append(
            f"leave-one-out error RMS {found.loo_rms_um:.3g} um (in-plane residual RMS "
            f"{found.in_plane.diagnostics.residual_rms_um:.3g} um, which is not the accuracy "
            f"elsewhere)"
        )
    return "\n".join(lines)


def _write_images(
    options: Namespace, section: SpatialImage, volume: SpatialImage, placement: SectionPlacement
) -> None:
    from ..workflow import sections

    for out, write, first, second in (
        (options.volume_on_section, sections.write_volume_on_section, volume, section),
        (options.section_in_volume, sections.write_section_in_volume, section, volume),
    ):
        if out is not None:
            progress = ConsoleProgress()
            write(first, second, placement, out, progress)
            progress.close()
            if not options.json:
                print(f"wrote {out}")
