"""Residuals as arrows: from each fixed landmark to where its moving partner lands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Vectors
from numpy.typing import NDArray

from .frames import METADATA_KEY, SPATIAL_AXES, SPATIAL_UNITS, LandmarkTag, tag_of
from .landmark_layers import to_shown

if TYPE_CHECKING:
    from napari.layers import Layer

    from ..landmarks import LandmarkPairs
    from ..transform import Transform

NAME = "residuals"
_COLOUR = "#ff4f6d"
_WIDTH_FRACTION = 1 / 400


def is_residual_layer(layer: Layer) -> bool:
    """Whether a layer is one of these."""
    return isinstance(layer, Vectors) and isinstance(tag_of(layer), LandmarkTag)


def residual_vectors(
    pairs: LandmarkPairs, transform: Transform, frame: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n, 2, 3) starts and directions in um, as a layer of this frame shows them.

    A landmark whose partner cannot be mapped back (where the transform folds) has no arrow.
    """
    fixed = pairs.fixed_um
    landing = transform.inverse().map(pairs.moving_um)
    known = np.all(np.isfinite(landing), axis=1)
    start, end = to_shown(frame, fixed[known]), to_shown(frame, landing[known])
    return np.stack([start, end - start], axis=1)


def residual_arguments(
    vectors: NDArray[np.float64], frame: NDArray[np.float64], scale_um: float
) -> dict[str, Any]:
    """napari's arguments for a Vectors layer of ``vectors / scale_um``."""
    starts = vectors[:, 0]
    extent = float(np.linalg.norm(np.ptp(starts, axis=0))) if len(starts) else 1.0
    return {
        "name": NAME,
        "ndim": 3,
        "scale": (scale_um,) * 3,
        "units": SPATIAL_UNITS,
        "axis_labels": SPATIAL_AXES,
        "edge_width": max(extent * _WIDTH_FRACTION, 1e-3) / scale_um,
        "edge_color": _COLOUR,
        "vector_style": "arrow",
        "projection_mode": "all",
        "metadata": {METADATA_KEY: LandmarkTag("fixed", frame)},
    }
