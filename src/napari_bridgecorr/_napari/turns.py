"""One thing per turn of the event loop, so that the window answers in between."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.compat import isalive
from qtpy.QtCore import QTimer


class Turns:
    """Calls that wait for their turn, in their order. Each is drawn before the next begins."""

    def __init__(self) -> None:
        self._waiting: dict[str, Callable[[], None]] = {}
        self._timer = QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._take)

    @property
    def is_busy(self) -> bool:
        """Whether something waits."""
        return bool(self._waiting)

    def add(self, name: str, call: Callable[[], None], *, first: bool = False) -> None:
        """Let a call wait, behind those that wait already, or before; instead of one of its name.

        Parameters
        ----------
        name : str
        call : callable
        first : bool
        """
        self._waiting.pop(name, None)
        self._waiting = {name: call, **self._waiting} if first else {**self._waiting, name: call}
        if isalive(self._timer):  # when the interpreter ends Qt's objects go first
            self._timer.start()

    def drop(self, name: str | None = None) -> None:
        """Forget a call, or all."""
        if name is None:
            self._waiting.clear()
        else:
            self._waiting.pop(name, None)

    def flush(self) -> None:
        """Make all calls now."""
        while self._waiting:
            self._take()

    def _take(self) -> None:
        if self._waiting:
            self._waiting.pop(next(iter(self._waiting)))()
        if not self._waiting and isalive(self._timer):
            self._timer.stop()
