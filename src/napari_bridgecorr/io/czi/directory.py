"""The segments of a CZI file, read in pure Python: its directory of tiles and its XML.

A damaged file is refused here, before the native library sees it, with words that say what is
wrong. Layout: *CZI file format*, Carl Zeiss Microscopy, 2016 (DV directory entries).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError

MAGIC = b"ZISRAWFILE"
ABSENT = np.iinfo(np.int64).min
"""Start of a dimension that a tile does not state."""

_DAMAGED = (
    "the file is damaged or was not copied whole; copy it again from the microscope's computer"
)
_HEADER = struct.Struct("<16sqq")
_ENTRY = struct.Struct("<2siqiiB5xi")
_DIMENSION = struct.Struct("<4siifi")
_TILE = struct.Struct("<iiq")
_MOST_DIMS = 40
_PLANE_DIMS = "STCZHVIRBM"
_COLUMNS = ("pixel_type", "position", "x", "y", "w", "h", "stored_w", "stored_h", *_PLANE_DIMS)
_FURTHEST_PIXEL = 10**8
"""Beyond it (40 m at 0.4 um) a tile's place is taken for damage."""


@dataclass(frozen=True, eq=False)
class CziDirectory:
    """Every tile of a file, and its XML.

    Parameters
    ----------
    tiles : structured array
        One row per tile, int64 fields ``pixel_type``, ``position`` (byte), ``x``, ``y``, ``w``,
        ``h`` (level-0 pixels of the file's own frame), ``stored_w``, ``stored_h`` (pixels stored)
        and the index along ``S T C Z H V I R B M``, `ABSENT` where not stated.
    xml : str
        The metadata, empty where the file has none.
    """

    tiles: NDArray[Any]
    xml: str

    @property
    def full_resolution(self) -> NDArray[np.bool_]:
        """Which tiles are stored at full resolution (the others belong to the pyramid)."""
        t = self.tiles
        same = (t["w"] == t["stored_w"]) & (t["h"] == t["stored_h"])
        return np.asarray(same, dtype=np.bool_)


def read_directory(path: Path) -> CziDirectory:
    """Read a file's directory and XML.

    Raises
    ------
    ReadError
        If the file is empty, truncated, not a CZI, in several parts, or inconsistent.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise ReadError(path, "the file is empty", "copy it again from its source")
            head = _read(file, 0, 112)
            if not head.startswith(MAGIC):
                raise ReadError(path, "it does not begin as a CZI file does", _DAMAGED)
            if len(head) < 112:
                raise ReadError(path, "it ends within its header", _DAMAGED)
            part, directory_at, metadata_at = struct.unpack_from("<iqq", head, 80)
            if part != 0:
                raise ReadError(path, "it is a part of a split file", "export it as one file")
            return CziDirectory(
                _tiles(path, file, size, directory_at), _xml(file, size, metadata_at)
            )
    except OSError as error:
        raise ReadError(path, str(error), "check that the file exists and can be read") from error


class TileGuard:
    """Refuses damaged tiles before the native library meets them.

    libCZI trusts the header that each tile repeats, and a garbled one ends the interpreter. A
    tile's header is checked once, when a reading first needs it.

    Parameters
    ----------
    path : Path
    directory : CziDirectory
    """

    def __init__(self, path: Path, directory: CziDirectory) -> None:
        self.directory = directory
        self._path = path
        self._checked = np.zeros(len(directory.tiles), dtype=bool)

    def check(
        self, rectangle: tuple[int, int, int, int], plane: Mapping[str, int], scene: int | None
    ) -> None:
        """Check the tiles of one plane (and scene) that meet a rectangle (x, y, w, h).

        Raises
        ------
        ReadError
            If the header of one is damaged.
        """
        t = self.directory.tiles
        x, y, w, h = rectangle
        needed = ~self._checked
        needed &= (t["x"] < x + w) & (t["x"] + t["w"] > x)
        needed &= (t["y"] < y + h) & (t["y"] + t["h"] > y)
        for dim, index in (*plane.items(), *(() if scene is None else (("S", scene),))):
            needed &= (t[dim] == index) | (t[dim] == ABSENT)
        rows = np.flatnonzero(needed)
        if not rows.size:
            return
        try:
            with self._path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                for row in rows:
                    _check_tile(self._path, file, size, int(t["position"][row]))
        except OSError as error:
            raise ReadError(self._path, str(error), "check that the file can be read") from error
        self._checked[rows] = True


def _check_tile(path: Path, file: BinaryIO, size: int, position: int) -> None:
    head = _read(file, position, _HEADER.size + _TILE.size + _ENTRY.size)
    if len(head) < _HEADER.size + _TILE.size + _ENTRY.size:
        raise ReadError(path, "a tile lies beyond the end of the file", _DAMAGED)
    name, allocated, _ = _HEADER.unpack_from(head)
    metadata, attachment, data = _TILE.unpack_from(head, _HEADER.size)
    schema, *_, n_dims = _ENTRY.unpack_from(head, _HEADER.size + _TILE.size)
    sizes = (metadata, attachment, data)
    if (
        name.rstrip(b"\0") != b"ZISRAWSUBBLOCK"
        or min(sizes) < 0
        or sum(sizes) > allocated
        or position + allocated > size
        or schema != b"DV"
        or not 0 < n_dims <= _MOST_DIMS
    ):
        raise ReadError(path, "the header of a tile is garbled", _DAMAGED)
    dims = _read(file, position + len(head), n_dims * _DIMENSION.size)
    if len(dims) < n_dims * _DIMENSION.size:
        raise ReadError(path, "a tile lies beyond the end of the file", _DAMAGED)
    for label, start, extent, _, stored in _DIMENSION.iter_unpack(dims):
        if not label.rstrip(b"\0 ").isalpha() or min(extent, stored) < 0:
            raise ReadError(path, "the header of a tile is garbled", _DAMAGED)
        if max(abs(start), extent, stored) > _FURTHEST_PIXEL:
            raise ReadError(path, "the header of a tile is garbled", _DAMAGED)


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _segment(file: BinaryIO, size: int, position: int, name: bytes) -> int | None:
    """Bytes used by a segment's payload, or None where there is no such segment."""
    if not 0 < position <= size - _HEADER.size:
        return None
    found, allocated, used = _HEADER.unpack(_read(file, position, _HEADER.size))
    if found.rstrip(b"\0") != name:
        return None
    # used is 0 in files of some old writers, which then fill the segment
    return int(used or allocated)


def _tiles(path: Path, file: BinaryIO, size: int, position: int) -> NDArray[Any]:
    used = _segment(file, size, position, b"ZISRAWDIRECTORY")
    if used is None:
        fault = "it has no directory of tiles (was the recording interrupted?)"
        raise ReadError(path, fault, _DAMAGED)
    payload = position + _HEADER.size
    if used < 128 or payload + used > size:
        raise ReadError(path, "its directory of tiles is cut off", _DAMAGED)
    raw = _read(file, payload, used)
    (count,) = struct.unpack_from("<i", raw, 0)
    if count == 0:
        raise ReadError(path, "it holds no image", "open a file that holds one")
    if count < 0 or 128 + count * _ENTRY.size > used:
        raise ReadError(path, "its directory of tiles is cut off", _DAMAGED)
    try:
        rows = _rows(path, raw, count)
    except struct.error as error:
        raise ReadError(path, "its directory of tiles is cut off", _DAMAGED) from error
    tiles = np.array(rows, dtype=np.dtype([(name, np.int64) for name in _COLUMNS]))
    _check(path, tiles, size)
    return tiles


def _rows(path: Path, raw: bytes, count: int) -> list[tuple[int, ...]]:
    rows = []
    offset = 128
    for _ in range(count):
        schema, pixel_type, at, part, _compression, _pyramid, n_dims = _ENTRY.unpack_from(
            raw, offset
        )
        if schema != b"DV" or not 0 < n_dims <= _MOST_DIMS:
            raise ReadError(path, "its directory of tiles is garbled", _DAMAGED)
        if part != 0:
            raise ReadError(path, "its pixels are in several files", "export it as one file")
        offset += _ENTRY.size
        starts = dict.fromkeys("XY" + _PLANE_DIMS, ABSENT)
        sizes = {"X": (0, 0), "Y": (0, 0)}
        for _ in range(n_dims):
            label, start, extent, _, stored = _DIMENSION.unpack_from(raw, offset)
            offset += _DIMENSION.size
            name = label.rstrip(b"\0 ").decode("ascii", "replace")
            if name not in starts:
                fault = f"a tile has the unknown dimension {name!r}"
                raise ReadError(path, fault, "export it from ZEN as a plain Z, C, T image")
            starts[name] = start
            if name in sizes:
                sizes[name] = (extent, stored or extent)
            elif extent > 1:
                fault = f"its tiles are {extent} thick along {name}, which is not supported"
                raise ReadError(path, fault, "export it from ZEN as a plain Z, C, T image")
        (w, stored_w), (h, stored_h) = sizes["X"], sizes["Y"]
        place = (starts["X"], starts["Y"], w, h, stored_w, stored_h)
        rows.append((pixel_type, at, *place, *(starts[d] for d in _PLANE_DIMS)))
    return rows


def _check(path: Path, tiles: NDArray[Any], size: int) -> None:
    extent = np.stack([tiles[n] for n in ("w", "h", "stored_w", "stored_h")])
    corner = np.stack([tiles["x"], tiles["y"]])
    if np.any(extent <= 0) or np.any(extent > _FURTHEST_PIXEL):
        raise ReadError(path, "a tile has an absurd size", _DAMAGED)
    if np.any(np.abs(corner) > _FURTHEST_PIXEL):  # ABSENT included
        raise ReadError(path, "a tile has an absurd place", _DAMAGED)
    for name in _PLANE_DIMS:
        index = tiles[name][tiles[name] != ABSENT]
        if index.size and (index.min() < 0 or index.max() > 10**7):
            raise ReadError(path, f"a tile has an absurd index along {name}", _DAMAGED)
    if np.any(tiles["position"] <= 0) or np.any(tiles["position"] + _HEADER.size > size):
        raise ReadError(path, "some of its tiles lie beyond the end of the file", _DAMAGED)


def _xml(file: BinaryIO, size: int, position: int) -> str:
    """The metadata; its absence is no reason to refuse pixels that can be read."""
    if _segment(file, size, position, b"ZISRAWMETADATA") is None:
        return ""
    payload = position + _HEADER.size
    head = _read(file, payload, 4)
    length = struct.unpack("<i", head)[0] if len(head) == 4 else 0
    if not 0 < length <= size - payload:
        return ""
    return _read(file, payload + 256, length).rstrip(b"\0").decode("utf-8", "replace")
