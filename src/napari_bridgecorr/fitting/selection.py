"""Which model predicts landmarks best that it has not seen: the recommended one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import FitError
from ..landmarks import LandmarkPairs
from .checks import MODELS, check_pairs
from .fit import fit
from .held_out import k_fold
from .options import FitOptions

_FOLDS = 10
# of more landmarks, leave-one-out in closed form says as much, and at once
_MOST_IN_FOLDS = 150
# of thousands some hundreds tell the models apart, in a fraction of the time
_MOST_COMPARED = 600
# The Gaussian process has nearly the thin-plate spline as a limit. In simulations of a dozen kinds
# of deformation it was as good or better on the average of each; where it lost in folds by less
# than this, it was right to take it all the same.
_HANDICAP = 1.05
_UNKNOWN = (float("nan"), float("nan"))


@dataclass(frozen=True)
class ModelScore:
    """How well a model predicts left-out landmarks.

    Parameters
    ----------
    model : str
    mean_um, median_um : float
        Of the distances between left-out landmarks and their predictions.
    n : int
        Landmarks that were predicted.
    n_compared : int
        Landmarks that the models were compared by: of thousands some hundreds, drawn at random.
    """

    model: str
    mean_um: float
    median_um: float
    n: int
    n_compared: int = 0


def compare_models(pairs: LandmarkPairs, options: FitOptions) -> tuple[ModelScore, ...]:
    """Left-out errors of every model that the landmarks determine, the best first.

    The mean distance decides, over the landmarks that all models predict; the thin-plate spline
    must win by some per cent. Of more than 600 landmarks that many are drawn, with a fixed seed.

    Raises
    ------
    FitError
        If they determine none.
    """
    pairs = _some(pairs)
    lengths = {}
    for model in MODELS:
        asked = replace(options, model=model, robust="off")
        try:
            check_pairs(pairs, model, options.dimensions)
            lengths[model] = _left_out(pairs, asked)
        except FitError:
            continue
    if not lengths:
        check_pairs(pairs, "translation", options.dimensions)
        return (ModelScore("translation", float("nan"), float("nan"), 0, len(pairs)),)
    # a model that predicts hardly anything is too much for these landmarks
    most = max(int(np.isfinite(v).sum()) for v in lengths.values())
    able = {k: v for k, v in lengths.items() if np.isfinite(v).sum() >= 0.8 * most}
    common = np.isfinite(np.array(list(able.values()))).all(axis=0)
    scores = [
        ModelScore(
            model,
            float(np.mean(values[common])),
            float(np.median(values[common])),
            int(common.sum()),
            len(pairs),
        )
        for model, values in able.items()
    ]

    def rank(score: ModelScore) -> float:
        return score.mean_um * (_HANDICAP if score.model == "tps" else 1.0)

    return tuple(sorted(scores, key=rank))


@dataclass(frozen=True)
class SmoothingScore:
    """How well a thin-plate spline of one smoothing predicts left-out landmarks.

    Parameters
    ----------
    smoothing : float
        Lambda, as in :class:`FitOptions`: um in 3-D, um^2 in 2-D.
    is_auto : bool
        Whether it is what "auto" chooses.
    mean_um, median_um : float
        Of the distances between left-out landmarks and their predictions.
    """

    smoothing: float
    is_auto: bool
    mean_um: float
    median_um: float


def compare_smoothings(pairs: LandmarkPairs, options: FitOptions) -> tuple[SmoothingScore, ...]:
    """Left-out errors of the thin-plate spline from exact to stiff, and with "auto".

    Beside "auto" these are 0 and a tenth of, once and ten times the median distance between
    neighbouring landmarks (its square in 2-D, where lambda is one), to one digit. Left out is as in
    :func:`compare_models`, so that the numbers can be set beside those.

    Raises
    ------
    FitError
        If the landmarks determine no spline.
    """
    from scipy.spatial import cKDTree

    pairs = _some(pairs)
    asked = replace(options, model="tps", smoothing="auto", robust="off")
    chosen = fit(pairs, asked).smoothing_um or 0.0
    places = pairs.fixed_um[:, 3 - options.dimensions :]
    gaps, _ = cKDTree(places).query(places, k=2)
    spacing = float(np.median(gaps[:, 1])) ** (1 if options.dimensions == 3 else 2)
    ladder = [0.0, *(float(f"{spacing * part:.0e}") for part in (0.1, 1, 10))]
    scores = []
    for smoothing, is_auto in sorted([(chosen, True), *((each, False) for each in ladder)]):
        lengths = _left_out(pairs, replace(asked, smoothing="auto" if is_auto else smoothing))
        known = lengths[np.isfinite(lengths)]
        mean, median = (float(np.mean(known)), float(np.median(known))) if len(known) else _UNKNOWN
        scores.append(SmoothingScore(smoothing, is_auto, mean, median))
    return tuple(scores)


def _some(pairs: LandmarkPairs) -> LandmarkPairs:
    """Of thousands some hundreds, with a fixed seed."""
    if len(pairs) <= _MOST_COMPARED:
        return pairs
    kept = np.zeros(len(pairs), dtype=bool)
    kept[np.random.default_rng(0).permutation(len(pairs))[:_MOST_COMPARED]] = True
    return pairs.subset(kept)


def _left_out(pairs: LandmarkPairs, options: FitOptions) -> np.ndarray:
    if 2 <= len(pairs) <= _MOST_IN_FOLDS:
        errors = k_fold(pairs, options, _FOLDS).error_um
    else:
        errors = fit(pairs, options).diagnostics.leave_one_out_um
    return np.asarray(np.linalg.norm(errors[:, 3 - options.dimensions :], axis=1))
