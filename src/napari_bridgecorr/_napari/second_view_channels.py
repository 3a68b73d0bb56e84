"""Which channels a canvas shows, apart from the layer list's eyes (those are the other canvas')."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QMenu, QPushButton, QSizePolicy, QWidget

if TYPE_CHECKING:
    from napari.layers import Layer

_SWATCH_PX = 12


class ChannelToggles(QPushButton):
    """A menu of the copies on a canvas, each shown or hidden."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("bridgecorr_second_channels")
        self.setToolTip(
            "Which channels this view shows. Contrast and colour: select the layer in napari's "
            "layer list; this view follows."
        )
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._copies: list[weakref.ref[Layer]] = []
        self.list = QMenu(self)
        self.list.triggered.connect(self._on_triggered)
        self.setMenu(self.list)

    def show_channels(self, pairs: Sequence[tuple[Layer, Layer]]) -> None:
        """List layers, each with its copy; the names are the layers'."""
        self.list.clear()
        self._copies = [weakref.ref(copy) for _, copy in pairs]
        for layer, copy in pairs:
            action = self.list.addAction(layer.name)
            action.setCheckable(True)
            action.setChecked(copy.visible)
            colours = getattr(getattr(layer, "colormap", None), "colors", None)
            if colours is not None and len(colours):
                action.setIcon(_swatch([float(v) for v in colours[-1][:3]]))
        self.setVisible(len(pairs) > 1)
        self._show_count()

    def _on_triggered(self) -> None:
        for reference, action in zip(self._copies, self.list.actions(), strict=True):
            copy = reference()
            if copy is not None:
                copy.visible = action.isChecked()
        self._show_count()

    def _show_count(self) -> None:
        n_shown = sum(copy is not None and copy.visible for copy in (r() for r in self._copies))
        self.setText(f"Channels: {n_shown} of {len(self._copies)}")


def _swatch(rgb: Sequence[float]) -> QIcon:
    picture = QPixmap(_SWATCH_PX, _SWATCH_PX)
    picture.fill(QColor.fromRgbF(*rgb))
    return QIcon(picture)
