"""Pairs that look like a mistake of the hand, and which mistake: swapped, in turn, or misplaced.

:mod:`.robust` says which landmarks disagree with the others. Here is said why, in words that tell
what to look at: two neighbours whose moving points were exchanged are found even where either alone
lies within the usual errors, because together they fit so much better the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..blas_threads import threads_for
from ..errors import FitError, GeometryError
from ..landmarks import LandmarkPairs
from .checks import check_pairs
from .options import FitOptions
from .robust import FEWEST, find_suspects, scores
from .solution import solve

FloatArray = NDArray[np.float64]

_NEIGHBOURS = 4
_MOST_TESTED = 12  # pairs of neighbours that are looked at with both left out
_FALSE_ALARMS = 0.01  # expected number of exchanges in a set of good landmarks
# an exchanged point lies this many standard errors, at most, from where it is expected
_FITS = 4.0
_MUCH_BETTER = 0.5
_ALONG_ONE_AXIS = 0.8
# each takes a fit of its own
_MOST_REFITTED = 20
_WORTH_TELLING = 0.02
_AXES = ("in depth (z)", "along y", "along x")


@dataclass(frozen=True)
class Mismatch:
    """A pair that is probably a mistake.

    Parameters
    ----------
    id : str
    error_um : float
        Its moving point's distance from where the other pairs predict it.
    times_usual : float
        That distance over the median leave-one-out error of the pairs that are no mismatches.
    gain : float
        By which share the others' leave-one-out error (RMS) falls without it; NaN if not known.
    belongs_to : str
        Id of the landmark whose fixed point its moving point fits; "" if of none.
    reason : str
        One line for the user.
    """

    id: str
    error_um: float
    times_usual: float
    gain: float
    belongs_to: str
    reason: str


def find_mismatches(pairs: LandmarkPairs, options: FitOptions) -> tuple[Mismatch, ...]:
    """The pairs that are probably mistakes, the farthest off first.

    Parameters
    ----------
    pairs : LandmarkPairs
    options : FitOptions
        As of the fit; ``robust`` and ``direction`` do not count. "auto" is taken for a thin-plate
        spline, and so is "gp": they judge alike.

    Returns
    -------
    tuple of Mismatch
        Empty for fewer than eight pairs, of which none can be told, and where they do not
        determine the model.
    """
    if len(pairs) < FEWEST:
        return ()
    options = replace(options, robust="off", direction="fixed_to_moving")
    if options.model in ("auto", "gp"):
        options = replace(options, model="tps", smoothing="auto")
    try:
        check_pairs(pairs, options.model, options.dimensions)
        with threads_for(len(pairs)):
            return _found(pairs, options)
    except (FitError, GeometryError, np.linalg.LinAlgError):
        return ()


def _found(pairs: LandmarkPairs, options: FitOptions) -> tuple[Mismatch, ...]:
    suspects = {s.id for s in find_suspects(pairs, options)}
    wrong = np.array([name in suspects for name in pairs.ids])
    for i, j in _exchanged_neighbours(pairs, ~wrong, options):
        wrong[[i, j]] = True
    if not wrong.any():
        return ()
    standard, lengths, solution = scores(pairs, ~wrong, options)
    usual = float(np.median(lengths[~wrong]))
    predicted = solution.transform.map(pairs.fixed_um)
    at = np.flatnonzero(wrong)
    # um of one standard error at each place, clicks included
    sigma = np.maximum(lengths[at] / np.maximum(standard[at], 1e-12), 1e-9)
    belongs = _whose(predicted[at], pairs.moving_um[at], sigma, lengths[at])
    gains = _gains(pairs, wrong, options)
    found = []
    for k, i in enumerate(at.tolist()):
        cycle = _cycle(belongs, k)
        found.append(
            Mismatch(
                pairs.ids[i],
                float(lengths[i]),
                float(lengths[i] / usual) if usual > 0 else float("inf"),
                gains.get(i, float("nan")),
                pairs.ids[at[belongs[k]]] if belongs[k] >= 0 else "",
                _swapped_words(pairs, at, cycle, predicted, lengths)
                if len(cycle) > 1
                else _lone_words(
                    predicted[i] - pairs.moving_um[i],
                    float(lengths[i]),
                    usual,
                    gains.get(i, float("nan")),
                    options.dimensions,
                ),
            )
        )
    return tuple(sorted(found, key=lambda m: -m.error_um))


def _exchanged_neighbours(
    pairs: LandmarkPairs, used: NDArray[np.bool_], options: FitOptions
) -> list[tuple[int, int]]:
    """Neighbours (row numbers) that fit much better with their moving points exchanged.

    Twice the logarithm of the likelihood ratio, of errors that are normal with the standard errors
    of the prediction; first with each left out alone, then, of the best, with both left out.
    """
    from scipy.spatial import cKDTree

    axes = slice(3 - options.dimensions, 3)
    n = len(pairs)
    near = cKDTree(pairs.fixed_um[:, axes]).query(pairs.fixed_um[:, axes], min(_NEIGHBOURS + 1, n))[
        1
    ][:, 1:]
    tested = {
        (min(i, int(j)), max(i, int(j)))
        for i in range(n)
        for j in near[i]
        if int(j) != i and used[i] and used[j]
    }
    if not tested:
        return []
    limit = 2 * float(np.log(len(tested) / _FALSE_ALARMS))
    standard, lengths, solution = scores(pairs, used, options)
    errors = np.full((n, 3), np.nan)
    errors[used] = solution.leave_one_out_um
    predicted = pairs.moving_um + errors
    sigma = lengths / np.maximum(standard, 1e-12)
    first = np.array(sorted(tested))
    ratio = _exchange_ratio(predicted, pairs.moving_um, sigma, first, axes)
    # each spoils the other's prediction: a weak sign is enough to look again
    order = [k for k in np.argsort(-ratio) if ratio[k] > 0][:_MOST_TESTED]
    found: list[tuple[int, int]] = []
    taken: set[int] = set()
    for i, j in ((int(first[k, 0]), int(first[k, 1])) for k in order):
        if {i, j} & taken:
            continue
        without = used.copy()
        without[[i, j]] = False
        standard, lengths, solution = scores(pairs, without, options)
        sigma = lengths / np.maximum(standard, 1e-12)
        predicted = solution.transform.map(pairs.fixed_um)
        both = np.array([[i, j]])
        crossed = np.linalg.norm((predicted[[i, j]] - pairs.moving_um[[j, i]])[:, axes], axis=1)
        fits = bool(np.all(crossed < _FITS * sigma[[i, j]]))
        if fits and _exchange_ratio(predicted, pairs.moving_um, sigma, both, axes)[0] > limit:
            found.append((i, j))
            taken |= {i, j}
    return found


def _exchange_ratio(
    predicted: FloatArray,
    moving: FloatArray,
    sigma: FloatArray,
    couples: NDArray[np.int64],
    axes: slice,
) -> FloatArray:
    """(m,) by how much the sum of squared standardised errors falls with the points exchanged."""
    i, j = couples.T

    def squares(of: NDArray[np.int64], point: NDArray[np.int64]) -> FloatArray:
        length = np.linalg.norm((predicted[of] - moving[point])[:, axes], axis=1)
        return np.asarray((length / np.maximum(sigma[of], 1e-12)) ** 2)

    ratio = squares(i, i) + squares(j, j) - squares(i, j) - squares(j, i)
    return np.nan_to_num(ratio, nan=-np.inf)


def _whose(
    predicted: FloatArray, moving: FloatArray, sigma: FloatArray, lengths: FloatArray
) -> NDArray[np.int64]:
    """(k,) for each moving point the row whose prediction it fits instead of its own; -1 if none.

    Assigned one to one, so that any number of points that went round in turn is seen.
    """
    from scipy.optimize import linear_sum_assignment

    distance = np.linalg.norm(predicted[:, None] - moving[None], axis=2)  # of row, to point
    possible = distance < np.minimum(_FITS * sigma, _MUCH_BETTER * lengths)[:, None]
    np.fill_diagonal(possible, val=False)
    cost = np.where(possible, distance / sigma[:, None], 1e3)
    owners, points = linear_sum_assignment(cost)
    belongs = np.full(len(moving), -1, dtype=np.int64)
    for owner, point in zip(owners, points, strict=True):
        if possible[owner, point]:
            belongs[point] = owner
    return belongs


def _cycle(belongs: NDArray[np.int64], start: int) -> list[int]:
    """Rows from `start` on, each one's point belonging to the next, if it comes back; else []."""
    cycle, k = [start], int(belongs[start])
    while k >= 0 and k != start and k not in cycle:
        cycle.append(k)
        k = int(belongs[k])
    return cycle if k == start else []


def _gains(pairs: LandmarkPairs, wrong: NDArray[np.bool_], options: FitOptions) -> dict[int, float]:
    """By which share the good pairs' leave-one-out RMS falls without each wrong one alone."""
    everyone = np.ones(len(pairs), dtype=bool)
    rows = np.flatnonzero(wrong)[:_MOST_REFITTED]

    def rms(without: int | None) -> float:
        used = everyone.copy()
        if without is not None:
            used[without] = False
        inner = pairs.subset(used)
        errors = solve(inner, options).leave_one_out_um[:, 3 - options.dimensions :]
        squares = np.sum(errors**2, axis=1)[~wrong[used]]
        known = squares[np.isfinite(squares)]
        return float(np.sqrt(known.mean())) if known.size else float("nan")

    before = rms(None)
    return {int(i): 1 - rms(int(i)) / before for i in rows} if before > 0 else {}


def _swapped_words(
    pairs: LandmarkPairs,
    at: NDArray[np.int64],
    cycle: list[int],
    predicted: FloatArray,
    lengths: FloatArray,
) -> str:
    rows = [int(at[k]) for k in cycle]
    names = [pairs.ids[i] for i in rows]
    before = float(np.mean(lengths[rows]))
    after = float(
        np.mean(
            [
                np.linalg.norm(predicted[rows[(k + 1) % len(rows)]] - pairs.moving_um[rows[k]])
                for k in range(len(rows))
            ]
        )
    )
    numbers = (
        f"from {before:.3g} to {after:.3g} um from where the others expect them, on the average"
    )
    if len(names) == 2:
        one, two = sorted(names)
        return f"{one} and {two} look swapped: exchanging their moving points brings them {numbers}"
    return (
        f"{', '.join(names)} look mixed up: each one's moving point fits the next one, the last "
        f"one's the first; passing them on brings them {numbers}"
    )


def _lone_words(
    error: FloatArray,
    length: float,
    usual: float,
    gain: float,
    dimensions: int,
) -> str:
    text = f"{length:.3g} um from where the others expect it"
    if usual > 0:
        text += f", {length / usual:.2g} times the usual error"
    if dimensions == 3:
        share = error**2 / max(float(np.sum(error**2)), 1e-300)
        axis = int(np.argmax(share))
        if share[axis] > _ALONG_ONE_AXIS:
            text += f", nearly all {_AXES[axis]}"
    if np.isfinite(gain) and gain > _WORTH_TELLING:
        text += f"; without it the others fit {100 * gain:.0f} % better"
    return text
