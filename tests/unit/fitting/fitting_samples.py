"""Simulated landmarks of a known map, as a user would click them. Nothing here is under test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from napari_bridgecorr.landmarks import LandmarkPairs

BOX_UM = np.array([600.0, 1000.0, 1000.0])


@dataclass(frozen=True)
class Truth:
    """An affine plus Gaussian bumps some hundred micrometres wide."""

    linear: np.ndarray
    offset_um: np.ndarray
    centres_um: np.ndarray
    widths_um: np.ndarray
    heights_um: np.ndarray

    def __call__(self, points_um: np.ndarray) -> np.ndarray:
        square = np.sum((points_um[:, None] - self.centres_um) ** 2, axis=2)
        bumps = np.exp(-square / (2 * self.widths_um**2)) @ self.heights_um
        return points_um @ self.linear.T + self.offset_um + bumps


def random_truth(rng: np.random.Generator, bend_um: float, bumps: int = 6) -> Truth:
    """A map whose bumps are `bend_um` high, about."""
    linear = Rotation.from_rotvec(rng.normal(0, 0.3, 3)).as_matrix()
    linear = linear @ (np.eye(3) + rng.normal(0, 0.03, (3, 3)))
    return Truth(
        linear,
        rng.uniform(-3000, 3000, 3),
        rng.uniform(0, 1, (bumps, 3)) * BOX_UM,
        rng.uniform(200, 500, bumps),
        rng.normal(0, bend_um, (bumps, 3)),
    )


def points_in_box(rng: np.random.Generator, n: int) -> np.ndarray:
    """`n` uniform points of the sample."""
    return rng.uniform(0, 1, (n, 3)) * BOX_UM


def named(fixed_um: np.ndarray, moving_um: np.ndarray) -> LandmarkPairs:
    """Pairs called L1, L2..."""
    ids = tuple(f"L{i + 1}" for i in range(len(fixed_um)))
    return LandmarkPairs(ids, np.asarray(fixed_um, float), np.asarray(moving_um, float))


def clicked(
    seed: int, n: int, noise_um: float, bend_um: float
) -> tuple[LandmarkPairs, Truth, np.ndarray]:
    """Noisy pairs of a random map, the map, and 400 targets that took no part."""
    rng = np.random.default_rng(seed)
    truth = random_truth(rng, bend_um)
    fixed = points_in_box(rng, n)
    moving = truth(fixed) + rng.normal(0, noise_um, (n, 3))
    return named(fixed, moving), truth, points_in_box(rng, 400)


def rms_length(errors_um: np.ndarray) -> float:
    """Root mean square length of (n, 3) errors."""
    return float(np.sqrt(np.mean(np.sum(errors_um**2, axis=1))))
