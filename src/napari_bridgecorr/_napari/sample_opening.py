"""The sample data, read in a job and added layer by layer, so that the window stays alive."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pint
from qtpy.QtWidgets import QVBoxLayout, QWidget

from .jobs import Job
from .loading import LayerAdder
from .panel_jobs import PanelJobs
from .panel_parts import ProgressLine
from .sample_data import open_phantom

if TYPE_CHECKING:
    from ..progress import Progress
    from .layers import LayerData
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession


class SampleOpening(QWidget):
    """A bar with a button to cancel, shown while the sample is being opened.

    Parameters
    ----------
    session : ViewerSession
    lifeline : Lifeline
    ended : callable
        Told whether the sample is there now.
    """

    def __init__(
        self, session: ViewerSession, lifeline: Lifeline, ended: Callable[[bool], None]
    ) -> None:
        super().__init__()
        self._session, self._ended = session, ended
        self.progress = ProgressLine()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.progress)
        self.jobs = PanelJobs(lifeline, self.progress, self)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.cancelled.connect(self._on_cancelled)
        self._adder = LayerAdder(lambda _: None, self._on_added)
        lifeline.at_end(self._adder.stop)
        self.hide()

    @property
    def is_busy(self) -> bool:
        """Whether it is being opened."""
        return self.jobs.is_busy or self._adder.is_busy

    def start(self) -> None:
        """Open the sample; nothing happens while it is being opened already."""
        if not self.is_busy:
            self.show()
            self.jobs.start(Job(_read), self._on_read, "opening the sample data")

    def _on_read(self, layers: list[Any]) -> None:
        self.hide()
        viewer = self._session.viewer
        if self._session.image_layers():
            self._ended(True)  # opened from elsewhere meanwhile
        elif viewer is not None:
            self._adder.add(viewer, layers)

    def _on_added(self, layers: list[Any]) -> None:
        self._ended(bool(layers))

    def _on_failed(self, reason: str) -> None:
        self._give_up(reason, is_complaint=True)

    def _on_cancelled(self) -> None:
        self._give_up("Cancelled: the sample data was not opened.", is_complaint=False)

    def _give_up(self, words: str, *, is_complaint: bool) -> None:
        self.hide()
        self._session.told.emit(words, is_complaint)
        self._ended(False)


def _read(progress: Progress) -> list[LayerData]:
    """For a job's thread: the sample, and what napari loads when it makes its first layers."""
    layers = open_phantom(progress)
    # a second of the window's time otherwise: units are read from a text, tables are pandas'
    pint.get_application_registry().Unit("um")
    import_module("pandas")
    return layers
