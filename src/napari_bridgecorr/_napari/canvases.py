"""Which canvas shows which image: napari's own for both, or a second view for the moving one."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtWidgets import QAbstractItemView, QDockWidget

from ..landmarks import Side
from .background_slices import BackgroundSlices, bound_kept_chunks
from .held_drawing import HeldDrawing
from .keyboard import native_of
from .paint_turns import PaintTurns
from .thread_switching import quick_switching

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from qtpy.QtWidgets import QWidget

    from .second_view import SecondView

# a click is drawn after that in any case, whatever is still to be done
_MOST_HELD_MS = 150
# napari's list of layers is drawn anew at most so often, with its icons and thumbnails: all of it
# for each move of a point or of a slice
_LIST_EVERY_MS = 300
_SIDES: tuple[Side, Side] = ("fixed", "moving")


class Canvases:
    """The canvases of one viewer.

    `changed` follows when the second view was opened or closed: :meth:`of` gives another canvas.

    Parameters
    ----------
    viewer : weak reference to ViewerModel
        napari's own.
    """

    changed = Signal()

    def __init__(self, viewer: weakref.ref[ViewerModel]) -> None:
        self._viewer = viewer
        self._second: weakref.ref[SecondView] | None = None
        self._pointed: Side = "fixed"
        # where the mouse rested when the keyboard was given to a view
        self._resting: dict[Side, tuple[float, ...]] | None = None
        self._slices: BackgroundSlices | None = None
        self._drawing = {side: HeldDrawing() for side in _SIDES}
        self._native: weakref.ref[QWidget] | None = None
        self._paints: PaintTurns | None = None
        self._layer_list = HeldDrawing()

    def start(self) -> None:
        """Let napari's own canvas be quick: images read off the GUI thread, drawn in its turn."""
        viewer = self._viewer()
        if viewer is not None:
            bound_kept_chunks()
            self._slices = BackgroundSlices(viewer)
            quick_switching.begin()
            native = self._native_of("fixed")
            if native is not None:
                self._paints = PaintTurns(native.window())
            viewer.dims.events.point.connect(self.hold_list)

    def stop(self) -> None:
        """Leave napari's own canvas as it was."""
        if self._slices is not None:
            self._slices.end()
            self._slices = None
            quick_switching.end()
        if self._paints is not None and isalive(self._paints):
            self._paints.end()
        self._paints = None
        viewer = self._viewer()
        if viewer is not None:
            viewer.dims.events.point.disconnect(self.hold_list)
        self._layer_list.release()

    def hold_drawing(self) -> None:
        """Draw no canvas until what a click has set off is done: one drawing after the other."""
        for side, drawing in self._drawing.items():
            drawing.hold(self._native_of(side), _MOST_HELD_MS)
        self.hold_window(_MOST_HELD_MS)

    def hold_list(self, event: object = None) -> None:  # noqa: ARG002 - napari passes it
        """Draw napari's list of layers a little later."""
        native = self._native_of("fixed")
        dock = None if native is None else native.window().findChild(QDockWidget, "layer list")
        shown = None if dock is None else dock.findChild(QAbstractItemView)
        self._layer_list.hold(None if shown is None else shown.viewport(), _LIST_EVERY_MS)

    def hold_window(self, most_ms: int) -> None:
        """Draw nothing of napari's window until :meth:`release_window`."""
        if self._paints is not None and isalive(self._paints):
            self._paints.hold(most_ms)

    def release_window(self) -> None:
        """Draw the window again."""
        if self._paints is not None and isalive(self._paints):
            self._paints.release()

    def release_drawing(self, side: Side) -> None:
        """Draw one side's canvas again."""
        self._drawing[side].release()
        self.release_window()

    def _native_of(self, side: Side) -> QWidget | None:
        second, viewer = self.second, self._viewer()
        if side == "moving":
            return None if second is None else second.canvas.canvas.native
        native = None if self._native is None else self._native()
        if viewer is not None and (native is None or not isalive(native)):
            native = native_of(viewer)
            self._native = None if native is None else weakref.ref(native)
        return native

    @property
    def second(self) -> SecondView | None:
        """The second view, while it is open."""
        return None if self._second is None else self._second()

    def set_second(self, view: SecondView | None) -> None:
        """The second view was opened, or is about to close."""
        self._second = None if view is None else weakref.ref(view)
        self.changed.emit()

    def of(self, side: Side) -> ViewerModel | None:
        """The canvas (dims, camera, cursor, layers) that shows one side's image."""
        second = self.second
        return second.model if second is not None and side == "moving" else self._viewer()

    def pointed(self) -> Side:
        """Of two views the one that the mouse is over, or was when this was asked last.

        Where the keyboard was given to a view, it is that one until the mouse moves.
        """
        if self._resting is not None:
            if self._resting == self._cursors(self._pointed):
                return self._pointed
            self._resting = None
        for side in _SIDES:
            canvas = self.of(side)
            if canvas is not None and canvas.mouse_over_canvas:
                self._pointed = side
        return self._pointed

    def take(self, side: Side) -> None:
        """Give the keyboard to one side's view."""
        self._pointed = side
        self._resting = self._cursors(side)

    def _cursors(self, without: Side) -> dict[Side, tuple[float, ...]]:
        found = {side: self.of(side) for side in _SIDES if side != without}
        return {side: tuple(c.cursor.position) for side, c in found.items() if c is not None}

    def drawn(self, layer: Layer | None, side: Side) -> Layer | None:
        """What a side's canvas shows in the place of a layer: the layer itself, or its copy there.

        Clicks, modes and whether it is visible belong to what is drawn; points and names to both.
        """
        second = self.second
        if second is None or side != "moving":
            return layer
        return second.mirror.copy(layer)
