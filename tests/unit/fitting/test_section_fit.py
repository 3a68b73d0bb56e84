"""A section placed by landmarks: the plane, the map within it, and what each is worth."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import FitError
from napari_bridgecorr.fitting.sections import SectionFitOptions, fit_section
from napari_bridgecorr.geometry import Plane
from napari_bridgecorr.landmarks import LandmarkPairs, LandmarkSet

TURN = Rotation.from_rotvec((0.3, -0.2, 0.9)).as_matrix()
PLACE = np.array([3000.0, -500.0, 800.0])


def sample(
    n: int = 14, bend_um: float = 0.0, noise_um: float = 0.0, scale: float = 1.0, z: float = 0.0
) -> tuple[LandmarkPairs, np.ndarray]:
    """Landmarks of a section that is turned in space; and its true normal."""
    rng = np.random.default_rng(n)
    flat = np.column_stack([np.full(n, z), rng.uniform(0, 4000, (n, 2))])
    within = np.column_stack([np.zeros(n), scale * flat[:, 1:]])
    within[:, 1] += bend_um * np.sin(flat[:, 2] / 900)
    within[:, 2] += bend_um * np.cos(flat[:, 1] / 1100)
    there = within @ TURN.T + PLACE + rng.normal(0, noise_um, (n, 3))
    return LandmarkSet.from_pairs(flat, there).pairs(), TURN[:, 0]


@pytest.mark.parametrize("model", ["rigid", "similarity", "affine", "tps"])
@pytest.mark.parametrize("z", [0.0, 12.0])
def test_the_plane_is_found(model: str, z: float) -> None:
    scale = 1.0 if model == "rigid" else 1.2
    pairs, normal = sample(scale=scale, z=z)
    found = fit_section(pairs, SectionFitOptions(model, 0.0, thickness_um=80))
    np.testing.assert_allclose(found.placement.plane.normal, normal, atol=1e-9)
    np.testing.assert_allclose(found.placement.map(pairs.fixed_um), pairs.moving_um, atol=1e-6)
    np.testing.assert_allclose(found.off_plane_um, 0, atol=1e-6)
    # a point 30 um above the section's middle is 30 um off, along the normal
    above = found.placement.map(pairs.fixed_um + (30.0, 0, 0)) - pairs.moving_um
    np.testing.assert_allclose(above, [30 * normal] * len(pairs), atol=1e-6)
    assert (found.placement.jacobian_determinant(pairs.fixed_um) > 0).all()
    assert found.placement.thickness_um == 80


def test_a_section_upside_down_is_turned_over_not_mirrored() -> None:
    pairs, normal = sample()
    mirrored = LandmarkPairs(pairs.ids, pairs.fixed_um * (1, 1, -1), pairs.moving_um)
    for options in (
        SectionFitOptions("affine"),
        SectionFitOptions("rigid"),
        SectionFitOptions("affine", plane=fit_section(pairs).placement.plane),
    ):
        found = fit_section(mirrored, options)
        np.testing.assert_allclose(found.placement.plane.normal, -normal, atol=1e-9)
        np.testing.assert_allclose(found.placement.map(mirrored.fixed_um), pairs.moving_um)


def test_the_spline_bends_within_the_plane_only() -> None:
    pairs, normal = sample(60, bend_um=60)
    found = fit_section(pairs, SectionFitOptions("tps", 0.0))
    probe, _ = sample(31, bend_um=60)
    errors = found.placement.map(probe.fixed_um) - probe.moving_um
    assert np.abs(errors @ normal).max() < 1e-6
    inside = fit_section(pairs, SectionFitOptions("affine")).placement.map(probe.fixed_um)
    affine_rms = np.sqrt(np.mean((inside - probe.moving_um) ** 2))
    assert np.sqrt(np.mean(errors**2)) < affine_rms / 5


def test_three_landmarks_are_the_least() -> None:
    pairs, normal = sample(3)
    for model in ("rigid", "affine"):
        found = fit_section(pairs, SectionFitOptions(model))
        np.testing.assert_allclose(found.placement.map(pairs.fixed_um), pairs.moving_um, atol=1e-6)
        assert found.loo_rms_um is None
        assert found.tilt_sd_degrees is None
    two = LandmarkPairs(pairs.ids[:2], pairs.fixed_um[:2], pairs.moving_um[:2])
    with pytest.raises(FitError, match="too few to tell a plane"):
        fit_section(two, SectionFitOptions("rigid"))
    # with the plane chosen two are enough for a rigid map
    plane = Plane.from_normal(PLACE, normal)
    chosen = fit_section(two, SectionFitOptions("rigid", plane=plane))
    np.testing.assert_allclose(chosen.placement.map(two.fixed_um), two.moving_um, atol=1e-6)
    with pytest.raises(FitError, match="too few for tps"):
        fit_section(pairs, SectionFitOptions("tps"))


def test_landmarks_on_a_line_are_refused() -> None:
    pairs, _ = sample(8)
    line = pairs.fixed_um.copy()
    line[:, 2] = 0.5 * line[:, 1]
    on_line = LandmarkPairs(pairs.ids, line, pairs.moving_um)
    for model in ("rigid", "affine", "tps"):
        with pytest.raises(FitError, match="on one line in the fixed image"):
            fit_section(on_line, SectionFitOptions(model))
        with pytest.raises(FitError, match="on one line"):
            fit_section(
                LandmarkPairs(pairs.ids, pairs.fixed_um, line @ TURN.T), SectionFitOptions(model)
            )
    deep = LandmarkPairs(pairs.ids, pairs.moving_um, pairs.fixed_um)
    with pytest.raises(FitError, match="a section is flat"):
        fit_section(deep)
    with pytest.raises(FitError, match="a translation tells no plane"):
        fit_section(pairs, SectionFitOptions("translation"))


def test_a_chosen_plane_is_kept_and_landmarks_are_projected() -> None:
    pairs, normal = sample(12)
    plane = Plane.from_normal(PLACE + 25 * normal, normal)
    found = fit_section(pairs, SectionFitOptions("affine", plane=plane, thickness_um=40))
    np.testing.assert_allclose(found.placement.plane.normal, normal)
    np.testing.assert_allclose(found.off_plane_um, -25, atol=1e-9)
    np.testing.assert_allclose(
        found.placement.map(pairs.fixed_um), pairs.moving_um + 25 * normal, atol=1e-6
    )
    np.testing.assert_allclose(found.leave_one_out_um[:, 0], 25, atol=1e-9)
    assert any("25 um below the chosen plane" in w for w in found.warnings)
    shifted = fit_section(pairs, SectionFitOptions("translation", plane=plane))
    assert shifted.in_plane.options.model == "translation"


@pytest.mark.parametrize("model", ["rigid", "similarity", "affine", "tps"])
def test_leave_one_out_against_brute_force(model: str) -> None:
    pairs, _ = sample(16, bend_um=30, noise_um=8)
    smoothing = 2e5 if model == "tps" else "auto"
    found = fit_section(pairs, SectionFitOptions(model, smoothing))
    axes = found.placement.plane.axes
    brute = np.empty((16, 3))
    for i in range(16):
        keep = np.arange(16) != i
        rest = LandmarkPairs(
            tuple(np.array(pairs.ids)[keep]), pairs.fixed_um[keep], pairs.moving_um[keep]
        )
        other = fit_section(rest, SectionFitOptions(model, smoothing)).placement
        brute[i] = (other.map(pairs.fixed_um[i])[0] - pairs.moving_um[i]) @ axes
    if model == "tps":
        # closed form, the plane's axes being kept: they turn by a fraction of a degree
        np.testing.assert_allclose(found.leave_one_out_um[:, 0], brute[:, 0], rtol=0.02, atol=0.3)
        np.testing.assert_allclose(found.leave_one_out_um[:, 1:], brute[:, 1:], rtol=0.02, atol=1.5)
    else:
        atol = 1e-6 if model in ("rigid", "similarity") else 0.2
        np.testing.assert_allclose(found.leave_one_out_um, brute, rtol=1e-6, atol=atol)
    lengths = np.linalg.norm(found.leave_one_out_um, axis=1)
    assert found.loo_rms_um == pytest.approx(np.sqrt(np.mean(lengths**2)))


def test_the_tilt_is_known_as_well_as_it_is_said() -> None:
    off = []
    said = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        pairs, normal = sample(12)
        noisy = pairs.moving_um + rng.normal(0, 15, pairs.moving_um.shape)
        found = fit_section(
            LandmarkPairs(pairs.ids, pairs.fixed_um, noisy), SectionFitOptions("affine")
        )
        off.append(np.rad2deg(np.arccos(min(1.0, found.placement.plane.normal @ normal))))
        assert found.tilt_sd_degrees is not None
        said.append(found.tilt_sd_degrees)
    # the worst-determined axis is stated, the angle is about both
    assert 0.7 < np.sqrt(np.mean(np.square(off)) / 2) / np.mean(said) < 1.1


def test_a_landmark_on_another_slice_is_named() -> None:
    pairs, normal = sample(20, noise_um=5)
    moved = pairs.moving_um.copy()
    moved[4] += 300 * normal
    found = fit_section(
        LandmarkPairs(pairs.ids, pairs.fixed_um, moved), SectionFitOptions("affine")
    )
    assert any("'L5'" in w and "off the plane" in w for w in found.warnings)
    values = found.to_dict()
    assert values["n"] == 20
    assert values["landmarks"][4]["id"] == "L5"
