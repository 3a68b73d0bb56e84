"""What can be said of a fit and of each landmark, in one go: for a table and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..errors import FitError, GeometryError
from ..landmarks import LandmarkSet
from .check_landmarks import CheckErrors, errors_at_checks
from .fit import Fit
from .mismatches import Mismatch, find_mismatches
from .predicted_error import PredictedErrors, error_of_fit, predicted_error

# of more pairs each search for a smoothing takes seconds: the fit's own is taken
_MOST_SMOOTHED = 300
# and of more, what one landmark does is no longer seen in the others, and the error at a thousand
# places takes a fifth of a minute: the leave-one-out errors say it all
_MOST_JUDGED = 1000


@dataclass(frozen=True, eq=False)
class Judgement:
    """Of one fit of one set of landmarks.

    Parameters
    ----------
    predicted_um : mapping of str to float
        Expected RMS error of the map at each landmark with a fixed point, by id.
    mismatches : tuple of Mismatch
        Pairs that are probably mistakes, the farthest off first.
    checks : CheckErrors or None
        At the pairs that were set aside; None where none were.
    over_all : PredictedErrors or None
        Inside the landmarks' hull and at its corners; None where the pairs do not tell.
    """

    predicted_um: Mapping[str, float]
    mismatches: tuple[Mismatch, ...]
    checks: CheckErrors | None
    over_all: PredictedErrors | None


def judge(landmarks: LandmarkSet, made: Fit) -> Judgement:
    """Judge the landmarks and the fit that was made from them.

    Of more than 1,000 pairs no mismatches are looked for and no errors predicted: their
    leave-one-out errors, which the fit has, tell both.
    """
    if len(made.pairs) > _MOST_JUDGED:
        return Judgement({}, (), _checks(landmarks, made), None)
    return Judgement(
        _predicted(landmarks, made),
        _mismatches(landmarks, made),
        _checks(landmarks, made),
        _over_all(made),
    )


def _predicted(landmarks: LandmarkSet, made: Fit) -> dict[str, float]:
    placed = [m for m in landmarks if m.fixed_um is not None]
    if not placed:
        return {}
    try:
        model = error_of_fit(made)
    except (FitError, GeometryError, np.linalg.LinAlgError):
        return {}
    errors = model.predict(np.array([m.fixed_um for m in placed], dtype=np.float64))
    return {m.id: float(e) for m, e in zip(placed, errors, strict=True)}


def _mismatches(landmarks: LandmarkSet, made: Fit) -> tuple[Mismatch, ...]:
    pairs, options = landmarks.pairs(), made.options
    if len(pairs) > _MOST_SMOOTHED and made.smoothing_um is not None:
        options = replace(options, smoothing=made.smoothing_um)
    return find_mismatches(pairs, options)


def _checks(landmarks: LandmarkSet, made: Fit) -> CheckErrors | None:
    checks = landmarks.check_pairs()
    if not len(checks):
        return None
    return errors_at_checks(made.transform, made.pairs, checks, made.options.dimensions)


def _over_all(made: Fit) -> PredictedErrors | None:
    try:
        return predicted_error(made)
    except (FitError, GeometryError, np.linalg.LinAlgError):
        return None
