"""Landmark sets and their edits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_bridgecorr.errors import FitError
from napari_bridgecorr.landmarks import Edit, Landmark, LandmarkSet

points = st.none() | st.tuples(*[st.floats(-1e6, 1e6)] * 3)
ids = st.sampled_from([f"L{i}" for i in range(8)])
landmarks = st.builds(Landmark, ids, st.text(max_size=3), st.booleans(), points, points)
A = Landmark("a", "A", True, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
B = Landmark("b", "B", True, (7.0, 8.0, 9.0), None)
C = Landmark("c", "C", False, (0.0, 0.0, 1.0), (0.0, 1.0, 0.0))


@given(st.lists(landmarks, max_size=6, unique_by=lambda m: m.id), st.data())
def test_any_edits_are_undone_and_redone(start: list[Landmark], data: st.DataObject) -> None:
    first = here = LandmarkSet(tuple(start))
    done: list[Edit] = []
    for _ in range(data.draw(st.integers(0, 12))):
        landmark = data.draw(landmarks)
        present = landmark.id in {m.id for m in here}
        if not present:
            edit = here.add(landmark)
        elif data.draw(st.booleans()):
            edit = here.remove(landmark.id)
        else:
            edit = here.change(landmark)
        here = here.apply(edit)
        done.append(edit)
    last = here
    for edit in reversed(done):
        here = here.apply(edit.inverse())
    assert here == first
    for edit in done:
        here = here.apply(edit)
    assert here == last


def test_each_edit_does_what_it_says() -> None:
    start = LandmarkSet((A, B))
    assert start.apply(start.add(C)).landmarks == (A, B, C)
    assert start.apply(start.remove("a")).landmarks == (B,)
    moved = Landmark("a", "A", True, (0.0, 0.0, 0.0), A.moving_um)
    assert start.apply(start.change(moved)).landmarks == (moved, B)
    assert start.landmarks == (A, B)
    removal = start.remove("a")
    assert start.apply(removal).apply(removal.inverse()).landmarks == (A, B)  # at its old place


@pytest.mark.parametrize(
    "edit",
    [
        Edit(0, B, None),
        Edit(5, A, None),
        Edit(-2, A, None),
        Edit(1, A, C),
        Edit(5, None, C),
        Edit(-1, None, C),
    ],
)
def test_an_edit_of_another_state_is_refused(edit: Edit) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        LandmarkSet((A, B)).apply(edit)


def test_ids_are_unique() -> None:
    with pytest.raises(FitError, match="'a'"):
        LandmarkSet((A, B, A))
    start = LandmarkSet((A, B))
    with pytest.raises(FitError, match="'a'"):
        start.apply(start.add(A))


def test_look_up_by_id() -> None:
    start = LandmarkSet((A, B, C))
    assert start["b"] is B
    assert start.index("c") == 2
    assert list(start) == [A, B, C]
    assert len(start) == 3
    with pytest.raises(KeyError):
        start["A"]  # a name is no identity


def test_pairs_are_the_enabled_complete_ones() -> None:
    half = Landmark("d", moving_um=(1.0, 1.0, 1.0))
    assert A.is_pair
    assert not B.is_pair
    assert not half.is_pair
    pairs = LandmarkSet((C, B, A, half)).pairs()
    assert pairs.ids == ("a",)
    assert len(pairs) == 1
    np.testing.assert_array_equal(pairs.fixed_um, [A.fixed_um])
    np.testing.assert_array_equal(pairs.moving_um, [A.moving_um])


def test_no_pairs_still_have_three_columns() -> None:
    pairs = LandmarkSet((B,)).pairs()
    assert pairs.fixed_um.shape == pairs.moving_um.shape == (0, 3)
    assert pairs.fixed_um.dtype == np.float64


def test_from_pairs_round_trip() -> None:
    rng = np.random.default_rng(0)
    fixed, moving = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    made = LandmarkSet.from_pairs(fixed, moving)
    assert [m.id for m in made] == ["L1", "L2", "L3", "L4", "L5"]
    np.testing.assert_array_equal(made.pairs().fixed_um, fixed)
    np.testing.assert_array_equal(made.pairs().moving_um, moving)
    assert LandmarkSet.from_pairs(fixed, moving, "vwxyz").pairs().ids == tuple("vwxyz")
    with pytest.raises(ValueError, match="shorter"):
        LandmarkSet.from_pairs(fixed, moving[:4])
