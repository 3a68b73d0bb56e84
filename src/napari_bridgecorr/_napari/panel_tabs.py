"""Panels that the window is too low to show above each other are stacked as tabs."""

from __future__ import annotations

from qtpy.compat import isalive
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

# what a dock remembers once it has found its place: several may come before the window is laid out
_HAS_PLACE = "bridgecorr_has_place"


def stack_if_low(panel: QWidget) -> None:
    """Put a panel's dock onto another panel's, if the window is lower than both want to be.

    Parameters
    ----------
    panel : QWidget
        That has just been docked; it comes to the front. Docks of others stay where they are.
    """
    if not isalive(panel):
        return
    dock, window = dock_of(panel), panel.window()
    if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
        return
    dock.setProperty(_HAS_PLACE, True)
    others = [
        other
        for other in window.findChildren(QDockWidget)
        if other is not dock
        and other.property(_HAS_PLACE)
        and other.isVisible()
        and not other.isFloating()
        and window.dockWidgetArea(other) == window.dockWidgetArea(dock)
    ]
    if not others or any(other in others for other in window.tabifiedDockWidgets(dock)):
        return
    wanted = sum(d.widget().sizeHint().height() for d in (dock, *others))
    if window.height() < wanted:
        for one in (dock, *others):  # all tabs are to fit beside each other
            one.setWindowTitle(one.windowTitle().partition(" (")[0])
        window.tabifyDockWidget(others[-1], dock)
        dock.show()
        dock.raise_()


def dock_of(widget: QWidget) -> QDockWidget | None:
    """The dock that a widget is in."""
    at: QWidget | None = widget
    while at is not None and not isinstance(at, QDockWidget):
        at = at.parentWidget()
    return at
