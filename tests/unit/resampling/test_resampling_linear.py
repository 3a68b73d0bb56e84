"""Interpolation against SciPy, SimpleITK and what follows from the definition."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resampling_samples import (
    bent,
    bent_pairs,
    centres,
    image_of,
    moving_index,
    oblique_grid,
    on_a_face,
    rotation_about,
    scipy_at,
    sitk_resampled,
    smooth_noise,
)
from scipy.interpolate import RBFInterpolator

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.resampling import PullSampler, resample
from napari_bridgecorr.transform import Affine, Chain, DisplacementField

AXES = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -2, 0.5)]


def shift(z: float, y: float, x: float) -> Affine:
    return Affine.from_parts(np.eye(3), (z, y, x))


def values(image: Any) -> Any:
    return image.data[0, 0].compute()


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", ">u2", "i4", "f4", ">f4", "f8"])
def test_identity_gives_every_digit_back(dtype: str) -> None:
    rng = np.random.default_rng(0)
    if dtype[-2] == "f":
        data = rng.normal(size=(6, 9, 11)).astype(dtype)
    else:
        info = np.iinfo(dtype)
        data = rng.integers(info.min, info.max, (6, 9, 11), endpoint=True).astype(dtype)
        data.flat[:2] = info.min, info.max
    grid = oblique_grid(data.shape, (3.0, 1.1, 0.7), (12, -30, 50), (100, 2000, -7))
    image = image_of(data, grid)
    found = resample(image, Affine.identity(), grid)
    assert found.dtype == (np.float64 if dtype[-2:] in ("i4", "f8") else np.float32)
    # the index through an oblique affine is off by 1e-13 voxels
    np.testing.assert_allclose(
        values(found), data, rtol=1e-6, atol=np.ptp(data.astype("f8")) * 1e-9
    )


def test_identity_on_an_axis_aligned_grid_is_exact_in_float64() -> None:
    data = np.random.default_rng(1).integers(-(2**31), 2**31, (4, 5, 6)).astype(np.int32)
    data[0, 0, 0] = 2**30 + 1  # not a float32
    image = image_of(data)
    assert np.array_equal(values(resample(image, Affine.identity(), image.grid)), data)
    fine = 1 + 1e-12 * np.random.default_rng(2).integers(0, 999, (4, 5, 6))
    image = image_of(fine)
    assert np.array_equal(values(resample(image, Affine.identity(), image.grid)), fine)


@pytest.mark.parametrize("step", [(1, 0, 0), (0, -2, 3), (-5, 6, 1), (99, 0, 0)])
def test_an_integer_shift_moves_voxels_and_leaves_nan(step: tuple[int, int, int]) -> None:
    data = np.random.default_rng(0).integers(0, 60_000, (7, 8, 9)).astype(np.uint16)
    image = image_of(data)
    found = values(resample(image, shift(*step), image.grid, interpolation="linear"))
    expected = np.full(data.shape, np.nan)
    for index in np.ndindex(*data.shape):
        source = np.add(index, step)
        if np.all(source >= 0) and np.all(source < data.shape):
            expected[index] = data[tuple(source)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("degrees", [7.0, 90.0, -133.0])
@pytest.mark.parametrize(
    ("fixed_spacing", "moving_spacing"),
    [((2.0, 2.0, 2.0), (2.0, 2.0, 2.0)), ((5.0, 1.5, 2.0), (1.2, 3.0, 2.5))],
)
def test_rotation_agrees_with_scipy_and_simpleitk(
    axis: tuple[float, ...],
    degrees: float,
    fixed_spacing: tuple[float, ...],
    moving_spacing: tuple[float, ...],
) -> None:
    data = smooth_noise((17, 21, 19), 0.6).astype(np.float32)
    fixed = oblique_grid((11, 22, 18), fixed_spacing, (5, -3, 4), (310, -40, 77))
    moving = oblique_grid(data.shape, moving_spacing, (-8, 14, 21), (308, -42, 80))
    turn = rotation_about((310, -40, 77), axis, degrees)
    found = values(resample(image_of(data, moving), turn, fixed, interpolation="linear"))

    points = centres(fixed) @ turn.matrix[:3, :3].T + turn.matrix[:3, 3]
    index = moving_index(points, moving)
    clear = ~on_a_face(index, data.shape)
    by_scipy = scipy_at(data, index)
    by_itk = sitk_resampled(data, moving, turn, fixed).ravel()
    for reference in (by_scipy, by_itk):
        assert np.isfinite(reference).sum() > 300
        assert np.array_equal(np.isnan(found.ravel())[clear], np.isnan(reference)[clear])
        np.testing.assert_allclose(
            found.ravel()[clear], reference[clear], atol=1e-6 * np.ptp(data), rtol=0
        )


def test_spline_agrees_with_scipy_from_landmark_to_voxel() -> None:
    data = smooth_noise((14, 18, 16)).astype(np.float32)
    fixed = Grid.from_spacing((9, 12, 10), (3.0, 2.0, 2.5), (1, 2, 3))
    moving = Grid.from_spacing(data.shape, (2.2, 1.7, 1.9))
    a, b = bent_pairs(fixed, 1.5)
    found = values(
        resample(image_of(data, moving), bent(fixed, 1.5), fixed, interpolation="linear")
    )
    points = RBFInterpolator(a, b, kernel="linear", degree=1, smoothing=0)(centres(fixed))
    index = moving_index(points, moving)
    assert not on_a_face(index, data.shape).any()
    np.testing.assert_allclose(found.ravel(), scipy_at(data, index), atol=1e-6 * np.ptp(data))


def test_defined_region_ends_half_a_voxel_beyond_the_last_centres() -> None:
    data = np.arange(1, 6, dtype=np.float32).reshape(1, 1, 5)
    image = image_of(data)
    for offset, expected in [
        (-0.5 - 1e-6, np.nan),
        (-0.5 + 1e-6, 1),
        (-0.25, 1),
        (1.75, 2.75),
        (4.4999, 5),
        (4.5001, np.nan),
    ]:
        grid = Grid.from_spacing((1, 1, 1), 1.0, (0, 0, offset))
        found = values(resample(image, Affine.identity(), grid, interpolation="linear"))
        np.testing.assert_allclose(found.ravel(), [expected], atol=1e-6)
    # the border is that of every axis: a thin image is one voxel thick, not none
    for z, inside in [(-0.51, False), (-0.49, True), (0.49, True), (0.51, False)]:
        grid = Grid.from_spacing((1, 1, 1), 1.0, (z, 0, 2))
        found = values(resample(image, Affine.identity(), grid, interpolation="linear"))
        assert np.isfinite(found).item() is inside


def test_nan_in_the_moving_image_reaches_no_farther_than_interpolation() -> None:
    data = np.random.default_rng(0).normal(size=(5, 6, 7))
    data[2, 3, 4] = np.nan
    image = image_of(data)
    whole = values(resample(image, Affine.identity(), image.grid, interpolation="linear"))
    np.testing.assert_array_equal(whole, data)
    between = values(resample(image, shift(0, 0, 0.25), image.grid, interpolation="linear"))
    missing = np.zeros(data.shape, bool)
    missing[2, 3, 3:5] = True  # 3.25 and 4.25 touch voxel 4
    assert np.array_equal(np.isnan(between), missing)
    filled = np.where(np.isnan(data), 0, data)
    padded = np.concatenate([filled[:, :, 1:], filled[:, :, -1:]], axis=2)
    expected = 0.75 * filled + 0.25 * padded
    np.testing.assert_allclose(between[~missing], expected[~missing], atol=1e-13)


def test_nan_does_not_count_in_a_mean() -> None:
    data = np.random.default_rng(0).normal(size=(4, 4, 4))
    data[0, 0, 0] = np.nan
    data[2:, 2:, 2:] = np.nan
    image = image_of(data)
    sampler = PullSampler(image, Affine.identity(), image.grid.averaged((2, 2, 2)), "mean")
    block = sampler.block(0, (0, 0, 0), (2, 2, 2))
    assert block.coverage[0, 0, 0, 0] == 7 / 8
    assert block.coverage[0, 1, 1, 1] == 0
    assert np.isnan(block.values[0, 1, 1, 1])
    assert block.values[0, 0, 0, 0] == pytest.approx(np.nanmean(data[:2, :2, :2]), rel=1e-14)


@settings(max_examples=25, deadline=None)
@given(
    order=st.sampled_from(list(permutations(range(3)))),
    flips=st.tuples(*[st.booleans()] * 3),
    seed=st.integers(0, 99),
    interpolation=st.sampled_from(["linear", "mean"]),
)
def test_permuted_grids_give_permuted_images(
    order: tuple[int, ...], flips: tuple[bool, ...], seed: int, interpolation: str
) -> None:
    """Of the fixed grid; and of the moving image, whose values stay where they are."""
    data = smooth_noise((8, 9, 10), 0.8, seed)
    moving = oblique_grid(data.shape, (1.3, 1.0, 0.8), (9, 5, -12), (0, 0, 0))
    fixed = oblique_grid((5, 4, 6), (2.0, 2.5, 1.5), (3, 8, 20), (0.1, -0.2, 0.3))
    map_ = bent(fixed, 0.3, seed=seed)
    expected = values(resample(image_of(data, moving), map_, fixed, interpolation=interpolation))

    flipped = [a for a in range(3) if flips[a]]
    other = values(
        resample(
            image_of(data, moving),
            map_,
            _rearranged(fixed, order, flips),
            interpolation=interpolation,
        )
    )
    again = np.flip(np.transpose(expected, order), flipped)
    np.testing.assert_allclose(other, again, atol=1e-6 * np.ptp(data), rtol=0)

    turned = np.flip(np.transpose(data, order), flipped).copy()
    image = image_of(turned, _rearranged(moving, order, flips))
    if interpolation == "linear":  # the mean's samples sit on steps of the image: ties may differ
        found = values(resample(image, map_, fixed, interpolation=interpolation))
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.ptp(data), rtol=0)


def _rearranged(grid: Grid, order: tuple[int, ...], flips: tuple[bool, ...]) -> Grid:
    shape = tuple(grid.shape[a] for a in order)
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for new, old in enumerate(order):
        step[old, new] = -1 if flips[new] else 1
        step[old, 3] = shape[new] - 1 if flips[new] else 0
    return Grid(shape, grid.index_to_world @ step)


def test_a_constant_field_is_a_shift_and_ends_with_its_domain() -> None:
    data = smooth_noise((8, 9, 10))
    image = image_of(data)
    domain = Grid.from_spacing((4, 4, 4), 1.0, (2, 2, 2))
    field = DisplacementField(
        domain, np.broadcast_to([[[[1.0]]], [[[0.5]]], [[[0]]]], (3, 4, 4, 4))
    )
    found = values(resample(image, field, image.grid, interpolation="linear"))
    moved = values(resample(image, shift(1, 0.5, 0), image.grid, interpolation="linear"))
    inside = np.zeros(data.shape, bool)
    inside[2:6, 2:6, 2:6] = True
    assert np.all(np.isnan(found[~inside]))
    np.testing.assert_allclose(found[inside], moved[inside], atol=1e-9)


def test_a_field_smaller_than_a_block_is_found() -> None:
    """The block's corner lattice may miss the whole domain of a field."""
    data = np.random.default_rng(0).normal(size=(40, 90, 90)).astype(np.float32)
    image = image_of(data, chunks=(1, 1, 40, 90, 90))
    domain = Grid.from_spacing((4, 7, 7), 1.0, (25, 30, 50))
    field = DisplacementField(domain, np.zeros((3, 4, 7, 7)))
    found = values(resample(image, field, image.grid, interpolation="linear"))
    inside = np.zeros(data.shape, bool)
    inside[25:29, 30:37, 50:57] = True
    assert np.array_equal(np.isfinite(found), inside)
    np.testing.assert_allclose(found[inside], data[inside], rtol=1e-6)


def test_a_chain_is_the_composition() -> None:
    data = smooth_noise((12, 13, 14))
    image = image_of(data)
    turn = rotation_about((6, 6, 6), (1, 1, 0), 20)
    bend = bent(image.grid, 0.8)
    chain = Chain(turn, bend)
    exactly = resample(image, chain, image.grid, interpolation="linear", tolerance_voxels=0)
    index = bend.map(turn.map(centres(image.grid))).T
    expected = scipy_at(data, index)
    np.testing.assert_allclose(values(exactly).ravel(), expected, atol=1e-8)
    quickly = resample(image, chain, image.grid, interpolation="linear")
    steepest = max(np.abs(np.diff(data, axis=axis)).max() for axis in range(3))
    found = values(quickly)
    off = np.nanmax(np.abs(found.ravel() - expected))
    assert off <= np.sqrt(3) * steepest * quickly.metadata["map_error_voxels"] + 1e-8
    swapped = values(resample(image, Chain(bend, turn), image.grid, interpolation="linear"))
    assert np.nanmax(abs(swapped - found)) > 10


def test_channels_and_times_are_independent() -> None:
    data = np.random.default_rng(0).normal(size=(3, 2, 5, 6, 7)).astype(np.float32)
    image = image_of(data, names=["a", "b"])
    half = shift(0, 0.5, 0)
    found = resample(image, half, image.grid)
    assert found.data.shape == data.shape
    for t in range(3):
        for c in range(2):
            alone = values(resample(image_of(data[t, c]), half, image.grid))
            np.testing.assert_array_equal(found.data[t, c].compute(), alone)
    some = resample(image, half, image.grid, channels=[1], times=[2, 0])
    assert [c.name for c in some.channels] == ["b"]
    np.testing.assert_array_equal(
        some.data.compute()[:, 0], found.data.compute()[[2, 0], 1], strict=True
    )
    for times in ([3], [-1]):
        with pytest.raises(GeometryError, match="3 time points"):
            resample(image, half, image.grid, times=times)


def test_unknown_interpolation_is_refused() -> None:
    image = image_of(np.zeros((2, 2, 2)))
    with pytest.raises(GeometryError, match="lanczos"):
        resample(image, Affine.identity(), image.grid, interpolation="lanczos")
