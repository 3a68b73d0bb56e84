"""A transform file in the File panel: what it is, and what can be done with it."""

from __future__ import annotations

from functools import partial
from html import escape
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from ..io.transform_files import TransformFile, read_transform
from .jobs import LatestAnswer
from .panel_parts import AMBER, RED, marked, wrapped

_WORDS = {
    "Affine": "Affine transform",
    "ThinPlateSpline": "Thin-plate spline",
    "DisplacementField": "Displacement field",
    "Chain": "Chain of transforms",
}


class TransformFilePage(QWidget):
    """Says what a transform file holds."""

    ready = Signal(bool)
    """Whether the transform can be used now."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._file: TransformFile | None = None
        self.answers = LatestAnswer()
        self.answers.answered.connect(self._take)
        self.answers.failed.connect(self._refuse)
        self.title = QLabel()
        self.title.setStyleSheet("font-size: 13px; font-weight: 700; padding: 0px;")
        self.title.setWordWrap(True)
        self.summary = wrapped("bridgecorr_transform_summary")
        self.summary.setStyleSheet("padding: 0px;")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(self.summary)

    @property
    def file(self) -> TransformFile | None:
        """The transform as read; None until it can be."""
        return self._file

    def show_file(self, path: Path) -> None:
        """Read a file."""
        self._file = None
        self.ready.emit(False)
        self.title.setText(path.name)
        self.summary.setText("reading…")
        self.answers.ask(partial(read_transform, path))

    def _take(self, file: TransformFile) -> None:
        self._file = file
        kind = type(file.transform).__name__
        lines = [f"<b>{_WORDS.get(kind, kind)}</b> ({escape(file.format)})"]
        lines.append("It takes places in the fixed image to places in the moving image.")
        if file.pairs is not None:
            lines.append(f"Fitted to {len(file.pairs)} landmark pairs, which load with it.")
        lines += [marked("▲", AMBER, w) for w in file.warnings]
        self.summary.setText("<br>".join(lines))
        self.ready.emit(True)

    def _refuse(self, reason: str) -> None:
        self.summary.setText(marked("✗", RED, reason))
        self.ready.emit(False)
