"""Where the next pair tells most: against brute force, and against what then happens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_bridgecorr.errors import FitError
from napari_bridgecorr.fitting import FitOptions, fit, next_landmark
from napari_bridgecorr.fitting.error_model import PosteriorErrorModel
from napari_bridgecorr.fitting.linear_models import normalisation
from napari_bridgecorr.fitting.prior import Prior
from napari_bridgecorr.fitting.spline_system import SplineSystem
from napari_bridgecorr.landmarks import LandmarkPairs, LandmarkSet


def bent(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points + 40 * np.sin(points[:, ::-1] / 300)


def pairs_of(n: int, seed: int = 0) -> LandmarkPairs:
    rng = np.random.default_rng(seed)
    fixed = rng.uniform(0, 1000, (n, 3))
    return LandmarkSet.from_pairs(fixed, bent(fixed) + rng.normal(0, 3, (n, 3))).pairs()


@pytest.mark.parametrize("kernel", ["thin_plate", "matern32"])
@pytest.mark.parametrize("dimensions", [3, 2])
def test_the_covariance_tells_what_a_further_landmark_takes(kernel: str, dimensions: int) -> None:
    rng = np.random.default_rng(3)
    fixed, region = rng.uniform(0, 1000, (12, 3)), rng.uniform(0, 1000, (40, 3))
    if dimensions == 2:
        fixed[:, 0] = region[:, 0] = 0.0
    weights, place, smoothing = rng.uniform(0.5, 2, 12), region[7], 0.02
    prior = Prior(kernel, 1.5)
    system = SplineSystem(fixed, dimensions, weights, prior)
    covariance = system.prediction_covariance(region, place[None], smoothing)[:, 0]
    own = system.prediction_variance(place[None], smoothing)[0]
    predicted = system.prediction_variance(region, smoothing)
    predicted = predicted - covariance**2 / (own + smoothing)

    more = np.vstack([fixed, place])
    old, new = normalisation(fixed)[1], normalisation(more)[1]
    again = SplineSystem(
        more, dimensions, np.append(weights, 1.0), replace(prior, length=prior.length * old / new)
    )
    expected = again.prediction_variance(region, smoothing)
    np.testing.assert_allclose(predicted, expected, rtol=1e-7, atol=1e-9)


def test_the_place_is_the_best_of_all_that_could_be_tried() -> None:
    pairs = pairs_of(9)
    result = fit(pairs, FitOptions("gp"))
    region = np.random.default_rng(1).uniform(0, 1000, (300, 3))
    found = next_landmark(result, region)
    model = PosteriorErrorModel(pairs, result.transform, 3, result.noise, result.evidence)
    gains = model.gain(region, region)
    assert model.gain(found.fixed_um[None], region)[0] >= gains.max()
    assert gains.max() > 1.2 * np.median(gains)
    assert found.then_um < found.now_um
    np.testing.assert_allclose(found.moving_um, result.transform.map(found.fixed_um[None])[0])


def test_pairs_where_it_says_help_more_than_pairs_elsewhere() -> None:
    region = np.random.default_rng(5).uniform(0, 1000, (400, 3))
    guided, anywhere = [], []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        start = rng.uniform(0, 1000, (8, 3)) * [1.0, 1.0, 0.5]  # one half has none
        for told, found in ((True, guided), (False, anywhere)):
            fixed, noise = start, np.random.default_rng(seed + 50)
            for _ in range(3):
                moving = bent(fixed) + 0.01
                result = fit(LandmarkSet.from_pairs(fixed, moving).pairs(), FitOptions("gp"))
                place = next_landmark(result, region).fixed_um
                fixed = np.vstack([fixed, place if told else noise.uniform(0, 1000, 3)])
            result = fit(LandmarkSet.from_pairs(fixed, bent(fixed)).pairs(), FitOptions("gp"))
            errors = np.linalg.norm(result.transform.map(region) - bent(region), axis=1)
            found.append(np.sqrt(np.mean(errors**2)))
    assert np.mean(guided) < 0.9 * np.mean(anywhere)


def test_what_cannot_be_told_is_said() -> None:
    few = fit(pairs_of(5), FitOptions("affine"))
    region = np.zeros((10, 3))
    with pytest.raises(FitError, match="5 pairs do not tell yet how the tissue bends: place 6"):
        next_landmark(few, region)
    with pytest.raises(FitError, match="the region of interest is empty"):
        next_landmark(fit(pairs_of(9), FitOptions("gp")), np.full((4, 3), np.nan))
