"""The predicted error of a fit in a few numbers: over the landmarks' hull, and on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.convex_hull import ConvexHull
from .diagnostics import number_or_none
from .error_model import error_model
from .fit import Fit

FloatArray = NDArray[np.float64]

_DRAWN = 1500
_LEVELS = (0.68, 0.95)
MEANING = (
    "predicted distance (um) between where the transform puts a point and where it belongs, "
    "medians over places inside the fixed landmarks' hull and over its corners: expected RMS, and "
    "what it stays below with a probability of 68 and 95 %"
)


@dataclass(frozen=True)
class PredictedErrors:
    """Medians of the predicted error in um; NaN where there are no such places.

    Parameters
    ----------
    description : str
        By which model.
    interior, hull : (float, float, float)
        Expected RMS, 68 % and 95 % level inside the landmarks' hull and at its corners.
    """

    description: str
    interior: tuple[float, float, float]
    hull: tuple[float, float, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; undefined numbers are None."""
        names = ("rms_um", "within_68_um", "within_95_um")
        return {
            "meaning": MEANING,
            "model": self.description,
            **{
                place: {k: number_or_none(v) for k, v in zip(names, values, strict=True)}
                for place, values in (("interior", self.interior), ("hull", self.hull))
            },
        }


def predicted_error(result: Fit) -> PredictedErrors:
    """The predicted error of a fit inside its landmarks' hull and at the hull's corners."""
    options, pairs = result.options, result.pairs
    model = error_model(
        pairs, result.transform, options.model, options.dimensions, result.noise, result.evidence
    )
    hull = ConvexHull(pairs.fixed_um, options.dimensions)
    low, high = pairs.fixed_um.min(axis=0), pairs.fixed_um.max(axis=0)
    places = low + np.random.default_rng(0).uniform(0, 1, (_DRAWN, 3)) * (high - low)
    inside = places[hull.distance_um(places) <= 0]
    corners = pairs.fixed_um[hull.is_vertex(len(pairs))]
    found = []
    for points in (inside, corners):
        numbers = [model.predict(points), *(model.radius(points, p) for p in _LEVELS)]
        found.append(
            tuple(float(np.median(v)) if np.isfinite(v).any() else np.nan for v in numbers)
        )
    (a, b, c), (d, e, f) = found
    return PredictedErrors(model.description, (a, b, c), (d, e, f))
