"""Where a view of one image has to look in the other, and how large things are there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import Transform


@dataclass(frozen=True)
class LocalView:
    """What a map makes of a small surrounding.

    Parameters
    ----------
    point_um : (3,) float64
        Where the middle lands, (z, y, x) in um.
    scale : float
        How many um there one um here becomes, along the directions that were asked about
        (geometric mean).
    """

    point_um: NDArray[np.float64]
    scale: float


def local_view(
    transform: Transform, point_um: ArrayLike, directions: ArrayLike | None = None
) -> LocalView | None:
    """The place and size that `transform` gives to the surrounding of a point.

    Turning is left out: the scale is that of areas (of lengths, of volumes).

    Parameters
    ----------
    transform : Transform
    point_um : (3,) array_like
        (z, y, x) in um, in the space that `transform` maps from.
    directions : (k, 3) array_like, optional
        One to three independent directions; the scale is that of the length, area or volume that
        they span. All of space by default.

    Returns
    -------
    LocalView or None
        None where the map is not defined, or flattens what is there.
    """
    point = np.asarray(point_um, dtype=np.float64).reshape(1, 3)
    span = np.eye(3) if directions is None else np.atleast_2d(np.asarray(directions, np.float64))
    try:
        landing = transform.map(point)[0]
        spanned = transform.jacobian(point)[0] @ span.T
    except np.linalg.LinAlgError:
        return None  # the inverse of a map that is flat there
    if not (np.all(np.isfinite(landing)) and np.all(np.isfinite(spanned))):
        return None
    # the Gram determinant is the squared volume, also of fewer directions than dimensions
    before, after = np.linalg.det(span @ span.T), np.linalg.det(spanned.T @ spanned)
    if before <= 0 or after <= 0:
        return None
    scale = float((after / before) ** (0.5 / len(span)))
    return LocalView(landing, scale) if scale > 0 else None
