"""Rigid, similarity or affine map that maximises the local correlation, from a start nearby."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm
from scipy.optimize import minimize

from .local_correlation import Windows, correlation_and_force, local_correlation
from .sampling_kernels import sample_affine, sample_field
from .structure import Structure

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

LinearModel = Literal["rigid", "similarity", "affine"]

_CORNERS = np.array([[(k >> i) & 1 for i in range(3)] for k in range(8)])
_SCALE = 100.0  # brings the metric's slopes near 1 a voxel, where the optimiser's first step is apt


@dataclass(frozen=True, eq=False)
class LinearMatch:
    """Result of :func:`match_linear`.

    Parameters
    ----------
    matrix : (4, 4) float64
        Fixed index to moving index.
    metric : float
        Mean squared local correlation over the overlap, 0-1.
    overlap : float
        Share of the fixed image that the moving one covers.
    """

    matrix: FloatArray
    metric: float
    overlap: float

    @property
    def score(self) -> float:
        """The metric, an agreement over more of the image being the more significant one."""
        return self.metric * float(np.sqrt(self.overlap))


class Comparison:
    """Two images at one resolution, for one affine after another.

    Parameters
    ----------
    fixed, moving : Structure
    radius : int
        Of the windows, in voxels.
    weight : (z, y, x) float32, optional
        How much each of the fixed image's voxels counts; all alike by default.
    """

    def __init__(
        self,
        fixed: Structure,
        moving: Structure,
        radius: int,
        weight: Float32Array | None = None,
    ) -> None:
        self.fixed = fixed
        self.moving = moving
        is_signed = fixed.is_positive and moving.is_positive
        self.windows = Windows(radius, (fixed.noise, moving.noise), is_signed)
        shape = fixed.values.shape
        self._values = np.empty(shape, np.float32)
        self._inside = np.empty(shape, np.float32)
        self._slopes = np.empty((3, *shape), np.float32)
        self.weight = np.ones(shape, np.float32) if weight is None else weight
        self._whole = float((fixed.valid * self.weight).sum())

    def evaluate(self, matrix: FloatArray) -> LinearMatch:
        """The metric at a matrix."""
        squared, counts = self.map(matrix)
        n = float(counts.sum())
        metric = float((squared * counts).sum() / n) if n else 0.0
        return LinearMatch(matrix, metric, n / self._whole)

    def evaluate_shifted(self, matrix: FloatArray, shift: FloatArray) -> float:
        """The metric where (3, z, y, x) fixed voxels of `shift` come before the matrix."""
        sample_field(
            self.moving.values,
            self.moving.valid,
            np.ascontiguousarray(matrix),
            np.ascontiguousarray(shift),
            self._values,
            self._inside,
            self._slopes,
        )
        valid = ((self._inside > 0.99) & (self.fixed.valid > 0.99)).astype(np.float32)
        squared, counts = local_correlation(
            self.fixed.values, self._values, valid, self.weight, self.windows
        )
        n = float(counts.sum())
        return float((squared * counts).sum() / n) if n else 0.0

    def map(self, matrix: FloatArray) -> tuple[Float32Array, Float32Array]:
        """Squared correlation about every voxel, and how much it counts."""
        self._sample(matrix)
        return local_correlation(
            self.fixed.values, self._values, self._valid, self.weight, self.windows
        )

    def slope(self, matrix: FloatArray) -> tuple[float, FloatArray]:
        """The score at a matrix, and its (3, 4) derivative."""
        self._sample(matrix)
        total, n, force = correlation_and_force(
            self.fixed.values, self._values, self._valid, self.weight, self.windows
        )
        if n <= 0:
            return 0.0, np.zeros((3, 4))
        norm = np.sqrt(n * self._whole)
        pull = force * self._slopes
        out = np.empty((3, 4))
        out[:, 3] = pull.sum(axis=(1, 2, 3), dtype=np.float64)
        for axis, length in enumerate(self.fixed.values.shape):
            others = tuple(1 + a for a in range(3) if a != axis)
            profile = pull.sum(axis=others, dtype=np.float64)
            out[:, axis] = profile @ np.arange(length)
        return total / norm, out / norm

    def _sample(self, matrix: FloatArray) -> None:
        sample_affine(
            self.moving.values,
            self.moving.valid,
            np.ascontiguousarray(matrix),
            self._values,
            self._inside,
            self._slopes,
        )
        self._valid = ((self._inside > 0.99) & (self.fixed.valid > 0.99)).astype(np.float32)


def match_linear(
    comparison: Comparison,
    start: FloatArray,
    model: LinearModel,
    iterations: int = 40,
    most_voxels: float | None = None,
) -> LinearMatch:
    """Climb from a start to the nearest maximum of the score.

    Parameters
    ----------
    comparison : Comparison
    start : (4, 4)
        Fixed index to moving index.
    model : {"rigid", "similarity", "affine"}
        What may be changed of the start; a scale or shear of the start stays in a rigid one.
    iterations : int
    most_voxels : float, optional
        How far the corners may move, else the start is given back.
    """
    shape = np.asarray(comparison.fixed.values.shape)
    build, n = _parameters(start, shape, model)

    def cost(p: FloatArray) -> tuple[float, FloatArray]:
        matrix = build(p)
        score, by_matrix = comparison.slope(matrix)
        step = 1e-4
        slopes = np.empty(n)
        for k in range(n):
            nudge = np.zeros(n)
            nudge[k] = step
            by_parameter = (build(p + nudge) - build(p - nudge))[:3] / (2 * step)
            slopes[k] = float(np.sum(by_matrix * by_parameter))
        return -_SCALE * score, -_SCALE * slopes

    found = minimize(
        cost, np.zeros(n), jac=True, method="L-BFGS-B", options={"maxiter": iterations}
    )
    before, after = comparison.evaluate(start), comparison.evaluate(build(found.x))
    moved = corner_distance(start, after.matrix, shape)
    if after.score < before.score or (most_voxels is not None and moved > most_voxels):
        return before
    return after


def corner_distance(a: FloatArray, b: FloatArray, shape: NDArray[np.integer]) -> float:
    """RMS distance (moving voxels) between where two matrices map the fixed image's corners."""
    apart = mapped_corners(a, shape) - mapped_corners(b, shape)
    return float(np.sqrt(np.mean(np.sum(apart**2, axis=1))))


def mapped_corners(matrix: FloatArray, shape: NDArray[np.integer]) -> FloatArray:
    """(8, 3) where a matrix maps the corners of a grid of a shape."""
    return np.asarray((_CORNERS * (shape - 1)) @ matrix[:3, :3].T + matrix[:3, 3])


def _parameters(
    start: FloatArray, shape: NDArray[np.integer], model: LinearModel
) -> tuple[Callable[[FloatArray], FloatArray], int]:
    """A function from parameters (0 is the start, 1 moves the image about a voxel) to matrices."""
    wide = np.flatnonzero(shape > 1)
    centre = (shape - 1) / 2
    radius = float(np.sqrt(np.mean((shape[wide] - 1.0) ** 2) / 4)) or 1.0
    generators = []
    for a, i in enumerate(wide):
        for j in wide[a + 1 :]:
            g = np.zeros((3, 3))
            g[i, j], g[j, i] = -1, 1
            generators.append(g)
    if model != "rigid":
        g = np.zeros((3, 3))
        g[wide, wide] = 1
        generators.append(g)
    if model == "affine":
        for a, i in enumerate(wide):
            for j in wide[a + 1 :]:
                g = np.zeros((3, 3))
                g[i, j] = g[j, i] = 1
                generators.append(g)
        for i in wide[1:]:
            g = np.zeros((3, 3))
            g[i, i], g[wide[0], wide[0]] = 1, -1
            generators.append(g)
    stack = np.array(generators) / radius
    n_linear = len(generators)
    middle = start[:3, :3] @ centre + start[:3, 3]

    def build(p: FloatArray) -> FloatArray:
        change = np.tensordot(p[:n_linear], stack, axes=1)
        # an affine needs no exponential, which costs most of the time of a small image
        change = np.eye(3) + change if model == "affine" else expm(change)
        linear = change @ start[:3, :3]
        shift = np.zeros(3)
        shift[wide] = p[n_linear:]
        matrix = np.eye(4)
        matrix[:3, :3] = linear
        matrix[:3, 3] = middle + shift - linear @ centre
        return matrix

    return build, n_linear + wide.size
