"""Refinement of a whole map by the images, accepted only where what was left out agrees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import Cancelled, RefineError
from ..fitting.diagnostics import number_or_none
from ..landmarks import LandmarkPairs
from ..progress import Progress, Silent
from ..simple_itk.options import Metric
from ..transform import Transform
from .cross_check import (
    FOLDS,
    LEAST_GAIN,
    LEAST_MATCH,
    MEANING,
    CrossCheck,
    PointMap,
    cross_check,
    image_match,
)
from .engine_models import EngineAsked, engine_step, step_without
from .evidence import ImageEvidence
from .soft_landmarks import FEWEST_LANDMARKS, SoftMap, as_spline, refine_softly
from .working_image import WorkingImage

FloatArray = NDArray[np.float64]
RefineModel = Literal["auto", "rigid", "affine", "bspline", "displacement"]

MODELS: tuple[RefineModel, ...] = ("auto", "rigid", "affine", "bspline", "displacement")
_MOST_POINTS = 20_000


@dataclass(frozen=True)
class MapQuality:
    """What can be said of a map.

    Parameters
    ----------
    explained : float
        Share (0-1) of the fixed image's local variance that the moving image explains through it.
    held_out_rms_um, held_out_median_um : float
        Errors at landmarks that were left out (3-D); NaN without landmarks.
    folded : float
        Share of the images' overlap where its Jacobian determinant is 0 or less.
    """

    explained: float
    held_out_rms_um: float
    held_out_median_um: float
    folded: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "explained": number_or_none(self.explained),
            "held_out_rms_um": number_or_none(self.held_out_rms_um),
            "held_out_median_um": number_or_none(self.held_out_median_um),
            "folded_share": number_or_none(self.folded),
        }


@dataclass(frozen=True, eq=False)
class GlobalRefinement:
    """What refinement came to.

    Parameters
    ----------
    transform : Transform
        The refined map, or the one it started from where `accepted` is False.
    accepted : bool
    verdict : str
        In words: why, or why not.
    model : RefineModel
    before, after : MapQuality
        Of the start and of the refined map (of the latter also where it was not accepted, as far
        as it was made).
    check : CrossCheck
    step_um : dict
        How far the refined map is from the start in the images' overlap: median, 95 % and largest.
    pairs : LandmarkPairs or None
        The landmarks that took part.
    cancelled : bool
        Whether the user stopped it: the best map until then.
    """

    transform: Transform
    accepted: bool
    verdict: str
    model: RefineModel
    before: MapQuality
    after: MapQuality
    check: CrossCheck
    step_um: dict[str, float]
    pairs: LandmarkPairs | None
    cancelled: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; undefined numbers are None."""
        return {
            "model": self.model,
            "accepted": self.accepted,
            "verdict": self.verdict,
            "cancelled": self.cancelled,
            "meaning": MEANING,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "step_um": {k: number_or_none(v) for k, v in self.step_um.items()},
            "cross_check": self.check.to_dict(),
        }


def refine_globally(
    fixed: WorkingImage,
    moving: tuple[WorkingImage, ...],
    start: Transform,
    pairs: LandmarkPairs | None = None,
    refit: Callable[[LandmarkPairs], Transform] | None = None,
    *,
    model: RefineModel = "auto",
    metric: Metric = "mi",
    dimensions: int = 3,
    seed: int = 0,
    progress: Progress | None = None,
) -> GlobalRefinement:
    """Refine a map by the images, the landmarks held as a soft constraint.

    The cross-check comes first: four refinements without a quarter of the landmarks and of the
    images each. Only if what was left out agrees better afterwards, everything is used.

    Parameters
    ----------
    fixed : WorkingImage
    moving : tuple of WorkingImage
        Channels on one grid; see :func:`.preparation.working_pair`.
    start : Transform
        Fixed world to moving world.
    pairs : LandmarkPairs, optional
    refit : callable, optional
        The start map from some of the landmarks, where it was fitted to them.
    model : {"auto", "rigid", "affine", "bspline", "displacement"}
        "auto" is local evidence and landmarks in one smooth map; the others are SimpleITK's
        (of the first moving channel).
    metric : {"mi", "correlation"}
        Of SimpleITK's models.
    dimensions : {3, 2}
    seed : int
        Same seed, same folds, same result.
    progress : Progress, optional
        Where it raises Cancelled after the cross-check, the best map until then is the result.

    Raises
    ------
    RefineError
        If the images hardly overlap, or hold too little to compare.
    Cancelled
        If it was cancelled before the cross-check was through.
    """
    watch = progress if progress is not None else Silent()
    if pairs is not None and not len(pairs):
        pairs = None
    from_landmarks = refit is not None and pairs is not None and len(pairs) >= FEWEST_LANDMARKS
    images = ImageEvidence(fixed, moving, dimensions)
    images = images.without_what_differs(start.map(images.points_um))
    if model != "auto":
        asked = EngineAsked(model, metric, seed)
        return _by_engine(images, fixed, moving[0], start, pairs, refit, asked, watch)
    first = images.at(start.map(images.points_um))

    def refine(
        begin: Transform, some: LandmarkPairs | None, left_out: NDArray[np.int64] | None
    ) -> Callable[[FloatArray], FloatArray]:
        def tell(_: SoftMap) -> None:
            watch.advance(0)  # asks whether to go on

        return refine_softly(images, begin, some, from_landmarks, left_out, tell).map

    watch.begin("cross-checking", FOLDS)
    check = cross_check(images, start, pairs, refit, refine, watch.advance, seed)
    before = MapQuality(
        first.explained(), check.before_rms_um, _median(check.before_um), _folded(start, images)
    )
    if check.fault is not None:
        after = MapQuality(np.nan, check.after_rms_um, _median(check.after_um), np.nan)
        return GlobalRefinement(
            start, False, _kept(check.fault), "auto", before, after, check, {}, pairs
        )
    found, cancelled = _best(images, start, pairs, from_landmarks, watch)
    if found is None:
        raise Cancelled
    spline = as_spline(_part_way(start, found, check.share), images, pairs)
    return _judged(images, start, spline, pairs, "auto", check, cancelled)


def _judged(
    images: ImageEvidence,
    start: Transform,
    refined: Transform,
    pairs: LandmarkPairs | None,
    model: RefineModel,
    check: CrossCheck,
    cancelled: bool,
) -> GlobalRefinement:
    """The result of a map that passed the cross-check, if it does not fold."""
    first = images.at(start.map(images.points_um))
    moved = refined.map(images.points_um)
    second = images.at(moved)
    # over the voxels that both maps show
    both = np.isfinite(first.misfit) & np.isfinite(second.misfit)
    before = MapQuality(
        first.explained(both),
        check.before_rms_um,
        _median(check.before_um),
        _folded(start, images),
    )
    after = MapQuality(
        second.explained(both),
        check.after_rms_um,
        _median(check.after_um),
        _folded(refined, images),
    )
    steps = np.linalg.norm(moved - start.map(images.points_um), axis=1)
    steps = steps[np.isfinite(steps)]
    step_um = {
        "median": float(np.median(steps)),
        "p95": float(np.percentile(steps, 95)),
        "largest": float(steps.max()),
    }
    if after.folded > before.folded:
        fault = f"the refined map would fold {100 * after.folded:.2g} % of the overlap"
        return GlobalRefinement(
            start, False, _kept(fault), model, before, after, check, step_um, pairs
        )
    return GlobalRefinement(
        refined, True, _praise(check), model, before, after, check, step_um, pairs, cancelled
    )


def _by_engine(
    images: ImageEvidence,
    fixed: WorkingImage,
    moving: WorkingImage,
    start: Transform,
    pairs: LandmarkPairs | None,
    refit: Callable[[LandmarkPairs], Transform] | None,
    asked: EngineAsked,
    watch: Progress,
) -> GlobalRefinement:
    model = asked.model
    first = images.at(start.map(images.points_um)).explained()
    folded = _folded(start, images)
    match = image_match(images, start, np.random.default_rng(asked.seed))
    nothing = np.empty((0, 3))
    check = CrossCheck(match, nothing, nothing, np.nan)
    found = None
    if match >= LEAST_MATCH and asked.bends and pairs is None:
        check = _checked_on_images(images, fixed, moving, start, asked, watch)
    if match >= LEAST_MATCH and (not np.isfinite(check.gain) or check.fault is None):
        found = engine_step(fixed, moving, start, pairs, refit, asked, watch)
        gain = check.gain
        if not len(found.before_um) and not np.isfinite(gain):
            # so few parameters that the metric itself may say whether it is better
            rises = found.step.metric_after > found.step.metric_before
            gain = LEAST_GAIN if rises and not asked.bends else 0.0
        check = CrossCheck(match, found.before_um, found.after_um, gain, found.share)
    fault = check.fault
    if fault is None and (found is None or found.share == 0):
        fault = "landmarks that were left out are predicted best without a step"
    if fault is not None or found is None:
        rms, median = check.before_rms_um, _median(check.before_um)
        before = MapQuality(first, rms, median, folded)
        after = MapQuality(np.nan, check.after_rms_um, _median(check.after_um), np.nan)
        return GlobalRefinement(
            start, False, _kept(fault or ""), model, before, after, check, {}, pairs
        )
    if asked.bends:
        refined = as_spline(found.map_after(start), images, pairs, asked.n_nodes)
    else:
        refined = found.after(start)
    return _judged(images, start, refined, pairs, model, check, found.step.is_cancelled)


def _checked_on_images(
    images: ImageEvidence,
    fixed: WorkingImage,
    moving: WorkingImage,
    start: Transform,
    asked: EngineAsked,
    watch: Progress,
) -> CrossCheck:
    """Without landmarks: whether parts of the images that the step did not see agree better."""

    def refine(
        begin: Transform, _: LandmarkPairs | None, left_out: NDArray[np.int64] | None
    ) -> PointMap:
        assert left_out is not None
        voxels = np.isin(images.voxel_cells, left_out).reshape(fixed.grid.shape)
        return step_without(fixed, moving, begin, voxels, asked, watch)

    watch.begin("cross-checking", FOLDS)
    return cross_check(images, start, None, None, refine, watch.advance, asked.seed)


def _best(
    images: ImageEvidence,
    start: Transform,
    pairs: LandmarkPairs | None,
    from_landmarks: bool,
    watch: Progress,
) -> tuple[SoftMap | None, bool]:
    """The refined map, and whether it is the one at which the user stopped."""
    latest: list[SoftMap] = []

    def tell(found: SoftMap) -> None:
        latest.append(found)
        watch.advance()

    watch.begin("refining", 0)
    try:
        return refine_softly(images, start, pairs, from_landmarks, None, tell), False
    except Cancelled:
        return (latest[-1] if latest else None), True


def _part_way(start: Transform, found: SoftMap, share: float) -> PointMap:
    if share == 1:
        return found.map

    def part(points_um: FloatArray) -> FloatArray:
        begin = start.map(points_um)
        return begin + share * (found.map(points_um) - begin)

    return part


def _kept(why: str) -> str:
    return f"the map is kept as it was: {why}"


def _praise(check: CrossCheck) -> str:
    if not len(check.before_um):
        return (
            f"refined: image parts that were left out agree better afterwards ({check.gain:.1f} "
            f"standard errors)"
        )
    far = "" if check.share == 1 else f" by {100 * check.share:.0f} % of what the images ask for"
    return (
        f"refined{far}: landmarks that were left out are predicted to {check.after_rms_um:.3g} um "
        f"RMS, before to {check.before_rms_um:.3g} um"
    )


def _median(errors_um: FloatArray) -> float:
    if not len(errors_um):
        return float("nan")
    return float(np.median(np.linalg.norm(errors_um, axis=1)))


def _folded(transform: Transform, images: ImageEvidence) -> float:
    points = images.points_um[:: max(1, len(images.points_um) // _MOST_POINTS)]
    determinant = transform.jacobian_determinant(points)
    known = determinant[np.isfinite(determinant)]
    if not len(known):
        raise RefineError("the map is not defined where the images overlap; check its direction")
    # a map that mirrors everywhere (left-handed axes) does not fold
    sign = 1.0 if np.median(known) > 0 else -1.0
    return float(np.mean(sign * known <= 0))
