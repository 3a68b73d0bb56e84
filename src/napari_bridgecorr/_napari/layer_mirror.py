"""Which copies of one viewer's layers another canvas shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .layer_copies import LayerCopy, PointsCopy, copy_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


class LayerMirror:
    """Keeps copies of some layers in another viewer model; other layers there are left alone.

    Parameters
    ----------
    target : ViewerModel
    wanted : callable
        The layers to be copied, in their order.
    """

    def __init__(self, target: ViewerModel, wanted: Callable[[], Sequence[Layer]]) -> None:
        self._target, self._wanted = target, wanted
        self._copies: dict[Layer, LayerCopy] = {}

    def update(self) -> bool:
        """Copy what is new, take away what is gone, and keep the order.

        Returns
        -------
        bool
            Whether copies came or went.
        """
        wanted = list(self._wanted())
        changed = False
        for layer in [i for i in self._copies if i not in wanted]:
            self._drop(layer)
            changed = True
        for layer in wanted:
            if layer not in self._copies:
                made = copy_of(layer)
                self._copies[layer] = made
                self._target.layers.append(made.copy)
                changed = True
        layers = self._target.layers
        for place, layer in enumerate(wanted):
            copy = self._copies[layer].copy
            if copy not in layers:  # somebody took it out of the canvas: it is put back
                layers.append(copy)
            if layers.index(copy) != place:
                layers.move(layers.index(copy), place)
        return changed

    def copy(self, layer: Layer | None) -> Layer | None:
        """The copy of a layer, if it has one."""
        found = self._copies.get(layer) if layer is not None else None
        return None if found is None else found.copy

    def pairs(self) -> list[tuple[Layer, Layer]]:
        """Every layer with its copy, in the order of the layers."""
        return [(i, self._copies[i].copy) for i in self._wanted() if i in self._copies]

    def flush(self) -> None:
        """Show now what the points have become, not when napari is idle."""
        for made in self._copies.values():
            if isinstance(made, PointsCopy):
                made.show_layer()

    def end(self) -> None:
        """Let go of every layer. The canvas keeps its copies: it may be dead already."""
        for made in self._copies.values():
            made.end()
        self._copies.clear()

    def _drop(self, layer: Layer) -> None:
        made = self._copies.pop(layer)
        made.end()
        if made.copy in self._target.layers:
            self._target.layers.remove(made.copy)
