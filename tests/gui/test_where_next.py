"""Where the next pair tells most, asked for by a click in a real window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_bridgecorr._napari.frames import canvas_position, frame_of
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.workflow.next_landmark import where_next


def test_a_click_goes_there_and_says_why(
    viewer: Any, open_panel: Any, phantom_files: Any, qtbot: Any
) -> None:
    step, session = open_panel(viewer).landmarks, session_of(viewer)
    button, words = step.where_next.ask, step.where_next.words
    assert not button.isEnabled()
    assert button.toolTip() == "Choose both images first"
    for path in (phantom_files.files["mri"], phantom_files.files["two_photon"]):
        viewer.open(path, plugin="napari-bridgecorr")
    qtbot.waitUntil(lambda: "fit" in button.toolTip(), timeout=20_000)
    viewer.open(phantom_files.files["landmarks"], plugin="napari-bridgecorr")
    qtbot.waitUntil(button.isEnabled, timeout=20_000)
    QTest.mouseClick(step.view_buttons["fixed"], Qt.MouseButton.LeftButton)
    places: list[Any] = []
    step.where_next.found.connect(places.append)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(places), timeout=30_000)
    expected = where_next(session.fit, session.image("fixed"), session.image("moving"))
    np.testing.assert_allclose(places[0].fixed_um, expected.fixed_um)
    shown = canvas_position(viewer, frame_of(session.point_layer("fixed")), expected.fixed_um[None])
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], shown[-2:], rtol=1e-6)
    slider = viewer.dims.range[-3].step
    assert abs(viewer.dims.point[-3] - shown[0]) <= slider
    assert f"{expected.then_um:.3g}" in words.text()
    assert words.isVisible()
    session.set_enabled("L01", False)
    qtbot.waitUntil(lambda: not words.isVisible(), timeout=5000)
    # painted: only in there
    assert not step.where_next.regions.isVisible()
    image, shown_layer = session.image("moving"), session.image_layer("moving")
    painted = np.zeros(image.grid.shape, np.uint8)
    painted[20:30, 70:100, 20:50] = 1
    viewer.add_labels(painted, name="tumour", scale=shown_layer.scale, units=shown_layer.units)
    choice = step.where_next.regions.choice
    assert choice.isVisible()
    choice.setFocus()
    QTest.keyClick(choice, Qt.Key.Key_Down)
    assert choice.currentText() == "tumour (moving)"
    qtbot.waitUntil(button.isEnabled, timeout=20_000)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(places) == 2, timeout=30_000)
    at = image.grid.to_index(places[1].moving_um[None])[0]
    assert np.all((at > np.array([20, 70, 20]) - 0.6) & (at < np.array([30, 100, 50]) - 0.4))
    assert "over the region tumour (moving) from" in words.text()
