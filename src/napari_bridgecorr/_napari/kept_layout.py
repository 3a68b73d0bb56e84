"""Which panels are docked and which of their folds are open, as plain values, and so again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QAbstractButton, QWidget

from .docked_panel import DockedPanel, names_of_open
from .fit_extras import MoreButton

if TYPE_CHECKING:
    from .viewer_session import ViewerSession

_PLUGIN = "napari-bridgecorr"
# their object names, and what the plugin's menu calls them
_PANELS = {"bridgecorr_register": "Register", "bridgecorr_reslice": "Reslice"}
# of the methods of step 4, one of which is open at a time
_METHOD_FOLD = "bridgecorr_open_"


def open_folds(inside: QWidget) -> list[str]:
    """Object names of the folds that are open in a widget's panel."""
    return [fold.objectName() for fold in _folds(inside) if fold.isChecked()]


def show_folds(inside: QWidget, names: Iterable[str]) -> None:
    """Open these folds in a widget's panel, and close all others."""
    wanted = set(names)
    for fold in _folds(inside):
        fold.setChecked(fold.objectName() in wanted)


def docked_panels(session: ViewerSession) -> list[str]:
    """What the plugin's menu calls the panels that are open in a session's window."""
    found = names_of_open(session)
    return [title for name, title in _PANELS.items() if name in found]


def dock_panels(session: ViewerSession, titles: Iterable[str]) -> None:
    """Open those of the panels that are not open."""
    viewer, there = session.viewer, docked_panels(session)
    if viewer is None:
        return
    for title in titles:
        if title in _PANELS.values() and title not in there:
            viewer.window.add_plugin_dock_widget(_PLUGIN, title)


def _folds(inside: QWidget) -> list[QAbstractButton]:
    panel: QWidget | None = inside
    while panel is not None and not isinstance(panel, DockedPanel):
        panel = panel.parentWidget()
    if panel is None:
        return []
    return [
        found
        for found in panel.findChildren(QAbstractButton)
        if found.isCheckable()
        and (isinstance(found, MoreButton) or found.objectName().startswith(_METHOD_FOLD))
    ]
