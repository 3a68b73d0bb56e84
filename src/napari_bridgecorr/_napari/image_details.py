"""All about one image of a file, and what the user says of it: place, channels, times."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from ..geometry import Orientation, Placement
from ..image import MISSING_SCALE, SpatialImage
from ..workflow.files import ImageChoice
from .channel_list import ChannelList
from .file_words import fact_rows, warning_words
from .orientation_line import OrientationLine
from .panel_parts import AMBER, wrapped
from .spacing_line import SpacingLine


class ImageDetails(QWidget):
    """Shows an :class:`ImageChoice` and lets the user change it."""

    changed = Signal(object)
    """The new :class:`ImageChoice`."""
    spread = Signal(object)
    """A :class:`Placement` that is wanted for every image of the file."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: SpatialImage | None = None
        self._choice = ImageChoice(0)
        self.title = QLabel()
        self.title.setObjectName("bridgecorr_details_title")
        self.title.setStyleSheet("font-size: 13px; font-weight: 700; padding: 0px;")
        self.title.setWordWrap(True)
        self.facts = wrapped("bridgecorr_details_facts")
        self.warnings = wrapped("bridgecorr_details_warnings")
        for label in (self.facts, self.warnings):
            label.setStyleSheet("padding: 0px;")
        self.spacing = SpacingLine()
        self.spacing.answered.connect(self._on_spacing)
        self.orientation = OrientationLine()
        self.orientation.answered.connect(self._on_orientation)
        self.for_all = QPushButton("Use for every image of the file")
        self.for_all.setObjectName("bridgecorr_placement_for_all")
        self.for_all.setToolTip("Give every image of this file this voxel size and orientation")
        self.for_all.clicked.connect(lambda: self.spread.emit(self._choice.placement))
        self.channels = ChannelList()
        self.channels.chosen.connect(self._on_channels)
        self._times = QWidget()
        row = QHBoxLayout(self._times)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        self._times_heading = QLabel("Times")
        self._times_heading.setStyleSheet("font-weight: 600; padding: 0px;")
        self.first_time, self.last_time = QSpinBox(), QSpinBox()
        for box, name in ((self.first_time, "first"), (self.last_time, "last")):
            box.setObjectName(f"bridgecorr_{name}_time")
            box.setAccessibleName(f"{name} time point")
            box.setToolTip(f"The {name} time point to load")
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._on_times)
        self._times_of = QLabel()
        row.addWidget(self._times_heading)
        row.addWidget(self.first_time)
        row.addWidget(QLabel("to"))
        row.addWidget(self.last_time)
        row.addWidget(self._times_of)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        top = QVBoxLayout()
        top.setSpacing(4)
        for widget in (self.title, self.facts, self.warnings):
            top.addWidget(widget)
        column.addLayout(top)
        for widget in (self.channels, self._times, self.spacing, self.orientation, self.for_all):
            column.addWidget(widget)

    def show_image(self, image: SpatialImage, choice: ImageChoice, n_images: int) -> None:
        """Show the file's image with the user's answers.

        Parameters
        ----------
        image : SpatialImage
            As in the file.
        choice : ImageChoice
        n_images : int
            How many the file has.
        """
        is_other = image is not self._image
        self._image, self._choice = image, choice
        placed = image.placed(choice.placement)
        self.title.setText(image.name)
        self.facts.setText(_facts_html(placed, choice))
        # what is missing is asked for below, where it is typed
        said = tuple(w for w in placed.warnings if not w.startswith(MISSING_SCALE))
        self.warnings.setText(_warnings_html(said))
        self.warnings.setVisible(bool(said))
        self.spacing.show_image(image, choice.placement)
        self.orientation.show_image(image, choice.placement)
        self.for_all.setVisible(n_images > 1 and not choice.placement.is_empty)
        if is_other:
            self.channels.show_image(image, choice.channels)
        self._show_times(image.n_times, choice.times)

    def _show_times(self, n_times: int, times: tuple[int, int] | None) -> None:
        self._times.setVisible(n_times > 1)
        start, stop = times or (0, n_times)
        blockers = [QSignalBlocker(box) for box in (self.first_time, self.last_time)]
        self.first_time.setRange(1, stop)
        self.last_time.setRange(start + 1, n_times)
        self.first_time.setValue(start + 1)
        self.last_time.setValue(stop)
        for blocker in blockers:
            blocker.unblock()
        self._times_of.setText(f"of {n_times}")

    def _tell(self, choice: ImageChoice) -> None:
        if choice != self._choice:
            self._choice = choice
            self.changed.emit(choice)

    def _on_spacing(self, spacing_um: tuple[float, float, float] | None) -> None:
        orientation = self._choice.placement.orientation
        self._tell(replace(self._choice, placement=Placement(spacing_um, orientation)))

    def _on_orientation(self, orientation: Orientation | None) -> None:
        spacing_um = self._choice.placement.spacing_um
        self._tell(replace(self._choice, placement=Placement(spacing_um, orientation)))

    def _on_channels(self, channels: tuple[int, ...] | None) -> None:
        self._tell(replace(self._choice, channels=channels))

    def _on_times(self) -> None:
        n_times = 1 if self._image is None else self._image.n_times
        times = (self.first_time.value() - 1, self.last_time.value())
        self._tell(replace(self._choice, times=None if times == (0, n_times) else times))


def _facts_html(image: SpatialImage, choice: ImageChoice) -> str:
    rows = "".join(
        f'<tr><td style="padding-right:10px;"><i>{label}</i></td><td>{escape(value)}</td></tr>'
        for label, value in fact_rows(image, choice)
    )
    return f'<table cellspacing="0" cellpadding="1">{rows}</table>'


def _warnings_html(warnings: tuple[str, ...]) -> str:
    rows = "".join(
        f'<tr><td style="color:{AMBER}; padding-right:6px;">▲</td>'
        f"<td>{escape(warning_words(w))}</td></tr>"
        for w in warnings
    )
    return f'<table cellspacing="0" cellpadding="1">{rows}</table>'
