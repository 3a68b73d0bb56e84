"""A view carried through a map: place and size against analytic truth and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.transform import Affine
from napari_bridgecorr.transform.local_view import local_view


def test_turned_scaled_and_moved() -> None:
    turn = np.array([[1, 0, 0], [0, 0.6, -0.8], [0, 0.8, 0.6]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag([5.0, 2.0, 3.0])
    matrix[:3, 3] = 10, 20, 30
    found = local_view(Affine(matrix), (1, 2, 3), np.eye(3)[1:])
    assert found is not None
    assert np.allclose(found.point_um, matrix[:3, :3] @ [1, 2, 3] + [10, 20, 30])
    assert found.scale == pytest.approx(np.sqrt(2 * 3))
    whole = local_view(Affine(matrix), (1, 2, 3))
    assert whole is not None
    assert whole.scale == pytest.approx(30 ** (1 / 3))
    line = local_view(Affine(matrix), (1, 2, 3), [[0, 0, 7.0]])
    assert line is not None
    assert line.scale == pytest.approx(3)
    back = local_view(Affine(matrix).inverse(), found.point_um)
    assert back is not None
    assert np.allclose(back.point_um, (1, 2, 3))
    assert back.scale == pytest.approx(1 / whole.scale)


def test_a_bend_has_its_own_scale_everywhere() -> None:
    rng = np.random.default_rng(3)
    fixed = rng.uniform(0, 100, (12, 3))
    moving = 1.5 * fixed + rng.normal(0, 4, fixed.shape)
    ids = tuple(f"L{i}" for i in range(12))
    bend = fit(LandmarkPairs(ids, fixed, moving), FitOptions()).transform
    point, step = np.array([40.0, 50.0, 60.0]), 1e-4
    corners = np.array([point, point + [0, step, 0], point + [0, 0, step]])
    mapped = bend.map(corners)
    area = np.linalg.norm(np.cross(*(mapped[1:] - mapped[0]))) / step**2
    found = local_view(bend, point, np.eye(3)[1:])
    assert found is not None
    assert np.allclose(found.point_um, mapped[0])
    assert found.scale == pytest.approx(np.sqrt(area), rel=1e-4)


def test_where_nothing_is_spanned_there_is_no_view() -> None:
    assert local_view(Affine(np.eye(4)), (0, 0, 0), [[1, 0, 0], [2, 0, 0]]) is None
