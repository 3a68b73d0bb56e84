"""Options of a fit that few need: folded away under "More" in the Fit step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLineEdit,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from ..errors import FitError
from ..fitting.noise import check_sigmas

if TYPE_CHECKING:
    from ..fitting import FitOptions
    from ..fitting.noise import Sigmas

_SUSPECTS = (("are not looked for", "off"), ("are named", "flag"), ("are left out", "leave_out"))
_SCALES = (("of least residuals", "least_squares"), ("the same both ways", "symmetric"))
_FAULTY = "QLineEdit { border: 1px solid #e8794a; }"


class FitExtras(QWidget):
    """Suspects, click errors, the scale of a similarity, 3D Slicer's direction."""

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(8)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self.suspects = _choice(
            "bridgecorr_suspects",
            "Pairs that disagree with all others (clicked on the wrong branch, say)",
            _SUSPECTS,
        )
        self.scale = _choice(
            "bridgecorr_scale",
            "The scale of a similarity: with the least residuals in the moving image, or the ratio "
            "of the landmarks' spreads, which is the same from moving to fixed",
            _SCALES,
        )
        self.errors = {
            side: _error_line(side, f"bridgecorr_{side}_error") for side in ("fixed", "moving")
        }
        self.slicer_direction = QCheckBox("fit from moving to fixed, as 3D Slicer does")
        self.slicer_direction.setObjectName("bridgecorr_slicer_direction")
        self.slicer_direction.setToolTip("The map is fitted the other way round, then inverted")
        form.addRow("Odd pairs", self.suspects)
        form.addRow("Similarity", self.scale)
        for side, line in self.errors.items():
            form.addRow(f"{side.capitalize()} error", line)
        form.addRow(self.slicer_direction)
        self.suspects.activated.connect(self.edited)
        self.scale.activated.connect(self.edited)
        self.slicer_direction.toggled.connect(self.edited)
        for line in self.errors.values():
            line.editingFinished.connect(self.edited)

    def show_options(self, options: FitOptions) -> None:
        """Show these options, telling no one."""
        self.blockSignals(True)
        self.suspects.setCurrentIndex(self.suspects.findData(options.robust))
        self.scale.setCurrentIndex(self.scale.findData(options.scale))
        self.slicer_direction.setChecked(options.direction == "moving_to_fixed")
        for side, sigmas in (
            ("fixed", options.fixed_sigma_um),
            ("moving", options.moving_sigma_um),
        ):
            self.errors[side].setText("" if sigmas is None else ", ".join(f"{s:g}" for s in sigmas))
        self.blockSignals(False)

    def applied(self, options: FitOptions) -> FitOptions:
        """`options` with what the widgets say; a line that cannot be read counts as empty."""
        return replace(
            options,
            robust=self.suspects.currentData(),
            scale=self.scale.currentData(),
            direction="moving_to_fixed" if self.slicer_direction.isChecked() else "fixed_to_moving",
            fixed_sigma_um=_sigmas(self.errors["fixed"], "fixed"),
            moving_sigma_um=_sigmas(self.errors["moving"], "moving"),
        )


class MoreButton(QToolButton):
    """Folds a widget away, and shows it again."""

    def __init__(self, what: QWidget, text: str, tip: str, name: str) -> None:
        super().__init__()
        self._what, self._words = what, text
        self.setObjectName(name)
        self.setText(f"▸ {text}")
        self.setToolTip(tip)
        self.setCheckable(True)
        self.setStyleSheet("QToolButton { border: none; background: transparent; padding: 2px; }")
        what.hide()
        self.toggled.connect(self._on_toggled)

    def _on_toggled(self, is_open: bool) -> None:
        self._what.setVisible(is_open)
        self.setText(f"{'▾' if is_open else '▸'} {self._words}")


def _choice(name: str, tip: str, entries: tuple[tuple[str, str], ...]) -> QComboBox:
    box = QComboBox()
    box.setObjectName(name)
    box.setToolTip(tip)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(9)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    for text, value in entries:
        box.addItem(text, value)
    return box


def _error_line(side: str, name: str) -> QLineEdit:
    line = QLineEdit()
    line.setObjectName(name)
    line.setPlaceholderText("z, y, x in µm (alike if empty)")
    line.setToolTip(
        f"Standard error of clicks in the {side} image along z, y and x, in µm, such as 50, 15, 15 "
        "for an MRI with thick slices. Residuals along a badly placed axis then count less"
    )
    return line


def _sigmas(line: QLineEdit, side: str) -> Sigmas | None:
    text = line.text().strip()
    line.setStyleSheet("")
    if not text:
        return None
    try:
        parts = [float(p) for p in text.replace(";", ",").split(",")]
        if len(parts) != 3:
            raise ValueError
        found = (parts[0], parts[1], parts[2])
        check_sigmas(found, side)
    except (ValueError, FitError):
        line.setStyleSheet(_FAULTY)
        return None
    return found
