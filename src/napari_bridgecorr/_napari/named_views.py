"""Places that the user gave a name: where both views look, to come back to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QWidget

from .landmark_layers import SIDES
from .panel_parts import button

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ..landmarks import Side
    from .viewer_session import ViewerSession
    from .views import View

# as plain values: they are kept in sessions
Position = dict[str, Any]

_CAMERA = ("center", "zoom", "angles")


class Host(Protocol):
    """What shows the images."""

    view: View

    def set_view(self, view: View) -> None:
        """Show one image, or both."""


def position_of(session: ViewerSession, host: Host, name: str) -> Position:
    """Where the views look now."""
    canvases: dict[Side, Position] = {}
    for side in SIDES:
        canvas = session.canvas_of(side)
        if canvas is None or (side == "moving" and session.canvases.second is None):
            continue
        camera, dims = canvas.scene.camera, canvas.dims
        canvases[side] = {
            "point": [float(v) for v in dims.point],
            "order": [int(v) for v in dims.order],
            "ndisplay": int(dims.ndisplay),
            "center": [float(v) for v in camera.center],
            "zoom": float(camera.zoom),
            "angles": [float(v) for v in camera.angles],
        }
    return {"name": name, "view": host.view, "canvases": canvases}


def go_to(session: ViewerSession, host: Host, position: Position) -> None:
    """Look there again, as far as the views are there that looked."""
    host.set_view(position["view"])
    for side in SIDES:
        canvas, saved = session.canvas_of(side), position["canvases"].get(side)
        is_shown = side == "fixed" or session.canvases.second is not None
        if canvas is not None and saved is not None and is_shown:
            _look(canvas, saved)


def _look(canvas: ViewerModel, saved: Position) -> None:
    dims = canvas.dims
    dims.ndisplay = saved["ndisplay"]
    if len(saved["order"]) == dims.ndim:
        dims.order = tuple(saved["order"])
    # an axis that came or went since (time) stays where it is
    n = min(dims.ndim, len(saved["point"]))
    axes = list(range(dims.ndim - n, dims.ndim))
    dims.set_point(axes, saved["point"][-n:])
    for name in _CAMERA:
        value = saved[name]
        setattr(canvas.scene.camera, name, tuple(value) if isinstance(value, list) else value)


class NamedViews(QWidget):
    """A list of places: write a name and save, choose one and be there."""

    gone_to = Signal(str)

    def __init__(self, session: ViewerSession, host: Host) -> None:
        super().__init__()
        self._session, self._host = session, host
        self._positions: dict[str, Position] = {}
        self.names = QComboBox()
        self.names.setAccessibleName("Named views")
        self.names.setObjectName("bridgecorr_view_names")
        self.names.setEditable(True)
        self.names.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.names.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.names.setMinimumContentsLength(8)
        self.names.setToolTip(
            "Choose a saved view to go there: slice, place and zoom of both views. Write a name "
            "to save the present one"
        )
        editor = self.names.lineEdit()
        if editor is not None:
            editor.setPlaceholderText("Name of a view")
            editor.textChanged.connect(self._enable)
            editor.returnPressed.connect(self.save)
        self.keep = button(
            "Save view",
            "Keep where both views look now, under this name",
            name="bridgecorr_save_view",
        )
        self.remove = button("Forget", "Forget the view of this name", name="bridgecorr_drop_view")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.names, 3)
        for made in (self.keep, self.remove):
            made.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
            row.addWidget(made)
        self.names.activated.connect(self._on_chosen)
        self.keep.clicked.connect(self.save)
        self.remove.clicked.connect(self._on_removed)
        self._enable()

    def positions(self) -> list[Position]:
        """All of them, as plain values."""
        return list(self._positions.values())

    def show_positions(self, positions: Sequence[Position]) -> None:
        """List these instead."""
        self._positions = {str(p["name"]): p for p in positions}
        self._list("")

    def save(self) -> None:
        """Keep the present place under the name that is written, or a number."""
        name = self.names.currentText().strip()
        if not name:
            number = 1
            while f"view {number}" in self._positions:
                number += 1
            name = f"view {number}"
        was_there = name in self._positions
        self._positions[name] = position_of(self._session, self._host, name)
        self._list(name)
        self._session.told.emit(
            f"View “{name}” {'replaced' if was_there else 'saved'}. Choose it in the list to come "
            "back.",
            False,
        )

    def _list(self, current: str) -> None:
        blocker = QSignalBlocker(self.names)
        self.names.clear()
        self.names.addItems(list(self._positions))
        self.names.setCurrentIndex(self.names.findText(current))
        self.names.setEditText(current)
        blocker.unblock()
        self._enable()

    def _on_chosen(self, index: int) -> None:
        position = self._positions.get(self.names.itemText(index))
        if position is not None:
            go_to(self._session, self._host, position)
            self.gone_to.emit(position["name"])
        self._enable()

    def _on_removed(self) -> None:
        self._positions.pop(self.names.currentText().strip(), None)
        self._list("")

    def _enable(self, *_: object) -> None:
        self.remove.setEnabled(self.names.currentText().strip() in self._positions)
