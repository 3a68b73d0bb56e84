"""A window of a plane whose tiles lie side by side, put together without libCZI.

That is most windows. It takes a fraction of the time: of an uncompressed tile only the rows wanted
are read, a decoded one is kept for the windows beside it, and threads do not wait for each other.
Where tiles overlap, lie between the pixels of their level or are of another codec, libCZI composes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from io import FileIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from .decode import Undecodable, decode_tile
from .directory import PIXEL_TYPES
from .guard import CheckedTile, Rectangle
from .segments import DAMAGED, CziFile, open_unbuffered

_CODECS = frozenset({0, 5, 6})
_MOST_TILES = 64
_KEPT_BYTES = 2**25


class _Kept:
    """Tiles decoded last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tiles: OrderedDict[tuple[CziFile, int], NDArray[Any]] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[CziFile, int]) -> NDArray[Any] | None:
        with self._lock:
            found = self._tiles.get(key)
            if found is not None:
                self._tiles.move_to_end(key)
            return found

    def put(self, key: tuple[CziFile, int], pixels: NDArray[Any]) -> None:
        if pixels.nbytes > _KEPT_BYTES // 4:
            return
        with self._lock:
            if key not in self._tiles:
                self._bytes += pixels.nbytes
            self._tiles[key] = pixels
            while self._bytes > _KEPT_BYTES:
                self._bytes -= self._tiles.popitem(last=False)[1].nbytes


_KEPT = _Kept()


def compose(
    file: CziFile,
    tiles: Sequence[CheckedTile],
    rectangle: Rectangle,
    pixel_type: str,
    factor: int,
) -> NDArray[Any] | None:
    """Pixels of a rectangle of one plane, or None where libCZI must compose it.

    Parameters
    ----------
    file : CziFile
    tiles : sequence of CheckedTile
        Every tile of the plane, of every level, that meets the rectangle.
    rectangle : (x, y, width, height)
        Width and height are multiples of `factor`.
    pixel_type : str
    factor : int
        Level-0 pixels per pixel of the level wanted.

    Returns
    -------
    (height / factor, width / factor, samples) array or None
        Samples in the order red, green, blue. 0 where no tile lies.

    Raises
    ------
    ReadError
        If the pixels are damaged or the file has changed.
    """
    x, y, width, height = rectangle
    level = [t for t in tiles if _factor(t) == factor]
    if len(level) > _MOST_TILES:
        return None
    places: list[tuple[int, int, int, int]] = []
    for tile in level:
        rows, columns = tile.stored
        is_simple = (
            PIXEL_TYPES[tile.header.pixel_type][0] == pixel_type
            and tile.header.compression in _CODECS
            and (tile.x - x) % factor == 0
            and (tile.y - y) % factor == 0
            and (tile.w, tile.h) == (columns * factor, rows * factor)
            and all(n == 1 for name, _, n in tile.header.dims if name not in "XY")
        )
        if not is_simple:
            return None
        left, top = max(tile.x, x), max(tile.y, y)
        right, bottom = min(tile.x + tile.w, x + width), min(tile.y + tile.h, y + height)
        if any(left < r and a < right and top < b and c < bottom for a, c, r, b in places):
            return None
        places.append((left, top, right, bottom))
    _, dtype, samples = next(t for t in PIXEL_TYPES.values() if t[0] == pixel_type)
    covered = sum((r - a) * (b - c) for a, c, r, b in places) == width * height
    make = np.empty if covered else np.zeros
    out = make((height // factor, width // factor, samples), np.dtype(dtype))
    if not level:
        file.require_unchanged()
        return out
    with open_unbuffered(file) as stream:
        for tile, (left, top, right, bottom) in zip(level, places, strict=True):
            wanted = (
                slice((top - tile.y) // factor, (bottom - tile.y) // factor),
                slice((left - tile.x) // factor, (right - tile.x) // factor),
            )
            target = (
                slice((top - y) // factor, (bottom - y) // factor),
                slice((left - x) // factor, (right - x) // factor),
            )
            out[target] = _pixels(file, stream, tile, wanted, out.dtype, samples)
    # blue is stored first
    return out[..., ::-1] if samples > 1 else out


def _factor(tile: CheckedTile) -> int:
    rows, columns = tile.stored
    return round(max(tile.h / rows, tile.w / columns))


def _pixels(
    file: CziFile,
    stream: FileIO,
    tile: CheckedTile,
    wanted: tuple[slice, slice],
    dtype: np.dtype[Any],
    samples: int,
) -> NDArray[Any]:
    header, (rows, columns) = tile.header, tile.stored
    if header.compression == 0:
        row_bytes = columns * samples * dtype.itemsize
        first, last = wanted[0].start, wanted[0].stop
        raw = np.empty((last - first, columns, samples), dtype)
        _read_into(file, stream, header.position + first * row_bytes, raw)
        return raw[:, wanted[1]]
    key = (file, header.position)
    pixels = _KEPT.get(key)
    if pixels is None:
        coded = np.empty(header.size, np.uint8)
        _read_into(file, stream, header.position, coded)
        try:
            pixels = decode_tile(
                coded.tobytes(), header.compression, dtype, (rows, columns, samples)
            )
        except Undecodable as error:
            fault = f"the pixels of a tile are damaged ({error})"
            raise ReadError(file.path, fault, DAMAGED) from error
        _KEPT.put(key, pixels)
    return pixels[wanted]


def _read_into(file: CziFile, stream: FileIO, position: int, out: NDArray[Any]) -> None:
    stream.seek(position)
    view = out.reshape(-1).view(np.uint8).data
    while view:
        n = stream.readinto(view)
        if not n:
            raise ReadError(file.path, "a tile lies beyond the end of the file", DAMAGED)
        view = view[n:]
