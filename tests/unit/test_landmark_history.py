"""Undo and redo of landmarks, as values."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_bridgecorr.landmark_history import (
    LandmarkHistory,
    LayerChange,
    Marks,
    Step,
    ValueChange,
    applied,
    changes_between,
    name_of,
)

WORLD = np.eye(4)
rows = st.tuples(*[st.integers(-50, 50).map(float)] * 3)
tables = st.lists(
    st.tuples(st.sampled_from("abcdefg"), rows, st.text(max_size=2), st.booleans()),
    max_size=6,
    unique_by=lambda point: point[0],
)


def marks(points: list) -> Marks:
    place = np.array([p[1] for p in points], dtype=np.float64).reshape(-1, 3)
    return Marks(
        "fixed",
        tuple(p[0] for p in points),
        place,
        place.copy(),
        WORLD.tobytes(),
        {"name": [p[2] for p in points], "enabled": [p[3] for p in points]},
        {"size": np.arange(len(points), dtype=float)},
    )


def as_points(found: Marks) -> dict:
    table = zip(found.um.tolist(), found.cells["name"], found.cells["enabled"], strict=True)
    return {name: tuple(cells) for name, cells in zip(found.ids, table, strict=True)}


@settings(max_examples=25)
@given(st.lists(tables, min_size=2, max_size=6))
def test_everything_is_undone_and_done_again(states: list) -> None:
    history = LandmarkHistory()
    seen = [marks(points) for points in states]
    here = seen[0]
    told = [as_points(here)]
    for after in seen[1:]:
        found = changes_between("layer", here, after)
        assert bool(found) == (as_points(here) != as_points(after))
        if found:
            history.record(Step(name_of(found), found))
            told.append(as_points(after))
        here = after
    for wanted in reversed(told[:-1]):
        step = history.undo()
        assert step is not None
        here = applied(here, step.changes, WORLD)
        assert as_points(here) == wanted
    assert history.undo() is None
    for wanted in told[1:]:
        step = history.redo()
        assert step is not None
        here = applied(here, step.changes, WORLD)
        assert as_points(here) == wanted


def test_a_deleted_point_comes_back_in_its_row_and_with_its_looks() -> None:
    before = marks(
        [("a", (1, 2, 3), "A", True), ("b", (4, 5, 6), "", False), ("c", (7,) * 3, "", True)]
    )
    after = marks([("a", (1, 2, 3), "A", True), ("c", (7,) * 3, "", True)])
    back = applied(after, [c.inverse() for c in changes_between(0, before, after)], WORLD)
    assert back.ids == ("a", "b", "c")
    assert np.array_equal(back.rows, before.rows)
    assert back.look["size"][1] == 1
    assert not back.cells["enabled"][1]


def test_a_drag_is_one_step_and_the_next_drag_another() -> None:
    history = LandmarkHistory()
    here = marks([("a", (0, 0, 0), "", True), ("b", (0, 0, 9), "", True)])
    start = here
    for gesture, y in ((1, 1.0), (1, 2.0), (1, 3.0), (2, 4.0)):
        after = replace(
            here, um=here.um + [[0, y, 0], [0, 0, 0]], rows=here.rows + [[0, y, 0], [0, 0, 0]]
        )
        history.record(Step("move a", changes_between(0, here, after), gesture=gesture))
        here = after
    assert len(history) == 2
    for wanted_y in (6.0, 0.0):
        here = applied(here, history.undo().changes, WORLD)
        assert here.rows[0].tolist() == [0, wanted_y, 0]
    assert np.array_equal(here.rows, start.rows)


def test_a_place_outlives_the_way_it_was_shown() -> None:
    before = marks([("a", (10, 20, 30), "", True)])
    after = marks([("a", (11, 20, 30), "", True)])
    changes = [c.inverse() for c in changes_between(0, before, after)]
    shown = np.diag([2.0, 2.0, 2.0, 1.0])  # the layer's numbers count in 2 um by now
    now = replace(after, rows=after.rows / 2, place=shown.tobytes())
    assert changes_between(0, after, now) == ()
    back = applied(now, changes, np.linalg.inv(shown))
    assert back.rows.tolist() == [[5, 10, 15]]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ([], [("L1", (0, 0, 0), "", True)], "add L1 (fixed)"),
        ([("L1", (0, 0, 0), "", True)], [], "delete L1 (fixed)"),
        ([("L1", (0, 0, 0), "", True)], [("L1", (0, 0, 1), "", True)], "move L1 (fixed)"),
        ([("L1", (0, 0, 0), "", True)], [("L1", (0, 0, 0), "x", True)], "rename L1"),
        ([("L1", (0, 0, 0), "", True)], [("L1", (0, 0, 0), "", False)], "leave out L1"),
        ([("L1", (0, 0, 0), "", False)], [("L1", (0, 0, 0), "", True)], "use L1 again"),
        (
            [("L1", (0,) * 3, "", True), ("L2", (0,) * 3, "", True)],
            [],
            "delete 2 landmarks (fixed)",
        ),
    ],
)
def test_a_step_is_named_in_words(before: list, after: list, words: str) -> None:
    assert name_of(changes_between(0, marks(before), marks(after))) == words


def test_what_nobody_wrote_is_no_change() -> None:
    before = marks([("a", (0, 0, 0), "", True)])
    after = replace(before, cells={**before.cells, "name": [None], "score": [float("nan")]})
    assert changes_between(0, before, after) == ()


def test_the_oldest_steps_are_forgotten_and_a_new_one_ends_redo() -> None:
    history = LandmarkHistory(most_changes=3)
    here = marks([("a", (0, 0, 0), "", True)])
    for _ in range(9):
        after = replace(here, um=here.um + 1, rows=here.rows + 1)
        history.record(Step("move a", changes_between(0, here, after)))
        here = after
    assert len(history) == 3
    history.undo()
    assert history.redo_name == "move a"
    history.record(Step("delete", layers=(LayerChange(0, "fixed", "points", "all", None),)))
    assert not history.redo_name
    assert history.undo_name == "delete"


def test_settings_are_steps_and_a_number_that_is_turned_is_one() -> None:
    history = LandmarkHistory()
    for before, after in ((0, 1), (1, 2), (2, 3)):
        value = ValueChange("smoothing", before, after)
        history.record(Step("change the smoothing", values=(value,), gesture=("turn", 1)))
    history.record(Step("fit by affine", values=(ValueChange("model", "tps", "affine"),)))
    assert len(history) == 2
    assert [(v.before, v.after) for v in history.undo().values] == [("affine", "tps")]
    last = history.undo()
    assert [(v.before, v.after) for v in last.values] == [(3, 0)]
    assert [(v.before, v.after) for v in history.redo().values] == [(0, 3)]
