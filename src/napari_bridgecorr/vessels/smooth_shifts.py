"""A smooth field of shifts known at some places: what it is elsewhere, and how well that is known.

A Gaussian process with a prior that says how tissue moves between two instruments: a shift and a
linear part that the given landmarks leave open, and a bend of Matern kind (smoothness 3/2). What is
seen at a place may be sharp along one direction and open along another, as across and along a
vessel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_JITTER = 1e-9


@dataclass(frozen=True)
class ShiftPrior:
    """How a field of shifts may look before anything is known of it.

    Parameters
    ----------
    centre_um : (3,) float64
    shift_um : float
        Standard deviation, per axis, of the shift of the whole.
    strain : float
        Standard deviation of each component of the linear part.
    bend_um : float
        Standard deviation, per axis, of the bend.
    length_um : float
        Over which it bends.
    """

    centre_um: FloatArray
    shift_um: float
    strain: float
    bend_um: float
    length_um: float

    def covariance(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """(n, m) between the shifts along one axis at (n, 3) and (m, 3) places."""
        p, q = a - self.centre_um, b - self.centre_um
        squared = (p**2).sum(1)[:, None] + (q**2).sum(1)[None] - 2 * p @ q.T
        r = np.sqrt(3 * np.maximum(squared, 0.0)) / self.length_um
        bend = self.bend_um**2 * (1 + r) * np.exp(-r)
        return np.asarray(bend + self.shift_um**2 + self.strain**2 * (p @ q.T))

    def variance(self, a: FloatArray) -> FloatArray:
        """(n,) of the shift along one axis at (n, 3) places."""
        p = a - self.centre_um
        total = self.bend_um**2 + self.shift_um**2 + self.strain**2 * (p**2).sum(1)
        return np.asarray(total)


class SmoothShifts:
    """The field, given shifts that were seen.

    Parameters
    ----------
    prior : ShiftPrior
    places_um : (n, 3) float64
    shifts_um : (n, 3) float64
    precisions : (n, 3, 3) float64
        Inverse covariance of what was seen, in um^-2; zero along directions that were not seen.
    """

    def __init__(
        self,
        prior: ShiftPrior,
        places_um: FloatArray,
        shifts_um: FloatArray,
        precisions: FloatArray,
    ) -> None:
        n = len(places_um)
        self._prior, self._places = prior, places_um
        values, axes = np.linalg.eigh(precisions)
        roots = np.einsum("nij,nj,nkj->nik", axes, np.sqrt(np.maximum(values, 0.0)), axes)
        covariance = prior.covariance(places_um, places_um)
        inner = np.einsum("nab,nm,mbc->namc", roots, covariance, roots, optimize=True)
        system = inner.reshape(3 * n, 3 * n)
        system[np.diag_indices(3 * n)] += 1 + _JITTER
        # (I + S K S)^-1 exists whatever is not seen
        inverse = np.linalg.inv(system).reshape(n, 3, n, 3)
        self._inner = np.einsum("nab,nbmc,mcd->namd", roots, inverse, roots, optimize=True)
        self._weights = np.einsum("namd,md->na", self._inner, shifts_um)

    def mean(self, points_um: FloatArray) -> FloatArray:
        """(n, 3) expected shifts in um."""
        return np.asarray(self._prior.covariance(points_um, self._places) @ self._weights)

    def at(self, points_um: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(n, 3) expected shifts and (n, 3, 3) covariances, in um and um^2."""
        cross = self._prior.covariance(points_um, self._places)
        known = np.einsum("pn,namd,pm->pad", cross, self._inner, cross, optimize=True)
        spread = self._prior.variance(points_um)[:, None, None] * np.eye(3) - known
        return cross @ self._weights, spread
