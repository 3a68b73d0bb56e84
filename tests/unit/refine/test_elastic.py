"""The elastic map against a known bend; it leaves alone what does not bend."""

import numpy as np
import pytest
from refine_pictures import image_of, moved, texture

from napari_bridgecorr.errors import Cancelled, RefineError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.refine.dense import refine_elastic
from napari_bridgecorr.refine.elastic_match import resampled_shift, volumes
from napari_bridgecorr.refine.structure import Structure
from napari_bridgecorr.transform import Affine, transform_from_dict


def bent_pair(amplitude, seed=0):
    """Fixed and moving picture, points in the tissue and where they lie in the moving one."""
    tissue = texture((130, 140), 2)
    rng = np.random.default_rng(seed)

    def bend(p):
        wave = 2 * np.pi * p / 140
        return amplitude * np.column_stack([np.sin(wave[:, 1]), np.cos(wave[:, 0] + 0.5)])

    # the moving picture is made by pulling: its point q shows the fixed point q + bend(q)
    second = 0.9 - 0.8 * moved(tissue, lambda q: q + bend(q)) ** 0.8
    second += 0.02 * rng.normal(size=second.shape)
    y, x = np.meshgrid(np.linspace(35, 95, 7), np.linspace(35, 95, 7), indexing="ij")
    there = np.column_stack([y.ravel(), x.ravel()])
    here = there + bend(there)
    pair = [image_of(v[None, None].astype(np.float32), (5.0, 2.0, 2.0)) for v in (tissue, second)]
    as_um = [np.column_stack([np.zeros(49), 2 * p]) for p in (here, there)]
    return *pair, *as_um


@pytest.fixture(scope="module")
def bent():
    return bent_pair(3.0)


@pytest.fixture(scope="module")
def found(bent):
    return refine_elastic(bent[0], bent[1], Affine.identity())


def test_a_known_bend_is_found(bent, found):
    _, _, here, there = bent
    before = np.linalg.norm(here - there, axis=1)
    after = np.linalg.norm(found.transform.map(here) - there, axis=1)
    assert np.median(before) > 5
    assert np.median(after) < 0.8  # um, of pixels of 2 um
    assert found.metric_after > found.metric_before
    assert found.unseen_gain > 0.05
    assert "bent" in found.verdict


def test_it_is_a_transform_like_any_other(bent, found):
    _, _, here, _ = bent
    there = found.transform.map(here)
    np.testing.assert_allclose(found.transform.inverse().map(there), here, atol=1e-5)
    again = transform_from_dict(found.transform.to_dict())
    np.testing.assert_array_equal(again.map(here), there)
    assert np.all(found.transform.jacobian_determinant(here) > 0)
    corners = bent[0].grid.corners()
    assert np.isfinite(found.transform.map(corners)).all()


def test_what_does_not_bend_is_left_alone():
    fixed, moving, _, _ = bent_pair(0.0)
    result = refine_elastic(fixed, moving, Affine.identity())
    assert result.stiffness is None
    assert isinstance(result.transform, Affine)
    assert "not bent" in result.verdict


def test_another_sample_is_not_bent_to_fit():
    fixed, _, _, _ = bent_pair(0.0)
    other = texture((130, 140), 11)[None, None].astype(np.float32)
    result = refine_elastic(fixed, image_of(other, (5.0, 2.0, 2.0)), Affine.identity())
    assert result.least_volume > 0
    assert result.unseen_gain < 0.5


def test_cancelled_gives_the_start(bent):
    class Stops:
        def begin(self, _task, _total):
            pass

        def advance(self, _steps=1):
            raise Cancelled

    start = Affine.identity()
    result = refine_elastic(bent[0], bent[1], start, progress=Stops())
    assert result.transform is start
    assert not result.is_complete


def test_a_start_far_off_is_refused(bent):
    far = Affine.from_parts(np.eye(3), (0.0, 1e5, 0.0))
    with pytest.raises(RefineError, match="no overlap"):
        refine_elastic(bent[0], bent[1], far)


def test_volumes_and_other_grids():
    y, x = np.indices((20, 30)).astype(float)
    shift = np.stack([0 * y, 0.1 * y, -0.2 * x])[:, None]
    np.testing.assert_allclose(volumes(shift), 1.1 * 0.8)
    ones = np.ones((1, 20, 30), np.float32)
    fine = Structure(ones, ones, Grid.from_spacing((1, 20, 30), 2.0), False)
    coarse_grid = Grid.from_spacing((1, 5, 7), (2.0, 8.0, 8.0))
    coarse = Structure(ones[:, :5, :7], ones[:, :5, :7], coarse_grid, False)
    found = resampled_shift(shift, fine, coarse)
    # four fine voxels to a coarse one
    np.testing.assert_allclose(found[1, 0, 2], 0.1 * 8 / 4, atol=1e-12)
    np.testing.assert_allclose(found[2, 0, 0], -0.2 * 4 * np.arange(7) / 4, atol=1e-12)
