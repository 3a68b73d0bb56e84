"""Samples below a cranial window, with their true plane: voxel means of exact half spaces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sample:
    """An image, a point of its true plane, and the true normal into the tissue."""

    image: SpatialImage
    point_um: FloatArray
    normal: FloatArray


def spatial(data: NDArray[Any], grid: Grid) -> SpatialImage:
    channels = data[None] if data.ndim == 3 else data
    level = da.from_array(channels[None], chunks=(1, 1, 16, *grid.shape[1:]))
    names = tuple(Channel(f"C{i}") for i in range(len(channels)))
    return SpatialImage((level,), (grid,), names, Source(Path("x"), "phantom", axes="czyx"))


def tilted(y_degrees: float, x_degrees: float) -> FloatArray:
    n = np.array([1.0, np.tan(np.deg2rad(y_degrees)), np.tan(np.deg2rad(x_degrees))])
    return np.asarray(n / np.linalg.norm(n))


def below(grid: Grid, point: FloatArray, normal: FloatArray, radius_um: float = 0) -> FloatArray:
    """Share of each voxel below a plane, or below a ball's top of a radius that it touches."""
    index = np.stack(np.indices(grid.shape), axis=-1).reshape(-1, 3)
    out = np.zeros(len(index))
    parts = (np.arange(2) + 0.5) / 2 - 0.5
    edge = min(grid.voxel_size_um) / 2
    for offset in np.stack(np.meshgrid(parts, parts, parts), axis=-1).reshape(-1, 3):
        away = grid.to_world(index + offset) - point
        depth = away @ normal
        if radius_um:
            depth = depth - ((away**2).sum(axis=1) - depth**2) / (2 * radius_um)
        out += np.clip(0.5 + depth / edge, 0, 1)
    return (out / 8).reshape(grid.shape)


def two_photon(
    seed: int,
    y_degrees: float = 8,
    x_degrees: float = -5,
    *,
    tissue: float = 6,
    sheet: float = 0,
    radius_um: float = 0,
    inverted: bool = False,
    bubble: bool = False,
) -> Sample:
    """Photons below a dark glass: tissue, vessels, perhaps a bright sheet or a bubble."""
    rng = np.random.default_rng(seed)
    grid = Grid.from_spacing((60, 72, 72), (4, 8, 8))
    point = grid.centre_um.copy()
    point[0] = 90.0
    normal = tilted(y_degrees, x_degrees)
    inside = below(grid, point, normal, radius_um)
    light = np.exp(-np.maximum(np.arange(60) * 4 - point[0], 0) / 300)[:, None, None]
    # vessels: the crests of a smooth random field
    field = gaussian_filter(rng.normal(size=grid.shape), (5, 2.5, 2.5))
    vessels = (field > 1.9 * field.std()).astype(float)
    photons = 1 + inside * light * (tissue + 60 * gaussian_filter(vessels, 0.6))
    if sheet:
        away = (grid.to_world(np.indices(grid.shape).reshape(3, -1).T) - point) @ normal
        photons += sheet * np.exp(-(away.reshape(grid.shape) ** 2) / 50)
    photons = gaussian_filter(photons, (1.0, 0.4, 0.4))
    y, x = np.indices(grid.shape[1:])
    if bubble:
        photons[:, (y - 20) ** 2 + (x - 45) ** 2 < 11**2] = 1
    counts = rng.poisson(photons) * 20.0 + 100 + rng.normal(0, 10, grid.shape)
    if bubble:
        counts[:, y + x < 34] = 0
    data = np.clip(counts, 0, 60000).astype(np.uint16)
    return Sample(spatial(data.max() - data if inverted else data, grid), point, normal)


def mri(
    seed: int,
    y_degrees: float = 8,
    x_degrees: float = -5,
    *,
    snr: float = 20,
    bias: float = 0.5,
    skull: bool = False,
    glass_um: float = 0,
    radius_um: float = 0,
    inverted: bool = False,
    order: str = "zyx",
    reverse: bool = False,
) -> Sample:
    """Tissue below air; below scalp and skull; or below a bright gel and dark glass."""
    rng = np.random.default_rng(seed)
    shape = (40, 48, 48)
    matrix = np.diag([50.0, 50.0, 50.0, 1.0])
    matrix[:3, 3] = (-300, 500, 1000)
    grid = Grid(shape, matrix)
    point = grid.centre_um.copy()
    point[0] = matrix[0, 3] + (950 if skull else 600)
    normal = tilted(y_degrees, x_degrees)
    texture = gaussian_filter(rng.normal(size=shape), 2)
    signal = below(grid, point, normal, radius_um) * (1 + 0.15 * texture / texture.std())
    if skull:
        scalp = below(grid, point - 600 * normal, normal) - below(
            grid, point - 250 * normal, normal
        )
        signal = signal + 1.2 * scalp
    if glass_um:
        signal = signal + 0.8 * (1 - below(grid, point - glass_um * normal, normal))
    y, x = np.indices(shape[1:])
    signal = signal * (1 + bias * (y / shape[1] - 0.5 + (x / shape[2] - 0.3) ** 2))
    if inverted:
        signal = 1.7 - signal
    noise = rng.normal(0, 1000 / snr, (2, *shape))
    data = np.hypot(1000 * signal + noise[0], noise[1]).astype(np.uint16)
    # the same sample, its array's axes in another order
    axes = ["zyx".index(a) for a in order]
    turned = np.eye(4)
    turned[:3, :3] = matrix[:3, :3][:, axes]
    turned[:3, 3] = matrix[:3, 3]
    data = data.transpose(axes)
    if reverse:
        turned[:3, 3] += turned[:3, 0] * (data.shape[0] - 1)
        turned[:3, 0] *= -1
        data = data[::-1]
    return Sample(spatial(np.ascontiguousarray(data), Grid(data.shape, turned)), point, normal)
