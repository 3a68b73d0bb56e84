"""Landmarks and images in one map: the images say how sharply it bends."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_bridgecorr.fitting import fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.refine.evidence import ImageEvidence
from napari_bridgecorr.refine.soft_landmarks import refine_softly
from napari_bridgecorr.refine.working_image import WorkingImage

GRID = Grid.from_spacing((20, 22, 24), 10.0)


@pytest.mark.parametrize("bend_um", [6.0, 0.0])
def test_sharp_bends_shorten_the_length_and_nothing_else_does(bend_um: float) -> None:
    def bend(points_um: NDArray[np.float64]) -> NDArray[np.float64]:
        return points_um + bend_um * np.sin(2 * np.pi * points_um[:, [1, 2, 0]] / 130.0)

    rng = np.random.default_rng(0)
    texture = 200 * gaussian_filter(rng.normal(size=GRID.shape), 1.7)
    places = GRID.to_index(bend(GRID.to_world(np.indices(GRID.shape).reshape(3, -1).T)))
    seen = map_coordinates(texture, places.T, order=3, mode="nearest").reshape(GRID.shape)
    fixed = WorkingImage((900 - seen).astype(np.float32), GRID)
    points = rng.uniform(10, 190, (30, 3))
    pairs = LandmarkPairs(
        tuple(map(str, range(30))), points, bend(points) + rng.normal(0, 4, (30, 3))
    )
    start = fit(pairs).transform
    images = ImageEvidence(fixed, (WorkingImage(texture.astype(np.float32), GRID),))
    found = refine_softly(images, start, pairs, True)
    assert (found.posterior.prior.length < 1.5) == (bend_um > 0)
    places = rng.uniform(30, 170, (200, 3))
    before, after = (
        np.median(np.linalg.norm(m.map(places) - bend(places), axis=1)) for m in (start, found)
    )
    assert after < 0.6 * before
