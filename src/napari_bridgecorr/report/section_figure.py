"""A section beside the slice of the volume that it was placed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .canvas import BLUE, GREEN, INK, MAGENTA, ORANGE, Axes, new_figure, outline, png, style
from .slice_figure import checkerboard, grey, overlay, stretch
from .slices import contrast_limits

Curve = tuple[str, str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class SectionView:
    """A slice of the volume across the section, which is seen there from its edge.

    Parameters
    ----------
    title, down, right : str
    values : (y, x) array
        NaN where there is nothing.
    extent_um : (float, float)
        Height and width.
    border_um : (n, 2) float64
        The section's border as it is seen from there: down and right from the corner.
    """

    title: str
    down: str
    right: str
    values: NDArray[Any]
    extent_um: tuple[float, float]
    border_um: NDArray[np.float64]


def section_figure(
    section: NDArray[Any],
    slice_values: NDArray[Any],
    extent_um: tuple[float, float],
    curves: Sequence[Curve] = (),
    views: Sequence[SectionView] = (),
) -> bytes:
    """A PNG: the section, the volume on it, both together, where it lies, and how sure that is.

    Parameters
    ----------
    section, slice_values : (y, x) arrays
        NaN where there is nothing.
    extent_um : (float, float)
        Height and width.
    curves : sequence of (xlabel, ylabel, (n, 2) float64)
    views : sequence of SectionView
    """
    below = len(views) + len(curves)
    rows = 2 if below else 1
    ratio = min(max(extent_um[0] / extent_um[1], 0.4), 1.6)
    figure = new_figure(13.0, 3.1 * ratio + 0.4 + (2.8 if below else 0.0))
    parts = figure.add_gridspec(rows, 12, height_ratios=[3.1 * ratio, 2.6][:rows])
    first = stretch(section, contrast_limits(section))
    second = stretch(slice_values, contrast_limits(slice_values))
    pictures = (
        ("section", MAGENTA, grey(first)),
        ("volume on the section", GREEN, grey(second)),
        ("overlay", INK, overlay(first, second)),
        ("chessboard", INK, checkerboard(first, second)),
    )
    for k, (title, colour, picture) in enumerate(pictures):
        axes = figure.add_subplot(parts[0, 3 * k : 3 * k + 3])
        _show(axes, picture, extent_um)
        axes.set_title(title, loc="left", fontsize=9.5, color=colour, fontweight="bold")
    wide = 12 // max(1, below)
    for k, view in enumerate(views):
        _view(figure.add_subplot(parts[1, wide * k : wide * (k + 1)]), view)
    for k, (xlabel, ylabel, points) in enumerate(curves, len(views)):
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


def _view(axes: Axes, view: SectionView) -> None:
    height, width = view.extent_um
    shown = stretch(view.values, contrast_limits(view.values))
    axes.imshow(grey(shown), extent=(0, width, height, 0), interpolation="nearest")
    down, right = view.border_um.T
    axes.plot(right, down, color=ORANGE, linewidth=1.4, path_effects=outline())
    axes.set(xlim=(0, width), ylim=(height, 0))
    style(axes, view.title, view.right, view.down)
