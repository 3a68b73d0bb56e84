"""Planes put in order: one resolution of an image, and how pages become it. No axes' meaning."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ReadError
from ..lazy import Block
from .directory import COPY_AGAIN, Directory, Kind
from .library import DAMAGED
from .plane import Decoder, Plane, decoder_of, why_unreadable

Page = tuple[Path, Directory]
"""A page and the file in which it lies."""


@dataclass(frozen=True, eq=False)
class TiffLevel:
    """One resolution of a series: planes of one size and pixel type.

    Parameters
    ----------
    axes : str
        tifffile's letters of the axes over planes (length-1 axes left out).
    shape : tuple of int
        Their lengths; planes are in C order over them.
    decoders : tuple of Decoder
        One per way in which planes are stored.
    planes : mapping of int to (int, Plane)
        By number: which decoder, and where. A number that is not there is a plane that no file
        holds.
    absent : str
        Why planes are not there, as a clause.
    n_left_out : int
        Tiles that the files leave out.
    """

    axes: str
    shape: tuple[int, ...]
    decoders: tuple[Decoder, ...]
    planes: Mapping[int, tuple[int, Plane]]
    absent: str = ""
    n_left_out: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.decoders[0].size

    @property
    def samples(self) -> int:
        """Colour samples of a plane."""
        return self.decoders[0].samples

    @property
    def is_interleaved(self) -> bool:
        """A plane's samples are read together."""
        return self.samples > 1 and not self.decoders[0].is_planar

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels, in native byte order."""
        return self.decoders[0].dtype

    @property
    def tile(self) -> tuple[int, int]:
        """Rows and columns that are read together; whole rows where there are no tiles."""
        first = self.decoders[0]
        if first.stored_dtype is not None and not first.is_tiled:
            return 1, first.size[1]
        return first.segment

    @property
    def n_planes(self) -> int:
        """Number of planes, present or not."""
        return prod(self.shape)

    def read(self, number: int, rows: tuple[int, int], columns: tuple[int, int]) -> Block:
        """A box of a plane, (samples, rows, columns).

        Raises
        ------
        ReadError
            If its pixels are damaged or in no file.
        """
        found = self.planes.get(number)
        if found is None:
            path = self.decoders[0].path
            raise ReadError(path, f"lacks plane {number} ({self.absent})", "copy all its files")
        decoder, plane = found
        try:
            return self.decoders[decoder].read(plane, rows, columns)
        except DAMAGED as error:
            raise why_unreadable(plane, number, error) from error


class Decoders:
    """The ways in which the planes of a level are stored, found out as pages come.

    Parameters
    ----------
    load : callable
        Gives the decoder of pages like this one; raises ReadError.
    """

    def __init__(self, load: Callable[[Page], Decoder]) -> None:
        self._load = load
        self._number: dict[Kind, int] = {}
        self.found: list[Decoder] = []

    def number_of(self, page: Page) -> int:
        """Which decoder reads `page`.

        Raises
        ------
        ReadError
            If the page differs in size or type from those before.
        """
        kind = page[1].kind
        if kind not in self._number:
            decoder = self._load(page)
            if self.found and decoder.likeness != self.found[0].likeness:
                raise odd_plane(page[0], decoder, self.found[0])
            self._number[kind] = len(self.found)
            self.found.append(decoder)
        return self._number[kind]


def odd_plane(path: Path, odd: Decoder, usual: Decoder) -> ReadError:
    """The error of a plane that does not fit to the first one."""
    what, value, there = next(
        row
        for row in (
            ("size (rows, columns)", odd.size, usual.size),
            ("pixel type", odd.dtype, usual.dtype),
            ("number of colour samples", odd.samples, usual.samples),
        )
        if row[1] != row[2]
    )
    return ReadError(
        path,
        f"is no plane of the same stack as {Path(usual.path).name}: its {what} is {value}, there "
        f"it is {there}",
        "move it out of the folder or export it again",
    )


def level_of_pages(
    pages: Mapping[int, Page],
    axes: str,
    shape: tuple[int, ...],
    load: Callable[[Page], Decoder],
    absent: str = "",
) -> TiffLevel:
    """A level from pages by plane number.

    Parameters
    ----------
    pages : mapping of int to (Path, Directory)
        At least one.
    axes, shape, absent
        As of :class:`TiffLevel`.
    load : callable
        As of :class:`Decoders`.

    Raises
    ------
    ReadError
        If a page is cut short or differs from the others.
    """
    decoders = Decoders(load)
    sizes: dict[Path, int] = {}
    planes: dict[int, tuple[int, Plane]] = {}
    n_left_out = 0
    names: dict[Path, str] = {}
    for number, page in pages.items():
        path, directory = page
        index = decoders.number_of(page)
        if len(directory.offsets) == 0:
            raise ReadError(path, f"lacks the pixels of plane {number}", COPY_AGAIN)
        decoder = decoders.found[index]
        counts = directory.counts
        if len(counts) == 0 and decoder.stored_dtype is not None and len(directory.offsets) == 1:
            counts = (decoder.plane_bytes,)  # the standard's readers take it so
        if path not in sizes:
            sizes[path], names[path] = path.stat().st_size, os.path.abspath(path)  # noqa: PTH100 - for workers elsewhere
        plane = decoder.plane(names[path], directory.offsets, counts, directory.tables)
        n_left_out += decoder.require_whole(plane, number, sizes[path])
        planes[number] = index, plane
    _require_pixels(next(iter(pages.values()))[0], decoders.found, planes, n_left_out)
    return TiffLevel(axes, shape, tuple(decoders.found), planes, absent, n_left_out)


def _require_pixels(
    path: Path,
    decoders: Sequence[Decoder],
    planes: Mapping[int, tuple[int, Plane]],
    n_left_out: int,
) -> None:
    if n_left_out and n_left_out >= sum(decoders[i].n_segments for i, _ in planes.values()):
        raise ReadError(path, "holds no pixels (all its tiles are left out)", COPY_AGAIN)


def level_of_series(path: Path, level: Any, kinds: Mapping[int, Directory]) -> TiffLevel:
    """A level from tifffile's series, whose pages it has put in order.

    Parameters
    ----------
    path : Path
    level : TiffPageSeries
    kinds : mapping of int to Directory
        The file's directories by offset, where they can be trusted for single pages.

    Raises
    ------
    ReadError
        If pages are cut short, or do not make up the series.
    """
    decoder = decoder_of(path, level.keyframe)
    samples = decoder.samples
    kept = [
        (axis, int(length))
        for axis, length in zip(level.get_axes(False), level.get_shape(False), strict=True)
        if length != 1 and axis not in "YX" and not (axis == "S" and samples > 1)
    ]
    # a C that is made of planar samples, and was called C for that
    if samples > 1 and kept and kept[-1] == ("C", samples) and "S" not in level.get_axes(False):
        kept.pop()
    axes, shape = "".join(axis for axis, _ in kept), tuple(length for _, length in kept)
    n_planes = prod(shape)
    total = prod(int(n) for n in level.get_shape(False))
    if n_planes * prod(decoder.size) * samples != total or total <= 0:
        raise ReadError(path, f"has pages that do not make up {level.shape}", COPY_AGAIN)
    if level.transform is not None:
        raise ReadError(path, "stores pixels in an unusual order", "export it as OME-TIFF")
    sizes: dict[str, int] = {}
    planes: dict[int, tuple[int, Plane]] = {}
    decoders = [decoder]
    n_left_out = 0
    offset = level.dataoffset
    if offset is not None and not level.is_multifile and decoder.stored_dtype is not None:
        # one page may describe many planes that follow it without pages of their own (ImageJ)
        step = decoder.plane_bytes
        file = str(level.keyframe.parent.filehandle.path)
        last = int(offset) + n_planes * step
        size = Path(file).stat().st_size
        if last > size:
            raise ReadError(
                path,
                f"is cut short: its {n_planes} planes end at byte {last}, the file at {size}",
                COPY_AGAIN,
            )
        planes = {
            i: (0, Plane(file, (int(offset) + i * step,), (step,), None, True))
            for i in range(n_planes)
        }
        return TiffLevel(axes, shape, (decoder,), planes)
    pages = [level[i] for i in range(len(level))]
    lost = sum(p is None for p in pages) + n_planes - len(pages)
    if lost:
        raise ReadError(path, f"lacks {lost} of its {n_planes} planes", "copy all its files")
    usual = kinds.get(decoder.offset)
    others: dict[Kind, int] = {}
    for number, page in enumerate(pages):
        own = kinds.get(int(page.offset))
        index = 0
        if usual is not None and own is not None and own.kind != usual.kind:
            if own.kind not in others:
                odd = decoder_of(path, page.aspage())
                if odd.likeness != decoder.likeness:
                    raise odd_plane(path, odd, decoder)
                others[own.kind] = len(decoders)
                decoders.append(odd)
            index = others[own.kind]
        file = str(page.parent.filehandle.path)
        plane = decoders[index].plane(
            file,
            tuple(int(n) for n in page.dataoffsets),
            tuple(int(n) for n in page.databytecounts),
            own.tables if own is not None else page.jpegtables,
        )
        if len(plane.offsets) == 0:
            raise ReadError(path, f"lacks the pixels of plane {number}", COPY_AGAIN)
        if file not in sizes:
            sizes[file] = Path(file).stat().st_size
        n_left_out += decoders[index].require_whole(plane, number, sizes[file])
        planes[number] = index, plane
    _require_pixels(path, decoders, planes, n_left_out)
    return TiffLevel(axes, shape, tuple(decoders), planes, n_left_out=n_left_out)
