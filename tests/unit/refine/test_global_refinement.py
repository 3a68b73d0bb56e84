"""Global refinement on phantoms with known truth: it helps, or leaves the map alone."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import dask.array
import numpy as np
import pytest
from numpy.typing import NDArray

from napari_bridgecorr.errors import Cancelled, RefineError
from napari_bridgecorr.fitting import fit
from napari_bridgecorr.image import SpatialImage
from napari_bridgecorr.landmarks import LandmarkPairs
from napari_bridgecorr.phantom import Phantom, PhantomOptions, make_phantom
from napari_bridgecorr.progress import Progress
from napari_bridgecorr.refine.global_refinement import GlobalRefinement, refine_globally
from napari_bridgecorr.refine.preparation import working_pair
from napari_bridgecorr.transform import Affine, Transform


@cache
def phantom(seed: int) -> Phantom:
    return make_phantom(
        PhantomOptions(
            seed=seed,
            two_photon_shape=(50, 116, 116),
            two_photon_spacing_um=(12.0, 10.0, 10.0),
            mri_shape=(9, 17, 17),
            mri_spacing_um=70.0,
            deformation_um=20.0,
            n_landmarks=24,
            landmark_min_radius_um=8.0,
            mri_localisation_um=18.0,
            tumour_radius_um=170.0,
            trunk_radius_um=34.0,
            n_targets=800,
        )
    )


def median_error_um(transform: Transform, sample: Phantom) -> float:
    error = transform.map(sample.targets.fixed_um) - sample.targets.moving_um
    return float(np.median(np.linalg.norm(error, axis=1)))


def with_moving(sample: Phantom, change: Callable[[NDArray[np.uint16]], object]) -> SpatialImage:
    data = np.asarray(sample.two_photon.data)
    level = dask.array.from_array(np.asarray(change(data), dtype=np.uint16))
    return replace(sample.two_photon, levels=(level,))


def refined(
    sample: Phantom, moving: SpatialImage | None = None, progress: Progress | None = None
) -> tuple[GlobalRefinement, Transform]:
    pairs = sample.landmarks.pairs()
    start = fit(pairs).transform
    fixed, channels = working_pair(
        sample.mri, moving or sample.two_photon, start, moving_channels=(0, 1)
    )
    result = refine_globally(
        fixed, channels, start, pairs, lambda some: fit(some).transform, progress=progress
    )
    return result, start


@pytest.mark.parametrize("seed", [1, 2])
def test_targets_come_nearer_by_more_than_a_seventh(seed: int) -> None:
    sample = phantom(seed)
    result, start = refined(sample)
    assert result.accepted
    assert median_error_um(result.transform, sample) < 0.85 * median_error_um(start, sample)
    assert result.after.held_out_rms_um <= result.before.held_out_rms_um
    assert result.after.explained > result.before.explained
    assert result.after.folded == 0
    truth = sample.truth.map(sample.targets.fixed_um)
    assert np.abs(result.transform.inverse().map(truth) - sample.targets.fixed_um).max() < 200


def noise(data: NDArray[np.uint16]) -> NDArray[np.int64]:
    return np.random.default_rng(5).poisson(30, data.shape)


@pytest.mark.parametrize(
    "change",
    [noise, lambda data: np.full_like(data, 100), lambda data: data[..., ::-1]],
    ids=["noise", "flat", "mirrored"],
)
def test_images_that_tell_nothing_leave_the_map_as_it_was(
    change: Callable[[NDArray[np.uint16]], object],
) -> None:
    sample = phantom(1)
    result, start = refined(sample, with_moving(sample, change))
    assert not result.accepted
    assert "kept" in result.verdict
    points = sample.targets.fixed_um
    assert np.array_equal(result.transform.map(points), start.map(points))


class Stop:
    """Cancels after so many steps of a task."""

    def __init__(self, task: str, after: int) -> None:
        self.task, self.after, self.now, self.n = task, after, "", 0

    def begin(self, task: str, total: int) -> None:
        del total
        self.now, self.n = task, 0

    def advance(self, steps: int = 1) -> None:
        self.n += steps
        if self.now == self.task and self.n >= self.after:
            raise Cancelled


def test_what_is_stopped_before_the_check_is_through_gives_nothing() -> None:
    with pytest.raises(Cancelled):
        refined(phantom(1), progress=Stop("cross-checking", 1))


def test_what_is_stopped_after_the_check_gives_the_best_map_so_far() -> None:
    sample = phantom(1)
    result, start = refined(sample, progress=Stop("refining", 2))
    assert result.cancelled
    assert result.accepted
    assert median_error_um(result.transform, sample) < median_error_um(start, sample)


def test_images_that_do_not_overlap_are_refused_with_advice() -> None:
    sample = phantom(1)
    away = Affine.from_parts(np.eye(3), np.array([5e4, 0, 0]))
    with pytest.raises(RefineError, match="do not overlap"):
        working_pair(sample.mri, sample.two_photon, away)


def test_a_map_that_landmarks_did_not_make_is_refined_too() -> None:
    sample = phantom(2)
    start = fit(sample.landmarks.pairs()).transform
    fixed, channels = working_pair(sample.mri, sample.two_photon, start, moving_channels=(0, 1))
    result = refine_globally(fixed, channels, start, None)
    assert median_error_um(result.transform, sample) <= 1.02 * median_error_um(start, sample)
    few = sample.landmarks.pairs().subset(np.arange(6))
    assert isinstance(few, LandmarkPairs)
    result = refine_globally(fixed, channels, start, few)
    assert median_error_um(result.transform, sample) <= 1.02 * median_error_um(start, sample)
