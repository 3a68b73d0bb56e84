"""Overlap of two masks on one grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def dice(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Dice coefficient ``2 |A & B| / (|A| + |B|)`` of two masks of one shape (non-zero is inside).

    Two empty masks agree: 1.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"masks of shapes {a.shape} and {b.shape} do not lie on one grid")
    inside_a, inside_b = a != 0, b != 0
    total = int(inside_a.sum()) + int(inside_b.sum())
    return 1.0 if total == 0 else 2 * int(np.sum(inside_a & inside_b)) / total
