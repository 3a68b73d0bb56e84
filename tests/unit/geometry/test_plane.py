"""Reference planes: found from points and lines, turned, stored, and refused where undetermined."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Plane

SEEDS = st.integers(0, 2**32 - 1)


def on_a_plane(seed: int, n: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Points on an oblique plane far from the world's origin, and its normal."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=3)
    normal /= np.linalg.norm(normal)
    basis = np.linalg.svd(normal[None])[2][1:]
    points = rng.uniform(-1e4, 1e4, 3) + rng.uniform(-2000, 2000, (n, 2)) @ basis
    return points, normal


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_points_of_a_plane_give_it_back(seed: int) -> None:
    points, normal = on_a_plane(seed)
    plane = Plane.through_points(points)
    assert abs(abs(plane.normal @ normal) - 1) < 1e-12
    np.testing.assert_allclose((points - plane.origin_um) @ plane.normal, 0, atol=1e-9)
    np.testing.assert_allclose(plane.place(points)[:, 0], 0, atol=1e-9)
    np.testing.assert_allclose(plane.origin_um, points.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(plane.axes.T @ plane.axes, np.eye(3), atol=1e-14)
    assert np.linalg.det(plane.axes) == pytest.approx(1, abs=1e-14)
    assert plane.normal[np.argmax(np.abs(plane.normal))] > 0


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_least_squares_is_least(seed: int) -> None:
    """No direction that a general optimiser finds has smaller perpendicular distances."""
    rng = np.random.default_rng(seed)
    points, _ = on_a_plane(seed, 12)
    points = points + rng.normal(scale=20, size=points.shape)
    plane = Plane.through_points(points)
    centred = points - points.mean(axis=0)

    def cost(normal: np.ndarray) -> float:
        return float(np.sum((centred @ normal / np.linalg.norm(normal)) ** 2))

    found = cost(plane.normal)
    assert found <= minimize(cost, plane.normal + rng.normal(scale=0.1, size=3)).fun * (1 + 1e-9)
    assert plane.made["residual_rms_um"] == pytest.approx(np.sqrt(found / 12), rel=1e-12)
    assert np.sum(np.square(plane.made["residual_um"])) == pytest.approx(found, rel=1e-9)


def test_tilt_uncertainty_is_that_of_repeated_clicks() -> None:
    """Clicks 5 um off on a 400 x 100 um patch: the tilt's scatter is what is told."""
    rng = np.random.default_rng(4)
    y, x = np.meshgrid(np.linspace(-50, 50, 5), np.linspace(-200, 200, 5), indexing="ij")
    truth = np.column_stack([np.zeros(25), y.ravel(), x.ravel()])
    tilts, told = [], []
    for _ in range(400):
        plane = Plane.through_points(truth + rng.normal(scale=5, size=truth.shape) * (1, 0, 0))
        tilts.append(np.rad2deg(np.arctan2(plane.normal[1], plane.normal[0])))
        told.append(plane.made["tilt_sd_degrees"])
    assert np.mean(told) == pytest.approx(np.std(tilts), rel=0.1)
    assert Plane.through_points(truth[[0, 4, 20]]).made["tilt_sd_degrees"] is None


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_lines_on_a_plane_give_it_back(seed: int) -> None:
    points, normal = on_a_plane(seed, 4)
    a, b = points[1] - points[0], points[3] - points[2]
    if np.linalg.norm(np.cross(a, b)) < 0.1 * np.linalg.norm(a) * np.linalg.norm(b):
        return
    plane = Plane.through_lines(points[:2], points[2:])
    assert abs(abs(plane.normal @ normal) - 1) < 1e-12
    np.testing.assert_allclose(plane.place(points)[:, 0], 0, atol=1e-7)
    assert plane.made["gap_um"] < 1e-7


def test_lines_that_miss_each_other_have_the_plane_midway() -> None:
    first = [(100, 0, -50), (110, 0, 50)]  # drawn in (z, x): tilted
    second = [(94, -80, 0), (94, 80, 0)]  # drawn in (z, y): flat, 11 um below the other there
    plane = Plane.through_lines(first, second)
    places = [plane.place(line)[:, 0] for line in (first, second)]
    np.testing.assert_allclose(places[0], places[0][0], atol=1e-12)
    np.testing.assert_allclose(places[1], -places[0], atol=1e-12)
    assert plane.made["gap_um"] == pytest.approx(2 * abs(places[0][0]), rel=1e-12)
    assert plane.made["gap_um"] == pytest.approx(11 * np.cos(np.arctan(0.1)), rel=1e-12)
    assert plane.made["angle_degrees"] == pytest.approx(90)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (np.empty((0, 3)), "three points"),
        ([(0, 0, 0), (0, 1, 2)], "three points"),
        ([(5, 5, 5)] * 4, "one line or spot"),
        ([(0, 0, 0), (1, 2, 3), (2, 4, 6), (-3, -6, -9)], "one line or spot"),
        ([(0, 0, 0), (0, 0, 9000), (0, 1, 4500)], "one line or spot"),
        ([(0, 0, np.nan), (0, 1, 0), (1, 0, 0)], "not a finite"),
        (np.vstack([np.eye(3), -np.eye(3)]), "above and below"),
        ([(0, 0), (1, 1), (0, 1)], "(n, 3)"),
        ([("a", 0, 0)] * 3, "numbers"),
    ],
)
def test_points_that_tell_no_plane_are_refused(points: object, reason: str) -> None:
    with pytest.raises(GeometryError) as caught:
        Plane.through_points(points)  # type: ignore[arg-type]
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (([(0, 0, 0), (0, 0, 0)], [(0, 0, 0), (0, 1, 0)]), "first line's two points coincide"),
        (([(0, 0, 0), (0, 0, 9)], [(5, 0, 0), (5, 0.01, -7)]), "parallel"),
        (([(0, 0, 0)], [(0, 0, 0), (0, 1, 0)]), "two points"),
        (([(0, 0, 0), (0, 1, 0)], [(0, 0, np.inf), (0, 0, 0)]), "second line"),
    ],
)
def test_lines_that_tell_no_plane_are_refused(lines: tuple[list, list], reason: str) -> None:
    with pytest.raises(GeometryError, match=reason):
        Plane.through_lines(*lines)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_picture_is_turned_as_little_as_can_be(seed: int) -> None:
    """Its rotation from the world has the angle between the normals, and no more."""
    normal = np.random.default_rng(seed).normal(size=3)
    plane = Plane.from_normal((0, 0, 0), normal)
    np.testing.assert_allclose(plane.normal, normal / np.linalg.norm(normal), atol=1e-15)
    angle = np.linalg.norm(Rotation.from_matrix(plane.axes).as_rotvec())
    assert angle == pytest.approx(np.arccos(plane.normal[0]), abs=1e-7)


def test_the_axes_of_planes_along_the_world() -> None:
    np.testing.assert_array_equal(Plane.from_normal((0, 0, 0), (2, 0, 0)).axes, np.eye(3))
    upside_down = Plane.from_normal((0, 0, 0), (-3, 0, 0))
    np.testing.assert_array_equal(upside_down.axes, np.diag([-1, 1, -1]))
    assert np.linalg.det(Plane.from_normal((0, 0, 0), (0, 0, 1)).axes) == pytest.approx(1)


@given(SEEDS, st.floats(-720, 720))
@settings(max_examples=60, deadline=None)
def test_turning_shifting_and_flipping(seed: int, degrees: float) -> None:
    points, _ = on_a_plane(seed)
    plane = Plane.through_points(points)
    before = plane.place(points)
    turned = plane.turned(degrees)
    assert np.array_equal(turned.normal, plane.normal)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    y, x = before[:, 1], before[:, 2]
    expected = np.column_stack([before[:, 0], c * y - s * x, s * y + c * x])
    np.testing.assert_allclose(turned.place(points), expected, atol=1e-8)
    np.testing.assert_allclose(turned.turned(-degrees).axes, plane.axes, atol=1e-14)
    flipped = plane.flipped()
    np.testing.assert_allclose(flipped.place(points), before * (-1, 1, -1), atol=1e-8)
    assert flipped.flipped() == plane
    shifted = plane.shifted(5, -7, 11)
    np.testing.assert_allclose(shifted.place(points), before - (5, -7, 11), atol=1e-8)
    moved = plane.with_origin(points[0] + 40 * plane.normal)
    np.testing.assert_allclose(moved.place(points[:1]), 0, atol=1e-8)
    np.testing.assert_allclose(moved.place(points)[:, 0], before[:, 0], atol=1e-8)
    assert [*shifted.turned(3).made["changes"]] == [
        {"shifted_um": [5.0, -7.0, 11.0]},
        {"turned_degrees": 3.0},
    ]


def test_turning_takes_x_towards_y() -> None:
    turned = Plane.from_normal((0, 0, 0), (1, 0, 0)).turned(90)
    np.testing.assert_allclose(turned.axes[:, 2], (0, 1, 0), atol=1e-15)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_places_go_back_to_points(seed: int) -> None:
    points, _ = on_a_plane(seed)
    plane = Plane.through_points(points).turned(17)
    world = np.random.default_rng(seed).uniform(-1e4, 1e4, (20, 3))
    np.testing.assert_allclose(plane.points(plane.place(world)), world, atol=1e-8)
    np.testing.assert_allclose(plane.to_world @ plane.from_world, np.eye(4), atol=1e-9)
    lengths = [np.linalg.norm(b - a) for a, b in pairwise(world)]
    mapped = [np.linalg.norm(b - a) for a, b in pairwise(plane.place(world))]
    np.testing.assert_allclose(mapped, lengths, rtol=1e-12)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_json_keeps_every_bit(seed: int) -> None:
    plane = Plane.through_points(on_a_plane(seed)[0]).turned(31.4).shifted(1, 2, 3)
    text = json.dumps(plane.to_dict(), allow_nan=False)
    back = Plane.from_dict(json.loads(text))
    assert back == plane
    assert hash(back) == hash(plane)
    assert json.dumps(back.to_dict()) == text


def test_axes_written_with_few_digits_are_mended() -> None:
    plane = Plane.from_normal((1, 2, 3), (1, 0.2, -0.3))
    values = plane.to_dict()
    for key in ("normal", "down", "across"):
        values[key] = [round(v, 8) for v in values[key]]
    back = Plane.from_dict(values)
    np.testing.assert_allclose(back.axes.T @ back.axes, np.eye(3), atol=1e-15)
    np.testing.assert_allclose(back.axes, plane.axes, atol=1e-7)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"format": "bridgecorr-transform"}, "no plane"),
        ({"version": 2}, "version"),
        ({"normal": [1, 0]}, "'normal'"),
        ({"normal": None}, "'normal'"),
        ({"down": ["a", 0, 0]}, "'down'"),
        ({"origin_um": [float("nan"), 0, 0]}, "'origin_um'"),
        ({"normal": [2, 0, 0]}, "unit length"),
        ({"down": [0.1, 1, 0]}, "perpendicular"),
        ({"across": [0, 0, -1]}, "mirror"),
        ({"made": [1]}, "'made'"),
        ({"made": {"changes": 5}}, "'made'"),
    ],
)
def test_damaged_planes_are_refused(changed: dict, reason: str) -> None:
    values = {**Plane.from_normal((0, 0, 0), (1, 0, 0)).to_dict(), **changed}
    with pytest.raises(GeometryError, match=reason):
        Plane.from_dict(values)


def test_a_normal_that_is_none_is_refused() -> None:
    with pytest.raises(GeometryError, match="not zero"):
        Plane.from_normal((0, 0, 0), (0, 0, 0))
    with pytest.raises(GeometryError, match="angle"):
        Plane.from_normal((0, 0, 0), (1, 0, 0)).turned(float("nan"))
