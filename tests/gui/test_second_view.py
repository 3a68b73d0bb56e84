"""The second view in a real window: clicks on either canvas, layers that come and go, linking."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Points
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget
from test_placing import canvas_of

from napari_bridgecorr._napari.error_colours import error_rgb
from napari_bridgecorr._napari.ghost import is_ghost
from napari_bridgecorr._napari.landmark_layers import raw_ids
from napari_bridgecorr._napari.landmark_paint import unpainted
from napari_bridgecorr._napari.layer_copies import copy_of
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.fitting.predicted_error import error_of_fit
from napari_bridgecorr.fitting.predicted_place import predicted_partner

COLOUR = [0x29 / 255, 0xD3 / 255, 1.0]
LEFT = Qt.MouseButton.LeftButton
UNITS = ("um", "um", "um")
VOXEL_UM = np.array([40.0, 20.0, 20.0])
# in the moving image: three vessels that meet, and a ball that is twice as bright
MEETING_UM = np.array([812.0, 893.0, 905.0])
BRANCHES = np.array([[0.5, 0.8, -0.3], [-0.3, 0.2, 0.9], [-0.4, -0.8, -0.5]])
BALL_UM = np.array([1105.0, 1287.0, 512.0])


def click(widget: QWidget) -> None:
    QTest.mouseClick(widget, LEFT)


def callback_count(viewer: Any) -> int:
    gc.collect()  # napari's fit_to_view leaves callbacks of a list that is gone
    groups = [viewer.layers.events, viewer.events, viewer.dims.events, viewer.scene.camera.events]
    groups += [layer.events for layer in viewer.layers]
    called = [c for group in groups for e in group.emitters.values() for c in e.callbacks]
    count = sum(not isinstance(c, tuple) or c[0]() is not None for c in called)
    for layer in viewer.layers:
        if isinstance(layer, Points):
            count += len(layer.selected_data.events.items_changed)
    return count


def vessels() -> np.ndarray:
    """(40, 90, 90) tubes of Gaussian profile that meet, and a ball, in some noise."""
    at = np.moveaxis(np.indices((40, 90, 90)), 0, -1) * VOXEL_UM
    made = 2 * np.exp(-np.sum((at - BALL_UM) ** 2, axis=-1) / (2 * 40.0**2))
    for branch in BRANCHES / np.linalg.norm(BRANCHES, axis=1)[:, None]:
        along = np.clip((at - MEETING_UM) @ branch, 0, 600)
        away = np.linalg.norm(at - MEETING_UM - along[..., None] * branch, axis=-1)
        made = np.maximum(made, np.exp(-(away**2) / (2 * 35.0**2)))
    return made + np.random.default_rng(3).normal(0, 0.05, made.shape)


@pytest.fixture
def two_views(viewer: Any, open_panel: Any, qtbot: Any) -> Any:
    """Two images, their landmarks half placed (moving = 2 x fixed + 30 um), and both views."""
    rng = np.random.default_rng(0)
    units = {"units": UNITS, "axis_labels": ("z", "y", "x")}
    viewer.add_image(rng.random((8, 20, 20)), name="mri", scale=(40, 40, 40), **units)
    viewer.add_image(vessels(), name="stack", scale=(40, 20, 20), **units)
    panel = open_panel(viewer)
    click(panel.landmarks.new_layers)
    session = session_of(viewer)
    fixed = rng.uniform((40, 100, 100), (280, 700, 700), (6, 3))
    for side, points in (("fixed", fixed), ("moving", 2 * fixed + 30)):
        layer = session.point_layer(side)
        layer.data = points / layer.scale
    before = callback_count(viewer)
    click(panel.landmarks.two_views)
    qtbot.waitUntil(lambda: session.fit is not None, timeout=10_000)
    qtbot.wait(50)
    return viewer, panel, session, before


def pixel(view: Any, position: tuple[float, float]) -> QPoint:
    """Where the second canvas draws a position (y, x, um)."""
    native, camera = view.canvas.canvas.native, view.model.scene.camera
    offset = (np.array(position) - camera.center[-2:]) * camera.zoom
    return QPoint(round(native.width() / 2 + offset[1]), round(native.height() / 2 + offset[0]))


def click_at(qtbot: Any, view: Any, position: tuple[float, float]) -> None:
    native, at = view.canvas.canvas.native, pixel(view, position)
    QTest.mouseMove(native, at)
    qtbot.wait(20)
    QTest.mouseClick(native, LEFT, pos=at)
    qtbot.wait(100)


def drag(qtbot: Any, view: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    native, a, b = view.canvas.canvas.native, pixel(view, start), pixel(view, end)
    QTest.mouseMove(native, a)
    qtbot.wait(20)
    QTest.mousePress(native, LEFT, pos=a)
    for part in (0.5, 1.0):
        QTest.mouseMove(native, a + (b - a) * part)
        qtbot.wait(30)
    QTest.mouseRelease(native, LEFT, pos=b)
    qtbot.wait(60)


def test_a_click_on_the_second_canvas_places_a_moving_point(two_views: Any, qtbot: Any) -> None:
    viewer, panel, session, _before = two_views
    view, layer = session.canvases.second, session.point_layer("moving")
    assert session.canvas_of("moving") is view.model
    assert session.canvas_of("fixed") is session.viewer
    # each canvas shows its image; the voxels are the same memory
    copies = {i.name: i for i in view.model.layers}
    assert set(copies) == {"stack", layer.name}
    assert np.shares_memory(copies["stack"].data, viewer.layers["stack"].data)
    assert [viewer.layers[n].visible for n in ("mri", "stack")] == [True, False]
    # both images whole, a micrometre as large in one as in the other
    zooms = [viewer.scene.camera, view.model.scene.camera]
    qtbot.waitUntil(lambda: zooms[0].zoom == pytest.approx(zooms[1].zoom), timeout=5_000)
    depth = view.model.dims.point[0]
    click_at(qtbot, view, (600.0, 900.0))
    assert len(layer.data) == 7
    per_px = 1 / view.model.scene.camera.zoom
    assert np.allclose((layer.data * layer.scale)[-1], (depth, 600, 900), atol=per_px)
    assert raw_ids(layer)[-1] == "L07"
    assert raw_ids(view.points)[-1] == "L07"
    assert session.landmarks["L07"].fixed_um is None
    # the other canvas went to where the map expects the partner
    expected = (np.array([depth, 600, 900]) - 30) / 2
    assert np.allclose(viewer.scene.camera.center[-2:], expected[1:], atol=per_px)
    # dragged there: told by the layer as a drag on napari's own canvas is
    heard: list[str] = []
    layer.events.data.connect(lambda event: heard.append(event.action.value))
    panel.landmarks.place.setChecked(False)
    view.points.mode = "select"
    drag(qtbot, view, (600.0, 900.0), (700.0, 800.0))
    assert np.allclose((layer.data * layer.scale)[-1], (depth, 700, 800), atol=2 * per_px)
    assert heard == ["changing", "changed"]
    assert np.array_equal(layer.data, view.points.data)
    # what becomes of the layer is seen on the canvas
    layer.selected_data = {0, 6}
    layer.remove_selected()
    qtbot.waitUntil(lambda: raw_ids(view.points) == raw_ids(layer), timeout=20_000)
    assert raw_ids(layer) == [f"L{i:02d}" for i in range(2, 7)]
    # and the other way round
    view.points.selected_data = {1}
    assert set(layer.selected_data) == {1}
    view.points.remove_selected()
    qtbot.waitUntil(lambda: raw_ids(view.points) == raw_ids(layer), timeout=20_000)
    assert raw_ids(layer) == ["L02", "L04", "L05", "L06"]
    colours_tell_depth_and_error(two_views, qtbot)
    # layers renamed, moved, taken away
    viewer.layers["stack"].name = "renamed"
    viewer.layers.move(0, 3)
    assert view.model.layers[0].name == "renamed"
    viewer.layers["renamed"].contrast_limits = (0.2, 0.6)
    assert view.model.layers["renamed"].contrast_limits == [0.2, 0.6]
    viewer.layers.remove("renamed")
    assert [i.name for i in view.model.layers] == [layer.name]
    viewer.layers.remove(layer)
    assert not view.model.layers
    assert view.empty.isVisible()


def colours_tell_depth_and_error(two_views: Any, qtbot: Any) -> None:
    """In the same window: fainter off the plane, on each canvas by its own; and by error."""
    viewer, panel, session, _before = two_views
    view = session.canvases.second
    fixed, moving = (session.point_layer(side) for side in ("fixed", "moving"))
    own = moving.border_color.copy()
    view.model.dims.set_point(0, view.points.data[2, 0] * view.points.scale[0])
    viewer.dims.set_point(0, fixed.data[1, 0] * fixed.scale[0])
    for layer, canvas in ((fixed, viewer), (view.points, view.model)):
        depths = layer.data[:, 0] * layer.scale[0]
        off = np.abs(depths - canvas.dims.point[0]) / canvas.dims.margin_left[0]
        assert np.allclose(layer.border_color[:, 3], 1 - 0.6 * np.clip(off, 0, 1), atol=1e-3)
        assert 0.39 < layer.border_color[:, 3].min() < 0.7 < layer.border_color[:, 3].max()
    assert np.array_equal(moving.border_color, own)  # the layer itself is not on that canvas
    assert np.array_equal(unpainted(view.points, "border_color"), own)
    # by error, as in the table; the fit is asked to leave some
    session.set_options(replace(session.options, model="rigid"))
    qtbot.waitUntil(lambda: session.fit.options.model == "rigid", timeout=10_000)
    undo, colours = session.history.undo_name, panel.landmarks.list.colours
    colours.choice.setCurrentIndex(colours.choice.findData("left_out"))
    errors = dict(
        zip(
            session.fit.diagnostics.ids,
            session.fit.diagnostics.leave_one_out_lengths_um,
            strict=True,
        )
    )
    usual = session.fit.diagnostics.loo_median_um
    assert colours.legend.isVisible()
    assert colours.legend.words == [f"{k * usual:.3g} µm" for k in (0.4, 1.2, 3.0)]
    for layer in (fixed, view.points):
        wanted = error_rgb([errors.get(i, np.nan) for i in raw_ids(layer)], usual) / 255
        assert np.allclose(layer.border_color[:, :3], wanted, atol=1e-3)
        assert np.allclose(layer.face_color[:, :3], wanted, atol=1e-3)
    assert len(np.unique(fixed.border_color[:, :3], axis=0)) > 2
    qtbot.wait(60)
    assert session.history.undo_name == undo  # painting is no change
    assert np.array_equal(view.points.data, moving.data)
    colours.choice.setCurrentIndex(0)
    assert np.allclose(fixed.border_color[:, :3], COLOUR, atol=1e-2)


def test_a_layer_without_points_is_copied_and_its_first_point_follows(qtbot: Any) -> None:
    layer = Points(ndim=3, border_color="#29d3ff", face_color="#29d3ff")
    own = copy_of(layer)
    layer.add((1.0, 2.0, 3.0))
    qtbot.waitUntil(lambda: np.array_equal(own.copy.data, [(1.0, 2.0, 3.0)]), timeout=5_000)
    assert np.allclose(own.copy.border_color, layer.border_color)
    own.end()


def test_linked_views_look_at_the_same_place(two_views: Any, qtbot: Any) -> None:
    viewer, panel, session, _before = two_views
    view = session.canvases.second
    # a ghost of a known spread, then one of an unknown one: fewer points in the same, hidden, layer
    ghost, transform = panel.landmarks.placing.ghost, session.fit.transform
    model = error_of_fit(session.fit)
    view.model.dims.set_point(0, 430.0)  # where it is seen
    for known in (model, None):
        ghost.show("moving", predicted_partner(transform, (200.0, 400.0, 400.0), "fixed", known))
        panel.landmarks.placing.turns.flush()
        (layer,) = [i for i in view.model.layers if is_ghost(i)]
        assert layer.visible
        assert (len(layer.data) > 1) == (known is not None)
        ghost.hide()
        panel.landmarks.placing.turns.flush()
        assert not layer.visible
    ghost.remove()
    assert not any(is_ghost(i) for i in view.model.layers)
    fixed, moving = viewer.scene.camera, view.model.scene.camera
    click(view.linked)
    assert view.link.is_on
    assert view.linked.isChecked()

    def both_at(y: float, x: float, zoom: float) -> bool:
        return (
            np.allclose(fixed.center[-2:], (y, x), atol=1e-3)
            and np.allclose(moving.center[-2:], (2 * y + 30, 2 * x + 30), atol=1e-3)
            and np.isclose(moving.zoom, fixed.zoom / 2, rtol=1e-4)
            and np.isclose(fixed.zoom, zoom, rtol=1e-4)
        )

    fixed.center, fixed.zoom = (0, 300.0, 420.0), 1.7
    viewer.dims.set_point(0, 160)
    qtbot.waitUntil(lambda: both_at(300, 420, 1.7), timeout=5000)
    assert view.model.dims.point[0] == pytest.approx(350, abs=20)
    qtbot.wait(200)
    assert both_at(300, 420, 1.7)  # nothing runs away
    moving.center, moving.zoom = (0, 1030.0, 730.0), 2.0
    qtbot.waitUntil(lambda: both_at(500, 350, 4.0), timeout=5000)
    QTest.keyClick(view.canvas.canvas.native, Qt.Key.Key_L)
    assert not view.linked.isChecked()
    fixed.center = (0, 100.0, 100.0)
    qtbot.wait(100)
    assert np.allclose(moving.center[-2:], (1030, 730), atol=1e-3)
    the_keyboard_goes_to_the_other_view(two_views, qtbot)
    a_click_in_a_tilted_3d_view_lands_on_what_is_seen(two_views, qtbot)
    a_point_snaps_to_the_vessel_beside_it(two_views, qtbot)


def the_keyboard_goes_to_the_other_view(two_views: Any, qtbot: Any) -> None:
    """In the same window: Tab with real keys, Space where the cross is, undo in either view."""
    viewer, panel, session, _before = two_views
    view = session.canvases.second
    keyboard = panel.landmarks.placing.keyboard
    first, second = canvas_of(viewer), view.canvas.canvas.native
    layers = [session.point_layer(side) for side in ("fixed", "moving")]
    panel.landmarks.place.setChecked(True)
    QTest.mouseMove(first, QPoint(40, 60))
    qtbot.wait(50)
    first.setFocus()
    QTest.keyClick(first, Qt.Key.Key_Tab)
    assert viewer.window._qt_window.focusWidget() is second
    assert keyboard.cross.isVisible()
    assert keyboard.cross.parentWidget() is second
    off = keyboard.cross.geometry().center() - second.rect().center()
    assert off.manhattanLength() <= 2
    QTest.keyClick(second, Qt.Key.Key_Space)  # the mouse still rests on the first view
    qtbot.wait(80)
    assert [len(layer.data) for layer in layers] == [6, 7]
    at = (layers[1].data * layers[1].scale)[-1]
    assert np.allclose(at, (view.model.dims.point[0], 1030, 730), atol=1)
    for key, n in ((Qt.Key.Key_Z, 6), (Qt.Key.Key_Z, 7), (Qt.Key.Key_Z, 6)):
        redo = Qt.KeyboardModifier.ShiftModifier if n == 7 else Qt.KeyboardModifier.NoModifier
        QTest.keyClick(second, key, Qt.KeyboardModifier.ControlModifier | redo)
        qtbot.wait(80)
        assert len(layers[1].data) == n
    QTest.keyClick(second, Qt.Key.Key_Tab)
    assert viewer.window._qt_window.focusWidget() is first
    QTest.keyClick(second, Qt.Key.Key_Tab)
    QTest.mouseMove(first, QPoint(80, 90))  # the mouse says where again
    qtbot.wait(50)
    assert keyboard.cross is None
    assert session.canvases.pointed() == "fixed"
    # in the panel Tab goes from control to control as ever
    panel.landmarks.depth.setFocus()
    QTest.keyClick(panel.landmarks.depth, Qt.Key.Key_Tab)
    assert viewer.window._qt_window.focusWidget() not in (first, second, panel.landmarks.depth)


def a_click_in_a_tilted_3d_view_lands_on_what_is_seen(two_views: Any, qtbot: Any) -> None:
    """In the same window: the ball is looked for in the picture and clicked, from two sides."""
    viewer, panel, session, _before = two_views
    view, layer = session.canvases.second, session.point_layer("moving")
    native, camera = view.canvas.canvas.native, view.model.scene.camera
    panel.landmarks.place.setChecked(True)
    n = len(layer.data)
    click(view.volume)
    assert (view.model.dims.ndisplay, viewer.dims.ndisplay) == (3, 2)
    for angles, perspective in (((35.0, -25.0, 60.0), 0), ((-150.0, 40.0, -20.0), 45)):
        click(view.fit)
        camera.angles, camera.perspective = angles, perspective
        assert np.abs(camera.view_direction).min() > 0.2  # along no axis
        seen: list[np.ndarray] = []
        qtbot.waitUntil(lambda seen=seen: sees_ball(view, seen), timeout=10_000)
        y, x = seen[-1]
        at = QPoint(round(x), round(y))
        QTest.mouseMove(native, at)
        qtbot.wait(20)
        QTest.mouseClick(native, LEFT, pos=at)
        qtbot.waitUntil(lambda: len(layer.data) == n + 1, timeout=5_000)
        qtbot.wait(60)
        off = (layer.data * layer.scale)[-1] - BALL_UM
        assert np.all(np.abs(off) < VOXEL_UM)
        qtbot.waitUntil(lambda: np.array_equal(view.points.data, layer.data), timeout=5_000)
        QTest.keyClick(native, Qt.Key.Key_Delete)  # it covers the ball
        qtbot.waitUntil(lambda: len(view.points.data) == n, timeout=5_000)
    camera.perspective = 0
    click(view.volume)
    assert (view.model.dims.ndisplay, viewer.dims.ndisplay) == (2, 2)


def sees_ball(view: Any, seen: list[np.ndarray]) -> bool:
    """Whether the second canvas shows the ball, and where (y, x, logical pixels)."""
    picture = view.canvas.screenshot(flash=False)[..., :3].astype(int)
    grey = np.ptp(picture, axis=-1) < 8  # what is coloured is a landmark
    bright = np.argwhere(grey & (picture[..., 0] > 200))
    if not len(bright):
        return False
    seen.append(bright.mean(axis=0) * view.canvas.canvas.native.height() / len(picture))
    # as the slider goes the canvas grows: only a picture that stays is clicked
    steady = len(seen) > 1 and np.allclose(seen[-1], seen[-2])
    return bool(steady and np.ptp(bright, axis=0).max() < len(picture) / 8)


def a_point_snaps_to_the_vessel_beside_it(two_views: Any, qtbot: Any) -> None:
    """In the same window: key S two voxels beside a meeting of vessels, and beside one vessel."""
    _viewer, panel, session, _before = two_views
    view, layer = session.canvases.second, session.point_layer("moving")
    branch = BRANCHES[0] / np.linalg.norm(BRANCHES[0])
    along = MEETING_UM + 350 * branch
    for place, is_meeting in ((MEETING_UM, True), (along, False)):
        view.model.dims.set_point(0, place[0])
        panel.message.say("")
        click_at(qtbot, view, tuple(place[1:] + (0, 2 * VOXEL_UM[2])))
        clicked = (layer.data * layer.scale)[-1]
        assert np.abs(clicked - place).max() > 1.5 * VOXEL_UM[2]
        QTest.keyClick(view.canvas.canvas.native, Qt.Key.Key_S)
        qtbot.waitUntil(lambda: "moved" in panel.message.text(), timeout=10_000)
        found = (layer.data * layer.scale)[-1]
        wanted = place if is_meeting else along + (clicked - along) @ branch * branch
        assert np.all(np.abs(found - wanted) < VOXEL_UM / 2)


def test_closing_leaves_nothing_behind(two_views: Any, qtbot: Any) -> None:
    viewer, panel, session, before = two_views
    view = session.canvases.second
    click(view.linked)
    assert callback_count(viewer) > before
    click(panel.landmarks.two_views)
    assert session.canvases.second is None
    assert session.canvas_of("moving") is session.viewer
    assert callback_count(viewer) == before
    assert not panel.landmarks.two_views.isChecked()
    assert panel.landmarks.view_buttons["moving"].isEnabled()
    qtbot.wait(50)
    click(panel.landmarks.two_views)  # and again
    assert session.canvases.second is not None
    viewer.window.remove_dock_widget(panel)  # it does not need the panel
    qtbot.wait(30)
    assert len(session.canvases.second.model.layers) == 2
