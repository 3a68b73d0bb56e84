"""What keeps the window answering: planes read in the background, turns, drawing held back."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QAbstractEventDispatcher, QTimer
from qtpy.QtWidgets import QWidget

from napari_bridgecorr._napari.background_slices import BackgroundSlices
from napari_bridgecorr._napari.held_drawing import HeldDrawing
from napari_bridgecorr._napari.jobs import Job
from napari_bridgecorr._napari.paint_turns import PaintTurns
from napari_bridgecorr._napari.thread_switching import QuickSwitching
from napari_bridgecorr._napari.turns import Turns

SHAPE = (8, 32, 32)


class Slow:
    """An array whose planes are read when somebody allows it."""

    shape, dtype, ndim = SHAPE, np.dtype(np.uint16), 3

    def __init__(self) -> None:
        self.values = np.random.default_rng(0).integers(1, 1000, SHAPE, dtype=np.uint16)
        self.may_read = threading.Event()
        self.may_read.set()
        self.threads: list[threading.Thread] = []
        self.planes: list[int] = []
        self.fault: Exception | None = None

    def __getitem__(self, where: Any) -> np.ndarray:
        found = self.values[where]
        if found.size:  # dask asks for nothing to learn what it would get
            self.threads.append(threading.current_thread())
            self.planes.append(where[0].start)
            assert self.may_read.wait(20)
            if self.fault is not None:
                raise self.fault
        return found

    def lazy(self) -> da.Array:
        return da.from_array(self, chunks=(1, 32, 32), asarray=False, inline_array=True)


@pytest.fixture
def slow() -> Any:
    made = Slow()
    yield made
    made.may_read.set()


@pytest.fixture
def canvas(qapp: Any) -> Any:  # noqa: ARG001 - signals between threads need one
    model = ViewerModel()
    yield model
    model.layers.clear()


def _shown(layer: Image) -> np.ndarray:
    return np.asarray(layer._slice.image.view)


def _go(canvas: ViewerModel, plane: float) -> None:
    canvas.dims.set_point(0, plane)


def test_a_plane_is_read_in_the_background_and_the_coarse_one_shown_until_then(
    canvas: ViewerModel, slow: Slow, qtbot: Any
) -> None:
    coarse = np.arange(4 * 8 * 8, dtype=np.uint16).reshape(4, 8, 8)
    layer = canvas.add_image([slow.lazy(), coarse], multiscale=True, cache=False)
    layer._data_level, layer.corner_pixels = 0, np.array([[0, 0, 0], [0, 31, 31]])
    slices = BackgroundSlices(canvas)
    slow.threads.clear()
    _go(canvas, 2)
    qtbot.waitUntil(lambda: not slices.is_busy)
    np.testing.assert_array_equal(_shown(layer), slow.values[2])

    slow.may_read.clear()
    _go(canvas, 6)  # returns, though nothing can be read
    assert slices.is_busy
    np.testing.assert_array_equal(_shown(layer), coarse[3])
    # 4 coarse pixels where there were 1: napari draws them that large
    np.testing.assert_allclose(layer._transforms[0].scale[1:], (4, 4))
    slow.may_read.set()
    qtbot.waitUntil(lambda: not slices.is_busy)
    np.testing.assert_array_equal(_shown(layer), slow.values[6])
    np.testing.assert_allclose(layer._transforms[0].scale[1:], (1, 1))
    assert slow.threads
    assert threading.main_thread() not in slow.threads

    slices.end()
    slow.threads.clear()
    _go(canvas, 1)
    np.testing.assert_array_equal(_shown(layer), slow.values[1])  # by napari, here and now


def test_only_the_newest_plane_counts_and_a_left_one_is_not_shown_for_long(
    canvas: ViewerModel, slow: Slow, qtbot: Any
) -> None:
    layer = canvas.add_image(slow.lazy(), cache=False)
    slices = BackgroundSlices(canvas)
    _go(canvas, 0)
    qtbot.waitUntil(lambda: not slices.is_busy)
    slow.may_read.clear()
    slow.planes.clear()
    for plane in (1, 2, 3, 4):
        _go(canvas, plane)
    np.testing.assert_array_equal(_shown(layer), slow.values[0])  # there is no coarser one
    qtbot.waitUntil(lambda: not _shown(layer).any())  # somebody could click on it
    assert slices.is_busy
    slow.may_read.set()
    qtbot.waitUntil(lambda: not slices.is_busy)
    np.testing.assert_array_equal(_shown(layer), slow.values[4])
    assert slow.planes[-1] == 4
    assert not {2, 3} & set(slow.planes)  # nobody waits for planes that were passed by
    slices.end()


def test_a_failure_is_told_and_a_removed_layer_is_let_go(
    canvas: ViewerModel, slow: Slow, qtbot: Any
) -> None:
    layer = canvas.add_image(slow.lazy(), cache=False)
    slices = BackgroundSlices(canvas)
    slow.may_read.clear()
    slow.fault = OSError("the disk was pulled out")
    with qtbot.captureExceptions() as told:
        _go(canvas, 5)
        slow.may_read.set()
        qtbot.waitUntil(lambda: bool(told))
    assert "the disk was pulled out" in str(told[0][1])
    assert not slices.is_busy
    slow.fault = None
    slow.may_read.clear()
    _go(canvas, 6)
    canvas.layers.remove(layer)
    assert not slices.is_busy
    assert "_make_slice_request_internal" not in vars(layer._slicing_state)
    slow.may_read.set()
    emitters = canvas.layers.events
    n = len(emitters.inserted.callbacks) + len(emitters.removed.callbacks)
    slices.end()
    assert len(emitters.inserted.callbacks) + len(emitters.removed.callbacks) == n - 2


def test_what_is_in_memory_is_shown_at_once(canvas: ViewerModel) -> None:
    values = np.random.default_rng(1).integers(0, 9, SHAPE)
    slices = BackgroundSlices(canvas)
    layer = canvas.add_image(values)
    _go(canvas, 5)
    np.testing.assert_array_equal(_shown(layer), values[5])
    slices.end()


def test_turns(qtbot: Any) -> None:
    turns, done = Turns(), []
    turns.add("a", lambda: done.append("a"))
    turns.add("b", lambda: done.append("b"))
    turns.add("first", lambda: done.append("first"), first=True)
    turns.add("a", lambda: done.append("a again"))
    assert not done
    qtbot.waitUntil(lambda: not turns.is_busy)
    assert done == ["first", "b", "a again"]
    turns.add("c", lambda: done.append("c"))
    turns.drop("c")
    turns.add("d", lambda: done.append("d"))
    turns.flush()
    assert done[3:] == ["d"]


class Counted(QWidget):
    """Calls when it is drawn."""

    on_paint = None

    def paintEvent(self, event: Any) -> None:  # noqa: ARG002 - Qt's
        if self.on_paint is not None:
            self.on_paint()


def test_in_one_pass_of_the_event_loop_there_is_one_turn_and_drawing_has_its_own(
    qtbot: Any,
) -> None:
    window = Counted()
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    qtbot.wait(50)
    passes, done = [0], []
    dispatcher = QAbstractEventDispatcher.instance()
    dispatcher.awake.connect(lambda: passes.__setitem__(0, passes[0] + 1))
    window.on_paint = lambda: done.append(("paint", passes[0]))
    paints, one, other = PaintTurns(window), Turns(), Turns()
    # after what takes long there is no turn in the same pass
    QTimer.singleShot(0, lambda: (time.sleep(0.02), done.append(("Qt", passes[0]))))
    one.add("a", lambda: done.append(("a", passes[0])))
    other.add("b", lambda: done.append(("b", passes[0])))
    window.update()
    one.add("c", lambda: done.append(("c", passes[0])))
    qtbot.waitUntil(lambda: len(done) == 5)
    assert sorted(name for name, _ in done) == ["Qt", "a", "b", "c", "paint"]
    assert len({number for _, number in done}) == 5, done

    done.clear()
    paints.hold(10_000)
    window.update()
    qtbot.wait(30)
    assert not done
    paints.release()
    qtbot.waitUntil(lambda: len(done) == 1)
    paints.hold(10)
    window.update()
    qtbot.waitUntil(lambda: len(done) == 2)
    paints.hold(10_000)
    window.update()
    qtbot.wait(10)
    paints.end()  # what was due is drawn
    assert len(done) == 3
    window.update()
    qtbot.waitUntil(lambda: len(done) == 4)


def test_drawing_is_held_back_until_released_or_late(qtbot: Any) -> None:
    native = QWidget()
    qtbot.addWidget(native)
    held = HeldDrawing()
    held.hold(native, 10_000)
    assert not native.updatesEnabled()
    held.release()
    assert native.updatesEnabled()
    held.hold(native, 10)
    start = time.monotonic()
    qtbot.waitUntil(native.updatesEnabled)
    assert time.monotonic() - start < 10


def test_threads_switch_as_before_when_the_last_viewer_is_done() -> None:
    usual, switching = sys.getswitchinterval(), QuickSwitching()
    switching.begin()
    switching.begin()
    assert sys.getswitchinterval() < usual
    switching.end()
    assert sys.getswitchinterval() < usual
    switching.end()
    assert sys.getswitchinterval() == pytest.approx(usual)


def test_a_bug_in_a_job_is_told_and_the_job_ends(qtbot: Any, monkeypatch: Any) -> None:
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    job, ended = Job(lambda progress: progress.no_such_thing), []
    job.ended.connect(lambda: ended.append(True))
    assert not job.is_running
    job.start()
    qtbot.waitUntil(lambda: bool(ended))
    assert job.wait(10)
    qtbot.waitUntil(lambda: bool(told))
    assert told[0].exc_type is AttributeError
    assert told[0].exc_traceback is not None
