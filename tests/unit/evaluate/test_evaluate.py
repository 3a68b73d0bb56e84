"""Target error and overlap against analytic truths."""

import numpy as np
import pytest

from napari_bridgecorr.evaluate import dice, target_error
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.transform import Affine


def test_target_error_of_known_distances() -> None:
    fixed = np.random.default_rng(0).uniform(0, 1000, (5, 3))
    off = np.array([[3, 4, 0], [0, 0, 1], [0, 2, 0], [0, 0, 0], [2, 3, 6]], dtype=float)
    shift = Affine.from_parts(np.eye(3), (10, 20, 30))
    pairs = LandmarkPairs(tuple("abcde"), fixed, fixed + np.array([10, 20, 30]) - off)
    error = target_error(shift, pairs)
    np.testing.assert_allclose(error.distances_um, [5, 1, 2, 0, 7], rtol=0, atol=1e-9)
    assert error.median_um == pytest.approx(2, abs=1e-9)
    assert error.rms_um == pytest.approx(np.sqrt((25 + 1 + 4 + 49) / 5), abs=1e-9)
    # four fifths of the way from 5 to 7 in the linear definition
    assert error.percentile_95_um == pytest.approx(6.6, abs=1e-9)


def test_error_is_measured_in_the_moving_space() -> None:
    fixed = np.zeros((1, 3))
    pairs = LandmarkPairs(("a",), fixed, fixed)
    forward = Affine.from_parts(2 * np.eye(3), (0, 0, 4))
    assert target_error(forward, pairs).rms_um == 4
    assert target_error(forward.inverse(), pairs).rms_um == 2


def test_dice_of_shifted_boxes() -> None:
    a, b = np.zeros((4, 10, 10), bool), np.zeros((4, 10, 10), np.uint8)
    a[:, 0:6], b[:, 3:7] = True, 255
    # |A| = 240, |B| = 160, overlap 3 rows = 120
    assert dice(a, b) == pytest.approx(2 * 120 / 400, abs=1e-15)
    assert dice(b, a) == dice(a, b)
    assert dice(a, a) == 1
    assert dice(a, ~a) == 0
    assert dice(a, np.zeros_like(a)) == 0
    assert dice(np.zeros_like(a), np.zeros_like(a)) == 1


def test_dice_counts_beyond_a_byte() -> None:
    full = np.ones((50, 50), np.uint8)
    assert dice(full, full) == 1


def test_dice_refuses_another_grid() -> None:
    with pytest.raises(ValueError, match="one grid"):
        dice(np.ones((2, 3)), np.ones((3, 2)))
