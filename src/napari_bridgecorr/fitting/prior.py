"""What is assumed of a deformation before any landmark is seen: how smooth, over what distance.

A map is an affine trend and a random deformation whose covariance between two points is a variance
times ``k`` of their distance. The thin-plate spline's ``-r`` (``r^2 log r`` in the plane) is the
limit of the Matern kernel of smoothness 1/2 for infinite lengths, but for an affine map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..transform.kernel_map import MATERN_ORDERS, kernel_unit

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """A kernel with its lengths.

    Parameters
    ----------
    kernel : {"thin_plate", "matern12", "matern32", "matern52", "matern72",
        "gaussian"}
    length : float
        In RMS radii of the fixed landmarks.
    stretch : (float, float, float)
        The lengths along z, y, x over `length`.
    """

    kernel: str = "thin_plate"
    length: float = 1.0
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def is_thin_plate(self) -> bool:
        """Whether it is the thin-plate spline's."""
        return self.kernel == "thin_plate"

    @property
    def units(self) -> FloatArray:
        """(3,) lengths along z, y, x in RMS radii."""
        return self.length * np.asarray(self.stretch)

    @property
    def at_zero(self) -> float:
        """The kernel at distance 0."""
        return 0.0 if self.is_thin_plate else 1.0

    def values(self, r: FloatArray, dimensions: int = 3) -> FloatArray:
        """The kernel at distances in units of its lengths."""
        if self.is_thin_plate:
            if dimensions == 3:
                return np.asarray(-r, dtype=np.float64)
            # r^2 log r -> 0 as r -> 0
            return np.asarray(r**2 * np.log(np.where(r > 0, r, 1.0)), dtype=np.float64)
        order, a = MATERN_ORDERS[self.kernel], kernel_unit(self.kernel) * r
        if self.kernel == "gaussian":
            return np.asarray(np.exp(-a * a / 2), dtype=np.float64)
        factor = (1.0, 1 + a, 1 + a + a * a / 3, 1 + a + a * a * (0.4 + a / 15))[order]
        return np.asarray(factor * np.exp(-a), dtype=np.float64)


THIN_PLATE = Prior()
