"""What lies on an image that is resliced, and comes along: labels, masks, other images, points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Points
from numpy.typing import NDArray

from ..errors import BridgecorrError
from ..geometry.grid import apply_affine
from ..image import SpatialImage
from .frames import (
    METADATA_KEY,
    SPATIAL_AXES,
    SPATIAL_UNITS,
    frame_of,
    is_drawn_by_panel,
    is_resliced,
    same_place,
    shown_matrix,
    tag_of,
    um_per,
)
from .image_layers import channels_beside
from .landmark_layers import SIDES
from .layers import image_of_layer

if TYPE_CHECKING:
    from .viewer_session import ViewerSession

FloatArray = NDArray[np.float64]

_LOOK = ("size", "symbol", "face_color", "border_color", "border_width", "shown")


def carried_images(
    session: ViewerSession, image: SpatialImage, sources: Sequence[Layer]
) -> list[tuple[SpatialImage, list[Layer]]]:
    """Other images on the very voxels of one (a segmentation, a mask), each with its layers.

    Those that are fixed or moving are no part of it.
    """
    chosen = [layer for side in SIDES for layer in session.channel_layers(side)]
    found = []
    for layer in session.image_layers():
        if layer in sources or layer in chosen or session.viewer is None or is_resliced(layer):
            continue
        try:
            other = image_of_layer(layer)
        except BridgecorrError:
            continue
        is_same = other.grid.shape == image.grid.shape and same_place(
            other.grid.index_to_world, image.grid.index_to_world
        )
        if is_same:
            found.append((other, channels_beside(layer, session.viewer.layers)))
    return found


def carried_points(session: ViewerSession, image: SpatialImage, source: Layer) -> list[Points]:
    """Layers of points that all lie within an image, as it is shown, and are no landmarks."""
    chosen = [session.point_layer(side) for side in SIDES]
    found = []
    for layer in session.all_point_layers():
        if layer in chosen or tag_of(layer) is not None or is_drawn_by_panel(layer):
            continue
        if layer.ndim == 3 and len(layer.data):
            world = world_of(layer, source)
            if image.grid.contains(world).all():
                found.append(layer)
    return found


def points_in_frame(layer: Points, before: FloatArray, after: FloatArray) -> Points:
    """A copy of a layer of points that marks the same tissue in a view of another frame.

    Parameters
    ----------
    layer : Points
    before, after : (4, 4) float64
        From where the image is shown to the world, in um, in the old view and in the new one.
    """
    return points_at(
        layer, apply_affine(np.linalg.inv(after) @ before, _shown_um(layer)), "resliced"
    )


def world_of(layer: Points, source: Layer) -> FloatArray:
    """(n, 3) world um of points that are shown over an image's layer."""
    return np.asarray(apply_affine(frame_of(source), _shown_um(layer)), dtype=np.float64)


def points_at(
    layer: Points, shown_um: FloatArray, what: str, kept: NDArray[np.bool_] | None = None
) -> Points:
    """A copy of a layer of points, elsewhere.

    Parameters
    ----------
    layer : Points
    shown_um : (n, 3) float64
        Where they are drawn, in um of the canvas.
    what : str
        Behind the layer's name.
    kept : (m,) bool, optional
        Which of the layer's points these are; all by default.
    """
    scale = float(np.abs(layer.scale[-1])) * um_per(str(layer.units[-1]))
    rows = slice(None) if kept is None else kept
    arguments: dict[str, Any] = {name: getattr(layer, name)[rows] for name in _LOOK}
    # colours by a feature stay as they are drawn
    return Points(
        shown_um / scale,
        name=f"{layer.name} {what}",
        scale=(scale,) * 3,
        units=SPATIAL_UNITS,
        axis_labels=SPATIAL_AXES,
        features=layer.features[rows].reset_index(drop=True),
        opacity=layer.opacity,
        blending=layer.blending,
        visible=layer.visible,
        projection_mode=layer.projection_mode,
        metadata={k: v for k, v in layer.metadata.items() if k != METADATA_KEY},
        **arguments,
    )


def _shown_um(layer: Points) -> FloatArray:
    """(n, 3) where a layer of points is drawn, in um of its canvas."""
    data = np.asarray(layer.data, dtype=np.float64)[:, -3:]
    return np.asarray(apply_affine(shown_matrix(layer), data), dtype=np.float64)
