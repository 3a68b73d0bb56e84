"""The numbers behind the figures: hull, density classes, correlations. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.stats import rankdata

from ..fitting import FoldingCheck
from ..transform import Transform

FloatArray = NDArray[np.float64]

FULL_COVERAGE = 0.99
MAX_ROWS = 200_000
FEWEST_ROWS = 5
# upper bounds (per cent) of the classes; the first one holds nothing but 0
CLASS_EDGES = (0.0, 5.0, 25.0, 50.0, 75.0, 100.0)
CLASS_NAMES = ("0", "0–5", "5–25", "25–50", "50–75", "75–100")
# thinner than this fraction of its length a cloud of landmarks is flat (as fits take it)
_FLATNESS = 1e-3
_NICE = (1, 2, 3, 5)


@dataclass(frozen=True, eq=False)
class Comparison:
    """A density channel against an intensity, row by row.

    Parameters
    ----------
    percent : (n,) float64
        Density in per cent.
    intensity : (n,) float64
        Value of the other image at the same rows.
    is_relative : bool
        Whether `percent` is a rescaled raw signal instead of a fraction.
    n_covered : int
        Rows that both images cover; `n` is smaller if rows were drawn.
    """

    percent: FloatArray
    intensity: FloatArray
    is_relative: bool
    n_covered: int

    @property
    def classes(self) -> NDArray[np.intp]:
        """(n,) number of each row's density class."""
        return density_classes(self.percent)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Rows per density class."""
        return tuple(int(n) for n in np.bincount(self.classes, minlength=len(CLASS_NAMES)))


def compare(
    density: NDArray[Any], intensity: NDArray[Any], coverage: NDArray[Any], seed: int = 0
) -> Comparison | None:
    """Rows covered by more than 99 % with both values finite; None if fewer than five.

    Parameters
    ----------
    density, intensity, coverage : (n,) arrays
    seed : int
        For drawing :data:`MAX_ROWS` rows where there are more.
    """
    chosen = np.flatnonzero(
        (coverage > FULL_COVERAGE) & np.isfinite(density) & np.isfinite(intensity)
    )
    if len(chosen) < FEWEST_ROWS:
        return None
    percent, is_relative = as_percent(np.asarray(density[chosen], dtype=np.float64))
    values = np.asarray(intensity[chosen], dtype=np.float64)
    if len(chosen) > MAX_ROWS:
        drawn = np.random.default_rng(seed).choice(len(chosen), MAX_ROWS, replace=False)
        drawn.sort()
        percent, values = percent[drawn], values[drawn]
    return Comparison(percent, values, is_relative, len(chosen))


def as_percent(values: FloatArray) -> tuple[FloatArray, bool]:
    """Density in per cent, and whether it is only relative.

    Values within [0, 1] are a fraction. Others are a raw signal, rescaled between their 0.5 and
    99.5 percentiles and clipped to 0-100.
    """
    if values.min() >= 0 and values.max() <= 1:
        return 100 * values, False
    low, high = np.percentile(values, (0.5, 99.5))
    if not high > low:
        return np.zeros_like(values), True
    return np.asarray(np.clip(100 * (values - low) / (high - low), 0, 100)), True


def density_classes(percent: FloatArray) -> NDArray[np.intp]:
    """Class of each density: 0, then (0, 5], (5, 25], (25, 50], (50, 75], (75, 100] per cent."""
    return np.searchsorted(CLASS_EDGES, np.clip(percent, 0, 100), side="left")


def pearson(a: FloatArray, b: FloatArray) -> float:
    """Linear correlation; NaN if either is constant."""
    u, v = a - a.mean(), b - b.mean()
    # a constant column has rounding noise about its mean, which must not count as variation
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.clip(u @ v / np.sqrt((u @ u) * (v @ v)), -1, 1))


def spearman(a: FloatArray, b: FloatArray) -> float:
    """Rank correlation, ties sharing their mean rank; NaN if either is constant."""
    return pearson(rankdata(a), rankdata(b))


def on_hull(points_um: FloatArray) -> NDArray[np.bool_]:
    """(n,) whether each landmark is a corner of the landmarks' convex hull.

    The fit without a corner must extrapolate to predict it. Landmarks in a plane or on a line have
    their hull taken there; all count as corners where there is no hull.
    """
    everyone = np.ones(len(points_um), dtype=bool)
    if len(points_um) < 3:
        return everyone
    centred = points_um - points_um.mean(axis=0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    rank = int(np.sum(spread > _FLATNESS * spread[0])) if spread[0] > 0 else 0
    flat = centred @ directions[:rank].T
    found = ~everyone
    if rank == 0 or len(points_um) <= rank + 1:
        return everyone
    if rank == 1:
        found[[int(flat[:, 0].argmin()), int(flat[:, 0].argmax())]] = True
        return found
    try:
        found[ConvexHull(flat).vertices] = True
    except QhullError:
        return everyone
    return found


def errors_in_fixed_world(
    transform: Transform, fixed_um: FloatArray, errors_um: FloatArray
) -> FloatArray:
    """(n, 3) shift in the fixed world from a landmark to where its partner shows up there.

    Parameters
    ----------
    transform : Transform
    fixed_um : (n, 3) float64
    errors_um : (n, 3) float64
        ``T(fixed) - moving``: a vector in the *moving* world, whose axes may be turned.

    Notes
    -----
    To first order ``T^-1(moving) - fixed = -J^-1 (T(fixed) - moving)``. NaN where J is singular.
    """
    jacobian = transform.jacobian(fixed_um)
    out = np.full(errors_um.shape, np.nan)
    determinant = np.linalg.det(jacobian)
    known = np.isfinite(determinant) & (np.abs(determinant) > 1e-12)
    out[known] = -np.linalg.solve(jacobian[known], errors_um[known][:, :, None])[:, :, 0]
    return out


def arrow_scale(lengths_um: FloatArray, extent_um: float) -> float:
    """Factor (1, 2, 3, 5 x 10^n) by which arrows are drawn longer, so that most are seen.

    The 90th percentile becomes up to an eighth of the extent, never smaller than life.
    """
    finite = lengths_um[np.isfinite(lengths_um)]
    typical = float(np.percentile(finite, 90)) if finite.size else 0.0
    # residuals of an interpolation are rounding errors: enlarging those would be a lie
    if not (extent_um > 0) or typical < 1e-6 * extent_um:
        return 1.0
    wanted = extent_um / 8 / typical
    if wanted <= 1:
        return 1.0
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(max(m * power for m in _NICE if m * power <= wanted * (1 + 1e-9)))


def folding_check(transform: Transform, points_um: FloatArray) -> FoldingCheck | None:
    """Jacobian determinants at (n, 3) points; None if the transform is defined at none of them."""
    determinant = transform.jacobian_determinant(points_um)
    known = determinant[np.isfinite(determinant)]
    if not known.size:
        return None
    return FoldingCheck(known.size, int(np.sum(known <= 0)), float(known.min()), float(known.max()))


def covered_rows(n_rows: int, coverages: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Rows of which any moving channel covers more than half (all, if there is no channel)."""
    if not coverages:
        return np.ones(n_rows, dtype=bool)
    found: NDArray[np.bool_] = np.any(np.stack([c > 0.5 for c in coverages]), axis=0)
    return found
