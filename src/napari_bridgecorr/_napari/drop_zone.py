"""Where a file comes in: dropped, chosen in a dialog, or named by its address."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QMimeData, Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from .panel_parts import button

_FRAME = (
    "#bridgecorr_drop_zone {{ border: 1px dashed {colour}; border-radius: 6px;"
    " background: {background}; }}"
)
_SMALL_HINT = "font-size: 11px; padding: 0px;"
_CALM = _FRAME.format(colour="rgba(150, 160, 170, 150)", background="rgba(0, 0, 0, 30)")
_EAGER = _FRAME.format(colour="#29d3ff", background="rgba(41, 211, 255, 40)")


def dropped_names(data: QMimeData) -> list[str]:
    """Paths and addresses of what is dragged."""
    return [u.toLocalFile() if u.isLocalFile() else u.toString() for u in data.urls()]


class DropZone(QFrame):
    """A place to drop on, two buttons and a line for an address."""

    asked = Signal(list)
    """Names of files, folders or addresses to open."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("bridgecorr_drop_zone")
        self._hint = QLabel("Drop a file or folder here")
        self._hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._hint.setStyleSheet("font-size: 13px; font-weight: 600; padding: 10px 0px 2px 0px;")
        self.open_file = button("Open file…", "Choose a file to look into (Alt+F)")
        self.open_file.setObjectName("bridgecorr_open_file")
        self.open_file.setShortcut("Alt+F")
        self.open_file.clicked.connect(self._on_open_file)
        self.open_folder = button(
            "Open folder…",
            "Choose a folder to look into: OME-Zarr, TIFF planes, DICOM or ParaVision (Alt+O)",
            name="bridgecorr_open_folder",
        )
        self.open_folder.setShortcut("Alt+O")
        self.open_folder.clicked.connect(self._on_open_folder)
        self.address = QLineEdit()
        self.address.setObjectName("bridgecorr_address")
        self.address.setPlaceholderText("or paste a path or a web address, then Enter")
        self.address.setToolTip(
            "A path, as /data/slide.czi#2 for its third image, or an OME-Zarr's address: https://…"
        )
        self.address.returnPressed.connect(self._on_address)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.open_file)
        row.addWidget(self.open_folder)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(6)
        column.addWidget(self._hint)
        column.addLayout(row)
        column.addWidget(self.address)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.show_drag(False)

    def show_drag(self, is_over: bool) -> None:
        """Light up while something is held over the panel."""
        self.setStyleSheet(_EAGER if is_over else _CALM)

    def make_room(self) -> None:
        """A file is open: the invitation becomes a small one."""
        self._hint.setText("Drop another file here, or")
        self._hint.setStyleSheet(_SMALL_HINT)

    def _on_open_file(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Open file", "", "All files (*)")
        if names:
            self.asked.emit(names)

    def _on_open_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open folder")
        if name:
            self.asked.emit([name])

    def _on_address(self) -> None:
        text = self.address.text().strip().strip('"')
        if text:
            self.asked.emit([text if "://" in text else str(Path(text).expanduser())])
