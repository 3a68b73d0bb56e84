"""The brightest place along a line, where it is known by construction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dask.array import from_array

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.refine import View
from napari_bridgecorr.refine.ray_pick import brightest_on_line, line_meets

VOXEL = np.array([3.0, 1.0, 1.5])


def view_of(values: np.ndarray) -> View:
    matrix = np.diag([*VOXEL, 1.0])
    matrix[:3, 3] = 10, 20, 30
    level = from_array(values[None, None].astype(np.float32))
    grid = Grid(values.shape, matrix)
    return View(SpatialImage((level,), (grid,), (Channel("a"),), Source(Path("a"), "memory")))


def test_the_middle_of_what_is_brightest_along_the_line() -> None:
    shape = (20, 40, 30)
    at = np.moveaxis(np.indices(shape), 0, -1) * VOXEL
    spot, dim = np.array([33.0, 22.0, 21.0]), np.array([9.0, 10.0, 12.0])
    values = np.exp(-np.sum((at - spot) ** 2, axis=-1) / (2 * 4.0**2))
    values += 0.5 * np.exp(-np.sum((at - dim) ** 2, axis=-1) / (2 * 4.0**2))
    view = view_of(values)
    direction = spot - dim
    found = brightest_on_line(view, dim + [10, 20, 30] - 7 * direction, direction)
    assert np.allclose(found, spot + [10, 20, 30], atol=0.6)
    saturated = view_of(np.minimum(values, 0.4))
    found = brightest_on_line(saturated, spot + [10, 20, 30], [0.0, 1.0, 0.0])
    assert np.allclose(found, spot + [10, 20, 30], atol=0.6)


def test_a_line_that_says_nothing() -> None:
    view = view_of(np.ones((4, 5, 6)))
    assert brightest_on_line(view, [12.0, 22.0, 33.0], [1.0, 0, 0]) is None
    view = view_of(np.random.default_rng(0).random((4, 5, 6)))
    assert brightest_on_line(view, [12.0, 22.0, 330.0], [1.0, 0, 0]) is None
    assert brightest_on_line(view, [12.0, 22.0, 33.0], [0.0, 0, 0]) is None
    assert not line_meets(view.image.grid, [12.0, 22.0, 330.0], [1.0, 0, 0])
    assert line_meets(view.image.grid, [500.0, 22.0, 33.0], [-1.0, 0, 0])
