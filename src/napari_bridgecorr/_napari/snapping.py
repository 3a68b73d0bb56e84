"""The current point moved to the structure that was meant: asked for, found in a thread, done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from napari.layers import Labels
from psygnal import Signal

from ..errors import BridgecorrError, one_line
from ..landmarks import Point, Side
from ..refine import View
from ..refine.ray_pick import brightest_on_line
from ..refine.snap import Snapped, snap
from .frames import ImageTag, frame_of, tag_of
from .jobs import LatestAnswer
from .landmark_layers import SIDES, position
from .landmark_moves import move_points, time_shown
from .lifeline import Lifeline
from .viewer_session import ViewerSession
from .views import line_of_sight

VOXELS = 5.0
"""Radius within which is looked at first, in lengths of the image's longest voxel."""

_KINDS = {"branching": "branching", "centre line": "centre line", "spot": "middle of a spot"}


@dataclass(frozen=True, eq=False)
class _Question:
    landmark_id: str
    side: Side
    point_um: Point
    view: View
    radius_um: float


class Snapping:
    """Snaps one landmark's point at a time; an answer counts only if it still stands there.

    `nothing_found` follows where nothing stands out: the landmark's id, and that in words.
    """

    nothing_found = Signal(str, str)

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        self._session = session
        self.voxels = VOXELS
        self._answers = LatestAnswer()
        self._answers.answered.connect(self._on_answer)
        lifeline.at_end(self._answers.drop)

    def ask(self, landmark_id: str, side: Side, point_um: Point) -> None:
        """Look round a point of one side's image, and move it."""
        view = self._view(side)
        if view is None:
            self._session.told.emit(f"Choose the {side} image in step 1 first.", False)
            return
        size = np.asarray(view.image.grid.voxel_size_um)
        free = np.asarray(view.image.grid.shape) > 1
        radius = self.voxels * float(np.max(size[free], initial=float(size.min())))
        question = _Question(landmark_id, side, point_um, view, radius)
        self._answers.ask(lambda: _answer(question))

    def pick_along_sight(self, landmark_id: str, side: Side, point_um: Point) -> None:
        """Move a point that was clicked on a 3-D picture to what is brightest along the ray."""
        viewer, layer, view = (
            self._session.canvas_of(side),
            self._session.point_layer(side),
            self._view(side),
        )
        if viewer is None or layer is None or view is None or viewer.dims.ndisplay != 3:
            return
        sight = frame_of(layer)[:3, :3] @ line_of_sight(viewer)
        try:
            found = brightest_on_line(view, point_um, sight)
        except BridgecorrError as error:
            self._session.told.emit(one_line(error), True)
            return
        if found is None:
            self._session.told.emit(
                f"Nothing is seen behind the click: {landmark_id} lies on the picture's middle "
                "plane. Click on a structure, or place it in 2-D.",
                False,
            )
            return
        unit = self._session.unknown_units()[SIDES.index(side)]
        move_points(layer, {landmark_id: found}, unit)
        self._session.read_now()

    def _view(self, side: Side) -> View | None:
        viewer, chosen = self._session.canvas_of(side), self._session.image_layer(side)
        try:
            image = self._session.image(side)
        except BridgecorrError:
            return None  # step 1 says what is wrong with the layer
        if viewer is None or chosen is None or image is None:
            return None
        seen = [i for i in self._session.channel_layers(side) if i.visible] or [chosen]
        # of several channels the one on top is what the user looks at
        layer = seen[-1] if not isinstance(seen[-1], Labels) else chosen
        tag = tag_of(layer)
        channel = tag.channel if isinstance(tag, ImageTag) else 0
        return View(image, channel, time_shown(viewer, layer, image))

    def _on_answer(self, answer: tuple[_Question, Snapped | None, str]) -> None:
        question, found, fault = answer
        if fault:
            self._session.told.emit(fault, True)
            return
        name, side = question.landmark_id, question.side
        if found is None:
            self.nothing_found.emit(
                name, f"Nothing stands out within {question.radius_um:.3g} µm of {name}"
            )
            return
        self._session.read_now()
        here = [m for m in self._session.landmarks if m.id == name]
        layer = self._session.point_layer(side)
        if layer is None or not here or position(here[0], side) != question.point_um:
            return  # moved or gone meanwhile: what was asked no longer holds
        selected = set(layer.selected_data)
        unit = self._session.unknown_units()[SIDES.index(side)]
        move_points(layer, {name: found.place_um}, unit)
        layer.selected_data = selected
        self._session.read_now()
        self._session.told.emit(
            f"{name} moved {found.distance_um:.3g} µm to the {_KINDS[found.kind]}.", False
        )


def _answer(question: _Question) -> tuple[_Question, Snapped | None, str]:
    """For a job's thread."""
    try:
        return question, snap(question.view, question.point_um, question.radius_um), ""
    except BridgecorrError as error:
        return question, None, one_line(error)
