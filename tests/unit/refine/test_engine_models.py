"""SimpleITK's models on top of a map: they find a known error, or leave the map as it was."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.refine.global_refinement import RefineModel, refine_globally
from napari_bridgecorr.refine.working_image import WorkingImage
from napari_bridgecorr.transform import Affine, transform_from_dict

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


def bend(points_um: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """Waves of 210 to 250 um in all directions that the grid has."""
    free = np.asarray(grid.shape) > 1
    turned = (points_um - grid.centre_um)[:, [1, 2, 1]] / np.array([110.0, 100.0, 120.0])
    return np.asarray(points_um + free * (np.array([3.0, -4.0, 5.0]) + 8 * np.sin(3 * turned)))


@pytest.mark.parametrize(
    ("model", "most_left"),
    [("bspline", 0.6), ("displacement", 0.85)],  # seen: 0.3 and 0.75 of the landmarks' error
)
def test_a_bend_between_the_landmarks_is_found(model: RefineModel, most_left: float) -> None:
    shape = (1, 36, 40)
    grid = Grid.from_spacing(shape, 10.0, (0.0, -20.0, 7.0))
    dimensions = 2
    blur = np.where(np.asarray(shape) > 1, 1.7, 0.0)
    moving = 1000 * gaussian_filter(np.random.default_rng(4).normal(size=shape), blur)
    places = grid.to_world(np.indices(shape).reshape(3, -1).T)
    seen = map_coordinates(moving, grid.to_index(bend(places, grid)).T, order=1, mode="nearest")
    rng = np.random.default_rng(5)
    size = np.array(shape) * 10.0
    clicked = grid.centre_um + rng.uniform(-0.42, 0.42, (20, 3)) * size * (np.array(shape) > 1)
    noise = rng.normal(0, 4, (20, 3)) * (np.array(shape) > 1)
    marks = LandmarkPairs(tuple(map(str, range(20))), clicked, bend(clicked, grid) + noise)
    options = FitOptions("tps", dimensions=dimensions)
    start = fit(marks, options).transform
    result = refine_globally(
        WorkingImage((300 - seen).reshape(shape).astype(np.float32), grid),
        (WorkingImage(moving.astype(np.float32), grid),),
        start,
        marks,
        lambda some: fit(some, options).transform,
        model=model,
        dimensions=dimensions,
    )
    assert result.accepted, result.verdict
    assert result.after.held_out_rms_um < result.before.held_out_rms_um
    kept = transform_from_dict(json.loads(json.dumps(result.transform.to_dict())))
    inside = places[np.all(np.abs(places - grid.centre_um) < 0.4 * size + 0.1, axis=1)][::7]
    true = bend(inside, grid)
    error = np.linalg.norm(kept.map(inside) - true, axis=1)
    before = np.linalg.norm(start.map(inside) - true, axis=1)
    assert np.median(error) < most_left * np.median(before)
    back = kept.inverse().map(kept.map(inside[::50]))
    assert back == pytest.approx(inside[::50], abs=1e-3)
    # defined beyond the images, too
    assert np.isfinite(kept.map(inside + [0.0, 1000.0, 0.0])).all()


def test_images_that_tell_nothing_leave_the_map_as_it_was() -> None:
    start = Affine.from_parts(np.eye(3), np.array([30.0, 36.0, 23.0]))
    result = refine_globally(*images(2), start, pairs(2.0), model="rigid")
    assert not result.accepted
    assert result.transform is start
