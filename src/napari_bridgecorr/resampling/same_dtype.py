"""A resampled image in the voxels' own type again: rounded, with a stated value outside the data.

Half the size of float32 on disk for a camera's integers, and what other programs expect; but then
what lies outside the data looks like data.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import dask.array
import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import parallel
from ..errors import GeometryError
from ..image import SpatialImage
from ..voxel_source import VoxelSource, register_source, source_of

_map_blocks: Callable[..., Any] = dask.array.map_blocks  # dask states no types

# Numba reaches no further with integers
_MOST_BYTES = 4


def with_dtype(image: SpatialImage, dtype: np.dtype[Any], outside: float = 0) -> SpatialImage:
    """The image with voxels of another type, lazily.

    Parameters
    ----------
    image : SpatialImage
        Of float type, NaN outside the data.
    dtype : dtype
        Integers are rounded to the nearest, halves to even, and limited to what the type holds.
    outside : float
        Stands where there are no data, for integers; ``metadata["outside_value"]`` says it. NaN
        stays where the type is a float's.

    Returns
    -------
    SpatialImage
        One level.

    Raises
    ------
    GeometryError
        If the type does not hold `outside`.
    """
    dtype = np.dtype(dtype)
    if dtype == image.dtype:
        return image
    metadata = dict(image.metadata)
    if dtype.kind in "iub":
        if dtype.kind == "b":
            dtype = np.dtype(np.uint8)
        limits = np.iinfo(dtype)
        if not limits.min <= outside <= limits.max or outside != int(outside):
            raise GeometryError(
                f"voxels of type {dtype} hold whole numbers from {limits.min} to {limits.max}, "
                f"not {outside:g}: choose another value for outside the data"
            )
        metadata["outside_value"] = int(outside)

    name = f"dtype-{uuid.uuid4().hex}"
    source = _Converted(dtype, int(outside), source_of(image.levels[0]))
    if source.origin is not None:
        # a writer reads its regions without a task graph
        register_source(name, source)
    data = _map_blocks(
        source.converted,
        image.levels[0],
        name=name,
        dtype=dtype,
        meta=np.empty((0,) * 5, dtype),
    )
    return replace(image, levels=(data,), grids=image.grids[:1], metadata=metadata)


@dataclass(frozen=True, eq=False)
class _Converted:
    """The voxels of another type, as a source of boxes where the image is one."""

    dtype: np.dtype[Any]
    outside: int
    origin: VoxelSource | None

    @property
    def shape(self) -> tuple[int, ...]:
        return () if self.origin is None else self.origin.shape

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> NDArray[Any]:
        """See :class:`~napari_bridgecorr.voxel_source.VoxelSource`."""
        assert self.origin is not None
        return self.converted(self.origin.read(starts, stops))

    def converted(self, block: NDArray[Any]) -> NDArray[Any]:
        """A block in the new type."""
        if self.dtype.kind == "f":
            return block.astype(self.dtype)
        return rounded(block, self.dtype, self.outside)


def rounded(block: NDArray[Any], dtype: np.dtype[Any], outside: int) -> NDArray[Any]:
    """Floats as integers of a type: nearest, halves to even, limited; `outside` for NaN."""
    out = np.empty(block.shape, dtype)
    limits = np.iinfo(dtype)
    if dtype.itemsize > _MOST_BYTES:
        _round_wide(block, out, limits, outside)
        return out
    values = np.ascontiguousarray(block).reshape(-1)
    _round(values, float(limits.min), float(limits.max), outside, out.reshape(-1))
    return out


def _round_wide(block: NDArray[Any], out: NDArray[Any], limits: Any, outside: int) -> None:
    """64-bit integers: the largest is no float, so that limiting takes a comparison."""
    whole = np.rint(block)
    inside = (whole >= float(limits.min)) & (whole < float(limits.max))
    out[...] = outside
    out[inside] = whole[inside].astype(out.dtype)
    out[whole >= float(limits.max)] = limits.max
    out[whole < float(limits.min)] = limits.min


@parallel
def _round(
    values: NDArray[Any], lowest: float, highest: float, outside: int, out: NDArray[Any]
) -> None:
    for i in prange(values.size):
        value = values[i]
        if np.isnan(value):
            out[i] = outside
        else:
            out[i] = np.rint(min(max(float(value), lowest), highest))
