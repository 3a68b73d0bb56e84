"""Local evidence: it finds known shifts, knows its error, and does not mind contrast."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_bridgecorr.errors import RefineError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.refine.evidence import ImageEvidence
from napari_bridgecorr.refine.pull_kernels import pull_means
from napari_bridgecorr.refine.working_image import WorkingImage

FINE = Grid.from_spacing((80, 90, 96), 2.0, (3.0, 5.0, -7.0))


def texture(seed: int = 0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(size=FINE.shape)
    return (100 * gaussian_filter(noise, 3.0, mode="wrap")).astype(np.float32)


def pair(
    contrast: float = -3.0, noise: float = 0.0
) -> tuple[WorkingImage, tuple[WorkingImage, ...]]:
    """Means of 4 x 4 x 4 fine voxels with another contrast, and the fine image itself."""
    fine = texture()
    coarse = fine[8:72, 8:80, 8:88].reshape(16, 4, 18, 4, 20, 4).mean(axis=(1, 3, 5))
    rng = np.random.default_rng(1)
    seen = 500 + contrast * coarse + noise * rng.normal(size=coarse.shape)
    grid = FINE.block((8, 8, 8), (72, 80, 88)).averaged((4, 4, 4))
    return WorkingImage(seen.astype(np.float32), grid), (WorkingImage(fine, FINE),)


@pytest.mark.parametrize("contrast", [-3.0, 0.5])
def test_a_known_shift_is_asked_back(contrast: float) -> None:
    images = ImageEvidence(*pair(contrast))
    shift = np.array([1.0, -0.6, 0.8])
    moved = images.points_um + shift
    for _ in range(4):
        seen = images.at(moved)
        asked = np.linalg.solve(seen.information.sum(axis=0), seen.score.sum(axis=0))
        moved = moved + asked
    assert np.abs(moved - images.points_um).max() < 0.05
    assert images.at(moved).explained() > 0.99


def test_the_stated_error_is_the_error() -> None:
    images = ImageEvidence(*pair(-3.0, noise=4.0))
    seen = images.at(images.points_um)
    covariance = np.linalg.inv(seen.information)
    asked = np.einsum("nij,nj->ni", covariance, seen.score)
    squared = np.einsum("ni,nij,nj->n", asked, seen.information, asked) / 3
    assert 0.6 < squared.mean() < 1.6


def test_slopes_are_the_derivative_of_the_means() -> None:
    fine = texture(3)
    rng = np.random.default_rng(0)
    centres = rng.uniform(20, 60, (40, 3))
    steps = np.broadcast_to(4 * np.eye(3) + 0.1, (40, 3, 3)).copy()
    samples = np.array([5, 4, 6], dtype=np.int64)

    def means(at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        value, slope, cover = np.empty(40), np.empty((40, 3)), np.empty(40)
        pull_means(fine, at, steps, samples, value, slope, cover)
        assert np.all(cover == 1)
        return value, slope

    h = 1e-5
    _, slope = means(centres)
    for axis in range(3):
        step = h * np.eye(3)[axis]
        difference = (means(centres + step)[0] - means(centres - step)[0]) / (2 * h)
        # a sample in 120 may cross a voxel's border, where the slope jumps
        assert np.median(np.abs(difference - slope[:, axis])) < 1e-3
        assert np.corrcoef(difference, slope[:, axis])[0, 1] > 0.999


def test_hardly_any_overlap_is_refused() -> None:
    images = ImageEvidence(*pair())
    with pytest.raises(RefineError, match="hardly overlap"):
        images.at(images.points_um + 150.0)


def test_the_sample_s_dark_surroundings_do_not_count() -> None:
    fixed, moving = pair()
    array = fixed.array.copy()
    array[:5] = 3.0
    images = ImageEvidence(WorkingImage(array, fixed.grid), moving)
    assert not images.counts[:6].any()
    assert images.counts[6:].all()
    mask = np.ones(array.shape, dtype=np.bool_)
    assert ImageEvidence(WorkingImage(array, fixed.grid, mask), moving).counts.all()


def test_what_only_one_image_shows_is_left_out() -> None:
    fixed, moving = pair(-3.0, noise=4.0)
    array = fixed.array.copy()
    array[0] -= 200.0  # the surface of the sample, which runs through the outermost voxels
    array[6:9, 4:7, 12:15] += 300.0  # a label
    images = ImageEvidence(WorkingImage(array, fixed.grid), moving)
    off = images.points_um + np.array([1.5, -2.0, 1.0])
    rest = images.without_what_differs(off)
    assert images.counts.all()
    assert not rest.counts[0, 2:-2, 2:-2].any()
    assert not rest.counts[7, 5, 13]
    # little of what a map that is a third of a voxel off leaves
    assert rest.counts[3:].mean() > 0.85
    seen = rest.at(off)
    asked = np.linalg.solve(seen.information.sum(axis=0), seen.score.sum(axis=0))
    assert np.abs(asked - (images.points_um - off)[0]).max() < 0.4
    clean = ImageEvidence(fixed, moving)
    assert clean.without_what_differs(off).counts.mean() > 0.97
