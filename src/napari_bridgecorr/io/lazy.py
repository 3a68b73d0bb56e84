"""Array-likes behind dask arrays: one task reads what is asked for, and no more."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import dask.array as da
import numpy as np
from numpy.typing import NDArray

_from_array: Callable[..., Any] = da.from_array  # dask states no types


class ArrayLike(Protocol):
    """What :func:`lazily` needs: picklable, and indexed along each axis separately."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Values, read now."""


def lazily(array: ArrayLike, chunks: Sequence[int], identity: str) -> Any:
    """Dask array of an array-like.

    Parameters
    ----------
    array : array-like
    chunks : sequence of int
        One length per axis.
    identity : str
        Says which data these are (file, state, level): the same identity is the same task.
    """
    name = "file-" + hashlib.sha256(f"{identity}{tuple(chunks)}".encode()).hexdigest()[:32]
    meta = np.empty((0,) * len(array.shape), dtype=array.dtype)
    # fancy indexing must be allowed: dask pushes no slice into the reading otherwise, and a single
    # row would then cost a whole chunk
    return _from_array(array, chunks=tuple(chunks), name=name, asarray=False, meta=meta)


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
        index = np.arange(n, dtype=np.intp)[k]
        if index.ndim == 0:
            dropped.append(axis)
        wanted.append(np.atleast_1d(index))
    return wanted, tuple(dropped)
