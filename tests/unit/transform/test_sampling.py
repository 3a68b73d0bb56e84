"""Sampled fields: the stated error holds everywhere, at landmarks too, and is nearly tight."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from transform_samples import BOX_UM, affine, field, spline

from napari_bridgecorr.errors import GeometryError, TransformError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.transform import (
    Affine,
    Chain,
    DisplacementField,
    ThinPlateSpline,
    Transform,
)
from napari_bridgecorr.transform import sampling as sampling_module
from napari_bridgecorr.transform.sampling import (
    at_spacing,
    grid_for,
    interpolation_error,
    landmark_box,
    sample_field,
)

BOX = Grid.from_spacing((1, 1, 1), BOX_UM, BOX_UM / 2)


def turned_box() -> Grid:
    matrix = np.eye(4)
    turn = Rotation.from_rotvec((0.3, -0.5, 0.2)).as_matrix()
    matrix[:3, :3] = turn * BOX_UM
    matrix[:3, 3] = BOX_UM / 2
    return Grid((1, 1, 1), matrix)


def one_cone(at_um: tuple[float, float, float]) -> ThinPlateSpline:
    """A spline whose only bend is one landmark's cone, of slope 0.25."""
    fixed = np.array([at_um])
    weights = [[0.0, 15.0, 20.0]]
    polynomial = np.column_stack([100 * np.eye(3), np.zeros(3)])
    return ThinPlateSpline(fixed, fixed, weights, polynomial, np.zeros(3), 100.0)


def hard_points(grid: Grid, marks: np.ndarray, seed: int) -> np.ndarray:
    """Random points, the landmarks, points close to them, and the middles of their cells."""
    rng = np.random.default_rng(seed)
    upper = np.asarray(grid.shape) - 1.0
    index = [rng.uniform(0, 1, (5_000, 3)) * upper]
    at = grid.to_index(marks)
    for size in (0.0, 1e-3, 0.1, 0.5):
        index.append((at + rng.normal(0, size, (50, *at.shape))).reshape(-1, 3))
    index.append(np.floor(at) + 0.5)
    return grid.to_world(np.clip(np.concatenate(index), 0, upper))


def deviations(transform: Transform, grid: Grid, points: np.ndarray) -> np.ndarray:
    """Distances between a transform and its field of float64, read by our own interpolation."""
    sampled = DisplacementField.sample(transform, grid)
    return np.linalg.norm(sampled.map(points) - transform.map(points), axis=1)


CASES = {
    "few landmarks": (lambda: spline(n=8), 20.0, 2.0),
    "fine": (lambda: spline(n=30), 12.0, 2.0),
    "coarse": (lambda: spline(n=30), 40.0, 3.0),
    "many landmarks": (lambda: spline(n=120), 14.0, 3.0),
    "planar": (lambda: spline(n=12, dimensions=2), 10.0, 4.0),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("box", ["straight", "turned"])
def test_no_point_is_further_off_than_stated(name: str, box: str) -> None:
    make, spacing, most = CASES[name]
    transform = make()
    grid = (BOX if box == "straight" else turned_box()).at_spacing(spacing)
    error = interpolation_error(transform, grid)
    points = hard_points(grid, transform.fixed_um, seed=11)
    found = float(deviations(transform, grid, points).max())
    assert error.is_proven
    assert found <= error.bound_um
    assert error.found_um <= error.bound_um < most * max(found, error.found_um)


def test_the_bound_of_a_cone_in_the_middle_of_a_cell_is_reached() -> None:
    """There the error is the slope times half the cell's diagonal: sqrt(3) / 2 h |w|."""
    grid = Grid.from_spacing((8, 8, 8), 10.0)
    transform = one_cone((35.0, 35.0, 35.0))
    exact = 0.25 * np.sqrt(3) / 2 * 10
    error = interpolation_error(transform, grid)
    np.testing.assert_allclose(error.found_um, exact, rtol=1e-9)
    assert exact <= error.bound_um <= 1.11 * exact
    at = deviations(transform, grid, np.array([[35.0, 35.0, 35.0]]))
    np.testing.assert_allclose(at, exact, rtol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_bounds_hold_for_any_place_of_a_cone_in_its_cell(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = rng.uniform(3, 20, 3)
    grid = Grid.from_spacing((6, 7, 8), steps)
    where = rng.uniform(1, 4, 3).round(seed % 2) * steps
    transform = one_cone(tuple(where))
    error = interpolation_error(transform, grid)
    points = hard_points(grid, where[None], seed)
    assert deviations(transform, grid, points).max() <= error.bound_um


def test_affine_maps_round_a_spline_are_part_of_the_bound() -> None:
    before = Affine.from_parts(np.diag([0.5, 1.2, 1.0]), (30.0, 40.0, 50.0))
    after = Affine.from_parts(2 * np.eye(3), (1.0, 2.0, 3.0))
    inner = spline()
    transform = Chain(Chain(before, inner), after)
    box = landmark_box(transform)
    assert box is not None
    grid = box.at_spacing((30.0, 20.0, 25.0))
    error = interpolation_error(transform, grid)
    points = hard_points(grid, before.inverse().map(inner.fixed_um), seed=3)
    found = deviations(transform, grid, points).max()
    assert error.is_proven
    assert found <= error.bound_um < 3 * found


def test_exact_maps_have_no_error() -> None:
    grid = Grid.from_spacing((5, 6, 7), 50.0)
    assert interpolation_error(affine(), grid).bound_um == 0
    own = field()
    assert interpolation_error(own, own.grid).bound_um == 0
    assert interpolation_error(Chain(own, affine()), own.grid).bound_um == 0
    assert interpolation_error(own, at_spacing(own.grid, (50.0, 50.0, 50.0))).bound_um > 0


def test_what_is_not_proven_is_said_to_be_so() -> None:
    inverse = spline().inverse()
    box = landmark_box(inverse)
    assert box is not None
    grid = box.at_spacing(60.0)
    error = interpolation_error(inverse, grid)
    assert not error.is_proven
    assert 0 < error.found_um < error.bound_um


@pytest.mark.parametrize("dimensions", [3, 2])
@pytest.mark.parametrize("tolerance", [0.5, 3.0, 30.0])
def test_the_grid_keeps_the_tolerance_and_is_not_needlessly_fine(
    dimensions: int, tolerance: float
) -> None:
    transform = spline(n=15, dimensions=dimensions)
    grid = grid_for(transform, BOX, tolerance)
    error = interpolation_error(transform, grid)
    assert error.bound_um <= tolerance
    coarser = grid_for(transform, BOX, 3 * tolerance)
    assert coarser.n_voxels < grid.n_voxels or grid.n_voxels < 400
    corners = grid.to_index(BOX.corners())
    assert corners.min() >= -1e-6
    assert np.all(corners <= np.asarray(grid.shape) - 1 + 1e-6)


def test_the_tolerance_gives_way_to_the_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling_module, "MOST_VECTORS", 20_000)
    transform = spline()
    grid = grid_for(transform, BOX, 0.01)
    assert 5_000 < grid.n_voxels <= 20_000
    sampled = sample_field(transform, grid)
    assert sampled.error.bound_um > 0.01
    points = hard_points(grid, transform.fixed_um, seed=1)
    off = np.linalg.norm(sampled.field.map(points) - transform.map(points), axis=1)
    assert off.max() <= sampled.error.bound_um
    with pytest.raises(GeometryError, match="larger than"):
        at_spacing(BOX, (1.0, 1.0, 1.0))


def test_blocks_make_the_same_field(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = BOX.at_spacing(90.0)
    whole = sample_field(spline(), grid).field.displacement_um
    monkeypatch.setattr(sampling_module, "_BLOCK_POINTS", 1)
    np.testing.assert_array_equal(
        sample_field(spline(), grid).field.displacement_um, whole, strict=True
    )
    assert whole.dtype == np.float32


def test_a_box_beyond_the_map_is_refused() -> None:
    with pytest.raises(TransformError, match="not defined in the whole box"):
        sample_field(field(), Grid.from_spacing((3, 3, 3), 5000.0))
    for tolerance in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(GeometryError, match="tolerance"):
            grid_for(spline(), BOX, tolerance)


def test_where_the_landmarks_are() -> None:
    transform = spline()
    box = landmark_box(transform)
    assert box is not None
    assert box.contains(transform.fixed_um).all()
    assert landmark_box(affine()) is None
    assert landmark_box(Chain(field(), affine())) == field().grid
    inverse = landmark_box(transform.inverse())
    assert inverse is not None
    assert inverse.contains(transform.moving_um).all()
