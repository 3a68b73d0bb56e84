"""Step 1 of the Register panel: which image is fixed, which is moving."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QPushButton

from ..errors import BridgecorrError
from .first_steps import FirstSteps
from .frames import ImageTag, is_upright, tag_of
from .image_layers import image_name
from .landmark_layers import COLOURS, SIDES
from .layers import set_voxel_size
from .panel_parts import LayerChooser, Step, muted
from .summary import describe_image
from .unit_line import UnitLine, set_unit
from .views import are_upright, frame_view, show_images_upright
from .voxel_size_line import VoxelSizeLine

if TYPE_CHECKING:
    from napari.layers import Layer

    from ..landmarks import Side
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_TIPS = {
    "fixed": "The image that stays as it is: its voxels become the rows of the table (often MRI)",
    "moving": "The image that is brought onto the fixed one (often microscopy), with all channels",
}


class ImagesStep(Step):
    """Chooses the two images and how they are shown."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__(1, "Images")
        self._session = session
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
        self.choosers: dict[Side, LayerChooser] = {}
        self._facts = {side: muted() for side in SIDES}
        self.voxel_sizes: dict[Side, VoxelSizeLine] = {}
        self.units: dict[Side, UnitLine] = {}
        for row, side in enumerate(SIDES):
            label = QLabel(f'<span style="color:{COLOURS[side]}">●</span> {side.capitalize()}')
            label.setToolTip(_TIPS[side])
            chooser = LayerChooser(_TIPS[side], f"bridgecorr_{side}_image")
            chooser.setAccessibleName(f"{side.capitalize()} image")
            chooser.layer_chosen.connect(partial(session.set_image_layer, side))
            self.choosers[side] = chooser
            size = VoxelSizeLine(f"bridgecorr_{side}_voxel_size")
            size.answered.connect(partial(self._on_voxel_size, side))
            size.misunderstood.connect(partial(self._tell, is_error=True))
            self.voxel_sizes[side] = size
            unit = UnitLine(f"bridgecorr_{side}_unit")
            unit.answered.connect(partial(self._on_unit, side))
            self.units[side] = unit
            grid.addWidget(label, 4 * row, 0)
            grid.addWidget(chooser, 4 * row, 1)
            for below, widget in enumerate((self._facts[side], size, unit), 1):
                grid.addWidget(widget, 4 * row + below, 1)
        self.swap = QPushButton("⇅")
        self.swap.setObjectName("bridgecorr_swap")
        self.swap.setAccessibleName("Swap fixed and moving")
        self.swap.setToolTip("Swap fixed and moving, with their landmarks")
        self.swap.setFixedWidth(28)
        self.swap.clicked.connect(self._on_swap)
        grid.addWidget(self.swap, 0, 2, 5, 1)
        self.body.addLayout(grid)
        self.first_steps = FirstSteps(session, lifeline)
        self.body.addWidget(self.first_steps)
        self.upright = QCheckBox("Show upright")
        self.upright.setObjectName("bridgecorr_upright")
        self.upright.setToolTip(
            "Show each image along its own axes, from 0, instead of at its place in the world.\n"
            "napari's 2-D view leaves out the tilt of an oblique image, so clicks would land\n"
            "beside what you see. Only the display changes: landmarks and results keep their place."
        )
        self.upright.toggled.connect(self._on_upright)
        self._tilt_note = muted()
        self.body.addWidget(self.upright)
        self.body.addWidget(self._tilt_note)
        lifeline.connect(session.layers_changed, self.refresh)
        lifeline.connect(session.images_changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the images as they are now."""
        layers = self._session.image_layers()
        names = [_name(layer) for layer in layers]
        is_oblique = False
        for side in SIDES:
            chosen = self._session.image_layer(side)
            listed = [i for i in layers if chosen is not None and _is_same_image(i, chosen)]
            self.choosers[side].show_layers(layers, names, listed[0] if listed else None)
            image = None
            try:
                image = self._session.image(side)
                text = describe_image(image)
                is_oblique = is_oblique or (image is not None and not is_upright(image.grid))
            except BridgecorrError as error:
                text = str(error)
            self._facts[side].setText(text)
            self._facts[side].setVisible(bool(text))
            self.voxel_sizes[side].show_image(image)
            self.units[side].show_layer(chosen)
        has_images = any(self._session.image_layer(side) is not None for side in SIDES)
        try:
            shown_upright = are_upright(self._session)
        except BridgecorrError:
            shown_upright = False  # what is wrong stands beside the image
        blocker = QSignalBlocker(self.upright)
        self.upright.setChecked(shown_upright)
        self.upright.setEnabled(has_images)
        blocker.unblock()
        self._tilt_note.setText(
            "An image lies obliquely: tick “Show upright” before you click on it in 2-D."
            if is_oblique and not shown_upright
            else ""
        )
        self._tilt_note.setVisible(bool(self._tilt_note.text()))
        self.swap.setEnabled(has_images)

    def _on_voxel_size(self, side: Side, spacing_um: tuple[float, float, float]) -> None:
        set_voxel_size(self._session.channel_layers(side), spacing_um)
        frame_view(self._session, side)
        self._session.images_changed.emit()
        self._tell(f"The {side} image's voxels measure {spacing_um} µm now.", is_error=False)

    def _on_unit(self, side: Side, unit: str) -> None:
        set_unit(self._session.channel_layers(side), unit)
        frame_view(self._session, side)
        self._session.images_changed.emit()
        self._tell(f"The {side} image counts in {unit.replace('um', 'µm')} now.", is_error=False)

    def _tell(self, text: str, is_error: bool) -> None:
        self._session.told.emit(text, is_error)

    def _on_swap(self) -> None:
        self._session.swap()

    def _on_upright(self, checked: bool) -> None:
        try:
            show_images_upright(self._session, checked)
            frame_view(self._session, "fixed")
        except BridgecorrError as error:
            self._session.told.emit(str(error), True)
        self._session.images_changed.emit()


def _name(layer: Layer) -> str:
    tag = tag_of(layer)
    is_one_of_many = isinstance(tag, ImageTag) and len(tag.image.channels) > 1
    return image_name(layer) if is_one_of_many else layer.name


def _is_same_image(a: Layer, b: Layer) -> bool:
    left, right = tag_of(a), tag_of(b)
    if isinstance(left, ImageTag) and isinstance(right, ImageTag):
        return left.image is right.image
    return a is b
