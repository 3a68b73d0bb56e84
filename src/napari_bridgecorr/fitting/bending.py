"""The matrix B of a spline system, applied without being formed.

``B = Q2 G Q2^T`` with ``G = (Q2^T K' Q2 + lambda)^-1``, and Q2 the last columns of a product of as
few reflections as there are affine coefficients: ``Q = I - V U`` with thin V and U^T. Everything
that is asked of B costs O(n^2) once G or the eigenvalues are there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Reflections:
    """An orthogonal Q of which the first k columns span those of a matrix.

    Parameters
    ----------
    columns : (n, k) float64
        Of rank k.
    """

    def __init__(self, columns: FloatArray) -> None:
        # imported here: opening a file needs none of it
        from scipy.linalg import qr

        (raw, tau), triangle = qr(columns, mode="raw")
        self.n, self.k = columns.shape
        self.triangle = triangle[: self.k]
        self.v = np.tril(raw, -1) + np.eye(self.n, self.k)
        # Schreiber & Van Loan's T, SIAM J. Sci. Stat. Comput. 10, 1989: Q = I - V T V^T
        t = np.zeros((self.k, self.k))
        for j in range(self.k):
            t[:j, j] = -tau[j] * (t[:j, :j] @ (self.v[:, :j].T @ self.v[:, j]))
            t[j, j] = tau[j]
        self.u = t @ self.v.T

    def forward(self, matrix: FloatArray) -> FloatArray:
        """``Q M``."""
        return np.asarray(matrix - self.v @ (self.u @ matrix))

    def back(self, matrix: FloatArray) -> FloatArray:
        """``Q^T M``."""
        return np.asarray(matrix - self.u.T @ (self.v.T @ matrix))

    def padded(self, matrix: FloatArray) -> FloatArray:
        """``Q2 M``."""
        full = np.zeros((self.n, matrix.shape[1]))
        full[self.k :] = matrix
        return self.forward(full)

    def reduced(self, symmetric: FloatArray) -> FloatArray:
        """``Q2^T M Q2`` of a symmetric M, (n - k, n - k); its lower half only is right."""
        from scipy.linalg.blas import dsyr2k

        there = symmetric @ self.v
        there -= 0.5 * self.u.T @ (self.v.T @ there)
        rest = symmetric[self.k :, self.k :].T.copy(order="F")
        return np.asarray(
            dsyr2k(
                -1.0,
                there[self.k :],
                self.u.T[self.k :],
                beta=1.0,
                c=rest,
                lower=1,
                overwrite_c=1,
            )
        )


class Bending(ABC):
    """B of one smoothing."""

    @abstractmethod
    def times(self, matrix: FloatArray) -> FloatArray:
        """``B M``, (n, m)."""

    @property
    @abstractmethod
    def diagonal(self) -> FloatArray:
        """(n,) diagonal of B."""

    @property
    @abstractmethod
    def squared_rows(self) -> FloatArray:
        """(n,) diagonal of ``B B``."""


class BendingByModes(Bending):
    """B from eigenvalues (m,), modes ``Q2 V`` (n, m) and the modes squared."""

    def __init__(
        self, values: FloatArray, modes: FloatArray, squares: FloatArray, smoothing: float
    ) -> None:
        self._inverse = 1 / (values + smoothing)
        self._modes, self._squares = modes, squares

    def times(self, matrix: FloatArray) -> FloatArray:
        return np.asarray(self._modes @ ((self._modes.T @ matrix) * self._inverse[:, None]))

    @property
    def diagonal(self) -> FloatArray:
        return np.asarray(self._squares @ self._inverse)

    @property
    def squared_rows(self) -> FloatArray:
        return np.asarray(self._squares @ self._inverse**2)


class BendingByInverse(Bending):
    """B from the inverse G, by Cholesky: for many landmarks.

    Parameters
    ----------
    reduced : (n - k, n - k) float64
        ``Q2^T K' Q2``, lower half.
    reflections : Reflections
    smoothing : float

    Raises
    ------
    LinAlgError
        If the matrix has no inverse.
    """

    def __init__(self, reduced: FloatArray, reflections: Reflections, smoothing: float) -> None:
        from scipy.linalg.lapack import dpotrf, dpotri

        matrix = reduced.copy(order="F")
        matrix[np.diag_indices(len(matrix))] += smoothing
        factor, info = dpotrf(matrix, lower=1, clean=1, overwrite_a=1)
        if not info:
            self._inverse, info = dpotri(factor, lower=1, overwrite_c=1)
        if info:
            raise np.linalg.LinAlgError("the kernel matrix is singular")
        self._reflections = reflections

    def times(self, matrix: FloatArray) -> FloatArray:
        q = self._reflections
        return q.padded(self._symmetric(q.back(matrix)[q.k :]))

    @cached_property
    def diagonal(self) -> FloatArray:
        return self._turned(np.diagonal(self._inverse), self._once)

    @cached_property
    def squared_rows(self) -> FloatArray:
        g = self._inverse  # of which the upper half is zeros
        rows = np.einsum("ij,ij->i", g, g) + np.einsum("ij,ij->j", g, g) - np.diagonal(g) ** 2
        return self._turned(rows, self._symmetric(self._once))

    @cached_property
    def _once(self) -> FloatArray:
        return self._symmetric(self._reflections.u.T[self._reflections.k :])

    def _symmetric(self, matrix: FloatArray) -> FloatArray:
        from scipy.linalg.blas import dsymm

        return np.asarray(dsymm(1.0, self._inverse, matrix, lower=1))

    def _turned(self, diagonal: FloatArray, by_u: FloatArray) -> FloatArray:
        """Diagonal of ``Q2 M Q2^T`` from that of M and ``M U2^T``."""
        q = self._reflections
        found = np.sum((q.v @ (q.u[:, q.k :] @ by_u)) * q.v, axis=1)
        found[q.k :] += diagonal - 2 * np.sum(q.v[q.k :] * by_u, axis=1)
        return np.asarray(found)
