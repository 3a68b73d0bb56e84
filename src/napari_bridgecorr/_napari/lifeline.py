"""Everything that a panel must let go of when it is closed.

napari's docks get no `closeEvent`, and when a window dies the widgets' C++ side is gone before
Python hears of it. So what has to end is kept apart from the widgets: connections and jobs.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psygnal import SignalInstance

    from .jobs import Job
    from .viewer_session import ViewerSession


class Lifeline:
    """Holds a panel's connections to its session, and its jobs, until :meth:`end`.

    Parameters
    ----------
    session : ViewerSession
        Attached now, detached at the end.
    """

    def __init__(self, session: ViewerSession) -> None:
        self._session = session
        self._connections: list[tuple[SignalInstance, Callable[..., Any]]] = []
        self._last_calls: list[Callable[[], None]] = []
        self._job: Job | None = None
        self._jobs: set[Job] = set()
        self._is_over = False
        session.attach()

    @property
    def is_over(self) -> bool:
        """Whether the panel has been closed."""
        return self._is_over

    @property
    def job(self) -> Job | None:
        """The job begun last, which may have ended."""
        return self._job

    def connect(self, signal: SignalInstance, slot: Callable[..., Any]) -> None:
        """Connect until the end."""
        signal.connect(slot)
        self._connections.append((signal, slot))

    def at_end(self, call: Callable[[], None]) -> None:
        """Call this at the end, after the jobs were told to stop."""
        self._last_calls.append(call)

    def start(self, job: Job) -> None:
        """Begin a job that the end cancels."""
        self._job = job
        self._jobs = {j for j in self._jobs if j.is_running} | {job}
        job.start()

    def end(self) -> None:
        """Cancel the jobs and disconnect everything. Safe to call twice."""
        if self._is_over:
            return
        self._is_over = True
        for job in self._jobs:
            job.cancel()
        self._jobs.clear()
        for signal, slot in self._connections:
            signal.disconnect(slot, missing_ok=True)
        self._connections.clear()
        for call in self._last_calls:
            call()
        self._last_calls.clear()
        self._session.detach()


def weak_call(method: Callable[..., None], *arguments: object) -> Callable[[], None]:
    """A call of an object's method that does nothing when the object is gone by then."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        alive = reference()
        if alive is not None:
            alive(*arguments)

    return call
