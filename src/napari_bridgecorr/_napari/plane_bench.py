"""The reference plane of one viewer: which image it lies in, and the steps it was made by.

It outlives the panel: closed and opened again, the panel finds the plane as it was.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from psygnal import Signal

from ..errors import BridgecorrError, GeometryError
from ..geometry import Plane
from ..image import SpatialImage
from ..workflow.files import is_flat
from ..workflow.plane_draft import PlaneDraft, PlaneHistory, PlaneStep
from ..workflow.reslice import ResliceOptions, options_from, plain_options
from .image_layers import channels_beside
from .landmark_layers import SIDES
from .layers import image_of_layer

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from ..landmarks import Side
    from .viewer_session import ViewerSession

_benches: weakref.WeakKeyDictionary[ViewerSession, PlaneBench] = weakref.WeakKeyDictionary()


def bench_of(session: ViewerSession) -> PlaneBench:
    """The one bench of a viewer's session."""
    if session not in _benches:
        _benches[session] = PlaneBench(session)
    return _benches[session]


class Deed(Protocol):
    """What was done with a plane."""

    def take_back(self) -> None:
        """Undo it."""

    def do_again(self) -> None:
        """Do it again."""


class PlaneBench:
    """Where a plane is made.

    Signals: `changed` (the plane, or how it is made), `image_changed` (which image it lies in),
    `told` (a message for the user, and whether it is a complaint), `restored` (plane and options
    came from a kept session).

    Parameters
    ----------
    session : ViewerSession
        Held by weak reference.
    """

    changed = Signal()
    image_changed = Signal()
    told = Signal(str, bool)
    restored = Signal()

    def __init__(self, session: ViewerSession) -> None:
        self._session = weakref.ref(session)
        self._layer: weakref.ref[Layer] | None = None
        self._history = PlaneHistory()
        self.options = ResliceOptions()
        """How the panel says that the slices lie."""
        self._deeds: list[Deed] = []
        self._known: tuple[PlaneDraft, Plane | None, str] | None = None

    # -- the image -------------------------------------------------------------------------------

    @property
    def layer(self) -> Layer | None:
        """The layer that stands for the image; None if none is chosen, or it is gone."""
        session = self._session()
        layer = None if self._layer is None else self._layer()
        viewer = None if session is None else session.viewer
        return layer if viewer is not None and layer in viewer.layers else None

    def set_layer(self, layer: Layer | None) -> None:
        """Choose the image by any of its layers. The plane stays where it is in the world."""
        if layer is not self.layer:
            self._layer = None if layer is None else weakref.ref(layer)
            self.image_changed.emit()

    def channel_layers(self) -> list[Layer]:
        """Every layer of the image."""
        session, chosen = self._session(), self.layer
        if session is None or session.viewer is None or chosen is None:
            return []
        return channels_beside(chosen, session.viewer.layers)

    def image(self) -> SpatialImage:
        """The image, where its layer is now.

        Raises
        ------
        GeometryError
            If there is none, or none that can be resliced: why, and what to do.
        """
        layer = self.layer
        if layer is None:
            raise GeometryError("Choose the image to reslice first.")
        if 0 in _shape(layer):
            raise GeometryError(f"{layer.name} is empty (it has no voxels): choose another image.")
        image = image_of_layer(layer)
        if is_flat(image):
            raise GeometryError(
                f"{image.name} is flat, a single slice: there is no other plane in it. Choose a "
                "volume."
            )
        if image.dtype.kind not in "buif":
            raise GeometryError(
                f"{image.name} has voxels of type {image.dtype}, which cannot be interpolated: "
                "choose another image."
            )
        return image

    @property
    def side(self) -> Side | None:
        """Which of the pair the image is; None where it is neither."""
        session, mine = self._session(), self.channel_layers()
        if session is None:
            return None
        found = [side for side in SIDES if session.image_layer(side) in mine and mine]
        return found[0] if found else None

    def canvas(self) -> ViewerModel | None:
        """The canvas that shows the image."""
        session = self._session()
        return None if session is None else session.canvas_of(self.side or "fixed")

    # -- the plane -------------------------------------------------------------------------------

    @property
    def draft(self) -> PlaneDraft:
        """How the plane is made."""
        return self._history.draft

    def change(self, draft: PlaneDraft, name: str, *, goes_on: bool = False) -> None:
        """Make a step; see :meth:`~napari_bridgecorr.workflow.plane_draft.PlaneHistory.change`."""
        if self._history.change(draft, name, goes_on=goes_on):
            self.changed.emit()

    @property
    def plane(self) -> Plane | None:
        """The plane; None where something is lacking or wrong."""
        return self._look()[1]

    @property
    def fault(self) -> str:
        """Why points or lines make no plane; "" where they do, or are too few."""
        return self._look()[2]

    def _look(self) -> tuple[PlaneDraft, Plane | None, str]:
        draft = self._history.draft
        if self._known is None or self._known[0] is not draft:
            try:
                self._known = draft, draft.plane(), ""
            except BridgecorrError as error:
                self._known = draft, None, str(error)
        return self._known

    @property
    def undo_name(self) -> str:
        """What an undo takes back; "" if there is nothing."""
        return self._history.undo_name

    @property
    def redo_name(self) -> str:
        """What a redo does again; "" if there is nothing."""
        return self._history.redo_name

    def note(self, name: str, deed: Deed) -> None:
        """Record what was done with the plane, so that it can be taken back."""
        self._deeds.append(deed)
        self._history.note(name, len(self._deeds))
        self.changed.emit()

    def undo(self) -> str:
        """Take the last step back; its name, "" if there is none."""
        return self._replay(self._history.undo(), is_undo=True)

    def redo(self) -> str:
        """Do the step again that was taken back last; its name, "" if there is none."""
        return self._replay(self._history.redo(), is_undo=False)

    def _replay(self, step: PlaneStep | None, *, is_undo: bool) -> str:
        if step is None:
            return ""
        if step.deed:
            deed = self._deeds[step.deed - 1]
            if is_undo:
                deed.take_back()
            else:
                deed.do_again()
        self.changed.emit()
        return step.name

    # -- kept with the window --------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing was done yet."""
        return self.draft == PlaneDraft(self.draft.way)

    def document(self, numbers: Mapping[Layer, int]) -> dict[str, Any] | None:
        """The plane as plain values, its image by its number; None where there is nothing yet."""
        if self.is_empty:
            return None
        layer = self.layer
        return {
            "layer": None if layer is None else numbers.get(layer),
            "draft": self.draft.to_dict(),
            "options": plain_options(self.options),
        }

    def show_document(self, document: Mapping[str, Any], layer: Layer | None) -> None:
        """Go on where somebody left: no step leads back.

        Raises
        ------
        GeometryError
            If the document is damaged.
        """
        draft = PlaneDraft.from_dict(document["draft"])
        self.options = options_from(document.get("options", {}))
        self._layer = None if layer is None else weakref.ref(layer)
        self._history, self._deeds = PlaneHistory(draft), []
        self.restored.emit()
        self.image_changed.emit()
        self.changed.emit()


def _shape(layer: Any) -> tuple[int, ...]:
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return tuple(int(n) for n in data.shape)
