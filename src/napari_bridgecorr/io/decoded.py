"""Chunks of a source, decoded once and kept for a while: neighbouring blocks read the same ones.

Off by default. Whoever walks through a whole image turns it on for the time of the walk.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from .lazy import Block

Box = tuple[tuple[int, ...], tuple[int, ...]]

# a cache of fewer chunks would be emptied before anything is read twice
_FEWEST_CHUNKS = 8


class _Cache:
    """The chunks read last, up to a number of bytes. Safe to use from several threads."""

    def __init__(self) -> None:
        self.most_bytes = 0
        self.n_decoded = 0
        self._n_bytes = 0
        self._chunks: OrderedDict[Hashable, Block] = OrderedDict()
        self._reading: dict[Hashable, threading.Event] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], Block]) -> Block:
        while True:
            with self._lock:
                found = self._chunks.get(key)
                if found is not None:
                    self._chunks.move_to_end(key)
                    return found
                event = self._reading.get(key)
                if event is None:
                    self._reading[key] = threading.Event()
                    break
            event.wait()
        try:
            chunk = read()
            # whoever asks next gets the same voxels
            chunk.flags.writeable = False
            with self._lock:
                self.n_decoded += 1
                self._chunks[key] = chunk
                self._n_bytes += chunk.nbytes
                self._drop()
            return chunk
        finally:
            with self._lock:
                self._reading.pop(key).set()

    def limit(self, most_bytes: int) -> None:
        with self._lock:
            self.most_bytes = most_bytes
            self._drop()

    def _drop(self) -> None:
        while self._n_bytes > self.most_bytes and self._chunks:
            _, dropped = self._chunks.popitem(last=False)
            self._n_bytes -= dropped.nbytes


_CACHE = _Cache()
_users: list[int] = []
_users_lock = threading.Lock()


@contextmanager
def kept(most_bytes: int) -> Iterator[None]:
    """Keep decoded chunks of all sources, up to `most_bytes` of them, until the end."""
    with _users_lock:
        _users.append(most_bytes)
        _CACHE.limit(max(_users))
    try:
        yield
    finally:
        with _users_lock:
            _users.remove(most_bytes)
            _CACHE.limit(max(_users, default=0))


def read_decoded(
    key: Hashable,
    shape: Sequence[int],
    chunks: Sequence[int],
    dtype: np.dtype[np.generic],
    box: Box,
    read: Callable[[tuple[int, ...], tuple[int, ...]], Block],
) -> Block:
    """A box of a source, put together from kept chunks where that is on.

    Parameters
    ----------
    key : hashable
        Of the source, and of the state that it is in.
    shape, chunks : sequence of int
        Of the source.
    dtype : dtype
    box : (starts, stops)
    read : callable
        ``read(starts, stops)`` decodes a box. What it gives is not changed by anyone.
    """
    starts, stops = box
    chunk_bytes = int(np.prod(chunks)) * dtype.itemsize
    if chunk_bytes * _FEWEST_CHUNKS > _CACHE.most_bytes:
        return read(starts, stops)

    def chunk(place: tuple[int, ...]) -> Block:
        low = tuple(i * c for i, c in zip(place, chunks, strict=True))
        high = tuple(min(a + c, n) for a, c, n in zip(low, chunks, shape, strict=True))
        return _CACHE.get((key, place), lambda: read(low, high))

    ranges = [range(a // c, -(-b // c)) for a, b, c in zip(starts, stops, chunks, strict=True)]
    places = list(itertools.product(*ranges))
    if len(places) == 1:
        return _part(chunk(places[0]), places[0], chunks, starts, stops)
    out = np.empty([b - a for a, b in zip(starts, stops, strict=True)], dtype)
    for place in places:
        part = _part(chunk(place), place, chunks, starts, stops)
        low = [max(i * c - a, 0) for i, c, a in zip(place, chunks, starts, strict=True)]
        out[tuple(slice(a, a + n) for a, n in zip(low, part.shape, strict=True))] = part
    return out


def _part(
    chunk: Block,
    place: Sequence[int],
    chunks: Sequence[int],
    starts: Sequence[int],
    stops: Sequence[int],
) -> Block:
    """What of a chunk lies in the box."""
    return chunk[
        tuple(
            slice(max(a - i * c, 0), b - i * c)
            for a, b, i, c in zip(starts, stops, place, chunks, strict=True)
        )
    ]
