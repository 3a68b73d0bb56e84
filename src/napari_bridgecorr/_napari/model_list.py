"""Part of step 3: models and smoothings with their errors at left-out pairs; a click chooses."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from ..errors import FitError, one_line
from ..fitting import (
    MODELS,
    FitOptions,
    ModelScore,
    SmoothingScore,
    compare_models,
    compare_smoothings,
)
from ..fitting.checks import check_pairs
from ..landmarks import LandmarkPairs
from .jobs import LatestAnswer
from .panel_parts import wrapped
from .summary import MODEL_NAMES, for_the_window

if TYPE_CHECKING:
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_VALUE = int(Qt.ItemDataRole.UserRole)
_TEXT = _VALUE + 1
# while a point is dragged the processor belongs to what the screen shows
_REST_MS = 800
_ROW_PX = 22
_SMOOTHINGS = 5
Compared = tuple[tuple[ModelScore, ...], dict[str, str], tuple[SmoothingScore, ...]]


def compared(pairs: LandmarkPairs, options: FitOptions) -> Compared:
    """The models' scores, why others cannot be fitted, and the spline's smoothings; for a thread.

    Raises
    ------
    FitError
        If the pairs determine none.
    """
    reasons = {}
    for model in MODELS:
        try:
            check_pairs(pairs, model, options.dimensions)
        except FitError as error:
            reasons[model] = for_the_window(one_line(error))
    smoothings = () if "tps" in reasons else compare_smoothings(pairs, options)
    return compare_models(pairs, options), reasons, smoothings


class ModelList(QWidget):
    """Compares the models while it is unfolded, whenever the landmarks have come to rest."""

    model_chosen = Signal(str)
    smoothing_chosen = Signal(object)
    """"auto" or lambda, of the thin-plate spline."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self._session = session
        self._asked: tuple[LandmarkPairs, FitOptions] | None = None
        self._answers = LatestAnswer()
        self._answers.answered.connect(self._show)
        self._answers.failed.connect(self._say)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._ask)
        self.tree = _table("bridgecorr_models", "Models compared", "Model", len(MODELS))
        self.tree.itemClicked.connect(self._on_clicked)
        self.smoothings = _table(
            "bridgecorr_smoothings", "Smoothings compared", "Smoothing of the spline", _SMOOTHINGS
        )
        self.smoothings.itemClicked.connect(self._on_smoothing_clicked)
        self.smoothings.hide()
        self.words = wrapped("bridgecorr_models_words")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.tree)
        column.addWidget(self.smoothings)
        column.addWidget(self.words)
        lifeline.connect(session.landmarks_changed, self._on_changed)
        lifeline.connect(session.fit_changed, self._on_changed)

    @property
    def is_busy(self) -> bool:
        """Whether a comparison is still to come."""
        return self._rest.isActive() or self._answers.is_busy

    def showEvent(self, event: object) -> None:
        """Unfolded: compare now."""
        super().showEvent(event)
        self._on_changed()

    def _on_changed(self) -> None:
        if isalive(self) and self.isVisible():
            self._mark_chosen()
            self._rest.start()

    def _ask(self) -> None:
        pairs, options = self._session.landmarks.pairs(), self._session.options
        before = self._asked
        if (
            before is not None
            and before[0].ids == pairs.ids
            and np.array_equal(before[0].fixed_um, pairs.fixed_um)
            and np.array_equal(before[0].moving_um, pairs.moving_um)
            and replace(before[1], model="auto") == replace(options, model="auto")
        ):
            return
        self._asked = (pairs, options)
        if not len(pairs):
            self.tree.clear()
            self._say("Place pairs to see how well each model predicts left-out ones.")
            return
        self._say("Comparing: every model is fitted without some pairs, and asked for them…")
        self._answers.ask(lambda: compared(pairs, options))

    def _show(self, answer: Compared) -> None:
        if not isalive(self):
            return
        scores, reasons, smoothings = answer
        # the recommendation forgives some models a little; a list is in the order of its numbers
        scores = tuple(sorted(scores, key=lambda s: s.mean_um))
        self.tree.clear()
        for score in scores:
            numbers = [_number(score.mean_um), _number(score.median_um)]
            _add(self.tree, [MODEL_NAMES[score.model], *numbers], score.model)
        told = {s.model for s in scores}
        for model in MODELS:
            if model in told:
                continue
            item = _add(self.tree, [MODEL_NAMES[model], "–", "–"], model)
            item.setDisabled(True)
            reason = reasons.get(model, "It predicts hardly any pair when some are left out")
            item.setToolTip(0, reason)
        self.smoothings.clear()
        unit = "µm" if self._session.options.dimensions == 3 else "µm²"
        for each in smoothings:
            numbers = [_number(each.mean_um), _number(each.median_um)]
            value = "auto" if each.is_auto else each.smoothing
            _add(self.smoothings, [_smoothing_words(each, unit), *numbers], value)
        self._mark_chosen()
        self._say(_words(scores, reasons, self._session.options.model))

    def _mark_chosen(self) -> None:
        fit = self._session.fit
        chosen = self._session.options.model
        if chosen == "auto" and fit is not None:
            chosen = fit.options.model
        _mark(self.tree, chosen)
        asked = self._session.options.smoothing
        _mark(self.smoothings, "auto" if isinstance(asked, str) else asked)
        self.smoothings.setVisible(chosen == "tps" and self.smoothings.topLevelItemCount() > 0)

    def _say(self, text: str) -> None:
        if not isalive(self):
            return
        self.words.setText(f'<span style="font-size:11px">{escape(text)}</span>')

    def _on_clicked(self, item: QTreeWidgetItem) -> None:
        self.model_chosen.emit(item.data(0, _VALUE))
        self._mark_chosen()

    def _on_smoothing_clicked(self, item: QTreeWidgetItem) -> None:
        self.smoothing_chosen.emit(item.data(0, _VALUE))
        self._mark_chosen()


def _table(name: str, title: str, heading: str, n_rows: int) -> QTreeWidget:
    """A list of so many rows with two columns of errors."""
    tree = QTreeWidget()
    tree.setObjectName(name)
    tree.setAccessibleName(title)
    tree.setToolTip("Errors at pairs that were left out (µm); a click on a row fits it")
    tree.setHeaderLabels([heading, "Mean µm", "Median µm"])
    for column, tip in enumerate(
        (
            "Click a row to fit it",
            "Mean distance (µm) of left-out pairs from where the others predict them",
            "Median distance (µm) of left-out pairs from where the others predict them",
        )
    ):
        tree.headerItem().setToolTip(column, tip)
    tree.setRootIsDecorated(False)
    header = tree.header()
    header.setStretchLastSection(False)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    tree.setColumnWidth(1, 72)
    tree.setColumnWidth(2, 84)
    tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    tree.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    tree.setFixedHeight(_ROW_PX * (n_rows + 1) + 8)
    return tree


def _add(tree: QTreeWidget, texts: list[str], value: str | float) -> QTreeWidgetItem:
    item = QTreeWidgetItem(texts)
    item.setData(0, _VALUE, value)
    item.setData(0, _TEXT, texts[0])
    item.setSizeHint(0, QSize(0, _ROW_PX))
    for column in (1, 2):
        item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    tree.addTopLevelItem(item)
    return item


def _mark(tree: QTreeWidget, chosen: str | float) -> None:
    """Show which row is in use."""
    for row in range(tree.topLevelItemCount()):
        item = tree.topLevelItem(row)
        is_chosen = item.data(0, _VALUE) == chosen
        item.setText(0, f"{'●' if is_chosen else '○'} {item.data(0, _TEXT)}")
        font = item.font(0)
        font.setBold(is_chosen)
        for column in range(3):
            item.setFont(column, font)


def _smoothing_words(score: SmoothingScore, unit: str) -> str:
    value = score.smoothing
    number = f"λ {value:.0f} {unit}" if 100 <= value < 1e6 else f"λ {value:.3g} {unit}"
    if score.is_auto:
        return f"Automatic, {number}"
    return number if score.smoothing else "None, through every pair"


def _number(value: float) -> str:
    return f"{value:.1f}" if np.isfinite(value) else "–"


def _words(scores: tuple[ModelScore, ...], reasons: dict[str, str], chosen: str) -> str:
    """What the numbers say, and what keeps other models from being fitted."""
    parts = []
    known = {s.model: s for s in scores if np.isfinite(s.mean_um)}
    if known:
        best = scores[0]
        text = f"{MODEL_NAMES[best.model]} predicts left-out pairs best"
        mine = known.get(chosen)
        if mine is not None and mine is not best and mine.mean_um > best.mean_um > 0:
            more = 100 * (mine.mean_um / best.mean_um - 1)
            text += f"; {MODEL_NAMES[chosen].lower()} is {more:.0f} % farther off"
        parts.append(f"{text} (mean over {best.n} pairs).")
    parts += [f"{MODEL_NAMES[m]}: {why}." for m, why in list(reasons.items())[-1:]]
    return " ".join(parts) or "Too few pairs to compare models: place more."
