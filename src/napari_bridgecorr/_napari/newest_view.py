"""Pictures worked out for what is shown: the newest question wins, one thread at a time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Signal

from ..progress import Progress
from .jobs import Job


@dataclass(frozen=True, eq=False)
class ViewQuestion:
    """One picture to be worked out.

    Parameters
    ----------
    work : callable
        Takes a Progress, which may stop it; gives the picture.
    place : hashable
        What is looked at. The answer to an older question about the same place is still worth
        showing (it is how a dragged landmark moves the picture), that about another is not.
    about : object
        Passed on with the answer.
    """

    work: Callable[[Progress], Any]
    place: Hashable
    about: Any


class NewestView(QObject):
    """Works out one picture at a time; of those that wait only the newest is kept.

    A picture that is being worked out is stopped when another place is asked about. When only the
    map has changed it is finished and shown first: while a landmark is dragged every picture would
    otherwise be stopped by the next.
    """

    answered = Signal(object, object)
    """The question and its picture."""
    failed = Signal(str)
    idle = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._job: Job | None = None
        self._asked: ViewQuestion | None = None
        self._waiting: ViewQuestion | None = None
        self._is_wanted = False

    @property
    def is_busy(self) -> bool:
        """Whether a picture is still to come."""
        return self._job is not None

    def ask(self, question: ViewQuestion) -> None:
        """Work out a picture, instead of any that waits."""
        if self._job is None:
            self._begin(question)
            return
        self._waiting = question
        if self._asked is None or question.place != self._asked.place:
            self._is_wanted = False
            self._job.cancel()

    def drop(self) -> None:
        """Forget every question; nothing more is answered."""
        self._waiting, self._is_wanted = None, False
        if self._job is not None:
            self._job.cancel()

    def _begin(self, question: ViewQuestion) -> None:
        self._asked, self._is_wanted = question, True
        self._job = Job(question.work)
        self._job.succeeded.connect(self._pass_on)
        self._job.failed.connect(self._pass_failure_on)
        self._job.ended.connect(self._next)
        self._job.start()

    def _pass_on(self, answer: Any) -> None:
        if self._is_wanted:
            self.answered.emit(self._asked, answer)

    def _pass_failure_on(self, reason: str) -> None:
        if self._is_wanted:
            self.failed.emit(reason)

    def _next(self) -> None:
        self._job = None
        if self._waiting is not None:
            question, self._waiting = self._waiting, None
            self._begin(question)
        else:
            self.idle.emit()
