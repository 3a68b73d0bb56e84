"""Planes of images that are not in memory, read off the GUI thread.

napari reads the plane that it shows in the GUI thread, and the window is deaf meanwhile: for half a
second where a plane of a large stack cuts many chunks. (Its own setting for this, "render layers
asynchronously", takes the points along, and then fails on those that were just added: napari 0.9.)
Here a layer's request for a plane is answered at once by a coarse picture of that plane, and by
the sharp one as soon as it is read.
"""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.layers._scalar_field._slice import _ScalarFieldSliceResponse
from napari.utils import resize_dask_cache
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.utils.events import Event

# what is read within this time is shown at once: nobody notices the wait
_AT_ONCE_S = 0.006
# a plane that has been left is not shown for longer: somebody could click on it
_STALE_MS = 150
# the coarsest level of an image is kept in memory up to this size
_COARSE_BYTES = 64 << 20
# napari keeps decoded chunks, by default in a quarter of the machine's memory
_KEPT_BYTES = 256 << 20

_readers = ThreadPoolExecutor(1, thread_name_prefix="bridgecorr planes")


class BackgroundSlices:
    """Lets the images of one canvas be read in the background.

    Parameters
    ----------
    canvas : ViewerModel
        Held by weak reference.
    """

    def __init__(self, canvas: ViewerModel) -> None:
        self._canvas = weakref.ref(canvas)
        self._slicers: dict[int, _LayerSlicer] = {}
        canvas.layers.events.inserted.connect(self._on_inserted)
        canvas.layers.events.removed.connect(self._on_removed)
        for layer in canvas.layers:
            self._follow(layer)

    @property
    def is_busy(self) -> bool:
        """Whether a plane is still to come."""
        return any(slicer.is_busy for slicer in self._slicers.values())

    def end(self) -> None:
        """Let napari read the planes by itself again."""
        for slicer in self._slicers.values():
            slicer.end()
        self._slicers.clear()
        canvas = self._canvas()
        if canvas is not None:
            canvas.layers.events.inserted.disconnect(self._on_inserted)
            canvas.layers.events.removed.disconnect(self._on_removed)

    def _follow(self, layer: Layer) -> None:
        if isinstance(layer, Image | Labels):
            self._slicers[id(layer)] = _LayerSlicer(layer)

    def _on_inserted(self, event: Event) -> None:
        self._follow(event.value)

    def _on_removed(self, event: Event) -> None:
        slicer = self._slicers.pop(id(event.value), None)
        if slicer is not None:
            slicer.end()


class _LayerSlicer(QObject):
    """Answers one layer's requests."""

    _arrived = Signal(object)

    def __init__(self, layer: Image | Labels) -> None:
        super().__init__()
        self._layer = weakref.ref(layer)
        # napari has no public place for this
        self._state = weakref.ref(layer._slicing_state)
        self._make = layer._slicing_state._make_slice_request_internal
        layer._slicing_state._make_slice_request_internal = self._request
        self._asked: Any = None
        self._plane: Any = None  # of what is shown
        self._coarse: tuple[Any, Future[Any]] | None = None
        self._late = QTimer()
        self._late.setSingleShot(True)
        self._late.setInterval(_STALE_MS)
        self._late.timeout.connect(self._blank)
        self._arrived.connect(self._show)

    @property
    def is_busy(self) -> bool:
        return self._asked is not None

    def end(self) -> None:
        self._asked = self._coarse = None
        if isalive(self._late):
            self._late.stop()
        state = self._state()
        if state is not None:
            state.__dict__.pop("_make_slice_request_internal", None)

    # -- asking ----------------------------------------------------------------------------------

    def _request(self, **arguments: Any) -> Any:
        """What napari calls for a plane, in the place of the data."""
        request = self._make(**arguments)
        layer = self._layer()
        is_gui = threading.current_thread() is threading.main_thread()
        if layer is None or not is_gui or not _is_lazy(layer):
            return request
        coarse = self._coarse_level(layer)
        if coarse is not None:
            request = replace(request, data_at_thumbnail_level=coarse)
        return partial(self._answer, request, coarse)

    def _answer(self, request: Any, coarse: Any) -> Any:
        """The plane if it is quickly read, else what can be shown until it is."""
        self._asked = None
        if request._slice_out_of_bounds():
            self._plane = None
            return request()
        reading = _readers.submit(self._read, request)
        self._asked = request
        if not wait([reading], _AT_ONCE_S).done:
            reading.add_done_callback(partial(self._pass_on, request))
            return self._until_then(request, coarse)
        self._asked = self._plane = None
        response = reading.result()
        self._plane = _plane_of(request)
        return response

    def _read(self, request: Any) -> Any:
        """In the reader's thread; nothing where another plane has been asked for meanwhile."""
        asked = self._asked
        return None if asked is not None and asked is not request else request()

    def _pass_on(self, request: Any, reading: Future[Any]) -> None:
        if self._asked is request and isalive(self):
            self._arrived.emit((request, reading))

    def _until_then(self, request: Any, coarse: Any) -> Any:
        state = self._state()
        now = None if state is None else state._slice
        is_same_plane = np.array_equal(_plane_of(request), self._plane, equal_nan=True)
        if now is not None and is_same_plane and _is_part_of(request, now):
            return now
        self._plane = None
        if coarse is not None:
            return _coarse_picture(request, coarse)
        if now is None or now.slice_input.ndisplay != request.slice_input.ndisplay:
            return _nothing(request)
        self._late.start()
        return replace(now, slice_input=request.slice_input)

    # -- answering -------------------------------------------------------------------------------

    def _show(self, answer: tuple[Any, Future[Any]]) -> None:
        request, reading = answer
        if self._asked is not request:
            return
        self._asked = None
        self._put(reading.result())  # a failure is raised here, where napari shows it
        self._plane = _plane_of(request)

    def _blank(self) -> None:
        if self._asked is not None:
            self._put(_nothing(self._asked))

    def _put(self, response: Any) -> None:
        layer, state = self._layer(), self._state()
        if layer is None or state is None or response is None:
            return
        self._late.stop()
        state._update_slice_response(response)
        layer._refresh_sync(data_displayed=True, thumbnail=True)

    def _coarse_level(self, layer: Image | Labels) -> Any:
        """The coarsest level as an array, once it has been read; None until then, or if large."""
        if not layer.multiscale:
            return None
        level = layer.data[-1]
        if isinstance(level, np.ndarray):
            return level
        if np.prod(level.shape, dtype=float) * np.dtype(level.dtype).itemsize > _COARSE_BYTES:
            return None
        if self._coarse is None or self._coarse[0] is not level:
            self._coarse = (level, _readers.submit(np.asarray, level))
        reading = self._coarse[1]
        return reading.result() if reading.done() and reading.exception() is None else None


def bound_kept_chunks() -> None:
    """Let napari keep less of what it has decoded than a quarter of the machine's memory."""
    if resize_dask_cache().cache.available_bytes > _KEPT_BYTES:
        resize_dask_cache(_KEPT_BYTES)


def _is_lazy(layer: Image | Labels) -> bool:
    data = layer.data[0] if layer.multiscale else layer.data
    return not isinstance(data, np.ndarray) or isinstance(data, np.memmap)


def _plane_of(request: Any) -> Any:
    """Which plane of which axes is asked for."""
    return np.append(request.data_slice.point, request.slice_input.order)


def _is_part_of(request: Any, shown: Any) -> bool:
    """Whether most of what is asked for is shown, as sharp."""
    if request.slice_input != shown.slice_input:
        return False
    if not request.multiscale:
        return True
    displayed = list(request.slice_input.displayed)
    factors = np.asarray(request.downsample_factors)[request.data_level][displayed]
    scale = np.asarray(shown.tile_to_data.scale)[displayed]
    if not np.allclose(scale, factors):
        return False
    start = np.asarray(shown.tile_to_data.translate)[displayed] / scale
    size = np.array(shown.image.view.shape)[: len(displayed)]
    low, high = np.asarray(request.corner_pixels)[:, displayed]
    common = np.minimum(start + size, high + 1) - np.maximum(start, low)
    return bool(np.all(common > 0) and np.prod(common) >= 0.5 * np.prod(high + 1 - low))


def _coarse_picture(request: Any, coarse: Any) -> Any:
    """The whole plane at the coarsest level."""
    level = len(request.level_shapes) - 1
    corners = np.array([np.zeros(coarse.ndim, dtype=int), np.asarray(coarse.shape) - 1])
    corners = corners[:, : np.asarray(request.corner_pixels).shape[1]]
    return replace(
        request,
        data_at_data_level=coarse,
        data_at_thumbnail_level=coarse,
        data_level=level,
        thumbnail_level=level,
        corner_pixels=corners,
    )()


def _nothing(request: Any) -> Any:
    return _ScalarFieldSliceResponse.make_empty(
        slice_input=request.slice_input, rgb=request.rgb, request_id=request.id, dtype=request.dtype
    )
