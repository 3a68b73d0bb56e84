"""Where sessions are kept by themselves, and which of them to offer after a restart.

Every window writes a file of its own, so that two windows on the same pair of images lose nothing
to each other.
"""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import psutil

from ..errors import BridgecorrError
from ..session import Session, load_session, load_window, save_session

FOLDER_VARIABLE = "BRIDGECORR_STATE"
"""Environment variable: another folder than the system's for the state of programs."""

# of each pair of images so many sessions are kept, and so many in all
_KEPT_OF_A_PAIR, _KEPT = 3, 30

_numbers = itertools.count(1)
_in_use: set[Path] = set()


@dataclass(frozen=True, eq=False)
class Kept:
    """A session that was kept.

    Parameters
    ----------
    path : Path
    window : dict
        See :mod:`.window_state`.
    saved_s : float
        When, in seconds since 1970.
    """

    path: Path
    window: dict[str, Any]
    saved_s: float

    @property
    def pair(self) -> tuple[str, ...]:
        """What identifies the pair of images."""
        return tuple(str(i) for i in self.window.get("pair", ()))

    @property
    def n_landmarks(self) -> int:
        """How many landmarks it has, half pairs included."""
        return int(self.window.get("n_landmarks", 0))


def folder() -> Path:
    """Where kept sessions lie; made if need be."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    place = Path(chosen) if chosen else platformdirs.user_state_path("napari-bridgecorr")
    place = place / "sessions"
    place.mkdir(parents=True, exist_ok=True)
    return place


def new_file() -> Path:
    """A name that no other window has; it counts as in use until :func:`let_go`."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = folder() / f"{stamp}-{os.getpid()}-{next(_numbers)}.json"
    _in_use.add(path)
    return path


def let_go(path: Path) -> None:
    """The window that writes the file is done with it."""
    _in_use.discard(path)


def write(path: Path, session: Session, window: dict[str, Any]) -> None:
    """Write a session with its window, and remove what is older than need be.

    Raises
    ------
    WriteError
    """
    process = {"pid": os.getpid(), "started_s": psutil.Process().create_time()}
    is_new = not path.exists()
    save_session(session, path, window={**window, "process": process, "saved_s": time.time()})
    if is_new:
        _prune()


def read(path: Path) -> tuple[Session, Kept]:
    """A session with its window.

    Raises
    ------
    ReadError
        If the file is damaged, or no session.
    """
    window = load_window(path)
    return load_session(path), Kept(path, window, float(window.get("saved_s", 0.0)))


def kept() -> list[Kept]:
    """All that is kept and that no living window writes, the newest first."""
    found = [k for k in _all() if k.path not in _in_use and not _is_alive(k.window)]
    return [k for k in found if any(k.window.get(n) for n in ("n_landmarks", "plane", "maps"))]


def _all() -> list[Kept]:
    found = []
    for path in folder().glob("*.json"):
        if path.name.startswith("."):
            continue  # half written when its process was killed
        try:
            found.append(read(path)[1])
        except (BridgecorrError, OSError, TypeError, ValueError):
            continue  # what is not readable cannot be offered; it is left where it is
    return sorted(found, key=lambda k: -k.saved_s)


def _is_alive(window: dict[str, Any]) -> bool:
    """Whether the process that wrote it still runs, and is not this one."""
    process = window.get("process", {})
    pid = int(process.get("pid", -1))
    if pid in (-1, os.getpid()):
        return False
    try:
        started = psutil.Process(pid).create_time()
    except psutil.Error:
        return False
    return abs(started - float(process.get("started_s", 0.0))) < 1.0


def _prune() -> None:
    seen: dict[tuple[str, ...], int] = {}
    for number, old in enumerate(_all()):
        seen[old.pair] = seen.get(old.pair, 0) + 1
        is_too_many = seen[old.pair] > _KEPT_OF_A_PAIR or number >= _KEPT
        if is_too_many and old.path not in _in_use and not _is_alive(old.window):
            for beside in old.path.parent.glob(f"{old.path.stem}.*.map"):
                beside.unlink(missing_ok=True)
            old.path.unlink(missing_ok=True)
