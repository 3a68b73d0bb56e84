"""A picture of a refinement: both images before and after, with what left-out landmarks say."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..image import SpatialImage
from ..io.atomic import replacing
from ..refine.global_refinement import GlobalRefinement
from ..report.contents import ReportContents
from ..report.refinement_figure import Look, draw_refinement
from ..report.slices import cut_planes, find_overlap
from ..report.statistics import errors_in_fixed_world
from ..transform import Transform
from .refine import RefineOptions


def draw_refined(
    fixed: SpatialImage,
    moving: SpatialImage,
    start: Transform,
    result: GlobalRefinement,
    out: Path,
    options: RefineOptions | None = None,
) -> None:
    """Write a PNG of the images through the map before and after it was refined.

    Parameters
    ----------
    fixed, moving : SpatialImage
    start : Transform
        The map before.
    result : GlobalRefinement
        Of a map that was kept both sides are alike.
    out : Path
    options : RefineOptions, optional
        Tells the channels; of several moving ones the first is shown.

    Raises
    ------
    GeometryError
        If there is no such channel.
    WriteError
    """
    chosen = options or RefineOptions()
    overlap = find_overlap(fixed.grid, moving.grid, start)
    channels = (
        fixed.channel_index(chosen.fixed_channel),
        moving.channel_index(chosen.moving_channels[0] if chosen.moving_channels else 0),
    )
    # arrows stand at landmarks only if every one of them was left out once
    pairs, check = result.pairs, result.check
    is_shown = pairs is not None and len(check.before_um) == len(pairs)
    places = pairs.fixed_um if pairs is not None and is_shown else np.empty((0, 3))
    after_um = check.after_um if result.accepted else check.before_um

    def look(title: str, transform: Transform, errors_um: np.ndarray) -> Look:
        contents = ReportContents(
            title,
            fixed,
            moving,
            transform,
            fixed_channel=channels[0],
            moving_channel=channels[1],
        )
        if not is_shown:
            errors_um = np.empty((0, 3))
        arrows = errors_in_fixed_world(transform, places, errors_um)
        return Look(title, cut_planes(contents, overlap)[:2], arrows)

    drawn = draw_refinement(
        (
            look("before", start, check.before_um),
            look("after" if result.accepted else "(kept)", result.transform, after_um),
        ),
        places,
        fixed.grid.shape,
        result.verdict,
    )
    with replacing(out) as temporary:
        temporary.write_bytes(drawn)
