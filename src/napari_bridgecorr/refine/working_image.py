"""What refinement looks at: one channel over a region, at a wanted spacing, small enough to hold.

Voxels that are larger than the image's own are volume-weighted means of it, taken from the pyramid
level that is just fine enough; outside the data is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import GeometryError, RefineError
from ..geometry import Grid
from ..image import SpatialImage
from ..resampling import PullSampler
from ..simple_itk import EngineImage
from ..transform import Affine, Transform

FloatArray = NDArray[np.float64]

MOST_VOXELS = 2**24
"""Voxels of a working image, where not stated otherwise (64 MiB)."""

# a voxel that is longer than so many of the image's own along any axis is a mean of it
_MEAN_FROM = 1.25
# a pyramid level serves where its voxels are no longer than so many of the wanted ones
_LEVEL_MARGIN = 1.0 + 1e-6
_HALF = 0.5


@dataclass(frozen=True, eq=False)
class WorkingImage:
    """A channel of an image on a grid of its own.

    Parameters
    ----------
    array : (z, y, x) float32
        NaN outside the data.
    grid : Grid
        Where the voxels are, in um.
    mask : (z, y, x) bool or None
        Where the user's mask says that the image counts.
    level : int
        The pyramid level that it was taken from.
    """

    array: NDArray[np.float32]
    grid: Grid
    mask: NDArray[np.bool_] | None = None
    level: int = 0

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(z, y, x) bool: data, and within the mask."""
        known = np.isfinite(self.array)
        return known if self.mask is None else known & self.mask

    def for_engine(self) -> EngineImage:
        """As :func:`napari_bridgecorr.simple_itk.register` takes it."""
        return EngineImage(self.array, self.grid, self.mask)


def working_grid(
    grid: Grid,
    spacing_um: ArrayLike,
    most_voxels: int = MOST_VOXELS,
    *,
    upsample: bool = False,
) -> Grid:
    """The same extent and directions at about a spacing, within a budget of voxels.

    Parameters
    ----------
    grid : Grid
    spacing_um : float or three
        Along the grid's own z, y, x.
    most_voxels : int
        Where the spacing asks for more, all three spacings grow by one factor.
    upsample : bool
        Whether a spacing below the grid's own is taken as it is; else it is the grid's own.
    """
    spacing = np.broadcast_to(np.asarray(spacing_um, dtype=np.float64), (3,)).copy()
    if most_voxels < 1 or not np.all(np.isfinite(spacing)) or spacing.min() <= 0:
        raise GeometryError("the spacing and the budget of voxels must be positive")
    own = np.asarray(grid.voxel_size_um)
    if not upsample:
        spacing = np.maximum(spacing, own)
    extent = own * grid.shape
    spacing = np.where(np.asarray(grid.shape) == 1, own, spacing)
    found = grid.at_spacing(spacing)
    while found.n_voxels > most_voxels:
        # a flat axis stays; the factor is a little more than needed, as sizes are rounded up
        free = np.asarray(found.shape) > 1
        factor = (found.n_voxels / most_voxels) ** (1 / max(1, free.sum())) * 1.01
        spacing = np.where(free, np.minimum(spacing * factor, extent), spacing)
        found = grid.at_spacing(spacing)
    return found


def working_image(
    image: SpatialImage,
    grid: Grid,
    transform: Transform | None = None,
    *,
    channel: str | int = 0,
    time: int = 0,
    mask: SpatialImage | None = None,
    most_voxels: int = MOST_VOXELS,
) -> WorkingImage:
    """A channel of an image over the voxels of any grid, oblique ones too.

    Parameters
    ----------
    image : SpatialImage
        Of any size: the pyramid level is chosen, and no more than the region is read.
    grid : Grid
        Where the voxels shall be; see :func:`working_grid`.
    transform : Transform, optional
        From the grid's world to the image's; none if they are the same.
    channel : str or int
    time : int
    mask : SpatialImage, optional
        In the world of `image`: counts where it is not 0.
    most_voxels : int

    Raises
    ------
    RefineError
        If the grid has more voxels than that.
    GeometryError
        If there is no such channel or time.
    """
    if grid.n_voxels > most_voxels:
        raise RefineError(
            f"{grid.n_voxels} voxels are more than the {most_voxels} that are held at once; "
            f"choose a coarser spacing or a smaller region"
        )
    if not 0 <= time < image.n_times:
        raise GeometryError(f"{image.name} has {image.n_times} time points, no {time}")
    pull = transform if transform is not None else Affine.identity()
    level = _level(image, grid, pull)
    values = _pulled(image, grid, pull, image.channel_index(channel), time, level)
    inside = None
    if mask is not None:
        marked = _pulled(_as_mask(mask), grid, pull, 0, 0, _level(mask, grid, pull))
        inside = np.asarray(np.nan_to_num(marked) >= _HALF)
    return WorkingImage(values.astype(np.float32), grid, inside, level)


def _as_mask(mask: SpatialImage) -> SpatialImage:
    # labels have no mean, 0 and 1 have
    levels = tuple((level[:, :1] != 0).astype(np.float32) for level in mask.levels)
    source = replace(mask.source, role="image")
    return replace(mask, levels=levels, channels=mask.channels[:1], source=source, metadata={})


def _pulled(
    image: SpatialImage, grid: Grid, pull: Transform, channel: int, time: int, level: int
) -> NDArray[np.float32]:
    one = replace(image, levels=(image.levels[level],), grids=(image.grids[level],))
    steps = _voxels_per_step(one.grid, grid, pull)
    kind = "mean" if steps.max() > _MEAN_FROM else "linear"
    sampler = PullSampler(one, pull, grid, kind, [channel])
    return np.asarray(sampler.block(time, (0, 0, 0), grid.shape).values[0], dtype=np.float32)


def _level(image: SpatialImage, grid: Grid, pull: Transform) -> int:
    """The coarsest level whose voxels are nowhere longer than the grid's."""
    found = 0
    for k, own in enumerate(image.grids):
        steps = _voxels_per_step(own, grid, pull)
        flat = np.asarray(own.shape) == 1
        if k == 0 or np.all((steps * _LEVEL_MARGIN >= 1) | flat):
            found = k
    return found


def _voxels_per_step(own: Grid, grid: Grid, pull: Transform) -> FloatArray:
    """(3,) how many of an image's voxels, along its z, y, x, one voxel of `grid` spans."""
    jacobian = pull.jacobian(grid.centre_um[None])[0]
    if not np.all(np.isfinite(jacobian)):
        jacobian = np.eye(3)
    linear = own.world_to_index[:3, :3] @ jacobian @ grid.index_to_world[:3, :3]
    # the box that a voxel makes, seen along each of the image's axes
    return np.asarray(np.linalg.norm(linear, axis=1))
