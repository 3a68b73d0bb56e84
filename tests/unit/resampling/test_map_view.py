"""Pictures of what a map does, beside maps whose every derivative is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.fitting import FitOptions, error_model, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.geometry.view import ShownPlane
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.resampling.map_view import (
    bent_grid,
    error_range,
    errors,
    folds,
    straight_part,
)
from napari_bridgecorr.transform import Affine, Transform

PLANE = ShownPlane(0, 40.0, 10.0, 2.0, (0, 0), (300, 400))
FRAME = np.eye(4)


class Wave(Transform):
    """x -> x + height sin(x / length) along x; it folds where height > length."""

    def __init__(self, height: float, length: float) -> None:
        self.height, self.length = height, length

    def map(self, points_um: ArrayLike) -> NDArray[np.float64]:
        p = np.array(points_um, dtype=np.float64)
        p[:, 2] += self.height * np.sin(p[:, 2] / self.length)
        return p

    def jacobian(self, points_um: ArrayLike) -> NDArray[np.float64]:
        p = np.asarray(points_um, dtype=np.float64)
        found = np.repeat(np.eye(3)[None], len(p), axis=0)
        found[:, 2, 2] += self.height / self.length * np.cos(p[:, 2] / self.length)
        return found

    def to_dict(self) -> dict[str, Any]:
        return {}


class Nowhere(Wave):
    """A map that is defined nowhere."""

    def map(self, points_um: ArrayLike) -> NDArray[np.float64]:
        return np.full((len(np.asarray(points_um)), 3), np.nan)


def test_the_lines_of_the_grid_lie_where_the_map_puts_them() -> None:
    wave = Wave(30.0, 100.0)
    found = bent_grid(wave, PLANE, FRAME, np.eye(4))
    assert found.spacing_um == 50.0
    x = np.arange(400) * 2.0
    at = wave.map(np.column_stack([np.zeros((400, 2)), x]))[:, 2]
    # the middle between two lines along y: only lines along x cross this row
    row = found.values[round(25 / 2.0)]
    crossed = np.flatnonzero(np.diff(np.floor(at / 50.0)))
    assert len(crossed) == 15 + 1
    for column in crossed:
        assert max(row[column], row[column + 1]) > 0.4
    far = np.abs(at / 50.0 - np.round(at / 50.0)) > 0.15
    assert not row[far].any()
    assert found.bend_um == pytest.approx(30.0, rel=0.01)


def test_a_map_without_bending_leaves_the_grid_square() -> None:
    turn = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]) * 1.3
    affine = Affine.from_parts(turn, np.array([5.0, -40.0, 3.0]))
    grid = Grid.from_spacing((20, 60, 80), (10.0, 10.0, 10.0))
    found = bent_grid(affine, PLANE, FRAME, straight_part(affine, grid))
    assert found.bend_um < 1e-6
    covered = found.values > 0.5
    # whole rows and columns, every 25 pixels
    assert set(np.flatnonzero(covered.all(axis=1))) == set(range(0, 300, 25))
    assert set(np.flatnonzero(covered.all(axis=0))) == set(range(0, 400, 25))
    # of a map that bends, what does not bend is least squares
    matrix = straight_part(Wave(1e-9, 100.0), grid)
    assert np.allclose(matrix, np.eye(4), atol=1e-9)
    with pytest.raises(GeometryError, match="not defined"):
        straight_part(Nowhere(1.0, 1.0), grid)


def test_folds_are_where_the_determinant_says() -> None:
    none = folds(Wave(50.0, 100.0), PLANE, FRAME)
    assert none.share == 0
    assert np.isnan(none.values).all()
    assert (none.least, none.greatest) == pytest.approx((0.5, 1.5), abs=0.01)
    found = folds(Wave(150.0, 100.0), PLANE, FRAME)
    x = np.arange(400) * 2.0
    truly = 1 + 1.5 * np.cos(x / 100.0) <= 0
    marked = np.isfinite(found.values).any(axis=0)
    assert (marked != truly).sum() <= 2  # at the edges of a fold
    assert found.share == pytest.approx(truly.mean(), abs=0.01)
    # stripes: half of what is folded
    assert np.isfinite(found.values[:, truly]).mean() == pytest.approx(0.5, abs=0.05)


def test_errors_are_the_models() -> None:
    rng = np.random.default_rng(0)
    fixed = rng.uniform(0, 800, (20, 3))
    pairs = LandmarkPairs(tuple(map(str, range(20))), fixed, fixed + rng.normal(0, 8, (20, 3)))
    made = fit(pairs, FitOptions("affine"))
    model = error_model(pairs, made.transform, "affine", 3, made.noise, made.evidence)
    found = errors(model, PLANE, FRAME)
    assert found.shape == PLANE.shape
    places = np.array([(10, 20), (150, 200), (290, 390)])
    world = np.column_stack([np.full(3, 40.0), places * 2.0])
    assert np.allclose(found[tuple(places.T)], model.radius(world, 0.68), rtol=0.02)
    low, high = error_range(model, Grid.from_spacing((8, 80, 80), (100.0, 10.0, 10.0)))
    assert 0 < low < high
