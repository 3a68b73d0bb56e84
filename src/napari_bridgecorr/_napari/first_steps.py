"""What stands in step 1 while an image is lacking: what to do, and the sample to try it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from .landmark_layers import SIDES
from .panel_parts import button, muted
from .sample_opening import SampleOpening

if TYPE_CHECKING:
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession


class FirstSteps(QWidget):
    """Says how images come in; hidden once both are chosen."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self._session = session
        self.words = muted()
        self.words.setObjectName("bridgecorr_first_steps")
        self.sample = button(
            "Open the sample data",
            "A two-photon stack, the MRI of the same tissue, and 16 landmark pairs to try it on",
            name="bridgecorr_open_sample",
        )
        self.opening = SampleOpening(session, lifeline, self._on_opened)
        self.sample.clicked.connect(self.open_sample)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.words)
        column.addWidget(self.sample)
        column.addWidget(self.opening)
        lifeline.connect(session.layers_changed, self.refresh)
        lifeline.connect(session.images_changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Say what is lacking now."""
        n = len(self._session.image_layers())
        is_chosen = all(self._session.image_layer(side) is not None for side in SIDES)
        if n == 0:
            text = (
                "→ Drop two image files on the window (CZI, NIfTI, OME-Zarr, TIFF, DICOM…), or try "
                "it on the sample data."
            )
        elif n == 1:
            text = "→ Now the second image: drop its file on the window."
        else:
            text = "→ Choose which image is fixed and which is moving."
        self.words.setText(text)
        self.sample.setVisible(n == 0)
        self.setVisible(not is_chosen)

    def open_sample(self) -> None:
        """Open what File > Open Sample does, in a job."""
        self.sample.setEnabled(False)
        self.opening.start()

    def _on_opened(self, is_there: bool) -> None:  # noqa: ARG002 - it may be asked for again
        self.sample.setEnabled(True)
