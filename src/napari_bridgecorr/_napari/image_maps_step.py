"""Step 4 of the Register panel: maps that the images give."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QPushButton

from ..errors import BridgecorrError
from .find_map import FindMap
from .image_maps import Inputs, Outcome
from .image_method import ImageMethod, in_window
from .jobs import Job
from .panel_jobs import PanelJobs
from .panel_parts import ProgressLine, Step, button, muted
from .place_map import PlaceMap
from .refine_map import RefineMap

if TYPE_CHECKING:
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_METHODS = (
    ("Refine map", "Improve the map there is by the images"),
    ("Find map", "Find a map without landmarks"),
    ("Place section", "Place a flat image in a volume"),
)
_BUSY = "Wait for the work that is going on, or stop it."


class ImageMapsStep(Step):
    """One method at a time is unfolded; one job at a time runs."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__(4, "By the images")
        self._session = session
        self._lifeline = lifeline
        self._running: tuple[ImageMethod, Inputs] | None = None
        self.refine, self.find = RefineMap(session), FindMap(session)
        self.place = PlaceMap(session)
        self.methods: tuple[ImageMethod, ...] = (self.refine, self.find, self.place)
        self.hint = muted("Optional. The images improve the map, or find one.")
        self.body.addWidget(self.hint)
        row = QHBoxLayout()
        row.setSpacing(2)
        self.folds: list[QPushButton] = []
        for (text, tip), method in zip(_METHODS, self.methods, strict=True):
            fold = button(text, tip, name=f"bridgecorr_open_{method.name}", checkable=True)
            fold.toggled.connect(partial(self._on_fold, method))
            self.folds.append(fold)
            row.addWidget(fold, 1)
        self.body.addLayout(row)
        for method in self.methods:
            method.hide()
            method.asked.connect(partial(self.start, method))
            self.body.addWidget(method)
        self.progress = ProgressLine()
        self.progress.cancel.setText("Stop")
        self.progress.cancel.setToolTip("Stop the work; the best map found so far is kept, if any")
        self.body.addWidget(self.progress)
        self.jobs = PanelJobs(lifeline, self.progress, self)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.cancelled.connect(self._on_cancelled)
        self.jobs.changed.connect(self.refresh)
        for signal in (
            session.layers_changed,
            session.images_changed,
            session.landmarks_changed,
            session.fit_changed,
            session.maps.changed,
        ):
            lifeline.connect(signal, self._on_changed)
        self.place.way.activated.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Offer what can be done now."""
        busy = _BUSY if self.jobs.is_busy else ""
        for method in self.methods:
            method.refresh(busy)

    # -- doing -----------------------------------------------------------------------------------

    def start(self, method: ImageMethod) -> None:
        """Ask what a method's widgets say, in a job."""
        self._session.read_now()
        lacking = method.lacking()
        if lacking:
            self._session.told.emit(lacking, True)
            return
        try:
            inputs, work = method.question()
        except BridgecorrError as error:
            self._session.told.emit(str(error), True)
            return
        method.forget_outcome()
        self._running = method, inputs
        self.jobs.start(
            Job(work, keeps_best=True), partial(self._on_outcome, method, inputs), method.task
        )

    def _on_outcome(self, method: ImageMethod, inputs: Inputs, outcome: Outcome) -> None:
        self._running = None
        self._session.read_now()  # a point that is being dragged has not been read yet
        if not self._session.still_hold(inputs):
            self._tell_dropped()
            return
        method.show_outcome(outcome)
        if outcome.found is not None:
            self._session.maps.add(outcome.found)
        self._session.told.emit(in_window(outcome.headline) + ".", False)

    def _on_changed(self) -> None:
        if self.jobs.is_busy and self._running is not None:
            _, inputs = self._running
            if not self._session.still_hold(inputs):
                self._running = None
                self.jobs.stop()
                self._tell_dropped()
        self.refresh()

    def _tell_dropped(self) -> None:
        self._session.told.emit(
            "Landmarks, images or the fit's options changed meanwhile: the map is as it was. Start "
            "again.",
            False,
        )

    def _on_failed(self, reason: str) -> None:
        self._session.told.emit(in_window(reason), True)

    def _on_cancelled(self) -> None:
        self._session.told.emit("Stopped before there was a map to keep; nothing changed.", False)

    def _on_fold(self, method: ImageMethod, is_open: bool) -> None:
        if is_open:
            for fold, other in zip(self.folds, self.methods, strict=True):
                if other is not method:
                    fold.setChecked(False)
        method.setVisible(is_open)
