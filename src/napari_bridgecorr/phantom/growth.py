"""Growing ends of vessels, what they leave behind, and vessels that join two places."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass
class Tips:
    """Growing ends of the vessels, one row each."""

    position: FloatArray
    direction: FloatArray
    bend: FloatArray
    radius: FloatArray
    previous_radius: FloatArray
    left: FloatArray
    kind: IntArray

    def chosen(self, which: NDArray[np.bool_] | IntArray) -> Tips:
        return Tips(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def joined(self, *others: Tips) -> Tips:
        parts = (self, *others)
        return Tips(
            *(
                np.concatenate([getattr(p, name) for p in parts])
                for name in self.__dataclass_fields__
            )
        )


@dataclass
class Grown:
    """What has grown so far, in pieces to be concatenated."""

    pieces: list[FloatArray] = field(default_factory=list)
    junctions: list[FloatArray] = field(default_factory=list)
    ends: list[FloatArray] = field(default_factory=list)


def close_loops(rng: np.random.Generator, grown: Grown, radius_um: float) -> None:
    """Join the free ends to vessels near them, as capillaries join arterioles to venules."""
    ends = np.concatenate(grown.ends) if grown.ends else np.empty((0, 6))
    nodes = np.concatenate(grown.pieces)[:, 3:6]
    if len(ends) == 0 or len(nodes) < 40:
        return
    start, direction = ends[:, :3], ends[:, 3:]
    ahead = start + 70.0 * direction
    _, hit = cKDTree(nodes).query(ahead)
    goal = nodes[hit]
    gap = np.linalg.norm(goal - start, axis=1)
    near = (gap > 25) & (gap < 180)
    start, direction, goal, gap = start[near], direction[near], goal[near], gap[near]
    middle = start + 0.5 * gap[:, None] * direction
    _curve(
        start, middle + rng.normal(0, 8.0, start.shape), goal, np.full(len(gap), radius_um), grown
    )


def link(
    rng: np.random.Generator,
    start: FloatArray,
    goal: FloatArray,
    sway_um: float,
    radius: FloatArray,
    grown: Grown,
) -> None:
    """Vessels from `start` to `goal` along the surface, swaying to a side."""
    middle = (start + goal) / 2
    middle[:, 1:] += rng.normal(0, sway_um, (len(start), 2))
    _curve(start, middle, goal, radius, grown)


def _curve(
    start: FloatArray, middle: FloatArray, goal: FloatArray, radius: FloatArray, grown: Grown
) -> None:
    """Vessels along quadratic Bezier curves."""
    t = np.linspace(0, 1, 11)[:, None, None]
    path = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * goal
    for a, b in pairwise(path):
        grown.pieces.append(np.column_stack([a, b, radius, radius]))
