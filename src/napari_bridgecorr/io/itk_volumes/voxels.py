"""Boxes of the voxels that a :class:`VolumeHeader` describes. One block is read at a time."""

from __future__ import annotations

import binascii
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...errors import ReadError
from ..lazy import Block, Shape5, plane_chunks
from .inflate import InflatedBytes
from .volume_header import COPY_AGAIN, MEND, DataPart, VolumeHeader

# text is parsed as a whole; more of it than this is a mistake
_MOST_TEXT_BYTES = 128 * 2**20
_TEXT_PIECE_BYTES = 2**22
# shortest texts of a value with the space behind it
_TEXT_BYTES_PER_VALUE = 2
_AXES = "tczyx"


class StoredBytes(Protocol):
    """Voxels' bytes, one after the other."""

    def read(self, start: int, count: int) -> bytes:
        """`count` bytes from `start`; ReadError where there are fewer."""


class VolumeVoxels:
    """Reads boxes (see :class:`~napari_bridgecorr.voxel_source.VoxelSource`).

    Parameters
    ----------
    path : Path
        The file that the user named.
    header : VolumeHeader

    Raises
    ------
    ReadError
        If the file holds less than the header says.
    """

    def __init__(self, path: Path, header: VolumeHeader) -> None:
        self._stored_dtype = header.dtype
        self.dtype = header.dtype.newbyteorder("=")
        # the file's axes, slowest first
        self._axes = header.axes[::-1]
        self._sizes = header.sizes[::-1]
        t, c, z, y, x = (header.size(axis) for axis in _AXES)
        self.shape: Shape5 = (t, c, z, y, x)
        self._bytes = _stored_bytes(path, header)

    @property
    def chunks(self) -> Shape5:
        """Blocks that cost one stretch of reading each."""
        if not self._has_mixed_channels:
            return plane_chunks(self.shape, self.dtype.itemsize)
        n_channels = self.shape[1]
        _, _, z, y, x = plane_chunks(self.shape, self.dtype.itemsize * n_channels)
        return 1, n_channels, z, y, x

    @property
    def _has_mixed_channels(self) -> bool:
        """Whether a voxel's channels lie side by side."""
        return self._axes.endswith("c")

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> Block:
        """The box ``starts <= index < stops`` along (t, c, z, y, x)."""
        wanted = {axis: (starts[n], stops[n]) for n, axis in enumerate(_AXES)}
        box = self._box([wanted[axis] for axis in self._axes])
        order = [self._axes.index(axis) for axis in _AXES if axis in self._axes]
        shape = [stop - start for start, stop in zip(starts, stops, strict=True)]
        turned = box.transpose(order).reshape(shape)
        return np.ascontiguousarray(turned, dtype=self.dtype)

    def _box(self, wanted: list[tuple[int, int]]) -> Block:
        """A box along the file's axes, slowest first."""
        sizes = self._sizes
        # `split` is the axis of which each read takes a range; faster axes are read whole and cut
        # afterwards, which costs less than many short reads
        n_near = len(sizes) - self._has_mixed_channels
        split = max(0, n_near - 2)
        while split > 0 and all(wanted[axis] == (0, sizes[axis]) for axis in range(split, n_near)):
            split -= 1
        row = prod(sizes[split + 1 :])
        first, last = wanted[split]
        outer = [range(a, b) for a, b in wanted[:split]]
        cut = tuple(slice(a, b) for a, b in wanted[split + 1 :])
        found = np.empty([b - a for a, b in wanted], self._stored_dtype)
        flat = found.reshape((-1, *found.shape[split:]))
        itemsize = self._stored_dtype.itemsize
        for number, index in enumerate(product(*outer)):
            place = 0
            for axis, i in enumerate(index):
                place = place * sizes[axis] + i
            start = (place * sizes[split] + first) * row * itemsize
            content = self._bytes.read(start, (last - first) * row * itemsize)
            values = np.frombuffer(content, self._stored_dtype)
            flat[number] = values.reshape((last - first, *sizes[split + 1 :]))[(slice(None), *cut)]
        return found


def _stored_bytes(path: Path, header: VolumeHeader) -> StoredBytes:
    n_bytes, encoding = header.n_bytes, header.encoding
    if encoding == "raw":
        return RawBytes(path, header.parts, n_bytes)
    if len(header.parts) > 1:
        raise ReadError(
            path, "spreads compressed voxels over several files", "export it as one file"
        )
    (part,) = header.parts
    if part.offset < 0:
        raise ReadError(path, "does not say where its compressed voxels begin", MEND)
    if encoding in ("zlib", "bzip2"):
        return InflatedBytes(part.path, part.offset, encoding, n_bytes)
    return _ParsedBytes(path, part, header)


class RawBytes:
    """Bytes of one or more files of equal length. Serves several threads.

    Raises
    ------
    ReadError
        If a file is too short.
    """

    def __init__(self, path: Path, parts: tuple[DataPart, ...], n_bytes: int) -> None:
        self._path = path
        self._part_bytes = n_bytes // len(parts)
        self._parts = []
        for part in parts:
            on_disk = part.path.stat().st_size
            offset = part.offset if part.offset >= 0 else on_disk - self._part_bytes
            if offset < 0 or offset + self._part_bytes > on_disk:
                raise ReadError(
                    part.path,
                    f"is cut short or its header is wrong ({self._part_bytes} bytes of voxels "
                    f"announced, {max(0, on_disk - max(0, part.offset))} found)",
                    COPY_AGAIN,
                )
            self._parts.append((part.path, offset))

    def read(self, start: int, count: int) -> bytes:
        """`count` bytes from `start`."""
        pieces = []
        while count > 0:
            number, inside = divmod(start, self._part_bytes)
            path, offset = self._parts[number]
            length = min(count, self._part_bytes - inside)
            try:
                # opened anew: a block is read in one go, and threads share nothing
                with path.open("rb") as file:
                    file.seek(offset + inside)
                    piece = file.read(length)
            except OSError as error:
                fault = f"cannot be read ({error.strerror or 'damaged'})"
                raise ReadError(path, fault, "check the file") from error
            if len(piece) < length:
                raise ReadError(path, "has become shorter since it was opened", "open it again")
            pieces.append(piece)
            start, count = start + length, count - length
        return b"".join(pieces) if len(pieces) != 1 else pieces[0]


class _ParsedBytes:
    """Text or hexadecimal digits as the bytes that they stand for, held in memory."""

    def __init__(self, path: Path, part: DataPart, header: VolumeHeader) -> None:
        count = header.n_bytes // header.dtype.itemsize
        on_disk = part.path.stat().st_size - part.offset
        least = count * _TEXT_BYTES_PER_VALUE - 1
        least = 2 * header.n_bytes if header.encoding == "hex" else least
        if on_disk < least:
            raise ReadError(
                part.path,
                f"is cut short or its header is wrong ({count} voxels cannot be written in "
                f"{max(0, on_disk)} characters)",
                COPY_AGAIN,
            )
        if on_disk > _MOST_TEXT_BYTES:
            raise ReadError(
                path, f"holds {on_disk / 2**20:.0f} MiB of text", "export it with binary voxels"
            )
        with part.path.open("rb") as file:
            file.seek(part.offset)
            text = file.read()
        try:
            if header.encoding == "hex":
                digits = text.translate(None, b" \t\r\n")[: 2 * header.n_bytes]
                self._content = binascii.unhexlify(digits)
            else:
                self._content = _values(text, header.dtype, count)
        except (ValueError, OverflowError) as error:
            raise ReadError(part.path, "holds voxels that are no numbers", COPY_AGAIN) from error
        if len(self._content) < header.n_bytes:
            raise ReadError(part.path, "is cut short (it holds fewer voxels)", COPY_AGAIN)

    def read(self, start: int, count: int) -> bytes:
        """`count` bytes from `start`."""
        return self._content[start : start + count]


def _values(text: bytes, dtype: np.dtype[Any], count: int) -> bytes:
    """The first `count` numbers; piece by piece, because words take many times their bytes."""
    found = bytearray()
    at = 0
    while at < len(text) and len(found) < count * dtype.itemsize:
        end = at + _TEXT_PIECE_BYTES
        # not within a word; what is longer than that is no number
        while end < len(text) and not text[end : end + 1].isspace() and end < at + 2**23:
            end += 1
        found += _numbers(text[at:end].replace(b",", b" ").split(), dtype)
        at = end
    return bytes(found[: count * dtype.itemsize])


def _numbers(words: list[bytes], dtype: np.dtype[Any]) -> bytes:
    if any(len(word) > 40 for word in words):
        raise ValueError("no number is that long")
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.array([float(word) for word in words]).astype(dtype).tobytes()
    whole = [int(word) for word in words]
    limits = np.iinfo(dtype)
    if whole and not limits.min <= min(whole) <= max(whole) <= limits.max:
        raise ValueError("a value does not fit the voxel type")
    return np.array(whole, dtype).tobytes()
