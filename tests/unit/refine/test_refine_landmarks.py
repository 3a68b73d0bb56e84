"""Clicks beside junctions end at the junctions, and none is led away from them."""

from dataclasses import replace

import numpy as np
import pytest
from tube_samples import Tubes, tubes

from napari_bridgecorr.errors import Cancelled, RefineError
from napari_bridgecorr.landmarks import Landmark, LandmarkSet
from napari_bridgecorr.refine import (
    LandmarkRefinementOptions,
    RefinedLandmarks,
    View,
    refine_landmarks,
    suggested_lengths,
)
from napari_bridgecorr.transform import Affine

CLICK = 2.0


@pytest.fixture(scope="module")
def sample() -> Tubes:
    return tubes(0)


@pytest.fixture(scope="module")
def refined(sample: Tubes) -> RefinedLandmarks:
    return refine_landmarks(sample.clicks, View(sample.fixed), View(sample.moving))


def check(sample: Tubes, found: RefinedLandmarks, median: float, moved: float) -> None:
    before, after = sample.errors_voxels(sample.clicks), sample.errors_voxels(found.after)
    assert np.median(after) < median
    assert (after <= before + 1e-9).all()
    assert len(found.accepted) >= moved * len(found.steps)


def test_clicks_two_voxels_off_come_home(sample: Tubes, refined: RefinedLandmarks) -> None:
    np.testing.assert_allclose(sample.errors_voxels(sample.clicks), CLICK)
    check(sample, refined, 0.3, 0.7)
    for step in refined.accepted:
        assert step.metric_before is not None
        assert step.metric_after is not None
        assert step.metric_after > step.metric_before
        assert step.length_um <= refined.max_step_um


def test_voxels_longer_in_z() -> None:
    coarse = tubes(1, moving_voxel_um=(24.0, 10.0, 10.0))
    found = refine_landmarks(coarse.clicks, View(coarse.fixed), View(coarse.moving))
    check(coarse, found, 0.3, 0.6)


def test_by_mutual_information(sample: Tubes) -> None:
    options = LandmarkRefinementOptions(metric="mi")
    ids = [m.id for m in sample.clicks][:6]
    found = refine_landmarks(
        sample.clicks, View(sample.fixed), View(sample.moving), None, options, only=ids
    )
    before, after = sample.errors_voxels(sample.clicks), sample.errors_voxels(found.after)
    assert len(found.steps) == 6
    assert len(found.accepted) >= 3
    assert (after <= before + 1e-9).all()
    moved = [sample.clicks.index(s.id) for s in found.accepted]
    assert np.median(after[moved]) < 0.4


def test_exact_landmarks_stay(sample: Tubes) -> None:
    exact = LandmarkSet.from_pairs(sample.fixed_um, sample.moving_um)
    views = View(sample.fixed), View(sample.moving)
    found = refine_landmarks(exact, *views, Affine(sample.map))
    assert sample.errors_voxels(found.after).max() < 0.3
    lengths = suggested_lengths(exact, *views, Affine(sample.map))
    assert lengths == pytest.approx((found.radius_um, found.max_step_um))


def test_images_that_tell_nothing_move_nothing() -> None:
    nothing = tubes(2, empty=True)
    found = refine_landmarks(nothing.clicks, View(nothing.fixed), View(nothing.moving))
    assert found.accepted == ()
    assert found.after == nothing.clicks
    assert all(s.reason for s in found.steps)


def test_a_small_bound_refuses_what_lies_beyond(sample: Tubes) -> None:
    options = LandmarkRefinementOptions(max_step_um=10.0)
    found = refine_landmarks(sample.clicks, View(sample.fixed), View(sample.moving), None, options)
    assert max((s.length_um for s in found.steps), default=0) <= 10.0
    assert (sample.errors_voxels(found.after) <= CLICK + 1e-9).all()
    assert len(found.accepted) <= 3


def test_threads_change_nothing(sample: Tubes) -> None:
    ids = [m.id for m in sample.clicks][:4]
    views = View(sample.fixed), View(sample.moving)
    one, three = (
        refine_landmarks(
            sample.clicks, *views, None, LandmarkRefinementOptions(threads=n), only=ids
        )
        for n in (1, 3)
    )
    assert one.steps == three.steps


def test_undone_gives_the_old_places(sample: Tubes, refined: RefinedLandmarks) -> None:
    assert refined.undone() == sample.clicks
    current = refined.before
    for edit in refined.edits():
        current = current.apply(edit)
    assert current == refined.after
    for edit in reversed(refined.edits()):
        current = current.apply(edit.inverse())
    assert current == sample.clicks
    # what the user moved since is the user's
    moved = refined.accepted[0].id
    again = replace(refined.after[moved], moving_um=(1.0, 2.0, 3.0))
    later = refined.after.apply(refined.after.change(again))
    assert refined.undone(later)[moved] == again


def test_only_pairs_that_are_enabled_are_moved(sample: Tubes) -> None:
    first, second, *_ = sample.clicks
    half = Landmark("half", fixed_um=first.fixed_um)
    some = LandmarkSet((replace(first, enabled=False), half, second))
    views = View(sample.fixed), View(sample.moving)
    found = refine_landmarks(some, *views, Affine(sample.map))
    assert [s.id for s in found.steps] == [second.id]
    assert found.after[first.id] == some[first.id]
    assert found.after["half"] == half
    with pytest.raises(RefineError, match="not placed in both"):
        refine_landmarks(some, *views, Affine(sample.map), only=["half"])
    with pytest.raises(RefineError, match="there is no landmark 'x'"):
        refine_landmarks(some, *views, Affine(sample.map), only=["x"])
    with pytest.raises(RefineError, match="--transform"):
        refine_landmarks(some, *views)


def test_landmarks_beside_the_image_are_left(sample: Tubes) -> None:
    far = LandmarkSet.from_pairs(np.array([[0.0, 0.0, 0.0]]), np.array([[9000.0, 9000.0, 9000.0]]))
    found = refine_landmarks(far, View(sample.fixed), View(sample.moving), Affine(sample.map))
    assert found.after == far
    assert "too little of both images" in found.steps[0].reason


def test_cancelling_leaves_everything(sample: Tubes) -> None:
    class Impatient:
        def begin(self, task: str, total: int) -> None:
            assert task
            assert total == len(sample.clicks)

        def advance(self, steps: int = 1) -> None:
            assert steps == 1
            raise Cancelled

    with pytest.raises(Cancelled):
        refine_landmarks(
            sample.clicks, View(sample.fixed), View(sample.moving), progress=Impatient()
        )


@pytest.mark.parametrize(
    "wrong", [{"radius_um": 0.0}, {"max_step_um": float("nan")}, {"metric": "ssd"}, {"threads": 0}]
)
def test_impossible_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RefineError):
        LandmarkRefinementOptions(**wrong)  # type: ignore[arg-type]
