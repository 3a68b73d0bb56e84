"""The Register panel in a real window: clicks, numbers, cancelling, closing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

pytest.importorskip("napari")

from control_faults import faults_of
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Vectors
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QOpenGLContext, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QFileDialog, QScrollArea, QWidget
from vispy.gloo import gl

from napari_bridgecorr._napari import outputs
from napari_bridgecorr._napari.fit_extras import MoreButton
from napari_bridgecorr._napari.frames import METADATA_KEY, frame_of, world_matrix
from napari_bridgecorr._napari.jobs import Job, LatestAnswer
from napari_bridgecorr._napari.keyboard import native_of
from napari_bridgecorr._napari.landmark_layers import raw_ids, world_points
from napari_bridgecorr._napari.layers import image_to_layers
from napari_bridgecorr._napari.panel_tabs import dock_of
from napari_bridgecorr._napari.sample_data import sample_folder
from napari_bridgecorr._napari.save_dialog import ask_path
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr._napari.views import show_depth, show_view
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.io.landmark_files import read_landmarks
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.resampling import resample
from napari_bridgecorr.transform.codecs import transform_from_dict
from napari_bridgecorr.workflow.replay import run_session

LEFT = Qt.MouseButton.LeftButton
UM = ("um", "um", "um")


def click(widget: QWidget) -> None:
    QTest.mouseClick(widget, LEFT)


def tick(box: QWidget) -> None:
    """Click a check box on its box: its label may be stretched far beyond its text."""
    QTest.mouseClick(box, LEFT, pos=QPoint(9, box.height() // 2))


def settled(qtbot: Any, viewer: Any) -> None:
    """Wait until the landmarks have been read and fitted."""
    session = session_of(viewer)
    qtbot.wait(80)
    qtbot.waitUntil(lambda: not session.is_fitting, timeout=10_000)


def canvas_of(viewer: Any) -> QWidget:
    """The widget that napari draws on: the largest native one of the window."""
    window = next(
        w
        for w in QApplication.topLevelWidgets()
        if w.isVisible() and w.windowTitle() == viewer.title
    )
    drawn = [w for w in window.findChildren(QWidget) if "CanvasBackend" in type(w).__name__]
    return max(drawn, key=lambda w: w.width() * w.height())


def click_canvas(qtbot: Any, viewer: Any, position: tuple[float, float]) -> None:
    """Click where the viewer draws a world position (y, x, in the viewer's units)."""
    canvas = canvas_of(viewer)
    centre = viewer.scene.camera.center[-2:]
    offset = (np.array(position) - centre) * viewer.scene.camera.zoom
    # the camera's zoom is in logical pixels per world unit
    point = QPoint(round(canvas.width() / 2 + offset[1]), round(canvas.height() / 2 + offset[0]))
    QTest.mouseMove(canvas, point)
    qtbot.wait(20)
    QTest.mouseClick(canvas, LEFT, pos=point)
    qtbot.wait(80)


def test_the_panel_of_a_fit(registered: Any, phantom_files: Any, qtbot: Any) -> None:
    roles_are_guessed_and_the_fit_is_that_of_the_core(registered, phantom_files)
    the_table_shows_the_worst_first_and_a_click_looks_at_it(registered, qtbot)
    leaving_a_landmark_out_refits_without_it(registered, qtbot)
    the_model_is_chosen_in_the_panel(registered, qtbot)


def roles_are_guessed_and_the_fit_is_that_of_the_core(registered: Any, phantom_files: Any) -> None:
    viewer, panel = registered
    session = session_of(viewer)
    assert session.image("fixed").grid == open_image(phantom_files.files["mri"]).grid
    assert len(session.image("moving").channels) == 2
    expected = fit(read_landmarks(phantom_files.files["landmarks"]).pairs(), FitOptions())
    found = session.fit
    assert found.pairs.ids == expected.pairs.ids
    points = expected.pairs.fixed_um + 37.0
    assert np.allclose(found.transform.map(points), expected.transform.map(points), atol=1e-6)
    assert f"{expected.diagnostics.loo_rms_um:.3g} µm" in panel.fit.summary.text()
    assert "not accuracy" in panel.fit.caution.text()
    assert panel.fit.caution.isVisible()


def the_table_shows_the_worst_first_and_a_click_looks_at_it(registered: Any, qtbot: Any) -> None:
    viewer, panel = registered
    session, table = session_of(viewer), panel.landmarks.table
    errors = session.fit.diagnostics.leave_one_out_lengths_um
    shown = [float(table.text(row, 3)) for row in range(table.model().rowCount())]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] == pytest.approx(errors.max(), abs=0.06)
    tick(panel.images.upright)
    assert panel.images.upright.isChecked()
    qtbot.wait(50)
    click(panel.landmarks.view_buttons["moving"])
    row = 3
    table.scrollTo(table.rows.index(row, 1))
    centre = table.visualRect(table.rows.index(row, 1)).center()
    QTest.mouseClick(table.viewport(), LEFT, pos=centre)
    landmark = session.landmarks[table.rows.index(row, 0).data(Qt.ItemDataRole.EditRole)]
    assert np.allclose(viewer.scene.camera.center[-2:], landmark.moving_um[1:], atol=1e-6)
    assert abs(viewer.dims.point[-3] - landmark.moving_um[0]) <= 12


def leaving_a_landmark_out_refits_without_it(registered: Any, qtbot: Any) -> None:
    viewer, panel = registered
    session, table = session_of(viewer), panel.landmarks.table
    worst = table.worst_after()
    tick_box = table.visualRect(table.rows.index(table.row_of(worst), 0))
    QTest.mouseClick(table.viewport(), LEFT, pos=tick_box.topLeft() + QPoint(10, 12))
    qtbot.waitUntil(lambda: session.fit is not None and len(session.fit.pairs) == 15, timeout=5000)
    assert worst not in session.fit.pairs.ids
    assert "1 left out" in panel.fit.summary.text()
    enabled = dict(
        zip(
            session.point_layer("fixed").features["id"],
            session.point_layer("fixed").features["enabled"],
            strict=True,
        )
    )
    assert not enabled[worst]


def the_model_is_chosen_in_the_panel(registered: Any, qtbot: Any) -> None:
    viewer, panel = registered
    session = session_of(viewer)
    box = panel.fit.model
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Up)  # affine stands before the spline
    qtbot.waitUntil(
        lambda: session.fit is not None and session.fit.options.model == "affine", timeout=5000
    )
    expected = fit(session.landmarks.pairs(), FitOptions("affine"))
    assert session.fit.diagnostics.loo_rms_um == pytest.approx(expected.diagnostics.loo_rms_um)
    assert not panel.fit.auto.isEnabled()


def both_are_seen_whole(qtbot: Any, session: Any, canvases: list[Any]) -> None:
    qtbot.waitUntil(lambda: canvases[0].scene.camera.zoom == canvases[1].scene.camera.zoom)
    for side, canvas in zip(("fixed", "moving"), canvases, strict=True):
        room = native_of(canvas)
        seen_um = np.array([room.height(), room.width()]) / canvas.scene.camera.zoom
        image = session.image(side)
        size_um = (np.array(image.grid.shape) * image.grid.voxel_size_um)[1:]
        assert np.all(size_um < seen_um)
        middle = (size_um - image.grid.voxel_size_um[1:]) / 2  # world 0 is a voxel's centre
        assert np.allclose(canvas.scene.camera.center[-2:], middle, atol=1)


def test_pairs_from_the_first_click(
    viewer: Any, open_panel: Any, qtbot: Any, phantom_files: Any
) -> None:
    for key in ("mri", "two_photon"):
        viewer.open(phantom_files.files[key], plugin="napari-bridgecorr")
    panel = open_panel(viewer)
    session = session_of(viewer)
    assert not panel.images.upright.isChecked()
    guide = panel.landmarks.guide
    assert "one click in each is a pair" in guide.words.text()
    click(guide.start)
    assert panel.images.upright.isChecked()  # the MRI lies obliquely
    assert not guide.start.isVisible()
    assert "First pair: click a structure in the fixed image" in guide.words.text()
    # side by side, each whole, a micrometre as large in both
    canvases = [session.canvas_of(side) for side in ("fixed", "moving")]
    assert canvases[0] is not canvases[1]
    both_are_seen_whole(qtbot, session, canvases)
    click(panel.landmarks.two_views)
    qtbot.waitUntil(lambda: session.canvases.second is None, timeout=5000)
    qtbot.waitUntil(lambda: canvas_of(viewer) is native_of(viewer), timeout=5000)
    qtbot.wait(200)  # the room that it left is dealt out
    click(panel.landmarks.view_buttons["fixed"])
    qtbot.wait(100)
    fixed, moving = session.point_layer("fixed"), session.point_layer("moving")
    assert isinstance(fixed, Points)
    assert str(fixed.mode) == "add"
    assert viewer.layers.selection.active is fixed
    depth = viewer.dims.point[-3]
    click_canvas(qtbot, viewer, (400.0, 300.0))
    assert len(fixed.data) == 1
    mri = session.image("fixed")
    # upright: the canvas shows the MRI's own axes in um
    clicked = np.array([depth, 400.0, 300.0]) / mri.grid.voxel_size_um
    pixel_um = 1 / viewer.scene.camera.zoom
    assert np.allclose(
        world_points(fixed)[0], mri.grid.to_world(clicked[None])[0], atol=2 * pixel_um
    )
    # the other image has opened by itself
    assert panel.landmarks.view == "moving"
    assert str(moving.mode) == "add"
    assert panel.landmarks.table.text(0, 2) == "needs its moving point"
    assert "L01: now click the same structure in the moving image" in guide.words.text()
    click_canvas(qtbot, viewer, (500.0, 600.0))
    assert raw_ids(fixed) == raw_ids(moving) == ["L01"]
    assert np.allclose(world_points(moving)[0][1:], (500, 600), atol=2 * pixel_um)
    assert panel.landmarks.view == "fixed"
    settled(qtbot, viewer)
    assert "1 pair: place at least 4 more for a thin-plate spline" in panel.fit.summary.text()
    assert "1 pair. Next: click another structure" in guide.words.text()
    click_canvas(qtbot, viewer, (-60.0, 300.0))
    assert "beside the fixed image: nothing was placed" in panel.message.text()
    assert len(fixed.data) == 1
    click_canvas(qtbot, viewer, (300.0, 300.0))
    assert panel.landmarks.view == "moving"
    click(panel.landmarks.history.undo)  # of a click whose layer is hidden by now
    click(panel.landmarks.view_buttons["fixed"])
    viewer.open(phantom_files.files["landmarks"], plugin="napari-bridgecorr")
    assert "Not used: <b>landmarks (fixed) [1]</b> and <b>landmarks" in guide.words.text()
    (clicked,), others = session.landmarks, viewer.layers[-2:]
    click(guide.use_others)
    assert [session.point_layer(side) for side in ("fixed", "moving")] == list(others)
    assert len(session.landmarks) == 16
    assert (fixed.visible, others[0].visible, str(others[0].mode)) == (False, True, "add")
    # they came at their places in the world, and lie now where the upright image shows them
    truth = read_landmarks(phantom_files.files["landmarks"]).landmarks
    assert np.allclose(
        [m.fixed_um for m in session.landmarks], [m.fixed_um for m in truth], atol=1e-3
    )
    inside = mri.grid.to_index(world_points(others[0])) * mri.grid.voxel_size_um
    assert np.allclose(others[0].data * others[0].scale, inside, atol=1e-3)
    click(panel.landmarks.history.undo)
    assert list(session.landmarks) == [clicked]
    assert (fixed.visible, others[0].visible, str(fixed.mode)) == (True, False, "add")
    assert "Not used" in guide.words.text()
    click(panel.landmarks.history.redo)
    assert len(session.landmarks) == 16
    click(panel.landmarks.history.undo)
    viewer.layers.remove("landmarks (fixed) [1]")
    viewer.layers.remove("landmarks (moving) [1]")
    assert "Not used" not in guide.words.text()
    assert not guide.use_others.isVisible()
    show_view(session, "both")  # as the overlay does when it comes
    show_view(session, "both")
    assert str(fixed.mode) == "add"
    assert not panel.results.warp.isEnabled()


def test_what_is_made_of_a_fit(
    registered: Any, qtbot: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    """One window for what would each need its own."""
    viewer, _ = registered
    warp_adds_what_resample_gives(registered, qtbot)
    labels_and_points_go_along(registered, qtbot, monkeypatch, tmp_path)
    for layer in session_of(viewer).result_layers():
        viewer.layers.remove(layer)
    residual_arrows(registered, qtbot)
    one_channel_can_be_warped(registered, qtbot)
    cancel_leaves_nothing(registered, qtbot, monkeypatch)


def warp_adds_what_resample_gives(registered: Any, qtbot: Any) -> None:
    viewer, panel = registered
    session = session_of(viewer)
    before = len(viewer.layers)
    click(panel.results.warp)
    qtbot.waitUntil(lambda: len(viewer.layers) == before + 2, timeout=20_000)
    expected = resample(session.image("moving"), session.fit.transform, session.image("fixed").grid)
    values = expected.data.compute()
    results = session.result_layers()
    assert all("registered" in layer.name for layer in results)
    for number, layer in enumerate(results):
        assert np.array_equal(np.asarray(layer.data), values[0, number], equal_nan=True)
        assert np.allclose(world_matrix(layer), session.image("fixed").grid.index_to_world)
        assert [str(u) for u in layer.units] == ["micrometer"] * 3
    assert "added" in panel.message.text()


def labels_and_points_go_along(
    registered: Any, qtbot: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    """A segmentation on the moving image's voxels and points in it; the fixed image's stay."""
    viewer, panel = registered
    session = session_of(viewer)
    for layer in session.result_layers():
        viewer.layers.remove(layer)
    image, fixed, source = session.image("moving"), session.image("fixed"), "two_photon.czi"
    assert not panel.results.along.isVisibleTo(panel)
    centre, radius = image.grid.centre_um, 120.0
    world = image.grid.to_world(np.indices(image.grid.shape).reshape(3, -1).T)
    ball = np.linalg.norm(world - centre, axis=1) < radius
    shown = session.image_layer("moving")
    place = {"scale": shown.scale, "translate": shown.translate, "units": shown.units}
    values = np.where(ball, 7, 0).reshape(image.grid.shape).astype(np.uint16)
    cells = viewer.add_labels(values, name="cells", **place)
    inside = centre + np.array([[0, 0, 0], [60, -90, 40], [-80, 50, 70.0]])
    spots = viewer.add_points(
        inside, name="spots", units=UM, size=[4, 5, 6], features={"kind": ["a", "b", "c"]}
    )
    mine = viewer.add_points(fixed.grid.centre_um[None], name="of the MRI", units=UM)
    listed = {a.text(): a.isChecked() for a in panel.results.along.list.actions()}
    assert listed == {"cells": True, "spots": True}
    assert panel.results.along.isVisibleTo(panel)
    assert panel.results.along.text() == "With it: 2 layers"
    qtbot.waitUntil(panel.results.warp.isEnabled, timeout=20_000)
    click(panel.results.warp)
    qtbot.waitUntil(lambda: "spots registered" in viewer.layers, timeout=20_000)
    assert "With it: cells, spots." in panel.message.text()
    assert len(session.result_layers()) == 4
    transform = session.fit.transform
    copy, labels = viewer.layers["spots registered"], viewer.layers["cells registered"]
    np.testing.assert_allclose(transform.map(world_points(copy)), inside, atol=1e-3)
    assert list(copy.features["kind"]) == ["a", "b", "c"]
    assert isinstance(labels, Labels)
    assert np.allclose(world_matrix(labels), fixed.grid.index_to_world)
    voxels = np.argwhere(np.asarray(labels.data) == 7)
    assert len(voxels) > 20
    away = transform.map(fixed.grid.to_world(voxels)) - centre
    assert np.linalg.norm(away, axis=1).max() < radius + 0.6 * max(fixed.grid.voxel_size_um)
    volume = len(voxels) * abs(np.linalg.det(fixed.grid.index_to_world[:3, :3]))
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.15)
    # every result says where it comes from
    for layer in session.result_layers():
        tag = layer.metadata.get(METADATA_KEY)
        record = (layer.metadata if tag is None else tag.image.metadata)["registered"]
        assert Path(record["source"]["path"]).name == source
        assert record["transform"]["fit"]["model"] == "tps"
        again = transform_from_dict(record["transform"]["transform"])
        np.testing.assert_array_equal(again.map(inside), transform.map(inside))
    # too large for memory: in files, with all that goes along
    in_memory = {layer.name: np.asarray(layer.data) for layer in session.result_layers()}
    for layer in session.result_layers():
        viewer.layers.remove(layer)
    with monkeypatch.context() as patched:
        patched.setattr(outputs, "LARGEST_IN_MEMORY_BYTES", 0)
        path = tmp_path / "big.ome.zarr"
        patched.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
        (tmp_path / "big_cells.ome.zarr").mkdir()  # somebody's: left alone
        qtbot.waitUntil(panel.results.warp.isEnabled, timeout=20_000)
        click(panel.results.warp)
        qtbot.waitUntil(lambda: "spots registered" in viewer.layers, timeout=30_000)
    assert "With it: cells, spots." in panel.message.text()
    results = session.result_layers()
    (labels,) = (layer for layer in results if isinstance(layer, Labels))
    np.testing.assert_array_equal(np.asarray(labels.data), in_memory["cells registered"])
    np.testing.assert_allclose(
        np.asarray(viewer.layers["spots registered"].data), in_memory["spots registered"]
    )
    assert not any((tmp_path / "big_cells.ome.zarr").iterdir())
    assert (tmp_path / "big_cells_2.ome.zarr").is_dir()
    for layer in results:
        tag = layer.metadata.get(METADATA_KEY)
        record = (layer.metadata if tag is None else tag.image.metadata)["registered"]
        assert Path(record["source"]["path"]).name == source
    # what is not ticked stays
    for layer in [*session.result_layers(), cells, mine]:
        viewer.layers.remove(layer)
    panel.results.along.list.actions()[0].trigger()
    assert panel.results.along.text() == "With it: nothing else"
    qtbot.waitUntil(panel.results.warp.isEnabled, timeout=20_000)
    click(panel.results.warp)
    qtbot.waitUntil(lambda: len(session.result_layers()) == 2, timeout=20_000)
    viewer.layers.remove(spots)


def one_channel_can_be_warped(registered: Any, qtbot: Any) -> None:
    viewer, panel = registered
    settled(qtbot, viewer)
    panel.results.channel.setCurrentIndex(2)
    before = len(viewer.layers)
    click(panel.results.warp)
    qtbot.waitUntil(lambda: len(viewer.layers) == before + 1, timeout=20_000)
    (layer,) = session_of(viewer).result_layers()
    image = layer.metadata[METADATA_KEY].image
    assert [c.name for c in image.channels] == ["tumour"]


def residual_arrows(registered: Any, qtbot: Any) -> None:
    viewer, panel = registered
    session = session_of(viewer)
    panel.fit.model.setCurrentIndex(panel.fit.model.findData("affine"))
    panel.fit.model.activated.emit(panel.fit.model.currentIndex())
    tick(panel.results.show_residuals)
    qtbot.waitUntil(lambda: any(isinstance(i, Vectors) for i in viewer.layers), timeout=5000)
    settled(qtbot, viewer)
    qtbot.wait(200)
    (layer,) = (i for i in viewer.layers if isinstance(i, Vectors))
    found = session.fit
    arrows = layer.data * layer.scale[-1]
    assert np.allclose(frame_of(layer), np.eye(4))
    assert np.allclose(arrows[:, 0], found.pairs.fixed_um)
    landing = found.transform.map(arrows[:, 0] + arrows[:, 1])
    assert np.allclose(landing, found.pairs.moving_um, atol=1e-5)
    tick(panel.results.show_residuals)
    assert not any(isinstance(i, Vectors) for i in viewer.layers)


def slow_work(monkeypatch: pytest.MonkeyPatch, started: threading.Event) -> None:
    """Warping that never ends by itself, but reports its progress as all work does."""

    def forever(*arguments: Any) -> Any:
        progress = arguments[-1]
        progress.begin("warping", 10**12)
        started.set()
        pause = threading.Event()
        while not pause.wait(0.005):
            progress.advance()

    monkeypatch.setattr(outputs, "warp_in_memory", forever)


def cancel_leaves_nothing(registered: Any, qtbot: Any, monkeypatch: Any) -> None:
    viewer, panel = registered
    started = threading.Event()
    slow_work(monkeypatch, started)
    before = list(viewer.layers)
    click(panel.results.warp)
    assert started.wait(5)
    qtbot.waitUntil(lambda: panel.results.progress.bar.maximum() > 0, timeout=5000)
    assert not panel.results.warp.isEnabled()
    assert panel.results.progress.isVisible()
    click(panel.results.progress.cancel)
    qtbot.waitUntil(lambda: panel.results.progress.isHidden(), timeout=5000)
    assert list(viewer.layers) == before
    assert panel.results.warp.isEnabled()
    assert "Cancelled" in panel.message.text()
    # its last signal leaves the thread a moment before the thread ends
    qtbot.waitUntil(
        lambda: not [t for t in threading.enumerate() if t.name == "bridgecorr job"], timeout=5000
    )


def callback_count(viewer: Any) -> int:
    events = [viewer.layers.events]
    events += [layer.events for layer in viewer.layers]
    return sum(len(emitter.callbacks) for group in events for emitter in group.emitters.values())


def test_closing_the_dock_cancels_and_disconnects(
    viewer: Any, open_panel: Any, qtbot: Any, phantom_files: Any, monkeypatch: Any
) -> None:
    for key in ("mri", "two_photon", "landmarks"):
        viewer.open(phantom_files.files[key], plugin="napari-bridgecorr")
    before = callback_count(viewer)
    panel = open_panel(viewer)
    qtbot.waitUntil(lambda: panel.results.warp.isEnabled(), timeout=20_000)
    assert callback_count(viewer) > before
    started = threading.Event()
    slow_work(monkeypatch, started)
    click(panel.results.warp)
    assert started.wait(5)
    viewer.window.remove_dock_widget(panel)
    assert panel.is_closed
    assert callback_count(viewer) == before
    qtbot.waitUntil(
        lambda: not [t for t in threading.enumerate() if t.name == "bridgecorr job"], timeout=5000
    )
    layers = len(viewer.layers)
    viewer.layers[-1].data = viewer.layers[-1].data + 1  # nobody listens
    qtbot.wait(100)
    assert len(viewer.layers) == layers


def test_closing_the_window_cancels(
    make_napari_viewer: Any, open_panel: Any, qtbot: Any, phantom_files: Any, monkeypatch: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    for key in ("mri", "two_photon", "landmarks"):
        viewer.open(phantom_files.files[key], plugin="napari-bridgecorr")
    panel = open_panel(viewer)
    qtbot.waitUntil(lambda: panel.results.warp.isEnabled(), timeout=20_000)
    started = threading.Event()
    slow_work(monkeypatch, started)
    click(panel.results.warp)
    assert started.wait(5)
    viewer.close()
    qtbot.waitUntil(
        lambda: not [t for t in threading.enumerate() if t.name == "bridgecorr job"], timeout=5000
    )
    assert panel.is_closed


def test_what_is_wrong_or_missing_is_told(registered: Any, qtbot: Any) -> None:
    """One window for what would each need its own."""
    bad_landmarks_give_a_message(registered, qtbot)
    removing_chosen_layers_clears_them(registered, qtbot)


def bad_landmarks_give_a_message(registered: Any, qtbot: Any) -> None:
    viewer, panel = registered
    session = session_of(viewer)
    layer = session.point_layer("moving")
    right = np.array(layer.data)

    def told(text: str, *, is_fitted: bool = False) -> None:
        settled(qtbot, viewer)
        assert text in panel.fit.summary.text()
        if is_fitted:
            return
        assert session.fit is None
        assert not panel.results.warp.isEnabled()
        panel.message.hide()
        click(panel.fit.fit)
        qtbot.waitUntil(lambda: panel.message.isVisible(), timeout=5000)
        assert "--" not in panel.message.text()

    coincident = right.copy()
    coincident[1] = coincident[0]
    layer.data = coincident
    told("at the same place in the moving image")
    flat = right.copy()
    flat[:, 0] = 0
    layer.data = flat
    told("in one plane in the moving image")
    layer.data = right[::-1]
    told("look for swapped", is_fitted=True)
    layer.data = right
    layer.selected_data = set(range(3, len(right)))
    layer.remove_selected()
    told("3 pairs: place at least 2 more for a thin-plate spline")
    assert "13 half placed" in panel.fit.summary.text()


def removing_chosen_layers_clears_them(registered: Any, qtbot: Any) -> None:
    viewer, panel = registered
    session = session_of(viewer)
    first, second = session.channel_layers("moving")
    viewer.layers.remove(first)
    assert session.image_layer("moving") is second  # the image is still there
    viewer.layers.remove(second)
    assert session.image_layer("moving") is None
    assert panel.images.choosers["moving"].currentText() == "choose…"
    viewer.layers.remove(session.point_layer("fixed"))
    settled(qtbot, viewer)
    assert not panel.results.warp.isEnabled()
    viewer.layers.clear()
    settled(qtbot, viewer)
    assert panel.images.choosers["fixed"].currentText() == "none yet"
    assert len(session.landmarks) == 0


def test_a_point_in_the_plane_keeps_its_size_whatever_the_depth() -> None:
    canvas = ViewerModel()
    layer = Points([[3.0, 4, 5], [1, 2, 3]], size=2, projection_mode="rescale_linear")
    canvas.add_layer(layer)
    canvas.dims.set_point(0, 3.0)
    show_depth(canvas, 4.0)  # a warning of napari's, 0 divided by 0, would fail
    assert np.isfinite(layer._view_size).all()
    assert canvas.dims.margin_left == canvas.dims.margin_right == (4.0,) * 3


def test_layers_of_the_same_name_are_told_apart(
    viewer: Any, open_panel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = viewer.add_image(np.zeros((4, 8, 8)), name="same", scale=(4, 4, 4))
    b = Image(np.zeros((4, 8, 8)), name="same")
    viewer.add_layer(b)
    b.name = a.name = "same"
    panel = open_panel(viewer)
    panel.images.choosers["fixed"].choose(b)
    panel.images.choosers["moving"].choose(a)
    session = session_of(viewer)
    assert session.image_layer("fixed") is b
    assert session.image_layer("moving") is a
    click(panel.images.swap)
    assert session.image_layer("fixed") is a
    ctrl, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    for keys, fixed in ((ctrl, b), (ctrl | shift, a)):
        QTest.keyClick(native_of(viewer), Qt.Key.Key_Z, keys)
        assert session.image_layer("fixed") is fixed
    # what napari deletes with a layer it deletes in the canvas's own OpenGL context, not in Qt's
    own, finish = viewer.window._qt_viewer.canvas.native.context(), gl.glFinish
    contexts: list[bool] = []
    monkeypatch.setattr(
        gl, "glFinish", lambda: (contexts.append(QOpenGLContext.currentContext() is own), finish())
    )
    for layer in (a, b):
        viewer.layers.remove(layer)
    assert contexts == [True, True]


def test_two_viewers_do_not_meet(
    make_napari_viewer: Any, open_panel: Any, qtbot: Any, phantom_files: Any
) -> None:
    first, second = make_napari_viewer(show=True), make_napari_viewer(show=True)
    for key in ("mri", "two_photon", "landmarks"):
        first.open(phantom_files.files[key], plugin="napari-bridgecorr")
    one, two = open_panel(first), open_panel(second)
    settled(qtbot, first)
    settled(qtbot, second)
    assert session_of(first) is not session_of(second)
    assert one.landmarks.table.model().rowCount() == 16
    assert two.landmarks.table.model().rowCount() == 0
    assert session_of(second).image_layers() == []


def test_a_session_keeps_no_viewer_alive() -> None:
    # in an interpreter of its own: pytest's plugins hold on to napari's objects
    script = """
import gc, weakref
import numpy as np
from qtpy.QtWidgets import QApplication
application = QApplication([])
from napari.components import ViewerModel
from napari_bridgecorr._napari.viewer_session import session_of
viewer = ViewerModel()
viewer.add_image(np.zeros((4, 8, 8)))
session = session_of(viewer)
session.attach()
session.detach()
reference = weakref.ref(viewer)
del viewer
gc.collect()
assert reference() is None and session.viewer is None
"""
    subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        timeout=60,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )


def test_what_is_saved_of_a_fit(
    registered: Any, qtbot: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """One window for what would each need its own."""
    a_saved_session_replays_to_the_same_numbers(registered, qtbot, tmp_path, monkeypatch)
    table_and_report_are_written(registered, qtbot, tmp_path, monkeypatch)
    the_panel_fits_350_pixels_and_names_its_controls(registered, qtbot)


def a_saved_session_replays_to_the_same_numbers(
    registered: Any, qtbot: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    viewer, panel = registered
    session = session_of(viewer)
    path = tmp_path / "mouse7.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    click(panel.results.saves["session"])
    qtbot.waitUntil(lambda: "Saved" in panel.message.text(), timeout=10_000)
    result = run_session(path)
    assert not [w for w in result.warnings if "differs" in w]
    replayed = result.fits["registration"]
    assert replayed.diagnostics.to_dict() == session.fit.diagnostics.to_dict()
    assert {p.name for p in tmp_path.iterdir()} == {
        "mouse7.json",
        "mouse7_transform.json",
        "mouse7_voxels.parquet",
        "mouse7_report.html",
    }


def table_and_report_are_written(
    registered: Any, qtbot: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    _, panel = registered
    for key, name in (("table", "v.parquet"), ("report", "r.html"), ("transform", "t.json")):
        path = tmp_path / name
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, p=path: (str(p), ""))
        panel.message.clear_message()
        qtbot.waitUntil(panel.results.saves[key].isEnabled, timeout=5_000)  # the last one is over
        click(panel.results.saves[key])
        qtbot.waitUntil(lambda: "Saved" in panel.message.text(), timeout=60_000)
        assert path.stat().st_size > 500


def test_files_are_saved_beside_the_image(
    phantom_files: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    proposed: list[str] = []

    def choose(*asked: Any) -> tuple[str, str]:
        proposed.append(asked[2])
        return str(tmp_path / "mine"), "CSV (*.csv)"

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    mri = open_image(phantom_files.files["mri"])
    sample = open_image(sample_folder() / "mri.nii.gz")
    for image in (mri, sample, None):  # the sample's folder is the program's
        assert ask_path(None, "Save", "t.csv", "CSV (*.csv)", image) == tmp_path / "mine.csv"
    beside = Path(phantom_files.files["mri"]).parent / "t.csv"
    assert proposed == [str(beside), "t.csv", "t.csv"]


def test_images_in_no_file_are_refused_with_advice(
    viewer: Any, open_panel: Any, qtbot: Any, phantom_files: Any
) -> None:
    for image in (phantom_files.phantom.mri, phantom_files.phantom.two_photon):
        for data in image_to_layers(image, upright=True):
            viewer.add_layer(Layer.create(*data))
    viewer.open(phantom_files.files["landmarks"], plugin="napari-bridgecorr")
    panel = open_panel(viewer)
    qtbot.waitUntil(lambda: panel.results.warp.isEnabled(), timeout=20_000)
    click(panel.results.saves["session"])
    assert "save the layer first" in panel.message.text()
    assert panel.message.isVisible()


def test_late_answers_to_old_questions_are_dropped(qtbot: Any) -> None:
    gate = threading.Event()
    asked = LatestAnswer()
    answers: list[str] = []
    asked.answered.connect(answers.append)

    def slow() -> str:
        gate.wait(5)
        return "old"

    asked.ask(slow)
    asked.ask(lambda: "replaced")
    asked.ask(lambda: "new")
    gate.set()
    qtbot.waitUntil(lambda: not asked.is_busy, timeout=5000)
    assert answers == ["new"]


def test_a_failing_job_tells_in_one_line(qtbot: Any) -> None:
    from napari_bridgecorr.errors import FitError

    def fail(progress: Any) -> None:
        progress.begin("working", 3)
        raise FitError("too few\npairs")

    job = Job(fail)
    told: list[str] = []
    job.failed.connect(told.append)
    with qtbot.waitSignal(job.ended, timeout=5000):
        job.start()
    assert told == ["too few pairs"]


def turn_wheel(widget: QWidget) -> None:
    """One notch up, over the middle of a widget."""
    middle = QPointF(widget.rect().center())
    nothing, phase = Qt.MouseButton.NoButton, Qt.ScrollPhase.NoScrollPhase
    there = QPointF(widget.mapToGlobal(widget.rect().center()))
    plain = Qt.KeyboardModifier.NoModifier
    notch = QPoint(0, 120)
    event = QWheelEvent(middle, there, QPoint(0, 0), notch, nothing, plain, phase, False)
    QApplication.sendEvent(widget, event)


def is_seen(widget: QWidget) -> bool:
    """Whether some of it is seen: what is behind another tab counts as visible in Qt."""
    return not widget.visibleRegion().isEmpty()


def the_panel_fits_350_pixels_and_names_its_controls(registered: Any, qtbot: Any) -> None:
    viewer, panel = registered
    assert panel.minimumSizeHint().width() <= 350
    assert faults_of(panel) == []
    for area in panel.findChildren(QScrollArea):
        if area.widget() is panel.landmarks.parentWidget():
            # else its right edge lies under the scroll bar
            assert area.widget().width() == area.viewport().width()
            for fold in area.widget().findChildren(MoreButton):
                fold.click()
                needed = area.widget().minimumSizeHint().width()
                assert needed <= area.viewport().width(), fold.text()
                fold.click()
            break
    else:
        pytest.fail("the steps are in no scroll area")
    # the wheel over a control scrolls the panel and changes nothing
    model, depth = panel.fit.model, panel.landmarks.depth
    before = model.currentText(), depth.value()
    assert model.currentIndex() > 0
    for control in (model, depth):
        turn_wheel(control)
    assert (model.currentText(), depth.value()) == before
    # another panel does not squeeze it: a window that is too low for both has tabs
    window = viewer.window._qt_window
    dock, reslice = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Reslice")
    qtbot.waitUntil(lambda: window.tabifiedDockWidgets(dock) == [dock_of(panel)], timeout=5000)
    qtbot.waitUntil(lambda: is_seen(reslice) and not is_seen(panel), timeout=5000)
    assert faults_of(reslice) == []
    dock_of(panel).raise_()
    qtbot.waitUntil(lambda: is_seen(panel), timeout=5000)
    click(panel.landmarks.two_views)  # the second view comes beside them, not between
    qtbot.wait(100)
    assert window.tabifiedDockWidgets(dock) == [dock_of(panel)]
    assert is_seen(panel)
    second = session_of(viewer).canvases.second
    assert not window.tabifiedDockWidgets(dock_of(second))
    assert dock_of(second).height() > 0.9 * dock_of(panel).height()
    viewer.window.remove_dock_widget(reslice)
    qtbot.waitUntil(lambda: not dock_of(second).isHidden() and is_seen(panel), timeout=5000)
    # napari's lists can make room for the pictures, and come back with the second view's end
    room = panel.landmarks.more_room
    lists = [d for d in window.findChildren(QDockWidget) if d.objectName().startswith("layer ")]
    before = native_of(viewer).width() + second.width()
    click(room)
    assert [d.isHidden() for d in lists] == [True, True]
    qtbot.waitUntil(lambda: native_of(viewer).width() + second.width() > before + 200, timeout=5000)
    click(panel.landmarks.two_views)
    assert [d.isHidden() for d in lists] == [False, False]
    assert not room.isVisible()


def test_a_missing_voxel_size_is_asked_for_and_answered(
    viewer: Any, open_panel: Any, qtbot: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "planes"
    folder.mkdir()
    for k in range(4):
        tifffile.imwrite(folder / f"plane_{k}.tif", np.full((6, 7), k, np.uint16))
    (layer,) = viewer.open(folder, plugin="napari-bridgecorr")
    panel = open_panel(viewer)
    panel.images.choosers["fixed"].choose(layer)
    line = panel.images.voxel_sizes["fixed"]
    qtbot.waitUntil(line.isVisible, timeout=5000)
    assert not panel.images.voxel_sizes["moving"].isVisible()
    line.edit.setText("50; 40; 40")
    click(line.button)
    assert "three positive lengths" in panel.message.text()
    line.edit.setText("50, 40, 40")
    click(line.button)
    assert np.allclose(world_matrix(layer), np.diag([50, 40, 40, 1]))
    assert frame_of(layer).shape == (4, 4)
    assert session_of(viewer).image("fixed").grid.voxel_size_um == (50, 40, 40)
    assert not line.isVisible()
    reference = outputs.image_reference(session_of(viewer).image("fixed"), "fixed")
    assert reference.spacing_um == (50, 40, 40)
    the_unit_of_a_layer_is_asked_for(viewer, panel)


def the_unit_of_a_layer_is_asked_for(viewer: Any, panel: Any) -> None:
    """In the same window: an image that another plugin or a script added without one."""
    asked, session = panel.images.units, session_of(viewer)
    assert not any(line.isVisible() for line in asked.values())
    layer = viewer.add_image(np.ones((4, 8, 8)), name="no unit", scale=(0.02, 0.01, 0.01))
    panel.images.choosers["moving"].choose(layer)
    assert asked["moving"].isVisible()
    assert not asked["fixed"].isVisible()
    choice = asked["moving"].choice
    choice.setFocus()
    QTest.keyClick(choice, Qt.Key.Key_Down)
    assert [str(u) for u in layer.units] == ["micrometer"] * 3
    QTest.keyClick(choice, Qt.Key.Key_Down)  # a slip is mended
    assert [str(u) for u in layer.units] == ["millimeter"] * 3
    assert session.image("moving").grid.voxel_size_um == pytest.approx((20, 10, 10))
    assert not session.image("moving").warnings
    assert "20×10×10 µm" in panel.images._facts["moving"].text()
    assert choice.currentText() == "1 mm"
    panel.images.choosers["moving"].choose(viewer.layers[0])
    assert not asked["moving"].isVisible()
