"""Take the pictures of the panels in `docs/screens`, in one theme and one size of the window.

tools/with_display python docs/make_screens.py light 1280 800
xvfb-run -s "-screen 0 2560x1440x24" python docs/make_screens.py dark 2560 1440
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import napari
import numpy as np
from PIL import Image
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QScrollArea, QWidget

from napari_bridgecorr._napari.frames import world_matrix
from napari_bridgecorr._napari.landmark_layers import set_features
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.geometry.grid import apply_affine
from napari_bridgecorr.landmarks import Landmark
from napari_bridgecorr.phantom import PhantomOptions
from napari_bridgecorr.workflow.demo import write_phantom

SCREENS = Path(__file__).parent / "screens"
COLOURS = 256  # of a picture: what a window shows has few
PLUGIN = "napari-bridgecorr"
# taken in small windows only: of large ones they are half a megabyte and show no more of a panel
SMALL_ONLY = ("volume", "folding")
FOLDS = {
    "suggestions": "Suggest pairs",
    "refine": "Refine at the images",
    "keys": "Keys",
    "fit_options": "More options",
    "rater": "Second rater",
}


def until(is_so: Callable[[], object], seconds: int = 120) -> None:
    """Let the window work until something is so."""
    for _ in range(seconds * 20):
        QTest.qWait(50)
        if is_so():
            return
    raise SystemExit("the window did not get there in time")


class Screens:
    """A window on the small phantom, and its pictures."""

    def __init__(self, theme: str, width: int, height: int, folder: Path) -> None:
        self.name = f"{theme}_{width}x{height}"
        self.files = write_phantom(folder, PhantomOptions.sample()).files
        self.viewer = napari.Viewer()
        self.viewer.theme = theme
        self.viewer.window.resize(width, height)

    def open(self, *keys: str) -> None:
        """Open files of the phantom."""
        for key in keys:
            self.viewer.open(self.files[key], plugin=PLUGIN)

    def panel(self, name: str) -> QWidget:
        """Open a panel of ours."""
        return self.viewer.window.add_plugin_dock_widget(PLUGIN, name)[1]

    def take(self, what: str, panel: QWidget, shown: QWidget | None = None) -> None:
        """A picture of the window, with one widget of the panel scrolled to."""
        if what in SMALL_ONLY and not self.name.endswith("_1280x800"):
            return
        QTest.qWait(500)
        for area in panel.findChildren(QScrollArea):
            if shown is not None and area.isAncestorOf(shown):
                area.ensureWidgetVisible(shown, 0, 0)
        QTest.qWait(400)
        picture = Image.fromarray(self.viewer.window.screenshot(canvas_only=False, flash=False))
        SCREENS.mkdir(exist_ok=True)
        picture.convert("RGB").quantize(COLOURS).save(
            SCREENS / f"{self.name}_{what}.png", optimize=True
        )

    def files_panel(self) -> None:
        """The File panel: empty, and with an image looked into."""
        panel = self.panel("File")
        self.take("file_empty", panel)
        panel.open([str(self.files["two_photon"])])
        until(panel.load.isVisible)
        QTest.qWait(2000)  # thumbnails
        self.take("file", panel)
        self.viewer.window.remove_dock_widget("all")

    def reslice(self) -> None:
        """The Reslice panel: empty, and with the plane found and tilted."""
        panel = self.panel("Reslice")
        self.take("reslice_empty", panel)
        self.open("two_photon")
        panel.image.choose(session_of(self.viewer).image_layers()[-1])
        panel.source.ways["found"].click()
        panel.source.find.click()
        until(lambda: panel.bench.plane is not None)
        until(lambda: panel.preview.canvas.has_picture)
        panel.numbers.boxes["tilt_y"].setValue(12)
        panel.go_there.click()
        panel.drag_in_view.click()
        self.take("reslice", panel)
        self.viewer.window.remove_dock_widget("all")
        self.viewer.layers.clear()

    def register(self) -> None:
        """The Register panel, from empty to compared raters."""
        panel = self.panel("Register")
        self.take("register_empty", panel)
        panel.tour.end()
        self.open("mri", "two_photon")
        self.take("start", panel)
        self.open("landmarks")
        session = session_of(self.viewer)
        until(lambda: session.fit)
        self.take("register", panel)
        panel.findChild(QAbstractButton, "bridgecorr_take_tour").click()
        panel.tour.go.click()
        self.take("tour", panel)
        panel.tour.end()
        self._map_layers(panel)
        panel.landmarks.two_views.click()
        QTest.qWait(2000)  # both images are shown whole once the window has laid itself out
        self.take("two_views", panel, panel.landmarks.place)
        self._table(panel)
        second = session.canvases.second
        second.volume.click()
        self.take("volume", panel, panel.landmarks.place)
        second.volume.click()
        for name, title in FOLDS.items():
            with self.unfolded(panel, title) as fold:
                self.take(name, panel, fold.parentWidget())
        self._suggestions(panel)
        self._verdict(panel)
        self._plane_in_other()
        self._raters(panel)
        self._at_work(panel)

    @contextmanager
    def unfolded(self, panel: QWidget, title: str) -> Iterator[QAbstractButton]:
        """A fold of the panel, open for a while."""
        folds = panel.findChildren(QAbstractButton)
        fold = next(b for b in folds if b.isCheckable() and b.text().endswith(title))
        fold.click()
        yield fold
        fold.click()

    def _map_layers(self, panel: Any) -> None:
        panel.overlay.show_overlay.click()
        overlay = panel.overlay.overlay
        until(lambda: overlay.shown is not None and not overlay.is_busy)
        boxes, layers = panel.overlay.map_layers.boxes, panel.overlay.map_layers.layers
        for kind, name in (("grid", "overlay"), ("error", "predicted_error"), ("folds", "folding")):
            boxes[kind].setChecked(True)
            until(lambda: layers.shown is not None and not layers.is_busy)
            self.take(name, panel, panel.overlay)
            boxes[kind].setChecked(False)
        panel.overlay.modes["curtain"].click()
        self.take("curtain", panel, panel.overlay)
        panel.overlay.modes["colours"].click()
        panel.overlay.show_overlay.click()

    def _table(self, panel: Any) -> None:
        session, found = session_of(self.viewer), panel.landmarks.list
        ids = [m.id for m in session.landmarks]
        session.set_enabled(ids[2], False)
        found.colours.choose("left_out")
        found.search.setText("1")
        QTest.qWait(1000)
        panel.landmarks.table.select_ids(ids[9:12])
        self.take("table", panel, panel.landmarks.place)
        found.search.setText("")
        found.colours.choose("side")
        session.set_enabled(ids[2], True)
        QTest.qWait(1000)

    def _suggestions(self, panel: Any) -> None:
        step = panel.landmarks.suggestions
        with self.unfolded(panel, "Suggest pairs"):
            step.ask.click()
            until(lambda: not step.jobs.is_busy)
            QTest.qWait(500)
            self.take("suggested", panel, step.table)

    def _verdict(self, panel: Any) -> None:
        session, card = session_of(self.viewer), panel.fit.verdict
        with self.unfolded(panel, "Compare models") as fold:
            QTest.qWait(4000)
            self.take("models", panel, fold.parentWidget())
        with self.unfolded(panel, "How good is it?") as fold:
            card.number.setValue(4)
            card.set_aside.click()
            until(lambda: not session.judgement.is_busy and "check" in card.words.text())
            self.take("how_good", panel, card)
            card.take_back.click()
            QTest.qWait(1500)

    def _plane_in_other(self) -> None:
        session = session_of(self.viewer)
        panel = self.panel("Reslice")
        panel.image.choose(session.image_layer("moving"))
        panel.source.ways["found"].click()
        panel.source.find.click()
        until(lambda: not panel.source.jobs.is_busy and panel.bench.plane is not None)
        panel.numbers.boxes["shift"].setValue(250)
        panel.numbers.boxes["tilt_y"].setValue(25)
        panel.go_there.click()
        QTest.qWait(2500)
        self.take("plane_in_both", panel)
        self.viewer.window.remove_dock_widget(panel)
        QTest.qWait(500)

    def _raters(self, panel: Any) -> None:
        """Clicks made up: what the pictures show of two raters is how it looks, no result."""
        session, rater = session_of(self.viewer), panel.rater
        first = {m.id: np.array(m.moving_um) for m in session.landmarks.landmarks}
        with self.unfolded(panel, "Second rater"):
            rater.begin.click()
            QTest.qWait(2500)
            self.take("rater_at_work", panel, rater)
            panel.landmarks.place.setChecked(False)
            off = np.random.default_rng(0).normal(0, (25, 12, 12), (len(first), 3))
            layer = session.point_layer("moving")
            pairs = [
                Landmark(name, "", True, None, tuple(at + way))
                for (name, at), way in zip(first.items(), off, strict=True)
            ]
            inside = np.linalg.inv(world_matrix(layer))
            layer.data = apply_affine(inside, np.array([m.moving_um for m in pairs]))
            set_features(layer, id=[m.id for m in pairs])
            session.read_now()
            until(lambda: rater.compare.isEnabled())
            rater.compare.click()
            until(lambda: rater.table.isVisible())
            session.canvases.second.show_whole()
            rater.table.selectRow(2)
            QTest.qWait(1500)
            self.take("raters", panel, rater.table)

    def _at_work(self, panel: Any) -> None:
        """A job in progress, and an error."""
        method = panel.image_maps.find
        with self.unfolded(panel, "Find map"):
            method.action.click()
            until(lambda: panel.image_maps.progress.bar.value() > 0, 60)
            self.take("at_work", panel, panel.image_maps.progress)
            panel.image_maps.progress.cancel.click()
            until(lambda: not panel.image_maps.jobs.is_busy)
        grey = np.random.default_rng(0).random((12, 60, 60))
        self.viewer.add_image(grey, name="in memory", scale=(50, 20, 20), units=("um",) * 3)
        session = session_of(self.viewer)
        session.set_image_layer("moving", self.viewer.layers["in memory"])
        QTest.qWait(1000)
        panel.results.saves["session"].click()
        self.take("error", panel, panel.results)


def main(theme: str, width: int, height: int) -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BRIDGECORR_STATE"] = folder  # sessions of before are not offered
        screens = Screens(theme, width, height, Path(folder))
        screens.files_panel()
        screens.reslice()
        screens.register()
        screens.viewer.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
