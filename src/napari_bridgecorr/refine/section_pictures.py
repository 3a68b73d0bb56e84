"""How to look for a section, and the pictures that are looked at."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import RefineError
from ..geometry import Grid, Plane
from ..image import SpatialImage
from ..landmarks import LandmarkPairs
from .section_likeness import Freedom, Scene, make_scene
from .section_pose import SectionPose
from .section_search import CoarseSection, search_pixel_um
from .working_image import WorkingImage, working_grid, working_image

FloatArray = NDArray[np.float64]

_MOST_VOLUME_VOXELS = 2**25
_COARSE_PIXELS, _FINE_PIXELS = 64, 128


@dataclass(frozen=True)
class FindOptions:
    """How to look for a section.

    Parameters
    ----------
    thickness_um : float
        Of the section; the volume is averaged over it.
    along : int or None
        Axis of the volume's array (0, 1, 2) across which its slices lie; None: the one with the
        thickest voxels, the first of equals.
    near_slice : float or None
        Number of the slice that it is near to, from 0; None: any.
    reach_slices : float
        How many slices from there it may be.
    start : SectionPose or None
        Where to begin, as from landmarks: no other slice is tried.
    plane : Plane or None
        Begin here; no other slice is tried.
    fix_plane : bool
        Keep that plane (or the start's) as it is.
    flips : tuple of bool
        Which sides of the section may face along the slices' axis.
    turn_step_degrees : float
        Between the turns within the slice that are tried; 0 tries none.
    freedom : {"rigid", "affine", "bent"}
        Of the map within the plane.
    bend_um : float or None
        Standard deviation of the bends to expect; 2 % of the section's longer side by default.
    landmarks : LandmarkPairs or None
        That the map should also fit.
    landmark_um : float or None
        Their standard error per axis; a voxel of the volume by default.
    section_channel, volume_channel : str or int
    time : int
        Of the volume.
    """

    thickness_um: float = 0.0
    along: int | None = None
    near_slice: float | None = None
    reach_slices: float = 3.0
    start: SectionPose | None = None
    plane: Plane | None = None
    fix_plane: bool = False
    flips: tuple[bool, ...] = (False, True)
    turn_step_degrees: float = 20.0
    freedom: Freedom = "bent"
    bend_um: float | None = None
    landmarks: LandmarkPairs | None = None
    landmark_um: float | None = None
    section_channel: str | int = 0
    volume_channel: str | int = 0
    time: int = 0


@dataclass(frozen=True, eq=False)
class Pictures:
    """What is compared: the section at two resolutions and the volume, and the slices to try.

    Parameters
    ----------
    coarse, fine : WorkingImage
        Of the section.
    volume : WorkingImage
    small_volume : WorkingImage
        With voxels of the search's pixels.
    tiny : CoarseSection
    own : Grid
        Of the volume, as its file has it.
    axis : int or None
        Of the volume, across which the slices lie; None where none are tried.
    planes : tuple of Plane
        One for each of `numbers`.
    numbers : tuple of float
        Of the volume's slices.
    """

    coarse: WorkingImage
    fine: WorkingImage
    volume: WorkingImage
    small_volume: WorkingImage
    tiny: CoarseSection
    own: Grid
    axis: int | None = None
    planes: tuple[Plane, ...] = field(default=())
    numbers: tuple[float, ...] = field(default=())


def load_pictures(section: SpatialImage, volume: SpatialImage, options: FindOptions) -> Pictures:
    """What the search looks at, read once.

    Raises
    ------
    RefineError
        If the section or the volume is empty or all of one value.
    """
    extent = max(
        n * s for n, s in zip(section.grid.shape[1:], section.grid.voxel_size_um[1:], strict=True)
    )
    voxel = float(np.median(volume.grid.voxel_size_um))
    tiny_um = search_pixel_um(section.grid, volume.grid)
    coarse_um = max(extent / _COARSE_PIXELS, 0.75 * voxel)
    fine_um = max(extent / _FINE_PIXELS, 0.5 * voxel)
    tiny, coarse, fine = (
        _section(section, spacing, options) for spacing in (tiny_um, coarse_um, fine_um)
    )
    whole = working_image(
        volume,
        working_grid(volume.grid, 0.01, _MOST_VOLUME_VOXELS),
        channel=options.volume_channel,
        time=options.time,
        most_voxels=_MOST_VOLUME_VOXELS,
    )
    small = working_image(
        volume,
        working_grid(volume.grid, tiny_um, _MOST_VOLUME_VOXELS),
        channel=options.volume_channel,
        time=options.time,
        most_voxels=_MOST_VOLUME_VOXELS,
    )
    for image, name in ((fine, section.name), (whole, volume.name)):
        known = image.array[image.valid]
        if known.size < 64 or not float(np.ptp(known)) > 0:
            raise RefineError(
                f"{name} shows nothing that could be compared: choose another channel"
            )
    picture = np.where(tiny.valid[0], tiny.array[0], np.float32(np.nan)).astype(np.float32)
    axis = _axis(volume.grid, options)
    numbers, planes = _slices(volume.grid, options, axis)
    small_section = CoarseSection(picture, tiny.grid)
    return Pictures(coarse, fine, whole, small, small_section, volume.grid, axis, planes, numbers)


def scene_of(
    section: WorkingImage, volume: WorkingImage, options: FindOptions, pose: SectionPose
) -> Scene:
    """A section and a volume as they are compared near a pose."""
    return make_scene(
        section.array,
        section.valid,
        section.grid,
        volume.array,
        volume.grid,
        options.thickness_um,
        pose.plane.normal,
    )


def slice_number(pictures: Pictures, pose: SectionPose, scene: Scene) -> float | None:
    """Number of the volume's slice that a section's middle lies on (a fraction between two).

    None where slices were not tried.
    """
    middle = pose.within(scene.points_um.mean(axis=0)[None])
    world = pose.plane.points(np.column_stack([[0.0], middle]))
    return None if pictures.axis is None else float(pictures.own.to_index(world)[0, pictures.axis])


def _section(section: SpatialImage, spacing_um: float, options: FindOptions) -> WorkingImage:
    own = section.grid.voxel_size_um
    grid = working_grid(section.grid, (own[0], spacing_um, spacing_um), upsample=False)
    return working_image(section, grid, channel=options.section_channel)


def _axis(grid: Grid, options: FindOptions) -> int | None:
    """The axis of the volume's array across which its slices lie, where slices are tried."""
    if options.start is not None or options.plane is not None:
        return None
    sizes = np.asarray(grid.voxel_size_um)
    axis = int(np.argmax(sizes > sizes.max() * 0.999)) if options.along is None else options.along
    if axis not in (0, 1, 2):
        raise RefineError(f"a volume's slices lie across its axis 0, 1 or 2, not {axis}")
    return axis


def _slices(
    grid: Grid, options: FindOptions, axis: int | None
) -> tuple[tuple[float, ...], tuple[Plane, ...]]:
    """The numbers and planes of the slices to try."""
    if axis is None:
        if options.start is not None or options.plane is None:
            return (), ()
        return (0.0,), (options.plane.with_origin(grid.centre_um),)
    sizes = np.asarray(grid.voxel_size_um)
    n = grid.shape[axis]
    numbers = np.arange(n, dtype=np.float64)
    if options.near_slice is not None:
        if not -0.5 <= options.near_slice <= n - 0.5:
            raise RefineError(
                f"the volume has the slices 0 to {n - 1} along that axis, no {options.near_slice:g}"
            )
        near = np.abs(numbers - options.near_slice) <= max(options.reach_slices, 0.5)
        numbers = numbers[near]
    if options.thickness_um > 2 * sizes[axis]:
        numbers = numbers[:: max(1, int(options.thickness_um / sizes[axis] / 2))]
    others = [a for a in range(3) if a != axis]
    directions = grid.index_to_world[:3, :3] / sizes
    left, _, right = np.linalg.svd(directions)
    directions = left @ right
    down, across = directions[:, others[0]], directions[:, others[1]]
    normal = np.cross(down, across)
    middle = (np.asarray(grid.shape) - 1) / 2
    planes = []
    for number in numbers:
        index = middle.copy()
        index[axis] = number
        planes.append(Plane(grid.to_world(index)[0], np.column_stack([normal, down, across])))
    return tuple(numbers.tolist()), tuple(planes)
