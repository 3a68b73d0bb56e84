"""Where the frames of a ParaVision image lie, and which of them form one grid.

VisuCorePosition is the centre of a frame's first voxel, VisuCoreOrientation's rows are the
directions of the image's axes, both in the patient's frame of DICOM (left, posterior, superior).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import GeometryError
from ...geometry import Grid
from ...geometry.anatomical import index_to_world_from_millimetres
from ...image import missing_scale_warning
from ...units import MICROMETRES_PER_MILLIMETRE, micrometres_per
from .frames import Frames
from .jcamp import Parameters

FloatArray = NDArray[np.float64]

# slices are placed to a micrometre; steps that differ more are gaps
_STEP_TOLERANCE = 1e-2
_SAME_DIRECTION = 1e-4
_ANIMALS_NOTE = (
    "anatomical directions are those that ParaVision states ({said}): for an animal check left "
    "and right, top and bottom with something you know"
)


@dataclass(frozen=True)
class Package:
    """Parallel slices, or a volume.

    Parameters
    ----------
    slices : (int, int)
        The first slice and the one behind the last.
    grid : Grid
    known : (bool, bool, bool)
        Which spacings the file states.
    warnings : tuple of str
    """

    slices: tuple[int, int]
    grid: Grid
    known: tuple[bool, bool, bool]
    warnings: tuple[str, ...]


def packages_of(parameters: Parameters, frames: Frames) -> tuple[Package, ...]:
    """The grids of an image: one, or as many as there are packages of slices.

    Raises
    ------
    ReadError
        If a number cannot be read.
    """
    spacing, units_warnings = _in_plane_spacing_mm(parameters, frames)
    orientations = _rows(parameters, frames, "VisuCoreOrientation", 9)
    positions = _rows(parameters, frames, "VisuCorePosition", 3)
    packages = []
    for first, stop in _parts(parameters, frames, orientations):
        place = None
        if orientations is not None and positions is not None:
            place = orientations[first].reshape(3, 3), positions[first:stop]
        package = _package(parameters, frames, (first, stop), spacing, place)
        packages.append(package)
    note = _animal_note(parameters)
    return tuple(
        Package(p.slices, p.grid, p.known, units_warnings + p.warnings + note) for p in packages
    )


def _package(
    parameters: Parameters,
    frames: Frames,
    slices: tuple[int, int],
    spacing: FloatArray | None,
    place: tuple[FloatArray, FloatArray] | None,
) -> Package:
    n_slices = slices[1] - slices[0]
    is_volume = len(frames.size) == 3
    shape = (frames.size[2] if is_volume else n_slices, frames.size[1], frames.size[0])
    warnings: list[str] = []
    directions = np.eye(3)
    first = np.zeros(3)
    if place is not None and _is_rotation(place[0]):
        directions, first = place[0], place[1][0]
    else:
        warnings.append("the file does not say where it lies: only the voxel size is used")
        place = None
    in_plane = np.ones(3) if spacing is None else spacing
    thickness = _thickness_mm(parameters)
    step = directions[2] * (in_plane[2] if is_volume else thickness or 1.0)
    is_z_known = is_volume and spacing is not None
    if not is_volume and n_slices > 1 and place is not None:
        steps = np.diff(place[1], axis=0)
        mean = (place[1][-1] - place[1][0]) / (n_slices - 1)
        length = float(np.linalg.norm(mean))
        if length > 0:
            step, is_z_known = mean, True
            if float(np.abs(steps - mean).max()) > _STEP_TOLERANCE * length:
                warnings.append(
                    "its slices are not evenly spaced: their mean distance is used, places in "
                    "between are wrong"
                )
        else:
            warnings.append("all its slices lie in one place: their thickness is the spacing")
    if not is_volume and not is_z_known:
        is_z_known = thickness is not None
    matrix = np.eye(4)
    matrix[:3, 0] = directions[0] * in_plane[0]
    matrix[:3, 1] = directions[1] * in_plane[1]
    matrix[:3, 2] = step
    matrix[:3, 3] = first
    known = (is_z_known, spacing is not None, spacing is not None)
    missing = "".join(
        axis
        # the thickness of a single slice is no scale that anybody misses
        for axis, k in zip("zyx", known, strict=True)
        if not k and (axis != "z" or shape[0] > 1)
    )
    if spacing is None:
        # one unit of the file becomes 1 um, not 1 mm
        matrix[:3, :2] /= MICROMETRES_PER_MILLIMETRE
    if not is_z_known:
        matrix[:3, 2] /= MICROMETRES_PER_MILLIMETRE
    if missing:
        warnings.insert(0, missing_scale_warning(missing))
    to_world = index_to_world_from_millimetres(matrix, "LPS") + 0.0  # no -0.0
    return Package(slices, Grid(shape, to_world), known, tuple(warnings))


def _in_plane_spacing_mm(
    parameters: Parameters, frames: Frames
) -> tuple[FloatArray | None, tuple[str, ...]]:
    """Spacing along x, y (and z of a volume; 1 otherwise) in mm, or None where it is not stated."""
    extent = parameters.numbers("VisuCoreExtent")
    if len(extent) != len(frames.size) or not all(0 < length < 1e7 for length in extent):
        return None, ()
    units = parameters.words("VisuCoreUnits") or ("mm",) * len(extent)
    warnings: tuple[str, ...] = ()
    spacing = np.ones(3)
    for axis, (length, n) in enumerate(zip(extent, frames.size, strict=True)):
        try:
            unit = micrometres_per(units[axis] if axis < len(units) else "mm")
        except GeometryError:
            unit = MICROMETRES_PER_MILLIMETRE
            warnings = (f"its unit of length ({units[axis]}) is unknown: mm is assumed",)
        spacing[axis] = length / n * unit / MICROMETRES_PER_MILLIMETRE
    return spacing, warnings


def _thickness_mm(parameters: Parameters) -> float | None:
    """Thickness of a single slice, or None."""
    thickness = parameters.numbers("VisuCoreFrameThickness")
    return thickness[0] if thickness and 0 < thickness[0] < 1e4 else None


def _rows(parameters: Parameters, frames: Frames, name: str, n_columns: int) -> FloatArray | None:
    """One row per slice, or None where the file has too few or none."""
    numbers = np.array(parameters.numbers(name))
    n_slices = frames.n_slices
    if numbers.size == 0 or numbers.size % n_columns or not np.all(np.abs(numbers) < 1e7):
        return None
    rows = numbers.reshape(-1, n_columns)
    if len(rows) == 1:
        return np.repeat(rows, n_slices, axis=0)
    if len(rows) == n_slices:
        return rows
    if len(rows) == frames.n_frames:
        return rows[[frames.number(0, 0, index) for index in range(n_slices)]]
    return None


def _parts(
    parameters: Parameters, frames: Frames, orientations: FloatArray | None
) -> list[tuple[int, int]]:
    """Ranges of slices that belong together."""
    n_slices = frames.n_slices
    if len(frames.size) == 3:
        return [(index, index + 1) for index in range(n_slices)]
    stated = parameters.structs("VisuCoreSlicePacksSlices")
    try:
        parts = [(int(first), int(first) + int(count)) for first, count in stated]
    except ValueError:
        parts = []
    ends = [0, *(stop for _, stop in parts)]
    follow = all(a == e and b > a for (a, b), e in zip(parts, ends, strict=False))
    if parts and follow and ends[-1] == n_slices:
        return parts
    # ParaVision 5 states no packages: a new one begins where the direction changes
    if orientations is None:
        return [(0, n_slices)]
    changes = np.abs(np.diff(orientations, axis=0)).max(axis=1, initial=0) > _SAME_DIRECTION
    starts = [0, *(int(i) + 1 for i in np.flatnonzero(changes))]
    return list(zip(starts, [*starts[1:], n_slices], strict=True))


def _is_rotation(matrix: FloatArray) -> bool:
    return bool(np.abs(matrix @ matrix.T - np.eye(3)).max() < 1e-2)


def _animal_note(parameters: Parameters) -> tuple[str, ...]:
    """ParaVision names directions for the kind of subject and position that were typed in."""
    kind, pose = parameters.text("VisuSubjectType"), parameters.text("VisuSubjectPosition")
    if kind in ("Biped", "Phantom"):
        return ()
    said = ", ".join(word for word in (kind, pose.replace("_", " ")) if word)
    return (_ANIMALS_NOTE.format(said=said or "it states no subject"),)
