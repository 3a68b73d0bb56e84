"""Where a pair may be placed at all: in the tissue that both images show."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from numpy.typing import NDArray

from napari_bridgecorr.errors import FitError
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.landmarks import LandmarkSet, Side
from napari_bridgecorr.transform import Affine
from napari_bridgecorr.workflow.next_landmark import shared_tissue, where_next

CENTRE, RADIUS = np.array([200.0, 200.0, 200.0]), 120.0
SHIFT = np.array([5.0, -10.0, 15.0])


def image_of(values: NDArray[np.float32], grid: Grid) -> SpatialImage:
    return SpatialImage(
        (da.from_array(values[None, None]),),
        (grid,),
        (Channel("a"),),
        Source(Path("sample"), "sample"),
    )


def ball(grid: Grid, centre: NDArray[np.float64], background: float = 10.0) -> SpatialImage:
    index = np.indices(grid.shape).reshape(3, -1).T
    inside = np.linalg.norm(grid.to_world(index) - centre, axis=1) < RADIUS
    noise = np.random.default_rng(0).normal(0, 2, inside.size)
    values = np.where(inside, 100.0, background) + noise
    return image_of(values.reshape(grid.shape).astype(np.float32), grid)


FIXED = Grid.from_spacing((20, 40, 40), (20.0, 10.0, 10.0))
# the moving image sees the lower half only
MOVING = Grid.from_spacing((30, 30, 30), (8.0, 14.0, 14.0), (-20.0, 0.0, 0.0))


def test_points_lie_in_the_tissue_of_both_images() -> None:
    fixed, moving = ball(FIXED, CENTRE), ball(MOVING, CENTRE + SHIFT)
    points = shared_tissue(fixed, moving, Affine.from_parts(np.eye(3), SHIFT))
    assert len(points) > 300
    assert np.linalg.norm(points - CENTRE, axis=1).max() < RADIUS + 25
    assert MOVING.contains(points + SHIFT).all()
    # evenly: the middle of the half ball is as full as its rim
    depth = points[:, 0]
    assert depth.min() < 110
    assert 190 < depth.max() < 218


def test_images_without_contrast_are_taken_whole() -> None:
    flat = [image_of(np.full(g.shape, 7.0, np.float32), g) for g in (FIXED, MOVING)]
    points = shared_tissue(flat[0], flat[1], Affine.from_parts(np.eye(3), SHIFT))
    assert FIXED.contains(points).all()
    assert MOVING.contains(points + SHIFT).all()
    assert np.ptp(points, axis=0).min() > 150


def test_the_next_place_is_far_from_the_pairs_that_are_there() -> None:
    rng = np.random.default_rng(2)
    at = CENTRE + rng.uniform(-60, 60, (9, 3)) * [1, 1, 0.4] - [40, 0, 50]
    pairs = LandmarkSet.from_pairs(at, at + SHIFT + 4 * np.sin(at / 40)).pairs()
    result = fit(pairs, FitOptions("gp"))
    fixed, moving = ball(FIXED, CENTRE), ball(MOVING, CENTRE + SHIFT)
    place = where_next(result, fixed, moving)
    assert np.linalg.norm(place.fixed_um - CENTRE) < RADIUS + 25
    assert place.fixed_um[2] > CENTRE[2]
    away = moving.grid.at_spacing(moving.grid.voxel_size_um)
    far = image_of(
        np.zeros(away.shape, np.float32), Grid.from_spacing(away.shape, 8.0, (9e3, 0, 0))
    )
    with pytest.raises(FitError, match="the images do not overlap there"):
        where_next(result, fixed, far)


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_the_next_place_lies_in_the_region_that_was_drawn(side: Side) -> None:
    rng = np.random.default_rng(2)
    at = CENTRE + rng.uniform(-60, 60, (9, 3)) - [40, 0, 0]
    pairs = LandmarkSet.from_pairs(at, at + SHIFT + 4 * np.sin(at / 40)).pairs()
    result = fit(pairs, FitOptions("gp"))
    fixed, moving = ball(FIXED, CENTRE), ball(MOVING, CENTRE + SHIFT)
    images = {"fixed": fixed, "moving": moving}
    anywhere = where_next(result, fixed, moving)
    # a box that the best place of all is not in, one voxel of it beyond the other image
    shift = SHIFT if side == "moving" else np.zeros(3)
    low, high = np.array([150.0, 100, 100]) + shift, np.array([190.0, 160, 150]) + shift
    grid = images[side].grid
    world = grid.to_world(np.indices(grid.shape).reshape(3, -1).T)
    inside = np.all((world >= low) & (world <= high), axis=1)
    assert inside.sum() > 20
    drawn = image_of(inside.reshape(grid.shape).astype(np.uint8), grid)
    found = where_next(result, fixed, moving, region=drawn, region_side=side)
    place = {"fixed": found.fixed_um, "moving": found.moving_um}[side]
    half = np.array(grid.voxel_size_um) / 2
    assert np.all((place >= low - half - 1e-6) & (place <= high + half + 1e-6))
    other = {"fixed": anywhere.fixed_um, "moving": anywhere.moving_um}[side]
    assert not np.all((other >= low - half) & (other <= high + half))
    assert found.then_um < found.now_um
    nothing = image_of(np.zeros(grid.shape, np.uint8), grid)
    with pytest.raises(FitError, match="region of interest is empty"):
        where_next(result, fixed, moving, region=nothing, region_side=side)
