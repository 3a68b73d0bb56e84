"""Pixels of single planes, straight from their tiles or strips. Sees tifffile's page, not tifffile.

The file is open only while a box is read. What a truncated or damaged file lacks is an error, never
zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import ReadError, one_line
from ..lazy import Block
from ..picture_headers import jpeg2000_header, jpeg_header, png_header
from .directory import COPY_AGAIN
from .library import DAMAGED, reopened_page

# LZW expands most of them, 2731-fold; a page that claims more is a damaged header, not an image
_LARGEST_RATIO = 3000
_BOUNDED_CODECS = {5, 8, 32773, 32946}
_JPEG = {6, 7, 34892, 33007}
# a strip or tile is decoded whole: beyond it memory would not be bounded
_LARGEST_SEGMENT_BYTES = 256 * 2**20
_FLOAT_BITS = {16, 32, 64}
# codecs that believe the stream's own header
_HEADERS = {
    7: jpeg_header,
    **dict.fromkeys((33003, 33004, 33005, 34712), jpeg2000_header),
    34933: png_header,
}


class Plane(NamedTuple):
    """Where the tiles or strips of one plane are.

    Parameters
    ----------
    path : str
    offsets, counts : sequence of int
        Of its tiles or strips, in bytes. A count of 0 is a tile that the file leaves out.
    tables : bytes or None
        JPEG tables of its own.
    is_raw : bool
        The pixels lie there in one piece, as they are.
    """

    path: str
    offsets: Sequence[int]
    counts: Sequence[int]
    tables: bytes | None
    is_raw: bool


@dataclass(eq=False)
class Decoder:
    """What planes share that are stored alike.

    Parameters
    ----------
    path : str
    offset : int
        Where a page lies that is decoded like all of them.
    size : (int, int)
        Rows and columns.
    samples : int
        Colour samples of a plane.
    is_planar : bool
        Each sample is stored as a plane of its own.
    dtype : dtype
        Of the pixels that are given, in native byte order.
    stored_dtype : dtype or None
        Of the pixels as they lie in the file; None where they are packed or compressed.
    segment : (int, int)
        Rows and columns of a tile or strip.
    is_tiled : bool
    compression : int
    nodata : number
        What a tile holds that the file leaves out.
    """

    path: str
    offset: int
    size: tuple[int, int]
    samples: int
    is_planar: bool
    dtype: np.dtype[Any]
    stored_dtype: np.dtype[Any] | None
    segment: tuple[int, int]
    is_tiled: bool
    compression: int
    nodata: float
    _page: Any = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_page": None}

    @property
    def likeness(self) -> tuple[object, ...]:
        """Equal where planes can stand in one image."""
        return self.size, self.samples, self.dtype

    @cached_property
    def plane_bytes(self) -> int:
        """Of one whole plane, uncompressed."""
        item = (self.stored_dtype or self.dtype).itemsize
        return prod(self.size) * self.samples * item

    @cached_property
    def n_segments(self) -> int:
        """Tiles or strips of a plane."""
        across = [-(-n // k) for n, k in zip(self.size, self.segment, strict=True)]
        return prod(across) * (self.samples if self.is_planar else 1)

    def plane(
        self, path: str, offsets: Sequence[int], counts: Sequence[int], tables: bytes | None
    ) -> Plane:
        """A plane that is stored in this way."""
        is_raw = False
        if self.stored_dtype is not None:
            if len(offsets) == 1:
                is_raw = not self.is_tiled or self.n_segments == 1
            elif not self.is_tiled:
                is_raw = _in_one_piece(offsets, counts, self.plane_bytes)
        return Plane(path, offsets, counts, tables, is_raw)

    def require_whole(self, plane: Plane, number: int, file_bytes: int) -> int:
        """Raise ReadError unless all tiles or strips lie within the file.

        Returns
        -------
        int
            How many tiles the file leaves out.
        """
        n = self.n_segments
        if plane.is_raw:
            end, n_left_out = int(plane.offsets[0]) + self.plane_bytes, 0
        else:
            if len(plane.offsets) < n or len(plane.counts) < n:
                raise ReadError(plane.path, f"lacks a part of plane {number}", COPY_AGAIN)
            offsets = np.asarray(plane.offsets[:n], dtype=np.float64)
            counts = np.asarray(plane.counts[:n], dtype=np.float64)
            end = int(np.max(offsets + counts, where=counts > 0, initial=0))
            n_left_out = int(np.count_nonzero(counts == 0))
            self._require_sane(plane, counts)
        if end > file_bytes:
            raise ReadError(
                plane.path,
                f"is cut short: plane {number} ends at byte {end}, the file at {file_bytes}",
                COPY_AGAIN,
            )
        return n_left_out

    def _require_sane(self, plane: Plane, counts: Any) -> None:
        segment = prod(self.segment) * (1 if self.is_planar else self.samples)
        most = segment * self.dtype.itemsize
        stored = counts[counts > 0]
        if self.compression in _BOUNDED_CODECS and np.any(stored * _LARGEST_RATIO < most):
            raise ReadError(plane.path, f"claims an impossible size {self.size}", COPY_AGAIN)
        if most > _LARGEST_SEGMENT_BYTES:
            raise ReadError(
                plane.path,
                f"stores {most / 2**20:.0f} MiB of pixels as one piece, which cannot be read in "
                f"parts",
                "save it again with tiles",
            )

    def read(self, plane: Plane, rows: tuple[int, int], columns: tuple[int, int]) -> Block:
        """A box of a plane, (samples, rows, columns). Raises what `DAMAGED` lists."""
        with Path(plane.path).open("rb") as file:
            if plane.is_raw:
                box = self._read_raw(file, plane, rows)[:, :, columns[0] : columns[1]]
            else:
                box = self._read_segments(file, plane, rows, columns)
        return box.astype(self.dtype, copy=False)

    def _read_raw(self, file: Any, plane: Plane, rows: tuple[int, int]) -> Block:
        dtype = self.stored_dtype
        assert dtype is not None
        height, width = self.size
        per_row = width * (1 if self.is_planar else self.samples)
        parts = []
        for sample in range(self.samples if self.is_planar else 1):
            first = (sample * height + rows[0]) * per_row
            file.seek(int(plane.offsets[0]) + first * dtype.itemsize)
            data = _exactly(file, (rows[1] - rows[0]) * per_row * dtype.itemsize)
            parts.append(np.frombuffer(data, dtype).reshape(rows[1] - rows[0], width, -1))
        return np.concatenate(parts, axis=2).transpose(2, 0, 1)

    def _read_segments(
        self, file: Any, plane: Plane, rows: tuple[int, int], columns: tuple[int, int]
    ) -> Block:
        page = self.page()
        options = {}
        if self.compression in _JPEG:
            options = {"jpegtables": plane.tables or page.jpegtables, "jpegheader": page.jpegheader}
        high, wide = self.segment
        down, across = -(-self.size[0] // high), -(-self.size[1] // wide)
        n_planar = self.samples if self.is_planar else 1
        box = np.full(
            (self.samples, rows[1] - rows[0], columns[1] - columns[0]), self.nodata, self.dtype
        )
        for planar in range(n_planar):
            for i in range(rows[0] // high, -(-rows[1] // high)):
                for j in range(columns[0] // wide, -(-columns[1] // wide)):
                    index = (planar * down + i) * across + j
                    count = int(plane.counts[index])
                    if count == 0:
                        continue  # a sparse file leaves out tiles without data, and we warned
                    file.seek(int(plane.offsets[index]))
                    data = _exactly(file, count)
                    if page.jpegheader is None:
                        self._require_sane_stream(data)
                    tile = page.decode(data, index, **options)[0]
                    if tile is None:
                        raise ValueError(f"tile {index} is empty")
                    # (depth 1, rows, columns, samples)
                    samples = slice(planar, planar + 1) if n_planar > 1 else slice(None)
                    _paste(
                        box[samples],
                        tile[0].transpose(2, 0, 1),
                        (i * high - rows[0], j * wide - columns[0]),
                    )
        return box

    def _require_sane_stream(self, data: bytes) -> None:
        """Raise ValueError where a tile's own header claims other sizes, or its end is missing."""
        header_of = _HEADERS.get(self.compression)
        if header_of is None:
            return
        rows, columns = header_of(data).size
        if rows * columns > 4 * prod(self.segment) + 4096:
            raise ValueError(f"a tile claims {rows} x {columns} pixels")

    def page(self) -> Any:
        """The page that knows how to decode; read again in another process."""
        if self._page is None:
            self._page = reopened_page(self.path, self.offset)
        return self._page


def decoder_of(path: Path, page: Any) -> Decoder:
    """How pages like `page` (tifffile's) are decoded.

    Raises
    ------
    ReadError
        If it holds no pixels of a kind that is read here.
    """
    if page.imagedepth > 1 or page.tiledepth > 1:
        raise ReadError(path, "stores volumes as single pages", "export it as a stack of planes")
    if page.dtype is None or page._dtype is None:
        raise ReadError(
            path,
            f"holds pixels of an unknown type ({page.bitspersample} bits, format "
            f"{int(page.sampleformat)})",
            "convert them to integers or floats",
        )
    dtype = np.dtype(np.uint8 if page.dtype.kind == "b" else page.dtype)
    if dtype.kind not in "uif":
        raise ReadError(
            path,
            f"holds pixels of type {dtype} (complex numbers)"
            if dtype.kind == "c"
            else f"holds pixels of type {dtype}",
            "convert them to integers or floats",
        )
    size = int(page.imagelength), int(page.imagewidth)
    samples = int(page.samplesperpixel)
    if min(size) < 1 or samples < 1:
        raise ReadError(path, f"claims a page of {size[0]} x {size[1]} pixels", COPY_AGAIN)
    is_tiled = bool(page.is_tiled)
    segment = (
        (int(page.tilelength), int(page.tilewidth))
        if is_tiled
        else (int(page.rowsperstrip), size[1])
    )
    if min(segment) < 1:
        raise ReadError(path, f"claims tiles of {segment[0]} x {segment[1]} pixels", COPY_AGAIN)
    is_plain = (
        page.compression == 1
        and page.predictor == 1
        and page.fillorder == 1
        and not page.is_subsampled
        and page.bitspersample in ({8, 16, 32, 64} if dtype.kind != "f" else _FLOAT_BITS)
        and page.bitspersample == 8 * dtype.itemsize
        # a tile that is as large as the plane is the plane
        and (not is_tiled or segment == size)
    )
    return Decoder(
        path=str(page.parent.filehandle.path),
        offset=int(page.offset),
        size=size,
        samples=samples,
        is_planar=samples > 1 and int(page.planarconfig) == 2,
        dtype=dtype.newbyteorder("="),
        stored_dtype=page.dtype.newbyteorder(page.parent.byteorder) if is_plain else None,
        segment=segment,
        is_tiled=is_tiled,
        compression=int(page.compression),
        nodata=page.nodata,
        _page=page,
    )


def why_unreadable(plane: Plane, number: int, error: BaseException) -> ReadError:
    """The error of a plane whose pixels are damaged."""
    return ReadError(
        plane.path,
        f"is damaged: plane {number} cannot be read ({one_line(error)[:300]})",
        COPY_AGAIN,
    )


def _in_one_piece(offsets: Sequence[int], counts: Sequence[int], n_bytes: int) -> bool:
    starts, lengths = np.asarray(offsets, dtype=np.int64), np.asarray(counts, dtype=np.int64)
    if starts.size == 0 or starts.size != lengths.size or int(lengths.sum()) != n_bytes:
        return False
    return bool(np.all(lengths > 0) and np.array_equal(starts[:-1] + lengths[:-1], starts[1:]))


def _exactly(file: Any, n_bytes: int) -> bytes:
    data: bytes = file.read(n_bytes)
    if len(data) < n_bytes:
        raise ValueError("the file ends before it")
    return data


def _paste(box: Block, tile: Block, at: tuple[int, int]) -> None:
    """Copy the part of `tile` (samples, y, x) that lies in `box` when put at row, column."""
    target, source = [slice(None)], [slice(None)]
    for position, size, limit in zip(at, tile.shape[1:], box.shape[1:], strict=True):
        low, high = max(position, 0), min(position + size, limit)
        target.append(slice(low, high))
        source.append(slice(low - position, high - position))
    box[tuple(target)] = tile[tuple(source)]


__all__ = ["DAMAGED", "Decoder", "Plane", "decoder_of", "why_unreadable"]
