"""Points of two images, made into pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path

from ...errors import ReadError
from ...landmarks import Landmark, LandmarkSet, Side
from .model import NamedPoint

Pair = tuple[NamedPoint | None, NamedPoint | None]


def pair_points(
    fixed: Sequence[NamedPoint], moving: Sequence[NamedPoint], paths: tuple[Path, Path]
) -> tuple[LandmarkSet, tuple[str, ...]]:
    """Pairs of the points of a fixed and a moving image.

    Points are paired by id where the files carry this project's ids, else by name where no name
    occurs twice and the files share some, else one after the other.

    Parameters
    ----------
    fixed, moving : sequence of NamedPoint
    paths : (Path, Path)
        Fixed and moving file, for messages.

    Returns
    -------
    LandmarkSet
        Points without a counterpart are half pairs.
    tuple of str
        How they were paired, where the user should know.

    Raises
    ------
    ReadError
        If they must be paired one after the other and are not equally many.
    """
    names = f"{paths[0].name} and {paths[1].name}"
    if _is_unique(fixed, _id_of) and _is_unique(moving, _id_of):
        return _set(_matched(fixed, moving, _id_of)), ()
    if _is_unique(fixed, _name_of) and _is_unique(moving, _name_of):
        rows = _matched(fixed, moving, _name_of)
        alone = sum(None in row for row in rows)
        if not alone:
            return _set(rows), ()
        if alone < len(rows):
            said = f"{alone} of the {len(rows)} points of {names} have no counterpart of their name"
            return _set(rows), (said + " and are half pairs",)
    if len(fixed) != len(moving):
        raise ReadError(
            paths[1],
            f"its {len(moving)} points cannot be paired with the {len(fixed)} of {paths[0].name}: "
            "their names are not the same",
            "name counterparts alike in both files",
        )
    said = f"the points of {names} were paired one after the other: their names are not the same"
    return _set(list(zip(fixed, moving, strict=True))), (said,)


def one_sided(points: Sequence[NamedPoint], side: Side) -> LandmarkSet:
    """Half pairs from the points of one image."""
    if side == "fixed":
        return _set([(p, None) for p in points])
    return _set([(None, p) for p in points])


def unique_ids(wanted: Iterable[str]) -> list[str]:
    """Ids as wanted where possible: the empty become L1, L2..., the repeated get a number."""
    wanted = [w.strip() for w in wanted]
    taken = {w for w in wanted if w}
    given: set[str] = set()
    numbers: dict[str, count[int]] = {}
    found = []
    for place, name in enumerate(wanted, start=1):
        identity = name
        if not name or name in given:
            stem, counter = (
                (f"{name} ({{}})", numbers.setdefault(name, count(2)))
                if name
                else ("L{}", numbers.setdefault("", count(place)))
            )
            identity = next(i for i in map(stem.format, counter) if i not in taken)
            taken.add(identity)
        given.add(identity)
        found.append(identity)
    return found


def _matched(
    fixed: Sequence[NamedPoint], moving: Sequence[NamedPoint], key: Callable[[NamedPoint], str]
) -> list[Pair]:
    partner = {key(p): p for p in moving}
    ours = {key(p) for p in fixed}
    rows: list[Pair] = [(p, partner.get(key(p))) for p in fixed]
    return rows + [(None, p) for p in moving if key(p) not in ours]


def _set(rows: Sequence[Pair]) -> LandmarkSet:
    some = [[p for p in row if p is not None] for row in rows]
    own = [{p.id for p in points} for points in some]
    # names are what people know; ids of another program are none
    ids = unique_ids(
        next(iter(i)) if len(i) == 1 and "" not in i else points[0].name or points[-1].name
        for i, points in zip(own, some, strict=True)
    )
    return LandmarkSet(
        tuple(
            Landmark(
                identity,
                points[0].name or points[-1].name,
                all(p.enabled for p in points),
                row[0].position_um if row[0] is not None else None,
                row[1].position_um if row[1] is not None else None,
            )
            for identity, points, row in zip(ids, some, rows, strict=True)
        )
    )


def _id_of(point: NamedPoint) -> str:
    return point.id


def _name_of(point: NamedPoint) -> str:
    return point.name.strip()


def _is_unique(points: Sequence[NamedPoint], key: Callable[[NamedPoint], str]) -> bool:
    keys = [key(p) for p in points]
    return all(keys) and len(set(keys)) == len(keys)
