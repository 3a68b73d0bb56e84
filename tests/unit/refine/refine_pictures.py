"""Pictures with known relations, for tests of registration by content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import RGBA, Channel, Source, SpatialImage

FloatArray = NDArray[np.float64]


def image_of(
    array: NDArray[np.generic], spacing_um: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> SpatialImage:
    """An image of a (c, z, y, x) array; three channels of uint8 are a colour picture."""
    is_colour = array.shape[0] == 3 and array.dtype == np.uint8
    channels = RGBA[:3] if is_colour else tuple(Channel(f"C{k}") for k in range(array.shape[0]))
    return SpatialImage(
        (da.from_array(array[None], chunks=(1, 1, *array.shape[1:])),),
        (Grid.from_spacing(array.shape[1:], spacing_um),),
        channels,
        Source(Path("picture.tif"), "memory"),
    )


def texture(shape: tuple[int, ...], seed: int) -> FloatArray:
    """Blobs of several sizes within an uneven outline, 0-1, 0 outside."""
    rng = np.random.default_rng(seed)
    total = np.zeros(shape)
    for size in (12.0, 5.0, 2.0):
        noise = gaussian_filter(rng.normal(size=shape), size, mode="wrap")
        total += noise / noise.std()
    tissue = 0.35 + 0.65 / (1 + np.exp(-2 * total))
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    outline = gaussian_filter(rng.normal(size=shape), min(shape) / 6, mode="wrap")
    radius = np.sqrt(sum(a**2 for a in axes)) + 0.25 * outline / outline.std() + 0.3 * axes[-1]
    return np.asarray(tissue / (1 + np.exp((radius - 0.75) * 40)))


def brightfield(tissue: FloatArray, stain: tuple[float, float, float]) -> NDArray[np.uint8]:
    """(3, 1, y, x) picture of stained tissue on a pale background."""
    light = 240 * np.exp(-np.multiply.outer(np.asarray(stain), tissue))
    return np.round(light).astype(np.uint8)[:, None]


def moved(
    values: FloatArray, to_source: Callable[[FloatArray], FloatArray], outside: float = 0.0
) -> FloatArray:
    """Values where `to_source` ((n, d) indices to indices) leads from every voxel."""
    index = np.indices(values.shape).reshape(values.ndim, -1).T.astype(float)
    source = to_source(index)
    found = map_coordinates(values, source.T, order=1, mode="constant", cval=outside)
    return np.asarray(found.reshape(values.shape))
