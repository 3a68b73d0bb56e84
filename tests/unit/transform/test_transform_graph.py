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
