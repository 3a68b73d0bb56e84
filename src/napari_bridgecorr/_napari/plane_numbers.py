"""Part of the Reslice panel: the plane tilted, shifted, turned and flipped by numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QDoubleSpinBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from .panel_parts import button

if TYPE_CHECKING:
    from ..workflow.plane_draft import PlaneDraft
    from .lifeline import Lifeline
    from .plane_bench import PlaneBench

# key, label, unit, step, decimals, what it does
_ROWS = (
    ("shift", "Shift", "µm", 1.0, 1, "Move the plane along its normal; growing depth is positive"),
    ("turn", "Turn", "°", 1.0, 1, "Turn the picture about the plane's normal, from x towards y"),
    (
        "tilt_y",
        "Tilt y",
        "°",
        0.5,
        1,
        "About the plane's y axis: its right side (growing x) goes deeper",
    ),
    (
        "tilt_x",
        "Tilt x",
        "°",
        0.5,
        1,
        "About the plane's x axis: its lower side (growing y) goes deeper",
    ),
)
_BOX_PX = 60
_NAMES = {"shift": "shift", "turn": "turn", "tilt_y": "tilt", "tilt_x": "tilt"}


class PlaneNumbers(QWidget):
    """Spin boxes of what was done to the plane since it was found, and buttons beside them."""

    def __init__(self, bench: PlaneBench, lifeline: Lifeline) -> None:
        super().__init__()
        self._bench = bench
        self.boxes: dict[str, QDoubleSpinBox] = {}
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        for number, (key, label, unit, step, decimals, tip) in enumerate(_ROWS):
            box = QDoubleSpinBox()
            box.setObjectName(f"bridgecorr_plane_{key}")
            box.setAccessibleName(f"{label} ({unit})")
            box.setRange(-1e6 if key == "shift" else -180.0, 1e6 if key == "shift" else 180.0)
            box.setSingleStep(step)
            box.setDecimals(decimals)
            box.setMinimumWidth(_BOX_PX)
            box.setToolTip(f"{tip} ({'µm' if unit == 'µm' else 'degrees'})")
            box.valueChanged.connect(partial(self._on_edited, key))
            self.boxes[key] = box
            name = QLabel(f"{label} ({unit})")
            name.setToolTip(box.toolTip())
            name.setBuddy(box)
            row, column = divmod(number, 2)
            grid.addWidget(name, row, 2 * column)
            grid.addWidget(box, row, 2 * column + 1)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        self.flip = button(
            "Flip", "Look at the plane from its other side", name="bridgecorr_plane_flip"
        )
        self.flip.setCheckable(True)
        self.flip.clicked.connect(self._on_flip)
        self.reset = button(
            "As found",
            "Take back tilt, shift, turn and flip: the plane as points, lines or search gave it",
            name="bridgecorr_plane_reset",
        )
        self.reset.clicked.connect(self._on_reset)
        self.buttons = QGridLayout()
        self.buttons.setSpacing(4)
        self.buttons.addWidget(self.flip, 0, 0)
        self.buttons.addWidget(self.reset, 0, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(grid)
        column.addLayout(self.buttons)
        lifeline.connect(bench.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the numbers of the plane as it is."""
        draft = self._bench.draft
        for key, value in _values(draft).items():
            box = self.boxes[key]
            if abs(box.value() - value) > 0.5 * 10 ** -box.decimals():
                blocker = QSignalBlocker(box)
                box.setValue(value)
                blocker.unblock()
        self.flip.setChecked(draft.is_flipped)
        has_plane = self._bench.plane is not None
        for widget in (*self.boxes.values(), self.flip):
            widget.setEnabled(has_plane)
        self.reset.setEnabled(has_plane and draft.is_changed)

    def _on_edited(self, key: str, value: float) -> None:
        draft = self._bench.draft
        tilt_y, tilt_x = draft.tilt_degrees
        made = {
            "shift": replace(draft, shift_um=value),
            "turn": replace(draft, turn_degrees=value),
            "tilt_y": replace(draft, tilt_degrees=(value, tilt_x)),
            "tilt_x": replace(draft, tilt_degrees=(tilt_y, value)),
        }[key]
        self._bench.change(made, _NAMES[key], goes_on=True)

    def _on_flip(self) -> None:
        draft = self._bench.draft
        self._bench.change(replace(draft, is_flipped=not draft.is_flipped), "flip")

    def _on_reset(self) -> None:
        self._bench.change(self._bench.draft.as_found(), "as found")


def _values(draft: PlaneDraft) -> dict[str, float]:
    return {
        "shift": draft.shift_um,
        "turn": draft.turn_degrees,
        "tilt_y": draft.tilt_degrees[0],
        "tilt_x": draft.tilt_degrees[1],
    }
