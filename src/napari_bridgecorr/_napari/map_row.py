"""Which map the results use: one click from the one to the other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from .map_choice import Choice
from .panel_parts import button, muted

if TYPE_CHECKING:
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_CHOICES: tuple[tuple[Choice, str, str], ...] = (
    ("fit", "Landmarks' fit", "The fit of step 3"),
    ("aligned", "Found", "The map found without landmarks"),
    ("placed", "Placed", "Where the section was placed in the volume"),
    ("refined", "Refined", "The map refined by the images"),
)
_OUTDATED = "Made from other landmarks, options or images than there are now: start it again"


class MapRow(QWidget):
    """Buttons, one for each map there is; not shown while there is only the fit."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self._session = session
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(QLabel("Map"))
        row.addSpacing(6)
        group = QButtonGroup(self)
        self.buttons: dict[Choice, QPushButton] = {}
        for choice, text, tip in _CHOICES:
            made = button(text, tip, name=f"bridgecorr_use_{choice}", checkable=True)
            made.clicked.connect(partial(session.maps.choose, choice))
            group.addButton(made)
            row.addWidget(made, 1)
            self.buttons[choice] = made
        column.addLayout(row)
        self.note = muted()
        column.addWidget(self.note)
        for signal in (
            session.maps.changed,
            session.landmarks_changed,
            session.images_changed,
            session.fit_changed,
        ):
            lifeline.connect(signal, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the maps there are, and which is used."""
        session = self._session
        in_use = session.image_map()
        self.buttons["fit" if in_use is None else in_use.kind].setChecked(True)
        n = 0
        for choice, _, tip in _CHOICES:
            if choice == "fit":
                is_there = is_usable = session.fit is not None
            else:
                found = session.maps.of_kind(choice)
                is_there = found is not None
                is_usable = found is not None and session.still_hold(found.inputs)
            n += is_there and choice != "fit"
            made = self.buttons[choice]
            made.setVisible(is_there)
            made.setEnabled(is_usable)
            made.setToolTip(tip if is_usable else _OUTDATED)
        is_outdated = session.maps.chosen is not None and in_use is None
        self.note.setText(
            f"The map of step 4 was m{_OUTDATED[1:]}. Until then the landmarks' fit is used."
            if is_outdated
            else ""
        )
        self.note.setVisible(is_outdated)
        self.setVisible(n > 0)
