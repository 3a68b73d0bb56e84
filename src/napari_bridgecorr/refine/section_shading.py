"""A section and a volume without what varies slowly: shading, coils, light that fades with depth.

What varies slowly looks alike at many wrong places, and mutual information takes it for a match.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .section_pictures import Pictures
from .section_search import CoarseSection
from .working_image import WorkingImage

_FloatPixels = NDArray[np.float32]

# of the section's longer side: the standard deviation of the neighbourhood that is taken off
_NEIGHBOURHOOD_SHARE = 1 / 12
# of the contrast everywhere: what is added to the local one, so that empty places stay empty
_QUIET = 0.3


def without_shading(pictures: Pictures) -> Pictures:
    """The same pictures, each less its neighbourhood's mean and divided by its local contrast."""
    grid = pictures.fine.grid
    sides = np.asarray(grid.shape[1:]) * grid.voxel_size_um[1:]
    width_um = _NEIGHBOURHOOD_SHARE * float(sides.max())
    tiny = pictures.tiny
    values = local_structure(tiny.values[None], width_um / np.asarray(tiny.grid.voxel_size_um))[0]
    return replace(
        pictures,
        coarse=_image(pictures.coarse, width_um),
        fine=_image(pictures.fine, width_um),
        volume=_image(pictures.volume, width_um),
        small_volume=_image(pictures.small_volume, width_um),
        tiny=CoarseSection(values, tiny.grid),
    )


def local_structure(values: _FloatPixels, sd_px: NDArray[np.float64]) -> _FloatPixels:
    """Values less the mean about them, divided by the contrast about them.

    Parameters
    ----------
    values : (z, y, x) float32
        NaN where there is nothing.
    sd_px : (3,) float64
        Standard deviation of the neighbourhood; along an axis of one voxel it does not matter.

    Returns
    -------
    (z, y, x) float32
        NaN where `values` are.
    """
    known = np.isfinite(values)
    if not known.any():
        return values
    # two boxes of this width have about that standard deviation
    size = [
        max(1, int(np.ceil(sd * np.sqrt(6)))) if n > 1 else 1
        for sd, n in zip(sd_px, values.shape, strict=True)
    ]
    share = np.maximum(_smooth(known.astype(np.float32), size), np.float32(1e-6))
    # of large numbers with little contrast the running sums would keep few digits
    centred = np.where(known, values - np.float32(values[known].mean()), np.float32(0))
    rest = np.where(known, centred - _smooth(centred, size) / share, np.float32(0))
    squares = rest * rest
    floor = _QUIET * np.sqrt(np.mean(squares[known], dtype=np.float64))
    local = np.sqrt(np.maximum(_smooth(squares, size) / share, 0)) + np.float32(max(floor, 1e-30))
    return np.where(known, rest / local, np.float32(np.nan)).astype(np.float32)


def _image(image: WorkingImage, width_um: float) -> WorkingImage:
    sd_px = width_um / np.asarray(image.grid.voxel_size_um)
    return replace(image, array=local_structure(image.array, sd_px))


def _smooth(values: _FloatPixels, size: list[int]) -> _FloatPixels:
    from scipy.ndimage import uniform_filter

    once = uniform_filter(values, size, mode="constant")
    return np.asarray(uniform_filter(once, size, mode="constant"), dtype=np.float32)
