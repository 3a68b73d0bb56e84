"""The segments of a CZI file, written one after another: tiles, attachments, XML, directory.

pylibCZIrw writes tiles of full resolution only. Here a tile may belong to a pyramid, to any scene
and to any dimension of the format. Layout: *CZI file format*, Carl Zeiss Microscopy, 2016.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

_ALIGNMENT = 32
_FILE_HEADER_BYTES = 512
_TILE_HEADER_BYTES = 256
_PYRAMID = 2
"""A tile of a pyramid whose levels have many tiles each."""


@dataclass(frozen=True)
class Dimension:
    """A tile's place and length along one dimension.

    Parameters
    ----------
    name : str
        A letter: X, Y, C, Z, T, S, M, H, V, I, R or B.
    start : int
    extent : int
        Level-0 pixels along X and Y.
    stored : int or None
        Pixels stored; None where that is `extent`.
    """

    name: str
    start: int
    extent: int = 1
    stored: int | None = None

    def packed(self) -> bytes:
        """As it stands in a file."""
        stored = self.extent if self.stored is None else self.stored
        return struct.pack(
            "<4siifi", self.name.encode(), self.start, self.extent, float(self.start), stored
        )


class SegmentWriter:
    """Writes a CZI file into an open, empty file.

    Parameters
    ----------
    file : binary file
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._guid = uuid.uuid4().bytes_le
        self._tiles: list[bytes] = []
        self._attachments: list[bytes] = []
        # written again by finish(): a file cut short has no directory and is refused
        self._header(0, 0, 0)

    def tile(
        self, dims: Sequence[Dimension], pixel_type: int, compression: int, pixels: bytes
    ) -> None:
        """Append a tile.

        Parameters
        ----------
        dims : sequence of Dimension
            The fastest first: X, Y, then the others.
        pixel_type, compression : int
            Numbers of the format.
        pixels : bytes
        """
        in_pyramid = any(d.stored not in (None, d.extent) for d in dims)
        entry = struct.pack(
            "<2siqiiB5xi",
            b"DV",
            pixel_type,
            self._file.tell(),
            0,
            compression,
            _PYRAMID if in_pyramid else 0,
            len(dims),
        )
        entry += b"".join(d.packed() for d in dims)
        head = struct.pack("<iiq", 0, 0, len(pixels)) + entry
        self._segment(b"ZISRAWSUBBLOCK", head.ljust(_TILE_HEADER_BYTES, b"\0"), pixels)
        self._tiles.append(entry)

    def attachment(self, name: str, kind: str, content: bytes) -> None:
        """Append an attachment, as ``("Label", "CZI", ...)``."""
        entry = struct.pack(
            "<2s10xqi16s8s80s",
            b"A1",
            self._file.tell(),
            0,
            uuid.uuid4().bytes_le,
            kind.encode(),
            name.encode(),
        )
        head = struct.pack("<i12x", len(content)) + entry
        self._segment(b"ZISRAWATTACH", head.ljust(256, b"\0"), content)
        self._attachments.append(entry)

    def finish(self, xml: str) -> None:
        """Append XML and directories, and say in the header where they are."""
        metadata_at = self._file.tell()
        content = xml.encode("utf-8")
        head = struct.pack("<ii", len(content), 0).ljust(256, b"\0")
        self._segment(b"ZISRAWMETADATA", head, content)
        directory_at = self._file.tell()
        head = struct.pack("<i", len(self._tiles)).ljust(128, b"\0")
        self._segment(b"ZISRAWDIRECTORY", head, b"".join(self._tiles))
        attachments_at = 0
        if self._attachments:
            attachments_at = self._file.tell()
            head = struct.pack("<i", len(self._attachments)).ljust(256, b"\0")
            self._segment(b"ZISRAWATTDIR", head, b"".join(self._attachments))
        self._file.seek(0)
        self._header(directory_at, metadata_at, attachments_at)

    def _header(self, directory_at: int, metadata_at: int, attachments_at: int) -> None:
        head = struct.pack("<iiii", 1, 0, 0, 0) + self._guid + self._guid
        head += struct.pack("<iqqiq", 0, directory_at, metadata_at, 0, attachments_at)
        self._segment(b"ZISRAWFILE", head.ljust(_FILE_HEADER_BYTES, b"\0"), b"")

    def _segment(self, name: bytes, head: bytes, content: bytes) -> None:
        used = len(head) + len(content)
        padding = -used % _ALIGNMENT
        self._file.write(struct.pack("<16sqq", name, used + padding, used))
        self._file.write(head)
        self._file.write(content)
        self._file.write(bytes(padding))
