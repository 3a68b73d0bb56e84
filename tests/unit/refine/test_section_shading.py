"""What varies slowly is taken off a picture, and its contrast is made even."""

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_bridgecorr.refine.section_shading import local_structure


def test_shading_and_gain_make_no_difference() -> None:
    rng = np.random.default_rng(0)
    fine = gaussian_filter(rng.normal(size=(24, 40, 44)), 1.5)
    fine /= fine.std()
    z, y, x = np.indices(fine.shape) / 40.0
    shaded = 5000 + 1800 * x - 1400 * y * z + 100 * fine * (1 + 0.8 * y)
    sd = np.array([4.0, 6.0, 6.0])
    plain = local_structure(fine.astype(np.float32), sd)
    found = local_structure(shaded.astype(np.float32), sd)
    inner = (slice(6, -6), slice(8, -8), slice(8, -8))
    assert np.corrcoef(shaded[inner].ravel(), fine[inner].ravel())[0, 1] < 0.5
    assert np.corrcoef(found[inner].ravel(), plain[inner].ravel())[0, 1] > 0.97
    assert 0.5 < found[inner].std() < 1.2


def test_what_is_missing_stays_missing_and_changes_nothing_far_off() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(3e4, 20, (1, 60, 70)).astype(np.float32)
    sd = np.array([50.0, 3.0, 3.0])
    whole = local_structure(values, sd)
    holed = values.copy()
    holed[0, :, :20] = np.nan
    found = local_structure(holed, sd)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(holed))
    np.testing.assert_allclose(found[0, :, 45:], whole[0, :, 45:], atol=0.02)
    # a neighbourhood that is partly missing is the mean of what there is, not drawn to 0
    edge = found[0, 10:-10, 20:23]
    assert abs(edge.mean()) < 0.2
    empty = np.full((1, 4, 4), np.nan, np.float32)
    assert np.isnan(local_structure(empty, sd)).all()
