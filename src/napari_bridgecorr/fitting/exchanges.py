"""Pairs whose moving points went to each other: what has to be exchanged to put them right."""

from __future__ import annotations

from collections.abc import Iterable

from ..landmarks import LandmarkSet, Point
from .mismatches import Mismatch


def exchanges(mismatches: Iterable[Mismatch]) -> tuple[tuple[str, ...], ...]:
    """Groups of landmarks that only have their moving points exchanged among each other.

    Parameters
    ----------
    mismatches : iterable of Mismatch

    Returns
    -------
    tuple of tuple of str
        Ids; the moving point of each belongs to the next, that of the last to the first. Two in a
        group are a swap, more a round. A chain that does not close is no exchange.
    """
    belongs_to = {m.id: m.belongs_to for m in mismatches if m.belongs_to}
    found: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for first in belongs_to:
        chain = [first]
        while (after := belongs_to.get(chain[-1], "")) and after not in chain:
            chain.append(after)
        if after == first and len(chain) > 1 and not seen & set(chain):
            found.append(tuple(chain))
            seen.update(chain)
    return tuple(found)


def exchanged(landmarks: LandmarkSet, group: tuple[str, ...]) -> dict[str, Point]:
    """Where the moving points of a group of :func:`exchanges` belong.

    Parameters
    ----------
    landmarks : LandmarkSet
    group : tuple of str

    Returns
    -------
    dict of str to (z, y, x)
        World um by id; empty unless all of the group are complete pairs.
    """
    known = {m.id: m.moving_um for m in landmarks if m.is_pair and m.id in group}
    places = {to: known.get(name) for name, to in zip(group, (*group[1:], *group[:1]), strict=True)}
    complete = {name: place for name, place in places.items() if place is not None}
    return complete if len(complete) == len(group) else {}
