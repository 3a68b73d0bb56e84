"""What the canvas shows: one image of the pair or both, and where it looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Image, Points
from numpy.typing import NDArray

from ..landmarks import Point, Side
from .frames import (
    METADATA_KEY,
    SPATIAL_UNITS,
    ImageTag,
    LandmarkTag,
    ViewTag,
    canvas_position,
    frame_of,
    place_layer,
    same_place,
    tag_of,
    um_per,
    upright_frame,
)
from .landmark_layers import SIDES, to_shown, world_points
from .layers import image_of_layer, show_upright

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from .viewer_session import ViewerSession

View = Literal["fixed", "moving", "both"]


def show_view(session: ViewerSession, view: View) -> None:
    """Show one side alone, ready to click, or the overlay: fixed with what was registered to it.

    Before anything is registered the overlay shows both images. Layers that belong to neither side
    are left as they are.
    """
    viewer = session.viewer
    if viewer is None:
        return
    if view == "moving" and session.canvases.second is not None:
        view = "fixed"  # the moving image has a canvas of its own
    results = session.result_layers()
    shown: dict[Side, bool] = {
        "fixed": view != "moving",
        "moving": view == "moving" or (view == "both" and not results),
    }
    for side in SIDES:
        for layer in (*session.channel_layers(side), session.point_layer(side)):
            if layer is not None:
                set_shown(layer, shown[side])
    for layer in results:
        # beside a view of the moving image landmarks are placed under the live overlay
        is_live = isinstance(tag_of(layer), ViewTag) and session.canvases.second is not None
        set_shown(layer, view == "both" or is_live)
    points = session.point_layer("moving" if view == "moving" else "fixed")
    if points is not None:
        viewer.layers.selection.active = points


def set_shown(layer: Layer, is_shown: bool) -> None:
    """Show or hide a layer.

    A layer that is shown already is left alone: told so again, napari lets go of the mode in which
    clicks place points.
    """
    if layer.visible != is_shown:
        layer.visible = is_shown


def look_at(session: ViewerSession, side: Side, world_um: Point | Any) -> None:
    """Centre the view on a world position of one side's image."""
    viewer = session.canvas_of(side)
    layer = session.point_layer(side) or session.image_layer(side)
    if viewer is None or layer is None:
        return
    shown = canvas_position(viewer, frame_of(layer), np.asarray(world_um)[None])
    n = viewer.dims.ndim
    point = list(viewer.dims.point)
    point[max(0, n - 3) :] = shown[-min(n, 3) :]
    if viewer.dims.ndisplay == 2:
        hidden = [axis for axis in viewer.dims.not_displayed if axis >= n - 3]
        # the planes that the sliders have: they would else go there next, and all be sliced twice
        ranges = [viewer.dims.range[axis] for axis in hidden]
        steps = [round((point[a] - r.start) / r.step) for a, r in zip(hidden, ranges, strict=True)]
        viewer.dims.set_current_step(hidden, steps)
    centre = [point[axis] for axis in viewer.dims.displayed]
    viewer.scene.camera.center = tuple([0.0] * (3 - len(centre)) + centre)


def line_of_sight(canvas: ViewerModel) -> NDArray[np.float64]:
    """(3,) where one looks through the mouse's place in a 3-D picture, along the layers' axes."""
    camera, dims = canvas.scene.camera, canvas.dims
    seen = camera.calculate_nd_view_direction(dims.ndim, dims.displayed)
    if camera.perspective and canvas.cursor._view_direction is not None:
        seen = canvas.cursor._view_direction  # another one at each place
    return np.asarray(seen, dtype=np.float64)[-3:]


def frame_view(session: ViewerSession, side: Side) -> None:
    """Fit the view to the image of one side, at its middle plane."""
    viewer, image = session.canvas_of(side), session.image(side)
    drawn = [session.canvases.drawn(layer, side) for layer in session.channel_layers(side)]
    layers = [layer for layer in drawn if layer is not None]
    if viewer is None or image is None or not layers:
        return
    look_at(session, side, image.grid.centre_um)
    fit_layers(viewer, layers)


def frame_both(session: ViewerSession) -> None:
    """Fit each of two views to its image, at one scale: a micrometre is as large in both."""
    canvases = [session.canvas_of(side) for side in SIDES]
    scales = []
    for side, canvas in zip(SIDES, canvases, strict=True):
        frame_view(session, side)
        if canvas is not None:
            scales.append(canvas.scene.camera.zoom / _um_across(canvas))
    for canvas in canvases:
        if canvas is not None and canvas.dims.ndisplay == 2:
            canvas.scene.camera.zoom = min(scales) * _um_across(canvas)


def _um_across(canvas: ViewerModel) -> float:
    units = canvas.layers.extent.units
    return 1.0 if units is None else um_per(str(units[-1]))


def fit_layers(viewer: ViewerModel, layers: Sequence[Layer]) -> None:
    """Fit the view to some layers.

    napari's own `fit_to_view` fails where they lack an axis that others have (time).
    """
    if all(layer.ndim == viewer.dims.ndim for layer in layers):
        viewer.fit_to_view(layers=list(layers))
        return
    viewer.reset_view()
    n_shown = viewer.dims.ndisplay
    if list(viewer.dims.displayed) != list(range(viewer.dims.ndim - n_shown, viewer.dims.ndim)):
        return
    extents = [_shown_extent(viewer, layer)[:, -n_shown:] for layer in layers if layer.ndim >= 3]
    if not extents:
        return
    low = np.min([e[0] for e in extents], axis=0)
    high = np.max([e[1] for e in extents], axis=0)
    whole = viewer.layers.extent.world[:, -n_shown:]
    ratio = np.min((whole[1] - whole[0]) / np.maximum(high - low, 1e-12))
    viewer.scene.camera.zoom *= max(float(ratio), 1.0)
    centre = (low + high) / 2
    viewer.scene.camera.center = (*(0.0,) * (3 - n_shown), *map(float, centre))


def _shown_extent(viewer: ViewerModel, layer: Layer) -> Any:
    """(2, 3) least and greatest position of a layer in the viewer's units."""
    units = viewer.layers.extent.units
    extent = np.asarray(layer.extent.world)[:, -3:]
    if units is None or len(units) < 3:
        return extent
    own = np.array([um_per(u) for u in layer.units[-3:]])
    return extent * own / np.array([um_per(u) for u in units[-3:]])


def show_images_upright(session: ViewerSession, upright: bool) -> None:
    """Show each image along its own axes from 0, or both at their places in the world.

    Landmarks follow their image, and so do other layers on the same grid (results).
    """
    viewer = session.viewer
    if viewer is None:
        return
    for side in SIDES:
        image, points = session.image(side), session.point_layer(side)
        if image is None:
            continue
        for layer in list(viewer.layers):
            tag = tag_of(layer)
            if isinstance(tag, ImageTag) and tag.image.grid == image.grid:
                show_upright(layer, upright)
        chosen = session.image_layer(side)
        if chosen is not None and not isinstance(tag_of(chosen), ImageTag):
            show_upright(chosen, upright)
        if points is not None:
            frame = upright_frame(image.grid) if upright else np.eye(4)
            move_points_to_frame(points, side, frame)


def move_points_to_frame(points: Points, side: Side, frame: Any) -> None:
    """Show the same world positions through another frame."""
    world = world_points(points)
    if points.ndim != 3:
        return  # a layer of other axes is left where its maker put it
    tag = tag_of(points)
    rater = tag.rater if isinstance(tag, LandmarkTag) else 1
    points.metadata = {**points.metadata, METADATA_KEY: LandmarkTag(side, frame, rater)}
    points.units = SPATIAL_UNITS
    scale = float(points.scale[-1])
    place_layer(points, np.diag([scale, scale, scale, 1.0]))
    points.data = to_shown(frame, world) / scale


def are_upright(session: ViewerSession) -> bool:
    """Whether every chosen image is shown along its own axes."""
    layers = [session.image_layer(side) for side in SIDES]
    return all(is_shown_upright(layer) for layer in layers if layer is not None)


def is_shown_upright(layer: Layer) -> bool:
    """Whether an image's layer is shown along its own axes, from 0."""
    return same_place(frame_of(layer), upright_frame(image_of_layer(layer).grid))


def show_depth(viewer: ViewerModel, half_depth_um: float) -> None:
    """Show points within `half_depth_um` above and below the current slice.

    Images go on showing single planes: napari's default is to average over the thick slice.
    """
    n = viewer.dims.ndim
    if n < 3:
        return
    units = viewer.layers.extent.units
    factor = 1.0 if units is None or len(units) < 3 else um_per(units[-3])
    for layer in viewer.layers:
        if isinstance(layer, Image) and str(layer.projection_mode) == "mean":
            layer.projection_mode = "none"
    margins = list(viewer.dims.margin_left)
    margins[n - 3 :] = [half_depth_um / factor] * 3
    # this one first: while it is 0 napari divides 0 by 0 for a point in the plane
    viewer.dims.margin_right = tuple(margins)
    viewer.dims.margin_left = tuple(margins)
