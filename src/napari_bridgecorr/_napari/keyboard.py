"""Which of two views the keyboard acts in: Tab goes to the other, a cross says where Space places.

Qt takes Tab to go from one control to the next; here it is kept from that only while a canvas has
the focus, so that in the panel it goes on as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.qt import QtViewer
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QPoint, QPointF, Qt
from qtpy.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QLineEdit, QWidget

from ..errors import BridgecorrError
from .frames import canvas_position, frame_of
from .landmark_layers import COLOURS, SIDES
from .views import look_at

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ..landmarks import Point, Side
    from .viewer_session import ViewerSession

_CROSS_PX = 41
_CANVAS_KEYS = (Qt.Key.Key_Tab, Qt.Key.Key_Backtab)


class Keyboard(QObject):
    """Gives the keyboard to one of two views, and shows where it would place a point.

    Parameters
    ----------
    session : ViewerSession
    expected : callable
        Where the current landmark's partner is expected in a side's image (world um), if it is.
    """

    def __init__(self, session: ViewerSession, expected: Callable[[Side], Point | None]) -> None:
        super().__init__()
        self._session, self._expected = session, expected
        self._cross: _Cross | None = None
        self._watched: list[tuple[Any, Callable[..., None]]] = []
        self._filtered: list[QObject] = []
        self.refresh()

    @property
    def cross(self) -> QWidget | None:
        """What marks the place, while the mouse is elsewhere."""
        return self._cross

    def refresh(self) -> None:
        """The second view was opened or closed: listen to the canvases that are there."""
        self.hide()
        self._filtered = [f for f in self._filtered if isalive(f)]
        for canvas in map(self._session.canvas_of, SIDES):
            native = None if canvas is None else native_of(canvas)
            if native is not None and native not in self._filtered:
                native.installEventFilter(self)
                self._filtered.append(native)

    def give_to(self, side: Side) -> bool:
        """Let keys act in a side's view, at a place that is marked there.

        Returns
        -------
        bool
            Whether there is such a canvas in a window.
        """
        canvas = self._session.canvas_of(side)
        native = None if canvas is None else native_of(canvas)
        if canvas is None or native is None:
            return False
        place = self._place(side, canvas)
        self.hide()
        self._session.canvases.take(side)
        native.setFocus(Qt.FocusReason.TabFocusReason)
        if place is not None and canvas.dims.ndisplay == 2:
            canvas.cursor.position = tuple(place)
            self._cross = _Cross(native, COLOURS[side])
            camera = canvas.scene.camera.events
            for emitter in (camera.center, camera.zoom, canvas.dims.events.order):
                self._watch(emitter, self._put_cross)
            for one in SIDES:
                model = self._session.canvas_of(one)
                if model is not None:  # the mouse was moved: it says where again
                    self._watch(model.cursor.events.position, self._on_mouse)
            self._put_cross()
        return True

    def hide(self) -> None:
        """Mark no place."""
        for emitter, callback in self._watched:
            emitter.disconnect(callback)
        self._watched.clear()
        cross, self._cross = self._cross, None
        if cross is not None and isalive(cross):
            cross.hide()
            cross.deleteLater()

    def end(self) -> None:
        """Let go of every canvas."""
        if not isalive(self):  # when the interpreter ends Qt's objects go first
            return
        self.hide()
        for native in self._filtered:
            if isalive(native):
                native.removeEventFilter(self)
        self._filtered.clear()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Hand Tab to napari's keys."""
        if (
            event.type() == QEvent.Type.KeyPress
            and isinstance(event, QKeyEvent)
            and event.key() in _CANVAS_KEYS
            and isinstance(watched, QWidget)
        ):
            watched.keyPressEvent(event)
            return True
        return False

    def _place(self, side: Side, canvas: ViewerModel) -> Any:
        """Where the keyboard's cursor is: at the expected partner, else in the picture's middle."""
        layer = self._session.point_layer(side) or self._session.image_layer(side)
        world = self._expected(side)
        if world is not None and layer is not None:
            shown = canvas_position(canvas, frame_of(layer), np.asarray(world)[None])
            at = np.array(canvas.dims.point, dtype=np.float64)
            n = min(canvas.dims.ndim, 3)
            at[-n:] = np.ravel(shown)[-n:]
            try:
                look_at(self._session, side, world)
            except BridgecorrError:
                return None  # step 1 says what is wrong with the layer
            return at
        at = np.array(canvas.dims.point, dtype=np.float64)
        axes = list(canvas.dims.displayed)
        at[axes] = np.asarray(canvas.scene.camera.center)[-len(axes) :]
        return at

    def _put_cross(self, *_: object) -> None:
        cross = self._cross
        side = self._session.canvases.pointed()
        canvas = self._session.canvas_of(side)
        if cross is None or not isalive(cross) or canvas is None:
            return
        axes = list(canvas.dims.displayed)
        if len(axes) != 2:
            self.hide()
            return
        centre = np.asarray(canvas.scene.camera.center)[-2:]
        offset = (np.asarray(canvas.cursor.position)[axes] - centre) * canvas.scene.camera.zoom
        cross.show_at(offset)

    def _on_mouse(self, *_: object) -> None:
        self.hide()

    def _watch(self, emitter: Any, callback: Callable[..., None]) -> None:
        emitter.connect(callback)
        self._watched.append((emitter, callback))


class _Cross(QWidget):
    """A cross on a canvas that lets the mouse through."""

    def __init__(self, native: QWidget, colour: str) -> None:
        super().__init__(native)
        self.setObjectName("bridgecorr_keyboard_cross")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFixedSize(_CROSS_PX, _CROSS_PX)
        self._colour = QColor(colour)

    def show_at(self, offset: Any) -> None:
        """Put its middle at an offset (down, across; px) from the canvas' middle."""
        canvas = self.parentWidget()
        if canvas is None:
            return
        half = _CROSS_PX // 2
        y, x = (round(float(v)) for v in offset)
        self.move(QPoint(canvas.width() // 2 + x - half, canvas.height() // 2 + y - half))
        self.show()
        self.raise_()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - Qt passes it
        """Dark below, coloured above: seen on any picture."""
        painter = QPainter(self)
        middle, gap, end = _CROSS_PX / 2, 4.0, _CROSS_PX / 2 - 1
        for colour, width in ((QColor(0, 0, 0, 200), 4.0), (self._colour, 2.0)):
            painter.setPen(QPen(colour, width))
            for down, across in ((0, 1), (0, -1), (1, 0), (-1, 0)):
                painter.drawLine(
                    QPointF(middle + across * gap, middle + down * gap),
                    QPointF(middle + across * end, middle + down * end),
                )
        painter.end()


def native_of(canvas: ViewerModel | None) -> QWidget | None:
    """The widget that napari draws a canvas on; None where it is in no window."""
    for widget in QApplication.allWidgets():
        if isinstance(widget, QtViewer) and isalive(widget):
            shown = getattr(widget.viewer, "__wrapped__", widget.viewer)
            if shown is canvas:
                native = widget.canvas.native
                return native if isinstance(native, QWidget) else None
    return None


def is_written_elsewhere(session: ViewerSession) -> bool:
    """Whether the keyboard is in a field of text or numbers, or was until this very key.

    Qt passes the key that ends a number on to the window; napari's slice number has handed the
    keyboard to the sliders by then.
    """
    focus = QApplication.focusWidget()
    if focus is None:  # no window is the active one
        canvas = native_of(session.viewer)
        focus = None if canvas is None else canvas.window().focusWidget()
    is_field = isinstance(focus, (QLineEdit, QAbstractSpinBox))
    return is_field or type(focus).__name__ == "QtDims"
