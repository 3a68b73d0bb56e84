"""The parts of two images that refinement compares: their overlap, at a spacing for the task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import RefineError
from ..geometry import Grid
from ..image import SpatialImage
from ..transform import Transform
from .working_image import WorkingImage, working_grid, working_image

FloatArray = NDArray[np.float64]

_LATTICE = 24
_MARGIN = 2
_MOST_MOVING = 2**23
MOST_CHANNELS = 4


def dimensions_of(fixed: SpatialImage, moving: SpatialImage) -> int:
    """2 for two flat images, 3 for two volumes.

    Raises
    ------
    RefineError
        If one is flat and the other is not.
    """
    flat = [image.grid.shape[0] == 1 for image in (fixed, moving)]
    if flat[0] != flat[1]:
        raise RefineError(
            "one of the images is flat, the other a volume; place the section in the volume first"
        )
    return 2 if flat[0] else 3


def overlap_grid(fixed: SpatialImage, moving: SpatialImage, start: Transform) -> Grid:
    """The fixed image's voxels that the map carries into the moving image, and a few round them.

    Raises
    ------
    RefineError
        If there are none.
    """
    grid = fixed.grid
    axes = [np.unique(np.linspace(0, n - 1, min(n, _LATTICE))) for n in grid.shape]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    moved = start.map(grid.to_world(index))
    if dimensions_of(fixed, moving) == 2:
        moved[:, 0] = moving.grid.centre_um[0]
    known = np.all(np.isfinite(moved), axis=1)
    inside = np.zeros(len(index), dtype=np.bool_)
    inside[known] = moving.grid.contains(moved[known])
    if not inside.any():
        raise RefineError(
            "the images do not overlap through this map; check the landmarks or the transform, its "
            "direction and the voxel sizes"
        )
    step = np.array([a[1] - a[0] if len(a) > 1 else 0.0 for a in axes]) + _MARGIN
    low = np.floor(np.maximum(index[inside].min(axis=0) - step, 0)).astype(int)
    high = np.ceil(np.minimum(index[inside].max(axis=0) + step + 1, grid.shape)).astype(int)
    return grid.block(low.tolist(), high.tolist())


def working_pair(
    fixed: SpatialImage,
    moving: SpatialImage,
    start: Transform,
    *,
    fixed_channel: str | int = 0,
    moving_channels: Sequence[str | int] = (0,),
    fixed_mask: SpatialImage | None = None,
    moving_mask: SpatialImage | None = None,
    most_voxels: int = 120_000,
    finer: float = 5.0,
) -> tuple[WorkingImage, tuple[WorkingImage, ...]]:
    """Fixed and moving working images of what overlaps.

    Parameters
    ----------
    fixed, moving : SpatialImage
    start : Transform
        Fixed world to moving world, right to a few voxels.
    fixed_channel, moving_channels : str or int
    fixed_mask, moving_mask : SpatialImage, optional
        In the world of their image: it counts where they are not 0.
    most_voxels : int
        Of the fixed working image. Its voxels are not smaller than the moving image's.
    finer : float
        How many times finer the moving working image is than the fixed one, as far as its own
        voxels are so small.

    Raises
    ------
    RefineError
        If the images do not overlap.
    GeometryError
        If there is no such channel.
    """
    region = overlap_grid(fixed, moving, start)
    middle = start.jacobian(region.centre_um[None])[0]
    if not np.all(np.isfinite(middle)):
        middle = np.eye(3)
    # how long a step of one moving voxel is along the fixed axes
    by_index = region.world_to_index[:3, :3] @ np.linalg.inv(middle)
    steps = np.abs(by_index @ moving.grid.index_to_world[:3, :3]).max(axis=1)
    spacing = np.asarray(region.voxel_size_um) * np.maximum(steps, 1.0)
    grid = working_grid(region, spacing, most_voxels)
    there = working_image(
        fixed, grid, channel=fixed_channel, mask=fixed_mask, most_voxels=most_voxels
    )
    box = _moving_box(grid, moving.grid, start)
    flat = moving.grid.shape[0] == 1
    coarse = min(grid.voxel_size_um[1:] if flat else grid.voxel_size_um)
    fine = working_grid(box, coarse / finer, _MOST_MOVING)
    channels = tuple(
        working_image(moving, fine, channel=c, mask=moving_mask, most_voxels=_MOST_MOVING)
        for c in moving_channels
    )
    return there, channels


def _moving_box(grid: Grid, moving: Grid, start: Transform) -> Grid:
    axes = [np.unique(np.linspace(-0.5, n - 0.5, _LATTICE // 2)) for n in grid.shape]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    moved = start.map(grid.to_world(index))
    moved = moved[np.all(np.isfinite(moved), axis=1)]
    there = moving.to_index(moved)
    # the map may still change: a tenth of the extent more
    slack = 0.1 * np.ptp(there, axis=0) + _MARGIN
    shape = np.asarray(moving.shape)
    low = np.clip(np.floor(there.min(axis=0) - slack), 0, shape - 1).astype(int)
    high = np.clip(np.ceil(there.max(axis=0) + slack) + 1, low + 1, shape).astype(int)
    low = np.where(shape == 1, 0, low)
    high = np.where(shape == 1, 1, high)
    return moving.block(low.tolist(), high.tolist())
