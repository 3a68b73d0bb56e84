"""What the table of landmarks shows: its rows, their order, and which of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor

from ..fitting import Fit, Judgement
from ..landmarks import Landmark, LandmarkSet
from .error_colours import error_rgb

COLUMNS = ("ID", "Name", "Residual\nµm", "Left out\nµm", "Predicted\nµm")
TIPS = (
    "Tick: used by the fit. ⚠ probably a mistake, ◇ set aside to check the fit, ✦ suggested by the "
    "program. Click to sort",
    "Double-click a name to change it. Click to sort",
    "Residual (µm): distance between where the fit puts the landmark and where it was clicked. "
    "Not accuracy. Click to sort",
    "Leave-one-out error (µm): distance at which the other landmarks predict it; of a check pair, "
    "which no fit uses, its error. Blue is small, yellow usual, orange large. Click to sort",
    "Predicted error (µm) of the map at this place: what a voxel here may be off by (expected "
    "RMS). Click to sort",
)
ID, NAME, RESIDUAL, LEFT_OUT, PREDICTED = range(5)
FILTERS = (
    ("all", "All"),
    ("enabled", "Only enabled"),
    ("flagged", "Only flagged ⚠"),
    ("half", "Only half pairs"),
    ("check", "Only check pairs ◇"),
    ("suggested", "Only suggested ✦"),
)
_MUTED = QColor(140, 140, 146)
_AMBER = QColor(201, 133, 18)
_DARK = QColor(20, 20, 22)
_ROOT = QModelIndex()


@dataclass(frozen=True)
class Row:
    """One line of the table; errors are NaN where there are none.

    Parameters
    ----------
    landmark : Landmark
    residual_um, left_out_um, predicted_um : float
    flag : str
        Why the pair is probably a mistake; "" if it is not.
    """

    landmark: Landmark
    residual_um: float
    left_out_um: float
    predicted_um: float
    flag: str = ""

    @property
    def missing(self) -> str:
        """What a half pair needs."""
        if self.landmark.is_pair:
            return ""
        side = "moving" if self.landmark.moving_um is None else "fixed"
        return f"needs its {side} point"

    @property
    def number(self) -> tuple[float, float, float]:
        """The three errors."""
        return self.residual_um, self.left_out_um, self.predicted_um


def rows_of(
    landmarks: LandmarkSet, fit: Fit | None, judgement: Judgement | None = None
) -> list[Row]:
    """A row for every landmark, in the set's own order."""
    residual: dict[str, float] = {}
    left_out: dict[str, float] = {}
    predicted = {} if judgement is None else judgement.predicted_um
    flags: dict[str, str] = {}
    if fit is not None:
        found = fit.diagnostics
        residual = dict(zip(found.ids, np.linalg.norm(found.residual_um, axis=1), strict=True))
        left_out = dict(zip(found.ids, found.leave_one_out_lengths_um, strict=True))
    if judgement is not None:
        flags = {m.id: m.reason.replace(" um", " µm") for m in judgement.mismatches}
        if judgement.checks is not None:
            checks = judgement.checks
            left_out.update(zip(checks.ids, checks.lengths_um, strict=True))
    return [
        Row(
            m,
            float(residual.get(m.id, np.nan)),
            float(left_out.get(m.id, np.nan)) if m.enabled else np.nan,
            float(predicted.get(m.id, np.nan)),
            flags.get(m.id, "") if m.enabled else "",
        )
        for m in landmarks
    ]


def worst_first(rows: list[Row]) -> list[Row]:
    """The enabled pairs in the order in which a person should look at them."""
    known = [r for r in rows if r.landmark.enabled and np.isfinite(r.left_out_um)]
    return sorted(known, key=lambda r: (not r.flag, -r.left_out_um))


@lru_cache(1024)  # Qt asks for each cell at each drawing
def error_colour(error_um: float, typical_um: float) -> QColor | None:
    """Blue to orange, by how many times the median error it is; None where there is none."""
    if not (np.isfinite(error_um) and np.isfinite(typical_um) and typical_um > 0):
        return None
    return QColor(*(int(v) for v in error_rgb(error_um, typical_um)[0]))


class LandmarkRows(QAbstractTableModel):
    """Rows sorted and filtered; thousands are as quick as ten. Changes nothing itself."""

    enabled_changed = Signal(str, bool)
    name_changed = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self._all: list[Row] = []
        self._shown: list[Row] = []
        self._typical = float("nan")
        self._column, self._descending = LEFT_OUT, True
        self._text, self._kind = "", "all"

    # -- what is shown ---------------------------------------------------------------------------

    @property
    def all_rows(self) -> list[Row]:
        """Every row, filtered or not."""
        return self._all

    @property
    def shown(self) -> list[Row]:
        """The rows as they stand in the table."""
        return self._shown

    def show_rows(self, rows: list[Row], typical_um: float) -> None:
        """Show other rows; `typical_um` is the error that is coloured as usual."""
        self._all, self._typical = rows, typical_um
        self._arrange()

    def set_filter(self, text: str, kind: str) -> None:
        """Show the rows of one of :data:`FILTERS` whose id or name contains `text`."""
        self._text, self._kind = text.strip().lower(), kind
        self._arrange()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; rows without a number stay below, half pairs last."""
        self._column, self._descending = column, order == Qt.SortOrder.DescendingOrder
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(COLUMNS) - 1)
        self._arrange()

    def _arrange(self) -> None:
        arranged = self._arranged()
        if [_place(r) for r in arranged] == [_place(r) for r in self._shown]:
            # the same rows: a name that is being written is not disturbed
            self._shown = arranged
            if arranged:
                last = self.index(len(arranged) - 1, len(COLUMNS) - 1)
                self.dataChanged.emit(self.index(0, 0), last)
            return
        self.beginResetModel()
        self._shown = arranged
        self.endResetModel()

    def _arranged(self) -> list[Row]:
        chosen = [r for r in self._all if self._is_chosen(r)]
        if self._column in (ID, NAME):

            def text(row: Row) -> str:
                return (row.landmark.id if self._column == ID else row.landmark.name).lower()

            return sorted(chosen, key=text, reverse=self._descending)
        sign = -1.0 if self._descending else 1.0

        def rank(row: Row) -> tuple[bool, bool, float]:
            value = row.number[self._column - RESIDUAL]
            known = bool(np.isfinite(value))
            return not row.landmark.is_pair, not known, sign * value if known else 0.0

        return sorted(chosen, key=rank)

    def _is_chosen(self, row: Row) -> bool:
        landmark = row.landmark
        if self._text and self._text not in f"{landmark.id}\n{landmark.name}".lower():
            return False
        return {
            "enabled": landmark.enabled,
            "flagged": bool(row.flag),
            "half": not landmark.is_pair,
            "check": landmark.check,
            "suggested": bool(landmark.source),
        }.get(self._kind, True)

    # -- as Qt asks ------------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex = _ROOT) -> int:
        """Rows shown."""
        return 0 if parent.isValid() else len(self._shown)

    def columnCount(self, parent: QModelIndex = _ROOT) -> int:
        """Columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Headings with units, and what they mean."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            arrow = "▾" if self._descending else "▴"
            return f"{COLUMNS[section]} {arrow}" if section == self._column else COLUMNS[section]
        return TIPS[section] if role == Qt.ItemDataRole.ToolTipRole else None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Ids are ticked, names are written."""
        found = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() == ID:
            found |= Qt.ItemFlag.ItemIsUserCheckable
        if index.column() == NAME:
            found |= Qt.ItemFlag.ItemIsEditable
        return found

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """One cell."""
        if not index.isValid() or index.row() >= len(self._shown):
            return None
        row, column = self._shown[index.row()], index.column()
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.EditRole:
                return self._words(row, column, is_edited=role == Qt.ItemDataRole.EditRole)
            case Qt.ItemDataRole.CheckStateRole if column == ID:
                # as Qt's C++ side wants it
                on = row.landmark.enabled
                return Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
            case Qt.ItemDataRole.TextAlignmentRole if column >= RESIDUAL and not row.missing:
                return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            case Qt.ItemDataRole.BackgroundRole if column == LEFT_OUT:
                return error_colour(row.left_out_um, self._typical)
            case Qt.ItemDataRole.ForegroundRole:
                return self._ink(row, column)
            case Qt.ItemDataRole.ToolTipRole:
                return self._tip(row, column)
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """A tick or a name: told, not kept; the landmarks come back changed."""
        landmark = self._shown[index.row()].landmark
        if index.column() == ID and role == Qt.ItemDataRole.CheckStateRole:
            self.enabled_changed.emit(landmark.id, Qt.CheckState(value) == Qt.CheckState.Checked)
            return True
        if index.column() == NAME and role == Qt.ItemDataRole.EditRole:
            if str(value) != landmark.name:
                self.name_changed.emit(landmark.id, str(value))
            return True
        return False

    @staticmethod
    def _words(row: Row, column: int, *, is_edited: bool) -> str:
        if column == ID:
            sign = "⚠ " if row.flag else "◇ " if row.landmark.check else ""
            sign += "✦ " if row.landmark.source else ""
            return row.landmark.id if is_edited else sign + row.landmark.id
        if column == NAME:
            return row.landmark.name
        if row.missing:
            return row.missing if column == RESIDUAL else ""
        if column == RESIDUAL and row.landmark.check:
            return "check"
        value = row.number[column - RESIDUAL]
        return f"{value:.1f}" if np.isfinite(value) else "–"

    def _ink(self, row: Row, column: int) -> QColor | None:
        if column == LEFT_OUT and error_colour(row.left_out_um, self._typical) is not None:
            return _DARK
        if row.missing and column == RESIDUAL:
            return _AMBER
        return None if row.landmark.enabled and column != RESIDUAL else _MUTED

    @staticmethod
    def _tip(row: Row, column: int) -> str | None:
        if row.flag:
            return f"⚠ {row.landmark.id}: {row.flag}"
        if row.landmark.check and column in (ID, RESIDUAL):
            return "Set aside: no fit uses it, so the error here judges the very map"
        if row.landmark.source and column == ID:
            return "✦ Suggested by the program, accepted by you"
        return row.landmark.name or None if column == NAME else None


def _place(row: Row) -> tuple[str, str]:
    return row.landmark.id, row.missing
