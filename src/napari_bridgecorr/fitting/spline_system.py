"""The linear system of a smoothing spline or kriging map, solved for any smoothing.

With ``K_ij = U(|u_i - u_j|)`` and ``P = [u, 1]`` in normalised coordinates the spline of smoothing
lambda and weights W solves ``(K + lambda W^-1) w + P a = y``, ``P^T w = 0``. Multiplied by the root
of W from both sides this is the system of ``K' = W^1/2 K W^1/2`` and ``P' = W^1/2 P`` with all
weights 1. On the null space of ``P'^T`` (basis Q2 from P' = QR) the kernel is positive definite,
and (Wahba, Spline Models for Observational Data, 1990, ch. 4)

``w' = B y'`` with ``B = Q2 (Q2^T K' Q2 + lambda)^-1 Q2^T``;

the leave-one-out errors are ``(B y')_i / B_ii`` (Rippa, Adv. Comput. Math. 11, 1999, extended to
smoothing: deleting row i of the same system), and the hat matrix is ``I - lambda B``. An
eigendecomposition, done once, gives B for every lambda. The same holds with a covariance for the
kernel (:mod:`.prior`): the solution is then the kriging prediction with an affine trend. Beyond a
thousand landmarks it takes longer than the few Cholesky factorisations that a search for lambda
needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..transform import KernelMap, ThinPlateSpline
from .bending import Bending, BendingByInverse, BendingByModes, Reflections
from .linear_models import normalisation
from .noise import ISOTROPIC, NoiseShape
from .prior import THIN_PLATE, Prior

FloatArray = NDArray[np.float64]

# below this freedom (1 - leverage) a landmark alone determines part of the affine: the rest is flat
_LEAST_FREEDOM = 1e-6
MOST_EIGENVALUES = 1000
_POWER_STEPS = 8
_EXACT_CONDITION = 300
# smoothings differ between the axes of anisotropic noise
_KEPT = 3


@dataclass(frozen=True, eq=False)
class Component:
    """Outputs that share a smoothing.

    Parameters
    ----------
    which : (c,) int
        The noise's axes that they are.
    scale : float
        Their share of the noise.
    coefficients : (n, c) float64
        ``B y'``.
    diagonal : (n,) float64
        Of B.
    """

    which: NDArray[np.intp]
    scale: float
    coefficients: FloatArray
    diagonal: FloatArray


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Leave-one-out errors, data minus prediction; NaN where the others determine no spline.

    Parameters
    ----------
    errors_um : (n, 3) float64
        Along z, y, x.
    rotated_um : (n, 3) float64
        Along the noise's axes.
    precision : (n, 3) float64
        Inverse of the predicted variance of `rotated_um` but for one common factor; 0 along an axis
        that is not fitted.
    """

    errors_um: FloatArray
    rotated_um: FloatArray
    precision: FloatArray

    @property
    def squares(self) -> FloatArray:
        """(n,) squared errors, each relative to its predicted variance (but for the factor)."""
        return np.asarray(np.sum(self.rotated_um**2 * self.precision, axis=1))


class SplineSystem:
    """Splines through one set of fixed landmarks.

    Parameters
    ----------
    fixed_um : (n, 3) float64
        Landmarks (z, y, x) in um; the caller has checked that they determine an affine.
    dimensions : {3, 2}
    weights : (n,) float64, optional
        A landmark's noise variance is lambda over its weight; 1 by default.
    prior : Prior
        What kernel: the thin-plate spline's by default.
    """

    def __init__(
        self,
        fixed_um: FloatArray,
        dimensions: int = 3,
        weights: FloatArray | None = None,
        prior: Prior = THIN_PLATE,
    ) -> None:
        self.fixed_um = fixed_um
        self.dimensions = dimensions
        self.prior = prior
        self.weights = np.ones(len(fixed_um)) if weights is None else weights
        self.centre_um, self.scale_um = normalisation(fixed_um)
        u = self._normalise(fixed_um)
        self.kernel = self._kernel(u)
        self.design = self._design(u)
        self._root = np.sqrt(self.weights)
        self._weighed = self.kernel * self._root[:, None] * self._root
        self._reflections = Reflections(self.design * self._root[:, None])
        leverage = np.sum(np.linalg.qr(self.design)[0] ** 2, axis=1)
        self._essential = 1 - leverage < _LEAST_FREEDOM
        self._bendings: dict[float, Bending] = {}

    @property
    def n(self) -> int:
        """Number of landmarks."""
        return len(self.fixed_um)

    @property
    def n_polynomial(self) -> int:
        """Number of coefficients of the affine part."""
        return self.dimensions + 1

    @property
    def axes(self) -> slice:
        """The world axes that are fitted."""
        return slice(3 - self.dimensions, 3)

    @property
    def is_free(self) -> NDArray[np.bool_]:
        """(n,) whether the other landmarks determine a spline."""
        return np.asarray(~self._essential)

    @property
    def smoothing_unit(self) -> float:
        """What lambda = 1 of the normalised system is in the kernel's own unit (um, um^2 or 1)."""
        if not self.prior.is_thin_plate:
            return 1.0
        return float(self.scale_um if self.dimensions == 3 else self.scale_um**2)

    @property
    def has_eigenvalues(self) -> bool:
        """Whether a further smoothing costs O(n^2) only."""
        return self.n <= MOST_EIGENVALUES

    @cached_property
    def _eigen(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Eigenvalues, modes ``Q2 V`` (n, n - k), and the modes squared."""
        values, vectors = np.linalg.eigh(self._reduced)
        modes = self._reflections.padded(vectors)
        return values, modes, modes**2

    @cached_property
    def _reduced(self) -> FloatArray:
        """Lower half of ``Q2^T K' Q2``, (n - k, n - k)."""
        return self._reflections.reduced(self._weighed)

    def bending(self, smoothing: float) -> Bending:
        """B for a normalised smoothing; those last asked for are kept."""
        found = self._bendings.get(smoothing)
        if found is None:
            if self.has_eigenvalues:
                found = BendingByModes(*self._eigen, smoothing)
            else:
                while len(self._bendings) >= _KEPT:
                    self._bendings.pop(next(iter(self._bendings)))
                found = BendingByInverse(self._reduced, self._reflections, smoothing)
                self._bendings[smoothing] = found
        return found

    def components(
        self, moving_um: FloatArray, smoothing: float, noise: NoiseShape = ISOTROPIC
    ) -> Iterator[Component]:
        """The outputs along the noise's axes, those of one scale together."""
        values = self._values(moving_um, noise) * self._root[:, None]
        for which, scale in self._outputs(noise):
            b = self.bending(smoothing * scale)
            yield Component(which, scale, b.times(values[:, which]), b.diagonal)

    def components_over(
        self, moving_um: FloatArray, smoothings: FloatArray, noise: NoiseShape = ISOTROPIC
    ) -> Iterator[Component]:
        """As :meth:`components` for (s,) smoothings: coefficients (n, s, c), diagonal (n, s)."""
        values, modes, squares = self._eigen
        contrasts = modes.T @ (self._values(moving_um, noise) * self._root[:, None])
        for which, scale in self._outputs(noise):
            inverse = 1 / (values[:, None] + smoothings * scale)
            divided = contrasts[:, None, which] * inverse[:, :, None]
            found = modes @ divided.reshape(len(values), -1)
            shape = (self.n, len(smoothings), len(which))
            yield Component(which, scale, found.reshape(shape), squares @ inverse)

    def leave_one_out(
        self, moving_um: FloatArray, smoothing: float, noise: NoiseShape = ISOTROPIC
    ) -> LeaveOneOut:
        """Leave-one-out errors for a normalised smoothing, the noise's shape being held."""
        rotated, precision = np.zeros((self.n, 3)), np.zeros((self.n, 3))
        for part in self.components(moving_um, smoothing, noise):
            diagonal = np.where(self._essential, np.nan, part.diagonal)
            rotated[:, part.which] = part.coefficients / (diagonal * self._root)[:, None]
            precision[:, part.which] = (diagonal * self.weights)[:, None]
        rotated[self._essential] = np.nan
        return LeaveOneOut(rotated @ noise.axes.T, rotated, precision)

    def _coefficients(
        self, moving_um: FloatArray, smoothing: float, noise: NoiseShape
    ) -> tuple[FloatArray, FloatArray]:
        """Kernel weights (n, 3) and affine part (k, 3) of the moving points about their mean."""
        from scipy.linalg import solve_triangular

        values = self._values(moving_um, noise)
        weights = np.zeros((self.n, 3))
        rest = values.copy()
        for part in self.components(moving_um, smoothing, noise):
            weights[:, part.which] = part.coefficients * self._root[:, None]
            rest[:, part.which] -= (
                smoothing * part.scale * weights[:, part.which] / self.weights[:, None]
            )
        rest -= self.kernel @ weights
        projected = self._reflections.back(rest * self._root[:, None])
        affine = solve_triangular(self._reflections.triangle, projected[: self.n_polynomial])
        return weights @ noise.axes.T, affine @ noise.axes.T

    def predict(
        self,
        moving_um: FloatArray,
        points_um: FloatArray,
        smoothing: float,
        noise: NoiseShape = ISOTROPIC,
    ) -> FloatArray:
        """(m, 3) images of points under the map of :meth:`solve`; in the plane, z is the mean's."""
        weights, affine = self._coefficients(moving_um, smoothing, noise)
        u = self._normalise(points_um)
        found = self._kernel(u) @ weights + self._design(u) @ affine
        return np.asarray(found + self._mean(moving_um))

    def solve(
        self, moving_um: FloatArray, smoothing: float, noise: NoiseShape = ISOTROPIC
    ) -> ThinPlateSpline | KernelMap:
        """The map from the fixed to the moving landmarks for a normalised smoothing."""
        weights, affine = self._coefficients(moving_um, smoothing, noise)
        mean = self._mean(moving_um)
        polynomial = np.zeros((3, 4))
        if self.dimensions == 3:
            polynomial[:] = affine.T
        else:
            polynomial[0, 0] = self.scale_um  # z passes through, shifted by the mean difference
            polynomial[0, 3] = self.centre_um[0] - mean[0]
            polynomial[0, 3] += float(mean[0] - self._mean(self.fixed_um)[0])
            polynomial[1:, 1:] = affine.T[1:]
        polynomial[:, 3] += mean
        if not self.prior.is_thin_plate:
            return KernelMap(
                self.fixed_um,
                moving_um,
                weights,
                polynomial,
                self.centre_um,
                self.scale_um,
                self.prior.kernel,
                self.prior.units * self.scale_um,
                smoothing,
                self.dimensions,
            )
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

    def spectrum(self, moving_um: FloatArray, noise: NoiseShape) -> tuple[FloatArray, FloatArray]:
        """Eigenvalues (m,) of the kernel on the contrasts, and (m, 3) contrasts along its modes."""
        values, modes, _ = self._eigen
        return values, modes.T @ (self._values(moving_um, noise) * self._root[:, None])

    def variance_um2(
        self, moving_um: FloatArray, smoothing: float, noise: NoiseShape = ISOTROPIC
    ) -> float:
        """The likeliest variance of one component of the deformation (times the kernel), um^2."""
        values = self._values(moving_um, noise) * self._root[:, None]
        square = sum(
            float(np.sum(values[:, part.which] * part.coefficients))
            for part in self.components(moving_um, smoothing, noise)
        )
        return square / ((self.n - self.n_polynomial) * self.dimensions)

    def prediction_variance(self, points_um: FloatArray, smoothing: float) -> FloatArray:
        """(m,) kriging variance of the map itself, of a deformation of variance 1.

        As the variance of ``f(x) - a0^T y``, a0 reproducing affine maps from the landmarks, less
        what the contrasts tell of it: no difference of large numbers.
        """
        a, rest, to_landmarks = self._contrasts_at(points_um, smoothing)
        at_once = np.sum(a * (rest - to_landmarks), axis=0) + self.prior.at_zero
        if self.has_eigenvalues:  # half the work of a product with B
            values, modes, _ = self._eigen
            told = np.sum((modes.T @ rest) ** 2 / (values + smoothing)[:, None], axis=0)
        else:
            told = np.sum(rest * self.bending(smoothing).times(rest), axis=0)
        return np.asarray(np.maximum(at_once - told, 0.0))

    def prediction_covariance(
        self, points_um: FloatArray, others_um: FloatArray, smoothing: float
    ) -> FloatArray:
        """(m, p) kriging covariance between (m, 3) and (p, 3) points, of a variance of 1."""
        a, rest, to_landmarks = self._contrasts_at(points_um, smoothing)
        b, other_rest, _ = self._contrasts_at(others_um, smoothing)
        between = self._kernel(self._normalise(points_um), self._normalise(others_um))
        at_once = between + a.T @ other_rest - to_landmarks.T @ b
        return np.asarray(at_once - rest.T @ self.bending(smoothing).times(other_rest))

    def _contrasts_at(
        self, points_um: FloatArray, smoothing: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """a0 (n, m), its covariance with the landmarks less that of f(x), and the latter."""
        from scipy.linalg import solve_triangular

        k = self.n_polynomial
        u = self._normalise(points_um)
        start = np.zeros((self.n, len(points_um)))
        start[:k] = solve_triangular(self._reflections.triangle, self._design(u).T, trans="T")
        a = self._reflections.forward(start)
        to_landmarks = (self._kernel(u) * self._root).T
        return a, self._weighed @ a + smoothing * a - to_landmarks, to_landmarks

    def full_matrix(self, smoothing: float) -> FloatArray:
        """``[[K + lambda W^-1, P], [P^T, 0]]``, (n + k, n + k)."""
        k = self.n_polynomial
        full = np.zeros((self.n + k, self.n + k))
        full[: self.n, : self.n] = self.kernel + smoothing * np.diag(1 / self.weights)
        full[: self.n, self.n :] = self.design
        full[self.n :, : self.n] = self.design.T
        return full

    def condition(self, smoothing: float) -> float:
        """Condition number of `full_matrix`; of many landmarks a lower bound, near the number."""
        if self.n <= _EXACT_CONDITION:
            return float(np.linalg.cond(self.full_matrix(smoothing)))
        vector = np.cos(np.arange(self.n + self.n_polynomial) ** 2.0)
        there = _norm(lambda v: self._multiply(v, smoothing), vector)
        return there * _norm(lambda v: self.divide(v[:, None], smoothing)[:, 0], vector)

    def _multiply(self, vector: FloatArray, smoothing: float) -> FloatArray:
        w, a = vector[: self.n], vector[self.n :]
        upper = self.kernel @ w + smoothing / self.weights * w + self.design @ a
        return np.concatenate([upper, self.design.T @ w])

    def divide(self, right: FloatArray, smoothing: float) -> FloatArray:
        """(n + k, m) solution of `full_matrix` for (n + k, m) right-hand sides."""
        from scipy.linalg import solve_triangular

        k, root = self.n_polynomial, self._root[:, None]
        start = np.zeros((self.n, right.shape[1]))
        start[:k] = solve_triangular(self._reflections.triangle, right[self.n :], trans="T")
        w = self._reflections.forward(start)
        upper = right[: self.n] * root
        w = w + self.bending(smoothing).times(upper - self._weighed @ w - smoothing * w)
        rest = upper - self._weighed @ w - smoothing * w
        a = solve_triangular(self._reflections.triangle, self._reflections.back(rest)[:k])
        return np.vstack([w * root, a])

    def basis(self, points_um: FloatArray) -> FloatArray:
        """(m, n + k) values of the kernels and of the affine terms at (m, 3) points."""
        u = self._normalise(points_um)
        return np.hstack([self._kernel(u), self._design(u)])

    def _normalise(self, points_um: FloatArray) -> FloatArray:
        return np.asarray((points_um - self.centre_um) / self.scale_um)

    def _mean(self, points_um: FloatArray) -> FloatArray:
        return np.asarray(self.weights @ points_um / self.weights.sum())

    def _outputs(self, noise: NoiseShape) -> list[tuple[NDArray[np.intp], float]]:
        """The fitted axes of the noise, those of one scale together, and the scale."""
        fitted = np.arange(3)[self.axes]
        scales = noise.scales[fitted]
        return [(fitted[scales == scale], float(scale)) for scale in np.unique(scales)]

    def _values(self, moving_um: FloatArray, noise: NoiseShape) -> FloatArray:
        values: FloatArray = moving_um - self._mean(moving_um)
        if self.dimensions == 2:
            values[:, 0] = 0.0
        return np.asarray(values @ noise.axes)

    def _kernel(self, u: FloatArray, control: FloatArray | None = None) -> FloatArray:
        from scipy.spatial.distance import cdist

        control = self._normalise(self.fixed_um) if control is None else control
        units = self.prior.units[self.axes]
        r = cdist(u[:, self.axes] / units, control[:, self.axes] / units)
        return self.prior.values(r, self.dimensions)

    def _design(self, u: FloatArray) -> FloatArray:
        return np.column_stack([u[:, self.axes], np.ones(len(u))])


def _norm(apply: Callable[[FloatArray], FloatArray], start: FloatArray) -> float:
    """Largest singular value of a symmetric matrix, by power iteration, from below."""
    vector, size = start / np.linalg.norm(start), 0.0
    for _ in range(_POWER_STEPS):
        vector = apply(vector)
        size = float(np.linalg.norm(vector))
        vector = vector / size
    return size
