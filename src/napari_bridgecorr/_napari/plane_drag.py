"""Dragging the plane in a slice: the line shifts it along its normal, an end tilts it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..workflow.plane_draft import PlaneDraft, shifted_by, swung

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from .lifeline import Lifeline
    from .plane_bench import PlaneBench
    from .plane_layers import PlaneLayers

FloatArray = NDArray[np.float64]

_GRAB_PX = 9.0


class PlaneDrag:
    """Hears drags on the canvas that shows the plane while it is switched on.

    Parameters
    ----------
    bench : PlaneBench
    layers : PlaneLayers
    lifeline : Lifeline
    """

    def __init__(self, bench: PlaneBench, layers: PlaneLayers, lifeline: Lifeline) -> None:
        self._bench, self._layers = bench, layers
        self._heard: weakref.ref[ViewerModel] | None = None
        lifeline.at_end(self._let_go)

    @property
    def is_on(self) -> bool:
        """Whether drags are heard."""
        return self._heard is not None

    def switch(self, on: bool) -> bool:
        """Hear drags, or no longer; whether they are heard now."""
        self._let_go()
        canvas, outline = self._layers.canvas, self._layers.layer("outline")
        if on and canvas is not None and outline is not None:
            canvas.mouse_drag_callbacks.append(self._on_drag)
            canvas.layers.selection.active = outline
            self._heard = weakref.ref(canvas)
        return self.is_on

    def _let_go(self) -> None:
        canvas = None if self._heard is None else self._heard()
        self._heard = None
        if canvas is not None and self._on_drag in canvas.mouse_drag_callbacks:
            canvas.mouse_drag_callbacks.remove(self._on_drag)

    def _on_drag(self, canvas: ViewerModel, event: Any) -> Iterator[None]:
        trace, start = self._layers.trace.copy(), self._layers.in_um(event.position)
        outline = self._layers.layer("outline")
        if not len(trace) or event.button != 1 or canvas.layers.selection.active is not outline:
            return
        reach = _GRAB_PX * self._layers.um_per_pixel()
        far = np.linalg.norm(trace - start, axis=1)
        end = int(np.argmin(far)) if far.min() <= reach else None
        if end is None and _distance(trace, start) > reach:
            return
        draft, goes_on = self._bench.draft, False
        camera = canvas.scene.camera
        could_pan, camera.mouse_pan = camera.mouse_pan, False
        try:
            yield
            while event.type == "mouse_move":
                here = self._layers.in_um(event.position)
                if end is None:
                    made = shifted_by(draft, self._layers.frame[:3, :3] @ (here - start))
                else:
                    made = self._tilted(draft, trace, end, here)
                self._bench.change(made, "shift" if end is None else "tilt", goes_on=goes_on)
                goes_on = True  # one drag is one step
                yield
        finally:
            camera.mouse_pan = could_pan

    def _tilted(
        self, draft: PlaneDraft, trace: FloatArray, end: int, here: FloatArray
    ) -> PlaneDraft:
        """The plane whose line turns about its middle so that its end points to a place."""
        frame, middle = self._layers.frame, trace.mean(axis=0)
        before, after = (frame[:3, :3] @ (p - middle) for p in (trace[end], here))
        axis = np.cross(before, after)
        if np.linalg.norm(axis) < 1e-9 * np.linalg.norm(before) * max(np.linalg.norm(after), 1e-9):
            return draft
        angle = np.arctan2(np.linalg.norm(axis), float(before @ after))
        pivot = frame[:3, :3] @ middle + frame[:3, 3]
        return swung(draft, pivot, axis, float(np.rad2deg(angle)))


def _distance(trace: FloatArray, point: FloatArray) -> float:
    """From a point to the stretch between two others."""
    along = trace[1] - trace[0]
    share = float(np.clip((point - trace[0]) @ along / max(float(along @ along), 1e-30), 0, 1))
    return float(np.linalg.norm(point - trace[0] - share * along))
