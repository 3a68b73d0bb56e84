"""Where canvases look and what panels show, as plain values, and the same shown again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from .kept_layout import open_folds, show_folds
from .lifeline import weak_call
from .second_view import close_second_view, open_second_view

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QWidget

    from .landmarks_step import LandmarksStep
    from .lifeline import Lifeline
    from .overlay_box import OverlayBox
    from .results_step import ResultsStep
    from .viewer_session import ViewerSession

Document = dict[str, Any]

_CAMERA = ("center", "zoom", "angles", "perspective")
_DIMS = ("ndisplay", "order", "margin_left", "margin_right", "point")


def canvas_document(canvas: ViewerModel) -> Document:
    """Camera, slice, axes and thickness of a canvas."""
    camera, dims = canvas.scene.camera, canvas.dims
    return {
        "camera": {name: _plain(getattr(camera, name)) for name in _CAMERA},
        "dims": {name: _plain(getattr(dims, name)) for name in _DIMS},
    }


def look_as(canvas: ViewerModel, document: Document) -> None:
    """Look where :func:`canvas_document` says, as far as the axes are the same."""
    dims, saved = canvas.dims, document["dims"]
    if len(saved["point"]) == dims.ndim:
        dims.ndisplay = saved["ndisplay"]
        dims.order = tuple(saved["order"])
        dims.margin_right = tuple(saved["margin_right"])
        dims.margin_left = tuple(saved["margin_left"])
        dims.set_point(list(range(dims.ndim)), saved["point"])
    for name, value in document["camera"].items():
        setattr(canvas.scene.camera, name, tuple(value) if isinstance(value, list) else value)


def second_document(session: ViewerSession) -> Document | None:
    """What the second view shows; None while it is closed."""
    view = session.canvases.second
    if view is None:
        return None
    return {
        **canvas_document(view.model),
        "visible": [bool(copy.visible) for _, copy in view.mirror.pairs()],
        "linked": view.link.is_on,
    }


def show_second(session: ViewerSession, document: Document) -> None:
    """Let the second view, if it is open, show what it showed."""
    view = session.canvases.second
    if view is None:
        return
    pairs, visible = view.mirror.pairs(), document["visible"]
    if len(pairs) == len(visible):
        for (_, copy), shown in zip(pairs, visible, strict=True):
            copy.visible = shown
    view.refresh()
    view.volume.setChecked(document["dims"]["ndisplay"] == 3)
    look_as(view.model, document)
    if view.link.is_on != document["linked"]:
        view.set_linked(document["linked"])


class PanelView:
    """What the Register panel and the second view show.

    Made before the panel's parts, so that it is the first to hear of the panel's end, when all is
    still shown.

    Parameters
    ----------
    session : ViewerSession
    lifeline : Lifeline
    """

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        self._session, self._lifeline = session, lifeline
        self._parts: tuple[LandmarksStep, OverlayBox, ResultsStep] | None = None
        self._last: Document = {}
        self._second: Document | None = None
        lifeline.at_end(self._remember)
        lifeline.connect(session.canvases.changed, self._on_canvases)

    def set_parts(
        self, landmarks: LandmarksStep, overlay: OverlayBox, results: ResultsStep
    ) -> None:
        """The panel is made: this is what it consists of."""
        self._parts = landmarks, overlay, results

    def shown_state(self) -> Document:
        """What is shown, as plain values; what was, when the panel is gone."""
        if not self._lifeline.is_over:
            self._remember()
        return self._last

    def open_views(self, state: Document, window: QWidget) -> None:
        """Open or close the second view, before there are layers in it."""
        if state.get("second") is None:
            close_second_view(self._session)
        else:
            open_second_view(self._session, window)

    def show_state(self, state: Document) -> None:
        """Show what :meth:`shown_state` told."""
        if self._parts is None:
            return
        landmarks, overlay, results = self._parts
        landmarks.show_state(state)
        self.look(state)
        overlay.show_state(state.get("overlay", {}))
        results.show_residuals.setChecked(bool(state.get("residuals")))
        if "folds" in state:  # kept since they are
            show_folds(landmarks, state["folds"])

    def look(self, state: Document) -> None:
        """Let the second view look where it looked."""
        if state.get("second") is not None:
            show_second(self._session, state["second"])

    def _remember(self) -> None:
        # when a window is closed its widgets go first
        if self._parts is None or not isalive(self._parts[0].place):
            return
        landmarks, overlay, results = self._parts
        if self._session.canvases.second is not None:
            self._second = second_document(self._session)
        self._last = {
            **landmarks.shown_state(),
            "overlay": overlay.shown_state(),
            "residuals": results.show_residuals.isChecked(),
            "second": self._second,
            "folds": open_folds(landmarks),
        }

    def _on_canvases(self) -> None:
        if self._session.canvases.second is None:
            # a window that dies takes the second view with it, and comes to nothing else then
            QTimer.singleShot(0, weak_call(self.forget_closed))

    def forget_closed(self) -> None:
        """The second view was closed by the user, who goes on working."""
        if self._session.canvases.second is None and not self._lifeline.is_over:
            self._second = None


def _plain(value: Any) -> Any:
    """Tuples and NumPy's numbers as JSON has them."""
    if isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
        value = value.tolist() if hasattr(value, "tolist") else value
        return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
    return value
