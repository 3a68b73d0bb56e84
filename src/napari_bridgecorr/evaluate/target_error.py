"""Target registration error: how far points that took no part in the fit are from the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..fitting.error_summary import ErrorSummary, summarise
from ..landmarks import LandmarkPairs
from ..transform import Transform

FloatArray = NDArray[np.float64]

# a landmark that is nearer to a fitted one than this part of their RMS radius is the same
_SAME = 1e-3


@dataclass(frozen=True, eq=False)
class TargetError:
    """Errors at the targets.

    Parameters
    ----------
    errors_um : (n, 3) float64
        ``T(fixed) - moving`` along z, y, x. NaN where the transform is not defined.
    """

    errors_um: FloatArray

    @property
    def distances_um(self) -> FloatArray:
        """(n,) distance of each target from where the transform puts it."""
        return np.asarray(np.linalg.norm(self.errors_um, axis=1))

    @property
    def summary(self) -> ErrorSummary:
        """Over the targets that the transform is defined at; the others are counted."""
        return summarise(self.errors_um)

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
    return TargetError(np.asarray(transform.map(targets.fixed_um) - targets.moving_um))


def fitted_among(targets: LandmarkPairs, fitted: LandmarkPairs) -> NDArray[np.bool_]:
    """(n,) which targets took part in a fit: their place in the fixed image is a fitted one's.

    A thousandth of the fitted landmarks' RMS radius is allowed for what files round. Names say
    nothing: every list begins with L1.
    """
    from scipy.spatial import cKDTree

    centred = fitted.fixed_um - fitted.fixed_um.mean(axis=0)
    radius = float(np.sqrt(np.mean(np.sum(centred**2, axis=1))))
    nearest, _ = cKDTree(fitted.fixed_um).query(targets.fixed_um)
    return np.asarray(nearest <= _SAME * radius)
