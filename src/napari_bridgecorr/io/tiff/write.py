"""Writes OME-TIFF, tile by tile, with reduced planes for large images. Knows no tifffile."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import WriteError
from ...image import SpatialImage
from ...progress import Progress, Silent
from ..atomic import replacing
from ..blocks import SLAB_BYTES, compute, spans, z_slabs
from ..lazy import Block
from ..pyramid import mean_downsample
from .library import write_levels
from .ome_compose import compose_ome

_TILE = 512
_LARGEST_PLANE = 1024
# above it a classic TIFF's 4 GiB could be too small, for data that do not compress
_BIG_BYTES = 2 * 2**30
_PIECE_VOXELS = 4 * 2**20
_SILENT = Silent()


def write_ome_tiff(image: SpatialImage, path: Path, progress: Progress = _SILENT) -> None:
    """Write the full-resolution level, and means of it where a plane exceeds 1024 pixels.

    The image is read once, in boxes of bounded size; the reduced planes wait in a temporary folder
    beside the output until the file takes them. An annotation keeps the exact affine, rotations
    included, which OME-XML cannot express and our reader obeys.

    Parameters
    ----------
    image : SpatialImage
        Channels become OME channels.
    path : Path
        Ends in ``.tif`` or ``.tiff`` (``.ome.tif`` by custom).
    progress : Progress
        One step per plane.

    Raises
    ------
    WriteError
        If the name or the voxel type does not fit, or the disk refuses.
    """
    if not path.name.lower().endswith((".tif", ".tiff")):
        raise WriteError(path, "is no TIFF name", "let it end in .ome.tif")
    dtype = _written_dtype(image)
    try:
        xml = compose_ome(
            name=image.name,
            shape=image.data.shape,
            dtype=dtype,
            channels=image.channels,
            spacing_um=[
                size if known else None
                for size, known in zip(
                    image.grid.voxel_size_um, image.voxel_size_known, strict=True
                )
            ],
            index_to_world=image.grid.index_to_world,
            time_step_s=image.time_step_s,
            is_labels=image.is_labels,
        )
    except ValueError as error:
        raise WriteError(path, str(error), "write it as NIfTI or OME-Zarr") from error
    n_planes = prod(image.data.shape[:3])
    ny, nx = image.data.shape[3:]
    factors = _factors(ny, nx)
    tile = (min(_TILE, -(-ny // 16) * 16), min(_TILE, -(-nx // 16) * 16))
    progress.begin(f"Writing {path.name}", n_planes)
    with (
        replacing(path) as temporary,
        tempfile.TemporaryDirectory(prefix=".bridgecorr-", dir=path.parent) as store,
    ):
        whole = (n_planes, ny, nx)
        reduced = [_Reduced(Path(store) / f"{f}.raw", f, whole, dtype) for f in factors]
        full = _full_tiles(image, dtype, tile, reduced, progress)
        levels = [(whole, full)]
        levels += [(level.shape, level.tiles(tile)) for level in reduced]
        is_large = n_planes * ny * nx * dtype.itemsize > _BIG_BYTES
        write_levels(temporary, levels, dtype, tile, xml, is_large)


def _written_dtype(image: SpatialImage) -> np.dtype[Any]:
    dtype = image.dtype
    if image.is_labels and dtype.kind in "iu" and dtype.itemsize == 8:
        return np.dtype(np.uint32)  # OME-TIFF ends there; nobody has more objects
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(np.float32) if dtype == np.float16 else dtype.newbyteorder("<")


def _factors(ny: int, nx: int) -> list[int]:
    """Reductions by halves until a plane is small; no more than a tile divides by."""
    factors: list[int] = []
    while max(ny, nx) > _LARGEST_PLANE * (factors[-1] if factors else 1):
        factor = 2 * factors[-1] if factors else 2
        if factor > _TILE:
            break
        factors.append(factor)
    return factors


class _Reduced:
    """Planes reduced by a factor in y and x, kept uncompressed in a file until they are written."""

    def __init__(
        self, path: Path, factor: int, full: tuple[int, int, int], dtype: np.dtype[Any]
    ) -> None:
        self._path = path
        self._factor = factor
        self._dtype = dtype
        self.shape = (full[0], -(-full[1] // factor), -(-full[2] // factor))

    def add(self, box: Block, is_label: bool) -> None:
        """Append the means of a box (planes, rows, all columns) that begins on a group's border."""
        f = self._factor
        means = mean_downsample(box, (1, f, f), labels=is_label)
        with self._path.open("ab") as file:
            file.write(np.ascontiguousarray(means, dtype=self._dtype).data)

    def tiles(self, tile: tuple[int, int]) -> Iterator[Block]:
        """Tiles of all planes, in order."""
        planes = np.memmap(self._path, dtype=self._dtype, mode="r", shape=self.shape)
        for plane in planes:
            yield from _tiles_of(np.asarray(plane), tile)


def _full_tiles(
    image: SpatialImage,
    dtype: np.dtype[Any],
    tile: tuple[int, int],
    reduced: list[_Reduced],
    progress: Progress,
) -> Iterator[Block]:
    """Tiles of all planes of the image in the order c, t, z; reduces them on the way."""
    n_t, n_c, _, ny, nx = image.data.shape
    is_label = image.is_labels
    # rows at once: whole tiles, on whose borders all reductions' groups begin
    most = max(1, SLAB_BYTES // (nx * dtype.itemsize * tile[0])) * tile[0]
    # means are formed in float64: of fewer rows at once
    piece = max(1, _PIECE_VOXELS // (nx * tile[0])) * tile[0]
    for c in range(n_c):
        for t in range(n_t):
            for start, stop in z_slabs(image.data):
                for low, high in spans(ny, most if stop - start == 1 else ny):
                    box = compute(image.data[t, c, start:stop, low:high])
                    _require_fit(image, box, dtype)
                    box = box.astype(dtype, copy=False)
                    for plane in box:
                        for first, last in spans(plane.shape[0], piece):
                            for level in reduced:
                                level.add(plane[None, first:last], is_label)
                        yield from _tiles_of(plane, tile)
                progress.advance(stop - start)


def _require_fit(image: SpatialImage, box: Block, dtype: np.dtype[Any]) -> None:
    """Raise WriteError if labels are lost by writing them as `dtype`."""
    if box.dtype.kind not in "iu" or dtype.itemsize >= box.dtype.itemsize:
        return
    limits = np.iinfo(dtype)
    if box.size and (box.min() < limits.min or box.max() > limits.max):
        raise WriteError(
            image.source.path,
            f"has labels from {box.min()} to {box.max()}, which OME-TIFF cannot hold",
            "write it as NIfTI or OME-Zarr",
        )


def _tiles_of(plane: Block, tile: tuple[int, int]) -> Iterator[Block]:
    """Tiles of a plane (or of a band of whole tile rows), the last ones padded with zeros."""
    for top, bottom in spans(plane.shape[0], tile[0]):
        for left, right in spans(plane.shape[1], tile[1]):
            part = plane[top:bottom, left:right]
            if part.shape == tile:
                yield part
            else:
                full = np.zeros(tile, dtype=plane.dtype)
                full[: part.shape[0], : part.shape[1]] = part
                yield full
