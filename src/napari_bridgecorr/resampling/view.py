"""What a screen shows of the moving image: one plane, at the screen's own resolution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dask.array
import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid
from ..image import SpatialImage
from ..progress import Progress, Silent
from ..transform import Transform
from .sampler import PullSampler

FloatArray = NDArray[np.float64]

_from_array: Callable[..., Any] = dask.array.from_array  # dask states no types

# A pyramid's level whose voxels are up to so much smaller than a pixel is fine enough: linear
# interpolation then leaves out little.
_VOXELS_PER_PIXEL = 0.7
# of an image without a pyramid a pixel is the mean of at most so many samples along each side
_MOST_SAMPLES = 4
# 128 MB as float32
_MOST_HELD = 1 << 25
# A tilted plane's box of the moving image grows with the cube of a tile's side, its work only with
# the square. Between two tiles the work can be stopped.
_TILE = 128
_FLAT_TILE = 512
# relative to a tile's extent, the depth from which on a plane counts as tilted
_TILTED = 0.05
# a screen needs no finer place than this part of a moving voxel
_TOLERANCE_VOXELS = 0.1


class HeldLevel:
    """The level of an image that was looked at last, in memory if it is small.

    A dragged landmark asks for the same voxels again and again: most of the time would else go into
    reading them. Not for several threads at once.
    """

    def __init__(self) -> None:
        self._key: tuple[str, int, int] | None = None
        self._held: SpatialImage | None = None

    def of(self, image: SpatialImage, channel: int, time: int) -> SpatialImage | None:
        """The finest level of one channel at one time, held in memory; None if it is too large."""
        if image.grid.n_voxels > _MOST_HELD or np.dtype(image.dtype).itemsize > 4:
            return None
        key = (image.levels[0].name, channel, time)
        if key != self._key:
            size = image.grid.shape
            box = image.read(0, (time, channel, 0, 0, 0), (time + 1, channel + 1, *size))
            values = np.array(box, np.float32, order="C")
            self._held = replace(
                image,
                levels=(_from_array(values, chunks=-1),),
                grids=image.grids[:1],
                channels=(image.channels[channel],),
            )
            self._key = key
        held = self._held
        # the same voxels may have been moved since
        return None if held is None else replace(held, grids=image.grids[:1])


def view_level(moving: SpatialImage, transform: Transform, grid: Grid) -> int:
    """The coarsest level of an image that still shows all that the pixels of a plane can.

    Parameters
    ----------
    moving : SpatialImage
    transform : Transform
        Fixed world to moving world.
    grid : Grid
        Pixels of the screen, ``(1, rows, columns)``.
    """
    steps_um = _pixel_steps_um(transform, grid)
    for level in reversed(range(1, len(moving.grids))):
        steps = np.abs(moving.grids[level].world_to_index[:3, :3] @ steps_um)
        if steps.max(axis=0).min() >= _VOXELS_PER_PIXEL:
            return level
    return 0


def warped_view(
    moving: SpatialImage,
    transform: Transform,
    grid: Grid,
    channel: int = 0,
    time: int = 0,
    progress: Progress | None = None,
    held: HeldLevel | None = None,
) -> NDArray[np.float32]:
    """The moving image on one plane of the fixed one, for the screen.

    Read is the level of :func:`view_level`, and of it only what the plane meets. Pixels are
    interpolated (labels: the nearest voxel's), not averaged over the thickness of the plane: a
    picture to look at, not to measure.

    Parameters
    ----------
    moving : SpatialImage
    transform : Transform
        Fixed world to moving world.
    grid : Grid
        Pixels of the screen, ``(1, rows, columns)``.
    channel, time : int
    progress : Progress, optional
        May stop the work between two tiles.
    held : HeldLevel, optional
        Keeps small levels in memory from one picture to the next.

    Returns
    -------
    (rows, columns) float32
        NaN outside the image.

    Raises
    ------
    GeometryError
        If the voxels are no real numbers.
    ReadError
        If the file is damaged there.
    Cancelled
        If `progress` raises it.
    """
    progress = progress or Silent()
    level = view_level(moving, transform, grid)
    seen = replace(moving, levels=moving.levels[level:], grids=moving.grids[level:])
    side = _tile_side(seen, transform, grid)
    in_memory = None if held is None else held.of(seen, channel, time)
    if in_memory is not None:
        seen, channel, time, side = in_memory, 0, 0, _FLAT_TILE
    n_samples = 1 if moving.is_labels else _samples_along(seen, transform, grid)
    sampler = PullSampler(
        seen,
        transform,
        grid,
        "nearest" if moving.is_labels else "linear" if n_samples == 1 else "mean",
        channels=(channel,),
        samples=(1, n_samples, n_samples) if n_samples > 1 else None,
        tolerance_voxels=_TOLERANCE_VOXELS,
    )
    _, rows, columns = grid.shape
    corners = [(y, x) for y in range(0, rows, side) for x in range(0, columns, side)]
    values = np.empty((rows, columns), np.float32)
    progress.begin("warping what is shown", len(corners))
    for y, x in corners:
        stop = (1, min(y + side, rows), min(x + side, columns))
        values[y : stop[1], x : stop[2]] = sampler.block(time, (0, y, x), stop).values[0, 0]
        progress.advance()
    return values


def _pixel_steps_um(transform: Transform, grid: Grid) -> FloatArray:
    """(3, 2) what one step along rows and along columns is in the moving world: the shortest."""
    axes = [np.linspace(0, n - 1, 3) for n in grid.shape[1:]]
    y, x = (a.ravel() for a in np.meshgrid(*axes, indexing="ij"))
    points = grid.to_world(np.column_stack([np.zeros(y.size), y, x]))
    jacobian = transform.jacobian(points)
    known = np.all(np.isfinite(jacobian), axis=(1, 2))
    linear = jacobian[known] if known.any() else np.eye(3)[None]
    steps = linear @ grid.index_to_world[:3, 1:3]
    lengths = np.linalg.norm(steps, axis=1)
    return np.column_stack([steps[int(np.argmin(lengths[:, k])), :, k] for k in (0, 1)])


def _samples_along(moving: SpatialImage, transform: Transform, grid: Grid) -> int:
    """How many samples along a pixel's side: 1 unless its voxels are far finer than it."""
    steps = moving.grid.world_to_index[:3, :3] @ _pixel_steps_um(transform, grid)
    return int(np.clip(np.floor(np.abs(steps).max(axis=0).min()), 1, _MOST_SAMPLES))


def _tile_side(moving: SpatialImage, transform: Transform, grid: Grid) -> int:
    """Pixels along a tile: small where the plane lies askew in the moving image's voxels."""
    steps = np.abs(moving.grid.world_to_index[:3, :3] @ _pixel_steps_um(transform, grid))
    across = np.sort(steps.sum(axis=1))
    return _TILE if across[0] > _TILTED * across[2] else _FLAT_TILE
