"""The whole map refined by the images: its options in the Register panel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import BridgecorrError
from ..landmarks import Side
from ..refine.global_refinement import MODELS
from ..workflow.refine import RefineOptions
from .image_maps import ImageMap, Inputs, Outcome, RefineQuestion, at_time, find_refined, used_pairs
from .image_method import ImageMethod, narrow_box

if TYPE_CHECKING:
    from ..progress import Progress
    from .viewer_session import ViewerSession

_MODEL_WORDS = {
    "auto": "smooth and local",
    "rigid": "one turn and shift",
    "affine": "one affine step",
    "bspline": "a smooth bend (B-spline)",
    "displacement": "a bend voxel by voxel",
}
_EXPLAINED = (
    "Lets the images improve the map, the landmarks held softly. Kept only if left-out landmarks "
    "are predicted no worse."
)


class RefineMap(ImageMethod):
    """Starts at the landmarks' fit or at a map found without landmarks."""

    name = "refine"
    task = "refining the map"

    def __init__(self, session: ViewerSession) -> None:
        super().__init__(
            session,
            _EXPLAINED,
            "Refine the map",
        )
        self.start = narrow_box("bridgecorr_refine_start", "The map that is refined")
        self.form.addRow("Start from", self.start)
        self.model = narrow_box(
            "bridgecorr_refine_model",
            "Smooth and local: the map may bend wherever both images show where they belong.\n"
            "The others move the whole map in one step, as far as left-out landmarks agree",
        )
        for model in MODELS:
            self.model.addItem(_MODEL_WORDS.get(model, model), model)
        self.form.addRow("Step", self.model)
        self.add_channels(
            ("Fixed channel", "Moving channel"),
            (
                "Which channel of the fixed image is explained",
                "Which channels of the moving image explain it, bright or dark alike",
            ),
        )
        self.add_masks()

    def first_entries(self, side: Side) -> list[tuple[str, Any]]:
        """All moving channels together may explain the fixed one."""
        return [("the first four together", None)] if side == "moving" else []

    def refresh(self, busy_reason: str) -> None:
        """Offer the starts that there are."""
        starts = [("the landmarks' fit", "fit")] if self._session.fit is not None else []
        if self._aligned() is not None:
            starts.append(("the map found without landmarks", "aligned"))
        if [self.start.itemData(i) for i in range(self.start.count())] != [s for _, s in starts]:
            self.start.clear()
            for text, value in starts:
                self.start.addItem(text, value)
            in_use = self._session.image_map()
            if in_use is not None and in_use.kind == "aligned":
                self.start.setCurrentIndex(self.start.findData("aligned"))
        self.form.setRowVisible(self.start, len(starts) > 1)
        super().refresh(busy_reason)

    def lacking(self) -> str:
        """Images, and a map to start from."""
        lacking = super().lacking()
        if lacking:
            return lacking
        try:
            fixed, moving = self.images()
        except BridgecorrError as error:
            return str(error)
        if (fixed.grid.shape[0] == 1) != (moving.grid.shape[0] == 1):
            return "One image is flat, the other a volume: use “Place section”."
        if self._session.fit is None and self._aligned() is None:
            return "Needs a map to start from: a fit (step 3), or one from “Find map”."
        return ""

    def question(self) -> tuple[Inputs, Callable[[Progress], Outcome]]:
        """As it stands in the widgets."""
        session = self._session
        fixed, moving = self.images()
        start = self._aligned() if self.start.currentData() == "aligned" else None
        landmarks = session.landmarks
        inputs = Inputs(
            fixed, moving, used_pairs(landmarks), session.options if start is None else None
        )
        channels = {"fixed": self.channel("fixed"), "moving": self.channel("moving")}
        options = RefineOptions(
            model=self.model.currentData(),
            fixed_channel=channels["fixed"] or 0,
            moving_channels=() if channels["moving"] is None else (channels["moving"],),
        )
        asked = RefineQuestion(
            inputs,
            at_time(fixed, self.time("fixed", fixed)),
            at_time(moving, self.time("moving", moving)),
            landmarks,
            None if session.is_fitting else session.fit,
            start,
            options,
            self.masks(),
        )
        return inputs, partial(find_refined, asked)

    def _aligned(self) -> ImageMap | None:
        found = self._session.maps.of_kind("aligned")
        return found if found is not None and self._session.still_hold(found.inputs) else None
