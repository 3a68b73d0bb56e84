"""Landmarks predicted by a fit that they took no part in: k-fold, and leave-one-out by place.

Such an error holds the prediction's error and the landmark's own, of a click. It is the error of a
prediction of left-out landmarks, not the accuracy of the registration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from ..geometry.convex_hull import ConvexHull
from ..landmarks import LandmarkPairs
from .error_summary import ErrorSummary, summarise
from .fit import Fit, fit_map
from .options import FitOptions

FloatArray = NDArray[np.float64]

DEFAULT_FOLDS = 10
MEANING = (
    "distance (um) between each landmark and where a fit without it predicts it; the landmark's "
    "own localisation error is part of it"
)


@dataclass(frozen=True, eq=False)
class HeldOutErrors:
    """Errors of the predictions of left-out landmarks.

    Parameters
    ----------
    ids : tuple of str
    error_um : (n, 3) float64
        Prediction minus landmark along z, y, x in the moving space. NaN where the others do not
        determine the model.
    on_hull : (n,) bool
        Corners of the fixed landmarks' convex hull: without one of them its place lies outside
        the others' hull, and its prediction is an extrapolation.
    fold : (n,) int
        Landmarks of one number were left out together.
    seed : int or None
        Which the folds were drawn with; None where there was nothing to draw.
    """

    ids: tuple[str, ...]
    error_um: FloatArray
    on_hull: NDArray[np.bool_]
    fold: NDArray[np.int64]
    seed: int | None = None

    @property
    def n_folds(self) -> int:
        """How many fits there were."""
        return len(np.unique(self.fold))

    @property
    def everywhere(self) -> ErrorSummary:
        """Over all landmarks."""
        return summarise(self.error_um)

    @property
    def interior(self) -> ErrorSummary:
        """Over the landmarks that are no corners of the hull."""
        return summarise(self.error_um[~self.on_hull])

    @property
    def hull(self) -> ErrorSummary:
        """Over the corners of the hull."""
        return summarise(self.error_um[self.on_hull])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; undefined numbers are None."""
        return {
            "meaning": MEANING,
            "folds": self.n_folds,
            "seed": self.seed,
            "all": self.everywhere.to_dict(),
            "interior": self.interior.to_dict(),
            "hull": self.hull.to_dict(),
        }


def k_fold(
    pairs: LandmarkPairs,
    options: FitOptions | None = None,
    folds: int = DEFAULT_FOLDS,
    seed: int = 0,
) -> HeldOutErrors:
    """Predict every landmark by a fit to the landmarks of the other folds.

    Each fold's fit does everything that :func:`fit` does, the choice of the smoothing included.

    Parameters
    ----------
    pairs : LandmarkPairs
    options : FitOptions, optional
    folds : int
        Of sizes that differ by one at most; no more than there are landmarks, which is
        leave-one-out.
    seed : int
        The same seed draws the same folds.

    Raises
    ------
    FitError
        If `folds` is below 2 or there are fewer than two landmarks.
    """
    n = len(pairs)
    if n < 2:
        raise FitError("predicting left-out landmarks takes at least two landmark pairs")
    if folds < 2:
        raise FitError(f"landmarks are left out in at least 2 folds, not {folds}")
    folds = min(folds, n)
    fold = np.empty(n, dtype=np.int64)
    fold[np.random.default_rng(seed).permutation(n)] = np.arange(n) % folds
    errors = np.full((n, 3), np.nan)
    for k in range(folds):
        left_out = fold == k
        try:
            without = fit_map(pairs.subset(~left_out), options)
        except FitError:
            continue  # the rest do not determine the model: there is no prediction
        predicted = without.map(pairs.fixed_um[left_out])
        errors[left_out] = predicted - pairs.moving_um[left_out]
    dimensions = (options or FitOptions()).dimensions
    return HeldOutErrors(pairs.ids, errors, _on_hull(pairs, dimensions), fold, seed)


def leave_one_out(result: Fit) -> HeldOutErrors:
    """The leave-one-out errors of a fit, its interior landmarks and those on the hull apart."""
    n = len(result.pairs)
    return HeldOutErrors(
        result.pairs.ids,
        result.diagnostics.leave_one_out_um,
        _on_hull(result.pairs, result.options.dimensions),
        np.arange(n),
    )


def _on_hull(pairs: LandmarkPairs, dimensions: int) -> NDArray[np.bool_]:
    return ConvexHull(pairs.fixed_um, dimensions).is_vertex(len(pairs))
