"""Marks of what the program proposes: faint rings where vessels branch, diamonds for pairs.

Points layers of their own, one a side, on the canvas that shows the side. They are no landmarks:
nobody clicks into them, nothing is fitted to them, and no session keeps them.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from ..landmarks import Side
from .frames import METADATA_KEY, frame_of, world_matrix
from .landmark_layers import SIDES

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.utils.events import Event

    from ..vessels import Proposals, Suggestion
    from .viewer_session import ViewerSession

FloatArray = NDArray[np.float64]

NAMES: dict[Side, str] = {"fixed": "suggestions (fixed)", "moving": "suggestions (moving)"}
# violet: apart from the landmarks' blue and orange and from a grey image for every kind of colour
# vision (a reddish purple turns grey where green is not seen)
COLOUR = "#8a3ffc"
_PURPLE = (0.541, 0.247, 0.988)
_FAINT = (0.85, 0.85, 0.85, 0.45)
_CLEAR = (0.0, 0.0, 0.0, 0.0)
_WHITE = (1.0, 1.0, 1.0, 1.0)
# of a landmark's mark
_RING, _DIAMOND, _CHOSEN = 0.45, 0.8, 1.3


@dataclass(frozen=True)
class SuggestionTag:
    """What a layer of marks remembers: the side it belongs to."""

    side: Side


class SuggestionMarks:
    """Shows proposals on both sides, or none, until :meth:`end`."""

    def __init__(self, session: ViewerSession) -> None:
        self._session = session
        self._layers: dict[Side, weakref.ref[Points]] = {}
        self._canvases: dict[Side, weakref.ref[ViewerModel]] = {}
        self._followed: dict[Side, weakref.ref[Layer]] = {}
        self._drawn: dict[Side, tuple[object, ...]] = {}

    def layer(self, side: Side) -> Points | None:
        """The layer of marks on one side, while there is one."""
        reference = self._layers.get(side)
        return None if reference is None else reference()

    def is_removed(self) -> bool:
        """Whether somebody took a layer of marks out of its canvas."""
        for side in SIDES:
            layer, canvas = self.layer(side), self._canvases.get(side)
            viewer = None if canvas is None else canvas()
            if viewer is not None and (layer is None or layer not in viewer.layers):
                return True
        return False

    def show(
        self, proposals: Proposals, pairs: Sequence[Suggestion], chosen: Suggestion | None = None
    ) -> None:
        """Mark all branchings, the pairs still to be judged, and the chosen one of these."""
        for side in SIDES:
            places = proposals.fixed_um if side == "fixed" else proposals.moving_um
            ends = [s.fixed_um if side == "fixed" else s.moving_um for s in pairs]
            marks = np.concatenate([places, np.array(ends, dtype=np.float64).reshape(-1, 3)])
            confidence = [0.0] * len(places) + [s.confidence for s in pairs]
            at = len(places) + pairs.index(chosen) if chosen in pairs and chosen else -1
            self._show_side(side, marks, confidence, len(places), at)

    def hide(self) -> None:
        """Take all marks away."""
        for side in SIDES:
            self._follow(side, None)
            layer, canvas = self.layer(side), self._canvases.pop(side, None)
            self._layers.pop(side, None)
            viewer = None if canvas is None else canvas()
            if viewer is not None and layer is not None and layer in viewer.layers:
                active = viewer.layers.selection.active
                viewer.layers.remove(layer)
                if active is not None and active is not layer and active in viewer.layers:
                    viewer.layers.selection.active = active

    end = hide

    # -- inside ----------------------------------------------------------------------------------

    def _show_side(
        self, side: Side, world_um: FloatArray, confidence: list[float], n_rings: int, chosen: int
    ) -> None:
        canvas, points = self._session.canvas_of(side), self._session.point_layer(side)
        if canvas is None or points is None or points.ndim != 3:
            return
        layer, shown_on = self.layer(side), self._canvases.get(side)
        if layer is not None and (
            shown_on is None or shown_on() is not canvas or layer not in canvas.layers
        ):
            self._take_out(side)
            layer = None
        if layer is None:
            layer = self._make(side, canvas, points)
        self._follow(side, self._session.image_layer(side) if canvas is self._host() else None)
        place = [points.scale, points.translate, points.affine.affine_matrix]
        drawn = (
            layer.unique_id,
            frame_of(points).tobytes(),
            *(np.asarray(v).tobytes() for v in place),
            str(points.units),
            world_um.tobytes(),
            n_rings,
            chosen,
        )
        if self._drawn.get(side) == drawn:
            return  # as it is: this is asked on every change of a landmark
        self._drawn[side] = drawn
        layer.scale, layer.translate = points.scale, points.translate
        layer.affine, layer.units = points.affine, points.units
        unit = self._session.unknown_units()[SIDES.index(side)]
        matrix = np.linalg.inv(world_matrix(points, unit))
        data = world_um @ matrix[:3, :3].T + matrix[:3, 3]
        mark = float(points.size[-1]) if len(points.size) else float(points.current_size)
        share = np.array([_RING] * n_rings + [_DIAMOND] * (len(data) - n_rings))
        border = np.array([_FAINT if k < n_rings else (*_PURPLE, 1.0) for k in range(len(data))])
        # what is sure is full, what is doubtful is hollow
        fill = [max(0.0, 2 * c - 1) ** 2 * 0.6 for c in confidence]
        face = np.array(
            [_CLEAR if k < n_rings else (*_PURPLE, f) for k, f in enumerate(fill)]
        ).reshape(-1, 4)
        if chosen >= 0:
            share[chosen], border[chosen] = _CHOSEN, _WHITE
        # drawn once, below: each attribute by itself would be drawn, some of them of nothing seen
        with layer.events.blocker_all():
            layer.selected_data = set()
            layer.data = data
            if len(data):
                layer.size = share * mark
                layer.symbol = ["ring"] * n_rings + ["diamond"] * (len(data) - n_rings)
                layer.border_color = border.reshape(-1, 4)
                layer.face_color = face
        layer.refresh()

    def _host(self) -> ViewerModel | None:
        return self._session.viewer

    def _make(self, side: Side, canvas: ViewerModel, points: Points) -> Points:
        layer = Points(
            np.empty((0, 3)),
            name=NAMES[side],
            ndim=3,
            scale=points.scale,
            translate=points.translate,
            affine=points.affine,
            units=points.units,
            axis_labels=points.axis_labels,
            border_width=0.12,
            projection_mode=str(points.projection_mode),
            canvas_size_limits=(5, 40),
            metadata={METADATA_KEY: SuggestionTag(side)},
        )
        self._layers[side] = weakref.ref(layer)
        self._canvases[side] = weakref.ref(canvas)
        active = canvas.layers.selection.active
        canvas.add_layer(layer)
        # the landmarks stay what a click goes to
        canvas.layers.selection.active = active
        return layer

    def _take_out(self, side: Side) -> None:
        layer, canvas = self.layer(side), self._canvases.pop(side, None)
        self._layers.pop(side, None)
        viewer = None if canvas is None else canvas()
        if viewer is not None and layer is not None and layer in viewer.layers:
            viewer.layers.remove(layer)

    def _follow(self, side: Side, image: Layer | None) -> None:
        """Be seen while the side's image is: one canvas shows both images in turn."""
        reference = self._followed.pop(side, None)
        before = None if reference is None else reference()
        if before is not None and before is not image:
            before.events.visible.disconnect(self._on_visible)
        if image is not None:
            if before is not image:
                image.events.visible.connect(self._on_visible)
            self._followed[side] = weakref.ref(image)
        layer = self.layer(side)
        if layer is not None:
            layer.visible = image is None or image.visible

    def _on_visible(self, event: Event) -> None:
        for side, reference in self._followed.items():
            layer = self.layer(side)
            if reference() is event.source and layer is not None:
                layer.visible = event.source.visible
