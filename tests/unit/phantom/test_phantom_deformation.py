"""The known deformation: derivatives, inverse, strength."""

import json

import numpy as np
import pytest

from napari_bridgecorr.errors import GeometryError, TransformError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.phantom.deformation import SmoothDeformation, random_deformation

FIXED = Grid.from_spacing((24, 48, 48), 50.0, (4000.0, -3000.0, 100.0))
LINEAR = np.diag([-1.0, -1.0, 1.0]) @ (np.eye(3) + 0.02 * np.arange(9).reshape(3, 3) / 9)


def deformation(bend_um: float = 40.0, seed: int = 1) -> SmoothDeformation:
    rng = np.random.default_rng(seed)
    return random_deformation(rng, LINEAR, FIXED, (600.0, 1200.0, 1200.0), bend_um)


def points(n: int = 500) -> np.ndarray:
    shape = np.asarray(FIXED.shape)
    return FIXED.to_world(np.random.default_rng(0).uniform(-0.5, shape - 0.5, (n, 3)))


def test_map_is_the_formula() -> None:
    d, p = deformation(), points(7)
    for x, y in zip(p, d.map(p), strict=True):
        expected = d.matrix[:3, :3] @ x + d.matrix[:3, 3]
        for c, s, w in zip(d.centres_um, d.widths_um, d.weights_um, strict=True):
            expected = expected + w * np.exp(-np.sum((x - c) ** 2) / (2 * s**2))
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-9)


def test_jacobian_is_the_derivative() -> None:
    d, p = deformation(), points()
    h = 0.05
    numeric = np.stack([(d.map(p + h * e) - d.map(p - h * e)) / (2 * h) for e in np.eye(3)], axis=2)
    np.testing.assert_allclose(d.jacobian(p), numeric, rtol=0, atol=1e-8)


def test_it_does_not_fold() -> None:
    for seed in range(10):
        assert deformation(seed=seed).jacobian_determinant(points(5000)).min() > 0.3


def test_inverse_round_trip() -> None:
    d, p = deformation(), points()
    back = d.inverse()
    assert not back.is_exact
    np.testing.assert_allclose(back.map(d.map(p)), p, rtol=0, atol=1e-5)


@pytest.mark.parametrize("bend_um", [0.0, 10.0, 40.0])
def test_strength_is_what_no_affine_takes_up(bend_um: float) -> None:
    d, p = deformation(bend_um), points(20_000)
    design = np.column_stack([p - p.mean(axis=0), np.ones(len(p))])
    moved = d.map(p)
    left = moved - design @ np.linalg.lstsq(design, moved, rcond=None)[0]
    strength = np.sqrt(np.mean(np.sum(left**2, axis=1)))
    # the lattice that sets the strength includes the faces, where the bend is largest
    assert strength == pytest.approx(bend_um, rel=0.2, abs=1e-6)


def test_largest_stretch_is_a_bound() -> None:
    d, p = deformation(), points(2000)
    measured = np.linalg.norm(d.jacobian(p), 2, axis=(1, 2)).max()
    assert measured <= d.largest_stretch() < 3


def test_json_round_trip() -> None:
    d = deformation()
    values = json.loads(json.dumps(d.to_dict()))
    assert values["type"] == "smooth_deformation"
    np.testing.assert_array_equal(
        SmoothDeformation.from_dict(values).map(points()), d.map(points())
    )


def test_too_strong_is_refused() -> None:
    with pytest.raises(GeometryError, match="less deformation"):
        deformation(600.0)


@pytest.mark.parametrize(
    ("widths", "weights"),
    [((1.0, 2.0), ((0, 0, 1),)), ((-1.0,), ((0, 0, 1),)), ((1.0,), ((0, 0, np.nan),))],
)
def test_wrong_bumps_are_refused(widths: tuple, weights: tuple) -> None:
    with pytest.raises(TransformError):
        SmoothDeformation(np.eye(4), ((0, 0, 0),), widths, weights)
