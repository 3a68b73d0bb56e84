"""Candidate poses of an exhaustive search: every place at once, for one rotation after another.

For a rotation, the agreement at all displacements is a set of correlations, computed by Fourier
transforms. Two kinds of agreement are taken: of intensities (correlation coefficient over the
overlap, Padfield 2012) and of edges, whose directions agree or not whatever the contrast (the
normalised gradient field of Haber and Modersitzki 2006, written as a correlation of tensors).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfftn, next_fast_len, rfftn
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial.transform import Rotation

from .sampling_kernels import sample_affine
from .structure import Structure

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

_LEAST_OVERLAP = 0.25  # of the smaller one's tissue
_CANVAS = 1.25  # of the moving image's longest axis
_MARGIN = 0.5  # of the smaller image
_EDGE_SHARE = 0.5  # of the mean gradient, below which an edge is noise


@dataclass(frozen=True, eq=False)
class Pose:
    """A candidate: fixed index to moving index (4, 4), and how well it agrees."""

    matrix: FloatArray
    score: float
    turn: int


def rotations(is_flat: bool, mirror: bool, step_degrees: float) -> list[FloatArray]:
    """(3, 3) rotations that leave no pose farther than about a step; mirrored ones at the end.

    In 3-D the identity and the other 23 turns of a cube come first, then a super-Fibonacci spiral
    (Alexa, CVPR 2022), which is nearly uniform.
    """
    if is_flat:
        angles = np.arange(0.0, 360.0, step_degrees)
        found = [Rotation.from_rotvec([a, 0, 0], degrees=True).as_matrix() for a in angles]
    else:
        found = [r.as_matrix() for r in Rotation.create_group("O")]
        # the volume of a ball of that angle in the 8 pi^2 of all rotations
        radius = np.deg2rad(step_degrees)
        n = int(np.ceil(8 * np.pi**2 / (8 * np.pi * (radius - np.sin(radius)))) * 1.2)
        found += [r.as_matrix() for r in _spiral(n)]
    if mirror:
        flip = np.diag([1.0, 1.0, -1.0])
        found += [r @ flip for r in found]
    return found


def _spiral(n: int) -> Rotation:
    phi, psi = np.sqrt(2.0), 1.533751168755204288118041
    s = np.arange(n) + 0.5
    r, big_r = np.sqrt(s / n), np.sqrt(1 - s / n)
    a, b = 2 * np.pi * s / phi, 2 * np.pi * s / psi
    return Rotation.from_quat(
        np.column_stack([r * np.sin(a), r * np.cos(a), big_r * np.sin(b), big_r * np.cos(b)])
    )


def poses(
    fixed: Structure,
    moving: Structure,
    turns: Sequence[FloatArray],
    peaks: int = 3,
) -> Iterator[list[Pose]]:
    """The best poses for one turn (rotation, and scale) after another.

    Parameters
    ----------
    fixed, moving : Structure
        Small, and of the same step.
    turns : sequence of (3, 3)
        Fixed to moving directions.
    peaks : int
        The most poses for each turn.
    """
    matcher = _Matcher(fixed, moving)
    for number, turn in enumerate(turns):
        yield matcher.best(turn, number, peaks)


class _Matcher:
    """Agreement with one fixed image; its Fourier transforms are made once."""

    def __init__(self, fixed: Structure, moving: Structure) -> None:
        self._moving = moving
        self._is_signed = fixed.is_positive and moving.is_positive
        shape = np.asarray(fixed.values.shape)
        wide = shape > 1
        # whatever the rotation, but for the corners, which are mostly empty
        reach = float(np.max(np.asarray(moving.values.shape)[wide])) * _CANVAS
        self._canvas = np.where(wide, int(np.ceil(reach)), 1)
        self._fixed_shape = shape
        # displacements that leave next to no overlap wrap around
        least = np.maximum(shape, self._canvas) + _MARGIN * np.minimum(shape, self._canvas)
        self._size = [
            next_fast_len(int(n), real=True) if w else 1 for n, w in zip(least, wide, strict=True)
        ]
        mask = fixed.valid
        weight = mask * _soft(fixed)
        self._transforms = self._of(fixed.values, mask, weight)
        self._fixed_mass = float(weight.sum())
        self._moving_mass = float((moving.valid * _soft(moving)).sum())

    def _of(
        self, values: Float32Array, mask: Float32Array, weight: Float32Array
    ) -> list[NDArray[np.complexfloating]]:
        """Of mask, values, squares, tissue, edges' squares, and the edges' tensor."""
        tensor, energy = _edges(values, mask)
        parts = [mask, values * mask, values**2 * mask, weight, energy, *tensor]
        return [rfftn(p, self._size) for p in parts]

    def best(self, turn: FloatArray, number: int, peaks: int) -> list[Pose]:
        turned, matrix = self._turned(turn)
        score = self._score(turned)
        return self._peaks(score, matrix, number, peaks)

    def _turned(self, turn: FloatArray) -> tuple[list[NDArray[np.complexfloating]], FloatArray]:
        """The moving image turned on the canvas, and the matrix canvas index -> moving index."""
        middle = (self._canvas - 1) / 2
        matrix = np.eye(4)
        matrix[:3, :3] = turn
        centre = (np.asarray(self._moving.values.shape) - 1) / 2
        matrix[:3, 3] = centre - turn @ middle
        shape = tuple(int(n) for n in self._canvas)
        values, mask = np.empty(shape, np.float32), np.empty(shape, np.float32)
        slopes = np.empty((3, *shape), np.float32)
        sample_affine(self._moving.values, self._moving.valid, matrix, values, mask, slopes)
        mask = (mask > 0.5).astype(np.float32)
        soft = Structure(values, mask, self._moving.grid, self._moving.is_positive)
        return self._of(values, mask, mask * _soft(soft)), matrix

    def _score(self, turned: list[NDArray[np.complexfloating]]) -> Float32Array:
        f, m = self._transforms, turned
        corr = self._correlation
        n = np.maximum(corr([f[0]], [m[0]]), 1e-3)
        sum_f, sum_m = corr([f[1]], [m[0]]), corr([f[0]], [m[1]])
        var_f = np.maximum(corr([f[2]], [m[0]]) - sum_f**2 / n, 0)
        var_m = np.maximum(corr([f[0]], [m[2]]) - sum_m**2 / n, 0)
        least = 1e-3 * max(float(var_f.max() * var_m.max()), 1e-12)
        plain = (corr([f[1]], [m[1]]) - sum_f * sum_m / n) / np.sqrt(var_f * var_m + least)
        edge_f, edge_m = corr([f[4]], [m[0]]), corr([f[0]], [m[4]])
        least = 1e-3 * max(float(edge_f.max() * edge_m.max()), 1e-12)
        edges = corr(f[5:], m[5:]) / np.sqrt(np.maximum(edge_f * edge_m, 0) + least)
        if not self._is_signed:
            plain = np.abs(plain)
        # a correlation over more of the tissue is the more significant one
        of_fixed = corr([f[3]], [m[0]]) / self._fixed_mass
        of_moving = corr([f[0]], [m[3]]) / self._moving_mass
        shared = np.clip(np.minimum(of_fixed, of_moving), 0, 1)
        least = _LEAST_OVERLAP * min(max(float(of_fixed.max()), float(of_moving.max())), 1.0)
        score = (np.maximum(plain, 0) + 2 * np.maximum(edges, 0)) * np.sqrt(shared)
        return np.where(shared > least, score, 0.0)

    def _correlation(
        self,
        fixed: Sequence[NDArray[np.complexfloating]],
        turned: Sequence[NDArray[np.complexfloating]],
    ) -> Float32Array:
        total = np.conj(turned[0]) * fixed[0]
        for f, m in zip(fixed[1:], turned[1:], strict=True):
            total += np.conj(m) * f
        return np.asarray(irfftn(total, self._size))

    def _peaks(
        self, score: Float32Array, matrix: FloatArray, number: int, peaks: int
    ) -> list[Pose]:
        apart = [max(1, int(0.12 * n)) * 2 + 1 if n > 1 else 1 for n in self._fixed_shape]
        is_peak = (score == maximum_filter(score, apart, mode="wrap")) & (score > 0)
        where = np.argwhere(is_peak)
        order = np.argsort(-score[is_peak], kind="stable")[:peaks]
        found = []
        for k in order:
            # fixed index = canvas index + shift, the shift being periodic
            middle = (self._fixed_shape - self._canvas) / 2
            period = np.asarray(self._size)
            shift = middle + (where[k] - middle + period / 2) % period - period / 2
            pose = matrix.copy()
            pose[:3, 3] -= matrix[:3, :3] @ shift
            found.append(Pose(pose, float(score[tuple(where[k])]), number))
        return found


def _soft(structure: Structure) -> Float32Array:
    """How much tissue a voxel holds; all alike where tissue is not known from background."""
    if structure.is_positive:
        return np.clip(structure.values, 0.02, 1.0)
    return np.ones_like(structure.values)


def _edges(values: Float32Array, mask: Float32Array) -> tuple[list[Float32Array], Float32Array]:
    """Traceless tensors of the edges' directions, and their squared size."""
    wide = [a for a, n in enumerate(values.shape) if n > 1]
    smooth = gaussian_filter(values, [1.0 if n > 1 else 0.0 for n in values.shape])
    inner = gaussian_filter(mask, [1.0 if n > 1 else 0.0 for n in values.shape]) > 0.99
    slopes = [np.gradient(smooth, axis=a) * inner for a in wide]
    square = sum((s**2 for s in slopes), np.zeros_like(values))
    known = square[inner]
    floor = (_EDGE_SHARE**2 * float(known.mean()) if known.size else 0.0) + 1e-8
    share = 1.0 / (square + floor)
    d = len(wide)
    tensor: list[Float32Array] = []
    energy = np.zeros_like(values)
    for i in range(d):
        for j in range(i, d):
            part = slopes[i] * slopes[j] * share
            part = part - square * share / d if i == j else np.sqrt(np.float32(2)) * part
            tensor.append(part.astype(np.float32))
            energy += part**2
    return tensor, energy.astype(np.float32)
