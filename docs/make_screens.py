"""Take the pictures of the panels in `docs/screens`, in one theme and one size of the window.

tools/with_display python docs/make_screens.py light 1280 800
xvfb-run -s "-screen 0 2560x1440x24" python docs/make_screens.py dark 2560 1440
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import napari
from PIL import Image
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QScrollArea, QWidget

from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.phantom import PhantomOptions
from napari_bridgecorr.workflow.demo import write_phantom

SCREENS = Path(__file__).parent / "screens"
COLOURS = 256  # of a picture: what a window shows has few
PLUGIN = "napari-bridgecorr"
FOLDS = {"suggestions": "Suggest pairs", "rater": "Second rater", "keys": "Keys"}


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
        """The Register panel: empty, table, two views, overlay and map, suggestions, keys."""
        panel = self.panel("Register")
        self.take("register_empty", panel)
        panel.tour.end()
        self.open("mri", "two_photon")
        self.take("start", panel)
        self.open("landmarks")
        session = session_of(self.viewer)
        until(lambda: session.fit)
        self.take("register", panel)
        panel.overlay.show_overlay.click()
        overlay = panel.overlay.overlay
        until(lambda: overlay.shown is not None and not overlay.is_busy)
        layers = panel.overlay.map_layers
        layers.boxes["grid"].setChecked(True)
        until(lambda: layers.layers.shown is not None)
        self.take("overlay", panel, panel.overlay)
        layers.boxes["grid"].setChecked(False)
        panel.overlay.show_overlay.click()
        panel.landmarks.two_views.click()
        QTest.qWait(2000)  # both images are shown whole once the window has laid itself out
        self.take("two_views", panel, panel.landmarks.place)
        folds = panel.findChildren(QAbstractButton)
        for name, title in FOLDS.items():
            fold = next(b for b in folds if b.isCheckable() and b.text().endswith(title))
            fold.click()
            self.take(name, panel, fold.parentWidget())
            fold.click()


def main(theme: str, width: int, height: int) -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BRIDGECORR_STATE"] = folder  # sessions of before are not offered
        screens = Screens(theme, width, height, Path(folder))
        screens.reslice()
        screens.register()
        screens.viewer.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
