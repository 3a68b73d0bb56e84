"""OME-Zarr's affine coordinate transformations (0.4 to 0.6) as matrices.

A matrix is (m + 1, n + 1) and acts on the column of n input coordinates and 1, axes in the order of
the file. Everything is untrusted: what is not what the specification says raises
:class:`Misdescribed`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Load = Callable[[str], NDArray[Any]]
"""Gives the content of a small array by its path in the image."""

_DEEPEST = 8
_MOST_AXES = 8
_LONGEST = 64


class Misdescribed(Exception):
    """What is wrong with the metadata, as a clause."""


class NotAffine(Misdescribed):
    """A transformation that no matrix can state, as a displacement field."""


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """`value` if it is a JSON object; raises Misdescribed."""
    if not isinstance(value, Mapping):
        raise Misdescribed(f"a {what} is no JSON object")
    return value


def listed(document: Mapping[str, Any], key: str) -> list[Any]:
    """The list under `key`, empty where there is none; raises Misdescribed."""
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Misdescribed(f"{key} is no list")
    return value


def chained(
    transforms: Sequence[Any],
    n: int,
    load: Load,
    names: tuple[Sequence[str], Sequence[str]] = ((), ()),
    depth: int = 0,
) -> FloatArray:
    """Matrix of transformations of `n` coordinates, the first applied first.

    Parameters
    ----------
    transforms : sequence
        JSON objects.
    n : int
        Number of input axes.
    load : callable
        For matrices that are stored as arrays.
    names : (sequence of str, sequence of str)
        Of the input and output axes; early drafts of 0.6 name axes where 0.6 numbers them.

    Raises
    ------
    Misdescribed
    """
    if depth > _DEEPEST or len(transforms) > _LONGEST:
        raise Misdescribed("its coordinate transformations are nested without end")
    matrix = np.eye(n + 1)
    for transform in transforms:
        step = _matrix(
            mapping(transform, "coordinate transformation"), len(matrix) - 1, load, names, depth
        )
        with np.errstate(all="ignore"):
            matrix = step @ matrix
    if not np.all(np.isfinite(matrix)):
        raise Misdescribed("its coordinate transformation is not made of finite numbers")
    return matrix


def _matrix(
    transform: Mapping[str, Any],
    n: int,
    load: Load,
    names: tuple[Sequence[str], Sequence[str]],
    depth: int,
) -> FloatArray:
    kind = transform.get("type")
    result = np.eye(n + 1)
    if kind == "identity":
        return result
    if kind == "sequence":
        return chained(listed(transform, "transformations"), n, load, names, depth + 1)
    if kind == "scale":
        scale = _numbers(transform, "scale", (n,), load)
        if np.any(scale == 0):
            raise Misdescribed("its scale is zero along an axis")
        result[:n, :n] = np.diag(scale)
    elif kind == "translation":
        result[:n, n] = _numbers(transform, "translation", (n,), load)
    elif kind == "rotation":
        result[:n, :n] = _numbers(transform, "rotation", (n, n), load)
        if not np.allclose(result[:n, :n] @ result[:n, :n].T, np.eye(n), atol=1e-3):
            raise Misdescribed("its rotation is no rotation matrix")
    elif kind == "affine":
        rows = _numbers(transform, "affine", (None, n + 1), load)
        result = np.vstack([rows, [*np.zeros(n), 1]])
    elif kind == "mapAxis":
        return _permuted(transform.get("mapAxis"), n, names)
    elif kind == "projectAxis":
        return _projected(transform, n)
    elif kind == "byDimension":
        return _by_dimension(transform, n, load, names, depth)
    elif kind == "bijection":
        forward = mapping(transform.get("forward"), "forward transformation")
        return chained([forward], n, load, names, depth + 1)
    elif kind in ("displacements", "coordinates"):
        what = "displacement" if kind == "displacements" else "coordinate"
        raise NotAffine(f"a {what} field places it, which is no affine transformation")
    else:
        raise Misdescribed(f"its coordinate transformation {kind!r} is not supported")
    return result


def _permuted(order: Any, n: int, names: tuple[Sequence[str], Sequence[str]]) -> FloatArray:
    """mapAxis: output i is input ``order[i]``."""
    if isinstance(order, Mapping):
        order = _numbered(order, names)
    if not isinstance(order, list) or not order:
        raise Misdescribed("its mapAxis is no list of axis numbers")
    result = np.zeros((len(order) + 1, n + 1))
    result[-1, -1] = 1
    for row, column in enumerate(order):
        result[row, _axis(column, n)] = 1
    return result


def _numbered(order: Mapping[str, Any], names: tuple[Sequence[str], Sequence[str]]) -> list[int]:
    """Early drafts: names of axes by name, input to output or the other way round."""
    inputs, outputs = names
    pairs = [(str(k), str(v)) for k, v in order.items()]
    if not all(k in inputs and v in outputs for k, v in pairs):
        pairs = [(v, k) for k, v in pairs]
    if not all(k in inputs and v in outputs for k, v in pairs):
        raise Misdescribed("its mapAxis names axes that it has not")
    to_input = {v: inputs.index(k) for k, v in pairs}
    if set(to_input) != set(outputs):
        raise Misdescribed("its mapAxis does not name every axis")
    return [to_input[name] for name in outputs]


def _projected(transform: Mapping[str, Any], n: int) -> FloatArray:
    """projectAxis: axes are dropped, others are made at zero."""
    dropped = {_axis(i, n) for i in listed(transform, "droppedInputs")}
    created = listed(transform, "createdOutputs")
    for step in listed(transform, "projectAxis"):  # a draft's way to say it
        step = mapping(step, "projectAxis entry")
        if "remove" in step:
            dropped.add(_axis(step["remove"], n))
        if "insert" in step:
            created = [*created, step["insert"]]
    kept = [i for i in range(n) if i not in dropped]
    n_out = len(kept) + len(created)
    if n_out > _MOST_AXES:
        raise Misdescribed("its projectAxis makes too many axes")
    new = {_axis(i, n_out) for i in created}
    rows = [i for i in range(n_out) if i not in new]
    if len(rows) != len(kept):
        raise Misdescribed("its projectAxis makes an axis twice")
    result = np.zeros((n_out + 1, n + 1))
    result[-1, -1] = 1
    result[rows, kept] = 1
    return result


def _by_dimension(
    transform: Mapping[str, Any],
    n: int,
    load: Load,
    names: tuple[Sequence[str], Sequence[str]],
    depth: int,
) -> FloatArray:
    parts = [mapping(p, "part of byDimension") for p in listed(transform, "transformations")]
    if not parts or len(parts) > _MOST_AXES:
        raise Misdescribed("its byDimension has no parts")
    inputs = [_side(p, ("inputAxes", "input_axes", "input"), names[0]) for p in parts]
    outputs = [_side(p, ("outputAxes", "output_axes", "output"), names[1]) for p in parts]
    made = sorted(i for axes in outputs for i in axes)
    if made != list(range(len(made))) or len(made) > _MOST_AXES:
        raise Misdescribed("its byDimension does not make every axis once")
    result = np.zeros((len(made) + 1, n + 1))
    result[-1, -1] = 1
    for part, taken, given in zip(parts, inputs, outputs, strict=True):
        columns = [_axis(i, n) for i in taken]
        inner = part.get("transformation", part)
        part_names = (
            [names[0][i] for i in columns if i < len(names[0])],
            [names[1][i] for i in given if i < len(names[1])],
        )
        block = chained([inner], len(columns), load, part_names, depth + 1)
        if len(block) - 1 != len(given):
            raise Misdescribed("a part of its byDimension makes another number of axes")
        result[np.ix_(given, columns)] = block[:-1, :-1]
        result[given, -1] = block[:-1, -1]
    return result


def _side(part: Mapping[str, Any], keys: Sequence[str], names: Sequence[str]) -> list[int]:
    """Numbers of the axes that a part of byDimension takes or gives."""
    for key in keys:
        if isinstance(part.get(key), list):
            known = list(names)
            axes = [known.index(a) if a in known else a for a in part[key]]
            return [_axis(i, _MOST_AXES) for i in axes]
    raise Misdescribed("a part of its byDimension does not say which axes it is for")


def _axis(number: Any, n: int) -> int:
    is_whole = isinstance(number, int | float) and not isinstance(number, bool)
    if not is_whole or not 0 <= number < n or number != int(number):
        raise Misdescribed(f"its transformation names the axis {number!r} of {n}")
    return int(number)


def _numbers(
    transform: Mapping[str, Any], key: str, shape: tuple[int | None, ...], load: Load
) -> FloatArray:
    """The numbers under `key`, or of the array that `path` names."""
    value = transform.get(key)
    if value is None and isinstance(transform.get("path"), str):
        value = load(transform["path"])
    try:
        values = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise Misdescribed(f"its {key} is not made of numbers") from error
    if values.ndim != len(shape) or any(
        n is not None and n != m for n, m in zip(shape, values.shape, strict=True)
    ):
        needed = " x ".join("n" if n is None else str(n) for n in shape)
        raise Misdescribed(f"its {key} has {values.size} numbers, {needed} are needed")
    if values.size > _MOST_AXES * (_MOST_AXES + 1):
        raise Misdescribed(f"its {key} has {values.size} numbers, which is absurd")
    if not np.all(np.isfinite(values)):
        raise Misdescribed(f"its {key} holds values that are not finite numbers")
    return values
