"""Threads that let each other go on sooner, while a window is worked in.

A canvas is drawn by thousands of calls into OpenGL, at each of which another thread of Python may
take over; the window then waits until that one lets go, for 5 ms as Python has it.
"""

from __future__ import annotations

import sys

_SOON_S = 0.0005


class QuickSwitching:
    """Counts who wants it: two viewers may."""

    def __init__(self) -> None:
        self._users, self._usual_s = 0, 0.0

    def begin(self) -> None:
        """Somebody works in a window."""
        if not self._users:
            self._usual_s = sys.getswitchinterval()
            sys.setswitchinterval(min(self._usual_s, _SOON_S))
        self._users += 1

    def end(self) -> None:
        """Somebody does no longer; with the last it is as it was."""
        self._users -= 1
        if not self._users:
            sys.setswitchinterval(self._usual_s)


quick_switching = QuickSwitching()
