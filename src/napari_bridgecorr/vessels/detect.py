"""Vessel bifurcations of an image of any size, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..geometry import Grid
from ..image import SpatialImage
from ..progress import Progress, Silent
from ..refine.working_image import working_grid, working_image
from .junctions import RAY_REACH, find_junctions
from .ridges import REACH, Float32Array, Polarity, ridge_strength, vessel_polarity

FloatArray = NDArray[np.float64]

_BLOCK_VOXELS = 144
# sampling within the scale that is looked at
_SAMPLES_PER_SCALE = 1.6
_MOST_VOXELS = 2**30
# ridges above this multiple of the ridges' own median (of those that are above 0) are vessels
_LEAST_OVER_MEDIAN = 1.6
_STRENGTH_SAMPLE = 200_000


@dataclass(frozen=True, eq=False)
class Bifurcations:
    """Places where vessels branch.

    Parameters
    ----------
    points_um : (n, 3) float64
        World (z, y, x), strongest first.
    strength : (n,) float64
        Of the weakest of three branches, in the median strength of all of the image's ridges.
    degree : (n,) int64
        How many branches, 3 or more.
    directions : tuple of (degree, 3) float64
        Unit vectors in the world along the branches, strongest first.
    polarity : {"bright", "dark"}
        What the vessels are beside the tissue.
    scale_um : float
        The scale that they were found at.
    """

    points_um: FloatArray
    strength: FloatArray
    degree: NDArray[np.int64]
    directions: tuple[FloatArray, ...]
    polarity: Polarity
    scale_um: float

    def __len__(self) -> int:
        return len(self.points_um)


def find_bifurcations(
    image: SpatialImage,
    *,
    scale_um: float | None = None,
    polarity: Polarity | None = None,
    channel: str | int = 0,
    time: int = 0,
    most: int = 2000,
    progress: Progress | None = None,
) -> Bifurcations:
    """Find the bifurcations of an image's vessels.

    Memory is that of a few blocks of 144 voxels' edge, whatever the image's size.

    Parameters
    ----------
    image : SpatialImage
        With one plane, it is taken for flat.
    scale_um : float, optional
        Radius of the thinnest vessels of interest; the image's voxel size by default. Nothing finer
        than the voxels is found.
    polarity : {"bright", "dark"}, optional
        Found from the image by default.
    channel : str or int
    time : int
    most : int
        The strongest so many are given.
    progress : Progress, optional

    Raises
    ------
    GeometryError
        If the scale is not positive, or so small that 2^30 voxels would be looked at.
    """
    grid, scale = scale_grid(image, scale_um)
    known = polarity or image_polarity(image, scale, channel=channel, time=time)
    spacing = grid.voxel_size_um
    halo = [
        int(np.ceil((REACH + RAY_REACH) * scale / s)) if n > 1 else 0
        for s, n in zip(spacing, grid.shape, strict=True)
    ]
    blocks = list(product(*[range(0, n, _BLOCK_VOXELS) for n in grid.shape]))
    watch = progress or Silent()
    watch.begin("looking for vessel bifurcations", len(blocks))
    level = _usual_strength(image, scale, known, channel, time)
    found: list[tuple[FloatArray, float, FloatArray]] = []
    for start in blocks:
        stop = [min(a + _BLOCK_VOXELS, n) for a, n in zip(start, grid.shape, strict=True)]
        low = [max(0, a - h) for a, h in zip(start, halo, strict=True)]
        high = [min(n, b + h) for b, h, n in zip(stop, halo, grid.shape, strict=True)]
        ridges = _ridges_of(image, grid.block(low, high), scale, known, channel, time)
        junctions = find_junctions(ridges, spacing, scale, _LEAST_OVER_MEDIAN * level)
        axes = grid.index_to_world[:3, :3] / np.asarray(spacing)
        for k in range(len(junctions)):
            at = junctions.index[k] + low
            if np.all(np.round(at) >= start) and np.all(np.round(at) < stop):
                found.append(
                    (
                        grid.to_world(at)[0],
                        float(junctions.strength[k]) / level,
                        junctions.directions[k] @ axes.T,
                    )
                )
        watch.advance()
    found.sort(key=lambda one: (-one[1], *one[0]))
    found = found[:most]
    return Bifurcations(
        np.array([p for p, _, _ in found]).reshape(-1, 3),
        np.array([s for _, s, _ in found]),
        np.array([len(d) for _, _, d in found], dtype=np.int64),
        tuple(d for _, _, d in found),
        known,
        scale,
    )


def scale_grid(image: SpatialImage, scale_um: float | None = None) -> tuple[Grid, float]:
    """The grid on which bifurcations of a scale are looked for, and that scale.

    Raises
    ------
    GeometryError
    """
    size = np.asarray(image.grid.voxel_size_um)
    free = np.asarray(image.grid.shape) > 1
    if free.sum() < 2:
        raise GeometryError(f"{image.name} has not two axes along which vessels could run")
    own = float(np.prod(size[free]) ** (1 / free.sum()))
    scale = own if scale_um is None else float(scale_um)
    if not (np.isfinite(scale) and scale > 0):
        raise GeometryError(f"the scale of vessels is a positive length in um, not {scale_um}")
    scale = max(scale, own)
    grid = working_grid(image.grid, scale / _SAMPLES_PER_SCALE, _MOST_VOXELS)
    return grid, scale


def image_polarity(
    image: SpatialImage, scale_um: float, *, channel: str | int = 0, time: int = 0
) -> Polarity:
    """Whether an image's vessels are bright or dark, from the middle of it."""
    grid, _ = scale_grid(image, scale_um)
    middle = _middle_of(grid)
    array = working_image(image, middle, channel=channel, time=time).array
    return vessel_polarity(array, middle.voxel_size_um, scale_um)


def _middle_of(grid: Grid) -> Grid:
    low = [max(0, (n - _BLOCK_VOXELS) // 2) for n in grid.shape]
    return grid.block(
        low, [min(n, a + _BLOCK_VOXELS) for a, n in zip(low, grid.shape, strict=True)]
    )


def _usual_strength(
    image: SpatialImage, scale: float, polarity: Polarity, channel: str | int, time: int
) -> float:
    """Median strength of the ridges in the middle of the image: noise and tissue, few vessels."""
    grid, _ = scale_grid(image, scale)
    ridges = _ridges_of(image, _middle_of(grid), scale, polarity, channel, time)
    positive = ridges[ridges > 0]
    if not positive.size:
        return 1.0
    return max(float(np.median(positive)), 1e-6 * float(positive.max()))


def _ridges_of(
    image: SpatialImage,
    grid: Grid,
    scale: float,
    polarity: Polarity,
    channel: str | int,
    time: int,
) -> Float32Array:
    array = working_image(image, grid, channel=channel, time=time).array
    return ridge_strength(array, grid.voxel_size_um, scale, polarity)
