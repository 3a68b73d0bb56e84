"""A volume as a section shows it, and a section where it lies in a volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import GeometryError, TransformError
from ..geometry import Grid
from ..image import SpatialImage
from ..transform import (
    Affine,
    Chain,
    DisplacementField,
    InvertedTransform,
    SectionPlacement,
    Transform,
    simplified,
    steps_of,
)
from .resample import resample
from .reslice import group_slices

# slices that a section's thickness is cut into, of a voxel of the volume along its normal
_SLICES_PER_VOXEL = 4
_MOST_SLICES = 64
# nodes along the longer side of the field that stands for a spline's inverse
_NODES = 160
_MARGIN = 0.05
_DEPTH_IS_KEPT = 1e-9
# one voxel that holds for every depth
_ANY_DEPTH_UM = 1e7


def volume_on_section(
    volume: SpatialImage, placement: SectionPlacement, grid: Grid, interpolation: str = "auto"
) -> SpatialImage:
    """A volume over the pixels of a section: its mean over the section's thickness.

    Parameters
    ----------
    volume : SpatialImage
        All channels and times.
    placement : SectionPlacement
        Section world to volume world.
    grid : Grid
        Of the section's pixels, (1, y, x).
    interpolation : {"auto", "linear", "mean", "nearest"}
        Of the thin slices that the thickness is cut into (four to a voxel of the volume); their
        mean is weighted by overlap. Labels take the nearest voxel of the middle.

    Returns
    -------
    SpatialImage
        Lazy, on `grid` (as thick as the section), NaN outside the volume.

    Raises
    ------
    GeometryError
        If the grid is not flat.
    """
    _check_flat(grid)
    thickness = placement.thickness_um
    if thickness == 0 or volume.is_labels:
        kind = "nearest" if volume.is_labels else interpolation
        return resample(volume, placement, grid, interpolation=kind)
    along = volume.grid.world_to_index[:3, :3] @ placement.plane.normal
    voxels = thickness * float(np.abs(along).max())
    n = int(np.clip(np.ceil(_SLICES_PER_VOXEL * voxels), 2, _MOST_SLICES))
    thin = resample(volume, placement, _sliced(grid, thickness, n), interpolation=interpolation)
    found = group_slices(thin, thickness)
    return replace(found, source=replace(found.source, image_name=f"{volume.name} (on section)"))


def section_in_volume(
    section: SpatialImage, placement: SectionPlacement, grid: Grid, interpolation: str = "auto"
) -> SpatialImage:
    """A section over the voxels of a volume, NaN where it does not lie.

    Voxels that hold several of the section's pixels are their volume-weighted mean.

    Parameters
    ----------
    section : SpatialImage
        (1, y, x), all channels and times.
    placement : SectionPlacement
        Its thickness says how far its voxels reach; where it is 0, the volume's voxel along the
        normal is taken for it.
    grid : Grid
        The volume's.
    interpolation : {"auto", "linear", "mean", "nearest"}

    Raises
    ------
    GeometryError
        If the section is not flat.
    TransformError
        If the in-plane map folds within the section.
    """
    _check_flat(section.grid)
    along = grid.world_to_index[:3, :3] @ placement.plane.normal
    thickness = placement.thickness_um or 1 / float(np.abs(along).max())
    thick = tuple(_sliced(g, thickness, 1) for g in section.grids)
    image = replace(section, grids=thick)
    if section.is_labels and interpolation == "auto":
        interpolation = "nearest"
    back = quick_inverse(placement, section.grid)
    found = resample(image, back, grid, interpolation=interpolation)
    return replace(found, source=replace(found.source, image_name=f"{section.name} (in volume)"))


def quick_inverse(placement: SectionPlacement, grid: Grid) -> Transform:
    """Volume to section without iterations, over the pixels of the section.

    An in-plane map that bends is inverted numerically at the nodes of a flat field; between them
    the field interpolates. Beyond the section's pixels it is NaN.

    Raises
    ------
    TransformError
        If the map folds within the section.
    """
    from_world = Affine(placement.plane.from_world)
    inner = simplified(placement.in_plane)
    if isinstance(inner, Affine):
        return Affine(inner.inverse().matrix @ from_world.matrix)
    return Chain(from_world, _flat_inverse(inner, grid))


def section_as_moving(
    section: SpatialImage, back: Transform, grid: Grid
) -> tuple[SpatialImage, Transform]:
    """A flat image and a map from a volume to it, ready to be resampled over the volume's voxels.

    The flat image becomes as thick as a voxel of the volume is across it (or stays as thick as it
    is, if that is more): a slice of 1 um would lie between all voxels' centres. A section's bending
    map is inverted once, over its pixels, instead of point by point.

    Parameters
    ----------
    section : SpatialImage
    back : Transform
        Volume world to section world.
    grid : Grid
        The volume's.

    Returns
    -------
    SpatialImage, Transform
        Those given, where the image is not flat, the grid is, or the map is no placed section's.

    Raises
    ------
    TransformError
        If the in-plane map folds within the section.
    """
    if section.grid.shape[0] != 1 or grid.shape[0] == 1:
        return section, back
    steps = steps_of(simplified(back))
    first = steps[0]
    if not isinstance(first, Affine):
        return section, back
    if len(steps) == 2 and isinstance(steps[1], InvertedTransform):
        inner = steps[1].forward
        slope = inner.jacobian(section.grid.corners())
        if not np.abs(np.concatenate([slope[:, 0, 1:], slope[:, 1:, 0]])).max() < _DEPTH_IS_KEPT:
            return section, back
        back = Chain(first, _flat_inverse(inner, section.grid))
    elif len(steps) > 1:
        return section, back
    depth = section.grid.world_to_index[0, :3] * section.grid.voxel_size_um[0]
    normal = depth @ first.matrix[:3, :3]
    normal = normal / np.linalg.norm(normal)
    across = 1 / float(np.abs(grid.world_to_index[:3, :3] @ normal).max())
    thickness = max(across, section.grid.voxel_size_um[0])
    return replace(section, grids=tuple(_sliced(g, thickness, 1) for g in section.grids)), back


def _flat_inverse(inner: Transform, grid: Grid) -> DisplacementField:
    """The inverse of an in-plane map as a flat field over a section's pixels."""
    flat = Grid(grid.shape, grid.index_to_world)
    edge = [np.linspace(-0.5, n - 0.5, 33) for n in flat.shape[1:]]
    index = np.stack(np.meshgrid([0.0], *edge, indexing="ij"), -1).reshape(-1, 3)
    placed = inner.map(flat.to_world(index))
    low, high = placed[:, 1:].min(axis=0), placed[:, 1:].max(axis=0)
    margin = _MARGIN * (high - low)
    low, high = low - margin, high + margin
    step = float((high - low).max()) / _NODES
    shape = np.ceil((high - low) / step).astype(int) + 1
    nodes = Grid.from_spacing((1, *shape.tolist()), (_ANY_DEPTH_UM, step, step), (0.0, *low))
    points = nodes.to_world(np.indices(nodes.shape).reshape(3, -1).T)
    back = inner.inverse().map(points)
    lost = ~np.isfinite(back).all(axis=1)
    if lost.any():
        inside = np.all((points[:, 1:] >= low + margin) & (points[:, 1:] <= high - margin), axis=1)
        if (lost & inside).any():
            raise TransformError(
                "the section's in-plane map folds within the section: raise the smoothing, or look "
                "for misplaced landmarks"
            )
        back[lost] = points[lost]
    return DisplacementField(nodes, (back - points).T.reshape(3, *nodes.shape))


def _check_flat(grid: Grid) -> None:
    if grid.shape[0] != 1:
        raise GeometryError(
            f"a section is flat, but this image has {grid.shape[0]} slices: name one of them, or "
            f"register the stack as a volume"
        )


def _sliced(grid: Grid, thickness_um: float, n: int) -> Grid:
    """The flat grid as `n` slices that fill a thickness about its middle."""
    matrix = grid.index_to_world.copy()
    step = thickness_um / n
    matrix[:3, 0] *= step / grid.voxel_size_um[0]
    matrix[:3, 3] -= matrix[:3, 0] * (n - 1) / 2
    return Grid((n, *grid.shape[1:]), matrix)
