"""How well landmarks are localised, as far as a fit needs to know: shape and weights.

Landmark i is known to within the covariance ``lambda / w_i * S``. `S` is one 3 x 3 matrix, made of
both sides' standard errors along z, y, x: an error of the fixed point moves the residual by the
map's linear part A, so ``S ~ diag(moving)^2 + A diag(fixed)^2 A^T`` (Balachandran & Fitzpatrick,
Proc. SPIE 7261, 2009). Only its shape matters: its mean eigenvalue is made 1.

In the eigenvectors' axes the components do not know of each other. A spline's component c is then a
spline of its own with lambda times the eigenvalue c; of a map whose components are free (affine,
translation) the least-squares solution is the same for every S.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError

FloatArray = NDArray[np.float64]
Sigmas = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class NoiseShape:
    """The common covariance of the landmarks, but for its size.

    Parameters
    ----------
    axes : (3, 3) float64
        Eigenvectors, in columns; world axes (z, y, x) in rows.
    scales : (3,) float64
        Eigenvalues; mean 1 over the dimensions in use. Axes of equal scales share it to the bit.
    """

    axes: FloatArray
    scales: FloatArray

    @property
    def is_isotropic(self) -> bool:
        """Whether every direction is alike."""
        return bool(np.all(self.scales == self.scales[0]))

    @property
    def precision(self) -> FloatArray:
        """(3, 3) inverse of the covariance."""
        return np.asarray((self.axes / self.scales) @ self.axes.T)

    def covariance(self, dimensions: int = 3) -> FloatArray:
        """(3, 3) covariance of mean variance 1, without z in the plane."""
        scales = np.where(np.arange(3) < 3 - dimensions, 0.0, self.scales)
        return np.asarray((self.axes * scales) @ self.axes.T)

    def whitened(self, vectors: FloatArray) -> FloatArray:
        """(n, 3) vectors along the axes, in units of the standard error along each."""
        return np.asarray(vectors @ self.axes / np.sqrt(self.scales))


ISOTROPIC = NoiseShape(np.eye(3), np.ones(3))


def noise_shape(
    linear: FloatArray,
    fixed_sigma_um: Sigmas | None,
    moving_sigma_um: Sigmas | None,
    dimensions: int = 3,
) -> NoiseShape:
    """Shape of the residuals' covariance for a map of linear part `linear` (3, 3).

    A side without standard errors counts as exact if the other side has some.
    """
    if fixed_sigma_um is None and moving_sigma_um is None:
        return ISOTROPIC
    first = 3 - dimensions
    covariance = np.diag(np.square(moving_sigma_um or (0.0, 0.0, 0.0)))
    part = linear[first:, first:]
    covariance = covariance[first:, first:] + part @ (
        np.diag(np.square(fixed_sigma_um or (0.0, 0.0, 0.0)))[first:, first:] @ part.T
    )
    values, vectors = np.linalg.eigh(covariance)
    values /= values.mean()
    # equal scales to the bit: every distinct one costs a solution of its own
    for i in range(1, dimensions):
        if values[i] - values[i - 1] < 1e-9:
            values[i] = values[i - 1]
    if np.all(values == values[0]):
        return ISOTROPIC
    axes, scales = np.eye(3), np.ones(3)
    axes[first:, first:], scales[first:] = vectors, values
    return NoiseShape(axes, scales)


def check_sigmas(sigmas: Sigmas | None, side: str) -> None:
    """Raise FitError unless the standard errors are three positive numbers or None."""
    if sigmas is None:
        return
    values = np.asarray(sigmas, dtype=np.float64)
    if values.shape != (3,) or not np.all(np.isfinite(values)) or not np.all(values > 0):
        raise FitError(
            f"the {side} landmarks' localisation error is three positive numbers in um "
            f"(along z, y, x), not {sigmas}: half a voxel along each axis is a usual value"
        )
