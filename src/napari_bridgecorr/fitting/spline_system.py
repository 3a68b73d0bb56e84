"""The thin-plate spline's linear system, solved for every smoothing at once.

With ``K_ij = U(|u_i - u_j|)`` and ``P = [u, 1]`` in normalised coordinates the spline of smoothing
lambda solves ``(K + lambda I) w + P a = y``, ``P^T w = 0``. On the null space of ``P^T`` (basis Q2
from P = QR) the kernel is positive definite; its eigendecomposition, done once, gives for any
lambda (Wahba, Spline Models for Observational Data, 1990, ch. 4):

``w = B y`` with ``B = Q2 V diag(1 / (e + lambda)) V^T Q2^T``,

the leave-one-out errors ``(B y)_i / B_ii`` (Rippa, Adv. Comput. Math. 11, 1999, extended to
smoothing: deleting row i of the same system), and the hat matrix ``I - lambda B``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..transform import ThinPlateSpline
from .linear_models import normalisation

FloatArray = NDArray[np.float64]

# below this freedom (1 - leverage) a landmark alone determines part of the affine: the rest is flat
_LEAST_FREEDOM = 1e-6


class SplineSystem:
    """Splines through one set of fixed landmarks.

    Parameters
    ----------
    fixed_um : (n, 3) float64
        Landmarks (z, y, x) in um; the caller has checked that they determine an affine.
    dimensions : {3, 2}
    """

    def __init__(self, fixed_um: FloatArray, dimensions: int = 3) -> None:
        self.fixed_um = fixed_um
        self.dimensions = dimensions
        self.centre_um, self.scale_um = normalisation(fixed_um)
        u = self._normalise(fixed_um)
        self.kernel = self._kernel(u)
        self.design = self._design(u)
        q, r = np.linalg.qr(self.design, mode="complete")
        k = self.n_polynomial
        self._range, self._triangle = q[:, :k], r[:k]
        self._essential = 1 - np.sum(self._range**2, axis=1) < _LEAST_FREEDOM
        self.eigenvalues, vectors = np.linalg.eigh(q[:, k:].T @ self.kernel @ q[:, k:])
        self._modes = q[:, k:] @ vectors

    @property
    def n(self) -> int:
        """Number of landmarks."""
        return len(self.fixed_um)

    @property
    def n_polynomial(self) -> int:
        """Number of coefficients of the affine part."""
        return self.dimensions + 1

    @property
    def smoothing_unit(self) -> float:
        """What lambda = 1 of the normalised system is in the kernel's own unit (um or um^2)."""
        return float(self.scale_um if self.dimensions == 3 else self.scale_um**2)

    def bending(self, smoothing: float) -> FloatArray:
        """(n, n) matrix B for a normalised smoothing."""
        return np.asarray((self._modes / (self.eigenvalues + smoothing)) @ self._modes.T)

    def leave_one_out(
        self, moving_um: FloatArray, smoothing: float
    ) -> tuple[FloatArray, FloatArray]:
        """Leave-one-out errors (n, 3) in um, data minus prediction, and the (n,) diagonal of B.

        ``diagonal`` is the inverse of each error's predicted variance but for one common factor.
        Both are NaN for a landmark without which the others do not determine a spline.
        """
        b = self.bending(smoothing)
        diagonal = np.where(self._essential, np.nan, np.diag(b))
        values = self._values(moving_um)
        return (b @ values) / diagonal[:, None], diagonal

    def solve(self, moving_um: FloatArray, smoothing: float) -> ThinPlateSpline:
        """The spline from the fixed to the moving landmarks for a normalised smoothing."""
        values = self._values(moving_um)
        weights = self.bending(smoothing) @ values
        rest = values - self.kernel @ weights - smoothing * weights
        affine = np.linalg.solve(self._triangle, self._range.T @ rest)
        polynomial = np.zeros((3, 4))
        if self.dimensions == 3:
            polynomial[:] = affine.T
        else:
            polynomial[0, 0] = self.scale_um  # z passes through, shifted by the mean difference
            polynomial[0, 3] = self.centre_um[0] - moving_um.mean(axis=0)[0]
            polynomial[0, 3] += float(np.mean(moving_um[:, 0] - self.fixed_um[:, 0]))
            polynomial[1:, 1:] = affine.T[1:]
        polynomial[:, 3] += moving_um.mean(axis=0)
        return ThinPlateSpline(
            self.fixed_um,
            moving_um,
            weights,
            polynomial,
            self.centre_um,
            self.scale_um,
            smoothing * self.smoothing_unit,
            self.dimensions,
        )

    def full_matrix(self, smoothing: float) -> FloatArray:
        """``[[K + lambda I, P], [P^T, 0]]``, (n + k, n + k)."""
        k = self.n_polynomial
        full = np.zeros((self.n + k, self.n + k))
        full[: self.n, : self.n] = self.kernel + smoothing * np.eye(self.n)
        full[: self.n, self.n :] = self.design
        full[self.n :, : self.n] = self.design.T
        return full

    def basis(self, points_um: FloatArray) -> FloatArray:
        """(m, n + k) values of the kernels and of the affine terms at (m, 3) points."""
        u = self._normalise(points_um)
        return np.hstack([self._kernel(u), self._design(u)])

    def _normalise(self, points_um: FloatArray) -> FloatArray:
        return np.asarray((points_um - self.centre_um) / self.scale_um)

    def _values(self, moving_um: FloatArray) -> FloatArray:
        values: FloatArray = moving_um - moving_um.mean(axis=0)
        if self.dimensions == 2:
            values[:, 0] = 0.0
        return values

    def _kernel(self, u: FloatArray) -> FloatArray:
        axes = slice(3 - self.dimensions, 3)
        from scipy.spatial.distance import cdist

        r = cdist(u[:, axes], self._normalise(self.fixed_um)[:, axes])
        if self.dimensions == 3:
            return np.asarray(-r, dtype=np.float64)
        # r^2 log r -> 0 as r -> 0
        return np.asarray(r**2 * np.log(np.where(r > 0, r, 1.0)), dtype=np.float64)

    def _design(self, u: FloatArray) -> FloatArray:
        return np.column_stack([u[:, 3 - self.dimensions :], np.ones(len(u))])
