"""Images to napari layers and back. Pixels are never resampled and stay lazy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import Colormap, ensure_colormap
from numpy.typing import NDArray

from ..errors import GeometryError
from ..geometry import Grid, Placement
from ..image import MISSING_SCALE, RGBA, Channel, Source, SpatialImage
from ..workflow.thumbnails import (
    CHANNEL_COLOURS,
    GREY,
    display_colour,
    overview_channels,
)
from .frames import (
    METADATA_KEY,
    SPATIAL_AXES,
    SPATIAL_UNITS,
    ImageTag,
    place_layer,
    same_place,
    tag_of,
    transform_arguments,
    upright_frame,
    world_matrix,
)

if TYPE_CHECKING:
    from napari.layers import Image, Layer

LayerData = tuple[Any, dict[str, Any], str]

MEMORY_FORMAT = "memory"
"""`Source.format` of an image that is in no file."""

UNSAVED_FORMATS = (MEMORY_FORMAT, "phantom")
"""Formats of images that no file holds."""

# napari has colormaps of its own for these
_NAPARI_NAMES = dict(
    zip(CHANNEL_COLOURS, ("green", "magenta", "cyan", "yellow", "red", "blue"), strict=True)
) | {GREY: "gray"}
_GREY_TINT = "#FFB02E"
# of more channels than this only those of the overview are shown at first
_MOST_SHOWN = 6
# contrast is judged on at most so many voxels, from three planes of the coarsest level
_MOST_JUDGED = 2_000_000
_CROP = 512
_LOW_PERCENTILE, _BACKGROUND_PERCENTILE, _HIGH_PERCENTILE = 0.5, 50.0, 99.7


def image_to_layers(image: SpatialImage, *, upright: bool = False) -> list[LayerData]:
    """One napari layer per channel, lazy, at its place in world um.

    A photograph (slide label, preview, optical image) becomes one layer in its own colours.

    Parameters
    ----------
    image : SpatialImage
        A flat image becomes layers of one z plane, so that landmarks have the same three axes
        everywhere.
    upright : bool
        Show it along its own axes from 0 instead of at its place in the world, which the layers
        remember.

    Returns
    -------
    list of (data, arguments, "image" or "labels")
    """
    frame = upright_frame(image.grid) if upright else np.eye(4)
    matrix = np.diag([*image.grid.voxel_size_um, 1.0]) if upright else image.grid.index_to_world
    has_time = image.n_times > 1
    shared: dict[str, Any] = {
        "axis_labels": ("t", *SPATIAL_AXES) if has_time else SPATIAL_AXES,
        "units": SPATIAL_UNITS,
        "multiscale": len(image.levels) > 1,
        **transform_arguments(matrix, 4 if has_time else 3, _time_scale(image)),
    }
    if has_time:
        shared["units"] = ("s" if image.time_step_s else "pixel", *SPATIAL_UNITS)
    if is_photograph(image):
        colours = [_colours_last(level, has_time) for level in image.levels]
        arguments = {
            **shared,
            "name": image.name,
            "rgb": True,
            "metadata": {METADATA_KEY: ImageTag(image, 0, frame)},
        }
        return [(colours if len(colours) > 1 else colours[0], arguments, "image")]
    is_label = image.is_labels
    shown = overview_channels(image)
    found: list[LayerData] = []
    for number, channel in enumerate(image.channels):
        levels = [level[:, number] if has_time else level[0, number] for level in image.levels]
        arguments = {
            **shared,
            "name": image.name if len(image.channels) == 1 else f"{image.name} {channel.name}",
            "metadata": {METADATA_KEY: ImageTag(image, number, frame)},
        }
        if not is_label:
            # one plane at a time, also where a thick slice shows the landmarks near it
            arguments["projection_mode"] = "none"
            arguments["colormap"] = channel_colormap(image, number)
            many = len(image.channels) > 1
            # most of a fluorescence stack is background, which would veil what lies below it
            low = _BACKGROUND_PERCENTILE if many else _LOW_PERCENTILE
            arguments["contrast_limits"] = channel.display_range or (
                # a camera's colours are right as they are
                (0, 255) if image.is_colour_picture else display_range(image, number, low)
            )
            if many:
                arguments["blending"] = "additive"
            if len(image.channels) > _MOST_SHOWN:
                arguments["visible"] = number in shown
        data = levels if len(levels) > 1 else levels[0]
        found.append((data, arguments, "labels" if is_label else "image"))
    return found


def is_photograph(image: SpatialImage) -> bool:
    """Whether the image is shown as one layer in a camera's colours.

    What an instrument was asked to image keeps its channels, which registration needs.
    """
    return image.source.role not in ("image", "labels") and image.is_colour_picture


def _colours_last(level: Any, has_time: bool) -> Any:
    """(t, c, z, y, x) as napari wants a colour picture: ([t,] z, y, x, c)."""
    from dask.array import moveaxis

    colours = moveaxis(level, 1, -1)
    return colours if has_time else colours[0]


def channel_colormap(image: SpatialImage, number: int) -> Colormap | str:
    """Black to the channel's colour."""
    colour = display_colour(image, number)
    if colour in _NAPARI_NAMES and image.channels[number].colour in (None, GREY):
        return _NAPARI_NAMES[colour]
    rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return Colormap([[0.0, 0.0, 0.0, 1.0], [*rgb, 1.0]], name=colour)


def tint_colormap(colormap: Colormap | str) -> Colormap:
    """From clear to the colour: lies over a bright image without drowning in it, as a sum would."""
    end = ensure_colormap(colormap).colors[-1][:3]
    if np.ptp(end) == 0:  # grey over grey would show nothing
        end = np.array([int(_GREY_TINT[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return Colormap([[*end, 0.0], [*end, 1.0]], name=f"tint {_hex(end)}")


def _hex(colour: NDArray[np.floating[Any]]) -> str:
    return "#" + "".join(f"{round(255 * float(v)):02X}" for v in colour)


def display_range(
    image: SpatialImage, number: int, low_percentile: float = _LOW_PERCENTILE
) -> tuple[float, float]:
    """Robust contrast limits of a channel, from a little of the coarsest level."""
    if image.is_colour_picture:
        return 0.0, 255.0
    level = image.levels[-1][0, number]
    if level.size > _MOST_JUDGED:
        n_z = level.shape[0]
        planes = sorted({n_z // 4, n_z // 2, 3 * n_z // 4})
        y, x = (slice(max(0, n // 2 - _CROP), n // 2 + _CROP) for n in level.shape[1:])
        level = level[planes, y, x]
    values = np.asarray(level.compute(), dtype=np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (low_percentile, _HIGH_PERCENTILE)))
    if high <= low:  # a sparse picture: nearly all of it is background
        low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1.0)


def image_of_layer(layer: Layer) -> SpatialImage:
    """The image behind a layer, at the place where the layer now is.

    A layer that we did not make becomes an image of one channel (an RGB layer of three) with the
    place that its scale, affine and units state; where it has no units, one unit is taken as 1 um.

    Raises
    ------
    GeometryError
        If the layer's transform describes no volume.
    """
    matrix = world_matrix(layer)
    tag = tag_of(layer)
    if not isinstance(tag, ImageTag):
        return _image_of_foreign_layer(layer, matrix)
    image = tag.image
    if same_place(matrix, image.grid.index_to_world):
        return image
    moved = matrix @ image.grid.world_to_index
    return replace(
        image,
        grids=tuple(Grid(g.shape, moved @ g.index_to_world) for g in image.grids),
        voxel_size_known=(True, True, True),
        warnings=tuple(w for w in image.warnings if not w.startswith(MISSING_SCALE)),
        placement=Placement(),  # it no longer tells where the image is
    )


def show_upright(layer: Layer, upright: bool) -> None:
    """Show an image's layer along its own axes, or at its place in the world again."""
    image = image_of_layer(layer)
    tag = tag_of(layer)
    channel = tag.channel if isinstance(tag, ImageTag) else 0
    if layer.ndim < 3:  # a flat foreign layer is always drawn as it is
        return
    frame = upright_frame(image.grid) if upright else np.eye(4)
    shown = np.diag([*image.grid.voxel_size_um, 1.0]) if upright else image.grid.index_to_world
    layer.metadata = {**layer.metadata, METADATA_KEY: ImageTag(image, channel, frame)}
    layer.units = (*layer.units[:-3], *SPATIAL_UNITS)
    place_layer(layer, shown)


def set_voxel_size(layers: Sequence[Layer], spacing_um: tuple[float, float, float]) -> None:
    """Answer the missing voxel size of the image behind `layers`: its channels stay one image.

    Raises
    ------
    GeometryError
        If the lengths are not positive.
    """
    tags = [tag for layer in layers if isinstance(tag := tag_of(layer), ImageTag)]
    if not tags:
        return
    image = tags[0].image.with_voxel_size(spacing_um)
    size = np.diag([*image.grid.voxel_size_um, 1.0])
    for layer, tag in zip(layers, tags, strict=True):
        is_in_world = np.array_equal(tag.frame, np.eye(4))
        frame = np.eye(4) if is_in_world else upright_frame(image.grid)
        layer.metadata = {**layer.metadata, METADATA_KEY: ImageTag(image, tag.channel, frame)}
        place_layer(layer, image.grid.index_to_world if is_in_world else size)


def _time_scale(image: SpatialImage) -> tuple[float, ...]:
    return (image.time_step_s or 1.0,) if image.n_times > 1 else ()


def _image_of_foreign_layer(layer: Any, matrix: NDArray[np.float64]) -> SpatialImage:
    from dask.array import asarray, moveaxis

    is_rgb = bool(getattr(layer, "rgb", False))
    stored = list(layer.data) if getattr(layer, "multiscale", False) else [layer.data]
    if 0 in stored[0].shape:
        raise GeometryError(f"{layer.name} is empty (it has no voxels): choose another image")
    levels = []
    for data in stored:
        level = asarray(data)
        colours = moveaxis(level, -1, 0)[:3] if is_rgb else level[None]  # (c, ..., y, x)
        while colours.ndim < 4:
            colours = colours[:, None]
        colours = colours.reshape(len(colours), -1, *colours.shape[-3:])  # (c, t, z, y, x)
        levels.append(moveaxis(colours, 0, 1))
    full = np.array(levels[0].shape[2:])
    grids = []
    for level in levels:
        # as in a pyramid of means: the first coarse voxel's centre lies half a step inside
        factor = full / np.array(level.shape[2:])
        step = np.diag([*factor, 1.0])
        step[:3, 3] = (factor - 1) / 2
        grids.append(Grid(level.shape[2:], matrix @ step))
    channels = RGBA[:3] if is_rgb else (Channel(layer.name),)
    is_labels = type(layer).__name__ == "Labels"
    known = layer.units[-1].dimensionality == {"[length]": 1}
    return SpatialImage(
        levels=tuple(levels),
        grids=tuple(grids),
        channels=channels,
        source=Source(
            _foreign_path(layer),
            MEMORY_FORMAT,
            image_name=layer.name,
            role="labels" if is_labels else "image",
        ),
        metadata={"is_label": is_labels},
        warnings=()
        if known
        else (f"the layer {layer.name!r} states no unit: its numbers are taken as um",),
    )


def _foreign_path(layer: Image) -> Path:
    # only its name is shown: what another plugin read need not be what our readers would read
    return Path(layer.name)
