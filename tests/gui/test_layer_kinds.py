"""Every kind of layer that napari has, one after another in one window, until it is deleted."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Points
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from scipy.ndimage import gaussian_filter
from test_register_panel import canvas_of, click, settled

from napari_bridgecorr._napari.landmark_layers import SIDES
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.fitting import FitOptions

LEFT = Qt.MouseButton.LeftButton
UM = ("um", "um", "um")
STACK = {"scale": (20, 10, 10), "units": UM}
TURN = np.array([[0.9, -0.43589, 0, 0], [0.43589, 0.9, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
RNG = np.random.default_rng(0)


def smooth(*shape: int) -> Any:
    return gaussian_filter(RNG.random(shape), 1.5).astype(np.float32)


def holes() -> Any:
    found = smooth(6, 40, 40)
    found[:, 10:20], found[0] = np.nan, np.inf
    return found


NOTHING = "Nothing of the moving image lies here"
# what is added, as which image, and what the overlay says: "" where it shows a picture
KINDS: dict[str, tuple[Any, dict[str, Any], str, str]] = {
    "channels and times": (
        smooth(2, 3, 6, 40, 40),
        {"channel_axis": 0, "scale": (1, 20, 10, 10), "units": ("s", *UM)},
        "moving",
        "",
    ),
    "levels of zeros in mm, rotated": (
        [np.zeros((6, 80, 80), np.uint16), np.zeros((6, 40, 40), np.uint16)],
        {"scale": (0.02, 0.005, 0.005), "units": ("mm",) * 3, "affine": TURN},
        "fixed",
        "",
    ),
    "NaN, and no unit": (holes(), {"scale": (20, 10, 10)}, "fixed", ""),
    "nothing but NaN": (np.full((6, 40, 40), np.nan), STACK, "moving", NOTHING),
    "flat labels": (
        np.arange(40 * 40).reshape(40, 40) // 200,
        {"scale": (10, 10), "units": UM[:2]},
        "fixed",
        "",
    ),
    "colours": (
        (255 * smooth(6, 40, 40, 3)).astype(np.uint8),
        {"rgb": True, **STACK},
        "moving",
        "",
    ),
}


@pytest.fixture
def few_collected() -> Iterator[None]:
    """napari collects garbage with every layer that goes: not among all that was there before."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("few_collected")
@pytest.mark.filterwarnings(
    # an image without voxels
    "ignore:.* encountered in divide:RuntimeWarning:napari",
    # napari looks for the contrast of what has none
    "ignore:All-NaN:RuntimeWarning",
    "ignore:invalid value encountered in cast:RuntimeWarning",
)
def test_every_kind_of_layer_is_used_and_deleted(
    viewer: Any, open_panel: Any, qtbot: Any, capfd: Any, caplog: Any
) -> None:
    base = viewer.add_image(smooth(6, 40, 40), name="base", **STACK)
    panel = open_panel(viewer)
    _, reslice = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Reslice")
    viewer.window.resize(900, 500)  # less to draw
    qtbot.wait(100)
    session = session_of(viewer)
    session.set_options(FitOptions("translation"))
    complaints: list[str] = []
    session.told.connect(lambda text, bad: complaints.append(text) if bad else None)
    caplog.set_level(logging.WARNING)
    capfd.readouterr()
    for name, (data, arguments, side, words) in KINDS.items():
        add = viewer.add_labels if "labels" in name else viewer.add_image
        made = add(data, name=name, **arguments)
        layers = made if isinstance(made, list) else [made]
        use_and_delete(viewer, panel, reslice, (base, layers, side), words, qtbot)
        assert not complaints, name
    # what napari says of layers without a unit beside others is not ours
    told = [r.getMessage() for r in caplog.records if "Inconsistent units" not in r.getMessage()]
    printed = [
        line
        for text in capfd.readouterr()
        for line in text.splitlines()
        if "Inconsistent" not in line
    ]
    assert (told, printed) == ([], [])
    an_empty_layer_is_told_of(viewer, panel, base)


def use_and_delete(
    viewer: Any, panel: Any, reslice: Any, images: Any, words: str, qtbot: Any
) -> None:
    """Two pairs by clicks, a fit, the overlay, both panels; then the image goes."""
    session, (base, layers, side) = session_of(viewer), images
    panel.images.choosers["moving" if side == "fixed" else "fixed"].choose(base)
    panel.images.choosers[side].choose(layers[0])
    click(panel.landmarks.new_layers)
    qtbot.wait(50)
    canvas = canvas_of(viewer)
    for number, off in enumerate((QPoint(0, 0), QPoint(40, 20)), 1):
        for one in SIDES:  # the view goes to the other image after a click
            at = canvas.rect().center() + off
            qtbot.waitUntil(lambda one=one: panel.landmarks.view == one, timeout=5000)
            QTest.mouseMove(canvas, at)
            qtbot.wait(15)
            QTest.mouseClick(canvas, LEFT, pos=at)
            points = session.point_layer(one)
            qtbot.waitUntil(lambda p=points, n=number: len(p.data) == n, timeout=5000)
            qtbot.wait(30)
    settled(qtbot, viewer)
    assert len(session.landmarks.pairs()) == 2, session.landmarks
    # where it was clicked: 20 pixels down and 40 to the right, in one plane of the image
    grid, points = session.image("fixed").grid, session.landmarks.pairs().fixed_um
    depth, down, right = np.diff(grid.to_index(points), axis=0)[0]
    assert depth == pytest.approx(0, abs=1e-6)
    assert down > 0
    assert right / down == pytest.approx(2, rel=0.1)
    assert session.fit is not None
    overlay = panel.overlay.overlay
    click(panel.overlay.show_overlay)
    qtbot.waitUntil(lambda: overlay.shown is not None and not overlay.is_busy, timeout=60_000)
    assert np.isfinite(overlay.shown.values).any() == (not words)
    assert (words or "1 pixel = ") in panel.overlay.note.text()
    reslice.image.choose(layers[0])
    reslice.image.layer_chosen.emit(layers[0])
    is_flat = session.image(side).grid.shape[0] == 1
    assert ("is flat" in reslice.source.hint.text()) == is_flat
    # a name is a label, a place in the list means nothing
    layers[0].name = "renamed"
    viewer.layers.move(viewer.layers.index(layers[0]), 0)
    assert session.image_layer(side) in layers
    assert panel.images.choosers[side].currentText() == "renamed"
    has_two_views = layers[0].ndim == 4
    if has_two_views:
        click(panel.landmarks.two_views)
        qtbot.wait(30)
    # both are at work while their image goes
    viewer.scene.camera.zoom *= 1.1
    overlay.refresh()
    if has_two_views:
        click(panel.results.warp)
        assert panel.results.progress.isVisibleTo(panel)
    assert overlay.is_busy
    for layer in layers:
        viewer.layers.remove(layer)
    if has_two_views:
        click(panel.landmarks.two_views)
    assert panel.images.choosers[side].currentText() == "choose…"
    assert "Choose a fixed and a moving image" in panel.overlay.note.text()
    assert "Choose the image" in reslice.about.text()
    assert not panel.results.warp.isEnabled()
    click(panel.overlay.show_overlay)
    if has_two_views:  # what was begun is whole
        qtbot.waitUntil(lambda: panel.results.progress.isHidden(), timeout=20_000)
        results = session.result_layers()
        assert [i.name for i in results if "registered" in i.name]
        for layer in results:
            viewer.layers.remove(layer)
    for layer in [i for i in viewer.layers if isinstance(i, Points)]:
        viewer.layers.remove(layer)
    settled(qtbot, viewer)
    assert list(viewer.layers) == [base]


def an_empty_layer_is_told_of(viewer: Any, panel: Any, base: Any) -> None:
    """napari itself refuses to add an image without voxels; one can become empty."""
    layer = viewer.add_image(smooth(6, 40, 40), name="drawn", **STACK)
    panel.images.choosers["moving"].choose(layer)
    layer.data = np.zeros((0, 40, 40), np.float32)
    panel.images.refresh()
    assert "drawn is empty" in panel.images._facts["moving"].text()
    viewer.layers.remove(layer)
    assert list(viewer.layers) == [base]
