"""A map found without landmarks: its options in the Register panel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QCheckBox

from ..errors import BridgecorrError
from ..landmarks import Side
from .image_maps import AlignOptions, AlignQuestion, Inputs, Outcome, at_time, find_aligned
from .image_method import ImageMethod, narrow_box

if TYPE_CHECKING:
    from ..progress import Progress
    from .viewer_session import ViewerSession

_MODELS = (
    ("bent (elastic)", "elastic"),
    ("stretched (affine)", "affine"),
    ("only turned and shifted", "rigid"),
)
_EXPLAINED = (
    "Tries all rotations and places, needs no landmarks, and says how sure it is. Landmarks that "
    "you place afterwards refine it."
)


class FindMap(ImageMethod):
    """Registers two images by their content alone."""

    name = "find"
    task = "looking for a map"

    def __init__(self, session: ViewerSession) -> None:
        super().__init__(
            session,
            _EXPLAINED,
            "Find a map",
        )
        self.model = narrow_box(
            "bridgecorr_find_model",
            "How the moving image may differ from the fixed one. It is bent only as far as the "
            "images agree that it bends",
        )
        for text, model in _MODELS:
            self.model.addItem(text, model)
        self.form.addRow("It may be", self.model)
        self.mirror = QCheckBox("also try it turned over (mirrored)")
        self.mirror.setObjectName("bridgecorr_find_mirror")
        self.mirror.setToolTip("For a section that may lie upside down on its slide")
        self.form.addRow(self.mirror)
        self.add_channels(
            ("Fixed channel", "Moving channel"),
            (
                "Which channel of the fixed image is compared",
                "Which channel of the moving image is compared",
            ),
        )
        self.add_masks()

    def first_entries(self, side: Side) -> list[tuple[str, Any]]:  # noqa: ARG002 - alike for both
        """What is taken where nothing is chosen."""
        return [("first, or whole picture", None)]

    def lacking(self) -> str:
        """Two images of a kind."""
        lacking = super().lacking()
        if lacking:
            return lacking
        try:
            fixed, moving = self.images()
        except BridgecorrError as error:
            return str(error)
        if (fixed.grid.shape[0] == 1) != (moving.grid.shape[0] == 1):
            return "One image is flat, the other a volume: use “Place section”."
        return ""

    def question(self) -> tuple[Inputs, Callable[[Progress], Outcome]]:
        """As it stands in the widgets."""
        fixed, moving = self.images()
        inputs = Inputs(fixed, moving)
        asked = AlignQuestion(
            inputs,
            at_time(fixed, self.time("fixed", fixed)),
            at_time(moving, self.time("moving", moving)),
            AlignOptions(
                self.model.currentData(),
                self.mirror.isChecked(),
                (self.channel("fixed"), self.channel("moving")),
            ),
            self.masks(),
        )
        return inputs, partial(find_aligned, asked)
