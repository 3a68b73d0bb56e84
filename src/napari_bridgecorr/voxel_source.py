"""What stands behind a lazy array: boxes of voxels, read from a file without a task graph.

A dask array costs milliseconds a call, the file's own library a fraction of one. Readers register
what they read from under the name of the array that they make; dask gives every other array (a
slice, a product) another name, so that a source never answers for voxels that are not its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dask.array import Array as DaskArray


class VoxelSource(Protocol):
    """An array in a file, read box by box, from several threads at once."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> NDArray[Any]:
        """The box ``starts <= index < stops``, which is never empty, read now."""


_SOURCES: WeakValueDictionary[str, VoxelSource] = WeakValueDictionary()


def register_source(name: str, source: VoxelSource) -> VoxelSource:
    """Say what stands behind the dask array of this name; the array must keep the answer alive.

    Returns
    -------
    VoxelSource
        `source`, or the one that already bears the name and so reads the same.
    """
    return _SOURCES.setdefault(name, source)


def source_of(array: DaskArray) -> VoxelSource | None:
    """What stands behind a lazy array; None where that is known to dask alone."""
    return _SOURCES.get(array.name)


def in_memory(array: DaskArray) -> NDArray[Any] | None:
    """The array itself that a lazy one merely wraps; None where there is more to it.

    It is not a copy: it must not be written into.
    """
    if array.npartitions != 1 or len(array.dask.layers) != 1:
        return None
    held = array.dask[(array.name, *(0,) * array.ndim)]
    held = getattr(held, "value", held)  # some versions of dask wrap it once more
    return held if isinstance(held, np.ndarray) and held.shape == array.shape else None


def read_box(array: DaskArray, starts: Sequence[int], stops: Sequence[int]) -> NDArray[Any]:
    """Voxels ``starts <= index < stops`` of a lazy array, by the shortest way there is.

    Parameters
    ----------
    array : dask array
    starts, stops : sequence of int
        One per axis.

    Returns
    -------
    array
        Of shape ``stops - starts``.

    Raises
    ------
    ValueError
        If the box reaches outside the array.
    """
    low, high = tuple(map(int, starts)), tuple(map(int, stops))
    inside = len(low) == len(high) == array.ndim and all(
        0 <= a <= b <= n for a, b, n in zip(low, high, array.shape, strict=True)
    )
    if not inside:
        raise ValueError(f"{low} to {high} is no box of an array of shape {tuple(array.shape)}")
    if any(a == b for a, b in zip(low, high, strict=True)):
        return np.empty([b - a for a, b in zip(low, high, strict=True)], array.dtype)
    source = source_of(array)
    if source is not None:
        return source.read(low, high)
    part: Any = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return np.asarray(part.compute(scheduler="threads"))
