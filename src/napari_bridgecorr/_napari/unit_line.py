"""Where the user says what a layer counts in that states no unit."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from ..units import is_length_unit, micrometres_per
from .frames import um_per, unit_name
from .panel_parts import AMBER, marked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer

_UNITS = (("µm", "um"), ("mm", "mm"), ("nm", "nm"))


class UnitLine(QWidget):
    """``One unit of this layer is`` to choose; shown only for a layer that states none.

    Parameters
    ----------
    name : str
        Of the chooser.
    """

    answered = Signal(str)
    """A unit of length, as napari writes it."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        tip = (
            "The layer states no unit: say what its numbers (scale, translate) count in. Until "
            "then 1 is taken for 1 µm"
        )
        self._answered: weakref.WeakSet[Layer] = weakref.WeakSet()
        self._layer: Callable[[], Layer | None] = lambda: None
        note = QLabel(marked("▲", AMBER, "No unit: 1 is"))
        self.choice = QComboBox()
        self.choice.setObjectName(name)
        self.choice.setAccessibleName("What 1 is in this layer")
        self.choice.addItem("choose…", "")
        for shown, unit in _UNITS:
            self.choice.addItem(f"1 {shown}", unit)
        for widget in (note, self.choice):
            widget.setToolTip(tip)
        self.choice.activated.connect(self._on_chosen)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(note)
        row.addWidget(self.choice, 1)
        self.hide()

    def show_layer(self, layer: Layer | None) -> None:
        """Ask of a layer that states no unit of length, or was answered here; else hide."""
        is_asked = layer is not None and (lacks_unit(layer) or layer in self._answered)
        if layer is not None and is_asked:
            self._layer = weakref.ref(layer)
            known = [micrometres_per(unit) for _, unit in _UNITS]
            stated = None if lacks_unit(layer) else um_per(layer.units[-1])
            index = known.index(stated) + 1 if stated in known else 0
            blocker = QSignalBlocker(self.choice)
            self.choice.setCurrentIndex(index)
            blocker.unblock()
        self.setVisible(is_asked)

    def _on_chosen(self, index: int) -> None:
        unit, layer = self.choice.itemData(index), self._layer()
        if unit and layer is not None:
            self._answered.add(layer)  # so that a slip can be mended
            self.answered.emit(unit)


def lacks_unit(layer: Layer) -> bool:
    """Whether the layer counts in something that is no length (napari's default is a pixel)."""
    return not is_length_unit(unit_name(layer.units[-1]))


def set_unit(layers: Sequence[Layer], unit: str) -> None:
    """State the unit of the layers' spatial axes."""
    for layer in layers:
        n = min(layer.ndim, 3)
        layer.units = (*layer.units[: layer.ndim - n], *(unit,) * n)
