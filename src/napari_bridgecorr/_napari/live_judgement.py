"""The judgement of the newest fit, worked out once the landmarks have come to rest."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from ..fitting import Fit, Judgement, judge
from ..landmarks import LandmarkSet
from .jobs import LatestAnswer

# while a point is dragged the processor belongs to what the screen shows
_REST_MS = 400


class LiveJudgement:
    """Judges off the GUI thread, after landmarks and fit have not changed for a moment.

    Parameters
    ----------
    changed : callable
        Called in the GUI thread when `result` is another.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._asked: tuple[LandmarkSet, Fit] | None = None
        self._judged: tuple[LandmarkSet, Fit] | None = None
        self._answers = LatestAnswer()
        self._rest = QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self.result: Judgement | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a judgement is still to come."""
        return self._asked is not None and self._asked is not self._judged

    def start(self) -> None:
        """Begin to listen for answers."""
        self._answers.answered.connect(self._take)
        self._rest.timeout.connect(self._begin)

    def stop(self) -> None:
        """Drop every question and listen no more."""
        if isalive(self._answers):  # when the interpreter ends Qt's objects go first
            self._answers.answered.disconnect(self._take)
        self._answers.drop()
        if isalive(self._rest):
            self._rest.stop()
            self._rest.timeout.disconnect(self._begin)
        self._asked = None

    def ask(self, landmarks: LandmarkSet, fit: Fit | None) -> None:
        """Ask for the judgement of a fit, unless it is the one asked for last."""
        if fit is None:
            self._asked = None
            self._answers.drop()
            self._rest.stop()
            if self.result is not None:
                self.result = None
                self._changed()
            return
        asked = self._asked
        if asked is None or asked[1] is not fit or asked[0] != landmarks:
            self._asked = (landmarks, fit)
            self._rest.start()

    def _begin(self) -> None:
        question = self._asked
        if question is not None:
            self._answers.ask(lambda: (question, judge(*question)))

    def _take(self, answer: tuple[tuple[LandmarkSet, Fit], Judgement]) -> None:
        question, found = answer
        if question is self._asked:
            self.result, self._judged = found, question
            self._changed()
