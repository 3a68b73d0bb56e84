"""Branching tubes seen by two instruments: bright here, dark there, noisy, on different voxels."""

from dataclasses import dataclass
from pathlib import Path

import dask.array
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.geometry.grid import apply_affine
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.landmarks import LandmarkSet

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tubes:
    """Two images of one sample, the true map, junctions in both, and clicks beside them."""

    fixed: SpatialImage
    moving: SpatialImage
    map: FloatArray
    fixed_um: FloatArray
    moving_um: FloatArray
    clicks: LandmarkSet

    def errors_voxels(self, landmarks: LandmarkSet) -> FloatArray:
        """Distance of the moving points from the truth, in moving voxels."""
        away = landmarks.pairs().moving_um - self.moving_um
        axes = self.moving.grid.index_to_world[:3, :3]
        return np.asarray(np.linalg.norm(away @ np.linalg.inv(axes).T, axis=1))


def tubes(
    seed: int,
    *,
    click_voxels: float = 2.0,
    moving_voxel_um: tuple[float, float, float] = (10.0, 10.0, 10.0),
    bend: float = 0.05,
    noise: float = 0.1,
    empty: bool = False,
) -> Tubes:
    """Junctions of three tubes each; the moving image is turned, strained and has dark tubes."""
    rng = np.random.default_rng(seed)
    grid = Grid.from_spacing((34, 34, 34), 10.0, (500.0, -200.0, 0.0))
    extent = np.asarray(grid.shape) * 10.0
    base = np.array([90.0, 90.0, 90.0])
    cells = np.indices((2, 2, 2)).reshape(3, -1).T
    junctions = grid.corners().min(axis=0) + base + cells * (extent - 2 * base)
    junctions += rng.uniform(-12, 12, junctions.shape)
    starts, ends, radii = [], [], []
    for point in junctions:
        directions = Rotation.random(random_state=int(rng.integers(1e6))).apply(
            [[1, 0, 0.2], [-0.6, 0.8, 0], [-0.5, -0.7, 0.5]]
        )
        for direction in directions:
            starts.append(point)
            ends.append(point + 110 * direction / np.linalg.norm(direction))
            radii.append(rng.uniform(9, 17))
    along = np.linspace(0, 1, 40)
    line = np.concatenate([s + along[:, None] * (e - s) for s, e in zip(starts, ends, strict=True)])
    thick = np.repeat(radii, len(along))
    tree = KDTree(line)

    linear = Rotation.from_euler("zyx", (25, -8, 12), degrees=True).as_matrix()
    linear = linear @ (np.eye(3) + rng.uniform(-bend, bend, (3, 3)))
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = (3000.0, 100.0, -50.0)
    truth = apply_affine(matrix, junctions)
    sizes = np.asarray(moving_voxel_um)
    corners = apply_affine(matrix, grid.corners())
    shape = np.ceil(np.ptp(corners, axis=0) / sizes).astype(int)
    moving_grid = Grid.from_spacing(shape.tolist(), sizes, corners.min(axis=0))

    def image(where: Grid, back: FloatArray, sign: float, name: str) -> SpatialImage:
        points = where.to_world(np.indices(where.shape).reshape(3, -1).T)
        distance, nearest = tree.query(apply_affine(back, points), distance_upper_bound=40)
        inside = np.zeros(len(points))
        near = np.isfinite(distance)
        inside[near] = 1 / (1 + np.exp((distance[near] - thick[nearest[near]]) / 2))
        values = inside.reshape(where.shape)
        values = gaussian_filter(values, 0.4)
        background = gaussian_filter(rng.normal(size=where.shape), 8)
        values = sign * values + background / background.std() * 0.1
        if empty:
            values = background
        values = 100 + 40 * (values + noise * rng.normal(size=where.shape))
        data = dask.array.from_array(values.astype(np.float32)[None, None])
        return SpatialImage((data,), (where,), (Channel(name),), Source(Path(name), "test"))

    step = rng.normal(size=truth.shape)
    step *= click_voxels / np.linalg.norm(step, axis=1, keepdims=True)
    clicks = LandmarkSet.from_pairs(junctions, truth + step * sizes)
    return Tubes(
        image(grid, np.eye(4), 1.0, "bright"),
        image(moving_grid, np.asarray(np.linalg.inv(matrix)), -0.8, "dark"),
        matrix,
        junctions,
        truth,
        clicks,
    )
