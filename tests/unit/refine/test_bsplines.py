"""The spline field against SciPy's B-splines, its transpose, and the bending energy's slope."""

import numpy as np
import pytest
from scipy.interpolate import BSpline

from napari_bridgecorr.refine.bsplines import SplineBasis, bending


def test_field_is_scipys_cubic_spline():
    basis = SplineBasis((1, 21, 41), 10.0)
    rng = np.random.default_rng(0)
    coefficients = rng.normal(size=(3, *basis.size))
    field = basis.field(coefficients)
    rows, columns = basis.size[1:]
    # knots one control step apart, the second control point over the first voxel
    along_y = BSpline(np.arange(rows + 4) - 3.0, np.eye(rows), 3)(np.arange(21) / 10)
    along_x = BSpline(np.arange(columns + 4) - 3.0, np.eye(columns), 3)(np.arange(41) / 10)
    expected = along_y @ coefficients[1, 0] @ along_x.T
    np.testing.assert_allclose(field[1, 0], expected, atol=1e-12)


def test_gathered_is_the_transpose_and_fitted_the_inverse():
    basis = SplineBasis((9, 12, 15), 4.0)
    rng = np.random.default_rng(0)
    coefficients = rng.normal(size=(3, *basis.size))
    values = rng.normal(size=(3, 9, 12, 15))
    left = np.sum(basis.field(coefficients) * values)
    assert left == pytest.approx(np.sum(coefficients * basis.gathered(values)))
    field = basis.field(coefficients)
    np.testing.assert_allclose(basis.field(basis.fitted(field)), field, atol=1e-6)


def test_an_affine_field_does_not_bend_and_a_parabola_does():
    z, y, x = np.indices((6, 7, 8)).astype(float)
    energy, slope = bending(np.stack([2 * z - y, x + y, 3 + 0 * x]), 1.0)
    assert energy == pytest.approx(0, abs=1e-20)
    np.testing.assert_allclose(slope, 0, atol=1e-15)
    # second derivative 2 of one component along one axis, where it can be taken
    energy, _ = bending(np.stack([y**2, 0 * x, 0 * x]), 1.0)
    assert energy == pytest.approx(4 * 5 / 7)


def test_slope_of_the_bending_energy():
    rng = np.random.default_rng(2)
    c, d = rng.normal(size=(2, 3, 1, 6, 7))
    _, slope = bending(c, 2.0)
    ahead, behind = bending(c + 1e-5 * d, 2.0)[0], bending(c - 1e-5 * d, 2.0)[0]
    assert np.sum(slope * d) == pytest.approx((ahead - behind) / 2e-5, rel=1e-6)
