"""A fit followed while a landmark is moved: what a fit with the same choices gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_bridgecorr.errors import FitError
from napari_bridgecorr.fitting import FitOptions, fit, follow
from napari_bridgecorr.landmarks import LandmarkPairs


def _pairs(n: int = 30) -> LandmarkPairs:
    rng = np.random.default_rng(4)
    fixed = rng.uniform(0, 1000, (n, 3))
    moving = 1.1 * fixed + 20 * np.sin(fixed[:, ::-1] / 200) + rng.normal(0, 5, (n, 3))
    return LandmarkPairs(tuple(map(str, range(n))), fixed, moving)


def _moved(pairs: LandmarkPairs) -> LandmarkPairs:
    fixed, moving = pairs.fixed_um.copy(), pairs.moving_um.copy()
    fixed[3] += (30, -20, 10)
    moving[7] += (5, 15, -25)
    return LandmarkPairs(pairs.ids, fixed, moving)


@pytest.mark.parametrize(
    "options",
    [
        FitOptions("rigid"),
        FitOptions("affine", moving_sigma_um=(9.0, 3.0, 3.0)),
        FitOptions("similarity", scale="symmetric"),
        FitOptions("tps", 12.0),
        FitOptions("tps", 0.0, direction="moving_to_fixed"),
        FitOptions("tps", 100.0, dimensions=2),
    ],
    ids=lambda o: f"{o.model}-{o.dimensions}-{o.direction}",
)
def test_the_map_is_that_of_a_fit_with_the_same_choices(options: FitOptions) -> None:
    pairs, probes = _pairs(), np.random.default_rng(1).uniform(100, 900, (40, 3))
    moved = _moved(pairs)
    expected = fit(moved, options).transform.map(probes)
    before = fit(pairs, options)
    found = follow(before, moved).map(probes)
    assert np.allclose(found, expected, rtol=0, atol=1e-5)
    assert np.abs(found - before.transform.map(probes)).max() > 0.1


def test_what_was_chosen_is_kept() -> None:
    pairs = _pairs()
    for model in ("tps", "gp"):
        before = fit(pairs, FitOptions(model))
        # unmoved landmarks: the very map that the choices gave
        assert np.allclose(
            follow(before, pairs).map(pairs.fixed_um), before.transform.map(pairs.fixed_um)
        )
    assert before.evidence is not None
    chosen = fit(pairs, FitOptions("tps"))
    fixed_smoothing = replace(chosen.options, smoothing=chosen.smoothing_um)
    moved = _moved(pairs)
    assert np.allclose(
        follow(chosen, moved).map(pairs.fixed_um),
        fit(moved, fixed_smoothing).transform.map(pairs.fixed_um),
        rtol=0,
        atol=1e-6,
    )


def test_other_landmarks_are_refused() -> None:
    pairs = _pairs()
    result = fit(pairs, FitOptions("affine"))
    with pytest.raises(FitError, match="fit them first"):
        follow(result, pairs.subset(np.arange(len(pairs)) > 0))
    flat = LandmarkPairs(pairs.ids, pairs.fixed_um * (0, 1, 1), pairs.moving_um)
    with pytest.raises(FitError):
        follow(result, flat)
