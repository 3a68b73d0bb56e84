"""The ghost of a missing partner: where it is expected, and how far round that it may be.

A Points layer like any other, so that every view that shows Points shows it: a cross at the place,
and dots along the outline within which the partner lies with a probability of 95 %.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Points

from ..fitting.predicted_place import PredictedPlace
from ..landmarks import Side
from .frames import METADATA_KEY, world_matrix

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from .turns import Turns
    from .viewer_session import ViewerSession

NAME = "expected place"
_COLOUR = "#ffffff"
_DOTS = 40
# of the landmarks' own size
_DOT, _CROSS = 0.22, 1.0


@dataclass(frozen=True)
class GhostTag:
    """What the ghost's layer remembers: the side it belongs to."""

    side: Side


def is_ghost(layer: Layer) -> bool:
    """Whether a layer is a ghost's, which marks no landmark."""
    return isinstance(layer.metadata.get(METADATA_KEY), GhostTag)


class Ghost:
    """Shows one expected place in the viewer, or none."""

    def __init__(self, session: ViewerSession, turns: Turns) -> None:
        self._session, self._turns = session, turns
        self._layer: weakref.ref[Points] | None = None
        self._shown: tuple[Side, PredictedPlace] | None = None
        self._canvas: weakref.ref[ViewerModel] | None = None

    @property
    def side(self) -> Side | None:
        """Where the ghost is."""
        return None if self._shown is None else self._shown[0]

    @property
    def place(self) -> PredictedPlace | None:
        """What it shows."""
        return None if self._shown is None else self._shown[1]

    def show(self, side: Side, place: PredictedPlace) -> None:
        """Show the partner's expected place in one side's image, in a moment."""
        viewer, points = self._session.canvas_of(side), self._session.point_layer(side)
        if viewer is None or points is None or points.ndim != 3:
            return
        self._shown = side, place
        self._turns.add("ghost", self._draw)

    def hide(self) -> None:
        """Take the ghost away, in a moment."""
        self._shown = None
        if self._layer is not None:
            self._turns.add("ghost", self._draw)

    def _draw(self) -> None:
        if self._shown is None:
            self._take_away()
            return
        side, place = self._shown
        viewer, points = self._session.canvas_of(side), self._session.point_layer(side)
        if viewer is None or points is None or points.ndim != 3:
            return
        if not self._is_kept_for(side, viewer, points):
            self.remove()
        self._shown = side, place
        layer = None if self._layer is None else self._layer()
        canvas = self._session.canvas_of(side) or viewer
        data, size, symbols = self._marks(canvas, points, place)
        if layer is None or layer not in viewer.layers:
            viewer.dims.events.ndisplay.connect(self._redraw)
            viewer.dims.events.order.connect(self._redraw)
            active = viewer.layers.selection.active
            layer = Points(
                data,
                name=NAME,
                scale=points.scale,
                translate=points.translate,
                affine=points.affine,
                units=points.units,
                axis_labels=points.axis_labels,
                size=size,
                symbol=symbols,
                face_color=_COLOUR,
                border_color="#202020",
                border_width=0.15,
                opacity=0.9,
                projection_mode=str(points.projection_mode),
                canvas_size_limits=(3, 40),
                metadata={METADATA_KEY: GhostTag(side)},
            )
            self._layer = weakref.ref(layer)
            self._canvas = weakref.ref(viewer)
            viewer.add_layer(layer)
            # the landmarks stay what a click goes to
            viewer.layers.selection.active = active
            return
        # drawn once, not with every part; the ghost is no landmark that anybody listens to
        with layer.events.blocker_all():
            # first: of a hidden layer napari keeps the numbers of the points that it showed
            layer.visible = True
            layer.selected_data = set()
            layer.data = data
            layer.size = size
            layer.symbol = symbols
        layer.events.visible()
        layer.refresh(thumbnail=False, extent=False)

    def _take_away(self) -> None:
        """In a second view its layer is only hidden.

        A layer that is added or taken out makes a canvas slice all of its layers again, which is
        felt with every click. Napari's own list of layers shows no such remains.
        """
        layer = None if self._layer is None else self._layer()
        canvas = None if self._canvas is None else self._canvas()
        if canvas is None or layer is None or canvas is self._session.canvas_of("fixed"):
            self.remove()
        else:
            layer.visible = False

    def remove(self) -> None:
        """Take the ghost and its layer away."""
        self._shown = None
        self._turns.drop("ghost")
        layer = None if self._layer is None else self._layer()
        self._layer = None
        viewer = None if self._canvas is None else self._canvas()
        self._canvas = None
        if viewer is None:
            return
        viewer.dims.events.ndisplay.disconnect(self._redraw)
        viewer.dims.events.order.disconnect(self._redraw)
        if layer is not None and layer in viewer.layers:
            active = viewer.layers.selection.active
            viewer.layers.remove(layer)
            if active is not layer and active in viewer.layers:
                viewer.layers.selection.active = active

    def _is_kept_for(self, side: Side, viewer: ViewerModel, points: Points) -> bool:
        """Whether the layer that there is can show a place among these points."""
        layer = None if self._layer is None else self._layer()
        canvas = None if self._canvas is None else self._canvas()
        return (
            layer is not None
            and canvas is viewer
            and layer.metadata[METADATA_KEY].side == side
            and layer.units == points.units
            and np.array_equal(layer.scale, points.scale)
            and np.array_equal(layer.translate, points.translate)
            and np.array_equal(layer.affine.affine_matrix, points.affine.affine_matrix)
        )

    def _redraw(self) -> None:
        if self._shown is not None:
            self.show(*self._shown)

    def _marks(
        self, viewer: ViewerModel, points: Points, place: PredictedPlace
    ) -> tuple[np.ndarray, np.ndarray, list[str]]:
        unit = self._session.unknown_units()[0 if self.side == "fixed" else 1]
        seen = place.seen_through(np.linalg.inv(world_matrix(points, unit)))
        parts = [seen.place_um[None]]
        if place.is_spread_known:
            displayed = [axis - (viewer.dims.ndim - 3) for axis in viewer.dims.displayed]
            if len(displayed) == 2 and min(displayed) >= 0:
                parts.append(seen.ellipse((displayed[0], displayed[1]), _DOTS))
            elif len(displayed) == 3:
                parts.append(seen.ellipsoid(_DOTS))
        data = np.concatenate(parts)
        mark = float(points.size[-1]) if len(points.size) else float(points.current_size)
        size = np.full(len(data), _DOT * mark)
        size[0] = _CROSS * mark
        return data, size, ["cross"] + ["disc"] * (len(data) - 1)


def expectation(landmark_id: str, side: Side, place: PredictedPlace) -> str:
    """What the ghost shows, in words."""
    depth, down, across = (f"±{place.half_width(axis):.3g} µm" for axis in range(3))
    return (
        f"{landmark_id} is expected at the white cross in the {side} image: z {depth}, y {down}, "
        f"x {across} (95 %). Confirm, or click where it really is."
    )
