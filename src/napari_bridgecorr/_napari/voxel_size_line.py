"""Where the user answers an image whose file states no voxel size."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from ..image import MISSING_SCALE, SpatialImage
from .panel_parts import AMBER, marked


class VoxelSizeLine(QWidget):
    """``Voxel size z, y, x`` to fill in; shown only for an image that lacks it."""

    answered = Signal(tuple)
    """Three positive lengths (z, y, x) in um."""

    misunderstood = Signal(str)
    """What was typed is not three positive lengths."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        tip = "The file states no voxel size: type it as z, y, x in µm, as in 50, 40, 40"
        note = QLabel(marked("▲", AMBER, "Voxel size"))
        self.edit = QLineEdit()
        self.edit.setObjectName(name)
        self.edit.setPlaceholderText("z, y, x in µm")
        self.button = QPushButton("Set")
        self.button.setObjectName(f"{name}_set")
        for widget in (note, self.edit, self.button):
            widget.setToolTip(tip)
        self.edit.returnPressed.connect(self._on_set)
        self.button.clicked.connect(self._on_set)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(note)
        row.addWidget(self.edit, 1)
        row.addWidget(self.button)
        self.hide()

    def show_image(self, image: SpatialImage | None) -> None:
        """Ask if `image` lacks its voxel size, else hide."""
        lacks = image is not None and any(w.startswith(MISSING_SCALE) for w in image.warnings)
        self.setVisible(lacks)

    def _on_set(self) -> None:
        try:
            values = tuple(float(part) for part in self.edit.text().split(","))
        except ValueError:
            values = ()
        if len(values) == 3 and all(0 < v < float("inf") for v in values):
            self.answered.emit(values)
        else:
            self.misunderstood.emit(
                "type the voxel size as three positive lengths in µm, z, y, x: 50, 40, 40"
            )
