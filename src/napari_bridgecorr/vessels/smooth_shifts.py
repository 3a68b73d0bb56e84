"""A smooth field of shifts known at some places: what it is elsewhere, and how well that is known.

A Gaussian process with a prior that says how tissue moves between two instruments: a shift and a
linear part that the given landmarks leave open, and a bend of Matern kind (smoothness 3/2).
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
    places_um, shifts_um : (n, 3) float64
    errors_um : (n,) float64
        Standard error, per axis, of each shift.
    """

    def __init__(
        self,
        prior: ShiftPrior,
        places_um: FloatArray,
        shifts_um: FloatArray,
        errors_um: FloatArray,
    ) -> None:
        self._prior, self._places, self._shifts = prior, places_um, shifts_um
        covariance = prior.covariance(places_um, places_um)
        covariance[np.diag_indices(len(places_um))] += errors_um**2 + _JITTER
        self._inverse = np.linalg.inv(covariance)
        self._weights = self._inverse @ shifts_um
        self._errors = errors_um

    def mean(self, points_um: FloatArray) -> FloatArray:
        """(n, 3) expected shifts in um."""
        return np.asarray(self._prior.covariance(points_um, self._places) @ self._weights)

    def at(self, points_um: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(n, 3) expected shifts and (n,) standard deviations per axis, in um."""
        cross = self._prior.covariance(points_um, self._places)
        spread = self._prior.variance(points_um) - np.einsum(
            "ij,jk,ik->i", cross, self._inverse, cross, optimize=True
        )
        return cross @ self._weights, np.sqrt(np.maximum(spread, 0.0))

    def without_each(self) -> tuple[FloatArray, FloatArray]:
        """What all others say at each place: (n, 3) shifts and (n,) standard deviations, in um."""
        diagonal = np.diag(self._inverse)
        mean = self._shifts - self._weights / diagonal[:, None]
        spread = np.sqrt(np.maximum(1 / diagonal - self._errors**2, 0.0))
        return mean, spread
