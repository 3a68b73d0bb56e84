"""One thing per turn of the event loop, so that the window answers in between."""

from __future__ import annotations

import time
from collections.abc import Callable

from qtpy.compat import isalive
from qtpy.QtCore import QAbstractEventDispatcher, QTimer

# a pass in which others took as long is theirs
_OTHERS_S = 0.008


class _Passes:
    """What waits for a pass of the event loop of its own, whichever viewer or part asked.

    A pass in which Qt or napari have done something long already is left to them, but not two.
    """

    def __init__(self) -> None:
        self._asked: dict[Callable[[], None], None] = {}
        self._timer: QTimer | None = None
        self._began, self._gave_way = 0.0, False

    def ask(self, call: Callable[[], None], *, first: bool) -> None:
        """Call this in a pass in which nothing else of these is called."""
        if first:
            self._asked.pop(call, None)
            self._asked = {call: None, **self._asked}
        else:
            self._asked.setdefault(call)
        if self._timer is None:
            self._timer = QTimer()
            self._timer.setInterval(0)
            self._timer.timeout.connect(self._pass)
        # when the interpreter ends Qt's objects go first
        if isalive(self._timer) and not self._timer.isActive():
            self._listen(is_on=True)
            self._timer.start()

    def _on_awake(self) -> None:
        self._began = time.perf_counter()

    def _pass(self) -> None:
        self._gave_way = not self._gave_way and time.perf_counter() - self._began > _OTHERS_S
        if self._gave_way:
            return
        call = next(iter(self._asked), None)
        try:
            if call is not None:
                del self._asked[call]
                call()
        finally:
            if not self._asked and self._timer is not None and isalive(self._timer):
                self._timer.stop()
                self._listen(is_on=False)

    def _listen(self, *, is_on: bool) -> None:
        """Hear when a pass begins, only while something waits: it is told a thousand times."""
        dispatcher = QAbstractEventDispatcher.instance()
        if dispatcher is not None and is_on:
            dispatcher.awake.connect(self._on_awake)
        elif dispatcher is not None:
            dispatcher.awake.disconnect(self._on_awake)


_passes = _Passes()


class Turns:
    """Calls that wait for their turn, in their order. The window answers before the next begins."""

    def __init__(self) -> None:
        self._waiting: dict[str, Callable[[], None]] = {}

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
        _passes.ask(self._take, first=first)

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
        if self._waiting:
            _passes.ask(self._take, first=False)
