"""Which tiles a reading needs, each checked before anything decodes it.

libCZI trusts the header that each tile repeats, and a garbled one ends the interpreter. A tile's
header is checked once, when a reading first needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from .directory import ABSENT, CziDirectory, TileHeader, read_directory, read_tile_header
from .segments import DAMAGED, CziFile, FilePart, open_part

Rectangle = tuple[int, int, int, int]
"""x, y, width, height in level-0 pixels of the file's own frame."""

_FILES = 4


@dataclass(frozen=True)
class CheckedTile:
    """A tile that a reading needs.

    Parameters
    ----------
    x, y, w, h : int
        Its place, in level-0 pixels of the file's frame.
    order : int
        Its place in the mosaic: the later lies on top.
    header : TileHeader
    """

    x: int
    y: int
    w: int
    h: int
    order: int
    header: TileHeader

    @property
    def stored(self) -> tuple[int, int]:
        """Rows and columns stored."""
        sizes = {name: n for name, _, n in self.header.dims}
        return sizes["Y"], sizes["X"]


@dataclass(eq=False)
class _Plane:
    """The tiles of one plane, and what is known of each."""

    rows: NDArray[np.intp]
    corners: NDArray[np.int64]
    """x, y, x end, y end of each."""
    checked: list[CheckedTile | None]


class TileGuard:
    """Finds and checks the tiles of a file.

    Parameters
    ----------
    file : CziFile
    directory : CziDirectory
    """

    def __init__(self, file: CziFile, directory: CziDirectory) -> None:
        self.directory = directory
        self._file = file
        self._planes: dict[tuple[tuple[str, int], ...], _Plane] = {}

    def tiles(
        self, rectangle: Rectangle, plane: Mapping[str, int], scene: int | None
    ) -> list[CheckedTile]:
        """The tiles of one plane (and scene), of every level, that meet a rectangle.

        Raises
        ------
        ReadError
            If the header of one is damaged.
        """
        key = tuple(plane.items()) + (() if scene is None else (("S", scene),))
        known = self._planes.get(key)
        if known is None:
            known = self._planes[key] = self._tiles_of(key)
        x, y, w, h = rectangle
        left, top, right, bottom = known.corners
        needed = np.flatnonzero((left < x + w) & (right > x) & (top < y + h) & (bottom > y))
        found = [known.checked[i] for i in needed.tolist()]
        if None in found:
            with open_part(self._file) as part:
                for i in needed.tolist():
                    if known.checked[i] is None:
                        known.checked[i] = self._check(part, int(known.rows[i]))
            found = [known.checked[i] for i in needed.tolist()]
        return [tile for tile in found if tile is not None]

    def _tiles_of(self, key: tuple[tuple[str, int], ...]) -> _Plane:
        tiles = self.directory.tiles
        needed = np.ones(len(tiles), dtype=bool)
        for dim, index in key:
            needed &= (tiles[dim] == index) | (tiles[dim] == ABSENT)
        rows = np.flatnonzero(needed)
        t = tiles[rows]
        corners = np.stack([t["x"], t["y"], t["x"] + t["w"], t["y"] + t["h"]])
        return _Plane(rows, corners, [None] * len(rows))

    def _check(self, part: FilePart, row: int) -> CheckedTile:
        tile = self.directory.tiles[row]
        header = read_tile_header(self._file.path, part, int(tile["position"]))
        stored = {name: n for name, _, n in header.dims}
        if (
            header.pixel_type != tile["pixel_type"]
            or header.compression != tile["compression"]
            or stored.get("X") != tile["stored_w"]
            or stored.get("Y") != tile["stored_h"]
        ):
            raise ReadError(self._file.path, "a tile is not what the directory says of it", DAMAGED)
        x, y, w, h, order = (int(tile[n]) for n in ("x", "y", "w", "h", "M"))
        return CheckedTile(x, y, w, h, order, header)


@lru_cache(maxsize=_FILES)
def guard(file: CziFile) -> TileGuard:
    """Directory of a file, and the check of its tiles (kept for the files used last).

    Raises
    ------
    ReadError
        If the directory is damaged.
    """
    return TileGuard(file, read_directory(file))
