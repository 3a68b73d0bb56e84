"""Check boxes for what the map does on the fixed image: grid, folding, predicted error."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from .map_layers import Kind, MapLayers
from .panel_parts import muted

if TYPE_CHECKING:
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_BOXES: tuple[tuple[Kind, str, str], ...] = (
    (
        "grid",
        "Deformation grid",
        "A square grid drawn on the moving image, as the map bends it onto the fixed one; the "
        "distance of its lines is stated in µm",
    ),
    (
        "folds",
        "Folding",
        "Red stripes where the map folds (its Jacobian determinant is 0 or less): one place of the "
        "moving image would be shown twice",
    ),
    (
        "error",
        "Predicted error",
        "How far the map may be off, in µm: 68 of 100 places are nearer than that to the truth",
    ),
)
# of napari's viridis
_DARK_TO_YELLOW = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")


class MapLayersBox(QWidget):
    """Shows what the map does as layers of the fixed view, and says it in words."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self._session = session
        self.layers = MapLayers(session, lifeline)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        # side by side the three are wider than a panel
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        self.boxes: dict[Kind, QCheckBox] = {}
        for at, (kind, text, tip) in enumerate(_BOXES):
            box = QCheckBox(text)
            box.setObjectName(f"bridgecorr_map_{kind}")
            box.setToolTip(tip)
            box.toggled.connect(partial(self.layers.want, kind))
            self.boxes[kind] = box
            grid.addWidget(box, *divmod(at, 2))
        column.addLayout(grid)
        self.scale = _ErrorScale()
        column.addWidget(self.scale)
        self.note = muted()
        self.note.setObjectName("bridgecorr_map_note")
        column.addWidget(self.note)
        for signal in (session.images_changed, session.fit_changed, session.maps.changed):
            lifeline.connect(signal, self.refresh)
        lifeline.connect(self.layers.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Offer what can be shown now, and say what is."""
        session, layers = self._session, self.layers
        has_map = session.fit is not None or session.image_map() is not None
        for kind, box in self.boxes.items():
            blocker = QSignalBlocker(box)
            box.setChecked(layers.is_wanted(kind))
            blocker.unblock()
            box.setEnabled(box.isChecked() or has_map)
        if layers.note != self.note.text():
            self.note.setText(layers.note)
        self.note.setVisible(bool(layers.note))
        shown = layers.shown
        limits = None if shown is None else shown.limits.get("error")
        self.scale.show_limits(limits if layers.is_wanted("error") else None)

    def shown_state(self) -> list[Kind]:
        """What is shown, as plain values."""
        return [kind for kind in self.boxes if self.layers.is_wanted(kind)]

    def show_state(self, kinds: Collection[str]) -> None:
        """Show what :meth:`shown_state` told."""
        for kind in self.boxes:
            self.layers.want(kind, kind in kinds)


class _ErrorScale(QWidget):
    """The colours of the error map, with the micrometres at their ends."""

    def __init__(self) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        self.low, self.high = QLabel(), QLabel()
        row.addWidget(self.low)
        row.addWidget(_Gradient(), 1)
        row.addWidget(self.high)
        self.hide()

    def show_limits(self, limits: tuple[float, float] | None) -> None:
        """State the ends; None for no scale."""
        if limits is not None:
            self.low.setText(f"{limits[0]:.3g} µm")
            self.high.setText(f"≥ {limits[1]:.3g} µm")
        self.setVisible(limits is not None)


class _Gradient(QWidget):
    """The colours themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(10)
        self.setToolTip("Predicted error at 68 %, in µm")

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002 - Qt's
        """Fill it."""
        painter = QPainter(self)
        gradient = QLinearGradient(0, 0, self.width(), 0)
        for k, colour in enumerate(_DARK_TO_YELLOW):
            gradient.setColorAt(k / (len(_DARK_TO_YELLOW) - 1), QColor(colour))
        painter.fillRect(self.rect(), gradient)
        painter.end()
