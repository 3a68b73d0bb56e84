"""The landmarks listed: search, filter, the table, and what is done with the selected ones."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from .beside_image import words_beside
from .colour_row import ColourRow
from .exchange_row import ExchangeRow
from .landmark_edits import remove, set_values
from .landmark_rows import FILTERS
from .landmark_table import LandmarkTable
from .panel_parts import AMBER, button, marked, muted, wrapped
from .viewer_keys import ViewerKey, register_viewer_key

if TYPE_CHECKING:
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

WORST = "bridgecorr:worst_pair"
_MOST_TOLD = 3


class LandmarkList(QWidget):
    """The table with its filters and buttons."""

    landmark_chosen = Signal(str)
    refine_asked = Signal()

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self._session = session
        self._at = ""  # where "Worst pair" went last
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(self._filter_row())
        self.colours = ColourRow(session, lifeline)
        column.addWidget(self.colours)
        self.table = LandmarkTable()
        self.table.landmark_chosen.connect(self.landmark_chosen)
        self.table.enabled_changed.connect(session.set_enabled)
        self.table.name_changed.connect(session.set_name)
        self.table.itemSelectionChanged.connect(self._on_selected)
        column.addWidget(self.table, 1)
        column.addLayout(self._action_row())
        self.words = wrapped("bridgecorr_mismatches")
        column.addWidget(self.words)
        self.exchange = ExchangeRow(session, lifeline)
        column.addWidget(self.exchange)
        self.count = muted()
        column.addWidget(self.count)
        register_keys()
        for signal in (session.landmarks_changed, session.fit_changed, session.judgement_changed):
            lifeline.connect(signal, self.refresh)
        lifeline.connect(session.worst_asked, self.go_to_worst)
        self.refresh()

    def _filter_row(self) -> QHBoxLayout:
        self.search = QLineEdit()
        self.search.setObjectName("bridgecorr_landmark_search")
        self.search.setPlaceholderText("Find…")
        self.search.setClearButtonEnabled(True)
        self.search.setToolTip("Show only landmarks whose id or name contains this")
        self.kind = QComboBox()
        self.kind.setAccessibleName("Which landmarks are listed")
        self.kind.setObjectName("bridgecorr_landmark_filter")
        self.kind.setToolTip("Which landmarks the table shows")
        for value, text in FILTERS:
            self.kind.addItem(text, value)
        self.worst = button(
            "Worst pair",
            "Go to the pair with the largest leave-one-out error, those flagged ⚠ first; again: "
            "the next",
            name="bridgecorr_worst_pair",
        )
        self.search.textChanged.connect(self._on_filter)
        self.kind.currentIndexChanged.connect(self._on_filter)
        self.worst.clicked.connect(self.go_to_worst)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.search, 2)
        row.addWidget(self.kind, 2)
        row.addWidget(self.worst, 1)
        return row

    def _action_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        self.enable = button("Enable", "Let the fit use the selected pairs", name="bridgecorr_on")
        self.disable = button(
            "Leave out", "Keep the selected pairs, but out of the fit", name="bridgecorr_off"
        )
        self.refine = button(
            "Refine",
            "Move the selected pairs' moving points to where both images agree best",
            name="bridgecorr_refine_these",
        )
        self.delete = button(
            "Delete", "Delete the selected landmarks on both sides", name="bridgecorr_delete"
        )
        self.enable.clicked.connect(self._on_enable)
        self.disable.clicked.connect(self._on_disable)
        self.refine.clicked.connect(self.refine_asked)
        self.delete.clicked.connect(self._on_delete)
        for made in (self.enable, self.disable, self.refine, self.delete):
            row.addWidget(made, 1)
        return row

    # -- showing ---------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the landmarks, their errors and what is odd about them."""
        session = self._session
        judgement = session.judgement.result if session.fit is not None else None
        self.table.show_landmarks(session.landmarks, session.fit, judgement)
        found = () if judgement is None else judgement.mismatches
        # both of two swapped pairs bring the same line
        lines = list(dict.fromkeys(self._line(m.id, m.reason, m.belongs_to) for m in found))
        told = [marked("⚠", AMBER, t) for t in lines[:_MOST_TOLD]]
        if len(lines) > _MOST_TOLD:
            told.append(f"and {len(lines) - _MOST_TOLD} more: filter “Only flagged ⚠”")
        told += filter(None, [escape(words_beside(session))])
        self.words.setText("<br>".join(told))
        self.words.setVisible(bool(told))
        self._on_selected()

    @staticmethod
    def _line(landmark_id: str, reason: str, belongs_to: str) -> str:
        reason = reason.replace(" um", " µm")
        return reason if belongs_to and "look" in reason else f"{landmark_id}: {reason}"

    def _on_selected(self) -> None:
        chosen = self.table.selected_ids()
        n = len(self.table.rows.all_rows)
        shown = len(self.table.rows.shown)
        for made in (self.enable, self.disable, self.refine, self.delete):
            made.setEnabled(bool(chosen))
        self.worst.setEnabled(bool(self.table.worst_after()))
        counts = [f"{n} landmarks" if n != 1 else "1 landmark"]
        if shown != n:
            counts.append(f"{shown} shown")
        counts.append(f"{len(chosen)} selected")
        self.count.setText(" · ".join(counts) if n else "No landmarks yet.")

    def _on_filter(self, *_: object) -> None:
        self.table.rows.set_filter(self.search.text(), self.kind.currentData())
        self._on_selected()

    # -- doing -----------------------------------------------------------------------------------

    def go_to_worst(self) -> None:
        """Select the worst pair and look at it; pressed again, the next worse one."""
        selected = self.table.selected_ids()
        self._at = self.table.worst_after(self._at if selected == [self._at] else "")
        if not self._at:
            self._session.told.emit("No pair has an error yet: place more pairs.", False)
            return
        if self.table.row_of(self._at) < 0:  # hidden by the filter
            self.search.clear()
            self.kind.setCurrentIndex(0)
        self.table.select_ids([self._at])
        self.table.scrollTo(self.table.rows.index(self.table.row_of(self._at), 0))
        self.landmark_chosen.emit(self._at)

    def _on_enable(self) -> None:
        set_values(self._session, "enabled", dict.fromkeys(self.table.selected_ids(), True))

    def _on_disable(self) -> None:
        set_values(self._session, "enabled", dict.fromkeys(self.table.selected_ids(), False))

    def _on_delete(self) -> None:
        remove(self._session, self.table.selected_ids())


def register_keys() -> None:
    """Make the key known to napari, once, with the user's own where there is one."""
    register_viewer_key(
        ViewerKey(
            WORST,
            "Worst pair",
            "Go to the pair with the largest leave-one-out error, those flagged ⚠ first",
            "Go to the worst landmark pair (bridgecorr)",
            "Shift+W",
            _go_to_worst,
        )
    )


def _go_to_worst(session: ViewerSession) -> None:
    session.worst_asked.emit()
