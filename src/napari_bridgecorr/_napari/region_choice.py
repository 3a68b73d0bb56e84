"""Where one more pair is looked for: all that both images show, or what the user painted."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from ..errors import BridgecorrError
from .frames import same_place
from .landmark_layers import SIDES
from .layers import image_of_layer

if TYPE_CHECKING:
    from ..image import SpatialImage
    from ..landmarks import Side
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_TIP = (
    "Only where this Labels layer is not 0 a place is looked for, and only the error in there "
    "counts. Listed are Labels layers on the voxels of the fixed or of the moving image"
)


class RegionChoice(QWidget):
    """``Region`` to choose; shown only where there is a Labels layer to choose."""

    changed = Signal()

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self._session = session
        self._found: list[tuple[weakref.ref[Labels], Side]] = []
        self._layer: weakref.ref[Labels] | None = None
        label = QLabel("Region")
        self.choice = QComboBox()
        self.choice.setObjectName("bridgecorr_region")
        self.choice.setAccessibleName("Region of interest")
        self.choice.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        for widget in (label, self.choice):
            widget.setToolTip(_TIP)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(label)
        row.addWidget(self.choice, 1)
        self.hide()
        self.choice.activated.connect(self._on_chosen)
        for signal in (session.layers_changed, session.images_changed):
            lifeline.connect(signal, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """List the Labels layers that there are now."""
        self._found = self._candidates()
        current = None if self._layer is None else self._layer()
        layers = [reference() for reference, _ in self._found]
        blocker = QSignalBlocker(self.choice)
        self.choice.clear()
        self.choice.addItem("all that both images show")
        for layer, (_, side) in zip(layers, self._found, strict=True):
            self.choice.addItem(f"{layer.name if layer is not None else ''} ({side})")
        self.choice.setCurrentIndex(layers.index(current) + 1 if current in layers else 0)
        blocker.unblock()
        self.setVisible(bool(layers))

    def chosen(self) -> tuple[SpatialImage | None, Side]:
        """The labels, None for all, and the image that they lie on."""
        index = self.choice.currentIndex() - 1
        if index < 0:
            return None, "fixed"
        reference, side = self._found[index]
        layer = reference()
        return (None if layer is None else image_of_layer(layer)), side

    def words(self) -> str:
        """What was looked through."""
        index = self.choice.currentIndex()
        return "both images" if index <= 0 else f"the region {self.choice.itemText(index)}"

    def _candidates(self) -> list[tuple[weakref.ref[Labels], Side]]:
        viewer, found = self._session.viewer, []
        labels = [i for i in viewer.layers if isinstance(i, Labels)] if viewer is not None else []
        for layer in labels:
            for side in SIDES:
                try:
                    image, drawn = self._session.image(side), image_of_layer(layer)
                except BridgecorrError:
                    continue  # step 1 says what is wrong with the layer
                if (
                    image is not None
                    and layer is not self._session.image_layer(side)
                    and drawn.grid.shape == image.grid.shape
                    and same_place(drawn.grid.index_to_world, image.grid.index_to_world)
                ):
                    found.append((weakref.ref(layer), side))
                    break
        return found

    def _on_chosen(self, index: int) -> None:
        self._layer = self._found[index - 1][0] if index > 0 else None
        self.changed.emit()
