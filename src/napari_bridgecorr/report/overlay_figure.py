"""Two registered images on one chessboard: where edges run on across the squares, they fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .canvas import new_figure, png, style

FloatArray = NDArray[np.floating]

_SQUARES = 10


def chessboards(fixed: FloatArray, pulled: Sequence[tuple[str, FloatArray]]) -> bytes:
    """A PNG with one chessboard per registration, side by side.

    Parameters
    ----------
    fixed : (y, x)
        Tissue of the fixed image, 0-1.
    pulled : sequence of (title, (y, x))
        Tissue of the moving image at the fixed image's pixels, NaN where there is none.
    """
    height, width = fixed.shape
    figure = new_figure(4.6 * len(pulled), 4.6 * min(max(height / width, 0.4), 2.0) + 0.4)
    panels = figure.subplots(1, len(pulled), squeeze=False)[0]
    side = max(1, round(max(fixed.shape) / _SQUARES))
    is_fixed = (np.indices(fixed.shape) // side).sum(axis=0) % 2 == 0
    for axes, (title, moving) in zip(panels, pulled, strict=True):
        shown = np.stack([1 - fixed, 1 - 0.75 * fixed, 1 - 0.35 * fixed], axis=-1)
        other = np.stack([1 - 0.35 * moving, 1 - 0.8 * moving, 1 - moving], axis=-1)
        other = np.where(np.isfinite(other), other, 0.85)
        axes.imshow(np.clip(np.where(is_fixed[..., None], shown, other), 0, 1))
        style(axes, title)
        axes.set_axis_off()
    return png(figure)
