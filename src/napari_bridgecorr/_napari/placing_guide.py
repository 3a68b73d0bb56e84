"""One line that says what the next click does, and the button that begins."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Protocol

import numpy as np
from psygnal import SignalInstance
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from ..fitting.predicted_place import PredictedPlace
from ..landmarks import Landmark, Side
from .image_layers import image_name
from .landmark_layers import SIDES, position
from .other_landmarks import unused_landmarks, use_landmarks
from .panel_parts import ACCENT, button, primary, wrapped
from .summary import micrometres

if TYPE_CHECKING:
    from .ghost import Ghost
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_FIRST_PREDICTED = 3
# the outline says where the structure is; a click beside it has an error of its own
_ODD_OUTLINES = 2.0


class Work(Protocol):
    """What places landmarks."""

    current: str
    ghost: Ghost
    changed: SignalInstance


class PlacingGuide(QWidget):
    """Says what to do now in step 2; before there are layers for landmarks it makes them.

    Parameters
    ----------
    session : ViewerSession
    lifeline : Lifeline
    work : Work
        Says which landmark is the current one and where its partner is expected.
    place : QPushButton
        Down while clicks place landmarks.
    """

    def __init__(
        self, session: ViewerSession, lifeline: Lifeline, work: Work, place: QPushButton
    ) -> None:
        super().__init__()
        self._session, self._work, self._place = session, work, place
        self._expected: tuple[str, Side, PredictedPlace] | None = None
        self.words: QLabel = wrapped("bridgecorr_guide")
        self.words.setStyleSheet(f"border-left: 3px solid {ACCENT}; padding: 0px 0px 0px 6px;")
        self.start = primary(
            "Start placing pairs",
            "Opens both images side by side and lets clicks place landmarks: the same structure "
            "in the fixed and in the moving image makes a pair",
            name="bridgecorr_start_placing",
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.words)
        column.addWidget(self.start)
        self.use_others = button(
            "Use these landmarks",
            "Take the landmarks that were opened last instead of those in use, which stay in the "
            "layer list, hidden. Undo takes it back",
            name="bridgecorr_use_others",
        )
        self.use_others.clicked.connect(self._on_use_others)
        column.addWidget(self.use_others)
        place.toggled.connect(self.refresh)
        for signal in (
            work.changed,
            session.landmarks_changed,
            session.images_changed,
            session.layers_changed,
            session.canvases.changed,
        ):
            lifeline.connect(signal, self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Say what fits what there is now."""
        has_images = all(self._session.image_layer(side) is not None for side in SIDES)
        lacking = [side for side in SIDES if self._session.point_layer(side) is None]
        self.setVisible(has_images)
        if not has_images:
            return
        self.start.setVisible(len(lacking) == len(SIDES))
        self._tell_outcome()
        text = f"→ {self._text(lacking)}{self._unused()}"
        if text != self.words.text():
            self.words.setText(text)

    def _text(self, lacking: list[Side]) -> str:
        session = self._session
        if len(lacking) == len(SIDES):
            return (
                "Mark the same structures in both images, as where vessels branch: one click in "
                "each is a pair."
            )
        if lacking:
            return f"Choose the Points layer of the {lacking[0]} image, or press “New layers”."
        half = self._half()
        if not self._place.isChecked():
            return (
                "Press “✚ Place” to place landmarks. Dragging moves the picture, the wheel zooms, "
                "Ctrl and the wheel change the plane."
            )
        if half is not None:
            missing: Side = "moving" if half.moving_um is None else "fixed"
            where = f"the {missing} image (<b>{self._title(missing)}</b>)"
            if self._work.ghost.side == missing:
                return (
                    f"{half.id} is expected at the white cross in {where}: Enter confirms, or "
                    "click where it really is."
                )
            return f"{half.id}: now click the same structure in {where}."
        n = sum(m.is_pair for m in session.landmarks)
        if n == 0:
            return (
                "First pair: click a structure in the fixed image "
                f"(<b>{self._title('fixed')}</b>). "
                "Ctrl and the wheel, or the slider below the picture, change the plane."
            )
        further = (
            f" From {_FIRST_PREDICTED} pairs on its partner's place is shown."
            if n < _FIRST_PREDICTED
            else ""
        )
        return f"{_counted(n)}. Next: click another structure in either image.{further}"

    def _unused(self) -> str:
        """What there is beside the landmarks in use, as of another file that was opened."""
        names = [f"<b>{escape(i.name)}</b>" for i in unused_landmarks(self._session).values()]
        self.use_others.setVisible(bool(names))
        return f"<br>Not used: {' and '.join(names)}." if names else ""

    def _on_use_others(self) -> None:
        found = unused_landmarks(self._session)
        if found:
            use_landmarks(self._session, found)
            n = len(self._session.landmarks)
            self._session.told.emit(
                f"{n} landmark{'' if n == 1 else 's'} in use now. Those of before are hidden; "
                "Undo takes them again.",
                False,
            )

    def _half(self) -> Landmark | None:
        """The current landmark, if it waits for its partner."""
        found = [m for m in self._session.landmarks if m.id == self._work.current]
        is_half = found and not found[0].is_pair
        return found[0] if is_half else None

    def _title(self, side: Side) -> str:
        layer = self._session.image_layer(side)
        return "" if layer is None else escape(image_name(layer))

    def _tell_outcome(self) -> None:
        """Once an expected partner was placed, say how far from the expected place."""
        ghost = self._work.ghost
        if ghost.side is not None and ghost.place is not None:
            self._expected = self._work.current, ghost.side, ghost.place
            return
        if self._expected is None:
            return
        landmark_id, side, expected = self._expected
        found = [m for m in self._session.landmarks if m.id == landmark_id]
        placed = position(found[0], side) if found else None
        if placed is None:
            if not found:
                self._expected = None
            return
        self._expected = None
        if found[0].is_pair:
            self._session.told.emit(outcome(landmark_id, np.asarray(placed), expected), False)


def outcome(landmark_id: str, placed_um: np.ndarray, expected: PredictedPlace) -> str:
    """How far from the expected place a partner was placed, in words.

    Parameters
    ----------
    landmark_id : str
    placed_um : (3,) float64
        World (z, y, x) of the partner's image.
    expected : PredictedPlace
    """
    off = placed_um - expected.place_um
    length = micrometres(float(np.linalg.norm(off)))
    text = f"{landmark_id} is a pair, {length} from where it was expected"
    if not expected.is_spread_known or expected.outlines_away(placed_um) <= _ODD_OUTLINES:
        return f"{text}."
    return f"{text}, far outside its outline: look again whether both are the same structure."


def _counted(n: int) -> str:
    return f"{n} pair{'' if n == 1 else 's'}"
