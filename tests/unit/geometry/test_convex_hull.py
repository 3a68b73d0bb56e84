"""Distance from a convex hull against quadratic programming, and the hulls of flat sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls
from scipy.spatial import Delaunay
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry.convex_hull import ConvexHull


def nearest_distance(corners: np.ndarray, point: np.ndarray) -> float:
    """Distance of a point from the convex combinations of `corners`, by least squares."""
    weight = 1e4 * np.abs(corners - point).max()  # holds the sum of the shares at 1
    matrix = np.vstack([(corners - point).T, np.full(len(corners), weight)])
    share, _ = nnls(matrix, np.array([0, 0, 0, weight]), maxiter=5000)
    return float(np.linalg.norm(share / share.sum() @ corners - point))


@given(st.integers(0, 10**6), st.integers(0, 3), st.sampled_from([2, 3]))
def test_distance_is_that_of_the_nearest_convex_combination(
    seed: int, rank: int, dimensions: int
) -> None:
    rng = np.random.default_rng(seed)
    flat = np.zeros(3)
    flat[:rank] = rng.uniform(50, 500, rank)
    turned = Rotation.random(random_state=seed).as_matrix()
    corners = rng.normal(size=(rng.integers(4, 25), 3)) * flat @ turned.T + [5000, -3000, 100]
    points = corners.mean(axis=0) + rng.normal(size=(15, 3)) * 300
    seen = np.array([0.0 if dimensions == 2 else 1.0, 1.0, 1.0])
    expected = [nearest_distance(corners * seen, p * seen) for p in points]
    hull = ConvexHull(corners, dimensions)
    assert hull.rank == min(rank, dimensions)
    np.testing.assert_allclose(hull.distance_um(points), expected, rtol=0, atol=1e-5)


def test_inside_is_where_a_tetrahedron_holds_the_point() -> None:
    rng = np.random.default_rng(4)
    corners = rng.uniform(0, 1000, (200, 3))
    points = rng.uniform(-200, 1200, (20_000, 3))
    inside = Delaunay(corners).find_simplex(points) >= 0
    hull = ConvexHull(corners)
    np.testing.assert_array_equal(hull.contains(points), inside)
    np.testing.assert_array_equal(hull.distance_um(points) == 0, inside)
    assert 0.2 < inside.mean() < 0.8


def test_a_box_has_analytic_distances() -> None:
    corners = np.array(np.meshgrid([0, 10], [0, 20], [0, 30])).reshape(3, -1).T
    hull = ConvexHull(np.vstack([corners, [[5, 5, 5], [5, 10, 30]]]))
    points = [[-3, 5, 5], [13, 24, 5], [-2, -3, 36], [5, 5, 5], [0, 0, 0], [5, 0, 30.5]]
    np.testing.assert_allclose(hull.distance_um(points), [3, 5, 7, 0, 0, 0.5], rtol=0, atol=1e-12)
    # neither the middle nor a point of a face is a corner
    assert hull.vertices.tolist() == list(range(8))
    assert hull.is_vertex(10).tolist() == [True] * 8 + [False] * 2


def test_its_own_points_lie_in_it() -> None:
    corners = np.random.default_rng(5).normal(size=(500, 3)) * [1, 200, 3000] + 1e6
    for chosen in (corners, corners * [1, 1, 0], corners * [0, 0, 1]):
        for dimensions in (2, 3):
            hull = ConvexHull(chosen, dimensions)
            assert hull.contains(chosen).all()
            assert hull.distance_um(chosen).max() < 1e-6


def test_in_the_plane_depth_does_not_count() -> None:
    square = np.array([[0, 0, 0], [900, 0, 8], [-4, 8, 0], [7, 8, 8], [1, 4, 4]])
    hull = ConvexHull(square, 2)
    assert hull.vertices.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(
        hull.distance_um([[1e5, 4, 4], [-1e5, -3, 4], [0, 11, 12]]), [0, 3, 5], atol=1e-12
    )


def test_a_vertex_lies_outside_the_hull_of_the_others() -> None:
    points = np.random.default_rng(6).uniform(0, 100, (40, 3))
    is_vertex = ConvexHull(points).is_vertex(40)
    for i in range(40):
        others = ConvexHull(np.delete(points, i, axis=0))
        assert bool(others.distance_um(points[i])[0] > 0) == is_vertex[i]
    assert 0 < is_vertex.sum() < 40


def test_nan_stays_nan() -> None:
    for corners in (np.eye(3), np.vstack([np.eye(3), np.zeros(3)])):
        assert np.isnan(ConvexHull(corners).distance_um([[np.nan, 0, 0]])).all()


@pytest.mark.parametrize("points", [np.empty((0, 3)), [[0, np.nan, 0]], [[1, 2]]])
def test_no_hull_of_nothing(points: object) -> None:
    with pytest.raises(GeometryError):
        ConvexHull(points)  # type: ignore[arg-type]
