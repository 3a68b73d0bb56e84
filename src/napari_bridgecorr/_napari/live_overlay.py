"""The moving image warped onto what the canvas shows of the fixed one, as long as it is wanted."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from ..errors import BridgecorrError
from ..io.decoded import kept
from ..resampling.view import HeldLevel
from .canvas_view import CanvasView
from .frames import ImageTag, same_place, tag_of
from .layers import display_range
from .newest_view import NewestView, ViewQuestion
from .overlay_layer import (
    Look,
    Mode,
    add_argument,
    insert_below,
    put,
    shown_values,
    wear,
)
from .overlay_question import Picture, Wanted, affordable_pixels, moved_landmarks, wanted
from .views import are_upright, frame_view, show_images_upright, show_view

if TYPE_CHECKING:
    from napari.layers import Layer

    from ..image import SpatialImage
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

# napari tells of a moved camera, not of a resized canvas, and before it draws: so it is looked at,
# which takes a tenth of a millisecond
_LOOK_EVERY_MS = 25
_FLICKER_HZ = 1.5
_MOST_DECODED_BYTES = 256 * 2**20
# while a landmark is dragged what takes longer is made of fewer pixels; at rest it is sharp
_DRAG_BUDGET_S = 0.02
_MOST_HELD_MS = 80


class LiveOverlay:
    """Keeps one Image layer showing what the map makes of the moving image, on the shown plane.

    Signals (in the GUI thread): `changed` (on or off, its mode, or why nothing is shown),
    `refreshed` (a new picture is shown).

    Parameters
    ----------
    session : ViewerSession
    lifeline : Lifeline
        With its end the overlay's layer is taken out.
    """

    changed = Signal()
    refreshed = Signal(object)

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        self._session, self._lifeline = session, lifeline
        self._is_on = False
        self._look = Look()
        self._edge_at = 0.5
        self._channel = 0
        self._layer: weakref.ref[Image] | None = None
        self._canvas: CanvasView | None = None
        self._moving: SpatialImage | None = None
        self._seen: Hashable = None
        self._asked: tuple[Any, ...] = ()
        self._is_behind = False
        self._shown: Picture | None = None
        self._note = ""
        self._kept: dict[str, Any] | None = None
        self._held = HeldLevel()
        self._decoded = ExitStack()
        self._pictures = NewestView()
        self._pictures.answered.connect(self._show)
        self._pictures.failed.connect(self._say)
        self._pictures.idle.connect(self._on_idle)
        self._watch = QTimer()
        self._watch.setInterval(_LOOK_EVERY_MS)
        self._watch.timeout.connect(self._look_again)
        self._flicker = QTimer()
        self._flicker.setInterval(round(500 / _FLICKER_HZ))
        self._flicker.timeout.connect(self._blink)
        lifeline.connect(session.drag.moved, self._follow_drag)
        lifeline.connect(session.drag.rested, self._on_rested)
        lifeline.connect(session.fit_changed, self.refresh)
        lifeline.connect(session.maps.changed, self.refresh)
        lifeline.connect(session.images_changed, self._on_images)
        lifeline.connect(session.layers_changed, self._on_layers)
        lifeline.at_end(self.stop)

    # -- what it is ------------------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        """Whether the overlay is wanted."""
        return self._is_on

    @property
    def is_busy(self) -> bool:
        """Whether a picture is being worked out."""
        return self._pictures.is_busy

    @property
    def note(self) -> str:
        """Why nothing is shown; "" if something is."""
        return self._note

    @property
    def mode(self) -> Mode:
        """How it is shown."""
        return self._look.mode

    @property
    def layer(self) -> Image | None:
        """The layer; None while there is none."""
        return None if self._layer is None else self._layer()

    @property
    def shown(self) -> Picture | None:
        """What is shown."""
        return self._shown

    # -- what the user does ----------------------------------------------------------------------

    def start(self) -> None:
        """Show the overlay."""
        viewer = self._session.viewer
        if viewer is None or self._is_on:
            return
        try:
            if not are_upright(self._session):
                show_images_upright(self._session, True)
                self._session.images_changed.emit()
                self._session.told.emit(
                    "Images shown upright: napari cannot show a tilted image plane by plane.", False
                )
            self._moving = self._session.image("moving")
        except BridgecorrError as error:
            self._say(str(error))
            return
        self._is_on = True
        self._canvas = CanvasView(viewer)
        fixed = self._session.image_layer("fixed")
        if fixed is not None and self._kept is None and self._canvas.plane(fixed) is None:
            frame_view(self._session, "fixed")
        # of levels too large to hold, the chunks in view are decoded once
        self._decoded.enter_context(kept(_MOST_DECODED_BYTES))
        self._watch.start()
        self.refresh()
        self.changed.emit()

    def stop(self) -> None:
        """Take the overlay out."""
        if not self._is_on:
            return
        self._is_on = False
        self._pictures.drop()
        self._session.canvases.release_window()
        for timer in (self._watch, self._flicker):
            if isalive(timer):
                timer.stop()
        viewer, layer = self._session.viewer, self.layer
        self._layer, self._shown, self._asked, self._note = None, None, (), ""
        self._seen, self._is_behind, self._kept = None, False, None
        self._canvas, self._held = None, HeldLevel()
        self._decoded.close()
        if viewer is not None and layer is not None and layer in viewer.layers:
            viewer.layers.remove(layer)
        if not self._lifeline.is_over:  # the panel's widgets may be gone
            self.changed.emit()

    def set_mode(self, mode: Mode) -> None:
        """Show it in another way; nothing is warped again."""
        self._look = replace(self._look, mode=mode)
        layer = self.layer
        if layer is not None:
            self._dress(layer)
            self._put()
        self._run_flicker()
        self.changed.emit()

    def set_edge(self, fraction: float) -> None:
        """Move the curtain's edge to a fraction (0-1) of the screen's width."""
        self._edge_at = fraction
        if self._look.mode == "curtain":
            self._put()

    def set_channel(self, channel: int) -> None:
        """Show another channel of the moving image."""
        if channel == self._channel:
            return
        self._channel = channel
        layer = self.layer
        if layer is not None and self._moving is not None:
            layer.contrast_limits_range = layer.contrast_limits = self._contrast()
            self._dress(layer)
        self.refresh()

    def shown_state(self) -> dict[str, Any]:
        """How it is shown, as plain values."""
        layer = self.layer
        known = self._kept or {"contrast": None, "visible": True}
        if layer is not None:
            limits = [float(v) for v in layer.contrast_limits]
            known = {"contrast": limits, "visible": bool(layer.visible)}
        return {
            "is_on": self._is_on,
            "mode": self._look.mode,
            "edge": self._edge_at,
            "channel": self._channel,
            **known,
        }

    def show_state(self, state: Mapping[str, Any]) -> None:
        """Show it as :meth:`shown_state` told; what else is shown, and where, stays."""
        self.stop()
        self._edge_at, self._channel = state.get("edge", 0.5), state.get("channel", 0)
        self.set_mode(state.get("mode", self._look.mode))
        if state.get("is_on"):
            self._kept = {name: state.get(name) for name in ("contrast", "visible")}
            self.start()

    # -- inside ----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Ask for the picture of what is shown now, unless it is the one asked for last."""
        asked = self._wanted()
        if asked is None:
            return
        if self._session.drag.is_moving:
            self._follow_drag()  # the map in use is that of before
            return
        question = asked.question(self._held)
        if self._asked and self._asked == (question.place, asked.transform):
            return
        self._asked = (question.place, asked.transform)
        self._pictures.ask(question)

    def _follow_drag(self) -> None:
        """Ask for the picture with the landmarks where they are this moment."""
        if self._pictures.is_busy:
            self._is_behind = True  # asked as soon as the one in the making is there
        elif self._ask_moved(is_sharp=False):
            # the landmark and its picture are drawn together: once, not one after the other
            self._session.canvases.hold_window(_MOST_HELD_MS)

    def _on_rested(self) -> None:
        self._is_behind = False
        self._ask_moved(is_sharp=True)

    def _ask_moved(self, *, is_sharp: bool) -> bool:
        """Ask for the picture with the landmarks where they are; whether there is one."""
        asked = self._wanted()
        if asked is None or asked.fit is None:
            return False  # what the images gave holds until the landmarks are read
        moved = moved_landmarks(self._session, asked.fit)
        if moved is None:
            return False
        if not is_sharp:
            most = affordable_pixels(self._shown, _DRAG_BUDGET_S)
            asked = replace(asked, most_pixels=most)
        self._asked = ()  # what is asked next is another picture
        self._pictures.ask(asked.question(self._held, moved))
        return True

    def _wanted(self) -> Wanted | None:
        if not self._is_on or self._lifeline.is_over or self._canvas is None:
            return None
        layer = self.layer
        if layer is not None and not layer.visible:
            return None  # nobody looks
        found = wanted(self._session, self._canvas, self._moving, self._channel)
        if isinstance(found, str):
            self._say(found)
            return None
        self._say("")
        return found

    def _look_again(self) -> None:
        """Refresh where the canvas shows something else than it did."""
        viewer, layer = self._session.viewer, self.layer
        if viewer is None or self._canvas is None:
            return
        camera, dims = viewer.scene.camera, viewer.dims
        size, is_seen = self._canvas.size(), layer is not None and layer.visible
        seen = (camera.center, camera.zoom, dims.point, dims.order, dims.ndisplay, size, is_seen)
        if seen != self._seen:
            self._seen = seen
            self.refresh()

    def _show(self, question: ViewQuestion, picture: Picture) -> None:  # noqa: ARG002 - Qt's
        if not self._is_on or self._lifeline.is_over:
            return
        self._shown = picture
        self._put()
        self._session.canvases.release_window()
        self.refreshed.emit(picture)

    def _on_idle(self) -> None:
        if self._is_behind:
            self._is_behind = False
            self._ask_moved(is_sharp=False)

    def _put(self) -> None:
        shown, fixed = self._shown, self._session.image_layer("fixed")
        viewer = self._session.viewer
        if shown is None or fixed is None or viewer is None:
            return
        values = shown_values(shown.values, shown.plane, self._current_look(fixed))
        layer = self.layer
        if layer is not None and layer.ndim == min(fixed.ndim, 3):
            put(layer, values, shown.plane, fixed)
            return
        self._add(values, shown, fixed)

    def _add(self, values: NDArray[np.float32], shown: Picture, fixed: Layer) -> None:
        viewer = self._session.viewer
        if viewer is None:
            return
        layer = Image(**add_argument(values, shown.plane, fixed, shown.frame, self._contrast()))
        self._dress(layer)
        self._layer = weakref.ref(layer)
        if self._kept is not None:
            self._add_as_kept(layer)
            return
        for other in self._session.result_layers():
            other.visible = False  # it would lie over, or under, the live one
        self._session.add_result(layer)
        insert_below(self._session, layer)
        show_view(self._session, "both")
        for other in self._session.result_layers():
            other.visible = other is layer
        self._run_flicker()

    def _add_as_kept(self, layer: Image) -> None:
        kept, self._kept = self._kept or {}, None
        if kept.get("contrast"):
            layer.contrast_limits = kept["contrast"]
        layer.visible = kept.get("visible") is not False
        self._session.add_result(layer)
        insert_below(self._session, layer)
        self._run_flicker()

    def _current_look(self, fixed: Layer) -> Look:
        if self._look.mode != "curtain" or self._canvas is None:
            return self._look
        return replace(self._look, edge=self._canvas.edge_um(fixed, self._edge_at))

    def _dress(self, layer: Image) -> None:
        wear(layer, self._look.mode, self._session.channel_layers("fixed"))

    def _moving_layer(self) -> Layer | None:
        """The layer of the moving channel that is shown."""
        for layer in self._session.channel_layers("moving"):
            tag = tag_of(layer)
            if not isinstance(tag, ImageTag) or tag.channel == self._channel:
                return layer
        return None

    def _contrast(self) -> tuple[float, float]:
        """The user's contrast of the moving image; else one from a little of it."""
        layer = self._moving_layer()
        if isinstance(layer, Image) and not layer.rgb:
            low, high = layer.contrast_limits
            return float(low), float(high)
        if self._moving is None:
            return 0.0, 1.0
        return display_range(self._moving, min(self._channel, len(self._moving.channels) - 1))

    def _run_flicker(self) -> None:
        if self._is_on and self._look.mode == "flicker":
            self._flicker.start()
        else:
            self._flicker.stop()

    def _blink(self) -> None:
        layer = self.layer
        if layer is not None:
            layer.opacity = 0.0 if layer.opacity else 1.0

    def _on_images(self) -> None:
        if not self._is_on:
            return
        try:
            moving = self._session.image("moving")
        except BridgecorrError as error:
            self._moving = None
            self._say(str(error))
            return
        before = self._moving
        if (
            moving is None
            or before is None
            or moving.levels[0].name != before.levels[0].name
            or not same_place(moving.grid.index_to_world, before.grid.index_to_world)
        ):
            self._moving = moving
        self._put()  # the fixed image may have got another unit
        self.refresh()

    def _on_layers(self) -> None:
        viewer, layer = self._session.viewer, self.layer
        if not self._is_on or self._shown is None or viewer is None:
            return
        if layer is None or layer not in viewer.layers:
            self.stop()  # the user has deleted it: that is an answer

    def _say(self, why: str) -> None:
        if why != self._note:
            self._note = why
            self.changed.emit()
