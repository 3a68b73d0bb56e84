"""A section's world onto a plane of a volume: a transform like any other."""

import json

import numpy as np
import pytest
from transform_samples import spline

from napari_bridgecorr.errors import TransformError
from napari_bridgecorr.geometry import Plane
from napari_bridgecorr.transform import (
    Affine,
    Chain,
    SectionPlacement,
    simplified,
    transform_from_dict,
)

PLANE = Plane.from_normal((900.0, -400.0, 250.0), (0.9, 0.3, -0.2)).turned(20)


def planar() -> Affine:
    """Turned and sheared in the plane; the section's middle lies at z = 7."""
    linear = np.eye(3)
    linear[1:, 1:] = [[0.9, 0.3], [-0.35, 1.05]]
    return Affine.from_parts(linear, (-7.0, 30.0, -12.0))


def section() -> SectionPlacement:
    shifted = spline(n=12, dimensions=2, noise_um=1.0)
    depth = shifted.map([[0.0, 0, 0]])[0, 0]
    return SectionPlacement(
        Chain(shifted, Affine.from_parts(np.eye(3), (-depth, 0, 0))), PLANE, thickness_um=80
    )


def test_the_section_lies_in_the_plane() -> None:
    placed = SectionPlacement(planar(), PLANE, 80)
    flat = np.column_stack([np.full(40, 7.0), np.random.default_rng(0).uniform(0, 999, (40, 2))])
    moved = placed.map(flat)
    np.testing.assert_allclose(placed.distance_um(moved), 0, atol=1e-9)
    # its own definition, written out
    y = 0.9 * flat[:, 1] + 0.3 * flat[:, 2] + 30
    x = -0.35 * flat[:, 1] + 1.05 * flat[:, 2] - 12
    _, down, across = PLANE.axes.T
    expected = PLANE.origin_um + y[:, None] * down + x[:, None] * across
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-9)
    # off the middle, a point lies as far off the plane
    above = placed.map(flat + (25.0, 0, 0))
    np.testing.assert_allclose(above - moved, [25 * PLANE.normal] * 40, rtol=0, atol=1e-9)
    assert placed.holds(above).all()
    assert not placed.holds(placed.map(flat + (41.0, 0, 0))).any()


@pytest.mark.parametrize("placed", [SectionPlacement(planar(), PLANE), section()])
def test_there_and_back(placed: SectionPlacement) -> None:
    rng = np.random.default_rng(2)
    points = rng.uniform((-40, 100, 100), (60, 800, 800), (60, 3))
    back = placed.inverse()
    np.testing.assert_allclose(back.map(placed.map(points)), points, rtol=0, atol=1e-5)
    np.testing.assert_allclose(back.inverse().map(points), placed.map(points), rtol=0, atol=1e-9)
    step = 1e-3
    numeric = np.stack(
        [
            (placed.map(points + step * e) - placed.map(points - step * e)) / (2 * step)
            for e in np.eye(3)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(placed.jacobian(points), numeric, rtol=0, atol=1e-5)
    area = placed.in_plane.jacobian(points)[:, 1:, 1:]
    np.testing.assert_allclose(placed.jacobian_determinant(points), np.linalg.det(area), rtol=1e-9)


def test_written_and_read_again() -> None:
    placed = section()
    again = transform_from_dict(json.loads(json.dumps(placed.to_dict())))
    assert isinstance(again, SectionPlacement)
    assert again.thickness_um == 80
    assert again.plane == placed.plane
    points = np.random.default_rng(3).uniform(0, 500, (20, 3))
    np.testing.assert_array_equal(again.map(points), placed.map(points))
    back = transform_from_dict(json.loads(json.dumps(placed.inverse().to_dict())))
    np.testing.assert_allclose(back.map(placed.map(points)), points, rtol=0, atol=1e-5)


def test_chains_take_it_up() -> None:
    placed = SectionPlacement(planar(), PLANE, 80)
    assert simplified(placed) is placed
    to_atlas = Affine.from_parts(2 * np.eye(3), (1, 2, 3))
    whole = simplified(Chain(placed, to_atlas))
    assert isinstance(whole, Affine)
    points = np.random.default_rng(3).uniform(0, 500, (20, 3))
    np.testing.assert_allclose(whole.map(points), to_atlas.map(placed.map(points)), atol=1e-9)


def test_depth_may_not_mix_with_the_plane() -> None:
    slanted = np.eye(3)
    slanted[0, 2] = 0.01
    with pytest.raises(TransformError, match="leave depth alone"):
        SectionPlacement(Affine.from_parts(slanted, (0, 0, 0)), PLANE)
    with pytest.raises(TransformError, match="leave depth alone"):
        SectionPlacement(Affine.from_parts(np.diag([-1.0, 1, 1]), (0, 0, 0)), PLANE)
    with pytest.raises(TransformError, match="thickness"):
        SectionPlacement(Affine.identity(), PLANE, -1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"plane": {}}, "it is no plane"),
        ({"thickness_um": "thick"}, "damaged"),
        ({"thickness_um": float("nan")}, "thickness"),
        ({"in_plane": {"type": "affine", "matrix": (2 * np.eye(4)).tolist()}}, "damaged"),
        ({"in_plane": None}, "described by an object"),
    ],
)
def test_damaged_descriptions_are_refused(change: dict[str, object], words: str) -> None:
    values = {**SectionPlacement(planar(), PLANE).to_dict(), **change}
    with pytest.raises(TransformError, match=words):
        transform_from_dict(values)
    with pytest.raises(TransformError, match="lacks 'plane'"):
        transform_from_dict(
            {k: v for k, v in values.items() if k in ("type", "in_plane")}
            | {"in_plane": planar().to_dict()}
        )
