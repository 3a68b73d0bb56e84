"""A checksum of an image's pixels: the same for the same pixels, whatever file they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from ..image import SpatialImage
from ..progress import Progress, Silent

_BLOCK_BYTES = 64 * 2**20


def pixel_sha256(image: SpatialImage, progress: Progress | None = None) -> str:
    """SHA-256 of the full-resolution pixels as little-endian C-order bytes (t, c, z, y, x).

    It equals ``hashlib.sha256(array.tobytes())`` of the same array read by any other library. Read
    block by block; memory stays bounded.

    Parameters
    ----------
    image : SpatialImage
    progress : Progress, optional

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    watched = progress or Silent()
    digest = hashlib.sha256()
    blocks = list(_blocks_in_order(image))
    little = image.dtype.newbyteorder("<")
    watched.begin(f"Reading {image.name}", len(blocks))
    for block in blocks:
        pixels = np.asarray(image.data[block].compute(scheduler="threads"))
        digest.update(np.ascontiguousarray(pixels, dtype=little).tobytes())
        watched.advance()
    return digest.hexdigest()


def _blocks_in_order(image: SpatialImage) -> Iterator[tuple[slice, ...]]:
    """Boxes that, one after another, are the array's bytes in C order."""
    n_times, n_channels, nz, ny, nx = image.data.shape
    row_bytes = max(1, nx * image.dtype.itemsize)
    rows = max(1, _BLOCK_BYTES // row_bytes)
    planes = max(1, rows // ny)
    for t in range(n_times):
        for c in range(n_channels):
            for z in range(0, nz, planes):
                for y in range(0, ny, rows):
                    yield (
                        slice(t, t + 1),
                        slice(c, c + 1),
                        slice(z, min(z + planes, nz)),
                        slice(y, min(y + rows, ny)),
                        slice(None),
                    )
