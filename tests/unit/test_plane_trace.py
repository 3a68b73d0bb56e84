"""A plane seen on the other image's slices: on the true curve, all of it, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from napari_bridgecorr.geometry import Grid, Plane
from napari_bridgecorr.transform import Affine, Transform
from napari_bridgecorr.transform.plane_trace import plane_trace

GRID = Grid.from_spacing((40, 60, 60), (5, 5, 5))
PLANE = Plane.from_normal((100, 150, 150), (1, 0.4, -0.2))
# (z = 90, y, x) in the other image
Y, X = np.meshgrid(np.linspace(0, 300, 61), np.linspace(0, 300, 61), indexing="ij")
SHEET = np.stack([np.full_like(Y, 90.0), Y, X], axis=-1)


class Bent(Transform):
    """Depth that grows with the square of y."""

    def map(self, points):  # type: ignore[no-untyped-def]
        moved = np.array(points, dtype=float)
        moved[:, 0] += 1e-3 * (moved[:, 1] - 150) ** 2
        return moved

    def inverse(self):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def jacobian(self, points):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def to_dict(self):  # type: ignore[no-untyped-def]
        raise NotImplementedError


def length(pieces: np.ndarray) -> float:
    return float(np.linalg.norm(pieces[:, 1] - pieces[:, 0], axis=1).sum())


def test_of_an_affine_map_it_is_the_straight_line_that_both_share() -> None:
    turn = np.deg2rad(8)
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    matrix[:3, 3] = (4.0, 30.0, -12.0)
    transform = Affine(matrix)
    pieces = plane_trace(transform, PLANE, GRID, SHEET)
    np.testing.assert_allclose(
        PLANE.place(transform.map(pieces.reshape(-1, 3)))[:, 0], 0, atol=1e-9
    )
    np.testing.assert_array_equal(pieces[..., 0], 90.0)
    assert GRID.contains(transform.map(pieces.reshape(-1, 3))).all()
    # its length, by where the line leaves the sheet or the image: found by fine sampling
    normal = matrix[:3, :3].T @ np.array(PLANE.normal)
    x = np.linspace(0, 300, 200_001)
    level = normal @ np.linalg.solve(matrix[:3, :3], np.array(PLANE.origin_um) - matrix[:3, 3])
    line = np.stack(
        [np.full_like(x, 90.0), (level - normal[0] * 90 - normal[2] * x) / normal[1], x]
    )
    is_there = (line[1] >= 0) & (line[1] <= 300) & GRID.contains(transform.map(line.T))
    way = np.linalg.norm(line[:, 1] - line[:, 0])
    assert length(pieces) == pytest.approx(way * is_there.sum(), abs=3 * 5 * np.sqrt(2))


def test_of_a_bent_map_it_is_the_curve_to_the_square_of_a_cell() -> None:
    pieces = plane_trace(Bent(), PLANE, GRID, SHEET)
    off = PLANE.place(Bent().map(pieces.reshape(-1, 3)))[:, 0]
    # linear over a cell of 5 um: curvature 2e-3 per um, an eighth of its square
    assert 0 < np.abs(off).max() < 2e-3 * 5**2 / 8 * 2
    straight = plane_trace(Affine(np.eye(4)), PLANE, GRID, SHEET)
    beside = PLANE.place(Bent().map(straight.reshape(-1, 3)))[:, 0]
    assert np.abs(beside).max() > 5  # a straight line would not do


def test_where_the_plane_is_missed_or_the_map_unknown_there_is_nothing() -> None:
    away = PLANE.shifted(1000)
    assert plane_trace(Affine(np.eye(4)), away, GRID, SHEET).shape == (0, 2, 3)

    class Unknown(Bent):
        def map(self, points):  # type: ignore[no-untyped-def]
            return np.full((len(points), 3), np.nan)

    assert len(plane_trace(Unknown(), PLANE, GRID, SHEET)) == 0
