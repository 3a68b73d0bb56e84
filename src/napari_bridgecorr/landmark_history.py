"""What was done to landmarks, step by step, to be undone and done again.

Values only: no layers, no window. A layer of points is a :class:`Marks`; a step holds nothing but
the points that it changed, so that a thousand steps on three thousand landmarks take no more memory
than a thousand points.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .landmarks import Side

FloatArray = NDArray[np.float64]

MOST_CHANGES = 100_000
"""Changed points that a history holds (some 100 MB); beyond them the oldest steps are forgotten."""

# a point that went through a layer's transform and back comes back rounded
_SAME_PLACE_UM = 1e-6


@dataclass(frozen=True, eq=False)
class Mark:
    """One point of a layer, with all that the layer knows of it.

    Parameters
    ----------
    um : (3,) float64
        World position (z, y, x).
    row : (d,) float64
        The layer's own numbers.
    place : bytes
        What takes these numbers to the world; where it is another by now, `um` counts.
    cells : mapping of str to Any
        Its row of the layer's table: name, enabled, and what other programs wrote.
    look : mapping of str to Any
        Size, symbol and colours, for a point that has to be made again.
    """

    um: FloatArray
    row: FloatArray
    place: bytes
    cells: Mapping[str, Any]
    look: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Marks:
    """The points of one layer at one moment, in their order.

    Parameters
    ----------
    side : {"fixed", "moving"}
        Which image it marks.
    ids : tuple of str
        Unique.
    um : (n, 3) float64
    rows : (n, d) float64
    place : bytes
    cells : mapping of str to list of n
    look : mapping of str to sequence of n
        None where the layer is to choose.
    """

    side: Side
    ids: tuple[str, ...]
    um: FloatArray
    rows: FloatArray
    place: bytes
    cells: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    look: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def mark(self, index: int) -> Mark:
        """The point of one row."""
        return Mark(
            self.um[index].copy(),
            self.rows[index].copy(),
            self.place,
            {name: column[index] for name, column in self.cells.items()},
            {name: _own(column[index]) for name, column in self.look.items()},
        )


@dataclass(frozen=True, eq=False)
class Change:
    """One point before and after; None where there is none.

    Parameters
    ----------
    layer : Hashable
        Which layer, by a key that outlives it.
    side : {"fixed", "moving"}
        Which image the layer marked then.
    id : str
    index : int
        Its row: after, or before where it is deleted.
    before, after : Mark or None
    """

    layer: Hashable
    side: Side
    id: str
    index: int
    before: Mark | None
    after: Mark | None

    def inverse(self) -> Change:
        """The change that undoes this one."""
        return replace(self, before=self.after, after=self.before)

    @property
    def is_move(self) -> bool:
        """Whether nothing but the place is another."""
        return (
            self.before is not None
            and self.after is not None
            and _same_cells(self.before.cells, self.after.cells)
        )


@dataclass(frozen=True, eq=False)
class LayerChange:
    """A whole layer that was deleted, or made again.

    Parameters
    ----------
    layer : Hashable
    side : {"fixed", "moving"}
    title : str
        As the user knows it.
    before, after : Any or None
        All that is needed to make it; None where it is not there.
    """

    layer: Hashable
    side: Side
    title: str
    before: Any | None
    after: Any | None

    def inverse(self) -> LayerChange:
        """The change that undoes this one."""
        return replace(self, before=self.after, after=self.before)


@dataclass(frozen=True, eq=False)
class ValueChange:
    """A setting that was another one.

    Parameters
    ----------
    key : str
        Which setting.
    before, after : Any
    """

    key: str
    before: Any
    after: Any

    def inverse(self) -> ValueChange:
        """The change that undoes this one."""
        return replace(self, before=self.after, after=self.before)


@dataclass(frozen=True, eq=False)
class Step:
    """What one undo takes back.

    Parameters
    ----------
    name : str
        In words, to stand after "Undo:".
    changes : tuple of Change
    layers : tuple of LayerChange
    gesture : Hashable or None
        The drag that it belongs to: its events become one step.
    values : tuple of ValueChange
    """

    name: str
    changes: tuple[Change, ...] = ()
    layers: tuple[LayerChange, ...] = ()
    gesture: Hashable | None = None
    values: tuple[ValueChange, ...] = ()

    def inverse(self) -> Step:
        """The step that undoes this one."""
        return replace(
            self,
            changes=tuple(c.inverse() for c in reversed(self.changes)),
            layers=tuple(c.inverse() for c in reversed(self.layers)),
            values=tuple(c.inverse() for c in reversed(self.values)),
        )

    @property
    def weight(self) -> int:
        """How much memory it takes, in points."""
        return len(self.changes) + len(self.values) + sum(100 for _ in self.layers)


class LandmarkHistory:
    """Steps that were done, and those that were undone.

    Parameters
    ----------
    most_changes : int
        See :data:`MOST_CHANGES`.
    """

    def __init__(self, most_changes: int = MOST_CHANGES) -> None:
        self._most = most_changes
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._weight = 0

    def __len__(self) -> int:
        return len(self._done)

    @property
    def undo_name(self) -> str:
        """What an undo would take back; "" if there is nothing."""
        return self._done[-1].name if self._done else ""

    @property
    def redo_name(self) -> str:
        """What a redo would do again; "" if there is nothing."""
        return self._undone[-1].name if self._undone else ""

    def record(self, step: Step) -> None:
        """Remember a step that was done; what had been undone before it is gone."""
        if not step.changes and not step.layers and not step.values:
            return
        self._undone.clear()
        merged = _merged(self._done[-1], step) if self._done else None
        if merged is not None:
            self._weight -= self._done.pop().weight
            step = merged
        self._done.append(step)
        self._weight += step.weight
        while self._weight > self._most and len(self._done) > 1:
            self._weight -= self._done.pop(0).weight

    def undo(self) -> Step | None:
        """The step that takes back the last one, to be applied; None if there is nothing."""
        if not self._done:
            return None
        step = self._done.pop()
        self._weight -= step.weight
        self._undone.append(step)
        return step.inverse()

    def redo(self) -> Step | None:
        """The step that was undone last, to be applied; None if there is nothing."""
        if not self._undone:
            return None
        step = self._undone.pop()
        self._done.append(replace(step, gesture=None))
        self._weight += step.weight
        return step


def changes_between(layer: Hashable, before: Marks, after: Marks) -> tuple[Change, ...]:
    """What became of a layer's points; their order alone is no change."""
    found: list[Change] = []
    row_before = {name: row for row, name in enumerate(before.ids)}
    row_after = {name: row for row, name in enumerate(after.ids)}
    for name, row in row_before.items():
        if name not in row_after:
            found.append(Change(layer, after.side, name, row, before.mark(row), None))
    kept = [name for name in after.ids if name in row_before]
    old, new = ([rows[name] for name in kept] for rows in (row_before, row_after))
    moved = ~_same_places(before, after, old, new)
    # while points are dragged their cells are looked at as a whole
    is_same_table = old == new and dict(before.cells) == dict(after.cells)
    for name, i, k, is_moved in zip(kept, old, new, moved, strict=True):
        if is_moved or not (is_same_table or _same_row(before.cells, i, after.cells, k)):
            found.append(Change(layer, after.side, name, k, before.mark(i), after.mark(k)))
    for name, row in row_after.items():
        if name not in row_before:
            found.append(Change(layer, after.side, name, row, None, after.mark(row)))
    return tuple(found)


def applied(marks: Marks, changes: Sequence[Change], inverse_place: FloatArray) -> Marks:
    """The points of a layer after `changes` of its points.

    Parameters
    ----------
    marks : Marks
        As they are.
    changes : sequence of Change
        Of this layer.
    inverse_place : (4, 4) float64
        From world um to the last three of the layer's numbers, for points that were marked when the
        layer was shown another way.
    """
    gone = {c.id for c in changes if c.after is None}
    points = [(name, marks.mark(row)) for row, name in enumerate(marks.ids) if name not in gone]
    at = {name: row for row, (name, _) in enumerate(points)}
    made = []
    for change in changes:
        if change.after is None:
            continue
        mark = _placed(change.after, marks, inverse_place)
        if change.id in at:
            row = at[change.id]
            look = mark.look if not change.is_move else points[row][1].look
            points[row] = (change.id, replace(mark, look=look))
        else:
            made.append((change.index, change.id, mark))
    for index, name, mark in sorted(made, key=lambda item: item[0]):
        points.insert(min(index, len(points)), (name, mark))
    names = list(dict.fromkeys([*marks.cells, *(n for _, m in points for n in m.cells)]))
    looks = list(marks.look) or list(dict.fromkeys(n for _, m in points for n in m.look))
    width = marks.rows.shape[1]
    return replace(
        marks,
        ids=tuple(name for name, _ in points),
        um=np.array([m.um for _, m in points], dtype=np.float64).reshape(-1, 3),
        rows=np.array([m.row for _, m in points], dtype=np.float64).reshape(-1, width),
        cells={n: [m.cells.get(n) for _, m in points] for n in names},
        look={n: [m.look.get(n) for _, m in points] for n in looks},
    )


def name_of(changes: Sequence[Change]) -> str:
    """What was done, in a few words: ``move L07``, ``delete 3 landmarks``."""
    ids = list(dict.fromkeys(c.id for c in changes))
    sides = {c.side for c in changes}
    what = ids[0] if len(ids) == 1 else f"{len(ids)} landmarks"
    where = f" ({next(iter(sides))})" if len(sides) == 1 else ""
    verbs = {_verb(c) for c in changes}
    if len(verbs) > 1:
        return f"change {what}"
    verb = next(iter(verbs))
    if verb in ("add", "move", "delete"):
        return f"{verb} {what}{where}"
    return f"{verb} {what} again" if verb in ("use", "fit") else f"{verb} {what}"


def _verb(change: Change) -> str:
    before, after = change.before, change.after
    if before is None:
        return "add"
    if after is None:
        return "delete"
    if change.is_move:
        return "move"
    other = {
        n
        for n in {*before.cells, *after.cells}
        if not _same_cell(before.cells.get(n), after.cells.get(n))
    }
    if other == {"name"}:
        return "rename"
    if other == {"enabled"}:
        return "use" if after.cells.get("enabled") else "leave out"
    if other == {"check"}:
        return "set aside" if after.cells.get("check") else "fit"
    return "change"


def _merged(last: Step, new: Step) -> Step | None:
    """Both as one step, if they are parts of one gesture."""
    if new.gesture is None or new.gesture != last.gesture:
        return None
    if last.layers and new.layers and not last.changes and not new.changes:
        layers = (*last.layers, *new.layers)
        return Step(f"delete {len(layers)} layers of landmarks", (), layers, new.gesture)
    if last.layers or new.layers:
        return None
    if last.values or new.values:
        return _merged_values(last, new)
    if not all(c.is_move for c in (*last.changes, *new.changes)):
        return None
    # a point that is back where the drag began is in the first part only, and stays there
    ends = {(c.layer, c.id): c.after for c in new.changes}
    began = {(c.layer, c.id) for c in last.changes}
    if not began >= ends.keys():
        return None
    changes = tuple(replace(c, after=ends.get((c.layer, c.id), c.after)) for c in last.changes)
    return replace(last, changes=changes)


def _merged_values(last: Step, new: Step) -> Step | None:
    """A number that is being typed, or turned, is one step."""
    if last.changes or new.changes or [v.key for v in last.values] != [v.key for v in new.values]:
        return None
    pairs = zip(last.values, new.values, strict=True)
    return replace(new, values=tuple(replace(a, after=b.after) for a, b in pairs))


def _placed(mark: Mark, marks: Marks, inverse_place: FloatArray) -> Mark:
    """A mark in the numbers of the layer as it is shown now."""
    width = marks.rows.shape[1]
    if mark.place == marks.place and len(mark.row) == width:
        return mark
    row = np.zeros(width)
    if len(mark.row) == width:
        row[:] = mark.row  # time and the like
    n = min(width, 3)
    row[-n:] = (inverse_place[:3, :3] @ mark.um + inverse_place[:3, 3])[-n:]
    # a size is in the layer's numbers, too
    look = {name: value for name, value in mark.look.items() if name != "size"}
    return replace(mark, row=row, place=marks.place, look=look)


def _own(value: Any) -> Any:
    """Not a view, which would keep the whole layer's array alive."""
    return value.copy() if isinstance(value, np.ndarray) else value


def _same_places(before: Marks, after: Marks, old: list[int], new: list[int]) -> NDArray[np.bool_]:
    same = np.all(np.abs(before.um[old] - after.um[new]) <= _SAME_PLACE_UM, axis=1)
    if before.rows.shape[1] == after.rows.shape[1] > 3:
        leading = before.rows[old][:, :-3] == after.rows[new][:, :-3]
        same &= np.all(leading, axis=1)
    return np.asarray(same, dtype=np.bool_)


def _same_row(
    a: Mapping[str, Sequence[Any]], i: int, b: Mapping[str, Sequence[Any]], k: int
) -> bool:
    names = a.keys() | b.keys()
    return all(_same_cell(a[n][i] if n in a else None, b[n][k] if n in b else None) for n in names)


def _same_cells(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return all(_same_cell(a.get(n), b.get(n)) for n in a.keys() | b.keys())


def _same_cell(a: Any, b: Any) -> bool:
    # nothing is written as None, as NaN and as the empty text
    return bool(a == b) or (_is_nothing(a) and _is_nothing(b))


def _is_nothing(value: Any) -> bool:
    return value is None or value == "" or bool(value != value)  # NaN
