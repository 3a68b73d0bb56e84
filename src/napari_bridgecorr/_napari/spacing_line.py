"""The voxel size along z, y, x: as the file has it, marked where it does not, and mended."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from ..geometry import Placement
from ..image import SpatialImage
from ..workflow.files import doubtful_scale, is_flat, unknown_axes
from .file_words import number_words
from .panel_parts import AMBER, marked, muted

_AXES = ("z", "y", "x")
_UNKNOWN_STYLE = "QLineEdit { border: 1px solid #ffb02e; }"
_CHANGED_STYLE = "QLineEdit { border: 1px solid #29d3ff; }"
# what a file in the wrong unit needs: a tenth for 100-fold squares, a thousandth for nm and um
_FACTORS = (("× 0.1", 0.1), ("× 0.001", 0.001), ("× 1000", 1000.0))


class SpacingLine(QWidget):
    """Three lengths in um to read or to type."""

    answered = Signal(object)
    """Three lengths (z, y, x) in um, or None where the file's are taken."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: SpatialImage | None = None
        heading = QLabel("Voxel size")
        heading.setStyleSheet("font-weight: 600; padding: 0px;")
        self.reset = QPushButton("As in the file")
        self.reset.setObjectName("bridgecorr_spacing_reset")
        self.reset.setToolTip("Take the voxel size that the file states")
        self.reset.clicked.connect(lambda: self.answered.emit(None))
        top = QHBoxLayout()
        top.addWidget(heading, 1)
        top.addWidget(self.reset)
        row = QHBoxLayout()
        row.setSpacing(4)
        self.edits: dict[str, QLineEdit] = {}
        self._names: dict[str, QLabel] = {}
        for axis in _AXES:
            edit = QLineEdit()
            edit.setObjectName(f"bridgecorr_spacing_{axis}")
            edit.setAccessibleName(f"Voxel size along {axis} in µm")
            edit.setToolTip(f"Distance (µm) between the centres of voxels along {axis}")
            validator = QDoubleValidator(0.0, 1e9, 12, edit)
            validator.setNotation(QDoubleValidator.Notation.ScientificNotation)
            validator.setLocale(validator.locale().c())
            edit.setValidator(validator)
            edit.editingFinished.connect(self._on_edited)
            self.edits[axis] = edit
            name = QLabel(axis)
            self._names[axis] = name
            row.addWidget(name)
            row.addWidget(edit, 1)
        row.addWidget(QLabel("µm"))
        self._note = muted()
        self.factors: dict[str, QPushButton] = {}
        self._repairs = QWidget()
        repairs = QHBoxLayout(self._repairs)
        repairs.setContentsMargins(0, 0, 0, 0)
        repairs.setSpacing(6)
        for text, factor in _FACTORS:
            made = QPushButton(text)
            made.setObjectName(f"bridgecorr_spacing_times_{factor:g}")
            made.setToolTip(f"Multiply the file's voxel size by {factor:g}")
            made.clicked.connect(lambda _=False, factor=factor: self._multiply(factor))
            self.factors[text] = made
            repairs.addWidget(made)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(top)
        column.addLayout(row)
        column.addWidget(self._note)
        column.addWidget(self._repairs)

    def show_image(self, image: SpatialImage, placement: Placement) -> None:
        """Show the voxel size of the file's image, or the user's."""
        self._image = image
        spacing_um = placement.spacing_um
        unknown = dict(zip(_AXES, unknown_axes(image), strict=True))
        flat = is_flat(image)
        for number, axis in enumerate(_AXES):
            edit = self.edits[axis]
            stated = image.grid.voxel_size_um[number]
            value = stated if spacing_um is None else spacing_um[number]
            asks = unknown[axis] and spacing_um is None
            edit.blockSignals(True)
            edit.setText("" if asks else number_words(value))
            edit.blockSignals(False)
            edit.setPlaceholderText("not in file" if asks else "")
            is_changed = spacing_um is not None and (unknown[axis] or value != stated)
            edit.setStyleSheet(_UNKNOWN_STYLE if asks else _CHANGED_STYLE if is_changed else "")
            edit.setToolTip(
                "The file does not say: type it in µm"
                if unknown[axis]
                else f"In the file: {number_words(stated)} µm"
            )
            edit.setVisible(not (flat and axis == "z"))
            self._names[axis].setVisible(not (flat and axis == "z"))
        self.reset.setVisible(spacing_um is not None)
        doubtful = doubtful_scale(image) and spacing_um is None
        self._repairs.setVisible(doubtful)
        missing = [axis for axis in _AXES if unknown[axis]] if spacing_um is None else []
        if missing:
            self._say(
                f"Not in the file along {', '.join(missing)}: 1 µm is assumed until you type it."
            )
        elif doubtful:
            self._say("If this voxel size is wrong, multiply it here or type the right one.")
        else:
            self._say("")

    def _say(self, text: str) -> None:
        self._note.setText(marked("▲", AMBER, text))
        self._note.setVisible(bool(text))

    def _on_edited(self) -> None:
        if self._image is None:
            return
        stated = self._image.grid.voxel_size_um
        unknown = unknown_axes(self._image)
        found = []
        for axis, old in zip(_AXES, stated, strict=True):
            text = self.edits[axis].text().strip()
            try:
                value = float(text) if text else old
            except ValueError:
                value = old
            # what is shown is rounded: only what was typed is an answer
            found.append(old if text == number_words(old) or not value > 0 else value)
        answered = any(
            bool(self.edits[axis].text().strip()) and (new != old or lacks)
            for axis, new, old, lacks in zip(_AXES, found, stated, unknown, strict=True)
        )
        self.answered.emit(tuple(found) if answered else None)

    def _multiply(self, factor: float) -> None:
        if self._image is not None:
            z, y, x = (factor * v for v in self._image.grid.voxel_size_um)
            self.answered.emit((z, y, x))
