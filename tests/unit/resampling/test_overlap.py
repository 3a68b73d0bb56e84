"""Exact overlap means against plain arithmetic on intervals, and what they conserve."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resampling_samples import image_of, oblique_grid

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import SpatialImage
from napari_bridgecorr.resampling import OverlapMean, PullSampler
from napari_bridgecorr.resampling.overlap import overlap_weights, parallel_axes
from napari_bridgecorr.transform import Affine

SEEDS = st.integers(0, 2**32 - 1)


def mean_of(image: SpatialImage, grid: Grid) -> OverlapMean:
    def read(time: int, starts: object, stops: object) -> np.ndarray:
        n = len(image.channels)
        return image.read(0, (time, 0, *starts), (time + 1, n, *stops))[0].astype(np.float64)

    return OverlapMean(image.grid, grid, read, len(image.channels), np.dtype(np.float64))


def whole(mean: OverlapMean) -> tuple[np.ndarray, np.ndarray]:
    block = mean.block(0, (0, 0, 0), mean.grid.shape)
    return block.values, block.coverage


def overlaps(edges: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(n, m) lengths that intervals between `edges` share with those between `faces`."""
    low = np.maximum(edges[:-1, None], faces[None, :-1])
    high = np.minimum(edges[1:, None], faces[None, 1:])
    return np.maximum(high - low, 0)


def faces_of(grid: Grid, axis: int) -> np.ndarray:
    step = grid.voxel_size_um[axis]
    return grid.index_to_world[axis, 3] + step * (np.arange(grid.shape[axis] + 1) - 0.5)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_means_agree_with_overlaps_in_the_world(seed: int) -> None:
    """Any ratio from one up, any offset, along every axis, with NaN here and there."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 40, 3))
    data = rng.normal(size=(2, *shape))
    data[rng.random(data.shape) < 0.05] = np.nan
    fine = Grid.from_spacing(shape, rng.uniform(0.5, 3, 3), rng.uniform(-100, 100, 3))
    size = np.asarray(fine.voxel_size_um) * rng.uniform(1, 12, 3)
    low = fine.corners().min(axis=0) + rng.uniform(-1, 0.5, 3) * size
    n = np.ceil((fine.corners().max(axis=0) - low) / size).astype(int) + 1
    coarse = Grid.from_spacing(np.maximum(n, 1), size, low + size / 2)
    found, coverage = whole(mean_of(image_of(data, fine), coarse))
    w = [overlaps(faces_of(coarse, a), faces_of(fine, a)) for a in range(3)]
    filled, known = np.nan_to_num(data), np.isfinite(data).astype(float)
    sums = np.einsum("czyx,iz,jy,kx->cijk", filled, *w, optimize=True)
    volume = np.einsum("czyx,iz,jy,kx->cijk", known, *w, optimize=True)
    sure = volume > 1e-6 * coarse.voxel_volume_um3
    np.testing.assert_allclose(found[sure], (sums[sure] / volume[sure]), atol=1e-6, rtol=1e-9)
    np.testing.assert_allclose(coverage, volume / coarse.voxel_volume_um3, atol=1e-6)
    # nothing is lost and nothing made
    held = np.where(coverage > 0, found, 0) * volume
    assert held.sum() == pytest.approx(sums.sum(), rel=1e-9, abs=1e-6)


def test_sums_are_conserved_to_rounding() -> None:
    data = np.random.default_rng(0).uniform(0, 1000, (150, 9, 8))
    image = image_of(data, Grid.from_spacing(data.shape, (3, 1.1, 0.9)))
    grid = image.grid.at_spacing((100, 2.7, 3.1))
    weights = [
        overlap_weights(0, n, s / f, (s / f - 1) / 2, m).weights.sum(axis=1)
        for n, s, f, m in zip(
            grid.shape, grid.voxel_size_um, (3, 1.1, 0.9), data.shape, strict=True
        )
    ]
    found, _ = whole(mean_of(image, grid))
    held = np.einsum("zyx,z,y,x->", found[0], *weights) * grid.voxel_volume_um3
    assert held == pytest.approx(data.sum() * image.grid.voxel_volume_um3, rel=1e-12)


def test_a_thousand_slabs_of_33_and_a_third_in_exact_fractions() -> None:
    """Slab 999 begins at 99,900 um as exactly as slab 0 begins at 0."""
    step, slab = Fraction(3), Fraction(100)
    n = 33_334
    weights = overlap_weights(0, 1001, 100 / 3, (100 / 3 - 1) / 2, n)
    for k in (0, 1, 2, 500, 998, 999, 1000):
        low, high = slab * k, min(slab * (k + 1), step * n)
        first = int(low // step)
        assert weights.first[k] == first
        count = int(weights.counts[k])
        expected = [
            max(Fraction(0), min(high, step * (j + 1)) - max(low, step * j)) / slab
            for j in range(first, first + count)
        ]
        np.testing.assert_allclose(
            weights.weights[k, :count], [float(e) for e in expected], rtol=0, atol=1e-9
        )
        assert step * (first + count) >= high
    total = np.zeros(n)
    for first, count, row in zip(weights.first, weights.counts, weights.weights, strict=True):
        total[first : first + count] += row[:count] * 100
    np.testing.assert_allclose(total, 3, atol=1e-7)  # every slice is given away once, wholly


@pytest.mark.parametrize("step", [0.3, -0.3, 0.5, 0.77, 1 / 3])
@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_smaller_voxels_take_the_mean_of_the_interpolant(step: float, size: int) -> None:
    offset = 0.137 if step > 0 else size - 0.8
    weights = overlap_weights(-4, 40, step, offset, size)
    values = np.random.default_rng(0).normal(size=size)
    samples = 20_000
    for i, first, row in zip(range(-4, 40), weights.first, weights.weights, strict=True):
        x = step * (i - 0.5 + (np.arange(samples) + 0.5) / samples) + offset
        inside = (x >= -0.5) & (x <= size - 0.5)
        assert row.sum() == pytest.approx(inside.mean(), abs=1e-4)
        if inside.any():
            expected = np.interp(x[inside], np.arange(size), values).sum() / samples
            held = values[first : first + len(row)]
            assert row[: len(held)] @ held == pytest.approx(expected, abs=2e-4)
            assert not row[len(held) :].any()


def test_a_block_is_the_same_however_it_is_cut() -> None:
    data = np.random.default_rng(0).normal(size=(2, 70, 23, 31))
    data[:, 5:9, 3, :] = np.nan
    image = image_of(data, Grid.from_spacing(data.shape[1:], (3, 1, 1)))
    grid = image.grid.at_spacing((17, 2.5, 1))
    mean = mean_of(image, grid)
    values, coverage = whole(mean)
    assert coverage.shape == values.shape == (2, *grid.shape)
    for start, stop in [((1, 2, 3), (4, 9, 20)), ((0, 0, 0), (1, 1, 1)), ((12, 0, 5), (13, 4, 31))]:
        part = mean.block(0, start, stop)
        where = (slice(None), *(slice(a, b) for a, b in zip(start, stop, strict=True)))
        np.testing.assert_array_equal(part.values, values[where])
        np.testing.assert_array_equal(part.coverage, coverage[where])


def test_large_blocks_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).normal(size=(60, 20, 20))
    image = image_of(data)
    grid = image.grid.at_spacing((7.5, 2, 2))
    expected = whole(mean_of(image, grid))[0]
    monkeypatch.setattr("napari_bridgecorr.resampling.overlap._MAX_REGION", 700)
    largest = 0
    mean = mean_of(image, grid)
    read = mean._read

    def watched(time: int, starts: tuple, stops: tuple) -> np.ndarray:
        nonlocal largest
        largest = max(largest, int(np.prod(np.subtract(stops, starts))))
        return read(time, starts, stops)

    mean._read = watched
    np.testing.assert_array_equal(whole(mean)[0], expected)
    assert 0 < largest <= 700


def test_axes_may_run_in_any_order_and_either_way() -> None:
    data = np.random.default_rng(0).normal(size=(12, 15, 20))
    image = image_of(data, Grid.from_spacing(data.shape, (3, 1, 2), (5, 6, 7)))
    grid = image.grid.at_spacing((7, 2.5, 4))
    expected, _ = whole(mean_of(image, grid))
    flip = np.eye(4)  # iz <- along -x, iy <- along z, ix <- along y
    nz, ny, nx = grid.shape
    flip[:3, :3] = [[0, 1, 0], [0, 0, 1], [-1, 0, 0]]
    flip[2, 3] = nx - 1
    turned = Grid((nx, nz, ny), grid.index_to_world @ flip)
    found, coverage = whole(mean_of(image, turned))
    np.testing.assert_allclose(found[0], expected[0].transpose(2, 0, 1)[::-1], atol=1e-12)
    assert coverage.shape == found.shape == (1, nx, nz, ny)


def test_slanted_grids_are_refused() -> None:
    image = image_of(np.zeros((9, 9, 9)))
    slanted = oblique_grid((3, 3, 3), (3, 3, 3), (0, 0, 0.01), (4, 4, 4))
    assert parallel_axes(image.grid, slanted) is None
    with pytest.raises(GeometryError, match="parallel"):
        mean_of(image, slanted)


def test_far_away_nothing_is_read() -> None:
    image = image_of(np.ones((9, 9, 9)))
    mean = mean_of(image, Grid.from_spacing((2, 3, 4), 3, (500, 0, 0)))
    mean._read = None  # type: ignore[assignment]
    values, coverage = whole(mean)
    assert np.isnan(values).all()
    assert not coverage.any()
    assert values.shape == (1, 2, 3, 4)


@pytest.mark.parametrize("flip", [1, -1])
def test_the_pull_sampler_averages_exactly_where_axes_are_parallel(flip: int) -> None:
    """33.33 slices to a slab through a scaling, shifting, mirroring map: 2.8 % off by midpoints."""
    data = np.random.default_rng(0).uniform(0, 1000, (100, 4, 2))
    image = image_of(data, Grid.from_spacing(data.shape, (3, 1, 1)))
    grid = Grid.from_spacing((3, 2, 2), (50, 1, 1), (24.25, 0.5, 0))
    there = Affine.from_parts(np.diag([2 * flip, 2, 1]), (297 if flip < 0 else 0, -0.5, 0))
    sampler = PullSampler(image, there, grid, "mean")
    assert sampler.is_exact
    found = sampler.block(0, (0, 0, 0), grid.shape)
    faces = 2 * flip * faces_of(grid, 0) + (297 if flip < 0 else 0)
    assert faces.min() == pytest.approx(-1.5)
    z = overlaps(np.sort(faces), faces_of(image.grid, 0))[::flip] / 100
    expected = np.einsum("iz,zjyx->ijx", z, data.reshape(100, 2, 2, 2)) / 2
    np.testing.assert_allclose(found.values[0], expected, rtol=1e-12)
    assert np.all(found.coverage == 1)


def test_the_pull_sampler_samples_where_axes_are_not_parallel() -> None:
    image = image_of(np.ones((9, 9, 9)))
    slanted = oblique_grid((3, 3, 3), (3, 3, 3), (0, 0, 5), (4, 4, 4))
    assert not PullSampler(image, Affine.identity(), slanted, "mean").is_exact
    assert not PullSampler(image, Affine.identity(), image.grid, "linear").is_exact
