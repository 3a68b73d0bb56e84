"""A first tour of the Register panel: cards, each pointing at the control that it speaks of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from .autosave_files import folder
from .panel_parts import ACCENT, button, primary, wrapped
from .sample_opening import SampleOpening

if TYPE_CHECKING:
    from pathlib import Path

    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_HALO_PX = 3


@dataclass(frozen=True)
class Card:
    """One card.

    Parameters
    ----------
    title, text : str
    control : str
        The object name of the control that it points at; "" for none.
    """

    title: str
    text: str
    control: str = ""


CARDS: tuple[Card, ...] = (
    Card(
        "Two images",
        "The fixed image stays as it is, often an MRI; the moving one is brought onto it. Below "
        "each stands its size and voxel size in µm: look whether they are true.",
        "bridgecorr_fixed_image",
    ),
    Card(
        "Two views",
        "Press this to see both images side by side, each with its own slice and zoom. “Link "
        "views” lets one follow the other.",
        "bridgecorr_two_views",
    ),
    Card(
        "Place a pair",
        "With this on, click a vessel fork in the fixed image, then the same fork in the moving "
        "one. From the third pair on a white cross shows where it is expected: Enter confirms, or "
        "click where it really is.",
        "bridgecorr_place",
    ),
    Card(
        "Every key has a button",
        "Space places at the mouse, Tab changes views, arrows nudge, S snaps, Ctrl+Z takes back. "
        "Unfold this to see them all.",
        "bridgecorr_keys",
    ),
    Card(
        "See what is odd",
        "“Left out” is how far a pair lies from where all others expect it. This goes to the worst "
        "one: mend it, or leave it out.",
        "bridgecorr_worst_pair",
    ),
    Card(
        "How good is it?",
        "The error to reckon with in µm, how it was found, and what would lower it.",
        "bridgecorr_verdict_fold",
    ),
    Card(
        "Take it with you",
        "“Warp” brings the moving image onto the fixed voxels; the table has one row per voxel. "
        "What you click is kept by itself all the time.",
        "bridgecorr_warp",
    ),
)


class Tour(QFrame):
    """The strip: offered once, walked through or skipped, and remembered.

    Parameters
    ----------
    session : ViewerSession
    lifeline : Lifeline
    panel : QWidget
        In which the controls are.
    """

    def __init__(self, session: ViewerSession, lifeline: Lifeline, panel: QWidget) -> None:
        super().__init__()
        self._session, self._panel = session, panel
        self._at = -1
        self._halo: _Halo | None = None
        self.setObjectName("bridgecorr_tour")
        self.setStyleSheet(
            f"#bridgecorr_tour {{ border-left: 3px solid {ACCENT};"
            " background: rgba(127, 127, 127, 40); }"
        )
        self.words = wrapped("bridgecorr_tour_words")
        self.words.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._longest = wrapped()  # never shown: it measures
        self._longest.setParent(self)
        self._longest.hide()
        self.opening = SampleOpening(session, lifeline, self._on_opened)
        self.go = primary("", "", name="bridgecorr_tour_go")
        self.back = button("Back", "The card before", name="bridgecorr_tour_back")
        self.skip = button(
            "Skip",
            "No tour; it is not offered again. “Take the tour” at the end of the panel brings it "
            "back",
            name="bridgecorr_tour_skip",
        )
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.go, 2)
        row.addWidget(self.back, 1)
        row.addWidget(self.skip, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.setSpacing(6)
        column.addWidget(self.words)
        column.addLayout(row)
        column.addWidget(self.opening)
        self.go.clicked.connect(self.forward)
        self.back.clicked.connect(self._on_back)
        self.skip.clicked.connect(self.end)
        lifeline.at_end(self._let_go)
        self.setVisible(not was_seen())
        self._show()

    @property
    def card(self) -> Card | None:
        """The card that is shown; None for the offer."""
        return CARDS[self._at] if 0 <= self._at < len(CARDS) else None

    def start(self) -> None:
        """From the first card, on the sample data where nothing is open."""
        self.show()
        if self._session.image_layers():
            self._begin()
            return
        self.go.setText("Opening the sample data…")
        self.go.setEnabled(False)
        self.opening.start()

    def _begin(self) -> None:
        self._at = 0
        self._show()

    def _on_opened(self, is_there: bool) -> None:
        self.go.setEnabled(True)
        if is_there:
            self._begin()
        else:
            self._show()

    def forward(self) -> None:
        """The next card; after the last it is over."""
        if self._at < 0:
            self.start()
        elif self._at + 1 < len(CARDS):
            self._at += 1
            self._show()
        else:
            self.end()

    def end(self) -> None:
        """Put the strip away and remember that it was seen."""
        remember()
        self.opening.jobs.cancel()
        self._at = -1
        self._let_go()
        self.hide()
        self._show()

    def _on_back(self) -> None:
        self._at = max(self._at - 1, 0)
        self._show()

    def _show(self) -> None:
        card = self.card
        self.back.setVisible(card is not None)
        self.back.setEnabled(self._at > 0)
        self.skip.setText("Skip" if card is None else "End")
        self._let_go()
        if card is None:
            empty = not self._session.image_layers()
            self.words.setText(
                "<b>First time here?</b> Seven cards show what is where"
                + (", on the sample data." if empty else ".")
            )
            self.go.setText("Take the tour")
            self.go.setToolTip("Two minutes; nothing of yours is changed")
            return
        self.words.setText(_text(self._at))
        self._keep_height()
        is_last = self._at + 1 == len(CARDS)
        self.go.setText("Done" if is_last else "Next")
        self.go.setToolTip("The tour is over" if is_last else f"Next: {CARDS[self._at + 1].title}")
        self._point_at(card.control)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Stay as tall as the longest card, so that “Next” stays under the mouse."""
        super().resizeEvent(event)
        self._keep_height()

    def _keep_height(self) -> None:
        if self.card is None:
            self.words.setMinimumHeight(0)
            return
        width, tallest = self.words.width(), 0
        for number in range(len(CARDS)):
            self._longest.setText(_text(number))
            tallest = max(tallest, self._longest.heightForWidth(width))
        self.words.setMinimumHeight(tallest)

    def _point_at(self, name: str) -> None:
        target = self._panel.findChild(QWidget, name)
        if target is None or not target.isVisibleTo(self._panel):
            return
        at: QWidget | None = target.parentWidget()
        while at is not None and not isinstance(at, QScrollArea):
            at = at.parentWidget()
        if isinstance(at, QScrollArea):
            at.ensureWidgetVisible(target, 20, 60)
        self._halo = _Halo(target)

    def _let_go(self) -> None:
        halo, self._halo = self._halo, None
        if halo is not None and isalive(halo):
            halo.end()


class _Halo(QFrame):
    """A frame round a control that lets the mouse through and moves with it."""

    def __init__(self, target: QWidget) -> None:
        super().__init__(target.parentWidget())
        self._target = target
        self.setObjectName("bridgecorr_tour_halo")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setStyleSheet(
            f"#bridgecorr_tour_halo {{ border: {_HALO_PX}px solid {ACCENT}; border-radius: 5px;"
            " background: transparent; }"
        )
        target.installEventFilter(self)
        self._follow()
        self.show()
        self.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay round the control."""
        if watched is self._target and event.type() in (QEvent.Type.Move, QEvent.Type.Resize):
            self._follow()
        return False

    def end(self) -> None:
        """Go away."""
        if isalive(self._target):
            self._target.removeEventFilter(self)
        self.hide()
        self.deleteLater()

    def _follow(self) -> None:
        m = _HALO_PX
        self.setGeometry(self._target.geometry().adjusted(-m, -m, m, m))


def _text(number: int) -> str:
    card = CARDS[number]
    count = f'<span style="color:{ACCENT}">{number + 1} of {len(CARDS)}</span>'
    return f"{count}&nbsp; <b>{escape(card.title)}</b><br>{escape(card.text)}"


def tour_button(tour: Tour) -> QWidget:
    """Brings the tour back."""
    made = button("Take the tour", "Seven cards show what is where", name="bridgecorr_take_tour")
    made.clicked.connect(_starter(tour))
    return made


def was_seen() -> bool:
    """Whether this user has had the tour, or skipped it."""
    try:
        return _memory().exists()
    except OSError:
        return True  # where nothing can be remembered it would come back every time


def remember() -> None:
    """Do not offer it again."""
    try:
        _memory().touch()
    except OSError:
        return  # it is offered once more: no reason to stop anyone's work


def _memory() -> Path:
    return folder().parent / "tour_seen"


def _starter(tour: Tour) -> Callable[..., None]:
    def start(*_: object) -> None:
        tour.start()

    return start
