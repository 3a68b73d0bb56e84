"""Buttons that exchange the moving points of pairs that look swapped."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ..fitting.exchanges import exchanged, exchanges
from .landmark_layers import SIDES
from .landmark_moves import move_points
from .panel_parts import button

if TYPE_CHECKING:
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_MOST_SHOWN = 3
_NAMES_IN_FULL = 4
_TIP = "Give the moving points of these pairs to the pairs that they fit"


class ExchangeRow(QWidget):
    """A button for each group of pairs that went to each other; hidden where there is none."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self._session = session
        self._groups: tuple[tuple[str, ...], ...] = ()
        self.buttons: list[QPushButton] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for number in range(_MOST_SHOWN):
            made = button("Exchange", _TIP, name=f"bridgecorr_exchange_{number}")
            made.clicked.connect(partial(self._on_clicked, number))
            column.addWidget(made)
            self.buttons.append(made)
        lifeline.connect(session.judgement_changed, self.refresh)
        lifeline.connect(session.landmarks_changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Offer what can be exchanged now."""
        session = self._session
        judgement = session.judgement.result if session.fit is not None else None
        found = () if judgement is None else exchanges(judgement.mismatches)
        self._groups = tuple(g for g in found if exchanged(session.landmarks, g))[:_MOST_SHOWN]
        for number, made in enumerate(self.buttons):
            made.setVisible(number < len(self._groups))
            if number >= len(self._groups):
                continue
            group = self._groups[number]
            made.setText(f"Exchange {_in_words(group)}")
            made.setToolTip(
                f"Give the moving points of {', '.join(group)} to the pairs that they fit; "
                "fixed points stay. Undo takes it back"
            )
        self.setVisible(bool(self._groups))

    def _on_clicked(self, number: int, _checked: bool = False) -> None:
        session, group = self._session, self._groups[number]
        session.read_now()
        to_um = exchanged(session.landmarks, group)
        layer = session.point_layer("moving")
        if layer is None or not to_um:
            return
        session.history.name_next(f"exchange {_in_words(group)}")
        move_points(layer, to_um, session.unknown_units()[SIDES.index("moving")])
        session.read_now()
        session.told.emit(f"Exchanged: {_in_words(group)}. Look at them once more.", False)


def _in_words(group: tuple[str, ...]) -> str:
    shown = group[:_NAMES_IN_FULL]
    rest = len(group) - len(shown)
    return (" ⇄ " if len(group) == 2 else " → ").join(shown) + (f" and {rest} more" if rest else "")
