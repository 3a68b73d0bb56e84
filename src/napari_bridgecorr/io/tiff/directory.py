"""The page directories of a TIFF file, walked and checked before any library sees them.

A library that meets a pointer beyond the end of the file takes it for the end of the chain, so that
half a stack looks like a stack; one that believes a directory's numbers allocates what they claim.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ...errors import ReadError

COPY_AGAIN = "copy or export it again"

# a hostile chain of a million pages must not cost a minute; half an hour of video has fewer
_MOST_PAGES = 200_000
_MOST_DIRECTORIES = 500_000
_MOST_TAGS = 4096
_MOST_SEGMENTS = 2**22
_MOST_VALUE_BYTES = 256 * 2**20

_TYPE_BYTES = {
    **{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4},
    **{16: 8, 17: 8, 18: 8},
}
_UNSIGNED = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}

# what two pages must share to be decoded alike: width, length, bits, compression, photometric,
# fill order, samples, rows per strip, planar configuration, predictor, tile size, depth, extra
# samples, sample format, subsampling
_KIND_TAGS = frozenset(
    (256, 257, 258, 259, 262, 266, 277, 278, 284, 317, 322, 323, 32997, 32998, 338, 339, 530)
)
_SUB_DIRECTORIES = 330
_OFFSETS, _COUNTS = (273, 324), (279, 325)
_JPEG_TABLES = 347
_NDPI = 65420

Kind = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Directory:
    """One page.

    Parameters
    ----------
    offset : int
        Where it lies in the file.
    kind : tuple
        Equal where two pages are decoded alike and have the same shape and pixel type.
    offsets, counts : sequence of int
        Of its strips or tiles, in bytes.
    tables : bytes or None
        JPEG tables that its strips or tiles share.
    children : tuple of Directory
        Its SubIFDs: the reduced images of a pyramid.
    is_reduced : bool
        It says of itself that it is a reduced image.
    """

    offset: int
    kind: Kind
    offsets: Sequence[int]
    counts: Sequence[int]
    tables: bytes | None
    children: tuple[Directory, ...]
    is_reduced: bool

    def __hash__(self) -> int:
        return hash(self.offset)


def read_directories(path: Path) -> tuple[Directory, ...]:
    """The pages of a file in their order.

    Parameters
    ----------
    path : Path
        Begins like a TIFF file.

    Raises
    ------
    ReadError
        If a directory lies beyond the end of the file, the chain loops, or a number in it is
        absurd.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        return _Walk(path, file).pages()


class _Walk:
    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._size = path.stat().st_size
        head = file.read(16)
        self._order = "<" if head[:2] == b"II" else ">"
        self._is_big = head[2:4] in (b"+\0", b"\0+")
        if len(head) < 8 + 8 * self._is_big:
            raise ReadError(path, f"is cut short (it has {self._size} bytes)", COPY_AGAIN)
        self._count = struct.Struct(self._order + ("Q" if self._is_big else "H"))
        self._entry = struct.Struct(self._order + ("HHQ8s" if self._is_big else "HHI4s"))
        self._pointer = struct.Struct(self._order + ("Q" if self._is_big else "I"))
        (self._first,) = self._pointer.unpack_from(head, 8 if self._is_big else 4)
        self._is_ndpi = False
        self._n_seen = 0

    def pages(self) -> tuple[Directory, ...]:
        """The main chain, each page with its sub-directories."""
        if self._first == 0:
            raise ReadError(self._path, "holds no image", COPY_AGAIN)
        at, seen, found = self._first, set[int](), list[Directory]()
        while at:
            if at in seen:
                raise self._damaged("its pages point in a circle")
            seen.add(at)
            if len(found) >= _MOST_PAGES:
                raise ReadError(
                    self._path,
                    f"claims more than {_MOST_PAGES} pages",
                    "split it, or convert it to OME-Zarr",
                )
            try:
                page, at = self._page(at, depth=0)
            except EOFError:
                raise ReadError(
                    self._path, f"is cut short after {len(found)} pages", COPY_AGAIN
                ) from None
            found.append(page)
        return tuple(found)

    def _damaged(self, why: str) -> ReadError:
        return ReadError(self._path, f"is damaged ({why})", COPY_AGAIN)

    def _bytes(self, at: int, length: int) -> bytes:
        if at + length > self._size:
            raise EOFError
        self._file.seek(at)
        raw = self._file.read(length)
        if len(raw) < length:
            raise EOFError
        return raw

    def _page(self, at: int, depth: int) -> tuple[Directory, int]:
        self._n_seen += 1
        if self._n_seen > _MOST_DIRECTORIES:
            raise self._damaged(f"it claims more than {_MOST_DIRECTORIES} images")
        (n_tags,) = self._count.unpack(self._bytes(at, self._count.size))
        if n_tags > _MOST_TAGS:
            raise self._damaged(f"a page claims {n_tags} tags")
        start = at + self._count.size
        raw = self._bytes(start, n_tags * self._entry.size)
        # the first entry of a code counts, as for every reader
        entries: dict[int, tuple[int, int, bytes]] = {}
        for code, kind, count, value in self._entry.iter_unpack(raw):
            entries.setdefault(code, (kind, count, value))
            if count * _TYPE_BYTES.get(kind, 1) > _MOST_VALUE_BYTES:
                raise self._damaged(f"tag {code} claims {count} values")
        if at == self._first and not self._is_big:
            self._is_ndpi = _NDPI in entries
        # Hamamatsu writes classic TIFF with 64-bit pointers between pages
        pointer = struct.Struct("<Q") if self._is_ndpi else self._pointer
        (following,) = pointer.unpack(self._bytes(start + len(raw), pointer.size))
        return self._directory(at, entries, depth), int(following)

    def _directory(
        self, at: int, entries: dict[int, tuple[int, int, bytes]], depth: int
    ) -> Directory:
        def numbers(code: int, most: int) -> Sequence[int]:
            return self._numbers(code, entries[code], most) if code in entries else ()

        kind = [self._order, self._is_big]
        for code in sorted(_KIND_TAGS & entries.keys()):
            kind.append((code, self._raw(code, entries[code], 2**16)))
        if self._is_ndpi:
            offsets: Sequence[int] = ()
            counts: Sequence[int] = ()
        else:
            offsets = next((numbers(c, _MOST_SEGMENTS) for c in _OFFSETS if c in entries), ())
            counts = next((numbers(c, _MOST_SEGMENTS) for c in _COUNTS if c in entries), ())
        children: list[Directory] = []
        if depth == 0 and _SUB_DIRECTORIES in entries and not self._is_ndpi:
            for place in numbers(_SUB_DIRECTORIES, 1024):
                if place < 8:
                    continue  # what some writers put where there is none
                try:
                    children.append(self._page(int(place), depth + 1)[0])
                except EOFError:
                    raise self._damaged(f"a page lies beyond its end, at byte {place}") from None
        tables = entries.get(_JPEG_TABLES)
        reduced = numbers(254, 1)
        return Directory(
            offset=at,
            kind=tuple(kind),
            offsets=offsets,
            counts=counts,
            tables=None if tables is None else self._raw(_JPEG_TABLES, tables, 2**20),
            children=tuple(children),
            is_reduced=bool(reduced and int(reduced[0]) & 1),
        )

    def _raw(self, code: int, entry: tuple[int, int, bytes], most: int) -> bytes:
        """The bytes of a tag's value."""
        kind, count, value = entry
        length = count * _TYPE_BYTES.get(kind, 1)
        if length <= len(value):
            return value[:length]
        if length > most:
            raise self._damaged(f"tag {code} claims {count} values")
        (place,) = self._pointer.unpack(value)
        try:
            return self._bytes(place, length)
        except EOFError:
            raise ReadError(
                self._path,
                f"is cut short: tag {code} lies at byte {place}, the file ends at {self._size}",
                COPY_AGAIN,
            ) from None

    def _numbers(self, code: int, entry: tuple[int, int, bytes], most: int) -> Sequence[int]:
        kind, count, _ = entry
        if kind not in _UNSIGNED or count > most:
            raise self._damaged(f"tag {code} claims {count} values of type {kind}")
        raw = self._raw(code, entry, _MOST_VALUE_BYTES)
        values = np.frombuffer(raw, self._order + _UNSIGNED[kind])
        if values.size <= 16:
            return tuple(values.tolist())
        if values.dtype.kind == "u" and values.max() > self._size:
            # offsets and sizes beyond the file: int64 could not hold them all
            values = np.minimum(values, np.uint64(2**62))
        # long tables of tiles are kept as arrays: a tuple would take five times as much memory
        return cast(Sequence[int], values.astype(np.int64))
