"""Part of step 2 of the Register panel: where one more pair would tell most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from ..errors import BridgecorrError
from ..workflow.next_landmark import where_next
from .jobs import Job
from .landmark_layers import SIDES
from .landmark_moves import time_shown
from .panel_jobs import PanelJobs
from .panel_parts import ProgressLine, button, muted
from .region_choice import RegionChoice

if TYPE_CHECKING:
    from ..fitting import NextLandmark
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_TIP = (
    "Go to the place, inside what both images show, where one more pair would lower the expected "
    "error (µm) most"
)


class WhereNext(QWidget):
    """A button that finds the place, and a line that says why it is there."""

    found = Signal(object)  # NextLandmark

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self._session = session
        self.ask = button("Where next?", _TIP, name="bridgecorr_where_next")
        self.words = muted()
        self.words.setObjectName("bridgecorr_where_next_words")
        self.words.hide()
        self.progress = ProgressLine()
        self.regions = RegionChoice(session, lifeline)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for widget in (self.ask, self.regions, self.words, self.progress):
            column.addWidget(widget)
        self.jobs = PanelJobs(lifeline, self.progress, self)
        self.jobs.failed.connect(self._say)
        self.jobs.changed.connect(self.refresh)
        self.ask.clicked.connect(self._on_asked)
        self.regions.changed.connect(self._on_changed)
        lifeline.connect(session.landmarks_changed, self._on_changed)
        lifeline.connect(session.images_changed, self._on_changed)
        lifeline.connect(session.fit_changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Offer it, or say why not."""
        lacking = self._lacking()
        self.ask.setEnabled(not lacking and not self.jobs.is_busy)
        self.ask.setToolTip(lacking or _TIP)

    def _lacking(self) -> str:
        if any(self._session.image_layer(side) is None for side in SIDES):
            return "Choose both images first"
        if self._session.fit is None:
            return "It takes a fit: place more pairs"
        return ""

    def _on_asked(self) -> None:
        result = self._session.current_fit()
        viewer, layers = self._session.viewer, [self._session.image_layer(s) for s in SIDES]
        try:
            fixed, moving = (self._session.image(side) for side in SIDES)
        except BridgecorrError as error:
            self._say(str(error))
            return
        if result is None or viewer is None or fixed is None or moving is None:
            return
        times = tuple(
            0 if layer is None else time_shown(viewer, layer, image)
            for layer, image in zip(layers, (fixed, moving), strict=True)
        )
        region, region_side = self.regions.chosen()
        self.jobs.start(
            Job(
                lambda progress: where_next(
                    result,
                    fixed,
                    moving,
                    times=(times[0], times[1]),
                    region=region,
                    region_side=region_side,
                    progress=progress,
                )
            ),
            self._on_found,
            "looking for the place",
        )

    def _on_found(self, place: NextLandmark) -> None:
        self._say(in_words(place, self.regions.words()))
        self.found.emit(place)

    def _on_changed(self) -> None:
        self.jobs.stop()
        self._say("")
        self.refresh()

    def _say(self, text: str) -> None:
        self.words.setText(text)
        self.words.setVisible(bool(text))


def in_words(place: NextLandmark, region: str = "both images") -> str:
    """Why there."""
    return (
        f"Here the map may be {_length(place.here_um)} off. A pair near this place lowers the "
        f"expected error over {region} from {_length(place.now_um)} to "
        f"{_length(place.then_um)}: click what you recognise nearest to the middle of the view."
    )


def _length(um: float) -> str:
    return f"{um:.3g}\N{NO-BREAK SPACE}µm"
