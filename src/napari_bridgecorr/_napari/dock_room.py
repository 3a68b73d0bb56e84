"""Room for a dock beside napari's canvas, so that panels at the right keep their width."""

from __future__ import annotations

from functools import partial

from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow

_RIGHT = Qt.DockWidgetArea.RightDockWidgetArea
# Qt deals out the room of a dock that went only after the events of its going
_LAID_OUT_MS = 50
_SIDEWAYS, _DOWN = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
_NOWHERE = Qt.DockWidgetArea.NoDockWidgetArea


class DockRoom:
    """The docks at the right of a window as they are now, before another one comes or goes.

    Parameters
    ----------
    window : QMainWindow
    without : QDockWidget, optional
        Not counted.
    """

    def __init__(self, window: QMainWindow, without: QDockWidget | None = None) -> None:
        self._window = window
        self._docks = [
            dock
            for dock in window.findChildren(QDockWidget)
            if dock is not without
            and not dock.visibleRegion().isEmpty()  # behind another tab it counts as visible
            and not dock.isFloating()
            and window.dockWidgetArea(dock) == _RIGHT
        ]
        self._tabs = [window.tabifiedDockWidgets(dock) for dock in self._docks]
        self._widths = [dock.width() for dock in self._docks]
        centre = window.centralWidget()
        self._canvas_width = 0 if centre is None else centre.width()

    def put_beside(self, dock: QDockWidget) -> None:
        """Between the canvas and the other docks, with half of the canvas' width."""
        for other in self._docks:
            self._window.removeDockWidget(other)
        self._window.addDockWidget(_RIGHT, dock)
        before = dock
        for other in self._docks:
            self._window.splitDockWidget(before, other, _SIDEWAYS if before is dock else _DOWN)
            other.show()
            before = other
        for other, behind in zip(self._docks, self._tabs, strict=True):
            for tab in behind:  # one that is taken out leaves its tabs behind
                self._window.tabifyDockWidget(other, tab)
            if behind:
                other.raise_()
        docks, widths = [dock, *self._docks[:1]], [self._canvas_width // 2, *self._widths[:1]]
        self._window.resizeDocks(docks, widths, _SIDEWAYS)
        # once more when the window has laid itself out: a new dock's least width was not known
        QTimer.singleShot(0, partial(_resize, self._window, docks, widths))

    def keep_widths(self) -> None:
        """Let the docks be as wide as they are now when another one has gone."""
        QTimer.singleShot(_LAID_OUT_MS, partial(_resize, self._window, self._docks, self._widths))


def _resize(window: QMainWindow, docks: list[QDockWidget], widths: list[int]) -> None:
    if not isalive(window):
        return
    # one that was closed in the meantime may still be alive
    pairs = [
        (d, w)
        for d, w in zip(docks, widths, strict=True)
        if isalive(d) and window.dockWidgetArea(d) != _NOWHERE
    ]
    if pairs:
        window.resizeDocks([d for d, _ in pairs], [w for _, w in pairs], _SIDEWAYS)
