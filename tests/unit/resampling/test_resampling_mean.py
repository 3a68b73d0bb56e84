"""The volume-weighted mean against block means, brute force and geometry; nearest and auto."""

from __future__ import annotations

import numpy as np
import pytest
from resampling_samples import (
    bent,
    bent_pairs,
    image_of,
    moving_index,
    rotation_about,
    scipy_at,
    smooth_noise,
)
from scipy.interpolate import RBFInterpolator

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.resampling import PullSampler, resample
from napari_bridgecorr.transform import Affine

IDENTITY = Affine.identity()


def whole(sampler: PullSampler) -> tuple[np.ndarray, np.ndarray]:
    block = sampler.block(0, (0, 0, 0), sampler.grid.shape)
    return block.values[0].astype(np.float64), block.coverage[0]


@pytest.mark.parametrize("factors", [(2, 2, 2), (4, 3, 1), (1, 5, 7), (12, 9, 14), (3, 1, 2)])
@pytest.mark.parametrize("dtype", ["u2", "f8"])
def test_downsampling_by_integers_is_the_block_mean(
    factors: tuple[int, int, int], dtype: str
) -> None:
    data = np.random.default_rng(0).uniform(0, 60_000, (12, 90, 140)).astype(dtype)
    image = image_of(data, Grid.from_spacing(data.shape, (2.0, 1.5, 0.7), (5, 6, 7)))
    sampler = PullSampler(image, IDENTITY, image.grid.averaged(factors), "mean")
    found, coverage = whole(sampler)
    z, y, x = factors
    shape = (12 // z, z, 90 // y, y, 140 // x, x)
    expected = data.astype(np.float64).reshape(shape).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "u2" else 1e-13)
    assert np.all(coverage == 1)
    assert found.sum() * z * y * x == pytest.approx(data.astype(np.float64).sum(), rel=1e-7)


@pytest.mark.parametrize("ratio", [4.0, 2.5, 3.5])
def test_the_sum_is_conserved_where_voxels_do_not_divide(ratio: float) -> None:
    """Half-integer ratios too: two samples per moving voxel share it exactly."""
    data = np.random.default_rng(0).uniform(0, 100, (10, 11, 13))
    image = image_of(data)
    grid = image.grid.at_spacing(ratio)
    found, coverage = whole(PullSampler(image, IDENTITY, grid, "mean"))
    held = np.where(coverage > 0, found, 0) * coverage
    assert held.sum() * grid.voxel_volume_um3 == pytest.approx(data.sum(), rel=1e-6)
    assert coverage.sum() * grid.voxel_volume_um3 == pytest.approx(data.size, rel=1e-6)


def test_coverage_at_the_border_is_the_fraction_inside() -> None:
    data = np.ones((16, 16, 16), np.float32)
    image = image_of(data)
    # voxels of 4 um whose first centre lies on the image's outer face, in z; then in all axes
    for offset, expected in [
        ((-0.5, 1.5, 1.5), 0.5),
        ((-0.5, -0.5, 1.5), 0.25),
        ((-0.5,) * 3, 1 / 8),
    ]:
        grid = Grid.from_spacing((4, 3, 3), 4.0, offset)
        found, coverage = whole(PullSampler(image, IDENTITY, grid, "mean"))
        assert coverage[0, 0, 0] == pytest.approx(expected, abs=1e-7)
        assert coverage[2, 2, 2] == 1
        assert np.all(found == 1)  # what is covered is not darkened by what is not
    far = Grid.from_spacing((2, 2, 2), 4.0, (-100, 0, 0))
    found, coverage = whole(PullSampler(image, IDENTITY, far, "mean"))
    assert np.all(coverage == 0)
    assert np.all(np.isnan(found))


@pytest.mark.parametrize("distance", [0.25, 0.75, 1.25, 1.75])
def test_coverage_is_right_to_half_a_sample(distance: float) -> None:
    image = image_of(np.ones((16, 16, 16), np.float32))
    grid = Grid.from_spacing((1, 1, 1), 4.0, (-0.5 + distance, 8, 8))
    sampler = PullSampler(image, IDENTITY, grid, "mean")
    _, coverage = whole(sampler)
    assert abs(coverage.item() - (2 + distance) / 4) <= 0.5 / sampler.samples[0] + 1e-7


def test_mean_through_a_spline_agrees_with_brute_force() -> None:
    data = smooth_noise((34, 36, 38), 1.5).astype(np.float32)
    moving = Grid.from_spacing(data.shape, (1.0, 0.9, 1.1))
    fixed = Grid.from_spacing((6, 6, 7), (4.0, 5.0, 4.5), (3, 3, 4))
    a, b = bent_pairs(fixed, 2.0)
    found, coverage = whole(PullSampler(image_of(data, moving), bent(fixed, 2.0), fixed, "mean"))

    spline = RBFInterpolator(a, b, kernel="linear", degree=1, smoothing=0)
    n = 14
    offset = (np.arange(n) + 0.5) / n - 0.5
    axes = [(np.arange(k)[:, None] + offset).ravel() for k in fixed.shape]
    fine = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    world = fine * fixed.voxel_size_um + fixed.index_to_world[:3, 3]
    sampled = scipy_at(data, moving_index(spline(world), moving), order=0)
    by_voxel = sampled.reshape(6, n, 6, n, 7, n).transpose(0, 2, 4, 1, 3, 5).reshape(6, 6, 7, -1)
    inside = np.isfinite(by_voxel).mean(axis=-1)
    np.testing.assert_allclose(coverage, inside, atol=0.04)
    assert (inside < 0.9).any()
    assert (inside == 1).mean() > 0.5
    sure = inside > 0.99
    difference = (found - np.nanmean(by_voxel, axis=-1))[sure]
    # both are sums over some 500 to 2,700 samples of the same step function
    assert np.sqrt(np.mean(difference**2)) < 5e-3 * np.ptp(data)
    assert np.abs(difference).max() < 2e-2 * np.ptp(data)
    # and the mean is not the value at the centre
    centre = whole(PullSampler(image_of(data, moving), bent(fixed, 2.0), fixed, "linear"))[0]
    assert np.sqrt(np.mean((centre - found)[sure] ** 2)) > 2e-2 * np.ptp(data)


def test_mean_over_a_turned_voxel_has_the_moments_of_a_ramp() -> None:
    """The mean of a linear ramp over any box is its value at the box's centre."""
    z, y, x = np.indices((40, 40, 40)).astype(np.float64)
    image = image_of(2 * z - 3 * y + x, chunks=(1, 1, 40, 40, 40))
    turn = rotation_about((19.5, 19.5, 19.5), (1, 2, 3), 31)
    grid = Grid.from_spacing((3, 3, 3), 5.0, (14.5, 14.5, 14.5))
    found, coverage = whole(PullSampler(image, turn, grid, "mean"))
    points = turn.map(grid.to_world(np.indices(grid.shape).reshape(3, -1).T))
    assert np.all(coverage == 1)
    # a step function is off by up to half a voxel per sample; over 500 samples it averages out
    np.testing.assert_allclose(found.ravel(), points @ (2, -3, 1), atol=0.1)


def test_an_axis_with_larger_moving_voxels_is_interpolated_within_the_mean() -> None:
    z = np.indices((6, 20, 20))[0].astype(np.float64)
    image = image_of(z, Grid.from_spacing(z.shape, (10.0, 1.0, 1.0)))
    grid = Grid.from_spacing((20, 4, 4), (2.0, 5.0, 5.0), (1.0, 2.0, 2.0))
    sampler = PullSampler(image, IDENTITY, grid)
    assert sampler.interpolation == "mean"
    found, _ = whole(sampler)
    np.testing.assert_allclose(found[:, 1, 1], (1.0 + 2.0 * np.arange(20)) / 10, atol=1e-12)


def test_nearest_keeps_labels() -> None:
    labels = np.random.default_rng(0).choice([0, 3, 17, 40_000], (15, 16, 17)).astype(np.uint16)
    image = image_of(labels)
    turn = rotation_about((7, 8, 8), (1, 2, -1), 33)
    found = resample(image, turn, image.grid, interpolation="nearest").data[0, 0].compute()
    assert set(np.unique(found[np.isfinite(found)])) == {0, 3, 17, 40_000}
    index = turn.map(np.indices(labels.shape).reshape(3, -1).T).T
    tie = np.any(abs(index - np.floor(index) - 0.5) < 1e-9, axis=0)
    expected = scipy_at(labels, index, order=0)
    np.testing.assert_array_equal(found.ravel()[~tie], expected[~tie])


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ((1.0, 1.0, 1.0), "linear"),
        ((0.5, 0.5, 0.5), "linear"),
        ((1.0, 1.0, 1.99), "linear"),
        ((1.0, 1.0, 2.01), "mean"),
        ((4.0, 0.7, 0.7), "linear"),
        ((1.3, 1.3, 1.3), "mean"),
    ],
)
def test_auto_averages_from_a_volume_ratio_of_two(
    spacing: tuple[float, ...], expected: str
) -> None:
    image = image_of(np.ones((8, 8, 8), np.float32))
    grid = image.grid.at_spacing(spacing)
    turn = rotation_about((4, 4, 4), (0, 1, 1), 10)  # a rotation changes no volume
    assert PullSampler(image, turn, grid).interpolation == expected
    assert resample(image, turn, grid).metadata["interpolation"] == expected
    shrink = Affine(np.diag([0.5, 0.5, 0.5, 1]))  # an eighth of the volume counts too
    assert PullSampler(image, shrink, grid).interpolation == "linear"


def test_auto_looks_through_the_transform() -> None:
    image = image_of(np.ones((8, 8, 8), np.float32))
    assert PullSampler(image, Affine(np.diag([2.0, 2, 2, 1])), image.grid).interpolation == "mean"
