"""Where voxels are."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.geometry.grid import apply_affine

lengths = st.floats(0.01, 1000)
places = st.floats(-1e5, 1e5)
sizes = st.integers(1, 40)
triples = st.tuples


@st.composite
def oblique_grids(draw: st.DrawFn) -> Grid:
    rotation = Rotation.from_rotvec(draw(triples(*[st.floats(-3, 3)] * 3))).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * draw(triples(lengths, lengths, lengths))
    matrix[:3, 3] = draw(triples(places, places, places))
    return Grid(draw(triples(sizes, sizes, sizes)), matrix)


def centres(grid: Grid) -> np.ndarray:
    return grid.to_world(np.indices(grid.shape).reshape(3, -1).T)


def test_integer_index_is_a_voxel_centre() -> None:
    grid = Grid.from_spacing((3, 4, 5), (10, 2, 1), (100, 200, 300))
    np.testing.assert_array_equal(grid.to_world([[0, 0, 0]]), [[100, 200, 300]])
    np.testing.assert_array_equal(grid.to_world([[2, 3, 4]]), [[120, 206, 304]])
    np.testing.assert_array_equal(grid.centre_um, [110, 203, 302])
    assert grid.voxel_size_um == (10, 2, 1)
    assert grid.voxel_volume_um3 == pytest.approx(20, rel=1e-14)
    assert grid.n_voxels == 60


def test_corners_lie_half_a_voxel_outside() -> None:
    corners = Grid.from_spacing((3, 4, 5), (10, 2, 1), (100, 200, 300)).corners()
    expected = {(z, y, x) for z in (95, 125) for y in (199, 207) for x in (299.5, 304.5)}
    assert {tuple(c) for c in corners.tolist()} == expected


@given(oblique_grids(), triples(*[st.floats(-50, 50)] * 3))
def test_index_and_world_are_inverse(grid: Grid, index: tuple[float, float, float]) -> None:
    world = grid.to_world([index])
    expected = grid.index_to_world @ [*index, 1.0]
    np.testing.assert_allclose(world[0], expected[:3], rtol=0, atol=1e-9)
    # 1e5 um away, a double resolves 1e-11 um; voxels are 0.01 um at least
    np.testing.assert_allclose(grid.to_index(world)[0], index, rtol=0, atol=1e-7)


@given(oblique_grids())
def test_volume_is_the_product_of_the_sizes(grid: Grid) -> None:
    assert grid.voxel_volume_um3 == pytest.approx(np.prod(grid.voxel_size_um), rel=1e-9)
    np.testing.assert_allclose(grid.centre_um, grid.corners().mean(axis=0), rtol=0, atol=1e-6)


@given(oblique_grids(), st.integers(0, 2**32 - 1))
def test_contains_is_the_box_of_the_corners(grid: Grid, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inside = rng.uniform(-0.49, np.asarray(grid.shape) - 0.51, (20, 3))
    outside = inside.copy()
    axis = rng.integers(0, 3, 20)
    low = rng.random(20) < 0.5
    ends = np.where(low, -0.51, np.asarray(grid.shape)[axis] - 0.49)
    outside[np.arange(20), axis] = ends
    assert grid.contains(grid.to_world(inside)).all()
    assert not grid.contains(grid.to_world(outside)).any()
    beyond = grid.beyond(grid.to_world(outside))
    np.testing.assert_array_equal(beyond, np.eye(3, dtype=bool)[axis])
    assert not grid.beyond(grid.to_world(outside), 0.02).any()


def test_nothing_contains_nan() -> None:
    assert not Grid.from_spacing((2, 2, 2), 1.0).contains([[0, np.nan, 0]])[0]


def test_apply_affine_rounds_each_point_alike() -> None:
    rng = np.random.default_rng(0)
    matrix, points = np.eye(4), rng.normal(size=(500, 3))
    matrix[:3] = rng.normal(size=(3, 4))
    together = apply_affine(matrix, points)
    alone = np.vstack([apply_affine(matrix, p) for p in points])
    np.testing.assert_array_equal(together, alone)


# planes


@given(
    normal=triples(*[st.floats(-1, 1)] * 3),
    up=triples(*[st.floats(-1, 1)] * 3),
    spacing=triples(lengths, lengths, lengths),
    shape=triples(sizes, sizes, sizes),
    centre=triples(places, places, places),
)
def test_plane(normal, up, spacing, shape, centre) -> None:  # type: ignore[no-untyped-def]
    n, u = np.array(normal), np.array(up)
    if np.linalg.norm(n) < 1e-3 or np.linalg.norm(np.cross(n, u)) < 1e-3:
        return
    grid = Grid.plane(centre, normal, shape, spacing, up)
    axes = grid.index_to_world[:3, :3] / spacing
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), rtol=0, atol=1e-10)
    assert np.linalg.det(axes) == pytest.approx(1, abs=1e-10)  # right-handed: no mirror image
    np.testing.assert_allclose(axes[:, 0], n / np.linalg.norm(n), rtol=0, atol=1e-10)
    # decreasing iy is as near to `up` as the plane allows: nothing of up lies along ix
    assert -axes[:, 1] @ u > 0
    assert axes[:, 2] @ u == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(grid.centre_um, centre, rtol=0, atol=1e-6)
    assert grid.shape == shape


def test_plane_across_z_is_the_axis_aligned_grid() -> None:
    plane = Grid.plane((20, 30, 40), (2, 0, 0), (5, 7, 9), (10, 2, 1))
    expected = Grid.from_spacing((5, 7, 9), (10, 2, 1), (0, 24, 36))
    np.testing.assert_allclose(plane.index_to_world, expected.index_to_world, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("normal", "up", "message"),
    [
        ((0, 0, 0), (0, -1, 0), "normal must be"),
        ((np.nan, 0, 0), (0, -1, 0), "normal must be"),
        ((np.inf, 0, 0), (0, -1, 0), "normal must be"),
        ((0, 3, 0), (0, -1, 0), "parallel to its up"),
        ((1, 0, 0), (0, 0, 0), "parallel to its up"),
        ((1, 0, 0), (np.nan, 0, 0), "not finite"),
    ],
)
def test_planes_that_are_none(normal: tuple, up: tuple, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        Grid.plane((0, 0, 0), normal, (1, 2, 3), 1.0, up)


# grids from grids


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_averaged_is_offset_by_half_a_coarse_voxel(k: int) -> None:
    grid = Grid.from_spacing((16, 32, 64), (4, 2, 1), (100, 200, 300))
    factor = 2**k
    coarse = grid.averaged((1, factor, factor))
    assert coarse.shape == (16, 32 // factor, 64 // factor)
    assert coarse.voxel_size_um == (4, 2 * factor, factor)
    offset = (factor - 1) / 2
    np.testing.assert_array_equal(
        coarse.to_world([[0, 0, 0]]), [[100, 200 + 2 * offset, 300 + offset]]
    )


@given(oblique_grids(), triples(*[st.integers(1, 5)] * 3))
def test_averaged_centres_are_the_means_of_the_centres(
    grid: Grid, factors: tuple[int, int, int]
) -> None:
    shape = tuple(n * f for n, f in zip((2, 3, 2), factors, strict=True))
    fine = Grid(shape, grid.index_to_world)
    coarse = fine.averaged(factors)
    z, y, x = factors
    expected = centres(fine).reshape(2, z, 3, y, 2, x, 3).mean(axis=(1, 3, 5)).reshape(-1, 3)
    np.testing.assert_allclose(centres(coarse), expected, rtol=0, atol=1e-6)


def test_averaged_keeps_the_last_incomplete_voxel() -> None:
    assert Grid.from_spacing((5, 7, 9), 1.0).averaged((2, 3, 4)).shape == (3, 3, 3)


@given(oblique_grids(), triples(lengths, lengths, lengths))
def test_at_spacing_keeps_the_low_faces_and_covers_the_extent(
    grid: Grid, ratio: tuple[float, float, float]
) -> None:
    # coarser and finer, but not so fine that a shape overflows memory's indices
    spacing = np.asarray(grid.voxel_size_um) * np.clip(ratio, 0.1, 10)
    other = grid.at_spacing(spacing)
    np.testing.assert_allclose(other.voxel_size_um, spacing, rtol=1e-9)
    faces = other.to_world([[-0.5, -0.5, -0.5]])
    tolerance = 1e-6
    np.testing.assert_allclose(faces, grid.to_world([[-0.5, -0.5, -0.5]]), rtol=0, atol=tolerance)
    extent = np.asarray(grid.shape) * grid.voxel_size_um
    covered = np.asarray(other.shape) * spacing
    assert np.all(covered >= extent * (1 - 1e-6))
    assert np.all(covered < (extent + spacing) * (1 + 1e-6))
    directions = grid.index_to_world[:3, :3] / grid.voxel_size_um
    np.testing.assert_allclose(
        other.index_to_world[:3, :3] / spacing, directions, rtol=0, atol=1e-9
    )


def test_at_spacing_high_faces_coincide_when_they_can() -> None:
    grid = Grid.from_spacing((33, 100, 100), (3, 1, 1))
    other = grid.at_spacing((99, 25, 50))
    assert other.shape == (1, 4, 2)
    np.testing.assert_allclose(other.corners(), grid.corners(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("spacing", [0, -1, np.nan, np.inf, (1, 0, 1)])
def test_at_spacing_refuses_what_is_no_spacing(spacing: object) -> None:
    with pytest.raises(GeometryError, match="spacing must be positive"):
        Grid.from_spacing((2, 2, 2), 1.0).at_spacing(spacing)  # type: ignore[arg-type]


@given(oblique_grids(), st.data())
def test_block_is_a_part_of_the_grid(grid: Grid, data: st.DataObject) -> None:
    start = [data.draw(st.integers(0, n - 1)) for n in grid.shape]
    stop = [data.draw(st.integers(a + 1, n)) for a, n in zip(start, grid.shape, strict=True)]
    block = grid.block(start, stop)
    index = np.indices(block.shape).reshape(3, -1).T
    np.testing.assert_allclose(centres(block), grid.to_world(index + start), rtol=0, atol=1e-7)


def test_an_empty_block_is_refused() -> None:
    with pytest.raises(GeometryError):
        Grid.from_spacing((4, 4, 4), 1.0).block((0, 2, 0), (4, 2, 4))


# values


@given(oblique_grids())
def test_json_round_trip_is_exact(grid: Grid) -> None:
    back = Grid.from_dict(json.loads(json.dumps(grid.to_dict())))
    assert back == grid
    assert hash(back) == hash(grid)


def test_equal_grids_have_one_hash() -> None:
    negative_zero = np.eye(4)
    negative_zero[0, 1] = -0.0
    a, b = Grid((1, 2, 3), np.eye(4)), Grid((1, 2, 3), negative_zero)
    assert a == b
    assert hash(a) == hash(b)
    assert a != Grid((3, 2, 1), np.eye(4))
    assert a != Grid.from_spacing((1, 2, 3), 2.0)
    assert a != "a grid"


def test_a_grid_cannot_be_changed() -> None:
    matrix = np.eye(4)
    grid = Grid((1, 2, 3), matrix)
    matrix[0, 3] = 5
    assert grid.index_to_world[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        grid.index_to_world[0, 0] = 2


def affine(**entries: float) -> np.ndarray:
    matrix = np.eye(4)
    for place, value in entries.items():
        matrix[int(place[1]), int(place[2])] = value
    return matrix


@pytest.mark.parametrize(
    ("shape", "matrix", "message"),
    [
        ((0, 2, 3), np.eye(4), "three positive sizes"),
        ((-1, 2, 3), np.eye(4), "three positive sizes"),
        ((2, 3), np.eye(4), "three positive sizes"),
        ((1, 2, 3), np.eye(3), "4 x 4"),
        ((1, 2, 3), affine(_03=np.nan), "not finite"),
        ((1, 2, 3), affine(_11=np.inf), "not finite"),
        ((1, 2, 3), affine(_11=0.0), "zero along an axis"),
        ((1, 2, 3), affine(_30=0.1), "last row"),
        ((1, 2, 3), affine(_11=1.0, _21=1.0, _12=1.0), "squashes"),
    ],
)
def test_what_is_no_grid_is_refused(shape: tuple, matrix: np.ndarray, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        Grid(shape, matrix)


@pytest.mark.parametrize("size_um", [1e-3, 1.0, 1e4])
def test_any_unit_of_length_is_legal(size_um: float) -> None:
    assert Grid.from_spacing((2, 2, 2), size_um).voxel_volume_um3 == pytest.approx(size_um**3)
