"""Translation, rigid, similarity, affine against exact truths and independent implementations."""

import numpy as np
import pytest
from fitting_samples import clicked, named, points_in_box
from scipy.spatial.transform import Rotation
from skimage.transform import EuclideanTransform, SimilarityTransform

from napari_bridgecorr.fitting import FitOptions, fit

TURN = Rotation.from_rotvec((0.5, -1.9, 1.2)).as_matrix()
PLANAR_TURN = Rotation.from_rotvec((2.0, 0, 0)).as_matrix()
OFFSET = np.array([500.0, -20_000.0, 3.0])
SHEAR = TURN @ np.array([[1.1, 0.2, 0], [0, 0.8, 0.1], [0.05, 0, 1.3]])


def matrix_of(model: str, fixed: np.ndarray, moving: np.ndarray, dimensions: int = 3) -> np.ndarray:
    return fit(named(fixed, moving), FitOptions(model, dimensions=dimensions)).transform.matrix


@pytest.mark.parametrize(
    ("model", "linear"),
    [
        ("translation", np.eye(3)),
        ("rigid", TURN),
        ("similarity", 2.5 * TURN),
        ("affine", SHEAR),
        ("affine", SHEAR @ np.diag([1, 1, -1])),
        ("tps", SHEAR),
    ],
)
@pytest.mark.parametrize("n", [5, 40])
def test_an_exact_map_is_recovered(model: str, linear: np.ndarray, n: int) -> None:
    fixed = points_in_box(np.random.default_rng(n), n)
    result = fit(named(fixed, fixed @ linear.T + OFFSET), FitOptions(model))
    targets = points_in_box(np.random.default_rng(9), 50) * 3 - 1000
    np.testing.assert_allclose(
        result.transform.map(targets), targets @ linear.T + OFFSET, rtol=0, atol=1e-6
    )
    assert result.diagnostics.residual_rms_um < 1e-8
    assert result.diagnostics.loo_rms_um < 1e-6


@pytest.mark.parametrize(
    ("model", "linear"),
    [
        ("translation", np.eye(3)),
        ("rigid", PLANAR_TURN),
        ("similarity", np.diag([1, 0.4, 0.4]) @ PLANAR_TURN),
        ("affine", np.array([[1, 0, 0], [0, 1.2, 0.3], [0, -0.8, 0.5]])),
        ("tps", np.array([[1, 0, 0], [0, 1.2, 0.3], [0, -0.8, 0.5]])),
    ],
)
def test_an_exact_planar_map_is_recovered(model: str, linear: np.ndarray) -> None:
    fixed = points_in_box(np.random.default_rng(1), 12)
    fixed[:, 0] = 30
    result = fit(named(fixed, fixed @ linear.T + OFFSET), FitOptions(model, dimensions=2))
    targets = points_in_box(np.random.default_rng(9), 50)
    np.testing.assert_allclose(
        result.transform.map(targets), targets @ linear.T + OFFSET, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("seed", range(5))
def test_rigid_equals_scipy(seed: int) -> None:
    pairs, _, _ = clicked(seed, 12, 30.0, 60.0)
    f, m = pairs.fixed_um, pairs.moving_um
    expected, _ = Rotation.align_vectors(m - m.mean(axis=0), f - f.mean(axis=0))
    matrix = matrix_of("rigid", f, m)
    np.testing.assert_allclose(matrix[:3, :3], expected.as_matrix(), rtol=0, atol=1e-9)
    offset = m.mean(axis=0) - expected.apply(f.mean(axis=0))
    np.testing.assert_allclose(matrix[:3, 3], offset, rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_similarity_equals_skimage(seed: int) -> None:
    pairs, _, _ = clicked(seed, 12, 30.0, 60.0)
    expected = SimilarityTransform.from_estimate(pairs.fixed_um, 1.7 * pairs.moving_um).params
    matrix = matrix_of("similarity", pairs.fixed_um, 1.7 * pairs.moving_um)
    np.testing.assert_allclose(matrix, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_affine_equals_lstsq(seed: int) -> None:
    pairs, _, _ = clicked(seed, 15, 30.0, 60.0)
    design = np.column_stack([pairs.fixed_um, np.ones(15)])
    expected = np.linalg.lstsq(design, pairs.moving_um, rcond=None)[0].T
    matrix = matrix_of("affine", pairs.fixed_um, pairs.moving_um)
    np.testing.assert_allclose(matrix[:3], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("model", "reference"),
    [("rigid", EuclideanTransform), ("similarity", SimilarityTransform), ("affine", None)],
)
def test_planar_models_equal_a_reference(model: str, reference: type | None) -> None:
    rng = np.random.default_rng(3)
    fixed = points_in_box(rng, 15)
    moving = 1.3 * fixed @ PLANAR_TURN.T + OFFSET + rng.normal(0, 30, fixed.shape)
    if reference is not None:
        expected = reference.from_estimate(fixed[:, 1:], moving[:, 1:]).params
    else:  # skimage's affine minimises an algebraic distance
        design = np.column_stack([fixed[:, 1:], np.ones(15)])
        expected = np.eye(3)
        expected[:2] = np.linalg.lstsq(design, moving[:, 1:], rcond=None)[0].T
    matrix = matrix_of(model, fixed, moving, 2)
    np.testing.assert_allclose(matrix[1:, 1:], expected, rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(matrix[0, :3], [1, 0, 0])
    assert matrix[0, 3] == pytest.approx(np.mean(moving[:, 0] - fixed[:, 0]), abs=1e-9)


@pytest.mark.parametrize("model", ["rigid", "similarity"])
def test_a_mirrored_sample_is_turned_never_reflected(model: str) -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        fixed = points_in_box(rng, 6)
        moving = (fixed * (1, 1, -1)) @ TURN.T + rng.normal(0, 5, (6, 3))
        linear = matrix_of(model, fixed, moving)[:3, :3]
        scale = np.linalg.det(linear) ** (1 / 3)
        assert scale > 0
        np.testing.assert_allclose(linear.T @ linear, scale**2 * np.eye(3), rtol=0, atol=1e-9)
        if model == "rigid":
            assert scale == pytest.approx(1, abs=1e-9)


def test_rigid_needs_no_depth() -> None:
    fixed = points_in_box(np.random.default_rng(5), 8)
    fixed[:, 0] = 100
    matrix = matrix_of("rigid", fixed, fixed @ TURN.T + OFFSET)
    np.testing.assert_allclose(matrix[:3, :3], TURN, rtol=0, atol=1e-10)


@pytest.mark.parametrize("model", ["translation", "rigid", "similarity", "affine", "tps"])
def test_order_means_nothing(model: str) -> None:
    pairs, _, targets = clicked(6, 20, 10.0, 40.0)
    order = np.random.default_rng(0).permutation(20)
    shuffled = named(pairs.fixed_um[order], pairs.moving_um[order])
    first = fit(pairs, FitOptions(model, 50.0))
    second = fit(shuffled, FitOptions(model, 50.0))
    np.testing.assert_allclose(
        second.transform.map(targets), first.transform.map(targets), rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(
        second.diagnostics.leave_one_out_um,
        first.diagnostics.leave_one_out_um[order],
        rtol=0,
        atol=1e-8,
    )


@pytest.mark.parametrize("model", ["rigid", "similarity", "affine", "tps"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_units_and_origin_mean_nothing(model: str, scale: float) -> None:
    pairs, _, targets = clicked(7, 20, 10.0, 40.0)
    origin = np.array([1e5, -3e4, 7.0]) * scale
    moved = named(pairs.fixed_um * scale + origin, pairs.moving_um * scale - origin)
    # lambda is a length (um): it scales along
    here = fit(pairs, FitOptions(model, 50.0)).transform.map(targets)
    there = fit(moved, FitOptions(model, 50.0 * scale)).transform.map(targets * scale + origin)
    np.testing.assert_allclose(there, here * scale - origin, rtol=0, atol=1e-7 * scale)
    if model == "tps":
        ours, theirs = fit(pairs), fit(moved)
        assert theirs.smoothing_um == pytest.approx(ours.smoothing_um * scale, rel=1e-3)
