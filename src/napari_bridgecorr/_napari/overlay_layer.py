"""The overlay as an ordinary Image layer: its voxels, its place, and the modes it is shown in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray

from ..geometry.view import ShownPlane, checkerboard, curtain, round_length_um
from .frames import METADATA_KEY, ViewTag, tag_of, um_per
from .landmark_layers import SIDES

if TYPE_CHECKING:
    from napari.layers import Layer

    from .viewer_session import ViewerSession

Mode = Literal["colours", "checkerboard", "curtain", "flicker"]

NAME = "overlay (live)"
SHOWS = "overlay"

# Magenta first: with grey or green it is told apart by every kind of eye.
_COLOURS = ("#FF00FF", "#FFA000", "#00C8FF")
# tiles across the picture's shorter side, before their size is rounded
_TILES = 6


@dataclass(frozen=True)
class Look:
    """How the overlay is shown.

    Parameters
    ----------
    mode : {"colours", "checkerboard", "curtain", "flicker"}
    edge : (int, float) or None
        Of a curtain: the canvas axis (0-2 of z, y, x) that crosses it, and its place there in um.
    """

    mode: Mode = "colours"
    edge: tuple[int, float] | None = None


def is_overlay(layer: Layer) -> bool:
    """Whether a layer is the live overlay."""
    tag = tag_of(layer)
    return isinstance(tag, ViewTag) and tag.shows == SHOWS


def tile_um(plane: ShownPlane) -> float:
    """Side of a checkerboard's tiles: a round length, some of them across the picture."""
    return round_length_um(max(min(plane.shape) * plane.step_um / _TILES, plane.step_um))


def shown_values(values: NDArray[np.float32], plane: ShownPlane, look: Look) -> NDArray[np.float32]:
    """The picture with what the mode leaves to the fixed image taken out (NaN, which is clear)."""
    if look.mode == "checkerboard":
        return np.where(checkerboard(plane, tile_um(plane)), values, np.float32(np.nan))
    if look.mode == "curtain" and look.edge is not None and look.edge[0] != plane.axis:
        along = plane.in_plane.index(look.edge[0])
        return np.where(curtain(plane, along, look.edge[1]), values, np.float32(np.nan))
    return values


def add_argument(
    values: NDArray[np.float32],
    plane: ShownPlane,
    fixed: Layer,
    frame: NDArray[np.float64],
    contrast_limits: Sequence[float],
) -> dict[str, Any]:
    """napari's arguments for the layer."""
    n = min(fixed.ndim, 3)
    scale, translate = _place(plane, fixed)
    return {
        "data": _as_layer(values, plane, n).copy(),  # written to again and again
        "name": NAME,
        "scale": scale,
        "translate": translate,
        "units": tuple(fixed.units[-n:]),
        "axis_labels": tuple(fixed.axis_labels[-n:]),
        "contrast_limits": tuple(contrast_limits),
        "projection_mode": "none",
        "metadata": {METADATA_KEY: ViewTag(SHOWS, frame)},
    }


def put(layer: Image, values: NDArray[np.float32], plane: ShownPlane, fixed: Layer) -> None:
    """Show other values, at another place where it is another: sliced and drawn once.

    The layer lies within the fixed image, so nobody but its canvas need know where: napari takes
    every new place or shape for a new extent of everything, and slices all layers again.
    """
    units = tuple(fixed.units[-layer.ndim :])
    if tuple(layer.units) != units:
        layer.units = units
    scale, translate = _place(plane, fixed)
    data = _as_layer(values, plane, layer.ndim)
    with layer.events.blocker_all():
        if layer.data.shape == data.shape:
            np.copyto(layer.data, data)
        else:
            layer.data = data.copy()
        if not np.array_equal(layer.scale, scale):
            layer.scale = scale
        if not np.array_equal(layer.translate, translate):
            layer.translate = translate
    layer.refresh(thumbnail=False, highlight=False, extent=False)


def insert_below(session: ViewerSession, layer: Image, *, lowest: bool = True) -> None:
    """Add a layer under the landmarks, and under what shows the map where it is to be lowest."""
    viewer = session.viewer
    if viewer is None:
        return
    points = [session.point_layer(side) for side in SIDES]
    above = [
        number
        for number, other in enumerate(viewer.layers)
        if other in points or (lowest and isinstance(tag_of(other), ViewTag))
    ]
    active = viewer.layers.selection.active
    viewer.layers.insert(min(above, default=len(viewer.layers)), layer)
    viewer.layers.selection.active = active


def wear(layer: Image, mode: Mode, fixed: Sequence[Layer]) -> None:
    """Give the layer the colours of a mode.

    Parameters
    ----------
    layer : Image
    mode : Mode
    fixed : sequence of layers
        Of the fixed image: a colour that they do not have is taken for two colours. Where the
        moving image covers the fixed one it is grey.
    """
    layer.opacity = 1.0
    layer.blending = "translucent_no_depth"
    layer.colormap = _tint(free_colour(fixed)) if mode == "colours" else "gray"


def free_colour(taken: Sequence[Layer]) -> str:
    """The first of the overlay's colours that is not near one of some layers' own."""
    ends = [
        np.asarray(layer.colormap.colors[-1][:3])
        for layer in taken
        if isinstance(layer, Image) and not layer.rgb
    ]
    for colour in _COLOURS:
        own = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        if all(np.linalg.norm(end - own) > 0.5 for end in ends):
            return colour
    return _COLOURS[0]


def _tint(colour: str) -> Colormap:
    # from clear, so that it does not drown in a bright image as a sum would
    rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return Colormap([[*rgb, 0.0], [*rgb, 1.0]], name=f"tint {colour}")


def _as_layer(values: NDArray[np.float32], plane: ShownPlane, ndim: int) -> NDArray[np.float32]:
    return values.reshape(plane.layer_shape) if ndim == 3 else values


def _place(plane: ShownPlane, fixed: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and translate in the units of the fixed image's layer."""
    n = min(fixed.ndim, 3)
    um = np.array([um_per(u) for u in fixed.units[-n:]])
    matrix = plane.to_canvas()
    return np.diag(matrix)[3 - n : 3] / um, matrix[3 - n : 3, 3] / um
