"""A lazy, multiscale image that knows where its voxels are and where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import GeometryError
from .geometry import Grid, Placement
from .geometry.placement import AS_IN_FILE, checked_spacing, orientation_matrix, reoriented
from .voxel_source import read_box

if TYPE_CHECKING:
    from dask.array import Array as DaskArray

AXES = "tczyx"

Role = Literal[
    "image",  # what the instrument was asked to image
    "labels",  # integers that name objects
    "slide label",  # photograph of the paper label
    "slide preview",  # overview of the whole slide
    "optical",  # camera image of a region, as beside a mass-cytometry acquisition
    "panorama",  # overview drawn by the instrument
]


@dataclass(frozen=True)
class Channel:
    """One channel of an image.

    Parameters
    ----------
    name : str
        As the file gives it, or ``C0``, ``C1``...
    colour : str or None
        ``#RRGGBB`` where the file gives one.
    display_range : (float, float) or None
        Contrast limits where the file gives them.
    excitation_nm, emission_nm : float or None
        Wavelengths where the file gives them.
    metal : str or None
        The isotope that a mass cytometer counted, as ``Ir191``.
    """

    name: str
    colour: str | None = None
    display_range: tuple[float, float] | None = None
    excitation_nm: float | None = None
    emission_nm: float | None = None
    metal: str | None = None


RGBA = (Channel("R", "#FF0000"), Channel("G", "#00FF00"), Channel("B", "#0000FF"), Channel("A"))
"""Channels of a colour picture, whatever its format; without the last where nothing is clear."""


@dataclass(frozen=True)
class Source:
    """Where an image came from.

    Parameters
    ----------
    path : Path
        The file or folder.
    format : str
        Short name of the format, as ``NIfTI-1`` or ``OME-Zarr 0.5``.
    image_index : int
        Number of the image in the file, from 0.
    image_name : str
        Name of the image in the file.
    axes : str
        The axes that the file has, a subsequence of ``tczyx``; an axis missing here has length 1
        in the levels.
    role : Role
        What the image is for. Images of role "image" come first in a file's list.
    channels : tuple of int or None
        Which of the file's channels were taken; all where None.
    times : (int, int) or None
        Which of the file's time points were taken, from the first up to but without the second.
    url : str
        Address of an image on a network, whose `path` is then only its name; else empty.
    """

    path: Path
    format: str
    image_index: int = 0
    image_name: str = ""
    axes: str = "zyx"
    role: Role = "image"
    channels: tuple[int, ...] | None = None
    times: tuple[int, int] | None = None
    url: str = ""

    @property
    def location(self) -> str:
        """The address or the path, as a user would write it."""
        return self.url or str(self.path)


@dataclass(frozen=True, eq=False)
class SpatialImage:
    """Lazy multiscale image in world micrometres. Never resampled on load.

    Parameters
    ----------
    levels : tuple of dask arrays
        Full resolution first, each 5-D ``(t, c, z, y, x)`` of one dtype, chunked so that a block
        is cheap to read.
    grids : tuple of Grid
        One per level. Level k has its own grid (a mean pyramid's is offset by half a coarse voxel).
    channels : tuple of Channel
        One per entry of axis c.
    source : Source
        Where it came from.
    voxel_size_known : (bool, bool, bool)
        Whether the file states the spacing along z, y, x; where it does not, the grid uses 1 um and
        `warnings` says so.
    time_step_s : float or None
        Seconds between time points where known.
    metadata : mapping
        What else the file says of the acquisition (plain values).
    warnings : tuple of str
        What the user must see, one line each.
    placement : Placement
        The user's answers that the grids already follow; see :meth:`placed`.

    Raises
    ------
    GeometryError
        If levels, grids and channels do not agree.
    """

    levels: tuple[DaskArray, ...]
    grids: tuple[Grid, ...]
    channels: tuple[Channel, ...]
    source: Source
    voxel_size_known: tuple[bool, bool, bool] = (True, True, True)
    time_step_s: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    placement: Placement = field(default_factory=Placement)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        if not self.levels or len(self.levels) != len(self.grids):
            raise GeometryError("an image needs one grid per level and at least one level")
        if any(level.shape[:2] != self.levels[0].shape[:2] for level in self.levels):
            raise GeometryError("the levels of an image must have the same times and channels")
        for level, grid in zip(self.levels, self.grids, strict=True):
            if level.ndim != 5 or tuple(level.shape[2:]) != grid.shape:
                raise GeometryError(
                    f"level of shape {tuple(level.shape)} does not fit its grid {grid.shape}"
                )
        if self.levels[0].shape[1] != len(self.channels):
            raise GeometryError(
                f"{self.levels[0].shape[1]} channels in the data, {len(self.channels)} described"
            )

    @property
    def grid(self) -> Grid:
        """Grid of the full-resolution level."""
        return self.grids[0]

    @property
    def data(self) -> DaskArray:
        """Full-resolution level, 5-D ``(t, c, z, y, x)``."""
        return self.levels[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""
        dtype: np.dtype[Any] = np.dtype(self.levels[0].dtype)
        return dtype

    @property
    def name(self) -> str:
        """The image's own name, or the file's."""
        return self.source.image_name or self.source.path.name

    @property
    def is_colour_picture(self) -> bool:
        """Whether the first three channels are a camera's red, green and blue."""
        names = tuple(c.name.lower() for c in self.channels[:3])
        is_named = names in (("r", "g", "b"), ("red", "green", "blue"))
        return is_named and len(self.channels) <= len(RGBA) and self.dtype == np.uint8

    @property
    def is_labels(self) -> bool:
        """Whether the voxels name objects: they are never averaged or interpolated."""
        is_named = self.source.role == "labels" or bool(self.metadata.get("is_label"))
        return is_named and self.dtype.kind in "iu"

    @property
    def n_times(self) -> int:
        """Number of time points."""
        return int(self.levels[0].shape[0])

    def read(self, level: int, starts: Sequence[int], stops: Sequence[int]) -> NDArray[Any]:
        """Voxels of a box, read now, without a task graph where the file's reader allows.

        Many times faster than dask for small boxes. Safe to call from several threads.

        Parameters
        ----------
        level : int
            Number of the level, 0 the finest.
        starts, stops : 5 int
            ``(t, c, z, y, x)``: the box holds ``starts <= index < stops``.

        Returns
        -------
        (t, c, z, y, x) array
            Of shape ``stops - starts``.

        Raises
        ------
        ReadError
            If the file is damaged there, or has changed.
        ValueError
            If the box reaches outside the level.
        """
        return read_box(self.levels[level], starts, stops)

    def channel_index(self, channel: str | int) -> int:
        """Number of a channel given by name or number (as int or text).

        Raises
        ------
        GeometryError
            If there is no such channel, or the name is borne by several.
        """
        names = [c.name for c in self.channels]
        if isinstance(channel, str) and channel in names:
            if names.count(channel) > 1:
                raise GeometryError(
                    f"{names.count(channel)} channels are named {channel!r}; "
                    f"give the channel's number instead"
                )
            return names.index(channel)
        try:
            number = int(channel)
        except ValueError:
            number = -1
        if not 0 <= number < len(names):
            raise GeometryError(
                f"{self.source.path.name} has no channel {channel!r}; it has "
                + ", ".join(f"{i} ({n})" for i, n in enumerate(names))
            )
        return number

    def part(
        self, channels: Sequence[int] | None = None, times: tuple[int, int] | None = None
    ) -> SpatialImage:
        """Some channels and times of the image, as lazy as it was; `source` remembers which.

        Parameters
        ----------
        channels : sequence of int, optional
            In the order wanted; all by default.
        times : (int, int), optional
            From the first up to but without the second; all by default.

        Raises
        ------
        GeometryError
            If there is no such channel or time.
        """
        source, levels, kept = self.source, self.levels, self.channels
        if times is not None:
            start, stop = times
            if not 0 <= start < stop <= self.n_times:
                raise GeometryError(
                    f"{self.name} has {self.n_times} time points; give a range of these, not "
                    f"{start} to {stop}"
                )
            first = 0 if source.times is None else source.times[0]
            source = replace(source, times=(first + start, first + stop))
            levels = tuple(level[start:stop] for level in levels)
        if channels is not None:
            numbers = [self.channel_index(c) for c in channels]
            if not numbers:
                raise GeometryError(f"{self.name}: choose at least one channel")
            of_file = source.channels or tuple(range(len(kept)))
            source = replace(source, channels=tuple(of_file[n] for n in numbers))
            levels = tuple(level[:, numbers] for level in levels)
            kept = tuple(kept[n] for n in numbers)
        return replace(self, source=source, levels=levels, channels=kept)

    def with_voxel_size(self, spacing_um: tuple[float, float, float]) -> SpatialImage:
        """The same image with the voxel size answered by the user (z, y, x in um).

        Every level's axes are rescaled about the world's origin of the axis-aligned part: the
        directions and the position in voxels are kept, and warnings about the voxel size go.
        """
        return self.placed(Placement(spacing_um=spacing_um))

    def placed(self, placement: Placement) -> SpatialImage:
        """The same pixels where the user says that they lie.

        The voxel size is answered as by :meth:`with_voxel_size`; then the image is turned about its
        centre. What `placement` leaves open stays as it was, so an image that was placed before
        can be given the rest: the result is that of all answers at once.

        Raises
        ------
        GeometryError
            If the axes cannot be rescaled.
        """
        if placement == Placement():
            return self
        before = orientation_matrix(self.placement.orientation or AS_IN_FILE)
        grids = reoriented(self.grids, before.T)
        known, warnings = self.voxel_size_known, self.warnings
        if placement.spacing_um is not None:
            grids = _rescaled(grids, placement.spacing_um)
            known = (True, True, True)
            warnings = tuple(w for w in warnings if not w.startswith(SCALE_WARNINGS))
        whole = Placement(
            placement.spacing_um or self.placement.spacing_um,
            placement.orientation or self.placement.orientation,
        )
        grids = reoriented(grids, orientation_matrix(whole.orientation or AS_IN_FILE))
        return replace(
            self, grids=grids, voxel_size_known=known, warnings=warnings, placement=whole
        )


def _rescaled(grids: tuple[Grid, ...], spacing_um: tuple[float, float, float]) -> tuple[Grid, ...]:
    spacing_um = checked_spacing(spacing_um)
    full = grids[0]
    ratio = np.asarray(spacing_um) / np.asarray(full.voxel_size_um)
    direction = full.index_to_world[:3, :3] / np.asarray(full.voxel_size_um)
    # Every step along an axis becomes `ratio` times as long. The origin is carried along the
    # axes too: direction @ diag(ratio) @ direction^-1, which leaves the directions as they are.
    stretch = direction @ np.diag(ratio) @ np.linalg.inv(direction)
    found = []
    for grid in grids:
        matrix = grid.index_to_world.copy()
        matrix[:3, :3] *= ratio
        matrix[:3, 3] = stretch @ matrix[:3, 3]
        found.append(Grid(grid.shape, matrix))
    return tuple(found)


MISSING_SCALE = "no voxel size"
DOUBTFUL_SCALE = "doubtful voxel size"
"""How a warning about a voxel size that is probably wrong begins."""
SCALE_WARNINGS = (MISSING_SCALE, DOUBTFUL_SCALE)
"""How the warnings begin that a voxel size given by the user answers."""


def missing_scale_warning(axes: str) -> str:
    """The one warning about a missing voxel size along `axes` (of ``zyx``)."""
    return (
        f"{MISSING_SCALE} along {', '.join(axes)} in the file: 1 um is assumed; "
        f"state it with --spacing z,y,x"
    )
