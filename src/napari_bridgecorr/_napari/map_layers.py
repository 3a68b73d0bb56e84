"""What the map does, as layers over the fixed image: its grid, its folds, its predicted error."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from ..errors import BridgecorrError
from ..fitting import ErrorModel, Fit
from ..fitting.predicted_error import error_of_fit
from ..geometry import Grid
from ..geometry.view import ShownPlane
from ..progress import Progress
from ..resampling.map_view import bent_grid, error_range, errors, folds, straight_part
from ..transform import SectionPlacement
from .canvas_view import CanvasView
from .frames import ViewTag, frame_of, tag_of
from .newest_view import NewestView, ViewQuestion
from .overlay_layer import add_argument, insert_below, put

if TYPE_CHECKING:
    from napari.layers import Layer

    from ..landmarks import LandmarkSet
    from .image_maps import ImageMap
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

Kind = Literal["grid", "folds", "error"]
KINDS: tuple[Kind, ...] = ("grid", "folds", "error")

NAMES: dict[Kind, str] = {
    "grid": "deformation grid",
    "folds": "folds of the map",
    "error": "predicted error (68 %, µm)",
}
# yellow lines, red stripes: told apart by their shape where colours are not
_CLEAR_TO: dict[Kind, str] = {"grid": "#FFE14D", "folds": "#FF4A3D"}
_ERROR_OPACITY = 0.45
# looked at so often, and drawn when nothing has changed from one look to the next
_LOOK_EVERY_MS = 120


@dataclass(frozen=True, eq=False)
class MapPicture:
    """Pictures of a map on a plane, and what is to be said of them.

    Parameters
    ----------
    plane : ShownPlane
    frame : (4, 4) float64
    values : mapping of a kind to (rows, columns) float32
    limits : mapping of a kind to (float, float)
        What the colours run between.
    words : mapping of a kind to str
    """

    plane: ShownPlane
    frame: NDArray[np.float64]
    values: Mapping[Kind, NDArray[np.float32]]
    limits: Mapping[Kind, tuple[float, float]]
    words: Mapping[Kind, str]


class MapLayers:
    """Keeps an Image layer of each wanted kind showing the map on the slice that is in view.

    Signals (in the GUI thread): `changed` (what is wanted or said has changed).

    Parameters
    ----------
    session : ViewerSession
    lifeline : Lifeline
        With its end the layers are taken out.
    """

    changed = Signal()

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        self._session, self._lifeline = session, lifeline
        self._wanted: set[Kind] = set()
        self._layers: dict[Kind, weakref.ref[Image]] = {}
        self._canvas: CanvasView | None = None
        self._seen: Hashable = None
        self._asked: Hashable = None
        self._note = ""
        self.shown: MapPicture | None = None
        self._known = _Known()
        self._pictures = NewestView()
        self._pictures.answered.connect(self._show)
        self._pictures.failed.connect(self._say)
        self._look = QTimer()
        self._look.setInterval(_LOOK_EVERY_MS)
        self._look.timeout.connect(self._on_look)
        lifeline.connect(session.fit_changed, self._forget_asked)
        lifeline.connect(session.layers_changed, self._on_layers)
        lifeline.at_end(self.stop)

    @property
    def is_busy(self) -> bool:
        """Whether a picture is being worked out."""
        return self._pictures.is_busy

    @property
    def note(self) -> str:
        """What is shown, in words with units; or why nothing is."""
        if self._note or self.shown is None:
            return self._note
        return "\n".join(self.shown.words[k] for k in KINDS if k in self.shown.words)

    def is_wanted(self, kind: Kind) -> bool:
        """Whether a kind is to be shown."""
        return kind in self._wanted

    def layer(self, kind: Kind) -> Image | None:
        """The layer of a kind; None while there is none."""
        found = self._layers.get(kind)
        return None if found is None else found()

    # -- what the user does ----------------------------------------------------------------------

    def want(self, kind: Kind, wanted: bool) -> None:
        """Show a kind, or no longer."""
        if wanted == (kind in self._wanted):
            return
        viewer = self._session.viewer
        if wanted and viewer is not None:
            self._wanted.add(kind)
            self._canvas = self._canvas or CanvasView(viewer)
            self._look.start()
        else:
            self._wanted.discard(kind)
            self._remove(kind)
        if not self._wanted:
            self._look.stop()
            self._pictures.drop()
            self.shown, self._note = None, ""
        self._asked = None
        self.changed.emit()

    def stop(self) -> None:
        """Take all of them out."""
        self._pictures.drop()
        if isalive(self._look):
            self._look.stop()
        self._wanted.clear()
        for kind in KINDS:
            self._remove(kind)
        self.shown, self._canvas = None, None

    # -- inside ----------------------------------------------------------------------------------

    def _on_look(self) -> None:
        """Ask for what is in view, once that stands still."""
        viewer = self._session.viewer
        if viewer is None or self._canvas is None or self._lifeline.is_over:
            return
        camera, dims = viewer.scene.camera, viewer.dims
        made = self._session.image_map() or self._session.fit
        seen = (
            camera.center,
            camera.zoom,
            dims.point,
            dims.order,
            dims.ndisplay,
            self._canvas.size(),
            made,
            frozenset(self._wanted),
        )
        is_still, self._seen = seen == self._seen, seen
        if is_still and seen != self._asked and not self._session.is_fitting:
            self._asked = seen
            self._ask(made)

    def _ask(self, made: Fit | ImageMap | None) -> None:
        session, viewer = self._session, self._session.viewer
        fixed, grid = session.image_layer("fixed"), self._fixed_grid()
        if fixed is None or grid is None or viewer is None or self._canvas is None:
            self._say("Choose a fixed image in step 1.")
            return
        if made is None:
            self._say("There is no map yet: place landmarks until there is a fit.")
            return
        if isinstance(made.transform, SectionPlacement):
            self._say("Not for a section placed in a volume.")
            return
        plane = None if viewer.dims.ndisplay == 3 else self._canvas.plane(fixed)
        if plane is None:
            self._say(
                "These show slices of the fixed image: leave the 3-D view."
                if viewer.dims.ndisplay == 3
                else "Nothing of the fixed image is in view: press Fixed in step 2."
            )
            return
        question = _Question(
            made, session.landmarks, grid, plane, frame_of(fixed), frozenset(self._wanted)
        )
        self._pictures.ask(ViewQuestion(partial(self._known.work, question), object(), question))

    def _fixed_grid(self) -> Grid | None:
        try:
            fixed = self._session.image("fixed")
        except BridgecorrError:
            return None  # step 1 says what is wrong with the layer
        return None if fixed is None else fixed.grid

    def _show(self, question: ViewQuestion, picture: MapPicture) -> None:  # noqa: ARG002 - Qt's
        fixed = self._session.image_layer("fixed")
        if self._lifeline.is_over or fixed is None:
            return
        self.shown, self._note = picture, ""
        for kind in KINDS:
            if kind in self._wanted and kind in picture.values:
                self._put(kind, picture, fixed)
        self.changed.emit()

    def _put(self, kind: Kind, picture: MapPicture, fixed: Layer) -> None:
        layer, viewer = self.layer(kind), self._session.viewer
        if viewer is None:
            return
        values, limits = picture.values[kind], picture.limits[kind]
        if layer is not None and layer.ndim == min(fixed.ndim, 3):
            if tuple(layer.contrast_limits) != limits:
                layer.contrast_limits_range = limits
                layer.contrast_limits = limits
            put(layer, values, picture.plane, fixed)
            return
        self._remove(kind)
        arguments = add_argument(values, picture.plane, fixed, picture.frame, limits)
        arguments["name"] = NAMES[kind]
        arguments["metadata"] = {key: ViewTag(kind, picture.frame) for key in arguments["metadata"]}
        made = Image(**arguments)
        made.blending = "translucent_no_depth"
        if kind == "error":
            made.colormap, made.opacity = "viridis", _ERROR_OPACITY
        else:
            made.colormap = _from_clear(_CLEAR_TO[kind])
        self._layers[kind] = weakref.ref(made)
        insert_below(self._session, made, lowest=kind == "error")  # a tint, under the lines

    def _remove(self, kind: Kind) -> None:
        layer, viewer = self.layer(kind), self._session.viewer
        self._layers.pop(kind, None)
        if viewer is not None and layer is not None and layer in viewer.layers:
            viewer.layers.remove(layer)

    def _on_layers(self) -> None:
        """A layer that the user deleted is not wanted any longer."""
        viewer = self._session.viewer
        if viewer is None:
            return
        for kind in list(self._layers):
            layer = self.layer(kind)
            if layer is None or layer not in viewer.layers:
                self.want(kind, False)

    def _forget_asked(self) -> None:
        self._asked = None

    def _say(self, why: str) -> None:
        if why != self._note:
            self._note = why
            self.changed.emit()


def is_map_layer(layer: Layer) -> bool:
    """Whether a layer is one of these."""
    tag = tag_of(layer)
    return isinstance(tag, ViewTag) and tag.shows in KINDS


@dataclass(frozen=True, eq=False)
class _Question:
    made: Fit | ImageMap
    landmarks: LandmarkSet
    grid: Grid
    plane: ShownPlane
    frame: NDArray[np.float64]
    kinds: frozenset[Kind]


class _Known:
    """What was found of the newest map, in the thread that asks."""

    def __init__(self) -> None:
        self._made: Any = None
        self._grid: Grid | None = None
        self._straight: NDArray[np.float64] | None = None
        self._error: tuple[ErrorModel, tuple[float, float]] | None = None

    def work(self, asked: _Question, progress: Progress) -> MapPicture:
        """For a job."""
        if asked.made is not self._made or asked.grid is not self._grid:
            self._made, self._grid = asked.made, asked.grid
            self._straight, self._error = None, None
        transform, plane, frame = asked.made.transform, asked.plane, asked.frame
        values: dict[Kind, NDArray[np.float32]] = {}
        limits: dict[Kind, tuple[float, float]] = {}
        words: dict[Kind, str] = {}
        progress.begin("the map in view", len(asked.kinds))
        if "grid" in asked.kinds:
            if self._straight is None:
                self._straight = straight_part(transform, asked.grid)
            bent = bent_grid(transform, plane, frame, self._straight)
            values["grid"], limits["grid"] = bent.values, (0.0, 1.0)
            words["grid"] = (
                f"Grid: a line every {bent.spacing_um:g} µm of the moving image, bent by up to "
                f"{bent.bend_um:.3g} µm here."
            )
            progress.advance()
        if "folds" in asked.kinds:
            found = folds(transform, plane, frame)
            values["folds"], limits["folds"] = found.values, (0.0, 1.0)
            words["folds"] = _fold_words(found.share, found.least, found.greatest)
            progress.advance()
        if "error" in asked.kinds:
            model, between = self._error_of(asked)
            values["error"], limits["error"] = errors(model, plane, frame), between
            words["error"] = (
                "Error: at each place the map is, with 68 % probability, less off than its colour "
                f"says, {between[0]:.3g} µm (dark) to {between[1]:.3g} µm or more (yellow)."
            )
            progress.advance()
        return MapPicture(plane, frame, values, limits, words)

    def _error_of(self, asked: _Question) -> tuple[ErrorModel, tuple[float, float]]:
        if self._error is None:
            made = asked.made
            model = error_of_fit(made) if isinstance(made, Fit) else made.error(asked.landmarks)
            if model is None:
                raise BridgecorrError(
                    "The map does not know how wrong it is: it was made without landmarks."
                )
            self._error = model, error_range(model, asked.grid)
        return self._error


def _fold_words(share: float, least: float, greatest: float) -> str:
    if np.isnan(least):
        return "Folding: the map is not defined here."
    if share == 0 and least > 0:
        return f"Folding: none here; local volume ×{least:.3g} to ×{greatest:.3g}."
    return (
        f"Folding: {100 * share:.2g} % of the slice (striped red): look for swapped or misplaced "
        "landmarks, or raise the smoothing."
    )


def _from_clear(colour: str) -> Colormap:
    rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return Colormap([[*rgb, 0.0], [*rgb, 1.0]], name=f"clear to {colour}")
