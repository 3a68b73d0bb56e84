"""The plane in the view: the points and lines that it is made from, and its outline.

All of them are layers of the canvas that shows the image, drawn in the image's frame. They mark no
landmarks and are no part of what is saved of a window: the plane is, and draws them again.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Points, Shapes
from napari.layers.base import ActionType
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from ..errors import BridgecorrError
from ..geometry.grid import apply_affine
from ..geometry.plane_outline import cut_polygon, plane_outline
from ..workflow.plane_draft import Line, points_of, with_lines, with_points
from .frames import METADATA_KEY, SPATIAL_AXES, SPATIAL_UNITS, frame_of, um_per

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.utils.events import Event

    from .lifeline import Lifeline
    from .plane_bench import PlaneBench
    from .viewer_session import ViewerSession

FloatArray = NDArray[np.float64]
Kind = Literal["points", "lines", "outline"]

# amber, apart from the landmarks' colours for colour-blind eyes too
COLOUR = "#ffb000"
NAMES: dict[Kind, str] = {
    "points": "plane points",
    "lines": "plane lines",
    "outline": "plane outline",
}
LINE_PX, HANDLE_PX = 2.5, 9.0
_DRAWN: tuple[Literal["points", "lines"], ...] = ("points", "lines")
_ENDED = (ActionType.ADDED, ActionType.CHANGED, ActionType.REMOVED)


@dataclass(frozen=True, eq=False)
class PlaneTag:
    """What such a layer remembers (in ``layer.metadata["bridgecorr"]``)."""

    kind: Kind


class PlaneLayers:
    """Keeps the layers as the bench has the plane, and tells the bench what is done to them.

    Parameters
    ----------
    session : ViewerSession
    bench : PlaneBench
    lifeline : Lifeline
    """

    def __init__(self, session: ViewerSession, bench: PlaneBench, lifeline: Lifeline) -> None:
        self._session, self._bench = session, bench
        self._layers: dict[Kind, weakref.ref[Layer]] = {}
        self._canvas: weakref.ref[ViewerModel] | None = None
        self._is_writing = self._is_refreshing = False
        self._may_make = True
        self._is_over = False
        self.trace: FloatArray = np.empty((0, 3))
        """(2, 3) ends of the line that plane and slice share, in the canvas' frame in um."""
        self._drawn: tuple[Any, ...] = ()
        self._later = QTimer()
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self.refresh)
        for signal in (bench.changed, bench.image_changed, session.canvases.changed):
            lifeline.connect(signal, self.refresh)
        for signal in (session.images_changed, session.layers_changed):
            lifeline.connect(signal, self._follow)
        lifeline.at_end(self._end)

    # -- clicking and drawing --------------------------------------------------------------------

    def layer(self, kind: Kind) -> Any:
        """The layer of a kind; None if there is none."""
        found, canvas = self._layers.get(kind), self.canvas
        made = None if found is None else found()
        return made if canvas is not None and made in canvas.layers else None

    @property
    def canvas(self) -> ViewerModel | None:
        """Where the layers are."""
        return None if self._canvas is None else self._canvas()

    def place(self, kind: Literal["points", "lines"], on: bool) -> None:
        """Let clicks place points, or drags draw lines; or let them move the view again."""
        self.refresh()
        canvas = self.canvas
        if canvas is None or self._bench.layer is None:
            return
        layer = self.layer(kind)
        if on and layer is None:
            layer = self._make(kind)
        if layer is None:
            return
        if on:
            canvas.layers.selection.active = layer
        layer.mode = ("add" if kind == "points" else "add_line") if on else "pan_zoom"

    @property
    def is_drawing(self) -> bool:
        """Whether clicks go to points or lines."""
        return any(str(getattr(self.layer(k), "mode", "")).startswith("add") for k in _DRAWN)

    @property
    def frame(self) -> FloatArray:
        """(4, 4) from where the image is shown (um) to the world."""
        layer = self._bench.layer
        return np.eye(4) if layer is None else frame_of(layer)

    # -- showing ---------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the plane as it is now, where the image is shown now."""
        self._refresh_once(may_make=True)

    def _follow(self) -> None:
        """As `refresh`; a layer that was taken out stays out until the plane changes.

        A window that is closed takes out its layers one by one.
        """
        self._refresh_once(may_make=False)

    def _refresh_once(self, *, may_make: bool) -> None:
        if self._is_over or self._is_refreshing:
            return
        self._is_refreshing = True  # a layer that is added makes the session tell of it
        self._may_make = may_make
        try:
            self._refresh()
        finally:
            self._is_refreshing, self._may_make = False, True

    def _refresh(self) -> None:
        wanted = self._bench.canvas() if self._bench.layer is not None else None
        if wanted is not self.canvas:
            self._leave()
            if wanted is not None:
                self._enter(wanted)
        if self.canvas is None:
            return
        for kind in _DRAWN:
            self._write(kind)
        self.draw_outline()

    def refresh_look(self) -> None:
        """Hide what is drawn where the image is hidden, and show it again with the image."""
        self._follow()

    def draw_outline(self) -> None:
        """Draw the line that the plane and the slice share; in 3-D all of the plane's outline."""
        canvas = self.canvas
        if canvas is None or self._is_over:
            return
        polygon = self._polygon()
        shapes: list[tuple[FloatArray, str]] = []
        self.trace = np.empty((0, 3))
        n = canvas.dims.ndim
        hidden = [axis - (n - 3) for axis in canvas.dims.not_displayed if axis >= n - 3]
        if len(polygon) and canvas.dims.ndisplay == 3 and not hidden:
            shapes.append((np.concatenate([polygon, polygon[:1]]), "path"))
        elif len(polygon) and len(hidden) == 1:
            axis = hidden[0]
            self.trace = cut_polygon(polygon, axis, self.slice_position(axis))
            if len(self.trace):
                shapes.append((self.trace, "line"))
                shapes += [(square, "polygon") for square in self._handles(axis)]
        self._show(shapes)

    def slice_position(self, axis: int) -> float:
        """Where along an axis (z, y, x) the slice lies that is shown, in the canvas' frame."""
        canvas = self.canvas
        return 0.0 if canvas is None else float(self.in_um(canvas.dims.point)[axis])

    def in_um(self, position: Any) -> FloatArray:
        """(3,) a position of the canvas, in its own units, as (z, y, x) um of its frame."""
        return np.asarray(position, dtype=np.float64)[-3:] * self._um_per_unit()

    def um_per_pixel(self) -> float:
        """Length of a pixel of the screen."""
        canvas = self.canvas
        zoom = 1.0 if canvas is None else float(canvas.scene.camera.zoom)
        return float(self._um_per_unit()[-1]) / max(zoom, 1e-12)

    def _um_per_unit(self) -> FloatArray:
        canvas = self.canvas
        units = None if canvas is None else canvas.layers.extent.units
        if units is None or len(units) < 3:
            return np.ones(3)
        return np.array([um_per(u) for u in units[-3:]])

    # -- inside ----------------------------------------------------------------------------------

    def _polygon(self) -> FloatArray:
        """(n, 3) the plane's outline in the image, in the canvas' frame."""
        plane = self._bench.plane
        if plane is None:
            return np.empty((0, 3))
        try:
            world = plane_outline(self._bench.image().grid, plane)
        except BridgecorrError:
            return np.empty((0, 3))  # the panel says what is wrong with the image
        return apply_affine(np.linalg.inv(self.frame), world) if len(world) else world

    def _handles(self, axis: int) -> list[FloatArray]:
        """Squares at the ends of the trace."""
        half = self.um_per_pixel() * HANDLE_PX / 2
        a, b = (k for k in range(3) if k != axis)
        corners = np.zeros((4, 3))
        corners[:, a], corners[:, b] = (-half, -half, half, half), (-half, half, half, -half)
        return [end + corners for end in self.trace]

    def _show(self, shapes: list[tuple[FloatArray, str]]) -> None:
        scale, width = self._scale(), LINE_PX * self.um_per_pixel()
        is_shown = self._is_image_shown()
        drawn = (scale, width, is_shown, *((kind, data.tobytes()) for data, kind in shapes))
        layer = self.layer("outline")
        if drawn == self._drawn and layer is not None:
            return
        if layer is None:
            # made before it is in view: a change of slice makes no layer
            if self._bench.plane is None or not self._may_make:
                return
            layer = self._make("outline")
        if layer is None:
            return
        self._drawn = drawn
        self._place(layer)
        layer.visible = is_shown
        layer.selected_data = set()
        layer.data = []
        if shapes:
            layer.add(
                [data / scale for data, _ in shapes],
                shape_type=[kind for _, kind in shapes],
                edge_width=width / scale,
                edge_color=COLOUR,
                face_color=[COLOUR if kind == "polygon" else "transparent" for _, kind in shapes],
            )
        layer.selected_data = set()

    def _is_image_shown(self) -> bool:
        """Whether the canvas shows a channel of the image: the plane lies in its frame."""
        side, drawn = self._bench.side or "fixed", self._session.canvases.drawn
        shown = [drawn(layer, side) for layer in self._bench.channel_layers()]
        return any(layer is not None and layer.visible for layer in shown)

    def _write(self, kind: Literal["points", "lines"]) -> None:
        """Show the bench's points or lines in the layer, if that shows others."""
        layer, draft = self.layer(kind), self._bench.draft
        count = len(draft.points_um) if kind == "points" else len(draft.lines_um)
        if layer is None:
            if not count or not self._may_make:
                return
            layer = self._make(kind)
            if layer is None:
                return
        self._place(layer)
        wanted = draft.way == kind and self._is_image_shown()
        if layer.visible != wanted:  # even the same value would end napari's drawing mode
            layer.visible = wanted
        to_data = np.linalg.inv(self.frame)
        self._is_writing = True
        try:
            if kind == "points":
                world = np.array(draft.points_um, dtype=np.float64).reshape(-1, 3)
                data = apply_affine(to_data, world) / self._scale()
                if data.shape != layer.data.shape or not np.allclose(data, layer.data, atol=1e-9):
                    layer.selected_data = set()
                    layer.data = data
            else:
                lines = [apply_affine(to_data, line) / self._scale() for line in draft.lines_um]
                shown = _lines(layer)
                if len(lines) != len(shown) or not all(
                    np.allclose(a, b, atol=1e-9) for a, b in zip(lines, shown, strict=True)
                ):
                    layer.selected_data = set()
                    layer.data = []
                    if lines:
                        width = LINE_PX * self.um_per_pixel() / self._scale()
                        layer.add(lines, shape_type="line", edge_width=width, edge_color=COLOUR)
                    layer.selected_data = set()
        finally:
            self._is_writing = False

    def _on_points(self, event: Event) -> None:
        layer = self.layer("points")
        if self._is_writing or layer is None or event.action not in _ENDED:
            return
        world = apply_affine(self.frame, np.asarray(layer.data)[:, -3:] * self._scale())
        self._bench.change(*with_points(self._bench.draft, points_of(world)))

    def _on_lines(self, event: Event) -> None:
        layer = self.layer("lines")
        if self._is_writing or layer is None or event.action not in _ENDED:
            return
        found: list[Line] = []
        for data in _lines(layer):
            a, b = points_of(apply_affine(self.frame, data * self._scale()))
            if np.linalg.norm(np.subtract(a, b)) > HANDLE_PX * self.um_per_pixel():
                found.append((a, b))
            else:
                self._bench.told.emit("Press, drag and let go: a click alone is no line.", True)
        self._bench.change(*with_lines(self._bench.draft, found))
        # not while napari is in the midst of drawing it
        self._later.start()

    def _scale(self) -> float:
        """What one unit of the layers is, in um: napari's sliders step by the smallest of any."""
        try:
            return self._bench.image().grid.voxel_size_um[0]
        except BridgecorrError:
            return 1.0

    def _place(self, layer: Layer) -> None:
        scale = (self._scale(),) * 3
        if tuple(layer.scale[-3:]) != scale:
            layer.scale = scale

    def _make(self, kind: Kind) -> Any:
        canvas = self.canvas
        if canvas is None:
            return None
        shared: dict[str, Any] = {
            "name": NAMES[kind],
            "ndim": 3,
            "scale": (self._scale(),) * 3,
            "units": SPATIAL_UNITS,
            "axis_labels": SPATIAL_AXES,
            "metadata": {METADATA_KEY: PlaneTag(kind)},
        }
        layer: Layer
        if kind == "points":
            layer = Points(
                None,
                size=max(1.0, 8 * self.um_per_pixel() / self._scale()),
                symbol="diamond",
                face_color="transparent",
                border_color=COLOUR,
                border_width=0.2,
                canvas_size_limits=(10, 24),
                projection_mode="rescale_linear",
                **shared,
            )
            layer.events.data.connect(self._on_points)
        else:
            width = LINE_PX * self.um_per_pixel() / self._scale()
            layer = Shapes(None, edge_color=COLOUR, edge_width=width, **shared)
            layer.current_edge_width = width
            if kind == "lines":
                layer.events.data.connect(self._on_lines)
        if kind != "outline":
            layer.bind_key("Control-Z", self._on_undo_key)
            layer.bind_key("Control-Shift-Z", self._on_redo_key)
        active = canvas.layers.selection.active
        self._layers[kind] = weakref.ref(layer)
        canvas.layers.append(layer)
        canvas.layers.selection.active = active
        return layer

    def _on_undo_key(self, _layer: Any) -> None:
        self._bench.undo()

    def _on_redo_key(self, _layer: Any) -> None:
        self._bench.redo()

    # -- coming and going ------------------------------------------------------------------------

    def _enter(self, canvas: ViewerModel) -> None:
        self._canvas = weakref.ref(canvas)
        for emitter in self._emitters(canvas):
            emitter.connect(self._on_view)

    def _leave(self) -> None:
        canvas = self.canvas
        if canvas is not None:
            for emitter in self._emitters(canvas):
                emitter.disconnect(self._on_view)
            for kind in NAMES:
                layer = self.layer(kind)
                if layer is not None:
                    if kind == "points":
                        layer.events.data.disconnect(self._on_points)
                    elif kind == "lines":
                        layer.events.data.disconnect(self._on_lines)
                    active = canvas.layers.selection.active
                    canvas.layers.remove(layer)
                    if active is not layer and active in canvas.layers:
                        canvas.layers.selection.active = active
        self._layers.clear()
        self._canvas = None
        self._drawn = ()

    @staticmethod
    def _emitters(canvas: ViewerModel) -> tuple[Any, ...]:
        dims, camera = canvas.dims.events, canvas.scene.camera.events
        return dims.point, dims.ndisplay, dims.order, camera.zoom

    def _on_view(self, event: Event) -> None:  # noqa: ARG002 - napari passes it
        if self.layer("outline") is not None:
            self.draw_outline()

    def _end(self) -> None:
        if isalive(self._later):
            self._later.stop()
        self._leave()
        self._is_over = True


def _lines(layer: Shapes) -> list[FloatArray]:
    """(2, 3) ends of each line of a layer, in its own data."""
    pairs = zip(layer.data, layer.shape_type, strict=True)
    return [np.asarray(data)[:, -3:] for data, kind in pairs if str(kind) == "line"]
