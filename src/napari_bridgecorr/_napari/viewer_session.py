"""What one viewer is working on. Widgets meet here and never talk to each other.

A session knows its viewer by weak reference only, and is connected to it only while a widget is
attached; it holds layers by weak reference, so that a removed layer is gone.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from napari.layers import Labels, Points
from napari.layers.base import ActionType
from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from ..errors import BridgecorrError
from ..fitting import Fit, FitOptions
from ..image import SpatialImage
from ..landmarks import LandmarkSet, Side
from .canvases import Canvases
from .frames import ViewTag, is_drawn_by_panel, is_resliced, tag_of, um_per
from .image_layers import SideImages, channels_beside, first_channels
from .landmark_layers import SIDES, assign_ids, points_to_landmarks, raw_ids, set_feature, side_of
from .layer_history import LayerHistory
from .layers import image_of_layer
from .lifeline import weak_call
from .live_drag import LiveDrag
from .live_fit import LiveFit
from .live_judgement import LiveJudgement
from .map_choice import LoadedTransform, MapChoice
from .turns import Turns

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.utils.events import Event
    from napari.viewer import Viewer

    from .image_maps import ImageMap, Inputs

# one paste makes many events
_SETTLE_MS = 40
_PLACE_EVENTS = ("scale", "translate", "rotate", "shear", "affine", "units")


_sessions: weakref.WeakKeyDictionary[Any, ViewerSession] = weakref.WeakKeyDictionary()


def session_of(viewer: Viewer) -> ViewerSession:
    """The one session of a viewer; napari hands widgets a proxy of it, which is looked through."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _sessions:
        _sessions[viewer] = ViewerSession(viewer)
    return _sessions[viewer]


def share_session(canvas: ViewerModel, session: ViewerSession) -> None:
    """Let a second canvas have its viewer's session: keys that are pressed there look for it."""
    _sessions[canvas] = session


class ViewerSession:
    """Which layers are fixed and moving, their landmarks, and the fit of these.

    Signals (all in the GUI thread): `layers_changed` (the list or its names), `images_changed`,
    `landmarks_changed`, `fit_changed`, `judgement_changed` (some moments after the fit),
    `worst_asked` (by its key: go to the worst pair), `options_changed` (what to fit),
    `point_added` (side and id of a point just added by hand), `told` (a message for the user, and
    whether it is a complaint).
    """

    layers_changed = Signal()
    images_changed = Signal()
    landmarks_changed = Signal()
    fit_changed = Signal()
    judgement_changed = Signal()
    worst_asked = Signal()
    options_changed = Signal()
    point_added = Signal(str, str)
    told = Signal(str, bool)  # a message, and whether it is a complaint

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = weakref.ref(viewer)
        self._users = 0
        self._image_layers: dict[Side, weakref.ref[Layer] | None] = dict.fromkeys(SIDES)
        self._point_layers: dict[Side, weakref.ref[Points] | None] = dict.fromkeys(SIDES)
        self._options = FitOptions()
        self._landmarks = LandmarkSet()
        self._turns = Turns()
        self._settle = QTimer()
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self.drag = LiveDrag(self._settle.start)
        self._side_images = SideImages()
        self._fits = LiveFit(self._on_fitted)
        self.judgement = LiveJudgement(self.judgement_changed.emit)
        self._results: weakref.WeakSet[Layer] = weakref.WeakSet()
        self.loaded_transform: LoadedTransform | None = None
        self.maps = MapChoice()
        self.history = LayerHistory(self)
        self.canvases = Canvases(self._viewer)

    # -- being used ------------------------------------------------------------------------------

    def attach(self) -> None:
        """A widget begins to use the session."""
        self._users += 1
        viewer = self._viewer()
        if self._users > 1 or viewer is None:
            return
        self._settle.timeout.connect(self._read_landmarks)
        for part in (self.drag, self._fits, self.judgement, self.canvases):
            part.start()
        events = viewer.layers.events
        events.inserted.connect(self._on_inserted)
        events.removed.connect(self._on_removed)
        events.reordered.connect(self._on_listed)
        events.renamed.connect(self._on_listed)
        for layer in viewer.layers:
            self._watch(layer)
        self._forget_gone_layers()
        self._guess_roles()
        self._read_landmarks()

    def detach(self) -> None:
        """A widget is gone. With the last one every callback is disconnected."""
        self._users -= 1
        if self._users:
            return
        if isalive(self._settle):  # when the interpreter ends Qt's objects go first
            self._settle.stop()
            self._settle.timeout.disconnect(self._read_landmarks)
        for part in (self.drag, self._fits, self.judgement, self.canvases):
            part.stop()
        viewer = self._viewer()
        if viewer is None:
            return
        events = viewer.layers.events
        events.inserted.disconnect(self._on_inserted)
        events.removed.disconnect(self._on_removed)
        events.reordered.disconnect(self._on_listed)
        events.renamed.disconnect(self._on_listed)
        for layer in viewer.layers:
            self._unwatch(layer)

    @property
    def viewer(self) -> Viewer | None:
        """The viewer, unless it has been closed and let go."""
        return self._viewer()

    def canvas_of(self, side: Side) -> ViewerModel | None:
        """The canvas that shows one side's image: napari's own, or the second view's."""
        return self.canvases.of(side)

    # -- images ----------------------------------------------------------------------------------

    def image_layers(self) -> list[Layer]:
        """One layer for every image in the viewer: the first of its channels."""
        viewer = self._viewer()
        return first_channels(viewer.layers) if viewer is not None else []

    def channel_layers(self, side: Side) -> list[Layer]:
        """Every layer of the image on one side."""
        chosen, viewer = self.image_layer(side), self._viewer()
        if chosen is None or viewer is None:
            return []
        return channels_beside(chosen, viewer.layers)

    def image_layer(self, side: Side) -> Layer | None:
        """The layer that stands for the image on one side."""
        reference = self._image_layers[side]
        return None if reference is None else reference()

    def image(self, side: Side) -> SpatialImage | None:
        """The image on one side, at the place where its layer is.

        Raises
        ------
        GeometryError
            If the layer's transform describes no volume.
        """
        layer = self.image_layer(side)
        if layer is None or not self._users:  # nobody would say that it was placed anew
            return None if layer is None else image_of_layer(layer)
        return self._side_images.image(side, layer)

    def set_image_layer(self, side: Side, layer: Layer | None) -> None:
        """Choose the image of one side by any of its layers."""
        if layer is self.image_layer(side):
            return
        self._image_layers[side] = None if layer is None else weakref.ref(layer)
        self.images_changed.emit()
        self._settle.start()

    def add_result(self, layer: Layer) -> None:
        """Remember a layer that was registered to the fixed image."""
        self._results.add(layer)

    def result_layers(self) -> list[Layer]:
        """The layers registered to the fixed image that are still in the viewer."""
        viewer = self._viewer()
        return [] if viewer is None else [i for i in viewer.layers if i in self._results]

    # -- landmarks -------------------------------------------------------------------------------

    def all_point_layers(self) -> list[Points]:
        """Every Points layer of the viewer that may mark landmarks."""
        viewer = self._viewer()
        if viewer is None:
            return []
        return [i for i in viewer.layers if isinstance(i, Points) and not is_drawn_by_panel(i)]

    def point_layer(self, side: Side) -> Points | None:
        """The Points layer that marks one side."""
        reference = self._point_layers[side]
        return None if reference is None else reference()

    def set_point_layer(self, side: Side, layer: Points | None) -> None:
        """Choose the Points layer of one side."""
        if layer is self.point_layer(side):
            return
        self._point_layers[side] = None if layer is None else weakref.ref(layer)
        self.layers_changed.emit()
        self._settle.start()

    def swap(self) -> None:
        """Exchange fixed and moving, images and points alike, as a step that can be undone."""
        self.history.note_swap()
        for roles in (self._image_layers, self._point_layers):
            roles["fixed"], roles["moving"] = roles["moving"], roles["fixed"]
        self.layers_changed.emit()
        self.images_changed.emit()
        self._read_landmarks()

    @property
    def landmarks(self) -> LandmarkSet:
        """The landmarks as they were last read from the layers."""
        return self._landmarks

    def set_enabled(self, landmark_id: str, enabled: bool) -> None:
        """Use a landmark in fits, or leave it out."""
        self._set_feature(landmark_id, "enabled", enabled)

    def set_name(self, landmark_id: str, name: str) -> None:
        """Rename a landmark."""
        self._set_feature(landmark_id, "name", name)

    def read_now(self) -> None:
        """Read the landmarks without waiting for the layers to settle."""
        self._settle.stop()
        self._read_landmarks()

    def unknown_units(self) -> tuple[float, float]:
        """What a Points layer without units counts in: the unit of the image that it marks."""
        layers = [self.image_layer(side) for side in SIDES]
        fixed, moving = (1.0 if i is None else um_per(i.units[-1]) for i in layers)
        return fixed, moving

    # -- the fit ---------------------------------------------------------------------------------

    @property
    def options(self) -> FitOptions:
        """What to fit."""
        return self._options

    def set_options(self, options: FitOptions, *, is_step: bool = True) -> None:
        """Choose what to fit, as a step that can be undone or not."""
        if options != self._options:
            before, self._options = self._options, options
            if is_step:
                self.history.note_options(before, options)
            self.options_changed.emit()
            self._fits.ask(self._landmarks, options)

    @property
    def fit(self) -> Fit | None:
        """The last fit; None if the landmarks, when last judged, could not be fitted.

        While a newer one is worked out (milliseconds) the one before is still shown, so that
        nothing flickers; :meth:`current_fit` waits for no one.
        """
        return self._fits.result

    def current_fit(self) -> Fit | None:
        """The fit of the landmarks and options of this moment; None if there is none."""
        self.read_now()
        return self._fits.wait_for(self._landmarks, self._options)

    @property
    def fit_error(self) -> str:
        """Why there is no fit; "" if there is one."""
        return self._fits.error

    @property
    def is_fitting(self) -> bool:
        """Whether a fit is being worked out."""
        return self._fits.is_busy

    def refit(self) -> None:
        """Fit the landmarks as they are now, changed or not; `fit_changed` follows."""
        self.read_now()
        self._fits.ask(self._landmarks, self._options, again=True)

    # -- maps that the images gave ---------------------------------------------------------------

    def still_hold(self, inputs: Inputs) -> bool:
        """Whether images, landmarks and options are those that a map was made from."""
        try:
            fixed, moving = (self.image(side) for side in SIDES)
        except BridgecorrError:
            return False
        return inputs.still_hold(fixed, moving, self._landmarks, self._options)

    def image_map(self) -> ImageMap | None:
        """The map that is used in the place of the landmarks' fit; None if there is none."""
        chosen = self.maps.chosen
        return chosen if chosen is not None and self.still_hold(chosen.inputs) else None

    # -- inside ----------------------------------------------------------------------------------

    def _set_feature(self, landmark_id: str, column: str, value: Any) -> None:
        for side in SIDES:
            layer = self.point_layer(side)
            if layer is not None:
                set_feature(layer, landmark_id, column, value)
        self._settle.start()

    def _read_landmarks(self) -> None:
        fixed, moving = (self.point_layer(side) for side in SIDES)
        before = self._landmarks
        assign_ids(fixed, moving)
        self.history.read()
        self._landmarks = points_to_landmarks(fixed, moving, self.unknown_units())
        if self._landmarks != before:
            self.landmarks_changed.emit()
        self._fits.ask(self._landmarks, self._options)
        self.judgement.ask(self._landmarks, self.fit)

    def _on_fitted(self) -> None:
        self.judgement.ask(self._landmarks, self.fit)
        self.fit_changed.emit()

    def _watch(self, layer: Layer) -> None:
        if isinstance(tag_of(layer), ViewTag):
            return
        for name in _PLACE_EVENTS:
            getattr(layer.events, name).connect(self._on_placed)
        if isinstance(layer, Points):
            layer.events.data.connect(self._on_points)
            layer.events.features.connect(self._on_features)

    def _unwatch(self, layer: Layer) -> None:
        if isinstance(tag_of(layer), ViewTag):
            return
        for name in _PLACE_EVENTS:
            getattr(layer.events, name).disconnect(self._on_placed)
        if isinstance(layer, Points):
            layer.events.data.disconnect(self._on_points)
            layer.events.features.disconnect(self._on_features)

    def _on_inserted(self, event: Event) -> None:
        self._watch(event.value)
        self._guess_roles()
        self.layers_changed.emit()

    def _on_removed(self, event: Event) -> None:
        self._unwatch(event.value)
        self.history.note_removed(event.value, event.index)
        self._forget_gone_layers(event.value)
        self.layers_changed.emit()
        self.images_changed.emit()
        self._settle.start()

    def _on_listed(self, event: Event) -> None:  # noqa: ARG002 - napari passes it
        self._side_images.forget()  # a name may be an image's
        self.layers_changed.emit()

    def _on_placed(self, event: Event) -> None:
        self._side_images.forget()
        if any(event.source is self.image_layer(side) for side in SIDES):
            self.images_changed.emit()
        self._settle.start()

    def _on_features(self, event: Event) -> None:
        mine = any(event.source is self.point_layer(side) for side in SIDES)
        if not (mine and self.drag.move()):
            self._settle.start()

    def _on_points(self, event: Event) -> None:
        mine = [side for side in SIDES if event.source is self.point_layer(side)]
        if mine:
            self.canvases.hold_list()
            self.history.hear(event.action)
            self.drag.hear(event.action)
        if event.action != ActionType.CHANGING:  # what is to be read is still to come
            self._settle.start()
        if mine and event.action == ActionType.ADDED and len(event.data_indices) == 1:
            self.canvases.hold_drawing()
            # napari is in the midst of adding: the id is given, and told, when it has finished
            told = weak_call(self.tell_of_added_point, mine[0])
            self._turns.add(f"added {mine[0]}", told, first=True)

    def tell_of_added_point(self, side: Side) -> None:
        """Give the newest point of a side its id and say so."""
        layer = self.point_layer(side)
        if layer is None or not self._users or not len(layer.data):
            return
        self.read_now()
        self.point_added.emit(side, raw_ids(layer)[-1])

    def _forget_gone_layers(self, removed: Layer | None = None) -> None:
        self._side_images.forget()
        viewer = self._viewer()
        present = [] if viewer is None else list(viewer.layers)
        for side in SIDES:
            image, points = self.image_layer(side), self.point_layer(side)
            if image is not None and (image is removed or image not in present):
                # another channel of the same image may still be there
                siblings = [i for i in self.channel_layers(side) if i is not removed]
                self._image_layers[side] = weakref.ref(siblings[0]) if siblings else None
            if points is not None and (points is removed or points not in present):
                self._point_layers[side] = None

    def _guess_roles(self) -> None:
        """Fill what nobody chose: points by their side, of two images the coarser one is fixed."""
        changed = False
        for layer in self.all_point_layers():
            side = side_of(layer)
            if side is not None and self.point_layer(side) is None:
                self._point_layers[side] = weakref.ref(layer)
                changed = True
        # a segmentation lies on one of the pair, and a resliced image is one of them
        images = [i for i in self.image_layers() if not (is_resliced(i) or isinstance(i, Labels))]
        if len(images) == 2 and all(self.image_layer(side) is None for side in SIDES):
            try:
                images.sort(key=lambda i: -image_of_layer(i).grid.voxel_volume_um3)
            except BridgecorrError:
                return  # the user chooses, and is then told what is wrong with the layer
            for side, layer in zip(SIDES, images, strict=True):
                self._image_layers[side] = weakref.ref(layer)
            self.images_changed.emit()
        if changed:
            self._settle.start()
