"""Where, to a part of a sample, a boundary crosses each column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# samples on either side of an edge that its ramp may fill, and beyond them that tell the levels
_RAMP = 3
_LEVEL = 4
_LEAST_VOTE = 0.1
# samples: steps so close to a surface are at it; how far to look for others that are not
NEAR = 4.0
WIDE = 16.0
# a gap thinner than its ramp and levels (glass in an MRI) shows by so much of the step
_THIN_GAP = 0.25
# of the step: how far beyond its levels a sample may count (a vessel below the surface)
_OVERSHOOT = 0.25


@dataclass(frozen=True, eq=False)
class Edges:
    """One edge of each column at most.

    Parameters
    ----------
    position : (u, v) float64
        In faces: sample k reaches from k to k + 1. NaN where there is none.
    step : (u, v) float64
        Change of the values there.
    vote : (u, v) float64
        How certain it is, 0 to 1.
    """

    position: FloatArray
    step: FloatArray
    vote: FloatArray


def edges_near(
    values: FloatArray, votes: FloatArray, surface: FloatArray, reach: float, sign: int
) -> Edges:
    """The surest step of each column within `reach` samples of a surface.

    Parameters
    ----------
    values : (d, u, v) float64
    votes : (d + 1, u, v) float64
        Of :func:`~.votes.step_votes`.
    surface : (u, v) float64
        In faces.
    reach : float
    sign : {1, -1}
        1: brighter beyond it.

    Notes
    -----
    A first place is the face of the best vote. Then the edge is put where a sharp one would give
    the same sum over the ramp: unbiased for every symmetrical blur.
    """
    window = _windowed(votes * sign, surface, reach)
    face = np.argmax(window, axis=0)
    vote = np.take_along_axis(window, face[None], axis=0)[0]
    position, step = _sharpened(values, face)
    # once more about what was found: the best vote may lie a sample off
    again = np.clip(np.nan_to_num(np.rint(position), nan=-1.0), face - 2, face + 2)
    position, step = _sharpened(values, np.clip(again, 1, len(values) - 1).astype(np.int64))
    found = (vote > _LEAST_VOTE) & np.isfinite(position) & (step * sign > 0)
    found &= np.abs(position - surface) <= reach + 1
    return Edges(
        np.where(found, position, np.nan), np.where(found, step, np.nan), np.where(found, vote, 0.0)
    )


def lines_near(values: FloatArray, votes: FloatArray, surface: FloatArray, reach: float) -> Edges:
    """The centre of the surest bright sheet of each column within `reach` samples of a surface."""
    window = _windowed(votes, surface - 0.5, reach)
    sample = np.argmax(window, axis=0)
    vote = np.take_along_axis(window, sample[None], axis=0)[0]
    offsets = np.arange(-_RAMP, _RAMP + 1)
    part = _at(values, sample[None] + offsets[:, None, None])
    base = np.nanmin(np.where(np.isfinite(part), part, np.inf), axis=0)
    weight = np.where(np.isfinite(part), part - base, 0.0)
    weight = np.maximum(weight - 0.2 * weight.max(axis=0), 0.0)
    total = weight.sum(axis=0)
    centre = (weight * offsets[:, None, None]).sum(axis=0) / np.where(total > 0, total, 1.0)
    found = (vote > _LEAST_VOTE) & (total > 0)
    peak = np.take_along_axis(np.nan_to_num(values), sample[None], axis=0)[0]
    return Edges(
        np.where(found, sample + 0.5 + centre, np.nan),
        np.where(found, peak - base, np.nan),
        np.where(found, vote, 0.0),
    )


def distinctness(votes: FloatArray, surface: FloatArray, sign: int, wide_samples: float) -> float:
    """How much oftener the surest steps lie at a surface than they would by chance.

    In texture the surest step of a column within reach lies anywhere; at a boundary it lies there.
    `wide_samples` is how far to either side to look: not as far as to a second boundary.

    Returns
    -------
    float
        1 if all do, 0 (or a little less) if no more than chance would have it.
    """
    away = np.abs(np.arange(len(votes))[:, None, None] - surface)
    near, wide = away <= NEAR, away <= wide_samples
    window = np.where(wide, votes * sign, 0.0)
    vote = window.max(axis=0)
    at = np.take_along_axis(away, np.argmax(window, axis=0)[None], axis=0)[0] <= NEAR
    weight = np.where(vote > _LEAST_VOTE, vote, 0.0)
    # what chance would have: by the samples that there are, near an end of the columns fewer
    chance = near.sum(axis=0) / np.maximum(wide.sum(axis=0), 1)
    total = float(weight.sum())
    if total == 0:
        return 0.0
    expected = float((weight * chance).sum()) / total
    return (float((weight * at).sum()) / total - expected) / max(1 - expected, 1e-9)


def _windowed(votes: FloatArray, surface: FloatArray, reach: float) -> FloatArray:
    """Votes within reach; those in the middle count a little more."""
    away = np.abs(np.arange(len(votes))[:, None, None] - surface)
    return np.where(away <= reach, votes * (1 - 0.3 * away / max(reach, 1e-9)), 0.0)


def _sharpened(values: FloatArray, face: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Position by the area under the ramp about a first face, and the step's height."""
    d = len(values)
    # near an end of the column the ramp is shortened: half of what there is, one sample at least
    ramp = np.clip(np.minimum(face, d - face) - 1, 1, _RAMP)
    outer = np.arange(_LEVEL)[:, None, None]
    low = _mean(_at(values, face - ramp - 1 - outer))
    high = _mean(_at(values, face + ramp + outer))
    close = _mean(_at(values, face - 2 - outer[:2]))
    thin = (low - close) * np.sign(high - close) > _THIN_GAP * np.abs(high - close)
    low, ramp = np.where(thin, close, low), np.where(thin, np.minimum(ramp, 2), ramp)
    step = high - low
    k = np.arange(-_RAMP, _RAMP)[:, None, None]
    inside = (k >= -ramp) & (k < ramp)
    safe = np.where(np.abs(step) > 1e-12, step, np.nan)
    share = np.clip((_at(values, face + k) - low) / safe, -_OVERSHOOT, 1 + _OVERSHOOT)
    # NaN in the ramp makes the position NaN: an edge of the data is no edge of the sample
    total = np.where(inside, share, 0.0).sum(axis=0)
    return np.asarray(face + ramp - total), np.asarray(step)


def _at(values: FloatArray, index: NDArray[np.int64]) -> FloatArray:
    """(k, u, v) samples by number along each column; NaN beyond its ends."""
    inside = (index >= 0) & (index < len(values))
    taken = np.take_along_axis(values, np.clip(index, 0, len(values) - 1), axis=0)
    return np.where(inside, taken, np.nan)


def _mean(values: FloatArray) -> FloatArray:
    """Mean of the known values; NaN where there is none."""
    known = np.isfinite(values)
    n = known.sum(axis=0)
    return np.where(n > 0, np.where(known, values, 0.0).sum(axis=0) / np.maximum(n, 1), np.nan)
