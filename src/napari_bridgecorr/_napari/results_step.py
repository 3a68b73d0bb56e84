"""Step 5 of the Register panel: the registered image, the table, the report, the session."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Vectors
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QHBoxLayout, QLabel

from ..errors import BridgecorrError, SessionError
from ..fitting import Fit
from ..image import SpatialImage
from ..io.landmark_files import write_landmarks
from ..session import save_session as write_session
from . import outputs
from .autosave import Recorder
from .frames import frame_of
from .image_maps import AlignOptions, ImageMap
from .jobs import Job, LatestAnswer
from .landmark_layers import SIDES
from .loading import add_taken_along, add_warped
from .map_row import MapRow
from .panel_parts import ProgressLine, Step, button, primary
from .residual_layer import is_residual_layer, residual_arguments, residual_vectors
from .save_dialog import ask_path
from .summary import for_the_window
from .taken_along import Along, AlongMenu

if TYPE_CHECKING:
    from ..fitting import FitOptions
    from ..landmarks import LandmarkSet
    from ..progress import Progress
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_WARP_TIP = (
    "Bring the moving image onto the fixed image's voxels, as new layers, with labels, masks and "
    "points that lie on it"
)
_TABLES = "Parquet (*.parquet);;CSV (*.csv);;Compressed CSV (*.csv.gz)"
_SAVES = (
    ("table", "Table…", "One row per fixed voxel: every channel, coverage and expected error"),
    ("report", "Report…", "One web page on how well the registration fits"),
    (
        "session",
        "Session…",
        "Opens as this window shows it (File > Open), and `bridgecorr run` repeats it without one",
    ),
    ("landmarks", "Landmarks…", "The pairs as CSV, in µm"),
    ("transform", "Transform…", "The fitted transform as JSON (fixed to moving)"),
)


class ResultsStep(Step):
    """Makes the results in jobs and puts them into the viewer or into files."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__(5, "Results")
        self._session = session
        self._lifeline = lifeline
        self._job: Job | None = None
        # the panel knows what it shows
        self.window_document: Callable[[], dict[str, Any]] = dict
        self._residuals = LatestAnswer()
        self._residuals.answered.connect(self._show_residuals)
        self.maps = MapRow(session, lifeline)
        self.body.addWidget(self.maps)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.channel = QComboBox()
        self.channel.setAccessibleName("Channels to warp")
        self.channel.setObjectName("bridgecorr_channel")
        self.channel.setToolTip("Which channels of the moving image to warp")
        row.addWidget(self.channel, 1)
        self.warp = primary(
            "Warp",
            _WARP_TIP,
            name="bridgecorr_warp",
        )
        self.warp.clicked.connect(self.start_warp)
        row.addWidget(self.warp, 1)
        self.body.addLayout(row)
        self.along = AlongMenu(session, lifeline, self)
        self.body.addWidget(self.along)
        self.show_residuals = QCheckBox("Show residuals as arrows")
        self.show_residuals.setObjectName("bridgecorr_residuals")
        self.show_residuals.setToolTip(
            "From each fixed landmark to where its moving partner lands (µm, true to scale)"
        )
        self.show_residuals.toggled.connect(self._on_residuals)
        self.body.addWidget(self.show_residuals)
        grid = QGridLayout()
        grid.setSpacing(4)
        actions: dict[str, Callable[[], None]] = {
            "table": self.save_table,
            "report": self.save_report,
            "session": self.save_session,
            "landmarks": self.save_landmarks,
            "transform": self.save_transform,
        }
        grid.addWidget(QLabel("Save"), 0, 0)
        self.saves = {}
        for number, (key, text, tip) in enumerate(_SAVES):
            made = button(text, tip, name=f"bridgecorr_save_{key}")
            made.clicked.connect(actions[key])
            grid.addWidget(made, number // 3, 1 + number % 3)
            self.saves[key] = made
        self.body.addLayout(grid)
        self.progress = ProgressLine()
        self.progress.cancel_asked.connect(self._on_cancel)
        self.progress.hide()
        self.body.addWidget(self.progress)
        for signal in (session.layers_changed, session.images_changed, session.landmarks_changed):
            lifeline.connect(signal, self.refresh)
        for signal in (session.fit_changed, session.maps.changed):
            lifeline.connect(signal, self._on_map_changed)
        lifeline.at_end(self._remove_residuals)
        self.refresh()

    # -- showing ---------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Offer what can be done now."""
        try:
            moving = self._session.image("moving")
        except BridgecorrError:
            moving = None
        names = [] if moving is None else [c.name for c in moving.channels]
        if [self.channel.itemText(i) for i in range(1, self.channel.count())] != names:
            self.channel.clear()
            self.channel.addItem("all channels" if len(names) > 1 else "all")
            self.channel.addItems(names)
        is_idle = not self._is_working
        has_images = all(self._session.image_layer(side) is not None for side in SIDES)
        image_map = self._session.image_map()
        has_fit = self._session.fit is not None or image_map is not None
        self.warp.setEnabled(is_idle and has_images and has_fit)
        is_section = image_map is not None and image_map.kind == "placed"
        for key in ("table", "report"):
            self.saves[key].setEnabled(is_idle and has_images and has_fit and not is_section)
        unrepeatable = image_map is not None and image_map.repeat is None
        self.saves["session"].setEnabled(is_idle and has_images and not unrepeatable)
        self._say_why(is_idle, has_images, has_fit, unrepeatable, is_section)
        self.saves["transform"].setEnabled(has_fit)
        self.saves["landmarks"].setEnabled(len(self._session.landmarks) > 0)
        self.show_residuals.setEnabled(has_fit or self.show_residuals.isChecked())

    def _say_why(
        self,
        is_idle: bool,
        has_images: bool,
        has_map: bool,
        unrepeatable: bool,
        is_section: bool,
    ) -> None:
        """Tooltips of the buttons: what they do, or why they cannot."""
        lacking = ""
        if not is_idle:
            lacking = "Wait for the work that is going on, or cancel it"
        elif not has_images:
            lacking = "Choose a fixed and a moving image in step 1 first"
        elif not has_map:
            lacking = "Needs a map: place landmarks until there is a fit, or find one in step 4"
        self.warp.setToolTip(lacking or _WARP_TIP)
        for key, _, tip in _SAVES:
            why = lacking
            if key == "landmarks":
                why = "" if self.saves[key].isEnabled() else "There are no landmarks yet"
            elif key == "transform":
                why = "" if has_map else lacking
            elif key in ("table", "report") and not lacking and is_section:
                why = "Not for a section placed in a volume: warp it, or save the transform"
            elif key == "session" and is_idle and has_images and not has_map:
                why = f"{tip}. There is no fit yet: images, landmarks and views are kept"
            elif key == "session" and not lacking and unrepeatable:
                why = (
                    "A session cannot repeat this map (it was stopped, or used masks, times or "
                    "a start of its own): save the transform"
                )
            self.saves[key].setToolTip(why or tip)

    @property
    def _is_working(self) -> bool:
        return not self.progress.isHidden()

    # -- warping ---------------------------------------------------------------------------------

    def start_warp(self) -> None:
        """Warp in a job: into memory, or into a file where memory would not do."""
        pair = self._pair()
        if pair is None:
            return
        chosen = self.channel.currentIndex() - 1
        channel = None if chosen < 0 else chosen
        along = self.along.chosen() if channel is None else Along()
        need = outputs.warped_bytes(pair, channel, along)
        if need <= outputs.LARGEST_IN_MEMORY_BYTES:
            self._start(partial(outputs.warp_all, pair, channel, along), self._add_all)
            return
        path = self._ask_path(
            f"The result takes {need / 1e9:.1f} GB: where to write it",
            "registered.ome.zarr",
            "OME-Zarr (*.ome.zarr)",
        )
        if path is not None:
            work = partial(outputs.warp_all_to_files, pair, channel, along, path)
            self._start(work, self._add_all)

    def _add_all(self, warped: outputs.Warped) -> None:
        for image in reversed(warped.images):  # the moving image's own on top
            if not add_warped(self._session, image):
                return
        names = [image.name for image in warped.along.images[: len(warped.images) - 1]]
        names += add_taken_along(self._session, warped)
        with_it = f" With it: {', '.join(names)}." if names else ""
        self._session.told.emit(
            f"{warped.images[0].name}: added on the fixed image's grid.{with_it}", False
        )

    # -- residuals -------------------------------------------------------------------------------

    def _on_map_changed(self) -> None:
        self.refresh()
        if self.show_residuals.isChecked():
            self._ask_for_residuals()

    def _on_residuals(self, checked: bool) -> None:
        if checked:
            self._ask_for_residuals()
        else:
            self._residuals.drop()
            self._remove_residuals()

    def _ask_for_residuals(self) -> None:
        made, fixed = (
            self._session.image_map() or self._session.fit,
            self._session.point_layer("fixed"),
        )
        if made is None or fixed is None:
            self._remove_residuals()
            return
        pairs = made.pairs if isinstance(made, Fit) else self._session.landmarks.pairs()
        transform = made.transform
        # the points' own scale: the sliders step by the smallest of any layer
        frame, scale = frame_of(fixed), float(fixed.scale[-1])
        self._residuals.ask(lambda: (residual_vectors(pairs, transform, frame), frame, scale))

    def _show_residuals(self, answer: tuple[Any, Any, float]) -> None:
        viewer = self._session.viewer
        if viewer is None or self._lifeline.is_over or not self.show_residuals.isChecked():
            return
        vectors, frame, scale = answer
        self._remove_residuals()
        if len(vectors):
            active = viewer.layers.selection.active
            arguments = residual_arguments(vectors, frame, scale)
            viewer.add_layer(Vectors(vectors / scale, **arguments))
            viewer.layers.selection.active = active

    def _remove_residuals(self) -> None:
        viewer = self._session.viewer
        for layer in list(viewer.layers) if viewer is not None else ():
            if is_residual_layer(layer):
                viewer.layers.remove(layer)

    # -- saving ----------------------------------------------------------------------------------

    def save_table(self) -> None:
        """Ask where, and write the voxel table in a job."""
        pair = self._pair()
        path = None if pair is None else self._ask_path("Save table", "voxels.parquet", _TABLES)
        if path is not None:
            self._start(partial(outputs.save_table, pair, path), self._tell_saved)

    def save_report(self) -> None:
        """Ask where, and write the report in a job."""
        pair = self._pair()
        path = (
            None if pair is None else self._ask_path("Save report", "report.html", "HTML (*.html)")
        )
        if path is not None:
            self._start(partial(outputs.save_report, pair, path), self._tell_saved)

    def save_session(self) -> None:
        """Ask where, and write what opens this window again and, with a fit, repeats it."""
        try:
            images = [self._session.image(side) for side in SIDES]
            for image, side in zip(images, SIDES, strict=True):
                if image is None:
                    raise SessionError("choose both images in step 1 first")
                outputs.require_file(image, side)
        except BridgecorrError as error:
            self._session.told.emit(str(error), True)
            return
        self._session.read_now()
        has_map = self._session.image_map() or self._session.current_fit()
        pair = self._pair() if has_map else None
        path = self._ask_path("Save session", "session.json", "Session (*.json)")
        if path is not None:
            window, options = self.window_document(), self._session.options
            if pair is not None:
                work = partial(_session_file, pair, options, path, window)
            else:
                landmarks = self._session.landmarks
                work = partial(_begun_session_file, images, landmarks, options, path, window)
            self._start(work, self._tell_saved)

    def save_landmarks(self) -> None:
        """Ask where, and write the pairs."""
        path = self._ask_path("Save landmarks", "landmarks.csv", "CSV (*.csv)")
        if path is not None:
            landmarks = self._session.landmarks
            self._start(partial(_landmark_file, landmarks, path), self._tell_saved)

    def save_transform(self) -> None:
        """Ask where, and write the transform."""
        made = self._session.image_map() or self._session.fit
        path = (
            None
            if made is None
            else self._ask_path("Save transform", "transform.json", "Transform (*.json)")
        )
        if made is not None and path is not None:
            self._start(partial(_transform_file, made, path), self._tell_saved)

    def _tell_saved(self, path: Path) -> None:
        self._session.told.emit(f"Saved {path}", False)

    def _ask_path(self, title: str, name: str, kinds: str) -> Path | None:
        try:
            image = self._session.image("fixed")
        except BridgecorrError:
            image = None  # step 1 says what is wrong with the layer
        return ask_path(self, title, name, kinds, image)

    # -- jobs ------------------------------------------------------------------------------------

    def _pair(self) -> outputs.Pair | None:
        """Images and fit as they are now; None, with a message, if something lacks."""
        try:
            fixed, moving = (self._session.image(side) for side in SIDES)
        except BridgecorrError as error:
            self._session.told.emit(str(error), True)
            return None
        self._session.read_now()
        made = self._session.image_map() or self._session.current_fit()
        if fixed is None or moving is None or made is None:
            self._session.told.emit("Choose both images and fit landmarks first.", True)
            return None
        return outputs.Pair(fixed, moving, made, self._session.landmarks)

    def _start(self, work: Callable[[Progress], Any], then: Callable[[Any], None]) -> None:
        if self._is_working:
            self._session.told.emit("Wait for the work that is going on, or cancel it.", True)
            return
        job = Job(work)
        job.began.connect(self.progress.begin)
        job.advanced.connect(self.progress.advance)
        job.succeeded.connect(partial(self._on_succeeded, then))
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        job.ended.connect(self._on_ended)
        self.progress.begin("working", 0)
        self.progress.show()
        self._job = job
        self._lifeline.start(job)
        self.refresh()

    def _on_succeeded(self, then: Callable[[Any], None], answer: Any) -> None:
        if not self._lifeline.is_over:
            then(answer)

    def _on_failed(self, reason: str) -> None:
        if not self._lifeline.is_over:
            self._session.told.emit(for_the_window(reason), True)

    def _on_cancelled(self) -> None:
        if not self._lifeline.is_over:
            self._session.told.emit("Cancelled; nothing was left behind.", False)

    def _on_ended(self) -> None:
        self.progress.hide()
        self.refresh()

    def _on_cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()


def _session_file(
    pair: outputs.Pair,
    options: FitOptions,
    path: Path,
    window: dict[str, Any],
    progress: Progress,
) -> Path:
    progress.begin("saving the session", 0)
    repeat = pair.made.repeat if isinstance(pair.made, ImageMap) else None
    if isinstance(repeat, AlignOptions):
        return outputs.save_align_session(pair.fixed, pair.moving, repeat, path, window)
    return outputs.save_session_file(
        pair.fixed, pair.moving, pair.landmarks, options, path, repeat, window
    )


def _begun_session_file(
    images: list[SpatialImage | None],
    landmarks: LandmarkSet,
    options: FitOptions,
    path: Path,
    window: dict[str, Any],
    progress: Progress,
) -> Path:
    """A session that is not far enough to be fitted: the window opens it again."""
    progress.begin("saving the session", 0)
    stem = path.name.removesuffix(".json")
    write_session(Recorder().session(images, landmarks, options, stem), path, window=window)
    return path


def _landmark_file(landmarks: LandmarkSet, path: Path, progress: Progress) -> Path:
    progress.begin("saving landmarks", 0)
    write_landmarks(landmarks, path)
    return path


def _transform_file(made: Fit | ImageMap, path: Path, progress: Progress) -> Path:
    progress.begin("saving the transform", 0)
    return outputs.save_transform(made, path)
