"""The second rater's landmarks: layers of their own, while the first one's are out of sight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Points, Vectors
from numpy.typing import NDArray

from ..geometry.grid import apply_affine
from ..landmarks import Landmark, LandmarkSet, Side
from .frames import (
    METADATA_KEY,
    SPATIAL_AXES,
    SPATIAL_UNITS,
    LandmarkTag,
    frame_of,
    tag_of,
    transform_arguments,
    world_matrix,
)
from .landmark_layers import SIDES, point_arguments, points_to_landmarks

if TYPE_CHECKING:
    from ..evaluate import RaterDifference
    from .viewer_session import ViewerSession

FloatArray = NDArray[np.float64]
Pair = dict[Side, Points]

ARROWS = "two raters' difference"
DIFFERENCES = "two raters' maps: difference (µm)"
_HIGH_PERCENTILE = 95
_OPACITY = 0.45
NAMES: dict[Side, str] = {"fixed": "second rater (fixed)", "moving": "second rater (moving)"}
_COLOURMAP = "viridis"
_WIDTH_FRACTION = 1 / 250


class ArrowTag:
    """What layers of differences remember: that a panel drew them."""


def layers_of(session: ViewerSession, rater: int) -> Pair | None:
    """Both layers of a rater; None if one of them is missing.

    Of the first rater's, those in use count before others that mark the same side.
    """
    viewer = session.viewer
    found: Pair = {}
    for side in SIDES:
        used = session.point_layer(side)
        if used is not None and _rater_of(used) == rater:
            found[side] = used
        for layer in [] if viewer is None else viewer.layers:
            tag = tag_of(layer)
            mine = isinstance(tag, LandmarkTag) and (tag.side, tag.rater) == (side, rater)
            if mine and isinstance(layer, Points):
                found.setdefault(side, layer)
    return found if len(found) == 2 else None


def _rater_of(layer: Points) -> int:
    tag = tag_of(layer)
    return tag.rater if isinstance(tag, LandmarkTag) else 1


def landmarks_of(session: ViewerSession, pair: Pair) -> LandmarkSet:
    """A rater's landmarks, in use or not."""
    return points_to_landmarks(pair["fixed"], pair["moving"], session.unknown_units())


def begin_second(session: ViewerSession) -> Pair | None:
    """Make the second rater's layers: the first one's fixed places, and no moving ones.

    They are in use from now on, so that table, ghost, fit and suggestions know no others.
    """
    viewer = session.viewer
    first = layers_of(session, 1)
    if viewer is None or first is None:
        return None
    sites = [
        Landmark(m.id, m.name, True, m.fixed_um, None)
        for m in landmarks_of(session, first)
        if m.is_pair
    ]
    made: Pair = {}
    for side in SIDES:
        model = first[side]
        unit = session.unknown_units()[SIDES.index(side)]
        mine = sites if side == "fixed" else []
        inside = np.linalg.inv(world_matrix(model, unit))
        world = np.array([m.fixed_um for m in mine], dtype=np.float64).reshape(-1, 3)
        arguments = point_arguments(side, mine, world, frame_of(model))
        arguments |= {
            "name": NAMES[side],
            "scale": model.scale,
            "translate": model.translate,
            "affine": model.affine,
            "units": model.units,
            "size": float(model.size[-1]) if len(model.size) else float(model.current_size),
            "metadata": {METADATA_KEY: LandmarkTag(side, frame_of(model), 2)},
        }
        layer = Points(apply_affine(inside, world) if len(world) else world, **arguments)
        # a user's own layer is known again by this, while another is in use
        tag = LandmarkTag(side, frame_of(model), 1)
        model.metadata = {**model.metadata, METADATA_KEY: tag}
        model.visible = False
        # chosen before it is listed, so that nothing else is guessed
        session.set_point_layer(side, layer)
        viewer.add_layer(layer)
        made[side] = layer
    session.read_now()
    return made


def use(session: ViewerSession, pair: Pair) -> None:
    """Let a rater's layers be those in use."""
    for side in SIDES:
        session.set_point_layer(side, pair[side])
    session.read_now()


def arrows(model: Points, unit: float, start_um: FloatArray, way_um: FloatArray) -> Vectors:
    """Arrows from world places, coloured by their length from blue (short) to yellow (long).

    Parameters
    ----------
    model : Points
        Landmarks of the same image, whose place and frame are taken.
    unit : float
        Micrometres of a unit that the layer does not say.
    start_um, way_um : (n, 3) float64
    """
    inside = np.linalg.inv(world_matrix(model, unit))
    start = apply_affine(inside, start_um)
    way = way_um @ inside[:3, :3].T
    extent = float(np.linalg.norm(np.ptp(start, axis=0))) or 1.0
    return Vectors(
        np.stack([start, way], axis=1),
        name=ARROWS,
        ndim=3,
        scale=model.scale,
        translate=model.translate,
        affine=model.affine,
        units=model.units,
        axis_labels=SPATIAL_AXES,
        features={"length_um": np.linalg.norm(way_um, axis=1)},
        edge_color="length_um",
        edge_colormap=_COLOURMAP,
        edge_width=extent * _WIDTH_FRACTION,
        vector_style="arrow",
        projection_mode="all",
        metadata={METADATA_KEY: ArrowTag()},
    )


def limits_of(maps: RaterDifference) -> tuple[float, float]:
    """(um) What the colours of a map of differences run between: the least, and 95 of 100."""
    lengths = np.linalg.norm(maps.difference_um, axis=-1)
    low, high = (float(v) for v in np.nanpercentile(lengths, (0, _HIGH_PERCENTILE)))
    return low, max(high, low + 1e-6)


def map_of_differences(maps: RaterDifference, frame: FloatArray) -> Image:
    """How far two raters' maps are apart, as colours over the fixed image; clear where unknown.

    Parameters
    ----------
    maps : RaterDifference
    frame : (4, 4) float64
        Of the fixed image's layer.
    """
    points = maps.points_um
    matrix = np.eye(4)
    matrix[:3, 3] = points[0, 0, 0]
    for axis in range(3):
        n = points.shape[axis]
        if n > 1:  # the points lie evenly
            last = np.take(points, n - 1, axis=axis)[0, 0]
            matrix[:3, axis] = (last - points[0, 0, 0]) / (n - 1)
        else:  # flat: any depth, along the others' normal
            matrix[axis, axis] = 1.0
    return Image(
        np.linalg.norm(maps.difference_um, axis=-1).astype(np.float32),
        name=DIFFERENCES,
        **transform_arguments(np.linalg.inv(frame) @ matrix),
        units=SPATIAL_UNITS,
        axis_labels=SPATIAL_AXES,
        colormap=_COLOURMAP,
        contrast_limits=limits_of(maps),
        opacity=_OPACITY,
        blending="translucent_no_depth",
        projection_mode="none",
        metadata={METADATA_KEY: ArrowTag()},
    )
