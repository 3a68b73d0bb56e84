"""Which side of a boundary is tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# samples next to the boundary that say nothing of either side, and that are compared
_SKIP = 2
_COMPARED = 16
_LEVEL = 4


@dataclass(frozen=True)
class Side:
    """What lies on one side of all boundaries.

    Parameters
    ----------
    level : float
        Median value near the boundary; NaN where there is nothing.
    extent : float
        Share of the image's samples.
    structure : float
        Covariance of neighbouring columns: what tissue has and noise has not.
    """

    level: float
    extent: float
    structure: float


def sides_of(values: FloatArray, near: FloatArray, far: FloatArray) -> tuple[Side, Side]:
    """What lies before the boundary nearest to the columns' start, and beyond the farthest.

    Parameters
    ----------
    values : (d, u, v) float64
    near, far : (u, v) float64
        The boundaries, in faces; the same one if there is only one.
    """
    known = np.isfinite(values)
    total = max(int(known.sum()), 1)
    along = np.arange(len(values))[:, None, None] + 0.5
    before, beyond = _away_from(values, near, -1), _away_from(values, far, 1)
    return (
        Side(_level(before), float((known & (along < near)).sum()) / total, _structure(before)),
        Side(_level(beyond), float((known & (along > far)).sum()) / total, _structure(beyond)),
    )


def leads_into_tissue(before: Side, beyond: Side, least_step: float) -> float:
    """Positive if growing index along the columns leads into the tissue.

    Glass, air and water give no light and no signal, so tissue is the brighter side, unless two
    other things both say otherwise: tissue has structure across the columns, and it fills more of
    the image.
    """
    step = beyond.level - before.level
    brightness = 0.0 if not np.isfinite(step) or abs(step) < least_step else float(np.sign(step))
    both = before.structure + beyond.structure
    structure = 0.0 if both <= 0 else (beyond.structure - before.structure) / both
    extent = (beyond.extent - before.extent) / max(beyond.extent + before.extent, 1e-9)
    return brightness + extent + structure


def levels_beside(values: FloatArray, surface: FloatArray, into: int) -> tuple[float, float]:
    """Median values just outside and just inside of a surface."""
    outside = _level(_away_from(values, surface, -into))
    return outside, _level(_away_from(values, surface, into))


def _away_from(values: FloatArray, surface: FloatArray, direction: int) -> FloatArray:
    """(k, u, v) samples going away from the surface, towards the high (1) or the low end."""
    face = np.rint(surface).astype(np.int64)
    k = np.arange(_SKIP, _SKIP + _COMPARED)[:, None, None]
    index = face + k if direction > 0 else face - 1 - k
    inside = (index >= 0) & (index < len(values))
    taken = np.take_along_axis(values, np.clip(index, 0, len(values) - 1), axis=0)
    return np.where(inside, taken, np.nan)


def _level(part: FloatArray) -> float:
    first = part[:_LEVEL]
    return float(np.nanmedian(first)) if np.isfinite(first).any() else float("nan")


def _structure(part: FloatArray) -> float:
    """Covariance of neighbouring columns about a smooth field of each depth (coil, window)."""
    _, nu, nv = part.shape
    u, v = np.meshgrid(np.linspace(-1, 1, nu), np.linspace(-1, 1, nv), indexing="ij")
    smooth = np.stack([u**a * v**b for a in range(4) for b in range(4 - a)], axis=-1)
    products = []
    for layer in part:
        known = np.isfinite(layer)
        if known.sum() < 2 * smooth.shape[-1]:
            continue
        field = np.linalg.lstsq(smooth[known], layer[known], rcond=None)[0]
        away = np.where(known, layer - smooth @ field, np.nan)
        products += [(away[1:] * away[:-1]).ravel(), (away[:, 1:] * away[:, :-1]).ravel()]
    found = np.concatenate([*products, np.empty(0)])
    found = found[np.isfinite(found)]
    return max(0.0, float(found.mean())) if found.size else 0.0
