"""A section beside the slice of the volume that it was placed on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .canvas import BLUE, GREEN, INK, MAGENTA, Axes, new_figure, png, style
from .slice_figure import grey, overlay, stretch
from .slices import contrast_limits

Curve = tuple[str, str, NDArray[np.float64]]


def section_figure(
    section: NDArray[Any],
    slice_values: NDArray[Any],
    extent_um: tuple[float, float],
    curves: Sequence[Curve] = (),
) -> bytes:
    """A PNG: the section, the volume on it, both together, and curves of likeness over depth.

    Parameters
    ----------
    section, slice_values : (y, x) arrays
        NaN where there is nothing.
    extent_um : (float, float)
        Height and width.
    curves : sequence of (xlabel, ylabel, (n, 2) float64)
    """
    rows = 2 if curves else 1
    ratio = min(max(extent_um[0] / extent_um[1], 0.4), 1.6)
    figure = new_figure(11.0, 3.5 * ratio + 0.4 + (2.4 if curves else 0.0))
    parts = figure.add_gridspec(rows, 6, height_ratios=[3.5 * ratio, 2.2][:rows])
    first = stretch(section, contrast_limits(section))
    second = stretch(slice_values, contrast_limits(slice_values))
    pictures = (
        ("section", MAGENTA, grey(first)),
        ("volume on the section", GREEN, grey(second)),
        ("overlay", INK, overlay(first, second)),
    )
    for k, (title, colour, picture) in enumerate(pictures):
        axes = figure.add_subplot(parts[0, 2 * k : 2 * k + 2])
        _show(axes, picture, extent_um)
        axes.set_title(title, loc="left", fontsize=9.5, color=colour, fontweight="bold")
    wide = 6 // max(1, len(curves))
    for k, (xlabel, ylabel, points) in enumerate(curves):
        axes = figure.add_subplot(parts[1, wide * k : wide * (k + 1)])
        axes.plot(points[:, 0], points[:, 1], color=BLUE, linewidth=1.5)
        best = int(np.argmax(points[:, 1]))
        axes.plot(points[best, 0], points[best, 1], "o", color=BLUE, markersize=4)
        style(axes, "", xlabel, ylabel)
    return png(figure)


def _show(axes: Axes, picture: NDArray[np.float64], extent_um: tuple[float, float]) -> None:
    height, width = extent_um
    axes.imshow(picture, extent=(0, width, height, 0), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
