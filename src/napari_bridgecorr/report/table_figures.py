"""What the voxel table shows: density against MRI, and the predicted registration error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .canvas import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    PAPER,
    SOFT,
    Axes,
    Figure,
    legend,
    new_figure,
    style,
)
from .key_figures import length
from .statistics import CLASS_NAMES, Comparison, pearson, spearman

FloatArray = NDArray[np.float64]

_SCATTER_UP_TO = 3000
_BINS = 50
# lines end below the legend
_LINE_TOP = 0.8


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """One z plane of the table's predicted errors.

    Parameters
    ----------
    values_um : (y, x) float64
        NaN where the moving image does not cover the row.
    iz : int
        The plane.
    pixel_um : (float, float)
        Spacing along y and x.
    landmarks_px : (n, 2) float64
        Landmarks projected onto the plane, in (y, x) indices.
    """

    values_um: FloatArray
    iz: int
    pixel_um: tuple[float, float]
    landmarks_px: FloatArray


def draw_density(comparisons: Sequence[tuple[str, Comparison]], intensity_name: str) -> Figure:
    """One row per density channel: scatter at the left, boxes per density class at the right."""
    figure = new_figure(11.0, 3.9 * len(comparisons))
    rows = figure.subplots(len(comparisons), 2, squeeze=False)
    for (left, right), (name, comparison) in zip(rows, comparisons, strict=True):
        kind = "relative signal" if comparison.is_relative else "density"
        _scatter(figure, left, comparison)
        r, rho = (f(comparison.percent, comparison.intensity) for f in (pearson, spearman))
        style(
            left,
            f"Pearson r = {_number(r)}   Spearman ρ = {_number(rho)}   n = "
            f"{len(comparison.percent):,}",
            f"{name}: {kind} (%)",
            intensity_name,
        )
        _boxes(right, comparison)
        style(right, "by class", f"{name}: {kind} class (%)", intensity_name)
    return figure


def _scatter(figure: Figure, axes: Axes, comparison: Comparison) -> None:
    x, y = comparison.percent, comparison.intensity
    if len(x) <= _SCATTER_UP_TO:
        axes.plot(x, y, ".", color=BLUE, alpha=0.35, markersize=4, markeredgewidth=0)
        return
    low, high = np.percentile(y, (0.1, 99.9))
    if not high > low:
        low, high = low - 0.5, high + 0.5
    cells = axes.hexbin(
        x, np.clip(y, low, high), gridsize=(46, 26), bins="log", mincnt=1, vmin=0.25, cmap="Blues",
        linewidths=0.1, extent=(0, 100, float(low), float(high)),
    )  # fmt: skip
    bar = figure.colorbar(cells, ax=axes, pad=0.01, shrink=0.85)
    bar.set_label("rows per cell", fontsize=8, color=SOFT)
    bar.ax.yaxis.set_major_formatter("{x:g}")  # the default writes a formula
    bar.minorticks_off()
    bar.ax.set_ylim(1, None)  # the scale begins lower: a cell with one row must be seen
    bar.ax.tick_params(labelsize=7, colors=SOFT)
    bar.outline.set_visible(False)


def _boxes(axes: Axes, comparison: Comparison) -> None:
    classes = comparison.classes
    groups = [comparison.intensity[classes == k] for k in range(len(CLASS_NAMES))]
    filled = [k for k, g in enumerate(groups) if g.size]
    boxes = axes.boxplot(
        [groups[k] for k in filled], positions=filled, widths=0.6, whis=(5, 95),
        showfliers=False, patch_artist=True, medianprops={"color": INK, "linewidth": 1.8},
        whiskerprops={"color": SOFT}, capprops={"color": SOFT}, manage_ticks=False,
    )  # fmt: skip
    for box in boxes["boxes"]:
        box.set(facecolor="#cfe3f3", edgecolor=BLUE, linewidth=1)
    labels = [f"{name}\nn = {g.size:,}" for name, g in zip(CLASS_NAMES, groups, strict=True)]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.grid(axis="y", color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)


def draw_error(
    predicted_um: FloatArray, error_map: ErrorMap | None, truth_um: FloatArray | None
) -> Figure:
    """Histogram of predicted errors, a map of them, and the true errors where they are known."""
    panels = 1 + (error_map is not None) + (truth_um is not None)
    figure = new_figure((9.5, 9.5, 11.0)[panels - 1], 3.0 if panels == 1 else 3.8)
    row = figure.subplots(1, panels, squeeze=False)[0]
    both = [predicted_um] if truth_um is None else [predicted_um, truth_um]
    top = max(float(np.percentile(v, 99.8)) for v in both)
    _histogram(row[0], predicted_um, top, BLUE)
    style(row[0], "predicted at each row", "predicted RMS error (µm)", "rows")
    if truth_um is not None:
        _histogram(row[1], truth_um, top, ORANGE)
        style(row[1], "true error at known targets", "target registration error (µm)", "targets")
    if error_map is not None:
        _map(figure, row[-1], error_map)
    return figure


def _histogram(axes: Axes, values: FloatArray, top: float, colour: str) -> None:
    top = top if top > 0 else 1.0
    axes.hist(np.clip(values, 0, top), bins=_BINS, range=(0, top), color=colour, alpha=0.75)
    median, high = np.percentile(values, (50, 95))
    axes.axvline(median, ymax=_LINE_TOP, color=INK, linewidth=1.4, label=f"median {length(median)}")
    axes.axvline(
        high,
        ymax=_LINE_TOP,
        color=INK,
        linewidth=1.2,
        linestyle=":",
        label=f"95 % below {length(high)}",
    )
    axes.set_xlim(0, top)
    axes.margins(y=0.28)  # room for the legend
    legend(axes, loc="upper right")


def _map(figure: Figure, axes: Axes, error_map: ErrorMap) -> None:
    down, right = error_map.pixel_um
    n_y, n_x = error_map.values_um.shape
    axes.set_facecolor(PAPER)
    axes.fill(
        [0, n_x * right, n_x * right, 0], [0, 0, n_y * down, n_y * down],
        facecolor="#f4f6f8", edgecolor=FAINT, hatch="////", linewidth=0, zorder=0,
    )  # fmt: skip
    masked = np.ma.masked_invalid(error_map.values_um)
    shown = axes.imshow(
        masked, extent=(0, n_x * right, n_y * down, 0), cmap="viridis",
        interpolation="nearest", zorder=1,
    )  # fmt: skip
    points = error_map.landmarks_px
    axes.plot(
        (points[:, 1] + 0.5) * right, (points[:, 0] + 0.5) * down, "o", markersize=3.5,
        markerfacecolor="none", markeredgecolor="white", markeredgewidth=0.9, zorder=2,
    )  # fmt: skip
    style(axes, f"map at iz = {error_map.iz}", "ix direction (µm)", "iy direction (µm)")
    axes.set(xlim=(0, n_x * right), ylim=(n_y * down, 0))
    axes.locator_params(nbins=4)
    bar = figure.colorbar(shown, ax=axes, pad=0.02, shrink=0.9)
    bar.set_label("predicted error (µm)", fontsize=8, color=SOFT)
    bar.ax.tick_params(labelsize=7, colors=SOFT)
    bar.outline.set_visible(False)


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "undefined"
