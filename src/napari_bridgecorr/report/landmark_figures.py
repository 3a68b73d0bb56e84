"""Where the landmarks disagree: arrows in three projections, leave-one-out errors by landmark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..fitting import Fit
from .canvas import (
    BLUE,
    FAINT,
    INK,
    SOFT,
    VERMILION,
    Axes,
    Figure,
    legend,
    new_figure,
    shared_legend,
    style,
)
from .key_figures import length
from .statistics import arrow_scale, errors_in_fixed_world, on_hull

FloatArray = NDArray[np.float64]

MANY = 40
_WORST = 10


@dataclass(frozen=True, eq=False)
class LandmarkErrors:
    """Errors of a fit as they are drawn.

    Parameters
    ----------
    ids : tuple of str
    fixed_um : (n, 3) float64
    residual_um, leave_one_out_um : (n,) float64
        Lengths.
    residual_arrow_um, leave_one_out_arrow_um : (n, 3) float64
        In the fixed world, from the landmark to where its partner shows up.
    is_hull : (n,) bool
    scale : float
        The arrows are drawn so many times longer.
    """

    ids: tuple[str, ...]
    fixed_um: FloatArray
    residual_um: FloatArray
    leave_one_out_um: FloatArray
    residual_arrow_um: FloatArray
    leave_one_out_arrow_um: FloatArray
    is_hull: NDArray[np.bool_]
    scale: float

    @property
    def n(self) -> int:
        """Number of landmarks."""
        return len(self.ids)

    def worst(self) -> NDArray[np.intp]:
        """The landmarks with the largest leave-one-out errors (undefined ones are not)."""
        order = np.argsort(np.nan_to_num(self.leave_one_out_um, nan=-1.0), kind="stable")
        return order[::-1][:_WORST]


def landmark_errors(fit: Fit) -> LandmarkErrors:
    """Lengths, arrows and hull of a fit's landmarks."""
    fixed, diagnostics = fit.pairs.fixed_um, fit.diagnostics
    flat = fixed.copy()
    if fit.options.dimensions == 2:
        flat[:, 0] = 0.0
    residual = errors_in_fixed_world(fit.transform, fixed, diagnostics.residual_um)
    left_out = errors_in_fixed_world(fit.transform, fixed, diagnostics.leave_one_out_um)
    longest = np.linalg.norm(left_out, axis=1)
    if not np.any(np.isfinite(longest)):
        longest = np.linalg.norm(residual, axis=1)
    return LandmarkErrors(
        diagnostics.ids,
        fixed,
        np.linalg.norm(diagnostics.residual_um, axis=1),
        diagnostics.leave_one_out_lengths_um,
        residual,
        left_out,
        on_hull(flat),
        arrow_scale(longest, float(np.ptp(fixed, axis=0).max()) if len(fixed) else 0.0),
    )


def draw_arrows(
    errors: LandmarkErrors, points_up: tuple[bool, bool, bool], flat: bool = False
) -> Figure:
    """Orthogonal projections of the landmarks with residual and leave-one-out arrows.

    Parameters
    ----------
    errors : LandmarkErrors
    points_up : (bool, bool, bool)
        Per world axis (z, y, x), whether it grows upwards (leftwards) as in the slices.
    flat : bool
        Only the yx projection.
    """
    lower, upper = _limits(errors)
    span = upper - lower
    if flat:
        width = 7.0
        figure = new_figure(width, width * float(np.clip(span[1] / span[2], 0.4, 1.4)) + 0.9)
        panels = [(figure.subplots(), 1, 2)]
    else:
        # yx with zx below it and zy at its side, all at one scale; the legend fills the corner
        scale = 7.6 / float(span[2] + span[0])
        figure = new_figure(8.6, float(np.clip((span[1] + span[0]) * scale + 1.1, 4.0, 11.0)))
        grid = figure.add_gridspec(
            2, 2, width_ratios=[span[2], span[0]], height_ratios=[span[1], span[0]]
        )
        cells = ((grid[0, 0], 1, 2), (grid[0, 1], 1, 0), (grid[1, 0], 0, 2))
        panels = [(figure.add_subplot(cell), down, right) for cell, down, right in cells]
    for axes, down, right in panels:
        _project(axes, errors, down, right)
        for axis, limit in ((right, axes.set_xlim), (down, axes.set_ylim)):
            ends = (lower[axis], upper[axis])
            grows_with_axis = points_up[axis] if axis == down else not points_up[axis]
            limit(*(ends if grows_with_axis else ends[::-1]))
    if flat:
        shared_legend(figure, panels[0][0], 2)
    else:
        corner = figure.add_subplot(grid[1, 1])
        corner.set_axis_off()
        handles, labels = panels[0][0].get_legend_handles_labels()
        legend(corner, handles=handles, labels=labels, loc="center")
    return figure


def _project(axes: Axes, errors: LandmarkErrors, down: int, right: int) -> None:
    x, y = errors.fixed_um[:, right], errors.fixed_um[:, down]
    arrows = (
        (errors.leave_one_out_arrow_um, VERMILION, 1.1, "leave-one-out error", 3),
        (errors.residual_arrow_um, INK, 2.4, "residual", 2),
    )
    for vectors, colour, width, name, order in arrows:
        known = np.all(np.isfinite(vectors), axis=1)
        axes.quiver(
            x[known], y[known],
            errors.scale * vectors[known, right], errors.scale * vectors[known, down],
            angles="xy", scale_units="xy", scale=1.0, color=colour, units="dots",
            width=width * (1.0 if errors.n > MANY else 1.7),
            label=f"{name} (arrow × {errors.scale:g})", zorder=order,
        )  # fmt: skip
    for chosen, marker, name in (
        (~errors.is_hull, "o", "landmark inside the hull"),
        (errors.is_hull, "D", "landmark on the hull"),
    ):
        axes.plot(
            x[chosen], y[chosen], marker, markersize=4.5 if errors.n <= MANY else 3,
            markerfacecolor=BLUE if marker == "o" else "white", markeredgecolor=BLUE,
            markeredgewidth=1.1, label=name, zorder=4,
        )  # fmt: skip
    labelled = np.arange(errors.n) if errors.n <= MANY else errors.worst()
    for i in labelled:
        axes.annotate(
            _short(errors.ids[i]), (x[i], y[i]), xytext=(4, 4), textcoords="offset points",
            fontsize=6.5, color=SOFT, zorder=5, annotation_clip=True,
        )  # fmt: skip
    across, along = "zyx"[right], "zyx"[down]
    style(
        axes,
        f"{max(along, across)}{min(along, across)} projection",
        f"fixed {across} (µm)",
        f"fixed {along} (µm)",
    )
    axes.set_aspect("equal", adjustable="box")
    axes.locator_params(nbins=5)
    axes.tick_params(axis="x", rotation=0)
    axes.grid(color=FAINT, linewidth=0.5, zorder=0)
    axes.set_axisbelow(True)


def _limits(errors: LandmarkErrors) -> tuple[FloatArray, FloatArray]:
    """Lower and upper (3,) ends of the axes: all landmarks and arrow tips, with a margin."""
    tips = [
        errors.fixed_um + errors.scale * v
        for v in (errors.residual_arrow_um, errors.leave_one_out_arrow_um)
    ]
    points = np.concatenate([errors.fixed_um, *tips])
    points = points[np.all(np.isfinite(points), axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    longest = max(float((high - low).max()), 1.0)
    # a flat cloud still gets a panel that can be read
    half = np.maximum(0.55 * (high - low), 0.18 * longest) + 0.02 * longest
    middle = (low + high) / 2
    return middle - half, middle + half


def draw_leave_one_out(errors: LandmarkErrors) -> Figure:
    """Lollipops sorted by leave-one-out error, residuals as ticks, the median as a line."""
    many = errors.n > MANY
    height = 5.2 if many else 1.3 + 0.19 * errors.n
    figure = new_figure(11.0 if many else 9.0, height)
    axes = figure.subplots()
    order = np.argsort(np.nan_to_num(errors.leave_one_out_um, nan=-1.0), kind="stable")
    if many:
        order = order[::-1]
    place = np.arange(errors.n)
    lengths = errors.leave_one_out_um[order]
    median = (
        float(np.median(lengths[np.isfinite(lengths)]))
        if np.any(np.isfinite(lengths))
        else float("nan")
    )
    draw_lines = axes.vlines if many else axes.hlines
    for is_hull, colour, name in (
        (False, BLUE, "inside the hull"),
        (True, VERMILION, "on the hull (predicted by extrapolation: pessimistic)"),
    ):
        chosen = (errors.is_hull[order] == is_hull) & np.isfinite(lengths)
        draw_lines(place[chosen], 0, lengths[chosen], color=colour, linewidth=1.6, alpha=0.55)
        points = (place[chosen], lengths[chosen]) if many else (lengths[chosen], place[chosen])
        axes.plot(*points, "o", color=colour, markersize=4 if many else 6, label=name)
    residual = errors.residual_um[order]
    marks = (place, residual) if many else (residual, place)
    axes.plot(
        *marks, "_" if many else "|", color=INK, markersize=6, label="residual (not accuracy)"
    )
    if np.isfinite(median):
        line = axes.axhline if many else axes.axvline
        line(median, color=SOFT, linestyle="--", linewidth=1, label=f"median {length(median)}")
    if many:
        style(
            axes,
            "",
            f"{errors.n} landmarks, largest error first (the {_WORST} largest named)",
            "leave-one-out error (µm)",
        )
        axes.set(xticks=[], ylim=(0, None), xlim=(-1, errors.n))
        for k in range(min(_WORST, errors.n)):
            if np.isfinite(lengths[k]):
                axes.annotate(
                    _short(errors.ids[order[k]]),
                    (k, lengths[k]),
                    xytext=(5, 0),
                    textcoords="offset points",
                    fontsize=6.5,
                    color=SOFT,
                    va="center",
                )
    else:
        style(axes, "", "leave-one-out error (µm)")
        axes.set_yticks(place, [_short(errors.ids[i]) for i in order])
        axes.set(xlim=(0, None), ylim=(-0.8, errors.n - 0.2))
        for i in np.flatnonzero(~np.isfinite(lengths)):
            axes.annotate(
                "undefined: the fit needs this landmark",
                (0, i),
                xytext=(8, 0),
                textcoords="offset points",
                fontsize=7,
                color=SOFT,
                va="center",
            )
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    axes.grid(axis="y" if many else "x", color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    legend(axes, loc="upper right" if many else "lower right")
    return figure


def _short(name: str) -> str:
    return name if len(name) <= 18 else name[:17] + "…"
