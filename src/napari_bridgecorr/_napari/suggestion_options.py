"""What is looked at for further pairs: the channels with vessels, and how these look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QSizePolicy, QWidget

from ..errors import BridgecorrError
from ..landmarks import Side
from ..vessels import POLARITIES, Polarity, SuggestionOptions
from .landmark_layers import SIDES

if TYPE_CHECKING:
    from .viewer_session import ViewerSession


class SuggestionChoices(QWidget):
    """A channel and a kind of vessels for each side."""

    def __init__(self) -> None:
        super().__init__()
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(8)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self.channel: dict[Side, QComboBox] = {}
        self.vessels: dict[Side, QComboBox] = {}
        for side in SIDES:
            channel = _box(f"bridgecorr_suggest_{side}_channel")
            channel.setToolTip(f"The channel of the {side} image that shows vessels")
            channel.setAccessibleName(f"Channel of the {side} image")
            vessels = _box(f"bridgecorr_suggest_{side}_vessels")
            vessels.setAccessibleName(f"Vessels of the {side} image")
            vessels.setToolTip(
                f"Whether vessels are brighter or darker than the tissue in the {side} image; any: "
                "the program finds out"
            )
            vessels.addItem("any vessels", None)
            for polarity in POLARITIES:
                vessels.addItem(f"{polarity} vessels", polarity)
            self.channel[side], self.vessels[side] = channel, vessels
            row = QHBoxLayout()
            row.setSpacing(4)
            row.addWidget(channel, 1)
            row.addWidget(vessels, 1)
            form.addRow(side.capitalize(), row)

    def show_channels(self, session: ViewerSession) -> None:
        """List the channels of the images as they are now."""
        for side, box in self.channel.items():
            try:
                image = session.image(side)
            except BridgecorrError:
                image = None  # step 1 says what is wrong with the layer
            names = [] if image is None else [c.name for c in image.channels]
            if [box.itemText(i) for i in range(box.count())] != names:
                box.clear()
                box.addItems(names)
            box.setVisible(len(names) > 1)

    def channels(self) -> tuple[int, int]:
        """Numbers of the channels, fixed and moving."""
        return (
            max(self.channel["fixed"].currentIndex(), 0),
            max(self.channel["moving"].currentIndex(), 0),
        )

    def options(self) -> SuggestionOptions:
        """What was said of the vessels."""
        told: list[Polarity | None] = [self.vessels[side].currentData() for side in SIDES]
        return SuggestionOptions(told[0], told[1])


def _box(name: str) -> QComboBox:
    box = QComboBox()
    box.setObjectName(name)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(5)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box
