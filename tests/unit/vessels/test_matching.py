"""What a match rests on: the field of shifts, and how much a correlation says."""

from __future__ import annotations

import numpy as np
import pytest

from napari_bridgecorr.vessels.confidence import calibrated
from napari_bridgecorr.vessels.matching import Matches
from napari_bridgecorr.vessels.posterior import ShiftJudge
from napari_bridgecorr.vessels.smooth_shifts import ShiftPrior, SmoothShifts
from napari_bridgecorr.vessels.windows import centres_of_edges, samples_by_chance, weights


def test_the_field_is_the_gaussian_process_of_all_that_was_seen() -> None:
    rng = np.random.default_rng(3)
    prior = ShiftPrior(np.full(3, 50.0), 20.0, 0.03, 15.0, 60.0)
    places, shifts = rng.uniform(0, 100, (6, 3)), rng.normal(0, 20, (6, 3))
    points = rng.uniform(0, 100, (4, 3))
    roots = rng.normal(size=(6, 3, 3)) * 3
    noise = roots @ roots.transpose(0, 2, 1) + np.eye(3)
    # textbook: K (K + N)^-1 y over all axes at once
    covariance = np.kron(prior.covariance(places, places), np.eye(3))
    for i in range(6):
        covariance[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] += noise[i]
    cross = np.kron(prior.covariance(points, places), np.eye(3))
    expected = (cross @ np.linalg.solve(covariance, shifts.ravel())).reshape(4, 3)
    left = np.kron(prior.covariance(points, points), np.eye(3)) - cross @ np.linalg.solve(
        covariance, cross.T
    )
    field = SmoothShifts(prior, places, shifts, np.linalg.inv(noise))
    mean, spread = field.at(points)
    np.testing.assert_allclose(mean, expected, rtol=1e-6)
    for i in range(4):
        np.testing.assert_allclose(
            spread[i], left[3 * i : 3 * i + 3, 3 * i : 3 * i + 3], rtol=1e-6, atol=1e-6
        )


def test_what_a_place_leaves_open_is_told_by_the_others() -> None:
    prior = ShiftPrior(np.zeros(3), 10.0, 0.0, 1.0, 100.0)
    places = np.array([[0.0, 0, 0], [0, 0, 1]])
    across_y, across_x = np.diag([1.0, 100, 0]), np.diag([1.0, 0, 100])
    field = SmoothShifts(
        prior, places, np.array([[0.0, 5, -90], [0, 80, 3]]), np.stack([across_y, across_x])
    )
    # each is wrong along the direction it does not see
    np.testing.assert_allclose(field.mean(places[:1])[0], [0, 5, 3], atol=0.1)


def test_unrelated_windows_tell_how_many_samples_they_hold() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(2, 1, 90, 90)).astype(np.float32)
    window = weights((1, 90, 90), np.ones(3), 1.0)
    index = np.stack([np.zeros(60), *rng.uniform(10, 80, (2, 60))], axis=1)
    # of white noise: the squared sum of the weights over the sum of their squares
    truth = float(window.sum() ** 2 / (window**2).sum())
    assert samples_by_chance(noise[0], noise[1], index, window) == pytest.approx(truth, rel=0.25)
    broad = np.repeat(np.repeat(noise[:, :, :30, :30], 3, axis=2), 3, axis=3)
    assert samples_by_chance(broad[0], broad[1], index, window) < truth / 3


def test_a_window_speaks_for_where_its_edges_lie() -> None:
    image = np.zeros((1, 41, 41), np.float32)
    image[0, 20, 24] = 1.0
    window = weights(image.shape, np.ones(3), 1.0)
    (found,) = centres_of_edges(image, np.array([[0.0, 20, 20]]), window)
    np.testing.assert_allclose(found[:2], [0, 20], atol=1e-6)
    assert 23 < found[2] <= 24  # a little less: nearer voxels weigh more


def test_along_a_vessel_a_place_stays_open() -> None:
    off = np.arange(-4, 5)[:, None] - 1.5
    alike = np.tile(0.8 * np.exp(-(off**2) / 2), (1, 9))[None].astype(np.float32)
    judge = ShiftJudge((0, 4, 4), np.ones(3), 1.0, [60.0])
    found = judge([alike], np.zeros(2), 4 * np.eye(2))
    assert found.seen_um[0] == pytest.approx(1.5, abs=0.1)
    assert found.precision[0, 0] > 20 * abs(found.precision[1, 1])
    assert found.across > 0.9 > found.near


def test_what_misleads_on_few_vessels_lowers_the_confidence() -> None:
    def confidence(**other: float) -> float:
        usual = {
            "probability": 0.99,
            "likeness": 0.6,
            "expected_error_um": 10.0,
            "error_um": 8.0,
            "deviation_um": 4.0,
            "runner_up": 0.5,
        }
        values = {k: np.array([v]) for k, v in (usual | other).items()}
        return float(calibrated(Matches(np.zeros((1, 3)), **values), 50.0)[0])

    assert confidence() > 0.9
    assert confidence(likeness=0.15) < 0.9
    assert confidence(expected_error_um=60.0) < 0.9
    assert confidence(deviation_um=90.0) < 0.75
    # in a region astray each place agrees with its neighbours, but not it alone is alike
    assert confidence(runner_up=0.95) < 0.9
    assert confidence(probability=0.3) == 0
    # of one that is far off nothing speaks for it, and nothing breaks
    assert 0 <= confidence(deviation_um=1e6, likeness=0.0, runner_up=1e6) < 0.5
