"""Climbing to a known affine, and the slope of the score against differences."""

import numpy as np
import pytest
from refine_pictures import image_of, moved, texture

from napari_bridgecorr.refine.linear_match import Comparison, corner_distance, match_linear
from napari_bridgecorr.refine.sampling_kernels import sample_affine
from napari_bridgecorr.refine.structure import structure_of


def test_sampled_values_are_scipys():
    from scipy.ndimage import map_coordinates

    rng = np.random.default_rng(0)
    image = rng.normal(size=(6, 7, 8)).astype(np.float32)
    matrix = np.eye(4)
    matrix[:3] = [[0.9, 0.1, 0, 0.4], [-0.1, 1.0, 0.05, 0.3], [0.02, 0, 1.1, -0.2]]
    values, inside = np.empty((2, 5, 5, 5), np.float32)
    slopes = np.empty((3, 5, 5, 5), np.float32)
    sample_affine(image, np.ones_like(image), matrix, values, inside, slopes)
    index = np.indices((5, 5, 5)).reshape(3, -1).astype(float)
    at = matrix[:3, :3] @ index + matrix[:3, 3:]
    known = np.all((at >= 0) & (at <= np.array([[5], [6], [7]])), axis=0)
    expected = map_coordinates(image.astype(float), at, order=1)
    np.testing.assert_allclose(values.ravel()[known], expected[known], atol=1e-5)
    assert np.all(inside.ravel()[known] > 0.999)
    step = 1e-4
    for axis in range(3):
        nudge = np.zeros((3, 1))
        nudge[axis] = step
        ahead = map_coordinates(image.astype(float), at + nudge, order=1)
        behind = map_coordinates(image.astype(float), at - nudge, order=1)
        inner = known & np.all(np.abs(at - np.round(at)) > 2 * step, axis=0)
        np.testing.assert_allclose(
            slopes[axis].ravel()[inner], ((ahead - behind) / (2 * step))[inner], atol=1e-3
        )


@pytest.mark.parametrize("shape", [(1, 60, 70), (24, 26, 28)])
def test_a_known_affine_is_found(shape):
    flat = shape[0] == 1
    tissue = texture(shape[1:] if flat else shape, 4).reshape(shape)
    rng = np.random.default_rng(0)
    true = np.eye(4)
    change = 0.03 * rng.normal(size=(3, 3))
    shift = rng.normal(size=3)
    if flat:
        change[0] = change[:, 0] = 0
        shift[0] = 0
    centre = (np.asarray(shape) - 1) / 2
    true[:3, :3] += change
    true[:3, 3] = centre + shift - true[:3, :3] @ centre
    back = np.linalg.inv(true)
    second = moved(tissue, lambda p: p @ back[:3, :3].T + back[:3, 3])
    fixed, other = (
        structure_of(image_of(v[None].astype(np.float32)), 80) for v in (tissue, 1 - second)
    )
    comparison = Comparison(fixed, other, 3)
    found = match_linear(comparison, np.eye(4), "affine")
    # within the tissue, which does not reach the corners
    points = centre + rng.uniform(-0.25, 0.25, (50, 3)) * (np.asarray(shape) - 1)
    apart = (found.matrix - true)[:3]
    error = np.linalg.norm(points @ apart[:, :3].T + apart[:, 3], axis=1)
    assert corner_distance(np.eye(4), true, np.asarray(shape)) > 1.0
    assert error.max() < 0.5  # voxels of a small, twice interpolated volume
    assert found.score > comparison.evaluate(np.eye(4)).score
