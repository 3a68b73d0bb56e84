"""Landmarks: the same anatomical point seen in the fixed and in the moving image.

Values only. A set never changes: an edit makes a new one and has an inverse, so undo is replaying
inverses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import FitError

Point = tuple[float, float, float]
Side = Literal["fixed", "moving"]


@dataclass(frozen=True)
class Landmark:
    """One landmark; a pair that is only half placed is legal.

    Parameters
    ----------
    id : str
        Its identity. Name and order mean nothing.
    name : str
        What the user calls it.
    enabled : bool
        Whether fits use it.
    fixed_um, moving_um : (float, float, float) or None
        World position (z, y, x) in um in either image; None while not placed.
    weight : float
        How much a fit trusts it, relative to others: its localisation variance is divided by it.
    check : bool
        Set aside before fitting: no fit uses it, and the error at it is reported.
    source : str
        How it came to be, where that is not by hand: "suggested" for an accepted proposal.
    """

    id: str
    name: str = ""
    enabled: bool = True
    fixed_um: Point | None = None
    moving_um: Point | None = None
    weight: float = 1.0
    check: bool = False
    source: str = ""

    @property
    def is_pair(self) -> bool:
        """Whether both sides are placed."""
        return self.fixed_um is not None and self.moving_um is not None


@dataclass(frozen=True)
class LandmarkPairs:
    """Matched coordinates, as a fit takes them.

    Parameters
    ----------
    ids : tuple of str
    fixed_um, moving_um : (n, 3) float64
        World positions (z, y, x) in um, row i of both being landmark ``ids[i]``.
    weights : (n,) float64
        Proportional to each pair's inverse variance; 1 by default.
    """

    ids: tuple[str, ...]
    fixed_um: NDArray[np.float64]
    moving_um: NDArray[np.float64]
    weights: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if self.weights.size == 0:
            object.__setattr__(self, "weights", np.ones(len(self.ids)))

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, which: NDArray[Any]) -> LandmarkPairs:
        """The pairs of an index array or a mask."""
        rows = np.arange(len(self))[which]
        return LandmarkPairs(
            tuple(self.ids[i] for i in rows),
            self.fixed_um[rows],
            self.moving_um[rows],
            self.weights[rows],
        )

    def swapped(self) -> LandmarkPairs:
        """The pairs with fixed and moving exchanged."""
        return LandmarkPairs(self.ids, self.moving_um, self.fixed_um, self.weights)


@dataclass(frozen=True)
class Edit:
    """One change of a set: `before` becomes `after` at position `index`.

    ``before=None`` adds, ``after=None`` removes, both given change. The inverse swaps them.
    """

    index: int
    before: Landmark | None
    after: Landmark | None

    def inverse(self) -> Edit:
        """The edit that undoes this one."""
        return Edit(self.index, self.after, self.before)


@dataclass(frozen=True)
class LandmarkSet:
    """An ordered collection of landmarks with unique ids.

    Raises
    ------
    FitError
        If two landmarks share an id.
    """

    landmarks: tuple[Landmark, ...] = ()

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for landmark in self.landmarks:
            if landmark.id in seen:
                raise FitError(f"two landmarks have the id {landmark.id!r}; make ids unique")
            seen.add(landmark.id)

    def __len__(self) -> int:
        return len(self.landmarks)

    def __iter__(self) -> Iterator[Landmark]:
        return iter(self.landmarks)

    def __getitem__(self, landmark_id: str) -> Landmark:
        return self.landmarks[self.index(landmark_id)]

    def index(self, landmark_id: str) -> int:
        """Position of a landmark (KeyError if there is none of that id)."""
        for i, landmark in enumerate(self.landmarks):
            if landmark.id == landmark_id:
                return i
        raise KeyError(landmark_id)

    def apply(self, edit: Edit) -> LandmarkSet:
        """The set after `edit`.

        Raises
        ------
        ValueError
            If the edit was made for another state of the set.
        """
        items = list(self.landmarks)
        if edit.before is not None:
            if not 0 <= edit.index < len(items) or items[edit.index] != edit.before:
                raise ValueError("this edit does not fit the landmarks as they are now")
            del items[edit.index]
        elif not 0 <= edit.index <= len(items):
            raise ValueError("this edit does not fit the landmarks as they are now")
        if edit.after is not None:
            items.insert(edit.index, edit.after)
        return LandmarkSet(tuple(items))

    def add(self, landmark: Landmark) -> Edit:
        """The edit that appends `landmark`."""
        return Edit(len(self.landmarks), None, landmark)

    def remove(self, landmark_id: str) -> Edit:
        """The edit that takes a landmark out."""
        i = self.index(landmark_id)
        return Edit(i, self.landmarks[i], None)

    def change(self, landmark: Landmark) -> Edit:
        """The edit that puts `landmark` in the place of the one with its id."""
        i = self.index(landmark.id)
        return Edit(i, self.landmarks[i], landmark)

    def pairs(self) -> LandmarkPairs:
        """Coordinates of the enabled, complete pairs that fits use."""
        return _coordinates(m for m in self.landmarks if m.enabled and not m.check)

    def check_pairs(self) -> LandmarkPairs:
        """Coordinates of the enabled, complete pairs that were set aside to check a fit."""
        return _coordinates(m for m in self.landmarks if m.enabled and m.check)

    @classmethod
    def from_pairs(
        cls,
        fixed_um: NDArray[np.float64],
        moving_um: NDArray[np.float64],
        ids: Iterable[str] | None = None,
    ) -> LandmarkSet:
        """Set of complete pairs from two (n, 3) arrays; ids default to L1, L2..."""
        names = list(ids) if ids is not None else [f"L{i + 1}" for i in range(len(fixed_um))]
        return cls(
            tuple(
                Landmark(name, name, True, _point(f), _point(m))
                for name, f, m in zip(names, fixed_um, moving_um, strict=True)
            )
        )


def _coordinates(landmarks: Iterable[Landmark]) -> LandmarkPairs:
    chosen = [m for m in landmarks if m.is_pair]
    return LandmarkPairs(
        tuple(m.id for m in chosen),
        np.array([m.fixed_um for m in chosen], dtype=np.float64).reshape(-1, 3),
        np.array([m.moving_um for m in chosen], dtype=np.float64).reshape(-1, 3),
        np.array([m.weight for m in chosen], dtype=np.float64),
    )


def _point(values: NDArray[np.float64]) -> Point:
    z, y, x = (float(v) for v in values)
    return z, y, x
