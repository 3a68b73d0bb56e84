"""The key of the two views: a napari action, so that its preferences change it."""

from __future__ import annotations

from typing import Any

from app_model.types import KeyBinding, KeyCode
from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.action_manager import action_manager

LINK = "bridgecorr:link_views"

_registered: set[str] = set()


def register_keys() -> None:
    """Make the action known to napari, once, with the user's key where there is one."""
    if LINK in _registered:
        return
    _registered.add(LINK)
    action_manager.register_action(
        LINK, _link_in, "Link the two views, or no longer (bridgecorr)", ViewerModel
    )
    if LINK not in get_settings().shortcuts.shortcuts:
        action_manager.bind_shortcut(LINK, KeyBinding.from_int(KeyCode.KeyL))


# napari looks at what this is annotated with in order to fill it in by itself
def _link_in(viewer: Any) -> None:
    from .viewer_session import session_of

    session = session_of(viewer)
    view = session.canvases.second
    if view is None:
        session.told.emit("Open two views first (step 2), then link them.", False)
    else:
        view.set_linked(not view.link.is_on)
