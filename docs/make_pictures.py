"""Make the README's picture from the demonstration's files, and those of the panels.

bridgecorr demo bridgecorr-demo && python docs/make_pictures.py bridgecorr-demo
tools/with_display python docs/make_pictures.py --file-panel FILE
tools/with_display python docs/make_pictures.py --workbench
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from napari_bridgecorr.io.landmark_files import read_landmarks
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.table_file import read_table

IMAGES = Path(__file__).parent / "images"
MAGENTA, GREEN = np.array([1.0, 0.16, 0.42]), np.array([0.16, 0.96, 0.63])
PLANE = 14
SURFACE_PLANE = 2  # of the MRI: most of its vessels are seen


def stretched(values: np.ndarray, low: float = 1.0, high: float = 99.7) -> np.ndarray:
    """Values between two percentiles as 0 to 1; NaN as 0."""
    bottom, top = np.nanpercentile(values, (low, high))
    return np.nan_to_num(np.clip((values - bottom) / max(top - bottom, 1e-9), 0, 1))


def coloured(vessels: np.ndarray, tumour: np.ndarray, grey: np.ndarray | None = None) -> np.ndarray:
    """Vessels in magenta and tumour in green, added to a grey image."""
    picture = vessels[..., None] * MAGENTA + tumour[..., None] * GREEN
    if grey is not None:
        picture = picture + 0.75 * grey[..., None]
    return np.clip(picture, 0, 1)


def main(demo: Path) -> None:
    """Draw `docs/images/overview.png`."""
    stack = open_image(demo / "two_photon.czi").data[0].compute().astype(np.float32)
    mri_image = open_image(demo / "mri.nii.gz")
    mri = mri_image.data[0, 0, PLANE].compute().astype(np.float32)
    registered = open_image(demo / "registered.nii.gz").data[0, :, PLANE].compute()
    landmarks = mri_image.grid.to_index(read_landmarks(demo / "landmarks.csv").pairs().fixed_um)
    columns, _ = read_table(demo / "voxels.parquet", ["registration_error_um", "vessels_coverage"])
    error = columns["registration_error_um"].reshape(mri_image.grid.shape)[PLANE]
    covered = columns["vessels_coverage"].reshape(mri_image.grid.shape)[PLANE] > 0.5

    figure = Figure(figsize=(14, 4.1), dpi=110, facecolor="#10141a", layout="constrained")
    axes = figure.subplots(1, 4)
    vessels, tumour = stack.max(axis=1)
    axes[0].imshow(coloured(stretched(vessels, 30, 99.5) ** 0.8, stretched(tumour, 40, 99.8)))
    axes[1].imshow(mri, cmap="gray")
    axes[2].imshow(
        coloured(
            stretched(registered[0], 60, 99.8), 0.9 * stretched(registered[1], 60), stretched(mri)
        )
    )
    shown = axes[3].imshow(np.where(covered, error, np.nan), cmap="magma", vmin=0)
    near = np.abs(landmarks[:, 0] - PLANE) < 5
    axes[3].plot(landmarks[near, 2], landmarks[near, 1], "o", mfc="none", mec="white", ms=6)
    bar = figure.colorbar(shown, ax=axes[3], shrink=0.86, pad=0.02)
    bar.ax.tick_params(colors="white", labelsize=9)
    bar.outline.set_visible(False)
    for ax, title in zip(
        axes,
        (
            "two-photon stack",
            "MRI of the same tissue",
            "registered, per MRI voxel",
            "expected error of each voxel (µm)",
        ),
        strict=True,
    ):
        ax.set_title(title, color="white", fontsize=12)
        ax.set_axis_off()
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / "overview.png", facecolor=figure.get_facecolor())


def draw_file_panel(file: Path) -> None:
    """Draw `docs/images/file_panel.png`: napari's window with the File panel looking into a file.

    The file is loaded as the panel proposes.
    """
    import napari
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer()
    viewer.window.resize(1400, 900)
    _, panel = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "File")
    for act in (lambda: panel.open([str(file)]), panel.start_load):
        act()
        QTest.qWait(500)
        while panel.is_busy:
            QTest.qWait(50)
    QTest.qWait(1000)
    windows = [w for w in QApplication.topLevelWidgets() if w.windowTitle() == viewer.title]
    windows[0].grab().save(str(IMAGES / "file_panel.png"))
    viewer.close()


def draw_workbench() -> None:
    """Draw `docs/images/workbench.png`: both images, the overlay, landmarks coloured by error."""
    import napari
    from PIL import Image
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QScrollArea

    from napari_bridgecorr._napari.viewer_session import session_of
    from napari_bridgecorr._napari.views import look_at
    from napari_bridgecorr.phantom import PhantomOptions
    from napari_bridgecorr.workflow.demo import write_phantom

    viewer = napari.Viewer()
    viewer.window.resize(1600, 940)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BRIDGECORR_STATE"] = folder
        (Path(folder) / "tour_seen").touch()
        files = write_phantom(Path(folder), PhantomOptions()).files
        for key in ("mri", "two_photon", "landmarks"):
            viewer.open(files[key], plugin="napari-bridgecorr")
        _, panel = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Register")
        session = session_of(viewer)
        overlay = panel.overlay.overlay
        QTest.qWait(800)  # the window lays itself out
        panel.landmarks.two_views.click()
        QTest.qWait(1500)
        for wait_for in (lambda: session.fit, lambda: overlay.shown and not overlay.is_busy):
            while not wait_for():
                QTest.qWait(50)
            panel.overlay.show_overlay.click() if not overlay.is_on else None
        colours = panel.landmarks.list.colours
        colours.choice.setCurrentIndex(colours.choice.findData("left_out"))
        mri = session.image("fixed").grid
        centre = (np.array(mri.shape) - 1) / 2
        centre[0] = SURFACE_PLANE
        place = mri.to_world(centre[None])[0]
        partner = session.fit.transform.map(place[None])[0]
        look_at(session, "fixed", place)
        look_at(session, "moving", partner)
        QTest.qWait(2000)
        panel.findChildren(QScrollArea)[0].ensureWidgetVisible(panel.landmarks.guide)
        QTest.qWait(500)
        picture = Image.fromarray(viewer.window.screenshot(canvas_only=False, flash=False))
        picture.convert("RGB").quantize(256).save(IMAGES / "workbench.png", optimize=True)
        viewer.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["--workbench"]:
        draw_workbench()
        sys.exit()
    if len(sys.argv) == 3 and sys.argv[1] == "--file-panel":
        draw_file_panel(Path(sys.argv[2]))
        sys.exit()
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
