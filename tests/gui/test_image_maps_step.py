"""Maps that the images give, in real windows: refined, stopped, dropped, found, used, undone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

pytest.importorskip("napari")

from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_bridgecorr._napari import autosave_files, image_maps
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.io.landmark_files import write_landmarks
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.transform_files import read_transform
from napari_bridgecorr.landmarks import Landmark, LandmarkSet
from napari_bridgecorr.resampling import resample
from napari_bridgecorr.session import load_session, load_window
from napari_bridgecorr.workflow.refine import refine

LEFT = Qt.MouseButton.LeftButton
N, VOXEL_UM = 80, 10.0


class Pictures(NamedTuple):
    """Two flat images, where they truly match, and clicks that miss it by 2.5 pixels."""

    fixed: Path
    moving: Path
    landmarks: Path
    fixed_um: np.ndarray
    moving_um: np.ndarray


def _write_flat(values: np.ndarray, path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_xyzt_units("mm")
    affine = np.diag([VOXEL_UM / 1000] * 3 + [1.0])
    nib.save(nib.Nifti1Image(values.T[..., None].astype(np.float32), affine, header), path)


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    """A texture, and its negative turned by 20 degrees and bent by up to 1.5 pixels."""
    rng = np.random.default_rng(0)
    centre = (N - 1) / 2
    turn = np.deg2rad(20)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def to_fixed(moving: np.ndarray) -> np.ndarray:
        there = turned @ (moving - centre)
        return there + 1.5 * np.array([np.sin(there[1] / 15), np.cos(there[0] / 13)]) + centre

    texture = gaussian_filter(rng.normal(size=(N, N)), 2.5)
    texture *= gaussian_filter(np.pad(np.ones((N - 30, N - 30)), 15), 4) / texture.std()
    shown = map_coordinates(texture, to_fixed(np.indices((N, N)).reshape(2, -1)), order=3)
    names = ("fixed.nii.gz", "moving.nii.gz", "landmarks.csv")
    paths = [tmp_path / name for name in names]
    _write_flat(120 + 30 * texture + rng.normal(0, 2, (N, N)), paths[0])
    _write_flat(120 - 25 * shown.reshape(N, N) + rng.normal(0, 2, (N, N)), paths[1])
    moving = centre + rng.uniform(-22, 22, (2, 60))
    ends = []
    for path, places in zip(paths, (to_fixed(moving), moving), strict=False):
        index = np.column_stack([np.zeros(60), places.T])
        ends.append(open_image(path).grid.to_world(index))
    clicked = ends[1] + np.column_stack([np.zeros(60), rng.normal(0, 25, (60, 2))])
    marks = tuple(
        Landmark(f"L{i}", f"L{i}", True, tuple(ends[0][i]), tuple(clicked[i])) for i in range(10)
    )
    write_landmarks(LandmarkSet(marks), paths[2])
    return Pictures(*paths, ends[0][10:], ends[1][10:])


class Gate:
    """Refinement that waits: at once, or where its first map has been made."""

    def __init__(self) -> None:
        self.arrived, self.open = threading.Event(), threading.Event()
        self.at_first_map = False
        self.results: list[Any] = []

    def __call__(self, *arguments: Any, progress: Any, **options: Any) -> Any:
        if not self.at_first_map:
            self.wait()
        self.results.append(refine(*arguments, progress=_Watched(self, progress), **options))
        return self.results[-1]

    def wait(self) -> None:
        self.arrived.set()
        assert self.open.wait(60)


class _Watched:
    def __init__(self, gate: Gate, progress: Any) -> None:
        self._gate, self._progress, self._task = gate, progress, ""

    def begin(self, task: str, total: int) -> None:
        self._task = task
        self._progress.begin(task, total)

    def advance(self, steps: int = 1) -> None:
        if self._task == "refining" and self._gate.at_first_map:
            self._gate.wait()
        self._progress.advance(steps)


@pytest.fixture
def gate(monkeypatch: Any) -> Iterator[Gate]:
    made = Gate()
    monkeypatch.setattr(image_maps, "refine", made)
    yield made
    made.open.set()


def _click(widget: QWidget) -> None:
    assert widget.isEnabled()
    QTest.mouseClick(widget, LEFT)


def _choose(box: Any, value: Any) -> None:
    box.setFocus()
    while box.currentData() != value:
        key = Qt.Key.Key_Down if box.findData(value) > box.currentIndex() else Qt.Key.Key_Up
        QTest.keyClick(box, key)


def _opened(viewer: Any, open_panel: Any, *paths: Path) -> Any:
    for path in paths:
        viewer.open(path, plugin="napari-bridgecorr")
    panel = open_panel(viewer)
    panel.images.choosers["fixed"].choose(viewer.layers[0])
    panel.images.choosers["moving"].choose(viewer.layers[1])
    return panel


def _no_thread() -> bool:
    return not [t for t in threading.enumerate() if t.name == "bridgecorr job"]


def test_a_refinement_and_a_second_viewer_beside_it(
    make_napari_viewer: Any,
    open_panel: Any,
    pictures: Pictures,
    gate: Gate,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    one, two = make_napari_viewer(show=True), make_napari_viewer(show=True)
    first = _opened(one, open_panel, pictures.fixed, pictures.moving)
    session, step = session_of(one), first.image_maps
    _click(step.folds[0])
    assert "map to start from" in step.refine.reason.text()
    assert not step.refine.action.isEnabled()
    assert step.refine.action.toolTip() == step.refine.reason.text()
    one.open(pictures.landmarks, plugin="napari-bridgecorr")
    _choose(first.fit.dimensions, 2)
    qtbot.waitUntil(
        lambda: bool(
            session.fit and not session.is_fitting and session.fit.options.dimensions == 2
        ),
        timeout=20_000,
    )
    assert step.refine.reason.isHidden()
    layer = session.point_layer("moving")
    before = np.array(layer.data)
    qtbot.wait(100)  # choosing the layers rescales them: let that settle too

    # too late: a point was moved meanwhile
    _click(step.refine.action)
    assert gate.arrived.wait(30)
    assert not step.refine.action.isEnabled()
    moved = before.copy()
    moved[0, 1] += 3
    layer.data = moved
    qtbot.waitUntil(lambda: "changed meanwhile" in first.message.text(), timeout=10_000)
    gate.open.set()
    qtbot.waitUntil(_no_thread, timeout=30_000)
    assert session.image_map() is None
    assert not gate.results
    layer.data = before
    is_ready = step.refine.action.isEnabled
    qtbot.waitUntil(lambda: not session.is_fitting and is_ready(), timeout=20_000)
    qtbot.wait(100)

    # stopped when there is a first map; meanwhile a second viewer finds a map of its own
    gate.open.clear()
    gate.arrived.clear()
    gate.at_first_map = True
    _click(step.refine.action)
    second = _opened(two, open_panel, pictures.fixed, pictures.moving)
    other = session_of(two)
    _click(second.image_maps.folds[1])
    _choose(second.image_maps.find.model, "rigid")
    assert not second.results.warp.isEnabled()
    assert "find one in step 4" in second.results.warp.toolTip()
    _click(second.image_maps.find.action)
    qtbot.waitUntil(lambda: not second.image_maps.jobs.is_busy, timeout=60_000)
    assert "clear" in second.image_maps.find.result.text()
    assert other.image_map().kind == "aligned"
    off = np.linalg.norm(other.image_map().transform.map(pictures.fixed_um) - pictures.moving_um)
    assert off / np.sqrt(len(pictures.fixed_um)) < 2.5 * VOXEL_UM
    assert session.image_map() is None
    assert step.jobs.is_busy
    _click(second.results.warp)
    qtbot.waitUntil(lambda: len(other.result_layers()) == 1, timeout=30_000)
    expected = resample(
        other.image("moving"), other.image_map().transform, other.image("fixed").grid
    )
    shown = np.asarray(other.result_layers()[0].data)
    assert np.allclose(shown, expected.data[0, 0].compute(), equal_nan=True)
    assert session.result_layers() == []
    path = tmp_path / "found.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    _click(second.results.saves["session"])
    qtbot.waitUntil(lambda: "Saved" in second.message.text(), timeout=10_000)
    assert [o.kind for o in load_session(path).outputs] == ["align"]
    (kept,) = load_window(path)["maps"]  # in full: it may be given away
    assert (kept["kind"], kept["document"]["format"]) == ("aligned", "bridgecorr-transform")

    assert gate.arrived.wait(60)
    _click(step.progress.cancel)
    gate.open.set()
    qtbot.waitUntil(lambda: not step.jobs.is_busy, timeout=60_000)
    (found,) = gate.results
    assert found.cancelled
    assert found.accepted
    assert session.image_map().transform is found.transform
    assert other.image_map().kind == "aligned"
    said = step.refine.result.text()
    assert "Stopped early" in said
    assert f"{found.check.before_rms_um:.3g} µm" in said
    assert f"{found.check.after_rms_um:.3g} µm" in said
    errors = [
        np.sqrt(np.mean((m.map(pictures.fixed_um) - pictures.moving_um) ** 2))
        for m in (session.fit.transform, session.image_map().transform)
    ]
    assert errors[1] < errors[0]
    # stopped by hand: nobody can repeat that
    assert not first.results.saves["session"].isEnabled()
    assert "cannot repeat" in first.results.saves["session"].toolTip()

    # the results use it; a point that moves takes it out of use, back in its place it counts again
    path = tmp_path / "refined.json"
    _click(first.results.saves["transform"])
    qtbot.waitUntil(path.exists, timeout=10_000)
    qtbot.waitUntil(lambda: "Saved" in first.message.text(), timeout=10_000)
    saved = read_transform(path)
    assert saved.held_out_um == pytest.approx(found.check.after_um)
    row = first.results.maps
    assert row.buttons["refined"].isChecked()
    layer.data = moved
    qtbot.waitUntil(row.note.isVisible, timeout=10_000)
    assert session.image_map() is None
    assert row.buttons["fit"].isChecked()
    assert not row.buttons["refined"].isEnabled()
    layer.data = before
    qtbot.waitUntil(row.buttons["refined"].isChecked, timeout=10_000)
    # shown another way nothing has moved
    shown = first.images.upright
    for _ in range(2):
        QTest.mouseClick(shown, LEFT, pos=QPoint(9, shown.height() // 2))
        qtbot.wait(100)
        assert session.image_map() is not None
    _click(row.buttons["fit"])
    assert session.image_map() is None
    assert session.current_fit() is not None
    _click(row.buttons["refined"])
    assert session.image_map().transform is found.transform
    _the_map_is_kept(one, open_panel, first, pictures, qtbot)


def _the_map_is_kept(
    viewer: Any, open_panel: Any, panel: Any, pictures: Pictures, qtbot: Any
) -> None:
    """The window closed and opened again has the map, its error and which one is used."""
    session, path = session_of(viewer), panel.continuing.autosave.path
    before = session.image_map()

    def kept() -> list[Any]:
        return autosave_files.read(path)[1].window["maps"]

    qtbot.waitUntil(lambda: [m["is_chosen"] for m in kept()] == [True], timeout=10_000)
    assert "document" not in kept()[0]  # but in a file beside it, written once
    assert len(list(path.parent.glob(f"{path.stem}.*.map"))) == 1
    viewer.layers.clear()
    viewer.window.remove_dock_widget(panel)
    qtbot.waitUntil(lambda: path in [k.path for k in autosave_files.kept()], timeout=10_000)
    again = open_panel(viewer).continuing
    qtbot.waitUntil(again.isVisible, timeout=10_000)
    assert "10 landmarks and a map by the images" in again.words.text()
    _click(again.go_on)
    qtbot.waitUntil(lambda: session.image_map() not in (None, before), timeout=20_000)
    after = session.image_map()
    np.testing.assert_allclose(
        after.transform.map(pictures.fixed_um), before.transform.map(pictures.fixed_um), atol=1e-9
    )
    errors = [m.error(session.landmarks).predict(pictures.fixed_um) for m in (before, after)]
    np.testing.assert_allclose(*errors)
    assert (after.kind, after.verdict, after.repeat) == ("refined", before.verdict, before.repeat)


def test_a_section_is_placed_on_the_chosen_slice(
    viewer: Any, open_panel: Any, qtbot: Any, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    voxel_um, number, shift = (80.0, 50.0, 50.0), 5, np.array([3.0, -2.0])
    tissue = gaussian_filter(rng.normal(size=(9, 36, 40)), (1.2, 3, 3))
    tissue *= 150 / tissue.std()
    section = 250 - 0.8 * tissue[number, 6:32, 4:34] + rng.normal(0, 3, (26, 30))
    for values, step, name in (
        (600 + tissue, voxel_um, "volume.nii.gz"),
        (section[None], (1.0, 50.0, 50.0), "section.nii.gz"),
    ):
        header = nib.Nifti1Header()
        header.set_xyzt_units("mm")
        affine = np.diag([*(s / 1000 for s in reversed(step)), 1.0])
        # the section lies elsewhere in its own world
        affine[:3, 3] = (0, 0, 0) if name == "volume.nii.gz" else (*(shift[::-1] * 0.05), 0)
        nib.save(nib.Nifti1Image(values.T.astype(np.float32), affine, header), tmp_path / name)
    panel = _opened(viewer, open_panel, tmp_path / "volume.nii.gz", tmp_path / "section.nii.gz")
    session, step = session_of(viewer), panel.image_maps
    place = step.place
    _click(step.folds[2])
    assert "press ⇅" in place.reason.text()
    assert not place.action.isEnabled()
    _click(panel.images.swap)
    qtbot.waitUntil(place.action.isEnabled, timeout=10_000)
    assert not place.number.isVisible()
    _choose(place.way, "landmarks")
    qtbot.waitUntil(lambda: "3 landmark pairs" in place.reason.text(), timeout=10_000)
    _choose(place.way, "exactly")
    assert not place.reach.isVisible()
    assert place.number.suffix() == " of 0 to 8"
    place.number.selectAll()
    QTest.keyClicks(place.number, str(number))
    _choose(place.freedom, "rigid")
    place.upright.setFocus()
    QTest.keyClick(place.upright, Qt.Key.Key_Space)
    assert place.upright.isChecked()
    qtbot.waitUntil(place.action.isEnabled, timeout=10_000)
    _click(place.action)
    qtbot.waitUntil(lambda: not step.jobs.is_busy, timeout=120_000)
    found = session.image_map()
    assert found is not None, panel.message.text()
    assert "slice 5.0" in place.result.text()
    grid = session.image("fixed").grid
    index = np.column_stack([np.zeros(9), rng.uniform(2, 24, (9, 2))])
    truth = session.image("moving").grid.to_world(index + [number, 6, 4])
    off = np.linalg.norm(found.transform.map(grid.to_world(index)) - truth, axis=1)
    assert np.median(off) < 0.3 * 50
    # the volume over the section's pixels
    assert not panel.results.saves["table"].isEnabled()
    assert "section" in panel.results.saves["table"].toolTip()
    _click(panel.results.warp)
    qtbot.waitUntil(lambda: len(session.result_layers()) == 1, timeout=30_000)
    shown = np.asarray(session.result_layers()[0].data).reshape(26, 30)
    assert np.corrcoef(shown.ravel(), section.ravel())[0, 1] < -0.95
