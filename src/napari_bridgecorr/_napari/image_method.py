"""One way to a map by the images in the Register panel: its options, its button, its outcome."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QSizePolicy, QVBoxLayout, QWidget

from ..errors import BridgecorrError
from ..image import SpatialImage
from ..landmarks import Side
from .image_maps import Inputs, Outcome
from .landmark_layers import SIDES
from .landmark_moves import time_shown
from .layers import image_of_layer
from .panel_parts import ACCENT, AMBER, GREEN, LayerChooser, marked, muted, primary, wrapped
from .summary import for_the_window

if TYPE_CHECKING:
    from napari.layers import Layer

    from ..progress import Progress
    from .viewer_session import ViewerSession

_TIP = "Takes up to some minutes; the window stays usable, and it can be stopped"


class ImageMethod(QWidget):
    """Options and a button; subclasses say what is lacking and what is asked.

    Parameters
    ----------
    session : ViewerSession
    explained : str
        What it does, in a sentence or two.
    action : str
        What the button says.
    """

    asked = Signal()
    name: str
    task: str
    question: Callable[[], tuple[Inputs, Callable[[Progress], Outcome]]]
    """What is asked, and what answers it in a job's thread; raises a `BridgecorrError`."""

    def __init__(self, session: ViewerSession, explained: str, action: str) -> None:
        super().__init__()
        self._session = session
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(muted(explained))
        self.form = QFormLayout()
        self.form.setHorizontalSpacing(8)
        self.form.setVerticalSpacing(4)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        column.addLayout(self.form)
        self.action = primary(action, _TIP, name=f"bridgecorr_{self.name}_map")
        self.action.clicked.connect(self.asked)
        column.addWidget(self.action)
        self.reason = muted()
        column.addWidget(self.reason)
        self.result = wrapped(f"bridgecorr_{self.name}_result")
        self.result.hide()
        column.addWidget(self.result)
        self._channels: dict[Side, QComboBox] = {}
        self._masks: dict[Side, LayerChooser] = {}
        self._mask_layers: dict[Side, Layer | None] = dict.fromkeys(SIDES)

    # -- what subclasses say ---------------------------------------------------------------------

    def lacking(self) -> str:
        """Why it cannot be done now; "" if it can."""
        try:
            images = [self._session.image(side) for side in SIDES]
        except BridgecorrError as error:
            return str(error)
        if any(image is None for image in images):
            return "Choose a fixed and a moving image in step 1 first."
        return ""

    # -- showing ---------------------------------------------------------------------------------

    def refresh(self, busy_reason: str) -> None:
        """Offer what can be done now, or say why not."""
        self._show_channels()
        self._show_masks()
        lacking = self.lacking()
        self.reason.setText(lacking)
        self.reason.setVisible(bool(lacking))
        self.action.setEnabled(not lacking and not busy_reason)
        self.action.setToolTip(lacking or busy_reason or _TIP)

    def show_outcome(self, outcome: Outcome) -> None:
        """Say what came of it."""
        colour = GREEN if outcome.is_good else AMBER
        mark = "✓" if outcome.is_good else "⚠"
        lines = [
            f'<span style="color:{colour}">{mark}</span> '
            f'<span style="font-weight:600">{escape(in_window(outcome.headline))}</span>'
        ]
        if outcome.figures:
            rows = ["<tr><td></td><td>before&nbsp;&nbsp;&nbsp;</td><td>after</td></tr>"]
            rows += [
                f"<tr><td>{escape(what)}&nbsp;&nbsp;</td><td>{escape(before)}&nbsp;&nbsp;&nbsp;"
                f"</td><td><b>{escape(after)}</b></td></tr>"
                for what, before, after in outcome.figures
            ]
            lines.append(f'<table cellspacing="0" cellpadding="1">{"".join(rows)}</table>')
        lines += [f"<div>{escape(in_window(line))}</div>" for line in outcome.details]
        if outcome.next_step:
            lines.append(f"<div>{marked('→', ACCENT, in_window(outcome.next_step))}</div>")
        self.result.setText("".join(lines))
        self.result.show()

    def forget_outcome(self) -> None:
        """Say nothing of an earlier one."""
        self.result.hide()

    # -- images, channels, masks -----------------------------------------------------------------

    def images(self) -> tuple[SpatialImage, SpatialImage]:
        """Fixed and moving; only where nothing is lacking."""
        fixed, moving = (self._session.image(side) for side in SIDES)
        if fixed is None or moving is None:
            raise ValueError("an image is lacking")
        return fixed, moving

    def time(self, side: Side, image: SpatialImage) -> int:
        """The time point of an image that is shown."""
        viewer, layer = self._session.viewer, self._session.image_layer(side)
        return 0 if viewer is None or layer is None else time_shown(viewer, layer, image)

    def add_channels(self, texts: tuple[str, str], tips: tuple[str, str]) -> None:
        """Rows that choose a channel of each image, shown where there is a choice."""
        for side, text, tip in zip(SIDES, texts, tips, strict=True):
            box = narrow_box(f"bridgecorr_{self.name}_{side}_channel", tip)
            self._channels[side] = box
            self.form.addRow(text, box)

    def first_entries(self, side: Side) -> list[tuple[str, Any]]:  # noqa: ARG002 - subclasses'
        """Entries of a channel's box before the channels."""
        return []

    def channel(self, side: Side) -> Any:
        """What is chosen."""
        return self._channels[side].currentData()

    def add_masks(self) -> None:
        """Rows that choose a Labels layer as a mask of each image."""
        for side in SIDES:
            chooser = LayerChooser(
                f"Only where this Labels layer is not 0 the {side} image counts",
                f"bridgecorr_{self.name}_{side}_mask",
            )
            chooser.layer_chosen.connect(lambda layer, s=side: self._on_mask(s, layer))
            self._masks[side] = chooser
            self.form.addRow(f"{side.capitalize()} mask", chooser)

    def masks(self) -> tuple[SpatialImage | None, SpatialImage | None]:
        """The chosen masks.

        Raises
        ------
        GeometryError
            If a layer's transform describes no volume.
        """
        chosen = [self._mask_layers[side] for side in SIDES]
        found = [None if layer is None else image_of_layer(layer) for layer in chosen]
        return found[0], found[1]

    def _on_mask(self, side: Side, layer: Layer | None) -> None:
        self._mask_layers[side] = layer

    def _show_channels(self) -> None:
        for side, box in self._channels.items():
            try:
                image = self._session.image(side)
            except BridgecorrError:
                image = None
            names = [] if image is None else [c.name for c in image.channels]
            entries = [*self.first_entries(side), *((n, i) for i, n in enumerate(names))]
            if [box.itemText(i) for i in range(box.count())] != [text for text, _ in entries]:
                box.clear()
                for text, value in entries:
                    box.addItem(text, value)
            self.form.setRowVisible(box, len(names) > 1)

    def _show_masks(self) -> None:
        viewer = self._session.viewer
        images = [self._session.image_layer(side) for side in SIDES]
        layers = [
            i
            for i in (viewer.layers if viewer is not None else ())
            if isinstance(i, Labels) and not any(i is image for image in images)
        ]
        for side, chooser in self._masks.items():
            chosen = self._mask_layers[side]
            if chosen is not None and not any(chosen is i for i in layers):
                chosen = self._mask_layers[side] = None
            chooser.show_layers(layers, [i.name for i in layers], chosen)
            chooser.setItemText(0, "none: all of it counts")
            self.form.setRowVisible(chooser, bool(layers))


def narrow_box(name: str, tip: str) -> QComboBox:
    """A combo box that a narrow dock can hold."""
    box = QComboBox()
    box.setObjectName(name)
    box.setToolTip(tip)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(9)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box


def in_window(text: str) -> str:
    """A message of the core as the window says it."""
    said = re.sub(r"(?<=\d) um\b", "\N{NO-BREAK SPACE}µm", for_the_window(text))
    said = re.sub(r"\bum\b", "µm", said)
    return said[:1].upper() + said[1:]
