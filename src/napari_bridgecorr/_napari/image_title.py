"""The name of the image that a view shows, shortened to the room there is."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QLabel, QSizePolicy

_DOT = "● "


class ImageTitle(QLabel):
    """A dot in the side's colour and a name, cut in its middle where it is too long.

    Parameters
    ----------
    colour : str
        Of the dot.
    """

    def __init__(self, colour: str) -> None:
        super().__init__()
        self._colour, self._name = colour, ""
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def show_name(self, name: str) -> None:
        """Show another name; the tooltip has all of it."""
        self._name = name
        self.setToolTip(name)
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Shorten the name anew."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        metrics = self.fontMetrics()
        # the end of a file's name says as much as its beginning
        room = self.contentsRect().width() - metrics.horizontalAdvance(_DOT) - 2
        short = metrics.elidedText(self._name, Qt.TextElideMode.ElideMiddle, max(room, 0))
        self.setText(f'<span style="color:{self._colour}">●</span> {escape(short)}')
