"""The small picture of what an image shows along the plane, drawn off the GUI thread."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from ..errors import Cancelled
from ..geometry import Plane
from ..geometry.view import round_length_um
from ..image import SpatialImage
from ..resampling.plane_picture import PlanePicture, plane_picture
from ..resampling.view import HeldLevel
from .frames import ImageTag, tag_of
from .jobs import LatestAnswer
from .panel_parts import muted

if TYPE_CHECKING:
    from napari.layers import Layer

    from .lifeline import Lifeline

MOST_PIXELS = 340
_HEIGHT_PX = 190
_OUTSIDE = (46, 50, 56)
_SHADES = 256
_MIDDLE = Qt.AlignmentFlag.AlignCenter.value | Qt.TextFlag.TextWordWrap.value
_LEFT = Qt.AlignmentFlag.AlignLeft.value


@dataclass(frozen=True, eq=False)
class Look:
    """How a channel is drawn.

    Parameters
    ----------
    channel : int
    limits : (float, float)
        Values of black and of full colour.
    colours : (256, 3) float32
    labels : colormap or None
        Of layers that name objects.
    """

    channel: int
    limits: tuple[float, float]
    colours: NDArray[np.float32]
    labels: Any = None


def looks_of(layers: list[Layer]) -> list[Look]:
    """How the visible ones of an image's layers are drawn; all where none is visible."""
    found: list[Look] = []
    for layer in [i for i in layers if i.visible] or layers:
        tag = tag_of(layer)
        channel = tag.channel if isinstance(tag, ImageTag) else 0
        if isinstance(layer, Labels):
            found.append(Look(channel, (0, 1), np.zeros((_SHADES, 3), np.float32), layer.colormap))
        elif getattr(layer, "rgb", False):
            for number in range(3):
                ramp = np.zeros((_SHADES, 3), np.float32)
                ramp[:, number] = np.linspace(0, 1, _SHADES)
                found.append(Look(number, (0.0, 255.0), ramp))
        else:
            low, high = (float(v) for v in layer.contrast_limits)
            ramp = np.asarray(layer.colormap.map(np.linspace(0, 1, _SHADES)), np.float32)
            found.append(Look(channel, (low, high), ramp[:, :3] * ramp[:, 3:]))
    return found


def painted(picture: PlanePicture, looks: list[Look]) -> NDArray[np.uint8]:
    """(rows, columns, 3) the channels' colours added up; dark grey outside the image."""
    total = np.zeros((*picture.values.shape[1:], 3), np.float32)
    for values, look in zip(picture.values, looks, strict=True):
        known = np.isfinite(values)
        if look.labels is not None:
            numbers = np.where(known, values, 0).astype(np.int64)
            total += np.asarray(look.labels.map(numbers), np.float32)[..., :3]
            continue
        low, high = look.limits
        share = (np.where(known, values, low) - low) / max(high - low, 1e-30)
        total += look.colours[(np.clip(share, 0, 1) * (_SHADES - 1)).astype(np.intp)]
    colours = (np.clip(total, 0, 1) * 255).astype(np.uint8)
    colours[~np.isfinite(picture.values).any(axis=0)] = _OUTSIDE
    return colours


class PlanePreview(QWidget):
    """Shows the newest plane that it was asked for; older questions are stopped."""

    drawn = Signal(object)  # PlanePicture

    def __init__(self, lifeline: Lifeline) -> None:
        super().__init__()
        self._lifeline = lifeline
        self._stop = _Stop()
        self._held: list[HeldLevel] = []
        self._answers = LatestAnswer()
        self._answers.answered.connect(self._on_answer)
        self._answers.failed.connect(self.say)
        self.canvas = _Canvas()
        self.words = muted()
        self.words.setObjectName("bridgecorr_plane_words")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.canvas)
        column.addWidget(self.words)
        lifeline.at_end(self._end)

    @property
    def is_busy(self) -> bool:
        """Whether a picture is still to come."""
        return self._answers.is_busy

    def ask(self, image: SpatialImage, plane: Plane, looks: list[Look], time: int) -> None:
        """Draw a plane, dropping what was asked before."""
        self._stop.set()
        self._stop = stop = _Stop()
        while len(self._held) < len(looks):
            self._held.append(HeldLevel())
        held = self._held[: len(looks)]
        self._answers.ask(partial(_draw, image, plane, looks, time, held, stop))

    def say(self, text: str) -> None:
        """No picture, but why."""
        self._stop.set()
        self.canvas.show_picture(None, 1.0, text)
        self.words.setText("")

    def clear(self, text: str) -> None:
        """No picture, but what to do first; an answer that is still to come is dropped."""
        self._answers.drop()
        self.say(text)

    def _on_answer(self, answer: tuple[PlanePicture, NDArray[np.uint8]] | None) -> None:
        if answer is None or self._lifeline.is_over:
            return
        picture, colours = answer
        step = picture.grid.voxel_size_um[2]
        self.canvas.show_picture(colours, step, "")
        height, width = (f"{v / 1000:.3g}" for v in picture.size_um)
        if np.isfinite(picture.values).any():
            self.words.setText(f"{width} × {height} mm, {step:.3g} µm per pixel")
        else:
            self.words.setText("The image holds no values (NaN) along this plane.")
        self.drawn.emit(picture)

    def _end(self) -> None:
        self._stop.set()
        self._answers.drop()


class _Stop:
    """A `Progress` that ends the work as soon as another question waits."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def begin(self, task: str, total: int) -> None:  # noqa: ARG002 - the protocol's
        self._look()

    def advance(self, steps: int = 1) -> None:  # noqa: ARG002 - the protocol's
        self._look()

    def _look(self) -> None:
        if self._is_set:
            raise Cancelled


def _draw(
    image: SpatialImage,
    plane: Plane,
    looks: list[Look],
    time: int,
    held: list[HeldLevel],
    stop: _Stop,
) -> tuple[PlanePicture, NDArray[np.uint8]] | None:
    """For a job's thread."""
    try:
        picture = plane_picture(
            image, plane, [i.channel for i in looks], time, MOST_PIXELS, stop, held
        )
    except Cancelled:
        return None
    return picture, painted(picture, looks)


class _Canvas(QWidget):
    """The picture with its scale bar, or a sentence in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("bridgecorr_plane_picture")
        self.setAccessibleName("What the image shows along the plane")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT_PX)
        self._image: QImage | None = None
        self._um_per_pixel = 1.0
        self.text = ""

    def show_picture(
        self, colours: NDArray[np.uint8] | None, um_per_pixel: float, text: str
    ) -> None:
        """Show (rows, columns, 3) pixels, or a text."""
        self._image = None
        if colours is not None:
            rows, columns, _ = colours.shape
            data = np.ascontiguousarray(colours).tobytes()
            made = QImage(data, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
            self._image = made.copy()  # Qt keeps no bytes alive
        self._um_per_pixel, self.text = um_per_pixel, text
        self.update()

    @property
    def has_picture(self) -> bool:
        """Whether a picture is shown."""
        return self._image is not None

    def sizeHint(self) -> QSize:
        """As wide as the panel."""
        return QSize(MOST_PIXELS, _HEIGHT_PX)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - Qt's
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(self.rect(), QColor(*_OUTSIDE))
        if self._image is None:
            painter.setPen(QColor("#d5dbe0"))
            painter.drawText(self.rect().adjusted(16, 8, -16, -8), _MIDDLE, self.text)
            painter.end()
            return
        size = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        left, top = (self.width() - size.width()) / 2, (self.height() - size.height()) / 2
        painter.drawImage(QRectF(left, top, size.width(), size.height()), self._image)
        scale = self._um_per_pixel * self._image.width() / max(1, size.width())
        length = round_length_um(0.3 * size.width() * scale)
        bar = QRectF(left + 8, top + size.height() - 12, length / scale, 4)
        painter.setPen(QPen(QColor(0, 0, 0, 200), 1))
        painter.setBrush(QColor("white"))
        painter.drawRect(bar)
        label = f"{length:g} µm" if length < 1000 else f"{length / 1000:g} mm"
        place = bar.adjusted(0, -18, 60, -6)
        for offset, colour in ((1, QColor(0, 0, 0, 220)), (0, QColor("white"))):
            painter.setPen(colour)
            painter.drawText(place.translated(offset, offset), _LEFT, label)
        painter.end()
