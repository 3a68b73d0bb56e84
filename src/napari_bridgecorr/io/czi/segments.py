"""The segments of a CZI file, or of one embedded in it: header, XML, attachments. Pure Python.

Every length is checked against the file before it is believed. Layout: *CZI file format*, Carl
Zeiss Microscopy, 2016.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO

from ...errors import ReadError, one_line

MAGIC = b"ZISRAWFILE"
DAMAGED = (
    "the file is damaged or was not copied whole; copy it again from the microscope's computer"
)
HEADER = struct.Struct("<16sqq")
"""Name, bytes allocated and bytes used of a segment."""

_ATTACHMENT_ENTRY = struct.Struct("<2s10xqi16s8s80s")
_MOST_ATTACHMENTS = 1000
_LARGEST_XML = 2**28


@dataclass(frozen=True)
class CziFile:
    """A file as it was when it was opened, so that pixels never come from a later one.

    Parameters
    ----------
    path : str
    size, modified_ns : int
    start, length : int
        Where an embedded CZI lies in the file; the whole file by default (length 0).
    """

    path: str
    size: int
    modified_ns: int
    start: int = 0
    length: int = 0

    @classmethod
    def of(cls, path: Path) -> CziFile:
        """The file as it is now."""
        status = path.stat()
        return cls(os.path.abspath(path), status.st_size, status.st_mtime_ns)  # noqa: PTH100 - for workers elsewhere

    def require_unchanged(self) -> None:
        """Raise ReadError where the file is not what it was."""
        try:
            now = CziFile.of(Path(self.path))
        except OSError as error:
            fault = one_line(str(error.strerror))
            raise ReadError(self.path, fault, "put the file back or open it anew") from error
        if (now.size, now.modified_ns) != (self.size, self.modified_ns):
            raise ReadError(self.path, "it has changed since it was opened", "open it again")


class FilePart:
    """Bytes of an open file from `start` on, of which nothing beyond `size` is read."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self.size = size

    def read(self, position: int, count: int) -> bytes:
        """At most `count` bytes; fewer at the end, none where `position` is outside."""
        count = min(count, self.size - position)
        if position < 0 or count <= 0:
            return b""
        self._file.seek(self._start + position)
        return self._file.read(count)


@contextmanager
def open_unbuffered(file: CziFile) -> Iterator[FileIO]:
    """The file, from its beginning, as bytes that are read only when asked for.

    Raises
    ------
    ReadError
        If it cannot be read or has changed.
    """
    try:
        with Path(file.path).open("rb", buffering=0) as stream:
            status = os.fstat(stream.fileno())
            if (status.st_size, status.st_mtime_ns) != (file.size, file.modified_ns):
                raise ReadError(file.path, "it has changed since it was opened", "open it again")
            yield stream
    except OSError as error:
        raise ReadError(file.path, str(error), "check that the file can be read") from error


@contextmanager
def open_part(file: CziFile) -> Iterator[FilePart]:
    """The bytes of a file, or of the one embedded in it that is meant.

    Raises
    ------
    ReadError
        If it cannot be read or has changed.
    """
    with open_unbuffered(file) as raw, BufferedReader(raw) as stream:
        yield FilePart(stream, file.start, file.length or max(0, file.size - file.start))


@dataclass(frozen=True)
class CziHeader:
    """Where the directory, the XML and the attachments of a file begin (bytes)."""

    directory_at: int
    metadata_at: int
    attachments_at: int


def read_header(path: str, part: FilePart) -> CziHeader:
    """Read the header of a file.

    Raises
    ------
    ReadError
        If the file is empty, not a CZI, or in several parts.
    """
    if part.size == 0:
        raise ReadError(path, "the file is empty", "copy it again from its source")
    head = part.read(0, 112)
    if not head.startswith(MAGIC):
        raise ReadError(path, "it does not begin as a CZI file does", DAMAGED)
    if len(head) < 112:
        raise ReadError(path, "it ends within its header", DAMAGED)
    in_part, directory_at, metadata_at = struct.unpack_from("<iqq", head, 80)
    (attachments_at,) = struct.unpack_from("<q", head, 104)
    if in_part != 0:
        raise ReadError(path, "it is a part of a split file", "export it as one file")
    return CziHeader(directory_at, metadata_at, attachments_at)


def payload_bytes(part: FilePart, position: int, name: bytes) -> int | None:
    """Bytes used by a segment's payload, or None where there is no such segment."""
    if not 0 < position <= part.size - HEADER.size:
        return None
    found, allocated, used = HEADER.unpack(part.read(position, HEADER.size))
    if found.rstrip(b"\0") != name:
        return None
    # used is 0 in files of some old writers, which then fill the segment
    return int(used or allocated)


def read_xml(part: FilePart, position: int) -> str:
    """The metadata; its absence is no reason to refuse pixels that can be read."""
    if payload_bytes(part, position, b"ZISRAWMETADATA") is None:
        return ""
    payload = position + HEADER.size
    head = part.read(payload, 4)
    length = struct.unpack("<i", head)[0] if len(head) == 4 else 0
    if not 0 < length <= min(part.size - payload, _LARGEST_XML):
        return ""
    return part.read(payload + 256, length).rstrip(b"\0").decode("utf-8", "replace")


@dataclass(frozen=True)
class Attachment:
    """Something embedded in a file: its name, its type, and where its bytes are."""

    name: str
    kind: str
    position: int
    size: int


def read_attachments(part: FilePart, position: int) -> tuple[Attachment, ...]:
    """What is embedded in a file; an entry that lies about itself is left out."""
    used = payload_bytes(part, position, b"ZISRAWATTDIR")
    if used is None:
        return ()
    head = part.read(position + HEADER.size, 4)
    count = struct.unpack("<i", head)[0] if len(head) == 4 else 0
    size = _ATTACHMENT_ENTRY.size
    raw = part.read(position + HEADER.size + 256, size * min(max(count, 0), _MOST_ATTACHMENTS))
    found = []
    for schema, at, _part, _guid, kind, name in _ATTACHMENT_ENTRY.iter_unpack(
        raw[: len(raw) // size * size]
    ):
        attachment = _attachment(part, at, _text(kind), _text(name)) if schema == b"A1" else None
        if attachment is not None:
            found.append(attachment)
    return tuple(found)


def _attachment(part: FilePart, position: int, kind: str, name: str) -> Attachment | None:
    if payload_bytes(part, position, b"ZISRAWATTACH") is None:
        return None
    head = part.read(position + HEADER.size, 4)
    size = struct.unpack("<i", head)[0] if len(head) == 4 else 0
    payload = position + HEADER.size + 256
    if not 0 < size <= part.size - payload:
        return None
    return Attachment(name, kind, payload, size)


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip()
