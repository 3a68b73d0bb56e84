"""The smooth map that landmarks and local evidence make together: a Gaussian process.

The map is an affine one plus a smooth random field with Matern 5/2 covariance, the same for each
component (Rasmussen & Williams 2006, sec. 4.2.1 and 2.7). Landmarks measure it with an error that
is alike in all directions, image cells with the inverse of their information. The strength of the
field and the landmarks' error have the restricted likelihood's largest value, given the landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

FloatArray = NDArray[np.float64]

# The field's length, of the landmarks' (or the image's) RMS radius. Longer ones are hardly told
# from it by the data, and landmarks alone hardly tell shorter ones.
_LENGTH = 1.5
LENGTHS = (_LENGTH, 1.0, 0.65, 0.4)
"""Between which the images decide."""

# landmarks are placed with an error about this part of a voxel, give or take a factor of e
_TYPICAL_CLICK = 1 / 3
_STRENGTHS = (0.004, 0.015, 0.05, 0.15)
_CLICKS = (0.2, 0.6, 1.2, 2.4)


@dataclass(frozen=True, eq=False)
class Prior:
    """What is believed of the map before a measurement.

    Parameters
    ----------
    centre_um : (d,) float64
    scale_um : float
        Coordinates are ``(x - centre) / scale``.
    strength_um : float
        Standard deviation of the field.
    click_um : float
        Standard deviation of a landmark's error, per axis.
    length : float
        Of the covariance, in scales.
    """

    centre_um: FloatArray
    scale_um: float
    strength_um: float
    click_um: float
    length: float = _LENGTH

    def covariance(self, a_um: FloatArray, b_um: FloatArray) -> FloatArray:
        """(n, m) covariance of the field between points (n, d) and (m, d)."""
        r = np.sqrt(5) / (self.length * self.scale_um) * cdist(a_um, b_um)
        return np.asarray(self.strength_um**2 * (1 + r + r**2 / 3) * np.exp(-r))

    def trend(self, points_um: FloatArray) -> FloatArray:
        """(n, d + 1) terms of the affine part."""
        u = (points_um - self.centre_um) / self.scale_um
        return np.column_stack([u, np.ones(len(u))])


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured: values with their covariance.

    Parameters
    ----------
    points_um : (n, d) float64
        In the fixed world.
    values_um : (n, d) float64
        In the moving world, or of what is added to a map.
    covariance_um2 : (n, d, d) float64
        Of each, independent of the others.
    common : (n * d, k) float64 or None
        Factor of an error that the measurements share: its covariance is ``common @ common.T``.
    """

    points_um: FloatArray
    values_um: FloatArray
    covariance_um2: FloatArray
    common: FloatArray | None = None

    def joined(self, other: Measurements) -> Measurements:
        """Both; what either shares, it does not share with the other."""
        blocks = []
        total = self.values_um.size + other.values_um.size
        for part, start in ((self, 0), (other, self.values_um.size)):
            if part.common is not None:
                block = np.zeros((total, part.common.shape[1]))
                block[start : start + part.values_um.size] = part.common
                blocks.append(block)
        return Measurements(
            np.vstack([self.points_um, other.points_um]),
            np.vstack([self.values_um, other.values_um]),
            np.concatenate([self.covariance_um2, other.covariance_um2]),
            np.hstack(blocks) if blocks else None,
        )


class Posterior:
    """The most probable map.

    Parameters
    ----------
    prior : Prior
    data : Measurements

    Raises
    ------
    numpy.linalg.LinAlgError
        If the points do not determine an affine map.
    """

    def __init__(self, prior: Prior, data: Measurements) -> None:
        self.prior, self._points = prior, data.points_um
        n, d = data.values_um.shape
        trend = prior.trend(data.points_um)
        kernel = prior.covariance(data.points_um, data.points_um)
        whole = np.zeros((n, d, n, d))
        for i in range(d):
            whole[:, i, :, i] = kernel
        rows = np.arange(n)
        whole[rows, :, rows, :] += data.covariance_um2
        square = whole.reshape(n * d, n * d)
        if data.common is not None:
            square += data.common @ data.common.T
        factor = cho_factor(square, lower=True, overwrite_a=True, check_finite=False)
        design = np.kron(trend, np.eye(d))
        values = data.values_um.ravel()
        solved = cho_solve(factor, np.column_stack([values, design]), check_finite=False)
        normal = design.T @ solved[:, 1:]
        affine = np.linalg.solve(normal, design.T @ solved[:, 0])
        weights = solved[:, 0] - solved[:, 1:] @ affine
        self._affine, self._weights = affine.reshape(-1, d), weights.reshape(n, d)
        log_determinant = 2 * float(np.sum(np.log(np.diag(factor[0]))))
        self.log_likelihood = -0.5 * (
            log_determinant + float(np.linalg.slogdet(normal)[1]) + float(values @ weights)
        )

    def values(self, points_um: FloatArray) -> FloatArray:
        """(m, d) most probable values at (m, d) points."""
        out = self.prior.trend(points_um) @ self._affine
        block = max(1, 2**22 // len(self._points))
        for start in range(0, len(points_um), block):
            part = slice(start, start + block)
            out[part] += self.prior.covariance(points_um[part], self._points) @ self._weights
        return np.asarray(out)


def landmark_measurements(
    fixed_um: FloatArray, values_um: FloatArray, weights: FloatArray, click_um: float
) -> Measurements:
    """Landmarks with an error of `click_um` per axis, smaller where they weigh more."""
    d = fixed_um.shape[1]
    covariance = click_um**2 * np.eye(d) / weights[:, None, None]
    return Measurements(fixed_um, values_um, covariance)


def fitted_prior(
    fixed_um: FloatArray,
    moving_um: FloatArray,
    weights: FloatArray,
    voxel_um: float,
    length: float = _LENGTH,
) -> Prior:
    """The prior of a length under which the landmarks are most probable.

    Parameters
    ----------
    fixed_um, moving_um : (n, d) float64
    weights : (n,) float64
    voxel_um : float
        Of the coarser image: landmarks are placed to about a third of it.
    length : float
        In the landmarks' RMS radius.
    """
    centre = fixed_um.mean(axis=0)
    scale = float(np.sqrt(np.mean(np.sum((fixed_um - centre) ** 2, axis=1))))
    typical = _TYPICAL_CLICK * voxel_um

    def cost(logs: FloatArray) -> float:
        strength, click = np.exp(logs)
        prior = Prior(centre, scale, float(strength), float(click), length)
        data = landmark_measurements(fixed_um, moving_um, weights, float(click))
        try:
            found = Posterior(prior, data).log_likelihood
        except np.linalg.LinAlgError:
            return np.inf
        return -found + 0.5 * float(logs[1] - np.log(typical)) ** 2

    starts = [np.log([s * scale, c * typical]) for s in _STRENGTHS for c in _CLICKS]
    start = min(starts, key=cost)
    best = minimize(cost, start, method="Nelder-Mead", options={"maxfev": 80})
    strength, click = (float(v) for v in np.exp(best.x))
    return Prior(centre, scale, strength, click, length)
