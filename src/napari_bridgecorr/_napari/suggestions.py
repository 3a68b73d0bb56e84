"""Part of step 2 of the Register panel: pairs that the program proposes, for the user to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

from ..errors import BridgecorrError
from ..vessels import (
    DEFAULT_CONFIDENCE,
    FEWEST_PAIRS,
    Proposals,
    Suggestion,
    propose,
    with_suggestions,
)
from .jobs import Job
from .landmark_edits import add_pairs
from .landmark_keys import InstalledKeys, KeyAction, keys_of
from .landmark_layers import SIDES
from .landmark_moves import time_shown
from .panel_jobs import PanelJobs
from .panel_parts import ProgressLine, button, muted
from .suggestion_marks import SuggestionMarks
from .suggestion_options import SuggestionChoices
from .suggestion_table import SuggestionTable
from .suggestion_words import in_words
from .summary import for_the_window

if TYPE_CHECKING:
    from ..image import SpatialImage
    from ..landmarks import Landmark
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

ACTIONS: tuple[KeyAction, ...] = (
    KeyAction(
        "accept_suggestion",
        "Accept",
        "Make the proposed pair a landmark, marked as suggested, and go to the next",
        ("Y",),
        everywhere=True,
    ),
    KeyAction(
        "reject_suggestion",
        "Reject",
        "Propose this pair no more, and go to the next",
        ("X",),
        everywhere=True,
    ),
)
_TIP = (
    "Find where vessels branch and propose further pairs there and along vessels, each with a "
    "confidence. "
    "Nothing becomes a landmark before you accept it"
)
_AGAIN_MS = 2000


class Suggestions(QWidget):
    """Asks for proposals, lists and marks them, and makes landmarks of those accepted."""

    looked_at = Signal(object)  # the Suggestion to show in both views

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__()
        self.setObjectName("bridgecorr_suggestions_fold")
        self._session = session
        self._proposals: Proposals | None = None
        self._open: tuple[Suggestion, ...] = ()
        self._rejected: tuple[Suggestion, ...] = ()
        self._asked_with: frozenset[Landmark] = frozenset()
        self._fault = ""
        self._is_open = self._is_marking = False
        self.marks = SuggestionMarks(session)
        self._add_widgets()
        self.jobs = PanelJobs(lifeline, self.progress, self)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.cancelled.connect(self._on_cancelled)
        self.jobs.changed.connect(self.refresh)
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(_AGAIN_MS)
        self._again.timeout.connect(self._ask_again)
        self._keys = InstalledKeys(session, ACTIONS, self.do)
        lifeline.connect(self._keys.keys_changed, self.refresh)
        lifeline.connect(session.landmarks_changed, self._on_landmarks)
        lifeline.connect(session.images_changed, self._on_images)
        lifeline.connect(session.layers_changed, self._on_layers)
        lifeline.connect(session.canvases.changed, self._on_layers)
        lifeline.at_end(self._keys.end)
        lifeline.at_end(self.marks.end)
        self._belongs_to = self._subject()
        self.refresh()

    def _add_widgets(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(
            muted(
                "Proposes pairs on vessels, most where they branch, once you have placed "
                f"{FEWEST_PAIRS}. You judge each."
            )
        )
        self.choices = SuggestionChoices()
        column.addWidget(self.choices)
        self.ask = button("Suggest pairs", _TIP, name="bridgecorr_suggest")
        self.ask.clicked.connect(self.start)
        column.addWidget(self.ask)
        self.progress = ProgressLine()
        column.addWidget(self.progress)
        self.words = muted()
        self.words.setObjectName("bridgecorr_suggest_words")
        column.addWidget(self.words)
        self.table = SuggestionTable()
        self.table.chosen.connect(self._on_chosen)
        column.addWidget(self.table)
        row = QHBoxLayout()
        row.setSpacing(4)
        self.accept = button("Accept", ACTIONS[0].tip, name="bridgecorr_accept_suggestion")
        self.reject = button("Reject", ACTIONS[1].tip, name="bridgecorr_reject_suggestion")
        self.accept.clicked.connect(self.accept_current)
        self.reject.clicked.connect(self.reject_current)
        row.addWidget(self.accept, 1)
        row.addWidget(self.reject, 1)
        column.addLayout(row)
        row = QHBoxLayout()
        row.setSpacing(4)
        self.accept_all = button("", "", name="bridgecorr_accept_all")
        self.accept_all.clicked.connect(self.accept_above)
        self.level = QDoubleSpinBox()
        self.level.setObjectName("bridgecorr_suggest_level")
        self.level.setAccessibleName("Least confidence (%)")
        self.level.setRange(50, 100)
        self.level.setDecimals(0)
        self.level.setValue(100 * DEFAULT_CONFIDENCE)
        self.level.setSuffix(" %")
        self.level.setToolTip(
            "Pairs at least so sure are accepted together. On most test images with known truth "
            f"more than 95 % of those above {100 * DEFAULT_CONFIDENCE:g} % lay within 1.5 voxels "
            "of the coarser image: look at some before you accept all"
        )
        self.level.valueChanged.connect(self.refresh)
        self.level_words = muted("Sure enough from")
        row.addWidget(self.level_words, 1)
        row.addWidget(self.level)
        column.addLayout(row)
        column.addWidget(self.accept_all)
        self.bring_back = button("", "", name="bridgecorr_bring_back")
        self.bring_back.clicked.connect(self.forget_rejections)
        column.addWidget(self.bring_back)
        self.shown = QCheckBox("Show in the images (○ branching, ◆ pair)")
        self.shown.setObjectName("bridgecorr_suggest_shown")
        self.shown.setToolTip(
            "Grey rings are branchings, violet diamonds proposed pairs (fuller: surer). Neither is "
            "a landmark"
        )
        self.shown.setChecked(True)
        self.shown.toggled.connect(self._mark)
        column.addWidget(self.shown)
        self.by_itself = QCheckBox("Suggest again after new pairs")
        self.by_itself.setObjectName("bridgecorr_suggest_again")
        self.by_itself.setToolTip(
            "When you place or move pairs by hand, or have judged all that was proposed, the "
            "proposals are worked out anew from all pairs there are"
        )
        self.by_itself.setChecked(True)
        column.addWidget(self.by_itself)

    # -- showing ---------------------------------------------------------------------------------

    def set_open(self, is_open: bool) -> None:
        """The fold was opened or closed: marks are shown while it is open."""
        self._is_open = is_open
        self._mark()

    def shown_state(self) -> dict[str, Any]:
        """What was rejected, as plain values."""
        return {"rejected": [[*s.fixed_um, *s.moving_um] for s in self._rejected]}

    def show_state(self, state: dict[str, Any]) -> None:
        """Reject what :meth:`shown_state` told."""
        self._rejected = tuple(
            Suggestion((v[0], v[1], v[2]), (v[3], v[4], v[5]), 0.0, 0.0, 0.0, 0)
            for v in state.get("rejected", ())
        )
        self.refresh()

    def refresh(self) -> None:
        """Offer what can be done now, and say what there is."""
        self.choices.show_channels(self._session)
        lacking, is_busy = self._lacking(), self.jobs.is_busy
        self.ask.setEnabled(not lacking and not is_busy)
        self.ask.setText("Suggest again" if self._proposals is not None else "Suggest pairs")
        self.ask.setToolTip(lacking or _TIP)
        found = self._proposals
        self._open = (
            () if found is None else found.to_judge(self._session.landmarks, self._rejected)
        )
        if self.table.pairs != self._open:
            self.table.show_pairs(self._open)
        n_pairs = len(self._session.landmarks.pairs())
        text = lacking or self._fault
        if not text and found is not None:
            text = in_words(found, self._open, n_pairs, self.level.value() / 100)
        self.words.setText(text)
        self.words.setVisible(bool(text) and not is_busy)
        has_pairs = bool(self._open) and not is_busy
        for widget in (
            self.table,
            self.accept,
            self.reject,
            self.accept_all,
            self.level,
            self.level_words,
        ):
            widget.setVisible(bool(self._open))
        for made, action in ((self.accept, ACTIONS[0]), (self.reject, ACTIONS[1])):
            keys = " or ".join(keys_of(action))
            made.setText(f"{action.title}  [{keys}]" if keys else action.title)
            made.setEnabled(has_pairs and self.table.current() is not None)
            made.setToolTip(action.tip if made.isEnabled() else "Choose a pair of the list first")
        n = len(self._above())
        self.accept_all.setText(
            f"Accept all {n} that are sure enough" if n else "None is sure enough"
        )
        self.accept_all.setEnabled(has_pairs and n > 0)
        self.accept_all.setToolTip(
            "Make landmarks of all pairs that are at least so sure; one undo takes them back"
        )
        self.bring_back.setVisible(bool(self._rejected) and found is not None)
        k = len(self._rejected)
        self.bring_back.setText(f"Bring back {k} rejected")
        self.bring_back.setToolTip("Propose the rejected pairs again")
        self.shown.setVisible(found is not None)
        self._mark()

    def _lacking(self) -> str:
        session = self._session
        try:
            images = [session.image(side) for side in SIDES]
        except BridgecorrError as error:
            return str(error)
        if any(image is None for image in images):
            return "Choose a fixed and a moving image in step 1 first."
        if any(session.point_layer(side) is None for side in SIDES):
            return "Make landmark layers first: “New layers”, above."
        return ""

    def _mark(self) -> None:
        if self._is_marking:
            return
        self._is_marking = True  # a layer that comes or goes is told of
        try:
            if self._proposals is not None and self._is_open and self.shown.isChecked():
                self.marks.show(self._proposals, self._open, self.table.current())
            else:
                self.marks.hide()
        finally:
            self._is_marking = False

    def _above(self) -> tuple[Suggestion, ...]:
        return tuple(s for s in self._open if 100 * s.confidence >= self.level.value())

    # -- doing -----------------------------------------------------------------------------------

    def do(self, name: str) -> None:
        """Do what one of :data:`ACTIONS` says."""
        if self.table.current() is None or self.jobs.is_busy:
            self._session.told.emit(
                "No proposed pair is chosen: step 2, “Suggest pairs”, and click one in the list.",
                False,
            )
        elif name == ACTIONS[0].name:
            self.accept_current()
        else:
            self.reject_current()

    def start(self) -> None:
        """Look for branchings and pairs, in a job."""
        self._again.stop()
        session = self._session
        session.read_now()
        try:
            images = [self._at_time(number) for number in range(2)]
        except BridgecorrError as error:
            self._on_failed(str(error))
            return
        fixed, moving = images
        if fixed is None or moving is None:
            return
        landmarks, options = session.landmarks, self.choices.options()
        channels = self.choices.channels()
        self._asked_with = _by_hand(landmarks)
        self._fault = ""
        job = Job(
            lambda progress: propose(
                fixed,
                moving,
                landmarks,
                options,
                fixed_channel=channels[0],
                moving_channel=channels[1],
                progress=progress,
            )
        )
        self.jobs.start(job, self._on_found, "finding the vessels")

    def accept_current(self) -> None:
        """Make the chosen pair a landmark, and go to the next."""
        pair = self.table.current()
        if pair is not None:
            self._accept((pair,), "accept a suggested pair")

    def accept_above(self) -> None:
        """Make landmarks of all pairs that are sure enough."""
        pairs = self._above()
        if pairs:
            n = len(pairs)
            self._accept(pairs, f"accept {n} suggested pair{'' if n == 1 else 's'}")
            self._session.told.emit(
                f"{n} suggested pair{'' if n == 1 else 's'} accepted (✦ in the table). Look at "
                "those that the table flags before you rely on them.",
                False,
            )

    def reject_current(self) -> None:
        """Propose the chosen pair no more, and go to the next."""
        pair = self.table.current()
        if pair is not None:
            self._rejected = (*self._rejected, pair)
            self._after_judging()

    def forget_rejections(self) -> None:
        """Let rejected pairs be proposed again."""
        self._rejected = ()
        self.refresh()

    def _accept(self, pairs: tuple[Suggestion, ...], name: str) -> None:
        session = self._session
        session.history.name_next(name)
        before = {m.id for m in session.landmarks}
        grown = with_suggestions(session.landmarks, pairs)
        add_pairs(session, [m for m in grown if m.id not in before])
        session.read_now()
        self._after_judging()

    def _after_judging(self) -> None:
        self.refresh()
        pair = self.table.current()
        if pair is not None:
            self.looked_at.emit(pair)
        elif not self._open and self._proposals is not None and self.by_itself.isChecked():
            known = _by_hand(self._session.landmarks, by_anyone=True)
            if self._proposals.pairs and known:
                self._again.start()

    def _at_time(self, number: int) -> SpatialImage | None:
        session, side = self._session, SIDES[number]
        image, layer, viewer = session.image(side), session.image_layer(side), session.viewer
        if image is None or layer is None or viewer is None:
            return None
        time = time_shown(viewer, layer, image)
        return image if image.n_times == 1 else image.part(times=(time, time + 1))

    # -- hearing ---------------------------------------------------------------------------------

    def _on_found(self, found: Proposals) -> None:
        self._proposals = found
        self.refresh()

    def _on_chosen(self) -> None:
        pair = self.table.current()
        self.refresh()
        if pair is not None:
            self.looked_at.emit(pair)

    def _on_landmarks(self) -> None:
        self.refresh()
        if self._proposals is None or not self.by_itself.isChecked():
            return
        if _by_hand(self._session.landmarks) - self._asked_with:
            self.jobs.stop()
            self._again.start()

    def _ask_again(self) -> None:
        if self._proposals is not None and not self._lacking():
            self.start()

    def _subject(self) -> tuple[object, ...]:
        """Images and landmarks' layers, of which another is another question."""
        session = self._session
        return tuple(f(side) for side in SIDES for f in (session.image_layer, session.point_layer))

    def _on_images(self) -> None:
        subject = self._subject()
        if subject != self._belongs_to:  # what was found belongs to others
            had_others = None not in self._belongs_to
            same_images = subject[::2] == self._belongs_to[::2]
            self._belongs_to = subject
            self.jobs.stop()
            self._again.stop()
            if had_others:
                self._proposals, self._fault = None, ""
                self._rejected = self._rejected if same_images else ()
        self.refresh()

    def _on_layers(self) -> None:
        if self._is_marking:
            return
        if self.marks.is_removed():
            self.shown.setChecked(False)  # the user took the layer out of the list
        self._keys.refresh()
        self._on_images()

    def _on_failed(self, reason: str) -> None:
        self._fault = for_the_window(reason)
        self._session.told.emit(self._fault, True)
        self.refresh()

    def _on_cancelled(self) -> None:
        self._session.told.emit("Cancelled; nothing new is proposed.", False)


def _by_hand(landmarks: Any, *, by_anyone: bool = False) -> frozenset[Landmark]:
    """The pairs in use, without those that were proposed."""
    return frozenset(
        m for m in landmarks if m.is_pair and m.enabled and (by_anyone or not m.source)
    )
