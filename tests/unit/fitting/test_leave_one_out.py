"""Leave-one-out errors in closed form against fitting again without each landmark."""

import json

import numpy as np
import pytest
from fitting_samples import clicked, named
from scipy.interpolate import RBFInterpolator
from scipy.spatial.transform import Rotation

from napari_bridgecorr.fitting import FitOptions, fit


def without(i: int, n: int) -> np.ndarray:
    return np.arange(n) != i


def planar_clicks(n: int = 18) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    fixed = rng.uniform(0, 1000, (n, 3))
    turned = Rotation.from_rotvec((0.7, 0, 0)).as_matrix()
    return fixed, fixed @ turned.T + 30 * np.sin(fixed / 200) + rng.normal(0, 10, (n, 3))


@pytest.mark.parametrize("smoothing", [0.0, 30.0, "auto", 1e6])
def test_spline(smoothing: float | str) -> None:
    pairs, _, _ = clicked(1, 20, 15.0, 40.0)
    result = fit(pairs, FitOptions("tps", smoothing))
    for i in range(20):
        rest = without(i, 20)
        again = RBFInterpolator(
            pairs.fixed_um[rest],
            pairs.moving_um[rest],
            kernel="linear",
            degree=1,
            smoothing=result.smoothing_um,
        )
        # as the residuals: prediction minus landmark
        expected = again(pairs.fixed_um[[i]])[0] - pairs.moving_um[i]
        np.testing.assert_allclose(
            result.diagnostics.leave_one_out_um[i], expected, rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("smoothing", [0.0, "auto", 1e7])
def test_planar_spline(smoothing: float | str) -> None:
    fixed, moving = planar_clicks()
    n = len(fixed)
    result = fit(named(fixed, moving), FitOptions("tps", smoothing, 2))
    for i in range(n):
        rest = without(i, n)
        again = RBFInterpolator(
            fixed[rest, 1:],
            moving[rest, 1:],
            kernel="thin_plate_spline",
            degree=1,
            smoothing=result.smoothing_um,
        )
        z = fixed[i, 0] + np.mean((moving - fixed)[rest, 0])
        expected = [z, *again(fixed[[i], 1:])[0]] - moving[i]
        np.testing.assert_allclose(
            result.diagnostics.leave_one_out_um[i], expected, rtol=0, atol=1e-6
        )


def test_affine() -> None:
    pairs, _, _ = clicked(3, 12, 15.0, 40.0)
    errors = fit(pairs, FitOptions("affine")).diagnostics.leave_one_out_um
    design = np.column_stack([pairs.fixed_um, np.ones(12)])
    for i in range(12):
        rest = without(i, 12)
        solution = np.linalg.lstsq(design[rest], pairs.moving_um[rest], rcond=None)[0]
        expected = design[i] @ solution - pairs.moving_um[i]
        np.testing.assert_allclose(errors[i], expected, rtol=0, atol=1e-7)


def test_translation() -> None:
    pairs, _, _ = clicked(3, 6, 15.0, 40.0)
    result = fit(pairs, FitOptions("translation")).diagnostics
    # the mean without i differs from the mean by n / (n - 1)
    np.testing.assert_allclose(
        result.leave_one_out_um, result.residual_um * 6 / 5, rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("model", ["tps", "affine"])
def test_none_where_the_others_lie_flat(model: str) -> None:
    rng = np.random.default_rng(0)
    fixed = rng.uniform(0, 500, (9, 3))
    fixed[:8, 0] = 100
    result = fit(named(fixed, fixed + rng.normal(0, 5, (9, 3))), FitOptions(model))
    errors = result.diagnostics.leave_one_out_um
    assert np.isnan(errors[8]).all()
    assert np.isfinite(errors[:8]).all()
    assert np.linalg.norm(errors[:8], axis=1).max() < 100
    assert np.isfinite(result.diagnostics.loo_rms_um)
    assert result.warnings == ()
    values = json.loads(json.dumps(result.diagnostics.to_dict(), allow_nan=False))
    assert values["landmarks"][8]["loo_um"] is None


def test_planar_none_where_the_others_lie_on_a_line() -> None:
    fixed, moving = planar_clicks(7)
    fixed[:6, 2], moving[:6, 2] = 2 * fixed[:6, 1], fixed[:6, 1]
    errors = fit(named(fixed, moving), FitOptions("tps", 10.0, 2)).diagnostics.leave_one_out_um
    assert np.isnan(errors[6]).all()
    assert np.isfinite(errors[:6]).all()


def test_as_few_as_can_be() -> None:
    pairs, _, _ = clicked(3, 4, 15.0, 40.0)
    result = fit(pairs, FitOptions("affine"))
    assert np.isnan(result.diagnostics.leave_one_out_um).all()
    assert np.isnan(result.diagnostics.loo_median_um)
    json.dumps(result.diagnostics.to_dict(), allow_nan=False)


def test_summary_is_of_the_rows() -> None:
    pairs, _, _ = clicked(5, 15, 15.0, 40.0)
    diagnostics = fit(pairs, FitOptions("rigid")).diagnostics
    values = json.loads(json.dumps(diagnostics.to_dict(), allow_nan=False))
    assert values["n"] == 15
    assert [row["id"] for row in values["landmarks"]] == list(pairs.ids)
    loo = np.array([row["loo_um"] for row in values["landmarks"]])
    residual = np.array([row["residual_zyx_um"] for row in values["landmarks"]])
    np.testing.assert_allclose(loo, np.linalg.norm(diagnostics.leave_one_out_um, axis=1))
    assert values["loo_rms_um"] == pytest.approx(np.sqrt(np.mean(loo**2)))
    assert values["loo_median_um"] == pytest.approx(np.median(loo))
    assert values["residual_rms_um"] == pytest.approx(np.sqrt(np.mean(residual**2) * 3))
    lengths = [row["residual_um"] for row in values["landmarks"]]
    np.testing.assert_allclose(lengths, np.linalg.norm(residual, axis=1))
