"""What a panel's controls lack: a tooltip, a name that a screen reader can say, a unit."""

from __future__ import annotations

import re

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QDoubleSpinBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QScrollBar,
    QSpinBox,
    QWidget,
)

_CONTROLS = (
    QAbstractButton,
    QComboBox,
    QAbstractSpinBox,
    QLineEdit,
    QAbstractSlider,
    QAbstractItemView,
)
_WORD = re.compile(r"[^\W_]")  # arrows and the like are no words
# a number without one of these is a number of what?
_UNITS = re.compile(r"µm|mm|nm|voxel|pixel|°|%|\bs\b|slices?|pairs?|times?|number|of \d")


def faults_of(panel: QWidget) -> list[str]:
    """One line for each control without a tooltip, a name or a unit."""
    labels = panel.findChildren(QLabel)
    buddies = {label.buddy(): label.text() for label in labels if label.buddy() is not None}
    found = []
    for widget in panel.findChildren(QWidget):
        if not isinstance(widget, _CONTROLS) or _is_inner(widget):
            continue
        name = _name_of(widget, buddies)
        who = f"{type(widget).__name__} {widget.objectName() or '?'} {name!r}"
        if not _WORD.search(_plain(widget.toolTip())):
            found.append(f"{who}: no tooltip")
        if not _WORD.search(name):
            found.append(f"{who}: no name")
        if isinstance(widget, QSpinBox | QDoubleSpinBox) and not _UNITS.search(
            f"{widget.suffix()} {name}"
        ):
            found.append(f"{who}: no unit")
    return found


def _is_inner(widget: QWidget) -> bool:
    """Whether it is a part that Qt makes: of a spin box, a list's popup, a table's corner."""
    if isinstance(widget, QScrollBar | QHeaderView):
        return True
    if widget.objectName().startswith("qt_") or widget.windowFlags() & Qt.WindowType.Popup:
        return True
    parent = widget.parent()
    while parent is not None:
        if isinstance(parent, QAbstractSpinBox | QComboBox | QAbstractItemView | QLineEdit):
            return True
        parent = parent.parent()
    return False


def _name_of(widget: QWidget, buddies: dict[QWidget, str]) -> str:
    text = widget.accessibleName() or _plain(buddies.get(widget, ""))
    if not text and isinstance(widget, QAbstractButton):
        text = widget.text()
    if not text and isinstance(widget, QLineEdit):
        text = widget.placeholderText()
    return text.replace("\n", " ")


def _plain(text: str) -> str:
    return re.sub(r"<[^>]*>", "", text)
