"""Levels read tile by tile in Python, for what libCZI cannot address.

libCZI knows one plane at a time of one file. Here are the lines of a line scan, of which a tile
holds thousands along time, and the files that are embedded in another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...voxel_source import VoxelSource
from .decode import COMPRESSIONS, Undecodable, decode_tile
from .directory import PIXEL_TYPES, read_tile_header
from .planes import Layout, StoredChannel, index_along
from .segments import CziFile, FilePart, open_part


@dataclass(frozen=True, eq=False)
class TileLevel:
    """One level (t, c, z, y, x) of a scene, as a `VoxelSource`.

    Parameters
    ----------
    file : CziFile
    tiles : structured array
        The level's tiles, as in `CziDirectory`.
    layout : Layout
    """

    file: CziFile
    tiles: NDArray[np.void]
    layout: Layout

    @classmethod
    def of(
        cls, file: CziFile, tiles: NDArray[np.void], channels: tuple[StoredChannel, ...]
    ) -> TileLevel:
        """The level that these tiles make."""
        return cls(file, tiles, Layout.of(tiles, channels))

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Length of t, c, z, y, x."""
        return self.layout.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return self.layout.dtype

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> NDArray[Any]:
        """The box ``starts <= index < stops``; 0 where no tile lies."""
        block = np.zeros([b - a for a, b in zip(starts, stops, strict=True)], self.dtype)
        t = self.tiles
        near = _meets(t["x"] - self.layout.x, t["w"], starts[4], stops[4])
        near &= _meets(t["y"] - self.layout.y, t["h"], starts[3], stops[3])
        near &= _meets(index_along(t, "T") - self.layout.first_t, t["nT"], starts[0], stops[0])
        near &= _meets(index_along(t, "Z") - self.layout.first_z, t["nZ"], starts[2], stops[2])
        rows = np.flatnonzero(near)
        with open_part(self.file) as part:
            # the later in the mosaic lies on top
            for row in rows[np.argsort(t["M"][rows], kind="stable")]:
                tile = t[row]
                wanted = [
                    (i, channel)
                    for i, channel in enumerate(self.layout.channels[starts[1] : stops[1]])
                    if channel.is_in(tile)
                ]
                if wanted:
                    pixels = self._decoded(part, tile)
                    for i, channel in wanted:
                        self._paste(block[:, i], pixels, tile, channel, starts, stops)
        return block

    def _decoded(self, part: FilePart, tile: np.void) -> tuple[str, NDArray[Any]]:
        """Names of the axes (samples as ``A``) and pixels of a tile."""
        header = read_tile_header(self.file.path, part, int(tile["position"]))
        if header.pixel_type not in PIXEL_TYPES or header.compression not in COMPRESSIONS:
            raise _damaged(self.file, "a tile is of an unknown type")
        _, name, samples = PIXEL_TYPES[header.pixel_type]
        dims = [(d, n) for d, _, n in header.dims if n > 1 or d in "XYTZ"]
        dims.reverse()
        shape = [*(n for _, n in dims), samples]
        dtype = np.dtype(name).newbyteorder("<")
        try:
            raw = part.read(header.position, header.size)
            pixels = decode_tile(raw, header.compression, dtype, shape)
        except Undecodable as error:
            raise _damaged(self.file, str(error)) from error
        return "".join(d for d, _ in dims) + "A", pixels

    def _paste(
        self,
        out: NDArray[Any],
        decoded: tuple[str, NDArray[Any]],
        tile: np.void,
        channel: StoredChannel,
        starts: tuple[int, ...],
        stops: tuple[int, ...],
    ) -> None:
        """Copy a channel of a tile into (t, z, y, x)."""
        axes, pixels = decoded
        first = {
            "T": int(index_along(tile, "T")) - self.layout.first_t,
            "Z": int(index_along(tile, "Z")) - self.layout.first_z,
            "Y": int(tile["y"]) - self.layout.y,
            "X": int(tile["x"]) - self.layout.x,
        }
        sample = pixels.shape[-1] - 1 - channel.sample  # blue is stored first
        index: list[Any] = []
        for axis, length in zip(axes[:-1], pixels.shape[:-1], strict=True):
            if axis in first:
                index.append(slice(None))
            else:
                offset = channel.along(axis) - int(index_along(tile, axis))
                index.append(min(max(0, offset), length - 1))
        picked = pixels[(*index, sample)]
        kept = [a for a in axes[:-1] if a in first]
        picked = picked.transpose([kept.index(a) for a in "TZYX" if a in kept])
        for i, axis in enumerate("TZYX"):
            if axis not in kept:
                picked = np.expand_dims(picked, i)
        source, target = [], []
        for axis, n, a, b in zip(
            "TZYX", picked.shape, np.take(starts, (0, 2, 3, 4)), np.take(stops, (0, 2, 3, 4)),
            strict=True,
        ):  # fmt: skip
            low, high = max(int(a), first[axis]), min(int(b), first[axis] + n)
            source.append(slice(low - first[axis], max(low, high) - first[axis]))
            target.append(slice(low - int(a), max(low, high) - int(a)))
        out[tuple(target)] = picked[tuple(source)]


@dataclass(frozen=True, eq=False)
class LinesAsTime:
    """A level whose rows are repeats of one line: (t, c, z, y, x) of one row and many times.

    Parameters
    ----------
    source : VoxelSource
        Of one time.
    """

    source: VoxelSource

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Length of t, c, z, y, x."""
        _, c, z, y, x = self.source.shape
        return y, c, z, 1, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return self.source.dtype

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> NDArray[Any]:
        """The box ``starts <= index < stops``."""
        (t0, c0, z0, _, x0), (t1, c1, z1, _, x1) = starts, stops
        rows: NDArray[Any] = self.source.read((0, c0, z0, t0, x0), (1, c1, z1, t1, x1))
        return rows.swapaxes(0, 3)


def _meets(first: Any, length: Any, start: int, stop: int) -> Any:
    return (first < stop) & (first + length > start)


def _damaged(file: CziFile, fault: str) -> ReadError:
    return ReadError(
        file.path,
        f"the pixels of a tile are damaged ({fault})",
        "copy the file again from its source, or open and save it in ZEN",
    )
