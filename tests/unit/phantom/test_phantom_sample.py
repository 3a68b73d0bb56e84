"""The phantom as a whole: reproducible, right in its conventions, noisy as stated."""

from dataclasses import replace

import numpy as np
import pytest

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.phantom import (
    MriContrast,
    Phantom,
    PhantomOptions,
    TwoPhotonDetector,
    make_phantom,
)
from napari_bridgecorr.phantom.marks import mark_bifurcations
from napari_bridgecorr.phantom.tubes import TubeIndex
from napari_bridgecorr.phantom.two_photon import record_two_photon
from napari_bridgecorr.progress import Silent


def test_same_seed_same_phantom(small_phantom: Phantom, small_options: PhantomOptions) -> None:
    again = make_phantom(small_options)
    for a, b in [(small_phantom.two_photon, again.two_photon), (small_phantom.mri, again.mri)]:
        np.testing.assert_array_equal(a.data.compute(), b.data.compute())
    assert small_phantom.landmarks == again.landmarks
    np.testing.assert_array_equal(small_phantom.targets.fixed_um, again.targets.fixed_um)
    assert small_phantom.truth.to_dict() == again.truth.to_dict()


def test_another_seed_another_phantom(
    small_phantom: Phantom, small_options: PhantomOptions
) -> None:
    other = make_phantom(replace(small_options, seed=6))
    assert other.truth.to_dict() != small_phantom.truth.to_dict()
    a, b = (p.two_photon.data[0, 0].compute().ravel() for p in (small_phantom, other))
    assert np.corrcoef(a, b)[0, 1] < 0.5


def test_conventions(small_phantom: Phantom, small_options: PhantomOptions) -> None:
    stack, mri = small_phantom.two_photon, small_phantom.mri
    assert stack.data.shape == (1, 2, 30, 60, 60)
    assert mri.data.shape == (1, 1, 6, 11, 11)
    assert stack.dtype == mri.dtype == np.uint16
    assert [c.name for c in stack.channels] == ["vessels", "tumour"]
    np.testing.assert_array_equal(stack.grid.index_to_world, np.diag([12.0, 10.0, 10.0, 1.0]))
    np.testing.assert_allclose(mri.grid.voxel_size_um, 50.0)
    axes = mri.grid.index_to_world[:3, :3] / 50
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    assert np.count_nonzero(np.abs(axes) > 1e-3) == 9, "the MRI is oblique"
    for part in (
        small_phantom.vessel_fraction,
        small_phantom.tumour_fraction,
        small_phantom.coverage,
    ):
        assert part.dtype == np.float32
        assert part.shape == small_options.mri_shape
        assert part.min() >= 0
        assert part.max() <= 1


def test_most_mri_voxels_are_covered(small_phantom: Phantom) -> None:
    assert np.mean(small_phantom.coverage > 0.99) > 0.8
    assert small_phantom.coverage.min() < 0.97, "and some are not, as in life"


def test_targets_are_exact(small_phantom: Phantom) -> None:
    p = small_phantom
    np.testing.assert_array_equal(p.truth.map(p.targets.fixed_um), p.targets.moving_um)
    assert len(p.targets) == len(set(p.targets.ids)) == 200
    assert np.all(p.mri.grid.contains(p.targets.fixed_um))
    on_vessels = p.targets.moving_um[100:]
    corners = p.two_photon.grid.corners()
    index = TubeIndex.build(p.vessels.tubes, corners.min(axis=0) - 50, corners.max(axis=0) + 50)
    assert np.all(index.distance(on_vessels) < 0)


def test_landmarks_are_bifurcations(small_phantom: Phantom, small_options: PhantomOptions) -> None:
    exact = replace(small_options, mri_localisation_um=0.0, two_photon_localisation_um=0.0)
    marks = _mark(small_phantom, exact, 0)
    pairs = marks.pairs()
    assert pairs.ids == ("L01", "L02", "L03", "L04")
    assert marks["L01"].name == "bifurcation 1"
    np.testing.assert_allclose(
        small_phantom.truth.map(pairs.fixed_um), pairs.moving_um, rtol=0, atol=1e-5
    )
    tree = small_phantom.vessels
    for point in pairs.moving_um:
        gap = np.linalg.norm(tree.junctions_um - point, axis=1)
        assert gap.min() == 0
        assert tree.parent_radius_um[gap.argmin()] >= 15


def test_marking_errors_are_as_stated(
    small_phantom: Phantom, small_options: PhantomOptions
) -> None:
    exact = replace(small_options, mri_localisation_um=0.0, two_photon_localisation_um=0.0)
    truth = _mark(small_phantom, exact, 0).pairs()
    fixed, moving = [], []
    for seed in range(250):
        marked = _mark(small_phantom, small_options, seed).pairs()
        fixed.append(marked.fixed_um - truth.fixed_um)
        moving.append(marked.moving_um - truth.moving_um)
    for errors, sigma in ((np.concatenate(fixed), 15.0), (np.concatenate(moving), 3.0)):
        n = len(errors)
        # the mean of n squares is sigma^2 (1 +- sqrt(2 / n)), the mean 0 +- sigma / sqrt(n); 4.5 sd
        variance = np.mean(errors**2, axis=0) / sigma**2
        assert np.all(np.abs(variance - 1) < 4.5 * np.sqrt(2 / n))
        assert np.all(np.abs(errors.mean(axis=0)) < 4.5 * sigma / np.sqrt(n))
        rms = np.sqrt(np.mean(np.sum(errors**2, axis=1)))
        assert rms == pytest.approx(np.sqrt(3) * sigma, rel=4.5 * np.sqrt(2 / (3 * n)) / 2)
    correlation = np.corrcoef(np.concatenate(fixed).T)
    assert np.abs(correlation - np.eye(3)).max() < 4.5 / np.sqrt(1000)


def _mark(phantom: Phantom, options: PhantomOptions, seed: int):
    return mark_bifurcations(
        np.random.SeedSequence(seed),
        options,
        phantom.vessels,
        phantom.two_photon.grid,
        phantom.mri.grid,
        phantom.truth,
    )


def test_asking_for_too_many_landmarks_says_what_to_do(small_options: PhantomOptions) -> None:
    with pytest.raises(GeometryError, match="lower the radius"):
        make_phantom(replace(small_options, n_landmarks=5000))


def test_signal_falls_exponentially_with_depth() -> None:
    detector = TwoPhotonDetector(attenuation_length_um=300.0, background_photons=0.0, gain=10.0)
    full = np.ones((40, 50, 50), dtype=np.float32)
    counts = record_two_photon(detector, full, 0 * full, 10.0, np.random.SeedSequence(1), Silent())
    means = counts[0].reshape(40, -1).mean(axis=1) - detector.pedestal
    slope, start = np.polyfit(np.arange(40) * 10.0, np.log(means), 1)
    # each mean of 2500 voxels of >= 24 photons is known to 0.4 %: the slope to 1 % of 1/300
    assert slope == pytest.approx(-1 / 300, rel=0.01)
    assert np.exp(start) == pytest.approx(900.0, rel=0.01)
    assert np.all(counts[1] == detector.pedestal), "no tumour, no background, no light"


def test_variance_grows_with_the_mean_as_photons_do() -> None:
    detector = TwoPhotonDetector(gain=20.0, pedestal=100.0)
    rng = np.random.default_rng(2)
    for photons in (1.0, 8.0, 60.0):
        counts = detector.counts(np.full(200_000, photons), rng).astype(float)
        assert counts.mean() - 100 == pytest.approx(20 * photons, rel=0.01)
        assert counts.var() == pytest.approx(20 * (counts.mean() - 100), rel=0.02)


def test_counts_saturate_instead_of_wrapping() -> None:
    detector = TwoPhotonDetector(gain=5000.0)
    assert detector.counts(np.full(10, 1000.0), np.random.default_rng(0)).tolist() == [65535] * 10


def test_background_is_rician() -> None:
    contrast = MriContrast(brain=1000.0, snr=10.0)
    noise = contrast.magnitude(np.zeros(200_000), np.random.default_rng(3)).astype(float)
    assert noise.mean() == pytest.approx(100 * np.sqrt(np.pi / 2), rel=0.005)
    assert np.mean(noise**2) == pytest.approx(2 * 100**2, rel=0.01)


def test_noise_free_mri_is_the_mean_over_each_voxel(small_options: PhantomOptions) -> None:
    contrast = MriContrast(snr=np.inf)
    p = make_phantom(replace(small_options, contrast=contrast))
    v, t = (part.astype(float) for part in (p.vessel_fraction, p.tumour_fraction))
    inside = p.mri.data[0, 0].compute().astype(float)
    expected = 1000 * (1 - v - t) + 80 * v + 1750 * t
    # the top slice reaches out of the brain; below it only rounding differs
    np.testing.assert_allclose(inside[3:], expected[3:], rtol=0, atol=0.51)
    assert inside[v > 0.5].mean() < 700 < 1000 < inside[t > 0.2].mean()


@pytest.mark.parametrize(
    "wrong",
    [
        {"two_photon_shape": (10, 10)},
        {"mri_shape": (0, 10, 10)},
        {"two_photon_spacing_um": (1.0, -1.0, 1.0)},
        {"mri_spacing_um": 0.0},
        {"mri_localisation_um": -1.0},
        {"deformation_um": np.nan},
        {"tumour_radius_um": 0.0},
        {"finest_vessel_um": 50.0},
        {"n_landmarks": -1},
        {"seed": -1},
    ],
)
def test_impossible_options_are_refused(wrong: dict) -> None:
    with pytest.raises(GeometryError):
        PhantomOptions(**wrong)


@pytest.mark.parametrize("wrong", [{"gain": 0.0}, {"pedestal": -1.0}, {"vessel_photons": np.inf}])
def test_impossible_detectors_are_refused(wrong: dict) -> None:
    with pytest.raises(GeometryError):
        TwoPhotonDetector(**wrong)


@pytest.mark.parametrize("wrong", [{"snr": 0.0}, {"brain": -1.0}])
def test_impossible_contrasts_are_refused(wrong: dict) -> None:
    with pytest.raises(GeometryError):
        MriContrast(**wrong)


def test_sample_is_small_and_demo_is_a_cranial_window() -> None:
    sample, demo = PhantomOptions.sample(), PhantomOptions.demo()
    assert np.prod(sample.two_photon_shape) * 2 * 2 < 3.2e6
    extent = np.asarray(demo.two_photon_shape) * demo.two_photon_spacing_um
    np.testing.assert_array_equal(extent, [1200, 2400, 2400])
    assert isinstance(Grid.from_spacing(demo.two_photon_shape, demo.two_photon_spacing_um), Grid)
