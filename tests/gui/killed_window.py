"""A window that places landmarks by mouse and then waits to be killed; run by a test."""

from __future__ import annotations

import json
import sys
from typing import Any

import napari
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from test_register_panel import click, click_canvas

from napari_bridgecorr._napari.frames import tag_of
from napari_bridgecorr._napari.viewer_session import ViewerSession, session_of


class Bot:
    """What :func:`click_canvas` needs of pytest-qt."""

    wait = staticmethod(QTest.qWait)


def shown(viewer: Any, session: ViewerSession) -> dict[str, Any]:
    """All that must be the same when the window is made again."""
    session.read_now()
    points = [session.point_layer(side) for side in ("fixed", "moving")]
    images = [session.image_layer(side) for side in ("fixed", "moving")]
    camera, dims = viewer.scene.camera, viewer.dims
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
            if tag_of(layer) is not None  # what panels draw, they draw again
        ],
        "model": session.options.model,
        "camera": [list(camera.center), camera.zoom, list(camera.angles)],
        "dims": [dims.ndisplay, list(dims.order), slice_of(dims), list(dims.margin_left)],
    }


def slice_of(dims: Any) -> list[float]:
    """Which slice is shown; along the axes on the screen napari's sliders stand anywhere."""
    return [float(dims.point[axis]) for axis in dims.not_displayed]


def camera(viewer: Any) -> dict[str, Any]:
    """As a kept window has it."""
    found = viewer.scene.camera
    names = ("center", "zoom", "angles", "perspective")
    return json.loads(json.dumps({name: getattr(found, name) for name in names}))


def main(mri: str, two_photon: str) -> None:
    """Place three landmarks, leave one out, choose a model, zoom; then wait."""
    viewer = napari.Viewer()
    viewer.window.resize(1200, 900)
    viewer.open([mri], plugin="napari-bridgecorr")
    viewer.open([two_photon], plugin="napari-bridgecorr")
    _, panel = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Register")
    QTest.qWait(100)
    session = session_of(viewer)
    click(panel.landmarks.new_layers)
    QTest.qWait(100)
    for place in ((400.0, 300.0), (500.0, 600.0), (600.0, 450.0)):
        click_canvas(Bot, viewer, place)
    session.set_name("L01", "big vein")
    session.set_enabled("L01", False)
    QTest.keyClick(panel.fit.model, Qt.Key.Key_Home)
    session.image_layer("fixed").contrast_limits = (3, 77)
    viewer.scene.camera.zoom *= 1.25
    QTest.qWait(50)
    wanted = shown(viewer, session)
    for _ in range(200):
        QTest.qWait(100)
        path = panel.continuing.autosave.path
        if path is not None and path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            first = kept["landmark_sets"][0]["landmarks"][0]
            if not first["enabled"] and kept["window"]["camera"] == camera(viewer):
                break
    print(json.dumps(wanted), flush=True)
    while True:
        QTest.qWait(1000)


if __name__ == "__main__":
    main(*sys.argv[1:])
