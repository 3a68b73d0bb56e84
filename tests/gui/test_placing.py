"""Pairs placed with the mouse and the keys of a real window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.utils.action_manager import action_manager
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_bridgecorr._napari.ghost import is_ghost
from napari_bridgecorr._napari.landmark_layers import raw_ids, world_points
from napari_bridgecorr._napari.placing_guide import outcome
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.fitting.predicted_place import PredictedPlace

KEY, SHIFT = Qt.Key, Qt.KeyboardModifier.ShiftModifier
UM = ("um", "um", "um")
FIXED_VOXEL, MOVING_VOXEL = (4.0, 2.0, 2.0), (2.0, 1.0, 1.0)
SPOT = np.array([25.3, 92.6, 24.9])
SHIFT_UM = np.array([0.0, 6.0, -4.0])


def canvas_of(viewer: Any) -> QWidget:
    """The widget that napari draws on."""
    window = next(
        w
        for w in QApplication.topLevelWidgets()
        if w.isVisible() and w.windowTitle() == viewer.title
    )
    drawn = [w for w in window.findChildren(QWidget) if "CanvasBackend" in type(w).__name__]
    return max(drawn, key=lambda w: w.width() * w.height())


class Hand:
    """Moves the mouse over a viewer and presses its keys."""

    def __init__(self, viewer: Any, qtbot: Any) -> None:
        self.viewer, self.qtbot, self.canvas = viewer, qtbot, canvas_of(viewer)

    def at(self, y_um: float, x_um: float) -> QPoint:
        centre = self.viewer.scene.camera.center[-2:]
        zoom = self.viewer.scene.camera.zoom
        down, across = (np.array([y_um, x_um]) - centre) * zoom
        half = self.canvas.width() / 2, self.canvas.height() / 2
        return QPoint(round(half[0] + across), round(half[1] + down))

    def move(self, y_um: float, x_um: float) -> QPoint:
        point = self.at(y_um, x_um)
        QTest.mouseMove(self.canvas, point + QPoint(3, 3))
        self.qtbot.wait(15)
        QTest.mouseMove(self.canvas, point)
        self.qtbot.wait(15)
        return point

    def click(self, y_um: float, x_um: float) -> None:
        point = self.move(y_um, x_um)
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, pos=point)
        self.settle()

    def press(self, key: Qt.Key, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.keyClick(self.canvas, key, modifier)
        self.settle()

    def settle(self) -> None:
        self.qtbot.wait(70)
        session = session_of(self.viewer)
        self.qtbot.waitUntil(lambda: not session.is_fitting, timeout=10_000)

    @property
    def pixel_um(self) -> float:
        return 1 / float(self.viewer.scene.camera.zoom)


@pytest.fixture
def at_work(viewer: Any, open_panel: Any, qtbot: Any) -> tuple[Any, Any, Hand]:
    """Two small images in a window, and empty landmark layers being placed."""
    seed = np.random.default_rng(1)
    fixed = seed.random((12, 60, 60)).astype(np.float32)
    moving = seed.random((24, 120, 120)).astype(np.float32)
    # a bright spot to snap to, far above the noise
    at = np.moveaxis(np.indices(fixed.shape), 0, -1) * FIXED_VOXEL - SPOT
    fixed += 40 * np.exp(-np.sum(at**2, axis=-1) / (2 * 5.0**2))
    viewer.add_image(fixed, name="fixed", scale=FIXED_VOXEL, units=UM)
    viewer.add_image(moving, name="moving", scale=MOVING_VOXEL, units=UM)
    panel = open_panel(viewer)
    QTest.mouseClick(panel.landmarks.new_layers, Qt.MouseButton.LeftButton)
    qtbot.wait(100)
    return viewer, panel, Hand(viewer, qtbot)


def ghosts(viewer: Any) -> list[Any]:
    return [layer for layer in viewer.layers if is_ghost(layer)]


def set_depth(viewer: Any, z_um: float) -> None:
    viewer.dims.set_point(viewer.dims.ndim - 3, z_um)


def test_from_the_third_pair_on_the_partner_is_expected_and_confirmed(
    at_work: Any, qtbot: Any
) -> None:
    viewer, panel, hand = at_work
    session = session_of(viewer)
    layers = [session.point_layer(side) for side in ("fixed", "moving")]
    for z_um, y_um, x_um in ((8.0, 30.0, 30.0), (20.0, 90.0, 40.0), (32.0, 50.0, 95.0)):
        set_depth(viewer, z_um)
        hand.click(y_um, x_um)
        assert panel.landmarks.view == "moving"
        assert not ghosts(viewer)
        assert not panel.landmarks.keys.buttons["confirm"].isEnabled()
        set_depth(viewer, z_um)
        hand.move(y_um + SHIFT_UM[1], x_um + SHIFT_UM[2])
        hand.press(KEY.Key_Space)  # places at the cursor, as a click does
        assert panel.landmarks.view == "fixed"
    assert [len(layer.data) for layer in layers] == [3, 3]
    assert session.fit is None  # three pairs are too few for the spline that is asked for

    set_depth(viewer, 16.0)
    hand.click(70.0, 70.0)
    assert session.landmarks["L04"].moving_um is None
    assert [str(s) for s in layers[0].symbol] == ["disc", "disc", "disc", "ring"]
    panel.landmarks.placing.turns.flush()
    (ghost,) = ghosts(viewer)
    assert panel.landmarks.keys.buttons["confirm"].isEnabled()
    placed = np.array(session.landmarks["L04"].fixed_um)
    assert np.allclose(world_points(ghost)[0], placed + SHIFT_UM, atol=3 * hand.pixel_um)
    # the view has gone there, and the ellipse follows when it is known
    assert np.allclose(viewer.scene.camera.center[-2:], (placed + SHIFT_UM)[1:], atol=1.5)
    qtbot.waitUntil(lambda: len(ghost.data) > 1, timeout=5000)
    outline = world_points(ghost)[1:]
    assert np.allclose(outline[:, 0], outline[0, 0])
    assert np.allclose(outline.mean(axis=0), world_points(ghost)[0], atol=1e-6)
    expected = world_points(ghost)[0]
    assert ghost not in session.all_point_layers()

    guide, said = panel.landmarks.guide, []
    assert "L04 is expected at the white cross in the moving image" in guide.words.text()
    session.told.connect(lambda text, _: said.append(text))
    hand.press(KEY.Key_Return)
    panel.landmarks.placing.turns.flush()
    assert not ghosts(viewer)
    assert said == ["L04 is a pair, 0 µm from where it was expected."]
    assert "4 pairs. Next: click another structure" in guide.words.text()
    assert np.allclose(session.landmarks["L04"].moving_um, expected, atol=1e-9)
    assert panel.landmarks.view == "fixed"
    assert all(np.all(layer.features["enabled"]) for layer in layers)

    # one view: Tab shows the other image and the keyboard stays
    hand.canvas.setFocus()
    hand.press(KEY.Key_Tab)
    assert panel.landmarks.view == "moving"
    assert hand.canvas.window().focusWidget() is hand.canvas
    # M: points are dragged; again: placed
    hand.press(KEY.Key_M)
    assert layers[1].mode == "select"
    assert not panel.landmarks.place.isChecked()
    QTest.mouseClick(panel.landmarks.keys.buttons["move"], Qt.MouseButton.LeftButton)
    assert layers[1].mode == "add"
    # nothing to snap to in noise: the pair is refined instead, and that is said
    session.set_options(replace(session.options, model="affine"))
    qtbot.waitUntil(lambda: session.fit is not None, timeout=10_000)
    panel.landmarks.look_at_landmark("L02")
    heard: list[str] = []
    session.told.connect(lambda text, _: heard.append(text))
    hand.press(KEY.Key_S)
    refinement = panel.landmarks.refinement
    qtbot.waitUntil(lambda: refinement.result.isVisible(), timeout=20_000)
    assert "Nothing stands out" in heard[0]
    assert "both images are compared" in heard[0]


def test_a_partner_far_outside_the_outline_is_doubted() -> None:
    expected = PredictedPlace(np.zeros(3), np.diag([25.0, 4.0, 4.0]), 50.0)
    near, far = (outcome("L07", np.array([0, y, 0.0]), expected) for y in (6.0, 24.0))
    assert near == "L07 is a pair, 6 µm from where it was expected."
    assert far.startswith("L07 is a pair, 24 µm from where it was expected, far outside")
    unknown = PredictedPlace(np.zeros(3), np.full((3, 3), np.nan), 50.0)
    assert outcome("L07", np.array([0, 24.0, 0]), unknown).endswith("expected.")


def test_keys_and_clicks_act_on_the_current_landmark(at_work: Any) -> None:
    """One window for what would each need its own."""
    the_next_click_is_the_chosen_half_pairs_partner(at_work)
    for layer in (session_of(at_work[0]).point_layer(side) for side in ("fixed", "moving")):
        layer.selected_data = set(range(len(layer.data)))
        layer.remove_selected()
    at_work[2].settle()
    at_work[1].landmarks.view_buttons["fixed"].click()
    keys_change_the_current_landmark(at_work)
    keys_are_changed_in_the_preferences_and_given_back(at_work)


def the_next_click_is_the_chosen_half_pairs_partner(at_work: Any) -> None:
    viewer, panel, hand = at_work
    session = session_of(viewer)
    panel.landmarks.follow.setChecked(False)
    for y_um in (20.0, 50.0, 80.0):
        hand.click(y_um, 40.0)
    hand.press(KEY.Key_P)  # from L03 back to L02
    assert panel.landmarks.placing.current == "L02"
    panel.landmarks.view_buttons["moving"].click()
    hand.settle()
    hand.click(52.0, 44.0)
    assert raw_ids(session.point_layer("moving")) == ["L02"]


def keys_change_the_current_landmark(at_work: Any) -> None:
    viewer, panel, hand = at_work
    session = session_of(viewer)
    fixed = session.point_layer("fixed")
    panel.landmarks.follow.setChecked(False)
    set_depth(viewer, 16.0)
    hand.click(40.0, 60.0)
    hand.click(80.0, 30.0)
    before = np.array(session.landmarks["L02"].fixed_um)
    hand.press(KEY.Key_Right)
    hand.press(KEY.Key_Up, SHIFT)
    hand.press(KEY.Key_D)
    moved = np.array(session.landmarks["L02"].fixed_um) - before
    assert np.allclose(moved, [FIXED_VOXEL[0], -0.1 * FIXED_VOXEL[1], FIXED_VOXEL[2]])
    assert viewer.dims.point[-3] == pytest.approx(20.0)  # the view follows in depth

    hand.press(KEY.Key_N)
    assert panel.landmarks.table.selected_ids() == ["L01"]
    assert viewer.dims.point[-3] == pytest.approx(16.0)
    hand.press(KEY.Key_E)
    assert not session.landmarks["L01"].enabled
    assert session.landmarks["L02"].enabled
    QTest.mouseClick(panel.landmarks.keys.buttons["enable"], Qt.MouseButton.LeftButton)
    hand.settle()
    assert session.landmarks["L01"].enabled
    set_depth(viewer, 24.0)
    hand.click(SPOT[1] + 4, SPOT[2] - 5)
    hand.press(KEY.Key_S)
    hand.qtbot.waitUntil(lambda: "middle of a spot" in panel.message.text(), timeout=10_000)
    assert np.allclose(session.landmarks["L03"].fixed_um, SPOT, atol=0.4)
    hand.press(KEY.Key_Delete)
    hand.press(KEY.Key_N)
    hand.press(KEY.Key_Delete)
    viewer.dims.ndisplay = 3  # seen along z: the click says y and x, the brightest place z
    hand.settle()
    hand.click(SPOT[1], SPOT[2])
    (clicked,) = [m for m in session.landmarks if m.id != "L02"]
    assert np.allclose(clicked.fixed_um, SPOT, atol=FIXED_VOXEL[0] / 2 + 2 * hand.pixel_um)
    hand.press(KEY.Key_Delete)
    viewer.dims.ndisplay = 2
    hand.settle()
    assert [m.id for m in session.landmarks] == ["L02"]
    hand.click(100.0, 100.0)  # nothing of what was selected is copied to the next point
    assert all(fixed.features["enabled"])
    nothing_is_placed_beside_the_image(at_work)


def nothing_is_placed_beside_the_image(at_work: Any) -> None:
    """By a click or Space, in 2-D or 3-D; on the border it is, and may be nudged away."""
    viewer, panel, hand = at_work
    layer = session_of(viewer).point_layer("fixed")
    panel.landmarks.view_buttons["fixed"].click()
    hand.settle()
    n, edge, words = len(layer.data), 119.0, panel.landmarks.list.words
    assert hand.canvas.rect().contains(hand.at(edge + 6, 60.0))
    panel.message.say("")
    hand.click(edge + 6, 60.0)
    assert panel.message.text() == "The click was beside the fixed image: nothing was placed."
    panel.message.say("")
    hand.press(KEY.Key_Space)
    assert "beside the fixed image" in panel.message.text()
    start, centre = hand.move(edge + 6, 60.0), viewer.scene.camera.center
    QTest.mousePress(hand.canvas, Qt.MouseButton.LeftButton, pos=start)
    for up in (-20, -60):  # which still drags the picture
        QTest.mouseMove(hand.canvas, start + QPoint(0, up))
        hand.qtbot.wait(20)
    QTest.mouseRelease(hand.canvas, Qt.MouseButton.LeftButton, pos=start + QPoint(0, -60))
    hand.settle()
    assert viewer.scene.camera.center[1] > centre[1]
    viewer.layers.selection.active.mode = "select"  # in napari's own buttons
    viewer.layers.selection.active.mode = "add"
    deeper = viewer.add_points([[70.0, 60.0, 60.0]], units=UM)  # the slider goes on below the image
    viewer.layers.selection.active = layer
    set_depth(viewer, 60.0)
    hand.click(60.0, 60.0)
    assert "does not reach the plane shown" in panel.message.text()
    viewer.layers.remove(deeper)
    viewer.layers.selection.active = layer
    set_depth(viewer, 16.0)
    viewer.dims.ndisplay = 3
    hand.settle()
    panel.message.say("")
    hand.click(edge + 20, 60.0)
    assert "beside the fixed image" in panel.message.text()
    viewer.dims.ndisplay = 2
    hand.settle()
    assert len(layer.data) == n
    assert not words.isVisibleTo(panel)
    hand.click(edge + 0.3, 60.0)
    assert len(layer.data) == n + 1  # once: napari's own way of adding is back as it was
    assert not words.isVisibleTo(panel)
    hand.press(KEY.Key_Down)
    assert words.text() == f"Beside the fixed image: {raw_ids(layer)[-1]}."
    hand.press(KEY.Key_Delete)
    assert len(layer.data) == n


def keys_are_changed_in_the_preferences_and_given_back(at_work: Any) -> None:
    viewer, panel, hand = at_work
    session = session_of(viewer)
    name, fixed = "napari-bridgecorr:enable", session.point_layer("fixed")
    (landmark_id,) = [m.id for m in session.landmarks if m.id != "L02"]
    hand.press(KEY.Key_N)
    if panel.landmarks.placing.current != landmark_id:
        hand.press(KEY.Key_N)
    try:
        action_manager.unbind_shortcut(name)
        action_manager.bind_shortcut(name, "Shift+E")
        assert "[Shift+E]" in panel.landmarks.keys.buttons["enable"].text()
        hand.press(KEY.Key_E)
        assert session.landmarks[landmark_id].enabled
        hand.press(KEY.Key_E, SHIFT)
        assert not session.landmarks[landmark_id].enabled
    finally:
        action_manager.unbind_shortcut(name)
        action_manager.bind_shortcut(name, "E")
    assert fixed.keymap
    assert viewer.keymap
    viewer.window.remove_dock_widget("all")
    hand.qtbot.wait(50)
    assert not fixed.keymap
    assert not viewer.keymap
    assert not any("beside" in str(c).lower() for c in fixed.mouse_drag_callbacks)
