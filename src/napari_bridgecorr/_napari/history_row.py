"""Buttons and keys that take back what was done to landmarks, and do it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from .panel_parts import button
from .viewer_keys import ViewerKey, keys_in_words, register_viewer_key

if TYPE_CHECKING:
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

UNDO, REDO = "napari-bridgecorr:undo", "napari-bridgecorr:redo"
_CHANGE_KEYS = "other keys: Preferences > Shortcuts"
_LEAST_PX = 110


class HistoryRow(QWidget):
    """Undo and redo, with the name of what they would do."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self._session = session
        register_keys()
        self.undo = button("Undo", "", name="bridgecorr_undo")
        self.redo = button("Redo", "", name="bridgecorr_redo")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for made, share in ((self.undo, 3), (self.redo, 2)):
            made.setMinimumWidth(_LEAST_PX)
            made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            row.addWidget(made, share)
        self.undo.clicked.connect(self._on_undo)
        self.redo.clicked.connect(self._on_redo)
        lifeline.connect(session.history.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Name what can be taken back and done again."""
        history = self._session.history
        _offer(self.undo, "Undo", history.undo_name, keys_in_words(UNDO))
        _offer(self.redo, "Redo", history.redo_name, keys_in_words(REDO))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Shorten the names anew."""
        super().resizeEvent(event)
        self.refresh()

    def _on_undo(self) -> None:
        undo(self._session)

    def _on_redo(self) -> None:
        redo(self._session)


def undo(session: ViewerSession) -> None:
    """Take back the last change of landmarks and say so."""
    name = session.history.undo()
    session.told.emit(f"Undone: {name}." if name else "There is nothing to undo.", False)


def redo(session: ViewerSession) -> None:
    """Do the change again that was taken back last and say so."""
    name = session.history.redo()
    session.told.emit(f"Done again: {name}." if name else "There is nothing to do again.", False)


def register_keys() -> None:
    """Make undo and redo known to napari, once, with the user's keys where there are some."""
    register_viewer_key(
        ViewerKey(
            UNDO,
            "Undo",
            "Take back the last change of landmarks, or of how they are fitted",
            "Undo the last change of landmarks (bridgecorr)",
            "Ctrl+Z",
            undo,
        )
    )
    register_viewer_key(
        ViewerKey(
            REDO,
            "Redo",
            "Do again what was taken back",
            "Redo the change of landmarks that was undone (bridgecorr)",
            "Ctrl+Shift+Z",
            redo,
        )
    )


def _offer(made: QPushButton, verb: str, name: str, key: str) -> None:
    made.setEnabled(bool(name))
    whole = f"{verb}: {name}" if name else verb
    room = max(made.width() - 16, _LEAST_PX - 16)
    made.setText(made.fontMetrics().elidedText(whole, Qt.TextElideMode.ElideRight, room))
    made.setToolTip(
        f"{whole} ({key or 'no key'}; {_CHANGE_KEYS})" if name else f"Nothing to {verb.lower()}"
    )
