"""ITK's transforms as ours. Composites are unrolled, B-splines sampled, LPS mm made our um."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from ...errors import BridgecorrError, ReadError, TransformError, one_line
from ...geometry import Grid
from ...geometry.anatomical import (
    AnatomicalFrame,
    index_to_world_from_millimetres,
    map_from_millimetres,
    points_from_millimetres,
)
from ...transform import Affine, Chain, DisplacementField, Transform
from ...units import MICROMETRES_PER_MILLIMETRE
from .bspline import spline_field
from .itk_records import LARGEST_MM, FloatArray, ItkRecord, matrix_of
from .transform_file import TransformFile

FLAT_SPACING_UM = 1e7
"""A field of flat images holds for every z: its one voxel in z is 10 m thick."""

_FIELDS = (
    "DisplacementFieldTransform",
    "GaussianSmoothingOnUpdateDisplacementFieldTransform",
    "BSplineSmoothingOnUpdateDisplacementFieldTransform",
)
_SPLINES = ("BSplineTransform", "BSplineDeformableTransform")
MOST_VECTORS = 2**29


@dataclass(frozen=True, eq=False)
class ItkLattice:
    """Where the nodes of an ITK field or B-spline stand.

    Parameters
    ----------
    shape : (int, int, int)
        Nodes along z, y, x.
    index_to_world : (4, 4) float64
        (iz, iy, ix, 1) to (z, y, x, 1) in um.
    dimensions : int
    """

    shape: tuple[int, int, int]
    index_to_world: FloatArray
    dimensions: int

    @property
    def grid(self) -> Grid:
        """The same as a grid."""
        return Grid(self.shape, self.index_to_world)


def transform_file(
    path: Path, records: list[ItkRecord], format_name: str, frame: AnatomicalFrame
) -> TransformFile:
    """What the records of an ITK file are together.

    Raises
    ------
    ReadError
    """
    warnings: list[str] = []
    try:
        dimensions = {record.dimensions for record in records}
        if len(dimensions) != 1:
            raise TransformError("it mixes transforms of 2 and of 3 dimensions")
        parts = [map_of(record, frame, warnings) for record in _unrolled(records)]
    except BridgecorrError as error:
        raise ReadError(path, one_line(error), "export the transform again") from error
    if dimensions == {2}:
        warnings.append(FLAT_WARNING)
    # the last one added to a composite is applied first
    merged = merged_chain(parts[::-1])
    return TransformFile(
        merged,
        dimensions=dimensions.pop(),
        format=format_name,
        warnings=tuple(dict.fromkeys(warnings)),
    )


FLAT_WARNING = (
    "it is a transform of flat images: x and y are taken as the image's columns and rows, z is kept"
)


def merged_chain(parts: list[Transform]) -> Transform:
    """A chain in which neighbouring affines are one; a lone transform is itself."""
    merged: list[Transform] = []
    for part in parts:
        if merged and isinstance(part, Affine) and isinstance(merged[-1], Affine):
            merged[-1] = Affine(part.matrix @ merged[-1].matrix)
        else:
            merged.append(part)
    return merged[0] if len(merged) == 1 else Chain(*merged)


def _unrolled(records: list[ItkRecord]) -> list[ItkRecord]:
    if records[0].kind == "CompositeTransform":
        parts = records[1:]
        if not parts:
            raise TransformError("its composite transform is empty")
        if any(part.kind == "CompositeTransform" for part in parts):
            raise TransformError("it holds composite transforms within each other")
        return parts
    if len(records) > 1:
        raise TransformError(
            f"it holds {len(records)} transforms without saying how they follow each other "
            f"(no CompositeTransform)"
        )
    return records


def map_of(record: ItkRecord, frame: AnatomicalFrame, warnings: list[str]) -> Transform:
    """One ITK transform as ours; what the user must know is added to `warnings`.

    Raises
    ------
    TransformError, GeometryError
    """
    matrix = matrix_of(record)
    if matrix is not None:
        return Affine(matrix_um(matrix, frame))
    if record.kind in _FIELDS:
        lattice = lattice_of(record.fixed, record.dimensions, frame)
        warnings.append(OUTSIDE_WARNING)
        return DisplacementField(
            lattice.grid, displacements_um(record.parameters, lattice, frame, interleaved=True)
        )
    if record.kind in _SPLINES:
        lattice = lattice_of(record.fixed, record.dimensions, frame)
        coefficients = displacements_um(record.parameters, lattice, frame, interleaved=False)
        field, bound_um = spline_field(lattice.grid, coefficients, record.dimensions)
        warnings += [
            f"its B-spline is sampled on a grid of {' x '.join(map(str, field.grid.shape))} (z, y, "
            f"x): at most {bound_um:.2g} um from the spline itself",
            OUTSIDE_WARNING,
        ]
        return field
    raise TransformError(
        f"a transform of type {record.kind} is not read here (sample it to a displacement field)"
    )


OUTSIDE_WARNING = (
    "outside its box the field says nothing: points there are not mapped (ITK leaves them in place)"
)


def matrix_um(matrix_mm: FloatArray, frame: AnatomicalFrame) -> FloatArray:
    """(d + 1, d + 1) matrix in mm on (x, y[, z], 1) as ours, (4, 4) in um on (z, y, x, 1).

    In two dimensions x and y are the columns and rows of a flat image and no anatomical directions:
    nothing is mirrored, and z is kept.
    """
    if len(matrix_mm) == 4:
        return map_from_millimetres(matrix_mm, frame)
    matrix = np.eye(4)
    matrix[1:3, 1:3] = matrix_mm[1::-1, 1::-1]
    matrix[1:3, 3] = matrix_mm[1::-1, 2] * MICROMETRES_PER_MILLIMETRE
    return matrix


def lattice_of(fixed: FloatArray, dimensions: int, frame: AnatomicalFrame) -> ItkLattice:
    """From ITK's size, origin, spacing and direction (row-major), of `dimensions` axes each.

    Raises
    ------
    TransformError
        If they are not as many as they must be, or absurd.
    """
    d = dimensions
    if fixed.size != d * (d + 3) or not np.all(np.abs(fixed) < LARGEST_MM):
        raise TransformError(f"its grid is described by {fixed.size} numbers, not {d * (d + 3)}")
    size, origin, spacing = fixed[:d], fixed[d : 2 * d], fixed[2 * d : 3 * d]
    direction = fixed[3 * d :].reshape(d, d)
    if np.any(size != np.round(size)) or np.any(size < 1) or np.any(size > 2**31):
        raise TransformError(f"its grid has the impossible size {size.tolist()}")
    if prod(int(n) for n in size) > MOST_VECTORS:
        raise TransformError(f"its grid has {size.tolist()} vectors, more than are read here")
    matrix_mm = np.eye(d + 1)
    matrix_mm[:d, :d] = direction * spacing
    matrix_mm[:d, d] = origin
    if d == 3:
        shape = (int(size[2]), int(size[1]), int(size[0]))
        return ItkLattice(shape, index_to_world_from_millimetres(matrix_mm, frame), 3)
    matrix = np.diag([FLAT_SPACING_UM, 1.0, 1.0, 1.0])
    matrix[1:3, 1:3] = matrix_mm[1::-1, 1::-1] * MICROMETRES_PER_MILLIMETRE
    matrix[1:3, 3] = matrix_mm[1::-1, 2] * MICROMETRES_PER_MILLIMETRE
    return ItkLattice((1, int(size[1]), int(size[0])), matrix, 2)


def displacements_um(
    values_mm: FloatArray | np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    lattice: ItkLattice,
    frame: AnatomicalFrame,
    *,
    interleaved: bool,
) -> FloatArray:
    """(3, z, y, x) displacements in um from ITK's flat list in mm.

    Parameters
    ----------
    values_mm : (d * n,) array
        x fastest; vector by vector where `interleaved`, else component by component.
    lattice : ItkLattice
    frame : {"LPS", "RAS"}
        Of three-dimensional vectors.
    interleaved : bool

    Raises
    ------
    TransformError
        If they are not as many as the lattice needs, or not finite.
    """
    d, count = lattice.dimensions, prod(lattice.shape)
    if values_mm.size != d * count:
        raise TransformError(f"it holds {values_mm.size} numbers for a grid that needs {d * count}")
    if not np.all(np.abs(values_mm) < LARGEST_MM):
        raise TransformError("its displacements are not all finite numbers")
    vectors = values_mm.reshape(count, d).T if interleaved else values_mm.reshape(d, count)
    out = np.zeros((3, *lattice.shape), dtype=values_mm.dtype)
    flat = out.reshape(3, -1)
    if d == 3:
        scale = points_from_millimetres(np.eye(3), frame)
        for ours, theirs in ((0, 2), (1, 1), (2, 0)):
            np.multiply(vectors[theirs], scale[theirs, ours], out=flat[ours])
    else:
        for ours, theirs in ((1, 1), (2, 0)):
            np.multiply(vectors[theirs], MICROMETRES_PER_MILLIMETRE, out=flat[ours])
    return out
