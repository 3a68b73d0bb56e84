"""Part of step 3: how good is it? The error, how it was found, what helps; pairs set aside."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QSpinBox, QVBoxLayout, QWidget

from ..errors import FitError
from ..fitting import choose_check_landmarks
from ..fitting.check_landmarks import DEFAULT_NUMBER
from .landmark_edits import set_values
from .panel_parts import ACCENT, button, marked, muted, wrapped
from .verdict_words import verdict

if TYPE_CHECKING:
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession


class VerdictCard(QWidget):
    """Says how far to trust the fit, and sets pairs aside to find it out."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self._session = session
        self._draws = 0
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.words = wrapped("bridgecorr_verdict")
        column.addWidget(self.words)
        row = QHBoxLayout()
        row.setSpacing(4)
        self.number = QSpinBox()
        self.number.setObjectName("bridgecorr_check_number")
        self.number.setAccessibleName("How many pairs to set aside")
        self.number.setRange(1, 500)
        self.number.setValue(DEFAULT_NUMBER)
        self.number.setSuffix(" pairs")
        self.number.setToolTip("How many pairs are set aside (number of pairs)")
        self.number.setMinimumWidth(86)
        self.set_aside = button(
            "Set aside",
            "Let the program draw pairs, spread over the sample and at random, that no fit uses: "
            "the error at them judges the very map. The draw is kept with the landmarks",
            name="bridgecorr_set_aside",
        )
        self.take_back = button(
            "Use them again",
            "Let the fit use the check pairs like all others",
            name="bridgecorr_take_back",
        )
        self.set_aside.clicked.connect(self._on_set_aside)
        self.take_back.clicked.connect(self._on_take_back)
        row.addWidget(self.number)
        row.addWidget(self.set_aside, 1)
        row.addWidget(self.take_back, 1)
        column.addLayout(row)
        self.note = muted()
        self.note.setObjectName("bridgecorr_check_note")
        self.note.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        column.addWidget(self.note)
        for signal in (session.landmarks_changed, session.fit_changed, session.judgement_changed):
            lifeline.connect(signal, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Say what is known of the fit now."""
        session = self._session
        judgement = None if session.judgement.is_busy else session.judgement.result
        said = verdict(session.landmarks, session.fit, judgement)
        lines = [f'<span style="font-size:13px; font-weight:600">{escape(said.headline)}</span>']
        lines += [f'<span style="font-size:11px">{escape(text)}</span>' for text in said.how]
        lines += [marked("→", ACCENT, text) for text in said.advice]
        self.words.setText("<br>".join(lines))
        checks = [m.id for m in session.landmarks if m.check]
        self.set_aside.setEnabled(not checks and session.fit is not None)
        self.number.setEnabled(not checks)
        self.take_back.setEnabled(bool(checks))
        self.note.setText(
            f"Set aside: {', '.join(checks[:8])}{', …' if len(checks) > 8 else ''} (◇ in the "
            "table). Take them back for the final fit if pairs are few."
            if checks
            else "Check pairs are drawn before you look at any error, and stay out of every fit."
        )

    def _on_set_aside(self) -> None:
        session = self._session
        session.read_now()
        try:
            chosen = choose_check_landmarks(
                session.landmarks.pairs(),
                self.number.value(),
                seed=self._draws,  # told, so that nobody draws until the error pleases
                dimensions=session.options.dimensions,
            )
        except FitError as error:
            session.told.emit(str(error), True)
            return
        self._draws += 1
        set_values(session, "check", dict.fromkeys(chosen, True))
        session.read_now()
        session.told.emit(
            f"Set aside (draw {self._draws}): {', '.join(chosen)}. No fit uses them until you take "
            "them back.",
            False,
        )

    def _on_take_back(self) -> None:
        session = self._session
        checks = [m.id for m in session.landmarks if m.check]
        set_values(session, "check", dict.fromkeys(checks, False))
        session.read_now()
        session.told.emit("The fit uses all pairs again.", False)
