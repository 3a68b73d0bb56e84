"""Reads the groups, strings and numbers of an HDF5 file of transforms, in plain Python.

The HDF5 library (in SimpleITK as elsewhere) kills the interpreter on some three in a hundred
damaged files, so that it never sees a file that was not written by us. What ITK, ANTs and Slicer
write is read: compact groups or symbol tables; contiguous, compact or chunked data, deflated or
not. Section numbers are those of the HDF5 File Format Specification 3.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .hdf5_bytes import Damaged, lookup3, unfiltered

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_UNDEFINED = 2**64 - 1
_MOST_MESSAGES = 4096
_MOST_LINKS = 4096
_MOST_CHUNKS = 2**20
_LARGEST_BYTES = 2**33
# a deflate stream expands at most 1032-fold (zlib's technical notes)
_DEFLATE_RATIO = 1032


@dataclass(frozen=True)
class _Message:
    kind: int
    at: int
    size: int


@dataclass(frozen=True, eq=False)
class _Type:
    """Datatype of a dataset: numbers, or text of fixed or variable length."""

    size: int
    number: np.dtype[Any] | None = None
    is_variable: bool = False


@dataclass(frozen=True, eq=False)
class Hdf5File:
    """The objects of a file held in memory (or mapped into it).

    Parameters
    ----------
    content : bytes-like
        The whole file.
    """

    content: Any

    def root(self) -> int:
        """Address of the root group's object header.

        Raises
        ------
        Damaged
        """
        if self._bytes(0, 8) != _SIGNATURE:
            raise Damaged("it does not begin as an HDF5 file")
        version = self._number(8, 1)
        if version in (2, 3):
            self._require_sizes(self._number(9, 1), self._number(10, 1))
            self._check(0, 44)
            base, end, root = (self._number(at, 8) for at in (12, 28, 36))
        elif version in (0, 1):
            self._require_sizes(self._number(13, 1), self._number(14, 1))
            start = 24 if version == 0 else 28
            base, end = self._number(start, 8), self._number(start + 16, 8)
            root = self._number(start + 40, 8)
        else:
            raise Damaged(f"its superblock has the unknown version {version}")
        if base != 0:
            raise Damaged("its HDF5 part does not begin with the file")
        if end > len(self.content):
            raise Damaged(f"it is cut short ({end} bytes announced, {len(self.content)} found)")
        return root

    def links(self, group: int) -> dict[str, int]:
        """Names in a group and the addresses of their object headers.

        Raises
        ------
        Damaged
        """
        found: dict[str, int] = {}
        for message in self._messages(group):
            if message.kind == 0x06:
                found.update(self._link(message.at))
            elif message.kind == 0x11:
                tree, heap = self._number(message.at, 8), self._number(message.at + 8, 8)
                found.update(self._symbols(tree, heap))
            elif message.kind == 0x02:
                flags = self._number(message.at + 1, 1)
                at = message.at + 2 + (8 if flags & 1 else 0)
                if self._number(at, 8) != _UNDEFINED:
                    raise Damaged("it holds more transforms than are read here (more than 8)")
            if len(found) > _MOST_LINKS:
                raise Damaged("a group in it is absurdly large")
        return found

    def text(self, dataset: int) -> str:
        """The one string of a dataset.

        Raises
        ------
        Damaged
        """
        kind, shape, raw = self._dataset(dataset)
        if kind.number is not None or np.prod(shape, dtype=object) != 1:
            raise Damaged("a name in it is no text")
        if kind.is_variable:
            length, address, index = struct.unpack("<IQI", raw[:16])
            raw = self._heap_object(address, index)[:length]
        return raw.split(b"\0")[0].decode("utf-8", "replace")

    def numbers(self, dataset: int) -> NDArray[Any]:
        """All numbers of a dataset, flattened, as float32 or float64.

        Raises
        ------
        Damaged
        """
        kind, _, raw = self._dataset(dataset)
        if kind.number is None:
            raise Damaged("its parameters are not floating-point numbers")
        values = np.frombuffer(raw, kind.number)
        return values.astype(kind.number.newbyteorder("="), copy=False)

    # -- bytes

    def _bytes(self, at: int, size: int) -> bytes:
        if at < 0 or size < 0 or at + size > len(self.content):
            raise Damaged("it is cut short, or refers to a place behind its end")
        return bytes(self.content[at : at + size])

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self._bytes(at, size), "little")

    def _check(self, start: int, end: int) -> None:
        """Compare the checksum of ``start <= byte < end`` with the one that follows."""
        if lookup3(self._bytes(start, end - start)) != self._number(end, 4):
            raise Damaged("a checksum in it is wrong")

    @staticmethod
    def _require_sizes(offsets: int, lengths: int) -> None:
        if (offsets, lengths) != (8, 8):
            raise Damaged(f"its addresses have {offsets} and {lengths} bytes, not 8")

    # -- object headers (IV.A.1)

    def _messages(self, header: int) -> list[_Message]:
        if self._bytes(header, 4) == b"OHDR":
            return self._messages_2(header)
        if self._number(header, 1) != 1:
            raise Damaged("an object in it has no header")
        found: list[_Message] = []
        blocks = [(header + 16, self._number(header + 8, 4))]
        visited = set()
        while blocks:
            at, size = blocks.pop()
            if at in visited or len(found) > _MOST_MESSAGES:
                raise Damaged("an object's header in it runs in a circle")
            visited.add(at)
            end = at + size
            self._bytes(at, size)
            while at + 8 <= end:
                message = _Message(self._number(at, 2), at + 8, self._number(at + 2, 2))
                at = message.at + message.size
                if message.kind == 0x10:
                    blocks.append((self._number(message.at, 8), self._number(message.at + 8, 8)))
                found.append(message)
        return found

    def _messages_2(self, header: int) -> list[_Message]:
        flags = self._number(header + 5, 1)
        at = header + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = self._number(at, width)
        self._check(header, at + width + size)
        blocks = [(at + width, at + width + size)]
        found: list[_Message] = []
        visited = set()
        while blocks:
            at, end = blocks.pop()
            if at in visited or len(found) > _MOST_MESSAGES:
                raise Damaged("an object's header in it runs in a circle")
            visited.add(at)
            head = 6 if flags & 0x4 else 4
            while at + head <= end:
                size = self._number(at + 1, 2)
                message = _Message(self._number(at, 1), at + head, size)
                at += head + size
                if at > end:
                    raise Damaged("an object's header in it is damaged")
                if message.kind == 0x10:
                    where, length = self._number(message.at, 8), self._number(message.at + 8, 8)
                    if length < 8 or self._bytes(where, 4) != b"OCHK":
                        raise Damaged("an object's header in it is damaged")
                    self._check(where, where + length - 4)
                    blocks.append((where + 4, where + length - 4))
                found.append(message)
        return found

    # -- groups

    def _link(self, at: int) -> dict[str, int]:
        """IV.A.2.g: a link message; soft and external links are left out."""
        flags = self._number(at + 1, 1)
        at += 2
        kind = 0
        if flags & 0x08:
            kind = self._number(at, 1)
            at += 1
        at += (8 if flags & 0x04 else 0) + (1 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        length = self._number(at, width)
        name = self._bytes(at + width, length).decode("utf-8", "replace")
        return {name: self._number(at + width + length, 8)} if kind == 0 else {}

    def _symbols(self, tree: int, heap: int) -> dict[str, int]:
        """III.A.1, III.B, III.C: the names of an old-style group."""
        if self._bytes(heap, 4) != b"HEAP":
            raise Damaged("a group in it has no names")
        size, names = self._number(heap + 8, 8), self._number(heap + 24, 8)
        found: dict[str, int] = {}
        for leaf in self._leaves(tree, 0, 8):
            if self._bytes(leaf, 4) != b"SNOD":
                raise Damaged("a group in it is damaged")
            for number in range(self._number(leaf + 6, 2)):
                entry = leaf + 8 + 40 * number
                offset, header = self._number(entry, 8), self._number(entry + 8, 8)
                if offset >= size:
                    raise Damaged("a group in it is damaged")
                raw = self._bytes(names + offset, min(size - offset, 1024))
                found[raw.split(b"\0")[0].decode("utf-8", "replace")] = header
                if len(found) > _MOST_LINKS:
                    raise Damaged("a group in it is absurdly large")
        return found

    def _leaves(self, tree: int, kind: int, key_bytes: int) -> Iterator[int]:
        return (child for _, child in self._entries(tree, kind, key_bytes))

    def _entries(self, tree: int, kind: int, key_bytes: int) -> Iterator[tuple[int, int]]:
        """III.A.1: (address of the key, address of the child) of every leaf of a B-tree."""
        pending = [tree]
        visited: set[int] = set()
        while pending:
            node = pending.pop()
            if node in visited or len(visited) > _MOST_CHUNKS:
                raise Damaged("a table in it runs in a circle")
            visited.add(node)
            if self._bytes(node, 4) != b"TREE" or self._number(node + 4, 1) != kind:
                raise Damaged("a table in it is damaged")
            level, used = self._number(node + 5, 1), self._number(node + 6, 2)
            for number in range(used):
                key = node + 24 + number * (key_bytes + 8)
                child = self._number(key + key_bytes, 8)
                if level:
                    pending.append(child)
                else:
                    yield key, child

    # -- datasets

    def _dataset(self, header: int) -> tuple[_Type, tuple[int, ...], bytes]:
        parts = {m.kind: m for m in self._messages(header)}
        if not {0x01, 0x03, 0x08} <= parts.keys():
            raise Damaged("a dataset in it is incomplete")
        shape = self._shape(parts[0x01].at)
        kind = self._type(parts[0x03].at)
        count = int(np.prod(shape, dtype=object))
        size = count * kind.size
        if size > _LARGEST_BYTES or size > _DEFLATE_RATIO * len(self.content):
            raise Damaged(f"it announces {count} numbers, more than it can hold")
        return kind, shape, self._data(parts, shape, kind, size)

    def _shape(self, at: int) -> tuple[int, ...]:
        """IV.A.2.b: the dataspace."""
        version, rank = self._number(at, 1), self._number(at + 1, 1)
        if version not in (1, 2):
            raise Damaged("the size of a dataset in it is damaged")
        start = at + (8 if version == 1 else 4)
        if version == 2 and self._number(at + 3, 1) == 2:
            return (0,)
        return tuple(self._number(start + 8 * axis, 8) for axis in range(rank))

    def _type(self, at: int) -> _Type:
        """IV.A.2.d: the datatype."""
        kind, bits = self._number(at, 1) & 0x0F, self._number(at + 1, 3)
        size = self._number(at + 4, 4)
        if kind == 1 and size in (4, 8):
            layout = struct.unpack("<HHBBBBI", self._bytes(at + 8, 12))
            ieee = (0, 32, 23, 8, 0, 23, 127) if size == 4 else (0, 64, 52, 11, 0, 52, 1023)
            if layout == ieee and bits & 0x40 == 0:
                return _Type(size, np.dtype(f"{'>' if bits & 1 else '<'}f{size}"))
        if kind == 3 and 0 < size <= 2**16:
            return _Type(size)
        if kind == 9 and bits & 0x0F == 1 and size == 16:
            return _Type(size, is_variable=True)
        raise Damaged("a dataset in it is of a type that transforms do not have")

    def _data(
        self, parts: dict[int, _Message], shape: tuple[int, ...], kind: _Type, size: int
    ) -> bytes:
        """IV.A.2.i: the data layout."""
        at = parts[0x08].at
        if self._number(at, 1) != 3:
            raise Damaged("it is laid out as only newer programs than ITK do it")
        layout = self._number(at + 1, 1)
        if size == 0:
            return b""
        if layout == 0:
            if self._number(at + 2, 2) < size:
                raise Damaged("a dataset in it is cut short")
            return self._bytes(at + 4, size)
        if layout == 1:
            where, length = self._number(at + 2, 8), self._number(at + 10, 8)
            if where == _UNDEFINED or length < size:
                raise Damaged("a dataset in it was never written")
            return self._bytes(where, size)
        if layout != 2 or len(shape) != 1 or self._number(at + 2, 1) != 2:
            raise Damaged("a dataset in it is laid out in an unknown way")
        chunk = self._number(at + 11, 4)
        return self._chunks(parts, self._number(at + 3, 8), chunk, kind, size)

    def _chunks(
        self, parts: dict[int, _Message], tree: int, chunk: int, kind: _Type, size: int
    ) -> bytes:
        filters = self._filters(parts[0x0B].at) if 0x0B in parts else []
        chunk_bytes = chunk * kind.size
        if chunk_bytes < 1 or chunk_bytes > max(size, 2**16) * 2 or tree == _UNDEFINED:
            raise Damaged("the pieces of a dataset in it are damaged")
        out = bytearray(size)
        covered = np.zeros(-(-size // chunk_bytes), dtype=bool)
        # the key: stored size, filters left out, and the place along both dimensions
        for key, where in self._entries(tree, 1, 24):
            stored, skipped = self._number(key, 4), self._number(key + 4, 4)
            start = self._number(key + 8, 8) * kind.size
            if start >= size or start % chunk_bytes:
                raise Damaged("the pieces of a dataset in it are damaged")
            raw = self._bytes(where, stored)
            for number, code in reversed(list(enumerate(filters))):
                if not skipped >> number & 1:
                    raw = unfiltered(raw, code, kind.size, chunk_bytes)
            if len(raw) != chunk_bytes:
                raise Damaged("a piece of a dataset in it has the wrong size")
            length = min(chunk_bytes, size - start)
            out[start : start + length] = raw[:length]
            covered[start // chunk_bytes] = True
        if not covered.all():
            raise Damaged("pieces of a dataset in it are missing")
        return bytes(out)

    def _filters(self, at: int) -> list[int]:
        """IV.A.2.l: codes of the filters in the order in which they were applied."""
        version, count = self._number(at, 1), self._number(at + 1, 1)
        if version not in (1, 2):
            raise Damaged("the compression of a dataset in it is unknown")
        at += 8 if version == 1 else 2
        found = []
        for _ in range(count):
            code = self._number(at, 2)
            at += 2
            name = 0
            if version == 1 or code >= 256:
                name = self._number(at, 2)
                at += 2
            values = self._number(at + 2, 2)
            at += 4 + (-(-name // 8) * 8 if version == 1 else name) + 4 * values
            if version == 1 and values % 2:
                at += 4
            found.append(code)
        return found

    def _heap_object(self, address: int, index: int) -> bytes:
        """III.E: an object of a global heap collection."""
        if self._bytes(address, 4) != b"GCOL":
            raise Damaged("a text in it is missing")
        end = address + self._number(address + 8, 8)
        at = address + 16
        while at + 16 <= min(end, len(self.content)):
            number, size = self._number(at, 2), self._number(at + 8, 8)
            if number == index:
                return self._bytes(at + 16, min(size, 2**16))
            if number == 0:
                break
            at += 16 + -(-size // 8) * 8
        raise Damaged("a text in it is missing")
