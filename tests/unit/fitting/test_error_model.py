"""The predicted error against the error, over many simulated samples."""

import numpy as np
import pytest
from fitting_samples import BOX_UM, clicked, named, points_in_box, rms_length
from scipy.spatial.distance import cdist

from napari_bridgecorr.fitting import CheckErrorModel, FitOptions, error_model, fit
from napari_bridgecorr.fitting.error_model import ResidualErrorModel, SplineErrorModel
from napari_bridgecorr.fitting.linear_models import fit_affine
from napari_bridgecorr.fitting.smoothing import choose_smoothing
from napari_bridgecorr.fitting.spline_system import SplineSystem
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
    for seed in range(24):
        pairs, targets, truth = drawn_from_the_prior(seed, 40, 1.0, noise_um)
        if affine:
            transform: Transform = fit_affine(pairs.fixed_um, pairs.moving_um)
        else:
            transform = auto_spline(pairs)
        model = error_model(pairs, transform, "affine" if affine else "tps")
        assert isinstance(model, SplineErrorModel)
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
    for seed in range(24):
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
    # an interpolating spline passes the click: its error there is the click's, at every landmark
    assert np.ptp(at_landmarks) < 1e-6
    assert between.min() > at_landmarks.max()


def test_noisy_clicks_are_not_taken_for_exact_where_the_spline_passes_them() -> None:
    noise_um, predicted = 15.0, []
    for seed in range(24):
        pairs, _, _ = clicked(seed, 30, noise_um, 40.0)
        transform = fit(pairs, FitOptions("tps", 0.0)).transform
        predicted.append(error_model(pairs, transform, "tps").predict(pairs.fixed_um)[0])
    # three coordinates of 15 um each; one sample tells its noise to a factor
    assert np.median(predicted) == pytest.approx(np.sqrt(3) * noise_um, rel=0.25)
    assert min(predicted) > 1.0


def test_affine_limit_is_the_textbook_formula() -> None:
    found, size = [], []
    targets = points_in_box(np.random.default_rng(99), 100) * 2 - BOX_UM / 2
    for seed in range(40):
        pairs, _, _ = clicked(seed, 40, 20.0, 0.0)
        if choose_smoothing(SplineSystem(pairs.fixed_um), pairs.moving_um) < 100:
            continue  # by chance these clicks look bent: not the limit
        transform = fit_affine(pairs.fixed_um, pairs.moving_um)
        predicted = error_model(pairs, transform, "affine").predict(targets)
        f = pairs.fixed_um - pairs.fixed_um.mean(axis=0)
        d = targets - pairs.fixed_um.mean(axis=0)
        leverage = 1 / 40 + np.sum((d @ np.linalg.inv(f.T @ f)) * d, axis=1)
        formula = np.sqrt(3 * 20.0**2 * leverage)
        ratio = predicted / formula
        found.append(np.std(ratio) / np.mean(ratio))
        size.append(np.mean(ratio))
    assert len(found) >= 10
    # the shape is the formula's, the size an estimate of sigma
    assert np.max(found) < 0.05
    assert np.mean(size) == pytest.approx(1, abs=0.1)


def test_few_landmarks_fall_back() -> None:
    rng = np.random.default_rng(0)
    for model, n in (("tps", 7), ("affine", 7), ("rigid", 30), ("similarity", 30)):
        fixed = points_in_box(rng, n)
        pairs = named(fixed, fixed + rng.normal(0, 10, (n, 3)))
        transform = fit(pairs, FitOptions(model)).transform
        chosen = error_model(pairs, transform, model)
        assert isinstance(chosen, ResidualErrorModel)
        predicted = chosen.predict(fixed)
        assert np.isfinite(predicted).all()
        assert predicted.min() > 0


def test_rigid_fallback_is_calibrated() -> None:
    rng = np.random.default_rng(1)
    predicted, actual = [], []
    for _ in range(60):
        fixed, targets = points_in_box(rng, 10), points_in_box(rng, 100)
        pairs = named(fixed, fixed + rng.normal(0, 10, (10, 3)))
        transform = fit(pairs, FitOptions("rigid")).transform
        model = error_model(pairs, transform, "rigid")
        predicted.append(np.sqrt(np.mean(model.predict(targets) ** 2)))
        # the distance at which a new landmark, clicked as the others were, is found
        new = targets + rng.normal(0, 10, targets.shape)
        actual.append(rms_length(transform.map(targets) - new))
    assert calibration(predicted, actual) == pytest.approx(1, abs=0.1)


def test_check_landmarks() -> None:
    fixed = points_in_box(np.random.default_rng(0), 4)
    off = np.array([[3, 4, 0], [0, 0, 5], [0, 5, 0], [5, 0, 0]], dtype=float)
    model = CheckErrorModel(named(fixed, fixed + off), Affine.identity())
    np.testing.assert_allclose(model.predict(np.zeros((2, 3))), [5, 5], rtol=1e-12)


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
