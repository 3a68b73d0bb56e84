"""The proposed pairs listed, surest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

if TYPE_CHECKING:
    from ..vessels import Suggestion

COLUMNS = ("Sure\n%", "Off\nµm", "Alike\n%", "Vessels\nmeeting")
TIPS = (
    "Confidence (%): how probable it is that the pair is right within 1.5 voxels of the coarser "
    "image. Click to sort",
    "Distance (µm of the finer image) between the proposed place and where all other pairs expect "
    "it. Click to sort",
    "How alike the vessels around both places are: their correlation (%). Click to sort",
    "How many vessels meet at this branching; 2: a place along a vessel. Click to sort",
)
SURE, OFF, ALIKE, DEGREE = range(4)
_WHICH = Qt.ItemDataRole.UserRole


class SuggestionTable(QTableWidget):
    """Shows proposals and tells which one is chosen; changes nothing itself."""

    chosen = Signal()

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setObjectName("bridgecorr_suggestions")
        self.setAccessibleName("Suggested pairs")
        self.setToolTip("One row for each suggested pair; a click shows it in both images")
        self.pairs: tuple[Suggestion, ...] = ()
        self.setHorizontalHeaderLabels(COLUMNS)
        for column, tip in enumerate(TIPS):
            self.horizontalHeaderItem(column).setToolTip(tip)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setDefaultSectionSize(22)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setMinimumHeight(150)
        self.setSortingEnabled(True)
        self.sortByColumn(SURE, Qt.SortOrder.DescendingOrder)
        self.itemSelectionChanged.connect(self.chosen)

    def show_pairs(self, pairs: Sequence[Suggestion]) -> None:
        """List these; the chosen one stays chosen, or the row in its place is."""
        kept, row = self.current(), self.currentRow()
        blocker = QSignalBlocker(self)
        self.pairs = tuple(pairs)
        self.setSortingEnabled(False)
        self.setRowCount(len(pairs))
        for number, pair in enumerate(pairs):
            values = (
                min(round(100 * pair.confidence, 1), 99.9),  # nothing is certain
                round(pair.deviation_um, 1),
                round(100 * pair.likeness),
                pair.degree,
            )
            for column, value in enumerate(values):
                item = QTableWidgetItem()
                item.setData(Qt.ItemDataRole.DisplayRole, value)
                item.setData(_WHICH, number)
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                self.setItem(number, column, item)
        self.setSortingEnabled(True)
        if kept in self.pairs and kept is not None:
            self.select(kept)
        elif row >= 0 and pairs:
            self.selectRow(min(row, len(pairs) - 1))
        else:
            self.clearSelection()
        blocker.unblock()

    def current(self) -> Suggestion | None:
        """The chosen pair."""
        rows = self.selectionModel().selectedRows()
        item = self.item(rows[0].row(), SURE) if rows else None
        number = None if item is None else item.data(_WHICH)
        return self.pairs[number] if number is not None and number < len(self.pairs) else None

    def select(self, pair: Suggestion) -> None:
        """Choose a pair of the list."""
        number = self.pairs.index(pair)
        for row in range(self.rowCount()):
            if self.item(row, SURE).data(_WHICH) == number:
                self.selectRow(row)
                self.scrollToItem(self.item(row, SURE))
                return
