"""The panel opened, used and closed many times in a real window; prints JSON. See `reopen`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import napari
import numpy as np
from left_behind import close_panels, left_behind, open_place_close
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

LEFT = Qt.MouseButton.LeftButton


def main(n_rounds: int) -> None:
    """Print."""
    viewer = napari.Viewer()
    viewer.window.resize(1200, 900)
    rng = np.random.default_rng(0)
    units = {"units": ("um",) * 3}
    viewer.add_image(rng.random((6, 40, 40)), name="a", scale=(20, 10, 10), **units)
    viewer.add_image(rng.random((12, 80, 80)), name="b", scale=(10, 5, 5), **units)
    # napari's own dock of docked plugins, and what it connects once, are there from now on
    _, first = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Register")
    QTest.mouseClick(first.landmarks.new_layers, LEFT)
    QTest.qWait(200)
    del first
    close_panels(viewer)
    with tempfile.TemporaryFile() as console:
        kept = os.dup(2)
        os.dup2(console.fileno(), 2)  # of Python, Qt and libraries alike
        before, rounds, pairs, start = state(viewer), [], 0, time.perf_counter()
        for _ in range(n_rounds):
            pairs += open_place_close(viewer)
            rounds.append(state(viewer))
        sys.stderr.flush()
        os.dup2(kept, 2)
        console.seek(0)
        written = console.read().decode(errors="replace").splitlines()
    seen = {
        "before": before,
        "rounds": rounds,
        "pairs": pairs,
        "console": written,
        "seconds": time.perf_counter() - start,
    }
    print(json.dumps(seen), flush=True)
    viewer.close()


def state(viewer: Any) -> dict[str, float]:
    """What there is now."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    threads = {"threads": threading.active_count()}
    return {**left_behind(viewer), **threads, "memory MB": resident / 1e6}


if __name__ == "__main__":
    main(int(sys.argv[1]))
