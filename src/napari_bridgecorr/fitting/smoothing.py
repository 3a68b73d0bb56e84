"""How smooth: lambda chosen by leave-one-out error, in closed form."""

from __future__ import annotations

import math
import sys

import numpy as np
from numpy.typing import NDArray

from .spline_system import SplineSystem

FloatArray = NDArray[np.float64]

# normalised units: at 1e4 the spline is the affine fit to a part in 1e4, at 1e-8 an interpolation
_LOG_RANGE = (np.log(1e-8), np.log(1e4))
_GRID = 141
_HALF_LOG_UNIT = 0.5


def choose_smoothing(system: SplineSystem, moving_um: FloatArray) -> float:
    """Normalised smoothing with the best leave-one-out prediction; 0 if interpolation is best.

    Parameters
    ----------
    system : SplineSystem
    moving_um : (n, 3) float64

    Notes
    -----
    The criterion is the leave-one-out predictive probability (Sundararajan & Keerthi, Neural
    Computation 13, 2001; Rasmussen & Williams 2006, sec. 5.4.2) with the error scale profiled out:
    each squared leave-one-out error counts relative to its own predicted variance. A plain sum of
    squares is ruled by the few landmarks on the hull, whose leave-one-out prediction is an
    extrapolation. On simulated noisy clicks it came closer to the best lambda more often.
    """

    logs, values = _criterion_over_range(system, moving_um)
    best = int(np.argmin(values))
    if best == 0:
        return 0.0
    bounds = (logs[best - 1], logs[min(best + 1, _GRID - 1)])
    from scipy.optimize import minimize_scalar

    refined = minimize_scalar(
        lambda v: _criterion(system, moving_um, float(np.exp(v))), bounds=bounds, method="bounded"
    )
    return float(np.exp(refined.x if refined.fun <= values[best] else logs[best]))


def noisiest_smoothing(system: SplineSystem, moving_um: FloatArray) -> float:
    """Largest normalised smoothing that the leave-one-out errors hardly speak against.

    The criterion is flat: landmarks with errors of a voxel are often predicted best by
    interpolation, which takes them for exact. For judging errors the landmarks are therefore given
    the largest noise whose leave-one-out predictive probability is within half a log unit of the
    best. On simulated clicks this brought the predicted error closest to the true one.
    """
    logs, values = _criterion_over_range(system, moving_um)
    # the criterion is -2 / (n d) of the log probability of n landmarks with d coordinates
    margin = 2 * _HALF_LOG_UNIT / (system.n * system.dimensions)
    highest = int(np.flatnonzero(values <= values.min() + margin).max())
    return 0.0 if highest == 0 else float(np.exp(logs[highest]))


def _criterion_over_range(
    system: SplineSystem, moving_um: FloatArray
) -> tuple[FloatArray, FloatArray]:
    logs = np.linspace(*_LOG_RANGE, _GRID)
    return logs, np.array([_criterion(system, moving_um, float(np.exp(v))) for v in logs])


def _criterion(system: SplineSystem, moving_um: FloatArray, smoothing: float) -> float:
    """-2 / (n d) times the leave-one-out log predictive probability, but for a constant."""
    errors, diagonal = system.leave_one_out(moving_um, smoothing)
    square = float(np.nansum(np.sum(errors**2, axis=1) * diagonal))
    return math.log(max(square, sys.float_info.min)) - float(np.nanmean(np.log(diagonal)))
