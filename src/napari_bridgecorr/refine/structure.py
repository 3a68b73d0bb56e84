"""What an automatic registration looks at: the tissue in an image, whatever its stain or contrast.

A colour picture becomes one grey image, how much a pixel differs from the empty background; other
images keep their intensities. The voxels are cubes (squares where the image is flat), so that a
rotation is a rotation of the indices too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import RefineError
from ..geometry import Grid
from ..image import SpatialImage
from .working_image import working_grid, working_image

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

_BORDER = 0.03  # of an image's width is looked at for the background
_BINS = 24
_NOISE_SHARE = 0.05  # of an image's variance is not structure
_SATURATION = 0.5  # of the middle tissue's depth of colour


@dataclass(frozen=True, eq=False)
class Structure:
    """Tissue on a grid of cubes.

    Parameters
    ----------
    values : (z, y, x) float32
        About 0 for background, about 1 for the strongest tissue; 0 where there is no data.
    valid : (z, y, x) float32
        1 where there is data that counts, else 0; between them in averages.
    grid : Grid
    is_positive : bool
        Whether tissue is surely above the background (else either may be the brighter one).
    """

    values: Float32Array
    valid: Float32Array
    grid: Grid
    is_positive: bool

    @property
    def step_um(self) -> float:
        """Edge of a voxel along the axes that have several."""
        sizes = np.asarray(self.grid.voxel_size_um)
        return float(sizes[-1] if self.grid.shape[0] == 1 else sizes.max())

    @property
    def noise(self) -> float:
        """Variance below which a window is taken to be empty."""
        known = self.values[self.valid > 0.5]
        return max(_NOISE_SHARE * float(np.var(known, dtype=np.float64)), 1e-6)

    @property
    def tissue(self) -> NDArray[np.bool_]:
        """Where there is tissue, by Otsu's threshold; everywhere if that tells nothing apart."""
        known = self.valid > 0.5
        marked = known & (self.values > otsu_threshold(self.values[known]))
        share = marked.sum() / max(int(known.sum()), 1)
        return marked if 0.01 < share < 0.95 else known

    def halved(self) -> Structure:
        """Means of 2 x 2 (x 2) voxels."""
        factors = tuple(2 if n > 1 else 1 for n in self.values.shape)
        weight = _pooled(self.valid, factors)
        total = _pooled(self.values * self.valid, factors)
        values = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
        return Structure(values, weight, self.grid.averaged(factors), self.is_positive)


def structure_of(
    image: SpatialImage,
    longest: int,
    *,
    step_um: float | None = None,
    channel: str | int | None = None,
    time: int = 0,
    mask: SpatialImage | None = None,
) -> Structure:
    """The tissue of an image, `longest` voxels along its longest axis.

    Parameters
    ----------
    image : SpatialImage
        Of any size; only a level that is fine enough is read.
    longest : int
        The most voxels along an axis.
    step_um : float, optional
        Edge of the voxels; by default the longest axis is divided into `longest`, and a voxel is
        never smaller than the image's own smallest one.
    channel : str or int, optional
        By default the whole of a colour picture, else the first channel.
    time : int
    mask : SpatialImage, optional
        What counts (not 0), in the image's world.

    Raises
    ------
    RefineError
        If the image is uniform, or nothing of it lies within the mask.
    """
    grid = cubic_grid(image.grid, longest, step_um)
    if channel is None and image.is_colour_picture:
        parts = [working_image(image, grid, channel=c, time=time, mask=mask) for c in range(3)]
        values, is_positive = _difference_from_background(np.stack([p.array for p in parts]))
    else:
        parts = [working_image(image, grid, channel=channel or 0, time=time, mask=mask)]
        values, is_positive = parts[0].array, False
    valid = parts[0].valid & np.isfinite(values)
    if int(valid.sum()) < 64:
        raise RefineError(
            f"{image.name}: next to nothing of the image is left to look at; check the mask"
        )
    low, high = np.percentile(values[valid], [0.5, 99.5])
    if not high > low:
        raise RefineError(
            f"{image.name}: the image is the same everywhere, so nothing in it can be matched; "
            f"choose another channel"
        )
    scaled = np.clip((values - low) / (high - low), 0.0, 1.2)
    if is_positive:
        scaled = _saturated(scaled, valid)
    return Structure(
        np.where(valid, scaled, 0.0).astype(np.float32),
        valid.astype(np.float32),
        grid,
        is_positive,
    )


def cubic_grid(grid: Grid, longest: int, step_um: float | None = None) -> Grid:
    """The extent of a grid in cubes, squares where it is flat."""
    size = np.asarray(grid.voxel_size_um)
    wide = np.asarray(grid.shape) > 1
    if not wide[1:].all():
        raise RefineError(
            "an image that is a single line of voxels cannot be registered by its content"
        )
    extent = float(np.max((size * grid.shape)[wide]))
    step = max(extent / longest, float(size[wide].min())) if step_um is None else step_um
    return working_grid(grid, np.where(wide, step, size), upsample=True)


def otsu_threshold(values: NDArray[np.floating]) -> float:
    """The threshold that parts values into two classes with the least variance within (Otsu)."""
    counts, edges = np.histogram(values, bins=128)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1 + int(np.nanargmax(np.where(np.isfinite(between), between, -1)))])


def _difference_from_background(colours: Float32Array) -> tuple[Float32Array, bool]:
    """(z, y, x) how far a (3, z, y, x) picture is from its background colour, towards the tissue.

    The background is the commonest colour of the border. In brightfield it is brighter than the
    picture as a whole, in darkfield darker: tissue is what differs in that direction.
    """
    background = _border_colour(colours)
    grey = np.mean(colours, axis=0)
    known = grey[np.isfinite(grey)]
    is_bright = float(background.mean()) >= float(np.mean(known)) if known.size else True
    sign = 1.0 if is_bright else -1.0
    return (sign * (float(background.mean()) - grey)).astype(np.float32), True


def _saturated(scaled: Float32Array, valid: NDArray[np.bool_]) -> Float32Array:
    """How surely there is tissue: clefts and rims count, how deep a stain is matters less."""
    known = scaled[valid]
    stained = known[known > otsu_threshold(known)]
    depth = float(np.median(stained)) if stained.size else 1.0
    return np.asarray(1 - np.exp(-scaled / (_SATURATION * depth)), dtype=np.float32)


def _border_colour(colours: Float32Array) -> FloatArray:
    """(3,) commonest colour of the border of a (3, z, y, x) picture."""
    _, _, n_y, n_x = colours.shape
    edge = max(1, round(_BORDER * min(n_y, n_x)))
    is_border = np.ones((n_y, n_x), dtype=bool)
    is_border[edge : n_y - edge, edge : n_x - edge] = False
    border = colours[:, :, is_border].reshape(3, -1)
    border = border[:, np.isfinite(border).all(axis=0)]
    if not border.size:
        border = colours.reshape(3, -1)
        border = border[:, np.isfinite(border).all(axis=0)]
    if not border.size:
        return np.zeros(3)
    low, high = float(border.min()), float(border.max())
    step = (high - low) / _BINS or 1.0
    bins = np.minimum(((border - low) / step).astype(np.int64), _BINS - 1)
    keys = (bins[0] * _BINS + bins[1]) * _BINS + bins[2]
    commonest = np.bincount(keys).argmax()
    return np.asarray(np.median(border[:, keys == commonest], axis=1), dtype=np.float64)


def _pooled(values: Float32Array, factors: tuple[int, ...]) -> Float32Array:
    padded = np.pad(values, [(0, -n % f) for n, f in zip(values.shape, factors, strict=True)])
    shape = [k for n, f in zip(padded.shape, factors, strict=True) for k in (n // f, f)]
    return np.asarray(padded.reshape(shape).mean(axis=(1, 3, 5)), dtype=np.float32)
