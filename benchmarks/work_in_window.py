"""A landmark session in a real window, by mouse events; prints JSON. See `workbench`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

os.environ["BRIDGECORR_STATE"] = tempfile.mkdtemp()  # not among the user's sessions

import napari
import numpy as np
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_bridgecorr._napari.viewer_session import session_of

LEFT = Qt.MouseButton.LeftButton
MOVES, STEP_PX = 6, 4
FAST_S, FAST_EVERY_S = 2.0, 0.016
DRAGGED = 15
LEAST_S, FRAMES = 0.06, 9
HELD_S = 0.06  # a finger on the mouse's button


class Watchdog:
    """How long the GUI thread answers nobody, how much of that it works, and at what."""

    def __init__(self) -> None:
        self.part, self.blocks = "open", []
        self._gui, self._beat, self._busy = threading.get_ident(), time.perf_counter(), 0.0
        self._seen: list[tuple[str, ...]] = []
        self._timer = QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._on_beat)
        self._timer.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def _on_beat(self) -> None:
        now, busy = time.perf_counter(), time.thread_time()
        if now - self._beat > LEAST_S:
            common = Counter(self._seen).most_common(2)
            block = {"part": self.part, "ms": 1000 * (now - self._beat)}
            block |= {"work_ms": 1000 * (busy - self._busy), "stacks": [list(s) for s, _ in common]}
            self.blocks.append(block)
        time.sleep(0.001)  # or the beat alone fills a core
        self._beat, self._busy, self._seen = time.perf_counter(), time.thread_time(), []

    def _watch(self) -> None:
        while True:
            time.sleep(0.01)
            if time.perf_counter() - self._beat > LEAST_S / 2:
                self._seen.append(_innermost(sys._current_frames().get(self._gui)))


def _innermost(frame: Any) -> tuple[str, ...]:
    """Where a thread is; quick, so that the watch is no burden itself."""
    found: list[str] = []
    while frame is not None and len(found) < FRAMES:
        code = frame.f_code
        found.append(f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return tuple(reversed(found))


def main(folder: Path) -> None:
    """Print."""
    truth = json.loads((folder / "truth.json").read_text())
    fixed, moving = np.array(truth["fixed"]), np.array(truth["moving"])
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1600, 960)
    watchdog = Watchdog()
    for name in ("fixed", "moving"):
        viewer.open(folder / f"{name}.ome.zarr", plugin="napari-bridgecorr")
    let_go_of_deleted()
    _, panel = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Register")
    session = session_of(viewer)
    wait(0.5)  # laid out
    until(lambda: all(session.image_layer(s) is not None for s in ("fixed", "moving")))
    if "fixed" not in session.image_layer("fixed").name:
        session.swap()
    click_button(panel.landmarks.new_layers)
    click_button(panel.landmarks.two_views)
    until(lambda: session.canvases.second is not None)
    wait(2.0)
    panel.landmarks.place.setChecked(True)
    wait(0.5)
    watchdog.part = "place"
    memory = {"opened": peak_mb()}
    for a, b in zip(fixed, moving, strict=True):
        click_place(session, "fixed", a)
        click_place(session, "moving", b)
    wait(2.0)
    session.read_now()
    pairs = session.landmarks.pairs()
    until(lambda: session.fit is not None and not session.is_fitting)
    probes = session.fit.transform.map(truth["fixed_probes"])
    off = np.linalg.norm(probes - np.array(truth["moving_probes"]), axis=1)
    watchdog.part = "drag"
    memory["placed"] = peak_mb()
    drags = drag_all(viewer, panel, session)
    found = {
        "pairs": len(pairs),
        "asked": len(fixed),
        "all_placed": len(pairs) == len(fixed),
        "truth_um": float(np.median(off)),
        "blocks": watchdog.blocks,
        **drags,
        "peak_mb": peak_mb(),
        "memory": memory,
    }
    print(json.dumps(found), flush=True)
    viewer.close()


def drag_all(viewer: Any, panel: Any, session: Any) -> dict[str, Any]:
    """Drag landmarks of the fixed image with the overlay on."""
    overlay = panel.overlay.overlay
    click_button(panel.overlay.show_overlay)
    until(lambda: overlay.shown is not None and not overlay.is_busy)
    panel.landmarks.place.setChecked(False)
    points, drawn = session.point_layer("fixed"), Drawn(main_canvas(session.viewer))
    viewer.layers.selection.active = points
    points.mode = "select"
    refresh_ms, work_ms, sharp_ms, n_fast, fast_s = [], [], [], 0, 0.0
    for row in range(min(DRAGGED, len(points.data))):
        place = (points.data * points.scale)[row]
        in_its_turn(lambda place=place: look_at(session, "fixed", place))
        wait(0.6)
        until(lambda: not overlay.is_busy and not session.is_fitting)
        native, at = pixel(session, "fixed", place)
        QTest.mouseMove(native, at)
        wait(0.1)
        QTest.mousePress(native, LEFT, pos=at)
        for k in range(1, MOVES + 1):
            before, start, work = overlay.shown, time.perf_counter(), time.process_time()
            QTest.mouseMove(native, at + QPoint(STEP_PX * k, 0))
            until(lambda before=before: overlay.shown is not before, every_s=0)
            drawn.begin()
            until(lambda: drawn.is_done, every_s=0)
            if k > 1:  # napari takes the first for the beginning
                refresh_ms.append(1000 * (time.perf_counter() - start))
                work_ms.append(1000 * (time.process_time() - work))
        if row < 3:
            n, s = move_fast(overlay, native, at)
            n_fast, fast_s = n_fast + n, fast_s + s
        start = time.perf_counter()
        QTest.mouseRelease(native, LEFT, pos=at + QPoint(STEP_PX * MOVES, 0))
        until(lambda: overlay.shown.is_sharp and not overlay.is_busy, every_s=0)
        sharp_ms.append(1000 * (time.perf_counter() - start))
        wait(0.8)
    return {
        "refresh_ms": refresh_ms,
        "work_ms": work_ms,
        "sharp_ms": sharp_ms,
        "pictures_per_s": n_fast / max(fast_s, 1e-9),
    }


class Drawn:
    """Whether a canvas was drawn, and put on the screen with its window."""

    def __init__(self, native: Any) -> None:
        self._is_drawn, self.is_done = False, True
        native._vispy_canvas.events.draw.connect(self._on_draw, position="last")
        native.frameSwapped.connect(self._on_swapped)

    def begin(self) -> None:
        """From now on."""
        self._is_drawn = self.is_done = False

    def _on_draw(self, event: Any) -> None:  # noqa: ARG002 - vispy's
        self._is_drawn = True

    def _on_swapped(self) -> None:
        self.is_done |= self._is_drawn


def move_fast(overlay: Any, native: Any, at: QPoint) -> tuple[int, float]:
    """Move as a hand does, waiting for nothing: number of pictures and seconds."""
    shown, n, start, k = overlay.shown, 0, time.perf_counter(), 0
    while time.perf_counter() - start < FAST_S:
        k += 1
        QTest.mouseMove(native, at + QPoint(STEP_PX * MOVES, k % 40))
        end = time.perf_counter() + FAST_EVERY_S
        while time.perf_counter() < end:
            QApplication.processEvents()
            if overlay.shown is not shown:
                shown, n = overlay.shown, n + 1
            time.sleep(0.001)
    return n, time.perf_counter() - start


def click_place(session: Any, side: str, place: np.ndarray) -> None:
    """Go to a slice, look for what was clicked, and click."""
    in_its_turn(lambda: look_at(session, side, place))
    wait(0.3)
    before = len(session.point_layer(side).data)
    native, at = pixel(session, side, place)
    in_its_turn(lambda: QTest.mouseMove(native, at))
    wait(0.05)
    in_its_turn(lambda: QTest.mousePress(native, LEFT, pos=at))
    wait(HELD_S)
    in_its_turn(lambda: QTest.mouseRelease(native, LEFT, pos=at))
    until(lambda: len(session.point_layer(side).data) > before, timeout_s=10)
    wait(0.3)


def in_its_turn(act: Callable[[], None]) -> None:
    """Let the event loop bring what a hand does, as it brings a real mouse's events."""
    done: list[None] = []
    QTimer.singleShot(0, lambda: done.append(act()))
    until(lambda: bool(done), every_s=0.001)


def look_at(session: Any, side: str, place: np.ndarray) -> None:
    """As by the slider, and by panning where the place is out of view."""
    canvas = session.canvas_of(side)
    axis = canvas.dims.ndim - 3
    planes = canvas.dims.range[axis]
    canvas.dims.set_current_step(axis, round((place[0] - planes.start) / planes.step))
    native, at = pixel(session, side, place)
    if not native.rect().adjusted(60, 60, -60, -60).contains(at):
        canvas.scene.camera.center = (0.0, *place[1:])


def pixel(session: Any, side: str, place: np.ndarray) -> tuple[Any, QPoint]:
    """Where a canvas draws a world position (um)."""
    canvas, second = session.canvas_of(side), session.canvases.second
    native = second.canvas.canvas.native if side == "moving" else main_canvas(session.viewer)
    camera = canvas.scene.camera
    y, x = (place[1:] - np.array(camera.center[-2:])) * camera.zoom
    return native, QPoint(round(native.width() / 2 + x), round(native.height() / 2 + y))


@cache
def main_canvas(viewer: Any) -> Any:
    """The widget that napari's own canvas draws in; kept, as Qt takes milliseconds to find it."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    for widget in QApplication.allWidgets():
        if isinstance(widget, QtViewer) and widget.viewer is viewer:
            return widget.canvas.native
    raise SystemExit("no canvas")


def click_button(widget: Any) -> None:
    """A click in its middle."""
    QTest.mouseClick(widget, LEFT)


def let_go_of_deleted() -> None:
    """Delete what waits for it, as an event loop does and `processEvents` does not.

    Else the progress of opening turns for ever in napari's status bar, and draws the window anew.
    """
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def wait(seconds: float) -> None:
    """Let the window live."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.002)


def until(is_so: Callable[[], bool], timeout_s: float = 60, every_s: float = 0.005) -> None:
    """Let the window live until something is so."""
    end = time.perf_counter() + timeout_s
    while not is_so():
        QApplication.processEvents()
        time.sleep(every_s)
        if time.perf_counter() > end:
            raise SystemExit("waited in vain: " + "".join(traceback.format_stack()[-3:-1]))


def peak_mb() -> float:
    """Largest resident memory so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return float(line.split()[1]) / 1024
    return float("nan")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
