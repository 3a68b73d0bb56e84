"""Lazy 5-D arrays over a file's block reader, and the order in which a writer walks an image.

Nothing here knows a format: readers hand in a function that reads one box, writers get boxes whose
size is bounded.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.array import Array as DaskArray
from numpy.typing import NDArray

Shape5 = tuple[int, int, int, int, int]
Block = NDArray[Any]
ReadBlock = Callable[[tuple[int, ...], tuple[int, ...]], Block]

# dask states no types for it
_from_array: Any = da.from_array

CHUNK_BYTES = 8 * 2**20
SLAB_BYTES = 64 * 2**20


class _Indexable:
    """A block reader that dask can index with integers and slices."""

    def __init__(self, shape: Shape5, dtype: np.dtype[Any], read: ReadBlock) -> None:
        self.shape = shape
        self.dtype = dtype
        self.ndim = len(shape)
        self._read = read

    def __getitem__(self, key: tuple[int | slice, ...]) -> Block:
        full = (*key, *([slice(None)] * (self.ndim - len(key))))
        starts, stops = [], []
        inner: list[int | slice] = []
        for length, part in zip(self.shape, full, strict=True):
            if isinstance(part, slice):
                picks = range(*part.indices(length))
                low, high = (min(picks), max(picks) + 1) if picks else (0, 0)
                # with a negative step the first pick is the last of the block
                inner.append(slice(None, None, picks.step))
            else:
                low = int(part) % length
                high = low + 1
                inner.append(0)
            starts.append(low)
            stops.append(high)
        if any(a == b for a, b in zip(starts, stops, strict=True)):
            size = [b - a for a, b in zip(starts, stops, strict=True)]
            return np.empty(size, dtype=self.dtype)[tuple(inner)]
        return self._read(tuple(starts), tuple(stops))[tuple(inner)]


def lazy_array(
    shape: Shape5, dtype: np.dtype[Any], chunks: Sequence[int], read: ReadBlock
) -> DaskArray:
    """Dask array over ``read(starts, stops)``.

    Parameters
    ----------
    shape : 5 int
        ``(t, c, z, y, x)``.
    dtype : dtype
        What `read` returns.
    chunks : 5 int
        Size of a block.
    read : callable
        Gives the 5-D box ``starts <= index < stops``. Called from several threads.
    """
    source = _Indexable(shape, dtype, read)
    array: DaskArray = _from_array(
        source,
        chunks=tuple(min(c, n) for c, n in zip(chunks, shape, strict=True)),
        # a name of its own: hashing the source would read nothing of the file's content
        name=f"bridgecorr-{uuid.uuid4().hex}",
        # a reader gives boxes, never lists of indices
        fancy=False,
        meta=np.empty((0,) * 5, dtype=dtype),
    )
    return array


def plane_chunks(shape: Shape5, itemsize: int, row_step: int = 1) -> Shape5:
    """Blocks of whole planes of about :data:`CHUNK_BYTES`; rows of a plane where one is larger.

    Parameters
    ----------
    shape : 5 int
        ``(t, c, z, y, x)``.
    itemsize : int
        Bytes per voxel.
    row_step : int
        Rows are split in multiples of it.
    """
    _, _, nz, ny, nx = shape
    plane = max(1, ny * nx * itemsize)
    if plane > 4 * CHUNK_BYTES:
        rows = max(1, CHUNK_BYTES // (nx * itemsize))
        rows = max(row_step, rows // row_step * row_step)
        return 1, 1, 1, min(rows, ny), nx
    return 1, 1, min(nz, max(1, CHUNK_BYTES // plane)), ny, nx


def z_slabs(array: DaskArray, slab_bytes: int = SLAB_BYTES) -> list[tuple[int, int]]:
    """Ranges of z that a writer computes at once.

    They follow the array's own blocks, so that a block is computed once, and join small ones up to
    `slab_bytes`. Only blocks whose slab is 8 times larger are split, into planes at the least.
    """
    *_, ny, nx = array.shape
    plane = max(1, ny * nx * array.dtype.itemsize)
    most = max(1, slab_bytes // plane)
    slabs: list[tuple[int, int]] = []
    start = 0
    for size in array.chunks[2]:
        stop = start + int(size)
        if slabs and stop - slabs[-1][0] <= most:
            slabs[-1] = (slabs[-1][0], stop)
        elif size * plane <= 8 * slab_bytes:
            slabs.append((start, stop))
        else:
            slabs.extend((z, min(z + most, stop)) for z in range(start, stop, most))
        start = stop
    return slabs


def compute(block: DaskArray) -> Block:
    """The pixels of a part of a lazy array."""
    untyped: Any = block
    return np.asarray(untyped.compute(scheduler="threads"))


def spans(length: int, step: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most `step` that cover ``0..length``."""
    for start in range(0, length, step):
        yield start, min(start + step, length)
