"""Which codecs may unpack a chunk, and how much a chunk can unpack to. No zarr here.

A chunk of a few kilobytes can unpack to gigabytes, and a damaged one can claim to: it is refused
before it is unpacked, as far as its format says how large it becomes.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from .files import Unreadable

Packed = bytes | memoryview

# Codecs that only turn numbers into numbers. Others may run code that the file holds (pickle).
COMPRESSORS = frozenset({"blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "pcodec", "zfpy"})
_FILTERS = frozenset(
    {
        "delta", "fixedscaleoffset", "quantize", "astype", "shuffle", "packbits", "bitround",
        "adler32", "crc32", "crc32c", "fletcher32", "jenkins_lookup3",
    }
)  # fmt: skip
_PLAIN_V3 = frozenset({"bytes", "endian", "transpose", "crc32c"})

_STEP = 2**20
_ZSTD_MAGIC = 0xFD2FB528
_ZSTD_BLOCK = 2**17


def check_codecs(document: Mapping[str, Any]) -> None:
    """Refuse an array whose codecs are not known to be harmless, before zarr looks for them.

    Parameters
    ----------
    document : mapping
        The array's ``zarr.json`` or ``.zarray``.

    Raises
    ------
    Unreadable
        The reason goes on from the array's name.
    """
    if document.get("zarr_format") == 2:
        compressor, filters = document.get("compressor"), document.get("filters") or []
        if not isinstance(filters, list):
            raise Unreadable("is broken (its filters are no list)")
        listed = [*([] if compressor is None else [compressor]), *filters]
        for entry in listed:
            found = entry.get("id") if isinstance(entry, Mapping) else entry
            if not isinstance(found, str) or found not in COMPRESSORS | _FILTERS:
                raise Unreadable(f"is packed by {found!r}, which is not read")
        return
    _check_codecs_v3(document.get("codecs"), 0)


def _check_codecs_v3(codecs: Any, depth: int) -> None:
    if not isinstance(codecs, list) or not codecs or depth > 2:
        raise Unreadable("is broken (its codecs are no list of codecs)")
    for entry in codecs:
        found = entry.get("name") if isinstance(entry, Mapping) else entry
        if found == "sharding_indexed" and isinstance(entry, Mapping):
            inner = entry.get("configuration")
            inner = inner if isinstance(inner, Mapping) else {}
            _check_codecs_v3(inner.get("codecs"), depth + 1)
            index = inner.get("index_codecs")
            _check_codecs_v3(index, depth + 1)
            for codec in index if isinstance(index, list) else []:
                kind = codec.get("name") if isinstance(codec, Mapping) else codec
                # its size must follow from the number of chunks
                if kind not in ("bytes", "crc32c"):
                    raise Unreadable(f"has an index packed by {kind!r}")
        elif not isinstance(found, str) or not (
            found in _PLAIN_V3 | {"blosc", "gzip", "zstd"}
            or found.removeprefix("numcodecs.") in COMPRESSORS | _FILTERS
        ):
            raise Unreadable(f"is packed by {found!r}, which is not read")


class Overflowing(ValueError):
    """A chunk unpacks to more than its array states."""


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def check_unpacked(codec: str, packed: Packed, most: int) -> None:
    """Raise Overflowing if `packed` would unpack to more than `most` bytes.

    Parameters
    ----------
    codec : str
        Its name in numcodecs or zarr; nothing is checked for those that cannot grow.
    packed : bytes or memoryview
    most : int
    """
    check = _CHECKS.get(codec.removeprefix("numcodecs."))
    if check is not None:
        check(packed, most)


def _refuse(stated: int, most: int) -> None:
    if stated > most:
        raise Overflowing(f"it would unpack to {stated} bytes where at most {most} belong")


def _blosc(packed: Packed, most: int) -> None:
    _refuse(int.from_bytes(packed[4:8], "little"), most)


def _lz4(packed: Packed, most: int) -> None:
    _refuse(int.from_bytes(packed[:4], "little"), most)


def _zstd(packed: Packed, most: int) -> None:
    """Sum of what the blocks of every frame can hold (RFC 8878, section 3.1.1)."""
    at, total = 0, 0
    while at + 5 <= len(packed):
        magic = int.from_bytes(packed[at : at + 4], "little")
        if magic & 0xFFFFFFF0 == 0x184D2A50:  # a frame to be skipped
            at += 8 + int.from_bytes(packed[at + 4 : at + 8], "little")
            continue
        if magic != _ZSTD_MAGIC:
            return  # the codec itself will say that it is broken
        descriptor = packed[at + 4]
        is_single, size_code = bool(descriptor & 0x20), descriptor >> 6
        at += 5 + (not is_single) + (0, 1, 2, 4)[descriptor & 3]
        width = (1 if is_single else 0, 2, 4, 8)[size_code]
        if width:
            stated = int.from_bytes(packed[at : at + width], "little")
            _refuse(stated + (256 if width == 2 else 0), most)
        at += width
        is_last = False
        while not is_last and at + 3 <= len(packed):
            header = int.from_bytes(packed[at : at + 3], "little")
            is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
            total += _ZSTD_BLOCK if kind == 2 else size
            at += 3 + (1 if kind == 1 else size)
        # small flushed blocks are counted as full ones
        _refuse(total, max(16 * most, 2**27))
        at += 4 if descriptor & 4 else 0


def _streamed(unpacker: Callable[[], _Unpacker]) -> Callable[[Packed, int], None]:
    def check(packed: Packed, most: int) -> None:
        # no stream unpacks to more than 1032 (zlib) times itself; the others are rare
        if unpacker is _inflate and len(packed) * 1032 <= most:
            return
        working = unpacker()
        given, total = bytes(packed), 0
        try:
            while not working.eof:
                part = working.decompress(given, _STEP)
                total += len(part)
                _refuse(total, most)
                given = getattr(working, "unconsumed_tail", b"")
                if not part and not given:
                    return
        except (zlib.error, lzma.LZMAError, OSError, EOFError):
            return  # the codec itself will say that it is broken

    return check


def _inflate() -> _Unpacker:
    return zlib.decompressobj(zlib.MAX_WBITS | 32)  # with zlib's or gzip's header


_CHECKS: dict[str, Callable[[Packed, int], None]] = {
    "blosc": _blosc,
    "lz4": _lz4,
    "zstd": _zstd,
    "zlib": _streamed(_inflate),
    "gzip": _streamed(_inflate),
    "bz2": _streamed(bz2.BZ2Decompressor),
    "lzma": _streamed(lzma.LZMADecompressor),
}
