"""One piece of long work at a time in a panel: its bar, its cancel button, no stale answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from .jobs import Job
from .lifeline import Lifeline
from .panel_parts import ProgressLine

# quick work needs no bar
_BAR_AFTER_MS = 300


class PanelJobs(QObject):
    """Runs a panel's jobs. Starting one cancels the one before, whose answer is dropped.

    Parameters
    ----------
    lifeline : Lifeline
    progress : ProgressLine
    parent : QObject
        The panel.
    """

    failed = Signal(str)
    cancelled = Signal()
    changed = Signal()
    """Work has begun or ended."""

    def __init__(self, lifeline: Lifeline, progress: ProgressLine, parent: QObject) -> None:
        super().__init__(parent)
        self._lifeline, self._progress = lifeline, progress
        self._job: Job | None = None
        self._reveal = QTimer(self)
        self._reveal.setSingleShot(True)
        self._reveal.setInterval(_BAR_AFTER_MS)
        self._reveal.timeout.connect(progress.show)
        progress.cancel_asked.connect(self.cancel)
        progress.hide()

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._job is not None

    def start(self, job: Job, then: Callable[[Any], None], task: str) -> None:
        """Start a job in the place of the one before."""
        self.stop()
        self._job = job
        job.began.connect(partial(self._pass_on, job, self._progress.begin))
        job.advanced.connect(partial(self._pass_on, job, self._progress.advance))
        job.failed.connect(partial(self._pass_on, job, self.failed.emit))
        job.cancelled.connect(partial(self._pass_on, job, self.cancelled.emit))
        job.succeeded.connect(partial(self._on_succeeded, job, then))
        job.ended.connect(partial(self._on_ended, job))
        self._progress.begin(task, 0)
        self._reveal.start()
        self._lifeline.start(job)
        self.changed.emit()

    def is_current(self, job: Job) -> bool:
        """Whether a job's answer is still wanted."""
        return job is self._job and not self._lifeline.is_over

    def stop(self) -> None:
        """Cancel the job; nothing more is heard of it."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
        self._hide()

    def cancel(self) -> None:
        """Cancel the job; `cancelled` follows."""
        if self._job is not None:
            self._job.cancel()

    def _pass_on(self, job: Job, hear: Callable[..., None], *values: Any) -> None:
        if self.is_current(job):
            hear(*values)

    def _on_succeeded(self, job: Job, then: Callable[[Any], None], answer: Any) -> None:
        if self.is_current(job):
            self._job = None  # `then` may start the next
            self._hide()
            then(answer)
            if not self._lifeline.is_over:
                self.changed.emit()

    def _on_ended(self, job: Job) -> None:
        if self.is_current(job):
            self._job = None
            self._hide()
            self.changed.emit()

    def _hide(self) -> None:
        self._reveal.stop()
        self._progress.hide()
