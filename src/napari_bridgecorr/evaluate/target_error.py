"""Target registration error: how far points that took no part in the fit are from the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..landmarks import LandmarkPairs
from ..transform import Transform


@dataclass(frozen=True, eq=False)
class TargetError:
    """Errors at the targets.

    Parameters
    ----------
    distances_um : (n,) float64
        Distance of each target from where the transform puts it.
    """

    distances_um: NDArray[np.float64]

    @property
    def median_um(self) -> float:
        """Median distance."""
        return float(np.median(self.distances_um))

    @property
    def rms_um(self) -> float:
        """Root mean square distance."""
        return float(np.sqrt(np.mean(self.distances_um**2)))

    @property
    def percentile_95_um(self) -> float:
        """Distance that 95 % of the targets stay below."""
        return float(np.percentile(self.distances_um, 95))


def target_error(transform: Transform, targets: LandmarkPairs) -> TargetError:
    """Error of `transform` (fixed -> moving) at pairs that were kept out of its fit.

    Fitzpatrick, West & Maurer, IEEE TMI 17 (1998): the only error that says how well a
    registration does its work.
    """
    difference = transform.map(targets.fixed_um) - targets.moving_um
    return TargetError(np.asarray(np.linalg.norm(difference, axis=1)))
