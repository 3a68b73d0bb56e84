"""A quick picture of an image along a reference plane, to look at and not to measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..geometry import Grid, Plane
from ..geometry.plane_outline import outline_bounds, plane_outline
from ..geometry.slabs import natural_spacing
from ..image import SpatialImage
from ..progress import Progress
from ..transform import Affine
from .view import HeldLevel, warped_view


@dataclass(frozen=True, eq=False)
class PlanePicture:
    """Channels along a plane.

    Parameters
    ----------
    values : (c, rows, columns) float32
        NaN outside the image.
    grid : Grid
        Where the pixels are: one slice, at depth 0 of the plane.
    """

    values: NDArray[np.float32]
    grid: Grid

    @property
    def size_um(self) -> tuple[float, float]:
        """Height and width."""
        _, rows, columns = self.grid.shape
        _, y, x = self.grid.voxel_size_um
        return rows * y, columns * x


def picture_grid(image: SpatialImage, plane: Plane, most_pixels: int) -> Grid:
    """The part of a plane that lies in an image, in at most so many pixels along its longer side.

    Pixels are square and not finer than the image's voxels.

    Raises
    ------
    GeometryError
        If the plane misses the image.
    """
    polygon = plane_outline(image.grid, plane)
    if not len(polygon):
        depths = plane.place(image.grid.corners())[:, 0]
        raise GeometryError(
            f"the plane passes beside {image.name}, which lies {_length(np.abs(depths).min())} um "
            "from it: shift the plane into the image"
        )
    low, high = outline_bounds(polygon, plane)
    finest = min(natural_spacing(image.grid, plane)[1:])
    step = max(finest, float((high - low).max()) / most_pixels)
    rows, columns = (max(1, int(n)) for n in np.floor((high - low) / step + 1e-9))
    matrix = np.eye(4)
    matrix[:3, :3] = plane.axes * step
    first = (low + high) / 2 - (np.array([rows, columns]) - 1) / 2 * step
    matrix[:3, 3] = plane.points([[0.0, *first]])[0]
    return Grid((1, rows, columns), matrix)


def plane_picture(
    image: SpatialImage,
    plane: Plane,
    channels: Sequence[int] = (0,),
    time: int = 0,
    most_pixels: int = 320,
    progress: Progress | None = None,
    held: Sequence[HeldLevel] | None = None,
) -> PlanePicture:
    """What an image shows along a plane, at a picture's resolution.

    Read is the level of the pyramid that is just fine enough, and of it only what the plane meets.

    Parameters
    ----------
    image : SpatialImage
    plane : Plane
    channels : sequence of int
    time : int
    most_pixels : int
        Along the longer side.
    progress : Progress, optional
        May stop the work.
    held : sequence of HeldLevel, optional
        One for each channel: keeps small levels in memory from one picture to the next.

    Raises
    ------
    GeometryError
        If the plane misses the image, or its voxels are no real numbers.
    ReadError
        If the file is damaged there.
    Cancelled
        If `progress` raises it.
    """
    grid = picture_grid(image, plane, most_pixels)
    kept = held if held is not None else [None] * len(channels)
    values = [
        warped_view(image, Affine.identity(), grid, channel, time, progress, keep)
        for channel, keep in zip(channels, kept, strict=True)
    ]
    return PlanePicture(np.stack(values), grid)


def _length(um: float) -> str:
    return f"{um:.3g}"
