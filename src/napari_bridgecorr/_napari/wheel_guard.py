"""A wheel that scrolls a panel must not change the values that pass under the mouse."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QScrollBar, QWidget


class WheelGuard(QObject):
    """Hands the wheel on to what scrolls.

    A list's choice is never turned by the wheel; a number or a slider only while it has the
    keyboard, that is, once it was clicked.

    Parameters
    ----------
    inside : QWidget
        What is scrolled, with all its controls made.
    """

    def __init__(self, inside: QWidget) -> None:
        super().__init__(inside)
        kinds = (QComboBox, QAbstractSpinBox, QAbstractSlider)
        for widget in inside.findChildren(QWidget):
            if isinstance(widget, kinds) and not isinstance(widget, QScrollBar):
                widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ignore the wheel, which then goes to the parent."""
        if event.type() != QEvent.Type.Wheel or not isinstance(watched, QWidget):
            return False
        if watched.hasFocus() and not isinstance(watched, QComboBox):
            return False
        event.ignore()
        return True
