"""Where one more landmark pair would tell most: the place that lowers the predicted error most.

Under the error model's Gaussian process a landmark at y, of noise variance s, takes
``cov(x, y)^2 / (var(y) + s)`` from the variance at x, wherever its partner turns out to be: the
gain is known before the click (Cressie, Statistics for Spatial Data, 1993, section 3.2). What is
maximised is its mean over the region of interest, summed over the axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import FitError
from .error_model import PosteriorErrorModel
from .fit import Fit

FloatArray = NDArray[np.float64]

_REGION = 600
_CANDIDATES = 400
# candidates of the second round, within the distance of the first round's neighbours
_NEARER = 64
_FEWEST = 2


@dataclass(frozen=True, eq=False)
class NextLandmark:
    """The best place for another pair.

    Parameters
    ----------
    fixed_um, moving_um : (3,) float64
        The place in the fixed world, and where the fit expects its partner.
    here_um : float
        Expected RMS error of the map at that place now.
    now_um, then_um : float
        Expected RMS error over the region of interest, without and with the pair.
    """

    fixed_um: FloatArray
    moving_um: FloatArray
    here_um: float
    now_um: float
    then_um: float


def next_landmark(result: Fit, region_um: ArrayLike, seed: int = 0) -> NextLandmark:
    """Find the place for the next landmark pair.

    Parameters
    ----------
    result : Fit
        Of the pairs so far.
    region_um : (m, 3) array_like
        Points (z, y, x) in um of the fixed world that fill the region of interest, evenly: where
        both images show something. Places are looked for among and between them.
    seed : int
        Of the draw where there are more points than are needed.

    Returns
    -------
    NextLandmark

    Raises
    ------
    FitError
        If the region is empty, or the landmarks are too few to tell how the tissue bends.
    """
    region = np.asarray(region_um, dtype=np.float64).reshape(-1, 3)
    region = region[np.isfinite(region).all(axis=1)]
    if len(region) == 0:
        raise FitError("the region of interest is empty: the images do not overlap there")
    options, pairs = result.options, result.pairs
    fewest = options.dimensions + 1 + _FEWEST
    if len(pairs) < fewest:
        raise FitError(
            f"{len(pairs)} pairs do not tell yet how the tissue bends: place {fewest}, far apart "
            "and at different depths"
        )
    model = PosteriorErrorModel(
        pairs, result.transform, options.dimensions, result.noise, result.evidence
    )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(region))
    region = region[order]
    over, candidates = region[:_REGION], region[:_CANDIDATES]
    gains = model.gain(candidates, over)
    best = candidates[int(np.argmax(gains))]
    # nearer to the best: between its neighbours, but where the region is
    distance = np.linalg.norm(region - best, axis=1)
    near = region[np.argsort(distance)[: 4 * _NEARER]]
    near = near[rng.permutation(len(near))[:_NEARER]]
    near = np.vstack([best, near, 0.5 * (near + best)])
    near_gains = model.gain(near, over)
    best = near[int(np.argmax(near_gains))]
    expected = model.predict(over)
    now = float(np.sqrt(np.mean(expected**2)))
    left = max(now**2 - float(near_gains.max()), 0.0)
    return NextLandmark(
        best,
        np.asarray(result.transform.map(best[None])[0]),
        float(model.predict(best[None])[0]),
        now,
        float(np.sqrt(left)),
    )
