"""Lazy arrays over a file's boxes of voxels: one task reads what is asked for, and no more.

Nothing here knows a format: a reader hands in something that reads one box. The order in which a
writer walks an image is in `blocks`.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import dask.array as da
import numpy as np
from dask.array import Array as DaskArray
from numpy.typing import NDArray

from ..voxel_source import VoxelSource, register_source

Shape5 = tuple[int, int, int, int, int]
Block = NDArray[Any]
ReadBlock = Callable[[tuple[int, ...], tuple[int, ...]], Block]

CHUNK_BYTES = 8 * 2**20
_MOST_CHUNKS = 2**16

# dask states no types for it
_from_array: Callable[..., DaskArray] = da.from_array


def lazily(source: VoxelSource, chunks: Sequence[int], identity: str | None = None) -> DaskArray:
    """Dask array of a source of boxes.

    Parameters
    ----------
    source : VoxelSource
        Picklable, if the array is to be.
    chunks : sequence of int
        Size of a block, one length per axis.
    identity : str, optional
        Says which data these are (file, state, level): the same identity is the same task. Without
        it every call makes an array of its own.
    """
    if identity is None:
        name = f"file-{uuid.uuid4().hex}"
    else:
        name = "file-" + hashlib.sha256(f"{identity}{tuple(chunks)}".encode()).hexdigest()[:32]
    source = register_source(name, source)
    return _from_array(
        _Indexed(source),
        chunks=_few_enough(chunks, source.shape),
        name=name,
        # fancy indexing stays allowed: dask pushes no slice into the reading otherwise, and a
        # single row would then cost a whole chunk
        asarray=False,
        meta=np.empty((0,) * len(source.shape), dtype=source.dtype),
    )


def _few_enough(chunks: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """The chunks, enlarged where there would be millions: dask lists them all for every reading."""
    sizes = [min(max(1, int(c)), n) for c, n in zip(chunks, shape, strict=True)]
    counts = [-(-n // max(1, c)) for c, n in zip(sizes, shape, strict=True)]
    while prod(counts) > _MOST_CHUNKS:
        axis = counts.index(max(counts))
        sizes[axis] = min(2 * sizes[axis], shape[axis])
        counts[axis] = -(-shape[axis] // sizes[axis])
    return tuple(sizes)


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
        Gives the 5-D box ``starts <= index < stops``, which is never empty. Called from several
        threads.
    """
    return lazily(_Boxes(shape, dtype, read), chunks)


@dataclass(frozen=True, eq=False)
class _Boxes:
    """A reading function as a source."""

    shape: Shape5
    dtype: np.dtype[Any]
    read: ReadBlock


@dataclass(frozen=True, eq=False)
class _Indexed:
    """A source that dask indexes, each axis by itself."""

    source: VoxelSource

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    @property
    def ndim(self) -> int:
        return len(self.source.shape)

    def __getitem__(self, key: Any) -> Block:
        return read_indexed(self.source, key)


def read_indexed(source: VoxelSource, key: Any) -> Block:
    """What ``array[key]`` would give, each index applying to its own axis.

    Parameters
    ----------
    source : VoxelSource
    key : int, slice, integer or boolean sequence, or a tuple of these
    """
    wanted, dropped = outer_indices(key, source.shape)
    # what lies between wanted planes is not read; within a plane the rest is cut away
    runs = [_runs(w) if axis < len(wanted) - 2 else [w] for axis, w in enumerate(wanted)]
    if any(len(w) == 0 for w in wanted):
        block = np.empty([len(w) for w in wanted], source.dtype)
    elif all(len(r) == 1 for r in runs):
        block = _read_run(source, wanted)
    else:
        block = np.empty([len(w) for w in wanted], source.dtype)
        edges = [np.cumsum([0, *(len(run) for run in r)]) for r in runs]
        for number in product(*(range(len(r)) for r in runs)):
            place = tuple(slice(e[i], e[i + 1]) for e, i in zip(edges, number, strict=True))
            block[place] = _read_run(source, [r[i] for r, i in zip(runs, number, strict=True)])
    return block.squeeze(axis=dropped) if dropped else block


def _read_run(source: VoxelSource, wanted: Sequence[NDArray[np.intp]]) -> Block:
    starts = tuple(int(w.min()) for w in wanted)
    stops = tuple(int(w.max()) + 1 for w in wanted)
    block = source.read(starts, stops)
    if all(bool(np.all(np.diff(w) == 1)) for w in wanted):
        return block
    return block[np.ix_(*(w - a for w, a in zip(wanted, starts, strict=True)))]


def _runs(wanted: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """The indices, parted wherever one does not follow the one before."""
    return np.split(wanted, np.flatnonzero(np.diff(wanted) != 1) + 1)


def outer_indices(key: Any, shape: Sequence[int]) -> tuple[list[NDArray[np.intp]], tuple[int, ...]]:
    """Indices wanted along each axis, and the axes that the result has no more.

    Parameters
    ----------
    key : int, slice, integer or boolean sequence, or a tuple of these
        Each applies to its own axis.
    shape : sequence of int
    """
    keys = key if isinstance(key, tuple) else (key,)
    keys = (*keys, *(slice(None),) * (len(shape) - len(keys)))
    wanted = []
    dropped = []
    for axis, (k, n) in enumerate(zip(keys, shape, strict=True)):
        # not all of an axis, which may be as long as a damaged header claims
        index = (
            np.arange(*k.indices(n), dtype=np.intp)
            if isinstance(k, slice)
            else np.arange(n, dtype=np.intp)[k]
        )
        if index.ndim == 0:
            dropped.append(axis)
        wanted.append(np.atleast_1d(index))
    return wanted, tuple(dropped)


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
