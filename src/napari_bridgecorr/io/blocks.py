"""The order in which a writer walks an image: boxes whose size is bounded, each computed once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from dask.array import Array as DaskArray

from .lazy import Block

SLAB_BYTES = 64 * 2**20


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
