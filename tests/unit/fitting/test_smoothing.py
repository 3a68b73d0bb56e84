"""The choice of lambda, judged by targets that took no part."""

import numpy as np
import pytest
from fitting_samples import clicked, named, points_in_box
from scipy.interpolate import RBFInterpolator

from napari_bridgecorr.errors import FitError
from napari_bridgecorr.fitting import FitOptions, compare_smoothings, fit, parse_smoothing
from napari_bridgecorr.fitting.smoothing import choose_smoothing
from napari_bridgecorr.fitting.spline_system import SplineSystem
from napari_bridgecorr.landmarks import LandmarkSet

LAMBDAS_UM = [0.0, *np.geomspace(3, 3e5, 11)]
SEEDS = range(24)


def target_errors(n: int, noise_um: float, bend_um: float) -> tuple[float, np.ndarray]:
    """Median target error averaged over the seeds: with the chosen lambda, and with each of a row.

    The spline of each fixed lambda is SciPy's.
    """
    chosen, each = [], []
    for seed in SEEDS:
        pairs, truth, targets = clicked(seed, n, noise_um, bend_um)
        expected = truth(targets)
        system = SplineSystem(pairs.fixed_um)
        spline = system.solve(pairs.moving_um, choose_smoothing(system, pairs.moving_um))
        chosen.append(np.median(np.linalg.norm(spline.map(targets) - expected, axis=1)))
        row = []
        for smoothing in LAMBDAS_UM:
            other = RBFInterpolator(
                pairs.fixed_um, pairs.moving_um, kernel="linear", degree=1, smoothing=smoothing
            )
            row.append(np.median(np.linalg.norm(other(targets) - expected, axis=1)))
        each.append(row)
    return float(np.mean(chosen)), np.mean(each, axis=0)


@pytest.mark.parametrize(
    ("n", "noise_um", "bend_um"), [(30, 10, 40), (60, 10, 40), (30, 20, 20), (20, 10, 60)]
)
def test_near_the_best_single_lambda(n: int, noise_um: float, bend_um: float) -> None:
    chosen, each = target_errors(n, noise_um, bend_um)
    assert chosen <= 1.05 * each.min()


def test_much_better_than_interpolation_where_noise_rules() -> None:
    chosen, each = target_errors(30, 20.0, 0.0)
    assert chosen <= 1.10 * each.min()  # there the best lambda is infinite
    assert chosen <= 0.7 * each[0]


def test_clean_landmarks_are_met() -> None:
    for seed in range(5):
        pairs, _, _ = clicked(seed, 40, 0.0, 40.0)
        result = fit(pairs)
        assert result.smoothing_um is not None
        # a thousandth of the sample's radius
        assert result.smoothing_um < 0.5
        assert result.diagnostics.residual_rms_um < 0.1


def test_noise_round_an_affine_leaves_the_affine() -> None:
    differences = []
    for seed in range(12):
        pairs, _, targets = clicked(seed, 30, 20.0, 0.0)
        spline = fit(pairs).transform.map(targets)
        affine = fit(pairs, FitOptions("affine")).transform.map(targets)
        differences.append(np.sqrt(np.mean(np.sum((spline - affine) ** 2, axis=1))))
    # 20 um a component are 35 um a click; an interpolation differs from the affine by 30
    assert np.median(differences) < 4
    assert np.mean(np.array(differences) < 12) > 0.7


def test_huge_smoothing_is_the_affine() -> None:
    pairs, _, targets = clicked(1, 25, 10.0, 40.0)
    spline = fit(pairs, FitOptions("tps", 1e12)).transform.map(targets)
    affine = fit(pairs, FitOptions("affine")).transform.map(targets)
    np.testing.assert_allclose(spline, affine, rtol=0, atol=1e-5)


def test_an_exact_affine_needs_no_smoothing_to_be_met() -> None:
    fixed = points_in_box(np.random.default_rng(0), 20)
    result = fit(named(fixed, 2 * fixed + 5))
    assert result.diagnostics.residual_rms_um < 1e-9
    assert np.isfinite(result.smoothing_um)


@pytest.mark.parametrize(
    ("text", "value"),
    [("auto", "auto"), ("0", 0.0), ("2.5", 2.5), (3, 3.0), ("1e3", 1000.0), (0.0, 0.0)],
)
def test_parse_smoothing(text: str | float, value: str | float) -> None:
    assert parse_smoothing(text) == value


@pytest.mark.parametrize("text", ["", "Auto ", "-1", -0.5, "nan", "inf", "1,5", None, []])
def test_parse_smoothing_refuses(text: object) -> None:
    with pytest.raises(FitError, match="'auto' or a number >= 0"):
        parse_smoothing(text)  # type: ignore[arg-type]
    with pytest.raises(FitError, match="'auto' or a number >= 0"):
        fit(clicked(0, 8, 1.0, 1.0)[0], FitOptions("tps", text))  # type: ignore[arg-type]


def test_smoothings_side_by_side_are_scipys_left_out_errors() -> None:
    rng = np.random.default_rng(5)
    fixed = rng.uniform(0, 300, (9, 3))
    moving = fixed * 1.05 + 10 * np.sin(fixed[:, ::-1] / 60) + rng.normal(0, 2, (9, 3))
    scores = compare_smoothings(LandmarkSet.from_pairs(fixed, moving).pairs(), FitOptions())
    assert sum(s.is_auto for s in scores) == 1
    assert len(scores) == 5
    steps = [s.smoothing for s in scores if not s.is_auto]
    gap = np.median(np.sort(np.linalg.norm(fixed[:, None] - fixed, axis=-1), axis=1)[:, 1])
    assert steps[0] == 0
    np.testing.assert_allclose(steps[1:], gap * np.array([0.1, 1, 10]), rtol=0.34)  # one digit
    for score in scores:
        if score.is_auto:
            continue
        off = []
        for k in range(9):
            others = np.arange(9) != k
            spline = RBFInterpolator(
                fixed[others], moving[others], kernel="linear", smoothing=score.smoothing, degree=1
            )
            off.append(np.linalg.norm(spline(fixed[k : k + 1])[0] - moving[k]))
        assert score.mean_um == pytest.approx(np.mean(off), rel=1e-6)
        assert score.median_um == pytest.approx(np.median(off), rel=1e-6)
