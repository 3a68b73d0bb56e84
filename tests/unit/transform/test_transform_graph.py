"""The way from one space to another."""

import numpy as np
import pytest

from napari_bridgecorr.errors import TransformError
from napari_bridgecorr.transform import Affine, TransformGraph


def shift(*offset: float) -> Affine:
    return Affine.from_parts(np.eye(3), offset)


def turn() -> Affine:
    return Affine.from_parts([[0, 1, 0], [-1, 0, 0], [0, 0, 2]], (1, 2, 3))


GRAPH = (
    TransformGraph()
    .with_edge("in vivo", "ex vivo", turn())
    .with_edge("ex vivo", "microscope", shift(0, 0, 100))
    .with_edge("mass cytometry", "microscope", shift(0, 50, 0))
    .with_edge("day 0", "day 24", shift(1, 1, 1))
)
POINT = [[3.0, 5.0, 7.0]]


def test_along_against_and_across() -> None:
    np.testing.assert_allclose(GRAPH.between("in vivo", "ex vivo").map(POINT), [[6, -1, 17]])
    # down two edges, and up the third
    there = GRAPH.between("in vivo", "mass cytometry")
    np.testing.assert_allclose(there.map(POINT), [[6, -51, 117]])
    back = GRAPH.between("mass cytometry", "in vivo")
    np.testing.assert_allclose(back.map(there.map(POINT)), POINT, rtol=0, atol=1e-12)


def test_the_shortest_path_is_taken() -> None:
    direct = GRAPH.with_edge("in vivo", "microscope", shift(-1, -1, -1))
    np.testing.assert_allclose(direct.between("in vivo", "microscope").map(POINT), [[2, 4, 6]])
    np.testing.assert_allclose(direct.between("microscope", "in vivo").map(POINT), [[4, 6, 8]])
    # three edges the old way, two by the new one
    np.testing.assert_allclose(
        direct.between("in vivo", "mass cytometry").map(POINT), [[2, -46, 6]]
    )
    assert GRAPH.spaces == ("in vivo", "ex vivo", "microscope", "mass cytometry", "day 0", "day 24")


def test_a_space_is_where_it_is() -> None:
    np.testing.assert_array_equal(GRAPH.between("day 0", "day 0").map(POINT), POINT)


def test_cycles_end() -> None:
    cycle = GRAPH.with_edge("microscope", "in vivo", shift(0, 0, 0))
    with pytest.raises(TransformError, match="no registration connects 'in vivo' with 'day 0'"):
        cycle.between("in vivo", "day 0")


def test_unknown_spaces_are_named() -> None:
    with pytest.raises(TransformError, match=r"no space 'MRI'.*in vivo, ex vivo"):
        GRAPH.between("in vivo", "MRI")
    with pytest.raises(TransformError, match="the spaces are: none"):
        TransformGraph().between("a", "a")


def test_the_least_expected_error() -> None:
    graph = (
        TransformGraph()
        .with_edge("a", "d", shift(9, 0, 0), error_um=50)
        .with_edge("a", "b", shift(1, 0, 0), error_um=12)
        .with_edge("c", "b", shift(0, 2, 0), error_um=9)
        .with_edge("c", "d", shift(0, 0, 3), error_um=20)
    )
    by_error = graph.route("a", "d")
    assert by_error.spaces == ("a", "b", "c", "d")
    assert by_error.error_um == 25  # 12, 9, 20
    assert by_error.words == "a --> b <-- c --> d"
    assert isinstance(by_error.transform, Affine)
    np.testing.assert_allclose(by_error.transform.map(POINT), [[4, 3, 10]])
    np.testing.assert_allclose(graph.between("a", "d", by="steps").map(POINT), [[12, 5, 7]])
    # one registration of which nothing is known: the fewest steps, unless errors are asked for
    unknown = graph.with_edge("d", "e", shift(0, 0, 0), name="e.json")
    assert unknown.route("a", "d").spaces == ("a", "d")
    assert unknown.route("a", "e").error_um is None
    with pytest.raises(TransformError, match=r"e\.json is not known"):
        unknown.route("a", "d", by="error")
    with pytest.raises(TransformError, match="expected error of a -> b"):
        TransformGraph().with_edge("a", "b", turn(), error_um=-1)


def test_loops_tell_how_far_registrations_contradict() -> None:
    assert GRAPH.loops() == ()
    graph = GRAPH.with_edge("mass cytometry", "in vivo", shift(7, 0, 0), error_um=3, name="t.json")
    (loop,) = graph.loops()
    assert set(loop.spaces) == {"in vivo", "ex vivo", "microscope", "mass cytometry"}
    points = np.random.default_rng(0).uniform(0, 100, (30, 3))
    (found,) = graph.closures("in vivo", points)
    # by hand: back by the new registration from where the old ones lead
    old = GRAPH.between("in vivo", "mass cytometry")
    there = shift(7, 0, 0).inverse().map(points)
    forward = np.linalg.norm(old.inverse().map(there) - points, axis=1)
    backward = np.linalg.norm(shift(7, 0, 0).map(old.map(points)) - points, axis=1)
    direction = forward if np.allclose(found.distances_um, forward) else backward
    np.testing.assert_allclose(found.distances_um, direction)
    assert found.rms_um == pytest.approx(np.sqrt(np.mean(direction**2)))
    assert found.largest_um == pytest.approx(direction.max())
    assert found.route.spaces[0] == found.route.spaces[-1] == "in vivo"
    # from outside the loop, at the space where it is entered
    beyond = graph.with_edge("atlas", "microscope", shift(1, 0, 0))
    (from_atlas,) = beyond.closures("atlas", points)
    assert from_atlas.route.spaces[0] == "microscope"
    assert beyond.closures("day 0", points) == ()


def test_a_loop_of_true_registrations_closes() -> None:
    a, b = turn(), shift(0, 0, 100)
    graph = TransformGraph().with_edge("1", "2", a).with_edge("2", "3", b)
    points = np.random.default_rng(0).uniform(0, 100, (30, 3))
    twice = graph.with_edge("1", "3", Affine(b.matrix @ a.matrix)).with_edge("2", "1", a.inverse())
    found = twice.closures("1", points)
    assert len(found) == 2
    assert all(closure.largest_um < 1e-9 for closure in found)
    assert {len(closure.route.edges) for closure in found} == {2, 3}


def test_points_that_never_come_back_are_counted() -> None:
    from transform_samples import field

    graph = TransformGraph().with_edge("a", "b", field()).with_edge("a", "b", field())
    inside, outside = [300.0, 300, 300], [90000.0, 0, 0]
    (found,) = graph.closures("a", [inside, outside])
    assert found.n_undefined == 1
    assert found.largest_um < 1e-5
    (lost,) = graph.closures("a", [outside])
    assert np.isnan(lost.rms_um)
    assert np.isnan(lost.largest_um)
