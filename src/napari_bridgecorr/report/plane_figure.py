"""A picture of a plane that was found in an image: where it runs, and how well it fits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..surface import DetectedPlane
from .canvas import BLUE, ORANGE, VERMILION, Axes, Figure, new_figure, outline, shared_legend, style

FloatArray = NDArray[np.float64]


def draw_detected_plane(found: DetectedPlane, title: str) -> Figure:
    """Two sections with the edges and the plane, and a map of the edges' distances from it.

    Parameters
    ----------
    found : DetectedPlane
    title : str
        Name of the image.
    """
    figure = new_figure(11.0, 4.4)
    figure.suptitle(f"{title}: {summary(found)}", x=0.01, ha="left", fontsize=9.5)
    first, second, third = figure.subplots(1, 3, width_ratios=(1, 1, 1.05))
    _section(first, found, across=2)
    _section(second, found, across=1)
    _distances(figure, third, found)
    shared_legend(figure, first, 3)
    return figure


def summary(found: DetectedPlane) -> str:
    """The facts in a line."""
    made = found.plane.made
    return (
        f"{made['target']}, {made['looks']} towards {made['into']}, tilt "
        f"{made['tilt_degrees']:.1f} \N{DEGREE SIGN}, {100 * made['support']:.0f} % of columns "
        f"agree, confidence {made['confidence']:.2f}"
    )


def _section(axes: Axes, found: DetectedPlane, across: int) -> None:
    """The middle section along the columns and one direction across them."""
    columns = found.columns
    values = columns.values
    other = 3 - across
    middle = values.shape[other] // 2
    picture = np.take(values, middle, axis=other)
    depth_um = columns.grid.voxel_size_um[0]
    step_um = columns.grid.voxel_size_um[across]
    width, height = picture.shape[1] * step_um, picture.shape[0] * depth_um
    known = picture[np.isfinite(picture)]
    low, high = np.percentile(known, [1, 99.5]) if known.size else (0.0, 1.0)
    share = np.clip((picture - low) / max(high - low, 1e-12), 0, 1) ** 0.6
    axes.imshow(share, cmap="gray", extent=(0, width, height, 0), aspect="auto", vmin=0, vmax=1)
    edges = np.take(found.edges.position, middle, axis=other - 1)
    agrees = np.take(found.inliers, middle, axis=other - 1)
    place = (np.arange(len(edges)) + 0.5) * step_um
    for chosen, colour, label in (
        (agrees, ORANGE, "edge, agrees"),
        (~agrees, VERMILION, "edge, does not"),
    ):
        axes.plot(place[chosen], edges[chosen] * depth_um, ".", ms=4, color=colour, label=label)
    line = _plane_along(found)
    drawn = np.take(line, middle, axis=other - 1) * depth_um
    axes.plot(place, drawn, "-", lw=1.4, color=BLUE, path_effects=outline(), label="plane")
    axes.set_ylim(height, 0)
    name = "zyx"[[a for a in range(3) if a != columns.axis][across - 1]]
    style(axes, f"section along {name}", f"{name} (um)", f"along {'zyx'[columns.axis]} (um)")


def _plane_along(found: DetectedPlane) -> FloatArray:
    """(u, v) position of the plane along every column, in faces."""
    columns = found.columns
    iu, iv = (a.ravel().astype(np.float64) for a in np.indices(columns.values.shape[1:]))
    start = columns.grid.to_world(np.column_stack([np.full_like(iu, -0.5), iu, iv]))
    along = columns.grid.index_to_world[:3, 0]
    depth = found.plane.place(start)[:, 0]
    slope = float(found.plane.normal @ along)
    return np.asarray((-depth / slope).reshape(columns.values.shape[1:]))


def _distances(figure: Figure, axes: Axes, found: DetectedPlane) -> None:
    away = found.residual_um
    known = np.abs(away[found.inliers])
    most = float(np.percentile(known, 98)) if known.size else 1.0
    columns = found.columns
    _, u, v = columns.grid.voxel_size_um
    extent = (0, away.shape[1] * v, away.shape[0] * u, 0)
    shown = axes.imshow(away, cmap="RdBu", vmin=-most, vmax=most, extent=extent, aspect="equal")
    figure.colorbar(shown, ax=axes, shrink=0.8, label="edge below the plane (um)")
    names = ["zyx"[a] for a in range(3) if a != columns.axis]
    style(axes, "distance of each edge", f"{names[1]} (um)", f"{names[0]} (um)")
