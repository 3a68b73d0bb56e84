"""Maps against analytic derivatives, their own values point by point, and block by block."""

from pathlib import Path

import numpy as np
import pytest

from napari_bridgecorr.evaluate import (
    Folding,
    JacobianDeterminant,
    OutsideHull,
    PredictedError,
    Quantity,
    lazy_map,
    maps,
)
from napari_bridgecorr.fitting import FitOptions, error_model, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.geometry.convex_hull import ConvexHull
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.transform import Affine, Chain, DisplacementField, Transform

GRID = Grid.plane((50, 480, 510), (1, 0.3, -0.2), (5, 41, 37), (40, 23, 25))


def clicks(n: int = 25) -> LandmarkPairs:
    rng = np.random.default_rng(12)
    fixed = rng.uniform(0, 1000, (n, 3)) * (0.4, 1, 1)
    moving = fixed * (1.1, 0.9, 1.0) + 60 * np.sin(fixed[:, ::-1] / 250) + rng.normal(0, 4, (n, 3))
    return LandmarkPairs(tuple(f"L{i}" for i in range(n)), fixed, moving)


def values(quantity: Quantity, grid: Grid = GRID) -> np.ndarray:
    return np.asarray(lazy_map(quantity, grid).data.compute())[0, 0]


def centres(grid: Grid = GRID) -> np.ndarray:
    return grid.to_world(np.indices(grid.shape).reshape(3, -1).T)


def by_differences(transform: Transform, points: np.ndarray, step: float = 1e-2) -> np.ndarray:
    columns = [
        (transform.map(points + step * e) - transform.map(points - step * e)) / (2 * step)
        for e in np.eye(3)
    ]
    return np.linalg.det(np.stack(columns, axis=-1))


def test_jacobian_of_an_affine_is_its_determinant() -> None:
    matrix = np.array([[2, 0.1, 0], [0, 0.5, 0.3], [-0.2, 0, 1.5]])
    found = values(JacobianDeterminant(Affine.from_parts(matrix, (1, 2, 3))))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.linalg.det(matrix), rtol=1e-6)


@pytest.mark.parametrize("kind", ["spline", "inverse", "chain", "planar"])
def test_jacobian_is_the_derivative(kind: str) -> None:
    spline = fit(clicks(), FitOptions("tps", 10.0, 2 if kind == "planar" else 3)).transform
    transform = {
        "inverse": spline.inverse(),
        "chain": Chain(spline, Affine.from_parts(2 * np.eye(3), (0, 0, 9))),
    }.get(kind, spline)
    grid = Grid((3, 9, 8), GRID.index_to_world @ np.diag([2.0, 5, 5, 1]))
    found = values(JacobianDeterminant(transform), grid)
    expected = by_differences(transform, centres(grid))
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-4)
    assert np.ptp(found) > 0.05


def test_folds_are_where_space_turns_over() -> None:
    # x -> x + 80 cos(x / 40): the slope 1 - 2 sin(x / 40) is below 0 where the sine exceeds 1/2
    grid = Grid.from_spacing((3, 3, 4001), (10, 10, 0.25))
    x = centres(grid)[:, 2].reshape(grid.shape)
    displacement = np.zeros((3, *grid.shape))
    displacement[2] = 80 * np.cos(x / 40)
    field = DisplacementField(grid, displacement)
    asked = Grid.from_spacing((1, 1, 900), (10, 10, 1.0), (10, 10, 20.1))
    expected = np.sin(centres(asked)[:, 2] / 40) > 0.5
    clear = np.abs(np.sin(centres(asked)[:, 2] / 40) - 0.5) > 0.02
    found = values(Folding(field), asked).ravel()
    assert set(found) == {0.0, 1.0}
    np.testing.assert_array_equal(found[clear], expected[clear])
    determinant = values(JacobianDeterminant(field), asked).ravel()
    np.testing.assert_array_equal(found == 1, determinant <= 0)


def test_a_mirror_folds_and_beyond_the_domain_nothing_is_known() -> None:
    assert values(Folding(Affine.from_parts(np.diag([1.0, 1, -1]), (0, 0, 0)))).min() == 1
    box = Grid.from_spacing((2, 2, 2), 10.0)
    field = DisplacementField(box, np.zeros((3, 2, 2, 2)))
    wide = Grid.from_spacing((1, 1, 6), 10.0)
    for quantity, inside in ((Folding(field), 0.0), (JacobianDeterminant(field), 1.0)):
        found = values(quantity, wide).ravel()
        np.testing.assert_array_equal(found[:2], inside)
        assert np.isnan(found[2:]).all()


def quantities() -> list[Quantity]:
    pairs = clicks()
    spline = fit(pairs, FitOptions()).transform
    return [
        JacobianDeterminant(spline),
        Folding(spline),
        OutsideHull(ConvexHull(pairs.fixed_um)),
        PredictedError(error_model(pairs, spline, "tps"), len(pairs)),
    ]


@pytest.mark.parametrize("which", range(4))
def test_a_voxel_has_the_value_at_its_centre_whatever_the_blocks(
    which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantity = quantities()[which]
    whole = values(quantity)
    direct = quantity.at(centres()).astype(np.float32).reshape(GRID.shape)
    np.testing.assert_allclose(whole, direct, rtol=1e-6, atol=1e-6)
    monkeypatch.setattr(maps, "_CHUNK", (2, 7, 16))
    monkeypatch.setattr(maps, "_BATCH_NUMBERS", 1)  # parts of the smallest size
    np.testing.assert_allclose(values(quantity), whole, rtol=1e-6, atol=1e-6)
    part = lazy_map(quantity, GRID).data[0, 0, 1:3, 5:30, 10:11].compute()
    np.testing.assert_allclose(part, whole[1:3, 5:30, 10:11], rtol=1e-6, atol=1e-6)


def test_the_predicted_error_grows_outside_the_hull() -> None:
    pairs = clicks()
    error, hull = quantities()[3], quantities()[2]
    wide = Grid.from_spacing((6, 20, 20), (120, 120, 120), (-100, -600, -600))
    predicted, distance = values(error, wide), values(hull, wide)
    assert predicted[distance > 300].min() > np.median(predicted[distance == 0])
    np.testing.assert_allclose(
        distance.ravel(), ConvexHull(pairs.fixed_um).distance_um(centres(wide)), rtol=1e-6
    )


class Counted:
    """Remembers how many points it was asked for at once."""

    name, description, n_terms = "counted", "counts", 1000

    def __init__(self) -> None:
        self.asked: list[int] = []

    def at(self, points_um: np.ndarray) -> np.ndarray:
        self.asked.append(len(points_um))
        return points_um[:, 2]


def test_a_map_larger_than_memory_costs_what_is_read() -> None:
    counted = Counted()
    huge = Grid.from_spacing((512, 4000, 4000), 1.0)  # 8 gigavoxels
    image = lazy_map(counted, huge)
    part = image.data[0, 0, 511, 2000, 3990:].compute()
    np.testing.assert_array_equal(part, np.arange(3990, 4000, dtype=np.float32))
    assert max(counted.asked) <= 2**21 // 1000
    assert sum(counted.asked) <= 16 * 256 * 256


@pytest.mark.parametrize("name", ["map.nii.gz", "map.ome.zarr", "map.ome.tif"])
def test_written_maps_open_where_they_were(tmp_path: Path, name: str) -> None:
    quantity = quantities()[2]
    grid = Grid.from_spacing((4, 20, 30), (50, 40, 30), (-10, 20, 30))
    write_image(lazy_map(quantity, grid), tmp_path / name)
    again = open_image(tmp_path / name)
    np.testing.assert_allclose(again.grid.index_to_world, grid.index_to_world, atol=1e-6)
    np.testing.assert_array_equal(again.data.compute()[0, 0], values(quantity, grid))
