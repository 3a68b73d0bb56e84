"""The File panel: what is in a file, where it lies, and what of it to load."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from ..errors import BridgecorrError
from ..geometry import Grid, Placement
from ..landmarks import LandmarkSet
from ..workflow.files import FileContents, ImageChoice, first_choices, open_file
from .docked_panel import DockedPanel
from .drop_zone import DropZone, dropped_names
from .file_jobs import Thumbnails, layers_to_load
from .file_words import load_words
from .image_cards import ImageCards
from .image_details import ImageDetails
from .jobs import Job
from .landmark_file_page import LandmarkFilePage, count_words
from .landmark_layers import SIDES
from .layers import LayerData
from .loading import LayerAdder, add_landmarks, image_names, show_layers
from .map_choice import LoadedTransform
from .next_step import NextStep
from .panel_jobs import PanelJobs
from .panel_parts import Message, ProgressLine, button, muted, primary
from .summary import for_the_window
from .transform_file_page import TransformFilePage
from .viewer_session import session_of
from .wheel_guard import WheelGuard

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

_WIDTH_PX, _HEIGHT_PX = 400, 900
_CARDS_WITHOUT_BUTTONS = 3
_WELCOME = (
    "Nothing is loaded yet: first you see what is in the file, and choose.\n\n"
    "Microscopy: CZI, OME-TIFF, TIFF, OME-Zarr, MCD. MRI: NIfTI, DICOM, ParaVision, NRRD. "
    "Photographs: PNG, JPEG. Landmarks: CSV, BigWarp, 3D Slicer. Transforms: JSON, ITK."
)


class FilePanel(DockedPanel):
    """Look into files, mend where their images lie, and load what is wanted.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        napari passes it.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        session = session_of(napari_viewer)
        super().__init__(session, "bridgecorr_file")
        self._session = session
        self.setAcceptDrops(True)
        self._contents: FileContents | None = None
        self._choices: tuple[ImageChoice, ...] = ()
        self._queue: list[str] = []
        self._thumbnails = Thumbnails()
        self.drop_zone = DropZone()
        self.drop_zone.asked.connect(self.open)
        self.progress = ProgressLine()
        self.jobs = PanelJobs(self._lifeline, self.progress, self)
        self.jobs.failed.connect(self._complain)
        self.jobs.cancelled.connect(lambda: self.message.say("Cancelled."))
        self.jobs.changed.connect(self._show_load)
        self.progress.cancel_asked.connect(self._stop_adding)
        self.welcome = muted(_WELCOME)
        self.file_line = muted()
        self.cards = ImageCards()
        self.all_or_none = QWidget()
        row = QHBoxLayout(self.all_or_none)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.file_line, 1)
        self.all, self.none = (
            button("All", "Tick every image"),
            button("None", "Untick every image"),
        )
        for made, is_wanted in ((self.all, True), (self.none, False)):
            made.setFixedWidth(56)
            made.clicked.connect(partial(self._tick_all, is_wanted))
            row.addWidget(made)
        self.cards.chosen.connect(self._show_details)
        self.cards.ticked.connect(self._on_ticked)
        self.details = ImageDetails()
        self.details.changed.connect(self._on_choice)
        self.details.spread.connect(self._on_spread)
        self.landmarks = LandmarkFilePage()
        self.landmarks.ready.connect(lambda _: self._show_load())
        self.transform = TransformFilePage()
        self.transform.ready.connect(lambda _: self._show_load())
        self.load = primary("Load", "Add what is ticked to the viewer", name="bridgecorr_load")
        self.load.setEnabled(False)
        self.load.clicked.connect(self.start_load)
        self.message = Message()
        self.next_step = NextStep(self._session, self._lifeline, self.jobs)
        self.next_step.told.connect(self.message.say)
        self.next_step.complained.connect(self._complain)
        self._adder = LayerAdder(self.progress.advance, self._on_added)
        self._lay_out()
        self._show_page(None)
        for stop in (self._adder.stop, self.landmarks.answers.drop, self.transform.answers.drop):
            self._lifeline.at_end(stop)

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(10, 8, 10, 8)
        column.setSpacing(10)
        pages = (self.drop_zone, self.welcome, self.all_or_none, self.cards, self.details)
        for widget in (*pages, self.landmarks, self.transform):
            column.addWidget(widget)
        column.addStretch(1)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(inside)
        self._wheel = WheelGuard(inside)
        foot = QVBoxLayout()
        foot.setContentsMargins(10, 0, 10, 8)
        foot.setSpacing(6)
        # below the scrolled part, where it is seen whatever is scrolled away
        for widget in (self.progress, self.load, self.message, self.next_step):
            foot.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self._scroll, 1)
        layout.addLayout(foot)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(320)

    @property
    def contents(self) -> FileContents | None:
        """What the file holds that is shown; None before one is opened."""
        return self._contents

    @property
    def choices(self) -> tuple[ImageChoice, ...]:
        """What the user wants of each image."""
        return self._choices

    @property
    def is_busy(self) -> bool:
        """Whether something is being opened, drawn or loaded."""
        return self.jobs.is_busy or self._adder.is_busy

    # -- opening ---------------------------------------------------------------------------------

    def open(self, names: list[str]) -> None:
        """Look into the first of several files; the others follow, each when one is loaded."""
        if not names or self._lifeline.is_over:
            return
        self._queue = list(names[1:])
        self._stop_adding()
        self.message.clear_message()
        self.jobs.start(Job(partial(open_file, names[0])), self._on_opened, "opening")

    def _on_opened(self, contents: FileContents) -> None:
        self._contents = contents
        self._choices = first_choices(contents)
        self.drop_zone.make_room()
        self.drop_zone.address.setText(str(contents.path))
        self.file_line.setText(self._file_words(contents))
        self._show_page(contents.kind)
        if contents.kind == "landmarks":
            self.landmarks.show_file(Path(contents.path), self._grids())
        elif contents.kind == "transform":
            self.transform.show_file(Path(contents.path))
        else:
            for made in (self.all, self.none):
                made.setVisible(len(contents.images) > _CARDS_WITHOUT_BUTTONS)
            self.cards.show_images(contents.images, self._choices)
            self._show_details(0)
            self._draw_thumbnails(contents)
        self._show_load()
        self._scroll.verticalScrollBar().setValue(0)

    def _file_words(self, contents: FileContents) -> str:
        n = len(contents.images)
        what = [contents.format_name, f"{n} image{'' if n == 1 else 's'}" if n else ""]
        waiting = len(self._queue)
        more = f"{waiting} more file{'' if waiting == 1 else 's'} to come" if waiting else ""
        return " · ".join(t for t in (contents.name, *what, more) if t)

    def _draw_thumbnails(self, contents: FileContents) -> None:
        thumbnails = Thumbnails()
        job = thumbnails.job(contents.images)
        thumbnails.drawn.connect(partial(self._on_drawn, contents))
        thumbnails.failed.connect(partial(self._on_not_drawn, contents))
        self._thumbnails = thumbnails  # it must live as long as its job
        self.jobs.start(job, lambda _: None, "drawing thumbnails")

    def _on_drawn(self, contents: FileContents, number: int, picture: Any) -> None:
        if not self._lifeline.is_over and contents is self._contents:
            self.cards.show_thumbnail(number, picture)

    def _on_not_drawn(self, contents: FileContents, _number: int, reason: str) -> None:
        if not self._lifeline.is_over and contents is self._contents:
            self._complain(reason)

    # -- choosing --------------------------------------------------------------------------------

    def _show_details(self, number: int) -> None:
        if self._contents is not None and number < len(self._contents.images):
            images = self._contents.images
            self.details.show_image(images[number], self._choices[number], len(images))

    def _tick_all(self, is_wanted: bool, _checked: bool = False) -> None:
        self.cards.tick_all(is_wanted)

    def _on_ticked(self, number: int, is_wanted: bool) -> None:
        self._choose(replace(self._choices[number], is_wanted=is_wanted))

    def _on_choice(self, choice: ImageChoice) -> None:
        # the box belongs to the card
        self._choose(replace(choice, is_wanted=self._choices[choice.number].is_wanted))

    def _on_spread(self, placement: Placement) -> None:
        for choice in self._choices:
            self._choose(replace(choice, placement=placement))

    def _choose(self, choice: ImageChoice) -> None:
        if self._contents is None:
            return
        number = choice.number
        self._choices = tuple(choice if c.number == number else c for c in self._choices)
        self.cards.show_image(number, self._contents.images[number].placed(choice.placement))
        if number == self.cards.currentRow():
            self._show_details(number)
        self._show_load()

    # -- loading ---------------------------------------------------------------------------------

    def start_load(self) -> None:
        """Load what is chosen: images in a job, landmarks at once."""
        contents = self._contents
        if contents is None or self._session.viewer is None:
            return
        self.message.clear_message()
        if contents.kind == "landmarks" and self.landmarks.file is not None:
            marks = self.landmarks.file.landmarks
            self._add_landmarks(marks, f"Loaded {count_words(marks)}.")
        elif contents.kind == "transform" and self.transform.file is not None:
            file = self.transform.file
            self._session.loaded_transform = LoadedTransform(contents.name, file.transform)
            if file.pairs is None:
                self._finish("The transform is ready for the images of this window.")
            else:
                fixed_um, moving_um = file.pairs.fixed_um, file.pairs.moving_um
                marks = LandmarkSet.from_pairs(fixed_um, moving_um, file.pairs.ids)
                self._add_landmarks(marks, f"Loaded the transform and its {count_words(marks)}.")
        elif contents.kind == "image":
            work = partial(layers_to_load, contents, self._choices)
            self.jobs.start(Job(work), self._on_layers, "loading")

    def _add_landmarks(self, landmarks: LandmarkSet, said: str) -> None:
        try:
            add_landmarks(self._session, landmarks)
        except BridgecorrError as error:
            self._complain(str(error))
        else:
            self._finish(said)

    def _on_layers(self, layers: list[LayerData]) -> None:
        viewer = self._session.viewer
        if viewer is not None:
            self.progress.begin("adding layers", len(layers))
            self.progress.show()
            self._adder.add(viewer, layers)
            self._show_load()

    def _on_added(self, layers: list[Layer]) -> None:
        viewer, contents = self._session.viewer, self._contents
        if self._lifeline.is_over or viewer is None or contents is None:
            return
        self.progress.hide()
        try:
            show_layers(viewer, layers)
        except BridgecorrError as error:
            self._complain(str(error))
        wanted = [contents.images[c.number] for c in self._choices if c.is_wanted]
        n = len(layers)
        self._finish(f"Loaded {image_names(wanted)} as {n} layer{'' if n == 1 else 's'}.")

    def _finish(self, said: str) -> None:
        self._show_load()
        self.next_step.refresh()
        if self._queue:
            self.open(list(self._queue))
        self.message.say(said)

    # -- showing ---------------------------------------------------------------------------------

    def _show_page(self, kind: str | None) -> None:
        self.welcome.setVisible(kind is None)
        self.all_or_none.setVisible(kind == "image")
        self.cards.setVisible(kind == "image")
        self.details.setVisible(kind == "image")
        self.landmarks.setVisible(kind == "landmarks")
        self.transform.setVisible(kind == "transform")
        self.load.setVisible(kind is not None)

    def _show_load(self) -> None:
        contents = self._contents
        if contents is None:
            return
        tip = "Add what is ticked to the viewer (Alt+L)"
        if contents.kind == "image":
            wanted = [c for c in self._choices if c.is_wanted]
            text, is_ready = load_words(contents.images, self._choices), bool(wanted)
            if any(c.channels == () for c in wanted):
                tip, is_ready = "Tick at least one channel of every ticked image", False
        elif contents.kind == "landmarks":
            text, is_ready = "Load landmarks", self.landmarks.file is not None
        else:
            text, is_ready = "Use this transform", self.transform.file is not None
        self.load.setText(text)
        self.load.setToolTip(tip)
        self.load.setEnabled(is_ready and not self._adder.is_busy)
        self.load.setShortcut("Alt+L")  # a new text takes it away

    def _complain(self, reason: str) -> None:
        self.message.complain(for_the_window(reason))

    def _grids(self) -> tuple[Grid | None, Grid | None]:
        found: list[Grid | None] = []
        for side in SIDES:
            try:
                image = self._session.image(side)
            except BridgecorrError:
                image = None
            found.append(None if image is None else image.grid)
        return found[0], found[1]

    def _stop_adding(self) -> None:
        if self._adder.is_busy:
            self._adder.stop()
            self.progress.hide()
            self.message.say("Cancelled; the layers that were added stay.")
            self._show_load()

    # -- Qt --------------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """As wide as it needs to be."""
        return QSize(_WIDTH_PX, _HEIGHT_PX)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Light up for files and addresses."""
        if dropped_names(event.mimeData()):
            self.drop_zone.show_drag(True)
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:  # noqa: ARG002 - Qt passes it
        """Calm down."""
        self.drop_zone.show_drag(False)

    def dropEvent(self, event: QDropEvent) -> None:
        """Look into what is dropped."""
        self.drop_zone.show_drag(False)
        names = dropped_names(event.mimeData())
        if names:
            event.acceptProposedAction()
            self.open(names)
