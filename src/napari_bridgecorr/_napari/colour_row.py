"""What the landmarks' colours mean: a choice, and a legend in um."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QComboBox, QSizePolicy, QVBoxLayout, QWidget

from .error_colours import COLOURS, STOPS
from .landmark_paint import MEASURES, LandmarkPaint, Measure

if TYPE_CHECKING:
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_BAR_PX, _HEIGHT_PX, _SIDE_PX = 8, 26, 2
# the legend goes from nothing to so many times the usual error
_END = 3.6


class ColourRow(QWidget):
    """Chooses what the points are coloured by, on both pictures."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self.paint = LandmarkPaint(session, lifeline)
        self.choice = QComboBox()
        self.choice.setObjectName("bridgecorr_colour_by")
        self.choice.setAccessibleName("Colour landmarks by")
        self.choice.setToolTip(
            "What the points' colours say on the pictures: which image they mark, or their error "
            "(µm; blue small, yellow usual, orange large, grey none). Points above and below the "
            "plane shown are fainter and smaller"
        )
        for value, text in MEASURES:
            self.choice.addItem(text, value)
        self.legend = ErrorLegend()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.choice)
        column.addWidget(self.legend)
        self.choice.currentIndexChanged.connect(self._on_chosen)
        lifeline.connect(self.paint.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the legend of this moment."""
        self.legend.setVisible(self.paint.measure != "side")
        self.legend.show_typical(self.paint.typical_um)

    def choose(self, measure: str) -> None:
        """Choose as the user does; an unknown name changes nothing."""
        at = self.choice.findData(measure)
        if at >= 0:
            self.choice.setCurrentIndex(at)

    def _on_chosen(self, *_: object) -> None:
        chosen: Measure = self.choice.currentData()
        self.paint.show(chosen)


class ErrorLegend(QWidget):
    """A bar of colours with lengths (um) below."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("bridgecorr_error_legend")
        self.setFixedHeight(_HEIGHT_PX)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._typical = float("nan")
        self.setToolTip("Colours of the points' errors (µm); grey: no error is known")

    @property
    def words(self) -> list[str]:
        """What stands below the bar, from left to right."""
        if not np.isfinite(self._typical):
            return ["no errors yet: they take a fit"]
        return [f"{stop * self._typical:.3g} µm" for stop in STOPS]

    def show_typical(self, typical_um: float) -> None:
        """Show the colours of an error that is usual."""
        self._typical = typical_um
        self.setAccessibleName(", ".join(self.words))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - Qt passes it
        """The bar above, the words below."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() - 1, 7))
        painter.setFont(font)
        words, width = self.words, self.width() - 2 * _SIDE_PX
        below = QRectF(_SIDE_PX, _BAR_PX + 1, width, _HEIGHT_PX - _BAR_PX - 1)
        if len(words) == 1:
            painter.drawText(below, Qt.AlignmentFlag.AlignCenter, words[0])
            painter.end()
            return
        gradient = QLinearGradient(_SIDE_PX, 0, _SIDE_PX + width, 0)
        for stop, colour in zip(STOPS, COLOURS, strict=True):
            gradient.setColorAt(stop / _END, QColor(*colour))
        painter.fillRect(QRectF(_SIDE_PX, 0, width, _BAR_PX), gradient)
        for stop, text in zip(STOPS, words, strict=True):
            x = _SIDE_PX + width * stop / _END
            painter.drawLine(round(x), 0, round(x), _BAR_PX + 2)
            size = painter.fontMetrics().horizontalAdvance(text)
            left = min(max(x - size / 2, _SIDE_PX), _SIDE_PX + width - size)
            painter.drawText(
                QRectF(left, below.top(), size + 2, below.height()),
                Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
                text,
            )
        painter.end()
