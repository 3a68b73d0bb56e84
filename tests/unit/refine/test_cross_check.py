"""The cross-check: how far a step is gone is what left-out landmarks ask for."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.refine.cross_check import cross_check
from napari_bridgecorr.refine.evidence import ImageEvidence
from napari_bridgecorr.refine.working_image import WorkingImage
from napari_bridgecorr.transform import Affine

GRID = Grid.from_spacing((12, 12, 12), 10.0)
OFF = np.array([2.0, -3.0, 6.0])


@pytest.mark.parametrize(("reach", "share"), [(1.0, 1.0), (1.9, 1.0), (2.5, 0.375), (9.0, 1.0)])
def test_a_step_too_far_is_gone_in_part(reach: float, share: float) -> None:
    texture = gaussian_filter(np.random.default_rng(0).normal(size=GRID.shape), 1.0)
    image = WorkingImage((500 + 900 * texture).astype(np.float32), GRID)
    points = np.random.default_rng(1).uniform(0, 110, (12, 3))

    def too_far(points_um: NDArray[np.float64]) -> NDArray[np.float64]:
        return points_um + reach * OFF

    check = cross_check(
        ImageEvidence(image, (image,)),
        Affine.identity(),
        LandmarkPairs(tuple(map(str, range(12))), points, points + OFF),
        None,
        lambda *_: too_far,
    )
    assert check.share == share
    assert np.allclose(check.after_um, (share * reach - 1) * OFF)
    # nine times too far, no part in eighths that is worth going is any better than the other
    assert (check.fault is None) == (reach < 9)
