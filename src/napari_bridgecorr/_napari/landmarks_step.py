"""Step 2 of the Register panel: pairs of landmarks, from the first click."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
)

from ..errors import BridgecorrError
from ..landmarks import Landmark, Point, Side
from .depth_row import DepthRow
from .fit_extras import MoreButton
from .frames import LandmarkTag, frame_of, tag_of
from .history_row import HistoryRow
from .keys_fold import KeysFold
from .landmark_layers import (
    COLOURS,
    LAYER_NAMES,
    SIDES,
    point_arguments,
    position,
    set_scale,
)
from .landmark_list import LandmarkList
from .layers import image_of_layer
from .more_room import MoreRoomButton
from .named_views import NamedViews
from .panel_parts import LayerChooser, Step, button
from .placing import Placing
from .placing_guide import PlacingGuide
from .refine_landmarks import RefineLandmarks
from .suggestions import Suggestions
from .two_views_button import TwoViewsButton
from .views import (
    View,
    are_upright,
    frame_view,
    look_at,
    show_images_upright,
    show_view,
)
from .where_next import WhereNext

if TYPE_CHECKING:
    from ..fitting import NextLandmark
    from ..vessels import Suggestion
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

_VIEWS: tuple[tuple[View, str, str], ...] = (
    ("fixed", "Fixed", "Show the fixed image alone"),
    ("moving", "Moving", "Show the moving image alone"),
    ("both", "Overlay", "Show the fixed image with what is registered to it"),
)


class LandmarksStep(Step):
    """Chooses, makes and lists landmarks, and leads from one image to the other."""

    def __init__(self, session: ViewerSession, lifeline: Lifeline) -> None:
        super().__init__(2, "Landmarks")
        self._session = session
        self.view: View = "both"
        self._depth_for: tuple[object, ...] = ()
        self._add_choosers()
        self.more_room = MoreRoomButton(lifeline)
        self._add_view_row()
        self.list = LandmarkList(session, lifeline)
        self.table = self.list.table
        self.list.landmark_chosen.connect(self.look_at_landmark)
        self.list.refine_asked.connect(self._on_refine_asked)
        self.body.addWidget(self.list, 1)
        self.where_next = WhereNext(session, lifeline)
        self.where_next.found.connect(self._on_next_place)
        self.body.addWidget(self.where_next)
        self.suggestions = Suggestions(session, lifeline)
        self.suggestions.looked_at.connect(self._on_suggestion)
        fold = MoreButton(
            self.suggestions,
            "Suggest pairs",
            "Further pairs that the program proposes where vessels branch; you judge each",
            "bridgecorr_suggestions_button",
        )
        fold.toggled.connect(self.suggestions.set_open)
        self.body.addWidget(fold)
        self.body.addWidget(self.suggestions)
        self.history = HistoryRow(session, lifeline)
        self.body.addWidget(self.history)
        self.refinement = RefineLandmarks(session, lifeline)
        self.more = MoreButton(
            self.refinement,
            "Refine at the images",
            "Move the moving points to where both images agree best",
            "bridgecorr_refine",
        )
        self.body.addWidget(self.more)
        self.body.addWidget(self.refinement)
        self.placing = Placing(session, lifeline, self)
        self.keys = KeysFold(session, lifeline, self.placing)
        self.body.addWidget(
            MoreButton(
                self.keys,
                "Keys",
                "Every key for placing landmarks, each with a button that does the same",
                "bridgecorr_keys",
            )
        )
        self.body.addWidget(self.keys)
        self.guide = PlacingGuide(session, lifeline, self.placing, self.place)
        self.guide.start.clicked.connect(self.start_placing)
        self.body.insertWidget(1, self.guide)  # below the heading
        self.table.itemSelectionChanged.connect(self._on_selected)
        lifeline.connect(session.layers_changed, self.refresh_layers)
        lifeline.connect(session.images_changed, self.refresh_layers)
        lifeline.connect(session.canvases.changed, self._on_canvases)
        self.refresh_layers()
        if self._has_two_views:
            self._on_canvases()

    def _add_choosers(self) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        self.choosers: dict[Side, LayerChooser] = {}
        for row, side in enumerate(SIDES):
            tip = f"The Points layer that marks the {side} image"
            label = QLabel(f'<span style="color:{COLOURS[side]}">●</span> {side.capitalize()}')
            label.setToolTip(tip)
            chooser = LayerChooser(tip, f"bridgecorr_{side}_points")
            chooser.setAccessibleName(f"Landmarks of the {side} image")
            chooser.layer_chosen.connect(partial(self._session.set_point_layer, side))
            self.choosers[side] = chooser
            grid.addWidget(label, row, 0)
            grid.addWidget(chooser, row, 1)
        self.new_layers = button(
            "New\nlayers",
            "Make a Points layer for each image and start to click: the same structure in the "
            "fixed and in the moving image makes a pair",
            name="bridgecorr_new_layers",
        )
        self.new_layers.clicked.connect(self.make_layers)
        self.new_layers.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.new_layers.setMinimumWidth(58)
        grid.addWidget(self.new_layers, 0, 2, 2, 1)
        self.body.addLayout(grid)

    def _add_view_row(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(2)
        self._views = QButtonGroup(self)
        self.view_buttons = {}
        for view, text, tip in _VIEWS:
            made = button(text, tip, name=f"bridgecorr_view_{view}", checkable=True)
            made.clicked.connect(partial(self.set_view, view))
            self._views.addButton(made)
            self.view_buttons[view] = made
            row.addWidget(made, 1)
        self.view_buttons["both"].setChecked(True)
        row.addSpacing(8)
        self.place = button(
            "✚ Place",
            "Click on the image to place landmarks; off: drag the picture, scroll to zoom",
            name="bridgecorr_place",
            checkable=True,
        )
        self.place.toggled.connect(self._on_place)
        row.addWidget(self.place, 1)
        self.move_points = button(
            "✥ Move",
            "Drag points with the mouse, or draw a box round several and drag them; off: drag the "
            "picture",
            name="bridgecorr_move_points",
            checkable=True,
        )
        self.move_points.toggled.connect(self._on_move)
        row.addWidget(self.move_points, 1)
        self.body.addLayout(row)
        self.follow = QCheckBox("After a click go to the other image")
        self.follow.setObjectName("bridgecorr_follow")
        self.follow.setToolTip(
            "Each new point is at once followed by its partner: the other image opens where the "
            "fit expects it"
        )
        self.follow.setChecked(True)
        self.body.addWidget(self.follow)
        self.two_views = TwoViewsButton(self._session)
        row = QHBoxLayout()
        row.addWidget(self.two_views, 1)
        row.addWidget(self.more_room)
        self.body.addLayout(row)
        self.depths = DepthRow(self._session)
        self.depth = self.depths.spin
        self.body.addWidget(self.depths)
        self.positions = NamedViews(self._session, self)
        self.body.addWidget(self.positions)

    # -- showing ---------------------------------------------------------------------------------

    def refresh_layers(self) -> None:
        """List the Points layers as they are now."""
        layers = self._session.all_point_layers()
        for side in SIDES:
            self.choosers[side].show_layers(
                layers, [layer.name for layer in layers], self._session.point_layer(side)
            )
        chosen = tuple(
            layer(side)
            for side in SIDES
            for layer in (self._session.image_layer, self._session.point_layer)
        )
        has_image = any(self._session.image_layer(side) is not None for side in SIDES)
        self.new_layers.setEnabled(has_image)
        has_points = any(self._session.point_layer(side) is not None for side in SIDES)
        self.place.setEnabled(has_points)
        self.move_points.setEnabled(has_points)
        if self._session.viewer is not None and self._depth_for:
            self.depths.show_depth()
        if chosen != self._depth_for:
            is_first, self._depth_for = not self._depth_for, chosen
            if not is_first:
                self._set_modes()  # clicks go to the layers of now
            self._step_by_planes()
            self.depths.suggest()

    def shown_state(self) -> dict[str, Any]:
        """What is shown, as plain values."""
        return {
            "view": self.view,
            "place": self.place.isChecked(),
            "move": self.move_points.isChecked(),
            "positions": self.positions.positions(),
            "colours": self.list.colours.paint.measure,
            "follow": self.follow.isChecked(),
            "depth_um": self.depth.value(),
            "suggestions": self.suggestions.shown_state(),
        }

    def show_state(self, state: dict[str, Any]) -> None:
        """Show what :meth:`shown_state` told."""
        self.follow.setChecked(state.get("follow", True))
        self.suggestions.show_state(state.get("suggestions", {}))
        self.positions.show_positions(state.get("positions", ()))
        self.list.colours.choose(state.get("colours", "side"))
        if state.get("depth_um"):
            self.depth.setValue(state["depth_um"])
        if state.get("view") in self.view_buttons:
            self.view = state["view"]
            self.view_buttons[self.view].setChecked(True)
        self.place.setChecked(bool(state.get("place")))
        self.move_points.setChecked(bool(state.get("move")))
        self._set_modes()

    # -- doing -----------------------------------------------------------------------------------

    def set_view(self, view: View) -> None:
        """Show one image, or both."""
        # with two views the moving image is not shown in turn: it has a canvas of its own
        self.view = "fixed" if view == "moving" and self._has_two_views else view
        self.view_buttons[self.view].setChecked(True)
        show_view(self._session, view)
        try:
            frame_view(self._session, "moving" if view == "moving" else "fixed")
        except BridgecorrError as error:
            self._session.told.emit(str(error), True)
        self._set_modes()

    def make_layers(self) -> None:
        """Make both Points layers and begin with the fixed one."""
        viewer = self._session.viewer
        if viewer is None:
            return
        try:
            images = {side: self._session.image(side) for side in SIDES}
            if not are_upright(self._session):
                # a click on a tilted image in 2-D would land beside what is seen
                show_images_upright(self._session, True)
                self._session.told.emit("Images shown upright: clicks land where you see.", False)
                self._session.images_changed.emit()
        except BridgecorrError as error:
            self._session.told.emit(str(error), True)
            return
        for side, image in images.items():
            image_layer = self._session.image_layer(side)
            size = None
            if image is not None:
                extent = np.linalg.norm(np.ptp(image.grid.corners(), axis=0))
                size = max(float(extent) / 80, min(image.grid.voxel_size_um))
            frame = np.eye(4) if image_layer is None else frame_of(image_layer)
            scale = 1.0 if image is None else image.grid.voxel_size_um[0]
            arguments = point_arguments(side, (), np.empty((0, 3)), frame, size, scale)
            arguments["name"] = LAYER_NAMES[side]
            layer = Points(np.empty((0, 3)), **arguments)
            # chosen before it is listed, so that nothing else is guessed
            self._session.set_point_layer(side, layer)
            viewer.add_layer(layer)
        self.refresh_layers()
        self.place.setChecked(True)
        self.set_view("fixed")

    def start_placing(self) -> None:
        """Make both Points layers and show the images side by side, ready to click."""
        self.follow.setFocus()  # the button that was pressed goes: the panel is not to scroll
        self.make_layers()
        if all(self._session.point_layer(side) is not None for side in SIDES):
            self.two_views.open()

    def look_at_landmark(self, landmark_id: str) -> None:
        """Centre the view on a landmark, in the image that is shown."""
        landmark = self._landmark(landmark_id)
        side, point = self._where(landmark)
        if point is None:
            return
        if self._has_two_views:
            for one in SIDES:
                if landmark is not None and position(landmark, one) is not None:
                    look_at(self._session, one, position(landmark, one))
        else:
            if self.view != "both" and self.view != side:
                self.set_view(side)
            look_at(self._session, side, point)
        self.placing.set_current(landmark_id)
        layer = self._session.point_layer(side)
        table = layer.features["id"] if layer is not None and "id" in layer.features else []
        rows = [i for i, name in enumerate(table) if name == landmark_id]
        if layer is not None and rows:
            layer.selected_data = {rows[0]}

    def _on_next_place(self, place: NextLandmark) -> None:
        side: Side = "moving" if self.view == "moving" else "fixed"
        if self.view == "both":
            self.set_view(side)
        look_at(self._session, side, place.fixed_um if side == "fixed" else place.moving_um)

    def _on_suggestion(self, pair: Suggestion) -> None:
        side: Side = "moving" if self.view == "moving" else "fixed"
        if self.view == "both":
            self.set_view(side)
        for one in SIDES if self._has_two_views else (side,):
            look_at(self._session, one, pair.fixed_um if one == "fixed" else pair.moving_um)

    def _on_selected(self) -> None:
        self.refinement.set_selected(self.table.selected_ids())

    def _on_refine_asked(self) -> None:
        self.more.setChecked(True)  # where progress and answer are shown
        pairs = {m.id for m in self._session.landmarks if m.is_pair}
        self.refinement.start(tuple(i for i in self.table.selected_ids() if i in pairs))

    def _where(self, landmark: Landmark | None) -> tuple[Side, Point | None]:
        preferred: Side = "moving" if self.view == "moving" else "fixed"
        if landmark is None:
            return preferred, None
        other: Side = "fixed" if preferred == "moving" else "moving"
        point = position(landmark, preferred)
        return (other, position(landmark, other)) if point is None else (preferred, point)

    def _landmark(self, landmark_id: str) -> Landmark | None:
        found = [m for m in self._session.landmarks if m.id == landmark_id]
        return found[0] if found else None

    def follows(self) -> bool:
        """Whether the view goes to the other image after a click."""
        return self.follow.isChecked()

    def select(self, landmark_id: str) -> None:
        """Show in the table which landmark is the current one."""
        row = self.table.row_of(landmark_id)
        if row >= 0:
            self.table.selectRow(row)

    def toggle_move(self) -> None:
        """Drag points with the mouse, or place them again."""
        (self.place if self.move_points.isChecked() else self.move_points).setChecked(True)

    def refine(self, landmark_id: str) -> bool:
        """Begin to refine one pair at the images; False where that cannot be."""
        if not self.refinement.can_refine(landmark_id):
            return False
        self.more.setChecked(True)  # where progress and answer are shown
        self.refinement.start((landmark_id,))
        return True

    def _on_place(self, checked: bool) -> None:
        self._on_mode(checked, self.move_points)

    def _on_move(self, checked: bool) -> None:
        self._on_mode(checked, self.place)

    def _on_mode(self, checked: bool, other: QPushButton) -> None:
        if checked:
            other.setChecked(False)
        if checked and self.view == "both":
            self.set_view("fixed")
        self._set_modes()

    def _set_modes(self) -> None:
        for side in SIDES:
            canvas = self._session.canvas_of(side)
            layer = self._session.canvases.drawn(self._session.point_layer(side), side)
            if layer is None:
                continue
            is_shown = self.view == side or (side == "moving" and self._has_two_views)
            mode = "add" if self.place.isChecked() else "select"
            is_clicked = is_shown and (self.place.isChecked() or self.move_points.isChecked())
            layer.mode = mode if is_clicked else "pan_zoom"
            if is_clicked and canvas is not None and layer in canvas.layers:
                canvas.layers.selection.active = layer

    @property
    def _has_two_views(self) -> bool:
        return self._session.canvases.second is not None

    def _on_canvases(self) -> None:
        """The second view was opened or closed, or shows other layers."""
        two = self._has_two_views
        self.two_views.show_state()
        self.more_room.offer(two)
        if two == self.view_buttons["moving"].isEnabled():  # it has just opened or closed
            self.view_buttons["moving"].setEnabled(not two)
            self.set_view("fixed" if two else "both")
        self.depths.show_depth()
        self._set_modes()

    def _step_by_planes(self) -> None:
        """Let the sliders step by the images' planes, not by our layers' micrometres."""
        viewer = self._session.viewer
        shown = None if viewer is None else viewer.dims.point
        for side in SIDES:
            points, layer = self._session.point_layer(side), self._session.image_layer(side)
            if layer is None or points is None or not isinstance(tag_of(points), LandmarkTag):
                continue
            try:
                set_scale(points, image_of_layer(layer).grid.voxel_size_um[0])
            except BridgecorrError:
                continue  # step 1 says what is wrong with the layer
        if viewer is not None and viewer.dims.point != shown:
            viewer.dims.point = shown  # napari's sliders keep their step, not the place
