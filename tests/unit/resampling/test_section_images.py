"""A volume over a section's pixels, and the section in the volume."""

from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.fitting.sections import SectionFitOptions, fit_section
from napari_bridgecorr.geometry import Grid, Plane
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.resampling import resample
from napari_bridgecorr.resampling.sections import (
    quick_inverse,
    section_as_moving,
    section_in_volume,
    volume_on_section,
)
from napari_bridgecorr.transform import Affine, SectionPlacement

VOLUME_GRID = Grid.from_spacing((30, 40, 44), (25.0, 20.0, 20.0), (100.0, -50.0, 30.0))
SECTION_GRID = Grid.from_spacing((1, 60, 64), (1.0, 8.0, 8.0))


def image(values: np.ndarray, grid: Grid, name: str = "image") -> SpatialImage:
    return SpatialImage(
        (da.from_array(values[None, None], chunks=(1, 1, *values.shape)),),
        (grid,),
        (Channel("C0"),),
        Source(Path(name), "test", image_name=name),
    )


def ramp(weights: tuple[float, float, float]) -> SpatialImage:
    """A volume whose intensity is linear in the world: its mean over a slab is its middle's."""
    points = VOLUME_GRID.to_world(np.indices(VOLUME_GRID.shape).reshape(3, -1).T)
    return image((points @ weights).reshape(VOLUME_GRID.shape).astype(np.float32), VOLUME_GRID)


def placed(thickness_um: float = 60.0, bent: bool = False) -> SectionPlacement:
    plane = Plane.from_normal(VOLUME_GRID.centre_um, (1.0, 0.15, -0.1))
    flat = SECTION_GRID.to_world(np.random.default_rng(0).uniform(0, 1, (14, 3)) * (0, 59, 63))
    within = flat - (0, 240, 250)
    if bent:
        within = within + 12 * np.sin(flat[:, [0, 2, 1]] / 130) * (0, 1, 1)
    pairs = LandmarkSet.from_pairs(flat, plane.points(within)).pairs()
    return fit_section(pairs, SectionFitOptions("tps", 0.0, plane, thickness_um)).placement


@pytest.mark.parametrize("bent", [False, True])
def test_a_linear_volume_is_met_exactly(bent: bool) -> None:
    weights = (0.7, -0.3, 0.2)
    placement = placed(bent=bent)
    found = volume_on_section(ramp(weights), placement, SECTION_GRID)
    assert found.grid.shape == SECTION_GRID.shape
    assert found.grid.voxel_size_um[0] == pytest.approx(60)
    np.testing.assert_allclose(found.grid.centre_um, SECTION_GRID.centre_um, atol=1e-9)
    points = SECTION_GRID.to_world(np.indices(SECTION_GRID.shape).reshape(3, -1).T)
    expected = (placement.map(points) @ weights).reshape(SECTION_GRID.shape)
    values = found.data[0, 0].compute()
    assert np.isfinite(values).mean() > 0.9
    np.testing.assert_allclose(values[np.isfinite(values)], expected[np.isfinite(values)], atol=0.2)


def test_the_mean_is_over_the_thickness() -> None:
    """One bright slice of the volume: a section shows as much of it as its thickness meets."""
    bright = np.zeros(VOLUME_GRID.shape, np.float32)
    bright[15] = 1
    z = VOLUME_GRID.to_world((15, 0, 0))[0, 0]
    shift = Affine.from_parts(np.eye(3), (0.0, -200.0, -200.0))
    for off, thickness in ((0.0, 100.0), (30.0, 100.0), (0.0, 40.0), (200.0, 100.0)):
        plane = Plane.from_normal((z + off, 300.0, 400.0), (1.0, 0.0, 0.0))
        placement = SectionPlacement(shift, plane, thickness)
        values = volume_on_section(image(bright, VOLUME_GRID), placement, SECTION_GRID)
        # the linear interpolant of one slice is a hat of height 1 and base 2 x 25 um
        at = np.linspace(off - thickness / 2, off + thickness / 2, 20001)
        expected = np.maximum(0, 1 - np.abs(at) / 25).mean()
        np.testing.assert_allclose(values.data.compute(), expected, atol=0.01)


@pytest.mark.parametrize("bent", [False, True])
def test_the_section_lies_where_it_was_placed(bent: bool) -> None:
    placement = placed(bent=bent)
    points = SECTION_GRID.to_world(np.indices(SECTION_GRID.shape).reshape(3, -1).T)
    values = (points @ (0, 0.5, 0.25) + 10).reshape(SECTION_GRID.shape)
    section = image(values.astype(np.float32), SECTION_GRID)
    found = section_in_volume(section, placement, VOLUME_GRID)
    assert found.grid == VOLUME_GRID
    shown = found.data[0, 0].compute()
    there = VOLUME_GRID.to_world(np.argwhere(np.isfinite(shown)))
    # no voxel that does not touch the section, and every one whose centre lies inside
    assert np.abs(placement.distance_um(there)).max() <= 30 + 25
    back = placement.inverse().map(VOLUME_GRID.to_world(np.indices(shown.shape).reshape(3, -1).T))
    index = SECTION_GRID.to_index(back * (0, 1, 1))
    inner = np.all((index[:, 1:] > 3) & (index[:, 1:] < (56, 60)), axis=1)
    deep = np.abs(back[:, 0]) < 10
    known = np.isfinite(shown).ravel()
    assert known[inner & deep].all()
    assert (inner & deep).sum() > 100
    expected = back @ (0, 0.5, 0.25) + 10
    chosen = inner & deep
    # a voxel is the mean over what the slanted section shares with it
    np.testing.assert_allclose(shown.ravel()[chosen], expected[chosen], atol=1.5)


def test_the_quick_inverse_is_the_inverse() -> None:
    placement = placed(bent=True)
    points = SECTION_GRID.to_world(np.random.default_rng(1).uniform(0, 59, (500, 3)) * (0.5, 1, 1))
    back = quick_inverse(placement, SECTION_GRID).map(placement.map(points))
    np.testing.assert_allclose(back, points, atol=0.02)


def test_stacks_are_no_sections() -> None:
    with pytest.raises(GeometryError, match="a section is flat"):
        volume_on_section(ramp((1, 0, 0)), placed(), VOLUME_GRID)
    with pytest.raises(GeometryError, match="a section is flat"):
        section_in_volume(ramp((1, 0, 0)), placed(), VOLUME_GRID)


@pytest.mark.parametrize("bent", [False, True])
def test_a_section_is_a_moving_image_like_any_other(bent: bool) -> None:
    """Through the inverse alone, as `warp` and `table` have it: where it lies, a voxel thick."""
    placement = placed(0.0, bent)
    section = image(np.arange(60.0 * 64).reshape(SECTION_GRID.shape), SECTION_GRID)
    thick, back = section_as_moving(section, placement.inverse(), VOLUME_GRID)
    found = resample(thick, back, VOLUME_GRID).data[0, 0].compute()
    expected = section_in_volume(section, placement, VOLUME_GRID).data[0, 0].compute()
    assert np.isfinite(expected).sum() > 300
    np.testing.assert_allclose(found, expected, atol=1e-3)
    # what is no volume or no section stays as it is
    same = (section, placement)
    assert section_as_moving(*same, VOLUME_GRID) == same
    stack = ramp((1.0, 0.0, 0.0))
    assert section_as_moving(stack, placement, SECTION_GRID) == (stack, placement)
