"""What colour the landmarks are drawn in: their side's or their error's, fainter off the plane.

These colours are the panel's, not the layer's: whoever keeps, copies or compares the looks of a
layer asks :func:`unpainted` for them. They are given back when the panel is closed.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.compat import isalive

from .error_colours import error_rgb
from .frames import LandmarkTag, shown_matrix, spatial_points, tag_of, um_per
from .keyboard import native_of
from .landmark_layers import SIDES, raw_ids
from .landmark_marks import is_in_view
from .landmark_rows import rows_of
from .turns import Turns

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.utils.events import Event

    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

FloatArray = NDArray[np.float64]
Measure = Literal["side", "residual", "left_out", "predicted"]

MEASURES: tuple[tuple[Measure, str], ...] = (
    ("side", "Colour by image"),
    ("residual", "Colour by residual"),
    ("left_out", "Colour by left-out error"),
    ("predicted", "Colour by predicted error"),
)
COLOUR_LOOKS = ("face_color", "border_color")
# what is left of a mark at the end of the depth that is shown
_FAINTEST = 0.4
# napari keeps colours as float32
_SAME = 1e-4


@dataclass(eq=False)
class _Painted:
    """Of one layer: how its points look by themselves, and as they were painted."""

    ids: list[str] = field(default_factory=list)
    own: dict[str, FloatArray] = field(default_factory=dict)
    drawn: dict[str, FloatArray] = field(default_factory=dict)
    again: Callable[[], None] | None = None


_painted: weakref.WeakKeyDictionary[Points, _Painted] = weakref.WeakKeyDictionary()


def unpainted(layer: Points, name: str) -> Any:
    """A look of a layer's points as it is without what the panel paints; any other as it is."""
    now = np.array(getattr(layer, name))
    record = _painted.get(layer)
    if record is None or name not in COLOUR_LOOKS or name not in record.drawn:
        return now
    own, drawn = record.own[name], record.drawn[name]
    ids = raw_ids(layer)
    if ids == record.ids and now.shape == drawn.shape:
        return np.where(_alike(now, drawn)[:, None], own, now)
    at = {name: row for row, name in enumerate(record.ids)}
    for row, landmark_id in enumerate(ids[: len(now)]):
        before = at.get(landmark_id)
        # a point that was just made has the colours of a selected one, as napari does it
        rows = [before] if before is not None else range(len(drawn))
        same = [k for k in rows if _alike(now[row], drawn[k])]
        if same:
            now[row] = own[same[0]]
    return now


def paint_again(layer: Points) -> None:
    """Paint a layer whose looks were set to those of another."""
    record = _painted.get(layer)
    if record is not None and record.again is not None:
        record.again()


class LandmarkPaint:
    """Paints the landmarks of both sides on their canvases.

    `changed` follows when they mean something else, or another amount.

    Parameters
    ----------
    session : ViewerSession
    lifeline : Lifeline
    """

    changed = Signal()

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        self._session = session
        self.measure: Measure = "side"
        self.typical_um = float("nan")
        self._errors: dict[str, float] = {}
        self._canvases: list[weakref.ref[ViewerModel]] = []
        lifeline.connect(session.canvases.changed, self._listen)
        self._turns = Turns()
        # one click makes all three
        for signal in (session.landmarks_changed, session.judgement_changed, session.fit_changed):
            lifeline.connect(signal, self._refresh_later)
        for signal in (session.layers_changed, session.images_changed):
            lifeline.connect(signal, self.paint)
        lifeline.at_end(self._end)
        self._listen()

    def show(self, measure: Measure) -> None:
        """Let the colours mean another number, or the side."""
        self.measure = measure
        self.refresh()

    def refresh(self) -> None:
        """Find the errors of this moment, and paint."""
        self._errors, self.typical_um = {}, float("nan")
        session = self._session
        if self.measure != "side" and session.fit is not None:
            column = ("residual", "left_out", "predicted").index(self.measure)
            rows = rows_of(session.landmarks, session.fit, session.judgement.result)
            self._errors = {row.landmark.id: row.number[column] for row in rows}
            known = [e for e in self._errors.values() if np.isfinite(e)]
            self.typical_um = float(np.median(known)) if known else float("nan")
            if self.measure == "left_out":  # as the table does
                self.typical_um = session.fit.diagnostics.loo_median_um
        self.paint()
        self.changed.emit()

    def _refresh_later(self) -> None:
        self._turns.add("refresh", self.refresh)

    def paint(self, *, is_drawn_anyway: bool = False, dims: object = None) -> None:
        """Paint what each canvas, or that of some `dims`, shows; not where napari is about to."""
        for side in SIDES:
            canvas = self._session.canvas_of(side)
            if canvas is not None and dims is not None and canvas.dims is not dims:
                continue
            layer = self._session.canvases.drawn(self._session.point_layer(side), side)
            if canvas is not None and isinstance(layer, Points) and layer.ndim == 3:
                unit = self._session.unknown_units()[SIDES.index(side)]
                self._paint(layer, canvas, unit, is_drawn_anyway)

    # -- inside ----------------------------------------------------------------------------------

    def _paint(
        self, layer: Points, canvas: ViewerModel, unit: float, is_drawn_anyway: bool
    ) -> None:
        if not len(layer.data):
            _painted.pop(layer, None)
            return
        ids = raw_ids(layer)
        own = {name: unpainted(layer, name) for name in COLOUR_LOOKS}
        strength = np.ones(len(ids))
        if isinstance(tag_of(layer), LandmarkTag):
            strength = _strength(layer, canvas, unit)
        drawn = {name: np.array(colours) for name, colours in own.items()}
        if self.measure != "side":
            errors = [self._errors.get(name, float("nan")) for name in ids]
            rgb = error_rgb(errors, self.typical_um) / 255
            for colours in drawn.values():
                colours[:, :3] = rgb
        for colours in drawn.values():
            colours[:, 3] *= strength
        record = _painted.setdefault(layer, _Painted())
        record.ids, record.own, record.drawn = ids, own, drawn
        record.again = _weak(self)
        _set_colours(layer, drawn, is_drawn_anyway)

    def _listen(self) -> None:
        """Follow the planes of the canvases that are there."""
        self._deafen()
        canvases = {id(c): c for c in map(self._session.canvas_of, SIDES) if c is not None}
        for canvas in canvases.values():
            for emitter in _plane_emitters(canvas):
                emitter.connect(self._on_plane, position="first")
            self._canvases.append(weakref.ref(canvas))
        self.paint()

    def _deafen(self) -> None:
        for reference in self._canvases:
            canvas = reference()
            if canvas is not None:
                for emitter in _plane_emitters(canvas):
                    emitter.disconnect(self._on_plane)
        self._canvases.clear()

    def _on_plane(self, event: Event) -> None:
        self.paint(is_drawn_anyway=True, dims=event.source)  # the canvas is sliced after this

    def _end(self) -> None:
        self._turns.drop()
        self._deafen()
        viewer = self._session.viewer
        if viewer is None:
            return
        native = native_of(viewer)
        for layer in viewer.layers:
            if isinstance(layer, Points) and layer in _painted:
                own = {name: unpainted(layer, name) for name in COLOUR_LOOKS}
                _painted.pop(layer)
                # of a window that is being closed the canvas may be gone: nothing is drawn there
                _set_colours(layer, own, is_drawn_anyway=native is None or not isalive(native))


def _strength(layer: Points, canvas: ViewerModel, unit: float) -> FloatArray:
    """(n,) what is left of each mark: 1 in the plane shown, least where it is hardly shown."""
    n, dims = canvas.dims.ndim, canvas.dims
    hidden = [axis for axis in dims.not_displayed if axis >= n - 3]
    if n < 3 or not hidden:
        return np.ones(len(layer.data))
    matrix = shown_matrix(layer, unit)
    shown_um = spatial_points(layer.data) @ matrix[:3, :3].T + matrix[:3, 3]
    units = canvas.layers.extent.units
    share = np.zeros(len(shown_um))
    for axis in hidden:
        margin, spatial = float(dims.margin_left[axis]), axis - (n - 3)
        if margin > 0:
            per = 1.0 if units is None else um_per(units[axis])
            off = np.abs(shown_um[:, spatial] / per - dims.point[axis])
            share = np.maximum(share, off / margin)
    return 1 - (1 - _FAINTEST) * np.clip(share, 0, 1)


def _set_colours(
    layer: Points, colours: dict[str, FloatArray], is_drawn_anyway: bool = False
) -> None:
    """Draw in these colours; nobody takes it for a change of the layer's look."""
    with ExitStack() as quiet:
        for name, manager in (("face_color", layer._face), ("border_color", layer._border)):
            quiet.enter_context(layer.events.emitters[name].blocker())
            if is_drawn_anyway or not is_in_view(layer):
                # as in landmark_marks: what none sees must not be drawn anew
                quiet.enter_context(manager.events.blocker_all())
        for name, wanted in colours.items():
            if not np.all(_alike(np.array(getattr(layer, name)), wanted)):
                setattr(layer, name, wanted)


def _plane_emitters(canvas: ViewerModel) -> tuple[Any, ...]:
    events = canvas.dims.events
    return events.point, events.ndisplay, events.order, events.margin_left


def _alike(a: FloatArray, b: FloatArray) -> Any:
    return np.all(np.abs(a - b) <= _SAME, axis=-1)


def _weak(painter: LandmarkPaint) -> Callable[[], None]:
    reference = weakref.ref(painter)

    def again() -> None:
        alive = reference()
        if alive is not None:
            alive.paint()

    return again
