"""The Gaussian-process map against dense formulas, brute force, and the spline it should beat."""

import numpy as np
import pytest
from fitting_samples import clicked, named, points_in_box, rms_length
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from scipy.special import gamma, kv

from napari_bridgecorr.cli.fit import fit_text
from napari_bridgecorr.errors import FitError
from napari_bridgecorr.fitting import FitOptions, compare_models, fit, prior_facts
from napari_bridgecorr.fitting import spline_system as spline_module
from napari_bridgecorr.fitting.evidence import weigh_priors
from napari_bridgecorr.fitting.likelihood import NOISES, Part, likelihoods
from napari_bridgecorr.fitting.noise import noise_shape
from napari_bridgecorr.fitting.prior import Prior
from napari_bridgecorr.fitting.spline_system import SplineSystem
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.transform import KernelMap, transform_from_dict

SMOOTHNESS = {
    "matern12": 0.5,
    "matern32": 1.5,
    "matern52": 2.5,
    "matern72": 3.5,
    "gaussian": np.inf,
}
STRETCH = (1.6, 1.0, 0.7)


def matern(r: np.ndarray, nu: float) -> np.ndarray:
    """By the Bessel function (Rasmussen & Williams 2006, eq. 4.14)."""
    if np.isinf(nu):
        return np.exp(-(r**2) / 2)
    a = np.sqrt(2 * nu) * np.maximum(r, 1e-12)
    return np.where(r > 0, 2 ** (1 - nu) / gamma(nu) * a**nu * kv(nu, a), 1.0)


def covariance(a: np.ndarray, b: np.ndarray, system: SplineSystem) -> np.ndarray:
    lengths = system.prior.units * system.scale_um
    axes = slice(3 - system.dimensions, 3)
    r = cdist((a / lengths)[:, axes], (b / lengths)[:, axes])
    return matern(r, SMOOTHNESS[system.prior.kernel])


def universal_kriging(
    system: SplineSystem, moving: np.ndarray, smoothing: float, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and variance (of a deformation of variance 1) by generalised least squares."""
    axes = slice(3 - system.dimensions, 3)
    c = covariance(system.fixed_um, system.fixed_um, system) + smoothing * np.diag(
        1 / system.weights
    )
    design, new = (
        np.column_stack([p[:, axes] / 1000, np.ones(len(p))]) for p in (system.fixed_um, targets)
    )
    inverse = np.linalg.inv(c)
    normal = np.linalg.inv(design.T @ inverse @ design)
    beta = normal @ design.T @ inverse @ moving
    cross = covariance(targets, system.fixed_um, system)
    predicted = new @ beta + cross @ inverse @ (moving - design @ beta)
    rest = new - cross @ inverse @ design
    variance = 1 - np.sum(cross @ inverse * cross, axis=1) + np.sum(rest @ normal * rest, axis=1)
    return predicted, variance


@pytest.mark.parametrize("kernel", sorted(SMOOTHNESS))
@pytest.mark.parametrize("dimensions", [3, 2])
@pytest.mark.parametrize("eigenvalues", [True, False], ids=["eigen", "cholesky"])
def test_it_is_universal_kriging(
    kernel: str, dimensions: int, eigenvalues: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not eigenvalues:
        monkeypatch.setattr(spline_module, "MOST_EIGENVALUES", 0)
    pairs, _, targets = clicked(1, 24, 12.0, 40.0)
    weights = np.random.default_rng(0).choice([0.3, 1.0, 3.0], 24)
    system = SplineSystem(pairs.fixed_um, dimensions, weights, Prior(kernel, 0.8, STRETCH))
    axes = slice(3 - dimensions, 3)
    expected, variance = universal_kriging(system, pairs.moving_um, 0.05, targets)
    found = system.solve(pairs.moving_um, 0.05)
    assert isinstance(found, KernelMap)
    np.testing.assert_allclose(found.map(targets)[:, axes], expected[:, axes], rtol=0, atol=1e-6)
    again = system.predict(pairs.moving_um, targets, 0.05)
    np.testing.assert_allclose(again[:, axes], expected[:, axes], rtol=0, atol=1e-6)
    np.testing.assert_allclose(system.prediction_variance(targets, 0.05), variance, atol=1e-9)


@pytest.mark.parametrize("sigma", [None, (40.0, 10.0, 12.0)])
def test_leave_one_out_is_leaving_out(sigma: tuple[float, float, float] | None) -> None:
    pairs, _, _ = clicked(3, 20, 12.0, 40.0)
    weights = np.random.default_rng(0).choice([0.3, 1.0, 3.0], 20)
    pairs = LandmarkPairs(pairs.ids, pairs.fixed_um, pairs.moving_um, weights)
    result = fit(pairs, FitOptions("gp", moving_sigma_um=sigma))
    assert isinstance(result.transform, KernelMap)
    for i in range(20):
        rest = pairs.subset(np.arange(20) != i)
        radius = result.transform.lengths_um / SplineSystem(rest.fixed_um).scale_um
        prior = Prior(result.transform.kernel, 1.0, (radius[0], radius[1], radius[2]))
        system = SplineSystem(rest.fixed_um, 3, rest.weights, prior)
        again = system.solve(rest.moving_um, result.transform.smoothing, result.noise)
        error = again.map(pairs.fixed_um[i])[0] - pairs.moving_um[i]
        found = result.diagnostics.leave_one_out_um[i]
        assert np.linalg.norm(found - error) <= 1e-9 * np.linalg.norm(pairs.moving_um[i])


@pytest.mark.parametrize("dimensions", [3, 2])
def test_the_likelihood_is_the_restricted_one(dimensions: int) -> None:
    pairs, _, _ = clicked(5, 22, 10.0, 40.0)
    axes = range(3 - dimensions, 3)
    weights = np.random.default_rng(0).choice([0.3, 1.0, 3.0], 22)
    noise = noise_shape(np.eye(3), None, (20.0, 5.0, 10.0), dimensions)
    prior = Prior("matern32", 1.2, STRETCH)
    system = SplineSystem(pairs.fixed_um, dimensions, weights, prior)
    part = Part(pairs.fixed_um, pairs.moving_um, dimensions, weights, noise, system.scale_um)
    (row,) = likelihoods([part], [prior])
    design = np.column_stack([pairs.fixed_um[:, list(axes)] / 1000, np.ones(22)])
    values = pairs.moving_um @ noise.axes
    expected = []
    for smoothing in row.noises[[8, 20, 30]]:
        determinant = square = 0.0
        for axis in axes:
            c = covariance(pairs.fixed_um, pairs.fixed_um, system)
            c += smoothing * noise.scales[axis] * np.diag(1 / weights)
            inverse = np.linalg.inv(c)
            normal = design.T @ inverse @ design
            beta = np.linalg.solve(normal, design.T @ inverse @ values[:, axis])
            rest = values[:, axis] - design @ beta
            square += rest @ inverse @ rest
            determinant += np.linalg.slogdet(c)[1] + np.linalg.slogdet(normal)[1]
        n = dimensions * (22 - dimensions - 1)
        expected.append(-0.5 * (determinant + n * np.log(square)))
    found = row.likelihood[[8, 20, 30]]
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-7)
    assert len(row.noises) == len(NOISES)
    targets = pairs.fixed_um + 20
    maps = part.maps(prior, row.noises[[8, 20]], targets)
    again = [system.predict(pairs.moving_um, targets, s, noise) for s in row.noises[[8, 20]]]
    np.testing.assert_allclose(
        (maps[1] - maps[0]) @ noise.axes.T, again[1] - again[0], rtol=0, atol=1e-6
    )


def test_the_thin_plate_spline_is_the_limit() -> None:
    pairs, _, targets = clicked(2, 30, 10.0, 40.0)
    spline = SplineSystem(pairs.fixed_um).solve(pairs.moving_um, 0.1)
    long = 1e4  # exp(-r / long) = 1 - r / long + ...
    near = SplineSystem(pairs.fixed_um, prior=Prior("matern12", long))
    found = near.solve(pairs.moving_um, 0.1 / long).map(targets)
    np.testing.assert_allclose(found, spline.map(targets), atol=0.02)


@pytest.mark.parametrize("kernel", sorted(SMOOTHNESS))
@pytest.mark.parametrize("dimensions", [3, 2])
def test_as_a_transform(kernel: str, dimensions: int) -> None:
    pairs, _, targets = clicked(4, 40, 5.0, 30.0)
    if dimensions == 2:  # turned in the plane only
        pairs = named(
            pairs.fixed_um, pairs.fixed_um + 20 * np.sin(pairs.fixed_um[:, [2, 0, 1]] / 300)
        )
    system = SplineSystem(pairs.fixed_um, dimensions, prior=Prior(kernel, 1.5, STRETCH))
    transform = system.solve(pairs.moving_um, 0.01)
    back = transform.inverse()
    assert not back.is_exact
    there = transform.map(targets)
    np.testing.assert_allclose(back.map(there), targets, rtol=0, atol=1e-3)
    again = transform_from_dict(transform.to_dict())
    np.testing.assert_array_equal(again.map(targets), there)
    h = 1e-3
    for axis in range(3):
        step = h * np.eye(3)[axis]
        slope = (transform.map(targets + step) - transform.map(targets - step)) / (2 * h)
        np.testing.assert_allclose(transform.jacobian(targets)[:, :, axis], slope, atol=1e-6)
    matrix = np.diag([2.0, 3.0, 4.0, 1.0])
    axes = (np.arange(3.0), np.arange(4.0), np.arange(5.0))
    index = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    np.testing.assert_allclose(
        transform.map_lattice(matrix, np.eye(4), axes), transform.map(index * (2, 3, 4)), atol=1e-9
    )


def test_only_kernels_with_a_bound_are_split() -> None:
    pairs, _, _ = clicked(4, 12, 5.0, 30.0)
    for kernel in SMOOTHNESS:
        system = SplineSystem(pairs.fixed_um, prior=Prior(kernel, 1.0))
        split = system.solve(pairs.moving_um, 0.01).lattice_map(np.eye(4), np.eye(4))
        assert (split is None) == (kernel in ("matern72", "gaussian"))


def test_at_a_landmark_it_has_a_derivative() -> None:
    pairs, _, _ = clicked(4, 30, 5.0, 30.0)
    for kernel in SMOOTHNESS:
        system = SplineSystem(pairs.fixed_um, prior=Prior(kernel, 1.0))
        assert np.isfinite(system.solve(pairs.moving_um, 0.0).jacobian(pairs.fixed_um)).all()


@pytest.mark.parametrize(
    "damage",
    [{"kernel": "cubic"}, {"lengths_um": [1, 0, 1]}, {"smoothing": -1}, {"dimensions": 4}],
)
def test_damaged_descriptions_are_refused(damage: dict[str, object]) -> None:
    from napari_bridgecorr.errors import TransformError

    pairs, _, _ = clicked(4, 8, 5.0, 30.0)
    values = SplineSystem(pairs.fixed_um, prior=Prior("matern32")).solve(pairs.moving_um, 0.1)
    with pytest.raises(TransformError):
        transform_from_dict({**values.to_dict(), **damage})


def test_it_beats_the_spline_where_tissue_bends_smoothly() -> None:
    spline, process = [], []
    for seed in range(10):
        pairs, truth, targets = clicked(seed, 40, 2.0, 40.0)
        for model, row in (("tps", spline), ("gp", process)):
            found = fit(pairs, FitOptions(model)).transform.map(targets)
            row.append(np.mean(np.linalg.norm(found - truth(targets), axis=1)))
    assert np.mean(process) < 0.85 * np.mean(spline)


def test_lengths_differ_where_the_landmarks_say_so() -> None:
    rng = np.random.default_rng(0)
    fixed = points_in_box(rng, 80)
    moving = fixed + 25 * np.sin(fixed[:, [1]] / 80 + [0.0, 1, 2])  # along y only
    found = weigh_priors(fixed, moving).chosen.prior.units
    assert found[1] < 0.7 * min(found[0], found[2])
    same = weigh_priors(
        *[getattr(clicked(1, 30, 10.0, 40.0)[0], k) for k in ("fixed_um", "moving_um")]
    )
    assert same.chosen.prior.stretch == (1.0, 1.0, 1.0)
    assert sum(c.weight for c in same.candidates) == pytest.approx(1, abs=0.05)


def test_many_landmarks_tell_the_noise_apart() -> None:
    pairs, truth, targets = clicked(0, 1200, 4.0, 60.0)
    result = fit(pairs, FitOptions("gp"))
    facts = prior_facts(result)
    assert facts is not None
    assert facts["landmark_sd_um"] == pytest.approx(4.0, rel=0.2)
    exact = fit(pairs, FitOptions("tps", 0.0)).transform.map(targets)
    error = rms_length(result.transform.map(targets) - truth(targets))
    assert error < 0.6 * rms_length(exact - truth(targets))


def test_the_recommended_model() -> None:
    rng = np.random.default_rng(0)
    turned = Rotation.from_rotvec((0.1, 0.4, -0.2)).as_matrix()
    fixed = points_in_box(rng, 20)
    rigid = named(fixed, fixed @ turned.T + rng.normal(0, 10, (20, 3)))
    assert fit(rigid, FitOptions("auto")).options.model == "rigid"
    bent, _, _ = clicked(1, 40, 2.0, 40.0)
    result = fit(bent, FitOptions("auto"))
    assert result.options.model == "gp"
    assert result.comparison == compare_models(bent, FitOptions("auto"))
    scores = {s.model: s.mean_um for s in result.comparison}
    assert scores["gp"] < scores["affine"] < scores["translation"]
    assert fit(named(fixed[:2], fixed[:2] + 3), FitOptions("auto")).options.model == "translation"
    with pytest.raises(FitError, match="too few"):
        fit(rigid.subset(np.zeros(20, dtype=bool)), FitOptions("auto"))


def test_of_many_landmarks_some_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_bridgecorr.fitting.selection._MOST_COMPARED", 30)
    pairs, _, _ = clicked(1, 45, 2.0, 40.0)
    result = fit(pairs, FitOptions("auto"))
    assert {s.n_compared for s in result.comparison} == {30}
    assert len(result.diagnostics.ids) == 45  # the fit itself is to all
    assert "(compared by 30 of them)" in fit_text(result)
