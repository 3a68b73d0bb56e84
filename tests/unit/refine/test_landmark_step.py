"""Steps lead nearer, and the noise that whitening takes out is the one that is there."""

import numpy as np

from napari_bridgecorr.refine.landmark_step import nearer_step
from napari_bridgecorr.refine.patch_noise import whitening


def test_steps_lead_nearer_whatever_the_click() -> None:
    rng = np.random.default_rng(0)
    sigma = np.array([0.2, 0.2, 1.5])  # along a vessel nothing is known
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    covariance = turn @ np.diag(sigma**2) @ turn.T
    for length, most_away in ((0.3, 0.02), (1.0, 0.02), (3.0, 0.01)):
        away, ratios = 0, []
        for _ in range(300):
            truth = rng.normal(size=3)
            truth *= length / np.linalg.norm(truth)
            step, n = nearer_step(truth + turn @ (sigma * rng.normal(size=3)), covariance)
            assert (n == 0) == (not step.any())
            away += np.linalg.norm(truth - step) > length + 1e-12
            ratios.append(np.linalg.norm(truth - step) / length)
        assert away <= 300 * most_away
        if length == 3.0:
            assert np.median(ratios) < 0.5


def test_a_sure_step_is_gone_whole_and_an_unsure_one_not() -> None:
    step = np.array([2.0, -1.0, 0.5])
    np.testing.assert_allclose(nearer_step(step, 1e-6 * np.eye(3))[0], step, rtol=1e-5)
    found, n = nearer_step(step, np.diag([1e-4, 1e-4, 25.0]))
    assert n == 2
    assert abs(found[2]) < 0.05
    assert nearer_step(step, 4 * np.eye(3))[1] == 0
    assert nearer_step(np.zeros(3), np.eye(3))[1] == 0
    flat, n = nearer_step(np.array([0.0, 2.0, 1.0]), np.diag([0.0, 1e-6, 1e-6]))
    assert n == 2
    np.testing.assert_allclose(flat, [0, 2, 1], rtol=1e-5)


def test_whitened_noise_is_white() -> None:
    rng = np.random.default_rng(1)
    places = np.stack(np.meshgrid(*[np.arange(7.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    smooth = np.linalg.cholesky(0.95 * np.exp(-apart / 3) + 0.05 * np.eye(len(places)))
    noise = smooth @ rng.normal(size=(len(places), 40))
    ones = np.ones(len(places))
    white = whitening(places, noise[:, 0], ones)(noise)
    near = np.argwhere((apart > 0.9) & (apart < 1.1))

    def alike(values: np.ndarray) -> float:
        return float((values[near[:, 0]] * values[near[:, 1]]).mean() / (values**2).mean())

    assert alike(noise) > 0.4
    assert abs(alike(white)) < 0.05
    plain = rng.normal(size=len(places))
    assert whitening(places, plain, ones)(plain) is plain
