"""Pairs proposed from vessels, judged with real clicks and keys in a real window."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_bridgecorr._napari.frames import is_drawn_by_panel
from napari_bridgecorr._napari.landmark_edits import add_pairs
from napari_bridgecorr._napari.landmark_rows import ID
from napari_bridgecorr._napari.layers import image_to_layers
from napari_bridgecorr._napari.suggestion_table import SURE
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.landmarks import LandmarkSet

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "vessels"))
from vessel_net import COARSE_UM, vessel_net

LEFT = Qt.MouseButton.LeftButton


def _marks(canvas: Any) -> list[Any]:
    return [layer for layer in canvas.layers if is_drawn_by_panel(layer)]


def test_pairs_are_proposed_judged_and_marked(viewer: Any, open_panel: Any, qtbot: Any) -> None:
    net = vessel_net(20261)
    step, session = open_panel(viewer).landmarks, session_of(viewer)
    fold = step.suggestions
    step.findChild(type(step.more), "bridgecorr_suggestions_button").click()
    assert "Choose a fixed and a moving image" in fold.words.text()
    assert not fold.ask.isEnabled()
    for image in (net.fixed, net.moving):
        viewer.add_layer(Layer.create(*image_to_layers(image)[0]))
    QTest.mouseClick(step.new_layers, LEFT)
    step.place.setChecked(False)
    QTest.mouseClick(step.two_views, LEFT)
    _place(session, net.given.landmarks[:3])

    # three pairs: branchings, and what lacks
    QTest.mouseClick(fold.ask, LEFT)
    qtbot.waitUntil(lambda: "Place 1 more pair" in fold.words.text(), timeout=30_000)
    assert not fold.table.isVisible()
    other = session.canvas_of("moving")
    for canvas in (viewer, other):
        (layer,) = _marks(canvas)
        assert len(layer.data) > 10
    assert len(session.landmarks) == 3  # marks are no landmarks
    assert all(not is_drawn_by_panel(i) for i in session.all_point_layers())

    # a fourth: proposed by itself
    _place(session, net.given.landmarks[3:])
    qtbot.waitUntil(fold.table.isVisible, timeout=30_000)
    n = fold.table.rowCount()
    assert n >= 20
    assert len(_marks(viewer)[0].data) == n + len(fold._proposals.fixed_um)
    best = fold.table.pairs[0]
    cell = fold.table.visualItemRect(fold.table.item(0, SURE)).center()
    QTest.mouseClick(fold.table.viewport(), LEFT, pos=cell)
    assert fold.table.current() == best
    for canvas, at in ((viewer, best.fixed_um), (other, best.moving_um)):
        frame = session.point_layer("fixed" if canvas is viewer else "moving").metadata
        shown = np.linalg.inv(frame["bridgecorr"].frame) @ [*at, 1]
        np.testing.assert_allclose(canvas.scene.camera.center[-2:], shown[1:3], atol=1e-3)

    # one by one, by a button and by keys
    QTest.mouseClick(fold.accept, LEFT)
    assert [m.source for m in session.landmarks] == [""] * 4 + ["suggested"]
    made = session.landmarks["L05"]
    np.testing.assert_allclose(made.fixed_um, best.fixed_um, atol=1e-6)
    np.testing.assert_allclose(made.moving_um, best.moving_um, atol=1e-6)
    assert np.linalg.norm(net.to_moving(np.array([made.fixed_um])) - made.moving_um) < COARSE_UM
    row = step.table.row_of("L05")
    assert step.table.text(row, ID) == "✦ L05"
    second = fold.table.current()
    assert second is not None
    assert second != best
    native = viewer.window._qt_viewer.canvas.native
    native.setFocus()
    QTest.keyClick(native, Qt.Key.Key_X)
    assert second not in fold.table.pairs
    third = fold.table.current()
    QTest.keyClick(native, Qt.Key.Key_Y)
    np.testing.assert_allclose(session.landmarks["L06"].fixed_um, third.fixed_um, atol=1e-6)
    assert session.history.undo_name == "accept a suggested pair"
    QTest.mouseClick(step.history.undo, LEFT)
    assert len(session.landmarks) == 5
    assert third in fold.table.pairs  # taken back: to be judged again

    # all above a level: one step
    sure = [p for p in fold.table.pairs if p.confidence >= 0.95]
    assert 2 <= len(sure) < len(fold.table.pairs)
    fold.level.setValue(95)
    QTest.mouseClick(fold.accept_all, LEFT)
    assert len(session.landmarks) == 5 + len(sure)
    QTest.mouseClick(step.history.undo, LEFT)
    assert len(session.landmarks) == 5

    # asked again: the rejected one stays away, until it is brought back
    QTest.mouseClick(fold.ask, LEFT)
    qtbot.waitUntil(lambda: not fold.jobs.is_busy, timeout=30_000)
    left_out = [p for p in fold._proposals.pairs if p not in fold.table.pairs]
    assert any(np.allclose(p.fixed_um, second.fixed_um, atol=1) for p in left_out)
    n = fold.table.rowCount()
    QTest.mouseClick(fold.bring_back, LEFT)
    assert fold.table.rowCount() > n

    # marks go with the fold
    step.findChild(type(step.more), "bridgecorr_suggestions_button").click()
    assert not _marks(viewer)
    assert not _marks(other)


def _place(session: Any, landmarks: Any) -> None:
    add_pairs(session, LandmarkSet(landmarks).landmarks)
    session.read_now()
