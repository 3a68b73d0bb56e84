"""Planes through the fixed grid where the two images overlap. Never more than a plane is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid
from ..image import SpatialImage
from ..resampling import PullSampler
from ..transform import Affine, Transform
from .contents import ReportContents

FloatArray = NDArray[np.float64]

# pixels along a plane's longer side: more than a printed figure shows
MAX_PIXELS = 400
_CELLS = 28
_MOVING_LATTICE = 9
_MARGIN = 0.08
# a slab of one fixed voxel's thickness is averaged, unless that means reading more than this
_MAX_SLAB_VOXELS = 6e7
# samples per pixel and axis of what is only looked at; a table meets every voxel
_MAX_SAMPLES = 3
_OBLIQUE_BELOW = 0.95
_ANATOMY = {"z": ("S", "I"), "y": ("A", "P"), "x": ("R", "L")}


@dataclass(frozen=True, eq=False)
class Overlap:
    """Where the moving image covers the fixed grid.

    Parameters
    ----------
    lower, upper : (3,) float64
        Box round the overlap in fixed indices, on voxel faces, with a small margin.
    centre : (int, int, int)
        Fixed voxel through which the planes go.
    is_empty : bool
        Whether nothing overlaps; the box is then the whole grid.
    """

    lower: FloatArray
    upper: FloatArray
    centre: tuple[int, int, int]
    is_empty: bool


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice of both images, sampled alike.

    Parameters
    ----------
    axis : int
        Axis of the fixed grid (0 z, 1 y, 2 x) that stands normal to the plane.
    index : int
        Fixed voxel index along it.
    grid : Grid
        Positions of the pixels; one voxel along `axis`.
    fixed, moving : (rows, columns) float
        NaN where there are no data.
    """

    axis: int
    index: int
    grid: Grid
    fixed: NDArray[Any]
    moving: NDArray[Any]

    @property
    def pixel_um(self) -> tuple[float, float]:
        """Size (um) of a pixel along rows (down) and columns (right)."""
        down, right = (self.grid.voxel_size_um[a] for a in range(3) if a != self.axis)
        return down, right

    @property
    def extent_um(self) -> tuple[float, float]:
        """Height and width (um)."""
        rows, columns = self.fixed.shape
        return rows * self.pixel_um[0], columns * self.pixel_um[1]

    def directions(self, anatomical: bool = False) -> tuple[str, str]:
        """World directions of going down and right, as ``-y`` and ``+x``.

        ``~`` marks a direction that is only nearest to the axis. With `anatomical` a NIfTI world's
        letter (A, P, L, R, S, I) follows.
        """
        names = world_directions(self.grid, anatomical)
        down, right = (names[a] for a in range(3) if a != self.axis)
        return down, right


def world_directions(grid: Grid, anatomical: bool = False) -> tuple[str, str, str]:
    """Signed world axis that each index axis (z, y, x) of `grid` follows; every axis once."""
    unit = grid.index_to_world[:3, :3] / np.asarray(grid.voxel_size_um)
    best = max(permutations(range(3)), key=lambda p: sum(abs(unit[p[a], a]) for a in range(3)))
    names = []
    for a in range(3):
        value = float(unit[best[a], a])
        letter = "zyx"[best[a]]
        name = ("~" if abs(value) < _OBLIQUE_BELOW else "") + ("+" if value > 0 else "-") + letter
        if anatomical:
            name += f" {_ANATOMY[letter][0 if value > 0 else 1]}"
        names.append(name)
    return names[0], names[1], names[2]


def find_overlap(fixed: Grid, moving: Grid, transform: Transform) -> Overlap:
    """Box and middle of the part of `fixed` that `moving` covers, from lattices of points."""
    shape = np.asarray(fixed.shape)
    lower, upper = np.full(3, -0.5), shape - 0.5
    for _ in range(2):  # the second lattice is laid over what the first one found
        cells = np.minimum(np.ceil(upper - lower), _CELLS).astype(int)
        size = (upper - lower) / cells
        index = lower + (np.indices(cells).reshape(3, -1).T + 0.5) * size
        hits = index[_covered(fixed, moving, transform, index)]
        if not len(hits):
            hits, size = _from_moving(fixed, moving, transform), np.ones(3)
            if not len(hits):
                middle = (shape - 1) // 2
                return Overlap(np.full(3, -0.5), shape - 0.5, _triple(middle), True)
        lower = np.maximum(hits.min(axis=0) - 0.5 * size - size, -0.5)
        upper = np.minimum(hits.max(axis=0) + 0.5 * size + size, shape - 0.5)
    margin = _MARGIN * (upper - lower)
    lower = np.maximum(np.floor(lower - margin + 0.5) - 0.5, -0.5)
    upper = np.minimum(np.ceil(upper + margin + 0.5) - 0.5, shape - 0.5)
    centre = np.clip(np.floor(np.median(hits, axis=0) + 0.5), 0, shape - 1)
    return Overlap(lower, upper, _triple(centre), False)


def cut_planes(contents: ReportContents, overlap: Overlap) -> list[Plane]:
    """The orthogonal planes through the overlap's middle; one only for a flat image."""
    shape = contents.fixed.grid.shape
    flat = [a for a in range(3) if shape[a] == 1]
    axes = flat[:1] if flat else [0, 1, 2]
    return [_cut(contents, overlap, axis) for axis in axes]


def contrast_limits(values: NDArray[Any]) -> tuple[float, float]:
    """1st and 99.5th percentile of what is finite: a few bright pixels do not rule the display."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, (1.0, 99.5)))
    if not high > low:
        low, high = float(finite.min()), float(finite.max())
    return low, high if high > low else low + 1.0


def scale_bar_um(width_um: float) -> float:
    """Largest of 1, 2, 5 x 10^n um that is at most a third of the width."""
    limit = width_um / 3
    power = 10.0 ** np.floor(np.log10(limit))
    return float(max(m * power for m in (1, 2, 5) if m * power <= limit * (1 + 1e-9)))


def _cut(contents: ReportContents, overlap: Overlap, axis: int) -> Plane:
    fixed, moving = contents.fixed, contents.moving
    grid = _plane_grid(fixed.grid, moving.grid, overlap, axis)
    pixel_um = max(s for a, s in enumerate(grid.voxel_size_um) if a != axis)
    shape = tuple(n for a, n in enumerate(grid.shape) if a != axis)
    still = Affine.identity()
    scale = _scale(contents.transform, grid)
    coarse = _at_resolution(moving, pixel_um * scale)
    slab = grid.n_voxels * grid.voxel_volume_um3 * scale**3 / coarse.grid.voxel_volume_um3
    thick = grid if slab <= _MAX_SLAB_VOXELS else _thinned(grid, axis, pixel_um)
    return Plane(
        axis,
        overlap.centre[axis],
        grid,
        _sample(_at_resolution(fixed, pixel_um), still, grid, contents.fixed_channel, shape),
        _sample(coarse, contents.transform, thick, contents.moving_channel, shape),
    )


def _plane_grid(fixed: Grid, moving: Grid, overlap: Overlap, axis: int) -> Grid:
    """Pixels of about equal sides, no smaller than the finest voxel nor than the figure shows."""
    size = np.asarray(fixed.voxel_size_um)
    extent = (overlap.upper - overlap.lower) * size
    inside = [a for a in range(3) if a != axis]
    finest = min(*(size[a] for a in inside), *moving.voxel_size_um[1:])
    pixel = max(max(extent[a] for a in inside) / MAX_PIXELS, finest)
    count = np.ones(3)
    count[inside] = np.maximum(1, np.round(extent[inside] / pixel))
    step, first = np.ones(3), np.asarray(overlap.centre, dtype=np.float64)
    for a in inside:
        step[a] = (overlap.upper[a] - overlap.lower[a]) / count[a]
        first[a] = overlap.lower[a] + step[a] / 2
    return Grid(_triple(count), fixed.index_to_world @ _step_matrix(step, first))


def _thinned(grid: Grid, axis: int, thickness_um: float) -> Grid:
    """The same plane with a smaller thickness."""
    step = np.ones(3)
    step[axis] = min(1.0, thickness_um / grid.voxel_size_um[axis])
    return Grid(grid.shape, grid.index_to_world @ _step_matrix(step, np.zeros(3)))


def _step_matrix(step: FloatArray, first: FloatArray) -> FloatArray:
    matrix = np.diag([*step, 1.0])
    matrix[:3, 3] = first
    return matrix


def _at_resolution(image: SpatialImage, pixel_um: float) -> SpatialImage:
    """The image's coarsest level that still has voxels of `pixel_um` or smaller."""
    finest = np.asarray(image.grid.voxel_size_um)
    # an axis that is coarse from the start (z) must not forbid levels that coarsen the others only
    allowed = np.maximum(finest, pixel_um) * 1.001
    chosen = 0
    for k, grid in enumerate(image.grids):
        if np.all(np.asarray(grid.voxel_size_um) <= allowed):
            chosen = k
    return replace(image, levels=(image.levels[chosen],), grids=(image.grids[chosen],))


def _sample(
    image: SpatialImage, transform: Transform, grid: Grid, channel: int, shape: tuple[int, ...]
) -> NDArray[Any]:
    sampler = PullSampler(image, transform, grid, channels=[channel])
    if max(sampler.samples) > _MAX_SAMPLES:
        fewer = _triple(np.minimum(sampler.samples, _MAX_SAMPLES))
        sampler = PullSampler(image, transform, grid, "mean", [channel], fewer)
    values: NDArray[Any] = sampler.block(0, (0, 0, 0), grid.shape).values[0]
    return values.reshape(shape)


def _scale(transform: Transform, grid: Grid) -> float:
    """Local magnification (moving um per fixed um) at the plane's middle; 1 where unknown."""
    determinant = float(transform.jacobian_determinant(grid.centre_um[None])[0])
    if not np.isfinite(determinant) or determinant == 0:
        return 1.0
    return float(abs(determinant) ** (1 / 3))


def _covered(
    fixed: Grid, moving: Grid, transform: Transform, index: FloatArray
) -> NDArray[np.bool_]:
    return moving.contains(transform.map(fixed.to_world(index)))  # NaN is contained in nothing


def _from_moving(fixed: Grid, moving: Grid, transform: Transform) -> FloatArray:
    """Fixed indices of moving voxels: finds a moving image too small or flat for the lattice."""
    axes = [np.linspace(0, n - 1, min(n, _MOVING_LATTICE)) for n in moving.shape]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    points = transform.inverse().map(moving.to_world(lattice))
    points = points[np.all(np.isfinite(points), axis=1)]
    return fixed.to_index(points[fixed.contains(points)])


def _triple(values: Any) -> tuple[int, int, int]:
    z, y, x = (int(v) for v in values)
    return z, y, x
