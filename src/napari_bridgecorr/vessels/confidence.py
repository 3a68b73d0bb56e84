"""How far a match is to be believed: a logistic regression, told by phantoms of known truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from .matching import Matches

FloatArray = NDArray[np.float64]

# Odds of being right, in logarithms. Fitted to trees, meshes and walks in 2-D and 3-D, each
# phantom as much as another, then lowered until of the sparsest ones 95 % above 0.9 were right.
_CONSTANT = 3.0
_PER_LOG_LIKENESS, _LIKENESS = 1.6, (0.1, 0.9)
_PER_LOG_EXPECTED_ERROR, _LEAST_EXPECTED_ERROR = -1.2, 0.02
_PER_DEVIATION, _MOST_DEVIATION = -2.2, 3.0
_PER_RUNNER_UP, _CLEAR = -8.0, 0.7
# below this the place's own surroundings leave it open
_LEAST_PROBABILITY = 0.5


def calibrated(matches: Matches, scale_um: float) -> FloatArray:
    """(n,) probability that a match is right within 1.5 of the scale, on the safe side.

    The model's own probability takes for granted that what all others say is right as far as they
    agree. Where vessels are few it is not: a region may go astray together. What tells these
    matches from right ones, on phantoms, is that windows are less alike there, that others tell
    less of the place, that it lies off what they tell, and that another place is nearly as much
    alike. The model's probability adds nothing to these but where it is small.

    Parameters
    ----------
    matches : Matches
    scale_um : float
        Voxel size of the coarser image.
    """
    expected = matches.expected_error_um / scale_um
    odds = (
        _CONSTANT
        + _PER_LOG_LIKENESS * np.log(np.clip(matches.likeness, *_LIKENESS))
        + _PER_LOG_EXPECTED_ERROR * np.log(np.maximum(expected, _LEAST_EXPECTED_ERROR))
        + _PER_DEVIATION * np.minimum(matches.deviation_um / scale_um, _MOST_DEVIATION)
        + _PER_RUNNER_UP * np.maximum(matches.runner_up - _CLEAR, 0.0)
    )
    is_closed = matches.probability > _LEAST_PROBABILITY
    return np.asarray(np.where(is_closed, expit(odds), 0.0))
