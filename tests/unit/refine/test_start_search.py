"""A start without landmarks, on pictures whose relation is known."""

import numpy as np
import pytest
from refine_pictures import brightfield, image_of, moved, texture
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import Cancelled, RefineError
from napari_bridgecorr.refine.search import find_start

STAIN, OTHER = (0.5, 1.4, 0.7), (1.1, 0.9, 0.3)


def turned(shape, degrees, shift, mirror=False):
    """Fixed index to moving index in the plane, as (2, 3)."""
    a = np.deg2rad(degrees)
    linear = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    if mirror:
        linear = linear @ np.diag([1.0, -1.0])
    centre = (np.asarray(shape) - 1) / 2
    return np.column_stack([linear, centre + np.asarray(shift) - linear @ centre])


def pair_of(degrees, shift, *, seed=1, mirror=False, invert=False):
    """Two pictures of one tissue, the second turned and stained otherwise; the true map."""
    tissue = texture((120, 140), seed)
    forward = turned(tissue.shape, degrees, shift, mirror)
    back = np.linalg.inv(forward[:, :2])
    second = moved(tissue, lambda p: (p - forward[:, 2]) @ back.T)
    rng = np.random.default_rng(seed)
    second = second**0.7 + 0.03 * rng.normal(size=second.shape)
    other = brightfield(second, OTHER)
    return brightfield(tissue, STAIN), 255 - other if invert else other, forward


def error_of(transform, forward):
    """Largest distance between the found and the true place of points in the tissue (um)."""
    y, x = np.meshgrid(np.linspace(35, 85, 5), np.linspace(40, 100, 5), indexing="ij")
    points = np.column_stack([np.zeros(25), y.ravel(), x.ravel()])
    true = points[:, 1:] @ forward[:, :2].T + forward[:, 2]
    return np.linalg.norm(transform.map(points)[:, 1:] - true, axis=1).max()


@pytest.mark.parametrize(
    ("degrees", "shift", "invert"), [(17, (9, -14), False), (-128, (-6, 8), True)]
)
def test_any_rotation_and_another_stain(degrees, shift, invert):
    first, second, forward = pair_of(degrees, shift, invert=invert)
    result = find_start(image_of(first), image_of(second))
    assert error_of(result.transform, forward) < 1.0
    assert result.is_clear
    assert "clear" in result.verdict


def test_mirrored_only_where_it_is_allowed():
    first, second, forward = pair_of(60, (3, 5), mirror=True)
    result = find_start(image_of(first), image_of(second), allow_mirror=True)
    assert error_of(result.transform, forward) < 1.0
    assert result.candidates[0].is_mirrored
    plain = find_start(image_of(first), image_of(second))
    assert not any(c.is_mirrored for c in plain.candidates)
    assert plain.candidates[0].score < result.candidates[0].score


def test_another_sample_is_doubtful():
    first, _, _ = pair_of(0, (0, 0), seed=1)
    _, second, _ = pair_of(40, (5, 5), seed=7)
    result = find_start(image_of(first), image_of(second))
    assert not result.is_clear
    assert result.confidence < 0.5
    assert "DOUBTFUL" in result.verdict


def test_sizes_are_physical():
    """The same picture with pixels half as large lies where the micrometres say."""
    first, second, forward = pair_of(30, (4, -6))
    fixed = image_of(first, (1.0, 3.0, 3.0))
    result = find_start(fixed, image_of(second, (1.0, 3.0, 3.0)), model="rigid")
    points = np.array([[0.0, 120.0, 180.0], [0.0, 240.0, 240.0]])
    true = (points[:, 1:] / 3) @ forward[:, :2].T + forward[:, 2]
    np.testing.assert_allclose(result.transform.map(points)[:, 1:] / 3, true, atol=1.0)
    linear = result.transform.matrix[:3, :3]
    np.testing.assert_allclose(linear @ linear.T, np.eye(3), atol=1e-9)


def test_volumes_at_any_rotation():
    tissue = texture((22, 24, 26), 3)
    turn = Rotation.from_rotvec([100, 40, -60], degrees=True).as_matrix()
    centre = (np.asarray(tissue.shape) - 1) / 2
    shift = np.array([1.5, -2.0, 1.0])
    # fixed p lies at turn (p - centre) + centre + shift of the moving one
    second = moved(tissue, lambda p: (p - centre - shift) @ turn + centre)
    rng = np.random.default_rng(0)
    second = 1 - second + 0.02 * rng.normal(size=second.shape)
    result = find_start(
        image_of(tissue[None].astype(np.float32), (50.0, 50.0, 50.0)),
        image_of(second[None].astype(np.float32), (50.0, 50.0, 50.0)),
        model="rigid",
    )
    points = centre + np.random.default_rng(1).uniform(-5, 5, (20, 3))
    true = (points - centre) @ turn.T + centre + shift
    found = result.transform.map(points * 50) / 50
    assert np.linalg.norm(found - true, axis=1).max() < 1.0
    assert result.is_clear


def test_images_without_anything_to_match_are_refused():
    first, _, _ = pair_of(0, (0, 0))
    even = np.full((1, 1, 50, 50), 7, np.uint16)
    with pytest.raises(RefineError, match="same everywhere"):
        find_start(image_of(first), image_of(even))
    with pytest.raises(RefineError, match="flat"):
        find_start(image_of(first), image_of(np.zeros((1, 5, 9, 9), np.float32)))


class StopsAfter:
    """Progress that cancels in a task of a certain name."""

    def __init__(self, task, steps):
        self.task, self.steps, self.now = task, steps, ""

    def begin(self, task, _total):
        self.now = task

    def advance(self, steps=1):
        if self.now == self.task:
            self.steps -= steps
            if self.steps < 0:
                raise Cancelled


def test_cancelling_gives_the_best_so_far_or_nothing():
    first, second, _ = pair_of(25, (4, 4))
    images = image_of(first), image_of(second)
    early = StopsAfter("trying rotations", 5)
    with pytest.raises(Cancelled):
        find_start(*images, progress=early)
    late = StopsAfter("refining the best starts", 3)
    result = find_start(*images, progress=late)
    assert not result.is_complete
    assert result.confidence < 0.5
    assert "stopped" in result.verdict
