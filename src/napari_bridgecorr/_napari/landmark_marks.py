"""How a landmark's mark tells its state: a pair, half a pair, or left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..landmarks import LandmarkSet
from .landmark_layers import raw_ids

if TYPE_CHECKING:
    from napari.layers import Points

PAIR, HALF, LEFT_OUT = "disc", "ring", "x"


def is_in_view(layer: Points) -> bool:
    """Whether some of a layer's points are drawn now.

    A hidden layer keeps the numbers of the points that it showed last, which may be gone: drawing
    them anew fails in napari.
    """
    seen = layer._view_indices
    return bool(layer.visible and len(seen) and max(seen) < len(layer.data))


def show_states(layer: Points, landmarks: LandmarkSet) -> None:
    """Give each point of a layer the symbol of its landmark's state."""
    known = {m.id: m for m in landmarks}
    wanted = []
    for name, now in zip(raw_ids(layer), layer.symbol, strict=True):
        landmark = known.get(name)
        if landmark is None:
            wanted.append(str(now))
        elif not landmark.enabled:
            wanted.append(LEFT_OUT)
        else:
            wanted.append(PAIR if landmark.is_pair else HALF)
    if not wanted or wanted == [str(s) for s in layer.symbol]:
        return
    if is_in_view(layer):
        layer.symbol = wanted
        return
    # None is in view: nothing is to be drawn anew, and must not be. After a layer was removed,
    # drawing marks of which none is seen ends the process (napari 0.9 with Mesa).
    with layer.events.blocker_all():
        layer.symbol = wanted
