"""Landmarks refined at the images in a real window: done, undone, cancelled, too late, refused."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from napari_bridgecorr._napari import landmark_moves
from napari_bridgecorr._napari.landmark_layers import raw_ids, world_points
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.io.landmark_files import read_landmarks, write_landmarks
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.refine import RefinedLandmarks, refine_landmarks

LEFT = Qt.MouseButton.LeftButton
# few, for the time's sake: some that move and some that do not
_IDS = ("L04", "L05", "L07", "L11", "L12", "L16")


def _click(widget: QWidget) -> None:
    assert widget.isEnabled()
    QTest.mouseClick(widget, LEFT)


class _Gate:
    """Refinement that waits to be let through, and what it found."""

    def __init__(self) -> None:
        self.started, self.open = threading.Event(), threading.Event()
        self.results: list[RefinedLandmarks] = []

    def __call__(self, *arguments: Any, **options: Any) -> RefinedLandmarks:
        self.started.set()
        assert self.open.wait(20)
        self.results.append(refine_landmarks(*arguments, **options))
        return self.results[-1]

    def close(self) -> None:
        self.started.clear()
        self.open.clear()


def test_refined_undone_cancelled_and_too_late(
    viewer: Any,
    open_panel: Any,
    phantom_files: Any,
    qtbot: Any,
    monkeypatch: Any,
    tmp_path: Path,
) -> None:
    gate = _Gate()
    monkeypatch.setattr(landmark_moves, "refine_landmarks", gate)
    few = [m for m in read_landmarks(phantom_files.files["landmarks"]) if m.id in _IDS]
    write_landmarks(LandmarkSet(tuple(few)), tmp_path / "landmarks.csv")
    panel = open_panel(viewer)
    step, session = panel.landmarks, session_of(viewer)
    refinement = step.refinement
    _click(step.more)
    assert "step 1" in refinement.reason.text()
    assert not refinement.refine_all.isEnabled()
    for path in (phantom_files.files["mri"], phantom_files.files["two_photon"]):
        viewer.open(path, plugin="napari-bridgecorr")
    qtbot.waitUntil(lambda: "fit" in refinement.reason.text(), timeout=20_000)
    assert not refinement.refine_all.isEnabled()
    viewer.open(tmp_path / "landmarks.csv", plugin="napari-bridgecorr")
    qtbot.waitUntil(refinement.refine_all.isEnabled, timeout=20_000)
    qtbot.wait(100)  # choosing the layers rescales them: let that settle too
    assert refinement.reason.isHidden()
    assert not refinement.refine_selected.isEnabled()
    assert not refinement.undo.isEnabled()
    # five voxels of the coarser image; three of the moving one to three of the coarser one
    assert refinement.radius.text() == "250 µm"
    assert 36 <= refinement.max_step.value() <= 170
    refinement.max_step.selectAll()
    QTest.keyClicks(refinement.max_step, "34")
    QTest.keyClick(refinement.max_step, Qt.Key.Key_Return)
    moving, fixed = (session.point_layer(side) for side in ("moving", "fixed"))
    before, before_fixed = np.array(moving.data), np.array(fixed.data)

    # cancelled
    _click(refinement.refine_all)
    assert gate.started.wait(20)
    qtbot.waitUntil(refinement.progress.isVisible, timeout=20_000)
    assert not refinement.refine_all.isEnabled()
    _click(refinement.progress.cancel)
    gate.open.set()
    qtbot.waitUntil(lambda: not refinement.jobs.is_busy, timeout=20_000)
    assert "Cancelled" in panel.message.text()
    assert np.array_equal(moving.data, before)
    assert not gate.results

    # too late: a point was moved meanwhile, and that is all that is changed
    gate.close()
    _click(refinement.refine_all)
    assert gate.started.wait(20)
    edited = before.copy()
    edited[0, 2] += 1
    moving.data = edited
    qtbot.waitUntil(lambda: "changed meanwhile" in panel.message.text(), timeout=20_000)
    gate.open.set()
    qtbot.waitUntil(
        lambda: not [t for t in threading.enumerate() if t.name == "bridgecorr job"], timeout=20_000
    )
    assert np.array_equal(moving.data, edited)
    moving.data = before
    qtbot.waitUntil(
        lambda: not session.is_fitting and refinement.refine_all.isEnabled(), timeout=20_000
    )
    qtbot.wait(100)

    # refined
    _click(refinement.refine_all)
    qtbot.waitUntil(refinement.undo.isEnabled, timeout=30_000)
    (found,) = gate.results
    moved = {s.id: s for s in found.accepted}
    assert 0 < len(moved) < len(_IDS) == len(found.steps)
    assert (found.radius_um, found.max_step_um) == (250, 34)
    world = world_points(moving)
    for row, name in enumerate(raw_ids(moving)):
        if name in moved:
            assert world[row] == pytest.approx(moved[name].after_um, abs=1e-6)
            assert not np.allclose(moving.data[row], before[row])
        else:
            assert np.array_equal(moving.data[row], before[row])
    assert np.array_equal(fixed.data, before_fixed)
    assert session.landmarks[next(iter(moved))].moving_um == pytest.approx(
        next(iter(moved.values())).after_um
    )
    said = refinement.result.text()
    assert f"{len(moved)} of {len(_IDS)} landmarks moved" in said
    assert f"{max(s.length_um for s in found.accepted):.3g}" in said
    assert next(s.reason for s in found.steps if not s.accepted).split(",")[0] in said

    # undone
    _click(refinement.undo)
    assert np.array_equal(moving.data, before)
    assert f"{len(moved)} landmarks are back" in panel.message.text()
    assert not refinement.undo.isEnabled()

    # one alone, chosen in the table; undone after it was moved again it stays
    cell = step.table.rows.index(step.table.row_of("L12"), 1)
    QTest.mouseClick(step.table.viewport(), LEFT, pos=step.table.visualRect(cell).center())
    qtbot.waitUntil(lambda: not session.is_fitting, timeout=20_000)
    _click(refinement.refine_selected)
    qtbot.waitUntil(refinement.undo.isEnabled, timeout=30_000)
    assert [s.id for s in gate.results[-1].steps] == ["L12"]
    at = raw_ids(moving).index("L12")
    again = np.array(moving.data)
    assert not np.allclose(again[at], before[at])
    again[at, 1] += 1
    moving.data = again
    _click(refinement.undo)
    assert np.array_equal(moving.data, again)
    assert "moved again" in panel.message.text()
