"""What was clicked outlives the window: kept by itself, offered again, the same to the last bit."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")

from killed_window import camera, probes, second_shown, shown, slice_of
from napari.layers import Points
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QAbstractButton, QWidget
from test_live_overlay import check
from test_register_panel import click, settled

from napari_bridgecorr._napari import autosave_files
from napari_bridgecorr._napari.autosave import autosave_of
from napari_bridgecorr._napari.frames import frame_of, is_drawn_by_panel, shown_matrix
from napari_bridgecorr._napari.kept_layout import docked_panels, open_folds
from napari_bridgecorr._napari.landmark_layers import SIDES
from napari_bridgecorr._napari.plane_bench import bench_of
from napari_bridgecorr._napari.residual_layer import is_residual_layer
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr._napari.views import look_at
from napari_bridgecorr.cli.main import main
from napari_bridgecorr.geometry import Plane
from napari_bridgecorr.geometry.grid import apply_affine
from napari_bridgecorr.io.transform_files import read_transform
from napari_bridgecorr.session import load_session
from napari_bridgecorr.workflow.plane_draft import PlaneDraft
from napari_bridgecorr.workflow.replay import run_session

HERE = Path(__file__).parent


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_window_is_continued(
    viewer: Any,
    open_panel: Any,
    qtbot: Any,
    phantom_files: Any,
    kept_sessions: Path,
    tmp_path: Path,
) -> None:
    """Pairs, undo, left out, dragged, resliced, fitted, warped, saved, killed, opened again."""
    saved = tmp_path / "study.json"
    files = [str(phantom_files.files[key]) for key in ("mri", "two_photon", "landmarks")]
    process = subprocess.Popen(
        [sys.executable, str(HERE / "killed_window.py"), *files, str(saved)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the window did not come to its end: see what it wrote"
    before = json.loads(line)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert [m[:3] for m in before["landmarks"]] == [
        ["L01", "big vein", True],
        ["L02", "", False],
        ["L03", "", True],
        ["L04", "", True],
    ]
    assert all(len(side) == 3 for m in before["landmarks"] for side in m[3:])
    assert before["model"] == "rigid"
    assert "(resliced)" in before["images"][1]
    (path,) = kept_sessions.glob("[!.]*.json")

    stays = StaysOpen()
    viewer.window._qt_window.installEventFilter(stays)
    panel = open_panel(viewer)
    row = panel.continuing
    qtbot.waitUntil(row.isVisible, timeout=5000)
    assert "4 landmarks and a plane" in row.words.text()
    click(row.go_on)
    session = session_of(viewer)
    qtbot.waitUntil(lambda: len(session.landmarks) == 4, timeout=20_000)
    settled(qtbot, viewer)
    qtbot.wait(300)
    after = json.loads(json.dumps({**shown(viewer, session), "second": second_shown(session)}))
    for key, wanted in after.items():
        assert wanted == before[key], key
    assert panel.fit.model.currentData() == session.options.model == before["model"]
    assert not row.isVisible()
    assert "Where you left: 4 landmarks." in panel.message.text()
    # what was computed and is in no file is told
    assert len(before["results"]) == 2
    assert all(name in panel.message.text() for name in before["results"])

    # without a window, what was saved and what was kept give the same map
    assert main(["run", str(saved)]) == 0
    transform = read_transform(tmp_path / "study_transform.json").transform
    np.testing.assert_allclose(transform.map(probes(session)), before["fit"], atol=1e-9)
    again = run_session(path).fits["registration"].transform
    np.testing.assert_allclose(again.map(probes(session)), before["fit"], atol=1e-9)
    check_closing_keeps_the_last_change(session, viewer.window._qt_window.close)
    assert stays.n_asked == 1


def test_sessions_are_kept_apart_and_the_newest_is_offered(
    registered: Any, open_panel: Any, qtbot: Any, kept_sessions: Path
) -> None:
    viewer, panel = registered
    qtbot.waitUntil(lambda: len(list(kept_sessions.glob("[!.]*.json"))) == 1, timeout=5000)
    assert autosave_files.kept() == []  # this window writes it
    assert not panel.continuing.isVisible()
    n = len(session_of(viewer).landmarks)
    layer = session_of(viewer).point_layer("fixed")
    layer.selected_data = {0}
    layer.remove_selected()
    viewer.window.remove_dock_widget(panel)  # within the half second
    qtbot.waitUntil(lambda: len(autosave_files.kept()) == 1, timeout=5000)
    (kept,) = autosave_files.kept()
    qtbot.waitUntil(lambda: _rows(autosave_files.kept()[0]) == [n - 1, n], timeout=5000)
    assert run_session(kept.path).fits["registration"].pairs.ids
    # opened as a file: the images that are there are used, the landmarks come back
    wanted = load_session(kept.path).landmark_sets[0].to_set()
    assert wanted.landmarks[0].fixed_um is None or wanted.landmarks[-1].fixed_um is None
    images = [layer for layer in viewer.layers if not isinstance(layer, Points)]
    qtbot.wait(200)  # the window has drawn itself in its new size
    for old in [layer for layer in viewer.layers if isinstance(layer, Points)]:
        old.data = old.data[:3]
    qtbot.wait(100)
    saved = Path(shutil.copy(kept.path, kept_sessions.parent / "study.json"))
    viewer.open(saved, plugin="napari-bridgecorr")
    session = session_of(viewer)
    qtbot.waitUntil(lambda: session.landmarks == wanted, timeout=10_000)
    assert [layer for layer in viewer.layers if not isinstance(layer, Points)] == images
    assert [len(session.point_layer(side).data) for side in SIDES] == [n - 1, n]
    check_views_and_plane(viewer, open_panel, qtbot)
    check_closing_keeps_the_last_change(session, viewer.close)


class StaysOpen(QObject):
    """Declines that a window is closed, as napari's question does: the test ends it its own way."""

    n_asked = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: ARG002 - Qt's
        if event.type() != QEvent.Type.Close:
            return False
        self.n_asked += 1
        event.ignore()
        return True


def check_closing_keeps_the_last_change(session: Any, close: Any) -> None:
    """What was moved and added just before is on the disk when the window is closed, not later."""
    path, layer = autosave_of(session).path, session.point_layer("fixed")
    moved = layer.data.copy()
    moved[0] += (0.5, 1.5, -2.5)
    layer.data = moved
    layer.add(moved[0] + 3.0)
    wanted = layer.data.copy()
    close()  # and no turn of the event loop
    window = json.loads(path.read_text())["window"]
    rows = window["layers"][window["points"]["fixed"]]
    np.testing.assert_array_equal(rows["data"], wanted)
    assert all(rows["features"]["id"]["values"])
    assert not list(path.parent.glob(".*"))  # nothing half written


def check_views_and_plane(viewer: Any, open_panel: Any, qtbot: Any) -> None:
    """Overlay, map layers, second view and plane come back as they were; the plane without us."""
    panel, session = open_panel(viewer), session_of(viewer)
    box = panel.overlay
    qtbot.waitUntil(box.show_overlay.isEnabled, timeout=10_000)
    panel.landmarks.two_views.click()
    qtbot.wait(100)
    second = session.canvases.second
    second.channels.list.actions()[1].trigger()
    second.linked.click()
    second.model.dims.set_point(0, 120.0)
    qtbot.wait(100)
    second.linked.click()  # the fixed view has followed; from here on each stays
    second.model.scene.camera.zoom *= 1.7
    box.show_overlay.click()
    box.modes["curtain"].click()
    box.edge.setValue(300)
    box.channel.setCurrentIndex(1)
    box.map_layers.boxes["grid"].click()
    panel.results.show_residuals.click()
    folds = {"bridgecorr_keys", "bridgecorr_verdict_fold", "bridgecorr_open_find"}
    for name in folds:
        panel.findChild(QAbstractButton, name).click()
    viewer.scene.camera.zoom *= 1.3

    def drawn() -> bool:
        overlay, layers = box.overlay, box.map_layers.layers
        is_idle = not (overlay.is_busy or layers.is_busy or session.is_fitting)
        return is_idle and overlay.layer is not None and layers.layer("grid") is not None

    qtbot.waitUntil(drawn, timeout=60_000)
    qtbot.wait(300)
    qtbot.waitUntil(drawn, timeout=60_000)
    box.overlay.layer.contrast_limits = (150.0, 700.0)
    session.image_layer("moving").visible = True
    _, reslice = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Reslice")
    qtbot.wait(200)
    before = looks(viewer, session, panel)
    # the Register panel is closed: the plane is kept all the same, and what the panel showed too
    viewer.window.remove_dock_widget(panel)
    assert not any(is_residual_layer(i) or is_drawn_by_panel(i) for i in viewer.layers)
    path = reslice.continuing.autosave.path
    assert docked_panels(session) == ["Reslice"]
    plane = Plane.from_normal(session.image("moving").grid.centre_um, (1, 0.1, 0))
    reslice.bench.change(PlaneDraft(way="found", found=plane, shift_um=3.0), "search")
    qtbot.waitUntil(lambda: bool(autosave_files.read(path)[1].window["plane"]), timeout=20_000)
    viewer.window.remove_dock_widget(reslice)
    viewer.window.remove_dock_widget(second)
    viewer.layers.clear()
    bench_of(session).change(PlaneDraft(), "clear")
    qtbot.waitUntil(lambda: path in [k.path for k in autosave_files.kept()], timeout=20_000)

    # a new panel: all of it comes back
    panel = open_panel(viewer)
    box = panel.overlay
    qtbot.waitUntil(panel.continuing.isVisible, timeout=20_000)
    assert "a plane" in panel.continuing.words.text()
    click(panel.continuing.go_on)
    qtbot.waitUntil(lambda: session.fit is not None and drawn(), timeout=60_000)
    assert set(open_folds(panel)) == folds
    assert panel.landmarks.keys.isVisibleTo(panel)
    # it was open, and is again
    reslice = viewer.window._qt_window.findChild(QWidget, "bridgecorr_reslice")
    qtbot.wait(300)
    assert panel.isVisible()  # and not the other one's tab over it
    qtbot.waitUntil(drawn, timeout=60_000)
    assert bench_of(session).plane == plane.shifted(3.0)
    after = looks(viewer, session, panel)
    for key, wanted in before.items():
        assert after[key] == wanted, key
    check(session, box.overlay.layer, channel=1)  # the picture itself, from the moving image
    assert box.modes["curtain"].isChecked()
    assert box.edge.value() == 300
    assert box.channel.currentIndex() == 1
    assert any(is_residual_layer(i) for i in viewer.layers)
    box.show_overlay.click()
    check_plane_in_both_views(viewer, session, reslice, qtbot)


def check_plane_in_both_views(viewer: Any, session: Any, reslice: Any, qtbot: Any) -> None:
    """The plane in the moving image is drawn there, and in the fixed one where the map has it."""
    plane, transform = reslice.bench.plane, session.fit.transform
    grid, other = reslice.bench.image().grid, reslice.in_other
    assert reslice.bench.side == "moving"
    middle = np.array([plane.origin_um])
    look_at(session, "moving", middle[0])
    look_at(session, "fixed", transform.inverse().map(middle)[0])
    qtbot.waitUntil(lambda: not other.is_busy and other.layer is not None, timeout=60_000)
    assert "through the current map" in reslice.other_note.text()
    line = other.layer
    ends = np.concatenate([line.data[:, 0], line.data.sum(axis=1)])
    matrix = frame_of(session.image_layer("fixed")) @ shown_matrix(line)
    landing = transform.map(apply_affine(matrix, ends))
    # straight pieces between places a hundredth of the image apart
    assert np.abs(plane.place(landing)[:, 0]).max() < 0.5
    assert grid.contains(landing).all()
    native = viewer.window._qt_viewer
    for view, canvas, layer in (
        (native, viewer, line),
        (
            session.canvases.second.canvas,
            session.canvases.second.model,
            reslice.layers.layer("outline"),
        ),
    ):
        # what the line's layer alone puts on the screen
        shown = view.screenshot(flash=False)[..., :3].astype(int)
        layer.visible = False
        without = view.screenshot(flash=False)[..., :3].astype(int)
        layer.visible = True
        seen = np.argwhere(np.abs(shown - without).max(axis=-1) > 40)
        places = ends if layer is line else reslice.layers.trace / np.array(layer.scale)
        places = np.asarray(layer.scale)[-2:] * places[:, -2:]
        if layer is not line:
            places = np.linspace(*places, 400)
        centre = np.array(shown.shape[:2]) / 2
        wanted = (places - canvas.scene.camera.center[-2:]) * canvas.scene.camera.zoom + centre
        inside = np.all((wanted > 8) & (wanted < np.array(shown.shape[:2]) - 8), axis=1)
        assert inside.sum() > 20
        far = np.linalg.norm(wanted[inside][:, None] - seen[None], axis=-1)
        assert far.min(axis=1).max() < 4  # all of the line is there,
        assert (
            np.percentile(np.linalg.norm(seen[:, None] - wanted[None], axis=-1).min(axis=1), 90) < 8
        )
    # another slice, another line; a plane that is gone is drawn nowhere
    viewer.dims.set_point(0, viewer.dims.point[0] + 8.0)
    before = line.data.copy()
    qtbot.waitUntil(lambda: not np.array_equal(other.layer.data, before), timeout=60_000)
    reslice.bench.change(PlaneDraft(), "clear")
    qtbot.waitUntil(lambda: not other.layer.visible, timeout=60_000)
    assert not reslice.other_note.isVisibleTo(reslice)


def looks(viewer: Any, session: Any, panel: Any) -> dict[str, Any]:
    """What both views and the overlay show, as it was drawn."""
    overlay, second = panel.overlay.overlay, session.canvases.second
    state = shown(viewer, session)
    return {
        **{key: state[key] for key in ("landmarks", "rows", "camera", "layers")},
        # along the picture's own axes the sliders follow what else is drawn
        "slice": [viewer.dims.ndisplay, viewer.dims.order, viewer.dims.point[0]],
        "overlay": [overlay.is_on, overlay.mode, overlay.layer.contrast_limits],
        "map": [panel.overlay.map_layers.layers.is_wanted(k) for k in ("grid", "folds", "error")],
        "second camera": camera(second.model),
        "second slice": slice_of(second.model.dims),
        "second channels": [copy.visible for _, copy in second.mirror.pairs()],
        "second text": second.channels.text(),
        "active": viewer.layers.selection.active.name,
    }


def _rows(kept: Any) -> list[int]:
    layers = kept.window["layers"]
    return [len(layer["data"]) for layer in layers if layer["kind"] == "points"]
