"""Which canvas shows which image: napari's own for both, or a second view for the moving one."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from psygnal import Signal

from ..landmarks import Side

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from .second_view import SecondView


class Canvases:
    """The canvases of one viewer.

    `changed` follows when the second view was opened or closed: :meth:`of` gives another canvas.

    Parameters
    ----------
    viewer : weak reference to ViewerModel
        napari's own.
    """

    changed = Signal()

    def __init__(self, viewer: weakref.ref[ViewerModel]) -> None:
        self._viewer = viewer
        self._second: weakref.ref[SecondView] | None = None
        self._pointed: Side = "fixed"

    @property
    def second(self) -> SecondView | None:
        """The second view, while it is open."""
        return None if self._second is None else self._second()

    def set_second(self, view: SecondView | None) -> None:
        """The second view was opened, or is about to close."""
        self._second = None if view is None else weakref.ref(view)
        self.changed.emit()

    def of(self, side: Side) -> ViewerModel | None:
        """The canvas (dims, camera, cursor, layers) that shows one side's image."""
        second = self.second
        return second.model if second is not None and side == "moving" else self._viewer()

    def pointed(self) -> Side:
        """Of two views the side that the mouse is over, or was when this was asked last."""
        sides: tuple[Side, Side] = ("fixed", "moving")
        for side in sides:
            canvas = self.of(side)
            if canvas is not None and canvas.mouse_over_canvas:
                self._pointed = side
        return self._pointed

    def drawn(self, layer: Layer | None, side: Side) -> Layer | None:
        """What a side's canvas shows in the place of a layer: the layer itself, or its copy there.

        Clicks, modes and whether it is visible belong to what is drawn; points and names to both.
        """
        second = self.second
        if second is None or side != "moving":
            return layer
        return second.mirror.copy(layer)
