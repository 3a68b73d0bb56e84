"""Wrong landmarks are named; right ones are not, and none is dropped unasked."""

import numpy as np
import pytest
from fitting_samples import clicked, named, rms_length

from napari_bridgecorr.fitting import FitOptions, error_model, fit
from napari_bridgecorr.landmarks import LandmarkPairs


def spoiled(seed: int, n: int, bad: int) -> tuple[LandmarkPairs, set[str], object, np.ndarray]:
    """Clicks of which `bad` are 150-400 um off."""
    pairs, truth, targets = clicked(seed, n, 8.0, 25.0)
    rng = np.random.default_rng(seed + 500)
    which = rng.choice(n, bad, replace=False)
    away = rng.normal(size=(bad, 3))
    away *= rng.uniform(150, 400, (bad, 1)) / np.linalg.norm(away, axis=1, keepdims=True)
    moving = pairs.moving_um.copy()
    moving[which] += away
    return named(pairs.fixed_um, moving), {f"L{i + 1}" for i in which}, truth, targets


@pytest.mark.parametrize("model", ["tps", "affine"])
@pytest.mark.parametrize("bad", [1, 4, 9])
def test_wrong_landmarks_are_found(model: str, bad: int) -> None:
    found, false = 0, 0
    for seed in range(8):
        pairs, wrong, _, _ = spoiled(seed, 36, bad)
        suspects = {s.id for s in fit(pairs, FitOptions(model, robust="flag")).suspects}
        found += len(suspects & wrong)
        false += len(suspects - wrong)
    assert found >= 0.9 * 8 * bad
    assert false <= 0.02 * 8 * (36 - bad)


@pytest.mark.parametrize("model", ["tps", "affine", "rigid", "similarity", "translation"])
def test_right_landmarks_are_seldom_suspected(model: str) -> None:
    suspects = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        pairs, _, _ = clicked(seed, 25, 10.0, 25.0)
        if model in ("rigid", "similarity", "translation"):
            pairs = named(pairs.fixed_um, pairs.fixed_um + rng.normal(0, 10, (25, 3)))
        suspects += len(fit(pairs, FitOptions(model, robust="flag")).suspects)
    assert suspects <= 5  # of 500


def test_flagging_changes_nothing_and_leaving_out_says_so() -> None:
    pairs, wrong, truth, targets = spoiled(3, 36, 3)
    plain = fit(pairs)
    flagged = fit(pairs, FitOptions(robust="flag"))
    left = fit(pairs, FitOptions(robust="leave_out"))
    np.testing.assert_array_equal(flagged.transform.map(targets), plain.transform.map(targets))
    assert {s.id for s in flagged.suspects} == wrong
    assert flagged.left_out == ()
    assert len(flagged.pairs) == 36
    assert set(left.left_out) == wrong
    assert not wrong & set(left.pairs.ids)
    assert not wrong & set(left.diagnostics.ids)
    for name in wrong:
        assert any(
            f"{name!r} is suspect" in w and "look at it again" in w for w in flagged.warnings
        )
        assert any(f"{name!r} is suspect" in w and "left out" in w for w in left.warnings)
        assert sum(f"landmark {name!r}" in w for w in flagged.warnings) == 1
    better = rms_length(left.transform.map(targets) - truth(targets))
    assert better < 0.6 * rms_length(plain.transform.map(targets) - truth(targets))
    scores = [s.z_score for s in flagged.suspects]
    assert scores == sorted(scores, reverse=True)


def test_swapped_landmarks_are_both_named() -> None:
    pairs, _, _ = clicked(5, 30, 5.0, 25.0)
    moving = pairs.moving_um.copy()
    moving[[4, 11]] = moving[[11, 4]]
    suspects = fit(named(pairs.fixed_um, moving), FitOptions(robust="flag")).suspects
    assert {s.id for s in suspects} == {"L5", "L12"}
    assert all("off the affine map" in s.reason for s in suspects)


def test_in_the_plane() -> None:
    rng = np.random.default_rng(1)
    fixed = rng.uniform(0, 1000, (25, 3))
    moving = fixed + 10 * np.sin(fixed / 200) + rng.normal(0, 3, (25, 3))
    moving[7, 2] += 200
    moving[9, 0] += 500  # z does not count
    suspects = fit(named(fixed, moving), FitOptions(dimensions=2, robust="flag")).suspects
    assert [s.id for s in suspects] == ["L8"]


def test_a_bent_corner_is_not_a_wrong_click() -> None:
    bent, found = 0, 0
    for seed in range(2, 8):
        rng = np.random.default_rng(seed)
        fixed = rng.uniform(0, 1000, (60, 3))
        bend = 250 * np.exp(-np.sum(fixed**2, axis=1) / (2 * 350**2))
        moving = fixed + bend[:, None] * (0.2, 1.0, 0.4) + rng.normal(0, 3, (60, 3))
        bent += int(np.sum(bend > 20))
        suspects = len(fit(named(fixed, moving), FitOptions(robust="flag")).suspects)
        assert suspects <= 1  # the very end of the bend, if a landmark lies there alone
        found += suspects
    assert bent > 70
    assert found <= 2


def test_exact_landmarks_are_not_suspected_for_rounding() -> None:
    fixed = np.random.default_rng(0).uniform(0, 500, (20, 3))
    for model in ("rigid", "affine", "tps"):
        assert fit(named(fixed, fixed + 5), FitOptions(model, robust="flag")).suspects == ()


def test_a_light_landmark_may_lie_further_off() -> None:
    pairs, _, _ = clicked(1, 40, 8.0, 10.0)
    moving = pairs.moving_um.copy()
    moving[6] += (0, 90, 0)
    weights = np.where(np.arange(40) == 6, 0.01, 1.0)
    light = LandmarkPairs(pairs.ids, pairs.fixed_um, moving, weights)
    options = FitOptions("affine", robust="flag")
    assert fit(light, options).suspects == ()
    assert [s.id for s in fit(named(pairs.fixed_um, moving), options).suspects] == ["L7"]


def test_too_few_to_tell_is_said() -> None:
    pairs, _, _ = clicked(1, 7, 8.0, 10.0)
    result = fit(pairs, FitOptions("affine", robust="leave_out"))
    assert result.suspects == ()
    assert any("7 landmarks are too few to tell" in w for w in result.warnings)


@pytest.mark.parametrize("model", ["rigid", "similarity", "affine", "tps"])
def test_the_other_direction_is_the_inverse_of_the_swapped_fit(model: str) -> None:
    pairs, _, targets = clicked(2, 30, 8.0, 25.0)
    sigmas = ((30.0, 10.0, 10.0), (10.0, 5.0, 5.0))
    there = fit(
        pairs,
        FitOptions(
            model,
            10.0,
            fixed_sigma_um=sigmas[0],
            moving_sigma_um=sigmas[1],
            direction="moving_to_fixed",
        ),
    )
    swapped = fit(
        pairs.swapped(),
        FitOptions(model, 10.0, fixed_sigma_um=sigmas[1], moving_sigma_um=sigmas[0]),
    )
    np.testing.assert_allclose(
        swapped.transform.map(there.transform.map(targets)), targets, rtol=0, atol=1e-5
    )
    np.testing.assert_array_equal(there.pairs.fixed_um, pairs.fixed_um)
    np.testing.assert_allclose(there.diagnostics.residual_um, swapped.diagnostics.residual_um)
    np.testing.assert_allclose(
        there.diagnostics.leave_one_out_um, swapped.diagnostics.leave_one_out_um
    )
    usual = fit(pairs, FitOptions(model, 10.0)).transform.map(targets)
    assert rms_length(usual - there.transform.map(targets)) > 0.1  # not the same map
    predicted = error_model(pairs, there.transform, model, 3, there.noise).predict(targets)
    found = error_model(pairs.swapped(), swapped.transform, model, 3, swapped.noise)
    expected = found.predict(there.transform.map(targets))
    assert np.median(predicted / expected) == pytest.approx(1, abs=0.1)
