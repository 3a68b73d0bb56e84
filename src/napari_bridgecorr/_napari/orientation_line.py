"""Which way an image's axes run in the world: as in the file, or turned and mirrored."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from ..geometry import Orientation, Placement
from ..geometry.placement import (
    AS_IN_FILE,
    WORLD_AXES,
    array_directions,
    orientation_between,
    turned,
)
from ..image import SpatialImage
from ..workflow.files import direction_word, is_anatomical
from .panel_parts import muted

Presets = tuple[tuple[str, Orientation], ...]

_STAGE: Presets = (
    ("As in the file", AS_IN_FILE),
    ("Mirror along x (left ↔ right)", ("z", "y", "-x")),
    ("Mirror along y (top ↔ bottom)", ("z", "-y", "x")),
    ("Mirror along z (depth reversed)", ("-z", "y", "x")),
    ("Turn by 180° about z", ("z", "-y", "-x")),
    ("Turn by 180° about y", ("-z", "y", "-x")),
    ("Turn by 180° about x", ("-z", "-y", "x")),
    ("Turn by 90° about z", ("z", "x", "-y")),
    ("Turn by −90° about z", ("z", "-x", "y")),
    ("Exchange z and y", ("y", "z", "x")),
    ("Exchange z and x", ("x", "y", "z")),
    ("Exchange y and x", ("z", "x", "y")),
)
_BODY: Presets = (
    ("As in the file", AS_IN_FILE),
    ("Mirror left ↔ right", ("z", "y", "-x")),
    ("Mirror anterior ↔ posterior", ("z", "-y", "x")),
    ("Mirror superior ↔ inferior", ("-z", "y", "x")),
    ("Supine ↔ prone", ("z", "-y", "-x")),
    ("Head first ↔ feet first", ("-z", "y", "-x")),
    ("Nose up: superior to anterior", ("y", "-z", "x")),
    ("Nose down: anterior to superior", ("-y", "z", "x")),
)
_OTHER = "Other…"


class OrientationLine(QWidget):
    """Presets, and for the rest where each array axis runs."""

    answered = Signal(object)
    """An orientation, or None where the file's is taken."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._have: Orientation = AS_IN_FILE
        self._presets: Presets = _STAGE
        heading = QLabel("Orientation")
        heading.setStyleSheet("font-weight: 600; padding: 0px;")
        self.preset = QComboBox()
        self.preset.setObjectName("bridgecorr_orientation")
        self.preset.setAccessibleName("Orientation")
        self.preset.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.preset.setMinimumContentsLength(12)
        self.preset.setToolTip(
            "Turn or mirror the image about its centre. Nothing is resampled: only its place in\n"
            "the world changes. A mirrored image exchanges left and right."
        )
        self.preset.activated.connect(self._on_preset)
        self._custom = QWidget()
        grid = QGridLayout(self._custom)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        grid.setColumnStretch(1, 1)
        self.directions: dict[str, QComboBox] = {}
        for row, axis in enumerate(WORLD_AXES):
            chooser = QComboBox()
            chooser.setObjectName(f"bridgecorr_direction_{axis}")
            chooser.setAccessibleName(f"Where the array's {axis} runs")
            chooser.setToolTip(f"The world direction along which the array's {axis} counts up")
            chooser.activated.connect(lambda _=0, row=row: self._on_direction(row))
            self.directions[axis] = chooser
            grid.addWidget(QLabel(f"{axis} runs to"), row, 0)
            grid.addWidget(chooser, row, 1)
        self._custom.hide()
        self._note = muted()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(heading)
        column.addWidget(self.preset)
        column.addWidget(self._custom)
        column.addWidget(self._note)

    def show_image(self, image: SpatialImage, placement: Placement) -> None:
        """Show how the file's image is turned by the user's answer."""
        anatomical = is_anatomical(image)
        self._have = array_directions(image.grid)
        self._presets = _BODY if anatomical else _STAGE
        chosen = placement.orientation or AS_IN_FILE
        blocker = QSignalBlocker(self.preset)
        self.preset.clear()
        self.preset.addItems([text for text, _ in self._presets] + [_OTHER])
        known = [orientation for _, orientation in self._presets]
        is_other = chosen not in known
        self.preset.setCurrentIndex(len(known) if is_other else known.index(chosen))
        blocker.unblock()
        self._show_directions(turned(self._have, chosen), anatomical)
        self._custom.setVisible(is_other or (self._custom.isVisible() and chosen != AS_IN_FILE))
        said = ", ".join(direction_word(d, anatomical) for d in turned(self._have, chosen))
        mirrored = " Mirrored: left and right are exchanged." if placement.is_mirrored else ""
        where = "" if anatomical else "the stage's "
        self._note.setText(f"The array's z, y, x run to {where}{said}.{mirrored}")

    def _show_directions(self, now: Orientation, anatomical: bool) -> None:
        signed = [s + axis for axis in WORLD_AXES for s in ("", "-")]
        for chooser, direction in zip(self.directions.values(), now, strict=True):
            blocker = QSignalBlocker(chooser)
            chooser.clear()
            for entry in signed:
                chooser.addItem(direction_word(entry, anatomical), entry)
            chooser.setCurrentIndex(signed.index(direction))
            blocker.unblock()

    def _on_preset(self, index: int) -> None:
        if index == len(self._presets):
            self._custom.show()
            return
        self._custom.hide()
        chosen = self._presets[index][1]
        self.answered.emit(None if chosen == AS_IN_FILE else chosen)

    def _on_direction(self, row: int) -> None:
        wanted = [str(c.currentData()) for c in self.directions.values()]
        axis = wanted[row].removeprefix("-")
        before = {name.removeprefix("-") for i, name in enumerate(wanted) if i != row}
        if axis in before:
            # another axis ran there: it takes the direction that has become free
            free = next(a for a in WORLD_AXES if a not in before | {axis})
            other = next(
                i for i, w in enumerate(wanted) if i != row and w.removeprefix("-") == axis
            )
            sign = "-" if wanted[other].startswith("-") else ""
            wanted[other] = sign + free
        chosen = orientation_between(self._have, (wanted[0], wanted[1], wanted[2]))
        self.answered.emit(None if chosen == AS_IN_FILE else chosen)
