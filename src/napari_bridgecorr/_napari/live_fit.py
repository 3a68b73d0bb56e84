"""The fit of landmarks while they are being placed: always the newest, never in the way."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.compat import isalive

from ..errors import FitError, one_line
from ..fitting import Fit, FitOptions, fit
from ..landmarks import Landmark, LandmarkSet
from .jobs import LatestAnswer

# what a fit depends on: the pairs that it uses, and its options
Question = tuple[tuple[Landmark, ...], FitOptions]


class LiveFit:
    """Fits off the GUI thread whenever what a fit depends on has changed.

    Parameters
    ----------
    changed : callable
        Called in the GUI thread when `result` or `error` is another.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._asked: Question | None = None
        self._fitted: Question | None = None
        self._answers = LatestAnswer()
        self.result: Fit | None = None
        self.error = ""

    @property
    def is_busy(self) -> bool:
        """Whether a fit is being worked out."""
        return self._answers.is_busy

    def start(self) -> None:
        """Begin to listen for answers."""
        self._answers.answered.connect(self._take)

    def stop(self) -> None:
        """Drop every question and listen no more."""
        if isalive(self._answers):  # when the interpreter ends Qt's objects go first
            self._answers.answered.disconnect(self._take)
        self._answers.drop()
        self._asked = None

    def ask(self, landmarks: LandmarkSet, options: FitOptions, *, again: bool = False) -> None:
        """Ask for the fit of these landmarks, unless it is the one asked for last."""
        question = _question(landmarks, options)
        if question != self._asked or again:
            self._asked = question
            self._answers.ask(lambda: _answer(question, landmarks))

    def wait_for(self, landmarks: LandmarkSet, options: FitOptions) -> Fit | None:
        """The fit of these landmarks, here and now if need be; None if there is none."""
        question = _question(landmarks, options)
        if question != self._fitted:
            self._asked = question
            self._take(_answer(question, landmarks))
        return self.result

    def _take(self, answer: tuple[Question, Fit | None, str]) -> None:
        question, result, error = answer
        if question == self._asked:
            self.result, self.error, self._fitted = result, error, question
            self._changed()


def _question(landmarks: LandmarkSet, options: FitOptions) -> Question:
    return tuple(m for m in landmarks if m.enabled and m.is_pair and not m.check), options


def _answer(question: Question, landmarks: LandmarkSet) -> tuple[Question, Fit | None, str]:
    try:
        return question, fit(landmarks.pairs(), question[1]), ""
    except FitError as error:
        return question, None, one_line(error)
