"""Where a napari layer lies in the world of its image, and how it is shown.

A layer's data index reaches the world in two steps: napari's own transform takes it to where the
canvas draws it, and the layer's *frame* takes that to world micrometres. The frame is the identity
unless the image is shown upright, in its own orthogonal axes: napari's 2-D view leaves out the
tilted part of an oblique affine, so a click on such a picture would land beside what it shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry import Grid
from ..geometry.grid import apply_affine
from ..image import SpatialImage
from ..landmarks import Side
from ..units import is_length_unit, micrometres_per

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

FloatArray = NDArray[np.float64]

METADATA_KEY = "bridgecorr"
RECORD = "resliced"
"""Key, in an image's own metadata, of how it was resliced in the window."""
SPATIAL_UNITS = ("um", "um", "um")
SPATIAL_AXES = ("z", "y", "x")

# relative to a voxel; a transform that went through napari comes back rounded
_SAME_PLACE = 1e-6


def _identity() -> FloatArray:
    return np.eye(4)


@dataclass(frozen=True, eq=False)
class ImageTag:
    """What a layer remembers of the image behind it (in ``layer.metadata["bridgecorr"]``).

    Parameters
    ----------
    image : SpatialImage
    channel : int
        Which of its channels the layer shows.
    frame : (4, 4) float64
        From where the layer is shown (z, y, x in um) to world um.
    """

    image: SpatialImage
    channel: int = 0
    frame: FloatArray = field(default_factory=_identity)


@dataclass(frozen=True, eq=False)
class LandmarkTag:
    """What a Points layer remembers: which side it marks, and its frame as in `ImageTag`.

    `rater` is 2 where another person clicks the same places again.
    """

    side: Side
    frame: FloatArray = field(default_factory=_identity)
    rater: int = 1


@dataclass(frozen=True, eq=False)
class ViewTag:
    """What a layer remembers that shows what a map does, and is no image of its own.

    Parameters
    ----------
    shows : str
        As ``"overlay"``.
    frame : (4, 4) float64
        As in `ImageTag`.
    """

    shows: str
    frame: FloatArray = field(default_factory=_identity)


def tag_of(layer: Layer) -> ImageTag | LandmarkTag | ViewTag | None:
    """What the layer remembers; None for a layer that is not ours."""
    tag = layer.metadata.get(METADATA_KEY)
    return tag if isinstance(tag, (ImageTag, LandmarkTag, ViewTag)) else None


def is_drawn_by_panel(layer: Layer) -> bool:
    """Whether a panel drew the layer by itself (a ghost, the overlay): no image, no landmarks."""
    tag = tag_of(layer)
    return METADATA_KEY in layer.metadata and not isinstance(tag, (ImageTag, LandmarkTag))


def is_resliced(layer: Layer) -> bool:
    """Whether the layer's image was resliced from another one in the window."""
    tag = tag_of(layer)
    return isinstance(tag, ImageTag) and RECORD in tag.image.metadata


def frame_of(layer: Layer) -> FloatArray:
    """(4, 4) from where the layer is shown (um) to world um."""
    tag = tag_of(layer)
    return np.eye(4) if tag is None else tag.frame


def upright_frame(grid: Grid) -> FloatArray:
    """(4, 4) frame that shows `grid` along its own axes, its first voxel's centre at 0."""
    return grid.index_to_world @ np.diag([1 / s for s in grid.voxel_size_um] + [1.0])


def is_upright(grid: Grid) -> bool:
    """Whether the grid's axes are the world's, without mirroring."""
    matrix = grid.index_to_world[:3, :3]
    off_axis = matrix - np.diag(np.diag(matrix))
    tolerance = _SAME_PLACE * min(grid.voxel_size_um)
    return bool(np.all(np.abs(off_axis) <= tolerance) and np.all(np.diag(matrix) > 0))


def shown_matrix(layer: Layer, um_per_unknown_unit: float = 1.0) -> FloatArray:
    """(4, 4) from the layer's last three data axes to where it is shown, in um.

    Parameters
    ----------
    layer : napari layer
        A 2-D layer is taken to lie at z = 0.
    um_per_unknown_unit : float
        What one unit of a layer without units means.
    """
    # the whole at once: napari takes milliseconds to tell its parts, and every click asks for it
    own = layer._transforms["data2physical"].affine_matrix
    whole = np.asarray(layer.affine.affine_matrix) @ own
    n = min(layer.ndim, 3)
    kept = [*range(layer.ndim - n, layer.ndim), layer.ndim]
    matrix = np.eye(4)
    at = [*range(3 - n, 3), 3]
    matrix[np.ix_(at, at)] = whole[np.ix_(kept, kept)]
    factors = np.ones(4)
    factors[3 - n : 3] = [um_per(u, um_per_unknown_unit) for u in layer.units[-n:]]
    return factors[:, None] * matrix


def world_matrix(layer: Layer, um_per_unknown_unit: float = 1.0) -> FloatArray:
    """(4, 4) from the layer's last three data axes to world um."""
    return frame_of(layer) @ shown_matrix(layer, um_per_unknown_unit)


def um_per(unit: object, unknown: float = 1.0) -> float:
    """Micrometres per `unit`, or `unknown` if it is no length (napari's default is a pixel)."""
    name = unit_name(unit)
    return micrometres_per(name) if is_length_unit(name) else unknown


@cache
def unit_name(unit: object) -> str:
    """A unit of a layer in words; kept, as pint takes a while to find them."""
    return str(unit)


def spatial_points(layer_data: ArrayLike) -> FloatArray:
    """(n, 3) of the last three columns of (n, d) layer data; a 2-D layer's z is 0."""
    points = np.atleast_2d(np.asarray(layer_data, dtype=np.float64))
    if points.shape[1] >= 3:
        return points[:, -3:]
    return np.column_stack([np.zeros((len(points), 3 - points.shape[1])), points])


def same_place(a: FloatArray, b: FloatArray) -> bool:
    """Whether two index-to-world affines agree to a millionth of a voxel."""
    tolerance = _SAME_PLACE * np.linalg.norm(b[:3, :3], axis=0).min()
    return bool(np.allclose(a, b, rtol=1e-9, atol=tolerance))


def canvas_position(viewer: ViewerModel, frame: FloatArray, world_um: ArrayLike) -> FloatArray:
    """(3,) position in the viewer's own units of a world position seen through `frame`."""
    shown = apply_affine(np.linalg.inv(frame), world_um)[0]
    units = viewer.layers.extent.units
    if units is None or len(units) < 3:
        return shown
    return shown / np.array([um_per(u) for u in units[-3:]])


def place_layer(layer: Any, matrix: FloatArray) -> None:
    """Set the spatial part of a layer's transform to a (4, 4) index-to-shown affine in um."""
    parts = transform_arguments(matrix, layer.ndim, tuple(layer.scale[: layer.ndim - 3]))
    # the neutral parts first: napari redraws at every step and refuses a mixture it cannot invert
    layer.rotate = np.eye(layer.ndim)
    layer.shear = np.zeros(layer.ndim * (layer.ndim - 1) // 2)
    layer.scale = parts.get("scale", np.ones(layer.ndim))
    layer.translate = parts.get("translate", np.zeros(layer.ndim))
    layer.affine = parts.get("affine", np.eye(layer.ndim + 1))


def transform_arguments(
    matrix: FloatArray, ndim: int = 3, leading_scale: tuple[float, ...] = ()
) -> dict[str, Any]:
    """napari's layer arguments for a (4, 4) affine: scale and translate where they say it all.

    Parameters
    ----------
    matrix : (4, 4) float64
    ndim : int
        Of the layer; axes before the last three (time) are scaled by `leading_scale`.
    leading_scale : tuple of float
    """
    lead = ndim - 3
    scale = np.diag(matrix)[:3]
    if np.array_equal(matrix[:3, :3], np.diag(scale)) and np.all(scale > 0):
        return {
            "scale": (*leading_scale, *map(float, scale)),
            "translate": (*(0.0,) * lead, *map(float, matrix[:3, 3])),
        }
    whole = np.eye(ndim + 1)
    whole[lead:, lead:] = matrix
    arguments: dict[str, Any] = {"affine": whole}
    if lead:
        arguments["scale"] = (*leading_scale, 1.0, 1.0, 1.0)
    return arguments
