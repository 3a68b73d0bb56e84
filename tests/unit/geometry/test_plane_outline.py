"""The outline of a plane in a box: on the plane, on the box, and of the right area."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from napari_bridgecorr.geometry import Grid, Plane
from napari_bridgecorr.geometry.plane_outline import cut_polygon, plane_outline


def oblique_grid(seed: int) -> Grid:
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] * rng.uniform(0.5, 50, 3)
    matrix[:3, 3] = rng.normal(size=3) * 1000
    return Grid(tuple(rng.integers(1, 30, 3)), matrix)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_it_is_what_sampling_the_plane_finds(seed: int) -> None:
    grid, rng = oblique_grid(seed), np.random.default_rng(seed)
    corners = grid.corners()
    origin = corners.mean(axis=0) + rng.normal(size=3) * np.ptp(corners, axis=0) / 6
    plane = Plane.from_normal(origin, rng.normal(size=3))
    polygon = plane_outline(grid, plane)
    far = float(np.linalg.norm(np.ptp(corners, axis=0)))
    places = np.column_stack([np.zeros(1500), rng.uniform(-far, far, (1500, 2))])
    inside = grid.contains(plane.points(places))
    if not len(polygon):
        assert not inside.any()
        return
    assert 3 <= len(polygon) <= 6
    flat = plane.place(polygon)
    np.testing.assert_allclose(flat[:, 0], 0, atol=1e-9 * far)
    index = grid.to_index(polygon)
    face = np.minimum(np.abs(index + 0.5), np.abs(index - (np.array(grid.shape) - 0.5)))
    assert face.min(axis=1).max() < 1e-6  # each corner lies on a face
    hull = ConvexHull(flat[:, 1:])
    assert len(hull.vertices) == len(polygon)
    # in order: the shoelace formula gives the hull's area
    y, x = flat[:, 1:].T
    area = abs(np.sum(y * np.roll(x, -1) - x * np.roll(y, -1))) / 2
    assert area == pytest.approx(hull.volume, rel=1e-9)
    # which side of the hull's lines a place lies on
    in_hull = np.all(places[:, 1:] @ hull.equations[:, :2].T + hull.equations[:, 2] <= 0, axis=1)
    np.testing.assert_array_equal(in_hull, inside)


def test_planes_along_faces_edges_and_beside() -> None:
    grid = Grid.from_spacing((4, 5, 6), (3, 2, 1))
    for depth, n in ((-1.5, 4), (4.5, 4), (10.5, 4), (10.6, 0), (-1.6, 0)):
        assert len(plane_outline(grid, Plane.from_normal((depth, 3, 3), (1, 0, 0)))) == n
    through_corner = Plane.from_normal(grid.corners()[0], (1, 1, 1))
    assert len(plane_outline(grid, through_corner)) == 0


def test_a_slice_crosses_the_outline_twice() -> None:
    grid = Grid.from_spacing((20, 30, 30), 1)
    plane = Plane.from_normal(grid.centre_um, (1, 0.2, 0))
    ends = cut_polygon(plane_outline(grid, plane), 0, 10.0)
    assert ends.shape == (2, 3)
    np.testing.assert_allclose(ends[:, 0], 10)
    np.testing.assert_allclose(plane.place(ends)[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(sorted(ends[:, 2]), [-0.5, 29.5])
    assert len(cut_polygon(plane_outline(grid, plane), 0, 19.0)) == 0


@pytest.mark.parametrize(("tilt", "side"), [((10, 0), 2), ((0, 10), 1)])
def test_tilting_takes_a_side_deeper_and_keeps_the_origin(
    tilt: tuple[float, float], side: int
) -> None:
    plane = Plane.from_normal((5, 6, 7), (1, 0.3, -0.2)).turned(25)
    tilted = plane.tilted(*tilt)
    direction = plane.place([plane.origin_um + tilted.axes[:, side]])[0]
    assert np.rad2deg(np.arcsin(direction[0])) == pytest.approx(10)
    np.testing.assert_array_equal(tilted.origin_um, plane.origin_um)
    assert Plane.from_dict(tilted.to_dict()) == tilted
    np.testing.assert_allclose(tilted.tilted(0, -tilt[1]).tilted(-tilt[0]).axes, plane.axes)
