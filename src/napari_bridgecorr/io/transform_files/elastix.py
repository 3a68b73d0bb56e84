"""elastix's ``TransformParameters.0.txt``: matrix transforms, B-splines, and chains of files.

A parameter file maps fixed points to moving points in mm, as ITK does. Its initial transform (a
file beside it) is applied first and then composed with it, or added to it.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...errors import BridgecorrError, ReadError, TransformError, one_line
from ...geometry.anatomical import AnatomicalFrame
from ...transform import Affine, Transform
from .content import read_small
from .itk_maps import FLAT_WARNING, map_of, merged_chain
from .itk_records import FloatArray, ItkRecord
from .transform_file import TransformFile

_LINE = re.compile(r'^\(\s*(\w+)((?:\s+(?:"[^"]*"|[^\s")(]+))*)\s*\)\s*(?://.*)?$')
_VALUE = re.compile(r'"([^"]*)"|([^\s")(]+)')
_LONGEST_CHAIN = 16
_NAMES = {
    ("TranslationTransform", 2): "TranslationTransform",
    ("TranslationTransform", 3): "TranslationTransform",
    ("EulerTransform", 2): "Euler2DTransform",
    ("EulerTransform", 3): "Euler3DTransform",
    ("SimilarityTransform", 2): "Similarity2DTransform",
    ("SimilarityTransform", 3): "Similarity3DTransform",
    ("AffineTransform", 2): "AffineTransform",
    ("AffineTransform", 3): "AffineTransform",
    ("BSplineTransform", 2): "BSplineTransform",
    ("BSplineTransform", 3): "BSplineTransform",
    ("RecursiveBSplineTransform", 2): "BSplineTransform",
    ("RecursiveBSplineTransform", 3): "BSplineTransform",
}

Parameters = dict[str, list[str]]


def read_elastix(path: Path, frame: AnatomicalFrame) -> TransformFile:
    """The transform of a parameter file and of the files that it starts from.

    Raises
    ------
    ReadError
    """
    warnings: list[str] = []
    documents: list[tuple[Path, Parameters]] = []
    here: Path | None = path
    while here is not None:
        if len(documents) == _LONGEST_CHAIN or any(here.name == p.name for p, _ in documents):
            raise ReadError(path, "its initial transforms run in a circle", "check its folder")
        documents.append((here, _parse(here)))
        here = _initial(here, documents[-1][1], warnings)
    total: Transform | None = None
    dimensions = {_dimensions(p, d) for p, d in documents}
    if len(dimensions) != 1:
        raise ReadError(path, "its chain mixes 2 and 3 dimensions", "export it again")
    for place, parameters in reversed(documents):
        try:
            own = map_of(_record(parameters), frame, warnings)
            total = own if total is None else _combined(total, own, parameters)
        except BridgecorrError as error:
            raise ReadError(place, one_line(error), "export the transform again") from error
    if dimensions == {2}:
        warnings.append(FLAT_WARNING)
    assert total is not None  # there is at least one document
    return TransformFile(
        total,
        dimensions=dimensions.pop(),
        format="elastix",
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _parse(path: Path) -> Parameters:
    try:
        text = read_small(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(path, "it is not text", "check the file") from error
    found: Parameters = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("//"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise ReadError(path, f"line {number} is damaged", "export the transform again")
        found[match[1]] = [a or b for a, b in _VALUE.findall(match[2])]
    if "Transform" not in found:
        raise ReadError(path, "it names no transform", "give a TransformParameters file")
    return found


def _initial(path: Path, parameters: Parameters, warnings: list[str]) -> Path | None:
    """The file that comes first: of that name beside `path`, wherever it once was."""
    name = _text(parameters, "InitialTransformParameterFileName") or _text(
        parameters, "InitialTransformParametersFileName"
    )
    if not name or name == "NoInitialTransform":
        return None
    last = re.split(r"[/\\]", name)[-1]
    if last in ("", ".", "..") or len(last) > 255 or "\0" in last:
        raise ReadError(path, f"its initial transform is named {name[:80]!r}", "correct the name")
    beside = path.parent / last
    if not beside.is_file() or beside.is_symlink():
        raise ReadError(
            path,
            f"its initial transform {last} is not beside it",
            "copy that file into the same folder",
        )
    if last != name:
        warnings.append(f"its initial transform {last} is read from its own folder")
    return beside


def _dimensions(path: Path, parameters: Parameters) -> int:
    sizes = {_text(parameters, f"{side}ImageDimension") for side in ("Fixed", "Moving")}
    if sizes in ({"2"}, {"3"}):
        return int(sizes.pop())
    raise ReadError(path, "it does not map 2 or 3 dimensions onto as many", "export it again")


def _text(parameters: Parameters, key: str) -> str:
    values = parameters.get(key) or [""]
    return values[0]


def _numbers(parameters: Parameters, key: str) -> FloatArray:
    try:
        return np.array(parameters.get(key, []), dtype=np.float64)
    except ValueError as error:
        raise TransformError(f"its {key} are not numbers") from error


def _record(parameters: Parameters) -> ItkRecord:
    d = int(_text(parameters, "FixedImageDimension"))
    kind = _NAMES.get((_text(parameters, "Transform"), d))
    if kind is None:
        raise TransformError(
            f"a transform of type {_text(parameters, 'Transform')[:60]!r} is not read here (write "
            f"its displacement field with transformix -def all)"
        )
    if _text(parameters, "UseBinaryFormatForTransformationParameters") == "true":
        raise TransformError("its parameters are in a separate binary file, which is not read here")
    values = _numbers(parameters, "TransformParameters")
    if kind == "BSplineTransform":
        order = _text(parameters, "BSplineTransformSplineOrder")
        if order not in ("", "3"):
            raise TransformError(f"its B-spline is of order {order}, only 3 is read here")
        if _text(parameters, "UseCyclicTransform") == "true":
            raise TransformError("its B-spline is cyclic, which is not read here")
        return ItkRecord(kind, d, values, _lattice(parameters, d))
    fixed = np.zeros(0)
    if kind != "TranslationTransform":
        if "CenterOfRotationPoint" not in parameters:
            raise TransformError("it has no CenterOfRotationPoint")
        fixed = _numbers(parameters, "CenterOfRotationPoint")
        if fixed.size != d:
            raise TransformError(f"its CenterOfRotationPoint has {fixed.size} numbers, not {d}")
    if kind == "Euler3DTransform":
        fixed = np.append(fixed, float(_text(parameters, "ComputeZYX") == "true"))
    return ItkRecord(kind, d, values, fixed)


def _lattice(parameters: Parameters, d: int) -> FloatArray:
    """ITK's fixed parameters of the B-spline's grid."""
    size, index, spacing, origin = (
        _numbers(parameters, f"Grid{name}") for name in ("Size", "Index", "Spacing", "Origin")
    )
    direction = _numbers(parameters, "GridDirection")
    if direction.size == 0:
        direction = np.eye(d).ravel()
    if not (size.size == spacing.size == origin.size == d and direction.size == d * d):
        raise TransformError("the grid of its B-spline is described incompletely")
    if index.size == d and np.any(index != 0):
        raise TransformError("the grid of its B-spline does not begin at index 0")
    # elastix lists a direction matrix column by column
    return np.concatenate([size, origin, spacing, direction.reshape(d, d).T.ravel()])


def _combined(first: Transform, second: Transform, parameters: Parameters) -> Transform:
    how = _text(parameters, "HowToCombineTransforms") or "Compose"
    if how == "Compose":
        return merged_chain([first, second])
    if how == "Add" and isinstance(first, Affine) and isinstance(second, Affine):
        return Affine(first.matrix + second.matrix - np.eye(4))
    if how == "Add":
        raise TransformError(
            "it is added to its initial transform, which is read for matrices only"
        )
    raise TransformError(f"it is combined with its initial transform by {how[:40]!r}")


def affine_parameters(matrix: FloatArray) -> str:
    """Text of an AffineTransform file: (d + 1, d + 1) on the column (x, y[, z], 1) in mm."""
    d = len(matrix) - 1
    numbers = [*matrix[:d, :d].ravel(), *matrix[:d, d]]
    written = " ".join(repr(float(v)) for v in numbers)
    zeros = " ".join(["0"] * d)
    return (
        '(Transform "AffineTransform")\n'
        f"(NumberOfParameters {len(numbers)})\n"
        f"(TransformParameters {written})\n"
        '(InitialTransformParameterFileName "NoInitialTransform")\n'
        '(UseBinaryFormatForTransformationParameters "false")\n'
        '(HowToCombineTransforms "Compose")\n\n'
        f"(FixedImageDimension {d})\n(MovingImageDimension {d})\n"
        '(FixedInternalImagePixelType "float")\n(MovingInternalImagePixelType "float")\n'
        f"(CenterOfRotationPoint {zeros})\n"
    )
