"""The page directories of a TIFF file, walked and checked before any library sees them.

A library that meets a pointer beyond the end of the file takes it for the end of the chain, so that
half a stack looks like a stack; one that believes a directory's numbers allocates what they claim.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

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
_UNSIGNED = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
# of a directory with forty tags: read at once
_USUAL_BYTES = 512
_FEW = 16

# what two pages must share to be decoded alike: width, length, bits, compression, photometric,
# fill order, samples, rows per strip, planar configuration, predictor, tile size, depth, extra
# samples, sample format, subsampling
_KIND_TAGS = frozenset(
    (256, 257, 258, 259, 262, 266, 277, 278, 284, 317, 322, 323, 32997, 32998, 338, 339, 530)
)
_SUB_DIRECTORIES = 330
_OFFSETS, _COUNTS = (273, 324), (279, 325)
_JPEG_TABLES = 347
_SUBFILE_TYPE = 254
_NDPI_POINTER = struct.Struct("<Q")
_NDPI = 65420

Kind = tuple[object, ...]


class Directory(NamedTuple):
    """One page. (A tuple, because there may be hundreds of thousands.)

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


class _Value(NamedTuple):
    """Where a tag's value stands in the bytes of a directory, and how long it is."""

    code: int
    type: int
    n: int
    start: int
    n_bytes: int


@dataclass(frozen=True)
class _Plan:
    """What to take from directories that have the same tags, types and counts."""

    kind_head: tuple[tuple[int, int, int], ...]
    near: tuple[tuple[int, int], ...]
    far: tuple[_Value, ...]
    offsets: _Value | None
    counts: _Value | None
    children: _Value | None
    tables: _Value | None
    reduced: _Value | None


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
        # code, type and count of a tag; its value or where that lies
        self._entry = np.dtype(
            [("head", "V12" if self._is_big else "V8"), ("value", "V8" if self._is_big else "V4")]
        )
        number = self._order + ("u8" if self._is_big else "u4")
        self._head = np.dtype(
            [("code", self._order + "u2"), ("type", self._order + "u2"), ("count", number)]
        )
        self._plans: dict[bytes, _Plan] = {}
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
        self._file.seek(at)
        raw = self._file.read(_USUAL_BYTES)
        if len(raw) < self._count.size:
            raise EOFError
        (n_tags,) = self._count.unpack_from(raw)
        if n_tags > _MOST_TAGS:
            raise self._damaged(f"a page claims {n_tags} tags")
        start = self._count.size
        stop = start + n_tags * self._entry.itemsize
        if stop + 8 > len(raw):
            raw = self._bytes(at, min(stop + 8, self._size - at))
        if stop + self._pointer.size > len(raw):
            raise EOFError
        entries = np.frombuffer(raw, self._entry, n_tags, start)
        plan = self._plan(entries["head"].tobytes(), start)
        if at == self._first and not self._is_big:
            self._is_ndpi = any(self._codes(entries) == _NDPI)
        # Hamamatsu writes classic TIFF with 64-bit pointers between pages
        pointer = _NDPI_POINTER if self._is_ndpi else self._pointer
        if stop + pointer.size > len(raw):
            raise EOFError
        (following,) = pointer.unpack_from(raw, stop)
        return self._directory(at, raw, plan, depth), int(following)

    def _codes(self, entries: Any) -> Any:
        heads = np.frombuffer(entries["head"].tobytes(), self._head)
        return heads["code"]

    def _plan(self, heads: bytes, start: int) -> _Plan:
        plan = self._plans.get(heads)
        if plan is None:
            plan = self._plans[heads] = self._made_plan(heads, start)
        return plan

    def _made_plan(self, heads: bytes, start: int) -> _Plan:
        values: dict[int, _Value] = {}
        width = self._pointer.size
        for number, (code, kind, count) in enumerate(np.frombuffer(heads, self._head).tolist()):
            n_bytes = count * _TYPE_BYTES.get(kind, 1)
            if n_bytes > _MOST_VALUE_BYTES:
                raise self._damaged(f"tag {code} claims {count} values")
            place = start + (number + 1) * self._entry.itemsize - width
            # the first entry of a code counts, as for every reader
            values.setdefault(code, _Value(code, kind, count, place, n_bytes))
        kinds = [values[code] for code in sorted(_KIND_TAGS & values.keys())]
        return _Plan(
            kind_head=tuple((v.code, v.type, v.n) for v in kinds),
            near=tuple((v.start, v.start + v.n_bytes) for v in kinds if v.n_bytes <= width),
            far=tuple(v for v in kinds if v.n_bytes > width),
            offsets=None if self._is_ndpi else _first_of(values, _OFFSETS),
            counts=None if self._is_ndpi else _first_of(values, _COUNTS),
            children=None if self._is_ndpi else values.get(_SUB_DIRECTORIES),
            tables=values.get(_JPEG_TABLES),
            reduced=values.get(_SUBFILE_TYPE),
        )

    def _directory(self, at: int, raw: bytes, plan: _Plan, depth: int) -> Directory:
        kind = (
            self._order,
            plan.kind_head,
            b"".join([raw[a:b] for a, b in plan.near]),
            *(self._value(raw, value, 2**16) for value in plan.far),
        )
        children: list[Directory] = []
        if depth == 0 and plan.children is not None:
            for place in self._numbers(raw, plan.children, 1024):
                if place < 8:
                    continue  # what some writers put where there is none
                try:
                    children.append(self._page(int(place), depth + 1)[0])
                except EOFError:
                    raise self._damaged(f"a page lies beyond its end, at byte {place}") from None
        reduced = self._numbers(raw, plan.reduced, 1) if plan.reduced is not None else ()
        return Directory(
            at,
            kind,
            self._numbers(raw, plan.offsets, _MOST_SEGMENTS) if plan.offsets is not None else (),
            self._numbers(raw, plan.counts, _MOST_SEGMENTS) if plan.counts is not None else (),
            self._value(raw, plan.tables, 2**20) if plan.tables is not None else None,
            tuple(children),
            bool(reduced and int(reduced[0]) & 1),
        )

    def _value(self, raw: bytes, value: _Value, most: int) -> bytes:
        """The bytes of a tag's value."""
        if value.n_bytes <= self._pointer.size:
            return raw[value.start : value.start + value.n_bytes]
        if value.n_bytes > most:
            raise self._damaged(f"tag {value.code} claims {value.n} values")
        (place,) = self._pointer.unpack_from(raw, value.start)
        try:
            return self._bytes(place, value.n_bytes)
        except EOFError:
            raise ReadError(
                self._path,
                f"is cut short: tag {value.code} lies at byte {place}, the file ends at "
                f"{self._size}",
                COPY_AGAIN,
            ) from None

    def _numbers(self, raw: bytes, value: _Value, most: int) -> Sequence[int]:
        letter = _UNSIGNED.get(value.type)
        if letter is None or value.n > most:
            raise self._damaged(f"tag {value.code} claims {value.n} values of type {value.type}")
        if value.n <= _FEW and value.n_bytes <= self._pointer.size:
            return struct.unpack_from(f"{self._order}{value.n}{letter}", raw, value.start)
        stored = self._value(raw, value, _MOST_VALUE_BYTES)
        if value.n <= _FEW:
            return struct.unpack(f"{self._order}{value.n}{letter}", stored)
        numbers = np.frombuffer(stored, f"{self._order}u{_TYPE_BYTES[value.type]}")
        if numbers.max() > self._size:
            # offsets and sizes beyond the file: int64 could not hold them all
            numbers = np.minimum(numbers, np.uint64(2**62))
        # long tables of tiles are kept as arrays: a tuple would take five times as much memory
        return cast(Sequence[int], numbers.astype(np.int64))


def _first_of(values: Mapping[int, _Value], codes: tuple[int, ...]) -> _Value | None:
    return next((values[code] for code in codes if code in values), None)
