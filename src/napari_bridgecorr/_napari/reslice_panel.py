"""The Reslice panel: an image, a plane in it, its picture, and the image along the plane."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from ..errors import BridgecorrError
from ..geometry.plane_outline import plane_outline
from .continue_row import ContinueRow
from .docked_panel import DockedPanel
from .frames import is_resliced
from .landmark_moves import time_shown
from .panel_parts import LayerChooser, Message, Step, button, muted
from .plane_bench import bench_of
from .plane_drag import PlaneDrag
from .plane_in_other import PlaneInOther
from .plane_layers import PlaneLayers
from .plane_numbers import PlaneNumbers
from .plane_preview import PlanePreview, looks_of
from .plane_source import PlaneSource
from .reslice_result import ResliceResult
from .resliced_layers import show_slice_at
from .viewer_session import session_of
from .views import fit_layers
from .wheel_guard import WheelGuard

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

_LOOK_EVENTS = ("contrast_limits", "colormap", "visible")


class ReslicePanel(DockedPanel):
    """Reslice an image of a viewer along a reference plane.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        napari passes it.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        session = session_of(napari_viewer)
        super().__init__(session, "bridgecorr_reslice")
        self._session, lifeline = session, self._lifeline
        self.bench = bench = bench_of(session)
        self.layers = PlaneLayers(session, bench, lifeline)
        self.image = LayerChooser(
            "The image to reslice: any image of the viewer", "bridgecorr_reslice_image"
        )
        self.image.setAccessibleName("Image to reslice")
        self.image.layer_chosen.connect(self._on_chosen)
        self.about = muted()
        self.source = PlaneSource(session, bench, self.layers, lifeline)
        self.numbers = PlaneNumbers(bench, lifeline)
        self.go_there = button(
            "Go to it",
            "Show the slice through the middle of the plane",
            name="bridgecorr_plane_go_there",
        )
        self.go_there.clicked.connect(self._on_go_there)
        self.drag = PlaneDrag(bench, self.layers, lifeline)
        self.drag_in_view = button(
            "Drag in view",
            "Drag the amber line on the slice to shift the plane along its normal, a square at its "
            "end to tilt it",
            name="bridgecorr_plane_drag",
            checkable=True,
        )
        self.drag_in_view.clicked.connect(self._on_drag)
        self.numbers.buttons.addWidget(self.go_there, 1, 0)
        self.numbers.buttons.addWidget(self.drag_in_view, 1, 1)
        self.source.drawing.connect(self._stop_dragging)
        self.in_other = PlaneInOther(session, bench, lifeline)
        self.other_note = muted()
        self.other_note.setObjectName("bridgecorr_plane_in_other")
        lifeline.connect(self.in_other.changed, self._show_other_note)
        self.preview = PlanePreview(lifeline)
        self.result = ResliceResult(session, bench, lifeline)
        self.result.made.connect(self._stop_dragging)
        self.message = Message()
        lifeline.connect(bench.told, partial(_tell, self.message))
        lifeline.connect(session.told, self._on_told)
        self.continuing = ContinueRow(session, lifeline, None)
        self._lay_out()
        self._watched: list[Layer] = []
        for signal in (bench.changed, bench.image_changed, session.images_changed):
            lifeline.connect(signal, self._ask_for_picture)
        for signal in (session.layers_changed, session.images_changed, bench.image_changed):
            lifeline.connect(signal, self.refresh)
        lifeline.at_end(self._unwatch)
        self._choose_first()
        self._show_other_note()
        self.refresh()
        self._ask_for_picture()
        self.layers.refresh()  # a plane that was made before is drawn again
        self.in_other.refresh()

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(8, 6, 8, 6)
        column.setSpacing(10)
        steps = (
            ("Image", (self.image, self.about)),
            ("Plane", (self.source,)),
            ("Adjust", (self.preview, self.numbers, self.other_note)),
            ("Resliced image", (self.result,)),
        )
        for number, (title, widgets) in enumerate(steps, 1):
            step = Step(number, title)
            for widget in widgets:
                step.body.addWidget(widget)
            column.addWidget(step)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        self._wheel = WheelGuard(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.continuing)
        layout.addWidget(scroll, 1)
        layout.addWidget(self.message)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(320)

    # -- the image -------------------------------------------------------------------------------

    def refresh(self) -> None:
        """List the images; say what there is to know of the chosen one."""
        layers = self._session.image_layers()
        chosen = [i for i in self.bench.channel_layers() if i in layers]
        names = [f"{i.name} (along a plane)" if is_resliced(i) else i.name for i in layers]
        self.image.show_layers(layers, names, chosen[0] if chosen else None)
        if not layers:
            self.about.setText("Open a volume first: File > Open, or Plugins > bridgecorr > File.")
        elif self.bench.layer is None:
            self.about.setText("Choose the image that is to be cut along another plane.")
        else:
            self.about.setText(self._about())
        self._watch()

    def _about(self) -> str:
        try:
            image = self.bench.image()
        except BridgecorrError:
            return ""  # said below, where the plane is made
        shape = " × ".join(str(n) for n in image.grid.shape[::-1])
        size = " × ".join(f"{v:.3g}" for v in image.grid.voxel_size_um[::-1])
        more = [
            f"{len(image.channels)} channels" if len(image.channels) > 1 else "",
            f"{image.n_times} times" if image.n_times > 1 else "",
        ]
        return ", ".join(t for t in (f"{shape} voxels of {size} µm", *more) if t) + "."

    def _choose_first(self) -> None:
        """The only volume, or the moving image: usually the microscope's stack."""
        if self.bench.layer is not None:
            return
        layers = [i for i in self._session.image_layers() if not is_resliced(i)]
        moving = self._session.image_layer("moving")
        if moving is not None or len(layers) == 1:
            self.bench.set_layer(moving if moving is not None else layers[0])

    def _on_chosen(self, layer: Layer | None) -> None:
        self.source.stop_drawing()
        self._stop_dragging()
        self.bench.set_layer(layer)
        self._show_image()

    def _show_image(self) -> None:
        """Show the image, and all of it."""
        session, side, canvas = self._session, self.bench.side, self.bench.canvas()
        layers = self.bench.channel_layers()
        if canvas is None or not layers:
            return
        drawn = [session.canvases.drawn(layer, side or "fixed") for layer in layers]
        shown = [layer for layer in drawn if layer is not None]
        if not any(layer.visible for layer in shown):
            for layer in shown:
                layer.visible = True
        try:
            self.bench.image()
        except BridgecorrError:
            return  # the panel says what is wrong with it
        fit_layers(canvas, [layer for layer in shown if layer.visible])

    def _on_drag(self, on: bool) -> None:
        self.source.stop_drawing()
        if on and not len(self.layers.trace):
            self._on_go_there()
        if on and not self.drag.switch(True):
            self.bench.told.emit("The plane is not in view: press “Go to it” first.", True)
        elif not on:
            self.drag.switch(False)
        self.drag_in_view.setChecked(self.drag.is_on)

    def _stop_dragging(self) -> None:
        self.drag.switch(False)
        self.drag_in_view.setChecked(False)

    def _on_go_there(self) -> None:
        plane, canvas, layer = self.bench.plane, self.bench.canvas(), self.bench.layer
        if plane is None or canvas is None or layer is None:
            return
        try:
            polygon = plane_outline(self.bench.image().grid, plane)
        except BridgecorrError as error:
            self.bench.told.emit(str(error), True)
            return
        self._show_image()
        world = polygon.mean(axis=0) if len(polygon) else plane.origin_um
        show_slice_at(canvas, layer, world)

    # -- the picture -----------------------------------------------------------------------------

    def _ask_for_picture(self, *_: object) -> None:
        for made in (self.go_there, self.drag_in_view):
            made.setEnabled(self.bench.plane is not None)
        plane, canvas, layer = self.bench.plane, self.bench.canvas(), self.bench.layer
        if plane is None or canvas is None or layer is None:
            self.preview.clear("Here you see the image along the plane, as soon as there is one.")
            return
        try:
            image = self.bench.image()
        except BridgecorrError as error:
            self.preview.clear(str(error))
            return
        looks = looks_of(self.bench.channel_layers())
        self.preview.ask(image, plane, looks, time_shown(canvas, layer, image))

    def _watch(self) -> None:
        """Draw the picture anew when the image's layers look otherwise."""
        wanted = self.bench.channel_layers()
        if wanted == self._watched:
            return
        self._unwatch()
        self._watched = wanted
        for layer in wanted:
            for name in _LOOK_EVENTS:
                if name in layer.events.emitters:
                    layer.events.emitters[name].connect(self._on_look)

    def _unwatch(self) -> None:
        for layer in self._watched:
            for name in _LOOK_EVENTS:
                if name in layer.events.emitters:
                    layer.events.emitters[name].disconnect(self._on_look)
        self._watched = []

    def _on_look(self, event: object) -> None:  # noqa: ARG002 - napari passes it
        self.layers.refresh_look()
        self.in_other.refresh()
        self._ask_for_picture()

    def _show_other_note(self) -> None:
        self.other_note.setText(self.in_other.note)
        self.other_note.setVisible(bool(self.in_other.note))

    def _on_told(self, text: str, is_complaint: bool) -> None:
        """What the Register panel would say, were it open."""
        if not self.continuing.autosave.has_panel:
            _tell(self.message, text, is_complaint)


def _tell(message: Message, text: str, is_complaint: bool) -> None:
    if is_complaint:
        message.complain(text)
    else:
        message.say(text)
