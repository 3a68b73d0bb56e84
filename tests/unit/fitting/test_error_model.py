"""The predicted error against the error, over many simulated samples."""

import itertools

import numpy as np
import pytest
from fitting_samples import BOX_UM, clicked, named, points_in_box, rms_length
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from unseen_bends import BENDS, bent

from napari_bridgecorr.fitting import CheckErrorModel, FitOptions, error_model, fit
from napari_bridgecorr.fitting.error_model import (
    InverseErrorModel,
    LinearErrorModel,
    PosteriorErrorModel,
)
from napari_bridgecorr.fitting.error_radius import length_quantile
from napari_bridgecorr.fitting.evidence import weigh_priors
from napari_bridgecorr.fitting.fit import fit_map
from napari_bridgecorr.fitting.linear_models import fit_affine, fit_linear
from napari_bridgecorr.fitting.smoothing import choose_smoothing
from napari_bridgecorr.fitting.spline_system import SplineSystem
from napari_bridgecorr.geometry.convex_hull import ConvexHull
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.transform import Affine, Transform


def auto_spline(pairs: LandmarkPairs) -> Transform:
    """The default fit, without its diagnostics (they take most of the time)."""
    system = SplineSystem(pairs.fixed_um)
    return system.solve(pairs.moving_um, choose_smoothing(system, pairs.moving_um))


def calibration(predicted: list[float], actual: list[float]) -> float:
    """RMS predicted over RMS found."""
    return float(np.sqrt(np.sum(np.square(predicted)) / np.sum(np.square(actual))))


def drawn_from_the_prior(
    seed: int, n: int, roughness: float, noise_um: float
) -> tuple[LandmarkPairs, np.ndarray, np.ndarray]:
    """A map drawn from the thin-plate prior itself (generalised covariance -r), and its targets."""
    rng = np.random.default_rng(seed)
    points = points_in_box(rng, n + 80)
    affine = np.column_stack([points / 1000, np.ones(len(points))])
    contrasts = np.linalg.qr(affine, mode="complete")[0][:, 4:]
    covariance = contrasts.T @ -cdist(points, points) @ contrasts
    root = contrasts @ np.linalg.cholesky(covariance)
    values = points + roughness * root @ rng.normal(size=(root.shape[1], 3))
    clicks = values[:n] + rng.normal(0, noise_um, (n, 3))
    return named(points[:n], clicks), points[n:], values[n:]


@pytest.mark.parametrize("noise_um", [0.0, 10.0])
@pytest.mark.parametrize("affine", [False, True], ids=["spline", "affine"])
def test_calibrated_where_the_prior_is_true(noise_um: float, affine: bool) -> None:
    predicted, actual = [], []
    for seed in range(12):
        pairs, targets, truth = drawn_from_the_prior(seed, 40, 1.0, noise_um)
        if affine:
            transform: Transform = fit_affine(pairs.fixed_um, pairs.moving_um)
        else:
            transform = auto_spline(pairs)
        model = error_model(pairs, transform, "affine" if affine else "tps")
        assert isinstance(model, PosteriorErrorModel)
        predicted.append(np.sqrt(np.mean(model.predict(targets) ** 2)))
        actual.append(rms_length(transform.map(targets) - truth))
    # exact clicks are given the little noise that they cannot exclude, which takes up to a tenth
    # off the map's own roughness (0.89 for the affine); 24 samples leave some per cent of chance
    assert calibration(predicted, actual) == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize(
    ("n", "noise_um", "bend_um"),
    [(30, 10, 40), (60, 10, 40), (30, 20, 20), (40, 5, 60), (30, 20, 0)],
)
def test_near_the_truth_on_smooth_samples(n: int, noise_um: float, bend_um: float) -> None:
    predicted, actual = [], []
    for seed in range(12):
        pairs, truth, targets = clicked(seed, n, noise_um, bend_um)
        transform = auto_spline(pairs)
        model = error_model(pairs, transform, "tps")
        predicted.append(np.sqrt(np.mean(model.predict(targets) ** 2)))
        actual.append(rms_length(transform.map(targets) - truth(targets)))
    # maps smoother than the prior believes: the prediction errs on the safe side
    assert 0.8 < calibration(predicted, actual) < 1.5


def test_it_tells_good_places_from_bad() -> None:
    correlations = []
    for seed in range(10):
        pairs, targets, truth = drawn_from_the_prior(seed, 30, 1.0, 3.0)
        transform = auto_spline(pairs)
        predicted = error_model(pairs, transform, "tps").predict(targets)
        actual = np.linalg.norm(transform.map(targets) - truth, axis=1)
        correlations.append(np.corrcoef(np.argsort(np.argsort(predicted)), actual)[0, 1])
    assert np.mean(correlations) > 0.25


@pytest.mark.parametrize("model", ["tps", "affine", "rigid"])
def test_it_grows_outside_the_hull(model: str) -> None:
    pairs, _, _ = clicked(0, 30, 10.0, 40.0)
    transform = fit(pairs, FitOptions(model)).transform
    centre = BOX_UM / 2
    for direction in np.eye(3):
        steps = np.linspace(1.0, 5.0, 9)[:, None] * BOX_UM.max() * direction
        predicted = error_model(pairs, transform, model).predict(centre + steps)
        middle = error_model(pairs, transform, model).predict(centre[None])[0]
        assert np.all(np.diff(predicted) > 0)
        assert predicted[0] > middle


def test_interpolation_errs_least_at_the_landmarks() -> None:
    pairs, _, _ = clicked(1, 30, 0.0, 40.0)
    transform = fit(pairs, FitOptions("tps", 0.0)).transform
    model = error_model(pairs, transform, "tps")
    at_landmarks = model.predict(pairs.fixed_um)
    between = model.predict(points_in_box(np.random.default_rng(0), 200))
    assert np.median(between) > 3 * np.median(at_landmarks)
    assert np.percentile(between, 10) > np.median(at_landmarks)


def test_noisy_clicks_are_not_taken_for_exact_where_the_spline_passes_them() -> None:
    noise_um, predicted = 15.0, []
    for seed in range(12):
        pairs, _, _ = clicked(seed, 30, noise_um, 40.0)
        transform = fit(pairs, FitOptions("tps", 0.0)).transform
        predicted.append(error_model(pairs, transform, "tps").predict(pairs.fixed_um)[0])
    # three coordinates of 15 um each; one sample tells its noise to a factor
    assert np.median(predicted) == pytest.approx(np.sqrt(3) * noise_um, rel=0.25)
    assert min(predicted) > 1.0


def test_the_affine_error_is_the_textbook_formula() -> None:
    size = []
    targets = points_in_box(np.random.default_rng(99), 100) * 2 - BOX_UM / 2
    for seed in range(20):
        pairs, _, _ = clicked(seed, 40, 20.0, 0.0)
        transform = fit_affine(pairs.fixed_um, pairs.moving_um)
        f = pairs.fixed_um - pairs.fixed_um.mean(axis=0)
        d = targets - pairs.fixed_um.mean(axis=0)
        leverage = 1 / 40 + np.sum((d @ np.linalg.inv(f.T @ f)) * d, axis=1)
        formula = np.sqrt(3 * 20.0**2 * leverage)
        ratio = LinearErrorModel(pairs, transform, "affine").predict(targets) / formula
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
        size.append(ratio[0])
        # the general model allows for a bend that these clicks do not exclude
        general = error_model(pairs, transform, "affine").predict(targets) / formula
        assert 0.7 < np.median(general) < 2
    assert np.mean(size) == pytest.approx(1, abs=0.1)


def test_few_landmarks_fall_back() -> None:
    rng = np.random.default_rng(0)
    for model, n in (("tps", 5), ("affine", 7), ("rigid", 30), ("similarity", 30)):
        fixed = points_in_box(rng, n)
        pairs = named(fixed, fixed + rng.normal(0, 10, (n, 3)))
        transform = fit(pairs, FitOptions(model)).transform
        chosen = error_model(pairs, transform, model)
        assert isinstance(chosen, LinearErrorModel)
        predicted = chosen.predict(fixed)
        assert np.isfinite(predicted).all()
        assert predicted.min() > 0
    exact = error_model(pairs.subset(np.arange(4)), fit_affine(fixed[:4], fixed[:4]), "affine")
    assert np.isnan(exact.predict(fixed)).all()  # four landmarks always fit: nothing is known


@pytest.mark.parametrize("model", ["translation", "rigid", "similarity", "affine"])
def test_linear_models_are_calibrated_where_they_are_true(model: str) -> None:
    rng = np.random.default_rng(1)
    within = {0.68: [], 0.95: []}
    landmarks_within = {0.68: [], 0.95: []}
    for k in range(300):
        fixed, targets = points_in_box(rng, 12), points_in_box(rng, 12)
        pairs = named(fixed, fixed + rng.normal(0, 10, (12, 3)))
        transform = fit_linear(model, fixed, pairs.moving_um)
        error = LinearErrorModel(pairs, transform, model)
        if not k and model == "rigid":
            f = fixed - fixed.mean(axis=0)
            axes = np.linalg.svd(f)[2]  # Fitzpatrick's formula along the principal axes
            d2, f2 = ((targets - fixed.mean(axis=0)) @ axes.T) ** 2, (f @ axes.T) ** 2
            terms = [(d2.sum(1) - d2[:, a]) / np.mean(f2.sum(1) - f2[:, a]) for a in range(3)]
            shape = 1 + np.sum(terms, axis=0) / 3
            ratio = error.predict(targets) ** 2 / shape
            np.testing.assert_allclose(ratio, ratio[0], rtol=0.01)
        off = np.linalg.norm(transform.map(targets) - targets, axis=1)
        clicks = targets + rng.normal(0, 10, (12, 3))
        to_clicks = np.linalg.norm(transform.map(targets) - clicks, axis=1)
        for level, row in within.items():
            row.append(np.mean(off < error.radius(targets, level)))
            seen = error.landmark_radius(targets, level)
            landmarks_within[level].append(np.mean(to_clicks < seen))
    for found in (within, landmarks_within):
        for level, row in found.items():
            assert np.mean(row) == pytest.approx(level, abs=0.04)


def test_a_rigid_map_of_bending_tissue_is_not_judged_by_its_clicks() -> None:
    within, ratio = [], []
    for seed in range(10):
        pairs, truth, targets = clicked(seed, 40, 5.0, 40.0)
        transform = fit(pairs, FitOptions("rigid")).transform
        error = error_model(pairs, transform, "rigid")
        assert isinstance(error, PosteriorErrorModel)
        off = np.linalg.norm(transform.map(targets) - truth(targets), axis=1)
        within.append(np.mean(off < error.radius(targets, 0.95)))
        ratio.append(np.mean(error.predict(targets)) / np.mean(off))
    assert np.mean(within) == pytest.approx(0.95, abs=0.05)
    assert np.mean(ratio) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("sds", [(1, 1, 1), (3, 1, 1), (5, 2, 0), (4, 0, 0), (2, 2, 1)])
@pytest.mark.parametrize("bias", [0.0, 2.0])
def test_the_length_of_a_normal_error(sds: tuple[float, float, float], bias: float) -> None:
    rng = np.random.default_rng(0)
    turned = Rotation.from_rotvec((0.4, 1.0, -0.3)).as_matrix()
    covariance = turned @ np.diag(np.square(sds, dtype=float)) @ turned.T
    mean = turned @ (bias, bias / 2, 0.0)
    drawn = mean + rng.normal(size=(400_000, 3)) * sds @ turned.T
    for freedom in (np.inf, 8.0):
        size = 1.0
        if np.isfinite(freedom):
            size = np.sqrt((freedom - 2) / rng.chisquare(freedom, (len(drawn), 1)))
            if bias:
                continue  # about a bias the F is an approximation
        lengths = np.linalg.norm(mean + (drawn - mean) * size, axis=1)
        for level in (0.68, 0.95):
            found = length_quantile(mean[None], covariance[None], np.array([freedom]), level)[0]
            assert found == pytest.approx(np.quantile(lengths, level), rel=0.03)


def test_the_error_of_the_inverse_is_seen_through_it() -> None:
    pairs, _, targets = clicked(2, 30, 8.0, 25.0)
    doubled = named(pairs.fixed_um, 2 * pairs.moving_um)
    forward = fit(doubled, FitOptions("affine")).transform
    there = error_model(doubled, forward, "affine")
    back = InverseErrorModel(there, forward.inverse())
    ratio = there.predict(targets) / back.predict(forward.map(targets))
    assert np.median(ratio) == pytest.approx(2, rel=0.1)
    of_clicks = there.localisation(targets)[0]
    through = back.localisation(forward.map(targets))[0]
    assert np.median(np.trace(of_clicks, axis1=1, axis2=2)) > 100  # 8 um, doubled
    matrix = np.linalg.inv(forward.jacobian(targets[:1])[0])
    np.testing.assert_allclose(through, matrix @ of_clicks @ matrix.T, rtol=1e-9)


def test_levels_are_true_inside_the_hull() -> None:
    """Of the map at targets whose place is known, and of left-out landmarks, which are clicked."""
    within: dict[str, list[tuple[float, ...]]] = {"gp": [], "tps": [], "affine": []}
    clicking = np.random.default_rng(0)
    noises = ((0, 5.0), (1, 15.0), (2, 5.0), (3, 15.0))
    cases = itertools.product(BENDS, (12, 20, 50), (3, 2), noises)
    for bend, n, dimensions, (seed, noise_um) in cases:
        pairs, targets, truth = bent(bend, seed, n, noise_um, dimensions)
        evidence = weigh_priors(pairs.fixed_um, pairs.moving_um, dimensions)
        inside = ConvexHull(pairs.fixed_um, dimensions).distance_um(targets) <= 0
        targets, truth = targets[inside], truth[inside]
        for model, rows in within.items():
            if model != "gp" and seed > 1:
                continue
            transform = (
                SplineSystem(pairs.fixed_um, dimensions, prior=evidence.chosen.prior).solve(
                    pairs.moving_um, evidence.chosen.smoothing
                )
                if model == "gp"
                else fit_map(pairs, FitOptions(model, dimensions=dimensions))
            )
            error = error_model(pairs, transform, model, dimensions, evidence=evidence)
            away = (transform.map(targets) - truth)[:, 3 - dimensions :]
            off = np.linalg.norm(away, axis=1)
            to_click = np.linalg.norm(away - clicking.normal(0, noise_um, away.shape), axis=1)
            told = error.levels(targets)
            limits = (
                (off, told.target_68_um, told.target_95_um),
                (to_click, told.landmark_68_um, told.landmark_95_um),
            )
            rows.append(tuple(np.mean(x < level) for x, *levels in limits for level in levels))
    for rows in within.values():
        expected = (0.68, 0.95, 0.68, 0.95)
        np.testing.assert_allclose(np.mean(rows, axis=0), expected, rtol=0, atol=0.05)


def test_check_landmarks() -> None:
    fixed = points_in_box(np.random.default_rng(0), 4)
    off = np.array([[3, 4, 0], [0, 0, 5], [0, 5, 0], [5, 0, 0]], dtype=float)
    model = CheckErrorModel(named(fixed, fixed + off), Affine.identity())
    np.testing.assert_allclose(model.predict(np.zeros((2, 3))), [5, 5], rtol=1e-12)
    told = model.levels(np.zeros((2, 3)))
    # their clicks' error is in it already, and nothing takes it out
    np.testing.assert_allclose(told.landmark_68_um, told.target_68_um, rtol=1e-12)


def test_order_and_blocks_mean_nothing() -> None:
    pairs, _, targets = clicked(2, 20, 10.0, 40.0)
    transform = fit(pairs, FitOptions("tps", 80.0)).transform
    model = error_model(pairs, transform, "tps")
    order = np.random.default_rng(0).permutation(20)
    shuffled = named(pairs.fixed_um[order], pairs.moving_um[order])
    other = error_model(shuffled, fit(shuffled, FitOptions("tps", 80.0)).transform, "tps")
    np.testing.assert_allclose(other.predict(targets), model.predict(targets), rtol=1e-3)
    many = np.tile(targets, (126, 1))  # more than one block of the evaluation
    np.testing.assert_allclose(model.predict(many)[-400:], model.predict(targets), rtol=1e-9)
    told = model.levels(many)
    for one, together in (
        (model.predict, told.rms_um),
        (lambda p: model.radius(p, 0.68), told.target_68_um),
        (lambda p: model.landmark_radius(p, 0.95), told.landmark_95_um),
    ):
        np.testing.assert_allclose(together[-400:], one(targets), rtol=1e-9)
