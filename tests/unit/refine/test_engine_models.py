"""SimpleITK's models on top of a map: they find a known error, or leave the map as it was."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.refine.global_refinement import RefineModel, refine_globally
from napari_bridgecorr.refine.working_image import WorkingImage
from napari_bridgecorr.transform import Affine

GRID = Grid.from_spacing((20, 22, 24), 10.0, (50.0, -20.0, 7.0))
RNG = np.random.default_rng(0)
POINTS = RNG.uniform(20, 180, (16, 3)) + np.array([50.0, -20.0, 7.0])


def texture(seed: int) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).normal(size=GRID.shape)
    return np.asarray(1000 * gaussian_filter(noise, 1.7), dtype=np.float64)


def images(moving_seed: int) -> tuple[WorkingImage, tuple[WorkingImage, ...]]:
    """One texture and its negative in a grid of its own place; the true map is a shift of 30 um."""
    fixed, moving = texture(1), 400 - 0.7 * texture(moving_seed)
    there = Grid(
        GRID.shape, Affine.from_parts(np.eye(3), np.full(3, 30.0)).matrix @ GRID.index_to_world
    )
    return (
        WorkingImage(fixed.astype(np.float32), GRID),
        (WorkingImage(moving.astype(np.float32), there),),
    )


def pairs(click_um: float) -> LandmarkPairs:
    clicks = np.random.default_rng(3).normal(0, click_um, POINTS.shape)
    return LandmarkPairs(tuple(map(str, range(16))), POINTS, POINTS + 30.0 + clicks)


@pytest.mark.parametrize("model", ["rigid", "affine"])
def test_a_known_error_is_found(model: RefineModel) -> None:
    start = Affine.from_parts(np.eye(3), np.array([30.0, 36.0, 23.0]))
    result = refine_globally(*images(1), start, pairs(2.0), model=model)
    assert result.accepted, result.verdict
    error = np.linalg.norm(result.transform.map(POINTS) - POINTS - 30.0, axis=1)
    assert np.median(error) < 2.0  # of 9.2, a fifth of a voxel


def test_images_that_tell_nothing_leave_the_map_as_it_was() -> None:
    start = Affine.from_parts(np.eye(3), np.array([30.0, 36.0, 23.0]))
    result = refine_globally(*images(2), start, pairs(2.0), model="rigid")
    assert not result.accepted
    assert result.transform is start
