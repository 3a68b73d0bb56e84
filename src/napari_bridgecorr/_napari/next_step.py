"""What to do now that something is loaded, with the buttons that do it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from ..errors import BridgecorrError
from ..image import SpatialImage
from . import outputs
from .jobs import Job
from .landmark_layers import SIDES
from .loading import add_warped
from .panel_parts import button, muted

if TYPE_CHECKING:
    from .lifeline import Lifeline
    from .panel_jobs import PanelJobs
    from .viewer_session import ViewerSession


class NextStep(QWidget):
    """A hint, and buttons: register the images, or warp through a transform that was loaded."""

    told = Signal(str)
    complained = Signal(str)

    def __init__(self, session: ViewerSession, lifeline: Lifeline, jobs: PanelJobs) -> None:
        super().__init__()
        self._session, self._jobs = session, jobs
        self.hint = muted()
        self.hint.setStyleSheet("padding: 0px;")
        self.hint.setObjectName("bridgecorr_next_step")
        self.register = button(
            "Register…",
            "Open the Register panel: pair landmarks, fit, warp",
            name="bridgecorr_open_register",
        )
        self.register.clicked.connect(self._open_register)
        self.warp = button(
            "Warp with the transform",
            "Bring the moving image onto the fixed image's voxels through the loaded transform",
            name="bridgecorr_warp_loaded",
        )
        self.warp.clicked.connect(self.start_warp)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        for widget in (self.hint, self.register, self.warp):
            column.addWidget(widget)
        lifeline.connect(session.layers_changed, self.refresh)
        lifeline.connect(session.images_changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Say what fits the viewer as it is now."""
        n = len(self._session.image_layers())
        loaded = self._session.loaded_transform
        text = ""
        if n == 1:
            text = "Next: open the second image, to register the two."
        elif n >= 2 and loaded is None:
            text = "Next: pair landmarks and register the images."
        elif n >= 2:
            text = "Next: warp with the loaded transform, or pair landmarks of your own."
        self.hint.setText(f"→ {text}" if text else "")
        self.hint.setVisible(bool(text))
        self.register.setVisible(n >= 2)
        has_sides = all(self._session.image_layer(side) is not None for side in SIDES)
        self.warp.setVisible(loaded is not None and has_sides)
        if loaded is not None:
            self.warp.setText(f"Warp with {loaded.name}")
        self.setVisible(n > 0)

    def start_warp(self) -> None:
        """Warp the moving image through the loaded transform, in a job."""
        loaded = self._session.loaded_transform
        try:
            fixed, moving = (self._session.image(side) for side in SIDES)
        except BridgecorrError as error:
            self.complained.emit(str(error))
            return
        if loaded is None or fixed is None or moving is None:
            return
        need = fixed.grid.n_voxels * len(moving.channels) * moving.n_times * 4
        if need > outputs.LARGEST_IN_MEMORY_BYTES:
            self.complained.emit(
                f"the result takes {need / 1e9:.1f} GB, too much for memory: load fewer channels, "
                "or run `bridgecorr warp`, which writes a file"
            )
            return
        work = partial(outputs.warp_through, fixed, moving, loaded.transform, None)
        self._jobs.start(Job(work), self._add, "warping")

    def _add(self, image: SpatialImage) -> None:
        if add_warped(self._session, image):
            self.told.emit(f"{image.name}: added on the fixed image's grid.")

    def _open_register(self) -> None:
        viewer = self._session.viewer
        if viewer is not None:
            viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Register")
