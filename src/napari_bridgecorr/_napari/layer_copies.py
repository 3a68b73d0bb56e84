"""Copies of layers for another canvas: they share the voxels, and points are edited in either.

A napari layer holds the slice that its viewer shows, so the same layer cannot be in two viewers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Layer, Points
from napari.layers.base import ActionType
from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from .landmark_layers import raw_ids
from .landmark_paint import COLOUR_LOOKS, paint_again, unpainted

if TYPE_CHECKING:
    from napari.utils.events import Event

_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units")
_LOOK = ("name", "metadata", "opacity", "blending", "projection_mode")
_PICTURE_LOOK = (
    "contrast_limits_range",
    "contrast_limits",
    "colormap",
    "gamma",
    "interpolation2d",
    "interpolation3d",
    "rendering",
    "attenuation",
    "iso_threshold",
    "contour",
    "data",
)
_POINT_LOOK = ("canvas_size_limits", "antialiasing", "shading")
_PER_POINT = ("size", "symbol", "border_width", "border_color", "face_color", "shown")
_NEXT_POINT = (
    "current_size",
    "current_symbol",
    "current_border_width",
    "current_border_color",
    "current_face_color",
)


class LayerCopy:
    """A copy of a layer in another viewer, that follows how the layer is placed and looks.

    Whether it is shown is its own.

    Parameters
    ----------
    layer : napari layer
        Its data is shared, not copied, unless it is points.
    """

    _followed = (*_PLACE, *_LOOK, *_PICTURE_LOOK)

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.copy = _copied(layer)
        # a second canvas has no list of layers: nobody sees what napari would make at every slice
        self.copy._update_thumbnail = _make_nothing
        self._names = [
            name
            for name in self._followed
            if name in layer.events.emitters and _is_settable(layer, name)
        ]
        for name in self._names:
            layer.events.emitters[name].connect(self._on_changed)
        if isinstance(layer, Labels):
            # painted where they stand: the same array has other numbers
            layer.events.labels_update.connect(self._on_painted)

    def end(self) -> None:
        """Follow no longer."""
        for name in self._names:
            self.layer.events.emitters[name].disconnect(self._on_changed)
        if isinstance(self.layer, Labels):
            self.layer.events.labels_update.disconnect(self._on_painted)

    def _on_changed(self, event: Event) -> None:
        setattr(self.copy, event.type, getattr(self.layer, event.type))

    def _on_painted(self, event: Event) -> None:  # noqa: ARG002 - napari passes it
        self.copy.refresh()


class PointsCopy(LayerCopy):
    """A copy of a Points layer that can be edited like the layer itself.

    What is done to the copy (added, moved, removed, selected) is done to the layer in the same way
    and at once, so that whoever listens to the layer hears what he would hear of a click on it.
    What becomes of the layer is shown by the copy when napari has finished.
    """

    _followed = (*_PLACE, *_LOOK, *_POINT_LOOK)

    def __init__(self, layer: Points) -> None:
        super().__init__(layer)
        self.layer: Points
        self.copy: Points
        self._is_busy = False
        self._removed_ids: list[str] = []
        self._later = QTimer()
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self.show_layer)
        for emitter in self._layer_emitters():
            emitter.connect(self._on_layer)
        self.copy.events.data.connect(self._on_copy_data)
        self.copy.events.features.connect(self._on_copy_dragged)
        self.copy.selected_data.events.items_changed.connect(self._on_copy_selected)

    def end(self) -> None:
        """Neither follows the other any longer."""
        super().end()
        if isalive(self._later):  # when the interpreter ends Qt's objects go first
            self._later.stop()
            self._later.timeout.disconnect(self.show_layer)
        for emitter in self._layer_emitters():
            emitter.disconnect(self._on_layer)
        self.copy.events.data.disconnect(self._on_copy_data)
        self.copy.events.features.disconnect(self._on_copy_dragged)
        self.copy.selected_data.events.items_changed.disconnect(self._on_copy_selected)

    def show_layer(self) -> None:
        """Let the copy be as the layer is now."""
        own, layer = self.copy, self.layer
        with self._busy():
            other_points = not np.array_equal(own.data, layer.data)
            other_looks = [
                n for n in _PER_POINT if not _same(unpainted(own, n), unpainted(layer, n))
            ]
            other_table = not own.features.equals(layer.features)
            if other_points or other_looks or other_table:
                # what stands selected would be changed together with the next point's looks
                own.selected_data = set()
            if other_points:
                own.data = np.array(layer.data)
            if other_table:
                own.features = layer.features.copy()
                own.feature_defaults = layer.feature_defaults
            # once more: napari gives and takes looks with the points, from the end
            for name in _PER_POINT:
                if not _same(unpainted(own, name), unpainted(layer, name)):
                    setattr(own, name, unpainted(layer, name))
            if not own.selected_data:
                for name in _NEXT_POINT:
                    value = getattr(layer, name)
                    # napari gives a size as an array without axes, which it does not take
                    flat = isinstance(value, np.ndarray) and value.ndim == 0
                    setattr(own, name, value.item() if flat else value)
            # of a layer that a script made shorter napari keeps rows selected that are gone
            selected = {row for row in layer.selected_data if row < len(layer.data)}
            if set(own.selected_data) != selected:
                own.selected_data = selected
            if other_table or other_looks:
                own.refresh()
        if other_points or other_looks:
            paint_again(own)

    def _layer_emitters(self) -> Iterator[Any]:
        names = ("data", "features", "feature_defaults", "symbol", "size", "border_width")
        for name in (*names, "border_color", "face_color", "current_size", "highlight"):
            yield self.layer.events.emitters[name]
        yield self.layer.selected_data.events.items_changed

    def _on_layer(self, *_: object) -> None:
        self._later.start()

    def _on_copy_data(self, event: Event) -> None:
        """Do to the layer what was done to the copy."""
        if self._is_busy:
            return
        layer, at = self.layer, list(event.data_indices)
        if event.action == ActionType.REMOVING:
            ids = raw_ids(self.copy)
            self._removed_ids = [ids[i] for i in at]
        with self._busy():
            if event.action == ActionType.ADDED:
                layer.add(self.copy.data[-len(at) :])
            elif event.action == ActionType.REMOVED:
                layer.remove(_rows(layer, self._removed_ids, at))
            elif event.action == ActionType.CHANGING:
                self._tell(ActionType.CHANGING, event)
            elif event.action == ActionType.CHANGED and len(self.copy.data) == len(layer.data):
                self._move_layer()
                self._tell(ActionType.CHANGED, event)
                layer.events.features()
        self._later.start()

    def _on_copy_dragged(self, event: Event) -> None:  # noqa: ARG002 - napari passes it
        """While points are dragged napari tells of features only; so does the layer then."""
        if self._is_busy or len(self.copy.data) != len(self.layer.data):
            return
        if not np.array_equal(self.copy.data, self.layer.data):
            with self._busy():
                self._move_layer()

    def _on_copy_selected(self, *_: object) -> None:
        if self._is_busy or len(self.copy.data) != len(self.layer.data):
            return
        if set(self.layer.selected_data) != set(self.copy.selected_data):
            with self._busy():
                self.layer.selected_data = set(self.copy.selected_data)

    def _move_layer(self) -> None:
        with self.layer.events.data.blocker():
            self.layer.data = np.array(self.copy.data)

    def _tell(self, action: ActionType, event: Event) -> None:
        self.layer.events.data(
            value=self.layer.data,
            action=action,
            data_indices=event.data_indices,
            vertex_indices=event.vertex_indices,
        )

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Let what is done now not be answered."""
        before, self._is_busy = self._is_busy, True
        try:
            yield
        finally:
            self._is_busy = before


def _make_nothing() -> None:
    """In the place of a thumbnail."""


def copy_of(layer: Layer) -> LayerCopy:
    """A copy of the fitting kind."""
    return PointsCopy(layer) if isinstance(layer, Points) else LayerCopy(layer)


def _copied(layer: Layer) -> Layer:
    data, state, kind = layer.as_layer_data_tuple()
    state["visible"] = True
    if isinstance(layer, Points):
        data = np.array(data)
        if len(data):  # napari makes no points of no colours
            state.update({name: unpainted(layer, name) for name in COLOUR_LOOKS})
    elif state.get("multiscale"):
        data = list(data)
    return Layer.create(data, state, kind)


def _is_settable(layer: Layer, name: str) -> bool:
    found = getattr(type(layer), name, None)
    return isinstance(found, property) and found.fset is not None


def _same(a: Any, b: Any) -> bool:
    return np.array_equal(np.asarray(a), np.asarray(b))


def _rows(layer: Points, ids: list[str], otherwise: list[int]) -> list[int]:
    """Rows of points by their ids; by their places where they have none."""
    known = raw_ids(layer)
    if ids and all(name and name in known for name in ids):
        return [known.index(name) for name in ids]
    return [row for row in otherwise if row < len(layer.data)]
