"""A section placed in a volume, as plain functions of values: they run in a job's thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
from dask.array import from_array

from ..fitting.sections import SectionFit, SectionFitOptions, fit_section
from ..image import SpatialImage
from ..landmarks import LandmarkSet
from ..progress import Progress
from ..refine.section_find import FoundSection
from ..refine.section_pictures import FindOptions
from ..resampling.sections import volume_on_section
from ..transform import SectionPlacement
from ..workflow.sections import place_by_intensity, placement_document
from .image_maps import ImageMap, Inputs, Outcome
from .layers import MEMORY_FORMAT

By = Literal["images", "landmarks", "both"]

_CLEAR_LEAD = 3.0
_BLOCK = 512


@dataclass(frozen=True, eq=False)
class PlaceQuestion:
    """A section to be placed.

    Parameters
    ----------
    inputs : Inputs
    section, volume : SpatialImage
        At one time point.
    by : {"images", "landmarks", "both"}
    find : FindOptions
    fit : SectionFitOptions
    landmarks : LandmarkSet
    """

    inputs: Inputs
    section: SpatialImage
    volume: SpatialImage
    by: By
    find: FindOptions
    fit: SectionFitOptions
    landmarks: LandmarkSet


def find_placed(question: PlaceQuestion, progress: Progress) -> Outcome:
    """Place a section in a volume.

    Raises
    ------
    RefineError, FitError, GeometryError, Cancelled
    """
    start = None
    if question.by != "images":
        progress.begin("fitting the landmarks", 0)
        start = fit_section(question.landmarks.pairs(), question.fit)
    if start is not None and question.by == "landmarks":
        headline, details, is_good = _of_landmarks(start)
        return _outcome(question, start, headline, details, is_good)
    found = place_by_intensity(question.section, question.volume, question.find, start, progress)
    headline, details, is_good = _of_images(found)
    return _outcome(question, found, headline, details, is_good)


def _outcome(
    question: PlaceQuestion,
    made: SectionFit | FoundSection,
    headline: str,
    details: tuple[str, ...],
    is_good: bool,
) -> Outcome:
    placement = made.placement
    found = ImageMap(
        "placed",
        placement,
        placement_document(placement, made.to_dict()),
        question.inputs,
        headline,
    )
    return Outcome(
        found,
        headline,
        is_good,
        (),
        details,
        "Warp (step 5) shows the volume over the section's pixels: compare in the overlay.",
    )


def _of_images(found: FoundSection) -> tuple[str, tuple[str, ...], bool]:
    where = "" if found.slice_number is None else f" at slice {found.slice_number:.1f}"
    is_good = not found.warnings and (found.lead is None or found.lead >= _CLEAR_LEAD)
    details = [f"Its depth is known to {found.depth_sd_um:.2g} µm (1 sd)."]
    if found.lead is not None:
        details.append(
            f"{found.lead:.1f} standard errors ahead of the next best place (3 and more is clear)."
        )
    return f"Placed{where}", (*details, *found.warnings), is_good


def _of_landmarks(found: SectionFit) -> tuple[str, tuple[str, ...], bool]:
    headline = f"Placed by {len(found.pairs)} landmarks"
    if found.loo_rms_um is not None:
        headline += f": leave-one-out RMS {found.loo_rms_um:.3g} µm"
    off = f"The volume's landmarks lie {found.off_plane_rms_um:.3g} µm RMS off the section's plane."
    return headline, (off, *found.warnings), not found.warnings


def volume_over_section(
    section: SpatialImage,
    volume: SpatialImage,
    placement: SectionPlacement,
    channel: int | None,
    progress: Progress,
) -> SpatialImage:
    """The volume over the section's pixels, computed: its mean over the section's thickness.

    Raises
    ------
    GeometryError, Cancelled
    """
    one = volume if channel is None else volume.part([channel])
    lazy = volume_on_section(one, placement, section.grid)
    data = lazy.data
    starts = [range(0, n, _BLOCK) for n in section.grid.shape[1:]]
    corners = list(product(range(data.shape[0]), range(data.shape[1]), *starts))
    values = np.empty(data.shape, data.dtype)
    progress.begin("warping", len(corners))
    for time, number, row, column in corners:
        where = (
            time,
            number,
            slice(None),
            slice(row, row + _BLOCK),
            slice(column, column + _BLOCK),
        )
        values[where] = data[where].compute()
        progress.advance()
    name = f"{volume.name} on section"
    source = replace(
        lazy.source, path=Path(name), format=MEMORY_FORMAT, image_name=name, image_index=0
    )
    return replace(lazy, levels=(from_array(values, chunks=data.chunks),), source=source)
