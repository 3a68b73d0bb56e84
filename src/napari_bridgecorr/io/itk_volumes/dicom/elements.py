"""The elements of a DICOM file: tags and values, every length checked against the file.

This walk comes before any library sees the file. It keeps what places and describes pixels, steps
over the rest, and finds where the pixels begin. See DICOM PS3.5, chapter 7 and annex A.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ....errors import ReadError, one_line

COPY_AGAIN = "copy or export it again"

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
UNCOMPRESSED = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG)

PIXELS = 0x7FE00010
_FLOAT_PIXELS = (0x7FE00008, 0x7FE00009)
_SYNTAX = 0x00020010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF

SHARED, PER_FRAME = 0x52009229, 0x52009230
# what a sequence's items are searched for
_SEQUENCES = {
    SHARED,
    PER_FRAME,
    0x00209113,  # plane position
    0x00209116,  # plane orientation
    0x00289110,  # pixel measures
    0x00289145,  # pixel value transformation
    0x00209111,  # frame content
}
_LONG_VALUES = frozenset(
    (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN", b"SV", b"UV")
)
_MOST_VALUE_BYTES = 4096
_MOST_ELEMENTS = 4_000_000
_MOST_DEPTH = 12


@dataclass(frozen=True)
class PixelBytes:
    """Where a file keeps its pixels.

    Parameters
    ----------
    offset, length : int
        In bytes; for compressed pixels, of the fragments with their headers.
    is_compressed : bool
    """

    offset: int
    length: int
    is_compressed: bool


@dataclass
class Dataset:
    """Elements by tag, and items by the tag of their sequence."""

    values: dict[int, bytes] = field(default_factory=dict)
    items: dict[int, list[Dataset]] = field(default_factory=dict)


@dataclass(frozen=True)
class DicomElements:
    """What a file says.

    Parameters
    ----------
    path : Path
    syntax : str
        UID of the transfer syntax.
    data : Dataset
    pixels : PixelBytes or None
    """

    path: Path
    syntax: str
    data: Dataset
    pixels: PixelBytes | None

    @property
    def endianness(self) -> str:
        """``<`` or ``>``."""
        return ">" if self.syntax == EXPLICIT_BIG else "<"


def is_dicom(head: bytes) -> bool:
    """Whether these first bytes (132 at least) are those of a DICOM file with its preamble."""
    return head[128:132] == b"DICM"


def read_elements(path: Path) -> DicomElements:
    """Walk through a file.

    Raises
    ------
    ReadError
        If it is no DICOM file, or is damaged or cut short.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            return _read(path, file, size)
    except (OSError, struct.error) as error:
        raise ReadError(path, f"is damaged or cut short ({one_line(error)})", COPY_AGAIN) from error


def _read(path: Path, file: BinaryIO, size: int) -> DicomElements:
    if not is_dicom(file.read(132)):
        raise ReadError(path, "is not a DICOM file", "check that the file is what its name says")
    # the group 0002 is always explicit and little-endian
    meta = _Walk(path, file, size, is_explicit=True, endianness="<")
    start = _end_of_meta(path, file, size)
    syntax = meta.dataset(132, start).values.get(_SYNTAX, b"").rstrip(b"\0 ").decode("latin-1")
    if syntax == _DEFLATED:
        raise ReadError(path, "is a deflated DICOM file", "export it uncompressed")
    walk = _Walk(
        path,
        file,
        size,
        is_explicit=syntax != IMPLICIT_LITTLE,
        endianness=">" if syntax == EXPLICIT_BIG else "<",
    )
    data = walk.dataset(start, size, is_top=True)
    if walk.pixels is not None and walk.pixels.is_compressed == (syntax in UNCOMPRESSED):
        raise ReadError(path, "contradicts itself on the compression of its pixels", COPY_AGAIN)
    return DicomElements(path, syntax, data, walk.pixels)


def _end_of_meta(path: Path, file: BinaryIO, size: int) -> int:
    """Byte after the elements of group 0002."""
    at = 132
    while at + 8 <= size:
        file.seek(at)
        head = file.read(12).ljust(12, b"\0")
        (group,) = struct.unpack_from("<H", head)
        if group != 2:
            return at
        is_long = head[4:6] in _LONG_VALUES
        (length,) = struct.unpack_from("<I" if is_long else "<H", head, 8 if is_long else 6)
        at += length + (12 if is_long else 8)
    raise ReadError(path, "ends within its header", COPY_AGAIN)


class _Walk:
    """One pass over the elements of one transfer syntax."""

    def __init__(
        self, path: Path, file: BinaryIO, size: int, *, is_explicit: bool, endianness: str
    ) -> None:
        self._path = path
        self._file = file
        self._size = size
        self._is_explicit = is_explicit
        self._order = endianness
        self._n_elements = 0
        self.pixels: PixelBytes | None = None
        self._at = 0

    def dataset(
        self,
        start: int,
        end: int,
        *,
        is_top: bool = False,
        depth: int = 0,
        explicit: bool | None = None,
    ) -> Dataset:
        """Elements from `start` to `end`, or to an item's delimiter."""
        found = Dataset()
        is_explicit = self._is_explicit if explicit is None else explicit
        self._at = start
        while self._at + 8 <= end:
            tag, kind, length, value_at = self._element(is_explicit)
            if tag in (_ITEM_END, _SEQUENCE_END):
                self._at = value_at
                return found
            if tag == PIXELS and is_top:
                self.pixels = self._pixels(value_at, length)
                return found
            if tag in _FLOAT_PIXELS and is_top:
                raise ReadError(
                    self._path, "holds a map of floating-point values", "convert it to NIfTI"
                )
            is_sequence = (
                kind == b"SQ" or length == _UNDEFINED or (not is_explicit and tag in _SEQUENCES)
            )
            if is_sequence:
                # a sequence of unknown kind and undefined length is implicit (PS3.5, 6.2.2)
                inner = is_explicit and not (kind == b"UN" and length == _UNDEFINED)
                items = self._items(tag, value_at, length, end, depth, inner)
                if tag in _SEQUENCES:
                    found.items[tag] = items
                continue
            if value_at + length > end:
                raise self._cut()
            if length <= _MOST_VALUE_BYTES:
                self._file.seek(value_at)
                found.values[tag] = self._file.read(length)
            self._at = value_at + length
        return found

    def _element(self, is_explicit: bool) -> tuple[int, bytes, int, int]:
        """Tag, value representation, length and where the value begins."""
        self._n_elements += 1
        if self._n_elements > _MOST_ELEMENTS:
            raise ReadError(self._path, "holds too many elements", "convert it to NIfTI")
        self._file.seek(self._at)
        head = self._file.read(12)
        if len(head) < 8:
            raise self._cut()
        group, element = struct.unpack_from(f"{self._order}HH", head)
        tag = group << 16 | element
        kind = head[4:6]
        if group == 0xFFFE or not is_explicit:
            return tag, b"", struct.unpack_from(f"{self._order}I", head, 4)[0], self._at + 8
        if kind in _LONG_VALUES:
            if len(head) < 12:
                raise self._cut()
            return tag, kind, struct.unpack_from(f"{self._order}I", head, 8)[0], self._at + 12
        if not (kind.isalpha() and kind.isupper()):
            raise ReadError(self._path, "is damaged (an element is of no known kind)", COPY_AGAIN)
        return tag, kind, struct.unpack_from(f"{self._order}H", head, 6)[0], self._at + 8

    def _items(
        self, sequence: int, start: int, length: int, outer_end: int, depth: int, explicit: bool
    ) -> list[Dataset]:
        if depth >= _MOST_DEPTH:
            raise ReadError(self._path, "nests its elements too deeply", COPY_AGAIN)
        end = outer_end if length == _UNDEFINED else start + length
        if end > outer_end:
            raise self._cut()
        self._at = start
        items: list[Dataset] = []
        while self._at + 8 <= end:
            tag, _, item_length, value_at = self._element(explicit)
            if tag == _SEQUENCE_END:
                self._at = value_at
                return items
            if tag != _ITEM:
                raise ReadError(self._path, "is damaged (a sequence holds no items)", COPY_AGAIN)
            item_end = end if item_length == _UNDEFINED else value_at + item_length
            if item_end > end:
                raise self._cut()
            item = self.dataset(value_at, item_end, depth=depth + 1, explicit=explicit)
            if item_length != _UNDEFINED:
                self._at = item_end
            if sequence in _SEQUENCES:
                items.append(item)
        if length == _UNDEFINED:
            raise self._cut()
        self._at = end
        return items

    def _pixels(self, start: int, length: int) -> PixelBytes:
        if length != _UNDEFINED:
            if start + length > self._size:
                raise self._cut()
            return PixelBytes(start, length, is_compressed=False)
        at = start
        while at + 8 <= self._size:
            self._file.seek(at)
            group, element, size = struct.unpack("<HHI", self._file.read(8))
            if (group << 16 | element) == _SEQUENCE_END:
                return PixelBytes(start, at - start, is_compressed=True)
            if (group << 16 | element) != _ITEM:
                raise ReadError(self._path, "is damaged within its pixels", COPY_AGAIN)
            at += 8 + size
        raise self._cut()

    def _cut(self) -> ReadError:
        return ReadError(self._path, "is cut short or its lengths are wrong", COPY_AGAIN)
