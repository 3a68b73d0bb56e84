"""Resampled voxels in their own type again, against NumPy."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.resampling.same_dtype import rounded, with_dtype


def an_image(values: np.ndarray) -> SpatialImage:
    data = da.from_array(values[None, None], chunks=(1, 1, 2, 3, 4))
    return SpatialImage(
        (data,),
        (Grid(values.shape, np.eye(4)),),
        (Channel("a"),),
        Source(Path("made"), "made", axes="zyx"),
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_nearest_halves_to_even_limited(dtype, kind):
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    wide = rng.uniform(1.5 * limits.min - 9, 1.5 * limits.max, 5000)
    values = np.concatenate([wide, np.arange(-4, 99) / 2, [np.inf, -np.inf, np.nan]]).astype(kind)
    outside = 7
    expected = np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max)
    expected = np.where(np.isnan(expected), outside, expected).astype(np.int64)
    assert np.array_equal(rounded(values, np.dtype(dtype), outside).astype(np.int64), expected)


@pytest.mark.parametrize("dtype", [np.uint64, np.int64])
def test_64_bits_do_not_overflow(dtype):
    limits = np.iinfo(dtype)
    values = np.array([1e30, -1e30, 2.5, 3.5, np.nan, float(2**53)])
    expected = [limits.max, limits.min, 2, 4, 9, 2**53]
    assert rounded(values, np.dtype(dtype), 9).tolist() == expected


def test_the_value_outside_is_stated_and_floats_keep_nan():
    values = np.array([[[1.4, np.nan], [2.6, -3.0]]], np.float32)
    same = with_dtype(an_image(values), np.dtype(np.uint8), 255)
    assert same.dtype == np.uint8
    assert same.data[0, 0].compute().tolist() == [[[1, 255], [3, 0]]]
    assert same.metadata["outside_value"] == 255
    half = with_dtype(an_image(values), np.dtype(np.float16))
    assert half.dtype == np.float16
    assert "outside_value" not in half.metadata
    assert np.isnan(half.data[0, 0, 0, 0, 1].compute())


@pytest.mark.parametrize("outside", [-1, 256, 0.5])
def test_a_value_that_the_type_does_not_hold_is_refused(outside):
    with pytest.raises(GeometryError, match="whole numbers from 0 to 255"):
        with_dtype(an_image(np.zeros((1, 2, 2), np.float32)), np.dtype(np.uint8), outside)
