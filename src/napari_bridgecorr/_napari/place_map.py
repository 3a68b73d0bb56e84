"""A section placed in a volume: its options in the Register panel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QSizePolicy, QSpinBox

from ..errors import BridgecorrError
from ..fitting.sections import SectionFitOptions
from ..refine.section_pictures import FindOptions
from .image_maps import Inputs, Outcome, at_time, used_pairs
from .image_method import ImageMethod, narrow_box
from .section_maps import By, PlaceQuestion, find_placed

if TYPE_CHECKING:
    from ..progress import Progress
    from ..refine.section_likeness import Freedom
    from .viewer_session import ViewerSession

_WAYS: tuple[tuple[str, str], ...] = (
    ("is to be found", "find"),
    ("is near number", "near"),
    ("is number", "exactly"),
    ("follows from landmarks", "landmarks"),
    ("from landmarks, then images", "both"),
)
_FREEDOMS: tuple[tuple[str, Freedom, str], ...] = (
    ("bent", "bent", "tps"),
    ("stretched (affine)", "affine", "affine"),
    ("only turned and shifted", "rigid", "rigid"),
)
_AXES = (("of the thickest voxels", None), ("z", 0), ("y", 1), ("x", 2))
_FEWEST = 3
_UPRIGHT_DEGREES, _ANY_DEGREES = 180.0, 20.0
_EXPLAINED = (
    "Places a flat fixed image (slide scan, widefield) in a moving volume (MRI): its slice is "
    "found, chosen, or follows from landmarks."
)


class PlaceMap(ImageMethod):
    """Finds the slice of a volume that a section shows."""

    name = "place"
    task = "placing the section"

    def __init__(self, session: ViewerSession) -> None:
        super().__init__(
            session,
            _EXPLAINED,
            "Place the section",
        )
        self.way = narrow_box("bridgecorr_place_slice", "How the section's slice is known")
        for text, value in _WAYS:
            self.way.addItem(text, value)
        self.way.activated.connect(self._show_rows)
        self.form.addRow("Its slice", self.way)
        self.number = QSpinBox()
        self.number.setObjectName("bridgecorr_place_number")
        self.number.setToolTip("Number of the volume's slice, from 0")
        self.form.addRow("Slice number", self.number)
        self.reach = QSpinBox()
        self.reach.setObjectName("bridgecorr_place_reach")
        self.reach.setRange(1, 999)
        self.reach.setValue(3)
        self.reach.setPrefix("± ")
        self.reach.setSuffix(" slices")
        self.reach.setToolTip("How far from there it is looked for")
        self.form.addRow("Within", self.reach)
        self.axis = narrow_box(
            "bridgecorr_place_axis", "Along which axis of the volume its slices are counted"
        )
        for text, along in _AXES:
            self.axis.addItem(text, along)
        self.axis.activated.connect(self._show_rows)
        self.form.addRow("Slices along", self.axis)
        self.thickness = QDoubleSpinBox()
        self.thickness.setObjectName("bridgecorr_place_thickness")
        self.thickness.setRange(0, 1e5)
        self.thickness.setDecimals(1)
        self.thickness.setSuffix(" µm")
        self.thickness.setSpecialValueText("not known")
        self.thickness.setToolTip("Of the section: the volume is averaged over it")
        for spin in (self.number, self.reach, self.thickness):
            spin.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.form.addRow("Thickness", self.thickness)
        self.freedom = narrow_box(
            "bridgecorr_place_freedom", "How the section may differ from the volume's slice"
        )
        for text, freedom, _ in _FREEDOMS:
            self.freedom.addItem(text, freedom)
        self.form.addRow("It may be", self.freedom)
        self.upright = QCheckBox("lies upright or turned by 180°")
        self.upright.setObjectName("bridgecorr_place_upright")
        self.upright.setToolTip("Other turns are then not tried, which is quicker and surer")
        self.form.addRow(self.upright)
        self.add_channels(
            ("Section channel", "Volume channel"),
            ("Which channel of the section is compared", "Which channel of the volume is compared"),
        )

    def refresh(self, busy_reason: str) -> None:
        """Offer what can be done now."""
        super().refresh(busy_reason)
        self._show_rows()

    def lacking(self) -> str:
        """A flat fixed image, a moving volume, and landmarks if these are to tell."""
        lacking = super().lacking()
        if lacking:
            return lacking
        try:
            fixed, moving = self.images()
        except BridgecorrError as error:
            return str(error)
        flat = [image.grid.shape[0] == 1 for image in (fixed, moving)]
        if flat == [False, True]:
            return "The section has to be the fixed image: press ⇅ in step 1."
        if flat != [True, False]:
            return "Needs a flat fixed image and a moving volume; these two are of a kind."
        if self._by() != "images" and len(self._session.landmarks.pairs()) < _FEWEST:
            return f"Needs {_FEWEST} landmark pairs, not on a line (step 2)."
        return ""

    def question(self) -> tuple[Inputs, Callable[[Progress], Outcome]]:
        """As it stands in the widgets."""
        fixed, moving = self.images()
        by, way = self._by(), self.way.currentData()
        landmarks = self._session.landmarks
        inputs = Inputs(fixed, moving, None if by == "images" else used_pairs(landmarks))
        model = {freedom: model for _, freedom, model in _FREEDOMS}[self.freedom.currentData()]
        find = FindOptions(
            thickness_um=self.thickness.value(),
            along=self.axis.currentData(),
            near_slice=float(self.number.value()) if way in ("near", "exactly") else None,
            reach_slices=float(self.reach.value()) if way == "near" else 0.0,
            fix_plane=way == "exactly",
            turn_step_degrees=_UPRIGHT_DEGREES if self.upright.isChecked() else _ANY_DEGREES,
            freedom=self.freedom.currentData(),
            section_channel=self.channel("fixed") or 0,
            volume_channel=self.channel("moving") or 0,
        )
        asked = PlaceQuestion(
            inputs,
            at_time(fixed, self.time("fixed", fixed)),
            at_time(moving, self.time("moving", moving)),
            by,
            find,
            SectionFitOptions(model, thickness_um=self.thickness.value()),
            landmarks,
        )
        return inputs, partial(find_placed, asked)

    def _by(self) -> By:
        way = self.way.currentData()
        return way if way in ("landmarks", "both") else "images"

    def _show_rows(self) -> None:
        way = self.way.currentData()
        self.form.setRowVisible(self.number, way in ("near", "exactly"))
        self.form.setRowVisible(self.reach, way == "near")
        for row in (self.axis, self.upright):
            self.form.setRowVisible(row, way in ("find", "near", "exactly"))
        try:
            volume = self._session.image("moving")
        except BridgecorrError:
            return  # step 1 says what is wrong with the layer
        if volume is None:
            return
        along = self.axis.currentData()
        sizes = np.asarray(volume.grid.voxel_size_um)
        axis = int(np.argmax(sizes > sizes.max() * 0.999)) if along is None else along
        self.number.setRange(0, volume.grid.shape[axis] - 1)
        self.number.setSuffix(f" of 0 to {volume.grid.shape[axis] - 1}")
