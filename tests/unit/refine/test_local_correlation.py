"""The metric against NumPy's own correlation coefficient, and its slope against differences."""

import numpy as np
import pytest

from napari_bridgecorr.refine.local_correlation import (
    Windows,
    correlation_and_force,
    local_correlation,
)


def pictures(shape, seed=0):
    rng = np.random.default_rng(seed)
    fixed = rng.normal(size=shape)
    moved = 0.6 * fixed + rng.normal(size=shape)
    return fixed.astype(np.float32), moved.astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 17, 19), (11, 9, 10)])
def test_squared_correlation_is_that_of_each_window(shape):
    fixed, moved = pictures(shape)
    ones = np.ones(shape, np.float32)
    squared, counts = local_correlation(fixed, moved, ones, ones, Windows(2, (0.0, 0.0)))
    window = tuple(slice(n // 2 - 2, n // 2 + 3) if n > 1 else slice(None) for n in shape)
    expected = np.corrcoef(fixed[window].ravel(), moved[window].ravel())[0, 1] ** 2
    centre = tuple(n // 2 for n in shape)
    assert squared[centre] == pytest.approx(expected, rel=1e-3)
    # only windows that are mostly outside say nothing
    assert np.all(counts[tuple(slice(1, -1) if n > 1 else slice(None) for n in shape)] == 1)


def test_contrast_and_its_sign_do_not_matter():
    fixed, moved = pictures((1, 20, 20))
    ones = np.ones(fixed.shape, np.float32)
    windows = Windows(3, (0.0, 0.0))
    one, _ = local_correlation(fixed, moved, ones, ones, windows)
    other, _ = local_correlation(fixed, 5 - 3 * moved, ones, ones, windows)
    np.testing.assert_allclose(one, other, atol=2e-4)


def test_what_is_not_valid_has_no_influence():
    fixed, moved = pictures((1, 24, 24))
    valid = np.ones(fixed.shape, np.float32)
    valid[:, :, 15:] = 0
    ones = np.ones_like(valid)
    windows = Windows(2, (0.1, 0.1))
    total, n, force = correlation_and_force(fixed, moved, valid, ones, windows)
    spoilt = moved.copy()
    spoilt[:, :, 15:] = 1e3
    again = correlation_and_force(fixed, spoilt, valid, ones, windows)
    assert again[0] == pytest.approx(total, rel=1e-4)
    assert n == 24 * 15
    assert np.all(force[:, :, 15:] == 0)


def test_empty_windows_do_not_correlate():
    fixed, moved = pictures((1, 30, 30))
    ones = np.ones(fixed.shape, np.float32)
    squared, _ = local_correlation(1e-3 * fixed, 1e-3 * moved, ones, ones, Windows(2, (0.01, 0.01)))
    assert squared.max() < 1e-4


@pytest.mark.parametrize("shape", [(1, 14, 15), (7, 8, 9)])
def test_force_is_the_slope_of_the_sum(shape):
    fixed, moved = pictures(shape, 3)
    rng = np.random.default_rng(1)
    valid = (rng.uniform(size=shape) > 0.1).astype(np.float32)
    weight = rng.uniform(size=shape).astype(np.float32)
    windows = Windows(2, (0.05, 0.1))
    _, _, force = correlation_and_force(fixed, moved, valid, weight, windows)
    direction = rng.normal(size=shape).astype(np.float32)
    step = np.float32(1e-2)
    ahead, _, _ = correlation_and_force(fixed, moved + step * direction, valid, weight, windows)
    behind, _, _ = correlation_and_force(fixed, moved - step * direction, valid, weight, windows)
    assert float(np.sum(force * direction)) == pytest.approx(
        (ahead - behind) / (2 * float(step)), rel=5e-3
    )
