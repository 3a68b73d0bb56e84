"""The user's answers on an image's place: against nibabel's orientations, and by properties."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.geometry import Grid, Placement
from napari_bridgecorr.geometry.placement import (
    AS_IN_FILE,
    Orientation,
    array_directions,
    format_orientation,
    orientation_between,
    orientation_matrix,
    orientation_of,
    parse_orientation,
    reoriented,
    turned,
)

ORIENTATIONS = st.tuples(st.permutations("zyx"), st.tuples(*[st.sampled_from(("", "-"))] * 3)).map(
    lambda drawn: tuple(sign + axis for axis, sign in zip(*drawn, strict=True))
)


@given(ORIENTATIONS)
def test_text_and_matrix_come_back(orientation: Orientation) -> None:
    assert parse_orientation(format_orientation(orientation)) == orientation
    matrix = orientation_matrix(orientation)
    assert np.array_equal(matrix @ matrix.T, np.eye(3))
    assert orientation_of(matrix) == orientation


def test_entries_are_where_the_files_axes_go() -> None:
    # the file's z runs along y now, its y against z
    assert orientation_matrix(("y", "-z", "x")) @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert orientation_matrix(("y", "-z", "x")) @ [0, 1, 0] == pytest.approx([-1, 0, 0])
    assert not Placement(orientation=("y", "-z", "x")).is_mirrored
    assert Placement(orientation=("z", "-y", "x")).is_mirrored
    assert parse_orientation(" +z, -Y ,x") == ("z", "-y", "x")


@given(ORIENTATIONS, ORIENTATIONS)
def test_the_way_from_one_to_another(have: Orientation, wanted: Orientation) -> None:
    assert turned(have, orientation_between(have, wanted)) == wanted
    assert orientation_between(have, have) == AS_IN_FILE


@pytest.mark.parametrize("text", ["", "z,y", "z,y,y", "z,y,x,x", "z,y,--x", "a,b,c", "z,y,-"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(GeometryError, match="names each of z, y, x once"):
        parse_orientation(text)


@given(ORIENTATIONS, st.tuples(*[st.floats(-0.3, 0.3)] * 3))
def test_directions_of_a_tilted_grid_are_nibabels(
    orientation: Orientation, tilt: tuple[float, float, float]
) -> None:
    matrix = np.eye(4)
    turn = Rotation.from_rotvec(tilt).as_matrix()
    matrix[:3, :3] = turn @ orientation_matrix(orientation) * (50, 20, 10)
    found = array_directions(Grid((3, 4, 5), matrix))
    # nibabel: rows are the array's axes, columns the world axis and its sign
    expected = nib.orientations.io_orientation(matrix)
    assert found == tuple(("-" if sign < 0 else "") + "zyx"[int(axis)] for axis, sign in expected)


@given(ORIENTATIONS, st.tuples(*[st.floats(-1, 1)] * 3))
def test_levels_turn_together_about_the_centre(
    orientation: Orientation, tilt: tuple[float, float, float]
) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(tilt).as_matrix() * (5, 2, 1)
    matrix[:3, 3] = (100, -200, 300)
    full = Grid((4, 8, 8), matrix)
    half = full.averaged((2, 2, 2))
    turn = orientation_matrix(orientation)
    first, second = reoriented((full, half), turn)
    np.testing.assert_allclose(first.centre_um, full.centre_um, atol=1e-9)
    np.testing.assert_allclose(first.voxel_size_um, full.voxel_size_um, rtol=1e-12)
    np.testing.assert_allclose(
        first.index_to_world[:3, :3], turn @ full.index_to_world[:3, :3], atol=1e-12
    )
    np.testing.assert_allclose(
        second.index_to_world, first.averaged((2, 2, 2)).index_to_world, atol=1e-9
    )


def test_impossible_answers() -> None:
    with pytest.raises(GeometryError, match="three positive lengths"):
        Placement((1.0, 0.0, 1.0))
    with pytest.raises(GeometryError, match="names each"):
        Placement(orientation=("z", "z", "x"))
    assert Placement().is_empty
    assert Placement(orientation=AS_IN_FILE).is_empty
    assert not Placement((1, 1, 1)).is_empty
