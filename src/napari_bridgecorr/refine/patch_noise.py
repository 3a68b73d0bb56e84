"""How alike what two images do not share is in neighbouring samples, and samples freed of it.

What one image shows and the other does not (another tissue's texture, shading) is smooth like the
images themselves. Taken for independent noise it pulls a landmark about; taken for what it is, the
fine detail, in which it is small, decides. Its covariance is an exponential one plus white noise
(a Gaussian process's, as in kriging); generalised least squares (Aitken, Proc. R. Soc. Edinb. 55,
42, 1936) are least squares on samples multiplied by the inverse of its Cholesky factor.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.spatial.distance import pdist, squareform

FloatArray = NDArray[np.float64]
Whitening = Callable[[FloatArray], FloatArray]

# in samples; what is beyond a few of them the background takes, and one length does for all
_LENGTH = 3.0
# of the exponential part, the rest being white
_SHARES = (0.3, 0.7, 0.95)
# samples that decide between them, those that weigh the most
_MOST_ASKED = 500


def whitening(places: FloatArray, left: FloatArray, weights: FloatArray) -> Whitening:
    """What frees samples of the noise that residuals show, by maximum likelihood.

    Parameters
    ----------
    places : (n, 3) float64
        In samples.
    left : (n,) float64
        Residuals of a fit.
    weights : (n,) float64
        A residual's variance is inverse to them.

    Returns
    -------
    callable
        From (n,) or (n, k) columns, already multiplied by the roots of the weights.
    """
    scaled = left * np.sqrt(weights)
    asked = np.argsort(-weights, kind="stable")[:_MOST_ASKED]
    alike = np.exp(-squareform(pdist(places[asked])) / _LENGTH)
    best, least = 0.0, _deviance(scaled[asked], None)
    for share in _SHARES:
        found = _deviance(scaled[asked], _factor(alike, share))
        if found < least:
            best, least = share, found
    if best == 0.0:
        return lambda columns: columns
    if len(asked) < len(places):
        alike = np.exp(-squareform(pdist(places)) / _LENGTH)
    factor = _factor(alike, best)
    return lambda columns: np.asarray(
        solve_triangular(factor, columns, lower=True, check_finite=False)
    )


def _factor(alike: FloatArray, share: float) -> FloatArray:
    mixed = share * alike
    mixed[np.diag_indices_from(mixed)] = 1.0
    return np.asarray(cholesky(mixed, lower=True, overwrite_a=True, check_finite=False))


def _deviance(values: FloatArray, factor: FloatArray | None) -> float:
    """Minus twice the log likelihood, the variance being the best one."""
    if factor is None:
        return len(values) * float(np.log(max(float(values @ values), 1e-300)))
    white = solve_triangular(factor, values, lower=True, check_finite=False)
    spread = 2 * float(np.log(np.diag(factor)).sum())
    return len(values) * float(np.log(max(float(white @ white), 1e-300))) + spread
