"""The live overlay in a real window: what it shows, what it follows, and how it goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget
from scipy.ndimage import map_coordinates

from napari_bridgecorr._napari.frames import world_matrix
from napari_bridgecorr._napari.map_layers import is_map_layer
from napari_bridgecorr._napari.overlay_layer import is_overlay
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.fitting.predicted_error import error_of_fit
from napari_bridgecorr.geometry.grid import apply_affine

LEFT = Qt.MouseButton.LeftButton


def expected(session: Any, layer: Any, index: Any, channel: int = 0) -> Any:
    """What SciPy interpolates in the moving image at some of the layer's pixels."""
    world = apply_affine(world_matrix(layer), index)
    moving = session.image("moving")
    at = moving.grid.to_index(session.fit.transform.map(world)).T
    return map_coordinates(
        np.asarray(moving.data[0, channel], np.float32), at, order=1, cval=np.nan
    )


def check(session: Any, layer: Any, channel: int = 0) -> None:
    values = np.asarray(layer.data)
    index = np.stack(np.unravel_index(np.arange(0, values.size, 97), values.shape), axis=1)
    found, wanted = values[tuple(index.T)], expected(session, layer, index, channel)
    known = np.isfinite(found) & np.isfinite(wanted)
    assert known.sum() > 500
    # a place may be off by a tenth of a voxel
    assert np.abs(found - wanted)[known].mean() < 0.02 * np.ptp(wanted[known])
    assert np.corrcoef(found[known], wanted[known])[0, 1] > 0.995


def canvas_of(viewer: Any) -> QWidget:
    windows = [w for w in QApplication.topLevelWidgets() if w.windowTitle() == viewer.title]
    drawn = [
        w for v in windows for w in v.findChildren(QWidget) if "CanvasBackend" in type(w).__name__
    ]
    return max(drawn, key=lambda w: w.width() * w.height())


def on_canvas(viewer: Any, position: Any) -> QPoint:
    canvas, camera = canvas_of(viewer), viewer.scene.camera
    y, x = (np.asarray(position) - camera.center[-2:]) * camera.zoom
    return QPoint(round(canvas.width() / 2 + x), round(canvas.height() / 2 + y))


def test_the_overlay_follows_view_drag_mode_and_channel(registered: Any, qtbot: Any) -> None:
    viewer, panel = registered
    session, overlay = session_of(viewer), panel.overlay.overlay

    def settled() -> bool:
        return overlay.shown is not None and not overlay.is_busy and not session.is_fitting

    assert not panel.overlay.choices.isVisibleTo(panel)
    QTest.mouseClick(panel.overlay.show_overlay, LEFT)
    qtbot.waitUntil(settled, timeout=60_000)
    layer = overlay.layer
    assert is_overlay(layer)
    assert layer in list(viewer.layers)
    assert layer not in session.image_layers()
    assert f"in the frame of {session.image('fixed').name} (fixed)" in panel.overlay.note.text()
    check(session, layer)

    # another contrast stays, another slice and zoom are followed
    layer.contrast_limits = (200.0, 900.0)
    before = overlay.shown
    viewer.scene.camera.zoom *= 3
    viewer.dims.set_point(0, 350.0)
    qtbot.waitUntil(lambda: settled() and overlay.shown is not before, timeout=20_000)
    qtbot.wait(60)
    qtbot.waitUntil(settled, timeout=20_000)
    assert overlay.shown.plane.position_um == 350.0
    assert overlay.shown.plane.step_um == pytest.approx(before.plane.step_um / 3)
    assert tuple(layer.contrast_limits) == (200.0, 900.0)
    check(session, layer)

    # a landmark in view is dragged with the mouse: the picture changes before the button is let go
    points = session.point_layer("fixed")
    where = points.data[0] * points.scale
    viewer.dims.set_point(0, where[0])
    viewer.scene.camera.center = (0.0, *where[1:])
    viewer.layers.selection.active = points
    points.mode = "select"
    points.current_size = points.size[0]
    qtbot.wait(100)
    qtbot.waitUntil(settled, timeout=20_000)
    held, landmarks = overlay.shown, session.landmarks
    told: list[object] = []
    session.landmarks_changed.connect(lambda: told.append(overlay.shown))
    canvas, at = canvas_of(viewer), on_canvas(viewer, where[1:])
    QTest.mouseMove(canvas, at)
    qtbot.wait(30)
    QTest.mousePress(canvas, LEFT, pos=at)
    for k in range(1, 4):
        QTest.mouseMove(canvas, at + QPoint(4 * k, 0))
        QApplication.processEvents()
        if k == 1:
            assert session.landmarks == landmarks  # nothing but the map follows a moving hand
    qtbot.waitUntil(lambda: overlay.shown is not held, timeout=20_000)
    # unless the hand rested so long meanwhile that everything was told
    assert told or overlay.shown.transform is not session.fit.transform
    assert overlay.shown.values.shape == held.values.shape
    assert np.nanmax(np.abs(overlay.shown.values - held.values)) > 0
    qtbot.waitUntil(lambda: bool(told), timeout=20_000)  # it rests: everything is told
    QTest.mouseRelease(canvas, LEFT, pos=at + QPoint(12, 0))
    qtbot.wait(300)
    qtbot.waitUntil(settled, timeout=20_000)
    assert not np.allclose(points.data[0] * points.scale, where)
    assert overlay.shown.is_sharp
    assert overlay.shown.transform is session.fit.transform
    check(session, layer)
    check_modes(panel.overlay, layer, qtbot)
    check_map_layers(viewer, panel.overlay.map_layers, qtbot)
    check_channel_and_end(viewer, panel.overlay, layer, qtbot)


def check_modes(box: Any, layer: Any, qtbot: Any) -> None:
    whole = box.overlay.shown.values
    clear = {}
    for mode in ("checkerboard", "curtain", "flicker", "colours"):
        box.modes[mode].click()
        clear[mode] = np.isnan(layer.data[0]) & np.isfinite(whole)
        if mode == "curtain":
            left = clear[mode].any(axis=0).nonzero()[0].max()
            box.edge.setValue(250)
            moved = np.isnan(layer.data[0]) & np.isfinite(whole)
            assert moved.any(axis=0).nonzero()[0].max() < left
        if mode == "flicker":
            qtbot.waitUntil(lambda: layer.opacity == 0.0, timeout=5_000)
            qtbot.waitUntil(lambda: layer.opacity == 1.0, timeout=5_000)
    assert 0.4 < clear["checkerboard"].mean() / np.isfinite(whole).mean() < 0.6
    assert 0.2 < clear["curtain"].mean() / np.isfinite(whole).mean() < 0.8
    assert not clear["colours"].any()
    assert layer.opacity == 1.0


def check_map_layers(viewer: Any, box: Any, qtbot: Any) -> None:
    session, layers = session_of(viewer), box.layers
    for shown in box.boxes.values():
        QTest.mouseClick(shown, LEFT, pos=QPoint(8, shown.height() // 2))
    assert all(layers.is_wanted(kind) for kind in box.boxes)
    qtbot.waitUntil(
        lambda: layers.shown is not None and len(layers.shown.values) == 3, timeout=30_000
    )
    picture, made = layers.shown, session.fit
    for kind, layer in ((k, layers.layer(k)) for k in box.boxes):
        assert layer in list(viewer.layers)
        assert layer not in session.image_layers()
        values = np.asarray(layer.data)
        at = tuple(np.array([(0, 40, 60), (0, values.shape[1] - 9, values.shape[2] - 9)]).T)
        world = apply_affine(world_matrix(layer), np.array(at).T)
        if kind == "error":
            wanted = error_of_fit(made).radius(world, 0.68)
            assert np.allclose(values[at], wanted, rtol=0.05)
            assert f"{picture.limits[kind][1]:.3g} µm" in box.scale.high.text()
        if kind == "folds":
            assert (made.transform.jacobian_determinant(world) > 0).all()
            assert np.isnan(values[at]).all()
        if kind == "grid":
            assert 0.02 < np.nanmean(values) < 0.3
    assert "Folding: none here" in box.note.text()
    assert "µm of the moving image" in box.note.text()
    # another slice: drawn again once it stands still
    viewer.dims.set_point(0, viewer.dims.point[0] + 100.0)
    qtbot.waitUntil(lambda: layers.shown is not picture, timeout=20_000)
    assert layers.shown.plane.position_um != picture.plane.position_um
    # a deleted layer is an answer; a box takes its layer out
    viewer.layers.remove(layers.layer("grid"))
    assert not box.boxes["grid"].isChecked()
    for kind in ("folds", "error"):
        box.boxes[kind].setChecked(False)
    assert not any(is_map_layer(layer) for layer in viewer.layers)
    assert not box.note.isVisibleTo(box)


def check_channel_and_end(viewer: Any, box: Any, layer: Any, qtbot: Any) -> None:
    overlay, session = box.overlay, session_of(viewer)
    box.channel.setCurrentIndex(1)
    assert overlay.is_busy
    qtbot.waitUntil(lambda: not overlay.is_busy, timeout=20_000)
    check(session, layer, channel=1)
    # in 3-D it says why nothing is shown; back in 2-D it is there again
    viewer.dims.ndisplay = 3
    qtbot.waitUntil(lambda: "leave the 3-D view" in box.note.text(), timeout=5_000)
    viewer.dims.ndisplay = 2
    qtbot.waitUntil(lambda: "1 pixel =" in box.note.text(), timeout=5_000)
    # of an image that lies elsewhere nothing is seen, which is said
    for away in (1e5, -1e5):
        for channel in session.channel_layers("moving"):
            channel.translate = channel.translate + away
        words = "Nothing of the moving image lies here" if away > 0 else "1 pixel ="
        qtbot.waitUntil(lambda words=words: words in box.note.text(), timeout=20_000)
        assert np.isfinite(overlay.shown.values).any() == (away < 0)
    # a name is a label
    layer.name = session.image_layer("moving").name = "another"
    assert overlay.is_on
    # the fixed image in other units: the same place of the world, the same picture
    fixed = session.image_layer("fixed")
    fixed.scale, fixed.translate = fixed.scale / 1000, fixed.translate / 1000
    fixed.units = ("mm", "mm", "mm")
    qtbot.wait(200)
    qtbot.waitUntil(lambda: not overlay.is_busy, timeout=20_000)
    assert layer.units == fixed.units
    assert layer.scale[-1] < 0.1
    check(session, layer, channel=1)
    viewer.layers.remove(layer)
    assert not overlay.is_on
    assert not box.show_overlay.isChecked()
    QTest.mouseClick(box.show_overlay, LEFT)
    qtbot.waitUntil(lambda: overlay.layer is not None, timeout=20_000)
    # without its image it says what to do
    viewer.layers.remove(session.image_layer("moving"))
    for other in list(session.channel_layers("moving")):
        viewer.layers.remove(other)
    assert "Choose a fixed and a moving image" in box.note.text()
    viewer.window.remove_dock_widget("all")
    assert not any(is_overlay(i) for i in viewer.layers)
