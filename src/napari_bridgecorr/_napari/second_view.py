"""A second canvas beside napari's own: the moving image with slices, zoom and channels of its own.

The layers of the viewer stay the one truth; the canvas shows copies that share their voxels.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from napari.components import ViewerModel
from napari.layers import Points
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import (
    QDockWidget,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ..errors import BridgecorrError
from .background_slices import BackgroundSlices
from .dock_room import DockRoom
from .freed_memory import give_back_soon
from .gl_context import own_context
from .image_layers import image_name
from .image_title import ImageTitle
from .landmark_layers import COLOURS
from .layer_mirror import LayerMirror
from .lifeline import Lifeline
from .panel_parts import button
from .panel_tabs import dock_of
from .second_view_channels import ChannelToggles
from .view_keys import register_keys
from .view_link import ViewLink
from .viewer_session import share_session
from .views import are_upright, frame_view, show_images_upright

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.utils.events import Event

    from .viewer_session import ViewerSession

DOCK_NAME = "Moving image"


class SecondView(QWidget):
    """The moving image and its landmarks on a canvas of their own.

    Parameters
    ----------
    session : ViewerSession
        It is told when this opens and closes (`session.canvases`).
    """

    def __init__(self, session: ViewerSession) -> None:
        super().__init__()
        self.setObjectName("bridgecorr_second_view")
        self._session = session
        self._lifeline = lifeline = Lifeline(session)
        viewer = session.viewer
        self.model = ViewerModel(title=DOCK_NAME)
        if viewer is not None:
            self.model.theme = viewer.theme
        share_session(self.model, session)
        register_keys()
        self.canvas = _Canvas(self.model)
        own_context(self.canvas)
        self.slices = BackgroundSlices(self.model)
        lifeline.at_end(self.slices.end)
        self.mirror = LayerMirror(self.model, partial(moving_layers, session))
        self.link = ViewLink(session)
        self._add_widgets()
        self._was_docked = False
        self._framed: list[weakref.ref[Layer]] = []
        # none of these hold the widget: it would keep itself alive
        self._on_theme = partial(_set_theme, self.model)
        self._on_status = partial(_set_status, session)
        # napari's own signals are no part of the session's lifeline
        self.model.events.status.connect(self._on_status)
        if viewer is not None:
            viewer.events.theme.connect(self._on_theme)
        lifeline.connect(session.layers_changed, self.refresh)
        lifeline.connect(session.images_changed, self.refresh)
        session.canvases.set_second(self)
        self.refresh()
        # the C++ side may die first (its window is closed): nothing of this widget is touched then
        self.destroyed.connect(partial(_let_go, self._parts()))

    def _add_widgets(self) -> None:
        self.title = ImageTitle(COLOURS["moving"])
        self.channels = ChannelToggles()
        self.volume = button(
            "3-D", "Show the volume instead of one plane", name="bridgecorr_second_3d"
        )
        self.fit = button(
            "Whole image",
            "Show the whole moving image, at its middle plane",
            name="bridgecorr_second_fit",
        )
        self.linked = button(
            "Link views",
            "Let both views look at the same place: pan, zoom and slice of one follow the other "
            "through the current map (L)",
            name="bridgecorr_link_views",
        )
        for made in (self.volume, self.linked):
            made.setCheckable(True)
        self.volume.toggled.connect(self._on_volume)
        self.fit.clicked.connect(self.show_whole)
        self.linked.toggled.connect(self.set_linked)
        top, tools = QHBoxLayout(), QHBoxLayout()
        for row in (top, tools):
            row.setContentsMargins(6, 2, 6, 0)
            row.setSpacing(4)
        top.addWidget(self.title, 1)
        top.addWidget(self.channels)
        for made in (self.volume, self.fit, self.linked):
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            tools.addWidget(made)
        self.empty = QLabel("Choose the moving image in step 1 of the Register panel.")
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(top)
        column.addLayout(tools)
        column.addWidget(self.empty, 1)
        column.addWidget(self.canvas, 1)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(240)

    # -- showing ---------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the moving image as it is now."""
        changed = self.mirror.update()
        pairs = self.mirror.pairs()
        pictures = [(layer, copy) for layer, copy in pairs if not isinstance(layer, Points)]
        chosen = self._session.image_layer("moving")
        self.empty.setVisible(not pairs)
        self.canvas.setVisible(bool(pairs))
        self.title.show_name("Moving image" if chosen is None else image_name(chosen))
        self.channels.show_channels(pictures)
        points = self.points
        if points is not None and self.model.layers.selection.active is not points:
            self.model.layers.selection.active = points
        if [layer for layer, _ in pictures] != [r() for r in self._framed]:
            self._framed = [weakref.ref(layer) for layer, _ in pictures]
            self.show_whole()
        if changed:
            self._session.canvases.changed.emit()

    @property
    def points(self) -> Points | None:
        """The copy of the moving landmarks, which clicks on this canvas go to."""
        copy = self.mirror.copy(self._session.point_layer("moving"))
        return copy if isinstance(copy, Points) else None

    def show_whole(self) -> None:
        """Fit the canvas to the moving image, at its middle plane."""
        try:
            frame_view(self._session, "moving")
        except BridgecorrError as error:
            self._session.told.emit(str(error), True)

    def set_linked(self, on: bool) -> None:
        """Let the views follow each other, or not."""
        self.link.switch(on)
        self.linked.setChecked(self.link.is_on)
        if self.link.is_on and self.link.transform("fixed") is None:
            text = "The views follow each other as soon as there is a fit: place pairs first."
            self._session.told.emit(text, False)

    def _on_volume(self, on: bool) -> None:
        self.model.dims.ndisplay = 3 if on else 2

    # -- opening and closing ---------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether the view has let go of its viewer."""
        return self._lifeline.is_over

    def sizeHint(self) -> QSize:
        """Half of what a usual window has left."""
        return QSize(460, 600)

    def event(self, event: QEvent) -> bool:
        """Notice that the dock was closed: it takes its widget out and sends no close event."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._was_docked = True
            elif self._was_docked and not self.is_closed:
                self.end()
        return super().event(event)

    def end(self) -> None:
        """Let go of the viewer and of every layer."""
        _let_go(self._parts())
        self.canvas.close()
        self.deleteLater()

    def _parts(self) -> _Parts:
        return self._session, self._lifeline, self.mirror, self.link, self._on_theme


# what has to end, apart from the widget
_Parts = tuple["ViewerSession", Lifeline, LayerMirror, ViewLink, Callable[..., None]]


def _set_theme(model: ViewerModel, event: Event) -> None:
    model.theme = event.value


def _set_status(session: ViewerSession, event: Event) -> None:
    viewer = session.viewer
    if viewer is not None:
        viewer.status = event.value


def _let_go(parts: _Parts, *_: object) -> None:
    session, lifeline, mirror, link, on_theme = parts
    if lifeline.is_over:
        return
    link.switch(False)
    session.canvases.set_second(None)
    mirror.end()
    viewer = session.viewer
    if viewer is not None:
        viewer.events.theme.disconnect(on_theme)
    lifeline.end()
    give_back_soon()


class _Canvas(QtViewer):
    """napari's canvas with its sliders; files are dropped on the window, not here."""

    def __init__(self, model: ViewerModel) -> None:
        super().__init__(model)
        self.setAcceptDrops(False)


def moving_layers(session: ViewerSession) -> list[Layer]:
    """The moving image's channels and points, in the viewer's order."""
    viewer, points = session.viewer, session.point_layer("moving")
    mine = [*session.channel_layers("moving"), *([] if points is None else [points])]
    return [] if viewer is None else [layer for layer in viewer.layers if layer in mine]


def open_second_view(session: ViewerSession, window: QWidget) -> SecondView | None:
    """Dock the second view at the right of napari's canvas; the one that is open, if there is.

    Parameters
    ----------
    session : ViewerSession
    window : QWidget
        The viewer's window.
    """
    viewer = session.viewer
    if viewer is None or session.canvases.second is not None:
        return session.canvases.second
    try:
        if not are_upright(session):
            # a click on a tilted image in 2-D would land beside what is seen
            show_images_upright(session, True)
            session.told.emit("Images shown upright: clicks land where you see.", False)
            session.images_changed.emit()
    except BridgecorrError as error:
        session.told.emit(str(error), True)
        return None
    made = SecondView(session)
    room = DockRoom(window) if isinstance(window, QMainWindow) else None
    dock = viewer.window.add_dock_widget(made, name=DOCK_NAME, area="right")
    # afloat it would need a drawing context of its own, which Qt does not hand over
    dock.setFeatures(dock.features() & ~QDockWidget.DockWidgetFeature.DockWidgetFloatable)
    if room is not None:
        room.put_beside(dock)
    for float_button in dock.findChildren(QPushButton, "QTitleBarFloatButton"):
        float_button.hide()
    return made


def close_second_view(session: ViewerSession) -> None:
    """Close the second view: napari's canvas shows both images in turn again."""
    viewer, view = session.viewer, session.canvases.second
    if viewer is None or view is None:
        return
    window = view.window()
    if isinstance(window, QMainWindow):
        DockRoom(window, without=dock_of(view)).keep_widths()
    viewer.window.remove_dock_widget(view)
