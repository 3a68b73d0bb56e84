"""``bridgecorr place-sections``: its arguments and what it does."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import new_command
from .console import warn

if TYPE_CHECKING:
    from ..fitting.section_series import PlacedSection
    from ..workflow.section_series import PlacedSeries
    from .arguments import Commands

DESCRIPTION = """\
Place sections of one block, cut at a known distance, in a volume: all their landmarks together tell
how the sections are tilted and where the first lies; each section has its own map within its plane.
A section without landmarks lies at the known distance from its neighbours and takes over their map.

SERIES.json names files in its own folder, sections in cutting order:
  {"format": "bridgecorr-series", "version": 1, "volume": "mri.nii.gz", "distance_um": 100,
   "distance_tolerance_um": 5, "sections": [
    {"file": "s1.ome.tif", "landmarks": "s1.csv"}, {"file": "s2.ome.tif"},
    {"missing": 1}, {"file": "s4.ome.tif", "landmarks": "s4.csv", "position_um": 310}]}
distance_tolerance_um (1 sd of one cut), landmarks and position_um may be left out. Landmarks are of
this program's CSV (or one that needs no explanation): fixed in the section, moving in the volume.
"""


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(commands, "place-sections", "place a series of sections in a volume", run)
    parser.description = DESCRIPTION
    parser.add_argument("series", metavar="SERIES.json", type=Path)
    parser.add_argument(
        "-o",
        "--out",
        metavar="FOLDER",
        type=Path,
        required=True,
        help="for one transform per section and placed-series.json, the report",
    )
    parser.add_argument(
        "--model",
        default="tps",
        choices=["rigid", "similarity", "affine", "tps"],
        help="of the map within each plane (default: tps, which bends; a section with too few "
        "landmarks for it gets a simpler one, which is told)",
    )
    parser.add_argument(
        "--smoothing",
        default="auto",
        metavar="auto|NUMBER",
        help="lambda of the spline in um^2 (0 interpolates; auto: by leave-one-out error)",
    )
    parser.add_argument("--thickness", type=float, metavar="UM", help="of each section")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..fitting import parse_smoothing
    from ..fitting.section_series import SeriesOptions
    from ..workflow.section_series import place_series, write_series

    chosen = SeriesOptions(
        options.model, parse_smoothing(options.smoothing), options.thickness or 0.0
    )
    placed = place_series(options.series, chosen)
    for warning in placed.warnings:
        warn(warning)
    report = write_series(placed, options.out)
    if options.json:
        print(json.dumps(placed.to_dict(), indent=1, allow_nan=False))
    else:
        print(_text(placed))
        print(f"wrote {len(placed.names)} transforms and {report}")
    return 0


def _text(placed: PlacedSeries) -> str:
    found = placed.fit
    tilt = found.planes.tilt_sd_degrees
    known = "" if tilt is None else f", tilt known to {tilt:.2g} degrees (1 sd)"
    n = sum(section.section.n for section in found.sections)
    lines = [f"{n} landmarks lie RMS {found.off_plane_rms_um:.3g} um off their planes{known}"]
    for section, index in zip(found.sections, placed.slices, strict=True):
        where = ", ".join(f"{value:.1f}" for value in index)
        lines.append(f"{section.section.name}: {_section_text(section)}; middle at voxel ({where})")
    return "\n".join(lines)


def _section_text(placed: PlacedSection) -> str:
    depth = f"{placed.depth_um:.0f} um behind the first"
    if placed.fit is None:
        return f"{depth}, map of {' and '.join(placed.neighbours)}"
    residual = placed.fit.in_plane.diagnostics.residual_rms_um
    loo = placed.fit.loo_rms_um
    error = "" if loo is None else f", leave-one-out error RMS {loo:.3g} um"
    return (
        f"{depth}, {placed.fit.options.model} of {placed.section.n} landmarks{error} (in-plane "
        f"residual RMS {residual:.3g} um)"
    )
