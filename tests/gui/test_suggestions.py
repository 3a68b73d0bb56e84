"""Pairs proposed from vessels, judged with real clicks and keys in a real window."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Layer, Vectors
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_bridgecorr._napari.frames import frame_of, is_drawn_by_panel, shown_matrix
from napari_bridgecorr._napari.landmark_edits import add_pairs
from napari_bridgecorr._napari.landmark_rows import ID
from napari_bridgecorr._napari.layers import image_to_layers
from napari_bridgecorr._napari.rater_layers import DIFFERENCES, use
from napari_bridgecorr._napari.suggestion_table import SURE
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.landmarks import LandmarkSet

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "vessels"))
from vessel_net import COARSE_UM, vessel_net

LEFT = Qt.MouseButton.LeftButton


def _marks(canvas: Any) -> list[Any]:
    return [layer for layer in canvas.layers if is_drawn_by_panel(layer)]


def test_pairs_are_proposed_judged_and_marked(
    viewer: Any, open_panel: Any, qtbot: Any, tmp_path: Path
) -> None:
    net = vessel_net(20261)
    panel, session = open_panel(viewer), session_of(viewer)
    step = panel.landmarks
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
    qtbot.waitUntil(lambda: "Place 1 more pair" in fold.words.text(), timeout=60_000)
    assert not fold.table.isVisible()
    other = session.canvas_of("moving")
    for canvas in (viewer, other):
        (layer,) = _marks(canvas)
        assert len(layer.data) > 10
    assert len(session.landmarks) == 3  # marks are no landmarks
    assert all(not is_drawn_by_panel(i) for i in session.all_point_layers())

    # a fourth: proposed by itself
    _place(session, net.given.landmarks[3:])
    qtbot.waitUntil(fold.table.isVisible, timeout=60_000)
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
    # places along a vessel may lie elsewhere when asked again, branchings do not
    fold.table.select(next(p for p in fold.table.pairs if p.degree > 2))
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
    qtbot.waitUntil(lambda: not fold.jobs.is_busy, timeout=60_000)
    left_out = [p for p in fold._proposals.pairs if p not in fold.table.pairs]
    # with one more pair the images are compared on a slightly different grid
    again = [p for p in left_out if np.allclose(p.moving_um, second.moving_um, atol=COARSE_UM)]
    assert again
    for pair in again:
        np.testing.assert_allclose(pair.fixed_um, second.fixed_um, atol=COARSE_UM)
    n = fold.table.rowCount()
    QTest.mouseClick(fold.bring_back, LEFT)
    assert fold.table.rowCount() > n

    # marks go with the fold
    step.findChild(type(step.more), "bridgecorr_suggestions_button").click()
    assert not _marks(viewer)
    assert not _marks(other)
    _check_second_rater(panel, session, qtbot, tmp_path / "raters.html")


def _check_second_rater(panel: Any, session: Any, qtbot: Any, page: Path) -> None:
    """Five places clicked again, blinded, with known differences."""
    rater, first = panel.rater, session.landmarks
    layers = [session.point_layer(side) for side in ("fixed", "moving")]
    panel.findChild(type(panel.landmarks.more), "bridgecorr_rater_fold").click()
    QTest.mouseClick(rater.begin, LEFT)
    assert rater.is_running
    placing, site = panel.landmarks.placing, first.landmarks[0].id
    qtbot.waitUntil(lambda: placing.current == placing._waiting == site, timeout=60_000)
    assert placing.ghost.side is None  # it would tell the first one's map
    # blinded: neither shown nor fitted nor listed, and not to be shown either
    assert [m.moving_um for m in session.landmarks] == [None] * 5
    assert session.canvas_of("moving").layers[-1].data.size == 0
    layers[1].visible = True
    assert not any(layer.visible for layer in layers)
    assert panel.landmarks.place.isChecked()
    locked = [*panel.landmarks.choosers.values(), panel.landmarks.new_layers]
    assert not any(widget.isEnabled() for widget in locked)
    assert "Locked until you compare" in locked[0].toolTip()
    view = session.canvases.second
    wanted = np.array([[0, 24, -18], [0, -30, 0], [0, 0, 30], [0, 24, 18], [0, -60, -80]])
    # the last one is left out
    for landmark, off in zip(list(first)[:4], wanted, strict=False):
        assert f"{list(first).index(landmark)} of 5" in rater.words.text()
        assert panel.landmarks.placing.current == landmark.id
        frame = session.point_layer("moving").metadata["bridgecorr"].frame
        at = (np.linalg.inv(frame) @ [*(np.array(landmark.moving_um) + off), 1])[1:3]
        view.model.scene.camera.center = (0.0, *at)
        native = view.canvas.canvas.native
        qtbot.wait(20)
        middle = native.rect().center()
        QTest.mouseMove(native, middle)
        qtbot.wait(20)
        QTest.mouseClick(native, LEFT, pos=middle)
        qtbot.wait(80)
    session.set_options(replace(session.options, dimensions=2))
    QTest.mouseClick(rater.compare, LEFT)
    qtbot.waitUntil(lambda: any(isinstance(i, Vectors) for i in view.model.layers), timeout=120_000)
    assert rater.table.isVisible()
    assert [session.point_layer(side) for side in ("fixed", "moving")] == layers
    assert session.landmarks == first
    per_px = 1 / view.model.scene.camera.zoom
    sites = rater._found.sites
    assert sites.n_missing == 1
    np.testing.assert_allclose(sites.difference_um, wanted[:4], atol=1.5 * per_px)
    (arrows,) = [i for i in view.model.layers if isinstance(i, Vectors)]
    np.testing.assert_allclose(
        np.linalg.norm(arrows.data[:, 1] * arrows.scale, axis=1), sites.lengths_um, atol=1e-3
    )
    assert "4 places differ" in rater.result.text()
    assert "maps fitted to either differ" in rater.result.text()
    with patch.object(QFileDialog, "getSaveFileName", return_value=(str(page), "HTML (*.html)")):
        QTest.mouseClick(rater.report, LEFT)
    qtbot.waitUntil(page.exists, timeout=60_000)
    assert "At 4 places the raters click" in page.read_text(encoding="utf-8")
    # the map of differences lies over the fixed image, its colours those of the numbers
    (colours,) = [i for i in session.viewer.layers if i.name == DIFFERENCES]
    maps, index = rater._found.maps, (0, 20, 30)
    assert colours.data.shape == maps.points_um.shape[:3]
    matrix = frame_of(session.image_layer("fixed")) @ shown_matrix(colours)
    np.testing.assert_allclose((matrix @ [*index, 1])[:3], maps.points_um[index], atol=1e-6)
    assert colours.data[index] == pytest.approx(np.linalg.norm(maps.difference_um[index]), rel=1e-5)
    assert f"{colours.contrast_limits[1]:.3g} µm or more (yellow)" in rater.result.text()
    assert all(chooser.isEnabled() for chooser in panel.landmarks.choosers.values())
    # going on: blinded again, the clicks are there
    QTest.mouseClick(rater.begin, LEFT)
    assert sum(m.is_pair for m in session.landmarks) == 4
    assert not [i for i in view.model.layers if isinstance(i, Vectors)]
    assert colours not in session.viewer.layers
    use(session, dict(zip(("fixed", "moving"), layers, strict=True)))


def _place(session: Any, landmarks: Any) -> None:
    add_pairs(session, LandmarkSet(landmarks).landmarks)
    session.read_now()
