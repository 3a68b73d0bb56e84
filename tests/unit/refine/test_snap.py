"""Snapping to structures whose places are known by construction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.refine import View
from napari_bridgecorr.refine.snap import snap

VOXEL = (3.0, 1.5, 1.5)
SHAPE = (26, 52, 52)
# oblique to the world, as an MRI is
TURN = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, 0.6], [0.0, -0.6, 0.8]])
MEETING = np.array([38.3, 40.6, 37.7])
TUBE_UM = 3.0


def grid_of(shape: tuple[int, ...], voxel: tuple[float, ...]) -> Grid:
    matrix = np.eye(4)
    matrix[:3, :3] = TURN @ np.diag(voxel)
    matrix[:3, 3] = 100, -50, 20
    return Grid(shape, matrix)


def view_of(values: np.ndarray, voxel: tuple[float, ...] = VOXEL) -> View:
    from dask.array import from_array

    level = from_array(values[None, None].astype(np.float32))
    image = SpatialImage(
        (level,), (grid_of(values.shape, voxel),), (Channel("a"),), Source(Path("a"), "memory")
    )
    return View(image)


def places(shape: tuple[int, ...] = SHAPE, voxel: tuple[float, ...] = VOXEL) -> np.ndarray:
    """(z, y, x, 3) um along the image's own axes."""
    return np.moveaxis(np.indices(shape), 0, -1) * voxel


def tube(at: np.ndarray, start: np.ndarray, direction: np.ndarray, reach: float) -> np.ndarray:
    """A straight tube of Gaussian profile that begins at `start`."""
    direction = direction / np.linalg.norm(direction)
    along = np.clip((at - start) @ direction, 0, reach)
    away = np.linalg.norm(at - start - along[..., None] * direction, axis=-1)
    return np.exp(-(away**2) / (2 * TUBE_UM**2))


def to_world(view: View, own_um: np.ndarray) -> np.ndarray:
    grid = view.image.grid
    return grid.to_world((own_um / grid.voxel_size_um)[None])[0]


def noisy(values: np.ndarray, sigma: float = 0.06) -> np.ndarray:
    return values + np.random.default_rng(7).normal(0, sigma, values.shape)


BRANCHES = np.array([[1.0, 0.2, -0.1], [-0.5, 0.9, 0.3], [-0.4, -0.8, 0.5]])


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("click", [(3.0, -4.0, 2.0), (-4.0, 3.0, 4.0), (0.5, 5.0, -4.0)])
def test_a_branching(sign: float, click: tuple[float, float, float]) -> None:
    at = places()
    values = np.max([tube(at, MEETING, d, 60) for d in BRANCHES], axis=0)
    view = view_of(5 + sign * noisy(values))
    found = snap(view, to_world(view, MEETING + click), 12.0)
    assert found is not None
    assert found.kind == "branching"
    assert found.is_bright == (sign > 0)
    error = np.array(found.place_um) - to_world(view, MEETING)
    assert np.linalg.norm(error) < 1.0  # a third of the voxel's length
    assert found.distance_um == pytest.approx(
        np.linalg.norm(np.array(found.place_um) - to_world(view, MEETING + click))
    )


def test_a_centre_line_keeps_the_place_along_it() -> None:
    at = places()
    direction = np.array([0.3, 0.7, 0.6])
    direction /= np.linalg.norm(direction)
    values = tube(at, MEETING - 60 * direction, direction, 120)
    view = view_of(noisy(values))
    for along, off in ((0.0, 4.0), (9.0, 5.0), (-7.0, 3.0)):
        across = np.cross(direction, [1.0, 0, 0])
        across /= np.linalg.norm(across)
        click = MEETING + along * direction + off * across
        found = snap(view, to_world(view, click), 10.0)
        assert found is not None
        assert found.kind == "centre line"
        truth = to_world(view, MEETING + along * direction)
        assert np.linalg.norm(np.array(found.place_um) - truth) < 0.5


def test_a_spot_among_others() -> None:
    at = places()
    values = np.zeros(SHAPE)
    spots = MEETING + np.array([[0.0, 0, 0], [0, 22, 0], [3, -20, 9]])
    for spot in spots:
        values += np.exp(-np.sum((at - spot) ** 2, axis=-1) / (2 * 4.0**2))
    view = view_of(noisy(values, 0.03))
    found = snap(view, to_world(view, MEETING + [2.0, 4.0, -3.0]), 10.0)
    assert found is not None
    assert found.kind == "spot"
    assert np.linalg.norm(np.array(found.place_um) - to_world(view, MEETING)) < 0.3
    assert snap(view, to_world(view, MEETING + [2.0, 4.0, -3.0]), 10.0, ("branching",)) is None


def test_a_flat_image() -> None:
    shape, voxel = (1, 90, 90), (10.0, 0.8, 0.8)
    at = places(shape, voxel)
    meeting = np.array([0.0, 36.2, 34.9])
    flat = [np.array([0.0, np.sin(a), np.cos(a)]) for a in np.radians([20, 150, 265])]
    values = np.max([tube(at, meeting, d, 60) for d in flat], axis=0)
    view = view_of(noisy(values), voxel)
    found = snap(view, to_world(view, meeting + [0.0, 3.0, -3.0]), 10.0)
    assert found is not None
    assert found.kind == "branching"
    assert np.linalg.norm(np.array(found.place_um) - to_world(view, meeting)) < 0.8


def test_nothing_in_noise_and_beyond_the_data() -> None:
    rng = np.random.default_rng(11)
    found = []
    for _ in range(6):
        view = view_of(rng.normal(0, 1, (12, 16, 16)))
        found.append(snap(view, to_world(view, np.array([16.0, 12.0, 12.0])), 9.0))
    assert sum(f is not None for f in found) <= 1
    view = view_of(np.ones(SHAPE))
    assert snap(view, to_world(view, MEETING), 10.0) is None
    assert snap(view, np.array([1e6, 0, 0]), 10.0) is None
    view = view_of(np.full(SHAPE, np.nan))
    assert snap(view, to_world(view, MEETING), 10.0) is None
