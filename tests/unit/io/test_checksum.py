"""The checksum is that of the plain array's bytes."""

import hashlib

import dask.array as da
import numpy as np
import pytest

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io import checksum
from napari_bridgecorr.io.checksum import pixel_sha256


def image_of(array: np.ndarray, tmp_path) -> SpatialImage:
    grid = Grid(array.shape[2:], np.eye(4))
    channels = tuple(Channel(f"C{i}") for i in range(array.shape[1]))
    chunks = tuple(max(1, n // 2) for n in array.shape)
    return SpatialImage(
        (da.from_array(array, chunks=chunks),), (grid,), channels, Source(tmp_path / "a", "array")
    )


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<f4", ">f8", "bool"])
@pytest.mark.parametrize("block_bytes", [1, 700, 2**20])
def test_it_is_the_checksum_of_the_bytes(tmp_path, monkeypatch, dtype, block_bytes) -> None:
    monkeypatch.setattr(checksum, "_BLOCK_BYTES", block_bytes)
    array = np.random.default_rng(0).integers(0, 200, (2, 3, 5, 7, 11)).astype(dtype)
    little = array.astype(array.dtype.newbyteorder("<"))
    expected = hashlib.sha256(little.tobytes()).hexdigest()
    assert pixel_sha256(image_of(array, tmp_path)) == expected


def test_another_pixel_gives_another_checksum(tmp_path) -> None:
    array = np.zeros((1, 1, 2, 3, 4), np.uint8)
    before = pixel_sha256(image_of(array, tmp_path))
    array[0, 0, 1, 2, 3] = 1
    assert pixel_sha256(image_of(array, tmp_path)) != before
