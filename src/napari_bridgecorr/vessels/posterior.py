"""What one place's likeness over shifts says, beside what all other places expect of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .ridges import Float32Array

FloatArray = NDArray[np.float64]

LEAST_ERROR = 0.1
"""Standard error, per axis, that a match has at least, in lengths of the scale."""

# what the field is off by between places, in lengths of the scale
_ROUGHNESS = 0.15
# log likelihood that chance alone reaches somewhere within the search
_CHANCE = 1.5
# a match is one place within this distance, in lengths of the scale, and its error is looked at
# within the second
_NEAR, _AROUND = 1.5, 2.5
_STEPS_PER_VOXEL_3D, _STEPS_PER_VOXEL_2D = 2, 3
_MOST_LIKENESS = 0.995
# two kinds of image made of the same pixels are no two witnesses, nor are they one
_OWN_SHARE = {1: 1.0, 2: 0.7}
# the least precision that says anything, as a share of the most
_LEAST_PRECISION = 1e-4
# farther than this from what is expected nothing pulls, in lengths of the scale
_FARTHEST = 4.0


@dataclass(frozen=True, eq=False)
class Posterior:
    """Of a single place; vectors along the free axes only.

    Parameters
    ----------
    shift_um : (d,) float64
        By all that is known.
    seen_um : (d,) float64
    precision : (d, d) float64
        What its own surroundings say: shift, and inverse covariance (0 along what they leave open).
    near, across : float
        Probabilities: of a shift within 1.5 scales; of one within 1.5 scales apart from the
        direction that is known least, as along a vessel.
    error_um : float
        Standard deviation, per axis, of the shift by all that is known.
    likeness : float
        Correlation there.
    runner_up : float
        Best likeness elsewhere, as a share.
    is_at_edge : bool
        Whether it lies where the search ends.
    """

    shift_um: FloatArray
    seen_um: FloatArray
    precision: FloatArray
    near: float
    across: float
    error_um: float
    likeness: float
    runner_up: float
    is_at_edge: bool


class ShiftJudge:
    """Weighs likeness against expectation, on one lattice of shifts.

    Parameters
    ----------
    reach : three int
        Largest shift in voxels.
    spacing_um : (3,) float64
    scale_um : float
    samples : sequence of float
        That a window holds, in each of the kinds of image that are compared.
    """

    def __init__(
        self,
        reach: tuple[int, int, int],
        spacing_um: FloatArray,
        scale_um: float,
        samples: Sequence[float],
    ) -> None:
        free = np.array(reach) > 0
        finer = _STEPS_PER_VOXEL_3D if free.all() else _STEPS_PER_VOXEL_2D
        self._scale, self._samples = scale_um, samples
        nodes = [np.linspace(0, 2 * r, 2 * r * finer + 1) for r in reach]
        # a cubic spline between whole voxels is the same linear map along each axis, every time
        self._between = [
            np.stack([_spline(unit, at) for unit in np.eye(2 * r + 1)], axis=1)
            for r, at in zip(reach, nodes, strict=True)
        ]
        steps = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1).reshape(-1, 3)
        steps -= np.array(reach)
        self._steps = (steps * spacing_um)[:, free]
        self._ends = (np.array(reach) * spacing_um)[free]
        self._cell = float(spacing_um[free].mean()) / finer

    def __call__(
        self, alike: Sequence[Float32Array], expected_um: FloatArray, covariance: FloatArray
    ) -> Posterior:
        """Judge (2 reach + 1)-shaped correlations, (d,) expected shift, its (d, d) covariance."""
        steps, scale, d = self._steps, self._scale, len(expected_um)
        likeness, gain = np.zeros(len(steps)), np.zeros(len(steps))
        for one, samples in zip(alike, self._samples, strict=True):
            finer = np.clip(self._finer(one), 0.0, _MOST_LIKENESS)
            likeness += finer / len(alike)
            gain -= 0.5 * _OWN_SHARE[len(alike)] * samples * np.log1p(-(finer**2))
        trust = np.asarray(
            np.linalg.inv(covariance + (_ROUGHNESS * scale) ** 2 * np.eye(d)), dtype=np.float64
        )
        off = steps - expected_um
        expected = -0.5 * ((off @ trust) * off).sum(1)
        best = int((gain + expected).argmax())
        top = float(gain[best] + expected[best])
        weight = np.exp(gain + expected - top)
        rest = steps - steps[best]
        squared = (rest**2).sum(1)
        around = squared <= (_AROUND * scale) ** 2
        _, wide = _moments(steps[around], weight[around])
        along = np.linalg.eigh(wide)[1][:, -1]
        beside = squared - (rest @ along) ** 2 <= (_NEAR * scale) ** 2
        chance = np.exp(_CHANCE - top) * np.exp(expected).sum()
        total = weight.sum() + chance
        mean, cover = _moments(steps[beside], weight[beside])
        cover += self._cell**2 / 12 * np.eye(d)
        seen, precision = self._own(mean, cover, expected_um, trust)
        at = int(((steps - mean) ** 2).sum(1).argmin())
        elsewhere = float(likeness[squared > (2 * scale) ** 2].max(initial=0.0))
        return Posterior(
            mean,
            seen,
            precision,
            float(weight[squared <= (_NEAR * scale) ** 2].sum() / total),
            float(weight[beside].sum() / total),
            float(np.sqrt(np.trace(cover) / d)),
            float(likeness[at]),
            elsewhere / max(float(likeness[at]), 1e-6),
            bool(np.any(np.abs(steps[best]) >= self._ends - 1e-6)),
        )

    def _finer(self, alike: Float32Array) -> FloatArray:
        found = alike.astype(np.float64)
        for axis in self._between:  # the first axis goes, and comes back as the last
            found = np.tensordot(found, axis, axes=(0, 1))
        return found.ravel()

    def _own(
        self, mean: FloatArray, cover: FloatArray, expected: FloatArray, trust: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """What is known less what was expected: the place's own part (expectation propagation)."""
        known = np.linalg.inv(cover)
        most = 1 / (LEAST_ERROR * self._scale) ** 2
        values, axes = np.linalg.eigh(known - trust)
        pull = axes.T @ (known @ mean - trust @ expected)
        says = values > _LEAST_PRECISION * most
        far = _FARTHEST * self._scale
        seen = np.where(says, pull / np.where(says, values, 1.0), axes.T @ mean)
        seen = np.clip(seen, -far, far)
        return axes @ seen, (axes * np.where(says, np.minimum(values, most), 0.0)) @ axes.T


def _spline(values: FloatArray, at: FloatArray) -> FloatArray:
    return np.asarray(ndimage.map_coordinates(values, at[None], order=3, mode="nearest"))


def _moments(steps: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance."""
    share = weight / weight.sum()
    mean = share @ steps
    rest = steps - mean
    return mean, (rest * share[:, None]).T @ rest
