"""What was chosen in the File panel becomes layers of the viewer, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Layer
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer

from ..image import SpatialImage
from ..landmarks import LandmarkSet
from .frames import canvas_position, frame_of
from .landmark_layers import SIDES, landmarks_to_layers, position
from .layers import LayerData, image_of_layer, image_to_layers, tint_colormap
from .outputs import REGISTERED
from .taken_along import points_on_fixed
from .views import fit_layers, is_shown_upright, show_view

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from .outputs import Warped
    from .viewer_session import ViewerSession


class LayerAdder(QObject):
    """Adds layers between the window's other events, so that it stays alive meanwhile.

    Parameters
    ----------
    advanced : callable
        Told how many have been added.
    ended : callable
        Told which layers were added, once, at the end.
    """

    def __init__(
        self, advanced: Callable[[int], None], ended: Callable[[list[Layer]], None]
    ) -> None:
        super().__init__()
        self._advanced, self._ended = advanced, ended
        self._waiting: list[LayerData] = []
        self._added: list[Layer] = []
        self._viewer: Viewer | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._add_next)

    @property
    def is_busy(self) -> bool:
        """Whether layers are still waiting."""
        return self._timer.isActive()

    def add(self, viewer: Viewer, layers: Sequence[LayerData]) -> None:
        """Begin to add layers."""
        self._viewer, self._waiting, self._added = viewer, list(layers), []
        self._timer.start()

    def stop(self) -> None:
        """Add no more; nobody is told."""
        if isalive(self._timer):  # when the interpreter ends Qt's objects go first
            self._timer.stop()
        self._waiting.clear()
        self._viewer = None

    def _add_next(self) -> None:
        if self._waiting and self._viewer is not None:
            data, arguments, kind = self._waiting.pop(0)
            layer = Layer.create(data, arguments, kind)
            self._viewer.add_layer(layer)
            self._added.append(layer)
            self._advanced(len(self._added))
        if not self._waiting:
            self._timer.stop()
            self._viewer = None
            self._ended(self._added)


def show_layers(viewer: Viewer, layers: Sequence[Layer]) -> None:
    """Look at freshly added layers, at the middle plane of the first."""
    visible = [layer for layer in layers if layer.visible]
    if not visible:
        return
    first = visible[0]
    image = image_of_layer(first)
    n = viewer.dims.ndim
    if viewer.dims.ndisplay == 2 and n >= 3:
        middle = (np.asarray(image.grid.shape) - 1) // 2  # a plane that is there
        world = image.grid.to_world(middle)
        shown = canvas_position(viewer, frame_of(first), world)
        hidden = [axis for axis in viewer.dims.not_displayed if axis >= n - 3]
        viewer.dims.set_point(hidden, [float(shown[axis - (n - 3)]) for axis in hidden])
    fit_layers(viewer, visible)


def add_landmarks(session: ViewerSession, landmarks: LandmarkSet) -> int:
    """Add landmarks as Points layers over the images that are open; returns how many layers.

    A side without points gets no layer.
    """
    viewer = session.viewer
    if viewer is None:
        return 0
    frames, scales, sizes = [], [], []
    for side in SIDES:
        layer = session.image_layer(side)
        frame, scale, size = np.eye(4), 1.0, None
        if layer is not None:
            grid = image_of_layer(layer).grid
            frame = frame_of(layer)
            # napari's sliders step by the smallest scale of any layer
            scale, size = grid.voxel_size_um[0], 1.1 * max(grid.voxel_size_um)
        frames.append(frame)
        scales.append(scale)
        sizes.append(size)
    made = landmarks_to_layers(
        landmarks, (frames[0], frames[1]), (sizes[0], sizes[1]), (scales[0], scales[1])
    )
    n_added = 0
    for side, (data, arguments, kind) in zip(SIDES, made, strict=True):
        if any(position(m, side) is not None for m in landmarks):
            layer = Layer.create(data, arguments, kind)
            viewer.add_layer(layer)
            session.set_point_layer(side, layer)
            n_added += 1
    return n_added


def add_warped(session: ViewerSession, image: SpatialImage) -> bool:
    """Add an image that was brought onto the fixed one's grid; whether there was a viewer."""
    viewer, fixed = session.viewer, session.image_layer("fixed")
    if viewer is None:
        return False
    is_upright = fixed is not None and is_shown_upright(fixed)
    for data, arguments, kind in image_to_layers(image, upright=is_upright):
        if kind == "image":
            arguments["colormap"] = tint_colormap(arguments["colormap"])
            arguments["blending"] = "translucent_no_depth"
        layer = Layer.create(data, arguments, kind)
        session.add_result(layer)
        # landmarks and arrows stay on top
        points = [i for side in SIDES if (i := session.point_layer(side)) is not None]
        below = min((viewer.layers.index(i) for i in points), default=len(viewer.layers))
        viewer.layers.insert(below, layer)
    show_view(session, "both")
    return True


def add_taken_along(session: ViewerSession, warped: Warped) -> list[str]:
    """Add the points that went along with a warped image; returns what there is to say of them."""
    viewer, fixed, said = session.viewer, session.image_layer("fixed"), []
    if viewer is None or fixed is None:
        return said
    for (reference, _), world in zip(warped.along.points, warped.points_um, strict=True):
        layer = reference()
        if layer is None or len(layer.data) != len(world):
            continue  # it changed meanwhile
        copy, n_lost = points_on_fixed(layer, world, fixed)
        copy.metadata = {**copy.metadata, REGISTERED: warped.record}
        session.add_result(copy)
        viewer.add_layer(copy)
        lost = f" ({n_lost} of its points have no place there)" if n_lost else ""
        said.append(f"{layer.name}{lost}")
    return said


def image_names(images: Sequence[SpatialImage]) -> str:
    """``TR1 and P1``, or how many."""
    names = [i.name for i in images]
    return " and ".join(names) if len(names) <= 2 else f"{len(names)} images"
