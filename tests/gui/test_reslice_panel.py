"""The Reslice panel in a real window: clicks on a tilted plane, numbers, undo, the resliced image.

What comes out is what `bridgecorr reslice` writes for the same plane.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

pytest.importorskip("napari")

from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_bridgecorr._napari.frames import (
    frame_of,
    is_drawn_by_panel,
    tag_of,
    world_matrix,
)
from napari_bridgecorr._napari.resliced_layers import outputs_of, resliced_records
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.cli.main import main
from napari_bridgecorr.geometry import Grid, Plane
from napari_bridgecorr.geometry.grid import apply_affine
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.workflow.plane_draft import PlaneDraft
from napari_bridgecorr.workflow.replay import run_session

LEFT = Qt.MouseButton.LeftButton
GRID = Grid.from_spacing((40, 60, 64), (6, 4, 4))
TRUTH = Plane.from_normal((110, 118, 126), (1, np.tan(np.deg2rad(12)), np.tan(np.deg2rad(-7))))


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Two channels: photons below a tilted window, and depth below it."""
    index = np.indices(GRID.shape).reshape(3, -1).T
    depth = TRUTH.place(GRID.to_world(index))[:, 0].reshape(GRID.shape)
    rng = np.random.default_rng(0)
    light = rng.poisson(np.where(depth > 0, 60 * np.exp(-depth / 200), 1.0)) * 20.0
    data = np.stack([light, 1000 + depth]).astype(np.uint16)[None]
    path = tmp_path / "stack.ome.zarr"
    image = SpatialImage(
        (da.from_array(data, chunks=(1, 1, 16, 64, 64)),),
        (GRID,),
        (Channel("vessels"), Channel("depth")),
        Source(tmp_path / "x", "sample", axes="czyx"),
    )
    write_image(image, path)
    return path


def press(widget: QWidget) -> None:
    assert widget.isEnabled(), widget.objectName()
    QTest.mouseClick(widget, LEFT)


def pixel(viewer: Any, position: Any) -> tuple[QWidget, QPoint]:
    """Where napari's canvas draws a position (z, y, x, um)."""
    native, camera = viewer.window._qt_viewer.canvas.native, viewer.scene.camera
    seen = np.array(position)[list(viewer.dims.displayed)[-2:]]
    offset = (seen - camera.center[-2:]) * camera.zoom
    return native, QPoint(
        round(native.width() / 2 + offset[1]), round(native.height() / 2 + offset[0])
    )


def click(qtbot: Any, viewer: Any, position: Any) -> None:
    hidden = viewer.dims.not_displayed[0]
    viewer.dims.set_point(hidden, position[hidden])
    qtbot.wait(20)
    native, at = pixel(viewer, position)
    QTest.mouseMove(native, at)
    qtbot.wait(20)
    QTest.mouseClick(native, LEFT, pos=at)
    qtbot.wait(30)


def drag(qtbot: Any, viewer: Any, start: Any, end: Any) -> None:
    (native, a), (_, b) = pixel(viewer, start), pixel(viewer, end)
    QTest.mouseMove(native, a)
    qtbot.wait(20)
    QTest.mousePress(native, LEFT, pos=a)
    for part in (0.5, 1.0):
        QTest.mouseMove(native, a + (b - a) * part)
        qtbot.wait(20)
    QTest.mouseRelease(native, LEFT, pos=b)
    qtbot.wait(20)


def type_number(box: Any, text: str) -> None:
    box.setFocus()
    box.selectAll()
    QTest.keyClicks(box.lineEdit(), text)
    QTest.keyClick(box.lineEdit(), Qt.Key.Key_Return)


def row_of_truth(z: float, x: float) -> float:
    """Where the true plane meets a slice's column."""
    (nz, ny, nx), (oz, oy, ox) = TRUTH.normal, TRUTH.origin_um
    return float(oy - (nz * (z - oz) + nx * (x - ox)) / ny)


def degrees_between(a: Any, b: Any) -> float:
    return float(np.rad2deg(np.arccos(min(1.0, abs(float(np.dot(a, b)))))))


def test_points_on_the_window_make_the_image_along_it(
    viewer: Any, stack: Path, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer.open(stack, plugin="napari-bridgecorr")
    images = list(viewer.layers)
    _, panel = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Reslice")
    qtbot.wait(100)
    viewer.reset_view()  # the dock took room
    source, bench = panel.source, panel.bench
    assert "Click on the window" in source.hint.text()
    assert not panel.result.make.isEnabled()
    press(source.draw)
    # where the window meets five slices
    for number, (z, x) in enumerate([(120, 40), (90, 30), (138, 200), (108, 220), (114, 130)], 1):
        click(qtbot, viewer, (z, row_of_truth(z, x), x))
        assert len(bench.draft.points_um) == number
        assert (bench.plane is not None) == (number >= 3)
    assert "misfit" in source.misfit.text()
    # clicks fall on pixels of half a micrometre
    assert degrees_between(bench.plane.normal, TRUTH.normal) < 0.3
    assert abs(TRUTH.place([bench.plane.origin_um])[0, 0]) < 0.3
    # its trace is drawn on the slice that is shown, where plane and slice meet
    shown = panel.layers.trace
    np.testing.assert_allclose(bench.plane.place(shown)[:, 0], 0, atol=1e-6)
    np.testing.assert_allclose(shown[:, 0], viewer.dims.point[0], atol=1e-6)
    outline = panel.layers.layer("outline")
    assert len(outline.data) == 3
    np.testing.assert_allclose(outline.data[0] * outline.scale, shown, atol=1e-6)
    pictures: list[Any] = []
    panel.preview.drawn.connect(pictures.append)
    press(panel.numbers.flip)
    qtbot.waitUntil(lambda: bool(pictures), timeout=20_000)
    assert panel.preview.canvas.has_picture
    deep = pictures[-1].values[1]  # the second channel tells the depth below the true window
    assert abs(np.nanmean(deep) - 1000) < 1.5
    press(source.undo)
    assert not bench.draft.is_flipped
    # numbers
    found = bench.plane
    type_number(panel.numbers.boxes["shift"], "12")
    type_number(panel.numbers.boxes["turn"], "30")
    assert bench.plane == found.shifted(12).turned(30)
    press(source.undo)
    assert bench.plane == found.shifted(12)
    assert panel.numbers.boxes["turn"].value() == 0
    # a point removed and put back
    press(source.undo)
    points = panel.layers.layer("points")
    press(source.undo)
    assert len(points.data) == 4
    press(source.redo)
    assert len(points.data) == 5
    press(source.redo)
    assert bench.plane == found.shifted(12)
    # dragged in the view: the line along its normal, then an end about its middle
    press(panel.go_there)
    press(panel.drag_in_view)
    line = panel.layers.trace
    step = np.array([0.0, 20.0, 0.0])
    drag(qtbot, viewer, line.mean(axis=0), line.mean(axis=0) + step)
    np.testing.assert_allclose(bench.plane.normal, found.normal)
    assert bench.plane.place([line.mean(axis=0) + step])[0, 0] == pytest.approx(0, abs=1)
    line = panel.layers.trace
    away = line[1] - line.mean(axis=0)
    turned = line.mean(axis=0) + np.array([0, away[1] - 0.2 * away[2], away[2] + 0.2 * away[1]])
    drag(qtbot, viewer, line[1], turned)
    assert bench.plane.place([line.mean(axis=0)])[0, 0] == pytest.approx(0, abs=1e-6)
    assert bench.plane.place([turned])[0, 0] == pytest.approx(0, abs=1)
    assert source.undo.text() == "Undo: tilt"
    for name in ("tilt", "shift"):
        assert bench.undo_name == name
        press(source.undo)
    assert bench.plane == found.shifted(12)
    press(panel.drag_in_view)
    check_what_comes_along(viewer, panel, qtbot)
    check_lines_in_two_views(viewer, panel, qtbot)
    assert bench.plane == found.shifted(12)
    # the image along it, lazily, grouped to 30 um
    panel.result.thickness.setCurrentIndex(panel.result.thickness.count() - 1)
    panel.result.thickness.activated.emit(panel.result.thickness.currentIndex())
    type_number(panel.result.own, "30")
    before = len(viewer.layers)
    press(panel.result.make)
    qtbot.waitUntil(lambda: len(viewer.layers) > before + 1, timeout=20_000)
    made = [layer for layer in viewer.layers if "resliced" in layer.name]
    assert [layer.visible for layer in made] == [True, True]
    assert not images[0].visible
    record = tag_of(made[0]).image.metadata["resliced"]
    assert Plane.from_dict(record["plane"]) == bench.plane
    assert record["source"]["path"] == str(stack)
    # what the command writes for that plane
    plane_file, written, session_file = (tmp_path / n for n in ("p.json", "r.ome.zarr", "s.json"))
    for path, key in ((plane_file, "plane"), (session_file, "session")):
        monkeypatch.setattr(
            QFileDialog, "getSaveFileName", lambda *_, path=path: (str(path), "JSON (*.json)")
        )
        press(panel.result.saves[key])
        qtbot.waitUntil(path.exists, timeout=20_000)
        qtbot.waitUntil(panel.result.make.isEnabled, timeout=20_000)
    arguments = ["reslice", str(stack), "-o", str(written), "--plane", str(plane_file)]
    assert main([*arguments, "--slab", "30"]) == 0
    expected = open_image(written)
    for number, layer in enumerate(made):
        np.testing.assert_array_equal(np.asarray(layer.data), expected.data[0, number].compute())
    (again,) = run_session(session_file).written
    np.testing.assert_array_equal(open_image(again).data.compute(), expected.data.compute())
    # taken back, the image is what it was
    press(source.undo)
    assert not [layer for layer in viewer.layers if "resliced" in layer.name]
    assert images[0].visible
    # done again, kept with the window, and made again from what was kept
    press(source.redo)
    session = session_of(viewer)
    sources, outputs = outputs_of(resliced_records(session), "kept")
    assert [Path(i.path) for i in sources] == [stack]
    assert outputs[0].options["plane"] == bench.plane.to_dict()
    assert outputs[0].options["slab_um"] == 30
    kept_names = [layer.name for layer in viewer.layers if not is_drawn_by_panel(layer)]
    shown, plane = np.asarray(made[1].data), bench.plane
    # closed, nothing of it stays in the view; the plane does
    viewer.window.remove_dock_widget(panel)
    assert [layer.name for layer in viewer.layers] == kept_names
    assert bench.plane == plane
    # it was kept by itself, without the Register panel, and is offered again
    viewer.layers.clear()
    bench.change(PlaneDraft(), "clear")
    _, panel = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Reslice")
    assert "Open a volume first" in panel.about.text()
    assert not panel.source.draw.isEnabled()
    qtbot.waitUntil(panel.continuing.isVisible, timeout=5_000)
    assert "<b>a plane</b> on stack" in panel.continuing.words.text()
    type_number(panel.result.own, "70")
    press(panel.continuing.go_on)
    qtbot.waitUntil(lambda: bench.plane == plane, timeout=20_000)
    assert panel.message.text() == "Where you left: the plane."
    assert panel.result.options().slab_um == 30
    assert [i.name for i in viewer.layers if not is_drawn_by_panel(i)] == kept_names
    again = next(i for i in viewer.layers if i.name == made[1].name)
    np.testing.assert_array_equal(np.asarray(again.data), shown)
    np.testing.assert_allclose(world_matrix(again), world_matrix(made[1]))
    assert panel.layers.layer("points") is not None


def check_what_comes_along(viewer: Any, panel: Any, qtbot: Any) -> None:
    """A segmentation on the image's voxels and points in it are resliced too; undo takes all."""
    index = np.indices(GRID.shape).reshape(3, -1).T
    depth = TRUTH.place(GRID.to_world(index))[:, 0].reshape(GRID.shape)
    image = next(layer for layer in viewer.layers if "depth" in layer.name)
    place = {"scale": image.scale, "translate": image.translate, "units": image.units}
    labels = viewer.add_labels((depth // 20 + 20).astype(np.int32), name="bands", **place)
    world = GRID.to_world([(20, 30, 32), (10, 25, 40), (30, 44, 12)])
    points = viewer.add_points(
        world, name="cells", units=image.units, size=[6, 7, 8], features={"kind": ["a", "b", "c"]}
    )
    far = viewer.add_points(world + 1000.0, name="elsewhere", units=image.units)
    before = [layer.name for layer in viewer.layers]
    press(panel.result.make)
    qtbot.waitUntil(lambda: "cells resliced" in viewer.layers, timeout=20_000)
    assert "Carried along: bands, cells." in panel.message.text()
    assert not labels.visible
    assert not points.visible
    assert far.visible
    (bands,) = [i for i in viewer.layers if "bands" in i.name and i is not labels]
    copy = viewer.layers["cells resliced"]
    # the same tissue, in the image's new frame
    (main,) = [i for i in viewer.layers if "depth" in i.name and i is not image]
    matrix = frame_of(main) @ np.diag([*copy.scale, 1.0])
    np.testing.assert_allclose(apply_affine(matrix, copy.data), world, atol=1e-6)
    assert list(copy.features["kind"]) == ["a", "b", "c"]
    np.testing.assert_allclose(copy.size, points.size)
    # labels are of the nearest voxel: bands of 20 um, off by a voxel at their edges
    middle = len(bands.data) // 2
    shown, told = (np.asarray(layer.data[middle]) for layer in (bands, main))
    assert shown.dtype == np.int32
    np.testing.assert_allclose(world_matrix(bands), world_matrix(main))
    known = (shown > 0) & np.isfinite(told) & (told > 0)
    assert known.mean() > 0.3
    assert np.abs(shown[known] - 20 - (told[known] - 1000 - 10) / 20).max() < 1.0
    press(panel.source.undo)
    assert [layer.name for layer in viewer.layers] == before
    assert labels.visible
    assert points.visible
    for layer in (labels, points, far):
        viewer.layers.remove(layer)


def check_lines_in_two_views(viewer: Any, panel: Any, qtbot: Any) -> None:
    """A line along the window in a slice, another seen from the side; undo takes both."""
    source, bench = panel.source, panel.bench
    press(source.ways["lines"])
    assert "Other view" in source.hint.text()
    press(source.draw)
    z, y = 108.0, 120.0  # slices that are there
    viewer.dims.set_point(0, z)
    qtbot.wait(50)
    drag(qtbot, viewer, (z, row_of_truth(z, 20), 20), (z, row_of_truth(z, 230), 230))
    assert len(bench.draft.lines_um) == 1
    assert bench.plane is None
    assert "lacking" in source.misfit.text()
    press(source.other_view)
    viewer.dims.set_point(1, y)
    qtbot.wait(50)
    (nz, ny, nx), (oz, oy, ox) = TRUTH.normal, TRUTH.origin_um
    ends = [(oz - (ny * (y - oy) + nx * (x - ox)) / nz, y, x) for x in (20.0, 230.0)]
    drag(qtbot, viewer, *ends)
    assert len(bench.draft.lines_um) == 2
    assert degrees_between(bench.plane.normal, TRUTH.normal) < 0.5
    # the shift by 12 um is kept
    assert abs(TRUTH.place([bench.plane.origin_um])[0, 0]) == pytest.approx(12, abs=1)
    # seen from the side too its trace is drawn, on the slice that is shown
    np.testing.assert_allclose(panel.layers.trace[:, 1], y, atol=1e-6)
    np.testing.assert_allclose(bench.plane.place(panel.layers.trace)[:, 0], 0, atol=1e-6)
    press(source.draw)
    while bench.draft.way == "lines":
        press(source.undo)
    for _ in range(2):
        press(source.other_view)
    assert viewer.dims.order == (0, 1, 2)
