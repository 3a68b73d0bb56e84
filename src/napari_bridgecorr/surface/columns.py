"""An image as columns: mean profiles along one of its axes, on a coarse lattice across it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..geometry import Grid
from ..image import SpatialImage
from ..resampling import OverlapMean

FloatArray = NDArray[np.float64]

# lattice of columns and samples along them: finer ones tell no more of a plane
_MOST_COLUMNS = 48
_MOST_SAMPLES = 256
_FEWEST_COLUMNS = 4
_FEWEST_SAMPLES = 6
# a sample of which less lies in the image says nothing
_LEAST_COVERAGE = 0.5


@dataclass(frozen=True, eq=False)
class Columns:
    """Mean profiles along an axis of an image.

    Parameters
    ----------
    values : (d, u, v) float64
        Along the axis, then across it; NaN where the image has no data.
    grid : Grid
        Of (d, u, v): its first axis runs along the columns.
    axis : int
        The image's array axis (0 z, 1 y, 2 x) that the columns run along.
    """

    values: FloatArray
    grid: Grid
    axis: int

    @property
    def frame(self) -> FloatArray:
        """(3, 3) world unit vectors as columns: along the columns, and two across them."""
        along, across, _ = self.grid.index_to_world[:3, :3].T
        first = along / np.linalg.norm(along)
        second = across - first * (first @ across)
        second = second / np.linalg.norm(second)
        return np.column_stack([first, second, np.cross(first, second)])

    @property
    def centre_um(self) -> FloatArray:
        """(3,) world position of the middle of the columns."""
        return self.grid.centre_um

    def places(self, index: FloatArray) -> FloatArray:
        """(n, 3) lengths (um) along and across the columns from their middle, of (d, u, v)."""
        return np.asarray((self.grid.to_world(index) - self.centre_um) @ self.frame)


def image_columns(
    image: SpatialImage,
    channel: int,
    time: int,
    axis: int,
    region: tuple[FloatArray, float] | None,
) -> Columns:
    """Mean profiles of one channel along an axis, each voxel counting by the volume it shares.

    Parameters
    ----------
    image : SpatialImage
    channel, time, axis : int
    region : (centre_um, radius_um) or None
        Only columns that pass the world point within the radius, as a square.

    Raises
    ------
    GeometryError
        If the image is too thin or the region too small, or lies outside.
    """
    level = _level(image, axis, region)
    grid = image.grids[level]
    across = [a for a in range(3) if a != axis]
    low, high = _box(grid, axis, region)
    order = [axis, *across]
    sizes = [high[a] - low[a] for a in order]
    if sizes[0] < _FEWEST_SAMPLES or min(sizes[1:]) < _FEWEST_COLUMNS:
        raise GeometryError(
            f"{image.name} has {sizes[0]} x {sizes[1]} x {sizes[2]} voxels along and across "
            f"{'zyx'[axis]} there: too few to find a plane in; widen the region or choose "
            f"another axis"
        )
    counts = [min(sizes[0], _MOST_SAMPLES), *(min(n, _MOST_COLUMNS) for n in sizes[1:])]
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for k, (a, n) in enumerate(zip(order, counts, strict=True)):
        factor = sizes[k] / n
        step[a, k] = factor
        step[a, 3] = low[a] + (factor - 1) / 2
    coarse = Grid((counts[0], counts[1], counts[2]), grid.index_to_world @ step)

    def read(_: int, starts: Sequence[int], stops: Sequence[int]) -> NDArray[Any]:
        box = image.read(level, (time, channel, *starts), (time + 1, channel + 1, *stops))
        return np.asarray(box[0], dtype=np.float64)

    mean = OverlapMean(grid, coarse, read, 1, np.dtype(np.float64))
    values = np.empty(coarse.shape)
    for start, stop in _strips(coarse.shape, axis):
        found = mean.block(time, start, stop)
        part = np.where(found.coverage[0] >= _LEAST_COVERAGE, found.values[0], np.nan)
        values[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = part
    return Columns(values, coarse, axis)


def _strips(
    shape: tuple[int, int, int], axis: int
) -> list[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    """Blocks cut along the image's own z, which files are read by."""
    cut = 0 if axis == 0 else 1
    size = shape[cut]
    edges = np.unique(np.linspace(0, size, min(size, 16) + 1).astype(int)).tolist()
    found = []
    for a, b in pairwise(edges):
        start, stop = [0, 0, 0], list(shape)
        start[cut], stop[cut] = a, b
        found.append(((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])))
    return found


def _box(
    grid: Grid, axis: int, region: tuple[FloatArray, float] | None
) -> tuple[list[int], list[int]]:
    """First and stop index of the region along every array axis."""
    low, high = [0, 0, 0], list(grid.shape)
    if region is None:
        return low, high
    middle = grid.to_index(region[0])[0]
    for a, size in enumerate(grid.voxel_size_um):
        if a == axis:
            continue
        low[a] = int(np.clip(np.floor(middle[a] - region[1] / size + 0.5), 0, grid.shape[a]))
        high[a] = int(np.clip(np.ceil(middle[a] + region[1] / size + 0.5), 0, grid.shape[a]))
    return low, high


def _level(image: SpatialImage, axis: int, region: tuple[FloatArray, float] | None) -> int:
    """The coarsest pyramid level that still has as many voxels as the columns want."""
    best = 0
    full_low, full_high = _box(image.grid, axis, region)
    for k, grid in enumerate(image.grids):
        low, high = _box(grid, axis, region)
        enough = all(
            b - a >= min(d - c, _MOST_SAMPLES if n == axis else _MOST_COLUMNS)
            for n, (a, b, c, d) in enumerate(zip(low, high, full_low, full_high, strict=True))
        )
        if enough:
            best = k
    return best
