"""Coarser levels: means against a plain loop, levels that stay isotropic, sampling found again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_bridgecorr.io.pyramid import (
    mean_downsample,
    pyramid_factors,
    sampled_at_centres,
    textured_corner,
)

FACTORS = st.tuples(*[st.integers(1, 4)] * 3)
SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9)


def groups(shape: tuple[int, ...], factors: tuple[int, ...]):
    """Index of each mean and the slices of its voxels, by a plain loop."""
    ranges = [range(-(-n // f)) for n, f in zip(shape, factors, strict=True)]
    for index in itertools.product(*ranges):
        yield index, tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, factors, strict=True))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, SHAPES, elements=st.floats(-1e3, 1e3)), FACTORS)
def test_means_weighted_by_volume_conserve_the_sum(block, factors):
    mean = mean_downsample(block, factors)
    volume = mean_downsample(np.ones_like(block), factors)
    assert np.array_equal(volume, np.ones_like(mean))
    total = sum(mean[i] * block[s].size for i, s in groups(block.shape, factors))
    assert total == pytest.approx(block.sum(), abs=1e-9 * (1 + np.abs(block).sum()))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["u1", "i1", "u2", "i2", "i4", "u4", "i8", "u8"]).flatmap(
        lambda dtype: hnp.arrays(np.dtype(dtype), SHAPES)
    ),
    FACTORS,
)
def test_integer_means_are_exact_to_the_last_bit(block, factors):
    mean = mean_downsample(block, factors)
    assert mean.dtype == block.dtype
    for index, voxels in groups(block.shape, factors):
        values = [int(v) for v in block[voxels].ravel()]
        quotient, rest = divmod(sum(values), len(values))
        odd = quotient % 2 == 1
        wanted = quotient + (2 * rest > len(values) or (2 * rest == len(values) and odd))
        assert int(mean[index]) == wanted


def test_mean_of_floats_is_that_of_the_finite_values():
    block = np.full((2, 2, 4), np.nan, dtype=np.float32)
    block[0, 0, 0], block[1, 1, 1] = 3, 5
    block[0, 0, 2:] = np.inf
    mean = mean_downsample(block, (2, 2, 2))
    assert mean.dtype == np.float32
    assert mean[0, 0, 0] == 4
    assert np.isnan(mean[0, 0, 1])


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.uint16, SHAPES), FACTORS, st.integers(1, 3))
def test_block_size_never_changes_a_mean(block, factors, blocks_of):
    whole = mean_downsample(block, factors)
    step = blocks_of * factors[1]
    parts = [
        mean_downsample(block[:, y : y + step], factors) for y in range(0, block.shape[1], step)
    ]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_labels_keep_their_names():
    labels = np.array([[[7, 7, 900, 900, 5]]], dtype=np.uint32)
    picked = mean_downsample(labels, (1, 1, 2), labels=True)
    assert picked.tolist() == [[[7, 900, 5]]]


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 3)), FACTORS)
def test_labels_are_the_commonest_of_their_group(block, factors):
    found = mean_downsample(block, factors, labels=True)
    for index in np.ndindex(*found.shape):
        corner = tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, factors, strict=True))
        group = block[corner]
        names, counts = np.unique(group, return_counts=True)
        assert found[index] in names
        if group.size == np.prod(factors):
            assert counts[names == found[index]][0] == counts.max()
            # of equally common ones not the background
            assert found[index] != 0 or (counts == counts.max()).sum() == 1


def test_leading_axes_are_left_alone():
    block = np.random.default_rng(0).random((2, 3, 4, 5, 6))
    mean = mean_downsample(block, (2, 2, 2))
    assert mean.shape == (2, 3, 2, 3, 3)
    assert np.allclose(mean[1, 2], mean_downsample(block[1, 2], (2, 2, 2)), rtol=1e-15)


@pytest.mark.parametrize("factors", [(0, 1, 1), (2, 2), (1, -1, 1)])
def test_senseless_factors_are_refused(factors):
    with pytest.raises(ValueError, match="cannot average"):
        mean_downsample(np.zeros((2, 2, 2)), factors)


@pytest.mark.parametrize(
    ("shape", "voxel", "wanted"),
    [
        ((1, 200, 200), (1, 1, 1), ()),
        ((1, 1000, 500), (5, 1, 1), ((1, 2, 2), (1, 2, 2))),
        ((512, 512, 512), (1, 1, 1), ((2, 2, 2),)),
        ((100, 1024, 1024), (5, 1, 1), ((1, 2, 2), (1, 2, 2))),
        ((1024, 1024, 1024), (2, 1, 1), ((1, 2, 2), (2, 2, 2), (2, 2, 2))),
    ],
)
def test_only_long_axes_are_halved_and_the_finest_first(shape, voxel, wanted):
    assert pyramid_factors(shape, voxel) == wanted


@settings(max_examples=80, deadline=None)
@given(
    st.tuples(*[st.integers(1, 20_000)] * 3),
    st.tuples(*[st.floats(0.05, 50)] * 3),
)
def test_levels_end_small_and_never_less_isotropic(shape, voxel):
    size, spacing = np.array(shape), np.array(voxel)
    for factors in pyramid_factors(shape, voxel):
        assert set(factors) <= {1, 2}
        assert max(factors) == 2
        halved = np.array(factors) == 2
        assert np.all(size[halved] > 64)
        before = spacing[size > 64].max() / spacing[size > 64].min()
        long = size > 64
        size, spacing = -(-size // factors), spacing * factors
        assert spacing[long].max() / spacing[long].min() <= max(before, 2) + 1e-9
    assert size.max() <= 256


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_where_a_pyramid_was_sampled_is_found_again(factor):
    rng = np.random.default_rng(4)
    fine = ndimage.gaussian_filter(rng.random((64 * factor, 64 * factor)), 2.0) * 5000
    means = fine.reshape(64, factor, 64, factor).mean((1, 3))
    decimated = ndimage.gaussian_filter(fine, factor / 2)[::factor, ::factor]
    assert sampled_at_centres(fine, means, factor) is True
    assert sampled_at_centres(fine, decimated, factor) is False
    assert sampled_at_centres(np.ones_like(fine), np.ones_like(means), factor) is None


def test_the_textured_corner_holds_the_texture():
    image = np.zeros((300, 400))
    image[200:210, 350:360] = 100
    y, x = textured_corner(image)
    assert 200 - 64 <= y <= 210
    assert 350 - 64 <= x <= 400 - 64


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32])
@pytest.mark.parametrize("factors", [(1, 2, 2), (2, 2, 2), (3, 1, 5)])
def test_large_blocks_have_the_exact_means_of_small_ones(dtype, factors):
    """Large ones are computed by a compiled loop."""
    limits = np.iinfo(dtype)
    shape = (9, 201, 207)
    block = np.random.default_rng(0).integers(limits.min, limits.max, shape, dtype, endpoint=True)
    block[:, :, 100:] %= 3
    rows = [mean_downsample(block[:, i : i + 2], factors) for i in range(0, 201, 2)]
    if factors[1] == 2:
        assert np.array_equal(mean_downsample(block, factors), np.concatenate(rows, axis=1))
    else:
        whole = block[:9, :, :205].astype(np.int64).reshape(3, 3, 201, 41, 5)
        mean = np.rint(whole.sum(axis=(1, 4)) / 15)
        found = mean_downsample(block[:, :, :205], factors)
        assert np.array_equal(found.astype(np.int64), mean.astype(np.int64))
