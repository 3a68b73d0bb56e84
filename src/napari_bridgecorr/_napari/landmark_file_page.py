"""A landmark file in the File panel: what it holds, and what must be said to read it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from ..errors import ReadError
from ..geometry import Grid
from ..io.landmark_files import (
    ONE_SIDED,
    WITHOUT_UNIT,
    LandmarkFile,
    LandmarkFileOptions,
    LandmarkFormat,
    landmark_format_of,
    read_landmark_file,
)
from ..landmarks import LandmarkSet, Side
from ..workflow.descriptions import FORMAT_WORDS
from .file_words import landmark_words
from .jobs import LatestAnswer
from .landmark_layers import SIDES
from .panel_parts import AMBER, RED, marked, muted, wrapped

_UNITS = (("µm", "um"), ("mm", "mm"), ("nm", "nm"), ("pixels of the image", "px"))


@dataclass(frozen=True, eq=False)
class _Answer:
    form: LandmarkFormat | None
    file: LandmarkFile | None
    fault: str = ""


class LandmarkFilePage(QWidget):
    """Asks for the unit and the side where the file does not tell, and counts the pairs."""

    ready = Signal(bool)
    """Whether the landmarks can be loaded now."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._path: Path | None = None
        self._grids: tuple[Grid | None, Grid | None] = (None, None)
        self._file: LandmarkFile | None = None
        self.answers = LatestAnswer()
        self.answers.answered.connect(self._take)
        self.title = QLabel()
        self.title.setStyleSheet("font-size: 13px; font-weight: 700; padding: 0px;")
        self.title.setWordWrap(True)
        self.kind = muted()
        self.unit = QComboBox()
        self.unit.setObjectName("bridgecorr_landmark_unit")
        self.unit.setAccessibleName("Unit of the coordinates")
        self.unit.setToolTip("The file does not say in which unit its numbers are")
        self.unit.addItem("choose…", None)
        for text, unit in _UNITS:
            self.unit.addItem(text, unit)
        self.unit.activated.connect(lambda _: self._read())
        self.side = QComboBox()
        self.side.setObjectName("bridgecorr_landmark_side")
        self.side.setAccessibleName("Whose points these are")
        self.side.setToolTip("The file holds the points of one image: which one?")
        for side in SIDES:
            self.side.addItem(f"the {side} image", side)
        self.side.activated.connect(lambda _: self._read())
        self._unit_label, self._side_label = QLabel("Unit"), QLabel("Points of")
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        grid.setHorizontalSpacing(8)
        grid.addWidget(self._unit_label, 0, 0)
        grid.addWidget(self.unit, 0, 1)
        grid.addWidget(self._side_label, 1, 0)
        grid.addWidget(self.side, 1, 1)
        self.summary = wrapped("bridgecorr_landmark_summary")
        self.summary.setStyleSheet("padding: 0px;")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(self.kind)
        column.addLayout(grid)
        column.addWidget(self.summary)

    @property
    def file(self) -> LandmarkFile | None:
        """The landmarks as read; None until they can be."""
        return self._file

    def show_file(self, path: Path, grids: tuple[Grid | None, Grid | None]) -> None:
        """Read a file.

        Parameters
        ----------
        path : Path
        grids : two Grid or None
            Of the fixed and the moving image that are open: BigWarp measures from the first voxel.
        """
        self._path, self._grids = path, grids
        self.title.setText(path.name)
        self.kind.setText("")
        self.summary.setText("")
        blockers = [QSignalBlocker(box) for box in (self.unit, self.side)]
        self.unit.setCurrentIndex(0)
        side = 1 if "moving" in path.name.lower() else 0
        self.side.setCurrentIndex(side)
        for blocker in blockers:
            blocker.unblock()
        for widget in (self.unit, self._unit_label, self.side, self._side_label):
            widget.hide()
        self._read()

    def _read(self) -> None:
        self._file = None
        self.ready.emit(False)
        if self._path is None:
            return
        side: Side = self.side.currentData()
        options = LandmarkFileOptions(
            unit=self.unit.currentData(),
            side=side,
            fixed_grid=self._grids[0],
            moving_grid=self._grids[1],
        )
        self.answers.ask(partial(_answer, self._path, options))

    def _take(self, answer: _Answer) -> None:
        self._file = answer.file
        form = answer.form
        self.kind.setText("" if form is None else FORMAT_WORDS[form])
        asks_unit = form in WITHOUT_UNIT
        for widget in (self.unit, self._unit_label):
            widget.setVisible(asks_unit)
        marks = None if answer.file is None else answer.file.landmarks
        is_one_sided = form in ONE_SIDED or (
            marks is not None and not any(m.is_pair for m in marks)
        )
        for widget in (self.side, self._side_label):
            widget.setVisible(is_one_sided)
        waits = asks_unit and self.unit.currentData() is None
        self.unit.setStyleSheet("QComboBox { border: 1px solid #ffb02e; }" if waits else "")
        if marks is not None and answer.file is not None:
            said = "".join(
                f"<br>{marked('▲', AMBER, landmark_words(w))}" for w in answer.file.warnings
            )
            self.summary.setText(f"<b>{count_words(marks)}</b>{said}")
        elif waits:
            self.summary.setText(
                marked(
                    "▲",
                    AMBER,
                    "The file does not say in which unit its numbers are. Choose it, or the "
                    "landmarks would land somewhere else.",
                )
            )
        else:
            self.summary.setText(marked("✗", RED, landmark_words(answer.fault)))
        self.ready.emit(answer.file is not None)


def count_words(landmarks: LandmarkSet) -> str:
    """``16 pairs · 2 half placed · 1 left out``."""
    pairs = sum(m.is_pair for m in landmarks)
    half = len(landmarks) - pairs
    off = sum(not m.enabled for m in landmarks)
    parts = []
    if pairs or not half:
        parts.append(f"{pairs} pair{'' if pairs == 1 else 's'}")
    if half and pairs:
        parts.append(f"{half} half placed")
    elif half:
        parts.append(f"{half} point{'' if half == 1 else 's'} of one image")
    if off:
        parts.append(f"{off} left out")
    return " · ".join(parts)


def _answer(path: Path, options: LandmarkFileOptions) -> _Answer:
    form = landmark_format_of(path)
    if form in WITHOUT_UNIT and form != "plain_csv" and options.unit is None:
        return _Answer(form, None)
    try:
        return _Answer(form, read_landmark_file(path, options))
    except ReadError as error:
        return _Answer(form, None, f"{error.fault}; {error.remedy}")
