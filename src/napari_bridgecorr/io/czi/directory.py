"""The directory of tiles of a CZI file, and the header that each tile repeats.

A damaged file is refused here, before the native library sees it, with words that say what is
wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from .segments import (
    DAMAGED,
    HEADER,
    CziFile,
    CziHeader,
    FilePart,
    open_part,
    payload_bytes,
    read_header,
    read_xml,
)

ABSENT = np.iinfo(np.int64).min
"""Start of a dimension that a tile does not state."""
PLANE_DIMS = "TCZHIVRBS"
"""Dimensions that tell one plane from another; S is the scene."""
PIXEL_TYPES: Mapping[int, tuple[str, str, int]] = {
    0: ("Gray8", "uint8", 1),
    1: ("Gray16", "uint16", 1),
    2: ("Gray32Float", "float32", 1),
    3: ("Bgr24", "uint8", 3),
    4: ("Bgr48", "uint16", 3),
    8: ("Bgr96Float", "float32", 3),
}
"""Number in the file -> name in Zeiss' library, numpy dtype, samples per pixel."""

_ENTRY = struct.Struct("<2siqiiB5xi")
_DIMENSION = struct.Struct("<4siifi")
_TILE = struct.Struct("<iiq")
_MOST_DIMS = 40
_DIMENSION_TYPE = np.dtype(
    [("label", "S4"), ("start", "<i4"), ("extent", "<i4"), ("_at", "<f4"), ("stored", "<i4")]
)
_EXTENTS = tuple(f"n{d}" for d in PLANE_DIMS)
_COLUMNS = (
    *("pixel_type", "compression", "position", "x", "y", "w", "h", "stored_w", "stored_h"),
    *(*PLANE_DIMS, "M"),
    *_EXTENTS,
)
_FURTHEST_PIXEL = 10**8
"""Beyond it (40 m at 0.4 um) a tile's place is taken for damage."""
_PARSED_AT_ONCE = 4096
_MOST_TILE_BYTES = 2**30
_SUSPICIOUS_TILE_BYTES = 2**26
_MOST_TIMES_SMALLER = 50_000
"""No codec stores a tile in fewer bytes than a 50,000th; a header that says so lies."""


@dataclass(frozen=True, eq=False)
class CziDirectory:
    """Every tile of a file, and its XML.

    Parameters
    ----------
    tiles : structured array
        One row per tile, int64 fields ``pixel_type``, ``compression``, ``position`` (byte), ``x``,
        ``y``, ``w``, ``h`` (level-0 pixels of the file's own frame), ``stored_w``, ``stored_h``
        (pixels stored), the index along each of `PLANE_DIMS` and ``M``, `ABSENT` where not stated,
        and ``nT``, ``nC``...: how many indices the tile holds along it.
    header : CziHeader
    xml : str
        The metadata, empty where the file has none.
    """

    tiles: NDArray[np.void]
    header: CziHeader
    xml: str

    @property
    def full_resolution(self) -> NDArray[np.bool_]:
        """Which tiles are stored at full resolution (the others belong to the pyramid)."""
        t = self.tiles
        same = (t["w"] == t["stored_w"]) & (t["h"] == t["stored_h"])
        return np.asarray(same, dtype=np.bool_)


def read_directory(file: CziFile) -> CziDirectory:
    """Read a file's directory and XML.

    Raises
    ------
    ReadError
        If the file is empty, truncated, not a CZI, in several parts, or inconsistent.
    """
    with open_part(file) as part:
        header = read_header(file.path, part)
        tiles = _tiles(file.path, part, header.directory_at)
        return CziDirectory(tiles, header, read_xml(part, header.metadata_at))


def _tiles(path: str, part: FilePart, position: int) -> NDArray[np.void]:
    used = payload_bytes(part, position, b"ZISRAWDIRECTORY")
    if used is None:
        fault = "it has no directory of tiles (was the recording interrupted?)"
        raise ReadError(path, fault, DAMAGED)
    payload = position + HEADER.size
    if used < 128 or payload + used > part.size:
        raise ReadError(path, "its directory of tiles is cut off", DAMAGED)
    raw = part.read(payload, used)
    (count,) = struct.unpack_from("<i", raw, 0)
    if count == 0:
        raise ReadError(path, "it holds no image", "open a file that holds one")
    if count < 0 or 128 + count * _ENTRY.size > used:
        raise ReadError(path, "its directory of tiles is cut off", DAMAGED)
    tiles = _parsed(path, raw, count)
    _check(path, tiles, part.size)
    return tiles


def _parsed(path: str, raw: bytes, count: int) -> NDArray[np.void]:
    """Entries are of as many bytes as they have dimensions: found one by one, parsed together."""
    offsets, n_dims = np.empty(count, np.int64), np.empty(count, np.int64)
    at = 128
    for i in range(count):
        if at + _ENTRY.size > len(raw):
            raise ReadError(path, "its directory of tiles is cut off", DAMAGED)
        (n,) = struct.unpack_from("<i", raw, at + 28)
        if raw[at : at + 2] != b"DV" or not 0 < n <= _MOST_DIMS:
            raise ReadError(path, "its directory of tiles is garbled", DAMAGED)
        offsets[i], n_dims[i] = at, n
        at += _ENTRY.size + n * _DIMENSION.size
    if at > len(raw):
        raise ReadError(path, "its directory of tiles is cut off", DAMAGED)
    tiles = np.zeros(count, np.dtype([(name, np.int64) for name in _COLUMNS]))
    for dim in ("x", "y", *PLANE_DIMS, "M"):
        tiles[dim] = ABSENT
    for name in _EXTENTS:
        tiles[name] = 1
    whole = np.frombuffer(raw, np.uint8)
    for n in np.unique(n_dims).tolist():
        same = np.flatnonzero(n_dims == n)
        for first in range(0, len(same), _PARSED_AT_ONCE):
            rows = same[first : first + _PARSED_AT_ONCE]
            size = _ENTRY.size + n * _DIMENSION.size
            entries = whole[offsets[rows, None] + np.arange(size)]
            _fill(path, tiles, rows, np.frombuffer(entries.tobytes(), _entry_type(n)))
    return tiles


def _entry_type(n_dims: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("schema", "S2"),
            ("pixel_type", "<i4"),
            ("position", "<i8"),
            ("part", "<i4"),
            ("compression", "<i4"),
            ("_pyramid", "V6"),
            ("n_dims", "<i4"),
            ("dims", _DIMENSION_TYPE, (n_dims,)),
        ]
    )


def _fill(
    path: str, tiles: NDArray[np.void], rows: NDArray[np.intp], entries: NDArray[np.void]
) -> None:
    if np.any(entries["part"] != 0):
        raise ReadError(path, "its pixels are in several files", "export it as one file")
    for name in ("pixel_type", "compression", "position"):
        tiles[name][rows] = entries[name]
    for column in range(entries["dims"].shape[1]):
        dims = entries["dims"][:, column]
        for label in np.unique(dims["label"]):
            here = dims["label"] == label
            at, extent = rows[here], dims["extent"][here]
            name = label.decode("ascii", "replace").rstrip()
            if name in ("X", "Y"):
                side = {"X": "w", "Y": "h"}[name]
                stored = dims["stored"][here]
                tiles[name.lower()][at] = dims["start"][here]
                tiles[side][at] = extent
                tiles[f"stored_{side}"][at] = np.where(stored == 0, extent, stored)
            elif len(name) == 1 and name in PLANE_DIMS + "M":
                tiles[name][at] = dims["start"][here]
                # some writers state a nonsensical number of mosaic tiles in a tile
                if name != "M":
                    tiles[f"n{name}"][at] = np.maximum(extent, 1)
            else:
                fault = f"a tile has the unknown dimension {name!r}"
                raise ReadError(path, fault, "export it from ZEN as a plain Z, C, T image")


def _check(path: str, tiles: NDArray[np.void], size: int) -> None:
    extent = np.stack([tiles[n] for n in ("w", "h", "stored_w", "stored_h")])
    corner = np.stack([tiles["x"], tiles["y"]])
    if np.any(extent <= 0) or np.any(extent > _FURTHEST_PIXEL):
        raise ReadError(path, "a tile has an absurd size", DAMAGED)
    if np.any(np.abs(corner) > _FURTHEST_PIXEL) or np.any(corner == ABSENT):
        raise ReadError(path, "a tile has an absurd place", DAMAGED)
    for name in (*PLANE_DIMS, "M"):
        index = tiles[name][tiles[name] != ABSENT]
        if index.size and (index.min() < 0 or index.max() > 10**7):
            raise ReadError(path, f"a tile has an absurd index along {name}", DAMAGED)
    for name in _EXTENTS:
        if tiles[name].max() > _FURTHEST_PIXEL:
            raise ReadError(path, f"a tile is absurdly thick along {name[1]}", DAMAGED)
    if np.any(tiles["nS"] > 1):
        raise ReadError(path, "a tile belongs to several scenes", "export the scenes from ZEN")
    n_bytes = tiles["stored_w"].astype(np.float64) * tiles["stored_h"]
    for number, (_, dtype, samples) in PIXEL_TYPES.items():
        n_bytes[tiles["pixel_type"] == number] *= np.dtype(dtype).itemsize * samples
    if n_bytes.max() > _MOST_TILE_BYTES:
        raise ReadError(path, "a tile claims more pixels than it can hold", DAMAGED)
    if np.any((tiles["compression"] == 0) & (tiles["position"] + n_bytes > size)):
        raise ReadError(path, "some of its tiles lie beyond the end of the file", DAMAGED)
    if np.any(tiles["position"] <= 0) or np.any(tiles["position"] + HEADER.size > size):
        raise ReadError(path, "some of its tiles lie beyond the end of the file", DAMAGED)


@dataclass(frozen=True)
class TileHeader:
    """What a tile says of itself.

    Parameters
    ----------
    pixel_type, compression : int
    dims : tuple of (str, int, int)
        Name, start and number of stored pixels of each dimension, the fastest first.
    position, size : int
        Where its pixels are (bytes).
    """

    pixel_type: int
    compression: int
    dims: tuple[tuple[str, int, int], ...]
    position: int
    size: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the decoded pixels."""
        _, dtype, samples = PIXEL_TYPES.get(self.pixel_type, ("", "uint8", 1))
        count = np.dtype(dtype).itemsize * samples
        for _, _, stored in self.dims:
            count *= stored
        return count


def read_tile_header(path: str, part: FilePart, position: int) -> TileHeader:
    """Read and check the header that a tile carries itself.

    Raises
    ------
    ReadError
        If it is damaged, or claims more pixels than its bytes can hold.
    """
    fixed = HEADER.size + _TILE.size + _ENTRY.size
    head = part.read(position, fixed)
    if len(head) < fixed:
        raise ReadError(path, "a tile lies beyond the end of the file", DAMAGED)
    name, allocated, _ = HEADER.unpack_from(head)
    metadata, attachment, data = _TILE.unpack_from(head, HEADER.size)
    schema, pixel_type, _, _, compression, _, n_dims = _ENTRY.unpack_from(
        head, HEADER.size + _TILE.size
    )
    sizes = (metadata, attachment, data)
    entry = _TILE.size + _ENTRY.size + n_dims * _DIMENSION.size
    begin = max(256, entry)
    if (
        name.rstrip(b"\0") != b"ZISRAWSUBBLOCK"
        or min(sizes) < 0
        or begin + sum(sizes) > allocated
        or position + HEADER.size + allocated > part.size
        or schema != b"DV"
        or not 0 < n_dims <= _MOST_DIMS
    ):
        raise ReadError(path, "the header of a tile is garbled", DAMAGED)
    dims = []
    raw = part.read(position + fixed, n_dims * _DIMENSION.size)
    for label, start, extent, _, stored in _DIMENSION.iter_unpack(raw):
        text = label.rstrip(b"\0 ")
        if (
            not text.isalpha()
            or min(extent, stored) < 0
            or max(abs(start), extent, stored) > _FURTHEST_PIXEL
        ):
            raise ReadError(path, "the header of a tile is garbled", DAMAGED)
        letter = text.decode("ascii", "replace")
        dims.append((letter, start, 1 if letter in "SM" else max(1, stored or extent)))
    found = TileHeader(
        pixel_type, compression, tuple(dims), position + HEADER.size + begin + metadata, data
    )
    wanted = found.n_bytes
    if wanted > _MOST_TILE_BYTES or (
        wanted > _SUSPICIOUS_TILE_BYTES and wanted > _MOST_TIMES_SMALLER * data
    ):
        raise ReadError(path, "a tile claims more pixels than it can hold", DAMAGED)
    if compression == 0 and data < wanted:
        raise ReadError(path, "a tile holds fewer pixels than it claims", DAMAGED)
    return found
