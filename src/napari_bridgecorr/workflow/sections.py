"""A section placed in a volume, from files to files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import FitError, GeometryError
from ..fitting.sections import SectionFit, SectionFitOptions, fit_section
from ..image import SpatialImage
from ..io.landmark_files import LandmarkFileOptions
from ..io.transform_files import transform_document, write_document
from ..io.writers import check_image_path, write_image
from ..progress import Progress
from ..resampling.sections import section_in_volume, volume_on_section
from ..transform import SectionPlacement
from .landmarks import read_pairs


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


def write_placement(placement: SectionPlacement, record: Mapping[str, Any], out: Path) -> None:
    """Write a section's placement, and beside it how it came about.

    Raises
    ------
    WriteError
    """
    write_document({**transform_document(placement), "placed": dict(record)}, out)


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
