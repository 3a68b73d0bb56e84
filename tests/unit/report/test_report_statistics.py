"""Numbers behind the report's figures, against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from napari_bridgecorr.report import statistics as st
from napari_bridgecorr.transform import Affine


def test_correlations_agree_with_scipy():
    rng = np.random.default_rng(1)
    a = rng.gamma(2.0, size=500).round(1)  # rounded: ties
    b = (a + rng.normal(size=500)).round(1)
    assert st.pearson(a, b) == pytest.approx(scipy.stats.pearsonr(a, b).statistic, rel=1e-12)
    assert st.spearman(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic, rel=1e-12)


def test_a_constant_has_no_correlation():
    assert np.isnan(st.pearson(np.full(9, 0.1), np.arange(9.0)))
    assert np.isnan(st.spearman(np.arange(9.0), np.full(9, 0.1)))


def test_class_bounds_belong_to_the_lower_class():
    percent = np.array([0, 1e-9, 5, 5.0001, 25, 50, 50.1, 75, 75.1, 100])
    assert st.density_classes(percent).tolist() == [0, 1, 1, 2, 2, 3, 4, 4, 5, 5]


def test_classes_equal_plain_counts():
    rng = np.random.default_rng(2)
    density = np.where(rng.random(3000) < 0.4, 0.0, rng.random(3000))
    coverage = np.where(rng.random(3000) < 0.8, 1.0, 0.5)
    found = st.compare(density, rng.normal(size=3000), coverage)
    assert found is not None
    assert not found.is_relative
    d = 100 * density[coverage > 0.99]
    bounds = [(0, 5), (5, 25), (25, 50), (50, 75), (75, 100)]
    expected = [np.sum(d == 0), *(np.sum((d > a) & (d <= b)) for a, b in bounds)]
    assert found.class_counts == tuple(expected)
    assert found.n_covered == np.sum(coverage > 0.99)


def test_a_raw_signal_is_rescaled_between_percentiles():
    values = np.random.default_rng(3).normal(300, 40, 2000)
    percent, is_relative = st.as_percent(values)
    assert is_relative
    low, high = np.quantile(values, [0.005, 0.995])
    inside = (values > low) & (values < high)
    np.testing.assert_allclose(percent[inside], 100 * ((values - low) / (high - low))[inside])
    assert percent.min() == 0
    assert percent.max() == 100


def test_a_constant_signal_is_no_signal():
    percent, is_relative = st.as_percent(np.full(10, 7.0))
    assert is_relative
    assert not percent.any()


def test_uncovered_and_undefined_rows_do_not_count():
    density = np.array([0.1, 0.2, np.nan, 0.3, 0.4, 0.5, 0.6])
    intensity = np.array([1, 2, 3, np.nan, 5, 6, 7])
    coverage = np.array([1, 1, 1, 1, 1, 0.98, 1])
    assert st.compare(density, intensity, coverage) is None  # four are left
    coverage[5] = 1
    found = st.compare(density, intensity, coverage)
    assert found is not None
    assert found.intensity.tolist() == [1, 2, 5, 6, 7]


def test_many_rows_are_drawn_alike_each_time():
    n = st.MAX_ROWS + 1000
    density = np.random.default_rng(4).random(n)
    one = st.compare(density, np.arange(n), np.ones(n))
    two = st.compare(density, np.arange(n), np.ones(n))
    assert one is not None
    assert two is not None
    assert len(one.percent) == st.MAX_ROWS
    assert one.n_covered == n
    np.testing.assert_array_equal(one.intensity, two.intensity)
    np.testing.assert_array_equal(one.percent, 100 * density[one.intensity.astype(int)])


def test_hull_of_a_cube_with_a_middle():
    corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T * 100.0
    points = np.concatenate([corners, [[50, 50, 50], [40, 60, 50]]])
    assert st.on_hull(points).tolist() == [True] * 8 + [False] * 2


def test_hull_of_landmarks_in_an_oblique_plane():
    square = np.array([[0, 0], [0, 9], [9, 0], [9, 9], [4, 5.0]])
    basis = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 2)))[0]
    assert st.on_hull(square @ basis.T + 100).tolist() == [True] * 4 + [False]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_few_landmarks_are_all_on_the_hull(n):
    points = np.random.default_rng(n).normal(size=(n, 3))
    assert st.on_hull(points).all()


def test_hull_of_a_line_is_its_ends():
    points = np.array([3.0, 1, 2, 0, 1.5])[:, None] * np.array([1.0, 2, -1])
    assert st.on_hull(points).tolist() == [True, False, False, True, False]


def test_error_arrows_end_where_the_partner_shows_up():
    matrix = np.eye(4)
    matrix[:3, :3] = scipy.spatial.transform.Rotation.from_euler("x", 70, degrees=True).as_matrix()
    matrix[:3, :3] *= 1.3
    transform = Affine(matrix)
    fixed = np.random.default_rng(6).uniform(0, 100, (5, 3))
    moving = transform.map(fixed) + np.random.default_rng(7).normal(size=(5, 3))
    arrows = st.errors_in_fixed_world(transform, fixed, transform.map(fixed) - moving)
    np.testing.assert_allclose(fixed + arrows, transform.inverse().map(moving), atol=1e-9)


def test_arrow_scale_never_enlarges_rounding_errors():
    assert st.arrow_scale(np.full(5, 1e-12), 1000.0) == 1
    assert st.arrow_scale(np.full(5, 20.0), 1000.0) == 5
    assert st.arrow_scale(np.full(5, 900.0), 1000.0) == 1
    assert st.arrow_scale(np.full(5, np.nan), 1000.0) == 1


def test_folding_of_a_mirror():
    found = st.folding_check(Affine(np.diag([-2.0, 1, 1, 1])), np.zeros((3, 3)))
    assert found is not None
    assert (found.n_points, found.n_folded) == (3, 3)
    assert found.minimum == pytest.approx(-2)
