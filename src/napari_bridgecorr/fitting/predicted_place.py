"""Where the partner of a landmark is to be looked for, and how far round that place.

A few pairs are too few for a spline but not for a rigid map: :func:`guide_fit` makes the map that
leads the eye meanwhile. It is no result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import FitError
from ..landmarks import LandmarkPairs, Side
from ..transform import Transform
from .error_model import ErrorModel
from .fit import Fit, fit
from .options import FitOptions

FloatArray = NDArray[np.float64]

LEVEL = 0.95
"""Probability that the partner lies within what is drawn."""

# the least pairs with which each of these maps has numbers to spare, the most flexible first
_GUIDES = {3: (("affine", 6), ("similarity", 4), ("rigid", 3)), 2: (("affine", 5), ("rigid", 2))}


@dataclass(frozen=True, eq=False)
class PredictedPlace:
    """The place where a partner is expected.

    Parameters
    ----------
    place_um : (3,) float64
        World (z, y, x) of the image in which it is missing.
    spread_um2 : (3, 3) float64
        Mean square of the truth's distance from it, as a matrix; NaN where nothing is known.
    freedom : float
        Degrees of freedom from which the size of `spread_um2` is known; more than 2.
    """

    place_um: FloatArray
    spread_um2: FloatArray
    freedom: float

    @property
    def is_spread_known(self) -> bool:
        """Whether there is an uncertainty to be drawn."""
        return bool(np.all(np.isfinite(self.spread_um2)))

    def seen_through(self, matrix: ArrayLike) -> PredictedPlace:
        """The same in other coordinates, by a (4, 4) affine from world um to these."""
        whole = np.asarray(matrix, dtype=np.float64)
        linear = whole[:3, :3]
        return PredictedPlace(
            linear @ self.place_um + whole[:3, 3],
            linear @ self.spread_um2 @ linear.T,
            self.freedom,
        )

    def half_width(self, axis: int, level: float = LEVEL) -> float:
        """How far the truth lies from the place along one axis at most, with this probability."""
        return float(np.sqrt(self.spread_um2[axis, axis]) * self._reach(1, level))

    def ellipse(self, axes: tuple[int, int], n: int = 48, level: float = LEVEL) -> FloatArray:
        """(n, 3) outline, in the plane of two axes through the place, of where the truth is.

        Whatever its third coordinate is: seen along the third axis the truth lies within it with
        probability `level`.
        """
        return self._outline(np.eye(3)[list(axes)], 2, n, level)

    def ellipsoid(self, n: int = 48, level: float = LEVEL) -> FloatArray:
        """(3 n, 3) the three main outlines of the ellipsoid that the truth lies in."""
        _, main = np.linalg.eigh(self.spread_um2)
        pairs = ((0, 1), (0, 2), (1, 2))
        return np.concatenate([self._outline(main.T[list(p)], 3, n, level) for p in pairs])

    def outlines_away(self, point_um: ArrayLike, level: float = LEVEL) -> float:
        """How far a (3,) point lies from the place, in distances to the outline on the way to it.

        1 is on the ellipsoid that the truth lies in with probability `level`.
        """
        off = np.asarray(point_um, dtype=np.float64) - self.place_um
        squared = float(off @ np.linalg.pinv(self.spread_um2, hermitian=True) @ off)
        return float(np.sqrt(squared)) / self._reach(3, level)

    def _outline(self, plane: FloatArray, dimensions: int, n: int, level: float) -> FloatArray:
        values, vectors = np.linalg.eigh(plane @ self.spread_um2 @ plane.T)
        angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        reach = self._reach(dimensions, level) * np.sqrt(np.maximum(values, 0))
        return np.asarray(self.place_um + (circle * reach) @ vectors.T @ plane)

    def _reach(self, dimensions: int, level: float) -> float:
        """Standard deviations within which a multivariate t lies, scaled to unit variance."""
        from scipy.stats import f

        shrink = (self.freedom - 2) / self.freedom
        return float(np.sqrt(dimensions * f.ppf(level, dimensions, self.freedom) * shrink))


def guide_fit(pairs: LandmarkPairs, options: FitOptions) -> Fit | None:
    """A stiffer map than the one asked for, where there are too few pairs for that one.

    Three pairs give a rotation, four a similarity, six an affine map (in the plane two and five);
    None for fewer, or if they determine none.
    """
    for model, least in _GUIDES[options.dimensions]:
        if len(pairs) < least:
            continue
        try:
            return fit(pairs, replace(options, model=model, direction="fixed_to_moving"))
        except FitError:
            continue  # in one plane or on one line: a stiffer map may still be determined
    return None


def predicted_partner(
    transform: Transform, point_um: ArrayLike, placed: Side, error: ErrorModel | None = None
) -> PredictedPlace | None:
    """Where the other half of a half pair is expected.

    Parameters
    ----------
    transform : Transform
        From fixed to moving.
    point_um : (3,) float
        The half that is placed.
    placed : {"fixed", "moving"}
        Where it is.
    error : ErrorModel, optional
        Of the transform; without it nothing is said of the uncertainty.

    Returns
    -------
    PredictedPlace or None
        None where the transform is not defined.
    """
    point = np.asarray(point_um, dtype=np.float64)[None]
    place = (transform if placed == "fixed" else transform.inverse()).map(point)[0]
    if not np.all(np.isfinite(place)):
        return None
    unknown = PredictedPlace(place, np.full((3, 3), np.nan), np.inf)
    if error is None:
        return unknown
    at_fixed = point if placed == "fixed" else place[None]
    bias, covariance, freedom = (part[0] for part in error.moments(at_fixed))
    spread = covariance + np.outer(bias, bias)
    if placed == "moving":
        back = np.linalg.pinv(transform.jacobian(at_fixed)[0])
        spread = back @ spread @ back.T
    return replace(unknown, spread_um2=spread, freedom=float(freedom))
