"""Open one file in a napari window, as by a drop, and time it; prints JSON. See `readers`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import napari
import numpy as np
import psutil
from qtpy.QtWidgets import QApplication


def main(path: str) -> None:
    """Print."""
    viewer = napari.Viewer(show=True)
    application = QApplication.instance()
    for _ in range(20):  # the empty window is drawn and idle
        application.processEvents()
        time.sleep(0.02)
    process = psutil.Process()
    before = process.memory_info().rss
    start, busy = time.perf_counter(), time.process_time()
    viewer.open(path, plugin="napari-bridgecorr")
    while not is_drawn(viewer):
        application.processEvents()
        if time.perf_counter() - start > 120:
            raise SystemExit("nothing was drawn within 120 s")
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - busy
    after = process.memory_info().rss
    found = {
        "seconds": seconds,
        "cpu_seconds": cpu_s,
        "resident_before_mb": before / 2**20,
        "resident_mb": after / 2**20,
        "peak_mb": _peak_mb(),
        "layers": len(viewer.layers),
    }
    print(json.dumps(found), flush=True)
    viewer.close()


def is_drawn(viewer: napari.Viewer) -> bool:
    """Whether the canvas shows a picture: pixels of many greys."""
    canvas = viewer.screenshot(canvas_only=True, flash=False)
    return len(np.unique(canvas[::4, ::4, :3].sum(axis=-1))) > 20


def _peak_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return float(line.split()[1]) / 1024
    return float("nan")


if __name__ == "__main__":
    main(sys.argv[1])
