"""Whether a refinement helps: asked of the images elsewhere, and of landmarks that it did not see.

Two questions. Do the images match at the map at all, better than at maps that are shifted by some
voxels? Noise, the wrong channel and a wrong start match nowhere. And are landmarks that were left
out predicted better afterwards? Without landmarks, parts of the images are left out instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError, RefineError
from ..fitting.diagnostics import number_or_none
from ..landmarks import LandmarkPairs
from ..transform import Transform
from .evidence import ImageEvidence

FloatArray = NDArray[np.float64]
PointMap = Callable[[FloatArray], FloatArray]

FOLDS = 4
# the match at the map must be better than at any shifted map, and stand out of them by so many of
# their standard deviations; unrelated images reach 1 and are nowhere near the best of 24
LEAST_MATCH = 1.5
# without landmarks: the drop of the residual in left-out parts, over its standard error
LEAST_GAIN = 2.0
_SHIFTS = 24
_SHIFT_VOXELS = (3.0, 4.0)
# where left-out landmarks are predicted worse by the whole step, it is gone as far as they ask for,
# in these parts; a smaller part is not worth it
_PARTS, _LEAST_SHARE = 8, 0.25
MEANING = (
    "errors at landmarks that took no part, neither in the map before nor in the refined one; "
    "their own localisation error is part of it"
)


@dataclass(frozen=True, eq=False)
class CrossCheck:
    """What was found.

    Parameters
    ----------
    match : float
        How far the images' match stands out of those at shifted maps, in their standard
        deviations; 0 where a shifted map matches as well.
    before_um, after_um : (n, 3) float64
        Errors of the predictions of left-out landmarks; no rows without landmarks. The latter after
        `share` of the step.
    gain : float
        Without landmarks: mean drop of the squared residual of left-out parts of the images over
        its standard error; else NaN.
    share : float
        How far the step from the start to the refined map is to be gone (0-1].
    """

    match: float
    before_um: FloatArray
    after_um: FloatArray
    gain: float
    share: float = 1.0

    @property
    def before_rms_um(self) -> float:
        """Of the start map, in 3-D; NaN without landmarks."""
        return _rms(self.before_um)

    @property
    def after_rms_um(self) -> float:
        """Of the refined map."""
        return _rms(self.after_um)

    @property
    def fault(self) -> str | None:
        """Why the refined map is not to be used; None if it is."""
        if not self.match >= LEAST_MATCH:
            return (
                "the images do not match here better than elsewhere, so they tell nothing; try "
                "another channel, or start from a better map"
            )
        if not len(self.before_um):
            if self.gain >= LEAST_GAIN:
                return None
            return "parts of the images that were left out do not agree better afterwards"
        if not self.after_rms_um <= self.before_rms_um:
            return (
                f"landmarks that were left out are predicted worse afterwards (RMS "
                f"{self.after_rms_um:.3g} um, before {self.before_rms_um:.3g} um)"
            )
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "meaning": MEANING,
            "folds": FOLDS,
            "landmarks": len(self.before_um),
            "image_match_in_standard_deviations": number_or_none(self.match),
            "image_gain_in_standard_errors": number_or_none(self.gain),
            "share_of_the_step": self.share,
            "passed": self.fault is None,
        }


def cross_check(
    images: ImageEvidence,
    start: Transform,
    pairs: LandmarkPairs | None,
    refit: Callable[[LandmarkPairs], Transform] | None,
    refine: Callable[[Transform, LandmarkPairs | None, NDArray[np.int64] | None], PointMap],
    on_fold: Callable[[], None] | None = None,
    seed: int = 0,
) -> CrossCheck:
    """Refine four times, each time without a quarter of the landmarks (or of the image's cells).

    Where the images do not match at all, nothing is refined.

    Parameters
    ----------
    images : ImageEvidence
    start : Transform
    pairs : LandmarkPairs or None
    refit : callable or None
        The start map from some of the landmarks; None where it did not come from them.
    refine : callable
        From a start, landmarks and left-out cells to the refined map.
    on_fold : callable, optional
        Told after each of them; may raise Cancelled.
    seed : int
    """
    rng = np.random.default_rng(seed)
    nothing = np.empty((0, 3))
    match = image_match(images, start, rng)
    if match < LEAST_MATCH:
        return CrossCheck(match, nothing, nothing, float("nan"))
    if pairs is None:
        return CrossCheck(match, nothing, nothing, _image_gain(images, start, refine, on_fold, rng))
    n = len(pairs)
    fold = np.empty(n, dtype=np.int64)
    fold[rng.permutation(n)] = np.arange(n) % FOLDS
    before, after = np.full((n, 3), np.nan), np.full((n, 3), np.nan)
    for k in range(min(FOLDS, n)):
        some, there = pairs.subset(fold != k), fold == k
        try:
            without = start if refit is None else refit(some)
        except FitError:
            continue  # the rest do not determine the model
        refined = refine(without, some if len(some) else None, None)
        before[there] = without.map(pairs.fixed_um[there]) - pairs.moving_um[there]
        after[there] = refined(pairs.fixed_um[there]) - pairs.moving_um[there]
        if on_fold is not None:
            on_fold()
    known = np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1)
    before, after = before[known], after[known]
    share = _share(before, after)
    return CrossCheck(match, before, before + share * (after - before), float("nan"), share)


def _share(before_um: FloatArray, after_um: FloatArray) -> float:
    """The whole step if left-out landmarks are predicted no worse by it, else what is best of it.

    The whole too where no part of it is any good: the check then fails.
    """
    if _rms(after_um) <= _rms(before_um) or not len(before_um):
        return 1.0
    shares = np.arange(1, _PARTS) / _PARTS
    errors = [_rms(before_um + share * (after_um - before_um)) for share in shares]
    best = int(np.argmin(errors))
    if shares[best] < _LEAST_SHARE or errors[best] > _rms(before_um):
        return 1.0
    return float(shares[best])


def image_match(images: ImageEvidence, start: Transform, rng: np.random.Generator) -> float:
    """How far the match stands out of those at shifted maps, in their standard deviations.

    0 where a shifted map matches as well.
    """
    moved = start.map(images.points_um)
    here = images.at(moved)
    first = 3 - images.dimensions
    step = start.jacobian(images.grid.centre_um[None])[0] @ images.grid.index_to_world[:3, :3]
    better = []
    for _ in range(_SHIFTS):
        direction = rng.normal(size=3)
        direction[:first] = 0.0
        direction /= np.linalg.norm(direction)
        shift = step @ (direction * rng.uniform(*_SHIFT_VOXELS))
        try:
            there = images.at(moved + shift)
        except RefineError:
            continue  # shifted out of the image
        both = np.isfinite(here.misfit) & np.isfinite(there.misfit)
        better.append(here.explained(both) - there.explained(both))
    if len(better) < _SHIFTS // 2 or min(better) <= 0 or not np.std(better) > 0:
        return 0.0
    return float(np.mean(better) / np.std(better, ddof=1))


def _image_gain(
    images: ImageEvidence,
    start: Transform,
    refine: Callable[[Transform, LandmarkPairs | None, NDArray[np.int64] | None], PointMap],
    on_fold: Callable[[], None] | None,
    rng: np.random.Generator,
) -> float:
    fold = rng.permutation(np.arange(images.n_cells) % FOLDS)
    gains = np.full(images.n_cells, np.nan)
    for k in range(FOLDS):
        left_out = np.flatnonzero(fold == k)
        refined = refine(start, None, left_out)
        gains[left_out] = _gain(images, start.map, refined)[left_out]
        if on_fold is not None:
            on_fold()
    return _in_standard_errors(gains)


def _gain(images: ImageEvidence, before: PointMap, after: PointMap) -> FloatArray:
    """(cells,) drop of the squared residual, NaN where either map shows nothing."""
    first = images.at(before(images.points_um)).misfit
    second = images.at(after(images.points_um)).misfit
    drop = np.where(np.isfinite(first) & np.isfinite(second), first - second, 0.0)
    count = np.bincount(images.voxel_cells, np.isfinite(first + second), images.n_cells)
    total = np.bincount(images.voxel_cells, drop, images.n_cells)
    return np.where(count > 0, total, np.nan)


def _in_standard_errors(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    if len(known) < 8 or not np.ptp(known) > 0:
        return 0.0
    return float(known.mean() / (known.std(ddof=1) / np.sqrt(len(known))))


def _rms(errors_um: FloatArray) -> float:
    if not len(errors_um):
        return float("nan")
    return float(np.sqrt(np.mean(np.sum(errors_um**2, axis=1))))
