"""The same map in fewer steps."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transform_samples import affine, field, spline

from napari_bridgecorr.errors import TransformError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.transform import (
    Affine,
    Chain,
    DisplacementField,
    ThinPlateSpline,
    Transform,
    simplified,
    transform_from_dict,
)
from napari_bridgecorr.transform.simplify import steps_of

SPLINE = spline()
FIELD = field()
POINTS = np.random.default_rng(1).uniform(0, 900, (50, 3))


def shift(*offset: float) -> Affine:
    return Affine.from_parts(np.eye(3), offset)


def kinds(transform: Transform) -> list[str]:
    return [type(step).__name__ for step in steps_of(transform)]


PARTS: list[Transform] = [
    affine(),
    affine().inverse(),
    shift(0, 0, 0),
    shift(3, -5, 8),
    SPLINE,
    Chain(shift(1, 1, 1), Chain(affine(), shift(-1, 0, 2))),
    Chain(SPLINE, shift(0, 2, 0)),
    Affine.identity(),
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(range(len(PARTS))), min_size=1, max_size=7))
def test_it_stays_the_same_map(which: list[int]) -> None:
    whole = Chain(*(PARTS[k] for k in which))
    short = simplified(whole)
    expected = whole.map(POINTS)
    scale = max(1.0, float(np.abs(expected).max()) / 1e4)
    np.testing.assert_allclose(short.map(POINTS), expected, rtol=0, atol=1e-9 * scale)
    np.testing.assert_allclose(short.jacobian(POINTS), whole.jacobian(POINTS), rtol=1e-9, atol=1e-9)
    names = kinds(short)
    assert all({a, b} != {"Affine"} for a, b in itertools.pairwise(names))
    if len(names) > 1:
        assert not any(
            isinstance(step, Affine) and np.array_equal(step.matrix, np.eye(4))
            for step in steps_of(short)
        )


def test_affines_fold_and_chains_unroll() -> None:
    whole = Chain(affine(), Chain(shift(1, 2, 3), SPLINE, Chain(shift(4, 5, 6))), affine())
    assert kinds(simplified(whole)) == ["Affine", "ThinPlateSpline", "Affine"]
    assert kinds(simplified(Chain(shift(1, 2, 3), SPLINE, Affine.identity()))) == [
        "Affine",
        "ThinPlateSpline",
    ]


def test_a_step_cancels_with_its_own_inverse() -> None:
    there_and_back = Chain(shift(9, 9, 9), SPLINE, shift(2, 0, 0), shift(-2, 0, 0))
    whole = Chain(there_and_back, there_and_back.inverse())
    short = simplified(whole)
    assert kinds(short) == ["Affine"]
    np.testing.assert_allclose(short.map(POINTS), POINTS, rtol=0, atol=1e-9)
    # as read from two files, the spline is not the same object
    read = transform_from_dict(SPLINE.to_dict())
    assert kinds(simplified(Chain(read.inverse(), SPLINE))) == ["Affine"]
    # another spline is no inverse
    other = spline(seed=5)
    assert len(kinds(simplified(Chain(other.inverse(), SPLINE)))) == 2


def test_what_a_field_does_not_cover_stays_undefined() -> None:
    outside = [[5000.0, 0.0, 0.0]]
    whole = Chain(FIELD, FIELD.inverse())
    assert np.isnan(simplified(whole).map(outside)).all()
    assert kinds(simplified(whole)) == ["DisplacementField", "InvertedTransform"]


def test_a_small_shift_is_no_identity() -> None:
    assert simplified(Chain(SPLINE, shift(1e-6, 0, 0))) is not SPLINE
    kept = simplified(Chain(SPLINE, shift(1e-6, 0, 0)))
    np.testing.assert_allclose(
        kept.map(POINTS) - SPLINE.map(POINTS), [[1e-6, 0, 0]] * 50, atol=1e-9
    )
    with pytest.raises(TransformError, match="at least one"):
        simplified(Chain())


@pytest.mark.parametrize(
    "chain",
    [
        Chain(affine(), SPLINE),
        Chain(SPLINE, affine()),
        Chain(affine(), SPLINE, shift(1, 2, 3), affine()),
        Chain(affine(), SPLINE, affine().inverse(), spline(seed=4), affine()),
        Chain(Chain(affine()), affine()),
        Chain(affine().inverse(), spline(dimensions=2), affine()),
    ],
    ids=["before", "after", "between", "two splines", "affines", "planar"],
)
def test_a_lattice_is_mapped_as_its_points_are(chain: Chain) -> None:
    before = Grid.from_spacing((1, 1, 1), (30.0, 40.0, 50.0), (5, 6, 7)).index_to_world
    after = np.linalg.inv(affine().matrix) @ np.diag([0.1, 0.2, 0.3, 1.0])
    axes = (np.arange(3.0), np.arange(4.0) / 2, np.arange(5.0))
    index = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    expected = Affine(after).map(chain.map(Affine(before).map(index)))
    np.testing.assert_allclose(chain.map_lattice(before, after, axes), expected, rtol=0, atol=1e-8)


def test_fields_are_compared_by_their_numbers() -> None:
    again = DisplacementField(FIELD.grid, FIELD.displacement_um.copy())
    from napari_bridgecorr.transform.simplify import are_same

    assert are_same(FIELD, again)
    assert not are_same(FIELD, DisplacementField(FIELD.grid, FIELD.displacement_um + 1))
    assert not are_same(FIELD, SPLINE)
    assert are_same(Chain(FIELD, Chain(SPLINE)), Chain(Chain(again), SPLINE))
    assert isinstance(SPLINE, ThinPlateSpline)
