"""The images of a file as a list of cards: thumbnail, name, size, voxel size, a mark of warning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QModelIndex, QPointF, QRect, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QImage, QPainter, QPalette, QPen, QPixmap, QPolygonF
from qtpy.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from ..image import SpatialImage
from ..workflow.files import ImageChoice, doubtful_scale, unknown_axes
from .file_words import size_words, voxel_words

THUMBNAIL_PX = 56
_ROW_PX, _PAD_PX, _BOX_PX = 70, 8, 16
_MOST_ROWS = 4
_ACCENT, _AMBER, _GREY = QColor("#29d3ff"), QColor("#ffb02e"), QColor("#8c8c92")
_ROLE = Qt.ItemDataRole.UserRole


class ImageCards(QListWidget):
    """One row for every image. The box says whether it is loaded; the row opens its details."""

    chosen = Signal(int)
    """Number of the image whose details are wanted."""
    ticked = Signal(int, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("bridgecorr_images")
        self.setItemDelegate(_CardDelegate(self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setStyleSheet(
            "#bridgecorr_images { border: 1px solid rgba(140, 150, 160, 60); border-radius: 6px;"
            " background: rgba(0, 0, 0, 40); padding: 2px; }"
        )
        self.setAccessibleName("Images in the file")
        self.setToolTip("Ticked images are loaded; a click on a row shows its details below")
        self.currentRowChanged.connect(self._on_row)
        self.itemChanged.connect(self._on_item_changed)

    def show_images(self, images: Sequence[SpatialImage], choices: Sequence[ImageChoice]) -> None:
        """List the images of a file and choose the first."""
        self.blockSignals(True)
        self.clear()
        for image, choice in zip(images, choices, strict=True):
            item = QListWidgetItem(image.name)
            item.setFlags(
                Qt.ItemFlag.ItemIsEnabled
                | Qt.ItemFlag.ItemIsSelectable
                | Qt.ItemFlag.ItemIsUserCheckable
            )
            item.setCheckState(
                Qt.CheckState.Checked if choice.is_wanted else Qt.CheckState.Unchecked
            )
            self.addItem(item)
        self.blockSignals(False)
        for number, image in enumerate(images):
            self.show_image(number, image)
        rows = min(len(images), _MOST_ROWS)
        self.setFixedHeight(rows * _ROW_PX + 8)
        self.setCurrentRow(0)

    def tick_all(self, is_wanted: bool) -> None:
        """Tick or untick every card, as the user does one by one."""
        state = Qt.CheckState.Checked if is_wanted else Qt.CheckState.Unchecked
        for number in range(self.count()):
            self.item(number).setCheckState(state)

    def show_image(self, number: int, image: SpatialImage) -> None:
        """Write an image's facts into its card, as it is placed now."""
        item = self.item(number)
        before = item.data(_ROLE) or {}
        lacks = any(unknown_axes(image))
        role = "" if image.source.role == "image" else image.source.role
        voxel = f"voxel {voxel_words(image)}" + (" – not in the file" if lacks else "")
        self.blockSignals(True)
        item.setData(
            _ROLE,
            {
                **before,
                "title": image.name,
                "role": role,
                "size": size_words(image),
                "voxel": voxel,
                "asks": lacks or doubtful_scale(image),
                "warns": bool(image.warnings),
            },
        )
        item.setToolTip("\n".join([image.name, *image.warnings]))
        self.blockSignals(False)
        self.viewport().update()

    def show_thumbnail(self, number: int, picture: NDArray[np.uint8]) -> None:
        """Put the picture (height, width, 3) into its card."""
        if number >= self.count():
            return
        pixels = np.ascontiguousarray(picture)
        height, width = pixels.shape[:2]
        drawn = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        item = self.item(number)
        self.blockSignals(True)
        item.setData(_ROLE, {**(item.data(_ROLE) or {}), "picture": QPixmap.fromImage(drawn)})
        self.blockSignals(False)
        self.viewport().update()

    def box_centre(self, number: int) -> Any:
        """Where a card's box is, in the viewport."""
        return _box(self.visualItemRect(self.item(number))).center()

    def _on_row(self, row: int) -> None:
        if row >= 0:
            self.chosen.emit(row)

    def _on_item_changed(self, item: QListWidgetItem) -> None:
        self.ticked.emit(self.row(item), item.checkState() == Qt.CheckState.Checked)


class _CardDelegate(QStyledItemDelegate):
    """Paints a card, and toggles its box by click or space."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:  # noqa: ARG002
        return QSize(200, _ROW_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        facts = index.data(_ROLE) or {}
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        card = option.rect.adjusted(2, 2, -2, -2)
        is_selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if is_selected:
            painter.setBrush(QColor(41, 211, 255, 36))
            painter.setPen(QPen(QColor(41, 211, 255, 130), 1))
            painter.drawRoundedRect(QRectF(card).adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)
        is_ticked = index.data(Qt.ItemDataRole.CheckStateRole) == Qt.CheckState.Checked.value or (
            index.data(Qt.ItemDataRole.CheckStateRole) == Qt.CheckState.Checked
        )
        _paint_box(painter, _box(option.rect), is_ticked)
        place = _thumbnail_rect(option.rect)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 110))
        painter.drawRoundedRect(QRectF(place), 4, 4)
        picture = facts.get("picture")
        if picture is not None:
            size = picture.size().scaled(place.size(), Qt.AspectRatioMode.KeepAspectRatio)
            at = QRect(place.topLeft(), size)
            at.moveCenter(place.center())
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawPixmap(at, picture)
        left = place.right() + 10
        right = card.right() - 8
        if facts.get("warns"):
            right -= 22
            _paint_warning(painter, QRectF(right + 4, card.top() + 8, 16, 14))
        ink = option.palette.color(QPalette.ColorRole.Text)  # the theme's
        column = QRect(left, card.top(), right - left, 0)
        self._paint_text(painter, option.font, ink, column, facts)
        painter.restore()

    @staticmethod
    def _paint_text(
        painter: QPainter, font: QFont, ink: QColor, column: QRect, facts: dict[str, Any]
    ) -> None:
        bold = QFont(font)
        bold.setBold(True)
        title_font, line_font = bold, QFont(font)
        if line_font.pointSizeF() > 0:
            line_font.setPointSizeF(line_font.pointSizeF() * 0.92)
        role = facts.get("role", "")
        rows = (
            (8, title_font, facts.get("title", "")),
            (27, line_font, facts.get("size", "")),
            (45, line_font, f"{'⚠ ' if facts.get('asks') else ''}{facts.get('voxel', '')}"),
        )
        for top, used, text in rows:
            painter.setFont(used)
            painter.setPen(ink)
            metrics = painter.fontMetrics()
            width = column.width()
            if role and used is title_font:
                badge = metrics.horizontalAdvance(role) + 12
                width -= badge + 6
            shown = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, width)
            line = QRect(column.left(), column.top() + top, width, metrics.height())
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, shown)
            if role and used is title_font:
                tab = QRectF(
                    column.left() + metrics.horizontalAdvance(shown) + 8,
                    line.top() + 1,
                    badge,
                    metrics.height() - 1,
                )
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(140, 150, 160, 70))
                painter.drawRoundedRect(tab, 4, 4)
                painter.setFont(line_font)
                painter.setPen(ink)
                painter.drawText(tab, Qt.AlignmentFlag.AlignCenter, role)

    def editorEvent(
        self, event: QEvent, model: Any, option: QStyleOptionViewItem, index: QModelIndex
    ) -> bool:
        kind = event.type()
        if kind == QEvent.Type.MouseButtonRelease:
            if not _box(option.rect).adjusted(-6, -20, 6, 20).contains(event.position().toPoint()):
                return False
        elif kind == QEvent.Type.KeyPress:
            if event.key() not in (Qt.Key.Key_Space, Qt.Key.Key_Select):
                return False
        else:
            return False
        now = index.data(Qt.ItemDataRole.CheckStateRole)
        is_ticked = now in (Qt.CheckState.Checked, Qt.CheckState.Checked.value)
        state = Qt.CheckState.Unchecked if is_ticked else Qt.CheckState.Checked
        return bool(model.setData(index, state, Qt.ItemDataRole.CheckStateRole))


def _box(row: QRect) -> QRect:
    return QRect(row.left() + _PAD_PX + 2, row.center().y() - _BOX_PX // 2, _BOX_PX, _BOX_PX)


def _thumbnail_rect(row: QRect) -> QRect:
    left = row.left() + 2 * _PAD_PX + _BOX_PX + 4
    return QRect(left, row.top() + (_ROW_PX - THUMBNAIL_PX) // 2, THUMBNAIL_PX, THUMBNAIL_PX)


def _paint_box(painter: QPainter, box: QRect, is_ticked: bool) -> None:
    frame = QRectF(box).adjusted(0.5, 0.5, -0.5, -0.5)
    painter.setPen(QPen(_ACCENT if is_ticked else _GREY, 1.2))
    painter.setBrush(_ACCENT if is_ticked else QColor(0, 0, 0, 60))
    painter.drawRoundedRect(frame, 3, 3)
    if is_ticked:
        painter.setPen(QPen(QColor("#0b2530"), 2))
        x, y = frame.left(), frame.top()
        painter.drawPolyline(
            QPolygonF([QPointF(x + 3.5, y + 8), QPointF(x + 6.5, y + 11), QPointF(x + 12, y + 4.5)])
        )


def _paint_warning(painter: QPainter, frame: QRectF) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(_AMBER)
    painter.drawPolygon(
        QPolygonF(
            [
                QPointF(frame.center().x(), frame.top()),
                QPointF(frame.right(), frame.bottom()),
                QPointF(frame.left(), frame.bottom()),
            ]
        )
    )
    painter.setPen(QPen(QColor("#3a2500"), 1.6))
    x, y = frame.center().x(), frame.top()
    painter.drawLine(QPointF(x, y + 4.5), QPointF(x, y + 8.5))
    painter.drawPoint(QPointF(x, y + 11.3))
