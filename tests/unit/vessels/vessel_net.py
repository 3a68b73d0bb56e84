"""A net of vessels seen by two instruments, with the truth between them: no two seeds are alike.

Not the demo's tissue: straight and bowed links between random nodes, other contrast, other noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dask.array
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.image import Channel, Source, SpatialImage
from napari_bridgecorr.landmarks import LandmarkSet

FloatArray = NDArray[np.float64]

COARSE_UM, FINE_UM, SIZE_UM = 50.0, 12.0, 2600.0


@dataclass(frozen=True, eq=False)
class VesselNet:
    """A flat sample: the coarse image is fixed and its vessels are dark."""

    fixed: SpatialImage
    moving: SpatialImage
    given: LandmarkSet
    targets: tuple[FloatArray, FloatArray]
    bend_um: FloatArray
    centres_um: FloatArray
    linear: FloatArray

    def to_moving(self, points_um: FloatArray) -> FloatArray:
        """Where fixed points really lie in the moving image."""
        return _carried(points_um, self.linear, self.centres_um, self.bend_um)


def vessel_net(seed: int, bend_um: float = 45.0) -> VesselNet:
    """Two images of a net, four given pairs with errors, and targets."""
    rng = np.random.default_rng(seed)
    turn = rng.uniform(-np.pi, np.pi)
    linear = np.eye(3)
    linear[1:, 1:] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    linear[1:, 1:] += rng.uniform(-0.02, 0.02, (2, 2))
    centres, weights = rng.uniform(0, SIZE_UM, (12, 3)), rng.normal(size=(12, 3)) * bend_um
    centres[:, 0] = weights[:, 0] = 0
    n = int(SIZE_UM / COARSE_UM)
    fixed = Grid.from_spacing((1, n, n), COARSE_UM)
    net, nodes = _net(rng)
    within = np.all((nodes[:, 1:] > 150) & (nodes[:, 1:] < SIZE_UM - 150), axis=1)
    nodes = nodes[within]
    parts = np.array([[0, a, b] for a in (-1, 0, 1) for b in (-1, 0, 1)]) / 3
    voxels = np.argwhere(np.ones(fixed.shape, dtype=bool))
    filled = np.mean(
        [_inside(net, fixed.to_world(voxels + p), COARSE_UM / 3) for p in parts], axis=0
    )
    seen = 150 - 90 * filled + rng.normal(0, 6, len(voxels))
    moved = _carried(fixed.corners(), linear, centres, weights)
    low, high = moved.min(axis=0) - 60, moved.max(axis=0) + 60
    shape = (1, *np.ceil((high - low)[1:] / FINE_UM).astype(int))
    moving = Grid.from_spacing(shape, FINE_UM, (0.0, low[1], low[2]))
    # the fine image is made through the same truth, backwards
    points = moving.to_world(np.argwhere(np.ones(shape, dtype=bool)))
    back = points @ np.linalg.inv(linear).T
    for _ in range(20):
        back += (points - _carried(back, linear, centres, weights)) @ np.linalg.inv(linear).T
    bright = 40 + 160 * _inside(net, back, FINE_UM).reshape(shape)
    bright = ndimage.gaussian_filter(bright, (0, 1, 1)) + rng.normal(0, 15, shape)
    given = _spread(rng, nodes)
    clicked = given + np.array([0.0, 1.0, 1.0]) * rng.normal(0, 10, given.shape)
    targets = np.zeros((500, 3))
    targets[:, 1:] = rng.uniform(100, SIZE_UM - 100, (500, 2))
    return VesselNet(
        _image(seen.reshape(fixed.shape), fixed, "coarse"),
        _image(bright, moving, "fine"),
        LandmarkSet.from_pairs(clicked, _carried(given, linear, centres, weights)),
        (targets, _carried(targets, linear, centres, weights)),
        weights,
        centres,
        linear,
    )


def _carried(
    points: FloatArray, linear: FloatArray, centres: FloatArray, weights: FloatArray
) -> FloatArray:
    squared = (points[:, None, 1] - centres[None, :, 1]) ** 2
    squared += (points[:, None, 2] - centres[None, :, 2]) ** 2
    return (points + np.exp(-squared / (2 * 500.0**2)) @ weights) @ linear.T


def _net(rng: np.random.Generator) -> tuple[tuple[FloatArray, FloatArray], FloatArray]:
    nodes = np.zeros((150, 3))
    nodes[:, 1:] = rng.uniform(-100, SIZE_UM + 100, (150, 2))
    degree, links = np.zeros(150, dtype=int), set()
    near = cKDTree(nodes).query(nodes, 6)[1]
    for i in range(150):
        for j in near[i, 1:]:
            link = (min(i, int(j)), max(i, int(j)))
            if degree[i] < 3 and degree[j] < 3 and link not in links:
                links.add(link)
                degree[i] += 1
                degree[j] += 1
    points, radii = [], []
    for i, j in sorted(links):
        radius, way = rng.uniform(14, 34), nodes[j] - nodes[i]
        t = np.linspace(0, 1, 2 + int(np.linalg.norm(way) / 6))[:, None]
        across = np.array([0.0, -way[2], way[1]]) * rng.normal(0, 0.12)
        points.append(nodes[i] + way * t + across * np.sin(np.pi * t))
        radii.append(np.full(len(t), radius))
    return (np.concatenate(points), np.concatenate(radii)), nodes[degree == 3]


def _inside(net: tuple[FloatArray, FloatArray], points: FloatArray, ramp_um: float) -> FloatArray:
    middle, radii = net
    distance, nearest = cKDTree(middle[:, 1:]).query(points[:, 1:])
    return np.clip(0.5 + (radii[nearest] - distance) / ramp_um, 0.0, 1.0)


def _spread(rng: np.random.Generator, nodes: FloatArray) -> FloatArray:
    chosen = [nodes[rng.integers(len(nodes))]]
    while len(chosen) < 4:
        apart = np.min([np.linalg.norm(nodes - c, axis=1) for c in chosen], axis=0)
        chosen.append(nodes[int(apart.argmax())])
    return np.array(chosen)


def _image(values: FloatArray, grid: Grid, name: str) -> SpatialImage:
    level = dask.array.from_array(values[None, None].astype(np.float32))
    source = Source(Path(name), "phantom", image_name=name, axes="zyx")
    return SpatialImage((level,), (grid,), (Channel("vessels"),), source)
