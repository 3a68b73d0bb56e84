"""The Gaussian process that joins landmarks and image cells."""

import numpy as np
from numpy.typing import NDArray

from napari_bridgecorr.refine.posterior import (
    Measurements,
    Posterior,
    Prior,
    fitted_prior,
    landmark_measurements,
)

RNG = np.random.default_rng(0)
PRIOR = Prior(np.array([5.0, 0.0, -5.0]), 300.0, 12.0, 4.0)


def measurements(n: int = 14) -> Measurements:
    points = RNG.uniform(-400, 400, (n, 3))
    factors = RNG.normal(size=(n, 3, 3))
    covariance = factors @ factors.transpose(0, 2, 1) + np.eye(3)
    return Measurements(
        points, RNG.normal(0, 20, (n, 3)), covariance, 3 * RNG.normal(size=(3 * n, 2))
    )


def by_conditioning(data: Measurements, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The textbook: one big normal distribution, the affine part with a huge variance."""
    both = np.vstack([data.points_um, at])
    trend = PRIOR.trend(both)
    joint = np.kron(PRIOR.covariance(both, both) + 1e8 * trend @ trend.T, np.eye(3))
    k = data.values_um.size
    noisy = joint[:k, :k].copy()
    for i, block in enumerate(data.covariance_um2):
        noisy[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] += block
    assert data.common is not None
    noisy += data.common @ data.common.T
    return (joint[k:, :k] @ np.linalg.solve(noisy, data.values_um.ravel())).reshape(-1, 3)


def test_it_is_the_conditional_mean() -> None:
    data = measurements()
    at = RNG.uniform(-500, 500, (20, 3))
    expected = by_conditioning(data, at)
    assert np.abs(Posterior(PRIOR, data).values(at) - expected).max() < 1e-2


def test_joined_measurements_are_as_good_as_made_together() -> None:
    whole = measurements()
    a = Measurements(whole.points_um[:5], whole.values_um[:5], whole.covariance_um2[:5])
    assert whole.common is not None
    b = Measurements(
        whole.points_um[5:], whole.values_um[5:], whole.covariance_um2[5:], whole.common[15:]
    )
    common = whole.common.copy()
    common[:15] = 0
    together = Measurements(whole.points_um, whole.values_um, whole.covariance_um2, common)
    at = RNG.uniform(-500, 500, (20, 3))
    assert np.allclose(
        Posterior(PRIOR, a.joined(b)).values(at), Posterior(PRIOR, together).values(at), atol=1e-9
    )


def test_strength_and_click_are_found_from_landmarks() -> None:
    points = RNG.uniform(-400, 400, (150, 3))
    scale = float(np.sqrt(np.mean(np.sum((points - points.mean(axis=0)) ** 2, axis=1))))
    true = Prior(points.mean(axis=0), scale, 40.0, 6.0)
    field = np.linalg.cholesky(true.covariance(points, points) + 1e-6 * np.eye(150))
    values = 2 * points + field @ RNG.normal(size=(150, 3)) + RNG.normal(0, 6, (150, 3))
    found = fitted_prior(points, values, np.ones(150), 30.0)
    assert 5 < found.click_um < 7.2
    assert 20 < found.strength_um < 80
    data = landmark_measurements(points, values, np.ones(150), found.click_um)
    error = Posterior(found, data).values(points) - (values - RNG.normal(0, 0.0, (150, 3)))
    assert np.sqrt(np.mean(error**2)) < 7
