"""Writer of pyramidal OME-Zarr 0.5, block by block: memory does not grow with the image.

NGFF 0.5 can only state a scale and a translation per axis. The exact 4 x 4 affine of the full
resolution (rotations, mirrorings) therefore stands beside them, in the attribute ``bridgecorr``,
which our reader obeys and others ignore.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import WriteError
from ...image import AXES, Channel, SpatialImage
from ...progress import Progress, Silent
from ..atomic import replacing
from ..pyramid import Factors, mean_downsample, pyramid_factors
from .store import create_array, create_group, write_attributes

BLOCK_BYTES = 2**27
"""Largest block held in memory while writing (a few copies of it exist at a time)."""

_VOLUME_CHUNK = (64, 256, 256)
_PLANE_CHUNK = (1, 1024, 1024)
_MOST_FILES = 1000
_WORKERS = 2
_VERSION = "0.5"

Slices = tuple[slice, ...]


def write_ome_zarr(image: SpatialImage, path: Path, progress: Progress | None = None) -> None:
    """Write an image as pyramidal OME-Zarr 0.5, whole or not at all.

    Parameters
    ----------
    image : SpatialImage
        Its full resolution is computed block by block; its own coarser levels are not used.
    path : Path
        The folder to make, as ``brain.ome.zarr``.
    progress : Progress
        Advanced once per block; may raise Cancelled, which leaves nothing behind.

    Raises
    ------
    WriteError
        If the type of the voxels cannot be stored or the folder cannot be written to.
    """
    plan = _Plan(image, path)
    watcher = progress or Silent()
    with replacing(path) as temporary:
        watcher.begin("writing OME-Zarr", plan.n_blocks)
        plan.write(temporary, _name(image, path), watcher)


def write_collection(
    images: Sequence[SpatialImage], path: Path, progress: Progress | None = None
) -> None:
    """Write every image of a file as one OME-Zarr, in the layout of bioformats2raw.

    Parameters
    ----------
    images : sequence of SpatialImage
        At least one. Labels, photographs and overviews keep their roles.
    path : Path
        The folder to make; the images are its groups ``0``, ``1``...
    progress : Progress
        As for :func:`write_ome_zarr`.

    Raises
    ------
    WriteError
        As :func:`write_ome_zarr`, or if there is no image.
    """
    if not images:
        raise WriteError(path, "there is no image to write", "name a file that holds one")
    plans = [_Plan(image, path) for image in images]
    watcher = progress or Silent()
    with replacing(path) as temporary:
        create_group(temporary)
        watcher.begin("writing OME-Zarr", sum(plan.n_blocks for plan in plans))
        for i, plan in enumerate(plans):
            plan.write(temporary / str(i), plan.image.source.image_name or str(i), watcher)
        create_group(temporary / "OME")
        series = [str(i) for i in range(len(plans))]
        write_attributes(temporary / "OME", {"ome": {"version": _VERSION, "series": series}})
        layout = {"version": _VERSION, "bioformats2raw.layout": 3}
        write_attributes(temporary, {"ome": layout})


class _Plan:
    """What writing one image takes: its axes, its levels and how they are cut."""

    def __init__(self, image: SpatialImage, path: Path) -> None:
        if image.dtype.kind not in "biuf" or image.dtype.itemsize > 8:
            raise WriteError(path, f"voxels of type {image.dtype} cannot be stored", "convert them")
        self.image = image
        self.axes = _axes(image)
        self.steps = pyramid_factors(image.grid.shape, image.grid.voxel_size_um)
        self.layouts = _layouts(image, self.steps)
        self.n_blocks = sum(len(layout.blocks()) for layout in self.layouts)

    def write(self, folder: Path, name: str, watcher: Progress) -> None:
        """Make the group `folder` of it."""
        image, axes, layouts = self.image, self.axes, self.layouts
        create_group(folder)
        arrays = [
            create_array(
                folder / str(k),
                _keep(layout.shape, axes),
                image.dtype,
                _keep(layout.chunks, axes),
                None if layout.shards is None else _keep(layout.shards, axes),
                axes,
            )
            for k, layout in enumerate(layouts)
        ]
        _write_full_resolution(image, arrays[0], layouts[0], axes, watcher)
        for k, factors in enumerate(self.steps, start=1):
            _write_means(
                arrays[k - 1 : k + 1],
                layouts[k - 1 : k + 1],
                factors,
                axes,
                _names_objects(image),
                watcher,
            )
        # last of all: a folder without attributes is recognisably unfinished
        windows = _windows(image, arrays[-1], layouts[-1], axes)
        write_attributes(folder, _attributes(image, name, axes, self.steps, windows))


def _names_objects(image: SpatialImage) -> bool:
    return image.is_labels or bool(image.metadata.get("is_label"))


def _name(image: SpatialImage, path: Path) -> str:
    return image.source.image_name or path.name.removesuffix(".zarr").removesuffix(".ome")


class _Layout:
    """How one level is cut: chunks (files), shards (files of many chunks), blocks (in memory)."""

    def __init__(self, shape: Sequence[int], itemsize: int) -> None:
        self.shape = tuple(int(n) for n in shape)
        chunk = _PLANE_CHUNK if self.shape[2] == 1 else _VOLUME_CHUNK
        self.chunks = (1, 1, *(min(c, n) for c, n in zip(chunk, self.shape[2:], strict=True)))
        n_files = math.prod(-(-n // c) for n, c in zip(self.shape, self.chunks, strict=True))
        grown = _grown(self.chunks, self.shape, itemsize)
        self.shards = grown if n_files > _MOST_FILES else None
        self.block = grown

    def blocks(self) -> list[Slices]:
        """Regions that cover the level, each of whole chunks and shards."""
        ranges = [range(0, n, b) for n, b in zip(self.shape, self.block, strict=True)]
        return [
            tuple(
                slice(start, min(start + b, n))
                for start, b, n in zip(starts, self.block, self.shape, strict=True)
            )
            for starts in itertools.product(*ranges)
        ]


def _grown(chunks: tuple[int, ...], shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Chunks doubled along y and x (then z) as far as memory allows.

    Wide blocks meet the source's planes few times: a plane-wise source would otherwise be decoded
    once for each of the small chunks that it crosses.
    """
    block = list(chunks)
    while True:
        wider = [i for i in (3, 4) if block[i] < shape[i]] or [
            i for i in (2,) if block[i] < shape[i]
        ]
        if not wider or 2 * math.prod(block) * itemsize > BLOCK_BYTES:
            return tuple(block)
        block[min(wider, key=lambda i: block[i])] *= 2


def _layouts(image: SpatialImage, steps: Sequence[Factors]) -> list[_Layout]:
    shape = [int(n) for n in image.levels[0].shape]
    layouts = [_Layout(shape, image.dtype.itemsize)]
    for factors in steps:
        shape = [*shape[:2], *(-(-n // f) for n, f in zip(shape[2:], factors, strict=True))]
        layouts.append(_Layout(shape, image.dtype.itemsize))
    return layouts


def _axes(image: SpatialImage) -> str:
    """The file's axes: those of the source, and any that has more than one entry."""
    lengths = dict(zip(AXES, image.levels[0].shape, strict=True))
    return "".join(a for a in AXES if a in image.source.axes or a in "yx" or lengths[a] > 1)


def _keep(values: Sequence[Any], axes: str) -> tuple[Any, ...]:
    """Of one value per t, c, z, y, x those of the file's axes."""
    return tuple(v for a, v in zip(AXES, values, strict=True) if a in axes)


def _write_full_resolution(
    image: SpatialImage, array: Any, layout: _Layout, axes: str, progress: Progress
) -> None:
    for where in layout.blocks():
        block = image.levels[0][where].compute(scheduler="threads", num_workers=_WORKERS)
        _store(array, axes, where, np.asarray(block, dtype=image.dtype))
        progress.advance()


def _write_means(
    arrays: Sequence[Any],
    layouts: Sequence[_Layout],
    factors: Factors,
    axes: str,
    labels: bool,
    progress: Progress,
) -> None:
    """Fill a level with the means of the level just written."""
    fine, coarse = layouts
    for where in coarse.blocks():
        source = (
            *where[:2],
            *(
                slice(w.start * f, min(w.stop * f, n))
                for w, f, n in zip(where[2:], factors, fine.shape[2:], strict=True)
            ),
        )
        # the source is up to eight times the block: take it in slabs along z, then rows
        block = np.empty([w.stop - w.start for w in where], dtype=arrays[1].dtype)
        for part in _slabs(where, factors, block.dtype.itemsize):
            wanted = tuple(
                slice(s.start + p.start * f, min(s.start + p.stop * f, s.stop))
                for s, p, f in zip(source, part, (1, 1, *factors), strict=True)
            )
            block[part] = mean_downsample(_load(arrays[0], axes, wanted), factors, labels=labels)
        _store(arrays[1], axes, where, block)
        progress.advance()


def _slabs(where: Slices, factors: Factors, itemsize: int) -> Iterator[Slices]:
    """Parts of a block (relative to it) whose sources fit in memory and meet whole chunks."""
    lengths = [w.stop - w.start for w in where]
    z_chunk = max(1, _VOLUME_CHUNK[0] // factors[0])
    y_chunk = max(1, _VOLUME_CHUNK[1] // factors[1])
    row_bytes = lengths[4] * math.prod(factors) * itemsize
    rows = max(1, (BLOCK_BYTES // 4) // (min(z_chunk, lengths[2]) * row_bytes))
    rows = max(1, rows // y_chunk) * y_chunk if rows >= y_chunk else rows
    for z0 in range(0, lengths[2], z_chunk):
        for y0 in range(0, lengths[3], rows):
            yield (
                slice(0, lengths[0]),
                slice(0, lengths[1]),
                slice(z0, min(z0 + z_chunk, lengths[2])),
                slice(y0, min(y0 + rows, lengths[3])),
                slice(0, lengths[4]),
            )


def _store(array: Any, axes: str, where: Slices, block: NDArray[Any]) -> None:
    absent = tuple(i for i, a in enumerate(AXES) if a not in axes)
    array[_keep(where, axes)] = block.squeeze(axis=absent) if absent else block


def _load(array: Any, axes: str, where: Slices) -> NDArray[Any]:
    absent = tuple(i for i, a in enumerate(AXES) if a not in axes)
    return np.expand_dims(np.asarray(array[_keep(where, axes)]), absent)


def _windows(
    image: SpatialImage, array: Any, layout: _Layout, axes: str
) -> list[tuple[float, float]]:
    """Display limits of each channel: the image's own, else the extremes of the coarsest level."""
    windows = []
    whole = tuple(slice(0, n) for n in layout.shape)
    for c, channel in enumerate(image.channels):
        if channel.display_range is not None:
            windows.append(channel.display_range)
            continue
        first = _load(array, axes, (slice(0, 1), slice(c, c + 1), *whole[2:]))
        values = first[np.isfinite(first)] if first.dtype.kind == "f" else first
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        windows.append((low, high if high > low else low + 1.0))
    return windows


def _attributes(
    image: SpatialImage,
    name: str,
    axes: str,
    steps: Sequence[Factors],
    windows: Sequence[tuple[float, float]],
) -> dict[str, Any]:
    spacing = np.array(image.grid.voxel_size_um)
    origin = image.grid.index_to_world[:3, 3]
    factors = np.ones(3)
    datasets = []
    for k, step in enumerate([(1, 1, 1), *steps]):
        factors = factors * step
        scale = [image.time_step_s or 1.0, 1.0, *(spacing * factors).tolist()]
        place = [0.0, 0.0, *(origin + spacing * (factors - 1) / 2).tolist()]
        transforms = [
            {"type": "scale", "scale": list(_keep(scale, axes))},
            {"type": "translation", "translation": list(_keep(place, axes))},
        ]
        datasets.append({"path": str(k), "coordinateTransformations": transforms})
    multiscale = {
        "name": name,
        "axes": _axes_json(image, axes),
        "datasets": datasets,
        "type": "mode" if _names_objects(image) else "mean",
    }
    ome: dict[str, Any] = {"version": _VERSION, "multiscales": [multiscale]}
    if image.is_labels and image.dtype.kind in "iu":
        ome["image-label"] = _label_json(image)
    else:
        ome["omero"] = {"channels": _channels_json(image, windows)}
    return {
        "ome": ome,
        "bridgecorr": {
            "version": 1,
            "index_to_world": image.grid.index_to_world.tolist(),
            "voxel_size_known": list(image.voxel_size_known),
            "is_label": _names_objects(image),
            "role": image.source.role,
            "channels": [_channel_extras(channel) for channel in image.channels],
        },
    }


def _label_json(image: SpatialImage) -> dict[str, Any]:
    """``image-label``: colours and properties of the labels, where the image has them."""
    described: dict[str, Any] = {"version": _VERSION}
    colours, properties = (
        {int(value): entry for value, entry in found.items()} if isinstance(found, Mapping) else {}
        for found in (image.metadata.get(k) for k in ("label_colours", "label_properties"))
    )
    # validators want both lists to name the same labels
    both = dict.fromkeys([*colours, *properties])
    if colours:
        described["colors"] = [
            {"label-value": v} | ({"rgba": _rgba(str(colours[v]))} if v in colours else {})
            for v in both
        ]
    if properties:
        described["properties"] = [{"label-value": v, **properties.get(v, {})} for v in both]
    return described


def _rgba(colour: str) -> list[int]:
    """Of ``#RRGGBB`` or ``#RRGGBBAA``."""
    return [*bytes.fromhex((colour.removeprefix("#") + "FF")[:8])]


def _channel_extras(channel: Channel) -> dict[str, Any]:
    """What OME-Zarr has no place for, or where it asks for a value that the image has not.

    Viewers would take a label image's ``omero`` for that of intensities, so that its channel is
    described here alone.
    """
    extras: dict[str, Any] = {
        "name": channel.name,
        "color": channel.colour,
        "window": None,
    }
    if channel.display_range is not None:
        start, end = channel.display_range
        extras["window"] = {"start": start, "end": end}
    for key in ("metal", "excitation_nm", "emission_nm"):
        if getattr(channel, key) is not None:
            extras[key] = getattr(channel, key)
    return extras


def _axes_json(image: SpatialImage, axes: str) -> list[dict[str, str]]:
    listed = []
    for axis in axes:
        kind = {"t": "time", "c": "channel"}.get(axis, "space")
        entry = {"name": axis, "type": kind}
        if kind == "space" and image.voxel_size_known["zyx".index(axis)]:
            entry["unit"] = "micrometer"
        if axis == "t" and image.time_step_s is not None:
            entry["unit"] = "second"
        listed.append(entry)
    return listed


def _channels_json(
    image: SpatialImage, windows: Sequence[tuple[float, float]]
) -> list[dict[str, Any]]:
    integers = image.dtype.kind in "iu"
    extremes = np.iinfo(image.dtype) if integers else None
    channels = []
    for channel, (low, high) in zip(image.channels, windows, strict=True):
        window = {
            "start": low,
            "end": high,
            "min": float(extremes.min) if extremes else low,
            "max": float(extremes.max) if extremes else high,
        }
        colour = (channel.colour or "#FFFFFF").removeprefix("#")
        channels.append({"label": channel.name, "color": colour, "active": True, "window": window})
    return channels
