"""A window that is drawn in a turn of its own.

Drawing napari's window takes tens of milliseconds, more without a graphics card, and Qt draws right
after what made it necessary. Between the two the window can answer the mouse and the keys.
"""

from __future__ import annotations

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication, QWidget

from .turns import Turns


class PaintTurns(QObject):
    """Lets a window wait for its turn whenever it is to be drawn anew.

    Parameters
    ----------
    window : QWidget
        On the screen by itself, not within another one.
    """

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._turns, self._is_its_turn = Turns(), False
        self._is_held = self._is_due = False
        self._late = QTimer(self)
        self._late.setSingleShot(True)
        self._late.timeout.connect(self.release)
        window.installEventFilter(self)

    def hold(self, most_ms: int) -> None:
        """Draw nothing until released, or for a while: what belongs together is drawn once."""
        if not self._is_held:
            self._is_held = True
            self._late.start(most_ms)

    def release(self) -> None:
        """Draw what was held back, in the next turn."""
        self._late.stop()
        is_due, self._is_held, self._is_due = self._is_due, False, False
        if is_due:
            self._turns.add("paint", self._paint)

    def end(self) -> None:
        """Let Qt draw it when it likes again."""
        self.release()
        self._turns.flush()
        window = self.parent()
        if window is not None:
            window.removeEventFilter(self)
        self.setParent(None)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep what asks the window to be drawn."""
        is_asked = event.type() == QEvent.Type.UpdateRequest and watched is self.parent()
        if not is_asked or self._is_its_turn:
            return False
        if self._is_held:
            self._is_due = True
        else:
            self._turns.add("paint", self._paint)
        return True

    def _paint(self) -> None:
        if self._is_held:
            self._is_due = True
            return
        window = self.parent() if isalive(self) else None
        if window is None:
            return
        self._is_its_turn = True
        try:
            QApplication.sendEvent(window, QEvent(QEvent.Type.UpdateRequest))
        finally:
            self._is_its_turn = False
