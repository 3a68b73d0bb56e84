"""A fold of step 3 of the Register panel: another person clicks the same places, blinded."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ..errors import BridgecorrError
from ..workflow.raters import RaterComparison, compare_raters, report_raters
from .frames import METADATA_KEY, frame_of
from .jobs import Job
from .landmark_layers import SIDES
from .overlay_layer import insert_below
from .panel_jobs import PanelJobs
from .panel_parts import ProgressLine, button, muted
from .rater_layers import (
    ArrowTag,
    Pair,
    arrows,
    begin_second,
    landmarks_of,
    layers_of,
    map_of_differences,
    use,
)
from .rater_words import in_words
from .save_dialog import ask_path
from .second_view import open_second_view
from .summary import MODEL_NAMES, for_the_window
from .views import look_at

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event

    from ..landmarks import LandmarkSet, Side
    from ..progress import Progress
    from .lifeline import Lifeline
    from .panel_parts import LayerChooser
    from .placing import Placing
    from .viewer_session import ViewerSession
    from .views import View

_FEWEST = 3
_COLUMNS = ("Place", "z\nµm", "y\nµm", "x\nµm", "Apart\nµm")
_TIP = (
    "Another person clicks the same places in the moving image. The first person's clicks are out "
    "of sight meanwhile: in the views, the table, the expected places and the suggestions"
)


class Host(Protocol):
    """What places landmarks."""

    placing: Placing
    place: QPushButton
    new_layers: QPushButton
    choosers: dict[Side, LayerChooser]

    def set_view(self, view: View) -> None:
        """Show one image, or both."""


class SecondRater(QWidget):
    """Leads a second rater from place to place, and compares both raters' clicks and maps."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline, host: Host) -> None:
        super().__init__()
        self.setObjectName("bridgecorr_second_rater")
        self._session, self._host = session, host
        self._hidden: list[weakref.ref[Layer]] = []
        self._locked: list[tuple[QWidget, str]] = []
        self._found: RaterComparison | None = None
        self._is_changing = self._awaits_fit = False
        self._add_widgets()
        self.jobs = PanelJobs(lifeline, self.progress, self)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.changed.connect(self.refresh)
        lifeline.connect(session.landmarks_changed, self.refresh)
        lifeline.connect(session.layers_changed, self.refresh)
        lifeline.connect(session.images_changed, self.refresh)
        lifeline.connect(session.point_added, self._on_point_added)
        lifeline.connect(session.fit_changed, self._on_fitted)
        lifeline.at_end(self._let_go)
        self.refresh()

    def _add_widgets(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.words = muted()
        self.words.setObjectName("bridgecorr_rater_words")
        column.addWidget(self.words)
        self.begin = button("", _TIP, name="bridgecorr_rater_begin")
        self.begin.clicked.connect(self.start)
        column.addWidget(self.begin)
        row = QHBoxLayout()
        row.setSpacing(4)
        self.next = button(
            "Next place",
            "Go to the next place that the second rater has not clicked",
            name="bridgecorr_rater_next",
        )
        self.compare = button("Compare", "", name="bridgecorr_rater_compare")
        self.next.clicked.connect(self.go_on)
        self.compare.clicked.connect(self.ask)
        row.addWidget(self.next, 1)
        row.addWidget(self.compare, 1)
        column.addLayout(row)
        self.progress = ProgressLine()
        column.addWidget(self.progress)
        self.result = muted()
        self.result.setObjectName("bridgecorr_rater_result")
        column.addWidget(self.result)
        self.report = button(
            "Report…",
            "One web page with pictures: where both click apart, along which axis (µm), and what "
            "that does to the maps",
            name="bridgecorr_rater_report",
        )
        self.report.clicked.connect(self.save_report)
        column.addWidget(self.report)
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setObjectName("bridgecorr_rater_table")
        self.table.setAccessibleName("Differences between the raters (µm)")
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.setToolTip(
            "Second click less first (µm), in the moving image; the farthest apart first. A click "
            "goes there"
        )
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setShowGrid(False)
        self.table.setMinimumHeight(130)
        self.table.itemSelectionChanged.connect(self._on_chosen)
        column.addWidget(self.table)

    # -- showing ---------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether the second rater's landmarks are those in use."""
        second = layers_of(self._session, 2)
        return second is not None and all(
            self._session.point_layer(side) is second[side] for side in SIDES
        )

    def refresh(self) -> None:
        """Say where things stand, and keep the first rater's clicks out of sight."""
        if self._is_changing:
            return
        session, running = self._session, self.is_running
        self._blind(layers_of(session, 1) if running else None)
        self._lock(running)
        second = layers_of(session, 2)
        clicked = landmarks_of(session, second) if second is not None else None
        n = 0 if clicked is None else sum(m.is_pair for m in clicked)
        n_sites = 0 if clicked is None else len(clicked)
        lacking = self._lacking()
        self.begin.setVisible(not running)
        self.begin.setEnabled(not lacking and not self.jobs.is_busy)
        self.begin.setText("Go on as second rater" if second else "Start as second rater")
        self.begin.setToolTip(lacking or _TIP)
        self.next.setVisible(running)
        self.next.setEnabled(n < n_sites)
        self.compare.setVisible(second is not None)
        self.compare.setEnabled(n > 0 and not self.jobs.is_busy)
        self.compare.setToolTip(
            "Tell how far apart both raters are, and show the first one's clicks again"
            if n
            else "The second rater has clicked no place yet"
        )
        if running and n < n_sites:
            text = (
                f"{n} of {n_sites} places clicked. Find the place that the fixed image shows in "
                "the moving image and click it there. The first rater's clicks are hidden."
            )
        elif running:
            text = f"All {n_sites} places are clicked. Compare."
        elif second is not None:
            text = f"The second rater has clicked {n} of {n_sites} places."
        else:
            text = lacking or (
                "Another person clicks the same places again without seeing your clicks. What both "
                "differ by is how well a person can place them. Your places in the fixed image are "
                "the probes that both share; only the moving image is clicked anew, so that "
                "each place has two answers to compare."
            )
        self.words.setText(text)
        self.report.setEnabled(not self.jobs.is_busy)
        for widget in (self.result, self.report, self.table):
            widget.setVisible(self._found is not None and not running)

    def _lacking(self) -> str:
        session = self._session
        if any(session.image_layer(side) is None for side in SIDES):
            return "Choose a fixed and a moving image in step 1 first."
        n = sum(m.is_pair for m in session.landmarks)
        if layers_of(session, 2) is None and n < _FEWEST:
            return f"The first rater places at least {_FEWEST} pairs first; there are {n}."
        return ""

    # -- doing -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, or go on, as the second rater."""
        session = self._session
        if layers_of(session, 2) is None:
            open_second_view(session, self.window())
        self._clear()
        self._is_changing = True
        try:
            second = layers_of(session, 2)
            if second is None:
                second = begin_second(session)
            else:
                use(session, second)
                second["fixed"].visible = True  # hidden while both were compared
        finally:
            self._is_changing = False
        self.refresh()
        if second is None:
            return
        self._host.place.setChecked(True)
        self._host.set_view("fixed")
        session.told.emit("The first rater's clicks are hidden until you compare.", False)
        self._host.placing.current = ""  # from the first place on
        # the fit of a moment ago is the first rater's: no place may be expected by that
        self._awaits_fit = True
        session.refit()

    def _on_fitted(self) -> None:
        if self._awaits_fit:
            self._awaits_fit = False
            if self.is_running:
                self.go_on()

    def go_on(self) -> None:
        """Look at the next place without a click of the second rater's."""
        waiting = [m for m in self._session.landmarks if not m.is_pair and m.fixed_um is not None]
        if not waiting:
            return
        current = self._host.placing.current
        ids = [m.id for m in self._session.landmarks]
        after = [m for m in waiting if current in ids and ids.index(m.id) > ids.index(current)]
        landmark = (after or waiting)[0]
        self._host.placing.go_to(landmark.id)
        if self._session.canvases.second is not None and landmark.fixed_um is not None:
            look_at(self._session, "fixed", landmark.fixed_um)

    def ask(self) -> None:
        """Compare both raters, in a job."""
        session = self._session
        session.read_now()
        sets = self._sets()
        try:
            image = session.image("fixed")
        except BridgecorrError as error:
            self._on_failed(str(error))
            return
        if sets is None or image is None:
            self._on_failed("The first rater's landmark layers are gone: undo, or start anew.")
            return
        grid, options = image.grid, session.options
        job = Job(lambda progress: compare_raters(*sets, grid, options, progress=progress))
        self.jobs.start(job, self._on_compared, "comparing the raters")

    def _sets(self) -> tuple[LandmarkSet, LandmarkSet] | None:
        pairs = [layers_of(self._session, rater) for rater in (1, 2)]
        first, second = pairs
        if first is None or second is None:
            return None
        return landmarks_of(self._session, first), landmarks_of(self._session, second)

    def _on_compared(self, found: RaterComparison) -> None:
        first = layers_of(self._session, 1)
        if first is None:
            return
        self._found = found
        self._is_changing = True
        try:
            use(self._session, first)
        finally:
            self._is_changing = False
        self._host.place.setChecked(False)  # the next click is not meant for the first rater
        self.refresh()
        self._list(found)
        self.result.setText(in_words(found))
        for side in SIDES:
            first[side].visible = side == "fixed" or self._session.canvases.second is None
        for layer in (layers_of(self._session, 2) or {}).values():
            layer.visible = False  # the arrows say where they lie
        self._draw(found, first)
        self._session.told.emit("Compared. The first rater's clicks are shown again.", False)

    def save_report(self) -> None:
        """Ask where, and write the page in a job."""
        found, session = self._found, self._session
        if found is None:
            return
        image = session.image("fixed")
        path = ask_path(self, "Save report", "raters.html", "HTML (*.html)", image)
        if path is None:
            return
        name, model = "" if image is None else image.name, MODEL_NAMES[session.options.model]

        def work(progress: Progress) -> Path:  # noqa: ARG001 - it takes a second
            report_raters(found, path, image=name, facts={"model": model})
            return path

        self.jobs.start(Job(work), self._on_saved, "writing the report")

    def _on_saved(self, path: Path) -> None:
        self._session.told.emit(f"Saved {path}", False)

    def _list(self, found: RaterComparison) -> None:
        sites = found.sites
        order = np.argsort(-sites.lengths_um, kind="stable")
        blocker = QSignalBlocker(self.table)
        self.table.setRowCount(len(order))
        for row, k in enumerate(order):
            values = [*sites.difference_um[k], sites.lengths_um[k]]
            words = [sites.ids[k], *(f"{v:+.1f}" for v in values[:3]), f"{values[3]:.1f}"]
            for column, text in enumerate(words):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                item.setData(Qt.ItemDataRole.UserRole, int(k))
                self.table.setItem(row, column, item)
        self.table.clearSelection()
        blocker.unblock()

    def _draw(self, found: RaterComparison, first: Pair) -> None:
        """The clicks' differences as arrows in the moving image."""
        canvas = self._session.canvas_of("moving")
        if canvas is None or first["moving"].ndim != 3:
            return
        unit = self._session.unknown_units()[1]
        layer = arrows(first["moving"], unit, found.sites.first_um, found.sites.difference_um)
        active = canvas.layers.selection.active
        canvas.add_layer(layer)
        canvas.layers.selection.active = active
        fixed = self._session.image_layer("fixed")
        if found.maps is not None and fixed is not None:
            insert_below(self._session, map_of_differences(found.maps, frame_of(fixed)))

    # -- inside ----------------------------------------------------------------------------------

    def _clear(self) -> None:
        self._found = None
        for side in SIDES:
            canvas = self._session.canvas_of(side)
            for layer in list(canvas.layers) if canvas is not None else []:
                if isinstance(layer.metadata.get(METADATA_KEY), ArrowTag):
                    canvas.layers.remove(layer)

    def _blind(self, first: Pair | None) -> None:
        wanted = [] if first is None else list(first.values())
        for reference in self._hidden:
            layer = reference()
            if layer is not None and layer not in wanted:
                layer.events.visible.disconnect(self._keep_hidden)
        known = [reference() for reference in self._hidden]
        for layer in wanted:
            if layer not in known:
                layer.events.visible.connect(self._keep_hidden)
            layer.visible = False
        self._hidden = [weakref.ref(layer) for layer in wanted]

    def _lock(self, running: bool) -> None:
        """Keep another choice of layers from showing the first rater's clicks in table or fit."""
        locked = (*self._host.choosers.values(), self._host.new_layers)
        for widget in locked:
            if running and widget.isEnabled():
                self._locked.append((widget, widget.toolTip()))
                widget.setEnabled(False)
                widget.setToolTip("Locked until you compare: the first rater's clicks stay hidden")
        if not running:
            for widget, tip in self._locked:
                widget.setEnabled(True)
                widget.setToolTip(tip)
            self._locked.clear()

    def _keep_hidden(self, event: Event) -> None:
        if event.source.visible:
            event.source.visible = False
            self._session.told.emit(
                "The first rater's clicks stay hidden until you compare (step 3).", False
            )

    def _let_go(self) -> None:
        self._blind(None)
        self._clear()

    def _on_point_added(self, side: str, landmark_id: str) -> None:
        if not self.is_running or side != "moving":
            return
        landmark = [m for m in self._session.landmarks if m.id == landmark_id]
        if landmark and landmark[0].is_pair:
            self.go_on()

    def _on_chosen(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        item = self.table.item(rows[0].row(), 0) if rows else None
        if item is None or self._found is None:
            return
        k, sites = item.data(Qt.ItemDataRole.UserRole), self._found.sites
        look_at(self._session, "fixed", sites.fixed_um[k])
        if self._session.canvases.second is not None:
            look_at(self._session, "moving", sites.second_um[k])

    def _on_failed(self, reason: str) -> None:
        self._session.told.emit(for_the_window(reason), True)
