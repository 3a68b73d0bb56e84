"""What goes with the moving image when it is warped: labels, masks and points that lie on it.

Labels and images on its very voxels are its own. Points may belong to either image where both cover
them: then only the user knows.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Layer, Points
from numpy.typing import NDArray
from qtpy.QtWidgets import QMenu, QPushButton, QWidget

from ..errors import BridgecorrError
from ..geometry.grid import apply_affine
from ..image import SpatialImage
from .carried_layers import carried_images, carried_points, points_at, world_of
from .frames import frame_of

if TYPE_CHECKING:
    from ..progress import Progress
    from ..transform import Transform
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

FloatArray = NDArray[np.float64]

_TIP = (
    "Which layers that lie on the moving image are warped with it. Labels and images on its own "
    "voxels go along; points that lie within the fixed image, too, are yours to tick"
)


@dataclass(frozen=True, eq=False)
class Along:
    """What is to go along, as it was when the warp was asked for.

    Parameters
    ----------
    images : tuple of SpatialImage
    points : tuple of (weakref to Points, (n, 3) float64)
        Layers, and their world um in the moving image.
    """

    images: tuple[SpatialImage, ...] = ()
    points: tuple[tuple[weakref.ref[Points], FloatArray], ...] = ()


def mapped_points(along: Along, transform: Transform, progress: Progress) -> list[FloatArray]:
    """Each layer's points in the fixed world (um); NaN where the map leads nowhere back.

    Raises
    ------
    Cancelled
    """
    if not along.points:
        return []
    progress.begin("warping points", len(along.points))
    back = transform.inverse()
    found = []
    for _, world in along.points:
        found.append(np.asarray(back.map(world), dtype=np.float64))
        progress.advance()
    return found


def points_on_fixed(layer: Points, world_um: FloatArray, fixed: Layer) -> tuple[Points, int]:
    """A copy of a layer at its places in the fixed image, and how many points have none."""
    known = np.isfinite(world_um).all(axis=1)
    shown = apply_affine(np.linalg.inv(frame_of(fixed)), world_um[known])
    return points_at(layer, shown, "registered", known), int(np.count_nonzero(~known))


class AlongMenu(QPushButton):
    """A menu of the layers that can go along, ticked where it is plain that they belong to it."""

    def __init__(
        self, session: ViewerSession, lifeline: Lifeline, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("bridgecorr_along")
        self.setToolTip(_TIP)
        self._session = session
        self._layers: list[weakref.ref[Layer]] = []
        self._answers: weakref.WeakKeyDictionary[Layer, bool] = weakref.WeakKeyDictionary()
        self.list = QMenu(self)
        self.list.triggered.connect(self._on_triggered)
        self.setMenu(self.list)
        for signal in (session.layers_changed, session.images_changed):
            lifeline.connect(signal, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """List what lies on the moving image now."""
        found = self._candidates()
        self.list.clear()
        self._layers = [weakref.ref(layer) for layer, _ in found]
        for layer, is_plain in found:
            action = self.list.addAction(layer.name)
            action.setCheckable(True)
            action.setChecked(self._answers.get(layer, is_plain))
        self.setVisible(bool(found))
        self._show_names()

    def chosen(self) -> Along:
        """What is ticked."""
        moving = self._session.image_layer("moving")
        ticked = [
            layer
            for reference, action in zip(self._layers, self.list.actions(), strict=True)
            if (layer := reference()) is not None and action.isChecked()
        ]
        images = tuple(image for image, layers in self._images() if layers[0] in ticked)
        points = tuple(
            (weakref.ref(layer), world_of(layer, moving))
            for layer in ticked
            if isinstance(layer, Points) and moving is not None
        )
        return Along(images, points)

    def _images(self) -> list[tuple[SpatialImage, list[Layer]]]:
        session = self._session
        try:
            moving = session.image("moving")
        except BridgecorrError:
            moving = None  # step 1 says what is wrong with the layer
        if moving is None:
            return []
        results = session.result_layers()
        found = carried_images(session, moving, session.channel_layers("moving"))
        return [(image, layers) for image, layers in found if layers[0] not in results]

    def _candidates(self) -> list[tuple[Layer, bool]]:
        """Layers, and whether it is plain that they are of the moving image."""
        session, source = self._session, self._session.image_layer("moving")
        found: list[tuple[Layer, bool]] = [(layers[0], True) for _, layers in self._images()]
        try:
            moving, fixed = session.image("moving"), session.image("fixed")
        except BridgecorrError:
            return found
        if moving is None or source is None:
            return found
        results, other = session.result_layers(), session.image_layer("fixed")
        of_fixed = [] if fixed is None or other is None else carried_points(session, fixed, other)
        for layer in carried_points(session, moving, source):
            if layer not in results:
                found.append((layer, layer not in of_fixed))
        return found

    def _on_triggered(self) -> None:
        for reference, action in zip(self._layers, self.list.actions(), strict=True):
            layer = reference()
            if layer is not None:
                self._answers[layer] = action.isChecked()
        self._show_names()

    def _show_names(self) -> None:
        names = [a.text() for a in self.list.actions() if a.isChecked()]
        words = names[0] if len(names) == 1 else f"{len(names)} layers" if names else "nothing else"
        self.setText(f"With it: {words}")
