"""What holds for every transform: derivatives, inverse, JSON, lattices, domain."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator
from transform_samples import (
    BOX_UM,
    FIELD_GRID,
    SAMPLES,
    affine,
    field,
    inner_points,
    landmarks,
    oblique_field,
    spline,
)

from napari_bridgecorr.errors import GeometryError, TransformError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.transform import (
    Affine,
    Chain,
    DisplacementField,
    Transform,
    transform_from_dict,
)
from napari_bridgecorr.transform.base import as_points

every = pytest.mark.parametrize("name", list(SAMPLES))


def numeric_jacobian(transform: Transform, points: np.ndarray, h: float) -> np.ndarray:
    """Central differences."""
    columns = [(transform.map(points + h * e) - transform.map(points - h * e)) for e in np.eye(3)]
    return np.stack(columns, axis=2) / (2 * h)


def smooth_points(n: int) -> np.ndarray:
    """Points not within 5 um of a landmark (a cone) or of a field's cell face (a kink)."""
    points = inner_points(4 * n)
    index = FIELD_GRID.to_index(points)
    keep = np.all(np.abs(index - np.rint(index)) > 0.05, axis=1)
    index = oblique_field().grid.to_index(points)
    keep &= np.all(np.abs(index - np.rint(index)) > 0.05, axis=1)
    control = landmarks(0, 30, 5.0)[0]
    for p in (points, field().map(points)):
        keep &= np.linalg.norm(p[:, None] - control, axis=2).min(axis=1) > 5
        keep &= np.linalg.norm((p[:, None] - control)[:, :, 1:], axis=2).min(axis=1) > 5
    return points[keep][:n]


@every
def test_jacobian_is_the_derivative(name: str) -> None:
    transform = SAMPLES[name]()
    points = smooth_points(60)
    assert len(points) >= 40
    if name.startswith("inverse"):
        points = transform.inverse().map(points)  # there, and to within 1e-6 um only
        h, tolerance = 0.5, 1e-4
    else:
        h, tolerance = 1e-2, 1e-6
    jacobian = transform.jacobian(points)
    assert jacobian.shape == (len(points), 3, 3)
    np.testing.assert_allclose(
        jacobian, numeric_jacobian(transform, points, h), rtol=0, atol=tolerance
    )
    a, b, c = jacobian[:, :, 0], jacobian[:, :, 1], jacobian[:, :, 2]
    triple_product = np.sum(a * np.cross(b, c), axis=1)
    np.testing.assert_allclose(
        transform.jacobian_determinant(points), triple_product, rtol=1e-10, atol=1e-12
    )


def test_determinant_is_the_change_of_volume() -> None:
    doubled = Affine(np.diag([2.0, 3.0, -0.5, 1.0]))
    np.testing.assert_allclose(doubled.jacobian_determinant(inner_points(3)), -3, rtol=1e-14)


@every
def test_inverse_undoes_the_map(name: str) -> None:
    transform = SAMPLES[name]()
    points = inner_points(300)
    if name.startswith("inverse"):
        points = transform.inverse().map(points)
    back = transform.inverse()
    moved = transform.map(points)
    assert np.isfinite(moved).all()
    found = back.map(moved)
    # where it answers, the answer maps onto what was asked: 1e-6 um is the stated tolerance
    np.testing.assert_allclose(transform.map(found), moved, rtol=0, atol=2e-6)
    np.testing.assert_allclose(found, points, rtol=0, atol=1e-4)
    assert back.inverse().map(points) == pytest.approx(moved, abs=1e-9)


# noise that bends a plane of 40 landmarks into folds leaves space as it is
@pytest.mark.parametrize(
    ("dimensions", "noise_um"), [(3, 0.0), (3, 5.0), (3, 15.0), (2, 0.0), (2, 5.0)]
)
def test_spline_inverse_far_outside_the_hull(dimensions: int, noise_um: float) -> None:
    rng = np.random.default_rng(1)
    for seed in range(3):
        forward = spline(seed, 40, noise_um, 0.0, dimensions)
        around = rng.uniform(-1, 2, (500, 3)) * BOX_UM  # one width of the sample on every side
        # where a noisy spline folds, several points share an image: no inverse tells them apart
        assert np.all(forward.jacobian_determinant(around) > 0)
        found = forward.inverse().map(forward.map(around))
        np.testing.assert_allclose(found, around, rtol=0, atol=1e-3)
        assert not forward.inverse().is_exact
        at_landmarks = forward.inverse().map(forward.map(forward.fixed_um))
        np.testing.assert_allclose(at_landmarks, forward.fixed_um, rtol=0, atol=1e-3)


@given(
    st.lists(st.floats(-2, 2), min_size=9, max_size=9),
    st.lists(st.floats(-1e5, 1e5), min_size=3, max_size=3),
)
def test_affine_inverse(entries: list[float], offset: list[float]) -> None:
    linear = np.array(entries).reshape(3, 3) + 6 * np.eye(3)  # diagonally dominant or nearly so
    if np.linalg.cond(linear) > 100:
        return
    forward = Affine.from_parts(linear, offset)
    points = inner_points(5)
    np.testing.assert_allclose(forward.map(points), points @ linear.T + offset, rtol=0, atol=1e-8)
    back = forward.inverse()
    assert back.is_exact
    # 1e5 um carries 1e-11, times the condition
    np.testing.assert_allclose(back.map(forward.map(points)), points, rtol=0, atol=1e-7)


def fold() -> DisplacementField:
    """x is folded back at -60 um: nothing is mapped below, two points to some places above."""
    grid = Grid.from_spacing((2, 2, 21), (100.0, 100.0, 10.0), (0.0, 0.0, -100.0))
    x = np.linspace(-100, 100, 21)
    displacement = np.zeros((3, 2, 2, 21))
    displacement[2] = np.where(x < -60, -120 - 2 * x, 0)
    return DisplacementField(grid, displacement)


def test_a_fold_gives_nan_never_a_wrong_place() -> None:
    folded = fold()
    rng = np.random.default_rng(0)
    points = rng.uniform((5, 5, -99), (95, 95, 99), (400, 3))
    x = points[:, 2]
    np.testing.assert_allclose(
        folded.map(points)[:, 2], np.where(x < -60, -120 - x, x), rtol=0, atol=1e-12
    )
    determinant = folded.jacobian_determinant(points)
    np.testing.assert_allclose(determinant, np.where(x < -60, -1, 1), rtol=0, atol=1e-12)
    back = folded.inverse().map(points)
    unreachable = x < -60 - 1e-5
    assert np.isnan(back[unreachable]).all()
    reached = np.isfinite(back).all(axis=1)
    assert reached[~unreachable].mean() > 0.5
    np.testing.assert_allclose(folded.map(back[reached]), points[reached], rtol=0, atol=2e-6)


def test_a_badly_folded_spline_never_gives_a_wrong_place() -> None:
    rng = np.random.default_rng(5)
    from napari_bridgecorr.fitting import FitOptions, fit
    from napari_bridgecorr.landmarks import LandmarkSet

    fixed, moving = rng.uniform(0, 500, (2, 25, 3))
    wild = fit(LandmarkSet.from_pairs(fixed, moving).pairs(), FitOptions("tps", 0.0)).transform
    targets = rng.uniform(0, 500, (300, 3))
    back = wild.inverse().map(targets)
    reached = np.isfinite(back).all(axis=1)
    assert np.all(np.isnan(back[~reached]))
    np.testing.assert_allclose(wild.map(back[reached]), targets[reached], rtol=0, atol=2e-6)


@every
def test_json_round_trip_is_exact(name: str) -> None:
    transform = SAMPLES[name]()
    text = json.dumps(transform.to_dict(), allow_nan=False)
    back = transform_from_dict(json.loads(text))
    assert type(back) is type(transform)
    assert back.to_dict() == transform.to_dict()
    points = inner_points(50)
    np.testing.assert_array_equal(back.map(points), transform.map(points))


@every
@pytest.mark.parametrize("mixing", [False, True], ids=["aligned", "oblique"])
def test_lattice_equals_points(name: str, mixing: bool) -> None:
    transform = SAMPLES[name]()
    before, after = np.diag([20.0, 11.0, 7.0, 1.0]), np.diag([0.1, 0.5, 2.0, 1.0])
    before[:3, 3], after[:3, 3] = (100, 150, 200), (-30, 700, 5)
    if mixing:
        before[:3, :3] += [[0, 1, 2], [-1, 0, 1], [0.5, -2, 0]]
        after[:3, :3] += [[0, 0.05, 0.1], [-0.1, 0, 0.1], [0.2, -0.1, 0]]
    axes = (np.array([0.0, 3.25, 8.0]), np.arange(6.0), np.array([1.5, 2.0, 9.0, 20.0]))
    index = np.array(list(itertools.product(*axes)))  # x fastest
    world = index @ before[:3, :3].T + before[:3, 3]
    if name.startswith("inverse"):  # ask where the inverse has an answer
        shift = np.eye(4)
        shift[:3, 3] = transform.inverse().map(world.mean(axis=0))[0] - world.mean(axis=0)
        before = shift @ before
        world = index @ before[:3, :3].T + before[:3, 3]
    expected = transform.map(world) @ after[:3, :3].T + after[:3, 3]
    assert np.isfinite(expected).all()
    result = transform.map_lattice(before, after, axes)
    # indices: a ten-millionth of a voxel; an inverse is iterated from slightly other roundings
    atol = 1e-5 if name.startswith("inverse") else 1e-8
    np.testing.assert_allclose(result, expected, rtol=0, atol=atol)


@every
def test_points_one_by_one_or_together(name: str) -> None:
    transform = SAMPLES[name]()
    points = inner_points(20)
    together = transform.map(points)
    alone = np.vstack([transform.map(p) for p in points])
    atol = 2e-6 if name.startswith("inverse") else 0
    np.testing.assert_allclose(alone, together, rtol=0, atol=atol)
    assert transform.map(np.zeros((0, 3))).shape == (0, 3)


@every
def test_nan_in_nan_out(name: str) -> None:
    points = inner_points(3)
    points[1, 2] = np.nan
    moved = SAMPLES[name]().map(points)
    assert np.isnan(moved[1]).any()
    assert np.isfinite(moved[[0, 2]]).all()


@pytest.mark.parametrize("wrong", [np.zeros(4), np.zeros((3, 2)), np.zeros((1, 3, 3)), 5.0])
def test_what_is_no_list_of_points(wrong: object) -> None:
    with pytest.raises(TransformError, match=r"\(n, 3\)"):
        as_points(wrong)  # type: ignore[arg-type]


# fields


@pytest.mark.parametrize("sample", [field, oblique_field])
def test_field_equals_scipys_linear_interpolation(sample) -> None:  # type: ignore[no-untyped-def]
    transform = sample()
    points = inner_points(300)
    axes = [np.arange(n) for n in transform.grid.shape]
    reference = RegularGridInterpolator(axes, np.moveaxis(transform.displacement_um, 0, -1))
    expected = points + reference(transform.grid.to_index(points))
    np.testing.assert_allclose(transform.map(points), expected, rtol=0, atol=1e-9)


def test_field_samples_a_transform() -> None:
    truth = spline()
    sampled = DisplacementField.sample(truth, FIELD_GRID)
    centres = FIELD_GRID.to_world(np.indices(FIELD_GRID.shape).reshape(3, -1).T)
    np.testing.assert_allclose(sampled.map(centres), truth.map(centres), rtol=0, atol=1e-9)
    # trilinear interpolation reproduces an affine everywhere, so its derivative too
    flat = DisplacementField.sample(affine(), FIELD_GRID)
    points = inner_points(50)
    np.testing.assert_allclose(flat.map(points), affine().map(points), rtol=0, atol=1e-9)
    np.testing.assert_allclose(flat.jacobian(points), affine().jacobian(points), rtol=0, atol=1e-10)
    guess = flat.linear_guess()
    np.testing.assert_allclose(guess, affine().matrix, rtol=0, atol=1e-8)


def test_field_ends_at_the_outermost_voxels_faces() -> None:
    transform = field()
    shape = np.asarray(FIELD_GRID.shape)
    corners = FIELD_GRID.to_world([[0, 0, 0], shape - 1])
    np.testing.assert_allclose(
        transform.map(corners) - corners,
        [transform.displacement_um[:, 0, 0, 0], transform.displacement_um[:, -1, -1, -1]],
        rtol=0,
        atol=1e-9,
    )
    # the outer half of an outermost voxel has the vector of its centre, as in ITK
    edge = FIELD_GRID.to_world([[-0.499, 3, 3], [3, shape[1] - 0.501, 3]])
    np.testing.assert_allclose(
        transform.map(edge) - edge,
        [transform.displacement_um[:, 0, 3, 3], transform.displacement_um[:, 3, -1, 3]],
        rtol=0,
        atol=1e-9,
    )
    np.testing.assert_array_equal(
        transform.jacobian(edge)[[0, 1], :, [0, 1]], np.eye(3)[[0, 1]], strict=True
    )
    outside = FIELD_GRID.to_world([[-0.501, 3, 3], [3, shape[1] - 0.499, 3], [1e9, 0, 0]])
    assert np.isnan(transform.map(outside)).all()
    assert np.isnan(transform.jacobian(outside)).all()
    assert np.isnan(transform.jacobian_determinant(outside)).all()
    assert np.isnan(transform.inverse().map([[1e9, 0, 0]])).all()


def test_a_field_of_one_plane() -> None:
    grid = Grid.from_spacing((1, 6, 7), 10.0, (5.0, 0.0, 0.0))
    displacement = np.zeros((3, 1, 6, 7))
    displacement[1], displacement[2] = 2.0, -3.0
    flat = DisplacementField(grid, displacement)
    point = [[8.0, 20.0, 30.0]]  # the plane is 10 um thick
    np.testing.assert_allclose(flat.map(point), [[8, 22, 27]], rtol=0, atol=1e-12)
    np.testing.assert_allclose(flat.inverse().map(flat.map(point)), point, rtol=0, atol=1e-6)
    assert np.isnan(flat.map([[10.1, 20.0, 30.0]])).all()


def test_a_field_of_nan_is_nowhere() -> None:
    nothing = DisplacementField(FIELD_GRID, np.full((3, *FIELD_GRID.shape), np.nan))
    assert np.isnan(nothing.map(inner_points(3))).all()
    assert np.isnan(nothing.inverse().map(inner_points(3))).all()


def test_a_field_must_fill_its_grid() -> None:
    with pytest.raises(TransformError, match="has the shape"):
        DisplacementField(FIELD_GRID, np.zeros((3, 2, 2, 2)))


# chains


def test_chain_applies_the_first_first() -> None:
    a, b = affine(), Affine.from_parts(np.diag([2.0, 1.0, 1.0]), (0, 5, 0))
    points = inner_points(10)
    both = Chain(a, b)
    np.testing.assert_allclose(both.map(points), b.map(a.map(points)), rtol=0, atol=1e-12)
    np.testing.assert_allclose(both.linear_guess(), b.matrix @ a.matrix, rtol=0, atol=1e-10)
    assert both.is_exact
    assert both.inverse().is_exact
    assert not Chain(a, spline().inverse()).is_exact
    with pytest.raises(TransformError, match="at least one"):
        Chain()


# damage


def damaged() -> dict[str, object]:
    """Descriptions that are wrong, each in its own way."""
    good_spline, good_field = spline().to_dict(), field().to_dict()
    chain = {"type": "affine", "matrix": np.eye(4).tolist()}
    deep: dict[str, object] = chain
    for _ in range(100):
        deep = {"type": "inverse", "transform": deep}
    grid = dict(good_field["grid"])
    cases: dict[str, object] = {
        "none": None,
        "a list": [],
        "no type": {},
        "a type that is no text": {"type": 3},
        "unknown type": {"type": "magic"},
        "affine without matrix": {"type": "affine"},
        "affine of text": {"type": "affine", "matrix": "one"},
        "affine of none": {"type": "affine", "matrix": None},
        "affine 3 x 3": {"type": "affine", "matrix": np.eye(3).tolist()},
        "affine ragged": {"type": "affine", "matrix": [[1, 2], [3]]},
        "affine singular": {"type": "affine", "matrix": np.diag([1, 1, 0, 1]).tolist()},
        "affine with nan": {"type": "affine", "matrix": np.diag([1, 1, np.nan, 1]).tolist()},
        "empty chain": {"type": "chain", "transforms": []},
        "chain of nothing": {"type": "chain"},
        "chain of a number": {"type": "chain", "transforms": 5},
        "chain of rubbish": {"type": "chain", "transforms": [chain, 5]},
        "inverse of nothing": {"type": "inverse"},
        "inverse of none": {"type": "inverse", "transform": None},
        "nested too deeply": deep,
        "field too short": {**good_field, "data": good_field["data"][: -len("AAAA") * 40]},
        "field no base64": {**good_field, "data": "@@@"},
        "field data a number": {**good_field, "data": 7},
        "field of integers": {**good_field, "dtype": "int16"},
        "field of another size": {**good_field, "grid": {**grid, "shape": [2, 2, 2]}},
        "field larger than memory": {**good_field, "grid": {**grid, "shape": [10**9] * 3}},
        "field without grid": {**good_field, "grid": []},
        "field on a flat grid": {**good_field, "grid": {**grid, "shape": [9, 12]}},
        "spline without end": {**good_spline, "dimensions": float("inf")},
        "spline of text": {**good_spline, "weights_um": "x"},
        "spline with nan": {**good_spline, "centre_um": [0, 0, float("nan")]},
        "spline of four dimensions": {**good_spline, "dimensions": 4},
        "spline of another kernel": {**good_spline, "kernel": "r^2 log r"},
        "spline cut short": {**good_spline, "weights_um": good_spline["weights_um"][:-1]},
        "spline of no scale": {**good_spline, "scale_um": 0},
        "spline of scale nan": {**good_spline, "scale_um": float("nan")},
        "spline of negative lambda": {**good_spline, "lambda": -1},
        "spline of lambda nan": {**good_spline, "lambda": float("nan")},
        "spline of lambda none": {**good_spline, "lambda": None},
    }
    for key in good_spline:
        if key not in ("type",):
            cases[f"spline without {key}"] = {k: v for k, v in good_spline.items() if k != key}
    return cases


DAMAGED = damaged()


@pytest.mark.parametrize("name", list(DAMAGED))
def test_damaged_descriptions_are_refused_in_words(name: str) -> None:
    with pytest.raises(TransformError) as caught:
        transform_from_dict(DAMAGED[name])
    assert "\n" not in str(caught.value)


def test_affine_must_be_invertible() -> None:
    with pytest.raises(GeometryError):
        Affine(np.zeros((4, 4)))
