"""Any transform as a displacement field, with the largest error of that in um.

A field is read between its nodes by trilinear interpolation, which bends otherwise than the
transform does. For a thin-plate spline between affine maps the error's upper bound is proven
(:mod:`.cells`); for other maps it is what many points show, and is called so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError, TransformError
from ..geometry import Grid
from ..progress import Progress, Silent
from .affine import Affine
from .base import Chain, InvertedTransform, Transform
from .cells import SplineCells
from .field import DisplacementField
from .kernel_map import KernelMap
from .thin_plate import ThinPlateSpline

FloatArray = NDArray[np.float64]

MOST_VECTORS = 2**25
"""Vectors of the largest field that is made (384 MiB as float32)."""

_BLOCK_POINTS = 2**18
_PROBES = 20_000
_PROBES_PER_MARK = 40
_MOST_TRIES = 8
_FEWEST_CELLS = 4
_SEED = 0


@dataclass(frozen=True)
class SamplingError:
    """How far a sampled field is from the transform, within the field's box.

    Parameters
    ----------
    bound_um : float
        No point is further off, where `is_proven`; else 1.5 times the largest error found.
    found_um : float
        The largest error at the points that were looked at (landmarks and round them, random
        ones).
    is_proven : bool
    """

    bound_um: float
    found_um: float
    is_proven: bool


@dataclass(frozen=True, eq=False)
class SampledField:
    """A displacement field made from a transform.

    Parameters
    ----------
    field : DisplacementField
        float32.
    error : SamplingError
    tolerance_um : float or None
        What was asked for; `error` exceeds it where memory does not allow more vectors.
    """

    field: DisplacementField
    error: SamplingError
    tolerance_um: float | None = None


@dataclass(frozen=True, eq=False)
class _Bent:
    """A transform as affine maps round one that bends, which is None in a plain affine."""

    before: FloatArray
    core: Transform | None
    after: FloatArray


def sample_field(
    transform: Transform,
    grid: Grid,
    progress: Progress | None = None,
) -> SampledField:
    """Sample a transform at the voxel centres of a grid, block by block.

    Raises
    ------
    GeometryError
        If the grid has more than :data:`MOST_VECTORS` voxels.
    TransformError
        If the transform is not defined everywhere on the grid.
    """
    _check_size(grid)
    watched = progress or Silent()
    values = np.empty((3, grid.n_voxels), dtype=np.float32)
    plane = grid.shape[1] * grid.shape[2]
    planes = max(1, _BLOCK_POINTS // plane)
    watched.begin("Sampling the transform", -(-grid.shape[0] // planes))
    largest = 0.0
    for start in range(0, grid.shape[0], planes):
        stop = min(start + planes, grid.shape[0])
        block = grid.block((start, 0, 0), (stop, *grid.shape[1:]))
        points = block.to_world(np.indices(block.shape).reshape(3, -1).T)
        moved = transform.map(points) - points
        if not np.all(np.isfinite(moved)):
            raise TransformError(
                "the transform is not defined in the whole box that is to be sampled: choose a "
                "smaller one with --like IMAGE"
            )
        largest = max(largest, float(np.abs(moved).max()))
        values[:, start * plane : stop * plane] = moved.T
        watched.advance()
    field = DisplacementField(grid, values.reshape(3, *grid.shape))
    return SampledField(field, _with_rounding(interpolation_error(transform, grid), largest))


def _with_rounding(error: SamplingError, largest_um: float) -> SamplingError:
    """Each component of a vector is rounded to float32."""
    rounding = np.sqrt(3.0) * 2.0**-24 * largest_um
    return replace(error, bound_um=error.bound_um + rounding)


def interpolation_error(transform: Transform, grid: Grid) -> SamplingError:
    """The error of interpolating `transform` trilinearly between the voxel centres of `grid`."""
    bent = _parted(transform)
    if bent is not None and bent.core is None:
        return SamplingError(0.0, 0.0, True)
    if bent is not None and isinstance(bent.core, DisplacementField):
        lattice = bent.before @ grid.index_to_world
        same = bent.core.grid.shape == grid.shape
        if same and np.allclose(lattice, bent.core.grid.index_to_world, rtol=1e-12, atol=1e-9):
            return SamplingError(0.0, 0.0, True)
    found = _largest_found(transform, bent, grid)
    if bent is not None and isinstance(bent.core, ThinPlateSpline):
        lattice = bent.before @ grid.index_to_world
        cells = SplineCells(bent.core, lattice, grid.shape, bent.after[:3, :3])
        return SamplingError(cells.bound_um(found), found, True)
    return SamplingError(1.5 * found, found, False)


def _parted(transform: Transform) -> _Bent | None:
    """Affine maps before and after one other; None where several bend."""
    before, after = np.eye(4), np.eye(4)
    core: Transform | None = None
    for step in _steps(transform):
        if isinstance(step, Affine) and core is None:
            before = step.matrix @ before
        elif isinstance(step, Affine):
            after = step.matrix @ after
        elif core is None:
            core = step
        else:
            return None
    return _Bent(before, core, after)


def _steps(transform: Transform) -> list[Transform]:
    if isinstance(transform, Chain):
        return [step for part in transform.transforms for step in _steps(part)]
    return [transform]


def _marks(bent: _Bent | None) -> FloatArray:
    """Where the map is sharpest, as far as is known: the landmarks, in the field's own space."""
    core = None if bent is None else bent.core
    if isinstance(core, ThinPlateSpline | KernelMap):
        marks = core.fixed_um
    elif isinstance(core, InvertedTransform) and isinstance(
        core.forward, ThinPlateSpline | KernelMap
    ):
        marks = core.forward.map(core.forward.fixed_um)
    else:
        return np.empty((0, 3))
    assert bent is not None
    return Affine(bent.before).inverse().map(marks)


def _largest_found(transform: Transform, bent: _Bent | None, grid: Grid) -> float:
    """Largest error at random points, at the landmarks, and at random points of their cells."""
    rng = np.random.default_rng(_SEED)
    upper = np.asarray(grid.shape) - 1.0
    probes = [rng.uniform(0, 1, (_PROBES, 3)) * upper]
    marks = grid.to_index(_marks(bent))
    marks = marks[np.all((marks >= -1) & (marks <= upper + 1), axis=1)]
    if len(marks):
        probes.append(marks)
        low = np.repeat(np.floor(marks), _PROBES_PER_MARK, axis=0)
        probes.append(low + rng.uniform(0, 1, low.shape))
        near = np.repeat(marks, _PROBES_PER_MARK // 4, axis=0)
        probes.append(near + rng.normal(0, 0.05, near.shape))
        probes.append(np.floor(marks) + 0.5)
    index = np.clip(np.concatenate(probes), 0, upper)
    errors = _errors_at(transform, grid, index)
    return float(np.max(errors, initial=0.0))


def _errors_at(transform: Transform, grid: Grid, index: FloatArray) -> FloatArray:
    """Distances in um between the map and its interpolant; points it does not map are left out."""
    last = np.maximum(np.asarray(grid.shape) - 2, 0)
    low = np.minimum(np.floor(index), last)
    part = index - low
    interpolated = np.zeros_like(index)
    for corner in product((0, 1), repeat=3):
        weight = np.prod(np.where(corner, part, 1 - part), axis=1)
        used = weight > 0
        moved = transform.map(grid.to_world(low[used] + corner))
        interpolated[used] += weight[used, None] * moved
    errors = np.linalg.norm(interpolated - transform.map(grid.to_world(index)), axis=1)
    return np.asarray(errors[np.isfinite(errors)])


def grid_for(transform: Transform, box: Grid, tolerance_um: float) -> Grid:
    """A grid over the box of another, as coarse as keeps the error within the tolerance.

    Parameters
    ----------
    transform : Transform
    box : Grid
        Its orientation and extent (to the voxels' faces) are kept.
    tolerance_um : float

    Returns
    -------
    Grid
        Isotropic, but for the axis along which a planar spline is straight. Of at most
        :data:`MOST_VECTORS` voxels, where the tolerance may not be reached.

    Raises
    ------
    GeometryError
        If the tolerance is not a positive length.
    """
    if not (np.isfinite(tolerance_um) and tolerance_um > 0):
        raise GeometryError(f"the tolerance must be a positive length in um, not {tolerance_um}")
    extent = np.asarray(box.shape) * np.asarray(box.voxel_size_um)
    straight = _straight_axes(transform, box)
    extent = np.where(straight, 0.0, extent)
    coarsest = float(extent.max() / _FEWEST_CELLS)
    finest = _finest_spacing(extent)
    spacing = float(np.clip(coarsest / 8, finest, coarsest))
    fitting: float | None = None
    too_coarse = np.inf
    for _ in range(_MOST_TRIES):
        error = interpolation_error(transform, _covering(box, spacing, straight)).bound_um
        if error <= tolerance_um:
            fitting = spacing
            if spacing >= coarsest or error > 0.7 * tolerance_um:
                break
        else:
            too_coarse = spacing
            if spacing <= finest:
                break
        # the error of a cone grows with the spacing, that of a smooth bend with its square
        ratio = 0.95 * tolerance_um / max(error, 1e-12)
        wanted = spacing * float(np.clip(ratio if ratio < 1 else np.sqrt(ratio), 0.05, 8))
        if fitting is not None and np.isfinite(too_coarse):
            wanted = min(max(wanted, fitting * 1.02), np.sqrt(fitting * too_coarse))
            if too_coarse / fitting < 1.1:
                break
        spacing = float(np.clip(wanted, finest, coarsest))
    return _covering(box, spacing if fitting is None else fitting, straight)


def _straight_axes(transform: Transform, box: Grid) -> NDArray[np.bool_]:
    """Axes of a box along which a planar spline is straight: two vectors there are enough."""
    bent = _parted(transform)
    if bent is None or not isinstance(bent.core, ThinPlateSpline) or bent.core.dimensions == 3:
        return np.zeros(3, dtype=bool)
    edges = (bent.before @ box.index_to_world)[1:3, :3]
    return np.asarray(np.all(edges == 0, axis=0))


def _finest_spacing(extent: FloatArray) -> float:
    """The isotropic spacing at which the covering grid has the most vectors that are allowed."""
    low, high = 1e-6 * float(extent.max()), float(extent.max())
    for _ in range(60):
        middle = np.sqrt(low * high)
        if np.prod(np.ceil(extent / middle) + 1, dtype=np.float64) > MOST_VECTORS:
            low = middle
        else:
            high = middle
    return high


def _covering(box: Grid, spacing_um: float, straight: NDArray[np.bool_]) -> Grid:
    """An isotropic grid whose centres reach the faces of the box, so that all of it is covered.

    Along a straight axis the two faces have all the centres.
    """
    size = np.asarray(box.voxel_size_um)
    extent = np.asarray(box.shape) * size
    spacing = np.where(straight, extent, spacing_um)
    count = np.ceil(extent / spacing - 1e-9).astype(int) + 1
    step = np.diag([*(spacing / size), 1.0])
    # centred: what reaches beyond does so equally on both sides
    step[:3, 3] = -0.5 - ((count - 1) * spacing - extent) / 2 / size
    return Grid((int(count[0]), int(count[1]), int(count[2])), box.index_to_world @ step)


def at_spacing(box: Grid, spacing_um: tuple[float, float, float]) -> Grid:
    """A grid of the box's orientation and extent at a spacing (z, y, x in um)."""
    grid = box.at_spacing(spacing_um)
    _check_size(grid)
    return grid


def landmark_box(transform: Transform, margin: float = 0.25) -> Grid | None:
    """One voxel about the landmarks of a transform, and `margin` of their extent beyond.

    Returns
    -------
    Grid or None
        None for a transform without landmarks or a field.
    """
    bent = _parted(transform)
    core = None if bent is None else bent.core
    if bent is not None and isinstance(core, DisplacementField):
        matrix = np.linalg.inv(bent.before) @ core.grid.index_to_world
        return Grid(core.grid.shape, matrix)
    marks = _marks(bent)
    if not len(marks):
        return None
    low, high = marks.min(axis=0), marks.max(axis=0)
    extent = high - low
    reach = np.maximum(extent * margin, 0.05 * extent.max())
    return Grid.from_spacing((1, 1, 1), extent + 2 * reach, (low + high) / 2)


def _check_size(grid: Grid) -> None:
    if grid.n_voxels > MOST_VECTORS:
        raise GeometryError(
            f"a field of {' x '.join(map(str, grid.shape))} vectors (z, y, x) is larger than the "
            f"{MOST_VECTORS} that are written: choose a larger --spacing"
        )
