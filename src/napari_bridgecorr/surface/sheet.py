"""A plane, or a gently curved sheet with its tangent plane, through many uncertain points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_TUKEY = 4.685
_ROUNDS = 30
# a curved sheet must explain the points so much better (Schwarz's criterion)
_LEAST_GAIN = 10.0
_FEWEST_FOR_CURVE = 40


@dataclass(frozen=True, eq=False)
class Sheet:
    """``h = c[0] + c[1] u + c[2] v (+ c[3] u^2 + c[4] u v + c[5] v^2)``, all in um.

    Parameters
    ----------
    coefficients : (3,) or (6,) float64
    inliers : (n,) bool
        Points that the fit did not give up (flagged, not removed).
    residual_um : (n,) float64
        Distances along h from the sheet.
    spread_um : float
        Robust standard deviation of the points about the sheet.
    slope_sd : (float, float)
        Standard deviations of c[1] and c[2].
    height_sd_um : float
        Of c[0].
    """

    coefficients: FloatArray
    inliers: NDArray[np.bool_]
    residual_um: FloatArray
    spread_um: float
    slope_sd: tuple[float, float]
    height_sd_um: float

    @property
    def is_curved(self) -> bool:
        """Whether the sheet is more than its tangent plane."""
        return len(self.coefficients) > 3

    def height(self, u: FloatArray, v: FloatArray) -> FloatArray:
        """Of the sheet (um) at places across the columns."""
        return np.asarray(_design(u, v, self.is_curved) @ self.coefficients)

    def tangent_height(self, u: FloatArray, v: FloatArray) -> FloatArray:
        """Of the plane that touches the sheet at u = v = 0."""
        return np.asarray(_design(u, v, False) @ self.coefficients[:3])

    @property
    def radius_um(self) -> float | None:
        """Mean radius of curvature at the middle; negative for a hollow; None if flat."""
        if not self.is_curved:
            return None
        bend = float(self.coefficients[3] + self.coefficients[5])
        return None if bend == 0 else 1 / bend


def fit_sheet(places: FloatArray, weights: FloatArray, may_curve: bool, finest_um: float) -> Sheet:
    """Robust (Tukey's biweight) fit of the height over the other two coordinates.

    Parameters
    ----------
    places : (n, 3) float64
        Height and the two lengths across, in um.
    weights : (n,) float64
    may_curve : bool
        Try a curved sheet too, and take it if the points speak for it.
    finest_um : float
        Spread below which points agree as well as they can.
    """
    flat = _robust(places, weights, False, finest_um)
    if not may_curve or int(flat.inliers.sum()) < _FEWEST_FOR_CURVE:
        return flat
    curved = _robust(places, weights, True, finest_um)
    # judged on the same points with the same, cut-off loss
    scale = max(curved.spread_um, finest_um)
    gain = _loss(flat, scale) - _loss(curved, scale)
    # neighbouring columns err alike: count a quarter of them
    return curved if gain / 4 > _LEAST_GAIN + 1.5 * np.log(len(places)) else flat


def _loss(sheet: Sheet, scale: float) -> float:
    return float(np.minimum((sheet.residual_um / scale) ** 2, 9.0).sum()) / 2


def _robust(places: FloatArray, weights: FloatArray, curved: bool, finest_um: float) -> Sheet:
    h, u, v = places.T
    # lengths about one, so that squares do not spoil the numbers
    size = max(float(np.abs(places[:, 1:]).max()), 1e-9)
    design = _design(u / size, v / size, curved)
    trust = weights.copy()
    spread = finest_um
    for i in range(_ROUNDS):
        c = _solve(design, h, trust)
        residual = h - design @ c
        spread = max(_mad(residual, weights), finest_um)
        # wide at first: the start may be a sample or two off
        cut = _TUKEY * spread * (2.0 if i < 3 else 1.0)
        new = weights * np.clip(1 - (residual / cut) ** 2, 0.0, 1.0) ** 2
        if np.abs(new - trust).max() < 1e-6:
            break
        trust = new
    inliers = np.abs(residual) < 3 * spread
    n_free = max(1.0, float(trust.sum()) / 4 - design.shape[1])
    scatter = float((trust * residual**2).sum() / max(float(trust.sum()), 1e-12))
    normal = design.T @ (design * trust[:, None]) / max(float(trust.sum()), 1e-12)
    covariance = np.linalg.pinv(normal) * scatter / n_free
    sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    powers = np.array([0, 1, 1, 2, 2, 2])[: len(c)]
    return Sheet(
        c / size**powers,
        inliers,
        residual,
        spread,
        (float(sd[1]) / size, float(sd[2]) / size),
        float(sd[0]),
    )


def _design(u: FloatArray, v: FloatArray, curved: bool) -> FloatArray:
    columns = [np.ones_like(u), u, v]
    if curved:
        columns += [u * u, u * v, v * v]
    return np.column_stack(columns)


def _solve(design: FloatArray, h: FloatArray, weights: FloatArray) -> FloatArray:
    root = np.sqrt(weights)
    return np.asarray(np.linalg.lstsq(design * root[:, None], h * root, rcond=None)[0])


def _mad(residual: FloatArray, weights: FloatArray) -> float:
    """Robust standard deviation: the weighted median of the distances from zero."""
    size = np.abs(residual)
    order = np.argsort(size)
    share = np.cumsum(weights[order])
    middle = int(np.searchsorted(share, share[-1] / 2))
    return float(size[order][min(middle, len(size) - 1)] * 1.4826)
