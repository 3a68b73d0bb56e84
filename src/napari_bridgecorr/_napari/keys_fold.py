"""A fold of step 2 that lists every key of the landmarks, each with a button that does the same."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from .landmark_keys import InstalledKeys, KeyAction
from .panel_parts import button, muted
from .placing import Placing
from .placing_actions import ACTIONS
from .view_keys import register_keys as register_link
from .viewer_keys import ViewerKey, keys_in_words, viewer_keys

if TYPE_CHECKING:
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_PAD = {
    "nudge_up": ("▲", 0, 1),
    "nudge_left": ("◀", 1, 0),
    "nudge_down": ("▼", 1, 1),
    "nudge_right": ("▶", 1, 2),
    "nudge_shallower": ("⤒ depth", 0, 3),
    "nudge_deeper": ("⤓ depth", 1, 3),
}


class KeysFold(QWidget):
    """Buttons with their keys; the keys are changed in napari's preferences."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline, placing: Placing) -> None:
        super().__init__()
        self._session, self._placing = session, placing
        self._keys = InstalledKeys(session, ACTIONS, placing.do)
        self.buttons: dict[str, QPushButton] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        grid = QGridLayout()
        grid.setSpacing(4)
        plain = [a for a in ACTIONS if not a.name.startswith("nudge_")]
        for number, action in enumerate(plain):
            grid.addWidget(self._made(action, action.title), number // 2, number % 2)
        register_link()
        self._grid, self._n_plain = grid, len(plain)
        column.addLayout(grid)
        line = QHBoxLayout()
        line.addWidget(muted("Snap within"), 1)
        self.reach = QDoubleSpinBox()
        self.reach.setObjectName("bridgecorr_snap_reach")
        self.reach.setAccessibleName("Snap within (voxels)")
        self.reach.setRange(2, 50)
        self.reach.setDecimals(1)
        self.reach.setValue(placing.snapping.voxels)
        self.reach.setSuffix(" voxels")
        self.reach.setToolTip(
            "Radius, in lengths of the image's longest voxel. Vessels and spots of a sixth to a "
            "half of it in width are looked for"
        )
        self.reach.valueChanged.connect(self._on_reach)
        line.addWidget(self.reach)
        column.addLayout(line)
        self._pad_words = muted()
        column.addWidget(self._pad_words)
        pad = QGridLayout()
        pad.setSpacing(4)
        by_name = {a.name: a for a in ACTIONS}
        for name, (text, row, at) in _PAD.items():
            made = self._made(by_name[name], text)
            made.setAccessibleName(by_name[name].title)
            pad.addWidget(made, row, at)
        column.addLayout(pad)
        self.tenth = QCheckBox("The buttons move by a tenth of a voxel")
        self.tenth.setObjectName("bridgecorr_tenth")
        self.tenth.setToolTip("As the Shift key does; off: by one voxel of the image shown")
        column.addWidget(self.tenth)
        column.addWidget(
            muted(
                "Keys act after a click on the picture. Change them in "
                "File ▸ Preferences ▸ Shortcuts, where they begin with “Landmarks:” or end with "
                "“(bridgecorr)”."
            )
        )
        lifeline.connect(session.layers_changed, self._keys.refresh)
        lifeline.connect(session.canvases.changed, self._keys.refresh)
        lifeline.connect(self._keys.keys_changed, self.refresh)
        lifeline.connect(placing.changed, self.refresh)
        lifeline.at_end(self._keys.end)
        self.refresh()

    def refresh(self) -> None:
        """Show the keys as they are now, and what can be done."""
        for action in ACTIONS:
            shown = self.buttons.get(action.name)
            if shown is None:
                continue
            keys = _in_words(action)
            shown.setToolTip(f"{action.tip} ({keys})" if keys else f"{action.tip} (no key)")
            if action.name not in _PAD:
                shown.setText(f"{action.title}  [{keys}]" if keys else action.title)
        # keys that others registered: undo and redo, the worst pair, the link of the views
        for number, key in enumerate(viewer_keys(), start=self._n_plain):
            words = keys_in_words(key.full_name)
            made = self.buttons.get(key.full_name)
            if made is None:
                made = self._made_for_viewer(key)
                self._grid.addWidget(made, number // 2, number % 2)
            made.setText(f"{key.title}  [{words}]" if words else key.title)
            made.setToolTip(f"{key.tip} ({words or 'no key'})")
        self.buttons["confirm"].setEnabled(self._placing.ghost.side is not None)
        by_name = {a.name: a for a in ACTIONS}
        listed = ", ".join(_in_words(by_name[name]) or "–" for name in _PAD)
        tenth = ", ".join(_in_words(by_name[f"{name}_tenth"]) or "–" for name in _PAD)
        self._pad_words.setText(f"Move the current point by a voxel: {listed}; by a tenth: {tenth}")

    def _made(self, action: KeyAction, text: str) -> QPushButton:
        made = button(text, action.tip, name=f"bridgecorr_{action.name}")
        made.setStyleSheet("padding: 4px 2px;")  # two and their keys side by side
        # the picture keeps the keys: Space would else press the button again
        made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        made.clicked.connect(partial(self._on_clicked, action.name))
        self.buttons[action.name] = made
        return made

    def _made_for_viewer(self, key: ViewerKey) -> QPushButton:
        name = key.full_name.split(":")[-1]
        made = button(key.title, key.tip, name=f"bridgecorr_key_{name}")
        made.setStyleSheet("padding: 4px 2px;")
        made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        made.clicked.connect(partial(self._do, key))
        self.buttons[key.full_name] = made
        return made

    def _do(self, key: ViewerKey, _checked: bool = False) -> None:
        key.do(self._session)

    def _on_reach(self, voxels: float) -> None:
        self._placing.snapping.voxels = voxels

    def _on_clicked(self, name: str, _checked: bool = False) -> None:
        is_tenth = name in _PAD and self.tenth.isChecked()
        self._placing.do(f"{name}_tenth" if is_tenth else name)


def _in_words(action: KeyAction) -> str:
    return keys_in_words(action.full_name)
