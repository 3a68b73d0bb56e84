"""Memory that a closed view has freed goes back to the system.

The C library keeps what is freed in small pieces for the next ones that are asked for. A canvas and
a panel are made of very many; when they are opened again and again the pieces come to lie ever
wider apart (2 MB with each opening of both views), though nothing of the old ones is left.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

from qtpy.QtCore import QTimer

# Qt deletes a closed widget's parts in the turns of the event loop that follow
_SOON_MS = 400

_is_due = False


def give_back_soon() -> None:
    """Give freed memory back when what is being closed is gone; once for all that is."""
    global _is_due
    trim = _trim()
    if trim is not None and not _is_due:
        _is_due = True
        QTimer.singleShot(_SOON_MS, lambda: _give_back(trim))


def _give_back(trim: Callable[[int], int]) -> None:
    global _is_due
    _is_due = False
    trim(0)  # 2 ms


def _trim() -> Callable[[int], int] | None:
    """`malloc_trim` of the GNU C library; None with another, which has no such call."""
    if not sys.platform.startswith("linux"):
        return None
    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found
