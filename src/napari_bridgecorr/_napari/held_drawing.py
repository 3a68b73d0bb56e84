"""Drawing a canvas later: drawing takes longest of all that a click or a move of the mouse does."""

from __future__ import annotations

from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget


class HeldDrawing:
    """Keeps a canvas from being drawn until what belongs to the same moment is there, too."""

    def __init__(self) -> None:
        self._held: QWidget | None = None
        self._late = QTimer()
        self._late.setSingleShot(True)
        self._late.timeout.connect(self.release)

    def hold(self, native: QWidget | None, most_ms: int) -> None:
        """Draw it later: when released, or after a while in any case.

        Parameters
        ----------
        native : QWidget or None
            That the canvas is drawn on.
        most_ms : int
        """
        if self._held is not None or native is None or not isalive(native):
            return
        self._held = native
        native.setUpdatesEnabled(False)
        self._late.start(most_ms)

    def release(self) -> None:
        """Draw it now."""
        native, self._held = self._held, None
        if isalive(self._late):  # when the interpreter ends Qt's objects go first
            self._late.stop()
        if native is not None and isalive(native):
            native.setUpdatesEnabled(True)
