"""The only file that talks to pylibCZIrw (Zeiss' libCZI), which composes planes of tiles.

libCZI does not promise that one reader may be used by several threads at once, so each thread that
reads borrows a reader of its own from a small pool; none is ever shared, and few stay open.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pylibCZIrw import czi

from ...errors import ReadError
from .guard import Rectangle
from .segments import CziFile

LIBRARY_COMPRESSIONS = frozenset({0, 4, 5, 6})
"""Numbers of the codecs that libCZI has."""

_IDLE_READERS = 4
# decoded tiles that a reader keeps: those that the next block shares with this one
_CACHE_BYTES = 24 * 2**20
_CACHED_TILES = 64
_FAULTS = (RuntimeError, ValueError, MemoryError, OverflowError, OSError)
"""What the library raises; its C++ errors arrive as RuntimeError."""


class _Pool:
    """Idle readers, the longest idle first. A process made by forking never uses its parent's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[int, CziFile, czi.CziReader]] = []

    @contextmanager
    def borrow(self, file: CziFile) -> Iterator[czi.CziReader]:
        reader = self._take(file) or _open(file)
        try:
            yield reader
        except BaseException:
            reader.close()
            raise
        self._put(file, reader)

    def close(self) -> None:
        with self._lock:
            closing, self._idle = self._idle, []
        for pid, _, reader in closing:
            if pid == os.getpid():
                reader.close()

    def _take(self, file: CziFile) -> czi.CziReader | None:
        with self._lock:
            for i, (pid, idle_file, _) in enumerate(self._idle):
                if pid == os.getpid() and idle_file == file:
                    return self._idle.pop(i)[2]
        return None

    def _put(self, file: CziFile, reader: czi.CziReader) -> None:
        with self._lock:
            self._idle.append((os.getpid(), file, reader))
            surplus = self._idle[:-_IDLE_READERS]
            self._idle = self._idle[-_IDLE_READERS:]
        for pid, _, old in surplus:
            if pid == os.getpid():
                old.close()


_POOL = _Pool()


def close_readers() -> None:
    """Close every idle reader (Windows cannot replace a file that is open)."""
    _POOL.close()


def _open(file: CziFile) -> czi.CziReader:
    file.require_unchanged()
    cache = czi.CacheOptions(
        type=czi.CacheType.Standard,
        max_memory_usage=_CACHE_BYTES,
        max_sub_block_count=_CACHED_TILES,
    )
    try:
        return czi.CziReader(file.path, cache_options=cache)
    except _FAULTS as error:
        raise _damaged(file, error) from error


def _damaged(file: CziFile, error: Exception) -> ReadError:
    return ReadError(
        file.path,
        f"the CZI library refuses it ({error})",
        "copy the file again from its source, or open and save it in ZEN",
    )


def check_opens(file: CziFile) -> None:
    """Raise ReadError unless the library accepts the file."""
    with _POOL.borrow(file):
        pass


def read_pixels(
    file: CziFile,
    rectangle: Rectangle,
    plane: Mapping[str, int],
    scene: int | None,
    pixel_type: str,
    factor: int = 1,
) -> NDArray[Any]:
    """Pixels of a rectangle of one plane, whose tiles the caller has checked.

    Parameters
    ----------
    file : CziFile
    rectangle : (x, y, width, height)
        Width and height are multiples of `factor`.
    plane : mapping
        Index along each dimension, as ``{"T": 0, "Z": 3, "C": 1}``.
    scene : int or None
        Tiles of other scenes are left out; None where the file has no scenes.
    pixel_type : str
    factor : int
        Read the file's own pyramid, smaller by this factor.

    Returns
    -------
    (height / factor, width / factor, samples) array
        Samples in the order red, green, blue. 0 where no tile lies.

    Raises
    ------
    ReadError
        If the pixels are damaged or the file has changed.
    """
    wanted = (rectangle[3] // factor, rectangle[2] // factor)
    with _POOL.borrow(file) as reader:
        try:
            pixels = reader.read(
                roi=rectangle,
                plane=dict(plane),
                scene=scene,
                zoom=1 / factor,
                pixel_type=pixel_type,
            )
        except _FAULTS as error:
            raise _damaged(file, error) from error
    if pixels.shape[:2] != wanted:
        raise _damaged(file, ValueError(f"{pixels.shape[:2]} pixels came back, not {wanted}"))
    # the library stores and returns blue first
    return np.asarray(pixels)[..., ::-1]
