"""Building blocks of panels: numbered steps, layer choosers, a line of progress, a message."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from napari.layers import Layer

# of middle lightness: seen on dark and on light themes. For signs and lines, not for sentences: no
# colour has the contrast that small letters need (4.5) on both, so these keep the theme's own
ACCENT, AMBER, GREEN, RED = "#1b9fc6", "#c98512", "#2f9e57", "#e0524a"
_BAR_STEPS = 1000


class Step(QFrame):
    """A numbered step of the work: a heading and what belongs to it."""

    def __init__(self, number: int, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        heading = QLabel(
            f'<span style="color:{ACCENT}; font-weight:700">{number}</span>'
            f'&nbsp;&nbsp;<span style="font-weight:600">{title}</span>'
        )
        heading.setStyleSheet("font-size: 13px; padding: 0px;")
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        line.setFixedHeight(1)
        line.setStyleSheet("background-color: rgba(140, 140, 150, 90); border: none;")
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(heading)
        top.addWidget(line, 1)
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(6)
        self.body.addLayout(top)


def muted(text: str = "") -> QLabel:
    """A small line that wraps, in the theme's own colour."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setStyleSheet("font-size: 11px; padding: 0px;")
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label


def wrapped(object_name: str = "") -> QLabel:
    """A line of rich text that wraps and can be selected."""
    label = QLabel()
    label.setObjectName(object_name)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label


def marked(sign: str, colour: str, text: str) -> str:
    """Rich text of a line: a sign in colour, then words in the theme's own."""
    return f'<span style="color:{colour}; font-weight:700">{sign}</span> {escape(text)}'


def button(text: str, tip: str, *, name: str = "", checkable: bool = False) -> QPushButton:
    """A push button with its tooltip."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.setObjectName(name)
    made.setCheckable(checkable)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return made


def primary(text: str, tip: str, *, name: str = "") -> QPushButton:
    """The button that a step leads up to."""
    made = button(text, tip, name=name)
    made.setStyleSheet(
        "QPushButton { background-color: #13708c; color: white; font-weight: 600; padding: 6px; }"
        "QPushButton:hover { background-color: #1a8bad; }"
        "QPushButton:pressed { background-color: #0e566c; }"
        "QPushButton:disabled { background-color: rgba(127, 127, 127, 60);"
        " color: rgba(127, 127, 127, 230); border: none; }"
    )
    return made


class LayerChooser(QComboBox):
    """A combo box of layers. Identity is the layer itself; its name is only shown."""

    layer_chosen = Signal(object)

    def __init__(self, tip: str, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip(tip)
        self.setObjectName(name)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(10)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._layers: list[weakref.ref[Layer]] = []
        self.activated.connect(self._on_activated)

    def show_layers(
        self, layers: Sequence[Layer], names: Sequence[str], current: Layer | None
    ) -> None:
        """List layers (after an empty entry) and select one."""
        blocker = QSignalBlocker(self)
        self.clear()
        self._layers = [weakref.ref(layer) for layer in layers]
        self.addItem("choose…" if layers else "none yet")
        self.addItems(list(names))
        at = [i for i, layer in enumerate(layers) if layer is current]
        self.setCurrentIndex(at[0] + 1 if at else 0)
        blocker.unblock()

    def choose(self, layer: Layer) -> None:
        """Select a listed layer as the user does."""
        for number, reference in enumerate(self._layers):
            if reference() is layer:
                self.setCurrentIndex(number + 1)
                self._on_activated(number + 1)

    def _on_activated(self, index: int) -> None:
        self.layer_chosen.emit(self._layers[index - 1]() if index > 0 else None)


class ProgressLine(QWidget):
    """A bar with what is being done, and a button to stop it."""

    cancel_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._total = 0
        self.bar = QProgressBar()
        self.bar.setObjectName("bridgecorr_progress")
        self.bar.setTextVisible(True)
        self.cancel = QPushButton("Cancel")
        self.cancel.setObjectName("bridgecorr_cancel")
        self.cancel.setToolTip("Stop the work; nothing half-made is left behind")
        self.task = muted()
        layout = QHBoxLayout()
        layout.setSpacing(6)
        layout.addWidget(self.bar, 1)
        layout.addWidget(self.cancel)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(layout)
        column.addWidget(self.task)
        self.cancel.clicked.connect(self._on_cancel)

    def begin(self, task: str, total: int) -> None:
        """Show a task; without a known number of steps the bar only moves."""
        self._total = total
        self.bar.setRange(0, _BAR_STEPS if total > 0 else 0)
        self.bar.setValue(0)
        self.bar.setFormat(f"{task}  %p %")
        self.task.setText(f"{task}…")
        self.task.setVisible(total <= 0)  # a bar that only moves shows no text
        self.cancel.setEnabled(True)

    def advance(self, done: int) -> None:
        """Show how many steps are done."""
        if self._total > 0:
            self.bar.setValue(int(_BAR_STEPS * min(done, self._total) / self._total))

    def _on_cancel(self) -> None:
        self.cancel.setEnabled(False)
        self.bar.setFormat("stopping…")
        self.cancel_asked.emit()


class Message(QLabel):
    """The one line that says what happened, or what is wrong and what to do."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("bridgecorr_message")
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.hide()

    def say(self, text: str) -> None:
        """Something went well."""
        self._show(text, "#54be78")

    def complain(self, text: str) -> None:
        """Something is wrong."""
        self._show(text, "#f05a5a")

    def clear_message(self) -> None:
        """Nothing to say."""
        self.clear()
        self.hide()

    def _show(self, text: str, colour: str) -> None:
        self.setStyleSheet(
            f"border-left: 3px solid {colour}; padding: 4px 8px;"
            " background: rgba(127, 127, 127, 40);"
        )
        first = text.split(" ", 1)[0]
        # a sentence, but not the name of a file that it begins with
        self.setText(text[:1].upper() + text[1:] if first.isalpha() else text)
        self.show()
