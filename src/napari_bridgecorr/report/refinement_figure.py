"""Two images before and after a map was refined, and the errors at left-out landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .canvas import INK, SOFT, Axes, new_figure, outline, png
from .slice_figure import checkerboard, draw_scale_bar, overlay, show_plane, stretch
from .slices import Plane, contrast_limits
from .statistics import arrow_scale

FloatArray = NDArray[np.float64]

_WIDTH_IN = 13.0
_ARROW = "#ffd400"  # seen on magenta, green, white and black


@dataclass(frozen=True, eq=False)
class Look:
    """One map: what the images look like through it, and how far it is off.

    Parameters
    ----------
    title : str
    planes : sequence of Plane
        The same planes for every map.
    arrows_um : (n, 3) float64
        Errors at left-out landmarks in the fixed world, to where the partner shows up.
    """

    title: str
    planes: Sequence[Plane]
    arrows_um: FloatArray


def draw_refinement(
    looks: tuple[Look, Look], landmarks_um: FloatArray, sizes: Sequence[int], heading: str
) -> bytes:
    """A PNG: per plane the overlay and the checkerboard, before and after.

    Parameters
    ----------
    looks : (Look, Look)
        Before and after.
    landmarks_um : (n, 3) float64
        Fixed points of the arrows, of any depth: they are seen along the plane's normal.
    sizes : three int
        Voxels of the fixed image, for naming the planes.
    heading : str
        The verdict.
    """
    first = looks[0].planes
    panel = (_WIDTH_IN - 0.6) / 4
    heights = [panel * min(max(p.extent_um[0] / p.extent_um[1], 0.35), 1.6) for p in first]
    figure = new_figure(_WIDTH_IN, sum(heights) + 0.06 * len(heights) + 0.85)
    figure.suptitle(heading, fontsize=9.5, color=INK, x=0.01, ha="left", wrap=True)
    rows = figure.subplots(len(first), 4, squeeze=False, height_ratios=heights)
    lengths = np.concatenate([np.linalg.norm(look.arrows_um, axis=1) for look in looks])
    scale = arrow_scale(lengths, max(max(p.extent_um) for p in first))
    fixed_range = contrast_limits(np.concatenate([p.fixed.ravel() for p in first]))
    moving_range = contrast_limits(
        np.concatenate([p.moving.ravel() for look in looks for p in look.planes])
    )
    for side, look in enumerate(looks):
        for row, plane in zip(rows, look.planes, strict=True):
            fixed, moving = stretch(plane.fixed, fixed_range), stretch(plane.moving, moving_range)
            show_plane(row[side], overlay(fixed, moving), plane)
            show_plane(row[2 + side], checkerboard(fixed, moving), plane)
            _draw_arrows(row[side], plane, landmarks_um, scale * look.arrows_um)
        rows[0][side].set_title(
            f"overlay {look.title}", fontsize=9.5, color=INK, fontweight="bold", loc="left"
        )
        rows[0][2 + side].set_title(
            f"checkerboard {look.title}", fontsize=9.5, color=INK, fontweight="bold", loc="left"
        )
    for row, plane in zip(rows, first, strict=True):
        name = ("iz", "iy", "ix")[plane.axis]
        row[0].set_ylabel(f"{name} = {plane.index} of {sizes[plane.axis]}", fontsize=8.5, color=INK)
        draw_scale_bar(row[0], plane)
    said = "magenta: fixed, green: moving, white: both"
    if len(landmarks_um):
        said += (
            f"; arrows (x {scale:g}): errors of the prediction of landmarks that were left out, "
            "all depths, their own localisation error included"
        )
    figure.supxlabel(said, fontsize=8.5, color=SOFT, x=0.01, ha="left")
    return png(figure)


def _draw_arrows(axes: Axes, plane: Plane, landmarks_um: FloatArray, arrows_um: FloatArray) -> None:
    """Landmarks and errors as seen along the plane's normal, in um of the panel."""
    if not len(landmarks_um):
        return
    within = [a for a in range(3) if a != plane.axis]
    pixel = np.asarray(plane.grid.voxel_size_um)
    # the panel begins half a pixel before the first centre
    begin = (plane.grid.to_index(landmarks_um) + 0.5) * pixel
    end = (plane.grid.to_index(landmarks_um + arrows_um) + 0.5) * pixel
    (y, x), (v, u) = begin[:, within].T, (end - begin)[:, within].T
    known = np.isfinite(u) & np.isfinite(v)
    axes.plot(
        x, y, "o", markersize=3.5, color=_ARROW, markeredgecolor="black", markeredgewidth=0.6,
        zorder=5,
    )  # fmt: skip
    axes.quiver(
        x[known], y[known], u[known], v[known], angles="xy", scale_units="xy", scale=1,
        color=_ARROW, width=0.008, headwidth=3.5, headlength=4, zorder=6, path_effects=outline(),
        gid="left-out-errors",
    )  # fmt: skip
