"""Where vessels can grow: a box, the brain's surface in it, and how crowded it is so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CELL_UM = 80.0


@dataclass(frozen=True)
class Surface:
    """The brain's surface ``z = depth + bulge * r^2``, r measured from the middle of the window.

    Parameters
    ----------
    depth_um : float
        Depth of its highest point in the stack.
    bulge_per_um : float
        Curvature (1/um): the cortex falls away from the middle.
    centre_um : (float, float)
        The middle (y, x).
    """

    depth_um: float
    bulge_per_um: float
    centre_um: tuple[float, float]

    def z(self, y: FloatArray, x: FloatArray) -> FloatArray:
        """Depth (um) of the surface at (y, x)."""
        r2 = (y - self.centre_um[0]) ** 2 + (x - self.centre_um[1]) ** 2
        return np.asarray(self.depth_um + self.bulge_per_um * r2, dtype=np.float64)


class Crowding:
    """How densely vessels fill the box so far, on a coarse lattice."""

    def __init__(self, lower: FloatArray, upper: FloatArray) -> None:
        self.lower = lower
        self.shape = np.maximum(2, np.ceil((upper - lower) / _CELL_UM)).astype(np.int64)
        self.count = np.zeros(self.shape)
        self.slope = np.zeros((3, *self.shape))
        self.seen = 0

    def add(self, points: FloatArray) -> None:
        """Count pieces of vessel that end at (n, 3) points."""
        np.add.at(self.count, self._cell(points), 1.0)
        smooth = gaussian_filter(self.count, 1.3, mode="nearest")
        self.slope = np.stack(np.gradient(np.log(smooth + 0.5)))

    def way_out(self, points: FloatArray) -> FloatArray:
        """(n, 3) unit directions (or shorter where all is alike) to emptier tissue."""
        slope = self.slope[:, *self._cell(points)].T
        return np.asarray(-slope / (np.linalg.norm(slope, axis=1, keepdims=True) + 0.2))

    def _cell(self, points: FloatArray) -> tuple[IntArray, IntArray, IntArray]:
        cell = ((points - self.lower) / _CELL_UM).astype(np.int64)
        cell = np.clip(cell, 0, self.shape - 1)
        return cell[:, 0], cell[:, 1], cell[:, 2]


@dataclass
class Room:
    """The box, its surface, and how crowded it is with pial vessels and with all."""

    lower: FloatArray
    upper: FloatArray
    surface: Surface
    pial: Crowding
    all: Crowding

    def look(self, pieces: list[FloatArray]) -> None:
        """Take in what has grown since the last time."""
        if self.all.seen == len(pieces):
            return
        rows = np.concatenate(pieces[self.all.seen :])
        self.all.seen = len(pieces)
        ends = rows[:, 3:6]
        self.all.add(ends)
        self.pial.add(ends[ends[:, 0] - self.surface.z(ends[:, 1], ends[:, 2]) < 60])
