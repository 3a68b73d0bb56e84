"""Each channel along each axis that may lead to the boundary: profiles, votes, and planes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..image import SpatialImage
from ..progress import Progress
from .columns import Columns, image_columns
from .consensus import Candidate, find_planes
from .options import DetectOptions
from .votes import compressed, step_votes

FloatArray = NDArray[np.float64]

_STEEPEST = np.tan(np.deg2rad(32.0))
# voxels of a microscope are finer: its stacks are looked at along z, an MRI along all axes
_MICROSCOPE_UM = 20.0
# a brain is no plane over more than this
_WIDEST_FIELD_UM = 6000.0
_USUAL_RADIUS_UM = 2500.0


@dataclass(frozen=True, eq=False)
class Look:
    """One channel along one axis, with the votes of its columns and the planes in them."""

    columns: Columns
    channel: int
    votes: FloatArray
    rises: tuple[Candidate, ...]
    falls: tuple[Candidate, ...]

    @property
    def across(self) -> tuple[int, int]:
        """Number of columns along u and v."""
        _, u, v = self.columns.values.shape
        return u, v

    @property
    def is_microscope(self) -> bool:
        """Whether slices are as near to each other as a microscope's."""
        return self.columns.grid.voxel_size_um[0] < _MICROSCOPE_UM

    def planes(self, votes: FloatArray) -> tuple[Candidate, ...]:
        """Planes of many positive votes, the best first."""
        depth, u, v = self.columns.grid.voxel_size_um
        return tuple(find_planes(votes, (_STEEPEST * u / depth, _STEEPEST * v / depth)))

    def lean_degrees(self, a: Candidate, b: Candidate) -> float:
        """Angle between two planes."""
        depth, u, v = self.columns.grid.voxel_size_um
        normals = [np.array([1.0, -c.slope_u * depth / u, -c.slope_v * depth / v]) for c in (a, b)]
        first, second = (n / np.linalg.norm(n) for n in normals)
        return float(np.rad2deg(np.arccos(np.clip(first @ second, -1, 1))))


def looks_at(image: SpatialImage, options: DetectOptions, progress: Progress) -> Iterator[Look]:
    """Every channel and axis that the options leave open.

    Raises
    ------
    GeometryError
        If there is no such channel or time, or the image has too few voxels there.
    """
    numbers = list(range(len(image.channels)))
    channels = numbers if options.channel is None else [image.channel_index(options.channel)]
    if not 0 <= options.time < image.n_times:
        raise GeometryError(f"{image.name} has {image.n_times} time points, no {options.time}")
    problem: GeometryError | None = None
    seen = 0
    axes = _axes(image, options)
    progress.begin("looking for the plane", len(axes) * len(channels))
    for axis in axes:
        for channel in channels:
            progress.advance()
            try:
                columns = _columns(image, channel, axis, options)
            except GeometryError as error:
                problem = error
                continue
            seen += 1
            votes = step_votes(compressed(columns.values))
            look = Look(columns, channel, votes, (), ())
            yield replace(
                look,
                rises=look.planes(np.maximum(votes, 0.0)),
                falls=look.planes(np.maximum(-votes, 0.0)),
            )
    if not seen and problem is not None:
        raise problem


def _axes(image: SpatialImage, options: DetectOptions) -> list[int]:
    if options.into != "auto":
        return ["zyx".index(options.into[-1])]
    if image.grid.voxel_size_um[0] < _MICROSCOPE_UM:
        return [0]
    return [0, 1, 2]


def _columns(image: SpatialImage, channel: int, axis: int, options: DetectOptions) -> Columns:
    across = [
        n * s
        for a, (n, s) in enumerate(zip(image.grid.shape, image.grid.voxel_size_um, strict=True))
        if a != axis
    ]
    radius = options.radius_um
    if radius is None and max(across) > _WIDEST_FIELD_UM:
        radius = _USUAL_RADIUS_UM
    if radius is None and options.centre_um is None:
        return image_columns(image, channel, options.time, axis, None)
    if options.centre_um is not None:
        centre = np.asarray(options.centre_um, dtype=np.float64)
        radius = _USUAL_RADIUS_UM if radius is None else radius
    elif options.radius_um is not None:
        centre = image.grid.centre_um
    else:
        centre = _middle_of_signal(image_columns(image, channel, options.time, axis, None))
    assert radius is not None
    return image_columns(image, channel, options.time, axis, (centre, radius))


def _middle_of_signal(columns: Columns) -> FloatArray:
    """World point in the middle of what is bright."""
    bright = np.nan_to_num(compressed(columns.values))
    bright = np.maximum(bright - np.median(bright), 0.0)
    index = np.indices(bright.shape).reshape(3, -1)
    total = float(bright.sum())
    if total == 0:
        return columns.centre_um
    middle = (index * bright.ravel()).sum(axis=1) / total
    return np.asarray(columns.grid.to_world(middle)[0])
