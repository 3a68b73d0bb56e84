"""OME-Zarr's JSON (0.1 to 0.6) as typed values: axes, where each level lies, channels, labels.

No pixels and no zarr here. Everything is untrusted: whatever is not what the specification says
raises :class:`~.transforms.Misdescribed` with the reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from ...errors import GeometryError
from ...image import Channel
from ...units import micrometres_per
from ..time_units import seconds_per
from .systems import System, parse_systems, ways
from .transforms import (
    FloatArray,
    Load,
    Misdescribed,
    NotAffine,
    chained,
    listed,
    mapping,
)

_OLD_AXES = ("t", "c", "z", "y", "x")
_FULL_NAMES = {"time": "t", "channel": "c"}
_NO_LENGTH = frozenset({"pixel", "pixels", "px", "voxel", "voxels", "arbitrary", "null", "none"})
_MOST_LEVELS = 64
_MOST_CHANNELS = 10_000


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
    index_to_world: FloatArray | None
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
    without_length : str
        The space axes whose numbers are no lengths (pixels), of ``zyx``.
    notes : tuple of str
        What the user must see.
    """

    name: str
    axes: str
    levels: tuple[LevelPlace, ...]
    time_step_s: float | None
    without_unit: str
    without_length: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Axes:
    """Letter and unit of each axis, in order."""

    letters: str
    units: tuple[str | None, ...]
    notes: tuple[str, ...] = ()


def parse_multiscale(document: Any, load: Load, n_axes: int | None = None) -> Multiscale:
    """Read one entry of ``multiscales``.

    Parameters
    ----------
    document : JSON value
    load : callable
        Gives the content of a small array of the group by its path.
    n_axes : int, optional
        Number of axes of the stored arrays, for old files that name none.

    Raises
    ------
    Misdescribed
    """
    document = mapping(document, "multiscales entry")
    datasets = [mapping(d, "dataset") for d in listed(document, "datasets")]
    if not datasets:
        raise Misdescribed("it lists no arrays")
    if len(datasets) > _MOST_LEVELS:
        raise Misdescribed(f"it lists {len(datasets)} resolution levels, which is absurd")
    systems = parse_systems(document)
    name = document.get("name")
    name = name if isinstance(name, str) else ""
    if systems:
        return replace(_with_systems(document, datasets, systems, load), name=name)
    described = document.get("axes")
    axes = _axes(described) if described is not None else _unnamed(n_axes)
    common = listed(document, "coordinateTransformations")
    return replace(_placed(datasets, axes, axes, common, load), name=name)


def _unnamed(n_axes: int | None) -> _Axes:
    """0.1 and 0.2 name no axes: there are all five, in order."""
    if n_axes is not None and n_axes not in (2, 3, 5):
        raise Misdescribed(f"it has {n_axes} axes and does not say which")
    letters = _OLD_AXES[-(n_axes or 5) :]
    return _Axes("".join(letters), (None,) * len(letters))


def _with_systems(
    document: Mapping[str, Any],
    datasets: Sequence[Mapping[str, Any]],
    systems: Sequence[System],
    load: Load,
) -> Multiscale:
    """0.6: transformations lead from system to system. Places are in the one that is the world."""
    common = [mapping(t, "transformation") for t in listed(document, "coordinateTransformations")]
    found = ways(datasets[0], common, systems)
    inner = _axes(found.intrinsic.axes, found.worlds[0].system.axes if found.worlds else None)
    notes: list[str] = []
    lasting: Misdescribed | None = None
    for way in found.worlds:
        system = way.system
        try:
            steps = way.steps(load, len(inner.letters))
            outer = _axes(system.axes, found.intrinsic.axes)
            image = _placed(datasets, inner, outer, steps, load)
        except Misdescribed as error:
            hint = "; open the field as a transform" if isinstance(error, NotAffine) else ""
            notes.append(f"its coordinates {system.name!r} are not used: {error}{hint}")
            lasting = error
            continue
        others = [s.name for s in systems if s.name != system.name and not s.is_array]
        if others:
            listed_names = ", ".join(repr(n) for n in others)
            notes.append(
                f"the file has several coordinate systems: places are in {system.name!r}, "
                f"not in {listed_names}"
            )
        return replace(image, notes=(*image.notes, *notes))
    raise lasting or Misdescribed("no transformation leads from its arrays to its coordinates")


def _placed(
    datasets: Sequence[Mapping[str, Any]],
    inner: _Axes,
    outer: _Axes,
    common: Sequence[Any],
    load: Load,
) -> Multiscale:
    """Every level by its own transformations and then those of all."""
    unknown = "".join(
        a
        for a, u in zip(outer.letters, outer.units, strict=True)
        if a in "zyx" and u is not None and u.lower() in _NO_LENGTH
    )
    per_world = _world_units(outer, unknown)
    n = len(inner.letters)
    levels: list[LevelPlace] = []
    time_step = None
    for dataset in datasets:
        own = listed(dataset, "coordinateTransformations")
        path = safe_path(dataset.get("path"))
        if not own:
            levels.append(LevelPlace(path, None, False))
            continue
        matrix = chained([*own, *common], n, load, ([*inner.letters], [*outer.letters]))
        if len(matrix) - 1 != len(outer.letters):
            raise Misdescribed("its transformation makes another number of axes than it describes")
        if not levels:
            time_step = _time_step(matrix, inner, outer)
        translated = bool({"translation", "affine"} & _types(own, 0))
        levels.append(LevelPlace(path, _spatial(matrix, inner, outer, per_world), translated))
    return Multiscale(
        name="",
        axes=inner.letters,
        levels=tuple(levels),
        time_step_s=time_step,
        without_unit="".join(
            a for a in "zyx" if a in outer.letters and not outer.units[outer.letters.index(a)]
        ),
        without_length="".join(a for a in "zyx" if a in unknown),
        notes=tuple(dict.fromkeys((*inner.notes, *outer.notes))),
    )


def parse_channels(omero: Any, n: int, extras: Any = None) -> tuple[Channel, ...]:
    """Channels as the viewer's settings describe them; defaults where they do not.

    Parameters
    ----------
    omero : JSON value
    n : int
    extras : JSON value
        What our writer says besides: one object per channel.
    """
    found = omero.get("channels") if isinstance(omero, Mapping) else None
    found = found if isinstance(found, list) else []
    more = extras if isinstance(extras, list) and len(extras) == n else []
    if n > _MOST_CHANNELS:
        raise Misdescribed(f"it has {n} channels, which is absurd")
    channels = []
    for i in range(n):
        entry = found[i] if i < len(found) and isinstance(found[i], Mapping) else {}
        own = more[i] if i < len(more) and isinstance(more[i], Mapping) else {}
        label = entry.get("label", own.get("name"))
        name = label if isinstance(label, str) and label else f"C{i}"
        colour = _colour(entry.get("color", own.get("color")))
        window = _window(entry.get("window", own.get("window")))
        # our writer states a colour and a window where the image had none, as others want them
        if "color" in own and own["color"] is None and colour == "#FFFFFF":
            colour = None
        if "window" in own and own["window"] is None:
            window = None
        metal = own.get("metal")
        channels.append(
            Channel(
                name=plain_name(name) or f"C{i}",
                colour=colour,
                display_range=window,
                excitation_nm=_positive(own.get("excitation_nm")),
                emission_nm=_positive(own.get("emission_nm")),
                metal=metal if isinstance(metal, str) else None,
            )
        )
    return tuple(channels)


def plain_name(name: str) -> str:
    """A name on one line, otherwise as it is."""
    return re.sub(r"[\s\x00]*[\r\n\t\x00\v\f\x85\u2028\u2029]+\s*", " ", name).strip()[:1000]


def parse_label(described: Any) -> dict[str, Any]:
    """What ``image-label`` says of a label image: colours, properties, source image."""
    document = described if isinstance(described, Mapping) else {}
    found: dict[str, Any] = {"is_label": True}
    colours = {}
    for entry in _mappings(document.get("colors")):
        value, rgba = entry.get("label-value"), entry.get("rgba")
        whole = isinstance(rgba, list) and all(isinstance(v, int) and 0 <= v <= 255 for v in rgba)
        if isinstance(value, int) and isinstance(rgba, list) and whole and len(rgba) in (3, 4):
            colours[value] = "#" + "".join(f"{v:02X}" for v in rgba)
    if colours:
        found["label_colours"] = colours
    properties = {
        entry["label-value"]: {k: v for k, v in entry.items() if k != "label-value"}
        for entry in _mappings(document.get("properties"))
        if isinstance(entry.get("label-value"), int) and len(entry) > 1
    }
    if properties:
        found["label_properties"] = properties
    source = document.get("source")
    image = source.get("image") if isinstance(source, Mapping) else None
    if isinstance(image, str):
        found["source_image"] = image
    return found


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []


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
    if len(path) > 1024 or len(pure.parts) > 32:
        raise Misdescribed("a path in it is absurdly long")
    return str(pure)


def _axes(described: Any, like: Any = None) -> _Axes:
    """Letters of the axes and their units.

    `like` are the axes of the system that they lead to (or come from), in the same order, for array
    axes that have no meaning of their own.
    """
    if not isinstance(described, list | tuple) or not described:
        raise Misdescribed("it describes no axes")
    if len(described) > 5:
        raise Misdescribed(f"it has {len(described)} axes, at most 5 can be images'")
    entries = [{"name": a} if isinstance(a, str) else mapping(a, "axis") for a in described]
    letters = [_letter(entry) for entry in entries]
    notes: list[str] = []
    if all(entry.get("type") == "array" for entry in entries) and None in letters:
        alike = _axes(like).letters if like is not None and like != described else ""
        letters = list(alike if len(alike) == len(letters) else _unnamed(len(letters)).letters)
    for i, entry in enumerate(entries):
        if letters[i] is not None:
            continue
        if entry.get("type") == "space":
            left = [a for a in "zyx" if a not in letters]
            open_places = sum(
                letter is None and e.get("type") == "space"
                for letter, e in zip(letters[i:], entries[i:], strict=True)
            )
            if len(left) >= open_places:
                letters[i] = left[len(left) - open_places]
        elif isinstance(entry.get("type"), str) and "c" not in letters:
            letters[i] = "c"
            notes.append(f"its axis {entry.get('name')!r} is shown as channels")
    for i, letter in enumerate(letters):
        if letter is None or letter in letters[:i]:
            name = entries[i].get("name")
            raise Misdescribed(f"its axis {name!r} is not one of t, c, z, y, x")
    if not {"y", "x"} <= set(letters):
        raise Misdescribed("it has no axes y and x")
    units = [entry.get("unit") for entry in entries]
    return _Axes(
        "".join(str(a) for a in letters),
        tuple(u if isinstance(u, str) and u else None for u in units),
        tuple(notes),
    )


def _letter(entry: Mapping[str, Any]) -> str | None:
    name = str(entry.get("name", "")).lower()
    letter = _FULL_NAMES.get(str(entry.get("type")), _FULL_NAMES.get(name, name))
    return letter if letter in _OLD_AXES else None


def _world_units(axes: _Axes, unknown: str) -> FloatArray:
    """Micrometres per unit of z, y, x (1 where the file has no unit)."""
    factors = []
    for axis in "zyx":
        unit = axes.units[axes.letters.index(axis)] if axis in axes.letters else None
        try:
            factors.append(1.0 if unit is None or axis in unknown else micrometres_per(unit))
        except GeometryError as error:
            raise Misdescribed(f"the unit of axis {axis} is unknown: {error}") from error
    return np.array(factors)


def _types(transforms: Sequence[Any], depth: int) -> set[str]:
    """Kinds of the transformations and of those within them."""
    found: set[str] = set()
    for transform in transforms if depth < 8 else ():
        if isinstance(transform, Mapping):
            found.add(str(transform.get("type")))
            inner = transform.get("transformations")
            found |= _types(inner, depth + 1) if isinstance(inner, list) else set()
            wrapped = transform.get("transformation")
            found |= _types([wrapped], depth + 1) if wrapped is not None else set()
    return found


def _spatial(matrix: FloatArray, inner: _Axes, outer: _Axes, per_world: FloatArray) -> FloatArray:
    """The part of the matrix that acts on z, y, x, in um."""
    columns = [inner.letters.index(a) for a in "zyx" if a in inner.letters]
    rows = [outer.letters.index(a) for a in "zyx" if a in outer.letters]
    other_columns = [i for i in range(len(inner.letters)) if i not in columns]
    other_rows = [i for i in range(len(outer.letters)) if i not in rows]
    if np.any(matrix[np.ix_(rows, other_columns)]) or np.any(matrix[np.ix_(other_rows, columns)]):
        raise Misdescribed("its transformation mixes space with time or channels")
    if len(columns) > len(rows):
        raise Misdescribed("its transformation projects a volume on a plane")
    at_columns = [i for i, a in enumerate("zyx") if a in inner.letters]
    at_rows = [i for i, a in enumerate("zyx") if a in outer.letters]
    result = np.eye(4)
    result[:, at_columns] = 0
    result[np.ix_(at_rows, at_columns)] = matrix[np.ix_(rows, columns)]
    result[at_rows, 3] = matrix[rows, -1]
    result[:3] *= per_world[:, None]
    if len(columns) == 2 and len(rows) == 3:
        # a plane in space: its one voxel in z is 1 um thick and at right angles to it
        normal = np.cross(result[:3, at_columns[0]], result[:3, at_columns[1]])
        length = float(np.linalg.norm(normal))
        result[:3, 0] = normal / length if length > 0 else result[:3, 0]
    return result


def _time_step(matrix: FloatArray, inner: _Axes, outer: _Axes) -> float | None:
    if "t" not in inner.letters or "t" not in outer.letters:
        return None
    row = outer.letters.index("t")
    seconds = seconds_per(outer.units[row] or "")
    step = float(matrix[row, inner.letters.index("t")])
    return step * seconds if seconds is not None and step > 0 else None


def _colour(value: Any) -> str | None:
    found = re.fullmatch(r"#?([0-9A-Fa-f]{6})", str(value))
    return f"#{found[1].upper()}" if found else None


def _window(window: Any) -> tuple[float, float] | None:
    if not isinstance(window, Mapping):
        return None
    try:
        low, high = float(window["start"]), float(window["end"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None


def _positive(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < 1e12 else None
