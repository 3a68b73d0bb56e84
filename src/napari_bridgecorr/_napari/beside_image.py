"""A click beside the image places no landmark: nothing is there to be paired.

A point may be dragged or nudged there, as a structure may end just beyond the image's border; the
table then says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BridgecorrError
from ..geometry.grid import apply_affine
from ..landmarks import Side
from ..refine.ray_pick import line_meets
from .frames import frame_of, spatial_points, world_matrix
from .landmark_layers import SIDES, position
from .views import line_of_sight

if TYPE_CHECKING:
    from napari.layers import Layer, Points

    from ..image import SpatialImage
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

# a landmark may lie on the border of what is shown; less than this is no miss
_MARGIN_VOXELS = 0.5
# as in napari: what moves further is no click
_CLICK_PX = 5
_MOST_NAMED = 5


class BesideGuard:
    """Keeps napari's clicks beside an image from adding points, and says so.

    Parameters
    ----------
    session : ViewerSession
    lifeline : Lifeline
    """

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        self._session = session
        self._watched: list[Points] = []
        for signal in (session.layers_changed, session.images_changed, session.canvases.changed):
            lifeline.connect(signal, self.refresh)
        lifeline.at_end(self._end)
        self.refresh()

    def refresh(self) -> None:
        """Watch the landmarks' layers that are drawn now."""
        wanted = [layer for layer in map(self._drawn, SIDES) if layer is not None]
        for layer in self._watched:
            if not any(layer is i for i in wanted):
                self._forget(layer)
        for layer in wanted:
            if self._on_press not in layer.mouse_drag_callbacks:
                layer.mouse_drag_callbacks.insert(0, self._on_press)  # before napari's own
        self._watched = wanted

    def refuses(self, side: Side, canvas_place: ArrayLike) -> bool:
        """Whether a place of a side's canvas is beside its image; the user is then told.

        Parameters
        ----------
        side : {"fixed", "moving"}
        canvas_place : (n,) float
            As napari's cursor has it.
        """
        words = self._miss(side, canvas_place)
        if words:
            self._session.told.emit(words, False)
        return bool(words)

    def refuses_expected(self, landmark_id: str, side: Side, place_um: ArrayLike) -> bool:
        """Whether the place where a partner is expected (world um) is beside the image."""
        is_beside = bool(beside(self._session, side, place_um).any())
        if is_beside:
            self._session.told.emit(
                f"{landmark_id} is expected beside the {side} image: nothing was placed. Click "
                "where it is, or leave it half (Escape).",
                False,
            )
        return is_beside

    def _miss(self, side: Side, canvas_place: ArrayLike) -> str:
        """What a click at a place of the canvas met in the place of the image; "" for the image."""
        session = self._session
        canvas, layer = session.canvas_of(side), self._drawn(side)
        chosen = session.image_layer(side)
        if canvas is None or layer is None or chosen is None:
            return ""
        unit = session.unknown_units()[SIDES.index(side)]
        place = spatial_points(layer.world_to_data(np.asarray(canvas_place)))
        world = apply_affine(world_matrix(layer, unit), place)[0]
        click = f"The click was beside the {side} image: nothing was placed."
        dims = canvas.dims
        if dims.ndisplay == 3:
            sight, image = frame_of(chosen)[:3, :3] @ line_of_sight(canvas), _image(session, side)
            is_hit = image is None or line_meets(image.grid, world, sight)
            return "" if is_hit else click
        outside = beside(session, side, world)
        hidden = [axis + 3 - dims.ndim for axis in dims.not_displayed]
        if any(outside[axis] for axis in hidden if axis >= 0):
            return f"The {side} image does not reach the plane shown: nothing was placed."
        return click if outside.any() else ""

    def _drawn(self, side: Side) -> Points | None:
        layer: Any = self._session.canvases.drawn(self._session.point_layer(side), side)
        return layer

    def _on_press(self, layer: Points, event: Any) -> Iterator[None]:
        """What napari calls with the mouse: its “add” is put aside for a click beside the image."""
        adding = [c for c in layer.mouse_drag_callbacks if _adds_points(c)]
        sides = [side for side in SIDES if self._drawn(side) is layer]
        words = self._miss(sides[0], event.position) if adding and sides else ""
        if not words:
            return
        layer.mouse_drag_callbacks.remove(adding[0])
        start = np.array(event.pos)
        try:
            yield
            while event.type == "mouse_move":
                yield
            if np.linalg.norm(np.array(event.pos) - start) < _CLICK_PX:
                self._session.told.emit(words, False)
        finally:
            if layer.mode == "add" and adding[0] not in layer.mouse_drag_callbacks:
                layer.mouse_drag_callbacks.append(adding[0])

    def _forget(self, layer: Points) -> None:
        if self._on_press in layer.mouse_drag_callbacks:
            layer.mouse_drag_callbacks.remove(self._on_press)

    def _end(self) -> None:
        for layer in self._watched:
            self._forget(layer)
        self._watched = []


def beside(session: ViewerSession, side: Side, place_um: ArrayLike) -> NDArray[np.bool_]:
    """(3,) along which axes (z, y, x) of a side's image a world position (um) lies beside it."""
    image, layer = _image(session, side), session.image_layer(side)
    if image is None or layer is None:
        return np.zeros(3, dtype=bool)
    return _beyond(image, layer, [place_um])[0]


def words_beside(session: ViewerSession) -> str:
    """Which landmarks have a point beside their image, in one line; "" if none has."""
    told = []
    for side in SIDES:
        image, layer = _image(session, side), session.image_layer(side)
        points = {m.id: position(m, side) for m in session.landmarks}
        points = {name: point for name, point in points.items() if point is not None}
        if image is None or layer is None or not points:
            continue
        outside = _beyond(image, layer, list(points.values())).any(axis=1)
        names = [name for name, is_out in zip(points, outside, strict=True) if is_out]
        if names:
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            told.append(f"Beside the {side} image: {', '.join(names[:_MOST_NAMED])}{more}.")
    return " ".join(told)


def _beyond(image: SpatialImage, layer: Layer, places_um: ArrayLike) -> NDArray[np.bool_]:
    found = image.grid.beyond(places_um, _MARGIN_VOXELS)
    found[:, : 3 - min(layer.ndim, 3)] = False  # a flat layer is shown whatever the plane
    return found


def _image(session: ViewerSession, side: Side) -> SpatialImage | None:
    try:
        return session.image(side)
    except BridgecorrError:
        return None  # step 1 says what is wrong with the layer


def _adds_points(callback: Callable[..., Any]) -> bool:
    """Whether this is what napari does with the mouse to add points."""
    module = getattr(callback, "__module__", "")
    return module.startswith("napari.layers.points") and callback.__name__ == "add"
