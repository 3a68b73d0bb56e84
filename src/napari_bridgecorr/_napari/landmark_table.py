"""The table of landmarks: worst first, each with its errors, a click looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from qtpy.QtCore import QItemSelectionModel, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from ..fitting import Fit
from ..landmarks import Landmark, LandmarkSet

_COLUMNS = ("ID", "Name", "Residual", "Left out")
_TIPS = (
    "Untick to leave the landmark out of the fit",
    "Double-click to rename",
    "Distance (µm) between where the transform puts the landmark and where it was clicked. "
    "Not accuracy",
    "Leave-one-out error (µm): distance at which the other landmarks predict it",
)
_ID, _NAME, _RESIDUAL, _LOO = range(4)
# multiples of the median leave-one-out error at which a landmark is fully green, amber, red
_GOOD, _FAIR, _BAD = 0.5, 1.5, 3.0
_COLOURS = (QColor(84, 190, 120), QColor(235, 180, 60), QColor(240, 90, 90))
_MUTED = QColor(150, 150, 155)
_ID_ROLE = int(Qt.ItemDataRole.UserRole)
_WHOLE_ROW = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows


@dataclass(frozen=True)
class Row:
    """One line of the table; errors are NaN where there are none."""

    landmark: Landmark
    residual_um: float
    loo_um: float

    @property
    def missing(self) -> str:
        """What a half pair needs."""
        if self.landmark.is_pair:
            return ""
        side = "moving" if self.landmark.moving_um is None else "fixed"
        return f"needs its {side} point"


def rows_of(landmarks: LandmarkSet, fit: Fit | None) -> list[Row]:
    """Rows in the order in which a person should look at them.

    The worst pairs first, then those without an error (left out, not fitted), then half pairs.
    """
    residual: dict[str, float] = {}
    loo: dict[str, float] = {}
    if fit is not None:
        found = fit.diagnostics
        residual = dict(zip(found.ids, np.linalg.norm(found.residual_um, axis=1), strict=True))
        loo = dict(zip(found.ids, found.leave_one_out_lengths_um, strict=True))
    rows = [
        Row(m, float(residual.get(m.id, np.nan)), float(loo.get(m.id, np.nan))) for m in landmarks
    ]

    def rank(row: Row) -> tuple[bool, bool, float]:
        error = row.loo_um if np.isfinite(row.loo_um) else row.residual_um
        known = bool(np.isfinite(error))
        return not row.landmark.is_pair, not known, -error if known else 0.0

    return sorted(rows, key=rank)


def error_colour(error_um: float, typical_um: float) -> QColor:
    """Green to red, by how many times the median error it is."""
    if not (np.isfinite(error_um) and np.isfinite(typical_um) and typical_um > 0):
        return _MUTED
    stops = (_GOOD, _FAIR, _BAD)
    ratio = error_um / typical_um
    channels = [
        int(np.interp(ratio, stops, [colour.getRgb()[i] for colour in _COLOURS])) for i in range(3)
    ]
    return QColor(*channels)


class LandmarkTable(QTableWidget):
    """Shows landmarks and says what the user wants of them; changes nothing itself."""

    landmark_chosen = Signal(str)
    enabled_changed = Signal(str, bool)
    name_changed = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_COLUMNS), parent)
        self.setObjectName("bridgecorr_landmarks")
        self.setHorizontalHeaderLabels(_COLUMNS)
        for column, tip in enumerate(_TIPS):
            self.horizontalHeaderItem(column).setToolTip(tip)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setDefaultSectionSize(24)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setMinimumHeight(150)
        self.cellClicked.connect(self._on_clicked)
        self.itemChanged.connect(self._on_changed)

    def show_landmarks(self, landmarks: LandmarkSet, fit: Fit | None) -> None:
        """Fill the table, keeping the selected landmarks selected."""
        chosen = self.selected_ids()
        rows = rows_of(landmarks, fit)
        typical = fit.diagnostics.loo_median_um if fit is not None else float("nan")
        blocker = QSignalBlocker(self)
        self.clearSpans()
        self.clearSelection()
        self.setRowCount(len(rows))
        for number, row in enumerate(rows):
            self._fill(number, row, typical)
            if row.landmark.id in chosen:
                self.selectionModel().select(self.model().index(number, _ID), _WHOLE_ROW)
        blocker.unblock()

    def selected_ids(self) -> list[str]:
        """Ids of the selected landmarks, from top to bottom."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows(_ID))
        return [self.item(row, _ID).data(_ID_ROLE) for row in rows]

    def row_of(self, landmark_id: str) -> int:
        """Number of a landmark's row; -1 if it has none."""
        for row in range(self.rowCount()):
            if self.item(row, _ID).data(_ID_ROLE) == landmark_id:
                return row
        return -1

    def _fill(self, number: int, row: Row, typical_um: float) -> None:
        landmark = row.landmark
        first = _item(landmark.id)
        first.setData(_ID_ROLE, landmark.id)
        first.setFlags(first.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        first.setCheckState(Qt.CheckState.Checked if landmark.enabled else Qt.CheckState.Unchecked)
        name = _item(landmark.name)
        name.setFlags(name.flags() | Qt.ItemFlag.ItemIsEditable)
        name.setToolTip(landmark.name)
        self.setItem(number, _ID, first)
        self.setItem(number, _NAME, name)
        if row.missing:
            note = _item(row.missing)
            note.setForeground(_COLOURS[1])
            self.setItem(number, _RESIDUAL, note)
            self.setItem(number, _LOO, _item(""))
            self.setSpan(number, _RESIDUAL, 1, 2)
            return
        residual, loo = _number(row.residual_um), _number(row.loo_um)
        colour = error_colour(row.loo_um, typical_um)
        loo.setForeground(colour)
        for item in (residual, *([] if landmark.enabled else (first, name))):
            item.setForeground(_MUTED)
        self.setItem(number, _RESIDUAL, residual)
        self.setItem(number, _LOO, loo)

    def _on_clicked(self, row: int, column: int) -> None:  # noqa: ARG002 - Qt passes it
        self.landmark_chosen.emit(self.item(row, _ID).data(_ID_ROLE))

    def _on_changed(self, item: QTableWidgetItem) -> None:
        identity = self.item(item.row(), _ID).data(_ID_ROLE)
        if item.column() == _ID:
            self.enabled_changed.emit(identity, item.checkState() == Qt.CheckState.Checked)
        elif item.column() == _NAME:
            self.name_changed.emit(identity, item.text())


def _item(text: str) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
    return item


def _number(value: float) -> Any:
    item = _item("–" if not np.isfinite(value) else f"{value:.1f}")
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item
