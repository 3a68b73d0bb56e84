"""The button that opens and closes the second view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QPushButton, QSizePolicy

from ..errors import BridgecorrError
from .keyboard import native_of
from .landmark_layers import SIDES
from .second_view import close_second_view, open_second_view
from .views import frame_both

if TYPE_CHECKING:
    from .viewer_session import ViewerSession


# both canvases have their sizes only when Qt has dealt out the window's room, in several rounds
_LAID_OUT_MS, _MOST_LOOKS = 80, 12


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
        self._sizes: list[tuple[int, int] | None] = []
        self._looked_at: list[tuple[float, ...]] = []
        self._looks = 0
        self._framing = QTimer(self)
        self._framing.setSingleShot(True)
        self._framing.setInterval(_LAID_OUT_MS)
        self._framing.timeout.connect(self._frame)
        self.clicked.connect(self._on_clicked)
        self.show_state()

    def show_state(self) -> None:
        """Down or up, as things are."""
        self.setChecked(self._session.canvases.second is not None)

    def open(self) -> None:
        """Open the second view, and show both images whole at one scale."""
        if open_second_view(self._session, self.window()) is not None:
            self._sizes, self._looks, self._looked_at = [], 0, self._cameras()
            self._framing.start()
        self.show_state()

    def _frame(self) -> None:
        if self._session.canvases.second is None:
            return  # closed again meanwhile
        if self._cameras() != self._looked_at:
            return  # somebody looks at something already
        canvases = [native_of(self._session.canvas_of(side)) for side in SIDES]
        sizes = [None if c is None else (c.width(), c.height()) for c in canvases]
        self._looks += 1
        if sizes != self._sizes and self._looks < _MOST_LOOKS:
            self._sizes = sizes  # look again whether they stay so
            self._framing.start()
            return
        try:
            frame_both(self._session)
        except BridgecorrError:
            return  # step 1 says what is wrong with a layer

    def _cameras(self) -> list[tuple[float, ...]]:
        found = [self._session.canvas_of(side) for side in SIDES]
        cameras = [canvas.scene.camera for canvas in found if canvas is not None]
        return [(camera.zoom, *camera.center) for camera in cameras]

    def _on_clicked(self, checked: bool) -> None:
        if checked:
            self.open()
        else:
            close_second_view(self._session)
        self.show_state()
