"""Landmarks that disagree with the others: found and named, never silently dropped.

First the affine map that most landmarks share (least median of squares over random minimal sets;
Rousseeuw, J. Am. Stat. Assoc. 79, 1984: a RANSAC that needs no threshold), which up to nearly half
of wrong landmarks cannot pull away. Then the model that is asked for, fitted to those that agree:
each leave-one-out error relative to its own predicted standard error and to the median of all. A
bent region is told from a wrong click in this second step, and may bring landmarks back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from ..landmarks import LandmarkPairs
from .checks import check_pairs
from .linear_models import fit_affine, normalisation
from .options import FitOptions
from .solution import Solution, predicted_squares, solve

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FEWEST = 8
_TRIALS = 1000
_SEED = 0
_FALSE_ALARMS = 0.01  # expected in a set of good landmarks with normal errors
_GROSS = 4.5
_MOST_ROUNDS = 20
_SHARE = 0.7
_CONFIRMED = 0.5
_SUPPORTED = 0.65
_NO_ERROR_UM = 1e-6


@dataclass(frozen=True)
class Suspect:
    """A landmark that disagrees with the others.

    Parameters
    ----------
    id : str
    z_score : float
        Its distance from where the others predict it, in standard errors of that prediction.
    error_um : float
        That distance.
    reason : str
        One line for the user.
    """

    id: str
    z_score: float
    error_um: float
    reason: str


def find_suspects(pairs: LandmarkPairs, options: FitOptions) -> tuple[Suspect, ...]:
    """The landmarks that disagree, the worst first; of fewer than eight none can be told."""
    if len(pairs) < FEWEST:
        return ()
    if options.model == "gp":
        options = replace(options, model="tps", smoothing="auto")  # as good a judge, and quicker
    gross = _far_from_common_affine(pairs, options.dimensions)
    if not _determined(pairs, ~gross, options):
        gross[:] = False
    out = gross.copy()
    for _ in range(_MOST_ROUNDS):
        z, errors, solution = scores(pairs, ~out, options)
        if solution.system is not None and not solution.system.has_eigenvalues:
            # each further search for a smoothing would take seconds
            options = replace(options, smoothing=float(solution.smoothing_um or 0.0))
        limit = _limit(pairs, ~out, options)
        found = ~out & (z > limit)
        if not found.any():
            break
        # a wrong landmark spoils its neighbours' predictions: only the worst are taken at a time
        found &= z > _SHARE * z[found].max()
        if not _determined(pairs, ~(out | found), options):
            break
        out |= found
    z, errors, out = _brought_back(pairs, out, options)
    return tuple(
        Suspect(
            pairs.ids[i], float(z[i]), float(errors[i]), _reason(z[i], errors[i], bool(gross[i]))
        )
        for i in sorted(np.flatnonzero(out), key=lambda i: -z[i])
    )


def _brought_back(
    pairs: LandmarkPairs, out: BoolArray, options: FitOptions
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """z-scores, errors, and which stay out.

    A region that bends by itself disagrees with the rest, but its landmarks support each other:
    with the other suspects in the fit, each of them is predicted much better. Wrong clicks agree
    with nobody. In simulations 95 % of the former came to less than 0.6 of the error without the
    suspects, all of the latter to more than 0.7.
    """
    everyone = np.ones(len(pairs), dtype=bool)
    z, errors, _ = scores(pairs, ~out, options)
    if out.any():
        together, with_all, _ = scores(pairs, everyone, options)
        kept = out & (with_all > _SUPPORTED * errors)
        kept &= together > _CONFIRMED * _limit(pairs, everyone, options)
        if not np.array_equal(kept, out):
            out = kept
            z, errors, _ = scores(pairs, ~out, options)
    # those that the fit without them predicts after all
    return z, errors, out & (z > _limit(pairs, ~out, options))


def _reason(z: float, error_um: float, gross: bool) -> str:
    text = f"it is {error_um:.0f} um ({z:.1f} standard errors) from where the others predict it"
    return text + (" and off the affine map that most share" if gross else "")


def _limit(pairs: LandmarkPairs, used: BoolArray, options: FitOptions) -> float:
    from scipy.stats import chi2

    n, parameters = int(used.sum()), options.dimensions + 1
    plain = np.sqrt(chi2.isf(_FALSE_ALARMS / len(pairs), options.dimensions))
    # few landmarks tell their own scale badly (Rousseeuw & Leroy 1987, ch. 5)
    return float(plain * (1 + 5 / max(n - parameters, 1)))


def scores(
    pairs: LandmarkPairs, used: BoolArray, options: FitOptions
) -> tuple[FloatArray, FloatArray, Solution]:
    """(n,) z-scores and errors in um with the model fitted to the `used`; without one: 0."""
    from scipy.stats import chi2

    inner = pairs.subset(used)
    solution = solve(inner, options)
    squares, lengths = np.zeros(len(pairs)), np.zeros(len(pairs))
    squares[used] = np.nan_to_num(solution.squares)
    axes = slice(3 - options.dimensions, 3)
    lengths[used] = np.nan_to_num(np.linalg.norm(solution.leave_one_out_um[:, axes], axis=1))
    if not used.all():
        squares[~used], errors = predicted_squares(solution, inner, pairs.subset(~used), options)
        lengths[~used] = np.linalg.norm(errors[:, axes], axis=1)
    known = squares[used][np.isfinite(solution.squares)]
    scale = float(np.median(known)) / chi2.median(options.dimensions) if known.size else 0.0
    z = np.sqrt(squares / max(scale, np.finfo(float).tiny))
    z[lengths < _NO_ERROR_UM] = 0.0  # exact landmarks differ by rounding
    return z, lengths, solution


def _determined(pairs: LandmarkPairs, used: BoolArray, options: FitOptions) -> bool:
    try:
        check_pairs(pairs.subset(used), options.model, options.dimensions)
    except FitError:
        return False
    return int(used.sum()) >= max(FEWEST - 2, len(pairs) // 2)


def _far_from_common_affine(pairs: LandmarkPairs, dimensions: int) -> BoolArray:
    """(n,) whether a landmark is far from the affine map of the least median residual."""
    from scipy.stats import chi2

    n, k, axes = len(pairs), dimensions + 1, slice(3 - dimensions, 3)
    centre, size = normalisation(pairs.fixed_um)
    design = np.column_stack([((pairs.fixed_um - centre) / size)[:, axes], np.ones(n)])
    values = (pairs.moving_um - pairs.moving_um.mean(axis=0))[:, axes]
    rng = np.random.default_rng(_SEED)
    middle = (n + k + 1) // 2
    best, far = np.inf, np.zeros(n, dtype=bool)
    for _ in range(_TRIALS):
        chosen = rng.choice(n, k, replace=False)
        try:
            solution = np.linalg.solve(design[chosen], values[chosen])
        except np.linalg.LinAlgError:
            continue
        squares = np.sum((design @ solution - values) ** 2, axis=1) * pairs.weights
        median = float(np.partition(squares, middle - 1)[middle - 1])
        if median < best:
            best, closest = median, squares <= median
    if not np.isfinite(best):
        return far
    # least squares over the better half is steadier than the minimal set that found it
    half = pairs.subset(closest)
    affine = fit_affine(half.fixed_um, half.moving_um, half.weights, dimensions)
    residual = (affine.map(pairs.fixed_um) - pairs.moving_um)[:, axes]
    squares = np.sum(residual**2, axis=1) * pairs.weights
    scale = float(np.median(squares)) / chi2.median(dimensions) * (1 + 5 / (n - k)) ** 2
    return np.asarray(squares > max(_GROSS**2 * scale, _NO_ERROR_UM**2))
