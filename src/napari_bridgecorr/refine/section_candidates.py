"""Places where a section may lie, the best first: all slices, turns and sides, then tilted ones.

Each round is finer and keeps fewer. The pictures are looked at as they are and without what varies
slowly (``section_shading``); that in which the best place is farther ahead of all others counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import RefineError
from ..progress import Progress, Silent
from .section_confidence import SAME_ANGLE_DEGREES, is_elsewhere, lead_over
from .section_likeness import Prior, Scene, improved, information, make_scene
from .section_pictures import FindOptions, Pictures, scene_of
from .section_pose import SectionPose
from .section_search import Candidate, search

FloatArray = NDArray[np.float64]

# candidates of each look that are tried at other tilts, the tilts, and how many of all go on
_LEANED = 16
_LEANS_DEGREES = (-9.0, 0.0, 9.0)
_LEANS_KEPT = 2
_STARTS = 10
_QUICK_STEPS = 15


@dataclass(frozen=True, eq=False)
class Ranking:
    """What one look at a section and a volume says of where it lies.

    Parameters
    ----------
    pictures : Pictures
        What was looked at.
    poses : tuple of SectionPose
        The best first; no two are the same place.
    lead : float or None
        How far the best is ahead of the nearest other, in standard errors; None without another.
    tried : tuple of (float, float)
        Slice number and best score of every slice.
    """

    pictures: Pictures
    poses: tuple[SectionPose, ...]
    lead: float | None
    tried: tuple[tuple[float, float], ...]


def rankings(
    looks: Sequence[Pictures], options: FindOptions, progress: Progress | None = None
) -> list[Ranking]:
    """What each look says of all looks' candidates, the surest first.

    Parameters
    ----------
    looks : sequence of Pictures
        The same section and volume in different ways.
    options : FindOptions
    progress : Progress, optional

    Raises
    ------
    RefineError
        If the section overlaps none of the slices.
    """
    watched = progress or Silent()
    candidates = [search_slices(pictures, options, watched) for pictures in looks]
    chosen = [one for found in candidates for one in distinct(found, _LEANED)]
    ranked = []
    for pictures, own in zip(looks, candidates, strict=True):
        tried = () if pictures.axis is None else _by_slice(own, pictures.numbers)
        ranked.append(_ranking(pictures, chosen, tried, options, watched))
    return sorted(ranked, key=lambda look: -(look.lead or 0.0))


def _ranking(
    pictures: Pictures,
    candidates: Sequence[Candidate],
    tried: tuple[tuple[float, float], ...],
    options: FindOptions,
    watched: Progress,
) -> Ranking:
    """The places that are most alike, at low resolution and then at a higher one."""
    starts = leaned(pictures, candidates, options, watched)
    watched.begin("Comparing the best places", len(starts))
    found: list[tuple[float, Scene, SectionPose]] = []
    for pose in starts:
        scene = scene_of(pictures.coarse, pictures.volume, options, pose)
        better = improved(
            scene, pose, "rigid", Prior(0.0, 1.0), fix_plane=options.fix_plane,
            most_steps=_QUICK_STEPS,
        )  # fmt: skip
        found.append((information(scene, better), scene, better))
        watched.advance()
    found.sort(key=lambda item: -item[0])
    _, scene, best = found[0]
    poses = [best]
    for _, _, pose in found[1:]:
        if all(is_elsewhere(scene, pose, other, options, 0.5) for other in poses):
            poses.append(pose)
    others = [pose for pose in poses[1:] if is_elsewhere(scene, best, pose, options)]
    lead = min((lead_over(scene, best, other) for other in others), default=None)
    return Ranking(pictures, tuple(poses), lead, tried)


def search_slices(
    pictures: Pictures, options: FindOptions, progress: Progress | None = None
) -> list[Candidate]:
    """The best shift for every slice, turn and side.

    Raises
    ------
    RefineError
        If the section overlaps none of the slices.
    """
    step = options.turn_step_degrees
    turns = np.arange(0.0, 359.9, step).tolist() if step > 0 else [0.0]
    found = search(
        pictures.tiny,
        pictures.small_volume.array,
        pictures.small_volume.grid,
        pictures.planes,
        options.thickness_um,
        turns,
        options.flips,
        progress,
    )
    if not found:
        raise RefineError(
            "the section and the volume's slices do not overlap enough to compare: check their "
            "voxel sizes"
        )
    return found


def distinct(candidates: Sequence[Candidate], most: int) -> list[Candidate]:
    """The best candidates of which no two are the same side, about the same slice and turn."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: -c.score):
        if not any(_is_alike(candidate, other) for other in kept):
            kept.append(candidate)
        if len(kept) == most:
            break
    return kept


def leaned(
    pictures: Pictures,
    candidates: Sequence[Candidate],
    options: FindOptions,
    progress: Progress | None = None,
) -> list[SectionPose]:
    """The best poses after every candidate's plane was tilted this way and that."""
    watched = progress or Silent()
    watched.begin("Tilting the best slices", len(candidates))
    tiny = pictures.tiny
    found: list[tuple[float, SectionPose]] = []
    prior = Prior(0.0, 1.0)
    leans = (0.0,) if options.fix_plane else tuple(np.tan(np.deg2rad(_LEANS_DEGREES)).tolist())
    for candidate in candidates:
        scene = make_scene(
            tiny.values[None],
            np.isfinite(tiny.values)[None],
            tiny.grid,
            pictures.small_volume.array,
            pictures.small_volume.grid,
            options.thickness_um,
            candidate.pose.plane.normal,
        )
        middle = candidate.pose.within(scene.points_um.mean(axis=0)[None])[0]
        tilted = []
        for slope in itertools.product(leans, leans):
            pose = candidate.pose.sheared(-float(middle @ slope), *slope)
            tilted.append((information(scene, pose), pose))
        tilted.sort(key=lambda item: -item[0])
        for _, pose in tilted[:_LEANS_KEPT]:
            better = improved(
                scene, pose, "rigid", prior, fix_plane=options.fix_plane, most_steps=_QUICK_STEPS
            )
            found.append((information(scene, better), better))
        watched.advance()
    found.sort(key=lambda item: -item[0])
    kept: list[SectionPose] = []
    for _, pose in found:
        if all(is_elsewhere(scene, pose, other, options, 0.5) for other in kept):
            kept.append(pose)
        if len(kept) == _STARTS:
            break
    return kept


def _by_slice(
    candidates: Sequence[Candidate], numbers: Sequence[float]
) -> tuple[tuple[float, float], ...]:
    best: dict[int, float] = {}
    for c in candidates:
        best[c.slice_number] = max(best.get(c.slice_number, -np.inf), c.score)
    return tuple((numbers[k], best[k]) for k in sorted(best))


def _is_alike(a: Candidate, b: Candidate) -> bool:
    if a.is_flipped != b.is_flipped or abs(a.slice_number - b.slice_number) > 1:
        return False
    return _angle_between(a.pose.linear, b.pose.linear) < SAME_ANGLE_DEGREES


def _angle_between(a: FloatArray, b: FloatArray) -> float:
    turn = a @ np.linalg.inv(b)
    return float(np.rad2deg(np.abs(np.arctan2(turn[0, 1] - turn[1, 0], turn[0, 0] + turn[1, 1]))))
