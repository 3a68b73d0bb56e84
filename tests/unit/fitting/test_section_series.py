"""A series of sections placed together, against a tilted stack of which the truth is known."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import FitError
from napari_bridgecorr.fitting.section_series import (
    SeriesFit,
    SeriesOptions,
    SeriesSection,
    fit_series,
)
from napari_bridgecorr.fitting.sections import SectionFitOptions, fit_section
from napari_bridgecorr.fitting.series_plane import fit_planes
from napari_bridgecorr.landmarks import LandmarkPairs, LandmarkSet

AXES = Rotation.from_rotvec((0.3, -0.2, 0.9)).as_matrix()
NORMAL = AXES[:, 0]
START = np.array([3000.0, -500.0, 800.0])
# five sections 100 um apart, a gap where the fourth cut was lost
POSITIONS = (0.0, 100.0, 200.0, 400.0, 500.0)
COUNTS = (8, 7, 0, 9, 6)


def truth(flat: np.ndarray, k: int, position_um: float, bend_um: float = 20.0) -> np.ndarray:
    """Where points of section k lie in the volume: each bends in its own way."""
    depth = np.full(len(flat), position_um)
    y = 1.02 * flat[:, 1] + bend_um * np.sin(flat[:, 2] / 900 + k)
    x = 0.99 * flat[:, 2] + bend_um * np.cos(flat[:, 1] / 1100 - 2 * k)
    return START + np.column_stack([depth, y, x]) @ AXES.T


def series(
    seed: int = 0,
    noise_um: float = 0.0,
    positions: Sequence[float] = POSITIONS,
    counts: Sequence[int] = COUNTS,
    bend_um: float = 20.0,
) -> list[SeriesSection]:
    rng = np.random.default_rng(seed)
    sections = []
    for k, (position, n) in enumerate(zip(positions, counts, strict=True)):
        flat = np.column_stack([np.zeros(n), rng.uniform(0, 4000, (n, 2))])
        there = truth(flat, k, position, bend_um) + rng.normal(0, noise_um, (n, 3))
        pairs = LandmarkSet.from_pairs(flat, there).pairs() if n else None
        sections.append(SeriesSection(f"s{k}", POSITIONS[k], pairs))
    return sections


def angle(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.rad2deg(np.arcsin(min(1.0, float(np.linalg.norm(np.cross(one, other)))))))


def worst_depth(found: SeriesFit) -> float:
    """How far the sections' middles are off their true planes, along the normal."""
    middle = np.array([[0.0, 2000.0, 2000.0]])
    return max(
        abs(float((p.placement.map(middle)[0] - START) @ NORMAL) - p.section.position_um)
        for p in found.sections
    )


def test_without_noise_the_series_is_exact() -> None:
    found = fit_series(series(), SeriesOptions("tps", 0.0, 80))
    np.testing.assert_allclose(found.planes.normal, NORMAL, atol=1e-9)
    for k, placed in enumerate(found.sections):
        assert placed.depth_um == pytest.approx(POSITIONS[k], abs=1e-6)
        assert placed.placement.thickness_um == 80
        assert not placed.upside_down
        if placed.section.pairs is None:
            assert placed.neighbours == ("s1", "s3")
            assert placed.fit is None
            assert "no landmarks" in placed.warnings[0]
            # its neighbours bend by 20 um, each in its own way
            flat = np.array([[0.0, 1500, 2500], [0, 2600, 900], [0, 2000, 2000]])
            off = placed.placement.map(flat) - truth(flat, k, POSITIONS[k], 0.0)
            assert np.linalg.norm(off, axis=1).max() < 40
            np.testing.assert_allclose(off @ NORMAL, 0, atol=1e-6)
        else:
            np.testing.assert_allclose(
                placed.placement.map(placed.section.pairs.fixed_um),
                placed.section.pairs.moving_um,
                atol=1e-6,
            )
    assert found.warnings == ()


def test_joint_planes_are_nearer_to_the_truth_than_separate_ones() -> None:
    joint, apart, depths, apart_depths = [], [], [], []
    for seed in range(12):
        sections = series(seed, noise_um=25)
        found = fit_series(sections, SeriesOptions("affine"))
        joint.append(angle(found.planes.normal, NORMAL))
        depths.append(worst_depth(found))
        own = [fit_section(s.pairs, SectionFitOptions("affine")) for s in sections if s.pairs]
        apart.append(np.mean([angle(f.placement.plane.normal, NORMAL) for f in own]))
        middle = np.array([[0.0, 2000.0, 2000.0]])
        apart_depths.append(
            max(
                abs(float((f.placement.map(middle)[0] - START) @ NORMAL) - s.position_um)
                for f, s in zip(own, [s for s in sections if s.pairs], strict=True)
            )
        )
    assert np.mean(joint) < 0.6 * np.mean(apart)
    assert np.mean(depths) < 0.6 * np.mean(apart_depths)
    # 25 um over 30 landmarks in 4 mm: 0.25 degrees per axis
    assert np.sqrt(np.mean(np.square(joint)) / 2) < 0.4
    assert np.max(joint) < 1.1
    assert np.max(depths) < 25


@pytest.mark.parametrize("strayed_um", [0.0, 15.0])
def test_tilt_and_depth_are_known_as_well_as_it_is_said(strayed_um: float) -> None:
    off, said, depths = [], [], []
    for seed in range(150):
        rng = np.random.default_rng(1000 + seed)
        steps = np.diff(POSITIONS)
        strays = strayed_um * rng.normal(size=4) * np.sqrt(steps / 100)
        cut = np.concatenate([[0.0], np.cumsum(steps + strays)])
        sections = series(seed, 15, positions=tuple(cut))
        points = np.concatenate([s.pairs.moving_um for s in sections if s.pairs])
        member = np.repeat(range(5), [s.n for s in sections])
        found = fit_planes(
            points, member, np.ones(len(points)), np.array(POSITIONS), strayed_um**2 / 100
        )
        off.append(angle(found.normal, NORMAL))
        said.append(found.tilt_sd_degrees)
        # below the landmarks' centre, the section without landmarks as well
        below = found.depth_um - found.normal @ found.centre_um
        depths.append((below + (found.centre_um - START) @ NORMAL - cut) / found.depth_sd_um)
    # the worse direction is stated, the angle is about both
    assert 0.75 < np.sqrt(np.mean(np.square(off)) / 2) / np.mean(said) < 1.1
    np.testing.assert_allclose(np.std(depths, axis=0), 1, atol=0.2)


@pytest.mark.parametrize("step", [0.0, 4.0])
def test_planes_against_a_general_minimiser(step: float) -> None:
    sections = [s for s in series(3, noise_um=30) if s.pairs]
    points = np.concatenate([s.pairs.moving_um for s in sections if s.pairs])
    member = np.repeat(np.arange(4), [s.n for s in sections])
    position = np.array([s.position_um for s in sections])
    weights = np.random.default_rng(0).uniform(0.5, 2, len(points))
    found = fit_planes(points, member, weights, position, step)
    # the covariance written out, its noise that of the fit's own residuals within sections
    residual = points @ found.normal
    mean = np.bincount(member, weights * residual) / np.bincount(member, weights)
    sigma2 = np.sum(weights * (residual - mean[member]) ** 2) / (len(points) - 6)
    covariance = np.diag(sigma2 / weights) + step * np.minimum.outer(
        position[member], position[member]
    )
    precision = np.linalg.inv(covariance)

    def misfit(values: np.ndarray) -> float:
        n = NORMAL + AXES[:, 1] * values[0] + AXES[:, 2] * values[1]
        off = points @ (n / np.linalg.norm(n)) - position[member] - 1e3 * values[2]
        return float(off @ precision @ off)

    start = [0.0, 0.0, START @ NORMAL / 1e3]
    best = minimize(
        misfit, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9, "maxiter": 4000}
    )
    n = NORMAL + AXES[:, 1] * best.x[0] + AXES[:, 2] * best.x[1]
    np.testing.assert_allclose(found.normal, n / np.linalg.norm(n), atol=2e-6)
    if step == 0:
        np.testing.assert_allclose(found.depth_um, 1e3 * best.x[2] + position, atol=0.02)


def test_leave_one_out_of_the_planes_against_brute_force() -> None:
    sections = series(5, noise_um=25)
    found = fit_series(sections, SeriesOptions("affine"))
    brute = []
    for k, section in enumerate(sections):
        for i in range(section.n):
            assert section.pairs is not None
            rest = replace(section, pairs=section.pairs.subset(np.arange(section.n) != i))
            others = [*sections[:k], rest, *sections[k + 1 :]]
            planes = fit_series(others, SeriesOptions("affine")).planes
            brute.append(section.pairs.moving_um[i] @ planes.normal - planes.depth_um[k])
    np.testing.assert_allclose(found.planes.leave_one_out_um, brute, rtol=0.02, atol=0.5)
    first = found.sections[0].fit
    assert first is not None
    np.testing.assert_allclose(-first.leave_one_out_um[:, 0], brute[:8], rtol=0.02, atol=0.5)


def test_a_tolerance_follows_distances_that_strayed() -> None:
    cut = (0.0, 118.0, 215.0, 430.0, 541.0)  # said to be 0, 100, 200, 400, 500
    sections = series(1, noise_um=3, positions=cut, counts=(12, 12, 12, 12, 12), bend_um=0)
    kept = fit_series(sections, SeriesOptions("affine", distance_um=100))
    free = fit_series(sections, SeriesOptions("affine", distance_um=100, distance_tolerance_um=20))
    depth = np.array([p.depth_um for p in free.sections])
    np.testing.assert_allclose(depth, cut, atol=4)
    np.testing.assert_allclose([p.depth_um for p in kept.sections], POSITIONS, atol=1e-9)
    assert free.off_plane_rms_um < 4 < 8 < kept.off_plane_rms_um


def test_few_landmarks_get_simpler_maps_and_still_count() -> None:
    found = fit_series(series(counts=(8, 3, 1, 2, 6), bend_um=0), SeriesOptions("tps"))
    models = [None if p.fit is None else p.fit.options.model for p in found.sections]
    assert models == ["tps", "affine", None, "rigid", "tps"]
    np.testing.assert_allclose(found.planes.normal, NORMAL, atol=1e-9)
    one = found.sections[2]
    assert one.section.pairs is not None
    off = one.placement.map(one.section.pairs.fixed_um) - one.section.pairs.moving_um
    np.testing.assert_allclose(off, 0, atol=1e-6)
    assert "one landmark" in one.warnings[0]
    assert any("too few for tps" in w for w in found.sections[1].warnings)


@pytest.mark.parametrize("counts", [(3, 1, 0, 0, 0), (4, 0, 0, 0, 4), (1, 2, 1, 1, 1)])
@pytest.mark.parametrize("tolerance_um", [0.0, 5.0])
def test_exact_landmarks_with_none_to_spare(counts: tuple[int, ...], tolerance_um: float) -> None:
    chosen = SeriesOptions("rigid", distance_um=100, distance_tolerance_um=tolerance_um)
    found = fit_series(series(1, counts=counts, bend_um=0), chosen)
    np.testing.assert_allclose(found.planes.normal, NORMAL, atol=1e-6)
    json.dumps(found.to_dict(), allow_nan=False)


def test_what_is_odd_is_told() -> None:
    sections = series(2, noise_um=10, counts=(8, 8, 8, 8, 8))
    over = sections[1].pairs
    assert over is not None
    mirrored = LandmarkPairs(over.ids, over.fixed_um * (1, 1, -1), over.moving_um)
    turned = fit_series([sections[0], replace(sections[1], pairs=mirrored), *sections[2:]])
    assert [p.upside_down for p in turned.sections] == [False, True, False, False, False]
    assert any("upside down" in w and "s1" in w for w in turned.warnings)
    np.testing.assert_allclose(
        turned.sections[1].placement.map(mirrored.fixed_um), over.moving_um, atol=60
    )
    # two sections changed places
    wrong = [
        *sections[:3],
        replace(sections[3], pairs=sections[4].pairs),
        replace(sections[4], pairs=sections[3].pairs),
    ]
    mixed = fit_series(wrong, SeriesOptions(distance_um=100))
    said = [w for p in mixed.sections for w in p.warnings]
    assert sum("in its place of the series" in w for w in said) == 2
    right = fit_series(sections)
    assert [p.warnings for p in right.sections] == [()] * 5
    assert right.warnings == ()
    # two sections so near to each other that either could be the upper one
    near = [replace(s, position_um=s.position_um / 20) for s in series(4, 60, (0, 5), (5, 5))]
    assert any("reverse order" in w for w in fit_series(near).warnings)


def test_what_does_not_tell_the_planes_is_refused() -> None:
    sections = series()
    with pytest.raises(FitError, match="on one section do not tell"):
        fit_series([sections[0], *(replace(s, pairs=None) for s in sections[1:])])
    with pytest.raises(FitError, match="fewer than 4"):
        fit_series([replace(s, pairs=None) for s in sections])
    with pytest.raises(FitError, match="must grow"):
        fit_series(sections[::-1])
    lines = []
    for section in sections:
        if section.pairs is not None:
            flat = section.pairs.fixed_um * (1, 1, 0)
            there = truth(flat, 0, section.position_um, 0.0)
            section = replace(section, pairs=LandmarkPairs(section.pairs.ids, flat, there))
        lines.append(section)
    with pytest.raises(FitError, match="in one plane or on one line"):
        fit_series(lines, SeriesOptions("rigid"))
    broken = sections[1].pairs
    assert broken is not None
    line = LandmarkPairs(broken.ids, broken.fixed_um * (1, 1, 0), broken.moving_um)
    with pytest.raises(FitError, match="s1: the landmarks lie on one line"):
        fit_series([sections[0], replace(sections[1], pairs=line), *sections[2:]])
