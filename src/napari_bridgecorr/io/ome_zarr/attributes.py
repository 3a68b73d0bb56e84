"""What an OME-Zarr's metadata say of an image: OME attributes, and ours beside them.

NGFF 0.5 can only state a scale and a translation per axis. The exact 4 x 4 affine of the full
resolution (rotations, mirrorings) therefore stands beside them, in the attribute ``bridgecorr``,
which our reader obeys and others ignore.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...image import AXES, Channel, SpatialImage
from ..pyramid import Factors
from .job import kept, load

VERSION = "0.5"

STATED = ("outside_value",)
"""Entries of an image's metadata that the file keeps: what stands where there are no data."""


def file_axes(image: SpatialImage) -> str:
    """The file's axes: those of the source, and any that has more than one entry."""
    lengths = dict(zip(AXES, image.levels[0].shape, strict=True))
    return "".join(a for a in AXES if a in image.source.axes or a in "yx" or lengths[a] > 1)


def names_objects(image: SpatialImage) -> bool:
    """Whether coarser levels are made of commonest values instead of means."""
    return image.is_labels or bool(image.metadata.get("is_label"))


def display_windows(image: SpatialImage, array: Any, axes: str) -> list[tuple[float, float]]:
    """Display limits of each channel: the image's own, else the extremes of the coarsest level."""
    windows = []
    whole = (slice(None),) * 3
    for c, channel in enumerate(image.channels):
        if channel.display_range is not None:
            windows.append(channel.display_range)
            continue
        first = load(array, axes, (slice(0, 1), slice(c, c + 1), *whole))
        values = first[np.isfinite(first)] if first.dtype.kind == "f" else first
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        windows.append((low, high if high > low else low + 1.0))
    return windows


def group_attributes(
    image: SpatialImage,
    name: str,
    axes: str,
    steps: Sequence[Factors],
    windows: Sequence[tuple[float, float]],
) -> dict[str, Any]:
    """Attributes of an image's group.

    Parameters
    ----------
    image : SpatialImage
    name : str
    axes : str
        The file's, of ``tczyx``.
    steps : sequence of (fz, fy, fx)
        From each level to the next.
    windows : sequence of (float, float)
        Display limits, one per channel.
    """
    spacing = np.array(image.grid.voxel_size_um)
    origin = image.grid.index_to_world[:3, 3]
    factors = np.ones(3)
    datasets = []
    for k, step in enumerate([(1, 1, 1), *steps]):
        factors = factors * step
        scale = [image.time_step_s or 1.0, 1.0, *(spacing * factors).tolist()]
        place = [0.0, 0.0, *(origin + spacing * (factors - 1) / 2).tolist()]
        transforms = [
            {"type": "scale", "scale": list(kept(scale, axes))},
            {"type": "translation", "translation": list(kept(place, axes))},
        ]
        datasets.append({"path": str(k), "coordinateTransformations": transforms})
    multiscale = {
        "name": name,
        "axes": _axes_json(image, axes),
        "datasets": datasets,
        "type": "mode" if names_objects(image) else "mean",
    }
    ome: dict[str, Any] = {"version": VERSION, "multiscales": [multiscale]}
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
            "is_label": names_objects(image),
            "role": image.source.role,
            "channels": [_channel_extras(channel) for channel in image.channels],
            **{k: image.metadata[k] for k in STATED if k in image.metadata},
        },
    }


def _label_json(image: SpatialImage) -> dict[str, Any]:
    """``image-label``: colours and properties of the labels, where the image has them."""
    described: dict[str, Any] = {"version": VERSION}
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
