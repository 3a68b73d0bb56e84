"""The two errors that a prediction can mean, and the lengths they stay below.

The **target error** is the map's: how far a point of the tissue lies from where the map puts it.
The **landmark error** is what a user sees who clicks one more pair and compares: the target error
and, on top of it, the localisation error of that pair's two clicks. They are never the same number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Moments = tuple[FloatArray, FloatArray, FloatArray]

LEVELS = (0.68, 0.95)
MEANING = (
    "target_error: distance (um) between where the map puts a point and where it belongs; "
    "landmark_error: distance between where the map puts the fixed click of one more landmark and "
    "its moving click, so that these clicks' own error is in it (compare left-out or check "
    "landmarks with this one); 68 and 95: what it stays below with that probability in per cent"
)


@dataclass(frozen=True, eq=False)
class ErrorLevels:
    """Predicted errors at n points, (n,) float64 each, in um; NaN where the map is not defined.

    Parameters
    ----------
    rms_um
        Root mean square of the target error.
    target_68_um, target_95_um
        What the target error stays below with a probability of 68 and 95 %.
    landmark_68_um, landmark_95_um
        What the distance to one more landmark of weight 1 stays below: the localisation error that
        the fit found is in it.
    """

    rms_um: FloatArray
    target_68_um: FloatArray
    target_95_um: FloatArray
    landmark_68_um: FloatArray
    landmark_95_um: FloatArray

    def columns(self) -> dict[str, FloatArray]:
        """Under the names that files and JSON have."""
        return {
            "predicted_error_um": self.rms_um,
            "target_error_68_um": self.target_68_um,
            "target_error_95_um": self.target_95_um,
            "landmark_error_68_um": self.landmark_68_um,
            "landmark_error_95_um": self.landmark_95_um,
        }


COLUMNS = tuple(ErrorLevels(*([np.zeros(0)] * 5)).columns())


def with_landmark(moments: Moments, localisation_um2: FloatArray, freedom: FloatArray) -> Moments:
    """Moments of the distance to one more landmark, from those of the target error.

    Parameters
    ----------
    moments : (n, 3), (n, 3, 3), (n,) float64
        Mean and covariance of the target error, and from how many degrees of freedom its size is
        known.
    localisation_um2 : (n, 3, 3) float64
        Covariance of the landmark's localisation error, in the moving space.
    freedom : (n,) float64
        From which its size is known.

    Notes
    -----
    A size that is known from so many degrees of freedom has the squared relative spread
    ``2 / (freedom - 4)``. The two sizes are taken for independent.
    """
    bias, covariance, own = moments
    sizes = [np.trace(c, axis1=1, axis2=2) for c in (covariance, localisation_um2)]
    total = np.maximum(sizes[0] + sizes[1], np.finfo(np.float64).tiny)
    spread = [
        (size / total) ** 2 * 2 / (nu - 4) for size, nu in zip(sizes, (own, freedom), strict=True)
    ]
    return bias, covariance + localisation_um2, np.asarray(4 + 2 / (spread[0] + spread[1]))
