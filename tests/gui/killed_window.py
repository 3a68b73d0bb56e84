"""A window that is worked in by mouse and keys and then waits to be killed; run by a test."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QLineEdit, QWidget
from test_register_panel import click

from napari_bridgecorr._napari.frames import canvas_position, frame_of, tag_of
from napari_bridgecorr._napari.keyboard import native_of
from napari_bridgecorr._napari.plane_bench import bench_of
from napari_bridgecorr._napari.viewer_session import ViewerSession, session_of
from napari_bridgecorr.io.landmark_files import read_landmarks

CTRL = Qt.KeyboardModifier.ControlModifier
PLACED = ("L06", "L10", "L09", "L12", "L04")  # of the phantom's, in the middle and at all depths
# on a tilted window above the phantom: depth (um), and pixels down and across from the middle
WINDOW = ((48.0, -60, -50), (72.0, 50, -40), (84.0, -20, 60))
DRAGGED_PX = (12, -9)


def shown(viewer: Any, session: ViewerSession) -> dict[str, Any]:
    """All that must be the same when the window is made again."""
    session.read_now()
    points = [session.point_layer(side) for side in ("fixed", "moving")]
    images = [session.image_layer(side) for side in ("fixed", "moving")]
    dims, plane = viewer.dims, bench_of(session).plane
    return {
        "landmarks": [
            [m.id, m.name, m.enabled, list(m.fixed_um or ()), list(m.moving_um or ())]
            for m in session.landmarks
        ],
        "rows": [layer.data.tolist() for layer in points],
        "sizes": [layer.size.tolist() for layer in points],
        "symbols": [[str(s) for s in layer.symbol] for layer in points],
        "images": [layer.name for layer in images],
        "layers": [
            [
                layer.name,
                layer.visible,
                layer.opacity,
                str(layer.blending),
                layer.scale.tolist(),
                layer.translate.tolist(),
                layer.affine.affine_matrix.tolist(),
                [str(u) for u in layer.units],
                [float(v) for v in getattr(layer, "contrast_limits", ())],
                getattr(getattr(layer, "colormap", None), "name", ""),
            ]
            for layer in viewer.layers
            # what panels draw, they draw again; results that no file holds are made again
            if tag_of(layer) is not None and layer not in session.result_layers()
        ],
        "model": session.options.model,
        "fit": None if session.fit is None else session.fit.transform.map(probes(session)).tolist(),
        "plane": None if plane is None else plane.to_dict(),
        "camera": camera(viewer),
        "dims": [dims.ndisplay, list(dims.order), slice_of(dims), list(dims.margin_left)],
    }


def slice_of(dims: Any) -> list[float]:
    """Which slice is shown; along the axes on the screen napari's sliders stand anywhere."""
    return [float(dims.point[axis]) for axis in dims.not_displayed]


def probes(session: ViewerSession) -> np.ndarray:
    """Corners and middle of the fixed image, um."""
    shape = np.array(session.image("fixed").grid.shape)
    parts = np.array([(0, 0, 0), (1, 1, 0), (0, 1, 1), (1, 0, 1), (0.5, 0.5, 0.5)])
    return session.image("fixed").grid.to_world(parts * (shape - 1))


def second_shown(session: ViewerSession) -> dict[str, Any]:
    """What the second view shows."""
    second = session.canvases.second
    return {
        "camera": camera(second.model),
        "slice": slice_of(second.model.dims),
        "channels": [copy.visible for _, copy in second.mirror.pairs()],
    }


def camera(viewer: Any) -> dict[str, Any]:
    """As a kept window has it."""
    found = viewer.scene.camera
    names = ("center", "zoom", "angles", "perspective")
    return json.loads(json.dumps({name: getattr(found, name) for name in names}))


def until(is_so: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    """Let the window live until something is so."""
    for _ in range(int(seconds / 0.02)):
        if is_so():
            return
        QTest.qWait(20)
    raise SystemExit(f"waited in vain: {what}")


class Worker:
    """Two hands at the mouse and the keys of a window with two views."""

    def __init__(self, viewer: Any, session: ViewerSession) -> None:
        self.viewer, self.session = viewer, session

    def native(self, side: str) -> QWidget:
        """The widget that a side is drawn in."""
        return native_of(self.session.canvas_of(side))

    def go_to_slice(self, side: str, world_um: Any) -> None:
        """Type the number of the slice through a place beside the view's slider."""
        dims, at = self.session.canvas_of(side).dims, self._shown_at(side, world_um)
        axis = dims.ndim - 3
        start, _, step = dims.range[axis]
        view = self.native(side).parentWidget()
        while not (labels := view.findChildren(QLineEdit, "slice_label")):
            view = view.parentWidget()
        # of two views in one window, each has its own below it
        label = labels[-1 - axis] if len(labels) == 1 else _uppermost(labels)
        label.setFocus()
        label.selectAll()
        QTest.keyClicks(label, str(round((at[0] - start) / step)))
        QTest.keyClick(label, Qt.Key.Key_Return)
        QTest.qWait(60)
        if abs(dims.point[axis] - at[0]) > step:
            raise SystemExit(f"the {side} view did not go to the slice")

    def pixel(self, side: str, world_um: Any) -> QPoint:
        """Where a view draws a place."""
        camera, native = self.session.canvas_of(side).scene.camera, self.native(side)
        down, across = (self._shown_at(side, world_um)[1:] - camera.center[-2:]) * camera.zoom
        at = QPoint(round(native.width() / 2 + across), round(native.height() / 2 + down))
        if not native.rect().contains(at):
            raise SystemExit(f"{world_um} is out of the {side} view")
        return at

    def click(self, side: str, world_um: Any) -> None:
        """Go to a place's slice and click it."""
        self.go_to_slice(side, world_um)
        native, at = self.native(side), self.pixel(side, world_um)
        QTest.mouseMove(native, at + QPoint(2, 2))
        QTest.qWait(20)
        QTest.mouseMove(native, at)
        QTest.qWait(20)
        QTest.mouseClick(native, Qt.MouseButton.LeftButton, pos=at)
        QTest.qWait(120)

    def drag(self, side: str, world_um: Any, by: tuple[int, int]) -> None:
        """Drag what lies at a place by some pixels."""
        native, start, way = self.native(side), self.pixel(side, world_um), QPoint(*by)
        QTest.mouseMove(native, start)
        QTest.qWait(60)
        QTest.mousePress(native, Qt.MouseButton.LeftButton, pos=start)
        for part in (0.4, 0.7, 1.0):
            QTest.mouseMove(native, start + way * part)
            QTest.qWait(40)
        QTest.mouseRelease(native, Qt.MouseButton.LeftButton, pos=start + way)
        QTest.qWait(150)

    def press(self, side: str, key: Qt.Key, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key over a view."""
        QTest.keyClick(self.native(side), key, modifier)
        QTest.qWait(120)

    def count(self) -> list[int]:
        """Points in the fixed and in the moving image."""
        return [len(self.session.point_layer(side).data) for side in ("fixed", "moving")]

    def _shown_at(self, side: str, world_um: Any) -> Any:
        frame = frame_of(self.session.image_layer(side))
        return canvas_position(self.session.canvas_of(side), frame, np.array([world_um]))


def _uppermost(labels: list[QLineEdit]) -> QLineEdit:
    shown = [i for i in labels if i.isVisible()]
    return min(shown, key=lambda i: i.mapToGlobal(i.rect().center()).y())


def place_and_mend(hands: Worker, panel: Any, truth: Any) -> None:
    """Five pairs, three steps back and one pair again; one left out, one dragged."""
    session = hands.session
    click(panel.landmarks.guide.start)
    until(lambda: session.canvases.second is not None, "the second view")
    QTest.qWait(300)
    for number, name in enumerate(PLACED, 1):
        hands.click("fixed", truth[name].fixed_um)
        hands.click("moving", truth[name].moving_um)
        expect(hands.count(), [number, number])
    for left in ([5, 4], [4, 4], [4, 3]):  # each click is a step
        hands.press("fixed", Qt.Key.Key_Z, CTRL)
        expect(hands.count(), left)
    hands.click("moving", truth["L12"].moving_um)
    expect(hands.count(), [4, 4])
    session.read_now()
    while panel.landmarks.placing.current != "L02":
        hands.press("fixed", Qt.Key.Key_P)
    hands.press("fixed", Qt.Key.Key_E)
    session.read_now()
    expect([m.enabled for m in session.landmarks], [True, False, True, True])
    while panel.landmarks.placing.current != "L03":
        hands.press("fixed", Qt.Key.Key_N)
    hands.press("fixed", Qt.Key.Key_M)
    before = np.array(session.landmarks["L03"].fixed_um)
    zoom = hands.session.canvas_of("fixed").scene.camera.zoom
    hands.drag("fixed", before, DRAGGED_PX)
    hands.press("fixed", Qt.Key.Key_M)
    session.read_now()
    moved = np.linalg.norm(np.array(session.landmarks["L03"].fixed_um) - before)
    if abs(moved - np.hypot(*DRAGGED_PX) / zoom) > 2 / zoom:
        raise SystemExit(f"dragged by {moved} um")


def reslice(hands: Worker) -> None:
    """Three clicks on the window, and the stack along them."""
    viewer, session = hands.viewer, hands.session
    _, panel = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Reslice")
    QTest.qWait(300)
    click(panel.source.draw)
    camera = session.canvas_of("moving").scene.camera
    for number, (depth_um, *off_px) in enumerate(WINDOW, 1):
        hands.click("moving", (depth_um, *(camera.center[-2:] + np.array(off_px) / camera.zoom)))
        expect(len(panel.bench.draft.points_um), number)
    until(lambda: panel.result.make.isEnabled(), "a plane")
    before = session.image_layer("moving")
    click(panel.result.make)
    until(lambda: session.image_layer("moving") is not before, "the resliced image")
    QTest.qWait(200)


def main(mri: str, two_photon: str, landmarks: str, saved: str) -> None:
    """Work as a person would, from the first pair to the saved session; then wait."""
    QFileDialog.getSaveFileName = staticmethod(lambda *_: (saved, ""))
    truth = {m.id: m for m in read_landmarks(Path(landmarks))}
    viewer = napari.Viewer()
    viewer.window.resize(1200, 900)
    viewer.open([mri], plugin="napari-bridgecorr")
    viewer.open([two_photon], plugin="napari-bridgecorr")
    _, panel = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Register")
    QTest.qWait(100)
    session = session_of(viewer)
    hands = Worker(viewer, session)
    place_and_mend(hands, panel, truth)
    session.set_name("L01", "big vein")
    reslice(hands)
    panel.fit.model.setFocus()
    while panel.fit.model.currentData() != "rigid":
        QTest.keyClick(panel.fit.model, Qt.Key.Key_Up)
    until(lambda: session.fit is not None and not session.is_fitting, "the fit")
    session.image_layer("fixed").contrast_limits = (3, 77)
    click(panel.results.warp)
    until(lambda: session.result_layers(), "the registered image")
    viewer.scene.camera.zoom *= 1.25
    QTest.qWait(200)
    click(panel.results.saves["session"])
    until(lambda: Path(saved).exists() and panel.results.progress.isHidden(), "the saved session")
    autosave = panel.continuing.autosave
    wanted: dict[str, Any] = {}
    for _ in range(200):
        QTest.qWait(100)
        wanted = {**shown(viewer, session), "second": second_shown(session)}
        if autosave.path is not None and autosave.path.exists():
            kept = json.loads(autosave.path.read_text(encoding="utf-8"))["window"]
            if json.loads(json.dumps(autosave.document())).items() <= kept.items():
                break
    else:
        raise SystemExit("the window was not kept")
    wanted["results"] = [layer.name for layer in session.result_layers()]
    print(json.dumps(wanted), flush=True)
    while True:
        QTest.qWait(1000)


def expect(found: Any, wanted: Any) -> None:
    """Stop where something is otherwise: the test's other side reads no line then."""
    if found != wanted:
        raise SystemExit(f"{found} instead of {wanted}")


if __name__ == "__main__":
    main(*sys.argv[1:])
