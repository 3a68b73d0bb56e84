"""What a screen shows of the moving image, against SciPy and against the whole resampling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dask.array import from_array
from scipy.ndimage import map_coordinates

from napari_bridgecorr.errors import Cancelled
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.geometry.view import (
    ShownPlane,
    checkerboard,
    curtain,
    round_length_um,
    shown_plane,
)
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.resampling.view import HeldLevel, view_level, warped_view
from napari_bridgecorr.transform import Affine

FRAME = np.eye(4)
BOUNDS = np.array([[-1.0, -1.0, -1.0], [39.0, 63.0, 79.0]])


def smooth_image(n_levels: int = 3, n_channels: int = 2) -> SpatialImage:
    """Voxels of 2 x 1 x 1 um and their means over 2, 4 voxels in the plane."""
    z, y, x = np.indices((20, 64, 80), dtype=np.float32)
    values = np.stack([np.sin(z / 5) + np.cos(y / 9) * np.sin(x / 7), z + y + x])[:n_channels]
    levels, grids = [], []
    grid = Grid.from_spacing((20, 64, 80), (2, 1, 1))
    for k in range(n_levels):
        if k:
            values = values.reshape(*values.shape[:2], values.shape[2] // 2, 2, -1, 2).mean((3, 5))
            grid = grid.averaged((1, 2, 2))
        levels.append(from_array(values[None].astype(np.float32), chunks=-1))
        grids.append(grid)
    return SpatialImage(
        tuple(levels),
        tuple(grids),
        tuple(Channel(f"C{i}") for i in range(n_channels)),
        Source(Path("smooth"), "memory"),
    )


def tilted() -> Affine:
    angle = np.deg2rad(17)
    turn = np.eye(4)
    turn[0, 0] = turn[2, 2] = np.cos(angle)
    turn[0, 2], turn[2, 0] = -np.sin(angle), np.sin(angle)
    turn[:3, 3] = (6.0, -3.0, 2.0)
    return Affine(turn)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pixels_lie_where_the_screen_shows_them_whichever_axis_is_hidden(axis: int) -> None:
    view = np.array([[5.0, 7.0, 11.0], [21.0, 33.0, 52.0]])
    plane = shown_plane(BOUNDS, view, axis, 12.0, 2.0, 0.5, margin=0.0)  # type: ignore[arg-type]
    assert plane is not None
    seen = [a for a in range(3) if a != axis]
    assert plane.shape == tuple(int((view[1] - view[0])[a] / 0.5) + 1 for a in seen)
    world = plane.grid(FRAME).to_world([[0, 0, 0], [0, plane.shape[0] - 1, plane.shape[1] - 1]])
    assert np.allclose(world[:, axis], 12.0)
    assert np.allclose(world[:, seen], view[:, seen])
    # the layer's own indices say the same
    index = np.zeros(4)
    index[seen], index[3] = np.array(plane.shape) - 1, 1
    assert np.allclose((plane.to_canvas() @ index)[:3], world[1])
    assert plane.layer_shape[axis] == 1


def test_a_view_is_cut_to_the_image_and_keeps_its_pixels_when_it_moves() -> None:
    view = np.array([[0.0, -500.0, 30.0], [0.0, 500.0, 500.0]])
    plane = shown_plane(BOUNDS, view, 0, 3.0, 2.0, 0.3)
    assert plane is not None
    rows, columns = plane.coordinates_um(0), plane.coordinates_um(1)
    assert -1 <= rows[0] < -0.7
    assert 62.7 < rows[-1] <= 63
    assert columns[-1] <= 79
    moved = shown_plane(BOUNDS, view + 0.77, 0, 3.0, 2.0, 0.3)
    assert moved is not None
    assert np.allclose((moved.coordinates_um(1)[0] - columns[0]) / 0.3 % 1, 0)
    assert shown_plane(BOUNDS, view + 1000, 0, 3.0, 2.0, 0.3) is None
    assert shown_plane(BOUNDS, view, 0, 40.0, 2.0, 0.3) is None
    assert shown_plane(BOUNDS, np.full((2, 3), np.nan), 0, 3.0, 2.0, 0.3) is None
    lying = shown_plane(BOUNDS * 1e9, view * 1e9, 0, 3.0, 2.0, 0.3)
    assert lying is not None
    assert lying.shape[0] * lying.shape[1] < 7e7


def test_a_coarser_plane_covers_the_same_rectangle() -> None:
    plane = ShownPlane(0, 4.0, 2.0, 0.25, (-40, 8), (800, 400))
    coarse = plane.coarser(5000)
    assert 4000 < coarse.shape[0] * coarse.shape[1] < 6000
    for k in (0, 1):
        assert abs(coarse.coordinates_um(k)[0] - plane.coordinates_um(k)[0]) <= coarse.step_um
        assert abs(coarse.coordinates_um(k)[-1] - plane.coordinates_um(k)[-1]) <= coarse.step_um
    assert plane.coarser(10**9) is plane


def test_the_view_is_what_scipy_interpolates_there() -> None:
    image = smooth_image(1)
    plane = ShownPlane(0, 13.0, 2.0, 0.4, (30, 20), (90, 120))
    grid = plane.grid(FRAME)
    index = np.stack(np.meshgrid([0], range(90), range(120), indexing="ij"), -1).reshape(-1, 3)
    at = image.grid.to_index(tilted().map(grid.to_world(index))).T
    expected = map_coordinates(image.data[0, 1].compute(), at, order=1, cval=np.nan)
    found = warped_view(image, tilted(), grid, channel=1).ravel()
    known = np.isfinite(expected)
    assert known.sum() > 5000
    # the place may be off by a tenth of a voxel; the ramp climbs by 1 a voxel along each axis
    assert np.abs(found[known] - expected[known]).max() < 0.2


def test_the_level_is_the_coarsest_that_shows_all_that_pixels_can() -> None:
    image = smooth_image(3)
    identity = Affine(np.eye(4))
    levels = [
        view_level(image, identity, ShownPlane(0, 10.0, 2.0, step, (1, 1), (8, 8)).grid(FRAME))
        for step in (0.3, 1.0, 1.39, 1.41, 2.7, 2.9, 50.0)
    ]
    assert levels == [0, 0, 0, 1, 1, 2, 2]
    doubled = Affine(np.diag([2.0, 2.0, 2.0, 1.0]))
    grid = ShownPlane(0, 10.0, 2.0, 1.45, (1, 1), (8, 8)).grid(FRAME)
    assert view_level(image, doubled, grid) == 2


def test_a_coarser_level_shows_the_same_place() -> None:
    image = smooth_image(3)
    grid = ShownPlane(0, 10.0, 2.0, 3.0, (3, 3), (15, 18)).grid(FRAME)
    assert view_level(image, tilted(), grid) == 2
    coarse = warped_view(image, tilted(), grid)
    fine = warped_view(smooth_image(1), tilted(), grid)
    known = np.isfinite(coarse) & np.isfinite(fine)
    assert known.mean() > 0.5
    # half a coarse voxel aside the sines would differ by 0.3
    assert np.abs(coarse - fine)[known].max() < 0.12


def test_a_level_that_is_held_shows_the_same_and_follows_the_image() -> None:
    image, held = smooth_image(3), HeldLevel()
    for step, channel in ((0.5, 0), (0.5, 1), (3.0, 1)):
        grid = ShownPlane(0, 10.0, 2.0, step, (3, 3), (15, 18)).grid(FRAME)
        plain = warped_view(image, tilted(), grid, channel)
        for _ in range(2):
            again = warped_view(image, tilted(), grid, channel, held=held)
            assert np.allclose(again, plain, atol=1e-5, equal_nan=True)
    shift = np.eye(4)
    shift[:3, 3] = (0, 3, 0)
    moved = replace(
        image, grids=tuple(Grid(g.shape, shift @ g.index_to_world) for g in image.grids)
    )
    grid = ShownPlane(0, 10.0, 2.0, 3.0, (3, 3), (15, 18)).grid(FRAME)
    plain = warped_view(moved, tilted(), grid, 1)
    again = warped_view(moved, tilted(), grid, 1, held=held)
    assert np.allclose(again, plain, atol=1e-5, equal_nan=True)


def test_stopping_is_heard_between_tiles() -> None:
    image = smooth_image(1)

    class Stops:
        def begin(self, _task: str, total: int) -> None:
            assert total == 4

        def advance(self, _steps: int = 1) -> None:
            raise Cancelled

    grid = ShownPlane(0, 13.0, 2.0, 0.25, (20, 20), (200, 200)).grid(FRAME)
    with pytest.raises(Cancelled):
        warped_view(image, tilted(), grid, progress=Stops())


def test_tiles_and_edges_stay_in_place_while_the_view_moves() -> None:
    plane = ShownPlane(1, 0.0, 1.0, 0.5, (-30, 7), (50, 60))
    moved = ShownPlane(1, 0.0, 1.0, 0.5, (-20, 17), (40, 50))
    assert np.array_equal(checkerboard(plane, 4.0)[10:, 10:], checkerboard(moved, 4.0))
    assert checkerboard(plane, 4.0).mean() == pytest.approx(0.5, abs=0.05)
    across = curtain(plane, 1, 10.0)
    assert np.array_equal(across[0], plane.coordinates_um(1) >= 10.0)
    assert np.array_equal(curtain(plane, 0, -3.0)[:, 0], plane.coordinates_um(0) >= -3.0)
    assert [round_length_um(v) for v in (0.99, 1.0, 4.9, 73.0)] == [0.5, 1.0, 2.0, 50.0]
