"""The File panel in a real window: what is dropped, mended and chosen is what is loaded."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

pytest.importorskip("napari")

from control_faults import faults_of
from napari.layers import Image, Labels, Points
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel, QWidget

from napari_bridgecorr._napari import file_panel as file_panel_module
from napari_bridgecorr._napari import outputs
from napari_bridgecorr._napari.frames import METADATA_KEY, world_matrix
from napari_bridgecorr._napari.reader import show_file_panel
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.fitting import FitOptions
from napari_bridgecorr.geometry import Grid, Placement
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.transform_files import transform_document, write_document
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.session import load_session
from napari_bridgecorr.transform import Affine
from napari_bridgecorr.workflow.replay import run_session

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_bridgecorr._napari.file_panel import FilePanel

LEFT = Qt.MouseButton.LeftButton
OpenPanel = Callable[["Viewer"], "FilePanel"]


@pytest.fixture
def open_file_panel(qtbot: Any) -> OpenPanel:
    """Docks the File panel in a viewer, as the menu does."""

    def dock(viewer: Viewer) -> FilePanel:
        panel = show_file_panel(viewer)
        qtbot.wait(50)
        return panel

    return dock


def click(widget: QWidget) -> None:
    QTest.mouseClick(widget, LEFT)


def drop(panel: QWidget, *paths: Path) -> None:
    """Drag files over the panel and let go, as a file manager does."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(p)) for p in paths])
    buttons = (Qt.DropAction.CopyAction, data, LEFT, Qt.KeyboardModifier.NoModifier)
    enter = QDragEnterEvent(QPoint(30, 30), *buttons)
    QApplication.sendEvent(panel, enter)
    assert enter.isAccepted()
    event = QDropEvent(QPointF(30, 30), *buttons)
    QApplication.sendEvent(panel, event)
    assert event.isAccepted()


def settled(qtbot: Any, panel: FilePanel) -> None:
    qtbot.waitUntil(lambda: not panel.is_busy, timeout=20_000)
    qtbot.wait(30)


def tick_card(panel: FilePanel, number: int) -> None:
    panel.cards.scrollToItem(panel.cards.item(number))
    QTest.mouseClick(panel.cards.viewport(), LEFT, pos=panel.cards.box_centre(number))


def select_card(panel: FilePanel, number: int) -> None:
    panel.cards.scrollToItem(panel.cards.item(number))
    rect = panel.cards.visualItemRect(panel.cards.item(number))
    QTest.mouseClick(panel.cards.viewport(), LEFT, pos=QPoint(rect.center().x(), rect.top() + 14))


def tick_channel(panel: FilePanel, number: int) -> None:
    boxes = panel.details.channels.list
    panel.details.channels.list.scrollToItem(boxes.item(number))
    rect = boxes.visualItemRect(boxes.item(number))
    QTest.mouseClick(boxes.viewport(), LEFT, pos=QPoint(rect.left() + 10, rect.center().y()))


def type_in(edit: Any, text: str) -> None:
    edit.setFocus()
    edit.selectAll()
    QTest.keyClicks(edit, text)
    QTest.keyClick(edit, Qt.Key.Key_Return)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """An OME-TIFF of two images, each of three channels; neither says its spacing in z."""
    rng = np.random.default_rng(0)
    path = tmp_path / "scenes.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for name, shape in (("left", (3, 4, 40, 60)), ("right", (3, 5, 50, 30))):
            writer.write(
                rng.integers(1, 4000, shape).astype(np.uint16),
                photometric="minisblack",
                metadata={
                    "axes": "CZYX",
                    "Name": name,
                    "Channel": {"Name": ["DAPI", "GFP", "Cy5"]},
                    "PhysicalSizeX": 0.5,
                    "PhysicalSizeXUnit": "µm",
                    "PhysicalSizeY": 0.5,
                    "PhysicalSizeYUnit": "µm",
                },
            )
    return path


def test_dropped_chosen_mended_and_loaded(
    viewer: Any, open_file_panel: OpenPanel, qtbot: Any, scenes: Path
) -> None:
    panel = open_file_panel(viewer)
    assert not panel.load.isVisible()
    assert "Drop a file" in panel.drop_zone.findChild(QLabel).text()
    drop(panel, scenes)
    settled(qtbot, panel)
    assert [i.name for i in panel.contents.images] == ["left", "right"]
    assert panel.cards.count() == 2
    assert panel.load.text().startswith("Load 2 images, 6 channels")
    tick_card(panel, 0)  # not the left one
    select_card(panel, 1)
    assert panel.details.title.text() == "right"
    tick_channel(panel, 0)  # not DAPI
    tick_channel(panel, 2)  # nor Cy5
    assert panel.choices[1].channels == (1,)
    assert panel.load.text().startswith("Load image ")
    spacing = panel.details.spacing
    assert spacing.edits["z"].text() == ""
    assert "not in file" in spacing.edits["z"].placeholderText()
    assert spacing.edits["y"].text() == "0.5"
    type_in(spacing.edits["z"], "3")
    assert panel.choices[1].placement.spacing_um == (3.0, 0.5, 0.5)
    box = panel.details.orientation.preset
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Down)
    QTest.keyClick(box, Qt.Key.Key_Down)
    assert panel.choices[1].placement.orientation == ("z", "-y", "x")
    assert "Mirrored" in " ".join(w.text() for w in panel.details.findChildren(QLabel))
    click(panel.load)
    settled(qtbot, panel)
    (layer,) = viewer.layers
    assert isinstance(layer, Image)
    image = open_image(f"{scenes}#1")
    assert np.array_equal(np.asarray(layer.data), image.data[0, 1].compute())
    expected = np.diag([3.0, -0.5, 0.5, 1.0])
    expected[1, 3] = 49 * 0.5  # mirrored about its centre: it covers the same place
    assert np.allclose(world_matrix(layer), expected)
    assert "Loaded right as 1 layer" in panel.message.text()
    assert "second image" in panel.next_step.hint.text()
    assert not layer.metadata[METADATA_KEY].image.warnings


def test_the_session_replays_the_users_answers(
    viewer: Any, open_file_panel: OpenPanel, qtbot: Any, scenes: Path, tmp_path: Path
) -> None:
    panel = open_file_panel(viewer)
    panel.open([str(scenes)])
    settled(qtbot, panel)
    tick_card(panel, 0)
    select_card(panel, 1)
    tick_channel(panel, 0)
    type_in(panel.details.spacing.edits["z"], "3")
    panel.details.orientation.preset.setCurrentIndex(2)
    panel.details.orientation.preset.activated.emit(2)
    click(panel.load)
    settled(qtbot, panel)
    moving = viewer.layers[0].metadata[METADATA_KEY].image
    grid = Grid.from_spacing((4, 8, 8), (4.0, 3.0, 2.0))
    fixed_path = tmp_path / "fixed.nii.gz"
    write_image(_image(grid), fixed_path)
    rng = np.random.default_rng(1)
    at = rng.uniform(0, 12, (8, 3))
    marks = LandmarkSet.from_pairs(at, at + rng.normal(scale=0.1, size=at.shape))
    path = tmp_path / "s.json"
    outputs.save_session_file(
        open_image(fixed_path), moving, marks, FitOptions("affine", 0.0), path
    )
    ref = load_session(path).images[1]
    assert ref.placement == Placement((3.0, 0.5, 0.5), ("z", "-y", "x"))
    assert ref.channels == (1, 2)
    result = run_session(path)
    assert not [w for w in result.warnings if "differs" in w]
    from napari_bridgecorr.io.table_file import read_table

    columns, _ = read_table(tmp_path / "s_voxels.parquet")
    assert "GFP" in columns
    assert "DAPI" not in columns
    from napari_bridgecorr.resampling import resample

    transform = result.fits["registration"].transform
    expected = resample(moving, transform, open_image(fixed_path).grid).data[0, 0].compute()
    assert np.isfinite(expected).any()
    assert np.allclose(columns["GFP"].reshape(grid.shape), expected, equal_nan=True)


def test_one_file_after_another_in_one_panel(
    viewer: Any, open_file_panel: OpenPanel, qtbot: Any, scenes: Path, tmp_path: Path
) -> None:
    """One window for what would each need its own."""
    panel = open_file_panel(viewer)
    bad_files_are_one_line(viewer, panel, qtbot, tmp_path)
    nothing_is_cut_off_in_a_narrow_dock(panel, qtbot, scenes)
    both_spacing_and_orientation_for_every_image(panel, qtbot, scenes)
    any_direction_can_be_chosen(panel, qtbot, tmp_path)
    many_channels_are_searched(viewer, panel, qtbot, tmp_path)
    viewer.layers.clear()
    a_range_of_times(viewer, panel, qtbot, tmp_path)


def both_spacing_and_orientation_for_every_image(
    panel: FilePanel, qtbot: Any, scenes: Path
) -> None:
    panel.open([str(scenes)])
    settled(qtbot, panel)
    assert not panel.details.for_all.isVisible()
    type_in(panel.details.spacing.edits["z"], "7.25")
    click(panel.details.for_all)
    assert [c.placement.spacing_um for c in panel.choices] == [(7.25, 0.5, 0.5)] * 2
    click(panel.details.spacing.reset)
    assert panel.choices[0].placement.spacing_um is None
    assert panel.details.spacing.edits["z"].text() == ""
    # typing what the file says is no answer
    type_in(panel.details.spacing.edits["y"], "0.5")
    assert panel.choices[0].placement.spacing_um is None


def any_direction_can_be_chosen(panel: FilePanel, qtbot: Any, tmp_path: Path) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[0, 0, 5.0], [0, -3.0, 0], [2.0, 0, 0]])
    path = tmp_path / "turned.nii"
    write_image(_image(Grid((4, 5, 6), matrix)), path)
    panel.open([str(path)])
    settled(qtbot, panel)
    line = panel.details.orientation
    shown = [c.currentText() for c in line.directions.values()]
    assert [t.split(" ")[0] for t in shown] == ["right", "posterior", "superior"]
    line.preset.setCurrentIndex(line.preset.count() - 1)
    line.preset.activated.emit(line.preset.count() - 1)
    chooser = line.directions["z"]
    assert chooser.isVisible()
    chooser.setCurrentIndex(chooser.findData("y"))
    chooser.activated.emit(chooser.currentIndex())
    # y ran there: it takes x, which has become free, and keeps its sign
    assert [c.currentData() for c in line.directions.values()] == ["y", "-x", "z"]
    placed = panel.contents.images[0].placed(panel.choices[0].placement)
    unit = placed.grid.index_to_world[:3, :3] / placed.grid.voxel_size_um
    assert np.allclose(unit.T, [[0, 1, 0], [0, 0, -1], [1, 0, 0]], atol=1e-6)


def many_channels_are_searched(viewer: Any, panel: FilePanel, qtbot: Any, tmp_path: Path) -> None:
    path = tmp_path / "metals.ome.tif"
    names = [f"metal {n}" for n in range(40)]
    names[17] = "Ir191 DNA"
    rng = np.random.default_rng(0)
    tifffile.imwrite(
        path,
        rng.integers(1, 100, (40, 16, 16)).astype(np.float32),
        ome=True,
        photometric="minisblack",
        metadata={"axes": "CYX", "Channel": {"Name": names}},
    )
    panel.open([str(path)])
    settled(qtbot, panel)
    channels = panel.details.channels
    assert channels.search.isVisible()
    click(channels.none)
    assert panel.choices[0].channels == ()
    assert not panel.load.isEnabled()
    QTest.keyClicks(channels.search, "ir191")
    listed = [i for i in range(40) if not channels.list.item(i).isHidden()]
    assert listed == [17]
    click(channels.all)
    assert panel.choices[0].channels == (17,)
    assert panel.load.isEnabled()
    click(panel.load)
    settled(qtbot, panel)
    assert [layer.data.shape for layer in viewer.layers] == [(1, 16, 16)]
    assert np.array_equal(np.asarray(viewer.layers[0].data), open_image(path).data[0, 17].compute())


def a_range_of_times(viewer: Any, panel: FilePanel, qtbot: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1, 99, (6, 3, 16, 16)).astype(np.uint16)
    path = tmp_path / "times.ome.tif"
    tifffile.imwrite(path, values, ome=True, photometric="minisblack", metadata={"axes": "TZYX"})
    panel.open([str(path)])
    settled(qtbot, panel)
    for box, text in ((panel.details.last_time, "4"), (panel.details.first_time, "3")):
        box.setFocus()
        box.selectAll()
        QTest.keyClicks(box, text)
        QTest.keyClick(box, Qt.Key.Key_Return)
    assert panel.choices[0].times == (2, 4)
    click(panel.load)
    settled(qtbot, panel)
    assert np.array_equal(np.asarray(viewer.layers[0].data), values[2:4])


def bad_files_are_one_line(viewer: Any, panel: FilePanel, qtbot: Any, tmp_path: Path) -> None:
    assert not panel.message.isVisible()
    for fault in ("damaged", "missing", "empty", "unknown"):
        path = tmp_path / (f"{fault}.xyz" if fault == "unknown" else f"{fault}.nii.gz")
        if fault != "missing":
            wrong = {"damaged": b"\x1f\x8b" + bytes(40), "empty": b""}.get(fault, b"what?")
            path.write_bytes(wrong)
        drop(panel, path)
        settled(qtbot, panel)
        assert panel.message.isVisible()
        text = panel.message.text()
        assert path.name in text
        assert "\n" not in text
        assert "Traceback" not in text
        assert not panel.load.isVisible()
        assert len(viewer.layers) == 0


def test_several_files_follow_one_another(
    viewer: Any, open_file_panel: OpenPanel, qtbot: Any, scenes: Path, tmp_path: Path
) -> None:
    other = tmp_path / "fixed.nii.gz"
    write_image(_image(Grid.from_spacing((4, 8, 8), (4.0, 3.0, 2.0))), other)
    panel = open_file_panel(viewer)
    drop(panel, scenes, other)
    settled(qtbot, panel)
    assert "1 more file to come" in panel.file_line.text()
    click(panel.load)
    qtbot.waitUntil(lambda: panel.contents.name == "fixed.nii.gz", timeout=20_000)
    settled(qtbot, panel)
    assert len(viewer.layers) == 6
    click(panel.load)
    settled(qtbot, panel)
    assert len(viewer.layers) == 7
    assert panel.next_step.register.isVisible()
    click(panel.next_step.register)
    qtbot.wait(50)
    register = viewer.window.dock_widgets["Register (napari-bridgecorr)"]
    assert register.isVisible()


def test_labels_and_photographs_get_layers_of_their_kind(
    viewer: Any, open_file_panel: OpenPanel, qtbot: Any, monkeypatch: Any
) -> None:
    rng = np.random.default_rng(0)
    matrix = np.eye(4)
    matrix[:3, :3] = [[4, 0.2, 0], [-0.2, 3, 0.1], [0, -0.1, 2]]
    grid = Grid((1, 32, 48), matrix)
    half = grid.averaged((1, 2, 2))
    colours = rng.integers(0, 256, (1, 3, 1, 32, 48)).astype(np.uint8)
    photograph = _image(grid, colours, ("Red", "Green", "Blue"), role="slide preview")
    names = rng.integers(0, 9, (1, 1, 1, 32, 48)).astype(np.int32)
    labels = _image(grid, names, role="labels", name="nuclei")
    coarse = _dask(names[..., ::2, ::2])
    from dataclasses import replace

    labels = replace(labels, levels=(*labels.levels, coarse), grids=(grid, half))
    monkeypatch.setattr(file_panel_module, "open_file", lambda *_: _contents(photograph, labels))
    panel = open_file_panel(viewer)
    panel.open(["any"])
    settled(qtbot, panel)
    assert [c.is_wanted for c in panel.choices] == [True, True]  # there is no other image
    click(panel.load)
    settled(qtbot, panel)
    first, second = viewer.layers
    assert first.rgb
    assert np.array_equal(np.asarray(first.data), np.moveaxis(colours[0], 0, -1))
    assert isinstance(second, Labels)
    assert second.multiscale
    for layer in (first, second):
        assert np.allclose(world_matrix(layer), matrix)


def test_closing_mid_read_leaves_nothing_connected(
    viewer: Any, open_file_panel: OpenPanel, qtbot: Any, scenes: Path, monkeypatch: Any
) -> None:
    before = _callback_count(viewer)
    panel = open_file_panel(viewer)
    assert _callback_count(viewer) > before
    started, released = threading.Event(), threading.Event()

    def slow(_name: str, progress: Any) -> Any:
        started.set()
        while not released.wait(0.01):
            progress.advance(0)
        raise AssertionError("it was not cancelled")

    monkeypatch.setattr(file_panel_module, "open_file", slow)
    panel.open([str(scenes)])
    assert started.wait(5)
    qtbot.waitUntil(panel.progress.isVisible, timeout=5000)
    viewer.window.remove_dock_widget(panel)
    assert panel.is_closed
    assert _callback_count(viewer) == before
    qtbot.waitUntil(
        lambda: not [t for t in threading.enumerate() if t.name == "bridgecorr job"], timeout=5000
    )
    qtbot.wait(50)
    assert len(viewer.layers) == 0


@pytest.mark.usefixtures("on_a_display")
def test_the_interpreter_ends_in_peace() -> None:
    # a script that ends with its window open
    script = """
import napari
from qtpy.QtTest import QTest
viewer = napari.Viewer()
dock = viewer.window.add_plugin_dock_widget
panels = [dock("napari-bridgecorr", name) for name in ("File", "Register")]
QTest.qWait(300)
print("shown")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert "shown" in done.stdout
    assert "RuntimeError" not in done.stderr
    assert done.returncode == 0, done.stderr


def test_cancelling_and_stale_answers(
    viewer: Any, open_file_panel: OpenPanel, qtbot: Any, scenes: Path, monkeypatch: Any
) -> None:
    panel = open_file_panel(viewer)
    quick = file_panel_module.open_file
    released = threading.Event()

    def deaf(name: str, progress: Any) -> Any:
        if name == "slow":
            released.wait(10)  # does not listen
            return quick(str(scenes))
        if name == "stoppable":
            while True:
                progress.advance(0)
                released.wait(0.01)
        return quick(name, progress)

    monkeypatch.setattr(file_panel_module, "open_file", deaf)
    panel.open(["stoppable"])
    qtbot.waitUntil(panel.progress.isVisible, timeout=5000)
    click(panel.progress.cancel)
    settled(qtbot, panel)
    assert panel.message.text() == "Cancelled."
    assert panel.contents is None
    panel.open(["slow"])
    qtbot.wait(30)
    missing = str(scenes.with_name("missing.nii"))
    panel.open([missing])
    settled(qtbot, panel)
    assert "missing.nii" in panel.message.text()
    released.set()
    qtbot.waitUntil(
        lambda: not [t for t in threading.enumerate() if t.name == "bridgecorr job"], timeout=5000
    )
    qtbot.wait(50)
    assert panel.contents is None  # the slow answer came too late


def test_landmarks_ask_for_their_unit(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    path = tmp_path / "bigwarp.csv"
    rows = [f'"Pt-{i}","true","{i}.5","{2 * i}","{i * i}","{i}","{i + 1}","7"' for i in range(6)]
    rows.append('"Pt-6","true","1","2","3","Infinity","Infinity","Infinity"')
    path.write_text("\n".join(rows) + "\n")
    # dropped on the window itself: napari asks our reader, which opens the panel
    viewer.open(path, plugin="napari-bridgecorr")
    panel = show_file_panel(viewer)
    settled(qtbot, panel)
    qtbot.waitUntil(lambda: "unit" in panel.landmarks.summary.text(), timeout=5000)
    assert panel.landmarks.unit.isVisible()
    assert not panel.load.isEnabled()
    assert len(viewer.layers) == 0
    box = panel.landmarks.unit
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Down)
    QTest.keyClick(box, Qt.Key.Key_Down)  # mm
    qtbot.waitUntil(panel.load.isEnabled, timeout=5000)
    assert "6 pairs · 1 half placed" in panel.landmarks.summary.text()
    click(panel.load)
    settled(qtbot, panel)
    fixed, moving = viewer.layers
    assert isinstance(fixed, Points)
    assert (len(fixed.data), len(moving.data)) == (6, 7)
    # BigWarp's columns: moving x, y, z then fixed x, y, z
    assert np.allclose(moving.data[2] * moving.scale, (4000, 4000, 2500))
    assert np.allclose(fixed.data[2] * fixed.scale, (7000, 3000, 2000))
    assert session_of(viewer).point_layer("fixed") is fixed


def test_points_of_one_image_ask_whose_they_are(
    viewer: Any, open_file_panel: OpenPanel, qtbot: Any, real_data: Path
) -> None:
    panel = open_file_panel(viewer)
    drop(panel, real_data / "landmark_files" / "midsag.fcsv")
    settled(qtbot, panel)
    qtbot.waitUntil(panel.load.isEnabled, timeout=5000)
    assert panel.landmarks.side.isVisible()
    assert not panel.landmarks.unit.isVisible()
    panel.landmarks.side.setCurrentIndex(1)
    panel.landmarks.side.activated.emit(1)
    qtbot.waitUntil(panel.load.isEnabled, timeout=5000)
    click(panel.load)
    settled(qtbot, panel)
    (layer,) = viewer.layers
    assert session_of(viewer).point_layer("moving") is layer
    assert session_of(viewer).point_layer("fixed") is None


def test_a_transform_warps_what_is_open(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    fixed = tmp_path / "fixed.nii.gz"
    moving = tmp_path / "moving.nii.gz"
    write_image(_image(Grid.from_spacing((4, 8, 8), (4.0, 3.0, 2.0))), fixed)
    write_image(_image(Grid.from_spacing((8, 16, 16), (2.0, 1.5, 1.0))), moving)
    matrix = np.eye(4)
    matrix[:3, 3] = (2.0, -1.0, 0.5)
    path = tmp_path / "t.json"
    write_document(transform_document(Affine(matrix)), path)
    for image in (fixed, moving):
        viewer.open(image, plugin="napari-bridgecorr")
    viewer.open(path, plugin="napari-bridgecorr")
    assert len(viewer.layers) == 2
    panel = show_file_panel(viewer)
    qtbot.waitUntil(lambda: "Affine" in panel.transform.summary.text(), timeout=5000)
    click(panel.load)
    settled(qtbot, panel)
    assert panel.next_step.warp.text() == "Warp with t.json"
    click(panel.next_step.warp)
    settled(qtbot, panel)
    assert len(viewer.layers) == 3
    from napari_bridgecorr.resampling import resample

    expected = resample(open_image(moving), Affine(matrix), open_image(fixed).grid)
    added = viewer.layers[-1]
    assert np.allclose(np.asarray(added.data), expected.data[0, 0].compute(), equal_nan=True)


def nothing_is_cut_off_in_a_narrow_dock(panel: FilePanel, qtbot: Any, scenes: Path) -> None:
    panel.open([str(scenes)])
    settled(qtbot, panel)
    panel.setFixedWidth(400)
    qtbot.wait(50)
    for widget in panel.findChildren(QWidget):
        if widget.isVisible() and widget.parent() is not None and widget.width() > 0:
            right = widget.mapTo(panel, QPoint(widget.width(), 0)).x()
            assert right <= panel.width() + 1, widget.objectName()
    assert faults_of(panel) == []  # every control says what it is for
    assert panel.findChild(QWidget, "bridgecorr_load").focusPolicy() != Qt.FocusPolicy.NoFocus


def _dask(values: np.ndarray) -> Any:
    import dask.array as da

    return da.from_array(values, chunks=values.shape)


def _image(
    grid: Grid,
    values: np.ndarray | None = None,
    channels: tuple[str, ...] = ("signal",),
    role: Any = "image",
    name: str = "",
) -> SpatialImage:
    if values is None:
        shape = (1, len(channels), *grid.shape)
        values = np.random.default_rng(2).integers(1, 3000, shape).astype(np.int16)
    return SpatialImage(
        levels=(_dask(values),),
        grids=(grid,),
        channels=tuple(Channel(c) for c in channels),
        source=Source(Path("made"), "memory", image_name=name, role=role),
    )


def _contents(*images: SpatialImage) -> Any:
    from napari_bridgecorr.workflow.files import FileContents

    return FileContents(Path("made"), "image", images)


def _callback_count(viewer: Any) -> int:
    events = [viewer.layers.events]
    events += [layer.events for layer in viewer.layers]
    return sum(len(emitter.callbacks) for group in events for emitter in group.emitters.values())
