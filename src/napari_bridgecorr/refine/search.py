"""Where to start without landmarks: all rotations and places are tried, the best are refined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Cancelled, RefineError
from ..image import SpatialImage
from ..progress import Progress, Silent
from ..transform import Affine
from .linear_match import (
    Comparison,
    LinearMatch,
    LinearModel,
    corner_distance,
    mapped_corners,
    match_linear,
)
from .pose import Pose, poses, rotations
from .structure import Structure, cubic_grid, structure_of

FloatArray = NDArray[np.float64]

WINDOW_RADIUS = 3
"""Voxels; at every resolution, so that coarse structure is compared first."""

_DIFFERENT = 0.12  # of the fixed image's size: poses farther apart than this are not the same
_MOST_STRETCH = 1.6  # along any axis, beyond which an affine is not believed
_CLEAR_MARGIN = 0.15
_CLEAR_SIGMAS = 4.0


@dataclass(frozen=True)
class _Plan:
    """Sizes of the search."""

    longest: int  # voxels along the longest axis, at the finest resolution
    coarse: int  # at most, where everything is tried
    step_degrees: float
    tried: int  # poses that are refined
    kept: int  # of them at the next resolutions


_FLAT = _Plan(256, 64, 6.0, 24, 6)
_SOLID = _Plan(72, 24, 26.0, 24, 5)


@dataclass(frozen=True)
class StartCandidate:
    """One pose that was refined.

    Parameters
    ----------
    transform : Affine
        Fixed to moving world.
    score : float
        Agreement, 0-1: mean squared local correlation times the root of the overlap.
    overlap : float
        Share of the fixed image that the moving one covers.
    """

    transform: Affine
    score: float
    overlap: float

    @property
    def is_mirrored(self) -> bool:
        """Whether it turns the image over."""
        return bool(np.linalg.det(self.transform.matrix[:3, :3]) < 0)


@dataclass(frozen=True)
class StartResult:
    """What :func:`find_start` found.

    Parameters
    ----------
    candidates : tuple of StartCandidate
        The best first; each far from those before it.
    margin : float
        How much better the best one's score is than the next different one's: 0.5 is half as much
        again.
    sigmas : float
        The best score's distance from the wrong poses' mean, in their standard deviations.
    is_complete : bool
        False where it was cancelled before all had been tried.
    """

    candidates: tuple[StartCandidate, ...]
    margin: float
    sigmas: float
    is_complete: bool = True

    @property
    def transform(self) -> Affine:
        """The best start, fixed to moving world."""
        return self.candidates[0].transform

    @property
    def is_clear(self) -> bool:
        """Whether the best start stands out from all others."""
        return self.margin >= _CLEAR_MARGIN and self.sigmas >= _CLEAR_SIGMAS and self.is_complete

    @property
    def confidence(self) -> float:
        """0-1: 0.5 at the limit of :attr:`is_clear`, near 1 where nothing else comes close."""
        strength = min(self.margin / _CLEAR_MARGIN, self.sigmas / _CLEAR_SIGMAS)
        found = strength**2 / (1 + strength**2) if strength > 0 else 0.0
        return float(found if self.is_complete else min(found, 0.49))

    @property
    def verdict(self) -> str:
        """The same in words."""
        if not self.is_complete:
            return "the search was stopped early: this is the best start of those tried so far"
        if self.is_clear:
            return (
                f"the match is clear: {self.margin:.0%} better than any different one, "
                f"{self.sigmas:.1f} standard deviations above wrong ones"
            )
        return (
            f"the match is DOUBTFUL: only {max(self.margin, 0):.0%} better than a different one "
            f"({self.sigmas:.1f} standard deviations above wrong ones). Look at the overlay before "
            f"you use it; two or three landmarks settle it"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "confidence": self.confidence,
            "is_clear": self.is_clear,
            "margin": self.margin,
            "sigmas": self.sigmas,
            "is_complete": self.is_complete,
            "verdict": self.verdict,
            "candidates": [
                {
                    "matrix": c.transform.matrix.tolist(),
                    "score": c.score,
                    "overlap": c.overlap,
                    "mirrored": c.is_mirrored,
                }
                for c in self.candidates
            ],
        }


def find_start(
    fixed: SpatialImage,
    moving: SpatialImage,
    *,
    fixed_channel: str | int | None = None,
    moving_channel: str | int | None = None,
    fixed_mask: SpatialImage | None = None,
    moving_mask: SpatialImage | None = None,
    model: LinearModel = "affine",
    allow_mirror: bool = False,
    progress: Progress | None = None,
) -> StartResult:
    """Register two images without landmarks or any idea of their poses.

    Parameters
    ----------
    fixed, moving : SpatialImage
        Both flat, or both volumes. Of one sample; stains, contrasts and sizes may differ.
    fixed_channel, moving_channel : str or int, optional
        By default the whole of a colour picture, else the first channel.
    fixed_mask, moving_mask : SpatialImage, optional
        What counts (not 0).
    model : {"rigid", "similarity", "affine"}
        Of the result. Where a voxel size is not known, a rigid map has the scale that fits.
    allow_mirror : bool
        Also try the moving image turned over.
    progress : Progress, optional
        Where it cancels, the best start so far is given back, if there is one.

    Returns
    -------
    StartResult

    Raises
    ------
    RefineError
        If the images cannot be compared: one flat and one not, or without any structure.
    Cancelled
        If it was cancelled before any start was found.

    Notes
    -----
    All rotations (6 degrees apart in a plane, 26 in space) and all displacements are compared at
    low resolution by Fourier transforms (:mod:`.pose`); the best different ones are refined by the
    squared local correlation (:mod:`.linear_match`) and go on to higher resolutions.
    """
    progress = progress or Silent()
    is_flat = fixed.grid.shape[0] == 1
    if is_flat != (moving.grid.shape[0] == 1):
        raise RefineError(
            "one image is flat and the other is a volume: place the section in the volume first, "
            "with `bridgecorr place-section`"
        )
    plan = _FLAT if is_flat else _SOLID
    pyramid = structure_pyramids(
        fixed,
        moving,
        plan.longest,
        plan.coarse,
        channels=(fixed_channel, moving_channel),
        masks=(fixed_mask, moving_mask),
    )
    search = _Search(pyramid, plan, model, progress)
    turns = _turns(fixed, moving, pyramid, plan, allow_mirror)
    return search.run(turns)


def structure_pyramids(
    fixed: SpatialImage,
    moving: SpatialImage,
    longest: int,
    coarse: int,
    *,
    channels: tuple[str | int | None, str | int | None] = (None, None),
    masks: tuple[SpatialImage | None, SpatialImage | None] = (None, None),
) -> list[tuple[Structure, Structure]]:
    """Both images at one step, the finest first, each level half the one before.

    Where a voxel size is not known and the images' sizes differ widely, the moving image's step is
    such that both have the same number of voxels.
    """
    steps = []
    for image in (fixed, moving):
        grid = cubic_grid(image.grid, longest)
        steps.append(max(grid.voxel_size_um[1:]) if grid.shape[0] == 1 else grid.voxel_size_um[0])
    is_known = all(fixed.voxel_size_known[1:]) and all(moving.voxel_size_known[1:])
    if is_known or 0.7 < steps[0] / steps[1] < 1.4:
        steps = [max(steps)] * 2
    pair = (
        structure_of(fixed, longest, step_um=steps[0], channel=channels[0], mask=masks[0]),
        structure_of(moving, longest, step_um=steps[1], channel=channels[1], mask=masks[1]),
    )
    found = [pair]
    while max(*found[-1][0].values.shape, *found[-1][1].values.shape) > 1.4 * coarse:
        found.append((found[-1][0].halved(), found[-1][1].halved()))
    return found


def world_matrix(matrix: FloatArray, pair: tuple[Structure, Structure]) -> FloatArray:
    """Fixed world to moving world, of fixed index to moving index."""
    fixed, moving = pair
    return moving.grid.index_to_world @ matrix @ fixed.grid.world_to_index


def index_matrix(matrix: FloatArray, pair: tuple[Structure, Structure]) -> FloatArray:
    """Fixed index to moving index, of fixed world to moving world."""
    fixed, moving = pair
    return moving.grid.world_to_index @ matrix @ fixed.grid.index_to_world


def _turns(
    fixed: SpatialImage,
    moving: SpatialImage,
    pyramid: Sequence[tuple[Structure, Structure]],
    plan: _Plan,
    allow_mirror: bool,
) -> list[FloatArray]:
    is_flat = fixed.grid.shape[0] == 1
    found = rotations(is_flat, allow_mirror, plan.step_degrees)
    # in the indices, a map that keeps the world's handedness may have to change that of the axes
    pair = pyramid[-1]
    if np.linalg.det(world_matrix(np.diag([1.0, 1, 1, 1]), pair)[:3, :3]) < 0:
        flip = np.diag([1.0, 1.0, -1.0])
        found = [turn @ flip for turn in found]
    if all(fixed.voxel_size_known[1:]) and all(moving.voxel_size_known[1:]):
        return found
    sizes = [float(s.tissue.sum()) ** (0.5 if is_flat else 1 / 3) for s in pair]
    ratio = sizes[1] / sizes[0]
    scales = [1.0]
    if pair[0].is_positive and pair[1].is_positive and 0.5 < ratio < 2:
        scales += [ratio] if abs(np.log(ratio)) > 0.1 else []
    scaled = []
    for scale in scales:
        stretch = np.diag([1.0 if is_flat else scale, scale, scale])
        scaled += [turn @ stretch for turn in found]
    return scaled


class _Search:
    """One search: exhaustive at the coarsest level, then fewer and fewer candidates."""

    def __init__(
        self,
        pyramid: Sequence[tuple[Structure, Structure]],
        plan: _Plan,
        model: LinearModel,
        progress: Progress,
    ) -> None:
        self._pyramid = pyramid
        self._plan = plan
        self._model = model
        self._progress = progress
        self._scored: list[LinearMatch] = []  # at the coarsest level
        self._best: list[tuple[int, LinearMatch]] = []  # level and match, at the finest so far

    def run(self, turns: Sequence[FloatArray]) -> StartResult:
        try:
            self._try(turns)
            self._climb()
        except Cancelled:
            if not self._best:
                raise
            return self._result(is_complete=False)
        return self._result(is_complete=True)

    def _try(self, turns: Sequence[FloatArray]) -> None:
        """Poses from the coarsest level, refined there."""
        level = len(self._pyramid) - 1
        pair = self._pyramid[level]
        found: list[Pose] = []
        self._progress.begin("trying rotations", len(turns))
        for some in poses(*pair, turns):
            found += some
            self._progress.advance()
        found.sort(key=lambda p: -p.score)
        tried = self._distinct([p.matrix for p in found], level, 0.5, self._plan.tried)
        if not tried:
            raise RefineError(
                "the images share no structure at any rotation; choose other channels, or set "
                "two or three landmarks"
            )
        comparison = Comparison(*pair, WINDOW_RADIUS)
        self._progress.begin("refining the best starts", len(tried))
        for matrix in tried:
            match = match_linear(comparison, matrix, "rigid", 12)
            if self._model != "rigid":
                match = self._bent(comparison, match, 12)
            self._scored.append(match)
            self._scored.sort(key=lambda m: -m.score)
            self._best = [(level, m) for m in self._scored]
            self._progress.advance()

    def _climb(self) -> None:
        """The best candidates at one finer level after another."""
        coarsest = len(self._pyramid) - 1
        order = self._distinct([m.matrix for m in self._scored], coarsest, 1.0, self._plan.kept)
        kept = [world_matrix(m, self._pyramid[coarsest]) for m in order]
        self._progress.begin("refining at higher resolution", coarsest)
        for level in range(coarsest - 1, -1, -1):
            pair = self._pyramid[level]
            comparison = Comparison(*pair, WINDOW_RADIUS)
            found = []
            for world in kept if level >= coarsest - 1 else kept[:1]:
                start = index_matrix(world, pair)
                found.append(self._bent(comparison, LinearMatch(start, 0.0, 0.0), 20))
            found.sort(key=lambda m: -m.score)
            kept = [world_matrix(m.matrix, pair) for m in found]
            if level == coarsest - 1:
                self._best = [(level, m) for m in found]
            else:
                self._best[0] = (level, found[0])
            self._progress.advance()

    def _bent(self, comparison: Comparison, match: LinearMatch, iterations: int) -> LinearMatch:
        """The match with the search's own model, unless that stretches too far."""
        found = match_linear(comparison, match.matrix, self._model, iterations)
        stretches = np.linalg.svd(found.matrix[:3, :3], compute_uv=False)
        before = np.linalg.svd(match.matrix[:3, :3], compute_uv=False)
        ratio = stretches / before
        if ratio.max() > _MOST_STRETCH or ratio.min() < 1 / _MOST_STRETCH:
            return comparison.evaluate(match.matrix)
        return found

    def _distinct(
        self, matrices: Sequence[FloatArray], level: int, share: float, most: int
    ) -> list[FloatArray]:
        """The first so many that are no near copy of one before."""
        shape = np.asarray(self._pyramid[level][0].values.shape)
        least = share * _DIFFERENT * float(np.linalg.norm(shape[shape > 1]))
        found: list[FloatArray] = []
        places: list[FloatArray] = []
        for matrix in matrices:
            place = mapped_corners(matrix, shape)
            gaps = np.array([np.mean(np.sum((place - p) ** 2, axis=1)) for p in places])
            if not places or gaps.min() > least**2:
                found.append(matrix)
                places.append(place)
                if len(found) == most:
                    break
        return found

    def _result(self, is_complete: bool) -> StartResult:
        """The candidates that differ, all judged at one resolution."""
        level = max(0, len(self._pyramid) - 2)
        pair = self._pyramid[level]
        comparison = Comparison(*pair, WINDOW_RADIUS)
        shape = np.asarray(pair[0].values.shape)
        least = _DIFFERENT * float(np.linalg.norm(shape[shape > 1]))
        judged: list[LinearMatch] = []
        coarsest = len(self._pyramid) - 1
        for at, match in [*self._best, *((coarsest, m) for m in self._scored)]:
            matrix = index_matrix(world_matrix(match.matrix, self._pyramid[at]), pair)
            if all(corner_distance(matrix, m.matrix, shape) > least for m in judged):
                judged.append(comparison.evaluate(matrix))
        right, wrong = judged[0], sorted(judged[1:], key=lambda m: -m.score)
        margin, sigmas = _standing(right.score, np.array([m.score for m in wrong]))
        candidates = tuple(
            StartCandidate(Affine(world_matrix(m.matrix, pair)), m.score, m.overlap)
            for m in [right, *wrong]
        )
        return StartResult(candidates, margin, sigmas, is_complete)


def _standing(right: float, wrong: FloatArray) -> tuple[float, float]:
    """How far a score stands out from those of wrong poses: share of the best, and sigmas."""
    if wrong.size < 2:
        return (1.0, 2 * _CLEAR_SIGMAS) if right > 0 else (0.0, 0.0)
    spread = max(float(wrong.std()), 1e-3 * right, 1e-9)
    margin = right / max(float(wrong.max()), 1e-9) - 1
    return float(margin), float((right - wrong.mean()) / spread)
