"""Weights and anisotropic localisation error against SciPy, NumPy and fitting again."""

import numpy as np
import pytest
from fitting_samples import clicked, rms_length
from scipy.interpolate import RBFInterpolator
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import FitError
from napari_bridgecorr.fitting import FitOptions, error_model, fit, parse_smoothing
from napari_bridgecorr.fitting import spline_system as spline_module
from napari_bridgecorr.fitting.noise import noise_shape
from napari_bridgecorr.fitting.smoothing import choose_smoothing, criterion, slope
from napari_bridgecorr.fitting.spline_system import SplineSystem
from napari_bridgecorr.landmarks import LandmarkPairs

SIGMAS = (40.0, 10.0, 12.0)


def weighted(seed: int, n: int, bend_um: float = 40.0) -> tuple[LandmarkPairs, np.ndarray]:
    pairs, _, targets = clicked(seed, n, 12.0, bend_um)
    weights = np.random.default_rng(seed).choice([0.2, 1.0, 4.0], n)
    return LandmarkPairs(pairs.ids, pairs.fixed_um, pairs.moving_um, weights), targets


def spline_by_scipy(
    pairs: LandmarkPairs, smoothing: float, dimensions: int, covariance: np.ndarray
) -> RBFInterpolator:
    """A spline along each of the covariance's axes, with a smoothing for each point."""
    axes = slice(3 - dimensions, 3)
    values, vectors = np.linalg.eigh(covariance)
    parts = [
        RBFInterpolator(
            pairs.fixed_um[:, axes],
            pairs.moving_um[:, axes] @ vectors[:, c],
            kernel="linear" if dimensions == 3 else "thin_plate_spline",
            degree=1,
            smoothing=smoothing * values[c] / pairs.weights,
        )
        for c in range(dimensions)
    ]
    return lambda p: np.column_stack([part(p[:, axes]) for part in parts]) @ vectors.T


@pytest.mark.parametrize("dimensions", [3, 2])
@pytest.mark.parametrize("anisotropic", [False, True])
@pytest.mark.parametrize("eigenvalues", [True, False], ids=["eigen", "cholesky"])
def test_spline_and_its_leave_one_out_equal_scipy(
    dimensions: int, anisotropic: bool, eigenvalues: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not eigenvalues:
        monkeypatch.setattr(spline_module, "MOST_EIGENVALUES", 0)
    pairs, targets = weighted(1, 24)
    smoothing = 60.0 if dimensions == 3 else 3e4
    sigma = SIGMAS if anisotropic else None
    result = fit(pairs, FitOptions("tps", smoothing, dimensions, moving_sigma_um=sigma))
    axes = slice(3 - dimensions, 3)
    covariance = np.diag(np.square(sigma or (1.0, 1.0, 1.0)))[axes, axes]
    covariance *= dimensions / np.trace(covariance)
    expected = spline_by_scipy(pairs, smoothing, dimensions, covariance)(targets)
    np.testing.assert_allclose(result.transform.map(targets)[:, axes], expected, rtol=0, atol=1e-7)
    for i in range(len(pairs)):
        rest = pairs.subset(np.arange(len(pairs)) != i)
        again = spline_by_scipy(rest, smoothing, dimensions, covariance)(pairs.fixed_um[[i]])[0]
        found = result.diagnostics.leave_one_out_um[i, axes]
        error = again - pairs.moving_um[i, axes]
        assert np.linalg.norm(found - error) <= 1e-9 * np.linalg.norm(pairs.moving_um[i])


def test_fixed_errors_are_seen_through_the_map() -> None:
    turned = Rotation.from_rotvec((0.3, 0.8, -0.2)).as_matrix() * 1.5
    shape = noise_shape(turned, (30.0, 5.0, 5.0), (10.0, 4.0, 4.0))
    covariance = np.diag([100.0, 16, 16]) + turned @ np.diag([900.0, 25, 25]) @ turned.T
    covariance *= 3 / np.trace(covariance)
    np.testing.assert_allclose((shape.axes * shape.scales) @ shape.axes.T, covariance, atol=1e-12)
    np.testing.assert_allclose(shape.precision @ covariance, np.eye(3), atol=1e-11)
    assert noise_shape(turned, (3.0, 3.0, 3.0), None).is_isotropic
    assert noise_shape(np.eye(3), None, None).is_isotropic


@pytest.mark.parametrize("model", ["rigid", "similarity"])
@pytest.mark.parametrize("dimensions", [3, 2])
@pytest.mark.parametrize("sigma", [None, SIGMAS])
def test_rotations_equal_a_general_optimiser(
    model: str, dimensions: int, sigma: tuple[float, float, float] | None
) -> None:
    pairs, _ = weighted(4, 12)
    if dimensions == 2:
        turned = np.array([[1, 0, 0], [0, 0.8, 0.6], [0, -0.6, 0.8]])
        noise = np.random.default_rng(0).normal(0, 12, (12, 3))
        pairs = LandmarkPairs(
            pairs.ids, pairs.fixed_um, pairs.fixed_um @ turned + noise, pairs.weights
        )
    options = FitOptions(model, dimensions=dimensions, moving_sigma_um=sigma)
    axes = slice(3 - dimensions, 3)
    root = np.sqrt(pairs.weights)[:, None] / np.asarray(sigma or (1.0, 1.0, 1.0))[axes]

    def cost(matrix: np.ndarray) -> float:
        mapped = pairs.fixed_um @ matrix[:3, :3].T + matrix[:3, 3]
        return float(np.sum(((mapped - pairs.moving_um)[:, axes] * root) ** 2))

    found = fit(pairs, options).transform.matrix
    mean = pairs.fixed_um.mean(axis=0)

    def residual(p: np.ndarray) -> np.ndarray:
        turn = p[:3] if dimensions == 3 else [p[0], 0, 0]
        linear = Rotation.from_rotvec(turn).as_matrix()[::-1, ::-1]
        if dimensions == 2:
            linear = np.eye(3)
            linear[1:, 1:] = [[np.cos(p[0]), np.sin(p[0])], [-np.sin(p[0]), np.cos(p[0])]]
        size = np.exp(p[6]) if model == "similarity" else 1.0
        moved = size * (pairs.fixed_um - mean) @ linear.T + p[3:6] * 1000
        return (((moved - pairs.moving_um)[:, axes]) * root).ravel()

    rng = np.random.default_rng(0)
    best = min(
        float(
            2
            * least_squares(
                residual,
                np.concatenate([rng.normal(0, 1, 3), pairs.moving_um.mean(axis=0) / 1000, [0.0]]),
                xtol=1e-14,
                ftol=1e-14,
                gtol=1e-14,
            ).cost
        )
        for _ in range(8)
    )
    assert cost(found) == pytest.approx(best, rel=1e-9)
    linear = found[axes, axes]
    gram = linear.T @ linear
    np.testing.assert_allclose(gram, np.eye(dimensions) * gram[0, 0], atol=1e-10)
    assert np.linalg.det(linear) > 0


@pytest.mark.parametrize("model", ["translation", "rigid", "similarity", "affine"])
@pytest.mark.parametrize("dimensions", [3, 2])
@pytest.mark.parametrize("scale", ["least_squares", "symmetric"])
@pytest.mark.parametrize("sigma", [None, SIGMAS])
def test_linear_leave_one_out_is_fitting_again(
    model: str, dimensions: int, scale: str, sigma: tuple[float, float, float] | None
) -> None:
    pairs, _ = weighted(3, 11)
    options = FitOptions(model, 0.0, dimensions, scale, moving_sigma_um=sigma)  # type: ignore[arg-type]
    errors = fit(pairs, options).diagnostics.leave_one_out_um
    for i in range(11):
        again = fit(pairs.subset(np.arange(11) != i), options).transform
        expected = again.map(pairs.fixed_um[i])[0] - pairs.moving_um[i]
        assert np.linalg.norm(errors[i] - expected) <= 1e-9 * np.linalg.norm(expected)


@pytest.mark.parametrize("dimensions", [3, 2])
def test_weighted_affine_equals_lstsq(dimensions: int) -> None:
    pairs, targets = weighted(5, 15)
    axes = slice(3 - dimensions, 3)
    root = np.sqrt(pairs.weights)[:, None]
    design = np.column_stack([pairs.fixed_um[:, axes], np.ones(15)])
    solution = np.linalg.lstsq(design * root, pairs.moving_um[:, axes] * root, rcond=None)[0]
    expected = np.column_stack([targets[:, axes], np.ones(len(targets))]) @ solution
    for sigma in (None, SIGMAS):  # free components do not know of each other's errors
        found = fit(pairs, FitOptions("affine", 0.0, dimensions, moving_sigma_um=sigma))
        np.testing.assert_allclose(found.transform.map(targets)[:, axes], expected, atol=1e-7)


@pytest.mark.parametrize("model", ["rigid", "similarity", "affine", "tps"])
def test_a_weight_of_two_is_the_landmark_twice_and_all_alike_change_nothing(model: str) -> None:
    pairs, _, targets = clicked(2, 14, 12.0, 30.0)
    alike = LandmarkPairs(pairs.ids, pairs.fixed_um, pairs.moving_um, np.full(14, 7.0))
    plain = fit(pairs, FitOptions(model, 20.0)).transform.map(targets)
    # lambda is over the weight
    found = fit(alike, FitOptions(model, 20.0 * 7)).transform.map(targets)
    np.testing.assert_allclose(found, plain, atol=1e-7)
    if model == "tps":
        return
    double = LandmarkPairs(pairs.ids, pairs.fixed_um, pairs.moving_um, 1.0 + (np.arange(14) == 0))
    near = pairs.fixed_um[:1] + 1e-5  # the same place is refused
    twice = LandmarkPairs(
        (*pairs.ids, "again"),
        np.vstack([pairs.fixed_um, near]),
        np.vstack([pairs.moving_um, pairs.moving_um[:1] + 1e-5]),
    )
    np.testing.assert_allclose(
        fit(double, FitOptions(model)).transform.map(targets),
        fit(twice, FitOptions(model)).transform.map(targets),
        atol=1e-3,
    )


@pytest.mark.parametrize(("model", "n"), [("rigid", 16), ("tps", 40)])
def test_knowing_the_errors_helps(model: str, n: int) -> None:
    plain, told = [], []
    for seed in range(20):
        pairs, truth, targets = clicked(seed, n, 0.0, 40.0)
        rng = np.random.default_rng(seed + 1000)
        if model == "rigid":
            turned = Rotation.from_rotvec(rng.normal(0, 0.5, 3)).as_matrix()
            truth = lambda p, turned=turned: p @ turned.T  # noqa: E731
        noise = rng.normal(0, 1, (n, 3)) * (60.0, 5.0, 5.0)
        pairs = LandmarkPairs(pairs.ids, pairs.fixed_um, truth(pairs.fixed_um) + noise)
        for sigma, row in ((None, plain), ((60.0, 5.0, 5.0), told)):
            result = fit(pairs, FitOptions(model, moving_sigma_um=sigma))
            row.append(rms_length(result.transform.map(targets) - truth(targets)))
    assert np.mean(told) < 0.85 * np.mean(plain)


def test_symmetric_scale_does_not_depend_on_the_direction() -> None:
    pairs, _ = weighted(6, 12)
    for dimensions in (3, 2):
        there = fit(pairs, FitOptions("similarity", 0.0, dimensions, "symmetric")).transform
        back = fit(
            pairs.swapped(), FitOptions("similarity", 0.0, dimensions, "symmetric")
        ).transform
        np.testing.assert_allclose(there.matrix @ back.matrix, np.eye(4), atol=1e-9)
        least = fit(pairs, FitOptions("similarity", 0.0, dimensions)).transform
        assert np.linalg.det(least.matrix) < np.linalg.det(there.matrix)


@pytest.mark.parametrize("method", ["loo", "gcv"])
def test_slope_is_the_derivative(method: str) -> None:
    pairs, _ = weighted(7, 30)
    noise = noise_shape(np.eye(3), None, SIGMAS)
    system = SplineSystem(pairs.fixed_um, 3, pairs.weights)
    for lam in (1e-3, 0.1, 3.0):
        h = 1e-5 * lam
        up, down = (criterion(system, pairs.moving_um, lam + s * h, noise, method) for s in (1, -1))
        assert slope(system, pairs.moving_um, lam, noise, method) == pytest.approx(
            (up - down) / (2 * h), rel=1e-5
        )


@pytest.mark.parametrize("dimensions", [3, 2])
def test_gcv_is_its_formula(dimensions: int) -> None:
    pairs, _ = weighted(8, 20)
    system = SplineSystem(pairs.fixed_um, dimensions, pairs.weights)
    axes = slice(3 - dimensions, 3)
    values = []
    for lam in (0.01, 1.0):
        inverse = np.linalg.inv(system.full_matrix(lam))
        hat = system.basis(pairs.fixed_um) @ inverse[:, :20]
        rest = (np.eye(20) - hat) @ pairs.moving_um[:, axes]
        values.append(np.sum(pairs.weights[:, None] * rest**2) / np.trace(np.eye(20) - hat) ** 2)
    found = [criterion(system, pairs.moving_um, lam, method="gcv") for lam in (0.01, 1.0)]
    assert found[1] - found[0] == pytest.approx(np.log(values[1] / values[0]), abs=1e-8)


def test_gcv_predicts_as_well() -> None:
    auto, gcv, exact = [], [], []
    for seed in range(16):
        pairs, truth, targets = clicked(seed, 40, 15.0, 30.0)
        for smoothing, row in (("auto", auto), ("gcv", gcv), (0.0, exact)):
            spline = fit(pairs, FitOptions("tps", smoothing)).transform
            row.append(rms_length(spline.map(targets) - truth(targets)))
    assert np.mean(gcv) < 1.1 * np.mean(auto)
    assert np.mean(gcv) < 0.95 * np.mean(exact)


@pytest.mark.parametrize("noise_um", [0.0, 15.0])
@pytest.mark.parametrize("method", ["loo", "gcv"])
def test_the_search_among_many_finds_what_the_grid_finds(
    noise_um: float, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, _, _ = clicked(3, 800, noise_um, 60.0)
    system = SplineSystem(pairs.fixed_um)
    best = choose_smoothing(system, pairs.moving_um, method=method)
    lowest = criterion(system, pairs.moving_um, best, method=method)
    monkeypatch.setattr(spline_module, "MOST_EIGENVALUES", 400)
    monkeypatch.setattr("napari_bridgecorr.fitting.smoothing._SAMPLE", 250)
    again = SplineSystem(pairs.fixed_um)
    found = choose_smoothing(again, pairs.moving_um, method=method)
    # within a fraction of the noise of the criterion itself, 2 / (n d) for one log unit
    assert criterion(again, pairs.moving_um, found, method=method) < lowest + 2 / 2400


def test_condition_of_many_is_near_the_number() -> None:
    pairs, _, _ = clicked(3, 400, 10.0, 40.0)
    system = SplineSystem(pairs.fixed_um)
    exact = np.linalg.cond(system.full_matrix(0.01))
    assert 0.5 * exact < system.condition(0.01) <= 1.0001 * exact
    right = np.random.default_rng(0).normal(size=(404, 2))
    np.testing.assert_allclose(
        system.full_matrix(0.01) @ system.divide(right, 0.01), right, atol=1e-8
    )


def test_predicted_error_knows_weights_and_axes() -> None:
    pairs, _, _ = clicked(2, 30, 15.0, 40.0)
    light = LandmarkPairs(
        pairs.ids, pairs.fixed_um, pairs.moving_um, np.where(np.arange(30) == 4, 0.05, 1.0)
    )
    for model in ("tps", "affine"):
        for noise in (None, SIGMAS):
            options = FitOptions(model, 100.0, moving_sigma_um=noise)
            result = fit(light, options)
            predicted = error_model(light, result.transform, model, 3, result.noise)
            assert np.isfinite(predicted.predict(pairs.fixed_um)).all()
    result = fit(light, FitOptions("tps", 100.0))
    found = error_model(light, result.transform, "tps").predict(pairs.fixed_um)
    usual = error_model(pairs, fit(pairs, FitOptions("tps", 100.0)).transform, "tps")
    ratio = found / usual.predict(pairs.fixed_um)
    assert np.argmax(ratio) == 4  # there the light landmark helps least


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan, np.inf])
def test_bad_weights_are_refused_with_advice(weight: float) -> None:
    pairs, _ = weighted(1, 9)
    pairs.weights[3] = weight
    with pytest.raises(FitError, match=r"weight of landmark 'L4'.*disable the landmark"):
        fit(pairs)


@pytest.mark.parametrize("sigma", [(1.0, 2.0), (0.0, 1.0, 1.0), (1.0, np.nan, 1.0)])
def test_bad_sigmas_are_refused_with_advice(sigma: tuple[float, ...]) -> None:
    with pytest.raises(FitError, match=r"fixed landmarks' localisation error .* half a voxel"):
        fit(weighted(1, 9)[0], FitOptions(fixed_sigma_um=sigma))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["scale", "robust", "direction"])
def test_unknown_choices_are_refused(name: str) -> None:
    with pytest.raises(FitError, match=f"{name} is one of"):
        fit(weighted(1, 9)[0], FitOptions(**{name: "other"}))  # type: ignore[arg-type]


def test_gcv_is_a_smoothing() -> None:
    assert parse_smoothing("gcv") == "gcv"


@pytest.mark.parametrize("model", ["rigid", "affine"])
def test_the_error_of_few_landmarks_knows_weights(model: str) -> None:
    pairs, _, targets = clicked(2, 6, 10.0, 0.0)
    moving = pairs.moving_um.copy()
    moving[3] += (300, -200, 0)
    light = LandmarkPairs(pairs.ids, pairs.fixed_um, moving, np.where(np.arange(6) == 3, 1e-6, 1.0))
    without = pairs.subset(np.arange(6) != 3)
    found = error_model(light, fit(light, FitOptions(model)).transform, model).predict(targets)
    rest = error_model(without, fit(without, FitOptions(model)).transform, model).predict(targets)
    # only the count of coordinates differs
    assert np.all(found < 2 * rest)
