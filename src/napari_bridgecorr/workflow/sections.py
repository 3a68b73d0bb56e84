"""A section placed in a volume, from files to files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FitError, GeometryError
from ..fitting.sections import SectionFit, SectionFitOptions, fit_section
from ..image import SpatialImage
from ..io.atomic import replacing
from ..io.landmark_files import LandmarkFileOptions
from ..io.transform_files import transform_document, write_document
from ..io.writers import check_image_path, write_image
from ..progress import Progress
from ..refine.section_find import FoundSection, find_section
from ..refine.section_pictures import FindOptions
from ..refine.section_pose import SectionPose
from ..refine.working_image import working_grid, working_image
from ..report.section_figure import SectionView, section_figure
from ..resampling.sections import section_in_volume, volume_on_section
from ..transform import SectionPlacement
from .landmarks import read_pairs

_FIGURE_PIXELS = 500
_VIEW_VOXELS = 2**21


def check_section(section: SpatialImage) -> None:
    """Raise GeometryError unless an image is flat."""
    if section.grid.shape[0] != 1:
        raise GeometryError(
            f"{section.name} has {section.grid.shape[0]} slices, a section has one: name one image "
            f"of one slice, or register the stack as a volume"
        )


def place_by_landmarks(
    landmarks: Path,
    options: SectionFitOptions | None = None,
    reading: LandmarkFileOptions | None = None,
) -> SectionFit:
    """Place a section by the landmarks of a file: fixed in the section, moving in the volume.

    Raises
    ------
    ReadError, FitError
    """
    file = read_pairs(landmarks, reading, "--moving")
    try:
        found = fit_section(file.landmarks.pairs(), options)
    except FitError as error:
        raise FitError(f"{landmarks}: {error}") from error
    return replace(found, warnings=(*file.warnings, *found.warnings))


def place_by_intensity(
    section: SpatialImage,
    volume: SpatialImage,
    options: FindOptions | None = None,
    start: SectionFit | None = None,
    progress: Progress | None = None,
) -> FoundSection:
    """Find a section in a volume by intensity, or improve what landmarks gave.

    Parameters
    ----------
    section, volume : SpatialImage
    options : FindOptions, optional
    start : SectionFit, optional
        Of landmarks: no other slice is tried, and the landmarks count beside the images.
    progress : Progress, optional

    Raises
    ------
    GeometryError, RefineError
    """
    check_section(section)
    options = options or FindOptions()
    if start is not None:
        options = replace(
            options,
            start=_pose_of(start),
            landmarks=start.pairs,
            fix_plane=start.options.plane is not None,
        )
    return find_section(section, volume, options, progress)


def _pose_of(start: SectionFit) -> SectionPose:
    """The affine map nearest to what landmarks gave, at the landmarks."""
    fixed = start.pairs.fixed_um
    design = np.column_stack([fixed[:, 1:], np.ones(len(fixed))])
    within = start.placement.in_plane.map(fixed)[:, 1:]
    solution = np.asarray(np.linalg.lstsq(design, within, rcond=None)[0], dtype=np.float64)
    return SectionPose(
        start.placement.plane, solution[:2].T, solution[2], float(fixed[:, 0].mean())
    )


def write_placement(placement: SectionPlacement, record: Mapping[str, Any], out: Path) -> None:
    """Write a section's placement, and beside it how it came about.

    Raises
    ------
    WriteError
    """
    write_document(placement_document(placement, record), out)


def placement_document(placement: SectionPlacement, record: Mapping[str, Any]) -> dict[str, Any]:
    """The transform file of a section's placement."""
    return {**transform_document(placement), "placed": dict(record)}


def write_volume_on_section(
    volume: SpatialImage,
    section: SpatialImage,
    placement: SectionPlacement,
    out: Path,
    progress: Progress | None = None,
) -> SpatialImage:
    """Write the volume over the section's pixels.

    Raises
    ------
    GeometryError, WriteError
    """
    check_image_path(out)
    result = volume_on_section(volume, placement, section.grid)
    write_image(result, out, progress)
    return result


def write_section_in_volume(
    section: SpatialImage,
    volume: SpatialImage,
    placement: SectionPlacement,
    out: Path,
    progress: Progress | None = None,
) -> SpatialImage:
    """Write the section over the volume's voxels.

    Raises
    ------
    GeometryError, TransformError, WriteError
    """
    check_image_path(out)
    result = section_in_volume(section, placement, volume.grid)
    write_image(result, out, progress)
    return result


def draw_section(
    section: SpatialImage,
    volume: SpatialImage,
    found: SectionFit | FoundSection,
    out: Path,
    section_channel: str | int = 0,
    volume_channel: str | int = 0,
) -> None:
    """Draw a placed section: itself, the volume on it, both, where it lies, and how sure that is.

    Raises
    ------
    WriteError
    """
    spacing = _FIGURE_PIXELS / max(section.grid.shape)
    step = max(1.0, 1 / spacing)
    own = section.grid.voxel_size_um
    grid = working_grid(section.grid, (own[0], own[1] * step, own[2] * step))
    shown = working_image(section, grid, channel=section_channel)
    one = volume.part([volume.channel_index(volume_channel)], (0, 1))
    there = volume_on_section(one, found.placement, grid).data[0, 0, 0].compute()
    curves = []
    if isinstance(found, FoundSection):
        if found.tried:
            curves.append(("slice of the volume", "best score (nats)", np.array(found.tried)))
        profile = np.column_stack([found.profile_um, found.profile])
        curves.append(("depth from the found plane (um)", "mutual information (nats)", profile))
    extent = (grid.shape[1] * grid.voxel_size_um[1], grid.shape[2] * grid.voxel_size_um[2])
    views = _views(section, volume, found.placement, volume_channel)
    figure = section_figure(shown.array[0], there, extent, curves, views)
    with replacing(out) as temporary:
        temporary.write_bytes(figure)


def _views(
    section: SpatialImage,
    volume: SpatialImage,
    placement: SectionPlacement,
    channel: str | int,
) -> list[SectionView]:
    """Two slices of the volume, both across the section, through its middle."""
    grid = working_grid(volume.grid, 0.01, _VIEW_VOXELS)
    values = working_image(volume, grid, channel=channel, most_voxels=_VIEW_VOXELS).array
    sizes = np.asarray(grid.voxel_size_um)
    axis = int(np.argmax(np.abs(grid.world_to_index[:3, :3] @ placement.plane.normal) * sizes))
    rows, columns = (np.linspace(-0.5, n - 0.5, 25) for n in section.grid.shape[1:])
    flat = np.zeros(len(rows))
    top, bottom = flat - 0.5, flat + section.grid.shape[1] - 0.5
    left, right = flat - 0.5, flat + section.grid.shape[2] - 0.5
    around = [(top, columns), (rows, right), (bottom, columns[::-1]), (rows[::-1], left)]
    border = np.concatenate([np.column_stack([flat, *edge]) for edge in around])
    index = grid.to_index(placement.map(section.grid.to_world(border)))
    middle = grid.to_index(placement.map(section.grid.centre_um[None]))[0]
    views = []
    for across in (a for a in range(3) if a != axis):
        number = int(np.clip(round(float(middle[across])), 0, grid.shape[across] - 1))
        one, two = (a for a in range(3) if a != across)
        extent = (grid.shape[one] * sizes[one], grid.shape[two] * sizes[two])
        seen = (index[:, [one, two]] + 0.5) * sizes[[one, two]]
        views.append(
            SectionView(
                f"where it lies, seen along {'zyx'[across]}",
                f"{'zyx'[one]} (um)",
                f"{'zyx'[two]} (um)",
                np.take(values, number, axis=across),
                extent,
                seen,
            )
        )
    return views
