"""A section's slice found in a volume by intensity, and how sure that is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RefineError
from ..image import SpatialImage
from ..progress import Progress, Silent
from ..transform import SectionPlacement
from .section_confidence import SAME_ANGLE_DEGREES, depth_profile, doubts, is_elsewhere, lead_over
from .section_likeness import Freedom, Prior, Scene, improved, information, make_scene
from .section_pictures import FindOptions, Pictures, load_pictures, scene_of, slice_number
from .section_pose import Nodes, SectionPose
from .section_search import Candidate, search
from .working_image import WorkingImage

FloatArray = NDArray[np.float64]

# candidates that are tried at other tilts, the tilts, and how many of all are improved
_LEANED = 24
_LEANS_DEGREES = (-12.0, -6.0, 0.0, 6.0, 12.0)
_LEANS_KEPT = 3
_STARTS = 8
# of these, how many are shaken: the depths (voxels) and tilts, how often, for what gain (nats)
_SHAKEN = 2
_SHAKE_VOXELS = (-3.0, -1.5, 0.0, 1.5, 3.0)
_SHAKE_DEGREES = 5.0
_SHAKES = 2
_WORTH_IT = 0.005
_QUICK_STEPS = 15
_NODES_ALONG = 7
_VOXELS_BETWEEN_NODES = 4.0
_BEND_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class FoundSection:
    """A section's place by intensity.

    Parameters
    ----------
    placement : SectionPlacement
        Section world to volume world.
    pose : SectionPose
    information : float
        Mutual information at it, nats per pixel.
    slice_number : float or None
        Of the volume, where the section's middle lies; None where slices were not tried.
    depth_sd_um : float
        How well the depth is known: of the best depth, when parts of the section are drawn again
        and again (bootstrap of tiles), and a part of a voxel that interpolation hides.
    lead : float or None
        How far the best place is ahead of the next best one that is another slice, side or turn, in
        standard errors over the section's tiles; None where no other was tried.
    profile_um, profile : (d,) float64
        Depths from the found plane, and the mutual information there.
    tried : tuple of (float, float)
        Slice number and best score of every slice that was tried.
    warnings : tuple of str
    """

    placement: SectionPlacement
    pose: SectionPose
    information: float
    slice_number: float | None
    depth_sd_um: float
    lead: float | None
    profile_um: FloatArray
    profile: FloatArray
    tried: tuple[tuple[float, float], ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: what stands beside the transform."""
        return {
            "by": "intensity",
            "information_nats": self.information,
            "slice": self.slice_number,
            "depth_sd_um": self.depth_sd_um,
            "lead": self.lead,
            "profile": [
                {"depth_um": float(d), "information_nats": float(v)}
                for d, v in zip(self.profile_um, self.profile, strict=True)
            ],
            "slices_tried": [{"slice": n, "score": s} for n, s in self.tried],
            "warnings": list(self.warnings),
        }


def find_section(
    section: SpatialImage,
    volume: SpatialImage,
    options: FindOptions | None = None,
    progress: Progress | None = None,
) -> FoundSection:
    """Find where a section lies in a volume, by mutual information.

    Every slice, turn (in steps), side and shift is tried at low resolution; the best of them are
    improved (depth, tilt, turn, shift), the best of these is stretched and bent within the plane.

    Parameters
    ----------
    section : SpatialImage
        Flat, (1, y, x).
    volume : SpatialImage
    options : FindOptions, optional
    progress : Progress, optional

    Raises
    ------
    RefineError
        If the images hold nothing to compare, or do not overlap.
    """
    options = options or FindOptions()
    watched = progress or Silent()
    pictures = load_pictures(section, volume, options)
    tried: tuple[tuple[float, float], ...] = ()
    lead: float | None = None
    if options.start is not None:
        poses = [options.start]
    else:
        candidates = search_slices(pictures, options, watched)
        if pictures.axis is not None:
            tried = _by_slice(candidates, pictures.numbers)
        poses = leaned(pictures, distinct(candidates, _LEANED), options, watched)
    watched.begin("Improving the best places", len(poses) + min(len(poses), _SHAKEN) + 2)
    prior = prior_of(section, volume, options)
    stretched = []
    for pose in poses:
        scene = scene_of(pictures.coarse, pictures.volume, options, pose)
        better = pose
        if options.start is None:
            better = improved(scene, pose, _plain(options), prior, fix_plane=options.fix_plane)
        stretched.append((information(scene, better), better))
        watched.advance()
    stretched.sort(key=lambda item: -item[0])
    ranked = []
    for _, pose in stretched[:_SHAKEN]:
        better = pose
        if options.start is None and not options.fix_plane:
            better = shaken(
                scene_of(pictures.coarse, pictures.volume, options, pose), pose, prior, options
            )
        better = finished(pictures.coarse, pictures.volume, better, prior, options)
        scene = scene_of(pictures.coarse, pictures.volume, options, better)
        ranked.append((information(scene, better), better))
        watched.advance()
    ranked.sort(key=lambda item: -item[0])
    best = ranked[0][1]
    scene = scene_of(pictures.coarse, pictures.volume, options, best)
    others = [pose for _, pose in ranked[1:] if is_elsewhere(scene, best, pose, options)]
    others += [p for _, p in stretched[_SHAKEN:] if is_elsewhere(scene, best, p, options)]
    if others:
        lead = min(lead_over(scene, best, other) for other in others)
    pose = finished(pictures.fine, pictures.volume, best, prior, options)
    watched.advance()
    scene = scene_of(pictures.fine, pictures.volume, options, pose)
    depths, profile, sd = depth_profile(scene, pose)
    watched.advance()
    number = slice_number(pictures, pose, scene)
    found = information(scene, pose)
    placement = pose.placement(options.thickness_um)
    return FoundSection(
        placement, pose, found, number, sd, lead, depths, profile, tried,
        tuple(doubts(found, lead, sd, depths, profile, pictures, number)),
    )  # fmt: skip


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


def settled(scene: Scene, pose: SectionPose, prior: Prior, fix_plane: bool = False) -> SectionPose:
    """The best rigid pose nearby; twice, since tilting the plane stretches what lies in it."""
    centre = scene.points_um.mean(axis=0)
    for _ in range(2):
        pose = improved(scene, pose, "rigid", prior, fix_plane=fix_plane).as_rigid(centre)
    return pose


def shaken(scene: Scene, pose: SectionPose, prior: Prior, options: FindOptions) -> SectionPose:
    """The best of what is found from other depths and tilts about a pose, again and again.

    Structures as fine as the steps hide the way from a plane to a better one.
    """
    along = 1 / float(np.abs(scene.grid.world_to_index[:3, :3] @ pose.plane.normal).max())
    lean = float(np.tan(np.deg2rad(_SHAKE_DEGREES)))
    best = information(scene, pose)
    for _ in range(_SHAKES):
        middle = pose.within(scene.points_um.mean(axis=0)[None])[0]
        before, begun = best, pose
        for depth in _SHAKE_VOXELS:
            for slope in itertools.product((-lean, 0.0, lean), repeat=2):
                tried = begun.sheared(depth * along - float(middle @ slope), *slope)
                tried = improved(scene, tried, _plain(options), prior, most_steps=_QUICK_STEPS)
                found = information(scene, tried)
                if found > best:
                    best, pose = found, tried
        if best < before + _WORTH_IT:
            break
    return pose


def finished(
    section: WorkingImage,
    volume: WorkingImage,
    pose: SectionPose,
    prior: Prior,
    options: FindOptions,
) -> SectionPose:
    """The pose improved with all the freedom that is wanted."""
    scene = scene_of(section, volume, options, pose)
    fixed = options.fix_plane
    if options.freedom == "rigid":
        return settled(scene, pose, prior, fixed)
    if pose.nodes is None:
        pose = improved(scene, pose, "affine", prior, fix_plane=fixed)
    if options.freedom == "bent":
        if pose.nodes is None:
            nodes = nodes_of(scene)
            pose = replace(pose, nodes=nodes, bend_um=np.zeros((len(nodes.places_um), 2)))
        pose = improved(scene, pose, "bent", prior, fix_plane=fixed, most_steps=100)
    return pose


def _plain(options: FindOptions) -> Freedom:
    return "rigid" if options.freedom == "rigid" else "affine"


def prior_of(section: SpatialImage, volume: SpatialImage, options: FindOptions) -> Prior:
    """What is known of bends and landmarks."""
    sizes = [
        n * s for n, s in zip(section.grid.shape[1:], section.grid.voxel_size_um[1:], strict=True)
    ]
    bend = _BEND_SHARE * max(sizes) if options.bend_um is None else options.bend_um
    voxel = float(np.median(volume.grid.voxel_size_um))
    length = 1.5 * max(max(sizes) / _NODES_ALONG, _VOXELS_BETWEEN_NODES * voxel)
    return Prior(bend, length, options.landmarks, options.landmark_um or voxel)


def nodes_of(scene: Scene) -> Nodes:
    """A regular grid of nodes over the section's pixels."""
    low, high = scene.points_um.min(axis=0), scene.points_um.max(axis=0)
    voxel = float(np.median(scene.grid.voxel_size_um))
    apart = max(float((high - low).max()) / (_NODES_ALONG - 1), _VOXELS_BETWEEN_NODES * voxel)
    counts = np.maximum(np.round((high - low) / apart).astype(int) + 1, 3)
    axes = [np.linspace(a, b, n) for a, b, n in zip(low, high, counts, strict=True)]
    return Nodes(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2))


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
