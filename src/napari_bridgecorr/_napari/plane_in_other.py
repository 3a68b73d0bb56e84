"""The reference plane in the view of the other image: where the current map sees it there."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Vectors
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from ..errors import BridgecorrError
from ..geometry.grid import apply_affine
from ..transform.plane_trace import plane_trace
from .frames import METADATA_KEY, SPATIAL_AXES, SPATIAL_UNITS, frame_of, um_per
from .jobs import LatestAnswer
from .plane_layers import COLOUR, LINE_PX

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from ..geometry import Grid, Plane
    from ..landmarks import Side
    from ..transform import Transform
    from .lifeline import Lifeline
    from .plane_bench import PlaneBench
    from .viewer_session import ViewerSession

FloatArray = NDArray[np.float64]

NAME = "plane outline (through the map)"
# of the slice: as fine as a line of some pixels need be, and done in milliseconds
_POINTS = 96
_SETTLE_MS = 60


class OtherPlaneTag:
    """What the layer remembers: that a panel drew it."""


@dataclass(frozen=True, eq=False)
class _Question:
    transform: Transform
    is_backwards: bool
    plane: Plane
    within: Grid
    frame: FloatArray
    sheet: FloatArray


class PlaneInOther:
    """Draws the plane on the slice that the other image's view shows, as the map has it.

    Signals (in the GUI thread): `changed` (what is drawn, or why nothing is).

    Parameters
    ----------
    session : ViewerSession
    bench : PlaneBench
    lifeline : Lifeline
    """

    changed = Signal()

    def __init__(self, session: ViewerSession, bench: PlaneBench, lifeline: Lifeline) -> None:
        self._session, self._bench, self._lifeline = session, bench, lifeline
        self._layer: weakref.ref[Vectors] | None = None
        self._canvas: weakref.ref[ViewerModel] | None = None
        self._is_drawing = False
        self.note = ""
        """What is drawn where, or what is lacking; "" where there is no other image."""
        self._answers = LatestAnswer()
        self._answers.answered.connect(self._show)
        self._answers.failed.connect(self._say)
        self._settle = QTimer()
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self.refresh)
        for signal in (
            bench.changed,
            bench.image_changed,
            session.canvases.changed,
            session.images_changed,
            session.layers_changed,
            session.fit_changed,
            session.maps.changed,
        ):
            lifeline.connect(signal, self._on_changed)
        lifeline.at_end(self._end)

    @property
    def layer(self) -> Vectors | None:
        """The layer; None while there is none."""
        made = None if self._layer is None else self._layer()
        canvas = self.canvas
        return made if canvas is not None and made in canvas.layers else None

    @property
    def canvas(self) -> ViewerModel | None:
        """Where it is drawn."""
        return None if self._canvas is None else self._canvas()

    @property
    def is_busy(self) -> bool:
        """Whether a line is being worked out."""
        return self._settle.isActive() or self._answers.is_busy

    def _on_changed(self, *_: object) -> None:
        if not self._is_drawing and not self._settle.isActive():
            self._settle.start()

    # -- asking ----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Ask for the line on the slice that is shown now."""
        if self._lifeline.is_over:
            return
        side = self._bench.side
        other: Side | None = None if side is None else ("moving" if side == "fixed" else "fixed")
        layer = None if other is None else self._session.image_layer(other)
        canvas = None if other is None or layer is None else self._session.canvas_of(other)
        if canvas is not self.canvas:
            self._leave()
            if canvas is not None:
                self._enter(canvas)
        if other is None or layer is None or canvas is None:
            self._hide("")
            return
        found = self._question(other, layer, canvas)
        if isinstance(found, str):
            self._hide(found)
            return
        self._answers.ask(partial(_pieces, found))

    def _question(self, other: Side, layer: Layer, canvas: ViewerModel) -> _Question | str:
        plane, made = self._bench.plane, self._session.image_map() or self._session.fit
        if plane is None:
            return ""
        if made is None:
            return f"The {other} view shows the plane as soon as landmarks give a map."
        try:
            within, image = self._bench.image().grid, self._session.image(other)
        except BridgecorrError:
            return ""  # step 1 says what is wrong with it
        if image is None or not self._is_seen(other):
            return ""
        hidden = [axis - (canvas.dims.ndim - 3) for axis in canvas.dims.not_displayed]
        hidden = [axis for axis in hidden if axis >= 0]
        if len(hidden) != 1 or canvas.dims.ndisplay == 3:
            return f"The {other} view shows the plane on its slices: leave the 3-D view there."
        frame = frame_of(layer)
        box = apply_affine(np.linalg.inv(frame), image.grid.corners())
        place = np.asarray(canvas.dims.point, dtype=np.float64)[-3:] * _um_per_unit(canvas)
        sheet = np.empty((_POINTS, _POINTS, 3))
        a, b = (axis for axis in range(3) if axis != hidden[0])
        low, high = box.min(axis=0), box.max(axis=0)
        sheet[..., hidden[0]] = place[hidden[0]]
        sheet[..., a] = np.linspace(low[a], high[a], _POINTS)[:, None]
        sheet[..., b] = np.linspace(low[b], high[b], _POINTS)[None]
        return _Question(made.transform, other == "moving", plane, within, frame, sheet)

    def _is_seen(self, other: Side) -> bool:
        """Whether the view is the other image's: of one canvas, when the plane's is hidden."""
        drawn = self._session.canvases.drawn
        shown = [drawn(i, other) for i in self._session.channel_layers(other)]
        if not any(i is not None and i.visible for i in shown):
            return False
        is_shared = self._session.canvases.second is None
        return not (is_shared and any(i.visible for i in self._bench.channel_layers()))

    # -- showing ---------------------------------------------------------------------------------

    def _show(self, pieces: FloatArray) -> None:
        canvas, side = self.canvas, self._bench.side
        if canvas is None or side is None or self._lifeline.is_over:
            return
        other = "moving" if side == "fixed" else "fixed"
        if not len(pieces):
            self._hide(f"The plane does not cross the slice of the {other} image.")
            return
        image = self._session.image_layer("moving" if side == "fixed" else "fixed")
        # napari's sliders step by the smallest scale of any layer
        scale = 1.0 if image is None else float(np.abs(np.asarray(image.scale)[-3:]).min())
        scale *= 1.0 if image is None else um_per(str(image.units[-1]))
        per_pixel = float(_um_per_unit(canvas)[-1]) / max(float(canvas.scene.camera.zoom), 1e-12)
        data = np.stack([pieces[:, 0], pieces[:, 1] - pieces[:, 0]], axis=1) / scale
        width = LINE_PX * per_pixel / scale
        self._is_drawing = True
        try:
            layer = self.layer
            if layer is None or not np.allclose(layer.scale, scale):
                self._remove()
                layer = self._make(canvas, data, scale, width)
            else:
                layer.data = data
                layer.edge_width = width
            layer.visible = True
        finally:
            self._is_drawing = False
        self._say(f"In the {other} view the amber line is this plane, through the current map.")

    def _make(self, canvas: ViewerModel, data: FloatArray, scale: float, width: float) -> Vectors:
        layer = Vectors(
            data,
            name=NAME,
            ndim=3,
            scale=(scale,) * 3,
            units=SPATIAL_UNITS,
            axis_labels=SPATIAL_AXES,
            edge_color=COLOUR,
            edge_width=width,
            vector_style="line",
            projection_mode="all",
            metadata={METADATA_KEY: OtherPlaneTag()},
        )
        self._layer = weakref.ref(layer)
        active = canvas.layers.selection.active
        canvas.layers.append(layer)
        canvas.layers.selection.active = active
        return layer

    def _hide(self, why: str) -> None:
        self._answers.drop()
        layer = self.layer
        if layer is not None and layer.visible:
            layer.visible = False
        self._say(why)

    def _say(self, note: str) -> None:
        if note != self.note:
            self.note = note
            self.changed.emit()

    # -- coming and going ------------------------------------------------------------------------

    def _enter(self, canvas: ViewerModel) -> None:
        self._canvas = weakref.ref(canvas)
        for emitter in _emitters(canvas):
            emitter.connect(self._on_changed)

    def _leave(self) -> None:
        canvas = self.canvas
        if canvas is not None:
            for emitter in _emitters(canvas):
                emitter.disconnect(self._on_changed)
        self._remove()
        self._canvas = None

    def _remove(self) -> None:
        layer, canvas = self.layer, self.canvas
        if layer is not None and canvas is not None:
            active = canvas.layers.selection.active
            canvas.layers.remove(layer)
            if active is not layer and active in canvas.layers:
                canvas.layers.selection.active = active
        self._layer = None

    def _end(self) -> None:
        self._answers.drop()
        if isalive(self._settle):
            self._settle.stop()
        self._leave()


def _emitters(canvas: ViewerModel) -> tuple[Any, ...]:
    dims = canvas.dims.events
    return dims.point, dims.ndisplay, dims.order, canvas.scene.camera.events.zoom


def _um_per_unit(canvas: ViewerModel) -> FloatArray:
    units = canvas.layers.extent.units
    if units is None or len(units) < 3:
        return np.ones(3)
    return np.array([um_per(str(u)) for u in units[-3:]])


def _pieces(asked: _Question) -> FloatArray:
    """For a job's thread: the line's pieces as the view shows them, in um."""
    transform = asked.transform.inverse() if asked.is_backwards else asked.transform
    shape = asked.sheet.shape
    world = apply_affine(asked.frame, asked.sheet.reshape(-1, 3)).reshape(shape)
    found = plane_trace(transform, asked.plane, asked.within, world)
    back = apply_affine(np.linalg.inv(asked.frame), found.reshape(-1, 3))
    return np.asarray(back, dtype=np.float64).reshape(found.shape)
