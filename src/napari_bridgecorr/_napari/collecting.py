"""Python's search for objects in rings that nobody needs, without the window standing still.

napari's half a million objects take Python a third of a second to go through, now and then, in the
midst of a click. While a panel is open only those made since the last search are searched; all of
them once the hand rests after a layer was removed, which is what frees memory worth the name.
"""

from __future__ import annotations

import gc
import threading

from qtpy.compat import isalive
from qtpy.QtCore import QTimer

_REST_MS = 3000
_OLDEST = 2  # of Python's three generations
_SEARCHES = 20  # of those made since the one before, then of all


class RareCollecting:
    """Counts who wants it: two viewers may."""

    def __init__(self) -> None:
        self._users = self._searches = 0
        self._rest: QTimer | None = None

    def begin(self) -> None:
        """Leave the objects of now alone."""
        if not self._users:
            gc.callbacks.append(self._on_collected)
        self._users += 1
        gc.freeze()

    def end(self) -> None:
        """One needs it no longer; with the last Python does as it likes."""
        self._users -= 1
        if not self._users:
            gc.callbacks.remove(self._on_collected)
            gc.unfreeze()
            if self._rest is not None and isalive(self._rest):
                self._rest.stop()

    def soon(self, event: object = None) -> None:  # noqa: ARG002 - napari passes it
        """Search all when nothing was removed for some seconds."""
        if self._rest is None or not isalive(self._rest):
            self._rest = QTimer()
            self._rest.setSingleShot(True)
            self._rest.setInterval(_REST_MS)
            self._rest.timeout.connect(self._collect)
        self._rest.start()

    def _on_collected(self, phase: str, found: dict[str, int]) -> None:
        if phase != "stop" or found["generation"] != _OLDEST:
            return
        gc.freeze()  # what is left has been searched
        self._searches += 1
        is_gui = threading.current_thread() is threading.main_thread()  # any may be at it
        if self._searches >= _SEARCHES and is_gui:
            self.soon()

    def _collect(self) -> None:
        self._searches = 0
        gc.unfreeze()
        gc.collect()


rare_collecting = RareCollecting()
