"""One landmark brought to where the images agree, or left where it is with the reason in words.

The moving point is moved, the fixed one stands. Two searches with different surroundings must find
the same place, clearly better than every other place within the bound and than the click; what the
images leave open (along a vessel, say) is not moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import RefineError
from ..landmarks import Landmark, Point
from .patch import Patch, View, make_patch
from .patch_match import Match, Peak, match

FloatArray = NDArray[np.float64]
LandmarkMetric = Literal["correlation", "mi"]

# radii of the two searches, in units of the radius asked for
_SURROUNDINGS = (1.0, 1.3)
# log likelihoods above no relation at all, above the second best place: of the surer of the two
# searches, and of either
_ABOVE_NOTHING = (6.0, 2.0)
_ABOVE_SECOND = (3.0, 0.5)
# parts of a sample's edge: how well shapes that differ between instruments can agree at all, and
# how far the two searches may differ beyond their own uncertainty
_SHAPES = 0.04
_AGREE = 0.3
# part of the finer image's voxel that its interpolation may shift a place by
_INTERPOLATED = 0.15
# standard errors that the two searches may be apart, and that mutual information may go
_SURE = 1.5
# standard errors by which a step must bring the point nearer
_NEARER = 3.0
_AT_BOUND = 0.97


@dataclass(frozen=True)
class LandmarkRefinementOptions:
    """How landmarks are refined.

    Parameters
    ----------
    radius_um : float or None
        Of the surroundings that are compared, in fixed um; by default 5 voxels of the image
        of the larger ones.
    max_step_um : float or None
        The longest step of a moving point; by default 3 times what left-out landmarks are off
        by under a linear map, but at least 3 voxels of the moving image and at most 3 of the
        image of the larger ones.
    metric : {"correlation", "mi"}
        Correlation of either sign; or, from the place found by it, Mattes' mutual information
        (SimpleITK). All voxels count, none are drawn by chance: there is no seed.
    threads : int or None
        Landmarks at once; all cores by default. The result does not depend on it.

    Raises
    ------
    RefineError
        If a choice is impossible.
    """

    radius_um: float | None = None
    max_step_um: float | None = None
    metric: LandmarkMetric = "correlation"
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("radius", self.radius_um), ("longest step", self.max_step_um)):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise RefineError(f"the {name} must be a positive length in um, not {value}")
        if self.metric not in ("correlation", "mi"):
            raise RefineError(f"the metric is correlation or mi, not {self.metric!r}")
        if self.threads is not None and self.threads < 1:
            raise RefineError("threads are 1 or more")


@dataclass(frozen=True)
class LandmarkStep:
    """What became of one landmark.

    Parameters
    ----------
    id : str
    before_um, after_um : (float, float, float)
        Moving point, z, y, x.
    accepted : bool
    reason : str
        Why it was left, or what was moved, in words.
    metric_before, metric_after : float or None
        Agreement at the click and at the best place found, as the metric says; more is better.
    sigma_um : (float, float, float) or None
        Standard error of the place found along world z, y, x.
    """

    id: str
    before_um: Point
    after_um: Point
    accepted: bool
    reason: str
    metric_before: float | None = None
    metric_after: float | None = None
    sigma_um: Point | None = None

    @property
    def shift_um(self) -> Point:
        """The step, z, y, x."""
        z, y, x = (b - a for a, b in zip(self.before_um, self.after_um, strict=True))
        return z, y, x

    @property
    def length_um(self) -> float:
        """Length of the step."""
        return float(np.linalg.norm(self.shift_um))


@dataclass(frozen=True, eq=False)
class _Search:
    patch: Patch
    found: Match

    @property
    def step_um(self) -> FloatArray:
        return np.asarray(self.patch.to_moving @ self.found.peaks[0].shift_um)

    @property
    def covariance_um2(self) -> FloatArray:
        """Of the step, in moving world, with what no model of the noise knows."""
        turn = self.patch.to_moving
        unknown = (_SHAPES * self.patch.voxel_um) ** 2 + (_INTERPOLATED * self.patch.step_um) ** 2
        extra = np.diag(np.where(self.patch.free, unknown, 0.0))
        return np.asarray(turn @ (self.found.peaks[0].covariance_um2 + extra) @ turn.T)

    @property
    def best(self) -> Peak:
        return self.found.peaks[0]


def refine_one(
    landmark: Landmark,
    fixed: View,
    moving: View,
    linear: FloatArray,
    radius_um: float,
    max_step_um: float,
    metric: LandmarkMetric = "correlation",
) -> LandmarkStep:
    """Refine one pair.

    Parameters
    ----------
    landmark : Landmark
        Placed on both sides.
    fixed, moving : View
    linear : (3, 3) float64
        Derivative of the map from fixed to moving world at the landmark.
    radius_um, max_step_um : float
    metric : {"correlation", "mi"}
    """
    if landmark.fixed_um is None or landmark.moving_um is None:
        raise RefineError(f"landmark {landmark.id!r} is not placed in both images")
    click = landmark.moving_um
    searches: list[_Search] = []
    for factor in _SURROUNDINGS:
        patch = _patch(landmark, fixed, moving, linear, factor * radius_um, max_step_um)
        found = None if patch is None else match(patch, max_step_um)
        if patch is None or found is None or not found.peaks:
            if searches:
                continue
            return LandmarkStep(
                landmark.id, click, click, False, "too little of both images lies round it"
            )
        searches.append(_Search(patch, found))
    first = max(searches, key=lambda s: -float(np.trace(s.covariance_um2)))
    start, best = first.found.start, first.best
    apart = searches[0].step_um - searches[-1].step_um
    covariance = first.covariance_um2 + np.outer(apart, apart) / 4
    sigma = _point(np.sqrt(np.diag(covariance)))

    def left(reason: str) -> LandmarkStep:
        return LandmarkStep(
            landmark.id,
            click,
            click,
            False,
            reason,
            start.correlation,
            max(best.correlation, start.correlation),
            sigma,
        )

    doubt = _doubt(searches, max_step_um)
    if doubt:
        return left(doubt)
    step, n_moved = nearer_step(first.step_um, covariance)
    if n_moved == 0:
        return left("it is where the images agree best, within what they can tell")
    before, after = start.correlation, best.correlation
    if metric == "mi":
        step, before, after = _by_information(first, step, covariance)
    if not after > before:
        return left("the images do not agree better at the best place")
    if float(np.linalg.norm(step)) > max_step_um:
        return left(f"the best place is farther than {max_step_um:.3g} um away")
    there = _point(np.asarray(click) + step)
    free = int(first.patch.free.sum())
    words = "moved" if n_moved >= free else f"moved along {n_moved} of {free} directions"
    return LandmarkStep(landmark.id, click, there, True, words, before, after, sigma)


def _by_information(
    search: _Search, step: FloatArray, covariance: FloatArray
) -> tuple[FloatArray, float, float]:
    """The step that mutual information prefers, within the other's uncertainty; before, after."""
    from .patch_information import best_shift, information

    back = np.linalg.inv(search.patch.to_moving)
    near = back @ step
    longest = _SURE * float(np.sqrt(np.trace(covariance)))
    shift = best_shift(search.patch, near, longest)
    before, at_near, at_shift = information(search.patch, np.zeros(3), near, shift)
    if at_shift > at_near:
        return np.asarray(search.patch.to_moving @ shift), before, at_shift
    return step, before, at_near


def _patch(
    landmark: Landmark,
    fixed: View,
    moving: View,
    linear: FloatArray,
    radius_um: float,
    max_step_um: float,
) -> Patch | None:
    scale = abs(float(np.linalg.det(linear))) ** (1 / 3)
    f, m = np.asarray(landmark.fixed_um), np.asarray(landmark.moving_um)
    # the image of the larger voxels is the frame
    if fixed.image.grid.voxel_volume_um3 * scale**3 >= moving.image.grid.voxel_volume_um3:
        return make_patch(fixed, moving, f, m, linear, radius_um, max_step_um, True)
    back = np.asarray(np.linalg.inv(linear), dtype=np.float64)
    return make_patch(moving, fixed, m, f, back, radius_um * scale, max_step_um, False)


def _doubt(searches: list[_Search], max_step_um: float) -> str:
    """Why what was found is not to be trusted; empty if it is."""
    if len(searches) < len(_SURROUNDINGS):
        return "too little of both images lies round it for a second look"
    above_nothing = [s.best.evidence for s in searches]
    above_second = [
        s.best.evidence - s.found.peaks[1].evidence if len(s.found.peaks) > 1 else s.best.evidence
        for s in searches
    ]
    if max(above_nothing) < _ABOVE_NOTHING[0] or min(above_nothing) < _ABOVE_NOTHING[1]:
        return "the images show too little in common here"
    if max(float(np.linalg.norm(s.step_um)) for s in searches) > _AT_BOUND * max_step_um:
        return f"the best place lies at the bound of {max_step_um:.3g} um or beyond"
    if max(above_second) < _ABOVE_SECOND[0] or min(above_second) < _ABOVE_SECOND[1]:
        return "two places agree about equally well"
    if any(s.best.correlation <= s.found.start.correlation for s in searches):
        return "the images do not agree better at the best place"
    a, b = searches
    apart = a.step_um - b.step_um
    spread = a.covariance_um2 + b.covariance_um2
    slack = _AGREE * np.asarray(a.patch.voxel_um)
    allowed = _SURE**2 * spread + a.patch.to_moving @ np.diag(slack**2) @ a.patch.to_moving.T
    if float(apart @ np.linalg.pinv(allowed, rcond=1e-12) @ apart) > 3:
        return "closer and wider surroundings point to different places"
    return ""


def nearer_step(step: FloatArray, covariance: FloatArray) -> tuple[FloatArray, int]:
    """The part of a measured step that leads nearer, and along how many directions it goes.

    Clicks are taken to lie about the true place as far as this one seems to, equally in all
    directions: their variance T is the likeliest one given the step m and its covariance.
    Along each principal direction the step is then T / (T + v) of m and what is left open has the
    variance v T / (T + v) (the posterior of a normal mean). A part c of it leads nearer if the
    truth, along the step, lies beyond half of that part: c is the largest for which this is
    so by three standard errors.

    Parameters
    ----------
    step : (3,) float64
        As measured.
    covariance : (3, 3) float64

    Returns
    -------
    (3,) float64, int
        Zeros and 0 where it is not certain. A direction counts where more than half of it is gone.
    """
    variances, directions = np.linalg.eigh(covariance)
    # a direction that an image does not have
    real = variances > 1e-9 * max(float(variances.max()), 1e-300)
    variances, directions = variances[real], directions[:, real]
    along = directions.T @ step
    spreads = np.concatenate([[0.0], np.geomspace(1e-4, 1.0, 80) * float(step @ step)])
    totals = spreads[:, None] + variances
    spread = float(spreads[np.argmin((np.log(totals) + along**2 / totals).sum(axis=1))])
    share = spread / (spread + variances)
    gone = share * along
    squared = float(gone @ gone)
    error = float(np.sqrt((gone**2 * share * variances).sum()))
    if squared <= _NEARER * error:
        return np.zeros(3), 0
    part = min(2 * (1 - _NEARER * error / squared), 1.0)
    return np.asarray(part * (directions @ gone)), max(int((share > 0.5).sum()), 1)


def _point(values: FloatArray) -> Point:
    z, y, x = (float(v) for v in values)
    return z, y, x
