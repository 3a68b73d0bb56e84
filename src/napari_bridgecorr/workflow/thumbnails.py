"""Small colour pictures of images, read from the coarsest level that is fine enough."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..image import RGBA, SpatialImage
from ..progress import Progress, Silent

Picture = NDArray[np.uint8]

CHANNEL_COLOURS = ("#00FF00", "#FF00FF", "#00FFFF", "#FFFF00", "#FF0000", "#0000FF")
"""For channels whose file gives no colour, in turn: napari's green, magenta, cyan..."""
GREY = "#FFFFFF"

_MOST_CHANNELS = 4
# both isotopes of the DNA stain: of forty metals the one that shows where the tissue is
_OVERVIEW_METALS = ("Ir191", "Ir193")
_MOST_PIXELS_AT_ONCE = 4_000_000
_LOW_PERCENTILE, _BACKGROUND_PERCENTILE, _HIGH_PERCENTILE = 1.0, 30.0, 99.6
# steps of the golden angle tell neighbouring labels apart
_GOLDEN = 0.618033988749895


def thumbnail(
    image: SpatialImage,
    size_px: int = 96,
    *,
    channels: tuple[int, ...] | None = None,
    progress: Progress | None = None,
) -> Picture:
    """The middle plane of the first time point, its channels laid over one another.

    Parameters
    ----------
    image : SpatialImage
    size_px : int
        Length of the picture's longer side; pixels are square in the world.
    channels : tuple of int, optional
        By default the first few, or the DNA stain of a mass-cytometry image.
    progress : Progress, optional
        Also cancels.

    Returns
    -------
    (height, width, 3) uint8

    Raises
    ------
    ReadError
        If the file is damaged there.
    Cancelled
    """
    progress = progress or Silent()
    chosen = overview_channels(image) if channels is None else channels[:_MOST_CHANNELS]
    progress.begin("making a thumbnail", len(chosen))
    height, width = _picture_size(image, size_px)
    picture = np.zeros((height, width, 3))
    for number in chosen:
        plane = _middle_plane(image, number, size_px, progress)
        small = _resized(plane, (height, width), nearest=image.is_labels)
        if image.is_labels:
            picture += _label_colours(small)
        else:
            colour = np.array(_rgb(display_colour(image, number)))
            picture += _stretched(small, image, len(chosen))[..., None] * colour
        progress.advance()
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def overview_channels(image: SpatialImage) -> tuple[int, ...]:
    """The channels that a thumbnail shows."""
    stains = [i for i, c in enumerate(image.channels) if c.metal in _OVERVIEW_METALS]
    if stains and len(image.channels) > _MOST_CHANNELS:
        return (stains[0],)
    shown = 3 if image.is_colour_picture else _MOST_CHANNELS  # what is clear has no colour
    return tuple(range(min(len(image.channels), shown)))


def display_colour(image: SpatialImage, number: int) -> str:
    """``#RRGGBB``: the file's colour; white for a lone channel, else distinct colours in turn."""
    channel = image.channels[number]
    if channel.colour and channel.colour.upper() != GREY:
        return channel.colour.upper()
    if image.is_colour_picture and number < 3:
        return RGBA[number].colour or GREY
    if len(image.channels) == 1 or channel.colour:
        return GREY
    return CHANNEL_COLOURS[number % len(CHANNEL_COLOURS)]


def _picture_size(image: SpatialImage, size_px: int) -> tuple[int, int]:
    _, *size_um = image.grid.voxel_size_um
    lengths = np.array([n * s for n, s in zip(image.grid.shape[1:], size_um, strict=True)])
    height, width = np.maximum(1, np.round(size_px * lengths / lengths.max())).astype(int)
    return int(height), int(width)


def _middle_plane(
    image: SpatialImage, channel: int, size_px: int, progress: Progress
) -> NDArray[Any]:
    """(y, x) values of a level that has about `size_px` pixels, thinned out where it has more."""
    fine_enough = [i for i, g in enumerate(image.grids) if max(g.shape[1:]) >= size_px]
    level = max(fine_enough, default=0)
    n_z, n_y, n_x = image.grids[level].shape
    z = n_z // 2
    step = max(1, max(n_y, n_x) // (4 * size_px))
    rows = max(step, _MOST_PIXELS_AT_ONCE // n_x // step * step)
    strips = []
    for start in range(0, n_y, rows):
        progress.advance(0)
        stop = min(n_y, start + rows)
        box = image.read(level, (0, channel, z, start, 0), (1, channel + 1, z + 1, stop, n_x))
        strips.append(np.asarray(box)[0, 0, 0, ::step, ::step])
    return np.concatenate(strips)


def _resized(plane: NDArray[Any], shape: tuple[int, int], *, nearest: bool) -> NDArray[Any]:
    """Means of what falls into each pixel, or the nearest value where the plane is the smaller."""
    for axis, n in enumerate(shape):
        have = plane.shape[axis]
        if nearest or have <= n:
            at = np.minimum(((np.arange(n) + 0.5) * have / n).astype(int), have - 1)
            plane = plane.take(at, axis)
        else:
            edges = np.arange(n) * have // n
            counts = np.diff([*edges, have])
            sums = np.add.reduceat(plane.astype(np.float64), edges, axis)
            plane = sums / (counts[:, None] if axis == 0 else counts)
    return plane


def _stretched(values: NDArray[Any], image: SpatialImage, n_channels: int) -> NDArray[np.float64]:
    """Values between two percentiles as 0 to 1; NaN as 0."""
    if image.is_colour_picture:
        return np.asarray(values, dtype=np.float64) / 255
    values = np.asarray(values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.zeros(values.shape)
    below = _LOW_PERCENTILE if n_channels == 1 else _BACKGROUND_PERCENTILE
    low, high = np.percentile(finite, (below, _HIGH_PERCENTILE))
    if high <= low:  # a sparse picture: nearly all of it is background
        low, high = finite.min(), finite.max()
    if high <= low:
        return np.where(np.isfinite(values), 0.5, 0.0).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nan_to_num(np.clip((values - low) / (high - low), 0, 1)))


def _label_colours(labels: NDArray[Any]) -> NDArray[np.float64]:
    """(y, x, 3): a hue for each label; 0 is black."""
    hue = 6 * np.mod(labels.astype(np.float64) * _GOLDEN, 1.0)
    wheel = np.stack([np.abs(hue - 3) - 1, 2 - np.abs(hue - 2), 2 - np.abs(hue - 4)], axis=-1)
    colours = 0.25 + 0.75 * np.clip(wheel, 0, 1)
    return np.asarray(np.where((labels == 0)[..., None], 0.0, colours))


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue
