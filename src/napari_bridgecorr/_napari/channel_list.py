"""The channels of an image: which of them to load. Searchable where there are many."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..image import Channel, SpatialImage
from ..workflow.thumbnails import display_colour

_SEARCHED_FROM = 9
_MOST_ROWS = 6
_SWATCH_PX, _ROW_PX = 12, 24


class ChannelList(QWidget):
    """Boxes for the channels, with their colours."""

    chosen = Signal(object)
    """Numbers of the channels that are ticked (a tuple), or None where all are."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.heading = QLabel("Channels")
        self.heading.setStyleSheet("font-weight: 600; padding: 0px;")
        self.all = QPushButton("All")
        self.none = QPushButton("None")
        for made, tip, state in (
            (self.all, "Tick every channel that is listed", Qt.CheckState.Checked),
            (self.none, "Untick every channel that is listed", Qt.CheckState.Unchecked),
        ):
            made.setToolTip(tip)
            made.setObjectName(f"bridgecorr_channels_{made.text().lower()}")
            made.setFixedWidth(56)
            made.clicked.connect(lambda _=False, state=state: self._tick_listed(state))
        self.search = QLineEdit()
        self.search.setObjectName("bridgecorr_channel_search")
        self.search.setPlaceholderText("find a channel: name or metal")
        self.search.setToolTip("List only channels whose name or metal contains this")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.list = QListWidget()
        self.list.setObjectName("bridgecorr_channels")
        self.list.setAccessibleName("Channels to load")
        self.list.setToolTip("Ticked channels are loaded, each as a layer")
        self.list.setStyleSheet(
            "#bridgecorr_channels { border: 1px solid rgba(140, 150, 160, 60);"
            # no ground of its own: Qt fills the boxes with it, black where it lets others through
            " border-radius: 6px; padding: 2px; }"
        )
        self.list.itemChanged.connect(self._on_changed)
        top = QHBoxLayout()
        top.setSpacing(6)
        top.addWidget(self.heading, 1)
        top.addWidget(self.all)
        top.addWidget(self.none)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(top)
        column.addWidget(self.search)
        column.addWidget(self.list)

    def show_image(self, image: SpatialImage, channels: tuple[int, ...] | None) -> None:
        """List an image's channels and tick the chosen ones."""
        self.list.blockSignals(True)
        self.list.clear()
        for number, channel in enumerate(image.channels):
            item = QListWidgetItem(_swatch(display_colour(image, number)), channel_words(channel))
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            is_ticked = channels is None or number in channels
            item.setCheckState(Qt.CheckState.Checked if is_ticked else Qt.CheckState.Unchecked)
            item.setToolTip(channel_words(channel))
            item.setSizeHint(QSize(0, _ROW_PX))
            self.list.addItem(item)
        self.list.blockSignals(False)
        many = len(image.channels) >= _SEARCHED_FROM
        self.search.setVisible(many)
        self.search.blockSignals(True)
        self.search.clear()
        self.search.blockSignals(False)
        rows = min(len(image.channels), _MOST_ROWS)
        self.list.setFixedHeight(rows * _ROW_PX + 8)
        self._count()
        # one channel is no choice
        self.setVisible(len(image.channels) > 1)

    def _tick_listed(self, state: Qt.CheckState) -> None:
        self.list.blockSignals(True)
        for item in self._items():
            if not item.isHidden():
                item.setCheckState(state)
        self.list.blockSignals(False)
        self._on_changed()

    def _filter(self, text: str) -> None:
        for item in self._items():
            item.setHidden(text.strip().lower() not in item.text().lower())

    def _on_changed(self, _item: object = None) -> None:
        ticked = self._ticked()
        self._count()
        self.chosen.emit(None if len(ticked) == self.list.count() else ticked)

    def _count(self) -> None:
        n, of = len(self._ticked()), self.list.count()
        self.heading.setText(f"Channels  {n} of {of}" if n < of else f"Channels  {of}")

    def _ticked(self) -> tuple[int, ...]:
        return tuple(
            number
            for number, item in enumerate(self._items())
            if item.checkState() == Qt.CheckState.Checked
        )

    def _items(self) -> list[QListWidgetItem]:
        return [self.list.item(row) for row in range(self.list.count())]


def channel_words(channel: Channel) -> str:
    """``DNA1 · Ir191``, or ``GFP · 488 → 509 nm``."""
    parts = [channel.name]
    if channel.metal and channel.metal != channel.name:
        parts.append(channel.metal)
    light = [channel.excitation_nm, channel.emission_nm]
    if any(v is not None for v in light):
        parts.append(" → ".join("?" if v is None else f"{v:.4g}" for v in light) + " nm")
    return "  ·  ".join(parts)


def _swatch(colour: str) -> QIcon:
    picture = QPixmap(_SWATCH_PX, _SWATCH_PX)
    picture.fill(QColor(0, 0, 0, 0))
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QColor(255, 255, 255, 90))
    painter.setBrush(QColor(colour))
    painter.drawRoundedRect(0, 0, _SWATCH_PX - 1, _SWATCH_PX - 1, 3, 3)
    painter.end()
    return QIcon(picture)
