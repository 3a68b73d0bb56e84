"""Which axes an NRRD file has, and where its voxels lie."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import GeometryError, ReadError
from ...image import MISSING_SCALE
from ...units import MICROMETRES_PER_MILLIMETRE, is_length_unit, micrometres_per
from ..time_units import seconds_per
from .volume_header import MEND, integers, numbers

FloatArray = NDArray[np.float64]

_FRAMES = {
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
}
# not anatomical: ITK takes them for LPS
_OTHER_FRAMES = ("scanner-xyz", "3d-right-handed", "3d-left-handed")
_SPATIAL_KINDS = ("domain", "space")
_UNKNOWN_KINDS = ("???", "none", "")


@dataclass(frozen=True, eq=False)
class NrrdPlace:
    """Axes and geometry.

    Parameters
    ----------
    axes : str
        Fastest first, of ``xyztc``.
    affine_mm : (4, 4) float64
        From (i, j, k) to LPS in mm.
    voxel_size_known : (bool, bool, bool)
        Along z, y, x.
    time_step_s : float or None
    channel_kind : str
        What the file calls its channel axis.
    warnings : tuple of str
    """

    axes: str
    affine_mm: FloatArray
    voxel_size_known: tuple[bool, bool, bool]
    time_step_s: float | None
    channel_kind: str
    warnings: tuple[str, ...]


def place_nrrd(path: Path, values: dict[str, str], n_dims: int) -> NrrdPlace:
    """Interpret the per-axis fields.

    Raises
    ------
    ReadError
        If they contradict each other.
    """
    kinds = _per_axis(path, values, "kinds", n_dims)
    frame, n_space, has_time = _space(path, values)
    vectors = _directions(path, values, n_dims, n_space + has_time) if n_space else None
    axes = _axes(path, kinds, vectors, has_time)
    if vectors is not None:
        return _from_directions(path, values, axes, kinds, vectors, frame, n_space)
    return _from_spacings(path, values, axes, kinds)


def _per_axis(path: Path, values: dict[str, str], field: str, n_dims: int) -> list[str]:
    """One lower-case word per axis, or empty ones."""
    if field not in values:
        return [""] * n_dims
    words = values[field].lower().split()
    if len(words) != n_dims:
        raise ReadError(path, f"has {n_dims} dimensions but {len(words)} {field}", MEND)
    return words


def _space(path: Path, values: dict[str, str]) -> tuple[str, int, bool]:
    """The frame's name, its spatial dimension (0: none), whether time is one more."""
    if "space" in values:
        name = values["space"].strip().lower()
        has_time = name.endswith("-time") or name in ("rast", "last", "lpst")
        frame = name.removesuffix("-time")
        frame = frame[:3] if frame in ("rast", "last", "lpst") else frame
        if frame not in _FRAMES and frame not in _OTHER_FRAMES:
            raise ReadError(path, f"names an unknown space ({name[:40]!r})", MEND)
        return frame, 3, has_time
    if "space dimension" in values:
        dimension = integers(path, "space dimension", [values["space dimension"]])[0]
        if not 2 <= dimension <= 4:
            raise ReadError(path, f"lies in a space of {dimension} dimensions", MEND)
        return "", min(dimension, 3), dimension == 4
    return "", 0, False


def _directions(
    path: Path, values: dict[str, str], n_dims: int, n_space: int
) -> list[FloatArray | None] | None:
    """One vector per axis, None where the axis is not spatial."""
    if "space directions" not in values:
        return None
    found = re.findall(r"none|\([^()]*\)", values["space directions"], flags=re.IGNORECASE)
    if len(found) != n_dims:
        raise ReadError(path, f"has {n_dims} dimensions but {len(found)} space directions", MEND)
    return [
        None if text.lower() == "none" else _vector(path, "space directions", text, n_space)
        for text in found
    ]


def _vector(path: Path, field: str, text: str, n_space: int) -> FloatArray:
    words = text.strip().removeprefix("(").removesuffix(")").replace(",", " ").split()
    return np.array(numbers(path, field, words, n_space))


def _axes(
    path: Path, kinds: list[str], vectors: list[FloatArray | None] | None, has_time: bool
) -> str:
    """Letters for the axes: spatial ones in order, then time, then channels."""
    n_dims = len(kinds)
    if vectors is not None:
        is_spatial = [vector is not None for vector in vectors]
    else:
        is_spatial = [kind in (*_SPATIAL_KINDS, *_UNKNOWN_KINDS) for kind in kinds]
    letters = [""] * n_dims
    spatial = [number for number in range(n_dims) if is_spatial[number]]
    if len(spatial) not in (2, 3, 4):
        raise ReadError(path, f"has {len(spatial)} axes in space", MEND)
    # a fourth axis among those of space is time: so ITK writes its 4-D images
    for letter, number in zip("xyzt", spatial, strict=False):
        letters[number] = letter
    for number in range(n_dims):
        if not letters[number]:
            letters[number] = "t" if kinds[number] == "time" else "c"
    if len(set(letters)) != n_dims:
        raise ReadError(
            path,
            f"has axes that cannot all be shown (kinds {' '.join(kinds).strip() or 'unknown'})",
            "split it into images of three axes, time and channels",
        )
    if has_time and vectors is not None and len(spatial) < 4 and len(spatial) != 3:
        raise ReadError(path, "lacks axes of its space", MEND)
    return "".join(letters)


def _from_directions(
    path: Path,
    values: dict[str, str],
    axes: str,
    kinds: list[str],
    vectors: list[FloatArray | None],
    frame: str,
    n_space: int,
) -> NrrdPlace:
    warnings = []
    units = _units(path, values, "space units")
    n_numbers = next(len(vector) for vector in vectors if vector is not None)
    affine = np.eye(4)
    step = None
    for letter, vector in zip(axes, vectors, strict=True):
        if vector is None:
            continue
        if letter == "t":
            if n_numbers > n_space and vector[n_space] > 0:
                step = float(vector[n_space]) * (_seconds(units[n_space:]) or 1.0)
            continue
        affine[:n_space, "xyz".index(letter)] = vector[:n_space]
    if "z" not in axes and n_space == 3:
        # a plane in space: its thickness is unknown, its normal is not
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        length = float(np.linalg.norm(normal))
        if not (np.isfinite(length) and length > 0):
            raise GeometryError("the axes of the plane are not independent")
        affine[:3, 2] = normal / length
    if "space origin" in values:
        origin = _vector(path, "space origin", values["space origin"], n_numbers)
        # ITK starts at 0 where a part is not stated
        affine[:n_space, 3] = np.nan_to_num(origin[:n_space], nan=0.0)
    if frame in _FRAMES:
        affine[:3] *= np.array(_FRAMES[frame])[:, None]
    elif n_space == 3:
        warnings.append(
            "the file does not name the anatomical directions of its space: they are taken to be "
            "left, posterior, superior"
        )
    affine[:3] *= _millimetres(units[:n_space], warnings)
    return NrrdPlace(
        axes, affine, (True, True, True), step, _channel_kind(axes, kinds), tuple(warnings)
    )


def _from_spacings(path: Path, values: dict[str, str], axes: str, kinds: list[str]) -> NrrdPlace:
    """Without orientation: spacings, and axis minima as ITK takes them."""
    warnings: list[str] = []
    n_dims = len(axes)
    spacing = _optional(path, values, "spacings", n_dims)
    minima = _optional(path, values, "axis mins", n_dims)
    centred = _per_axis(path, values, "centerings", n_dims)
    units = _units(path, values, "units")
    units += [""] * (n_dims - len(units))
    affine = np.eye(4)
    unknown = []
    spatial = [number for number, letter in enumerate(axes) if letter in "xyz"]
    has_origin = all(np.isfinite(minima[number]) for number in spatial)
    for number in spatial:
        row = "xyz".index(axes[number])
        size = spacing[number]
        if not np.isfinite(size) or size == 0:
            size = 1.0
            unknown.append(axes[number])
        affine[row, row] = size
        if has_origin:
            # a minimum is the voxel's edge unless the file says that voxels are points
            inside = 0.0 if centred[number] == "node" else size / 2
            affine[row, 3] = minima[number] + inside
    affine[:3] *= _millimetres([units[number] for number in spatial], warnings)
    warnings.append(
        "the file does not say how it lies in the body: its axes are taken to run to the left, to "
        "the back and up"
    )
    if unknown:
        said = ", ".join(axis for axis in "zyx" if axis in unknown)
        warnings.append(
            f"{MISSING_SCALE} along {said} in the file: 1 mm is assumed; "
            f"state it with --spacing z,y,x"
        )
    step = None
    if "t" in axes:
        number = axes.index("t")
        size = spacing[number]
        step = float(size) * (_seconds([units[number]]) or 1.0) if size > 0 else None
    z, y, x = (axis not in unknown for axis in "zyx")
    return NrrdPlace(axes, affine, (z, y, x), step, _channel_kind(axes, kinds), tuple(warnings))


def _optional(path: Path, values: dict[str, str], field: str, n_dims: int) -> list[float]:
    if field not in values:
        return [np.nan] * n_dims
    return numbers(path, field, values[field].split(), n_dims)


def _units(path: Path, values: dict[str, str], field: str) -> list[str]:
    """Quoted units, one per axis."""
    if field not in values:
        return []
    try:
        return shlex.split(values[field])
    except ValueError as error:
        raise ReadError(path, "has units that are not quoted as they must be", MEND) from error


def _millimetres(units: list[str], warnings: list[str]) -> float:
    """One unit of the file in mm."""
    named = {unit.strip() for unit in units if unit.strip() and unit.strip() not in ("???",)}
    if not named:
        return 1.0
    if len(named) == 1 and is_length_unit(unit := next(iter(named))):
        return micrometres_per(unit) / MICROMETRES_PER_MILLIMETRE
    said = ", ".join(sorted(named))[:40]
    warnings.append(f"the file's units of length ({said}) are not understood: mm is assumed")
    return 1.0


def _seconds(units: list[str]) -> float | None:
    return seconds_per(units[0]) if units else None


def _channel_kind(axes: str, kinds: list[str]) -> str:
    return kinds[axes.index("c")] if "c" in axes else ""
