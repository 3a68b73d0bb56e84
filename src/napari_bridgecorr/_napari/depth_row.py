"""How far from the plane shown landmarks are still seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QWidget

from ..errors import BridgecorrError
from .landmark_layers import SIDES
from .panel_parts import muted
from .views import show_depth

if TYPE_CHECKING:
    from .viewer_session import ViewerSession

# of the coarser image: what a person takes for the same place
_DEPTH_VOXELS = 2.0


class DepthRow(QWidget):
    """A half depth in um for all canvases."""

    def __init__(self, session: ViewerSession) -> None:
        super().__init__()
        self._session = session
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(muted("Show landmarks within ±"), 1)
        self.spin = QDoubleSpinBox()
        self.spin.setObjectName("bridgecorr_depth")
        self.spin.setAccessibleName("Show landmarks within this distance of the plane (µm)")
        self.spin.setRange(0.001, 1e7)
        self.spin.setDecimals(0)
        self.spin.setSuffix(" µm")
        self.spin.setToolTip(
            "of the plane shown; a mark gets smaller and fainter with its distance from the plane"
        )
        self.spin.valueChanged.connect(self.show_depth)
        row.addWidget(self.spin)

    def show_depth(self, *_: object) -> None:
        """Let every canvas show it."""
        for canvas in {id(c): c for c in map(self._session.canvas_of, SIDES)}.values():
            if canvas is not None:
                show_depth(canvas, self.spin.value())

    def suggest(self) -> None:
        """What suits the images of this moment."""
        try:
            images = [self._session.image(side) for side in SIDES]
        except BridgecorrError:
            return  # step 1 says what is wrong with the layer
        sizes = [max(i.grid.voxel_size_um) for i in images if i is not None]
        if sizes:
            self.spin.setDecimals(0 if max(sizes) >= 1 else 3)
            self.spin.setSingleStep(max(sizes))
            self.spin.setValue(_DEPTH_VOXELS * max(sizes))
            self.show_depth()
