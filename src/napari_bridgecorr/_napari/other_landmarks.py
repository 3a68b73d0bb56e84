"""Landmark layers that lie beside those in use, as of a file that was opened later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Points

from .frames import LandmarkTag, frame_of, same_place, tag_of
from .landmark_layers import SIDES
from .views import move_points_to_frame

if TYPE_CHECKING:
    from ..landmarks import Side
    from .viewer_session import ViewerSession


def unused_landmarks(session: ViewerSession) -> dict[Side, Points]:
    """The newest landmark layer of each side that is not in use; empty while a rater is blinded."""
    used = [session.point_layer(side) for side in SIDES]
    if any(layer is not None and _rater_of(layer) != 1 for layer in used):
        return {}
    found: dict[Side, Points] = {}
    for layer in session.all_point_layers():
        tag = tag_of(layer)
        if isinstance(tag, LandmarkTag) and tag.rater == 1 and layer not in used:
            found[tag.side] = layer
    return found


def use_landmarks(session: ViewerSession, layers: dict[Side, Points]) -> None:
    """Take these layers instead of those in use, which are hidden, as a step that can be undone."""
    session.read_now()
    before = {side: session.point_layer(side) for side in SIDES}
    for side, points in layers.items():
        image = session.image_layer(side)
        # a file's points come at their places in the world; the image may be shown upright
        if image is not None and not same_place(frame_of(points), frame_of(image)):
            move_points_to_frame(points, side, frame_of(image))
    choose_layers(session, layers)
    session.history.note_layers(before, {side: session.point_layer(side) for side in SIDES})
    session.read_now()


def choose_layers(session: ViewerSession, layers: dict[Side, Points]) -> None:
    """Let these layers be in use, seen as those were seen that they take the place of."""
    for side, points in layers.items():
        old = session.point_layer(side)
        if old is points:
            continue
        if old is not None:
            points.visible = old.visible
            old.visible = False
        session.set_point_layer(side, points)


def _rater_of(layer: Points) -> int:
    tag = tag_of(layer)
    return tag.rater if isinstance(tag, LandmarkTag) else 1
