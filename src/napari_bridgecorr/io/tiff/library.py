"""TIFF files as planes of pixels and a few tags. The only importer of tifffile.

Planes are read by rows and columns, straight from their tiles or strips, and the file is open only
while a box is read. What a truncated or damaged file lacks is an error, never zeros.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ...errors import ReadError, one_line
from ..signature import mislabelled, read_head, signature_of
from .chain import require_whole_chain

Block = NDArray[Any]

# what tifffile and its codecs raise on damaged files (imagecodecs' errors are RuntimeErrors)
_DAMAGED = (
    tifffile.TiffFileError,
    AssertionError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
# its complaints about damaged files would stand beside our one line on standard error
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_COPY_AGAIN = "copy or export it again"
# LZW expands most, 2731-fold; a page that claims more is a damaged header, not an image
_LARGEST_RATIO = 3000
_BOUNDED_CODECS = {5, 8, 32773, 32946}


@dataclass(frozen=True)
class Plane:
    """Where the tiles or strips of one plane are."""

    path: str
    offsets: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(eq=False)
class TiffLevel:
    """One resolution of a series: planes of one shape.

    Parameters
    ----------
    axes : str
        tifffile's letters of the axes over planes (length-1 axes left out).
    shape : tuple of int
        Their lengths; planes are in C order over them.
    page_axes : str
        ``YX``, ``YXS`` or ``SYX``.
    size : (int, int)
        Rows and columns.
    samples : int
        Colour samples of a plane.
    dtype : dtype
        In native byte order.
    planes : tuple of Plane
    """

    axes: str
    shape: tuple[int, ...]
    page_axes: str
    size: tuple[int, int]
    samples: int
    dtype: np.dtype[Any]
    planes: tuple[Plane, ...]
    tile_rows: int
    _where: tuple[str, int, int]
    _raw_dtype: np.dtype[Any] | None
    _keyframe: Any = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_keyframe": None}

    def read(self, number: int, rows: tuple[int, int], columns: tuple[int, int]) -> Block:
        """A box of a plane, (samples, rows, columns).

        Raises
        ------
        ReadError
            If its pixels are damaged.
        """
        plane = self.planes[number]
        try:
            with Path(plane.path).open("rb") as file:
                if self._raw_dtype is not None:
                    box = self._read_raw(file, plane, rows)[:, :, columns[0] : columns[1]]
                else:
                    box = self._read_segments(file, plane, rows, columns)
        except _DAMAGED as error:
            raise ReadError(
                plane.path,
                f"is damaged: plane {number} cannot be read ({one_line(error)})",
                _COPY_AGAIN,
            ) from error
        return box.astype(self.dtype, copy=False)

    def _read_raw(self, file: Any, plane: Plane, rows: tuple[int, int]) -> Block:
        dtype = self._raw_dtype
        assert dtype is not None
        height, width = self.size
        is_planar = self.page_axes == "SYX"
        per_row = width * (1 if is_planar else self.samples)
        parts = []
        for sample in range(self.samples if is_planar else 1):
            first = (sample * height + rows[0]) * per_row
            file.seek(plane.offsets[0] + first * dtype.itemsize)
            n_bytes = (rows[1] - rows[0]) * per_row * dtype.itemsize
            data = file.read(n_bytes)
            if len(data) < n_bytes:
                raise ValueError("the file ends before it")
            parts.append(np.frombuffer(data, dtype).reshape(rows[1] - rows[0], width, -1))
        return np.concatenate(parts, axis=2).transpose(2, 0, 1)

    def _read_segments(
        self, file: Any, plane: Plane, rows: tuple[int, int], columns: tuple[int, int]
    ) -> Block:
        page = self._page()
        tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        options = tables if page.compression in {6, 7, 34892, 33007} else {}
        tile_rows = page.tilelength if page.is_tiled else page.rowsperstrip
        tile_columns = page.tilewidth if page.is_tiled else page.imagewidth
        down, across = -(-self.size[0] // tile_rows), -(-self.size[1] // tile_columns)
        n_planar = self.samples if self.page_axes == "SYX" else 1
        box = np.full(
            (self.samples, rows[1] - rows[0], columns[1] - columns[0]), page.nodata, self.dtype
        )
        for planar in range(n_planar):
            for i in range(rows[0] // tile_rows, -(-rows[1] // tile_rows)):
                for j in range(columns[0] // tile_columns, -(-columns[1] // tile_columns)):
                    index = (planar * down + i) * across + j
                    if plane.counts[index] == 0:
                        continue  # a sparse file leaves out tiles without data
                    file.seek(plane.offsets[index])
                    data = file.read(plane.counts[index])
                    if len(data) < plane.counts[index]:
                        raise ValueError("the file ends before it")
                    tile = page.decode(data, index, **options)[0]
                    if tile is None:
                        raise ValueError(f"tile {index} is empty")
                    # (depth 1, rows, columns, samples)
                    samples = slice(planar, planar + 1) if n_planar > 1 else slice(None)
                    self._paste(
                        box[samples],
                        tile[0].transpose(2, 0, 1),
                        (i * tile_rows - rows[0], j * tile_columns - columns[0]),
                    )
        return box

    @staticmethod
    def _paste(box: Block, tile: Block, at: tuple[int, int]) -> None:
        """Copy the part of `tile` (samples, y, x) that lies in `box` when put at row, column."""
        target, source = [slice(None)], [slice(None)]
        for position, size, limit in zip(at, tile.shape[1:], box.shape[1:], strict=True):
            low, high = max(position, 0), min(position + size, limit)
            target.append(slice(low, high))
            source.append(slice(low - position, high - position))
        box[tuple(target)] = tile[tuple(source)]

    def _page(self) -> Any:
        """The page that knows how to decode; read again in another process."""
        if self._keyframe is None:
            path, series, level = self._where
            with tifffile.TiffFile(path) as tif:
                self._keyframe = _with_decoder(tif.series[series].levels[level].keyframe)
        return self._keyframe


@dataclass(frozen=True)
class TiffSeries:
    """One image of a file.

    Parameters
    ----------
    name : str
    levels : tuple of TiffLevel
        Full resolution first.
    resolution : (x, y, unit)
        Pixels per unit and the unit of the tags (1 none, 2 inch, 3 cm); None where absent.
    is_rgb : bool
        The samples are colours.
    """

    name: str
    levels: tuple[TiffLevel, ...]
    resolution: tuple[float | None, float | None, int]
    is_rgb: bool


@dataclass(frozen=True)
class TiffContents:
    """What a file holds. `ome_xml` and `imagej` are None where it is of another kind."""

    series: tuple[TiffSeries, ...]
    ome_xml: str | None
    imagej: dict[str, Any] | None


def open_tiff(path: Path) -> TiffContents:
    """Read the structure of a file, not its pixels.

    Raises
    ------
    ReadError
        If it is not TIFF, or damaged, or truncated.
    """
    try:
        head = read_head(path)
        found = signature_of(head)
        if found is None or found.kind != "TIFF":
            raise ReadError(path, *mislabelled(head, "TIFF"))
        require_whole_chain(path)
        with tifffile.TiffFile(path) as tif:
            series = tuple(_series(path, tif, number) for number in range(len(tif.series)))
            imagej = tif.imagej_metadata if tif.is_imagej else None
            contents = TiffContents(
                series, tif.ome_metadata if tif.is_ome else None, dict(imagej) if imagej else None
            )
    except _DAMAGED as error:
        raise ReadError(
            path, f"is damaged or cut short ({one_line(error)})", _COPY_AGAIN
        ) from error
    if not contents.series:
        raise ReadError(path, "holds no image", _COPY_AGAIN)
    # ImageJ's large stacks have one page, and its text says how many planes follow it
    announced = (contents.imagej or {}).get("images", 1)
    present = sum(len(s.levels[0].planes) for s in contents.series)
    if isinstance(announced, int) and announced > present:
        raise ReadError(path, f"is cut short ({present} of {announced} planes)", _COPY_AGAIN)
    return contents


def _series(path: Path, tif: Any, number: int) -> TiffSeries:
    series = tif.series[number]
    levels = [_level(path, series, number, 0)]
    for k in range(1, len(series.levels)):
        level = _level(path, series, number, k)
        same = (level.axes, level.shape, level.samples, level.dtype)
        if same == (levels[0].axes, levels[0].shape, levels[0].samples, levels[0].dtype):
            levels.append(level)
    page = series.keyframe
    return TiffSeries(
        name=str(series.name or ""),
        levels=tuple(levels),
        resolution=(_rational(page, 282), _rational(page, 283), _resolution_unit(page)),
        is_rgb=levels[0].samples >= 3 and int(page.photometric) in (2, 6),
    )


def _level(path: Path, series: Any, number: int, k: int) -> TiffLevel:
    level = series.levels[k]
    page = level.keyframe
    if page.imagedepth > 1:
        raise ReadError(path, "stores volumes as single pages", "export it as a stack of planes")
    # page.axes drops nothing of y and x, so that a line of pixels is a plane too
    samples = int(page.samplesperpixel)
    page_axes = "YX" if samples == 1 else ("YXS" if int(page.planarconfig) == 1 else "SYX")
    page_shape = {
        "YX": (page.imagelength, page.imagewidth),
        "YXS": (page.imagelength, page.imagewidth, samples),
        "SYX": (samples, page.imagelength, page.imagewidth),
    }[page_axes]
    total = prod(level.get_shape(False))
    kept = [
        (axis, int(length))
        for axis, length in zip(level.get_axes(False), level.get_shape(False), strict=True)
        if length != 1 and axis not in "YX" and not (axis == "S" and samples > 1)
    ]
    axes, shape = "".join(axis for axis, _ in kept), tuple(length for _, length in kept)
    if prod(shape) * prod(page_shape) != total or total == 0 or level.transform is not None:
        raise ReadError(path, f"has pages that do not make up {level.shape}", _COPY_AGAIN)
    # one page may describe many planes that follow it without pages of their own (ImageJ)
    offset = level.dataoffset
    n_bytes = prod(page_shape) * page.dtype.itemsize
    if offset is not None and not level.is_multifile:
        name = str(page.parent.filehandle.path)
        planes = tuple(Plane(name, (offset + i * n_bytes,), (n_bytes,)) for i in range(prod(shape)))
        is_raw = True
    else:
        pages = [level[i] for i in range(len(level))]
        lost = sum(p is None for p in pages) + prod(shape) - len(pages)
        if lost:
            raise ReadError(path, f"lacks {lost} of its {prod(shape)} planes", "copy all its files")
        planes = tuple(_plane(p) for p in pages)
        is_raw = all(p.is_contiguous for p in pages)
    _require_whole(path, page, planes, n_bytes, is_raw)
    dtype = np.dtype(np.uint8 if page.dtype.kind == "b" else page.dtype)
    if dtype.kind not in "uif":
        raise ReadError(path, f"holds pixels of type {dtype}", "convert them to integers or floats")
    return TiffLevel(
        axes=axes,
        shape=shape,
        page_axes=page_axes,
        size=(int(page.imagelength), int(page.imagewidth)),
        samples=samples,
        dtype=dtype.newbyteorder("="),
        planes=planes,
        tile_rows=1 if is_raw else int(page.tilelength if page.is_tiled else page.rowsperstrip),
        _where=(str(path), number, k),
        _raw_dtype=page.dtype.newbyteorder(page.parent.byteorder) if is_raw else None,
        _keyframe=_with_decoder(page),
    )


def _with_decoder(page: Any) -> Any:
    """The page, having looked up in the open file what its decoder needs (JPEG tables, say)."""
    _ = page.decode, page.jpegtables, page.jpegheader, page.nodata
    return page


def _plane(page: Any) -> Plane:
    return Plane(
        str(page.parent.filehandle.path),
        tuple(int(n) for n in page.dataoffsets),
        tuple(int(n) for n in page.databytecounts),
    )


def _require_whole(
    path: Path, page: Any, planes: tuple[Plane, ...], n_bytes: int, is_raw: bool
) -> None:
    """Raise ReadError unless every plane has all its tiles within its file."""
    on_disk: dict[str, int] = {}
    expected = 1 if is_raw else prod(page.chunked)
    for number, plane in enumerate(planes):
        size = on_disk.setdefault(plane.path, 0) or Path(plane.path).stat().st_size
        on_disk[plane.path] = size
        if len(plane.offsets) < expected or len(plane.counts) < expected:
            raise ReadError(path, f"lacks a part of plane {number}", _COPY_AGAIN)
        if is_raw:
            end = plane.offsets[0] + n_bytes
        else:
            end = max(o + c for o, c in zip(plane.offsets, plane.counts, strict=False))
            most = prod(page.chunks) * page.dtype.itemsize
            if int(page.compression) in _BOUNDED_CODECS and any(
                0 < count * _LARGEST_RATIO < most for count in plane.counts
            ):
                raise ReadError(path, f"claims an impossible size {page.shape}", _COPY_AGAIN)
        if end > size:
            raise ReadError(
                path,
                f"is cut short: plane {number} of {len(planes)} ends at byte {end}, the file at "
                f"{size}",
                _COPY_AGAIN,
            )


def _rational(page: Any, code: int) -> float | None:
    tag = page.tags.get(code)
    value = tag.value if tag is not None else None
    if not isinstance(value, tuple) or len(value) != 2 or not value[0] or not value[1]:
        return None
    return float(value[0] / value[1])


def _resolution_unit(page: Any) -> int:
    tag = page.tags.get(296)
    # the TIFF standard's default is inch
    return int(tag.value) if tag is not None else 2


def write_levels(
    path: Path,
    levels: list[tuple[tuple[int, int, int], Iterator[Block]]],
    dtype: np.dtype[Any],
    tile: tuple[int, int],
    description: str,
    is_large: bool,
) -> None:
    """Write planes and their reduced planes (as SubIFDs), from iterators over tiles.

    Parameters
    ----------
    path : Path
    levels : list of ((planes, rows, columns), iterator)
        Full resolution first; each iterator yields the tiles of plane 0 row by row, then plane 1...
        and is exhausted before the next is begun.
    dtype : dtype
        Of the pixels.
    tile : (int, int)
        Rows and columns of a tile, multiples of 16.
    description : str
        OME-XML.
    is_large : bool
        Use BigTIFF.
    """
    options: dict[str, Any] = {
        "dtype": dtype,
        "tile": tile,
        "photometric": "minisblack",
        # deflate is the one compression that every reader of TIFF knows
        "compression": "zlib",
        # the floating-point predictor is not: floats go without
        "predictor": dtype.kind in "iu",
        "metadata": None,
    }
    with tifffile.TiffWriter(path, bigtiff=is_large, byteorder="<") as tif:
        for number, (shape, tiles) in enumerate(levels):
            first = {"subifds": len(levels) - 1, "description": description.encode()}
            tif.write(
                tiles, shape=shape, **options, **(first if number == 0 else {"subfiletype": 1})
            )
