"""The key of the two views: a napari action, so that its preferences change it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .viewer_keys import ViewerKey, register_viewer_key

if TYPE_CHECKING:
    from .viewer_session import ViewerSession

LINK = "bridgecorr:link_views"


def register_keys() -> None:
    """Make the action known to napari, once, with the user's key where there is one."""
    register_viewer_key(
        ViewerKey(
            LINK,
            "Link views",
            "Pan, zoom and slice of one view follow the other's through the current map",
            "Link the two views, or no longer (bridgecorr)",
            "L",
            _link,
        )
    )


def _link(session: ViewerSession) -> None:
    view = session.canvases.second
    if view is None:
        session.told.emit("Open two views first (step 2), then link them.", False)
    else:
        view.set_linked(not view.link.is_on)
