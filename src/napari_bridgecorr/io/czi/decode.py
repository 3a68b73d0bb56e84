"""The bytes of one tile or photograph to its pixels.

For what libCZI does not address: lines that are stored many at a time, CZI files and JPEGs that are
embedded in another file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import codecs

COMPRESSIONS: Mapping[int, str] = {
    0: "uncompressed",
    1: "JPEG",
    2: "LZW",
    4: "JPEG-XR",
    5: "zstd",
    6: "zstd",
}
"""Number in the file -> name, for those that can be decoded."""

_HIGH_AND_LOW_BYTES_APART = b"\x03\x01\x01"
_LARGEST_PHOTOGRAPH_PX = 2**27
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class Undecodable(Exception):
    """Why pixels cannot be decoded, as a clause; callers know the file and the remedy."""


def decode_tile(
    raw: bytes, compression: int, dtype: np.dtype[Any], shape: Sequence[int]
) -> NDArray[Any]:
    """Pixels of a tile.

    Parameters
    ----------
    raw : bytes
    compression : int
        One of `COMPRESSIONS`.
    dtype : dtype
    shape : sequence of int
        Slowest axis first, samples (in the file's order: blue, green, red) last.

    Raises
    ------
    Undecodable
        If they are damaged or of another size.
    """
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    try:
        if compression == 0:
            pixels = np.frombuffer(raw, dtype, count=int(np.prod(shape)))
        elif compression in (5, 6):
            pixels = _unzstd(raw, compression, dtype, n_bytes)
        elif compression == 2:
            pixels = np.frombuffer(codecs.decode_bytes("LZW", raw, n_bytes), dtype)
        elif compression == 4:
            pixels = _blue_first(codecs.decode_picture("JPEG-XR", raw))
        elif compression == 1:
            pixels = _jpeg_as_stored(raw, shape)
        else:
            raise Undecodable(f"compression {compression} is not known")
    except (codecs.CodecError, ValueError) as error:
        raise Undecodable(str(error)) from error
    if pixels.size != np.prod(shape) or pixels.dtype != dtype:
        raise Undecodable(f"{pixels.size} {pixels.dtype} pixels came out, not {shape} {dtype}")
    return np.asarray(pixels.reshape(shape))


def _unzstd(raw: bytes, compression: int, dtype: np.dtype[Any], n_bytes: int) -> NDArray[Any]:
    apart = False
    if compression == 6:
        # a header of its own length; in it, what was done to the bytes before
        length = raw[0] if raw else 0
        if length == 3 and raw[:3] == _HIGH_AND_LOW_BYTES_APART:
            apart = dtype.itemsize == 2
        elif length not in (1, 3):
            raise Undecodable("the header of a zstd tile is not known")
        raw = raw[length:]
    found = codecs.decode_bytes("zstd", raw, n_bytes)
    if apart:
        low, high = np.frombuffer(found, np.uint8).reshape(2, -1)
        words = high.astype(np.uint16)
        words <<= 8
        words |= low
        return words
    return np.frombuffer(found, dtype)


def encode_zstd(pixels: NDArray[Any], level: int) -> bytes:
    """Pixels as a zstd tile (compression 6), the bytes of 16-bit pixels set apart."""
    raw = np.ascontiguousarray(pixels)
    if raw.dtype.itemsize == 2:
        apart = np.ascontiguousarray(raw.view(np.uint8).reshape(-1, 2).T)
        return _HIGH_AND_LOW_BYTES_APART + codecs.encode_zstd(apart.tobytes(), level)
    return b"\x01" + codecs.encode_zstd(raw.tobytes(), level)


def _jpeg_as_stored(raw: bytes, shape: Sequence[int]) -> NDArray[Any]:
    rows, columns, _ = jpeg_size(raw)
    if rows * columns > np.prod(shape):
        raise Undecodable(f"a JPEG of {rows} x {columns} is in a tile of another size")
    return _blue_first(codecs.decode_picture("JPEG", raw))


def _blue_first(pixels: NDArray[Any]) -> NDArray[Any]:
    """Colours as tiles have them: they come out of the codecs red first."""
    return pixels[..., ::-1] if pixels.ndim == 3 else pixels


def jpeg_size(raw: bytes) -> tuple[int, int, int]:
    """Rows, columns and samples of a JPEG, from its header.

    Raises
    ------
    Undecodable
        If there is none, or it is absurd.
    """
    at = 2
    while raw[:2] == b"\xff\xd8" and at + 9 <= len(raw) and raw[at] == 0xFF:
        marker, length = raw[at + 1], struct.unpack_from(">H", raw, at + 2)[0]
        if marker in _JPEG_FRAMES:
            rows, columns, samples = struct.unpack_from(">HHB", raw, at + 5)
            if rows * columns == 0 or rows * columns > _LARGEST_PHOTOGRAPH_PX:
                raise Undecodable(f"a JPEG claims {rows} x {columns} pixels")
            if samples not in (1, 3):
                raise Undecodable(f"a JPEG has {samples} samples")
            return rows, columns, samples
        at += 2 + length
    raise Undecodable("there is no JPEG")


def decode_jpeg(raw: bytes) -> NDArray[Any]:
    """Pixels of a photograph.

    Returns
    -------
    (rows, columns, samples) array
        Samples in the order red, green, blue.

    Raises
    ------
    Undecodable
        If it is damaged.
    """
    rows, columns, samples = jpeg_size(raw)
    try:
        pixels = codecs.decode_picture("JPEG", raw)
    except codecs.CodecError as error:
        raise Undecodable(str(error)) from error
    if pixels.size != rows * columns * samples or pixels.dtype != np.uint8:
        raise Undecodable("the JPEG is not of the size that it states")
    return pixels.reshape(rows, columns, samples)
