"""A section's slice found in a volume by intensity, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..image import SpatialImage
from ..progress import Progress, Silent
from ..transform import SectionPlacement
from .section_candidates import Ranking, rankings
from .section_confidence import SURE, depth_profile, doubts, is_elsewhere, lead_over
from .section_likeness import Freedom, Prior, Scene, improved, information
from .section_pictures import FindOptions, Pictures, load_pictures, scene_of, slice_number
from .section_pose import Nodes, SectionPose
from .section_shading import without_shading
from .working_image import WorkingImage

FloatArray = NDArray[np.float64]

# how many places are stretched, and how many of these are bent
_STRETCHED = 4
_FINISHED = 2
# depths (voxels) and tilts from where the best place is improved again
_SHAKE_VOXELS = (-1.5, 0.0, 1.5)
_SHAKE_DEGREES = ((0.0, 0.0), (-4.0, -4.0), (-4.0, 4.0), (4.0, -4.0), (4.0, 4.0))
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

    Every slice, turn (in steps), side and shift is tried at low resolution, the best of them tilted
    and improved at higher ones, the best of these stretched and bent within the plane. That is done
    with the pictures as they are and without what varies slowly in them, as shading does; what
    counts is the one in which the best place is farther ahead of all others.

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
    prior = prior_of(section, volume, options)
    if options.start is not None:
        choice = Ranking(pictures, (options.start,), None, ())
        rival: Ranking | None = None
    else:
        looks = (pictures, without_shading(pictures))
        choice, rival = rankings(looks, options, watched)
        pictures = choice.pictures
    watched.begin("Improving the best places", _STRETCHED + _FINISHED + 2)
    stretched = []
    for pose in choice.poses[:_STRETCHED]:
        scene = scene_of(pictures.coarse, pictures.volume, options, pose)
        better = pose
        if options.start is None:
            better = improved(scene, pose, _plain(options), prior, fix_plane=options.fix_plane)
        stretched.append((information(scene, better), better))
        watched.advance()
    stretched.sort(key=lambda item: -item[0])
    others = [*(pose for _, pose in stretched[1:]), *choice.poses[_STRETCHED:]]
    ends = [_ending(pictures, pose, prior, options) for _, pose in stretched[:_FINISHED]]
    ends.sort(key=lambda item: -item[0])
    best = ends[0][1]
    others += [pose for _, pose in ends[1:]]
    if options.start is None and not options.fix_plane:
        scene = scene_of(pictures.coarse, pictures.volume, options, best)
        again = _ending(pictures, shaken(scene, best, prior, options), prior, options)
        if again[0] > ends[0][0]:
            best, others = again[1], [*others, best]
    lead = _lead(pictures, best, others, options)
    pose = finished(pictures.fine, pictures.volume, best, prior, options)
    watched.advance()
    scene = scene_of(pictures.fine, pictures.volume, options, pose)
    depths, profile, sd = depth_profile(scene, pose)
    watched.advance()
    number = slice_number(pictures, pose, scene)
    found = information(scene, pose)
    placement = pose.placement(options.thickness_um)
    told = doubts(found, lead, sd, depths, profile, pictures, number)
    is_disputed = rival is not None and (rival.lead or 0.0) >= SURE
    if rival is not None and is_disputed and is_elsewhere(scene, pose, rival.poses[0], options):
        told.append(
            "the slice is doubtful: with and without slow changes of brightness the images tell "
            "two different places: look at the overlay, or place landmarks"
        )
    return FoundSection(
        placement, pose, found, number, sd, lead, depths, profile, choice.tried, tuple(told)
    )


def _ending(
    pictures: Pictures, pose: SectionPose, prior: Prior, options: FindOptions
) -> tuple[float, SectionPose]:
    better = finished(pictures.coarse, pictures.volume, pose, prior, options)
    scene = scene_of(pictures.coarse, pictures.volume, options, better)
    return information(scene, better), better


def _lead(
    pictures: Pictures, best: SectionPose, others: Sequence[SectionPose], options: FindOptions
) -> float | None:
    scene = scene_of(pictures.coarse, pictures.volume, options, best)
    elsewhere = [pose for pose in others if is_elsewhere(scene, best, pose, options)]
    return min((lead_over(scene, best, pose) for pose in elsewhere), default=None)


def settled(scene: Scene, pose: SectionPose, prior: Prior, fix_plane: bool = False) -> SectionPose:
    """The best rigid pose nearby; twice, since tilting the plane stretches what lies in it."""
    centre = scene.points_um.mean(axis=0)
    for _ in range(2):
        pose = improved(scene, pose, "rigid", prior, fix_plane=fix_plane).as_rigid(centre)
    return pose


def shaken(scene: Scene, pose: SectionPose, prior: Prior, options: FindOptions) -> SectionPose:
    """The best of what is found from other depths and tilts about a pose.

    Structures as fine as the steps hide the way from a plane to a better one.
    """
    along = 1 / float(np.abs(scene.grid.world_to_index[:3, :3] @ pose.plane.normal).max())
    slopes = np.tan(np.deg2rad(_SHAKE_DEGREES))
    begun = replace(pose, nodes=None, bend_um=None)
    best, most = begun, information(scene, begun)
    middle = begun.within(scene.points_um.mean(axis=0)[None])[0]
    for depth in _SHAKE_VOXELS:
        for slope in slopes:
            tried = begun.sheared(depth * along - float(middle @ slope), *slope)
            tried = improved(scene, tried, _plain(options), prior, most_steps=_QUICK_STEPS)
            found = information(scene, tried)
            if found > most:
                most, best = found, tried
    return best


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
