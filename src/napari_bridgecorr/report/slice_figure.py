"""Overlay and checkerboard slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .canvas import FAINT, GREEN, INK, MAGENTA, PAPER, Axes, Figure, new_figure, outline
from .slices import Plane, contrast_limits, scale_bar_um

_WIDTH_IN = 11.0
_SQUARES = 8
_TITLES = ("fixed", "registered moving", "overlay", "checkerboard")
_AXIS_NAMES = ("iz", "iy", "ix")
_OPPOSITE = {"S": "I", "I": "S", "A": "P", "P": "A", "R": "L", "L": "R"}
# tissue in an MRI is bright all over: full magenta would drown what lies on it
_OVERLAY_GAMMA = 1.5

Rgba = NDArray[np.float64]


def draw_slices(planes: Sequence[Plane], sizes: Sequence[int], anatomical: bool) -> Figure:
    """One row per plane: fixed, registered moving, overlay, checkerboard.

    Parameters
    ----------
    planes : sequence of Plane
    sizes : three int
        Voxels of the fixed grid, for naming the slices.
    anatomical : bool
        Whether world axes have anatomical letters.
    """
    panel = (_WIDTH_IN - 0.45) / 4
    heights = [panel * min(max(p.extent_um[0] / p.extent_um[1], 0.35), 1.6) for p in planes]
    figure = new_figure(_WIDTH_IN, sum(heights) + 0.06 * len(planes) + 0.3)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.02)
    rows = figure.subplots(len(planes), 4, squeeze=False, height_ratios=heights)
    fixed_range = contrast_limits(np.concatenate([p.fixed.ravel() for p in planes]))
    moving_range = contrast_limits(np.concatenate([p.moving.ravel() for p in planes]))
    for row, plane in zip(rows, planes, strict=True):
        fixed, moving = stretch(plane.fixed, fixed_range), stretch(plane.moving, moving_range)
        pictures = (grey(fixed), grey(moving), overlay(fixed, moving), checkerboard(fixed, moving))
        for axes, picture in zip(row, pictures, strict=True):
            show_plane(axes, picture, plane)
        down, right = plane.directions(anatomical)
        name = _AXIS_NAMES[plane.axis]
        row[0].set_ylabel(f"{name} = {plane.index} of {sizes[plane.axis]}", fontsize=8.5, color=INK)
        _arrows(row[0], down, right)
        draw_scale_bar(row[0], plane)
    for axes, title in zip(rows[0], _TITLES, strict=True):
        colour = {"fixed": MAGENTA, "registered moving": GREEN}.get(title, INK)
        axes.set_title(title, fontsize=9.5, color=colour, fontweight="bold", loc="left")
    return figure


def stretch(values: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.float64]:
    """Contrast limits to 0-1; NaN stays NaN."""
    low, high = limits
    return np.asarray(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1))


def grey(values: NDArray[np.float64]) -> Rgba:
    """Grey where there are data, transparent elsewhere."""
    return _rgba(values, values, values, np.isfinite(values))


def overlay(fixed: NDArray[np.float64], moving: NDArray[np.float64]) -> Rgba:
    """Fixed in magenta, moving in green, both alike white; dim grey where only one has data."""
    both = np.isfinite(fixed) & np.isfinite(moving)
    alone = 0.55 * np.where(np.isfinite(fixed), fixed, moving)
    red = np.where(both, fixed**_OVERLAY_GAMMA, alone)
    return _rgba(red, np.where(both, moving, alone), red, np.isfinite(alone))


def checkerboard(fixed: NDArray[np.float64], moving: NDArray[np.float64]) -> Rgba:
    """Squares of the fixed image (magenta tint) and the moving one (green tint) in turn."""
    rows, columns = fixed.shape
    side = max(1, round(max(rows, columns) / _SQUARES))
    row, column = np.indices(fixed.shape) // side
    use_moving = (row + column) % 2 == 1
    tint = {False: (1.0, 0.72, 1.0), True: (0.72, 1.0, 0.72)}
    values = np.where(use_moving, moving, fixed)
    red, green, blue = (
        np.where(use_moving, tint[True][k], tint[False][k]) * values for k in range(3)
    )
    return _rgba(red, green, blue, np.isfinite(values))


def _rgba(
    red: NDArray[Any], green: NDArray[Any], blue: NDArray[Any], known: NDArray[np.bool_]
) -> Rgba:
    stacked = np.stack([red, green, blue, np.ones(known.shape)], axis=-1)
    stacked[~known] = 0.0
    return stacked


def show_plane(axes: Axes, picture: Rgba, plane: Plane) -> None:
    height, width = plane.extent_um
    # the hatched ground shows through wherever the picture is transparent
    axes.set_facecolor(PAPER)
    axes.fill(
        [0, width, width, 0],
        [0, 0, height, height],
        facecolor="#f4f6f8",
        edgecolor=FAINT,
        hatch="////",
        linewidth=0,
        zorder=0,
    )
    axes.imshow(picture, extent=(0, width, height, 0), interpolation="nearest", zorder=1)
    axes.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    for spine in axes.spines.values():
        spine.set_color(FAINT)


def draw_scale_bar(axes: Axes, plane: Plane) -> None:
    height, width = plane.extent_um
    length = scale_bar_um(width)
    x, y = 0.95 * width - length, 0.94 * height
    for colour, thickness in (("black", 4.5), ("white", 2.5)):  # outlined: legible on any ground
        axes.plot(
            [x, x + length],
            [y, y],
            color=colour,
            linewidth=thickness,
            solid_capstyle="butt",
            gid="scale-bar",
            zorder=3,
        )
    text = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    axes.text(
        x + length / 2,
        y - 0.03 * height,
        text,
        color="white",
        fontsize=8,
        ha="center",
        va="bottom",
        fontweight="bold",
        bbox=_tag(),
        zorder=4,
    )


def _arrows(axes: Axes, down: str, right: str) -> None:
    """Arrows along the positive world axes, in the lower left corner; lengths mean nothing."""
    points_left, points_down = "-" in right, "-" not in down
    # points from the corner, so that the cross keeps its shape in a low panel
    middle = (40.0 if points_left else 12.0, 40.0 if points_down else 12.0)
    for name, shift in (
        (right, (-20.0 if points_left else 20.0, 0.0)),
        (down, (0.0, -20.0 if points_down else 20.0)),
    ):
        end = (middle[0] + shift[0], middle[1] + shift[1])
        axes.annotate(
            "", xy=end, xytext=middle, xycoords="axes points", textcoords="axes points", zorder=5,
            arrowprops={
                "arrowstyle": "-|>", "color": "white", "lw": 1.5, "mutation_scale": 8,
                "shrinkA": 0, "shrinkB": 0, "path_effects": outline(),
            },
        )  # fmt: skip
        beyond = (middle[0] + 1.5 * shift[0], middle[1] + 1.5 * shift[1])
        if shift[0] > 0:  # long labels ("~+x R") grow away from the cross
            beyond = (end[0] + 2, end[1])
        axes.annotate(
            _positive(name), xy=beyond, xycoords="axes points", color="white", fontsize=7.5,
            fontweight="bold", va="center", ha="left" if shift[0] > 0 else "center", zorder=6,
            path_effects=outline(),
        )  # fmt: skip


def _positive(direction: str) -> str:
    """``~-y P`` as its opposite ``~+y A``: arrows are drawn along the positive axis."""
    if "-" not in direction:
        return direction
    name = direction.replace("-", "+")
    return f"{name[:-1]}{_OPPOSITE[name[-1]]}" if " " in name else name


def _tag() -> dict[str, Any]:
    return {"boxstyle": "round,pad=0.15", "facecolor": "black", "alpha": 0.45, "linewidth": 0}
