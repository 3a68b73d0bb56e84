"""How sure a section's place is: its depth, and whether another place is as likely."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .section_likeness import Scene, likeness
from .section_pictures import FindOptions, Pictures
from .section_pose import SectionPose

FloatArray = NDArray[np.float64]

SAME_ANGLE_DEGREES = 25.0
SURE = 3.0
"""Standard errors ahead of the next best place; below it a place is told as doubtful."""
_TILES = 6
_RESAMPLES = 400
_SEED = 0
# of a voxel: what interpolation between slices hides
_HIDDEN_SHARE = 0.15
_LEAST_INFORMATION = 0.02


def depth_profile(scene: Scene, pose: SectionPose) -> tuple[FloatArray, FloatArray, float]:
    """Information at depths about a pose, and the standard deviation of the best depth."""
    along = 1 / float(np.abs(scene.grid.world_to_index[:3, :3] @ pose.plane.normal).max())
    reach = max(6 * along, float(np.ptp(scene.offsets_um)) * 1.5)
    depths = np.linspace(-reach, reach, 49)
    basis = None if pose.nodes is None else pose.nodes.basis(scene.points_um)
    tiles = _tiles(scene)
    n_tiles = int(tiles.max()) + 1
    sums = np.empty((len(depths), n_tiles))
    for k, depth in enumerate(depths):
        shifted = replace(pose, plane=pose.plane.shifted(float(depth)))
        parts = np.nan_to_num(likeness(scene, shifted, basis))
        sums[k] = np.bincount(tiles, parts, minlength=n_tiles)
    profile = sums.sum(axis=1) / len(scene.points_um)
    rng = np.random.default_rng(_SEED)
    counts = rng.multinomial(n_tiles, np.full(n_tiles, 1 / n_tiles), size=_RESAMPLES)
    drawn = counts @ sums.T
    best = np.array([_peak(depths, values) for values in drawn])
    return depths, profile, float(np.hypot(best.std(ddof=1), _HIDDEN_SHARE * along))


def is_elsewhere(
    scene: Scene, a: SectionPose, b: SectionPose, options: FindOptions, share: float = 1.0
) -> bool:
    """Whether two poses are different answers, not the same one found twice."""
    axes_a = a.plane.axes[:, 1:] @ a.linear
    axes_b = b.plane.axes[:, 1:] @ b.linear
    cosine = float(np.sum(axes_a * axes_b)) / float(np.linalg.norm(axes_a) * np.linalg.norm(axes_b))
    if cosine < np.cos(np.deg2rad(SAME_ANGLE_DEGREES * share)):
        return True
    middle = scene.points_um.mean(axis=0)[None]
    world = [p.plane.points(np.column_stack([[0.0], p.within(middle)])) for p in (a, b)]
    off = abs(float(a.plane.place(world[1])[0, 0]))
    along = 1 / float(np.abs(scene.grid.world_to_index[:3, :3] @ a.plane.normal).max())
    return off > share * max(2 * along, options.thickness_um)


def lead_over(scene: Scene, best: SectionPose, other: SectionPose) -> float:
    """By how many standard errors over the section's tiles one pose is likelier than another."""
    gain = np.nan_to_num(likeness(scene, best)) - np.nan_to_num(likeness(scene, other))
    tiles = _tiles(scene)
    sums = np.bincount(tiles, gain)
    n = len(sums)
    error = float(sums.std(ddof=1)) * np.sqrt(n)
    return float(sums.sum() / max(error, 1e-12))


def _tiles(scene: Scene) -> NDArray[np.intp]:
    """Which of some six times six tiles each pixel lies in; empty ones are not counted."""
    low, high = scene.points_um.min(axis=0), scene.points_um.max(axis=0)
    cell = np.clip(((scene.points_um - low) / (high - low) * _TILES).astype(int), 0, _TILES - 1)
    _, numbers = np.unique(cell[:, 0] * _TILES + cell[:, 1], return_inverse=True)
    return np.asarray(numbers.ravel())


def _peak(depths: FloatArray, values: FloatArray) -> float:
    """Where a curve is highest, between its points too."""
    k = int(np.argmax(values))
    if not 0 < k < len(depths) - 1:
        return float(depths[k])
    a, b, c = values[k - 1 : k + 2]
    bend = a - 2 * b + c
    shift = 0.5 * (a - c) / bend if bend < 0 else 0.0
    return float(depths[k] + shift * (depths[1] - depths[0]))


def doubts(
    found: float,
    lead: float | None,
    sd: float,
    depths: FloatArray,
    profile: FloatArray,
    pictures: Pictures,
    number: float | None,
) -> list[str]:
    told = []
    if found < _LEAST_INFORMATION:
        told.append(
            f"section and volume tell hardly anything of each other there ({found:.3f} nats per "
            f"pixel): look at the overlay, or place landmarks"
        )
    if lead is not None and lead < SURE:
        told.append(
            f"the slice is doubtful: another slice, side or turn is nearly as likely (lead "
            f"{lead:.1f} standard errors, {SURE:g} or more are safe): look at the overlay, say "
            f"which slice it is near to, or place landmarks"
        )
    peak = abs(_peak(depths, profile))
    if peak > 0.9 * depths[-1]:
        told.append("the likeness still grows with depth: the section may lie on another slice")
    if number is not None and len(pictures.numbers) > 2:
        first, last = pictures.numbers[0], pictures.numbers[-1]
        if not first - 0.5 <= number <= last + 0.5:
            told.append(f"it came to lie on slice {number:.1f}, outside those that were asked for")
    if sd > depths[-1] / 3:
        told.append(f"its depth is hardly known (standard deviation {sd:.0f} um)")
    return told
