"""Part of the Reslice panel: the three ways to a plane (points, lines, search), and undo."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..errors import BridgecorrError
from ..io.plane_file import read_plane
from ..surface import TARGETS, DetectOptions
from ..surface.options import NAMES
from ..workflow.plane_draft import WAYS, PlaneDraft, Way, misfit_words
from ..workflow.planes import plane_in_image
from .jobs import Job
from .landmark_moves import time_shown
from .panel_jobs import PanelJobs
from .panel_parts import ProgressLine, button, muted, primary, wrapped

if TYPE_CHECKING:
    from ..geometry import Plane
    from ..image import SpatialImage
    from ..progress import Progress
    from .lifeline import Lifeline
    from .plane_bench import PlaneBench
    from .plane_layers import PlaneLayers
    from .viewer_session import ViewerSession

_TEXTS: dict[Way, tuple[str, str]] = {
    "points": ("Points", "Click three or more points on the plane: the least-squares plane"),
    "lines": ("Lines", "Draw the plane's trace in two views, or two lines in one"),
    "found": ("Find it", "Let the program find the window's glass or the brain's surface"),
}
_HINTS: dict[Way, str] = {
    "points": (
        "Click on the window or surface, far apart and in several slices: three points make the "
        "plane, more make it better."
    ),
    "lines": (
        "Drag a line along the window, press “Other view” to look from the side, drag a second."
    ),
    "found": (
        "The glass of the cranial window is where the sample begins, and flat. The brain's surface "
        "lies below a gap and may be curved."
    ),
}


class PlaneSource(QWidget):
    """Which way the plane is made, what is still lacking, and how well it fits."""

    drawing = Signal()
    """Clicks go to points or lines from now on."""

    def __init__(
        self,
        session: ViewerSession,
        bench: PlaneBench,
        layers: PlaneLayers,
        lifeline: Lifeline,
    ) -> None:
        super().__init__()
        self._session, self._bench, self._layers = session, bench, layers
        self.ways: dict[Way, QPushButton] = {}
        ways = QHBoxLayout()
        ways.setSpacing(2)
        for way in WAYS:
            text, tip = _TEXTS[way]
            made = button(text, tip, name=f"bridgecorr_plane_by_{way}", checkable=True)
            made.clicked.connect(partial(self._on_way, way))
            self.ways[way] = made
            ways.addWidget(made)
        self.hint = muted()
        self.draw = primary("", "", name="bridgecorr_plane_draw")
        self.draw.setCheckable(True)
        self.draw.clicked.connect(self._on_draw)
        self.other_view = button(
            "Other view",
            "Look along another axis of the image: z, y and x in turn",
            name="bridgecorr_plane_other_view",
        )
        self.other_view.clicked.connect(self._on_other_view)
        self.clear = button("Clear", "", name="bridgecorr_plane_clear")
        self.clear.clicked.connect(self._on_clear)
        self.target = QComboBox()
        self.target.setAccessibleName("What to find")
        self.target.setObjectName("bridgecorr_plane_target")
        self.target.setToolTip("What to look for")
        for target in TARGETS:
            self.target.addItem(NAMES[target].capitalize(), target)
        self.channel = QComboBox()
        self.channel.setAccessibleName("Channel to look in")
        self.channel.setObjectName("bridgecorr_plane_channel")
        self.channel.setToolTip("In which channel to look")
        self.find = primary(
            "Find it for me",
            "Takes some seconds; the window stays usable",
            name="bridgecorr_plane_find",
        )
        self.find.clicked.connect(self.start_search)
        self.open_file = button("From file…", "A plane saved as JSON", name="bridgecorr_plane_open")
        self.open_file.clicked.connect(self._on_open_file)
        self.progress = ProgressLine()
        self.jobs = PanelJobs(lifeline, self.progress, self)
        self.jobs.failed.connect(self._complain)
        self.jobs.cancelled.connect(lambda: self._bench.told.emit("Cancelled.", False))
        self.jobs.changed.connect(self.refresh)
        self.misfit = wrapped("bridgecorr_plane_misfit")
        self.undo = button("Undo", "", name="bridgecorr_plane_undo")
        self.redo = button("Redo", "", name="bridgecorr_plane_redo")
        self.undo.clicked.connect(bench.undo)
        self.redo.clicked.connect(bench.redo)
        self._lay_out(ways)
        for signal in (bench.changed, bench.image_changed, session.layers_changed):
            lifeline.connect(signal, self.refresh)
        self.refresh()

    def _lay_out(self, ways: QHBoxLayout) -> None:
        drawing, search, what, history = (QHBoxLayout() for _ in range(4))
        for row in (drawing, search, what, history):
            row.setSpacing(4)
        drawing.addWidget(self.draw, 2)
        drawing.addWidget(self.other_view, 1)
        drawing.addWidget(self.clear, 1)
        what.addWidget(self.target, 1)
        what.addWidget(self.channel, 1)
        search.addWidget(self.find, 2)
        search.addWidget(self.open_file, 1)
        history.addWidget(self.undo, 1)
        history.addWidget(self.redo, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(ways)
        column.addWidget(self.hint)
        for layout in (drawing, what, search):
            column.addLayout(layout)
        column.addWidget(self.progress)
        column.addWidget(self.misfit)
        column.addLayout(history)

    # -- showing ---------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show which way it goes, and what is lacking."""
        draft, fault = self._bench.draft, self._image_fault()
        for way, made in self.ways.items():
            made.setChecked(way == draft.way)
        is_drawn = draft.way != "found"
        n = len(draft.points_um if draft.way == "points" else draft.lines_um)
        is_busy = self.jobs.is_busy
        self.hint.setText(fault or _HINTS[draft.way])
        noun = "points" if draft.way == "points" else "lines"
        self.draw.setChecked(self._layers.is_drawing)
        self.draw.setText(f"{'Click points' if noun == 'points' else 'Draw lines'} ({n})")
        self.draw.setToolTip(
            f"On: clicks on the view {'place points' if noun == 'points' else 'draw lines'}. "
            "Off: they move the view"
        )
        self.clear.setToolTip(f"Remove the {noun} of the plane")
        for widget in (self.draw, self.other_view, self.clear):
            widget.setVisible(is_drawn)
        for widget in (self.target, self.channel, self.find, self.open_file):
            widget.setVisible(not is_drawn)
        for widget in (*self.ways.values(), self.draw, self.other_view):
            widget.setEnabled(not fault)
        self.clear.setEnabled(n > 0)
        self.find.setEnabled(not fault and not is_busy)
        self.open_file.setEnabled(not is_busy)
        self._list_channels()
        self._show_state(draft)
        for made, verb, name in (
            (self.undo, "Undo", self._bench.undo_name),
            (self.redo, "Redo", self._bench.redo_name),
        ):
            made.setEnabled(bool(name))
            made.setText(f"{verb}: {name}" if name else verb)
            keys = "Ctrl+Z" if verb == "Undo" else "Ctrl+Shift+Z"
            made.setToolTip(
                f"{verb}: {name} ({keys} while the plane's layer is selected)"
                if name
                else f"Nothing to {verb.lower()}"
            )

    def _show_state(self, draft: PlaneDraft) -> None:
        plane = self._bench.plane
        text = self._bench.fault
        if plane is not None:
            text = misfit_words(plane)
        elif draft.lacking and not text and draft.way != "found" and not self._image_fault():
            text = f"Still lacking: {draft.lacking}."
        self.misfit.setText(text)
        self.misfit.setVisible(bool(text))

    def _image_fault(self) -> str:
        try:
            self._bench.image()
        except BridgecorrError as error:
            return str(error)
        return ""

    def _list_channels(self) -> None:
        try:
            names = [c.name for c in self._bench.image().channels]
        except BridgecorrError:
            names = []
        if [self.channel.itemText(i) for i in range(1, self.channel.count())] != names:
            self.channel.clear()
            self.channel.addItem("clearest channel")
            self.channel.addItems(names)
        self.channel.setEnabled(len(names) > 1)

    # -- the ways --------------------------------------------------------------------------------

    def stop_drawing(self) -> None:
        """Let clicks move the view again."""
        self.draw.setChecked(False)
        for kind in ("points", "lines"):
            self._layers.place(kind, False)

    def _on_way(self, way: Way) -> None:
        self.stop_drawing()
        self._bench.change(replace(self._bench.draft, way=way), f"by {_TEXTS[way][0].lower()}")
        self.refresh()

    def _on_draw(self, on: bool) -> None:
        kind = "points" if self._bench.draft.way == "points" else "lines"
        canvas = self._bench.canvas()
        if on and canvas is not None and canvas.dims.ndisplay == 3:
            canvas.dims.ndisplay = 2
        if on:
            self.drawing.emit()
            layers = self._bench.channel_layers()
            if not any(layer.visible for layer in layers):
                for layer in layers:
                    layer.visible = True
        self._layers.place(kind, on)

    def _on_other_view(self) -> None:
        """Show the slices along the next of the three axes; time stays where it is."""
        canvas = self._bench.canvas()
        if canvas is None or canvas.dims.ndim < 3:
            return
        order = list(canvas.dims.order)
        lead, space = order[:-3], order[-3:]
        canvas.dims.order = (*lead, space[1], space[2], space[0])
        canvas.reset_view()
        self._layers.draw_outline()

    def _on_clear(self) -> None:
        draft = self._bench.draft
        if draft.way == "points":
            self._bench.change(replace(draft, points_um=()), "clear points")
        else:
            self._bench.change(replace(draft, lines_um=()), "clear lines")

    def start_search(self) -> None:
        """Look for the plane in a job."""
        try:
            image = self._bench.image()
        except BridgecorrError as error:
            self._complain(str(error))
            return
        number = self.channel.currentIndex() - 1
        options = DetectOptions(
            self.target.currentData(),
            None if number < 0 else number,
            self._time(image),
        )
        work = partial(_search, image, options)
        self.jobs.start(Job(work), self._on_found, f"looking for the {NAMES[options.target]}")

    def _time(self, image: SpatialImage) -> int:
        canvas, layer = self._bench.canvas(), self._bench.layer
        return 0 if canvas is None or layer is None else time_shown(canvas, layer, image)

    def _on_found(self, plane: Plane) -> None:
        made = replace(self._bench.draft.as_found(), way="found", found=plane)
        self._bench.change(made, "search")

    def _on_open_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Open a plane", "", "Plane (*.json)")
        if not chosen:
            return
        try:
            plane = read_plane(Path(chosen))
        except BridgecorrError as error:
            self._complain(str(error))
            return
        made = replace(self._bench.draft.as_found(), way="found", found=plane)
        self._bench.change(made, "plane of a file")

    def _complain(self, reason: str) -> None:
        self._bench.told.emit(reason.replace(" um ", "\N{NO-BREAK SPACE}µm "), True)


def _search(image: SpatialImage, options: DetectOptions, progress: Progress) -> Any:
    """For a job's thread."""
    return plane_in_image(image, options, progress=progress).plane
