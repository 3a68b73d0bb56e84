"""Bifurcations of drawn vessels, whose places are known."""

from __future__ import annotations

from pathlib import Path

import dask.array
import numpy as np
import pytest
from scipy import ndimage

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.vessels import detect, find_bifurcations

MIDDLE_UM = np.array([62.0, 71.0, 66.0])
ARMS = np.array([[0.9, 0.1, -0.42], [-0.5, 0.86, 0.1], [-0.3, -0.6, 0.74]])


def _fork(spacing: tuple[float, float, float], *, is_dark: bool) -> SpatialImage:
    shape = tuple(int(130 / s) for s in spacing)
    grid = Grid.from_spacing(shape, spacing)
    points = grid.to_world(np.argwhere(np.ones(shape, dtype=bool))) - MIDDLE_UM
    distance = np.full(len(points), np.inf)
    for arm in ARMS / np.linalg.norm(ARMS, axis=1, keepdims=True):
        along = np.clip(points @ arm, 0, None)
        distance = np.minimum(distance, np.linalg.norm(points - along[:, None] * arm, axis=1))
    values = ndimage.gaussian_filter(100.0 * (distance < 6).reshape(shape), 0.5)
    noise = np.random.default_rng(1).normal(0, 4, shape)
    data = (200 - values if is_dark else values) + noise
    level = dask.array.from_array(data[None, None].astype(np.float32))
    return SpatialImage((level,), (grid,), (Channel("v"),), Source(Path("fork"), "drawn"))


@pytest.mark.parametrize("is_dark", [False, True])
def test_a_fork_is_found_where_it_is(is_dark: bool) -> None:
    found = find_bifurcations(_fork((6.0, 3.0, 3.0), is_dark=is_dark), scale_um=5.0)
    assert found.polarity == ("dark" if is_dark else "bright")
    assert np.linalg.norm(found.points_um[0] - MIDDLE_UM) < 7.5
    assert found.degree[0] == 3
    arms = ARMS / np.linalg.norm(ARMS, axis=1, keepdims=True)
    nearest = (found.directions[0] @ arms.T).max(axis=1)
    assert nearest.min() > np.cos(np.deg2rad(30))
    assert len(found) == 1 or found.strength[1] < 0.5 * found.strength[0]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    image = _fork((5.0, 5.0, 5.0), is_dark=False)
    whole = find_bifurcations(image, polarity="bright")
    monkeypatch.setattr(detect, "_usual_strength", lambda *_: 1.0)
    one = find_bifurcations(image, polarity="bright", scale_um=6.0)
    monkeypatch.setattr(detect, "_BLOCK_VOXELS", 17)
    many = find_bifurcations(image, polarity="bright", scale_um=6.0)
    assert len(whole) >= 1
    assert len(one) == len(many)
    np.testing.assert_allclose(one.points_um[0], many.points_um[0], atol=1e-6)


def test_an_image_without_vessels_has_none() -> None:
    level = dask.array.zeros((1, 1, 20, 20, 20), dtype=np.float32)
    grid = Grid.from_spacing((20, 20, 20), 2.0)
    image = SpatialImage((level,), (grid,), (Channel("v"),), Source(Path("empty"), "drawn"))
    assert len(find_bifurcations(image)) == 0
