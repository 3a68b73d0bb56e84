"""Part of the Reslice panel: how the slices lie, and the resliced image as layer or file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ..errors import BridgecorrError
from ..geometry import resliced_grid, slab_grid
from ..image import SpatialImage
from ..io.plane_file import write_plane
from ..session import save_session
from ..workflow.reslice import ResliceOptions, reslice_output, reslice_session, reslice_to_file
from .carried_layers import carried_images, carried_points, points_in_frame
from .frames import ImageTag, frame_of, tag_of
from .jobs import Job
from .layers import LayerData, image_of_layer
from .outputs import image_reference
from .panel_jobs import PanelJobs
from .panel_parts import ProgressLine, button, muted, primary
from .resliced_layers import ReslicedLayers, layers_for, looks_to_keep, resliced_for_window
from .save_dialog import ask_path

if TYPE_CHECKING:
    from ..geometry import Plane
    from ..progress import Progress
    from .lifeline import Lifeline
    from .plane_bench import PlaneBench
    from .resliced_layers import ChannelLook
    from .viewer_session import ViewerSession

_IMAGES = "OME-Zarr (*.ome.zarr);;NIfTI (*.nii.gz);;OME-TIFF (*.ome.tif)"
_SINGLE, _OWN = "as fine as the image", "grouped to a thickness of my own"
_TIP = (
    "Add the image along the plane as a new, lazy layer, with its landmarks and with labels, masks "
    "and points that lie on it; the image itself is hidden, not changed"
)


class ResliceResult(QWidget):
    """The slices' thickness and range, and buttons that make the resliced image."""

    made = Signal()
    """A resliced image was added."""

    def __init__(self, session: ViewerSession, bench: PlaneBench, lifeline: Lifeline) -> None:
        super().__init__()
        self._session, self._bench = session, bench
        self._lacking = ""
        self.thickness = QComboBox()
        self.thickness.setObjectName("bridgecorr_reslice_thickness")
        self.thickness.setToolTip(
            "Along the plane's normal: every slice, or means of as many as one voxel of the other "
            "image is deep (µm)"
        )
        self.thickness.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.thickness.setMinimumContentsLength(10)
        self.thickness.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.thickness.activated.connect(self._on_thickness)
        self.own = _length_box("bridgecorr_reslice_slab", "Thickness of a group of slices (µm)")
        self.own.setValue(100.0)
        self.limited = QCheckBox("Only depths (µm)")
        self.limited.setObjectName("bridgecorr_reslice_limited")
        self.limited.setToolTip("Only slices at these distances from the plane (µm); else all")
        self.nearest = _length_box("bridgecorr_reslice_from", "From this depth (µm)")
        self.farthest = _length_box("bridgecorr_reslice_to", "To this depth (µm)")
        self.nearest.setMinimum(-1e6)
        self.farthest.setMinimum(-1e6)
        self.nearest.setValue(0.0)
        self.farthest.setValue(200.0)
        depths = QHBoxLayout()
        depths.setSpacing(4)
        for widget in (self.limited, self.nearest, self.farthest):
            depths.addWidget(widget, 1)
        form = QFormLayout()
        form.setHorizontalSpacing(8)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Slices", self.thickness)
        form.addRow("Thickness (µm)", self.own)
        self._form = form
        self.words = muted()
        self.words.setObjectName("bridgecorr_reslice_words")
        self.make = primary("Reslice", _TIP, name="bridgecorr_reslice_make")
        self.make.clicked.connect(self.start)
        self.saves = {}
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(QLabel("Save"))
        for key, text, tip, action in (
            ("image", "Image…", "Write the resliced image to a file", self.save_image),
            (
                "plane",
                "Plane…",
                "The plane as JSON, for `bridgecorr reslice`",
                self.save_plane,
            ),
            (
                "session",
                "Session…",
                "What `bridgecorr run` repeats: this image resliced along this plane",
                self.save_session,
            ),
        ):
            made = button(text, tip, name=f"bridgecorr_reslice_save_{key}")
            made.clicked.connect(action)
            self.saves[key] = made
            row.addWidget(made)
        self.progress = ProgressLine()
        self.jobs = PanelJobs(lifeline, self.progress, self)
        self.jobs.failed.connect(self._complain)
        self.jobs.cancelled.connect(partial(self._say, "Cancelled."))
        self.jobs.changed.connect(self.refresh)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(form)
        column.addLayout(depths)
        for widget in (self.words, self.make):
            column.addWidget(widget)
        column.addLayout(row)
        column.addWidget(self.progress)
        self.limited.toggled.connect(self.refresh)
        for box in (self.own, self.nearest, self.farthest):
            box.valueChanged.connect(self.refresh)
        for signal in (session.layers_changed, bench.changed, bench.image_changed):
            lifeline.connect(signal, self.refresh)
        lifeline.connect(bench.restored, self._on_restored)
        self.show_options(bench.options)

    # -- options ---------------------------------------------------------------------------------

    def options(self) -> ResliceOptions:
        """What the widgets say."""
        slab = self.thickness.currentData()
        if slab == _OWN:
            slab = self.own.value()
        depths = (self.nearest.value(), self.farthest.value()) if self.limited.isChecked() else None
        return ResliceOptions(depth_range_um=depths, slab_um=slab)

    def _on_restored(self) -> None:
        self.show_options(self._bench.options)

    def show_options(self, options: ResliceOptions) -> None:
        """Show options, as they were kept."""
        self._list_thicknesses()
        blockers = [QSignalBlocker(w) for w in (self.own, self.nearest, self.farthest)]
        if options.slab_um is not None:
            self.own.setValue(options.slab_um)
        self.thickness.setCurrentIndex(
            self.thickness.findData(None if not options.slab_um else _OWN)
        )
        if options.depth_range_um is not None:
            self.nearest.setValue(options.depth_range_um[0])
            self.farthest.setValue(options.depth_range_um[1])
        blockers.append(QSignalBlocker(self.limited))
        self.limited.setChecked(options.depth_range_um is not None)
        for blocker in blockers:
            blocker.unblock()
        self.refresh()

    # -- showing ---------------------------------------------------------------------------------

    def refresh(self, *_: object) -> None:
        """Offer what can be done now, and say what it would give."""
        self._list_thicknesses()
        for box in (self.nearest, self.farthest):
            box.setEnabled(self.limited.isChecked())
        is_own = self.thickness.currentData() == _OWN
        self.own.setVisible(is_own)
        label = self._form.labelForField(self.own)
        if label is not None:
            label.setVisible(is_own)
        self._bench.options = self.options()
        lacking, words = self._outlook()
        self.words.setText(words)
        self.words.setVisible(bool(words))
        busy = "Wait for the work that is going on, or cancel it" if self.jobs.is_busy else ""
        for made in (self.make, *self.saves.values()):
            made.setEnabled(not lacking and not busy)
        self.make.setToolTip(lacking or busy or _TIP)

    def _outlook(self) -> tuple[str, str]:
        """Why nothing can be done, and what would come of it."""
        plane = self._bench.plane
        if self._bench.layer is None:
            return "Choose an image first", ""
        if plane is None:
            return "Make a plane first: points, lines or the search", ""
        try:
            options = self.options()
            image = self._bench.image()
            grid = resliced_grid(image.grid, plane, None, options.depth_range_um)
            if options.slab_um is not None:
                grid = slab_grid(grid, options.slab_um, plane.origin_um)
        except BridgecorrError as error:
            return str(error), str(error)
        n, rows, columns = grid.shape
        z, y, x = (f"{v:.3g}" for v in grid.voxel_size_um)
        what = "slices" if options.slab_um is None else "groups"
        return "", (
            f"{n} {what} of {columns} × {rows}, voxels {x} × {y} × {z} µm. Computed as you look at "
            "them."
        )

    def _list_thicknesses(self) -> None:
        entries: list[tuple[str, Any]] = [(_SINGLE, None)]
        mine = self._bench.channel_layers()
        for layer in self._session.image_layers():
            if layer in mine:
                continue
            try:
                depth = image_of_layer(layer).grid.voxel_size_um[0]
            except BridgecorrError:
                continue  # where it is chosen it is said what is wrong with it
            entries.append((f"grouped like {layer.name}: {depth:.4g} µm", depth))
        entries.append((_OWN, _OWN))
        listed = [
            (self.thickness.itemText(i), self.thickness.itemData(i))
            for i in range(self.thickness.count())
        ]
        if listed == entries:
            return
        chosen = self.thickness.currentText()
        self.thickness.clear()
        for text, data in entries:
            self.thickness.addItem(text, data)
        self.thickness.setCurrentIndex(max(0, self.thickness.findText(chosen)))

    def _on_thickness(self, _index: int) -> None:
        self.refresh()

    # -- making ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the lazy image in a job, then show it in the place of its image."""
        question = self._question()
        if question is None:
            return
        image, plane, options = question
        sources, side = self._bench.channel_layers(), self._bench.side
        others = carried_images(self._session, image, sources)
        wanted = [(image, looks_to_keep(sources))]
        wanted += [(other, looks_to_keep(layers)) for other, layers in others]
        sources = [*sources, *(layer for _, layers in others for layer in layers)]
        then = partial(self._on_made, image, sources, side, plane.origin_um)
        self.jobs.start(Job(partial(_make, wanted, plane, options)), then, "reslicing")

    def _on_made(
        self, image: SpatialImage, sources: list[Layer], side: Any, origin_um: Any, made: _Made
    ) -> None:
        if self._session.viewer is None or self._bench.layer is None:
            return
        layers = [Layer.create(data, arguments, kind) for data, arguments, kind in made.layers]
        points = carried_points(self._session, image, self._bench.layer)
        before, after = frame_of(self._bench.layer), frame_of(layers[0])
        copies = [points_in_frame(layer, before, after) for layer in points]
        deed = ReslicedLayers(
            self._session, [*layers, *copies], [*sources, *points], side, origin_um
        )
        deed.do_again()
        self._bench.note("reslice", deed)
        role = "" if side is None else f" It is the {side} image now; landmarks came along."
        carried = [*made.carried, *(layer.name for layer in points)]
        along = f" Carried along: {', '.join(carried)}." if carried else ""
        left = "".join(f" Left out: {why}." for why in made.left_out)
        tag = tag_of(layers[0])
        name = tag.image.name if isinstance(tag, ImageTag) else layers[0].name
        self._say(f"{name}: added.{role}{along}{left} Undo takes it back.")
        self.made.emit()

    def save_image(self) -> None:
        """Ask where, and write the resliced image in a job."""
        question = self._question()
        path = None if question is None else self._ask_path("Save image", "resliced", _IMAGES)
        if question is None or path is None:
            return
        image, plane, options = question
        work = partial(_write, image, plane, path, options)
        self.jobs.start(Job(work), self._tell_saved, "writing")

    def save_plane(self) -> None:
        """Ask where, and write the plane."""
        plane = self._bench.plane
        path = (
            None if plane is None else self._ask_path("Save plane", "plane.json", "Plane (*.json)")
        )
        if plane is not None and path is not None:
            self.jobs.start(Job(partial(_write_plane, plane, path)), self._tell_saved, "writing")

    def save_session(self) -> None:
        """Ask where, and write what `bridgecorr run` repeats."""
        question = self._question()
        path = (
            None
            if question is None
            else self._ask_path("Save session", "reslice.json", "Session (*.json)")
        )
        if question is not None and path is not None:
            work = partial(_write_session, *question, path)
            self.jobs.start(Job(work), self._tell_saved, "writing")

    # -- inside ----------------------------------------------------------------------------------

    def _question(self) -> tuple[SpatialImage, Plane, ResliceOptions] | None:
        plane = self._bench.plane
        try:
            image = self._bench.image()
            options = self.options()
        except BridgecorrError as error:
            self._complain(str(error))
            return None
        return None if plane is None else (image, plane, options)

    def _ask_path(self, title: str, name: str, kinds: str) -> Path | None:
        try:
            image = self._bench.image()
        except BridgecorrError:
            image = None  # said where it is asked for
        return ask_path(self, title, name, kinds, image)

    def _tell_saved(self, path: Path) -> None:
        self._say(f"Saved {path}")

    def _say(self, text: str) -> None:
        self._bench.told.emit(text, False)

    def _complain(self, reason: str) -> None:
        self._bench.told.emit(reason, True)


# -- for a job's thread ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Made:
    """Layers of the image and of what lies on it; the names of the latter; what cannot come."""

    layers: list[LayerData]
    carried: list[str]
    left_out: list[str]


def _make(
    wanted: list[tuple[SpatialImage, list[ChannelLook]]],
    plane: Plane,
    options: ResliceOptions,
    progress: Progress,
) -> _Made:
    """The first image must come, others may."""
    progress.begin("reslicing", len(wanted))
    made = _Made([], [], [])
    for number, (image, looks) in enumerate(wanted):
        try:
            made.layers.extend(layers_for(resliced_for_window(image, plane, options), looks))
        except BridgecorrError as error:
            if number == 0:
                raise
            made.left_out.append(f"{image.name} ({error})")
        else:
            made.carried.extend([image.name] if number else [])
        progress.advance()
    return made


def _write(
    image: SpatialImage, plane: Plane, path: Path, options: ResliceOptions, progress: Progress
) -> Path:
    reslice_to_file(image, plane, path, options, progress)
    return path


def _write_plane(plane: Plane, path: Path, progress: Progress) -> Path:  # noqa: ARG001 - a job's
    write_plane(plane, path)
    return path


def _write_session(
    image: SpatialImage,
    plane: Plane,
    options: ResliceOptions,
    path: Path,
    progress: Progress,  # noqa: ARG001 - a job's
) -> Path:
    stem = path.name.removesuffix(".json")
    output = reslice_output("image", plane, f"{stem}.ome.zarr", options)
    save_session(reslice_session(image_reference(image, "image"), output), path)
    return path


def _length_box(name: str, tip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setObjectName(name)
    box.setAccessibleName(tip)
    box.setToolTip(tip)
    box.setRange(0.1, 1e6)
    box.setDecimals(1)
    box.setMinimumWidth(60)
    return box
