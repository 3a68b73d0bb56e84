"""What the names of files say of their place in a stack: t0001, c1, z003. No file access."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

_WORDS = {
    **dict.fromkeys(("t", "time", "timepoint", "frame"), "T"),
    **dict.fromkeys(("c", "ch", "chan", "channel", "w", "wavelength"), "C"),
    **dict.fromkeys(("z", "slice", "plane", "section", "sec"), "Z"),
}
# a letter alone at the beginning could be anything: wells are named C01
_TOKEN = re.compile(
    r"(?:(?<![a-z0-9])(timepoint|time|frame|channel|chan|ch|wavelength|slice|plane|section|sec)"
    r"|(?<=[_\-. ])([tczw]))"
    r"[_\-= ]?([0-9]+)(?![0-9])",
    re.IGNORECASE,
)
# a set that is half empty was not numbered by these words
_LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Arrangement:
    """Places of files along axes.

    Parameters
    ----------
    axes : str
        Of ``TCZ``, in this order; those along which names differ.
    shape : tuple of int
    places : tuple of int
        For each file its number, in C order over the axes.
    numbers : dict
        By axis, the numbers in the names that its indices stand for.
    missing : tuple of str
        Words for the places without a file.
    """

    axes: str
    shape: tuple[int, ...]
    places: tuple[int, ...]
    numbers: dict[str, tuple[int, ...]]
    missing: tuple[str, ...]


def arrangement_of(names: Sequence[str]) -> Arrangement | None:
    """Places by words such as ``_t01``, ``ch2``, ``z003``, where all names have the same ones.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    Arrangement or None
        None where the names leave doubt.
    """
    frames, values = set[str](), list[dict[str, int]]()
    for name in names:
        found: dict[str, int] = {}
        for word in _TOKEN.finditer(name):
            axis = _WORDS[(word[1] or word[2]).lower()]
            if axis in found:
                return None
            found[axis] = int(word[3])
        # the rest of the names must be the same
        frames.add(_TOKEN.sub(lambda m: f"<{_WORDS[(m[1] or m[2]).lower()]}>", name))
        values.append(found)
    if len(frames) != 1 or not values or not values[0]:
        return None
    numbers = {
        axis: tuple(sorted({v[axis] for v in values})) for axis in "TCZ" if axis in values[0]
    }
    axes = "".join(axis for axis in numbers if len(numbers[axis]) > 1)
    shape = tuple(len(numbers[axis]) for axis in axes)
    if not axes or prod(shape) * _LEAST_SHARE > len(names):
        return None
    index = {axis: {n: i for i, n in enumerate(numbers[axis])} for axis in axes}
    places = []
    for value in values:
        place = 0
        for axis, length in zip(axes, shape, strict=True):
            place = place * length + index[axis][value[axis]]
        places.append(place)
    if len(set(places)) < len(places):
        return None
    absent = sorted(set(range(prod(shape))) - set(places))[:3]
    return Arrangement(
        axes, shape, tuple(places), numbers, tuple(_words(a, axes, shape, numbers) for a in absent)
    )


def _words(
    place: int, axes: str, shape: tuple[int, ...], numbers: dict[str, tuple[int, ...]]
) -> str:
    parts = []
    for axis, length in zip(reversed(axes), reversed(shape), strict=True):
        place, at = divmod(place, length)
        parts.append(f"{axis.lower()}{numbers[axis][at]}")
    return " ".join(reversed(parts))


def natural(name: str) -> list[str | int]:
    """Sorting key: image_2 before image_10."""
    # texts and numbers alternate, a text first, so that like is compared with like
    parts = re.split(r"([0-9]+)", name.lower())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


def order_warnings(names: Sequence[str]) -> tuple[str, ...]:
    """Warnings where the names leave doubt about the order or completeness of a stack."""
    numbered = [re.fullmatch(r"(.*?)([0-9]+)([^0-9]*)", name) for name in names]
    frames = {(m[1], m[3]) if m else None for m in numbered}
    if len(names) > 1 and (len(frames) > 1 or None in frames):
        return (
            f"the names of the planes differ in more than one number: they are stacked from "
            f"{names[0]} to {names[-1]}",
        )
    return gap_warnings([int(m[2]) for m in numbered if m])


def gap_warnings(numbers: Sequence[int]) -> tuple[str, ...]:
    """A warning where numbers leave a gap."""
    steps = {b - a for a, b in pairwise(numbers)}
    if len(steps) < 2:
        return ()
    gap = next((a, b) for a, b in pairwise(numbers) if b - a != min(steps))
    return (
        f"planes are missing by their numbers (after {gap[0]} comes {gap[1]}): the others "
        f"are stacked without a gap",
    )
