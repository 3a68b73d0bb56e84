"""What a viewer's canvas shows now, as a plane of the fixed image's frame."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, cast

import numpy as np
from napari.qt import QtViewer
from qtpy.compat import isalive
from qtpy.QtWidgets import QApplication, QWidget

from ..geometry.view import Axis, ShownPlane, shown_plane
from .frames import shown_matrix, um_per

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer
    from numpy.typing import NDArray

# a layer whose axes lie so askew in the canvas (relative to a voxel) is not shown plane by plane
_ASKEW = 1e-6


class CanvasView:
    """Looks at one viewer's canvas, whose size napari tells nobody.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Held by weak reference.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = weakref.ref(viewer)
        self._canvas: weakref.ref[QtViewer] | None = None

    def plane(self, layer: Layer) -> ShownPlane | None:
        """The part of a layer's plane that the canvas shows, its pixels those of the screen.

        Parameters
        ----------
        layer : napari layer
            The fixed image's.

        Returns
        -------
        ShownPlane or None
            None in 3-D, where time is an axis of the screen, where the layer does not lie along
            the canvas's axes, and where nothing of it is seen.
        """
        viewer, size = self._viewer(), self.size()
        if viewer is None or size is None:
            return None
        n, displayed = viewer.dims.ndim, viewer.dims.displayed
        spatial = [axis + 3 - n for axis in displayed]
        if len(displayed) != 2 or min(spatial) < 0:
            return None
        axis = cast("Axis", ({0, 1, 2} - set(spatial)).pop())
        um = um_per_canvas_unit(viewer, layer)
        matrix = shown_matrix(layer, 1.0)
        if not _is_straight(matrix):
            return None
        view = np.zeros((2, 3))
        zoom = viewer.scene.camera.zoom
        centre = viewer.scene.camera.center[-2:]
        for place, pixels, where in zip(spatial, size, centre, strict=True):
            half = pixels / zoom / 2
            view[:, place] = np.array([where - half, where + half]) * um[place]
        shape = _spatial_shape(layer)
        ends = np.array([[-0.5] * 3, [s - 0.5 for s in shape]])
        bounds = ends * np.diag(matrix)[:3] + matrix[:3, 3]
        index = 0.0  # a flat layer is shown whatever the slider says
        if layer.ndim >= 3:
            point = viewer.dims.point[axis + n - 3] * um[axis]
            index = np.round((point - matrix[axis, 3]) / matrix[axis, axis])
        if not 0 <= index < shape[axis]:
            return None
        return shown_plane(
            np.sort(bounds, axis=0),
            view,
            axis,
            float(index * matrix[axis, axis] + matrix[axis, 3]),
            float(abs(matrix[axis, axis])),
            float(um[spatial[1]] / zoom),
        )

    def edge_um(self, layer: Layer, fraction: float) -> tuple[int, float] | None:
        """Which canvas axis (0-2) runs across the screen, and where a fraction of it lies (um)."""
        viewer, size = self._viewer(), self.size()
        if viewer is None or size is None:
            return None
        axis = viewer.dims.displayed[-1] + 3 - viewer.dims.ndim
        width = size[1] / viewer.scene.camera.zoom
        place = viewer.scene.camera.center[-1] + (fraction - 0.5) * width
        return axis, float(place * um_per_canvas_unit(viewer, layer)[axis])

    def size(self) -> tuple[int, int] | None:
        """Height and width of the canvas in pixels."""
        canvas = self._qt_viewer()
        if canvas is None:
            return None
        height, width = canvas.canvas.size
        return int(height), int(width)

    def native(self) -> QWidget | None:
        """The widget that is drawn on."""
        canvas = self._qt_viewer()
        return None if canvas is None else canvas.canvas.native

    def _qt_viewer(self) -> QtViewer | None:
        canvas = None if self._canvas is None else self._canvas()
        viewer = self._viewer()
        if viewer is None:
            return None
        if canvas is None or not isalive(canvas):
            found = [
                w
                for w in QApplication.allWidgets()
                if isinstance(w, QtViewer) and w.viewer is viewer
            ]
            if not found:
                return None
            canvas = found[0]
            self._canvas = weakref.ref(canvas)
        return canvas


def um_per_canvas_unit(viewer: Viewer, layer: Layer) -> NDArray[np.float64]:
    """(3,) micrometres per unit of the canvas's z, y, x.

    Where one layer states no unit napari takes everybody's numbers as they are.
    """
    units = viewer.layers.extent.units
    if units is None or len(units) < min(3, viewer.dims.ndim):
        units = layer.units
    found = [um_per(u) for u in units[-3:]]
    return np.array([1.0] * (3 - len(found)) + found)


def _is_straight(matrix: NDArray[np.float64]) -> bool:
    linear = matrix[:3, :3]
    off = linear - np.diag(np.diag(linear))
    return bool(np.all(np.abs(off) <= _ASKEW * np.linalg.norm(linear, axis=0).min()))


def _spatial_shape(layer: Layer) -> tuple[int, int, int]:
    """Voxels along z, y, x at full resolution."""
    shape = layer.data.shape  # of several levels napari tells the first one's
    if getattr(layer, "rgb", False):
        shape = shape[:-1]
    z, y, x = (*(1,) * (3 - len(shape)), *shape)[-3:]
    return int(z), int(y), int(x)
