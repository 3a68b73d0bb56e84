"""The engine finds a known step between oblique, rotated, contrast-inverted views of one texture.

The texture is a sum of plane waves, so both images are exact and the truth is known to rounding.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import Cancelled, RefineError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.geometry.grid import apply_affine
from napari_bridgecorr.simple_itk import EngineImage, EngineOptions, metric_value, register
from napari_bridgecorr.simple_itk.options import Metric, StepKind
from napari_bridgecorr.transform import DisplacementField

FloatArray = NDArray[np.float64]
Triple = tuple[float, float, float]
VOXEL_UM = 15.0
FEW: Any = {"shrink": (2, 1), "smoothing_um": (0, 0)}


def texture(points: FloatArray) -> FloatArray:
    rng = np.random.default_rng(5)
    waves, phases = rng.normal(0, 0.02, (50, 3)), rng.uniform(0, 2 * np.pi, 50)
    return np.cos(points @ waves.T + phases).sum(axis=1)


def turned(
    angles_deg: tuple[float, float, float], about: FloatArray, shift: FloatArray
) -> FloatArray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("zyx", angles_deg, degrees=True).as_matrix()
    matrix[:3, 3] = about - matrix[:3, :3] @ about + shift
    return matrix


def points_of(grid: Grid) -> FloatArray:
    return grid.to_world(np.indices(grid.shape).reshape(3, -1).T)


class Scene:
    """Fixed and moving image; ``start`` after ``step`` is the true map."""

    def __init__(self, flat: bool = False) -> None:
        angles = (0.0, 0.0, 0.0) if flat else (40.0, 5.0, -8.0)
        axes = turned(angles, np.zeros(3), np.array([-300.0, 100.0, 4000.0]))
        shape = (1, 60, 60) if flat else (20, 28, 30)
        self.fixed_grid = Grid(shape, axes @ np.diag([20.0, VOXEL_UM, VOXEL_UM, 1.0]))
        centre = self.fixed_grid.centre_um
        if flat:
            true = turned((15.0, 0.0, 0.0), centre, np.array([0.0, 900.0, -70.0]))
            true[:3, :3] = np.eye(3)
            c, s = np.cos(0.2), np.sin(0.2)
            true[1:3, 1:3] = [[c, -s], [s, c]]
            true[:3, 3] = centre - true[:3, :3] @ centre + [0, 900, -70]
            self.step = np.eye(4)
            self.step[:3, 3] = (0, 20, -14)
        else:
            true = turned((10.0, -20.0, 15.0), centre, np.array([700.0, -800.0, 30.0]))
            self.step = turned((2.5, -1.5, 2.0), centre, np.array([16.0, -10.0, 12.0]))
        self.start = true @ np.linalg.inv(self.step)
        moving = Grid.from_spacing((1, 90, 90) if flat else (44, 44, 44), VOXEL_UM)
        place = np.eye(4)
        place[:3, 3] = apply_affine(true, centre)[0] - moving.centre_um
        self.moving_grid = Grid(moving.shape, place @ moving.index_to_world)
        self.fixed = self._seen(self.fixed_grid, points_of(self.fixed_grid), 1.0)
        there = apply_affine(np.linalg.inv(true), points_of(self.moving_grid))
        self.moving = self._seen(self.moving_grid, there, -1.0)

    @staticmethod
    def _seen(grid: Grid, points: FloatArray, contrast: float) -> EngineImage:
        noise = np.random.default_rng(int(contrast) + 1).normal(0, 0.3, len(points))
        values = (contrast * texture(points) + noise).reshape(grid.shape)
        return EngineImage(values.astype(np.float32), grid)

    def error_um(self, moved: FloatArray) -> float:
        """RMS distance from the true step over the fixed image's voxels."""
        away = moved - apply_affine(self.step, points_of(self.fixed_grid))
        return float(np.sqrt(np.mean(np.sum(away**2, axis=1))))

    def linear_error_um(self, matrix: FloatArray) -> float:
        return self.error_um(apply_affine(matrix, points_of(self.fixed_grid)))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("kind", ["rigid", "similarity", "affine"])
@pytest.mark.parametrize("metric", ["mi", "correlation"])
def test_a_known_step_is_found(scene: Scene, kind: StepKind, metric: Metric) -> None:
    found = register(
        scene.fixed,
        scene.moving,
        scene.start,
        EngineOptions(kind, metric, **FEW),
    )
    assert scene.linear_error_um(np.eye(4)) > 20
    assert found.matrix is not None
    assert scene.linear_error_um(found.matrix) < 0.04 * VOXEL_UM
    assert found.metric_after > found.metric_before
    assert not found.is_cancelled


def test_a_translation_takes_up_the_shift(scene: Scene) -> None:
    found = register(scene.fixed, scene.moving, scene.start, EngineOptions("translation"))
    assert found.matrix is not None
    np.testing.assert_allclose(found.matrix[:3, :3], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(found.matrix[:3, 3], (16, -10, 12), atol=0.25 * VOXEL_UM)


def test_a_flat_image_keeps_its_z() -> None:
    flat = Scene(flat=True)
    found = register(flat.fixed, flat.moving, flat.start, EngineOptions("rigid"))
    assert found.matrix is not None
    assert flat.linear_error_um(found.matrix) < 0.1 * VOXEL_UM
    np.testing.assert_array_equal(found.matrix[0], (1, 0, 0, 0))


def test_a_spline_step_starts_from_a_field(scene: Scene) -> None:
    coarse = scene.fixed_grid.at_spacing(60.0)
    around = coarse.block((-2, -2, -2), tuple(n + 2 for n in coarse.shape))
    points = points_of(around)
    moved = (apply_affine(scene.start, points) - points).T.reshape(3, *around.shape)
    options = EngineOptions(
        "bspline", "correlation", shrink=(2,), smoothing_um=(0,), mesh_um=250, iterations=12
    )
    found = register(scene.fixed, scene.moving, (around, moved), options)
    assert found.matrix is None
    assert found.field is not None
    grid, displacement = found.field
    there = apply_affine(scene.step, points_of(grid)) - points_of(grid)
    away = np.linalg.norm(displacement.reshape(3, -1).T - there, axis=1)
    assert np.linalg.norm(there, axis=1).mean() > 20
    assert np.median(away) < 0.25 * VOXEL_UM


def test_a_displacement_field_is_found_and_folds_nowhere(scene: Scene) -> None:
    options = EngineOptions(
        "displacement", "correlation", shrink=(2,), smoothing_um=(0,), iterations=25
    )
    found = register(scene.fixed, scene.moving, scene.start, options)
    assert found.metric_after > found.metric_before
    assert found.field is not None
    grid, displacement = found.field
    inside = np.zeros(grid.shape, dtype=bool)
    inside[3:-3, 4:-4, 4:-4] = True  # a rim has no neighbours that would pull it along
    there = (apply_affine(scene.step, points_of(grid)) - points_of(grid))[inside.ravel()]
    away = np.linalg.norm(displacement[:, inside].T - there, axis=1)
    assert np.median(away) < 0.5 * np.median(np.linalg.norm(there, axis=1))
    field = DisplacementField(grid, displacement)
    assert field.jacobian_determinant(points_of(grid)).min() > 0


def test_start_alone_is_measured_by_the_same_metric(scene: Scene) -> None:
    worse = metric_value(scene.fixed, scene.moving, scene.start)
    better = metric_value(scene.fixed, scene.moving, scene.start @ scene.step)
    assert better > worse + 0.1


def test_a_mask_hides_what_is_wrong(scene: Scene) -> None:
    values = scene.moving.array.copy()
    values[:, :24] = 300.0  # a bright slab where the texture should be
    mask = np.ones(values.shape, dtype=bool)
    mask[:, :24] = False
    options = EngineOptions("rigid", **FEW)
    hidden = register(
        scene.fixed, EngineImage(values, scene.moving_grid, mask), scene.start, options
    )
    gap = np.where(mask, values, np.nan).astype(np.float32)
    missing = register(scene.fixed, EngineImage(gap, scene.moving_grid), scene.start, options)
    for found in (hidden, missing):
        assert found.matrix is not None
        assert scene.linear_error_um(found.matrix) < 0.1 * VOXEL_UM


def test_the_same_seed_gives_the_same_step(scene: Scene) -> None:
    def matrix(seed: int) -> FloatArray:
        options = EngineOptions(
            "rigid", sampling=0.2, seed=seed, shrink=(2, 1), smoothing_um=(0, 0)
        )
        found = register(scene.fixed, scene.moving, scene.start, options).matrix
        assert found is not None
        return found

    first = matrix(0)
    np.testing.assert_array_equal(first, matrix(0))
    assert np.abs(first - matrix(1)).max() > 0


def test_cancelling_keeps_the_best_so_far(scene: Scene) -> None:
    seen: list[float] = []

    def watch(level: int, iteration: int, metric: float) -> None:
        if level == 1:
            seen.append(metric)
        if level == 1 and iteration == 3:
            raise Cancelled

    options = EngineOptions("rigid", **FEW)
    found = register(scene.fixed, scene.moving, scene.start, options, watch)
    assert found.is_cancelled
    assert found.metric_after > found.metric_before
    np.testing.assert_allclose(found.metric_after, max(seen), rtol=1e-6)


@pytest.mark.qt_no_exception_capture
def test_a_fault_of_the_watcher_is_not_lost(scene: Scene) -> None:
    def watch(level: int, iteration: int, metric: float) -> None:
        raise ZeroDivisionError(f"{level} {iteration} {metric}")

    with pytest.raises(ZeroDivisionError):
        register(scene.fixed, scene.moving, scene.start, None, watch)


def test_images_apart_are_refused_with_advice(scene: Scene) -> None:
    far = scene.start.copy()
    far[:3, 3] += 1e5
    with pytest.raises(RefineError, match="do not overlap through this map"):
        register(scene.fixed, scene.moving, far)


def test_an_empty_image_is_refused_with_advice(scene: Scene) -> None:
    flat = EngineImage(np.ones(scene.moving_grid.shape, np.float32), scene.moving_grid)
    with pytest.raises(RefineError, match="moving image holds one value only"):
        register(scene.fixed, flat, scene.start)


def test_a_volume_is_not_registered_to_a_section(scene: Scene) -> None:
    with pytest.raises(RefineError, match="one of the images is flat"):
        register(scene.fixed, Scene(flat=True).moving)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "elastic"},
        {"metric": "ssd"},
        {"sampling": 0.0},
        {"shrink": (2, 1)},
        {"iterations": 0},
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RefineError):
        EngineOptions(**wrong)  # type: ignore[arg-type]
