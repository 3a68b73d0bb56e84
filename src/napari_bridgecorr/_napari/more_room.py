"""A button that hides napari's own lists while two pictures share a small window."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtWidgets import QDockWidget, QPushButton, QSizePolicy

if TYPE_CHECKING:
    from .lifeline import Lifeline

# of napari's docks at the left
_LISTS = ("layer controls", "layer list")


class MoreRoomButton(QPushButton):
    """Down while the lists are hidden; going away it shows them again.

    Parameters
    ----------
    lifeline : Lifeline
        At its end the lists are shown again.
    """

    def __init__(self, lifeline: Lifeline) -> None:
        super().__init__("Hide lists")
        self.setObjectName("bridgecorr_more_room")
        self.setToolTip(
            "Give the pictures the room of napari's layer list and layer controls; pressed again, "
            "the lists are back"
        )
        self.setCheckable(True)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._hidden: list[weakref.ref[QDockWidget]] = []
        self.toggled.connect(self._on_toggled)
        lifeline.at_end(self._show_again)
        self.hide()

    def offer(self, wanted: bool) -> None:
        """Show the button, or hide it and bring the lists back."""
        if not wanted:
            self.setChecked(False)
        self.setVisible(wanted)

    def _on_toggled(self, on: bool) -> None:
        if not on:
            self._show_again()
            return
        docks = [d for d in self.window().findChildren(QDockWidget) if d.objectName() in _LISTS]
        shown = [d for d in docks if d.isVisible()]
        self._hidden = [weakref.ref(d) for d in shown]
        for dock in shown:
            dock.hide()

    def _show_again(self) -> None:
        for reference in self._hidden:
            dock = reference()
            if dock is not None and isalive(dock):
                dock.show()
        self._hidden = []
