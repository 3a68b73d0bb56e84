"""How wrong the registration may be at any point, from the landmarks alone."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..landmarks import LandmarkPairs
from ..transform import InvertedTransform, ThinPlateSpline, Transform
from .noise import ISOTROPIC, NoiseShape
from .smoothing import noisiest_smoothing
from .spline_system import SplineSystem

FloatArray = NDArray[np.float64]

_CHUNK = 50_000
_FEWEST_FOR_SPLINE_MODEL = 8


class ErrorModel(Protocol):
    """Predicts the registration error."""

    @property
    def description(self) -> str:
        """What the number is, in one sentence (goes into the table's metadata)."""

    def predict(self, points_um: FloatArray) -> FloatArray:
        """(n,) expected root-mean-square 3-D error in um at (n, 3) fixed world points."""


class SplineErrorModel:
    """Error of a linear estimator (affine or spline) under the thin-plate prior.

    The unknown map is taken as a Gaussian process whose prediction is the smoothing spline
    (Wahba 1990, ch. 1; kriging with generalised covariance ``-r``). The landmarks' localisation
    variance sigma^2 = lambda rho is the largest that their leave-one-out errors support, and the
    scale rho is such that these errors have the size that the model predicts for them. For an
    estimator with weights ``a(x)`` on the landmarks the mean squared error is then

    ``rho (a^T K a - 2 a^T k(x)) + sigma^2 |a|^2``,

    a landmark's sigma^2 being divided by its weight, along the noise's axes.

    It is smallest between the landmarks and grows outside their hull.
    """

    description = (
        "expected RMS 3-D registration error (um) under a thin-plate Gaussian-process prior "
        "calibrated on the leave-one-out errors of the landmarks"
    )

    def __init__(
        self,
        pairs: LandmarkPairs,
        smoothing_um: float | None,
        dimensions: int = 3,
        noise: NoiseShape = ISOTROPIC,
    ) -> None:
        system = SplineSystem(pairs.fixed_um, dimensions, pairs.weights)
        lam = noisiest_smoothing(system, pairs.moving_um, noise)
        left = system.leave_one_out(pairs.moving_um, lam, noise)
        self._system = system
        scales, counts = np.unique(noise.scales[system.axes], return_counts=True)
        # of one component; noise along an axis counts by its share
        self._rho = float(np.nanmean(left.squares)) / dimensions
        self._parts = [
            (
                int(count),
                lam * float(scale) * self._rho / pairs.weights,
                self._weights_matrix(smoothing_um, float(scale)),
            )
            for scale, count in zip(scales, counts, strict=True)
        ]

    def _weights_matrix(self, smoothing_um: float | None, scale: float) -> FloatArray:
        """(n + k, n) matrix E with ``a(x) = E^T basis(x)``."""
        system = self._system
        n = system.n
        if smoothing_um is None:  # the affine fit: no kernel part
            root = np.sqrt(system.weights)
            matrix = np.zeros((n + system.n_polynomial, n))
            matrix[n:] = np.linalg.pinv(system.design * root[:, None]) * root
            return matrix
        full = system.full_matrix(smoothing_um * scale / system.smoothing_unit)
        return np.asarray(np.linalg.solve(full, np.eye(len(full)))[:, :n])

    def predict(self, points_um: FloatArray) -> FloatArray:
        out = np.zeros(len(points_um))
        n = self._system.n
        for count, variances, estimator in self._parts:
            quadratic = self._rho * self._system.kernel + np.diag(variances)
            for start in range(0, len(points_um), _CHUNK):
                basis = self._system.basis(points_um[start : start + _CHUNK])
                a = basis @ estimator
                square = np.sum((a @ quadratic - 2 * self._rho * basis[:, :n]) * a, axis=1)
                out[start : start + _CHUNK] += count * square
        return np.asarray(np.sqrt(np.maximum(out, 0.0)))


class InverseErrorModel:
    """Error of the numeric inverse of a map that was fitted from moving to fixed.

    That map's error where the point goes, seen through the inverse's local stretch.
    """

    def __init__(self, backward: ErrorModel, transform: Transform) -> None:
        self._backward = backward
        self._transform = transform
        self.description = backward.description

    def predict(self, points_um: FloatArray) -> FloatArray:
        moved = self._transform.map(points_um)
        with np.errstate(invalid="ignore"):
            stretch = np.linalg.norm(self._transform.jacobian(points_um), axis=(1, 2)) / np.sqrt(3)
        known = np.isfinite(moved).all(axis=1)
        out = np.full(len(points_um), np.nan)
        out[known] = self._backward.predict(moved[known]) * stretch[known]
        return out


class ResidualErrorModel:
    """Error of a model that is not linear in the landmarks, or with too few of them.

    ``sigma^2 (1 + 1/N + |x - mean|^2 / (sum of squared distances))``, sums and mean weighted: what
    a new landmark of weight 1 at x would show, misfit included (after Fitzpatrick & West, IEEE
    TMI 20, 2001).
    """

    description = (
        "expected distance (um) at which a new landmark would be found, from the residuals of the "
        "landmarks and the distance from their centre"
    )

    def __init__(self, pairs: LandmarkPairs, transform: Transform, n_parameters: int) -> None:
        residual = transform.map(pairs.fixed_um) - pairs.moving_um
        weights = pairs.weights
        freedom = max(3 * len(pairs) - n_parameters, 1)
        self._sigma2 = 3 * float(np.sum(weights @ residual**2)) / freedom
        self._total = float(weights.sum())
        self._centre = weights @ pairs.fixed_um / self._total
        self._spread = float(np.sum(weights @ (pairs.fixed_um - self._centre) ** 2)) or 1.0

    def predict(self, points_um: FloatArray) -> FloatArray:
        square = np.sum((points_um - self._centre) ** 2, axis=1)
        return np.asarray(np.sqrt(self._sigma2 * (1 + 1 / self._total + square / self._spread)))


class CheckErrorModel:
    """Error of a transform that was not fitted to these landmarks: their RMS distance."""

    description = "RMS distance (um) of the check landmarks from where the transform puts them"

    def __init__(self, pairs: LandmarkPairs, transform: Transform) -> None:
        distance = np.linalg.norm(transform.map(pairs.fixed_um) - pairs.moving_um, axis=1)
        self._rms_um = float(np.sqrt(np.mean(distance**2)))

    def predict(self, points_um: FloatArray) -> FloatArray:
        return np.full(len(points_um), self._rms_um)


_PARAMETERS = {"translation": 3, "rigid": 6, "similarity": 7, "affine": 12, "tps": 12}


def error_model(
    pairs: LandmarkPairs,
    transform: Transform,
    model: str,
    dimensions: int = 3,
    noise: NoiseShape = ISOTROPIC,
) -> ErrorModel:
    """The error model that fits how `transform` came from `pairs`.

    Parameters
    ----------
    pairs : LandmarkPairs
    transform : Transform
    model : str
    dimensions : {3, 2}
    noise : NoiseShape
        As the fit has it.
    """
    if isinstance(transform, InvertedTransform):
        backward = error_model(pairs.swapped(), transform.forward, model, dimensions, noise)
        return InverseErrorModel(backward, transform)
    if len(pairs) >= _FEWEST_FOR_SPLINE_MODEL:
        if isinstance(transform, ThinPlateSpline):
            return SplineErrorModel(pairs, transform.smoothing_um, dimensions, noise)
        if model == "affine":
            return SplineErrorModel(pairs, None, dimensions, noise)
    return ResidualErrorModel(pairs, transform, _PARAMETERS[model])
