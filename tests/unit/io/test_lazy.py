"""Lazy arrays over a source of boxes, against numpy's own indexing of the same values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.io.lazy import lazily, lazy_array, read_indexed

SHAPE = (2, 3, 5, 7, 11)
VALUES = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)


@dataclass(frozen=True, eq=False)
class Counting:
    """Boxes of known values; remembers what was asked."""

    asked: list = field(default_factory=list)
    shape = SHAPE
    dtype = VALUES.dtype

    def read(self, starts, stops):
        assert all(0 <= a < b <= n for a, b, n in zip(starts, stops, SHAPE, strict=True))
        self.asked.append((starts, stops))
        return VALUES[tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))].copy()


def keys(length):
    place = st.integers(-length, length - 1)
    return st.one_of(
        place,
        st.slices(length),
        st.lists(place, min_size=0, max_size=4),
        st.lists(st.booleans(), min_size=length, max_size=length).map(np.array),
    )


@given(key=st.tuples(*map(keys, SHAPE)))
def test_an_index_gives_what_numpy_gives_axis_by_axis(key):
    wanted = VALUES
    for axis in reversed(range(5)):
        k = key[axis]
        if isinstance(k, list):
            k = np.array(k, dtype=int)
        wanted = wanted[(slice(None),) * axis + (k,)]
    found = read_indexed(Counting(), key)
    assert found.shape == wanted.shape
    assert np.array_equal(found, wanted)


def test_planes_between_the_wanted_ones_are_not_read():
    source = Counting()
    read_indexed(source, (0, [0, 2], [0, 1, 4], slice(1, 3), 5))
    assert sum(np.prod(np.subtract(b, a)) for a, b in source.asked) == 2 * 3 * 2


def test_a_slice_of_a_block_reads_only_the_slice():
    source = Counting()
    array = lazily(source, (1, 1, 5, 7, 11))
    found = array[1, 2, 3, 2:4, 5:9].compute(scheduler="sync")
    assert np.array_equal(found, VALUES[1, 2, 3, 2:4, 5:9])
    assert source.asked == [((1, 2, 3, 2, 5), (2, 3, 4, 4, 9))]


def image_of(array):
    grid = Grid.from_spacing(SHAPE[2:], (1, 1, 1))
    channels = tuple(Channel(n) for n in "abc")
    return SpatialImage((array,), (grid,), channels, Source(Path("made"), "made"))


def test_an_image_reads_boxes_straight_from_its_source_and_only_from_its_own():
    source = Counting()
    array = lazily(source, SHAPE, "the file")
    image = image_of(array)
    low, high = (0, 1, 2, 3, 4), (2, 2, 4, 6, 10)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    assert np.array_equal(image.read(0, low, high), VALUES[box])
    assert source.asked == [(low, high)]
    # another array, though made from the same source, is computed: it has other voxels
    assert np.array_equal(image_of(array[..., ::-1]).read(0, low, high), VALUES[..., ::-1][box])
    assert np.array_equal(image_of(array + 1).read(0, low, high), VALUES[box] + 1)
    assert image.read(0, low, (2, 2, 2, 6, 10)).shape == (2, 1, 0, 3, 6)


def test_the_second_array_of_the_same_data_is_read_directly_when_the_first_has_gone():
    first = lazily(Counting(), SHAPE, "one file opened twice")
    second = lazily(Counting(), SHAPE, "one file opened twice")
    assert first.name == second.name
    del first
    assert np.array_equal(image_of(second).read(0, (0,) * 5, SHAPE), VALUES)


@pytest.mark.parametrize(
    ("starts", "stops"),
    [((0, 0, 0, 0, -1), SHAPE), ((0,) * 5, (2, 3, 5, 7, 12)), ((0,) * 4, SHAPE)],
)
def test_a_box_outside_the_level_is_no_box(starts, stops):
    with pytest.raises(ValueError, match="is no box"):
        image_of(lazily(Counting(), SHAPE)).read(0, starts, stops)


def test_a_function_is_a_source_too_and_every_array_of_it_its_own():
    arrays = [lazy_array(SHAPE, VALUES.dtype, (9, 9, 1, 4, 4), Counting().read) for _ in range(2)]
    assert arrays[0].name != arrays[1].name
    assert arrays[0].chunks[3] == (4, 3)
    assert np.array_equal(arrays[0].compute(scheduler="sync"), VALUES)


def test_an_image_of_absurd_size_has_no_millions_of_chunks():
    def read(starts, stops):
        return np.ones(np.subtract(stops, starts), np.uint8)

    shape = (10**6, 40, 500, 10**8, 10**8)
    array = lazy_array(shape, np.dtype(np.uint8), (1, 1, 1, 512, 512), read)
    assert array.npartitions <= 2**16
    assert array[5, 1, 3, 10:12, -4:].compute(scheduler="sync").tolist() == [[1] * 4] * 2
