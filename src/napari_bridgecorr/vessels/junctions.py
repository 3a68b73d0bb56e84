"""Where vessels branch: places from which three or more ridges lead away.

From the crests of the ridges rays are sent in all directions. A ray is as strong as the ridge along
it; directions that are stronger than their neighbours are branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from .ridges import Float32Array

FloatArray = NDArray[np.float64]

_DIRECTIONS_3D = 162
_DIRECTIONS_2D = 40
# how far rays are followed, in lengths of the scale, and where they are sampled
_SAMPLES = (0.8, 1.4, 2.0, 2.6)
RAY_REACH = _SAMPLES[-1]
# branches lie farther apart than this
_LEAST_ANGLE_3D = np.deg2rad(48.0)
_LEAST_ANGLE_2D = np.deg2rad(36.0)
# a branch is at least so strong beside the second strongest one
_LEAST_SHARE = 0.25
_CHUNK = 4000


@dataclass(frozen=True, eq=False)
class Junctions:
    """Branchings in the voxels of an array.

    Parameters
    ----------
    index : (n, 3) float64
        Places in voxels (z, y, x), between them too.
    strength : (n,) float64
        Strength of the third branch, in the ridge strength's own unit.
    degree : (n,) int64
        Branches: 3 or more.
    directions : tuple of (degree, 3) float64
        Unit vectors along the array's axes, in um, strongest first.
    """

    index: FloatArray
    strength: FloatArray
    degree: NDArray[np.int64]
    directions: tuple[FloatArray, ...]

    def __len__(self) -> int:
        return len(self.index)


def find_junctions(
    ridges: Float32Array,
    spacing_um: Sequence[float],
    scale_um: float,
    least: float,
) -> Junctions:
    """Branchings whose third branch is at least as strong as `least`.

    Parameters
    ----------
    ridges : (z, y, x) float32
        As :func:`.ridges.ridge_strength` gives them.
    spacing_um : three float
    scale_um : float
        The one that the ridges were found at. No two junctions lie closer than 1.5 of it.
    least : float
    """
    flat = ridges.shape[0] == 1
    seeds = _maxima(ridges, least)
    if not len(seeds):
        return Junctions(np.empty((0, 3)), np.empty(0), np.empty(0, dtype=np.int64), ())
    spacing = np.asarray(spacing_um, dtype=np.float64)
    directions = _circle() if flat else _sphere(_DIRECTIONS_3D)
    angle = _LEAST_ANGLE_2D if flat else _LEAST_ANGLE_3D
    cosines = directions @ directions.T
    near = cosines > np.cos(angle * 0.75)
    index: list[FloatArray] = []
    strength: list[float] = []
    branches: list[FloatArray] = []
    for start in range(0, len(seeds), _CHUNK):
        part = seeds[start : start + _CHUNK].astype(np.float64)
        rays = _rays(ridges, part, directions * scale_um / spacing)
        for place, ray in zip(part, rays, strict=True):
            chosen = _branches(ray, near, cosines, np.cos(angle))
            if len(chosen) < 3:
                continue
            third = float(ray[chosen[2]])
            if third < least or third < _LEAST_SHARE * ray[chosen[1]]:
                continue
            kept = [k for k in chosen if ray[k] >= max(least, _LEAST_SHARE * ray[chosen[1]])]
            index.append(place)
            strength.append(third)
            branches.append(directions[kept])
    return _apart(
        np.array(index).reshape(-1, 3), np.array(strength), branches, ridges, spacing, scale_um
    )


def _maxima(ridges: Float32Array, least: float) -> NDArray[np.int64]:
    """Voxels near the crest of a ridge: within 12 % of the strongest neighbour."""
    size = [3 if n > 1 else 1 for n in ridges.shape]
    crest = (ridges > least) & (ridges >= 0.88 * ndimage.maximum_filter(ridges, size=size))
    return np.argwhere(crest)


def _rays(ridges: Float32Array, seeds: FloatArray, steps: FloatArray) -> Float32Array:
    """(n, directions) float32: the weakest ridge along each ray, softened by its mean."""
    lowest = np.full((len(seeds), len(steps)), np.inf, dtype=np.float32)
    total = np.zeros_like(lowest)
    for distance in _SAMPLES:
        where = seeds[:, None, :] + distance * steps[None]
        values = ndimage.map_coordinates(
            ridges, where.reshape(-1, 3).T, order=1, mode="constant"
        ).reshape(lowest.shape)
        np.minimum(lowest, values, out=lowest)
        total += values
    return np.asarray(np.sqrt(np.maximum(lowest, 0) * total / len(_SAMPLES)), dtype=np.float32)


def _branches(
    ray: Float32Array, near: NDArray[np.bool_], cosines: FloatArray, least_cosine: float
) -> list[int]:
    """Directions stronger than all near ones, strongest first, none close to another."""
    peaks = [int(k) for k in np.flatnonzero(ray > 0) if ray[k] >= ray[near[k]].max()]
    chosen: list[int] = []
    for k in sorted(peaks, key=lambda k: -float(ray[k])):
        if all(cosines[k, other] < least_cosine for other in chosen):
            chosen.append(k)
    return chosen


def _apart(
    index: FloatArray,
    strength: FloatArray,
    branches: list[FloatArray],
    ridges: Float32Array,
    spacing: FloatArray,
    scale_um: float,
) -> Junctions:
    """Of those that are closer together than 1.5 scales the strongest, put at its middle."""
    kept: list[int] = []
    if len(index):
        tree = cKDTree(index * spacing)
        taken = np.zeros(len(index), dtype=bool)
        for i in np.argsort(-strength, kind="stable"):
            if not taken[i]:
                kept.append(int(i))
                taken[tree.query_ball_point(index[i] * spacing, 1.5 * scale_um)] = True
    places = np.array([_middle(ridges, index[i]) for i in kept]).reshape(-1, 3)
    return Junctions(
        places,
        strength[kept] if kept else np.empty(0),
        np.array([len(branches[i]) for i in kept], dtype=np.int64),
        tuple(branches[i] for i in kept),
    )


def _middle(ridges: Float32Array, place: FloatArray) -> FloatArray:
    """The strength's centre of mass in the 3 x 3 x 3 voxels about a place, above their lowest."""
    low = [max(0, int(p) - 1) for p in place]
    high = [min(n, int(p) + 2) for p, n in zip(place, ridges.shape, strict=True)]
    box = ridges[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(np.float64)
    weight = box - box.min()
    if weight.sum() <= 0:
        return place
    grids = np.meshgrid(*[np.arange(a, b) for a, b in zip(low, high, strict=True)], indexing="ij")
    return np.array([float((g * weight).sum() / weight.sum()) for g in grids])


def _sphere(n: int) -> FloatArray:
    """n directions spread evenly (a Fibonacci lattice), as (z, y, x)."""
    k = np.arange(n) + 0.5
    z = 1 - 2 * k / n
    turn = np.pi * (1 + np.sqrt(5)) * k
    r = np.sqrt(1 - z**2)
    return np.column_stack([z, r * np.sin(turn), r * np.cos(turn)])


def _circle() -> FloatArray:
    turn = np.arange(_DIRECTIONS_2D) * 2 * np.pi / _DIRECTIONS_2D
    return np.column_stack([np.zeros_like(turn), np.sin(turn), np.cos(turn)])
