"""Long work off the GUI thread: progress, cancelling, and answers that come too late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any, ClassVar

from qtpy.QtCore import QObject, Signal

from ..errors import BridgecorrError, Cancelled, one_line
from ..progress import Progress

_SECONDS_BETWEEN_REPORTS = 0.04

# kept: the GUI thread would wait until a new thread has begun, some milliseconds for every picture
# that is worked out while a landmark is dragged
_workers = ThreadPoolExecutor(32, thread_name_prefix="bridgecorr job")


class Job(QObject):
    """One call of a function in another thread.

    Its signals arrive in the GUI thread. Exactly one of `succeeded`, `failed` and `cancelled` is
    followed by `ended`; a bug emits `ended` alone and is raised in the thread, where napari reports
    it with its traceback.

    Parameters
    ----------
    function : callable
        Takes a :class:`~napari_bridgecorr.progress.Progress` and returns the answer.
    keeps_best : bool
        Whether an answer that is given in spite of cancelling counts: the best so far.
    """

    began = Signal(str, object)  # task, number of steps: beyond 32 bits for big images
    advanced = Signal(object)  # steps done
    succeeded = Signal(object)
    failed = Signal(str)
    cancelled = Signal()
    ended = Signal()

    # a job keeps itself alive until its thread's last signal has been delivered
    _running: ClassVar[set[Job]] = set()

    def __init__(self, function: Callable[[Progress], Any], *, keeps_best: bool = False) -> None:
        super().__init__()
        self._function = function
        self._keeps_best = keeps_best
        self._stop = threading.Event()
        self._work: Future[None] | None = None
        self.ended.connect(self._forget)

    def start(self) -> None:
        """Begin. Call once."""
        Job._running.add(self)
        self._work = _workers.submit(self._run)
        self._work.add_done_callback(_tell_of_bug)

    def cancel(self) -> None:
        """Ask the work to stop at its next report of progress; returns at once."""
        self._stop.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the work; whether it has ended."""
        if self._work is not None:
            wait_for([self._work], timeout_s)
        return not self.is_running

    @property
    def is_running(self) -> bool:
        """Whether it is still at work."""
        return self._work is not None and not self._work.done()

    def _run(self) -> None:
        try:
            answer = self._function(_SignalProgress(self, self._stop))
            if self._stop.is_set() and not self._keeps_best:
                raise Cancelled
            self.succeeded.emit(answer)
        except Cancelled:
            self.cancelled.emit()
        except BridgecorrError as error:
            self.failed.emit(one_line(error))
        except MemoryError:
            self.failed.emit(
                "there is not enough memory for this: close other images, choose one channel or "
                "write the result to a file"
            )
        except OSError as error:
            self.failed.emit(one_line(f"a file cannot be read or written ({error})"))
        finally:
            self.ended.emit()

    def _forget(self) -> None:
        Job._running.discard(self)


def _tell_of_bug(work: Future[None]) -> None:
    """Tell of an error that nobody foresaw as of any thread's, which napari shows."""
    error = work.exception()
    if error is not None:
        found = (type(error), error, error.__traceback__, threading.current_thread())
        threading.excepthook(threading.ExceptHookArgs(found))


class _SignalProgress:
    """`Progress` that emits a job's signals, not more often than a person can see."""

    def __init__(self, job: Job, stop: threading.Event) -> None:
        self._job = job
        self._stop = stop
        self._lock = threading.Lock()  # blocks may be computed, and reported, by several threads
        self._done = 0
        self._total = 0
        self._reported = 0.0

    def begin(self, task: str, total: int) -> None:
        self._raise_if_cancelled()
        with self._lock:
            self._done, self._total, self._reported = 0, total, time.monotonic()
        self._job.began.emit(task, total)

    def advance(self, steps: int = 1) -> None:
        self._raise_if_cancelled()
        with self._lock:
            self._done += steps
            now = time.monotonic()
            is_due = now - self._reported >= _SECONDS_BETWEEN_REPORTS or self._done >= self._total
            if is_due:
                self._reported = now
            done = self._done
        if is_due:
            self._job.advanced.emit(done)

    def _raise_if_cancelled(self) -> None:
        if self._stop.is_set():
            raise Cancelled


class LatestAnswer(QObject):
    """Asks questions in a thread, one at a time, and passes on only the newest one's answer.

    A question asked while another is being worked on replaces any that waits; the answer to a
    question that has been replaced is dropped.
    """

    answered = Signal(object)
    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._job: Job | None = None
        self._waiting: Callable[[], Any] | None = None
        self._is_outdated = False

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._job is not None

    def ask(self, question: Callable[[], Any]) -> None:
        """Work out `question`, dropping what was asked before."""
        if self._job is None:
            self._begin(question)
        else:
            self._waiting, self._is_outdated = question, True

    def finish(self, question: Callable[[], Any] | None = None) -> None:
        """Work out here and now what is still to be, or `question` in its place.

        The answer is not passed on, a failure is: for a moment after which nothing may come.
        """
        if self._job is not None:
            self._job.wait()
        waiting, self._waiting = question or self._waiting, None
        if waiting is None:
            return
        try:
            waiting()
        except (BridgecorrError, OSError) as error:
            self.failed.emit(one_line(error))

    def drop(self) -> None:
        """Forget every question; nothing more is answered."""
        self._waiting, self._is_outdated = None, True

    def _begin(self, question: Callable[[], Any]) -> None:
        self._is_outdated = False
        self._job = Job(lambda progress: question())  # noqa: ARG005 - short work reports nothing
        self._job.succeeded.connect(self._pass_on)
        self._job.failed.connect(self._pass_failure_on)
        self._job.ended.connect(self._next)
        self._job.start()

    def _pass_on(self, answer: Any) -> None:
        if not self._is_outdated:
            self.answered.emit(answer)

    def _pass_failure_on(self, reason: str) -> None:
        if not self._is_outdated:
            self.failed.emit(reason)

    def _next(self) -> None:
        self._job = None
        if self._waiting is not None:
            question, self._waiting = self._waiting, None
            self._begin(question)
