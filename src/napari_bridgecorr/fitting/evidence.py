"""Which prior and how much noise: by restricted likelihood, and how sure that is.

With the affine trend integrated out and the deformation's variance at its best value, the
likelihood of kernel, lengths and noise (Patterson & Thompson, Biometrika 58, 1971; Stein,
Interpolation of Spatial Data, 1999, sec. 6.4) is a sum over the eigenvalues of the kernel on the
contrasts: for each kernel and length, one eigendecomposition gives it for every noise. All outputs
share kernel, lengths and noise. The lengths along z, y, x may differ where the landmarks say so.

The likelihood of a few landmarks is broad. So the whole grid is kept, weighted: predicted errors
average over it, and the map is the single one nearest to the average of all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .likelihood import Part, Row, likelihoods
from .linear_models import normalisation
from .noise import ISOTROPIC, NoiseShape
from .prior import Prior
from .spline_system import SplineSystem

FloatArray = NDArray[np.float64]

KERNELS = ("matern12", "matern32", "matern52", "matern72", "gaussian")
# in RMS radii: the shortest is no map between the landmarks, the longest hardly differs from none
_LENGTHS = np.geomspace(0.25, 12.0, 9)
# Tissue seldom bends over less than a third or more than thrice the landmarks' size: the log of a
# length is taken to be about this, give or take one.
_USUAL_LENGTH = 2.0
# standard deviation that the log of a stretch is taken to have
_STRETCH_SD = 0.5
_STRETCH_STEPS = (0.7, 0.35)
# log likelihood that a stretch must gain, its own improbability taken off
_WORTHWHILE = 3.0
# More landmarks are taken in parts: one drawn from everywhere tells the long lengths, those round
# a few places the short ones and the noise. In a fraction of the time it is nearly as good.
_MOST = 200
_PART = 150
_PLACES = 3
_NEGLIGIBLE = 1e-4
_PROBES = 200
_DRAWN = 40


@dataclass(frozen=True)
class Candidate:
    """A kernel with its lengths and noise.

    Parameters
    ----------
    prior : Prior
    smoothing : float
        Variance of the landmarks over that of the deformation.
    weight : float
        Share of the likelihood; all candidates' sum to 1.
    """

    prior: Prior
    smoothing: float
    weight: float


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the landmarks say of the prior.

    Parameters
    ----------
    chosen : Candidate
        Whose map is nearest to the average of all.
    candidates : tuple of Candidate
        The likeliest first.
    variance_um2 : float
        Of one component of the deformation, with the chosen prior.
    """

    chosen: Candidate
    candidates: tuple[Candidate, ...]
    variance_um2: float


def weigh_priors(
    fixed_um: FloatArray,
    moving_um: FloatArray,
    dimensions: int = 3,
    weights: FloatArray | None = None,
    noise: NoiseShape = ISOTROPIC,
) -> Evidence:
    """Weigh kernels, lengths and noises by their restricted likelihood.

    Parameters
    ----------
    fixed_um, moving_um : (n, 3) float64
    dimensions : {3, 2}
    weights : (n,) float64, optional
    noise : NoiseShape
    """
    weights = np.ones(len(fixed_um)) if weights is None else weights
    scale_um = normalisation(fixed_um)[1]
    parts = [
        Part(fixed_um[i], moving_um[i], dimensions, weights[i], noise, scale_um)
        for i in _parts(fixed_um[:, 3 - dimensions :])
    ]
    table = _grid(parts, (1.0, 1.0, 1.0))
    stretch = _stretch(parts, table, dimensions)
    if stretch != (1.0, 1.0, 1.0):
        table = _grid(parts, stretch)
    total = np.array(
        [row.likelihood - 0.5 * np.log(row.prior.length / _USUAL_LENGTH) ** 2 for row in table]
    )
    shares = np.exp(total - total.max())
    shares /= shares.sum()
    return _evidence(parts, table, shares)


def _parts(fixed_um: FloatArray) -> list[NDArray[np.intp]]:
    """Indices of the landmarks that are looked at together."""
    n = len(fixed_um)
    if n <= _MOST:
        return [np.arange(n)]
    from scipy.spatial import KDTree

    drawn = np.random.default_rng(0).permutation(n)
    near = KDTree(fixed_um).query(fixed_um[drawn[:_PLACES]], _PART)[1]
    return [drawn[:_PART], *(np.sort(i) for i in near)]


def drawn_candidates(candidates: tuple[Candidate, ...], n: int) -> list[Candidate]:
    """`n` of them that stand for all, each with the same share of the likelihood (some twice)."""
    ordered = sorted(candidates, key=lambda c: (c.prior.kernel, c.prior.length, c.smoothing))
    reached = np.cumsum([c.weight for c in ordered])
    places = (np.arange(n) + 0.5) / n * reached[-1]
    return [ordered[i] for i in np.searchsorted(reached, places)]


def _grid(parts: list[Part], stretch: tuple[float, float, float]) -> list[Row]:
    priors = [Prior(kernel, float(length), stretch) for kernel in KERNELS for length in _LENGTHS]
    return likelihoods(parts, priors)


def _stretch(parts: list[Part], table: list[Row], dimensions: int) -> tuple[float, float, float]:
    """The likeliest ratio of the lengths, by coordinate search from the likeliest row."""
    best = max(table, key=lambda row: float(row.likelihood.max()))
    start = float(best.likelihood.max())

    def values(places: list[FloatArray]) -> list[float]:
        stretches = [(float(z), float(y), float(x)) for z, y, x in np.exp(places)]
        rows = likelihoods(parts, [replace(best.prior, stretch=each) for each in stretches])
        return [
            float(row.likelihood.max()) - 0.5 * float(np.sum((logs / _STRETCH_SD) ** 2))
            for row, logs in zip(rows, places, strict=True)
        ]

    logs, highest = np.zeros(3), start
    for step in _STRETCH_STEPS:
        for axis in range(3 - dimensions, 3):
            there = [logs + sign * step * np.eye(3)[axis] for sign in (1.0, -1.0)]
            for place, found in zip(there, values(there), strict=True):
                if found > highest:
                    logs, highest = place, found
                    break
    if highest - start < _WORTHWHILE:
        return 1.0, 1.0, 1.0
    z, y, x = np.exp(logs)
    return float(z), float(y), float(x)


def _evidence(parts: list[Part], table: list[Row], shares: FloatArray) -> Evidence:
    marks = parts[0]
    # between the landmarks: midpoints of pairs of them, drawn once
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, len(marks.fixed_um), (_PROBES, 2))
    probes = marks.fixed_um[pairs].mean(axis=1)
    candidates = [
        Candidate(row.prior, float(row.noises[j]), float(shares[i, j]))
        for i, row in enumerate(table)
        for j in np.flatnonzero(shares[i] > _NEGLIGIBLE)
    ]
    drawn = drawn_candidates(tuple(candidates), _DRAWN)
    maps = np.empty((_DRAWN, _PROBES, 3))
    for prior in {c.prior for c in drawn}:
        which = [k for k, c in enumerate(drawn) if c.prior == prior]
        smoothings, k = np.unique([drawn[k].smoothing for k in which], return_inverse=True)
        maps[which] = marks.maps(prior, smoothings, probes)[k]
    # a likely one, so that what is said of the map (its length, its noise) is likely, too
    highest = max(c.weight for c in candidates)
    off = np.sum((maps - maps.mean(axis=0)) ** 2, axis=(1, 2))
    off[[c.weight < 0.1 * highest for c in drawn]] = np.inf
    chosen = drawn[int(np.argmin(off))]
    candidates.sort(key=lambda c: -c.weight)
    own = replace(
        chosen.prior, length=chosen.prior.length * marks.scale_um / normalisation(marks.fixed_um)[1]
    )
    system = SplineSystem(marks.fixed_um, marks.dimensions, marks.weights, own)
    variance = system.variance_um2(marks.moving_um, chosen.smoothing, marks.noise)
    return Evidence(chosen, tuple(candidates), variance)
