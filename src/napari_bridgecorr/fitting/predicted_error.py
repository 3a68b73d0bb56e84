"""The predicted error of a fit in a few numbers: over the landmarks' hull, and on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..geometry.convex_hull import ConvexHull
from .diagnostics import number_or_none
from .error_levels import COLUMNS
from .error_levels import MEANING as LEVELS_MEANING
from .error_model import ErrorModel, error_model
from .fit import Fit

FloatArray = NDArray[np.float64]

_DRAWN = 1500
_models: WeakKeyDictionary[Fit, ErrorModel] = WeakKeyDictionary()
MEANING = (
    "medians over places inside the fixed landmarks' hull and over its corners; "
    "predicted_error: expected RMS of the target error; "
) + LEVELS_MEANING


@dataclass(frozen=True)
class PredictedErrors:
    """Medians of the predicted error in um; NaN where there are no such places.

    Parameters
    ----------
    description : str
        By which model.
    interior, hull : (float, float, float)
        Expected RMS, 68 % and 95 % level of the target error inside the landmarks' hull and at its
        corners.
    landmark_interior, landmark_hull : (float, float)
        68 % and 95 % level of the distance to one more landmark there.
    """

    description: str
    interior: tuple[float, float, float]
    hull: tuple[float, float, float]
    landmark_interior: tuple[float, float]
    landmark_hull: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; undefined numbers are None."""
        return {
            "meaning": MEANING,
            "model": self.description,
            "interior": _named((*self.interior, *self.landmark_interior)),
            "hull": _named((*self.hull, *self.landmark_hull)),
        }


def error_of_fit(made: Fit) -> ErrorModel:
    """The error model of a fit; kept with it, as it takes longer than the fit."""
    if made not in _models:
        options = made.options
        _models[made] = error_model(
            made.pairs, made.transform, options.model, options.dimensions, made.noise, made.evidence
        )
    return _models[made]


def predicted_error(result: Fit) -> PredictedErrors:
    """The predicted error of a fit inside its landmarks' hull and at the hull's corners."""
    options, pairs = result.options, result.pairs
    model = error_of_fit(result)
    hull = ConvexHull(pairs.fixed_um, options.dimensions)
    low, high = pairs.fixed_um.min(axis=0), pairs.fixed_um.max(axis=0)
    places = low + np.random.default_rng(0).uniform(0, 1, (_DRAWN, 3)) * (high - low)
    inside = places[hull.distance_um(places) <= 0]
    corners = pairs.fixed_um[hull.is_vertex(len(pairs))]
    found = [
        [
            float(np.median(v)) if np.isfinite(v).any() else np.nan
            for v in model.levels(points).columns().values()
        ]
        for points in (inside, corners)
    ]
    (a, b, c, d, e), (f, g, h, i, j) = found
    return PredictedErrors(model.description, (a, b, c), (f, g, h), (d, e), (i, j))


def _named(values: tuple[float, ...]) -> dict[str, float | None]:
    return {k: number_or_none(v) for k, v in zip(COLUMNS, values, strict=True)}
