"""Grids of slices along a plane, and of slabs: they enclose, they meet, they do not drift."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid, Plane, resliced_grid, slab_grid
from napari_bridgecorr.geometry.slabs import natural_spacing

SEEDS = st.integers(0, 2**32 - 1)


def random_grid(rng: np.random.Generator) -> Grid:
    matrix = np.eye(4)
    turn = Rotation.random(rng=rng).as_matrix()
    matrix[:3, :3] = turn @ np.diag(rng.uniform(0.3, 5, 3)) @ np.diag(rng.choice([-1, 1], 3))
    matrix[:3, 3] = rng.uniform(-5000, 5000, 3)
    z, y, x = (int(n) for n in rng.integers(1, 60, 3))
    return Grid((z, y, x), matrix)


def random_plane(rng: np.random.Generator, grid: Grid) -> Plane:
    return Plane.from_normal(grid.centre_um + rng.normal(size=3), rng.normal(size=3)).turned(
        float(rng.uniform(0, 360))
    )


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_a_resliced_grid_encloses_the_image_and_no_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = random_grid(rng)
    plane = random_plane(rng, grid)
    found = resliced_grid(grid, plane)
    index = found.to_index(grid.corners())
    size = np.asarray(found.shape)
    assert np.all(index > -0.5 - 1e-6)
    assert np.all(index < size - 0.5 + 1e-6)
    slack = np.minimum(index.min(axis=0) + 0.5, size - 0.5 - index.max(axis=0))
    assert np.all(slack < 1)  # no empty slice, row or column
    np.testing.assert_allclose(
        found.index_to_world[:3, :3] / found.voxel_size_um, plane.axes, atol=1e-12
    )
    np.testing.assert_allclose(found.voxel_size_um, natural_spacing(grid, plane), rtol=1e-12)
    # a slice's centres lie on the plane
    depth = plane.place(found.to_world(np.column_stack([np.arange(size[0])] * 3)))[:, 0]
    steps = depth / found.voxel_size_um[0]
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_spacing_skips_no_voxel_and_is_no_finer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = random_grid(rng)
    plane = random_plane(rng, grid)
    depth, y, x = natural_spacing(grid, plane)
    linear = grid.world_to_index[:3, :3]
    assert np.abs(linear @ plane.normal * depth).max() == pytest.approx(1)
    assert y == x
    angles = np.linspace(0, 2 * np.pi, 721)
    around = np.outer(plane.axes[:, 1], np.sin(angles)) + np.outer(plane.axes[:, 2], np.cos(angles))
    fastest = np.abs(linear @ around * x).max()
    assert 0.999 < fastest < 1 + 1e-9
    assert natural_spacing(grid, plane.turned(33)) == pytest.approx((depth, y, x), rel=1e-9)


def test_an_image_along_the_plane_keeps_its_voxels() -> None:
    grid = Grid.from_spacing((20, 30, 40), (3, 0.6, 0.6), (100, -50, 7))
    plane = Plane.from_normal((100 + 3 * 7, 11, 12), (1, 0, 0))
    found = resliced_grid(grid, plane)
    assert found.shape == grid.shape
    np.testing.assert_allclose(found.index_to_world, grid.index_to_world, atol=1e-9)


def test_a_range_of_depths() -> None:
    grid = Grid.from_spacing((20, 30, 40), (3, 1, 1))
    plane = Plane.from_normal((30, 0, 0), (1, 0, 0))
    one = resliced_grid(grid, plane, depth_range_um=(0, 0))
    assert one.shape == (1, 30, 40)
    np.testing.assert_allclose(one.index_to_world[:3, 3], (30, 0, 0))
    some = resliced_grid(grid, plane, depth_range_um=(-6, 4))
    assert some.shape[0] == 4
    assert some.index_to_world[0, 3] == pytest.approx(24)
    with pytest.raises(GeometryError, match="it reaches from"):
        resliced_grid(grid, plane, depth_range_um=(100, 200))
    with pytest.raises(GeometryError, match="finite"):
        resliced_grid(grid, plane, depth_range_um=(0, float("nan")))


@pytest.mark.parametrize("spacing", [0.0, -1.0, float("nan"), (1, 0, 1)])
def test_spacings_that_are_none_are_refused(spacing: object) -> None:
    grid = Grid.from_spacing((4, 4, 4), 1.0)
    with pytest.raises(GeometryError, match="positive"):
        resliced_grid(grid, Plane.from_normal((0, 0, 0), (1, 0, 0)), spacing)  # type: ignore[arg-type]
    with pytest.raises(GeometryError, match="1e12"):
        resliced_grid(grid, Plane.from_normal((0, 0, 0), (1, 0, 0)), 1e-6)


def test_thirty_three_slices_and_a_third() -> None:
    grid = Grid.from_spacing((150, 8, 8), (3, 1, 1), (200, 5, 6))
    found = slab_grid(grid, 100)
    assert found.shape == (5, 8, 8)  # 450 um
    assert found.voxel_size_um == pytest.approx((100, 1, 1))
    np.testing.assert_allclose(found.corners().min(axis=0), grid.corners().min(axis=0), atol=1e-9)
    on_an_edge = slab_grid(grid, 100, (260, 0, 0))
    faces = on_an_edge.index_to_world[0, 3] + 100 * (np.arange(6) - 0.5)
    np.testing.assert_allclose(faces, [160, 260, 360, 460, 560, 660], atol=1e-9)
    assert slab_grid(grid, 450).shape[0] == 1
    assert slab_grid(grid, 150).shape[0] == 3  # no sliver for rounding
    assert slab_grid(grid, 3).shape[0] == 150


def test_a_thousand_slabs_do_not_drift() -> None:
    grid = Grid.from_spacing((33_334, 1, 1), (3, 1, 1), (0.1, 0, 0))
    found = slab_grid(grid, 100)
    assert found.shape[0] == 1001
    index = np.column_stack([np.arange(1001) - 0.5, np.zeros(1001), np.zeros(1001)])
    faces = found.to_world(index)[:, 0]
    np.testing.assert_allclose(faces, 0.1 - 1.5 + 100 * np.arange(1001), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("thickness", "edge", "reason"),
    [
        (0, None, "positive"),
        (float("inf"), None, "positive"),
        (2.9, None, "thinner"),
        (100, (0, 0), "three finite"),
        (100, (0, 0, float("nan")), "three finite"),
    ],
)
def test_slabs_that_are_none_are_refused(thickness: float, edge: object, reason: str) -> None:
    with pytest.raises(GeometryError, match=reason):
        slab_grid(Grid.from_spacing((10, 2, 2), (3, 1, 1)), thickness, edge)  # type: ignore[arg-type]
