"""Two canvases that look at the same place: each follows the other through the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from ..errors import BridgecorrError
from ..geometry.grid import apply_affine
from ..landmarks import Side
from ..transform import Transform
from ..transform.local_view import local_view
from .frames import frame_of, um_per
from .landmark_layers import SIDES

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.utils.events import Event

    from .viewer_session import ViewerSession

# a wheel or a drag makes hundreds of events a second
_THROTTLE_MS = 25
# of what a camera says of itself after it was drawn: it goes through float32
_SAME = 1e-5


class ViewLink:
    """Lets pan, zoom and slice of one side's canvas follow the other's, while switched on.

    Turns and the two directions that do not lie in the picture are left out: the centre of one
    picture is the centre of the other, and one um of tissue is as large there.

    Parameters
    ----------
    session : ViewerSession
        Its `canvas_of` has to give two canvases.
    """

    def __init__(self, session: ViewerSession) -> None:
        self._session = session
        self._canvases: dict[Side, ViewerModel] = {}
        self._leader: Side = "fixed"
        self._is_applying = False
        self._applied: dict[Side, tuple[float, ...]] = {}
        self._inverse: tuple[Transform, Transform] | None = None
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_THROTTLE_MS)

    @property
    def is_on(self) -> bool:
        """Whether the views follow each other."""
        return bool(self._canvases)

    def switch(self, on: bool) -> None:
        """Follow from now on, the moving view first; or no longer."""
        if on == self.is_on:
            return
        if on:
            canvases = {side: self._session.canvas_of(side) for side in SIDES}
            if None in canvases.values() or canvases["fixed"] is canvases["moving"]:
                return
            self._canvases = canvases
            self._timer.timeout.connect(self._follow)
            self._session.fit_changed.connect(self._on_map)
            self._session.maps.changed.connect(self._on_map)
            for canvas in canvases.values():
                for emitter in _emitters(canvas):
                    emitter.connect(self._on_moved)
            self._leader = "fixed"
            self._follow()
            return
        for canvas in self._canvases.values():
            for emitter in _emitters(canvas):
                emitter.disconnect(self._on_moved)
        self._session.fit_changed.disconnect(self._on_map, missing_ok=True)
        self._session.maps.changed.disconnect(self._on_map, missing_ok=True)
        if isalive(self._timer):  # when the interpreter ends Qt's objects go first
            self._timer.stop()
            self._timer.timeout.disconnect(self._follow)
        self._canvases, self._applied, self._inverse = {}, {}, None

    def transform(self, leader: Side) -> Transform | None:
        """The current map from one side to the other; None if there is none."""
        made = self._session.image_map() or self._session.fit
        if made is None:
            return None
        if leader == "fixed":
            return made.transform
        if self._inverse is None or self._inverse[0] is not made.transform:
            try:
                self._inverse = made.transform, made.transform.inverse()
            except BridgecorrError:
                return None
        return self._inverse[1]

    def _on_map(self, *_: object) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _on_moved(self, event: Event) -> None:
        if self._is_applying:
            return
        for side, canvas in self._canvases.items():
            if event.source is canvas.dims or event.source is canvas.scene.camera:
                if _is_same(self._applied.get(side), _state(canvas)):
                    return  # it tells of what it was just given
                self._applied.pop(side, None)
                self._leader = side
        if not self._timer.isActive():
            self._timer.start()

    def _follow(self) -> None:
        """Bring the other canvas to where the leading one looks."""
        if not self._canvases:
            return
        leader = self._leader
        other: Side = "moving" if leader == "fixed" else "fixed"
        transform = self.transform(leader)
        seen = self._looks_at(leader)
        if transform is None or seen is None:
            return
        world, directions = seen
        try:
            found = local_view(transform, world, directions)
        except BridgecorrError:
            return  # it only helps: without it the user moves by hand
        if found is None:
            return
        from_canvas, to_canvas = self._canvases[leader], self._canvases[other]
        per_um = from_canvas.scene.camera.zoom / _um(from_canvas)
        self._is_applying = True
        try:
            look(self._session, other, found.point_um)
            to_canvas.scene.camera.zoom = per_um / found.scale * _um(to_canvas)
        finally:
            self._is_applying = False
        self._applied[other] = _state(to_canvas)

    def _looks_at(self, side: Side) -> tuple[Any, Any] | None:
        """(3,) world um of the centre of a canvas, and its picture's directions in the world."""
        canvas = self._canvases[side]
        layer = self._session.image_layer(side) or self._session.point_layer(side)
        n = canvas.dims.ndim
        if layer is None or n < 2:
            return None
        point = np.array(canvas.dims.point, dtype=np.float64)
        shown = list(canvas.dims.displayed)
        point[shown] = canvas.scene.camera.center[-len(shown) :]
        units = np.ones(3)
        units[3 - min(n, 3) :] = _units(canvas)[-min(n, 3) :]
        place = np.zeros(3)
        place[3 - min(n, 3) :] = point[-min(n, 3) :]
        frame = frame_of(layer)
        axes = [axis - (n - 3) for axis in shown if axis >= n - 3]
        if not axes:
            return None
        return apply_affine(frame, (place * units)[None])[0], frame[:3, :3].T[axes]


def look(session: ViewerSession, side: Side, world_um: Any) -> None:
    """Centre a side's canvas on a world position."""
    from .views import look_at

    look_at(session, side, world_um)


def _emitters(canvas: ViewerModel) -> tuple[Any, ...]:
    camera, dims = canvas.scene.camera.events, canvas.dims.events
    return camera.center, camera.zoom, dims.point, dims.ndisplay, dims.order


def _state(canvas: ViewerModel) -> tuple[float, ...]:
    """Where a canvas looks. Along the axes on the screen napari's sliders stand anywhere."""
    camera, dims = canvas.scene.camera, canvas.dims
    hidden = [float(dims.point[axis]) for axis in dims.not_displayed]
    return (camera.zoom, *camera.center[-dims.ndisplay :], *hidden)


def _is_same(before: tuple[float, ...] | None, now: tuple[float, ...]) -> bool:
    return before is not None and len(before) == len(now) and np.allclose(before, now, _SAME, _SAME)


def _units(canvas: ViewerModel) -> Any:
    """What one unit of each axis of a canvas is in um."""
    units = canvas.layers.extent.units
    if units is None:
        return np.ones(max(canvas.dims.ndim, 3))
    return np.array([um_per(unit) for unit in units])


def _um(canvas: ViewerModel) -> float:
    """What one unit of the picture's axes is in um."""
    return float(_units(canvas)[-1])
