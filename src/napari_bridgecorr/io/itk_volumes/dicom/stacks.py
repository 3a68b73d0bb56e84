"""Planes sorted into images: by series, orientation and place, with what is wrong said."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ....image import MISSING_SCALE
from .planes import Plane

FloatArray = NDArray[np.float64]

# slices count as evenly spaced while each is this near to its place, in steps
_EVEN = 0.05
# planes nearer to each other than this are at one place, in mm
_SAME_PLACE_MM = 1e-4


@dataclass(frozen=True, eq=False)
class Stack:
    """One image.

    Parameters
    ----------
    planes : tuple of tuple of Plane
        Times, each a stack along z.
    affine_mm : (4, 4) float64
        From (i, j, k) to LPS in mm.
    voxel_size_known : (bool, bool, bool)
        Along z, y, x.
    name : str
    warnings : tuple of str
    """

    planes: tuple[tuple[Plane, ...], ...]
    affine_mm: FloatArray
    voxel_size_known: tuple[bool, bool, bool]
    name: str
    warnings: tuple[str, ...]


def stacks_of(planes: list[Plane]) -> list[Stack]:
    """Images in the order of their series' first planes."""
    groups: dict[tuple[object, ...], list[Plane]] = defaultdict(list)
    for plane in planes:
        groups[_key(plane)].append(plane)
    stacks = [_stack(group) for group in groups.values()]
    names = [stack.name for stack in stacks]
    # series of one name are told apart by number
    return [
        replace(stack, name=f"{stack.name} ({names[: n + 1].count(stack.name)})")
        if names.count(stack.name) > 1
        else stack
        for n, stack in enumerate(stacks)
    ]


def _key(plane: Plane) -> tuple[object, ...]:
    """What the planes of one image share."""
    orientation = plane.orientation and tuple(round(v, 4) + 0.0 for v in plane.orientation)
    spacing = plane.spacing and tuple(float(f"{v:.5g}") for v in plane.spacing)
    kind = replace(plane.format, photometric="", by_library=False)
    unknown = plane.path if plane.position is None and plane.n_frames > 1 else None
    return (plane.series, orientation, spacing, kind, plane.position is None, unknown)


def _stack(group: list[Plane]) -> Stack:
    first = group[0]
    warnings: list[str] = []
    times, step_mm = _in_order(group, warnings)
    along_z = times[0]
    affine = np.eye(4)
    row_mm, column_mm = first.spacing or (1.0, 1.0)
    if first.orientation is None:
        warnings.append("the file does not say how its planes lie in the body")
        row, column = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    else:
        row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    affine[:3, 0] = row * column_mm
    affine[:3, 1] = column * row_mm
    stated = first.step
    affine[:3, 2] = np.cross(row, column) * (stated or 1.0) if step_mm is None else step_mm
    origin = along_z[0].position
    if origin is None:
        warnings.append("the file does not say where its planes lie: they are put at 0, in order")
    else:
        affine[:3, 3] = origin
    is_z_known = step_mm is not None or stated is not None
    if first.spacing is None or (not is_z_known and len(along_z) > 1):
        unknown = [] if is_z_known else ["z"]
        unknown += ["y", "x"] if first.spacing is None else []
        warnings.append(
            f"{MISSING_SCALE} along {', '.join(unknown)} in the file: 1 mm is assumed; "
            f"state it with --spacing z,y,x"
        )
    if "MOSAIC" in first.series[2].upper():
        warnings.append(
            "the planes are Siemens mosaics: the slices lie side by side in one plane; convert "
            "the series with dcm2niix to have a volume"
        )
    is_single = len(group) == 1 and first.n_frames == 1
    if is_single and first.instance[2] > 1:
        warnings.append(
            f"the image is one plane of a series (number {first.instance[2]:g}): open its folder "
            f"for all of them"
        )
    known = (is_z_known, first.spacing is not None, first.spacing is not None)
    return Stack(
        tuple(tuple(time) for time in times),
        affine,
        known,
        first.name or first.path.stem,
        tuple(warnings),
    )


def _in_order(
    group: list[Plane], warnings: list[str]
) -> tuple[list[list[Plane]], FloatArray | None]:
    """Times of stacks along z, and the vector from slice to slice (None: not known)."""
    group = sorted(group, key=lambda plane: plane.instance)
    first = group[0]
    if first.position is None or first.orientation is None:
        if first.has_time:
            return [[plane] for plane in group], None
        return [group], None
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    # a mean is subtracted: positions of a metre would cost digits
    centre = np.array(first.position)
    heights = np.array([(np.array(plane.position) - centre) @ normal for plane in group])
    order = np.argsort(heights, kind="stable")
    places: list[list[Plane]] = []
    at: list[float] = []
    for number in order:
        if at and heights[number] - at[-1] <= _SAME_PLACE_MM:
            places[-1].append(group[number])
        else:
            places.append([group[number]])
            at.append(float(heights[number]))
    for place in places:
        place.sort(key=lambda plane: plane.instance)
    counts = {len(place) for place in places}
    n_times = min(counts)
    if len(counts) > 1:
        warnings.append(
            f"slices are stored between {n_times} and {max(counts)} times: the first {n_times} of "
            f"each are shown"
        )
    elif n_times > 1:
        warnings.append(f"every slice is stored {n_times} times: they are shown as time points")
    times = [[place[time] for place in places] for time in range(n_times)]
    if len(places) == 1:
        return times, None
    _tell_uneven(at, warnings)
    ends = [np.array(places[n][0].position) for n in (0, -1)]
    return times, (ends[1] - ends[0]) / (len(places) - 1)


def _tell_uneven(at: list[float], warnings: list[str]) -> None:
    steps = np.diff(at)
    usual = float(np.median(steps))
    even = at[0] + np.arange(len(at)) * (at[-1] - at[0]) / (len(at) - 1)
    if np.abs(np.array(at) - even).max() <= _EVEN * usual:
        return
    gaps = [n for n, step in enumerate(steps) if step > 1.5 * usual]
    is_missing = gaps and all(abs(steps[n] / usual - round(steps[n] / usual)) < 0.1 for n in gaps)
    if is_missing:
        n_missing = sum(round(float(steps[n]) / usual) - 1 for n in gaps)
        warnings.append(
            f"{n_missing} slices are missing (first after slice {gaps[0] + 1} of {len(at)}): the "
            f"others are shown evenly spaced, so that places behind a gap are wrong"
        )
    else:
        warnings.append(
            f"the slices are unevenly spaced ({steps.min():.4g} to {steps.max():.4g} mm): they are "
            f"shown with a mean step of {(at[-1] - at[0]) / (len(at) - 1):.4g} mm"
        )
