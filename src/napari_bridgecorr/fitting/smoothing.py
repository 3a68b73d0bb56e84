"""How smooth: lambda chosen by leave-one-out error, in closed form."""

from __future__ import annotations

import math
import sys

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from .spline_system import SplineSystem

FloatArray = NDArray[np.float64]

# normalised units: at 1e4 the spline is the affine fit to a part in 1e4, at 1e-8 an interpolation
_LOG_RANGE = (np.log(1e-8), np.log(1e4))
_GRID = 141


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

    def criterion(smoothing: float) -> float:
        errors, diagonal = system.leave_one_out(moving_um, smoothing)
        square = float(np.nansum(np.sum(errors**2, axis=1) * diagonal))
        return math.log(max(square, sys.float_info.min)) - float(np.nanmean(np.log(diagonal)))

    logs = np.linspace(*_LOG_RANGE, _GRID)
    values = np.array([criterion(float(np.exp(v))) for v in logs])
    best = int(np.argmin(values))
    if best == 0:
        return 0.0
    bounds = (logs[best - 1], logs[min(best + 1, _GRID - 1)])
    refined = minimize_scalar(
        lambda v: criterion(float(np.exp(v))), bounds=bounds, method="bounded"
    )
    return float(np.exp(refined.x if refined.fun <= values[best] else logs[best]))
