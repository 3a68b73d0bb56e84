"""Two registrations whose difference is known at every point."""

import numpy as np
import pytest

from napari_bridgecorr.errors import TransformError
from napari_bridgecorr.evaluate import inter_rater
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.transform import Affine, DisplacementField

GRID = Grid.from_spacing((7, 120, 90), (100, 25, 20), (40, -300, 1000))


def test_a_shift_is_the_difference_everywhere() -> None:
    first = Affine.from_parts(2 * np.eye(3), (5, 5, 5))
    second = Affine.from_parts(2 * np.eye(3), (7, 8, -1))
    found = inter_rater(first, second, GRID)
    assert found.points_um.shape == (7, 50, 50, 3)
    assert found.overall.rms_um == pytest.approx(7)
    assert found.overall.n == 7 * 2500
    np.testing.assert_allclose(found.overall.bias_zyx_um, (2, 3, -6), atol=1e-9)
    np.testing.assert_allclose(found.overall.rms_zyx_um, (2, 3, 6), atol=1e-9)
    back = inter_rater(second, first, GRID).overall
    np.testing.assert_allclose(back.bias_zyx_um, (-2, -3, 6), atol=1e-9)
    assert back.rms_um == pytest.approx(found.overall.rms_um)


def test_points_span_each_slice_and_errors_are_slice_by_slice() -> None:
    # the second rater's depth is off by a tenth of z, her x by a hundredth of y
    linear = np.eye(3)
    linear[0, 0], linear[2, 1] = 1.1, 0.01
    found = inter_rater(Affine.identity(), Affine.from_parts(linear, (0, 0, 0)), GRID)
    y = np.linspace(-300, -300 + 119 * 25, 50)
    x = np.linspace(1000, 1000 + 89 * 20, 50)
    for k, s in enumerate(found.by_slice()):
        z = 40 + 100 * k
        np.testing.assert_allclose(found.points_um[k, :, 0, 1], y, atol=1e-9)
        np.testing.assert_allclose(found.points_um[k, 0, :, 2], x, atol=1e-9)
        np.testing.assert_array_equal(found.points_um[k, ..., 0], z)
        expected = np.sqrt((0.1 * z) ** 2 + np.mean((0.01 * y) ** 2))
        assert s.rms_um == pytest.approx(expected, rel=1e-9)
    assert found.overall.rms_um == pytest.approx(
        np.sqrt(np.mean([s.rms_um**2 for s in found.by_slice()])), rel=1e-12
    )


def test_slices_of_an_oblique_image_are_its_own() -> None:
    grid = Grid.plane((500, 500, 500), (1, 1, 0.4), (3, 11, 13), (50, 10, 10))
    found = inter_rater(
        Affine.identity(), Affine.from_parts(np.eye(3), (1, 0, 0)), grid, points=(11, 13)
    )
    index = grid.to_index(found.points_um.reshape(-1, 3))
    np.testing.assert_allclose(index, np.indices((3, 11, 13)).reshape(3, -1).T, atol=1e-9)


def test_points_that_one_does_not_know_are_counted_not_used() -> None:
    half = Grid((7, 60, 90), GRID.index_to_world)
    field = DisplacementField(half, np.full((3, *half.shape), 2.0))
    found = inter_rater(Affine.identity(), field, GRID)
    assert 0.45 < found.overall.n / (7 * 2500) < 0.55
    assert found.overall.n + found.overall.n_undefined == 7 * 2500
    assert found.overall.rms_um == pytest.approx(np.sqrt(12))
    away = DisplacementField(
        Grid.from_spacing((2, 2, 2), 10.0, (9e5, 0, 0)), np.zeros((3, 2, 2, 2))
    )
    with pytest.raises(TransformError, match="no common point"):
        inter_rater(away, field, GRID)


def test_an_axis_of_one_voxel_has_one_point() -> None:
    line = Grid.from_spacing((2, 1, 40), 10.0)
    assert inter_rater(Affine.identity(), Affine.identity(), line).points_um.shape == (2, 1, 50, 3)
