"""ITK's text files (``.tfm``, ``.txt``) and its MATLAB 4 files (``.mat``, as ANTs writes them)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError, TransformError, one_line
from .content import read_small
from .itk_records import FloatArray, ItkRecord, split_type

_DAMAGED = "export the transform again"
_HEADER = "#Insight Transform File V1.0"
_TYPES = {0: "f8", 1: "f4"}


def read_itk_text(path: Path) -> list[ItkRecord]:
    """Every transform of a text file, in the order of the file.

    Raises
    ------
    ReadError
    """
    try:
        text = read_small(path).decode("utf-8-sig")
        return _parse(text)
    except (TransformError, UnicodeDecodeError) as error:
        raise ReadError(path, f"it is damaged ({one_line(error)})", _DAMAGED) from error


def _parse(text: str) -> list[ItkRecord]:
    records: list[ItkRecord] = []
    kind: tuple[str, int] | None = None
    values: dict[str, FloatArray] = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, rest = line.partition(":")
        if not colon:
            raise TransformError(f"the line {line[:40]!r} is not understood")
        name = name.strip()
        if name == "Transform":
            if kind is not None:
                records.append(_record(kind, values))
            kind, values = split_type(rest), {}
        elif name in ("Parameters", "FixedParameters"):
            values[name] = _numbers(rest)
    if kind is None:
        raise TransformError("it names no transform")
    return [*records, _record(kind, values)]


def _record(kind: tuple[str, int], values: dict[str, FloatArray]) -> ItkRecord:
    name = kind[0]
    if name != "CompositeTransform" and "Parameters" not in values:
        raise TransformError(f"{name} has no parameters")
    nothing = np.empty(0)
    return ItkRecord(
        *kind, values.get("Parameters", nothing), values.get("FixedParameters", nothing)
    )


def _numbers(text: str) -> FloatArray:
    try:
        return np.array(text.split(), dtype=np.float64)
    except ValueError as error:
        raise TransformError("its parameters are not numbers") from error


def affine_text(matrix: FloatArray) -> str:
    """Text of an AffineTransform: (d + 1, d + 1) on the column (x, y[, z], 1) in mm.

    Every number is written so that the same float64 is read back.
    """
    d = len(matrix) - 1
    numbers = [*matrix[:d, :d].ravel(), *matrix[:d, d]]
    return (
        f"{_HEADER}\n#Transform 0\nTransform: AffineTransform_double_{d}_{d}\n"
        f"Parameters: {' '.join(repr(float(v)) for v in numbers)}\n"
        f"FixedParameters: {' '.join(['0'] * d)}\n"
    )


def read_itk_mat(path: Path) -> list[ItkRecord]:
    """The transform of a MATLAB 4 file: a variable named after its type, and one named ``fixed``.

    Raises
    ------
    ReadError
    """
    content = read_small(path)
    try:
        variables = _mat_variables(content)
        types = [name for name in variables if name != "fixed"]
        if len(types) != 1:
            raise TransformError(f"it holds {len(types)} transforms, not one")
        record = ItkRecord(
            *split_type(types[0]), variables[types[0]], variables.get("fixed", np.empty(0))
        )
    except TransformError as error:
        raise ReadError(path, f"it is damaged ({one_line(error)})", _DAMAGED) from error
    return [record]


def _mat_variables(content: bytes) -> dict[str, NDArray[np.float64]]:
    """Real matrices of a MATLAB 4 file (MathWorks, MAT-File Format, ch. 2) by name, flattened."""
    found: dict[str, NDArray[np.float64]] = {}
    at = 0
    while at < len(content):
        if at + 20 > len(content):
            raise TransformError("it ends within a header")
        order = "<" if int.from_bytes(content[at : at + 4], "little") < 10000 else ">"
        kind, rows, columns, imaginary, length = struct.unpack(f"{order}5i", content[at : at + 20])
        item = _TYPES.get(kind // 10 % 10)
        # a translation has no fixed parameters: a matrix of no rows
        if kind % 10 or kind >= 5000 or item is None or imaginary:
            raise TransformError("a matrix in it is not of real numbers")
        if min(rows, columns) < 0 or length < 1:
            raise TransformError("a matrix in it is not of real numbers")
        # vnl, which ITK writes with, states its own machine's order; 1000 says big-endian
        order = ">" if kind // 1000 == 1 else order
        size = rows * columns * int(item[1])
        start = at + 20 + length
        if length > 256 or start + size > len(content):
            raise TransformError("it is cut short, or states impossible sizes")
        name = content[at + 20 : start].rstrip(b"\0").decode("latin-1")
        found[name] = np.frombuffer(content, order + item, rows * columns, start).astype(np.float64)
        at = start + size
    return found


def affine_mat(matrix: FloatArray) -> bytes:
    """A MATLAB 4 file of an AffineTransform, as ANTs writes it; see :func:`affine_text`."""
    d = len(matrix) - 1
    numbers = np.array([*matrix[:d, :d].ravel(), *matrix[:d, d]])
    parts = ((f"AffineTransform_double_{d}_{d}", numbers), ("fixed", np.zeros(d)))
    content = b""
    for name, values in parts:
        label = name.encode("ascii") + b"\0"
        content += struct.pack("<5i", 0, len(values), 1, 0, len(label)) + label
        content += values.astype("<f8").tobytes()
    return content
