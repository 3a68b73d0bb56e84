"""A section cut out of a volume at a known oblique plane: bent, noisy, its contrast inverted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from napari_bridgecorr.geometry import Grid, Plane
from napari_bridgecorr.image import Channel, Source, SpatialImage

THICKNESS_UM = 100.0


def image(values: np.ndarray, grid: Grid, name: str) -> SpatialImage:
    level = da.from_array(values[None, None], chunks=(1, 1, *values.shape))
    source = Source(Path(name), "test", image_name=name)
    return SpatialImage((level,), (grid,), (Channel("C0"),), source)


def brain(seed: int = 0) -> SpatialImage:
    """Smooth tissue of several kinds, on an oblique grid with slices of 80 um."""
    rng = np.random.default_rng(seed)
    shape = (18, 40, 44)
    tissue = sum(
        weight * _unit(gaussian_filter(rng.normal(size=shape), sigma))
        for weight, sigma in ((1.0, (2.5, 6, 6)), (0.8, (1.4, 3, 3)), (0.3, (0.8, 1.5, 1.5)))
    )
    values = 600 + 150 * np.tanh(tissue) + rng.normal(0, 8, shape)
    matrix = np.eye(4)
    turn = Rotation.from_rotvec((0.1, -0.2, 0.3)).as_matrix()
    matrix[:3, :3] = turn @ np.diag([80.0, 50.0, 50.0])
    matrix[:3, 3] = (3000, -700, 400)
    return image(values.astype(np.float32), Grid(shape, matrix), "MRI")


@dataclass(frozen=True, eq=False)
class Cut:
    """A section and the truth of where it lay."""

    section: SpatialImage
    plane: Plane
    points_um: np.ndarray
    true_um: np.ndarray


def cut(
    volume: SpatialImage,
    slice_number: float = 8.3,
    turn_degrees: float = 7.0,
    tilt_degrees: tuple[float, float] = (4.0, -3.0),
    bend_um: float = 25.0,
    flipped: bool = False,
    noise: float = 0.05,
    seed: int = 0,
) -> Cut:
    """A section of 96 x 96 pixels of 20 um, `THICKNESS_UM` thick."""
    grid = volume.grid
    directions = grid.index_to_world[:3, :3] / grid.voxel_size_um
    lean = np.tan(np.deg2rad(tilt_degrees))
    down = directions[:, 1] + lean[0] * directions[:, 0]
    across = directions[:, 2] + lean[1] * directions[:, 0]
    left, _, right = np.linalg.svd(np.column_stack([down, across]), full_matrices=False)
    down, across = (left @ right).T
    middle = (np.asarray(grid.shape) - 1) / 2
    origin = grid.to_world((slice_number, *middle[1:]))[0]
    plane = Plane(origin, np.column_stack([np.cross(down, across), down, across]))
    plane = plane.turned(turn_degrees)
    if flipped:
        plane = plane.flipped()
    own = Grid.from_spacing((1, 96, 96), (1.0, 20.0, 20.0), (0.0, 150.0, -80.0))
    points = own.to_world(np.indices(own.shape).reshape(3, -1).T)
    away = points - own.centre_um
    within = away.copy()
    within[:, 1] += bend_um * np.sin(away[:, 2] / 350 + 1)
    within[:, 2] += bend_um * np.cos(away[:, 1] / 400)
    values = np.zeros(len(points))
    depths = ((np.arange(12) + 0.5) / 12 - 0.5) * THICKNESS_UM
    source = volume.data[0, 0].compute()
    for depth in depths:
        index = grid.to_index(plane.points(within + (depth, 0, 0)))
        values += map_coordinates(source, index.T, order=1, mode="nearest") / len(depths)
    inverted = _unit(np.max(values) - values)
    shown = inverted + noise * np.random.default_rng(seed).normal(size=len(inverted))
    picture = (100 + 20 * shown).reshape(own.shape).astype(np.float32)
    return Cut(image(picture, own, "section"), plane, points, plane.points(within))


def _unit(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()
