"""The Register panel: images, landmarks, fit, maps by the images, results, top to bottom."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from .continue_row import ContinueRow
from .docked_panel import DockedPanel
from .fit_extras import MoreButton
from .fit_step import FitStep
from .image_maps_step import ImageMapsStep
from .images_step import ImagesStep
from .kept_views import PanelView
from .landmarks_step import LandmarksStep
from .overlay_box import OverlayBox
from .panel_parts import Message
from .results_step import ResultsStep
from .second_rater import SecondRater
from .tour import Tour, tour_button
from .viewer_session import session_of
from .wheel_guard import WheelGuard

if TYPE_CHECKING:
    from napari.viewer import Viewer


class RegisterPanel(DockedPanel):
    """Register two images of a viewer by landmarks.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        napari passes it.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        session = session_of(napari_viewer)
        super().__init__(session, "bridgecorr_register")
        lifeline = self._lifeline
        view = PanelView(session, lifeline)
        self.images = ImagesStep(session, lifeline)
        self.landmarks = LandmarksStep(session, lifeline)
        self.fit = FitStep(session, lifeline)
        self.overlay = OverlayBox(session, lifeline)
        self.image_maps = ImageMapsStep(session, lifeline)
        self.rater = SecondRater(session, lifeline, self.landmarks)
        self.fit.body.addWidget(
            MoreButton(
                self.rater,
                "Second rater",
                "Another person clicks the same places, blinded; then both are compared (µm)",
                "bridgecorr_rater_fold",
            )
        )
        self.fit.body.addWidget(self.rater)
        self.results = ResultsStep(session, lifeline)
        view.set_parts(self.landmarks, self.overlay, self.results)
        self.continuing = ContinueRow(session, lifeline, view)
        self.results.window_document = self.continuing.autosave.document
        self.message = Message()
        lifeline.connect(session.told, partial(_tell, self.message))
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(8, 6, 8, 6)
        column.setSpacing(12)
        column.addWidget(self.images)
        column.addWidget(self.landmarks, 1)
        column.addWidget(self.fit)
        column.addWidget(self.overlay)
        column.addWidget(self.image_maps)
        column.addWidget(self.results)
        self.tour = Tour(session, lifeline, self)
        column.addWidget(tour_button(self.tour))
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        self._wheel = WheelGuard(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.continuing)
        layout.addWidget(self.tour)
        layout.addWidget(scroll, 1)
        # below the scrolled part, where it is seen whatever is scrolled away
        layout.addWidget(self.message)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(320)


def _tell(message: Message, text: str, is_complaint: bool) -> None:
    if is_complaint:
        message.complain(text)
        if message.window().isHidden() or message.parentWidget().visibleRegion().isEmpty():
            show_error(text)  # where the panel is behind another tab
    else:
        message.say(text)
