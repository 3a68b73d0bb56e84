"""The button that opens and closes the second view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton, QSizePolicy

from .second_view import close_second_view, open_second_view

if TYPE_CHECKING:
    from .viewer_session import ViewerSession


class TwoViewsButton(QPushButton):
    """Down while the second view is open."""

    def __init__(self, session: ViewerSession) -> None:
        super().__init__("▥  Two views side by side")
        self._session = session
        self.setObjectName("bridgecorr_two_views")
        self.setToolTip(
            "Show the moving image in a view of its own, beside the fixed one: its slice, zoom, "
            "channels and 3-D are apart, and clicks are placed in both without changing over"
        )
        self.setCheckable(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.clicked.connect(self._on_clicked)
        self.show_state()

    def show_state(self) -> None:
        """Down or up, as things are."""
        self.setChecked(self._session.canvases.second is not None)

    def _on_clicked(self, checked: bool) -> None:
        if checked:
            open_second_view(self._session, self.window())
        else:
            close_second_view(self._session)
        self.show_state()
