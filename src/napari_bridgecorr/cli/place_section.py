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
    from ..refine.section_find import FoundSection
    from ..refine.section_likeness import Freedom
    from .arguments import Commands

DESCRIPTION = """\
Place a flat section (slide scan, widefield, 80-100 um thick) in a volume (MRI). T.json maps the
section (fixed) to the volume (moving); `chain T.json^-1` leads back.

  by landmarks (3 or more, not on a line): --landmarks L.csv, fixed in the section, moving in the
  volume; with --plane PLANE.json the slice is chosen and they are projected onto it; with --refine
  the images then improve the map, the landmarks still counting
  by intensity, without --landmarks: every slice, turn and side is tried (only those near
  --near-slice N, only the one of --plane), the best are tilted, shifted, stretched and bent; what
  is doubtful is told
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
    found = parser.add_argument_group("by intensity")
    found.add_argument("--refine", action="store_true", help="let the images improve the landmarks")
    found.add_argument(
        "--near-slice", type=float, metavar="N", help="number of the slice it is near to, from 0"
    )
    found.add_argument(
        "--reach", type=float, default=3.0, metavar="N", help="how many slices from there (3)"
    )
    found.add_argument(
        "--along",
        choices=["z", "y", "x"],
        help="the axis of the volume's array across which its slices lie (default: of the thickest "
        "voxels)",
    )
    found.add_argument(
        "--upright", action="store_true", help="try only turns of 0 and 180 degrees (four flips)"
    )
    found.add_argument(
        "--bend",
        type=float,
        metavar="UM",
        help="bends to expect (1 sd; default: 2 %% of its width)",
    )
    found.add_argument("--section-channel", metavar="NAME|N", default=0)
    found.add_argument("--volume-channel", metavar="NAME|N", default=0)
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
    written.add_argument(
        "--report",
        "--figure",
        dest="figure",
        metavar="OUT.png",
        type=Path,
        help="a picture: the section, the volume on it, overlay, chessboard, where it lies in two "
        "views, and how sure that is",
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

    if options.refine and options.landmarks is None:
        options.wrong_use("--refine needs --landmarks to start from")
    if options.landmarks is not None and options.near_slice is not None:
        options.wrong_use("--landmarks tell the slice: leave --near-slice out")
    section = open_one(options.section, placement_of(options, "section_"))
    volume = open_one(options.volume, placement_of(options, "volume_"))
    sections.check_section(section)
    plane = _plane(options)
    by_landmarks = None if options.landmarks is None else _by_landmarks(options, plane)
    found: SectionFit | FoundSection
    if by_landmarks is not None and not options.refine:
        found, text = by_landmarks, _landmark_text(by_landmarks)
    else:
        if by_landmarks is not None:
            for warning in by_landmarks.warnings:
                warn(warning)
        found = _by_intensity(options, section, volume, plane, by_landmarks)
        text = _intensity_text(found)
    for warning in found.warnings:
        warn(warning)
    sections.write_placement(found.placement, found.to_dict(), options.out)
    if options.json:
        print(json.dumps(found.to_dict(), indent=1, allow_nan=False))
    else:
        print(text)
        print(f"wrote {options.out}")
    _write_images(options, section, volume, found)
    return 0


def _by_intensity(
    options: Namespace,
    section: SpatialImage,
    volume: SpatialImage,
    plane: Plane | None,
    start: SectionFit | None,
) -> FoundSection:
    from ..refine.section_pictures import FindOptions
    from ..workflow.sections import place_by_intensity

    freedoms: dict[str, Freedom] = {
        "translation": "rigid",
        "rigid": "rigid",
        "similarity": "affine",
        "affine": "affine",
    }
    chosen = FindOptions(
        thickness_um=options.thickness or 0.0,
        along=None if options.along is None else "zyx".index(options.along),
        near_slice=options.near_slice,
        reach_slices=options.reach,
        plane=plane,
        fix_plane=plane is not None,
        turn_step_degrees=180.0 if options.upright else 20.0,
        freedom=freedoms.get(options.model, "bent"),
        bend_um=options.bend,
        section_channel=options.section_channel,
        volume_channel=options.volume_channel,
    )
    progress = ConsoleProgress()
    found = place_by_intensity(section, volume, chosen, start, progress)
    progress.close()
    return found


def _intensity_text(found: FoundSection) -> str:
    where = "" if found.slice_number is None else f"slice {found.slice_number:.2f}, "
    lead = (
        "" if found.lead is None else f"; {found.lead:.1f} standard errors ahead of the next best"
    )
    return (
        f"{where}depth known to {found.depth_sd_um:.2g} um (1 sd), mutual information "
        f"{found.information:.3f} nats per pixel{lead}"
    )


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


def _landmark_text(found: SectionFit) -> str:
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
    options: Namespace,
    section: SpatialImage,
    volume: SpatialImage,
    found: SectionFit | FoundSection,
) -> None:
    from ..workflow import sections

    placement = found.placement
    if options.figure is not None:
        sections.draw_section(
            section, volume, found, options.figure, options.section_channel, options.volume_channel
        )
        if not options.json:
            print(f"wrote {options.figure}")
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
