"""OME-Zarr's JSON (0.1 to 0.6-dev) as typed values: axes, where each level lies, channels.

No pixels and no zarr here. Everything is untrusted: whatever is not what the specification says
raises :class:`Misdescribed` with the reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import GeometryError
from ...image import Channel
from ...units import micrometres_per

_SECONDS = {
    "second": 1.0,
    "millisecond": 1e-3,
    "microsecond": 1e-6,
    "nanosecond": 1e-9,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86_400.0,
}
_OLD_AXES = ("t", "c", "z", "y", "x")
_FULL_NAMES = {"time": "t", "channel": "c"}


class Misdescribed(Exception):
    """What is wrong with the metadata, as a clause."""


@dataclass(frozen=True, eq=False)
class LevelPlace:
    """Where a level's array is, and its voxels in the world.

    Parameters
    ----------
    path : str
        Relative to the multiscale's group; free of tricks.
    index_to_world : (4, 4) float64 or None
        (z, y, x, 1) in um; None where the file states nothing.
    translated : bool
        Whether the file states a translation (even of zero) for this level.
    """

    path: str
    index_to_world: NDArray[np.float64] | None
    translated: bool


@dataclass(frozen=True)
class Multiscale:
    """One image of a group.

    Parameters
    ----------
    name : str
    axes : str
        Letter of each stored axis, in stored order.
    levels : tuple of LevelPlace
        Finest first.
    time_step_s : float or None
    without_unit : str
        The space axes that have no unit (um assumed), of ``zyx``.
    """

    name: str
    axes: str
    levels: tuple[LevelPlace, ...]
    time_step_s: float | None
    without_unit: str


def parse_multiscale(document: Any) -> Multiscale:
    """Read one entry of ``multiscales``.

    Raises
    ------
    Misdescribed
    """
    document = _mapping(document, "multiscales entry")
    systems = [_mapping(s, "coordinate system") for s in _list(document, "coordinateSystems")]
    described = systems[0].get("axes") if systems else document.get("axes", _OLD_AXES)
    axes, units = _axes(described)
    datasets = _list(document, "datasets")
    if not datasets:
        raise Misdescribed("it lists no arrays")
    common = _list(document, "coordinateTransformations")
    per_world = _world_units(axes, units)
    levels = []
    time_step = None
    for dataset in datasets:
        dataset = _mapping(dataset, "dataset")
        own = _list(dataset, "coordinateTransformations")
        steps = [*own, *_to_default_system(own, common, systems)]
        path = safe_path(dataset.get("path"))
        if not own:
            levels.append(LevelPlace(path, None, False))
            continue
        matrix = _chain(steps, len(axes))
        if not levels:
            time_step = _time_step(matrix, axes, units)
        translated = "translation" in _types(own) or "affine" in _types(own)
        levels.append(LevelPlace(path, _spatial(matrix, axes, per_world), translated))
    name = document.get("name")
    return Multiscale(
        name=name if isinstance(name, str) else "",
        axes=axes,
        levels=tuple(levels),
        time_step_s=time_step,
        without_unit="".join(a for a in "zyx" if a in axes and not units[axes.index(a)]),
    )


def parse_channels(omero: Any, n: int) -> tuple[Channel, ...]:
    """Channels as the viewer's settings describe them; defaults where they do not."""
    listed = omero.get("channels") if isinstance(omero, Mapping) else None
    listed = listed if isinstance(listed, list) else []
    channels = []
    for i in range(n):
        entry = listed[i] if i < len(listed) and isinstance(listed[i], Mapping) else {}
        label = entry.get("label")
        colour = re.fullmatch(r"#?([0-9A-Fa-f]{6})", str(entry.get("color", "")))
        channels.append(
            Channel(
                name=label if isinstance(label, str) and label else f"C{i}",
                colour=f"#{colour[1].upper()}" if colour else None,
                display_range=_window(entry.get("window")),
            )
        )
    return tuple(channels)


def safe_path(path: Any) -> str:
    """A path that stays within its group.

    Raises
    ------
    Misdescribed
        If it does not, or is none.
    """
    if not isinstance(path, str) or not path.strip("/."):
        raise Misdescribed(f"{path!r} is no path of an array")
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or "\0" in path:
        raise Misdescribed(f"the path {path!r} leads out of the image")
    return str(pure)


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Misdescribed(f"a {what} is no JSON object")
    return value


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Misdescribed(f"{key} is no list")
    return value


def _axes(described: Any) -> tuple[str, list[str | None]]:
    """Letters of the axes and their units."""
    if not isinstance(described, (list, tuple)) or not described:
        raise Misdescribed("it describes no axes")
    letters: list[str] = []
    units: list[str | None] = []
    for axis in described:
        entry = {"name": axis} if isinstance(axis, str) else _mapping(axis, "axis")
        name = str(entry.get("name", "")).lower()
        letter = _FULL_NAMES.get(str(entry.get("type")), _FULL_NAMES.get(name, name))
        if letter not in _OLD_AXES or letter in letters:
            raise Misdescribed(f"its axis {entry.get('name')!r} is not one of t, c, z, y, x")
        unit = entry.get("unit")
        letters.append(letter)
        units.append(unit if isinstance(unit, str) and unit else None)
    if not {"y", "x"} <= set(letters):
        raise Misdescribed("it has no axes y and x")
    return "".join(letters), units


def _world_units(axes: str, units: Sequence[str | None]) -> NDArray[np.float64]:
    """Micrometres per unit of z, y, x (1 where the file has no unit)."""
    factors = []
    for axis in "zyx":
        unit = units[axes.index(axis)] if axis in axes else None
        try:
            factors.append(1.0 if unit is None else micrometres_per(unit))
        except GeometryError as error:
            raise Misdescribed(f"the unit of axis {axis} is unknown: {error}") from error
    return np.array(factors)


def _types(transforms: Sequence[Any]) -> set[str]:
    found = set()
    for transform in transforms:
        if isinstance(transform, Mapping):
            found.add(str(transform.get("type")))
            inner = transform.get("transformations")
            found |= _types(inner) if isinstance(inner, list) else set()
    return found


def _to_default_system(
    own: Sequence[Any], common: Sequence[Any], systems: Sequence[Mapping[str, Any]]
) -> list[Any]:
    """The image-wide transforms that lead to the default (first) coordinate system.

    Before 0.6 there are no systems: all apply, in order. From 0.6 on a transform names the systems
    that it joins, and only those on the way from the level's to the first one apply.
    """
    if not systems:
        return list(common)
    target = systems[0].get("name")
    here = own[-1].get("output") if own and isinstance(own[-1], Mapping) else target
    steps: list[Any] = []
    while here != target:
        onward = [
            t
            for t in common
            if isinstance(t, Mapping) and t.get("input") == here and t not in steps
        ]
        if not onward:
            raise Misdescribed(f"no transform leads from {here!r} to {target!r}")
        steps.append(onward[0])
        here = onward[0].get("output")
    return steps


def _chain(transforms: Sequence[Any], n: int) -> NDArray[np.float64]:
    matrix = np.eye(n + 1)
    for transform in transforms:
        matrix = _matrix(_mapping(transform, "coordinate transformation"), n) @ matrix
    return matrix


def _matrix(transform: Mapping[str, Any], n: int) -> NDArray[np.float64]:
    """(n + 1, n + 1) matrix of one transformation."""
    kind = transform.get("type")
    result = np.eye(n + 1)
    if kind == "identity":
        return result
    if kind == "sequence":
        return _chain(_list(transform, "transformations"), n)
    if kind == "scale":
        scale = _numbers(transform, "scale", (n,))
        if np.any(scale == 0):
            raise Misdescribed("its scale is zero along an axis")
        result[:n, :n] = np.diag(scale)
    elif kind == "translation":
        result[:n, n] = _numbers(transform, "translation", (n,))
    elif kind == "rotation":
        result[:n, :n] = _numbers(transform, "rotation", (n, n))
    elif kind == "affine":
        result[:n] = _numbers(transform, "affine", (n, n + 1))
    else:
        raise Misdescribed(f"its coordinate transformation {kind!r} is not supported")
    return result


def _numbers(transform: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        values = np.array(transform.get(key), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Misdescribed(f"its {key} is not made of numbers") from error
    if values.shape != shape:
        raise Misdescribed(f"its {key} has {values.size} numbers, {math.prod(shape)} are needed")
    if not np.all(np.isfinite(values)):
        raise Misdescribed(f"its {key} holds values that are not finite numbers")
    return values


def _spatial(
    matrix: NDArray[np.float64], axes: str, per_world: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The part of the matrix that acts on z, y, x, in um."""
    space = [axes.index(a) for a in "zyx" if a in axes]
    other = [i for i in range(len(axes)) if i not in space]
    if np.any(matrix[np.ix_(space, other)]) or np.any(matrix[np.ix_(other, space)]):
        raise Misdescribed("its transformation mixes space with time or channels")
    at = [i for i, a in enumerate("zyx") if a in axes]
    result = np.eye(4)
    result[np.ix_(at, at)] = matrix[np.ix_(space, space)]
    result[at, 3] = matrix[space, -1]
    result[:3] *= per_world[:, None]
    return result


def _time_step(matrix: NDArray[np.float64], axes: str, units: Sequence[str | None]) -> float | None:
    if "t" not in axes:
        return None
    i = axes.index("t")
    seconds = _SECONDS.get((units[i] or "").lower())
    step = float(matrix[i, i])
    return step * seconds if seconds is not None and step > 0 else None


def _window(window: Any) -> tuple[float, float] | None:
    if not isinstance(window, Mapping):
        return None
    try:
        low, high = float(window["start"]), float(window["end"])
    except (KeyError, TypeError, ValueError):
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None
