"""The colours of errors, in the table and on the pictures: told apart by colour-blind eyes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

STOPS = (0.4, 1.2, 3.0)
"""Multiples of the usual error that are fully blue, yellow, orange."""
COLOURS = ((120, 190, 235), (245, 230, 110), (232, 125, 50))
"""Red, green, blue of 255: of other lightness each, and black is readable on all."""
NO_ERROR = (140, 140, 146)
"""Where there is none."""


def error_rgb(errors_um: ArrayLike, typical_um: float) -> NDArray[np.float64]:
    """Blue to orange, by how many times the usual error it is.

    Parameters
    ----------
    errors_um : (n,) array-like
        NaN where there is none.
    typical_um : float
        The usual error, which is near yellow.

    Returns
    -------
    (n, 3) float64
        Red, green, blue from 0 to 255; :data:`NO_ERROR` where there is no error.
    """
    errors = np.asarray(errors_um, dtype=np.float64).reshape(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(errors == 0, 0.0, errors / typical_um)
    found = np.stack([np.interp(ratio, STOPS, [c[i] for c in COLOURS]) for i in range(3)], axis=-1)
    found[~np.isfinite(ratio)] = NO_ERROR
    return np.asarray(found, dtype=np.float64)
