"""The restricted likelihood of many priors at once, at every noise.

All kernels and lengths that are compared share the landmarks: their distances and the contrasts'
basis are computed once, and their matrices stand in one array.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .bending import Reflections
from .linear_models import normalisation
from .noise import NoiseShape
from .prior import Prior

FloatArray = NDArray[np.float64]

# Noise over the mean eigenvalue of the kernel on the contrasts. A map that bends less than a fifth
# of its landmarks' noise is an affine one by another name. There would be any number of them: they
# outweighed the bends of noisy landmarks, and errors were told too small.
NOISES = np.geomspace(1e-6, 10**1.5, 31)
# numbers in the arrays of what is computed at once
_AT_ONCE = 2_000_000


@dataclass(frozen=True, eq=False)
class Row:
    """One kernel and length: the logarithm of the likelihood at every noise.

    Parameters
    ----------
    prior : Prior
        Its length in RMS radii of all landmarks.
    noises, likelihood : (s,) float64
    """

    prior: Prior
    noises: FloatArray
    likelihood: FloatArray


@dataclass(frozen=True, eq=False)
class Part:
    """Landmarks that are looked at together.

    Parameters
    ----------
    fixed_um, moving_um : (n, 3) float64
    dimensions : {3, 2}
    weights : (n,) float64
    noise : NoiseShape
    scale_um : float
        The RMS radius of all landmarks, which lengths are measured in.
    """

    fixed_um: FloatArray
    moving_um: FloatArray
    dimensions: int
    weights: FloatArray
    noise: NoiseShape
    scale_um: float

    @property
    def axes(self) -> slice:
        """World axes that are fitted."""
        return slice(3 - self.dimensions, 3)

    @cached_property
    def basis(self) -> FloatArray:
        """(n, m) orthonormal contrasts of the weighed landmarks: no affine map shows in them."""
        q = Reflections(self._design(self.fixed_um) * self._root)
        return q.padded(np.eye(q.n - q.k))

    @cached_property
    def _values(self) -> FloatArray:
        """(n, 3) moving landmarks about their mean, along the noise's axes."""
        mean = self.weights @ self.moving_um / self.weights.sum()
        values: FloatArray = self.moving_um - mean
        if self.dimensions == 2:
            values[:, 0] = 0.0
        return np.asarray(values @ self.noise.axes)

    @cached_property
    def _root(self) -> FloatArray:
        return np.asarray(np.sqrt(self.weights)[:, None])

    def spectra(self, priors: Sequence[Prior]) -> tuple[FloatArray, FloatArray]:
        """Eigenvalues (p, m) of each kernel on the contrasts, and (p, m, 3) contrasts by mode."""
        found = [
            (values, self._along(modes))
            for values, modes in self._modes(priors, self.fixed_um[:, self.axes])
        ]
        values, contrasts = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        return values, contrasts

    def maps(self, prior: Prior, smoothings: FloatArray, points_um: FloatArray) -> FloatArray:
        """(s, p, 3) images of points for each of (s,) noises, but for one shift and turn of all."""
        u = self.fixed_um[:, self.axes]
        kernel = self._kernel(prior, self._distances(prior, u, u))
        reduced = self._reduced(kernel)
        contrasts = self.basis.T @ (self._values * self._root)
        coefficients = np.empty((len(smoothings), *contrasts.shape))
        for scale in np.unique(self.noise.scales):
            which = self.noise.scales == scale
            systems = reduced + (smoothings * scale)[:, None, None] * np.eye(len(reduced))
            coefficients[:, :, which] = np.linalg.solve(systems, contrasts[None, :, which])
        weights = self._root * (self.basis @ coefficients)
        noise = smoothings[:, None, None] * self.noise.scales / self.weights[:, None]
        rest = self._values - noise * weights - kernel @ weights
        affine = self._inverse @ (self._root * rest)
        to_points = self._kernel(prior, self._distances(prior, points_um[:, self.axes], u))
        return np.asarray(to_points @ weights + self._design(points_um) @ affine)

    def _modes(
        self, priors: Sequence[Prior], u: FloatArray
    ) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Eigenvalues (p, m) and modes (p, m, m) on the contrasts, by block."""
        n = len(u)
        step = max(1, _AT_ONCE // n**2)
        distances: dict[tuple[float, float, float], FloatArray] = {}
        for first in range(0, len(priors), step):
            block = priors[first : first + step]
            kernels = np.empty((len(block), n, n))
            for kernel, prior in zip(kernels, block, strict=True):
                if prior.stretch not in distances:
                    distances[prior.stretch] = self._distances(prior, u, u)
                kernel[:] = self._kernel(prior, distances[prior.stretch])
            yield np.linalg.eigh(self._reduced(kernels))

    def _reduced(self, kernels: FloatArray) -> FloatArray:
        """(..., m, m) weighed kernels on the contrasts."""
        return np.asarray(self.basis.T @ (kernels * (self._root * self._root.T)) @ self.basis)

    def _along(self, modes: FloatArray) -> FloatArray:
        """(p, m, 3) contrasts of the moving landmarks along the modes."""
        return np.asarray(modes.transpose(0, 2, 1) @ (self.basis.T @ (self._values * self._root)))

    def _distances(self, prior: Prior, a: FloatArray, b: FloatArray) -> FloatArray:
        from scipy.spatial.distance import cdist

        unit = self.scale_um * np.asarray(prior.stretch)[self.axes]
        return np.asarray(cdist(a / unit, b / unit))

    def _kernel(self, prior: Prior, distances: FloatArray) -> FloatArray:
        return prior.values(distances / prior.length, self.dimensions)

    @cached_property
    def _inverse(self) -> FloatArray:
        return np.asarray(np.linalg.pinv(self._design(self.fixed_um) * self._root))

    def _design(self, points_um: FloatArray) -> FloatArray:
        u = (points_um - normalisation(self.fixed_um)[0]) / self.scale_um
        return np.column_stack([u[:, self.axes], np.ones(len(u))])


def likelihoods(parts: Sequence[Part], priors: Sequence[Prior]) -> list[Row]:
    """The likelihood of each prior, parts being taken for independent of each other."""
    spectra = [part.spectra(priors) for part in parts]
    means = np.maximum(spectra[0][0].mean(axis=1), np.finfo(float).tiny)
    noises = means[:, None] * NOISES
    squares, determinant, n = np.zeros(noises.shape), np.zeros(noises.shape), 0
    for part, (values, contrasts) in zip(parts, spectra, strict=True):
        axes = np.arange(3)[part.axes]
        scales = part.noise.scales[axes]
        n += values.shape[1] * len(axes)
        for scale in np.unique(scales):
            alike = axes[scales == scale]
            spread = np.maximum(values, 0.0)[:, :, None] + noises[:, None] * scale
            square = np.sum(contrasts[:, :, alike] ** 2, axis=2)
            squares += np.sum(square[:, :, None] / spread, axis=1)
            determinant += len(alike) * np.sum(np.log(spread), axis=1)
    found = -0.5 * (determinant + n * np.log(np.maximum(squares, np.finfo(float).tiny)))
    return [Row(*row) for row in zip(priors, noises, found, strict=True)]
