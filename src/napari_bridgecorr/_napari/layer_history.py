"""Undo and redo of what was done to the landmarks' layers, by whomever: clicks, panels, plugins.

The layers are looked at whenever they have settled, and what differs from before is a step. A layer
is known by a key that outlives it, so that a deleted one comes back with the steps before it.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Points
from napari.layers.base import ActionType
from numpy.typing import NDArray
from psygnal import Signal

from ..landmark_history import (
    Change,
    LandmarkHistory,
    LayerChange,
    Marks,
    Step,
    ValueChange,
    applied,
    changes_between,
    name_of,
)
from .frames import world_matrix
from .landmark_layers import DEFAULTS, SIDES, raw_ids, set_table, world_points
from .landmark_paint import COLOUR_LOOKS, unpainted
from .other_landmarks import choose_layers
from .summary import MODEL_NAMES

if TYPE_CHECKING:
    from ..fitting import FitOptions
    from ..landmarks import Side
    from .viewer_session import ViewerSession

_LOOKS = ("size", "symbol", "face_color", "border_color", "border_width", "shown")
# napari states them twice
_NOT_KEPT = ("properties", "property_choices")


class LayerHistory:
    """The history of one viewer's landmarks.

    Parameters
    ----------
    session : ViewerSession
        Held by weak reference: it holds this.
    """

    changed = Signal()
    """Another step can be undone, or done again."""

    def __init__(self, session: ViewerSession) -> None:
        self._session = weakref.ref(session)
        self._steps = LandmarkHistory()
        self._keys: weakref.WeakKeyDictionary[Layer, int] = weakref.WeakKeyDictionary()
        self._layers: dict[int, weakref.ref[Points]] = {}
        self._marks: dict[int, Marks] = {}
        self._new_key = itertools.count()
        self._gesture = 0
        self._removal = 0
        self._next_name = ""
        self._is_replaying = False

    # -- what the user sees ----------------------------------------------------------------------

    @property
    def undo_name(self) -> str:
        """What an undo would take back; "" if there is nothing."""
        return self._steps.undo_name

    @property
    def redo_name(self) -> str:
        """What a redo would do again; "" if there is nothing."""
        return self._steps.redo_name

    def undo(self) -> str:
        """Take back the last step; gives its name, "" if there is none."""
        return self._replay(is_undo=True)

    def redo(self) -> str:
        """Do the step again that was undone last; gives its name, "" if there is none."""
        return self._replay(is_undo=False)

    def name_next(self, name: str) -> None:
        """Call what is about to be done by a name of its own, as ``refine 12 landmarks``."""
        session = self._session()
        if session is not None:
            session.read_now()  # what was done before is a step of its own
        self._next_name = name

    # -- what the session tells ------------------------------------------------------------------

    def read(self) -> None:
        """Compare the landmarks' layers with what they were."""
        session = self._session()
        if session is None or self._is_replaying:
            return
        found: list[Change] = []
        for side in SIDES:
            layer = session.point_layer(side)
            if layer is not None:
                found += self._changes(layer, side)
        self._removal += 1
        if found:
            name, self._next_name = self._next_name or name_of(found), ""
            self._record(Step(name, tuple(found), gesture=("drag", self._gesture)))

    def hear(self, action: ActionType) -> None:
        """Points are being changed: napari tells of a drag once before and once after it."""
        if action in (ActionType.CHANGING, ActionType.ADDING, ActionType.REMOVING):
            self._gesture += 1

    def note_removed(self, layer: Layer, index: int) -> None:
        """A layer was taken out of the list: it can come back."""
        session = self._session()
        if session is None or self._is_replaying or not isinstance(layer, Points):
            return
        mine = [side for side in SIDES if session.point_layer(side) is layer]
        if not mine or not len(layer.data):
            return
        found = self._changes(layer, mine[0])
        if found:
            self._record(Step(name_of(found), found))
        key = self._key(layer)
        self._marks.pop(key, None)
        gone = LayerChange(key, mine[0], layer.name, _document(layer, index), None)
        name = f"delete the layer {layer.name}"
        self._record(Step(name, (), (gone,), ("removal", self._removal)))

    def note_options(self, before: FitOptions, after: FitOptions) -> None:
        """Other options of the fit were chosen: they can be taken back."""
        session = self._session()
        if session is None or self._is_replaying:
            return
        session.read_now()  # what was done before is a step of its own
        name, is_turned = _options_in_words(before, after)
        gesture = (name, self._gesture) if is_turned else None
        self._record(Step(name, gesture=gesture, values=(ValueChange("options", before, after),)))

    def note_swap(self) -> None:
        """Fixed and moving are about to be exchanged; done again, all is as before."""
        session = self._session()
        if session is not None and not self._is_replaying:
            session.read_now()
            self._record(Step("swap fixed and moving", values=(ValueChange("swap", 0, 1),)))

    def note_layers(self, before: Mapping[Side, Points | None], after: Mapping[Side, Any]) -> None:
        """Other layers were chosen as landmarks: those of before can be taken again."""
        keys = [
            {side: self._key(layer) for side, layer in chosen.items() if layer is not None}
            for chosen in (before, after)
        ]
        self._record(Step("use other landmarks", values=(ValueChange("layers", *keys),)))

    # -- inside ----------------------------------------------------------------------------------

    def _record(self, step: Step) -> None:
        self._steps.record(step)
        self.changed.emit()

    def _key(self, layer: Points) -> int:
        if layer not in self._keys:
            self._keys[layer] = key = next(self._new_key)
            self._layers[key] = weakref.ref(layer)
        return self._keys[layer]

    def _changes(self, layer: Points, side: Side) -> tuple[Change, ...]:
        key = self._key(layer)
        now, before = self._read_marks(layer, side), self._marks.get(key)
        self._marks[key] = now
        return () if before is None else changes_between(key, before, now)

    def _read_marks(self, layer: Points, side: Side) -> Marks:
        session = self._session()
        unit = 1.0 if session is None else session.unknown_units()[SIDES.index(side)]
        return Marks(
            side,
            tuple(raw_ids(layer)),
            world_points(layer, unit),
            np.array(layer.data, dtype=np.float64).reshape(-1, layer.ndim),
            world_matrix(layer, unit).tobytes(),
            # a column that is not there yet says what its default says
            {name: [value] * len(layer.data) for name, value in DEFAULTS.items()}
            | {str(name): list(layer.features[name]) for name in layer.features},
            {name: unpainted(layer, name) for name in _LOOKS},
        )

    def _replay(self, *, is_undo: bool) -> str:
        session = self._session()
        if session is None:
            return ""
        session.read_now()  # what has just been done is a step, too
        name = self.undo_name if is_undo else self.redo_name
        step = self._steps.undo() if is_undo else self._steps.redo()
        if step is None:
            return ""
        self._is_replaying = True
        try:
            for change in step.layers:
                self._bring_back(session, change) if change.after else self._take_out(change)
            for key in dict.fromkeys(c.layer for c in step.changes):
                self._write(key, [c for c in step.changes if c.layer == key])
            for value in step.values:
                if value.key == "options":
                    session.set_options(value.after)
                elif value.key == "swap":
                    session.swap()
                else:
                    known = {side: self._layer(key) for side, key in value.after.items()}
                    choose_layers(session, {s: i for s, i in known.items() if i is not None})
        finally:
            self._is_replaying = False
        session.read_now()
        self.changed.emit()
        return name

    def _layer(self, key: Any) -> Points | None:
        reference, session = self._layers.get(key), self._session()
        layer = None if reference is None else reference()
        viewer = None if session is None else session.viewer
        return layer if viewer is not None and layer in viewer.layers else None

    def _write(self, key: Any, changes: list[Change]) -> None:
        layer = self._layer(key)
        if layer is None:
            return
        side = changes[0].side
        now = self._read_marks(layer, side)
        matrix = np.frombuffer(now.place, dtype=np.float64).reshape(4, 4)
        _show(layer, applied(now, changes, np.linalg.inv(matrix)))
        self._marks[key] = self._read_marks(layer, side)

    def _take_out(self, change: LayerChange) -> None:
        layer, session = self._layer(change.layer), self._session()
        if layer is not None and session is not None and session.viewer is not None:
            self._marks.pop(change.layer, None)
            session.viewer.layers.remove(layer)

    def _bring_back(self, session: ViewerSession, change: LayerChange) -> None:
        viewer, layer = session.viewer, self._layer(change.layer)
        if viewer is None:
            return
        if layer is not None:  # somebody else put it back
            session.set_point_layer(change.side, layer)
            return
        data, arguments, index = change.after
        layer = Layer.create(data.copy(), dict(arguments), "points")
        self._keys[layer] = change.layer
        self._layers[change.layer] = weakref.ref(layer)
        # chosen before it is listed, so that nothing else is guessed
        session.set_point_layer(change.side, layer)
        viewer.layers.insert(min(index, len(viewer.layers)), layer)
        self._marks[change.layer] = self._read_marks(layer, change.side)


def _options_in_words(before: FitOptions, after: FitOptions) -> tuple[str, bool]:
    """What was chosen, and whether it is a number, which changes at every turn."""
    other = [f.name for f in fields(before) if getattr(before, f.name) != getattr(after, f.name)]
    if "model" in other:
        return f"fit by {MODEL_NAMES.get(after.model, after.model).lower()}", False
    if other == ["smoothing"]:
        return "change the smoothing", not isinstance(after.smoothing, str)
    if other == ["dimensions"]:
        return f"fit in {after.dimensions}-D", False
    return "change the fit's options", "fixed_sigma_um" in other or "moving_sigma_um" in other


def _document(layer: Points, index: int) -> tuple[NDArray[Any], dict[str, Any], int]:
    """All that is needed to make the layer again, and where in the list it stood."""
    data, arguments, _ = layer.as_layer_data_tuple()
    kept = {name: value for name, value in arguments.items() if name not in _NOT_KEPT}
    kept["features"] = layer.features.copy()
    kept.update({name: unpainted(layer, name) for name in COLOUR_LOOKS})
    return np.array(data), kept, index


def _show(layer: Points, marks: Marks) -> None:
    """Give the layer these points."""
    is_another_list = marks.ids != tuple(raw_ids(layer))
    types = {str(name): layer.features[name].dtype for name in layer.features}
    layer.selected_data = set()
    if is_another_list or not np.array_equal(marks.rows, layer.data):
        layer.data = marks.rows
        if not layer.visible:
            # it would go on knowing points as seen that are gone, and napari fails to draw them
            layer.set_view_slice()
    for name in _LOOKS:
        current = unpainted(layer, name)
        wanted = [
            current[row] if value is None else value for row, value in enumerate(marks.look[name])
        ]
        if not len(wanted):
            continue
        if is_another_list or not np.array_equal(current, np.array(wanted)):
            setattr(layer, name, np.array(wanted))
    columns = {name: _column(v, types.get(name)) for name, v in marks.cells.items()}
    # napari draws the labels of points that a hidden layer no longer has
    with layer.text.events.blocker():
        set_table(layer, columns)
    layer.refresh()


def _column(values: Any, wanted: Any) -> NDArray[Any]:
    """A column of the type that it had, where its values still fit into it."""
    column = np.empty(len(values), dtype=object)
    column[:] = list(values)
    if wanted is None or str(wanted) == "object":
        return column
    try:
        return column.astype(wanted)
    except (TypeError, ValueError):
        return column
