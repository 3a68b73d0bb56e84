"""k-fold against SciPy fitted by hand, leave-one-out as its limit, interior and hull apart."""

import json

import numpy as np
import pytest
from fitting_samples import clicked, named
from scipy.interpolate import RBFInterpolator
from scipy.spatial import ConvexHull

from napari_bridgecorr.errors import FitError
from napari_bridgecorr.fitting import FitOptions, fit, k_fold, leave_one_out, summarise

MODELS = ["translation", "rigid", "similarity", "affine", "tps"]


def test_each_fold_is_predicted_by_a_spline_through_the_others() -> None:
    pairs, _, _ = clicked(3, 37, 10.0, 40.0)
    found = k_fold(pairs, FitOptions("tps", 20.0), folds=5, seed=7)
    assert found.n_folds == 5
    assert sorted(np.bincount(found.fold)) == [7, 7, 7, 8, 8]
    for k in range(5):
        out = found.fold == k
        spline = RBFInterpolator(
            pairs.fixed_um[~out], pairs.moving_um[~out], kernel="linear", degree=1, smoothing=20.0
        )
        np.testing.assert_allclose(
            found.error_um[out],
            spline(pairs.fixed_um[out]) - pairs.moving_um[out],
            rtol=0,
            atol=1e-6,
        )


def test_a_fold_never_sees_what_it_predicts() -> None:
    pairs, _, _ = clicked(8, 30, 5.0, 20.0)
    before = k_fold(pairs, folds=6, seed=1)
    chosen = int(np.flatnonzero(before.fold == 2)[0])
    moved = pairs.moving_um.copy()
    moved[chosen] += (400.0, 0.0, -300.0)
    after = k_fold(named(pairs.fixed_um, moved), folds=6, seed=1)
    np.testing.assert_array_equal(after.fold, before.fold)
    together = before.fold == 2
    change = after.error_um - before.error_um
    np.testing.assert_allclose(change[chosen], (-400, 0, 300), atol=1e-9)
    others = together & (np.arange(30) != chosen)
    np.testing.assert_allclose(change[others], 0, atol=1e-12)
    assert np.linalg.norm(change[~together], axis=1).min() > 1e-3


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_as_many_folds_as_landmarks_is_leave_one_out(model: str, dimensions: int) -> None:
    pairs, _, _ = clicked(5, 14, 10.0, 30.0)
    options = FitOptions(model, 15.0, dimensions)
    result = fit(pairs, options)
    expected = result.diagnostics.leave_one_out_um
    found = k_fold(pairs, options, folds=999)
    assert found.n_folds == 14
    np.testing.assert_allclose(found.error_um, expected, rtol=1e-7, atol=1e-7)
    split = leave_one_out(result)
    np.testing.assert_array_equal(split.error_um, expected)
    np.testing.assert_array_equal(split.on_hull, found.on_hull)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_hull_and_interior_are_told_apart(dimensions: int) -> None:
    pairs, _, _ = clicked(11, 60, 5.0, 60.0)
    found = k_fold(pairs, FitOptions(dimensions=dimensions))
    corners = ConvexHull(pairs.fixed_um[:, 3 - dimensions :]).vertices
    assert np.flatnonzero(found.on_hull).tolist() == sorted(corners)
    lengths = np.linalg.norm(found.error_um, axis=1)
    for summary, chosen in (
        (found.hull, found.on_hull),
        (found.interior, ~found.on_hull),
        (found.everywhere, np.ones(60, bool)),
    ):
        assert summary.n == chosen.sum() > 3
        assert summary.median_um == pytest.approx(np.median(lengths[chosen]), rel=1e-12)
    total = found.hull.n * found.hull.rms_um**2 + found.interior.n * found.interior.rms_um**2
    assert found.everywhere.rms_um == pytest.approx(np.sqrt(total / 60), rel=1e-12)


def test_extrapolation_is_worse_than_interpolation() -> None:
    ratio = []
    for seed in range(6):
        found = k_fold(clicked(seed, 60, 3.0, 80.0)[0])
        ratio.append(found.hull.rms_um / found.interior.rms_um)
    assert np.median(ratio) > 1.3


def test_the_seed_draws_the_folds() -> None:
    pairs, _, _ = clicked(2, 25, 5.0, 20.0)
    first, again, other = (k_fold(pairs, folds=4, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.error_um, again.error_um)
    assert not np.array_equal(first.fold, other.fold)


def test_what_the_rest_do_not_determine_is_undefined() -> None:
    # without the one landmark off the plane the rest determine no affine
    rng = np.random.default_rng(0)
    fixed = np.vstack([np.column_stack([np.zeros(9), rng.uniform(0, 100, (9, 2))]), [[80, 50, 50]]])
    found = k_fold(named(fixed, fixed + 5), FitOptions("affine"), folds=10)
    assert np.isnan(found.error_um[9]).all()
    np.testing.assert_allclose(found.error_um[:9], 0, atol=1e-9)
    assert (found.everywhere.n, found.everywhere.n_undefined) == (9, 1)
    assert found.on_hull[9]


def test_flat_landmarks_have_a_hull() -> None:
    rng = np.random.default_rng(1)
    fixed = np.column_stack([np.full(20, 7.0), rng.uniform(0, 100, (20, 2))])
    found = k_fold(named(fixed, fixed + rng.normal(0, 1, (20, 3))), FitOptions("rigid"))
    expected = sorted(ConvexHull(fixed[:, 1:]).vertices)
    assert np.flatnonzero(found.on_hull).tolist() == expected


def test_plain_values_are_json_even_with_nothing_to_say() -> None:
    fixed = np.array([[0, 0, 0], [0, 0, 9.0]])
    found = k_fold(named(fixed, fixed + [[0, 0, 0], [0, 0, 4]]), FitOptions("translation"))
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert said["folds"] == 2
    assert said["hull"]["rms_um"] == pytest.approx(4)
    assert said["interior"]["n"] == 0
    assert said["interior"]["rms_um"] is None
    assert "accura" not in json.dumps(said)


def test_too_little_is_refused() -> None:
    pairs, _, _ = clicked(1, 10, 1.0, 1.0)
    with pytest.raises(FitError, match="at least 2 folds"):
        k_fold(pairs, folds=1)
    with pytest.raises(FitError, match="at least two"):
        k_fold(named(np.zeros((1, 3)), np.zeros((1, 3))))


def test_summary_of_known_errors() -> None:
    errors = np.array([[3, 4, 0], [0, 0, -1], [0, 2, 0], [0, 0, 0], [2, -3, 6], [np.nan] * 3])
    s = summarise(errors)
    assert (s.n, s.n_undefined) == (5, 1)
    assert s.rms_um == pytest.approx(np.sqrt((25 + 1 + 4 + 49) / 5))
    assert (s.mean_um, s.median_um, s.maximum_um) == pytest.approx((3, 2, 7))
    np.testing.assert_allclose(
        s.percentiles_um, np.percentile([5, 1, 2, 0, 7], (25, 50, 68, 75, 90, 95))
    )
    np.testing.assert_allclose(s.rms_zyx_um, np.sqrt(np.array([13, 29, 37]) / 5))
    np.testing.assert_allclose(s.bias_zyx_um, (1, 0.6, 1))
    assert sum(v**2 for v in s.rms_zyx_um) == pytest.approx(s.rms_um**2)
