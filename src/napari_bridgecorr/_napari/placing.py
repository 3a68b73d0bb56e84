"""What keys and buttons do with landmarks: place, confirm, go on, nudge, snap, leave out, delete.

There is one *current* landmark: the one just placed or chosen. While it is half placed its partner
is waited for: the next click in the other image is that one, wherever other half pairs stand.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from ..errors import BridgecorrError
from ..fitting import ErrorModel, Fit
from ..fitting.predicted_error import error_of_fit
from ..fitting.predicted_place import guide_fit, predicted_partner
from ..landmarks import Landmark, Point, Side
from .beside_image import BesideGuard
from .frames import frame_of, world_matrix
from .ghost import Ghost, expectation
from .jobs import LatestAnswer
from .keyboard import Keyboard
from .landmark_layers import SIDES, expect_click, position, raw_ids
from .landmark_marks import show_states
from .landmark_moves import move_points
from .placing_actions import DIRECTIONS, TENTH, VOXEL
from .snapping import Snapping
from .turns import Turns
from .views import look_at

if TYPE_CHECKING:
    from .image_maps import ImageMap
    from .lifeline import Lifeline
    from .placing_host import Host
    from .viewer_session import ViewerSession


class Placing:
    """Does with the current landmark what is asked."""

    changed = Signal()

    def __init__(self, session: ViewerSession, lifeline: Lifeline, host: Host) -> None:
        self._session, self._host = session, host
        self.current = ""
        self._waiting = self._confirmed = ""
        self._errors: tuple[Fit | ImageMap, ErrorModel | None] | None = None
        self._guide: tuple[object, Fit | None] | None = None
        self.turns = Turns()
        self.ghost = Ghost(session, self.turns)
        self.snapping = Snapping(session, lifeline)
        self.guard = BesideGuard(session, lifeline)
        self.keyboard = Keyboard(session, self._expected_on)
        self._answers = LatestAnswer()
        self._answers.answered.connect(self._on_error_known)
        self._doers: dict[str, Callable[[], None]] = {
            "place": self.place_at_cursor,
            "confirm": self.confirm,
            "skip": self.skip,
            "other_view": self.to_other_view,
            "move": host.toggle_move,
            "next": partial(self.step, 1),
            "previous": partial(self.step, -1),
            "enable": self.toggle_enabled,
            "snap": self.snap,
            "delete": self.delete_pair,
            "delete_point": self.delete_point,
        }
        for way, (axis, sign) in DIRECTIONS.items():
            self._doers[f"nudge_{way}"] = partial(self.nudge, axis, sign * VOXEL)
            self._doers[f"nudge_{way}_tenth"] = partial(self.nudge, axis, sign * TENTH)
        lifeline.connect(session.point_added, self._on_point_added)
        lifeline.connect(session.landmarks_changed, self._on_landmarks)
        lifeline.connect(session.fit_changed, self._on_fit)
        lifeline.connect(session.canvases.changed, self._on_fit)
        lifeline.connect(session.canvases.changed, self.keyboard.refresh)
        lifeline.connect(self.snapping.nothing_found, self._on_nothing_to_snap_to)
        lifeline.at_end(self._end)
        self._on_landmarks()

    def do(self, name: str) -> None:
        """Do what an action of :data:`.placing_actions.ACTIONS` says."""
        self._doers[name]()

    # -- what is current -------------------------------------------------------------------------

    @property
    def side(self) -> Side | None:
        """The image shown alone, or of two views the one pointed at; None in the overlay."""
        if self._has_two_views:
            return self._session.canvases.pointed()
        return None if self._host.view == "both" else self._host.view

    @property
    def _has_two_views(self) -> bool:
        return self._session.canvases.second is not None

    def landmark(self) -> Landmark | None:
        """The current landmark: a point selected in its layer, else the one chosen last."""
        self._session.read_now()
        layer = None if self.side is None else self._session.point_layer(self.side)
        if layer is not None and len(layer.selected_data) == 1:
            names = raw_ids(layer)
            row = next(iter(layer.selected_data))
            self.current = names[row] if row < len(names) else self.current
        return self._named(self.current)

    def set_current(self, landmark_id: str) -> None:
        """Make a landmark the current one; if it is half placed, wait for its partner."""
        self.current = landmark_id
        self._stop_waiting()
        landmark = self._named(landmark_id)
        if landmark is not None and not landmark.is_pair:
            self._wait_for(landmark)
        self.changed.emit()

    # -- placing ---------------------------------------------------------------------------------

    def place_at_cursor(self) -> None:
        """Add a point where the mouse is."""
        side = self.side
        viewer = None if side is None else self._session.canvas_of(side)
        layer = None if side is None else self._session.point_layer(side)
        if viewer is None or side is None or layer is None:
            self._tell("Show the fixed or the moving image alone to place a point in it.")
            return
        if not self.guard.refuses(side, viewer.cursor.position):
            layer.add(layer.world_to_data(viewer.cursor.position))

    def confirm(self) -> None:
        """Put the missing partner where it is expected."""
        side, place = self.ghost.side, self.ghost.place
        layer = None if side is None else self._session.point_layer(side)
        if side is None or place is None or layer is None:
            self._tell(
                "Nothing to confirm: click a structure in one image first. From three pairs on "
                "its partner is expected in the other."
            )
            return
        if self.guard.refuses_expected(self._waiting, side, place.place_um):
            return
        data = np.linalg.inv(world_matrix(layer, self._unit(side)))
        expect_click(layer, self._waiting)
        self._confirmed = self._waiting
        layer.add(place.seen_through(data).place_um)

    def skip(self) -> None:
        """Leave the half pair as it is."""
        if self._waiting:
            self._tell(f"{self._waiting} stays half placed: choose it in the table to go on.")
        self._stop_waiting()
        self.changed.emit()

    def to_other_view(self) -> None:
        """Let the keyboard act in the other image; of one view, show the other image in it."""
        other = _other(self.side or "moving")
        if not self._has_two_views:
            self._host.set_view(other)
        if self.keyboard.give_to(other):
            self._tell(f"The keyboard acts in the {other} image.")

    def step(self, by: int) -> None:
        """Go to the next or the previous landmark."""
        names = [m.id for m in self._session.landmarks]
        if not names:
            self._tell("No landmarks yet: click a structure in the image.")
            return
        at = names.index(self.current) if self.current in names else (-1 if by > 0 else 0)
        self.go_to(names[(at + by) % len(names)])

    def go_to(self, landmark_id: str) -> None:
        """Look at a landmark in the image shown, or where its other half is expected."""
        landmark = self._named(landmark_id)
        if landmark is None:
            return
        shown: Side = self.side or "fixed"
        self.set_current(landmark_id)
        missing = self._missing(landmark)
        if missing is not None:
            shown = missing if self.ghost.side == missing else _other(missing)
        if self.side is not None and self.side != shown and not self._has_two_views:
            self._host.set_view(shown)
            if missing == shown:
                self._wait_for(landmark)
        place = self.ghost.place
        point = place.place_um if missing == shown and place else position(landmark, shown)
        if point is not None:
            look_at(self._session, shown, point)
        layer = self._session.point_layer(shown)
        names = raw_ids(layer)
        if layer is not None and landmark_id in names:
            layer.selected_data = {names.index(landmark_id)}
        self._host.select(landmark_id)

    # -- changing --------------------------------------------------------------------------------

    def toggle_enabled(self) -> None:
        """Use the current landmark, or leave it out."""
        landmark = self._current_or_tell()
        if landmark is not None:
            self._session.set_enabled(landmark.id, not landmark.enabled)
            self._session.read_now()

    def delete_pair(self) -> None:
        """Remove both points of the current landmark."""
        landmark = self._current_or_tell()
        if landmark is not None:
            for side in SIDES:
                self._remove(side, landmark.id)
            self._session.read_now()

    def delete_point(self) -> None:
        """Remove the current landmark's point in the image shown."""
        landmark = self._current_or_tell()
        if landmark is None:
            return
        if self.side is None or position(landmark, self.side) is None:
            self._tell(f"{landmark.id} has no point in the image shown.")
            return
        self._remove(self.side, landmark.id)
        self._session.read_now()
        self.set_current(landmark.id)

    def snap(self) -> None:
        """Move the current point in the image shown to the structure next to it."""
        landmark, side = self.landmark(), self.side
        point = None if landmark is None or side is None else position(landmark, side)
        if landmark is None or side is None or point is None:
            self._tell("Choose a point of the image shown first: a row of the table, or N.")
            return
        self.snapping.ask(landmark.id, side, point)

    def nudge(self, displayed: int, voxels: float) -> None:
        """Move the current point along an axis of the screen, 0 being depth."""
        side, landmark = self.side, self.landmark()
        viewer = None if side is None else self._session.canvas_of(side)
        layer = None if side is None else self._session.point_layer(side)
        if viewer is None or side is None or layer is None:
            self._tell("Show the fixed or the moving image alone to move a point in it.")
            return
        point = None if landmark is None else position(landmark, side)
        if landmark is None or point is None:
            self._tell("Choose a point first: a row of the table, or N.")
            return
        order = [axis - (viewer.dims.ndim - 3) for axis in viewer.dims.order[-3:]]
        axis = order[displayed]
        step_um = self._voxel_um(side)[axis] * voxels
        if axis not in range(3) or step_um == 0:
            return
        to = np.asarray(point) + frame_of(layer)[:3, axis] * step_um
        selected = set(layer.selected_data)
        move_points(layer, {landmark.id: _point(to)}, self._unit(side))
        layer.selected_data = selected
        expect_click(layer, self._waiting if self.ghost.side == side else "")
        if displayed == 0 and viewer.dims.ndisplay == 2:
            look_at(self._session, side, to)

    # -- inside ----------------------------------------------------------------------------------

    def _on_point_added(self, side: Side, landmark_id: str) -> None:
        self._follow_added(side, landmark_id)
        for one in (side, _other(side)):  # what was clicked first; each in a turn of its own
            self.turns.add(f"draw {one}", partial(self._session.canvases.release_drawing, one))

    def _follow_added(self, side: Side, landmark_id: str) -> None:
        landmark = self._named(landmark_id)
        clicked = None if landmark is None else position(landmark, side)
        was_confirmed, self._confirmed = landmark_id == self._confirmed, ""
        if clicked is not None and not was_confirmed:
            self.snapping.pick_along_sight(landmark_id, side, clicked)
            landmark = self._named(landmark_id)
        self.current = landmark_id
        self._stop_waiting()
        two, follows = self._has_two_views, self._host.follows()
        if landmark is None or (self._host.view != side and not two):
            return
        other = _other(side)
        self._host.select(landmark_id)
        has_other = None not in (self._session.image_layer(other), self._session.point_layer(other))
        if landmark.is_pair:
            if follows and side == "moving" and not two:  # on to the next one
                self._host.set_view("fixed")
                look_at(self._session, "fixed", position(landmark, "fixed"))
        elif has_other:
            if follows and not two:
                self._host.set_view(other)
            self._wait_for(landmark)
            place = self.ghost.place
            if place is not None and (follows if two else self._host.view == other):
                look = partial(look_at, self._session, other, place.place_um)
                self.turns.add("look", look, first=True)
        self.changed.emit()

    def _expected_on(self, side: Side) -> Point | None:
        place = self.ghost.place if self.ghost.side == side else None
        return None if place is None else _point(place.place_um)

    def _on_nothing_to_snap_to(self, landmark_id: str, words: str) -> None:
        if self._host.refine(landmark_id):
            self._tell(f"{words}: both images are compared there instead.")
        else:
            self._tell(f"{words}: it stays.")

    def _wait_for(self, landmark: Landmark) -> None:
        """Show where the partner is expected, and let the next click there be this one's."""
        missing = self._missing(landmark)
        layer = None if missing is None else self._session.point_layer(missing)
        if missing is None or layer is None:
            return
        self._waiting = landmark.id
        expect_click(layer, landmark.id)
        made, point = self._made(), position(landmark, _other(missing))
        if made is None or point is None:
            self.ghost.hide()
            return
        known = self._knows_error_of(made)
        error = self._errors[1] if known and self._errors is not None else None
        try:
            place = predicted_partner(made.transform, point, _other(missing), error)
        except BridgecorrError:
            place = None  # it only helps: without it the user searches
        if place is None:
            self.ghost.hide()
            return
        self.ghost.show(missing, place)
        if not known:
            self._learn_error()
        elif place.is_spread_known:
            self._tell(expectation(self._waiting, missing, place))

    def _stop_waiting(self) -> None:
        for side in SIDES:
            layer = self._session.point_layer(side)
            if layer is not None and self._waiting:
                expect_click(layer)
        self._waiting = ""
        self.ghost.hide()

    def _on_error_known(self, answer: tuple[Fit | ImageMap, ErrorModel | None]) -> None:
        self._errors = answer
        self._refresh()

    def _on_landmarks(self) -> None:
        for side in SIDES:
            layer = self._session.point_layer(side)
            if layer is not None:
                show_states(layer, self._session.landmarks)
        landmark = self._named(self._waiting)
        if self._waiting and (landmark is None or landmark.is_pair):
            self._stop_waiting()
        self.changed.emit()

    def _on_fit(self) -> None:
        self._refresh()
        self._learn_error()

    def _learn_error(self) -> None:
        """Have the error model at hand when the next half pair is placed."""
        made = self._made()
        if made is not None and not self._knows_error_of(made):
            self._answers.ask(partial(_error_model, made, self._session.landmarks))

    def _knows_error_of(self, made: Fit | ImageMap) -> bool:
        return self._errors is not None and self._errors[0] is made

    def _refresh(self) -> None:
        landmark = self._named(self._waiting)
        if landmark is not None and not landmark.is_pair:
            self._wait_for(landmark)
            self.changed.emit()

    def _made(self) -> Fit | ImageMap | None:
        """The map that tells where to look: the one in use, else a stiffer one of few pairs."""
        made = self._session.image_map() or self._session.fit
        if made is not None:
            return made
        asked = tuple(m for m in self._session.landmarks if m.enabled and m.is_pair)
        question = (asked, self._session.options)
        if self._guide is None or self._guide[0] != question:
            self._guide = (
                question,
                guide_fit(self._session.landmarks.pairs(), self._session.options),
            )
        return self._guide[1]

    def _remove(self, side: Side, landmark_id: str) -> None:
        layer = self._session.point_layer(side)
        names = raw_ids(layer)
        if layer is not None and landmark_id in names:
            layer.selected_data = {names.index(landmark_id)}
            layer.remove_selected()

    def _named(self, landmark_id: str) -> Landmark | None:
        found = [m for m in self._session.landmarks if m.id == landmark_id]
        return found[0] if found else None

    def _missing(self, landmark: Landmark) -> Side | None:
        missing = [side for side in SIDES if position(landmark, side) is None]
        return missing[0] if len(missing) == 1 else None

    def _current_or_tell(self) -> Landmark | None:
        landmark = self.landmark()
        if landmark is None:
            self._tell("Choose a landmark first: a row of the table, or N.")
        return landmark

    def _voxel_um(self, side: Side) -> tuple[float, float, float]:
        try:
            image = self._session.image(side)
        except BridgecorrError:
            image = None  # step 1 says what is wrong with the layer
        return (1.0, 1.0, 1.0) if image is None else image.grid.voxel_size_um

    def _unit(self, side: Side) -> float:
        return self._session.unknown_units()[SIDES.index(side)]

    def _tell(self, text: str) -> None:
        self._session.told.emit(text, False)

    def _end(self) -> None:
        self._answers.drop()
        self._stop_waiting()
        self.turns.drop()
        self.ghost.remove()
        self.keyboard.end()


def _error_model(
    made: Fit | ImageMap, landmarks: object
) -> tuple[Fit | ImageMap, ErrorModel | None]:
    """For a job's thread."""
    try:
        return made, error_of_fit(made) if isinstance(made, Fit) else made.error(landmarks)
    except BridgecorrError:
        return made, None  # the cross alone is shown


def _other(side: Side) -> Side:
    return "moving" if side == "fixed" else "fixed"


def _point(values: np.ndarray) -> Point:
    z, y, x = (float(v) for v in values)
    return z, y, x
