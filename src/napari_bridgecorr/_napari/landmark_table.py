"""The table of landmarks: worst first, sorted by any column, a click looks at it."""

from __future__ import annotations

from collections.abc import Collection

from qtpy.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    Qt,
    Signal,
)
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from ..fitting import Fit, Judgement
from ..landmarks import LandmarkSet
from .landmark_rows import ID, LEFT_OUT, NAME, RESIDUAL, LandmarkRows, rows_of, worst_first

_WIDTHS_PX = {ID: 74, RESIDUAL: 58, LEFT_OUT: 58, LEFT_OUT + 1: 64}

# Qt's own takes its room from the heading; the model marks it in the words
_NO_ARROW = (
    "QHeaderView::down-arrow, QHeaderView::up-arrow { image: none; width: 0px; height: 0px; }"
)
_TIP = (
    "One row for each landmark, errors in µm, the worst first. A click shows it in both images; a "
    "double click on its name renames it; Shift and Ctrl select several; the tick says whether the "
    "fit uses it; a click on a heading sorts"
)


class LandmarkTable(QTableView):
    """Shows landmarks and says what the user wants of them; changes nothing itself."""

    landmark_chosen = Signal(str)
    enabled_changed = Signal(str, bool)
    name_changed = Signal(str, str)
    itemSelectionChanged = Signal()  # as Qt's own table of items calls it

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("bridgecorr_landmarks")
        self.setAccessibleName("Landmarks")
        self.setToolTip(_TIP)
        self.rows = LandmarkRows()
        self.setModel(self.rows)
        self.rows.enabled_changed.connect(self.enabled_changed)
        self.rows.name_changed.connect(self.name_changed)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setStyleSheet(_NO_ARROW)
        header.setMinimumSectionSize(40)
        for column, width in _WIDTHS_PX.items():
            header.resizeSection(column, width)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(24)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setMinimumHeight(190)
        self._kept: set[str] = set()
        self.setSortingEnabled(True)
        self.sortByColumn(LEFT_OUT, Qt.SortOrder.DescendingOrder)
        self.clicked.connect(self._on_clicked)
        self.selectionModel().selectionChanged.connect(self._on_selection)
        self.rows.modelAboutToBeReset.connect(self._remember)
        self.rows.modelReset.connect(self._select_again)

    def show_landmarks(
        self, landmarks: LandmarkSet, fit: Fit | None, judgement: Judgement | None = None
    ) -> None:
        """Fill the table, keeping the selected landmarks selected."""
        typical = fit.diagnostics.loo_median_um if fit is not None else float("nan")
        self.rows.show_rows(rows_of(landmarks, fit, judgement), typical)

    def selected_ids(self) -> list[str]:
        """Ids of the selected landmarks, from top to bottom."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows(ID))
        return [self.rows.shown[row].landmark.id for row in rows]

    def select_ids(self, ids: Collection[str]) -> None:
        """Select these landmarks, as far as they are shown, and no others."""
        wanted = set(ids)
        chosen = QItemSelection()
        first = -1
        for number in range(len(self.rows.shown) + 1):  # whole runs: Qt is slow with many pieces
            is_wanted = (
                number < len(self.rows.shown) and self.rows.shown[number].landmark.id in wanted
            )
            if is_wanted and first < 0:
                first = number
            elif not is_wanted and first >= 0:
                chosen.select(self.rows.index(first, ID), self.rows.index(number - 1, ID))
                first = -1
        flags = (
            QItemSelectionModel.SelectionFlag.ClearAndSelect
            | QItemSelectionModel.SelectionFlag.Rows
        )
        self.selectionModel().select(chosen, flags)

    def row_of(self, landmark_id: str) -> int:
        """Number of a landmark's row; -1 if it is not shown."""
        ids = [row.landmark.id for row in self.rows.shown]
        return ids.index(landmark_id) if landmark_id in ids else -1

    def text(self, row: int, column: int) -> str:
        """What a cell says."""
        return str(self.rows.index(row, column).data())

    def worst_after(self, landmark_id: str = "") -> str:
        """Id of the worst pair, or of the next worse one after another; "" if there is none."""
        ids = [row.landmark.id for row in worst_first(self.rows.all_rows)]
        if not ids:
            return ""
        return ids[(ids.index(landmark_id) + 1) % len(ids)] if landmark_id in ids else ids[0]

    def _on_clicked(self, index: QModelIndex) -> None:
        self.landmark_chosen.emit(self.rows.shown[index.row()].landmark.id)

    def _on_selection(self, *_: object) -> None:
        self.itemSelectionChanged.emit()

    def _remember(self) -> None:
        # Qt clears the selection of a model that is reset; it is put back afterwards
        self._kept = set(self.selected_ids())

    def _select_again(self) -> None:
        self.clearSpans()
        for number, row in enumerate(self.rows.shown):
            if row.missing:
                self.setSpan(number, RESIDUAL, 1, 3)
        if self._kept:
            self.select_ids(self._kept)
            self._kept = set()
