"""A moving image on another grid, as a lazy image: pixels are computed when they are read."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask.array
import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..geometry import Grid
from ..image import SpatialImage
from ..transform import Transform
from ..voxel_source import register_source
from .labels import LabelSampler, filled
from .sampler import TOLERANCE_VOXELS, PullSampler

_map_blocks: Callable[..., Any] = dask.array.map_blocks  # dask states no types

_CHUNK = (32, 256, 256)


def resample(
    moving: SpatialImage,
    transform: Transform,
    grid: Grid,
    *,
    interpolation: str = "auto",
    channels: Sequence[int] | None = None,
    times: Sequence[int] | None = None,
    tolerance_voxels: float = TOLERANCE_VOXELS,
    chunk: tuple[int, int, int] = _CHUNK,
) -> SpatialImage:
    """Resample `moving` onto `grid` through ``transform: fixed world -> moving world``.

    Parameters
    ----------
    moving : SpatialImage
    transform : Transform
    grid : Grid
        Where the fixed voxels are.
    interpolation : str
        See :class:`PullSampler`; for labels, and for ``majority`` of any image,
        :class:`~.labels.LabelSampler`. ``fraction``: the part of each voxel that is filled (not 0),
        for masks and labels.
    channels, times : sequence of int, optional
        Which to take; all by default.
    tolerance_voxels : float
        See :class:`PullSampler`; the bound that was reached is in the result's metadata as
        ``map_error_voxels``. On a graphics card (see :mod:`.graphics`), which ``device`` then
        names, nothing is approximated.
    chunk : (int, int, int)
        Voxels (z, y, x) that are computed together where the result is read through dask. No value
        depends on it.

    Returns
    -------
    SpatialImage
        One lazy level of float32 (float64 where float32 would lose digits), NaN outside the data.
        Labels keep their type and are 0 outside the data.

    Raises
    ------
    GeometryError
        If a channel or time point does not exist.
    """
    chosen_times = tuple(times if times is not None else range(moving.n_times))
    for time in chosen_times:
        if not 0 <= time < moving.n_times:
            raise GeometryError(f"{moving.name} has {moving.n_times} time points, no {time}")
    if interpolation == "fraction":
        moving, interpolation = filled(moving), "mean"
    sampler: PullSampler | LabelSampler
    if moving.is_labels or interpolation == "majority":
        sampler = LabelSampler(moving, transform, grid, interpolation, channels, tolerance_voxels)
    else:
        sampler = PullSampler(
            moving, transform, grid, interpolation, channels, tolerance_voxels=tolerance_voxels
        )
    shape = (len(chosen_times), len(sampler.channels), *grid.shape)
    chunks = (
        (1,) * shape[0],
        (shape[1],),
        *(_cuts(size, step) for size, step in zip(grid.shape, chunk, strict=True)),
    )

    # a name of its own: dask would else hash the function with all the images that it holds
    name = f"resample-{uuid.uuid4().hex}"
    source = _Resampled(sampler, chosen_times, shape)
    # a writer reads its regions without a task graph
    register_source(name, source)
    data = _map_blocks(
        source.chunk,
        name=name,
        chunks=chunks,
        dtype=sampler.dtype,
        meta=np.empty((0,) * 5, sampler.dtype),
    )
    device = {"device": sampler.device} if sampler.device else {}
    axes = "".join(a for a in "tczyx" if a in moving.source.axes or a == "z")
    return SpatialImage(
        levels=(data,),
        grids=(grid,),
        channels=tuple(moving.channels[c] for c in sampler.channels),
        source=replace(moving.source, axes=axes, image_name=f"{moving.name} (registered)"),
        time_step_s=moving.time_step_s,
        metadata={
            "interpolation": sampler.interpolation,
            "samples": list(sampler.samples),
            "map_error_voxels": sampler.map_error_voxels,
            **device,
        },
    )


@dataclass(frozen=True, eq=False)
class _Resampled:
    """The voxels as a source of boxes."""

    sampler: PullSampler | LabelSampler
    times: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.sampler.dtype

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> NDArray[Any]:
        """See :class:`~napari_bridgecorr.voxel_source.VoxelSource`."""
        times = self.times[starts[0] : stops[0]]
        found = [self.sampler.block(t, starts[2:], stops[2:]).values for t in times]
        channels = slice(starts[1], stops[1])
        return found[0][None, channels] if len(found) == 1 else np.stack(found)[:, channels]

    def chunk(self, block_info: Any = None) -> NDArray[Any]:
        """A chunk of the lazy array."""
        starts, stops = zip(*block_info[None]["array-location"], strict=True)
        return self.read(starts, stops)


def _cuts(size: int, step: int) -> tuple[int, ...]:
    """Lengths of the chunks along one axis."""
    return tuple(min(step, size - start) for start in range(0, size, step))
