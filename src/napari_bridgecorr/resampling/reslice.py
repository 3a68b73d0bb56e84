"""An image along a reference plane, and its slices grouped into slabs: one interpolation in all."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import dask.array
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import GeometryError
from ..geometry import Grid, Plane, resliced_grid, slab_grid
from ..image import Channel, SpatialImage
from ..transform import Affine
from .overlap import OverlapMean, ReadBox
from .resample import resample
from .sampler import PullSampler

_map_blocks: Callable[..., Any] = dask.array.map_blocks  # dask states no types

_CHUNK = (32, 256, 256)
# of the slabs' grid; few slabs, since each reads many slices
_SLAB_CHUNK = (4, 256, 256)
# a viewer reads one slice at a time; more chunks than this and dask is slow
_VIEW_SIDE, _MOST_VIEW_CHUNKS = 256, 20_000
# a coarser level for slices that are wider than a screen
_SCREEN = 1024
COVERAGE_SUFFIX = "_coverage"


def reslice(
    image: SpatialImage,
    plane: Plane,
    *,
    spacing_um: ArrayLike | None = None,
    depth_range_um: tuple[float, float] | None = None,
    interpolation: str = "auto",
    for_view: bool = False,
) -> SpatialImage:
    """An image on slices parallel to a plane, by one interpolation of all channels and times.

    World coordinates stay as they are: landmarks, points and transforms of the image hold for the
    resliced one unchanged, and reslicing back needs no more than the image's grid.

    Parameters
    ----------
    image : SpatialImage
    plane : Plane
    spacing_um : three values or one, optional
        Along depth, y, x of the plane; by default what skips no voxel
        (:func:`~napari_bridgecorr.geometry.slabs.natural_spacing`).
    depth_range_um : (float, float), optional
        Only slices at these depths from the plane; (0, 0) is the plane itself.
    interpolation : {"auto", "linear", "mean", "nearest"}
        As for :func:`resample`.
    for_view : bool
        Compute slice by slice where the result is read through dask, and add coarser levels (means)
        where slices are wider than a screen. The values are the same.

    Returns
    -------
    SpatialImage
        Lazy, NaN outside the image. ``metadata["plane"]`` tells the plane.

    Raises
    ------
    GeometryError
    """
    grid = resliced_grid(image.grid, plane, spacing_um, depth_range_um)
    chunk = _view_chunk(grid) if for_view else _CHUNK
    result = resample(image, Affine.identity(), grid, interpolation=interpolation, chunk=chunk)
    if for_view:
        result = _with_coarser_levels(result, image, interpolation)
    return _described(result, image, plane)


def reslice_slabs(
    image: SpatialImage,
    plane: Plane,
    thickness_um: float,
    *,
    edge_um: ArrayLike | None = None,
    spacing_um: ArrayLike | None = None,
    depth_range_um: tuple[float, float] | None = None,
    interpolation: str = "auto",
    with_coverage: bool = False,
    least_coverage: float = 0.0,
    for_view: bool = False,
) -> SpatialImage:
    """:func:`reslice`, then :func:`group_slices` of the slices, each slice computed once.

    Parameters
    ----------
    image, plane, spacing_um, depth_range_um, interpolation, for_view
        As for :func:`reslice`; there are no coarser levels.
    thickness_um, with_coverage, least_coverage
        As for :func:`group_slices`.
    edge_um : (3,) array-like, optional
        World point on a boundary between slabs; the plane by default.

    Raises
    ------
    GeometryError
    """
    fine = resliced_grid(image.grid, plane, spacing_um, depth_range_um)
    sampler = PullSampler(image, Affine.identity(), fine, _chosen(image, interpolation))

    def read(time: int, starts: Sequence[int], stops: Sequence[int]) -> NDArray[Any]:
        # not through the lazy image: a slab ends within its chunks, and would compute them twice
        return sampler.block(time, starts, stops).values

    grid = slab_grid(fine, thickness_um, plane.origin_um if edge_um is None else edge_um)
    chunk = _view_chunk(grid) if for_view else _SLAB_CHUNK
    kept = (with_coverage, least_coverage)
    result = _grouped(image, fine, grid, read, sampler.dtype, kept, chunk)
    return _described(result, image, plane, sampler.interpolation)


def group_slices(
    image: SpatialImage,
    thickness_um: float,
    *,
    edge_um: ArrayLike | None = None,
    with_coverage: bool = False,
    least_coverage: float = 0.0,
) -> SpatialImage:
    """Slices grouped to another instrument's voxel depth, by overlap-weighted means.

    Slices of 3 um to slabs of 100 um: each slab is the mean of the 33.33 slices that it holds, the
    two at its ends counting by the part that lies in it. Slab k begins at k times the thickness,
    whatever k: nothing drifts. The last slab is the mean of what there is of it, not darkened by
    what there is not; its coverage says how much.

    Parameters
    ----------
    image : SpatialImage
        Any times and channels; no labels.
    thickness_um : float
        At least a slice's thickness.
    edge_um : (3,) array-like, optional
        World point on a boundary between slabs; the outer face of the first slice by default.
    with_coverage : bool
        Add a channel ``<name>_coverage`` (0-1) for each channel.
    least_coverage : float
        Values of lesser coverage (0-1) are NaN.

    Returns
    -------
    SpatialImage
        Lazy; float32 (float64 where float32 would lose digits), NaN where nothing is covered.

    Raises
    ------
    GeometryError
        If the slabs are thinner than the slices, or the image names objects.
    """
    dtype = np.dtype(np.float32 if np.can_cast(image.dtype, np.float32) else np.float64)

    def read(time: int, starts: Sequence[int], stops: Sequence[int]) -> NDArray[Any]:
        n = len(image.channels)
        box = image.read(0, (time, 0, *starts), (time + 1, n, *stops))
        return np.asarray(box[0], dtype=dtype)

    grid = slab_grid(image.grid, thickness_um, edge_um)
    kept = (with_coverage, least_coverage)
    result = _grouped(image, image.grid, grid, read, dtype, kept, _SLAB_CHUNK)
    return replace(result, source=replace(result.source, image_name=f"{image.name} (grouped)"))


def _grouped(
    image: SpatialImage,
    fine: Grid,
    grid: Grid,
    read: ReadBox,
    dtype: np.dtype[Any],
    kept: tuple[bool, float],
    chunk: tuple[int, int, int],
) -> SpatialImage:
    """The lazy image of slabs; `read` gives the slices of `fine`.

    `kept` is whether there are channels of coverage, and the least coverage.
    """
    with_coverage, least_coverage = kept
    if image.is_labels:
        raise GeometryError(
            f"{image.name} names objects by numbers, and numbers of objects have no mean: "
            f"group a mask (0 and 1) of each object instead"
        )
    if not 0 <= least_coverage <= 1:
        raise GeometryError(f"the least coverage lies between 0 and 1, not at {least_coverage}")
    n = len(image.channels)
    mean = OverlapMean(fine, grid, read, n, dtype)
    shape = (image.n_times, n * (2 if with_coverage else 1), *grid.shape)

    def compute(block_info: Any = None) -> NDArray[Any]:
        (time, _), _, *space = block_info[None]["array-location"]
        found = mean.block(time, [s[0] for s in space], [s[1] for s in space])
        values = np.where(found.coverage >= least_coverage, found.values, dtype.type(np.nan))
        parts = (values, found.coverage.astype(dtype)) if with_coverage else (values,)
        return np.concatenate(parts)[None]

    cuts = (_cuts(size, step) for size, step in zip(grid.shape, chunk, strict=True))
    data = _map_blocks(
        compute,
        name=f"slabs-{uuid.uuid4().hex}",
        chunks=((1,) * shape[0], (shape[1],), *cuts),
        dtype=dtype,
        meta=np.empty((0,) * 5, dtype),
    )
    covered = tuple(
        Channel(f"{c.name}{COVERAGE_SUFFIX}", display_range=(0.0, 1.0)) for c in image.channels
    )
    return SpatialImage(
        levels=(data,),
        grids=(grid,),
        channels=image.channels + (covered if with_coverage else ()),
        source=replace(
            image.source,
            axes="".join(a for a in "tczyx" if a in image.source.axes or a in "cz"),
        ),
        voxel_size_known=image.voxel_size_known,
        time_step_s=image.time_step_s,
        metadata={"interpolation": "overlap mean", "slab_um": grid.voxel_size_um[0]},
    )


def _view_chunk(grid: Grid) -> tuple[int, int, int]:
    side = _VIEW_SIDE
    n, rows, columns = grid.shape
    while n * -(-rows // side) * -(-columns // side) > _MOST_VIEW_CHUNKS and side < rows + columns:
        side *= 2
    return 1, side, side


def _with_coarser_levels(
    result: SpatialImage, image: SpatialImage, interpolation: str
) -> SpatialImage:
    """Halved in (y, x) until a slice is no wider than a screen."""
    levels, grids = list(result.levels), list(result.grids)
    factor = 2
    while max(grids[-1].shape[1:]) > _SCREEN:
        grid = result.grid.averaged((1, factor, factor))
        size = np.asarray(grid.voxel_size_um)
        # the coarsest level that still has voxels as small as the pixels
        fits = [
            k for k, g in enumerate(image.grids) if max(g.voxel_size_um) <= max(size[1:]) * 1.01
        ]
        level = max(fits, default=0)
        seen = replace(image, levels=image.levels[level:], grids=image.grids[level:])
        coarse = resample(
            seen, Affine.identity(), grid, interpolation=interpolation, chunk=_view_chunk(grid)
        )
        levels.append(coarse.data)
        grids.append(grid)
        factor *= 2
    return replace(result, levels=tuple(levels), grids=tuple(grids))


def _chosen(image: SpatialImage, interpolation: str) -> str:
    return "nearest" if image.is_labels and interpolation == "auto" else interpolation


def _described(
    result: SpatialImage, image: SpatialImage, plane: Plane, interpolation: str | None = None
) -> SpatialImage:
    known = all(image.voxel_size_known)
    told = {} if interpolation is None else {"interpolation": f"{interpolation}, overlap mean"}
    return replace(
        result,
        source=replace(result.source, image_name=f"{image.name} (resliced)"),
        # a slanted step is made of steps along all axes
        voxel_size_known=(known, known, known),
        metadata={**result.metadata, **told, "plane": plane.to_dict()},
    )


def _cuts(size: int, step: int) -> tuple[int, ...]:
    return tuple(min(step, size - start) for start in range(0, size, step))
