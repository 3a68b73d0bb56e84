"""Ways of bending that no setting of the error model was chosen on. Nothing here is under test."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from fitting_samples import BOX_UM, named, points_in_box
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from napari_bridgecorr.landmarks import LandmarkPairs

Bend = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def swirls(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """A few places are turned and swollen."""
    out = np.zeros_like(points)
    for _ in range(rng.integers(2, 5)):
        from_centre = points - rng.uniform(0.1, 0.9, 3) * BOX_UM
        width, axis = rng.uniform(150, 450), rng.normal(0, 1, 3)
        fade = np.exp(-np.sum(from_centre**2, axis=1) / (2 * width**2))[:, None]
        turn = rng.normal(0, 0.15) * np.cross(axis / np.linalg.norm(axis), from_centre)
        out += fade * (turn + rng.normal(0, 0.08) * from_centre)
    return out


def b_splines(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """Cubic B-splines of random shifts on a coarse grid, as elastix has them."""
    n = rng.integers(3, 7)
    index = (points / BOX_UM * (n - 1)).T + 2
    size = rng.uniform(15, 50)
    return np.stack(
        [
            map_coordinates(rng.normal(0, size, (n + 4,) * 3), index, order=3, prefilter=False)
            for _ in range(3)
        ],
        axis=1,
    )


def waves(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """Compression along two directions, as cutting and drying make it."""
    out = np.zeros_like(points)
    for _ in range(2):
        along = rng.normal(0, 1, 3)
        along /= np.linalg.norm(along)
        phase = 2 * np.pi * (points @ along) / rng.uniform(400, 1600)
        out += rng.normal(0, 25) * np.sin(phase + rng.uniform(0, 6))[:, None] * along
        out += rng.normal(0, 10, 3) * np.cos(phase)[:, None]
    return out


def bulges(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """Tissue pushed away from growing balls, as 1 / r^2 outside them."""
    out = np.zeros_like(points)
    for _ in range(rng.integers(1, 3)):
        from_centre = points - rng.uniform(0, 1, 3) * BOX_UM
        r = np.linalg.norm(from_centre, axis=1)[:, None]
        radius, height = rng.uniform(100, 250), rng.uniform(20, 70)
        out += height * from_centre / r * np.where(r < radius, r / radius, (radius / r) ** 2)
    return out


BENDS: tuple[Bend, ...] = (swirls, b_splines, waves, bulges)


def bent(
    bend: Bend, seed: int, n: int, noise_um: float, dimensions: int
) -> tuple[LandmarkPairs, np.ndarray, np.ndarray]:
    """Noisy pairs, and 200 targets with their true places; in the plane with two dimensions."""
    rng = np.random.default_rng([seed, n, dimensions])
    points = points_in_box(rng, n + 200)
    if dimensions == 2:
        points[:, 0] = BOX_UM[0] / 2
    linear = np.eye(3) + rng.normal(0, 0.03, (3, 3))
    shift, noise = bend(rng, points), rng.normal(0, noise_um, (n, 3))
    turn = rng.normal(0, 0.3, 3)
    if dimensions == 2:
        linear[0], linear[:, 0], turn[1:] = (1, 0, 0), (1, 0, 0), 0
        shift[:, 0] = noise[:, 0] = 0
    moved = points @ (Rotation.from_rotvec(turn).as_matrix() @ linear).T + shift
    return named(points[:n], moved[:n] + noise), points[n:], moved[n:]
