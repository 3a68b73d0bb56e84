"""Writer of CZI files: scenes at their places, large planes in tiles with a pyramid of means.

Never more than a few tiles of each level are in memory, whatever the size of an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ...errors import WriteError, one_line
from ...progress import Progress, Silent
from ...units import micrometres_per
from ..atomic import replacing
from ..pyramid import mean_downsample
from .decode import encode_zstd
from .segment_writer import Dimension, SegmentWriter

TILE_PX = 1024
"""Side of a tile of a plane that is larger than `_WHOLE_PX`."""

_WHOLE_PX = 2048
_COARSEST_PX = 1024
_PLANES_AT_ONCE_BYTES = 2**27
_ZSTD, _ZSTD_LEVEL, _UNCOMPRESSED = 6, 2, 0
_PIXEL_TYPES = {"uint8": (0, "Gray8"), "uint16": (1, "Gray16")}


@dataclass(frozen=True, eq=False)
class SceneToWrite:
    """One scene.

    Parameters
    ----------
    data : (t, c, z, y, x) numpy or dask array
        uint8 or uint16. Computed a few planes or tiles at a time.
    origin_px : (int, int)
        Place (y, x) of the first pixel on the mosaic.
    name : str
    """

    data: Any
    origin_px: tuple[int, int] = (0, 0)
    name: str = ""


def write_czi(
    path: Path,
    data: Any,
    spacing_um: Sequence[float],
    channel_names: Sequence[str],
    progress: Progress | None = None,
    *,
    colours: Sequence[str | None] | None = None,
    origin_px: tuple[int, int] = (0, 0),
) -> None:
    """Write an image as a CZI file of one scene; see :func:`write_scenes`.

    Parameters
    ----------
    path : Path
    data : (t, c, z, y, x) numpy or dask array
        uint8 or uint16.
    spacing_um : (float, float, float)
        Spacing z, y, x.
    channel_names : sequence of str
        One per channel.
    progress : Progress
    colours : sequence of str or None
        ``#RRGGBB`` per channel.
    origin_px : (int, int)
        Place (y, x) of the first pixel on the mosaic.

    Raises
    ------
    WriteError
        If the data cannot be stored in a CZI file, or the folder cannot be written to.
    """
    scenes = (SceneToWrite(data, origin_px),)
    write_scenes(path, scenes, spacing_um, channel_names, progress, colours=colours)


def write_scenes(
    path: Path,
    scenes: Sequence[SceneToWrite],
    spacing_um: Sequence[float],
    channel_names: Sequence[str],
    progress: Progress | None = None,
    *,
    colours: Sequence[str | None] | None = None,
    is_compressed: bool = True,
) -> None:
    """Write a CZI file, losslessly, whole or not at all.

    A plane longer than 2048 pixels is cut into tiles, with a pyramid of means.

    Parameters
    ----------
    path : Path
    scenes : sequence of SceneToWrite
        Of the same channels and pixel type.
    spacing_um : (float, float, float)
        Spacing z, y, x.
    channel_names : sequence of str
        One per channel.
    progress : Progress
        Advanced once per plane; may raise Cancelled, which leaves nothing behind.
    colours : sequence of str or None
        ``#RRGGBB`` per channel.
    is_compressed : bool
        As zstd, otherwise as it is.

    Raises
    ------
    WriteError
        If the data cannot be stored in a CZI file, or the folder cannot be written to.
    """
    shown = tuple(colours) if colours is not None else (None,) * len(channel_names)
    for scene in scenes:
        _check(path, scene.data, spacing_um, channel_names, shown)
    if len({scene.data.dtype for scene in scenes}) != 1:
        raise WriteError(path, "its scenes have not one pixel type", "give all the same type")
    watcher = progress or Silent()
    watcher.begin("writing CZI", sum(int(np.prod(s.data.shape[:3])) for s in scenes))
    with replacing(path) as temporary:
        try:
            with temporary.open("xb") as file:
                writer = SegmentWriter(file)
                for number, scene in enumerate(scenes):
                    _write_scene(writer, number, scene, watcher, is_compressed)
                writer.finish(_xml(scenes, spacing_um, channel_names, shown))
        except OSError as error:
            raise WriteError(path, one_line(str(error)), "check the free disk space") from error


def _check(
    path: Path,
    data: Any,
    spacing_um: Sequence[float],
    channel_names: Sequence[str],
    colours: Sequence[str | None],
) -> None:
    remedy = "give a (t, c, z, y, x) array of uint8 or uint16"
    if data.ndim != 5 or 0 in data.shape:
        raise WriteError(path, f"an array of shape {tuple(data.shape)} is no image", remedy)
    if data.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise WriteError(path, f"{data.dtype} cannot be stored in a CZI file", remedy)
    if len(channel_names) != data.shape[1] or len(colours) != data.shape[1]:
        fault = f"{data.shape[1]} channels have {len(channel_names)} names, {len(colours)} colours"
        raise WriteError(path, fault, "name each channel once")
    if len(spacing_um) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing_um):
        raise WriteError(path, f"the spacing {spacing_um} is not positive", "give z, y, x in um")
    for colour in colours:
        if colour is not None and not re.fullmatch("#[0-9A-Fa-f]{6}", colour):
            raise WriteError(path, f"{colour!r} is not a colour", "write it as #RRGGBB")


def _write_scene(
    writer: SegmentWriter, number: int, scene: SceneToWrite, progress: Progress, compress: bool
) -> None:
    n_t, n_c, _, n_y, n_x = scene.data.shape
    for t in range(n_t):
        for c in range(n_c):
            for z, pixels in _planes(scene.data, t, c):
                place = (Dimension("C", c), Dimension("Z", z), Dimension("T", t))
                plane = _Plane(writer, (*place, Dimension("S", number)), scene.origin_px, compress)
                if max(n_y, n_x) <= _WHOLE_PX:
                    plane.write(np.asarray(pixels), 0, 0, 0)
                else:
                    plane.write_pyramid(pixels)
                progress.advance()


def _planes(data: Any, t: int, c: int) -> Iterator[tuple[int, Any]]:
    """Planes of a stack; small ones are computed, several at once, large ones stay lazy."""
    _, _, n_z, n_y, n_x = data.shape
    if max(n_y, n_x) > _WHOLE_PX:
        for z in range(n_z):
            yield z, data[t, c, z]
        return
    # a dask chunk spans planes: computing plane by plane would compute it once for each
    step = max(1, min(n_z, _PLANES_AT_ONCE_BYTES // (n_y * n_x * data.dtype.itemsize)))
    for z0 in range(0, n_z, step):
        yield from enumerate(np.asarray(data[t, c, z0 : z0 + step]), start=z0)


@dataclass(eq=False)
class _Plane:
    """A plane being written."""

    writer: SegmentWriter
    place: tuple[Dimension, ...]
    origin_px: tuple[int, int]
    compress: bool
    n_tiles: int = 0

    def write(self, pixels: NDArray[Any], y: int, x: int, level: int) -> None:
        """Write a tile whose first pixel is pixel (y, x) of its level."""
        factor = 2**level
        (h, w), (top, left) = pixels.shape, self.origin_px
        dims = (
            Dimension("X", left + x * factor, w * factor, w),
            Dimension("Y", top + y * factor, h * factor, h),
            *self.place,
            *((Dimension("M", self.n_tiles),) if level == 0 else ()),
        )
        self.n_tiles += level == 0
        raw = encode_zstd(pixels, _ZSTD_LEVEL) if self.compress else np.ascontiguousarray(pixels)
        number, _ = _PIXEL_TYPES[pixels.dtype.name]
        kind = _ZSTD if self.compress else _UNCOMPRESSED
        self.writer.tile(dims, number, kind, bytes(raw))

    def write_pyramid(self, pixels: Any) -> None:
        """Cut a (y, x) array into tiles, with coarser levels until one is small."""
        depth = 0
        while max(pixels.shape) >> depth > _COARSEST_PX:
            depth += 1
        side = -(-max(pixels.shape) // (TILE_PX << depth))
        for j in range(side):
            for i in range(side):
                self._write_from(pixels, depth, j, i)

    def _write_from(self, pixels: Any, level: int, j: int, i: int) -> NDArray[Any]:
        """Write tile (j, i) of a level and those under it; its means, for the level above.

        The last pixel of an odd length has no means: a coarser level leaves it out.
        """
        if level == 0:
            y, x = j * TILE_PX, i * TILE_PX
            tile = np.asarray(pixels[y : y + TILE_PX, x : x + TILE_PX])
        else:
            halves = [
                [self._write_from(pixels, level - 1, 2 * j + b, 2 * i + a) for a in (0, 1)]
                for b in (0, 1)
            ]
            tile = np.concatenate([np.concatenate(row, axis=1) for row in halves])
        h, w = (n // 2 * 2 for n in tile.shape)
        if tile.size:
            self.write(tile, j * TILE_PX, i * TILE_PX, level)
        if not h or not w:
            return np.empty((h // 2, w // 2), tile.dtype)
        means: NDArray[Any] = mean_downsample(tile[None, :h, :w], (1, 2, 2))[0]
        return means


def _xml(
    scenes: Sequence[SceneToWrite],
    spacing_um: Sequence[float],
    channel_names: Sequence[str],
    colours: Sequence[str | None],
) -> str:
    root = ElementTree.Element("ImageDocument")
    metadata = ElementTree.SubElement(root, "Metadata")
    image = ElementTree.SubElement(ElementTree.SubElement(metadata, "Information"), "Image")
    n_t, n_c, n_z, _, _ = (max(s.data.shape[i] for s in scenes) for i in range(5))
    tops, lefts = zip(*(s.origin_px for s in scenes), strict=True)
    height = max(s.origin_px[0] + s.data.shape[3] for s in scenes) - min(tops)
    width = max(s.origin_px[1] + s.data.shape[4] for s in scenes) - min(lefts)
    sizes = {"X": width, "Y": height, "Z": n_z, "C": n_c, "T": n_t, "S": len(scenes)}
    for name, size in sizes.items():
        ElementTree.SubElement(image, f"Size{name}").text = str(size)
    _, pixel_type = _PIXEL_TYPES[scenes[0].data.dtype.name]
    ElementTree.SubElement(image, "PixelType").text = pixel_type
    dimensions = ElementTree.SubElement(image, "Dimensions")
    channels = ElementTree.SubElement(dimensions, "Channels")
    shown = ElementTree.SubElement(ElementTree.SubElement(metadata, "DisplaySetting"), "Channels")
    for i, (name, colour) in enumerate(zip(channel_names, colours, strict=True)):
        about = {"Id": f"Channel:{i}", "Name": name}
        channel = ElementTree.SubElement(channels, "Channel", about)
        ElementTree.SubElement(channel, "PixelType").text = pixel_type
        if colour is not None:
            display = ElementTree.SubElement(shown, "Channel", about)
            ElementTree.SubElement(display, "Color").text = f"#FF{colour[1:].upper()}"
    named = ElementTree.SubElement(ElementTree.SubElement(dimensions, "S"), "Scenes")
    for i, scene in enumerate(scenes):
        about = {"Index": str(i)} | ({"Name": scene.name} if scene.name else {})
        ElementTree.SubElement(named, "Scene", about)
    items = ElementTree.SubElement(ElementTree.SubElement(metadata, "Scaling"), "Items")
    for axis, step_um in zip("ZYX", spacing_um, strict=True):
        distance = ElementTree.SubElement(items, "Distance", {"Id": axis})
        ElementTree.SubElement(distance, "Value").text = repr(float(step_um) / micrometres_per("m"))
    return ElementTree.tostring(root, encoding="unicode")
