"""While a point is dragged only the map follows it; everything else waits until it rests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from napari.layers.base import ActionType
from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from ..landmarks import LandmarkPairs
from .landmark_layers import SIDES, raw_ids, world_points

if TYPE_CHECKING:
    from .viewer_session import ViewerSession

# a hand that stands still so long wants to see everything
_REST_MS = 200


class LiveDrag:
    """Tells of a drag while it lasts (`moved`) and when it pauses or ends (`rested`).

    napari states that points are about to change, then their features at every move of the mouse,
    and at the end that the points have changed.

    Parameters
    ----------
    at_rest : callable
        Called before `rested`: to have the landmarks read.
    """

    moved = Signal()
    rested = Signal()

    def __init__(self, at_rest: Callable[[], None]) -> None:
        self._at_rest = at_rest
        self._is_on = self._was_moved = False
        self._rest = QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)

    @property
    def is_moving(self) -> bool:
        """Whether points are being dragged, and have not rested yet."""
        return self._is_on and self._rest.isActive()

    def start(self) -> None:
        """Begin to tell of pauses."""
        self._rest.timeout.connect(self._on_rest)

    def stop(self) -> None:
        """Tell of nothing more."""
        self._is_on = self._was_moved = False
        if isalive(self._rest):  # when the interpreter ends Qt's objects go first
            self._rest.stop()
            self._rest.timeout.disconnect(self._on_rest)

    def hear(self, action: ActionType) -> None:
        """napari tells what becomes of the points of a landmarks' layer."""
        was_moved, self._was_moved = self._was_moved, False
        self._is_on = action == ActionType.CHANGING
        self._rest.stop()
        if was_moved and not self._is_on:
            self._on_rest()

    def move(self) -> bool:
        """The points of a landmarks' layer were moved; whether that is a moment of a drag."""
        if self._is_on:
            self._was_moved = True
            self._rest.start()
            self.moved.emit()
        return self._is_on

    def _on_rest(self) -> None:
        self._at_rest()
        self.rested.emit()


def moved_pairs(session: ViewerSession, pairs: LandmarkPairs) -> LandmarkPairs | None:
    """The same landmarks where their layers have them now; None if one is gone."""
    places = []
    for side, unit in zip(SIDES, session.unknown_units(), strict=True):
        layer = session.point_layer(side)
        row_of = {name: row for row, name in enumerate(raw_ids(layer))}
        rows = [row_of.get(name, -1) for name in pairs.ids]
        if layer is None or -1 in rows:
            return None
        places.append(world_points(layer, unit)[np.array(rows, np.intp)])
    return LandmarkPairs(pairs.ids, places[0], places[1], pairs.weights)
