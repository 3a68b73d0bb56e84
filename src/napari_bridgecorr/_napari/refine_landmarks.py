"""Part of step 2 of the Register panel: landmarks moved to where the images agree, and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ..errors import BridgecorrError
from ..landmarks import Side
from ..refine import View, suggested_lengths
from .jobs import Job
from .landmark_layers import SIDES
from .landmark_moves import (
    Moves,
    Question,
    answer,
    in_words,
    move_points,
    one_by_one,
    time_shown,
    undo,
    undone_in_words,
)
from .panel_jobs import PanelJobs
from .panel_parts import ProgressLine, button, muted, wrapped
from .summary import for_the_window

if TYPE_CHECKING:
    from ..refine import RefinedLandmarks
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_RADIUS_TIP = (
    "Radius (µm, fixed image) of the surroundings of each landmark in which the two images are "
    "compared. Smaller follows finer detail; larger is surer where there is little to see"
)
_STEP_TIP = "No point is moved farther than this (µm, moving image)"


class RefineLandmarks(QWidget):
    """Refines landmarks in a job, shows what became of them, takes it back."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self._session = session
        self._lifeline = lifeline
        self._selected: tuple[str, ...] = ()
        self._asked: Question | None = None
        self._moves: list[Moves] = []
        self._edited: set[QDoubleSpinBox] = set()
        self._suggested_for: tuple[object, ...] = ()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(
            muted(
                "Moves each moving point to where both images look most alike, if that place is "
                "certain. Fixed points stay."
            )
        )
        self._form = form = QFormLayout()
        form.setHorizontalSpacing(8)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self.radius = _micrometres("bridgecorr_refine_radius", _RADIUS_TIP)
        self.max_step = _micrometres("bridgecorr_refine_step", _STEP_TIP)
        form.addRow("Compare within", self.radius)
        form.addRow("Move at most", self.max_step)
        self.channels: dict[Side, QComboBox] = {}
        for side in SIDES:
            self.channels[side] = _channel_box(side)
            form.addRow(f"{side.capitalize()} channel", self.channels[side])
        column.addLayout(form)
        row = QHBoxLayout()
        row.setSpacing(4)
        self.refine_all = button("Refine all", "", name="bridgecorr_refine_all")
        self.refine_selected = button("Refine selected", "", name="bridgecorr_refine_selected")
        self.undo = button("Undo refinement", "", name="bridgecorr_undo_refinement")
        for made in (self.refine_all, self.refine_selected, self.undo):
            row.addWidget(made, 1)
        column.addLayout(row)
        self.reason = muted()
        column.addWidget(self.reason)
        self.progress = ProgressLine()
        column.addWidget(self.progress)
        self.result = wrapped("bridgecorr_refined")
        self.result.hide()
        column.addWidget(self.result)
        self.jobs = PanelJobs(lifeline, self.progress, self)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.cancelled.connect(self._on_cancelled)
        self.jobs.changed.connect(self.refresh)
        for spin in (self.radius, self.max_step):
            spin.valueChanged.connect(partial(self._on_edited, spin))
        self.refine_all.clicked.connect(self._on_all)
        self.refine_selected.clicked.connect(self._on_selected)
        self.undo.clicked.connect(self.undo_last)
        for signal in (session.landmarks_changed, session.images_changed):
            lifeline.connect(signal, self._on_changed)
        lifeline.connect(session.layers_changed, self.refresh)
        lifeline.connect(session.fit_changed, self.refresh)
        self.refresh()

    # -- showing ---------------------------------------------------------------------------------

    def set_selected(self, ids: Sequence[str]) -> None:
        """Say which landmarks are selected."""
        self._selected = tuple(ids)
        self.refresh()

    def refresh(self) -> None:
        """Offer what can be done now, or say why not."""
        self._show_channels()
        self._suggest()
        lacking = self._lacking()
        self.reason.setText(lacking)
        self.reason.setVisible(bool(lacking))
        is_ready = not lacking and not self.jobs.is_busy
        chosen = self._chosen()
        self.refine_all.setEnabled(is_ready)
        self.refine_all.setToolTip(lacking or "Every pair that is ticked")
        self.refine_selected.setEnabled(is_ready and bool(chosen))
        self.refine_selected.setToolTip(
            lacking
            or (
                f"Only {', '.join(chosen[:8])}{'…' if len(chosen) > 8 else ''}"
                if chosen
                else "Select pairs in the table first (Ctrl or Shift for several)"
            )
        )
        self._moves = [m for m in self._moves if m.layer() is not None]
        can_undo = bool(self._moves) and not self.jobs.is_busy
        self.undo.setEnabled(can_undo)
        self.undo.setToolTip(
            "Put the points back where they were before the last refinement"
            if can_undo
            else "Nothing has been refined"
        )

    def _lacking(self) -> str:
        session = self._session
        try:
            images = [session.image(side) for side in SIDES]
        except BridgecorrError as error:
            return str(error)
        if any(image is None for image in images):
            return "Choose a fixed and a moving image in step 1 first."
        if session.fit is None:
            return "Needs a fit: place more pairs, or see step 3 for what is wrong."
        return ""

    def _chosen(self) -> tuple[str, ...]:
        pairs = {m.id for m in self._session.landmarks if m.is_pair}
        return tuple(i for i in self._selected if i in pairs)

    def _show_channels(self) -> None:
        for side, box in self.channels.items():
            try:
                image = self._session.image(side)
            except BridgecorrError:
                image = None
            names = [] if image is None else [c.name for c in image.channels]
            if [box.itemText(i) for i in range(box.count())] != names:
                box.clear()
                box.addItems(names)
            self._form.setRowVisible(box, len(names) > 1)

    def _suggest(self) -> None:
        """Lengths that suit these images, until the user writes others."""
        layers = tuple(self._session.image_layer(side) for side in SIDES)
        if layers != self._suggested_for:
            self._suggested_for = layers
            self._edited.clear()
        if len(self._edited) == 2 or not self.isVisible():
            return
        fit = self._session.fit
        try:
            views = self._views()
            if fit is None or views is None:
                return
            lengths = suggested_lengths(self._session.landmarks, *views, fit.transform)
        except BridgecorrError:
            return  # it is told when refinement is asked for
        for spin, length in zip((self.radius, self.max_step), lengths, strict=True):
            if spin not in self._edited:
                blocker = QSignalBlocker(spin)
                spin.setValue(length)
                blocker.unblock()

    def showEvent(self, event: object) -> None:
        """Unfolded: judge the lengths now."""
        super().showEvent(event)
        self.refresh()

    # -- doing -----------------------------------------------------------------------------------

    def can_refine(self, landmark_id: str) -> bool:
        """Whether one landmark could be refined now."""
        pairs = {m.id for m in self._session.landmarks if m.is_pair}
        return landmark_id in pairs and not self._lacking() and not self.jobs.is_busy

    def start(self, only: tuple[str, ...] | None) -> None:
        """Refine these landmarks, or all, in a job."""
        fit = self._session.current_fit()
        try:
            views = self._views()
        except BridgecorrError as error:
            self._session.told.emit(str(error), True)
            return
        if fit is None or views is None:
            self._session.told.emit(self._lacking(), True)
            return
        self._asked = question = Question(
            self._session.landmarks,
            *views,
            fit.transform,
            self.radius.value(),
            self.max_step.value(),
            only,
        )
        self.result.hide()
        job = Job(partial(answer, question))
        self.jobs.start(job, partial(self._on_answer, question), "refining landmarks")

    def undo_last(self) -> None:
        """Put back what the last refinement moved."""
        if not self._moves:
            return
        said = undone_in_words(*undo(self._moves.pop()))
        self.result.hide()
        self._session.read_now()
        self._session.told.emit(said, False)
        self.refresh()

    def _views(self) -> tuple[View, View] | None:
        found = []
        for side in SIDES:
            image, layer = self._session.image(side), self._session.image_layer(side)
            viewer = self._session.viewer
            if image is None or layer is None or viewer is None:
                return None
            channel = max(self.channels[side].currentIndex(), 0)
            found.append(View(image, channel, time_shown(viewer, layer, image)))
        return found[0], found[1]

    def _still_holds(self, question: Question) -> bool:
        try:
            images = [self._session.image(side) for side in SIDES]
        except BridgecorrError:
            return False
        return question.still_holds(self._session.landmarks, images[0], images[1])

    def _on_answer(self, question: Question, result: RefinedLandmarks) -> None:
        self._session.read_now()  # a point that is being dragged has not been read yet
        layer = self._session.point_layer("moving")
        if layer is None or not self._still_holds(question):
            self._tell_dropped()
            return
        to_um = {s.id: s.after_um for s in result.accepted}
        if to_um:
            unit = self._session.unknown_units()[SIDES.index("moving")]
            n = len(to_um)
            self._session.history.name_next(f"refine {n} landmark{'' if n == 1 else 's'}")
            self._moves.append(move_points(layer, to_um, unit))
            self._session.read_now()
        headline, reasons = in_words(result)
        lines = [f'<span style="font-weight:600">{escape(headline)}</span>']
        lines += [f'<span style="font-size:11px">{escape(reason)}</span>' for reason in reasons]
        self.result.setText("<br>".join(lines))
        self.result.setToolTip(one_by_one(result))
        self.result.show()
        self._session.told.emit(f"{headline}.", False)

    def _on_changed(self) -> None:
        if self.jobs.is_busy and self._asked is not None and not self._still_holds(self._asked):
            self.jobs.stop()
            self._tell_dropped()
        self.refresh()

    def _tell_dropped(self) -> None:
        self._session.told.emit(
            "Landmarks or images changed meanwhile: nothing was refined. Refine again.", False
        )

    def _on_failed(self, reason: str) -> None:
        self._session.told.emit(for_the_window(reason), True)

    def _on_cancelled(self) -> None:
        self._session.told.emit("Cancelled; every landmark is where it was.", False)

    def _on_edited(self, spin: QDoubleSpinBox, value: float) -> None:  # noqa: ARG002 - Qt's
        self._edited.add(spin)

    def _on_all(self) -> None:
        self.start(None)

    def _on_selected(self) -> None:
        self.start(self._chosen())


class _Micrometres(QDoubleSpinBox):
    """A length without zeros at its end."""

    def textFromValue(self, value: float) -> str:
        """As short as it can be."""
        return f"{value:.6g}"


def _micrometres(name: str, tip: str) -> QDoubleSpinBox:
    spin = _Micrometres()
    spin.setObjectName(name)
    spin.setRange(0.01, 1e6)
    spin.setDecimals(2)
    spin.setSuffix(" µm")
    spin.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
    spin.setToolTip(tip)
    spin.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return spin


def _channel_box(side: Side) -> QComboBox:
    box = QComboBox()
    box.setObjectName(f"bridgecorr_refine_{side}_channel")
    box.setToolTip(f"Which channel of the {side} image is compared")
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(9)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box
