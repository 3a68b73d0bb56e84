"""Pairs set aside before fitting, and what the fit without them is off by at them.

A leave-one-out error is of fits that differ from the one that is used; pairs that no fit ever saw
judge the very map. They are drawn by the program: a person would keep the clear ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError, GeometryError
from ..geometry.convex_hull import ConvexHull
from ..landmarks import LandmarkPairs
from ..transform import Transform
from .checks import check_pairs
from .error_summary import ErrorSummary, summarise

FloatArray = NDArray[np.float64]

DEFAULT_NUMBER = 5
_LEVEL = 0.95


def choose_check_landmarks(
    pairs: LandmarkPairs, n: int = DEFAULT_NUMBER, *, seed: int = 0, dimensions: int = 3
) -> tuple[str, ...]:
    """Draw `n` pairs to set aside: spread over the sample, and at random.

    The fixed points are halved along their longest side until there are `n` groups of nearly equal
    size; one of each group is drawn. So every pair is as likely as any other (the error at them
    is that at a usual pair), yet no two lie side by side by chance.

    Parameters
    ----------
    pairs : LandmarkPairs
        Those that fits use now.
    n : int
    seed : int
        The same seed draws the same pairs.
    dimensions : {3, 2}

    Returns
    -------
    tuple of str
        Their ids, in the order of `pairs`.

    Raises
    ------
    FitError
        If what is left would not determine an affine map.
    """
    if n < 1:
        raise FitError(f"at least 1 pair is set aside, not {n}")
    needed = dimensions + 2
    if len(pairs) - n < needed:
        most = len(pairs) - needed
        raise FitError(
            f"{len(pairs)} pairs are too few to set {n} aside: "
            + (f"set {most} aside, or " if most > 0 else "")
            + f"place {n + needed - len(pairs)} more"
        )
    rng = np.random.default_rng(seed)
    groups = _groups(pairs.fixed_um[:, 3 - dimensions :], np.arange(len(pairs)), n)
    chosen = np.zeros(len(pairs), dtype=bool)
    chosen[[int(rng.choice(group)) for group in groups]] = True
    check_pairs(pairs.subset(~chosen), "affine", dimensions)
    return pairs.subset(chosen).ids


def _groups(points: FloatArray, rows: NDArray[np.intp], n: int) -> list[NDArray[np.intp]]:
    if n == 1:
        return [rows]
    here = points[rows]
    order = rows[np.argsort(here[:, int(np.argmax(np.ptp(here, axis=0)))], kind="stable")]
    first = n // 2
    at = round(len(rows) * first / n)
    return [*_groups(points, order[:at], first), *_groups(points, order[at:], n - first)]


@dataclass(frozen=True, eq=False)
class CheckErrors:
    """Errors of a map at pairs that it was not made from.

    Parameters
    ----------
    ids : tuple of str
    error_um : (n, 3) float64
        ``T(fixed) - moving`` along z, y, x; the clicks' own error is part of it.
    outside : (n,) bool
        Outside the hull of the pairs that the map was made from, where it extrapolates.
    """

    ids: tuple[str, ...]
    error_um: FloatArray
    outside: NDArray[np.bool_]

    @property
    def lengths_um(self) -> FloatArray:
        """(n,) length of each error."""
        return np.asarray(np.linalg.norm(self.error_um, axis=1))

    @property
    def summary(self) -> ErrorSummary:
        """Over all of them."""
        return summarise(self.error_um)

    @property
    def inside(self) -> ErrorSummary:
        """Over those inside the hull."""
        return summarise(self.error_um[~self.outside])

    def rms_range_um(self) -> tuple[float, float]:
        """Where the RMS error of very many such pairs lies with a probability of 95 %.

        Of normal errors that are alike along the three axes (chi-square); few pairs leave it wide.
        """
        from scipy.stats import chi2

        found = self.summary
        freedom = 3 * found.n
        if not freedom:
            return float("nan"), float("nan")
        low, high = (
            found.rms_um * float(np.sqrt(freedom / chi2.ppf(p, freedom)))
            for p in ((1 + _LEVEL) / 2, (1 - _LEVEL) / 2)
        )
        return low, high


def errors_at_checks(
    transform: Transform, fitted: LandmarkPairs, checks: LandmarkPairs, dimensions: int = 3
) -> CheckErrors:
    """What `transform`, made from the pairs `fitted`, is off by at the pairs set aside."""
    try:
        hull = ConvexHull(fitted.fixed_um, dimensions)
        outside = hull.distance_um(checks.fixed_um) > 0
    except GeometryError:
        outside = np.zeros(len(checks), dtype=bool)  # too few to have an inside
    errors = transform.map(checks.fixed_um) - checks.moving_um
    if dimensions == 2:
        errors[:, 0] = 0.0
    return CheckErrors(checks.ids, np.asarray(errors), outside)
