"""Two raters compared in pictures: where they differ, along which axis, and what their maps do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..evaluate import RaterDifference, SiteDifferences
from .canvas import BLUE, FAINT, ORANGE, SOFT, VERMILION, Axes, Figure, legend, new_figure, style
from .statistics import arrow_scale

FloatArray = NDArray[np.float64]

COLOURMAP = "viridis"
# its yellow end is not seen on white paper: arrows take the rest of it
_ARROWS, _ARROWS_SHARE = "plasma", 0.8
_MANY = 40
_NAMED = 10
_MOST_SLICES = 4
_HIGH_PERCENTILE = 95
# 95 % of normal differences lie within so many standard deviations of their mean
# (Bland and Altman, Lancet 1986, doi 10.1016/S0140-6736(86)90837-8)
_LIMITS_SD = 1.96


def draw_click_differences(sites: SiteDifferences) -> Figure:
    """Arrows from the first rater's clicks to the second's in three projections.

    Parameters
    ----------
    sites : SiteDifferences
    """
    start, way, lengths = sites.first_um, sites.difference_um, sites.lengths_um
    low, high = _limits(start)
    span = high - low
    factor = arrow_scale(lengths, float(np.ptp(start, axis=0).max()))
    scale = 6.4 / float(span[2] + span[0])
    figure = new_figure(8.4, float(np.clip((span[1] + span[0]) * scale + 1.1, 4.0, 11.0)))
    grid = figure.add_gridspec(
        2, 2, width_ratios=[span[2], span[0]], height_ratios=[span[1], span[0]]
    )
    top = max(float(lengths.max()), 1e-9)
    named = np.argsort(-lengths, kind="stable")[: _NAMED if len(lengths) > _MANY else None]
    arrows = None
    panels = []
    for cell, down, right in ((grid[0, 0], 1, 2), (grid[0, 1], 1, 0), (grid[1, 0], 0, 2)):
        axes = figure.add_subplot(cell)
        panels.append(axes)
        x, y = start[:, right], start[:, down]
        axes.plot(x, y, "o", markersize=3, color=SOFT, zorder=2)
        arrows = axes.quiver(
            x, y, factor * way[:, right], factor * way[:, down], lengths,
            cmap=_ARROWS, clim=(0.0, top / _ARROWS_SHARE), angles="xy", scale_units="xy", scale=1.0,
            units="dots", width=3.2, zorder=3,
        )  # fmt: skip
        for i in named:
            axes.annotate(
                sites.ids[i][:18], (x[i], y[i]), xytext=(4, 4), textcoords="offset points",
                fontsize=6.5, color=SOFT, zorder=4, annotation_clip=True,
            )  # fmt: skip
        across, along = "zyx"[right], "zyx"[down]
        name = f"{max(along, across)}{min(along, across)} projection"
        style(axes, name, f"moving {across} (µm)", f"moving {along} (µm)")
        axes.set_xlim(low[right], high[right])
        axes.set_ylim(high[down], low[down])  # rows grow downwards, as in the window
        axes.set_aspect("equal", adjustable="box")
        axes.locator_params(nbins=5)
        axes.grid(color=FAINT, linewidth=0.5, zorder=0)
        axes.set_axisbelow(True)
    bar = figure.colorbar(arrows, ax=panels, shrink=0.7, pad=0.02)
    bar.ax.set_ylim(0.0, top)
    bar.set_label(f"apart (µm); arrows drawn {factor:g} × as long", fontsize=8.5)
    bar.ax.tick_params(labelsize=8)
    return figure


def draw_agreement(sites: SiteDifferences, maps: RaterDifference | None) -> Figure:
    """Differences along z, y and x against the place, limits of agreement, and RMS by axis.

    Parameters
    ----------
    sites : SiteDifferences
    maps : RaterDifference or None
        Adds the maps' RMS by axis.
    """
    figure = new_figure(11.4, 3.5)
    panels = figure.subplots(1, 4, width_ratios=(1, 1, 1, 0.9))
    middle = (sites.first_um + sites.second_um) / 2
    most = max(float(np.abs(sites.difference_um).max()), 1e-9)
    for axis, axes in enumerate(panels[:3]):
        values = sites.difference_um[:, axis]
        bias, limits = agreement(values)
        axes.axhline(0, color=FAINT, linewidth=1, zorder=1)
        axes.axhline(bias, color=VERMILION, linewidth=1.4, label=f"mean {bias:+.3g}", zorder=2)
        if limits is not None:
            for number, limit in enumerate(limits):
                axes.axhline(
                    limit, color=SOFT, linestyle="--", linewidth=1, zorder=2,
                    label="" if number else f"95 % within {limits[0]:+.3g} … {limits[1]:+.3g}",
                )  # fmt: skip
            most = max(most, *(abs(v) for v in limits))
        axes.plot(middle[:, axis], values, "o", color=BLUE, markersize=4, alpha=0.8, zorder=3)
        name = "zyx"[axis]
        style(axes, f"Along {name}", f"{name} of the place (µm)", "second − first (µm)")
        axes.locator_params(axis="x", nbins=4)
        axes.grid(axis="y", color=FAINT, linewidth=0.5, zorder=0)
        legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.28))
    for axes in panels[:3]:
        axes.set_ylim(-1.15 * most, 1.15 * most)
    _draw_rms(panels[3], sites, maps)
    return figure


def agreement(values: FloatArray) -> tuple[float, tuple[float, float] | None]:
    """Mean of (n,) differences, and between what 95 % of further ones are expected to lie.

    None in the place of the limits for fewer than three, of which nothing can be said.
    """
    bias = float(np.mean(values))
    if len(values) < 3:
        return bias, None
    half = _LIMITS_SD * float(np.std(values, ddof=1))
    return bias, (bias - half, bias + half)


def _draw_rms(axes: Axes, sites: SiteDifferences, maps: RaterDifference | None) -> None:
    drawn = [("clicks", BLUE, sites.overall.rms_zyx_um)]
    if maps is not None:
        drawn.append(("maps", ORANGE, maps.overall.rms_zyx_um))
    width = 0.8 / len(drawn)
    for number, (name, colour, values) in enumerate(drawn):
        place = np.arange(3) + (number - (len(drawn) - 1) / 2) * width
        axes.bar(place, values, 0.92 * width, color=colour, label=name)
        for at, value in zip(place, values, strict=True):
            axes.annotate(
                f"{value:.3g}", (at, value), xytext=(0, 2), textcoords="offset points",
                ha="center", fontsize=7, color=SOFT,
            )  # fmt: skip
    style(axes, "RMS by axis", "axis", "RMS (µm)")
    axes.set_xticks(range(3), ["z", "y", "x"])
    axes.margins(y=0.15)
    legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.28), ncols=2)


def draw_map_differences(maps: RaterDifference) -> Figure:
    """How far both maps are apart in slices of the fixed image, and in one across them.

    Parameters
    ----------
    maps : RaterDifference
    """
    lengths = np.linalg.norm(maps.difference_um, axis=-1)
    n_z, n_y = lengths.shape[:2]
    steps = _steps_um(maps.points_um)
    shown = np.unique(np.linspace(0, n_z - 1, min(n_z, _MOST_SLICES) + 2).round().astype(int))
    shown = shown[1:-1] if len(shown) > _MOST_SLICES else shown
    low, high = 0.0, max(float(np.nanpercentile(lengths, _HIGH_PERCENTILE)), 1e-9)
    has_cut = n_z > 1
    n_panels = len(shown) + has_cut
    figure = new_figure(min(11.4, 3.4 * n_panels + 1.2), 3.1)
    panels = np.atleast_1d(figure.subplots(1, n_panels))
    picture = None
    for axes, k in zip(panels, shown, strict=False):
        picture = _show(axes, lengths[k], (steps[1], steps[2]), (low, high))
        style(axes, f"Slice {k + 1} of {n_z}", "x (µm)", "y (µm)" if k == shown[0] else "")
        axes.tick_params(labelleft=k == shown[0])
    if has_cut:
        cut = _show(panels[-1], lengths[:, n_y // 2], (steps[0], steps[2]), (low, high))
        style(panels[-1], "Across, in the middle", "x (µm)", "z (µm)")
        for k in shown:
            panels[-1].axhline(k * steps[0], color="white", linewidth=0.8, linestyle=":")
        picture = picture or cut
    bar = figure.colorbar(picture, ax=list(panels), shrink=0.85, pad=0.02, extend="max")
    bar.set_label("maps apart (µm)", fontsize=8.5)
    bar.ax.tick_params(labelsize=8)
    return figure


def _show(
    axes: Axes, values: FloatArray, steps: tuple[float, float], limits: tuple[float, float]
) -> object:
    rows, columns = values.shape
    across, down = max(steps[1], 1e-9), max(steps[0], 1e-9)
    axes.set_facecolor(FAINT)  # where one of the maps is not defined
    picture = axes.imshow(
        values, cmap=COLOURMAP, vmin=limits[0], vmax=limits[1], interpolation="nearest",
        extent=(-across / 2, (columns - 0.5) * across, (rows - 0.5) * down, -down / 2),
    )  # fmt: skip
    axes.locator_params(nbins=4)
    return picture


def _steps_um(points_um: FloatArray) -> tuple[float, float, float]:
    """Distances (um) between neighbouring points along z, y and x; 1 where there is one."""
    found = []
    for axis in range(3):
        n = points_um.shape[axis]
        first, last = np.take(points_um, (0, n - 1), axis=axis).swapaxes(0, axis)
        apart = float(np.linalg.norm(last.reshape(-1, 3)[0] - first.reshape(-1, 3)[0]))
        found.append(apart / (n - 1) if n > 1 else 1.0)
    return found[0], found[1], found[2]


def _limits(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    low, high = points.min(axis=0), points.max(axis=0)
    longest = max(float((high - low).max()), 1.0)
    # a flat cloud still gets a panel that can be read; an arrow needs room beside the outermost
    half = np.maximum(0.6 * (high - low), 0.18 * longest) + 0.05 * longest
    middle = (low + high) / 2
    return middle - half, middle + half
