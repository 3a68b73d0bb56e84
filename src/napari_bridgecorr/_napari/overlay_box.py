"""The buttons of the live overlay: on and off, its four modes, the curtain's edge, the channel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from ..errors import BridgecorrError
from .image_layers import image_name
from .live_overlay import LiveOverlay
from .map_layers_box import MapLayersBox
from .overlay_layer import Mode, tile_um
from .panel_parts import button, muted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_MODES: tuple[tuple[Mode, str, str], ...] = (
    ("colours", "Two colours", "The moving image in a colour of its own over the fixed one"),
    ("checkerboard", "Checkerboard", "Tiles of the one and the other by turns"),
    ("curtain", "Curtain", "The fixed image on the left of an edge, the moving one on the right"),
    ("flicker", "Flicker", "The moving image shown and hidden by turns, 1.5 times a second"),
)
_TICKS = 1000
_NOTHING_SEEN = (
    "Nothing of the moving image lies here: the map leads outside it, or its voxels have no "
    "values. Go to another slice, or check the pairs."
)


class OverlayBox(QFrame):
    """Shows the moving image on the fixed one, live, and says why where it cannot."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self._session = session
        self.overlay = LiveOverlay(session, lifeline)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.show_overlay = button(
            "Show overlay, live",
            "Warp the moving image onto the fixed one wherever you look, and again with every "
            "change of a landmark; only what the screen shows is worked out",
            name="bridgecorr_overlay",
            checkable=True,
        )
        self.show_overlay.toggled.connect(self._on_toggled)
        row.addWidget(self.show_overlay, 1)
        self.channel = QComboBox()
        self.channel.setAccessibleName("Channel in the overlay")
        self.channel.setObjectName("bridgecorr_overlay_channel")
        self.channel.setToolTip("Which channel of the moving image the overlay shows")
        self.channel.currentIndexChanged.connect(self._on_channel)
        row.addWidget(self.channel, 1)
        column.addLayout(row)
        self.choices = QWidget()
        inside = QVBoxLayout(self.choices)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(4)
        inside.addLayout(self._mode_row())
        inside.addWidget(self._edge_row())
        column.addWidget(self.choices)
        self.note = muted()
        self.note.setObjectName("bridgecorr_overlay_note")
        column.addWidget(self.note)
        self.map_layers = MapLayersBox(session, lifeline)
        column.addWidget(self.map_layers)
        for signal in (session.images_changed, session.fit_changed, session.maps.changed):
            lifeline.connect(signal, self.refresh)
        lifeline.connect(self.overlay.changed, self.refresh)
        lifeline.connect(self.overlay.refreshed, self._on_refreshed)
        self.refresh()

    def _mode_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(2)
        group = QButtonGroup(self)
        self.modes = {}
        for mode, text, tip in _MODES:
            made = button(text, tip, name=f"bridgecorr_overlay_{mode}", checkable=True)
            made.setStyleSheet("padding: 4px 2px;")
            made.clicked.connect(partial(self.overlay.set_mode, mode))
            group.addButton(made)
            self.modes[mode] = made
            row.addWidget(made, 1)
        return row

    def _edge_row(self) -> QWidget:
        self.edge_row = QWidget()
        row = QHBoxLayout(self.edge_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(QLabel("Fixed"))
        self.edge = QSlider(Qt.Orientation.Horizontal)
        self.edge.setAccessibleName("Place of the curtain's edge (part of the picture)")
        self.edge.setObjectName("bridgecorr_overlay_edge")
        self.edge.setToolTip("Where the curtain's edge is, across the picture; arrow keys move it")
        self.edge.setRange(0, _TICKS)
        self.edge.setValue(_TICKS // 2)
        self.edge.setPageStep(_TICKS // 10)
        self.edge.setSingleStep(_TICKS // 100)
        self.edge.valueChanged.connect(self._on_edge)
        row.addWidget(self.edge, 1)
        row.addWidget(QLabel("Moving"))
        return self.edge_row

    # -- showing ---------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Offer what can be done now, and say why nothing is shown."""
        overlay, session = self.overlay, self._session
        self._list_channels()
        has_images = all(session.image_layer(side) is not None for side in ("fixed", "moving"))
        has_map = session.fit is not None or session.image_map() is not None
        self.show_overlay.setEnabled(overlay.is_on or (has_images and has_map))
        blocker = QSignalBlocker(self.show_overlay)
        self.show_overlay.setChecked(overlay.is_on)
        blocker.unblock()
        self.choices.setVisible(overlay.is_on)
        self.channel.setVisible(overlay.is_on and self.channel.count() > 1)
        self.modes[overlay.mode].setChecked(True)
        self.edge_row.setVisible(overlay.mode == "curtain")
        if not overlay.is_on and not (has_images and has_map):
            self._tell("The overlay needs both images and a map.")
        else:
            self._tell(overlay.note or self._words())

    def _words(self) -> str:
        shown = self.overlay.shown
        if not self.overlay.is_on:
            return ""
        if shown is None:
            return "Working out the picture… The first one after installing takes up to a minute."
        if not _has_values(shown.values):
            return _NOTHING_SEEN
        text = f"1 pixel = {shown.plane.step_um:.3g} µm"
        fixed = self._session.image_layer("fixed")
        if fixed is not None:
            text += f", in the frame of {image_name(fixed)} (fixed)"
        if self.overlay.mode == "checkerboard":
            text += f"; a tile = {tile_um(shown.plane):g} µm"
        return text

    def _tell(self, text: str) -> None:
        if text != self.note.text():
            self.note.setText(text)
        self.note.setVisible(bool(text))

    def _list_channels(self) -> None:
        try:
            moving = self._session.image("moving")
        except BridgecorrError:
            moving = None
        names = [] if moving is None else [c.name for c in moving.channels]
        if [self.channel.itemText(i) for i in range(self.channel.count())] != names:
            self.channel.clear()
            self.channel.addItems(names)

    def shown_state(self) -> dict[str, Any]:
        """What is shown, as plain values."""
        return {**self.overlay.shown_state(), "map_layers": self.map_layers.shown_state()}

    def show_state(self, state: Mapping[str, Any]) -> None:
        """Show what :meth:`shown_state` told."""
        self._list_channels()
        self.overlay.show_state(state)
        blockers = [QSignalBlocker(widget) for widget in (self.channel, self.edge)]
        self.channel.setCurrentIndex(min(state.get("channel", 0), self.channel.count() - 1))
        self.edge.setValue(round(_TICKS * state.get("edge", 0.5)))
        for blocker in blockers:
            blocker.unblock()
        self.map_layers.show_state(state.get("map_layers", ()))
        self.refresh()

    # -- doing -----------------------------------------------------------------------------------

    def _on_toggled(self, checked: bool) -> None:
        if checked:
            self.overlay.start()
        else:
            self.overlay.stop()
        self.refresh()

    def _on_channel(self, index: int) -> None:
        self.overlay.set_channel(max(index, 0))

    def _on_edge(self, value: int) -> None:
        self.overlay.set_edge(value / _TICKS)

    def _on_refreshed(self, _: object) -> None:
        self._tell(self.overlay.note or self._words())


def _has_values(values: NDArray[np.float32]) -> bool:
    # mostly a few pixels tell
    return any(bool(np.isfinite(part).any()) for part in (values[::16, ::16], values))
