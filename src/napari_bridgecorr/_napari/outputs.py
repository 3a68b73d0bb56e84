"""What the panel's buttons make, as plain functions of values: they run in a job's thread."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SessionError
from ..fitting import ErrorModel, Fit, FitOptions, error_model
from ..geometry import Placement
from ..image import SpatialImage
from ..io.registry import open_image
from ..io.transform_files import fit_document, write_document
from ..landmarks import LandmarkSet
from ..progress import Progress
from ..resampling import LabelSampler, PullSampler, resample
from ..session import ImageRef, Output, save_session
from ..transform import SectionPlacement, Transform
from ..workflow.files import lacks_scale
from ..workflow.images import warp
from ..workflow.pair_session import align_session
from ..workflow.refine import RefineOptions
from ..workflow.refine_session import refine_output
from ..workflow.replay import new_session
from ..workflow.reports import report
from ..workflow.sections import write_volume_on_section
from ..workflow.tables import tabulate
from .frames import same_place
from .image_maps import AlignOptions, ImageMap
from .layers import MEMORY_FORMAT, UNSAVED_FORMATS
from .resliced_layers import record_of, source_reference
from .section_maps import volume_over_section
from .taken_along import Along, mapped_points

FloatArray = NDArray[np.float64]

REGISTERED = "registered"
"""Key, in the metadata of a registered image and of registered points, of :func:`warp_record`."""

_NOTHING = Along()

LARGEST_IN_MEMORY_BYTES = 1_500_000_000
"""A larger result is written to a file and opened from there."""

# small enough to report and to stop often; the result does not depend on it. A block of means of a
# fine moving image takes thousands of times as long as one of interpolated values.
_MEAN_BLOCK, _BLOCK = (8, 64, 64), (16, 256, 256)


@dataclass(frozen=True, eq=False)
class Pair:
    """What the outputs are made of.

    Parameters
    ----------
    fixed, moving : SpatialImage
    made : Fit or ImageMap
        The landmarks' fit, or a map that the images gave.
    landmarks : LandmarkSet
    """

    fixed: SpatialImage
    moving: SpatialImage
    made: Fit | ImageMap
    landmarks: LandmarkSet = field(default_factory=LandmarkSet)

    @property
    def transform(self) -> Transform:
        """Fixed world to moving world."""
        return self.made.transform

    @property
    def fit(self) -> Fit | None:
        """None where the map is not the landmarks' fit."""
        return self.made if isinstance(self.made, Fit) else None


@dataclass(frozen=True, eq=False)
class Warped:
    """What came of a warp.

    Parameters
    ----------
    images : tuple of SpatialImage
        The moving image first, then what went along.
    along : Along
    points_um : tuple of (n, 3) float64
        Of each layer of points that went along, in the fixed world.
    record : dict
        Where they come from: names, the moving image's file, the transform's JSON.
    """

    images: tuple[SpatialImage, ...]
    along: Along
    points_um: tuple[FloatArray, ...]
    record: dict[str, Any]


def warped_bytes(pair: Pair, channel: int | None, along: Along = _NOTHING) -> int:
    """Memory that the warped images take."""
    n_channels = len(pair.moving.channels) if channel is None else 1
    n_values = n_channels * pair.moving.n_times
    n_values += sum(len(image.channels) * image.n_times for image in along.images)
    return pair.fixed.grid.n_voxels * n_values * 4


def warp_all(pair: Pair, channel: int | None, along: Along, progress: Progress) -> Warped:
    """The moving image and what goes along on the fixed grid, each with where it comes from.

    Raises
    ------
    Cancelled
    """
    record = warp_record(pair)
    images = [warp_in_memory(pair, channel, progress)]
    if isinstance(pair.transform, SectionPlacement):
        along = Along()
    for image in along.images:
        images.append(warp_through(pair.fixed, image, pair.transform, None, progress))
    points = mapped_points(along, pair.transform, progress)
    found = tuple(replace(i, metadata={**i.metadata, REGISTERED: record}) for i in images)
    return Warped(found, along, tuple(points), record)


def warp_record(pair: Pair) -> dict[str, Any]:
    """What a registered layer remembers of its making, as plain values."""
    made, source = pair.made, pair.moving.source
    document = fit_document(made) if isinstance(made, Fit) else dict(made.document)
    return {
        "fixed": pair.fixed.name,
        "moving": pair.moving.name,
        "source": {"path": str(source.path), "image": source.image_index},
        "transform": document,
    }


def warp_in_memory(pair: Pair, channel: int | None, progress: Progress) -> SpatialImage:
    """The moving image on the fixed grid, computed: the same numbers as `resampling.resample`.

    Raises
    ------
    Cancelled
    """
    if isinstance(pair.transform, SectionPlacement):
        return volume_over_section(pair.fixed, pair.moving, pair.transform, channel, progress)
    return warp_through(pair.fixed, pair.moving, pair.transform, channel, progress)


def warp_through(
    fixed: SpatialImage,
    moving: SpatialImage,
    transform: Transform,
    channel: int | None,
    progress: Progress,
) -> SpatialImage:
    """As :func:`warp_in_memory`, through any transform.

    Raises
    ------
    Cancelled
    """
    from dask.array import from_array

    channels = None if channel is None else [channel]
    grid = fixed.grid
    lazy = resample(moving, transform, grid, channels=channels)
    make = LabelSampler if moving.is_labels else PullSampler
    sampler = make(moving, transform, grid, channels=channels)
    values = np.empty(lazy.data.shape, sampler.dtype)
    is_mean = sampler.interpolation in ("mean", "majority")
    size = _MEAN_BLOCK if is_mean else _BLOCK
    starts = [range(0, n, step) for n, step in zip(grid.shape, size, strict=True)]
    corners = list(product(range(moving.n_times), *starts))
    progress.begin("warping", len(corners))
    for time, *start in corners:
        stop = [min(a + s, n) for a, s, n in zip(start, size, grid.shape, strict=True)]
        where = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        values[(time, slice(None), *where)] = sampler.block(time, start, stop).values
        progress.advance()
    name = f"{moving.name} registered"
    return replace(
        lazy,
        levels=(from_array(values, chunks=lazy.data.chunks),),
        metadata={**lazy.metadata, "is_label": moving.is_labels},
        # the file's contrast was for single voxels, not for their means
        channels=tuple(replace(c, display_range=None) for c in lazy.channels),
        source=replace(
            lazy.source, path=Path(name), format=MEMORY_FORMAT, image_name=name, image_index=0
        ),
    )


def warp_all_to_files(
    pair: Pair, channel: int | None, along: Along, path: Path, progress: Progress
) -> Warped:
    """As :func:`warp_all`, the images written and opened: what goes along beside the moving image.

    Raises
    ------
    GeometryError, ReadError, WriteError, Cancelled
    """
    record = warp_record(pair)
    written = [warp_to_file(pair, channel, path, progress)]
    if isinstance(pair.transform, SectionPlacement):
        along = Along()
    for image in along.images:
        beside = _beside(path, image.name)
        warp(pair.fixed, image, pair.transform, beside, progress=progress)
        written.append(beside)
    points = mapped_points(along, pair.transform, progress)
    opened = [open_image(one) for one in written]
    found = tuple(replace(i, metadata={**i.metadata, REGISTERED: record}) for i in opened)
    return Warped(found, along, tuple(points), record)


def _beside(path: Path, name: str) -> Path:
    """A file beside another, for one more image; none that is there."""
    stem = path.name.removesuffix(".ome.zarr")
    plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
    for number in count(1):
        again = "" if number == 1 else f"_{number}"
        found = path.with_name(f"{stem}_{plain}{again}.ome.zarr")
        if not found.exists():
            return found
    raise AssertionError  # there is no last number


def warp_to_file(pair: Pair, channel: int | None, path: Path, progress: Progress) -> Path:
    """Write the moving image on the fixed grid; returns the path.

    Raises
    ------
    GeometryError, WriteError, Cancelled
    """
    if isinstance(pair.transform, SectionPlacement):
        moving = pair.moving if channel is None else pair.moving.part([channel])
        write_volume_on_section(moving, pair.fixed, pair.transform, path, progress)
        return path
    warp(pair.fixed, pair.moving, pair.transform, path, channel=channel, progress=progress)
    return path


def save_table(pair: Pair, path: Path, progress: Progress) -> Path:
    """Write the voxel table; returns the path.

    Raises
    ------
    GeometryError, WriteError, Cancelled
    """
    tabulate(
        pair.fixed,
        pair.moving,
        pair.transform,
        path,
        error=_error(pair),
        metadata=_record(pair),
        progress=progress,
    )
    return path


def save_report(pair: Pair, path: Path, progress: Progress) -> Path:
    """Write the HTML report; returns the path.

    Raises
    ------
    ReadError, WriteError, Cancelled
    """
    report(
        pair.fixed,
        pair.moving,
        pair.transform,
        path,
        fit=pair.fit,
        facts={"map": pair.made.verdict} if isinstance(pair.made, ImageMap) else None,
        progress=progress,
    )
    return path


def save_transform(made: Fit | ImageMap, path: Path) -> Path:
    """Write the transform's JSON; returns the path.

    Raises
    ------
    WriteError
    """
    document = fit_document(made) if isinstance(made, Fit) else dict(made.document)
    write_document(document, path)
    return path


def _error(pair: Pair) -> ErrorModel | None:
    fit = pair.made
    if not isinstance(fit, Fit):
        return fit.error(pair.landmarks)
    return error_model(
        fit.pairs,
        fit.transform,
        fit.options.model,
        fit.options.dimensions,
        fit.noise,
        fit.evidence,
    )


def _record(pair: Pair) -> dict[str, Any]:
    """What a table's metadata says of the map."""
    if isinstance(pair.made, Fit):
        return {"fit": fit_document(pair.made)["fit"]}
    known = {"format", "version", "direction", "transform"}
    return {k: v for k, v in pair.made.document.items() if k not in known}


def save_session_file(
    fixed: SpatialImage,
    moving: SpatialImage,
    landmarks: LandmarkSet,
    options: FitOptions,
    path: Path,
    refined_with: RefineOptions | None = None,
    window: dict[str, Any] | None = None,
) -> Path:
    """Write a session that ``bridgecorr run`` replays and a window shows; returns the path.

    Its outputs (transform, table, report) bear the session's name. With `refined_with` the fit is
    refined by the images, and table and report are those of the refined map.

    Raises
    ------
    SessionError
        If an image is in no file, or no longer where its file places it.
    FitError
        If the landmarks cannot be fitted.
    WriteError
    """
    if record_of(fixed) is not None:
        raise SessionError(
            f"the fixed image {fixed.name!r} was resliced here and is in no file yet, so that a "
            "session cannot name its voxels: save it (Reslice panel, Save: Image), open that file "
            "and choose it"
        )
    stem = path.name.removesuffix(".json")
    table = f"{stem}_voxels.parquet"
    refined, through = [], {}
    if refined_with is not None:
        name = f"{stem}_refined.json"
        refined = [refine_output("registration", name, refined_with)]
        through = {"transform": name}
    session = new_session(
        image_reference(fixed, "fixed"),
        image_reference(moving, "moving"),
        landmarks,
        options,
        outputs=[
            Output("transform", f"{stem}_transform.json", "registration"),
            *refined,
            Output("table", table, "registration", through),
            Output("report", f"{stem}_report.html", "registration", {"table": table, **through}),
        ],
    )
    save_session(session, path, window=window)
    return path


def save_align_session(
    fixed: SpatialImage,
    moving: SpatialImage,
    options: AlignOptions,
    path: Path,
    window: dict[str, Any] | None = None,
) -> Path:
    """Write a session that finds a map without landmarks again; returns the path.

    Raises
    ------
    SessionError
        As :func:`save_session_file`.
    WriteError
    """
    session = align_session(
        image_reference(fixed, "fixed"),
        image_reference(moving, "moving"),
        f"{path.name.removesuffix('.json')}_transform.json",
        model=options.model,
        mirror=options.mirror,
        channels=options.channels,
    )
    save_session(session, path, window=window)
    return path


def require_file(image: SpatialImage, identity: str) -> None:
    """Raise SessionError, with advice, unless the image is in a file."""
    source = image.source
    if source.format in UNSAVED_FORMATS or not source.path.exists():
        raise SessionError(
            f"the {identity} image {image.name!r} is in no file: save the layer first (File > Save "
            "Selected Layers, as .ome.zarr, .nii.gz or .ome.tif), open that file and choose it"
        )


def image_reference(image: SpatialImage, identity: str) -> ImageRef:
    """How a session names the image's file.

    Raises
    ------
    SessionError
        If there is no file, or the file would give another place than the layer has.
    """
    record = record_of(image)
    if record is not None:
        return source_reference(record, identity)
    require_file(image, identity)
    source = image.source
    path = source.path.resolve()
    stored = open_image(f"{path}#{source.image_index}").part(source.channels, source.times)
    answers = [image.placement]
    if lacks_scale(stored):  # scaled by hand in the viewer: as good an answer as in the panel
        answers.append(Placement(image.grid.voxel_size_um))
    for answer in answers:
        if same_place(image.grid.index_to_world, stored.placed(answer).grid.index_to_world):
            return ImageRef(
                identity,
                str(path),
                source.image_index,
                spacing_um=answer.spacing_um,
                orientation=answer.orientation,
                channels=source.channels,
                times=source.times,
            )
    raise SessionError(
        f"the {identity} image {image.name!r} was moved or scaled in the viewer, which its file "
        "does not know of: save the layer first, open that file and choose it"
    )
