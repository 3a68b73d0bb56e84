"""A section found in a volume by intensity: where it was cut, and told when it is doubtful."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from section_samples import THICKNESS_UM, brain, cut, image

from napari_bridgecorr.errors import RefineError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.refine.section_find import (
    FoundSection,
    find_section,
)
from napari_bridgecorr.refine.section_kernels import mutual_information, sample_slab
from napari_bridgecorr.refine.section_pictures import FindOptions, load_pictures, scene_of
from napari_bridgecorr.refine.section_pose import Nodes, SectionPose

BRAIN = brain()


def errors(found: FoundSection, truth: object) -> tuple[float, float]:
    """Root-mean-square depth error, and median in-plane error, in um."""
    off = found.placement.map(truth.points_um) - truth.true_um  # type: ignore[attr-defined]
    depth = off @ truth.plane.normal  # type: ignore[attr-defined]
    within = off - depth[:, None] * truth.plane.normal  # type: ignore[attr-defined]
    return float(np.sqrt(np.mean(depth**2))), float(np.median(np.linalg.norm(within, axis=1)))


def test_found_from_nowhere() -> None:
    truth = cut(BRAIN, 11.4, turn_degrees=143.0, flipped=True)
    found = find_section(truth.section, BRAIN, FindOptions(thickness_um=THICKNESS_UM))
    depth, within = errors(found, truth)
    assert depth < 0.3 * 80
    assert within < 10
    assert found.slice_number == pytest.approx(11.4, abs=0.3)
    assert found.placement.plane.normal @ truth.plane.normal > np.cos(np.deg2rad(1.5))
    assert found.lead is not None
    assert found.lead > 3
    assert not found.warnings
    assert (found.placement.jacobian_determinant(truth.points_um[::50]) > 0).all()
    assert 4 < found.depth_sd_um < 40
    best = max(found.tried, key=lambda item: item[1])[0]
    assert abs(best - 11.4) <= 2
    assert abs(found.profile_um[found.profile.argmax()]) < 20


def test_found_near_a_slice_and_not_elsewhere() -> None:
    truth = cut(BRAIN, 6.0, seed=1)
    near = FindOptions(
        THICKNESS_UM, near_slice=7, reach_slices=1, turn_step_degrees=0, flips=(False,)
    )
    found = find_section(truth.section, BRAIN, near)
    depth, within = errors(found, truth)
    assert depth < 0.3 * 80
    assert within < 10
    assert [n for n, _ in found.tried] == [6, 7, 8]
    with pytest.raises(RefineError, match="slices 0 to 17"):
        find_section(truth.section, BRAIN, FindOptions(near_slice=40))


def test_a_chosen_plane_is_kept() -> None:
    truth = cut(BRAIN, 9.0, seed=2)
    chosen = FindOptions(
        THICKNESS_UM, plane=truth.plane, fix_plane=True, turn_step_degrees=0, flips=(False,)
    )
    found = find_section(truth.section, BRAIN, chosen)
    assert abs(found.placement.plane.normal @ truth.plane.normal) == pytest.approx(1)
    np.testing.assert_allclose(
        truth.plane.place(found.placement.map(truth.points_um))[:, 0], 0, atol=1e-6
    )
    assert errors(found, truth)[1] < 10
    assert found.slice_number is None
    assert found.tried == ()


def test_noise_is_no_match() -> None:
    rng = np.random.default_rng(0)
    grid = Grid.from_spacing((1, 96, 96), (1.0, 20.0, 20.0))
    nothing = image(rng.normal(size=grid.shape).astype(np.float32), grid, "noise")
    options = FindOptions(
        THICKNESS_UM,
        near_slice=8,
        reach_slices=0,
        turn_step_degrees=180,
        flips=(False,),
        freedom="rigid",
    )
    found = find_section(nothing, BRAIN, options)
    assert any("hardly anything" in w or "doubtful" in w for w in found.warnings)
    flat = image(np.full(grid.shape, 7, np.float32), grid, "flat")
    with pytest.raises(RefineError, match="flat shows nothing"):
        find_section(flat, BRAIN, options)


def test_information_of_known_pictures() -> None:
    """Equal pictures tell their entropy, others nothing; the slopes are the derivatives."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 8, 40_000)
    alone, _, parts = mutual_information(a, rng.uniform(1, 9, a.size), 8, 12)
    assert alone < 0.005
    assert np.mean(parts) == pytest.approx(alone, rel=1e-9)
    # bins far apart are told apart by the smoothed histogram too
    two = rng.integers(0, 2, 40_000)
    same, _, _ = mutual_information(two, 1.5 + 6.0 * two, 2, 12)
    assert same == pytest.approx(np.log(2), abs=1e-3)
    few = rng.integers(0, 4, 30)
    b = 1.5 + few * 1.3 + rng.uniform(0, 0.9, 30)
    _, slopes, _ = mutual_information(few, b, 4, 10)
    numeric = approx_fprime(b, lambda v: mutual_information(few, v, 4, 10)[0], 1e-7)
    np.testing.assert_allclose(slopes, numeric, atol=2e-4)
    missing = np.where(np.arange(30) < 5, np.nan, b)
    _, slopes, parts = mutual_information(few, missing, 4, 10)
    assert np.isnan(parts[:5]).all()
    assert (slopes[:5] == 0).all()


def test_slabs_of_a_linear_volume() -> None:
    z, y, x = np.indices((6, 7, 8)).astype(np.float32)
    points = np.array([[2.2, 3.1, 4.9], [5.4, 3.0, 3.0], [2.0, -0.6, 3.0]])
    offsets = np.array([[-0.5, 0, 0], [0.5, 0, 0]])
    values, slopes = sample_slab(2 * z - y + 3 * x, points, offsets)
    assert values[0] == pytest.approx(2 * 2.2 - 3.1 + 3 * 4.9, rel=1e-6)
    np.testing.assert_allclose(slopes[0], (2, -1, 3), rtol=1e-6)
    assert np.isnan(values[1:]).all()


def test_poses_are_the_placements_that_they_become() -> None:
    truth = cut(BRAIN, 9.0)
    options = FindOptions(THICKNESS_UM)
    pictures = load_pictures(truth.section, BRAIN, options)
    rng = np.random.default_rng(0)
    nodes = Nodes(rng.uniform(0, 1900, (12, 2)))
    pose = SectionPose(
        truth.plane,
        np.array([[0.9, 0.2], [-0.3, 1.1]]),
        np.array([30.0, -900.0]),
        5.0,
        nodes,
        rng.normal(0, 30, (12, 2)),
    )
    points = rng.uniform(0, 1900, (50, 2))
    placed = pose.placement(80.0).map(np.column_stack([np.full(50, 5.0), points]))
    direct = pose.plane.points(np.column_stack([np.zeros(50), pose.within(points)]))
    np.testing.assert_allclose(placed, direct, atol=1e-8)
    # a plane that leans is met at the depth that was asked for, above the same place
    leaned = pose.sheared(40.0, 0.1, -0.2)
    moved = leaned.placement(80.0).map(np.column_stack([np.full(50, 5.0), points]))
    place = pose.plane.place(moved)
    np.testing.assert_allclose(place[:, 1:], pose.within(points), atol=1e-7)
    np.testing.assert_allclose(place[:, 0], 40 + place[:, 1:] @ (0.1, -0.2), atol=1e-7)
    scene = scene_of(pictures.coarse, pictures.volume, options, pose)
    assert scene.n_bins >= 10
