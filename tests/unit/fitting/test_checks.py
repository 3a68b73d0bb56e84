"""Landmarks that do not determine the fit are refused, or the user is warned, in words."""

import numpy as np
import pytest
from fitting_samples import clicked, named, points_in_box

from napari_bridgecorr.errors import FitError
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.landmarks import Landmark, LandmarkSet

MINIMUM = {
    (3, "translation"): 1,
    (3, "rigid"): 3,
    (3, "similarity"): 3,
    (3, "affine"): 4,
    (3, "tps"): 5,
    (2, "translation"): 1,
    (2, "rigid"): 2,
    (2, "similarity"): 2,
    (2, "affine"): 3,
    (2, "tps"): 4,
}


def some(n: int, seed: int = 0) -> np.ndarray:
    return points_in_box(np.random.default_rng(seed), n)


@pytest.mark.parametrize(("dimensions", "model"), list(MINIMUM))
def test_too_few(dimensions: int, model: str) -> None:
    needed = MINIMUM[dimensions, model]
    options = FitOptions(model, dimensions=dimensions)
    points = some(needed)
    result = fit(named(points, points + 3), options)
    np.testing.assert_allclose(result.transform.map(points), points + 3, rtol=0, atol=1e-6)
    with pytest.raises(FitError, match=f"{needed - 1} complete.*too few.*at least {needed}") as e:
        fit(named(points[1:], points[1:] + 3), options)
    assert ("--model affine" in str(e.value)) == (model == "tps")


@pytest.mark.parametrize("side", ["fixed", "moving"])
@pytest.mark.parametrize("model", ["rigid", "similarity", "affine", "tps"])
def test_coincident_landmarks_are_named(model: str, side: str) -> None:
    fixed, moving = some(8), some(8, 1)
    (fixed if side == "fixed" else moving)[6] = (fixed if side == "fixed" else moving)[2]
    with pytest.raises(FitError, match=f"'L3' and 'L7' .* same place in the {side}.*disable one"):
        fit(named(fixed, moving), FitOptions(model))


def test_one_above_the_other_is_one_place_in_the_plane() -> None:
    fixed, moving = some(8), some(8, 1)
    fixed[5, 1:] = fixed[0, 1:]
    with pytest.raises(FitError, match="'L1' and 'L6' lie at the same place"):
        fit(named(fixed, moving), FitOptions("tps", 0.0, 2))


@pytest.mark.parametrize("model", ["affine", "tps"])
@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_coplanar(model: str, side: str) -> None:
    flat, full = some(8), some(8, 1)
    flat[:, 0] = 0.3 * flat[:, 1] + 20  # an oblique plane
    pair = (flat, full) if side == "fixed" else (full, flat)
    with pytest.raises(FitError, match=f"in one plane in the {side} image.*other depths.*rigid"):
        fit(named(*pair), FitOptions(model))


@pytest.mark.parametrize("model", ["rigid", "similarity", "affine", "tps"])
def test_collinear(model: str) -> None:
    line = np.linspace(0, 1, 8)[:, None] ** 2 * (100.0, 300.0, -200.0) + 40
    with pytest.raises(FitError, match=r"on one line in the fixed image.*away from it"):
        fit(named(line, some(8)), FitOptions(model))


@pytest.mark.parametrize("model", ["affine", "tps"])
def test_collinear_in_the_plane(model: str) -> None:
    points = some(8)
    points[:, 2] = 2 * points[:, 1]  # z differs, but the plane does not see it
    with pytest.raises(FitError, match="on one line"):
        fit(named(points, some(8, 1)), FitOptions(model, dimensions=2))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("model", ["translation", "tps"])
def test_not_finite(model: str, value: float) -> None:
    fixed, moving = some(8), some(8, 1)
    moving[4, 1] = value
    with pytest.raises(FitError, match=r"'L5' are not finite numbers.*place it again"):
        fit(named(fixed, moving), FitOptions(model))


def test_options_that_do_not_exist() -> None:
    pairs = named(some(8), some(8))
    with pytest.raises(FitError, match="'spline' is not one of translation, rigid"):
        fit(pairs, FitOptions("spline"))
    with pytest.raises(FitError, match="2 or 3 dimensions"):
        fit(pairs, FitOptions("affine", dimensions=4))


def test_a_mirrored_square_fits_no_planar_rotation() -> None:
    square = np.array([[0, 0, 0], [0, 0, 100], [0, 100, 0], [0, 100, 100]], dtype=float)
    with pytest.raises(FitError, match="mirrored or swapped"):
        fit(named(square, square * (1, 1, -1)), FitOptions("rigid", dimensions=2))


def test_disabled_and_half_pairs_are_not_used() -> None:
    fixed = some(8)
    good = list(LandmarkSet.from_pairs(fixed, fixed + 10))
    wrong = Landmark("wrong", "", False, (0.0, 0.0, 0.0), (9e5, 9e5, 9e5))
    half = Landmark("half", "", True, (1.0, 1.0, 1.0), None)
    pairs = LandmarkSet((wrong, *good, half)).pairs()
    result = fit(pairs, FitOptions("affine"))
    assert result.diagnostics.ids == tuple(m.id for m in good)
    np.testing.assert_allclose(result.transform.map([[0, 0, 0]]), [[10, 10, 10]], rtol=0, atol=1e-8)


# warnings


def test_a_good_set_warns_of_nothing() -> None:
    pairs, _, _ = clicked(0, 30, 5.0, 30.0)
    for model in ("affine", "tps"):
        result = fit(pairs, FitOptions(model))
        assert not any("folds" in w or "mirrors" in w for w in result.warnings)
        folding = result.diagnostics.folding
        assert folding.n_folded == 0
        assert 0 < folding.minimum <= folding.maximum < 5


@pytest.mark.parametrize("dimensions", [3, 2])
def test_swapped_landmarks_fold(dimensions: int) -> None:
    fixed = some(20)
    moving = fixed + 100
    moving[[3, 8]] = moving[[8, 3]]
    result = fit(named(fixed, moving), FitOptions("tps", 0.0, dimensions))
    assert result.diagnostics.folding.n_folded > 0
    assert result.diagnostics.folding.minimum < 0
    assert any("folds" in w and "swapped" in w and "smoothing" in w for w in result.warnings)
    text = " ".join(result.warnings)
    assert "'L4'" in text or "'L9'" in text


@pytest.mark.parametrize("model", ["affine", "tps"])
def test_a_mirrored_set_is_told(model: str) -> None:
    fixed = some(12)
    result = fit(named(fixed, fixed * (1, 1, -1)), FitOptions(model))
    assert any("mirrors space in 100.0 %" in w for w in result.warnings)
    assert result.diagnostics.folding.minimum == pytest.approx(-1, abs=1e-6)


@pytest.mark.parametrize("model", ["rigid", "affine", "tps"])
def test_an_outlier_is_named(model: str) -> None:
    rng = np.random.default_rng(3)
    fixed = some(25)
    moving = fixed + rng.normal(0, 3, fixed.shape)
    moving[11] += (0, 150, 0)
    warnings = fit(named(fixed, moving), FitOptions(model)).warnings
    assert any("'L12'" in w and "look at it again" in w for w in warnings)
