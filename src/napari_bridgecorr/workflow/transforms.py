"""A transform file to a transform file of another kind, sampled where that kind needs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import GeometryError, TransformError, WriteError
from ..geometry import Grid
from ..geometry.anatomical import AnatomicalFrame
from ..io.transform_files import TransformFile, read_transform, write_document
from ..io.transform_files.write import (
    holds_fields,
    is_exact_in,
    is_rectangular,
    target_of,
    write_transform,
)
from ..progress import Progress
from ..transform import Transform
from ..transform.sampling import (
    SampledField,
    SamplingError,
    at_spacing,
    grid_for,
    landmark_box,
    sample_field,
)
from ..units import MICROMETRES_PER_MILLIMETRE

DEFAULT_TOLERANCE_UM = 1.0
_MOST_INVERTED = 2**20

Spacing = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class ConvertedTransform:
    """What a conversion did.

    Parameters
    ----------
    source : TransformFile
    grid : Grid or None
        Of the sampled field; None where nothing had to be sampled.
    error : SamplingError or None
        Of the field that was written, against the transform.
    inverse_error : SamplingError or None
        Of the inverse field written beside it (OME-Zarr), against the numeric inverse.
    warnings : tuple of str
    """

    source: TransformFile
    grid: Grid | None = None
    error: SamplingError | None = None
    inverse_error: SamplingError | None = None
    warnings: tuple[str, ...] = ()

    def report(self) -> tuple[str, ...]:
        """What the user must know of a sampled field, one line each; empty where it is exact."""
        if self.grid is None or self.error is None:
            return ()
        n = " x ".join(map(str, self.grid.shape))
        step = " x ".join(f"{s:.4g}" for s in self.grid.voxel_size_um)
        low, high = self.grid.corners().min(axis=0), self.grid.corners().max(axis=0)
        ends = ", ".join(
            f"{a} {start:.1f} to {stop:.1f}"
            for a, start, stop in zip("zyx", low, high, strict=True)
        )
        lines = [
            f"sampled as {n} vectors (z, y, x) every {step} um, over {ends} um",
            f"maximum error of the field: {_stated(self.error)}",
            "outside that box other programs leave points where they are",
        ]
        if self.inverse_error is not None:
            lines.append(f"maximum error of the inverse field: {_stated(self.inverse_error)}")
        return tuple(lines)


def _stated(error: SamplingError) -> str:
    found = f"{error.found_um:.3g} um is the largest found"
    if error.is_proven:
        return f"{error.bound_um:.3g} um (proven; {found})"
    return f"about {error.bound_um:.3g} um (not proven: {found}, and half as much is added)"


def convert_transform(
    path: Path,
    out: Path,
    *,
    like: Grid | None = None,
    spacing_um: Spacing | None = None,
    tolerance_um: float | None = None,
    inverse: bool = False,
    frame: AnatomicalFrame = "LPS",
    progress: Progress | None = None,
) -> ConvertedTransform:
    """Write the transform of a file in the format that the name of `out` asks for.

    Parameters
    ----------
    path, out : Path
        See :func:`~napari_bridgecorr.io.transform_files.read_transform` and
        :func:`~napari_bridgecorr.io.transform_files.write.write_transform`.
    like : Grid, optional
        The box of a sampled field: of the fixed image (of the moving one with `inverse`).
        By default a box about the landmarks, and a quarter of their extent beyond.
    spacing_um : (float, float, float), optional
        Between its vectors, (z, y, x). By default as wide as `tolerance_um` allows.
    tolerance_um : float, optional
        How far the field may be from the transform; 1 um by default.
    inverse : bool
        Write the map from moving to fixed.
    frame : {"LPS", "RAS"}
        What x, y, z mean in files of ITK, ANTs and elastix; see `read_transform`.
    progress : Progress, optional

    Raises
    ------
    ReadError, WriteError, TransformError, GeometryError
    """
    target = target_of(out)
    source = read_transform(path, frame)
    transform = source.transform.inverse() if inverse else source.transform
    if target == "json" and source.document and not inverse:
        write_document(source.document, out)  # with its fit
        return ConvertedTransform(source)
    if is_exact_in(target, transform):
        write_transform(transform, out, frame=frame)
        return ConvertedTransform(source)
    if not holds_fields(target):
        raise WriteError(
            out,
            "this format holds matrices alone, and the transform bends",
            "write .h5 or .nii.gz (a displacement field), or .json, which holds every transform",
        )
    grid = _grid(transform, out, like, spacing_um, tolerance_um)
    sampled = _with_storage(sample_field(transform, grid, progress), transform)
    warnings = _warnings(sampled.error, spacing_um, tolerance_um)
    backward: SampledField | None = None
    if target == "ome-zarr":
        backward = _inverse_field(transform, grid, progress)
        if backward is None:
            warnings.append("the inverse is not written beside it: it is not defined everywhere")
    write_transform(
        sampled.field, out, frame=frame, inverse=None if backward is None else backward.field
    )
    return ConvertedTransform(
        source,
        grid,
        sampled.error,
        None if backward is None else backward.error,
        tuple(warnings),
    )


def _grid(
    transform: Transform,
    out: Path,
    like: Grid | None,
    spacing_um: Spacing | None,
    tolerance_um: float | None,
) -> Grid:
    box = landmark_box(transform) if like is None else like
    if box is None:
        raise TransformError(
            f"{out}: the transform does not say where it is to be sampled: name the fixed image "
            f"with --like IMAGE"
        )
    if not is_rectangular(box):
        raise GeometryError("the image's axes are not at right angles: name another with --like")
    if spacing_um is None and like is None and box.n_voxels > 1 and tolerance_um is None:
        return box  # the transform's own field
    box = _squared(box)
    if spacing_um is not None:
        return _storable(at_spacing(box, spacing_um))
    return _storable(grid_for(transform, box, tolerance_um or DEFAULT_TOLERANCE_UM))


def _squared(box: Grid) -> Grid:
    """The box with its axes exactly at right angles: an image's are so to float32 only."""
    size = np.asarray(box.voxel_size_um)
    left, _, right = np.linalg.svd(box.index_to_world[:3, :3] / size)
    matrix = box.index_to_world.copy()
    matrix[:3, :3] = (left @ right) * size
    if np.allclose(matrix, box.index_to_world, rtol=0, atol=1e-12):
        return box
    # turned about its middle
    middle = (np.asarray(box.shape) - 1) / 2
    matrix[:3, 3] = box.centre_um - matrix[:3, :3] @ middle
    return Grid(box.shape, matrix)


def _storable(grid: Grid) -> Grid:
    """The grid with its numbers in mm rounded to float32, all that NIfTI holds, if it is straight.

    A turned grid would no longer be at right angles: there the bound allows for the rounding.
    """
    matrix = grid.index_to_world
    if np.count_nonzero(matrix[:3, :3]) != 3:
        return grid
    rounded = (matrix / MICROMETRES_PER_MILLIMETRE).astype(np.float32).astype(np.float64)
    rounded *= MICROMETRES_PER_MILLIMETRE
    rounded[3] = (0, 0, 0, 1)
    return Grid(grid.shape, rounded)


def _with_storage(sampled: SampledField, transform: Transform) -> SampledField:
    """Allow for a turned grid being stored as float32 (NIfTI): each vector stands a little off."""
    grid = sampled.field.grid
    if np.count_nonzero(grid.index_to_world[:3, :3]) == 3:
        return sampled
    reach = np.abs(grid.corners()).max() + np.linalg.norm(np.ptp(grid.corners(), axis=0))
    rng = np.random.default_rng(0)
    points = grid.to_world(rng.uniform(0, 1, (4096, 3)) * (np.asarray(grid.shape) - 1))
    slope = np.linalg.norm(transform.jacobian(points) - np.eye(3), axis=(1, 2))
    slope = slope[np.isfinite(slope)]
    shift = 4 * 2.0**-24 * reach
    extra = shift * 2 * float(np.max(slope, initial=0.0))
    return replace(sampled, error=replace(sampled.error, bound_um=sampled.error.bound_um + extra))


def _warnings(
    error: SamplingError, spacing_um: Spacing | None, tolerance_um: float | None
) -> list[str]:
    asked = tolerance_um or DEFAULT_TOLERANCE_UM
    if spacing_um is None and error.bound_um > 1.001 * asked:
        return [
            f"the tolerance of {asked:g} um is not reached: a field so fine would be too large. "
            f"Choose a smaller box with --like IMAGE"
        ]
    return []


def _inverse_field(
    transform: Transform, grid: Grid, progress: Progress | None
) -> SampledField | None:
    """The inverse on a straight grid over where the forward field's box goes; None if it cannot."""
    upper = np.asarray(grid.shape) - 1.0
    index = np.random.default_rng(0).uniform(0, 1, (4096, 3)) * upper
    moved = transform.map(grid.to_world(index))
    low, high = moved.min(axis=0), moved.max(axis=0)
    extent = high - low
    coarse = float(np.prod(extent) / _MOST_INVERTED) ** (1 / 3)
    spacing = max(coarse, float(np.min(grid.voxel_size_um)))
    shape = np.maximum(np.ceil(extent / spacing).astype(int), 1)
    box = Grid.from_spacing(shape.tolist(), spacing, low + 0.5 * spacing)
    try:
        return sample_field(transform.inverse(), box, progress)
    except TransformError:
        return None
