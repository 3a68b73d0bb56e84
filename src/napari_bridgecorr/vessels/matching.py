"""Where the surroundings of many places lie in another image, all places helping each other.

Each place has a likelihood over shifts (how alike the vessels around it are) and an expectation
(what the other places say, through a smooth field). What is found for sure joins the field, which
then tells more of the rest: so matches grow outwards from the given pairs, and an earlier one that
no longer agrees with its neighbours is let go.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..progress import Progress
from .likeness import likeness
from .ridges import Float32Array
from .smooth_shifts import ShiftPrior, SmoothShifts

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# standard deviation of the windows that are compared, and where they end, in lengths of the scale
_WINDOW_3D = (2.6, 5.0)
_WINDOW_2D = (3.5, 7.0)
# how far is searched in each round, in the same
REACHES = (4.0, 4.0, 3.0, 3.0, 2.0)
# How many independent samples a window holds: of smooth noise the squared correlation exceeds
# what this many would have about as often as it should.
_SAMPLES = 24.0
# a click's standard error and that of a match at least, in lengths of the scale
_CLICK = 0.4
_LEAST_ERROR = 0.25
# what is open of the map before any match
_STRAIN = 0.03
_BEND = 1.0
_SHIFT = 1.0
_LENGTH_SHARE = 0.3
_SURE = 0.85
_LEAST_LIKENESS = 0.35
# log likelihood that chance alone reaches somewhere within the search
_CHANCE = 1.5
_NEAR = 1.5
_LATTICE_STEP = 3


@dataclass(frozen=True, eq=False)
class Matches:
    """What was found for n places.

    Parameters
    ----------
    shifts_um : (n, 3) float64
        Along the array's axes.
    probability : (n,) float64
        That the shift is right within 1.5 of the scale, as the model has it (not calibrated).
    likeness : (n,) float64
        Correlation of the windows there, -1 to 1.
    expected_error_um : (n,) float64
        Standard deviation, per axis, of what all others say of the shift.
    deviation_um : (n,) float64
        How far it lies from what all others say.
    runner_up : (n,) float64
        Likeness of the best shift elsewhere as a share of its own.
    """

    shifts_um: FloatArray
    probability: FloatArray
    likeness: FloatArray
    expected_error_um: FloatArray
    deviation_um: FloatArray
    runner_up: FloatArray


def match_places(
    first: Float32Array,
    second: Float32Array,
    spacing_um: FloatArray,
    scale_um: float,
    index: FloatArray,
    given_index: FloatArray,
    given_shifts_um: FloatArray,
    progress: Progress,
    rounds: int = len(REACHES),
) -> Matches:
    """Match places of one array in another that a rough map has brought near.

    Parameters
    ----------
    first, second : (z, y, x) float32
        Ridge strengths on one grid, NaN outside of the data.
    spacing_um : (3,) float64
    scale_um : float
        Voxel size of the coarser image.
    index : (n, 3) float64
        Places, in voxels of the grid.
    given_index, given_shifts_um : (m, 3) float64
        What is known.
    progress : Progress
    rounds : int
    """
    spacing = np.asarray(spacing_um, dtype=np.float64)
    free = np.asarray(first.shape) > 1
    places, given = index * spacing, given_index * spacing
    window = _window(first.shape, spacing, scale_um)
    prior = _prior(np.asarray(first.shape) * spacing, free, given_shifts_um, scale_um)
    given_errors = np.full(len(given), _CLICK * scale_um)
    sure = np.zeros(len(places), dtype=bool)
    shifts, errors = np.zeros_like(places), np.zeros(len(places))
    found = Matches(shifts, errors, errors, errors, errors, errors)
    for reach_scales in REACHES[:rounds]:
        field = SmoothShifts(
            prior,
            np.concatenate([given, places[sure]]),
            np.concatenate([given_shifts_um, shifts[sure]]),
            np.concatenate([given_errors, errors[sure]]),
        )
        mean, spread = field.at(places)
        expected = mean.copy()
        others, others_spread = field.without_each()
        expected[sure], spread[sure] = others[len(given) :], others_spread[len(given) :]
        carried = _carried(second, field, spacing)
        reach = tuple(
            int(np.ceil(reach_scales * scale_um / s)) if f else 0
            for s, f in zip(spacing, free, strict=True)
        )
        alike = likeness(first, carried, index, window, (reach[0], reach[1], reach[2]))
        answer = _posterior(alike, reach, spacing, free, scale_um, expected - mean, spread)
        delta, probability, peak, errors, runner_up, at_edge = answer
        # seen at x + delta in the carried image: there the field has carried it already
        shifts = delta + field.mean(places + delta)
        sure = (probability > _SURE) & (peak > _LEAST_LIKENESS) & ~at_edge
        deviation = np.linalg.norm((shifts - expected)[:, free], axis=1)
        probability = np.where(at_edge, 0.0, probability)
        found = Matches(shifts, probability, peak, spread, deviation, runner_up)
        progress.advance()
    return found


def _prior(
    extent_um: FloatArray, free: BoolArray, given_shifts_um: FloatArray, scale_um: float
) -> ShiftPrior:
    # given pairs that the rough map misses by more than usual say that more is open
    rms = float(np.sqrt(np.mean(given_shifts_um[:, free] ** 2))) / scale_um
    more = max(1.0, rms / 1.5)
    mean_extent = float(np.prod(extent_um[free]) ** (1 / free.sum()))
    return ShiftPrior(
        extent_um / 2,
        _SHIFT * more * scale_um,
        _STRAIN * more,
        _BEND * more * scale_um,
        max(6 * scale_um, _LENGTH_SHARE * mean_extent),
    )


def _window(shape: tuple[int, ...], spacing: FloatArray, scale_um: float) -> Float32Array:
    sigma, end = _WINDOW_3D if min(shape) > 1 else _WINDOW_2D
    axes = [
        np.arange(-int(np.ceil(end * scale_um / s)), int(np.ceil(end * scale_um / s)) + 1) * s
        if n > 1
        else np.zeros(1)
        for n, s in zip(shape, spacing, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    weights = np.exp(-0.5 * (z**2 + y**2 + x**2) / (sigma * scale_um) ** 2)
    return np.asarray(weights, dtype=np.float32)


def _carried(second: Float32Array, field: SmoothShifts, spacing: FloatArray) -> Float32Array:
    """The second array where the field so far carries it."""
    shape = second.shape
    nodes = [
        np.arange(0, n + _LATTICE_STEP, _LATTICE_STEP) if n > 1 else np.zeros(1) for n in shape
    ]
    lattice = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1)
    flat = lattice.reshape(-1, 3) * spacing
    means = np.concatenate(
        [field.mean(part) for part in np.array_split(flat, 1 + len(flat) // 9000)]
    )
    coarse = (means / spacing).reshape(lattice.shape)
    out = np.empty(shape, dtype=np.float32)
    y, x = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    for z in range(shape[0]):  # plane by plane: the lattice is small, the coordinates are not
        here = np.stack([np.full(y.shape, z), y, x]).astype(np.float64)
        at = here / np.array([_LATTICE_STEP if n > 1 else 1 for n in shape])[:, None, None]
        shift = [
            ndimage.map_coordinates(coarse[..., a], at, order=1, mode="nearest") for a in range(3)
        ]
        out[z] = ndimage.map_coordinates(
            second, here + np.array(shift), order=1, mode="constant", cval=np.nan
        )
    return out


def _posterior(
    alike: Float32Array,
    reach: tuple[int, ...],
    spacing: FloatArray,
    free: BoolArray,
    scale_um: float,
    expected_um: FloatArray,
    spread_um: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]:
    """Best shift, its probability, likeness, standard error, runner-up, whether at the edge."""
    n, n_free = len(alike), int(free.sum())
    axes = [np.arange(-r, r + 1) * s for r, s in zip(reach, spacing, strict=True)]
    steps = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    delta, error = np.zeros((n, 3)), np.zeros(n)
    probability, peaks, runner_up = np.zeros(n), np.zeros(n), np.zeros(n)
    at_edge = np.zeros(n, dtype=bool)
    for i in range(n):  # one at a time: all together would not fit
        c = np.clip(alike[i].astype(np.float64), 0.0, 0.995)
        log_likelihood = -0.5 * _SAMPLES * np.log1p(-(c**2)).ravel()
        width = np.hypot(spread_um[i], _CLICK * scale_um)
        off = ((steps - expected_um[i])[:, free] ** 2).sum(1) / width**2
        log_posterior = log_likelihood - 0.5 * off
        best = int(log_posterior.argmax())
        peak = np.array(np.unravel_index(best, c.shape))
        at_edge[i] = bool(np.any((np.abs(peak - reach) >= reach) & free))
        delta[i] = (_between(log_posterior.reshape(c.shape), peak) - reach) * spacing
        squared = ((steps - delta[i])[:, free] ** 2).sum(1)
        near = squared <= (_NEAR * scale_um) ** 2
        weight = np.exp(log_posterior - log_posterior[best])
        chance = np.exp(_CHANCE - log_posterior[best]) * np.exp(-0.5 * off).sum()
        probability[i] = weight[near].sum() / (weight.sum() + chance)
        variance = (weight * squared)[near].sum() / weight[near].sum() / n_free
        error[i] = np.hypot(np.sqrt(variance), _LEAST_ERROR * scale_um)
        peaks[i] = float(alike[i].ravel()[best])
        elsewhere = c.ravel()[squared > (2 * scale_um) ** 2]
        runner_up[i] = float(elsewhere.max(initial=0.0)) / max(peaks[i], 1e-6)
    return delta, probability, peaks, error, runner_up, at_edge


def _between(values: FloatArray, peak: NDArray[np.int64]) -> FloatArray:
    """The top of a parabola through the peak and its neighbours, along each axis."""
    found = peak.astype(np.float64)
    for a in range(3):
        if not 0 < peak[a] < values.shape[a] - 1:
            continue
        low, high = peak.copy(), peak.copy()
        low[a] -= 1
        high[a] += 1
        left, middle, right = (float(values[tuple(p)]) for p in (low, peak, high))
        curve = left - 2 * middle + right
        if curve < 0:
            found[a] += float(np.clip(0.5 * (left - right) / curve, -0.5, 0.5))
    return found
