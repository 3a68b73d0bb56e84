"""Undo and redo by real keys and buttons, whoever made the change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.utils.action_manager import action_manager
from napari.utils.interactions import Shortcut
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog
from test_register_panel import canvas_of, click, click_canvas, settled

from napari_bridgecorr._napari.history_row import register_keys
from napari_bridgecorr._napari.landmark_keys import register
from napari_bridgecorr._napari.landmark_layers import raw_ids
from napari_bridgecorr._napari.placing_actions import ACTIONS
from napari_bridgecorr._napari.view_keys import register_keys as register_link
from napari_bridgecorr._napari.viewer_keys import keys_in_words
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.session import load_session, load_window

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def press(qtbot: Any, viewer: Any, redo: bool = False) -> None:
    canvas = canvas_of(viewer)
    QTest.keyClick(canvas, Qt.Key.Key_Z, CTRL | SHIFT if redo else CTRL)
    qtbot.wait(60)


def state(session: Any) -> dict:
    session.read_now()
    return {m.id: (m.name, m.enabled, m.fixed_um, m.moving_um) for m in session.landmarks}


def test_clicks_and_drags_are_taken_back_by_keys(
    viewer: Any,
    open_panel: Any,
    qtbot: Any,
    phantom_files: Any,
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    for key in ("mri", "two_photon"):
        viewer.open(phantom_files.files[key], plugin="napari-bridgecorr")
    panel = open_panel(viewer)
    session = session_of(viewer)
    assert not panel.landmarks.history.undo.isEnabled()
    click(panel.landmarks.new_layers)
    qtbot.wait(100)
    seen = [state(session)]
    names = []
    for place in ((400.0, 300.0), (500.0, 600.0), (600.0, 450.0)):
        click_canvas(qtbot, viewer, place)
        seen.append(state(session))
        names.append(session.history.undo_name)
    assert [len(s) for s in seen] == [0, 1, 1, 2]
    assert names == ["add L01 (fixed)", "add L01 (moving)", "add L02 (fixed)"]
    assert panel.landmarks.history.undo.text() == "Undo: add L02 (fixed)"
    # drag the point that was placed last, with pauses that let it be read on the way
    panel.landmarks.set_view("fixed")
    panel.landmarks.place.setChecked(False)
    layer = session.point_layer("fixed")
    layer.mode = "select"
    canvas = canvas_of(viewer)
    centre, zoom = viewer.scene.camera.center[-2:], viewer.scene.camera.zoom
    at = np.array([canvas.height() / 2, canvas.width() / 2])
    at = at + (np.array([600.0, 450.0]) - centre) * zoom
    start = QPoint(round(at[1]), round(at[0]))
    QTest.mouseMove(canvas, start)
    qtbot.wait(30)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    for step in (10, 20, 30):
        QTest.mouseMove(canvas, start + QPoint(step, step))
        qtbot.wait(70)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=start + QPoint(30, 30))
    qtbot.wait(80)
    dragged = state(session)
    moved = np.subtract(dragged["L02"][2], seen[-1]["L02"][2])
    assert np.linalg.norm(moved) == pytest.approx(30 * np.sqrt(2) / zoom, rel=0.2)
    assert panel.landmarks.history.undo.text() == "Undo: move L02 (fixed)"
    for wanted in (seen[3], seen[2], seen[1], seen[0]):
        press(qtbot, viewer)
        assert state(session) == wanted
    assert not panel.landmarks.history.undo.isEnabled()
    assert session.history.redo_name == "add L01 (fixed)"
    for wanted in (seen[1], seen[2], seen[3], dragged):
        press(qtbot, viewer, redo=True)
        assert state(session) == wanted
    views_with_names_are_come_back_to(viewer, panel)
    a_session_without_a_fit_is_saved(viewer, panel, qtbot, tmp_path, monkeypatch)


def views_with_names_are_come_back_to(viewer: Any, panel: Any) -> None:
    names, camera = panel.landmarks.positions.names, viewer.scene.camera
    seen = []
    for name, zoom, depth in (("vein", 0.7, 300.0), ("fork", 0.4, 500.0)):
        camera.zoom, camera.center = zoom, (0, 1000 * zoom, 400)
        viewer.dims.set_point(0, depth)
        names.lineEdit().selectAll()
        QTest.keyClicks(names.lineEdit(), name)
        click(panel.landmarks.positions.keep)
        seen.append((camera.zoom, tuple(camera.center), tuple(viewer.dims.point)))
    panel.landmarks.set_view("both")
    QTest.keyClick(names, Qt.Key.Key_Up)
    assert names.currentText() == "vein"
    assert (camera.zoom, tuple(camera.center), tuple(viewer.dims.point)) == seen[0]
    assert panel.landmarks.view == "fixed"


def a_session_without_a_fit_is_saved(
    viewer: Any, panel: Any, qtbot: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    session = session_of(viewer)
    assert session.fit is None
    path = tmp_path / "begun.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    click(panel.results.saves["session"])
    qtbot.waitUntil(lambda: "Saved" in panel.message.text(), timeout=10_000)
    other = str(tmp_path / "begun.session.json")
    assert viewer.layers.save(other, plugin="napari-bridgecorr") == [other]
    for place in (path, Path(other)):
        record, window = load_session(place), load_window(place)
        assert record.landmark_sets[0].to_set() == session.landmarks
        assert [Path(image.path).name for image in record.images] == [
            "mri.nii.gz",
            "two_photon.czi",
        ]
        assert [p["name"] for p in window["panel"]["positions"]] == ["vein", "fork"]
        assert window["names"] == [session.image(side).name for side in ("fixed", "moving")]


def test_what_panels_and_plugins_do_is_taken_back_by_the_button(
    registered: Any, qtbot: Any
) -> None:
    viewer, panel = registered
    session, undo = session_of(viewer), panel.landmarks.history.undo
    fixed, moving = (session.point_layer(side) for side in ("fixed", "moving"))
    fixed.features = fixed.features.assign(score=np.arange(len(fixed.data)) / 2)
    settled(qtbot, viewer)
    seen, named = [state(session)], []
    looks = fixed.size.copy(), fixed.face_color.copy(), list(fixed.features["score"])
    names = raw_ids(fixed)

    def rename() -> None:
        session.set_name(names[2], "vein")

    def leave_out() -> None:
        session.set_enabled(names[0], False)

    def delete_a_pair() -> None:
        for layer in (fixed, moving):
            layer.selected_data = {raw_ids(layer).index(names[3])}
            layer.remove_selected()

    def script() -> None:
        moving.data = moving.data + 5.0

    def delete_the_layers() -> None:
        viewer.layers.selection = {fixed, moving}
        viewer.layers.remove_selected()

    for act in (rename, leave_out, delete_a_pair, script, delete_the_layers):
        act()
        settled(qtbot, viewer)
        seen.append(state(session))
        named.append(session.history.undo_name)
    assert named == [
        f"rename {names[2]}",
        f"leave out {names[0]}",
        f"delete {names[3]}",
        f"move {len(names) - 1} landmarks (moving)",
        "delete 2 layers of landmarks",
    ]
    assert seen[-1] == {}
    for wanted in reversed(seen[:-1]):
        click(undo)
        settled(qtbot, viewer)
        found = state(session)
        assert found.keys() == wanted.keys()
        assert found == wanted
    back = session.point_layer("fixed")
    assert back is not fixed
    assert raw_ids(back) == names
    assert np.array_equal(back.size, looks[0])
    assert np.array_equal(back.face_color, looks[1])
    assert list(back.features["score"]) == looks[2]
    assert "Undone: rename" in panel.message.text()
    for wanted in seen[1:]:
        click(panel.landmarks.history.redo)
        settled(qtbot, viewer)
        assert state(session) == wanted
    # how they are fitted is a step, too; a number that is turned is one
    before = session.options
    QTest.keyClick(panel.fit.model, Qt.Key.Key_Home)
    assert session.history.undo_name == "fit by translation"
    panel.fit.model.setCurrentIndex(panel.fit.model.findData("tps"))
    panel.fit.auto.setChecked(False)
    for _ in range(3):
        QTest.keyClick(panel.fit.smoothing, Qt.Key.Key_Up)
    assert session.options.smoothing == 3
    click(undo)
    assert session.options.smoothing == 0
    for _ in range(2):
        click(undo)
    assert session.options == before
    assert panel.fit.model.currentData() == before.model
    click(panel.landmarks.history.redo)
    assert session.options.model == panel.fit.model.currentData() == "translation"


def test_the_keys_stand_among_naparis_shortcuts(qtbot: Any) -> None:
    from napari._qt.widgets.qt_keyboard_settings import ShortcutEditor

    register_keys()
    register_link()
    for action in ACTIONS:
        register(action)
    editor = ShortcutEditor()
    qtbot.addWidget(editor)
    table = editor._table
    words = {
        table.item(row, 0).text(): table.item(row, 2).text() for row in range(table.rowCount())
    }
    assert words["Link the two views, or no longer (bridgecorr)"] == "L"
    listed = {a.name: words[f"Landmarks: {a.title}"] for a in ACTIONS}
    assert all(listed.values())
    assert {listed[n] for n in ("next", "previous", "enable", "snap")} == {*"NPES"}
    # one is changed there, as by hand, and is what the panel lists
    (snap,) = [a for a in ACTIONS if a.name == "snap"]
    (row,) = [i for i in range(table.rowCount()) if table.item(i, 0).text() == "Landmarks: Snap"]
    try:
        table.item(row, 2).setText(Shortcut("Shift+J").platform)
        assert keys_in_words(snap.full_name) == "Shift+J"  # as the panel's list shows it
    finally:
        action_manager.unbind_shortcut(snap.full_name)
        action_manager.bind_shortcut(snap.full_name, "S")
    assert words["Undo the last change of landmarks (bridgecorr)"] == "Ctrl+Z"
    assert words["Redo the change of landmarks that was undone (bridgecorr)"].startswith(
        "Ctrl+\u21e7"
    )
