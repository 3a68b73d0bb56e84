"""Parallel planes at known distances, through landmarks that lie on them.

Landmark i of section k lies at ``n . m_i = s + p_k + d_k + noise``: n is the unit normal, s the
depth of position 0, p_k the known position and d_k how far cutting strayed from it (0 without a
tolerance; else a random walk, since each cut starts from the one before).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from .linear_models import normalisation

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

_FLATNESS = 1e-3
_LEAST_FREEDOM = 1e-9
_ROUNDING = 1e-9
_EXACT = 1e-4
_ROUNDS = 20


@dataclass(frozen=True, eq=False)
class SeriesPlanes:
    """The planes of a series of sections.

    Parameters
    ----------
    normal : (3,) float64
        World unit vector (z, y, x), in the direction of growing position.
    depth_um : (k,) float64
        ``normal . point`` of the points of each section's plane.
    depth_sd_um : (k,) float64
        Standard deviation of it below the landmarks' centre; NaN where it cannot be told.
    centre_um : (3,) float64
        Of all landmarks.
    off_um : (n,) float64
        Distance of each landmark from its section's plane.
    leave_one_out_um : (n,) float64
        The same from the plane that the others give; NaN where they give none.
    tilt_sd_degrees : float or None
        Of the worse-known direction; None where there are no landmarks to spare.
    reversal : float
        Twice the log-likelihood by which this normal fits better than the opposite one, for which
        the sections would follow each other in the reverse order.
    """

    normal: FloatArray
    depth_um: FloatArray
    depth_sd_um: FloatArray
    centre_um: FloatArray
    off_um: FloatArray
    leave_one_out_um: FloatArray
    tilt_sd_degrees: float | None
    reversal: float


def fit_planes(
    points_um: FloatArray,
    section: IntArray,
    weights: FloatArray,
    position_um: FloatArray,
    step_variance: float = 0.0,
) -> SeriesPlanes:
    """The planes nearest to landmarks, by (generalised) least squares with a unit normal.

    Parameters
    ----------
    points_um : (n, 3) float64
        Landmarks in the volume.
    section : (n,) int
        The section that each lies on.
    weights : (n,) float64
    position_um : (k,) float64
        Known positions of the sections, growing.
    step_variance : float
        Variance (um^2) that the distance gathers per um of position; 0 keeps the distances.

    Raises
    ------
    FitError
        If the landmarks do not tell the normal.
    """
    centre, scale = normalisation(points_um)
    if len(np.unique(section)) < 2:
        raise FitError(
            "landmarks on one section do not tell on which side of it the others lie: place 3 or "
            "more on a second section, far from the first"
        )
    m, p = (points_um - centre) / scale, position_um / scale
    model = _Model(m, section, weights, p, step_variance / scale)
    n, pull, variance = model.solve()
    planes, start, left_out = model.judge(n, pull, variance)
    freedom = len(m) - 3
    depth = p + start + planes.stray
    sd = np.sqrt(variance * planes.depth_variance) if freedom > 0 else np.full(len(p), np.nan)
    tilt = np.rad2deg(np.sqrt(variance * planes.tilt_variance)) if freedom > 0 else None
    return SeriesPlanes(
        n,
        depth * scale + float(n @ centre),
        sd * scale,
        centre,
        (m @ n - depth[section]) * scale,
        left_out * scale,
        None if tilt is None else float(tilt),
        planes.reversal,
    )


@dataclass(frozen=True, eq=False)
class _Judged:
    stray: FloatArray
    depth_variance: FloatArray
    tilt_variance: float
    reversal: float


class _Model:
    """Lengths are in units of the landmarks' spread, about their centre."""

    def __init__(
        self, m: FloatArray, section: IntArray, w: FloatArray, p: FloatArray, step: float
    ) -> None:
        self.m, self.section, self.w, self.p = m, section, w, p
        self.there = p[section]
        self.step = step
        member = np.zeros((len(m), len(p)))
        member[np.arange(len(m)), section] = 1
        self.member = member[:, 1:]  # the first section's straying is part of the start
        run = p[1:] - p[0]
        self.stiffness = np.linalg.inv(step * np.minimum.outer(run, run)) if step > 0 else None

    def _straying(self, variance: float) -> FloatArray | None:
        """Covariance of the straying given the rest, over `variance`; None if it does not stray."""
        if self.stiffness is None:
            return None
        seen = self.member.T @ (self.w[:, None] * self.member)
        return np.asarray(np.linalg.inv(variance * self.stiffness + seen), dtype=np.float64)

    def _weighed(self, values: FloatArray, given: FloatArray | None) -> FloatArray:
        """The inverse covariance of the depths, times `variance`, applied to (n, c) values."""
        out: FloatArray = np.asarray(self.w[:, None] * values, dtype=np.float64)
        if given is not None:
            out -= self.w[:, None] * (self.member @ (given @ (self.member.T @ out)))
        return out

    def solve(self) -> tuple[FloatArray, float, float]:
        """Unit normal, the multiplier of its length, and the variance of a landmark's depth."""
        n, pull = self._normal(None)
        variance = self._variance(n, within=False)
        if self.stiffness is None:
            return n, pull, variance
        # landmarks are not exact: below 1 % of a cut's tolerance the two cannot be weighed
        least = _EXACT * self.step * float(np.ptp(self.p)) / (len(self.p) - 1)
        for _ in range(_ROUNDS):
            before = variance
            variance = max(self._variance(n, within=True) or variance, least)
            n, pull = self._normal(self._straying(variance))
            if abs(variance - before) < _ROUNDING * variance:
                break
        return n, pull, variance

    def _variance(self, n: FloatArray, within: bool) -> float:
        """Of a landmark's depth, about its section's mean or all; 0 where it cannot be told."""
        depth = self.m @ n - self.there
        group = self.section if within else np.zeros_like(self.section)
        lost = len(np.unique(group)) + 2
        if len(depth) <= lost:
            return 0.0
        total = np.bincount(group, self.w)
        mean = np.bincount(group, self.w * depth) / np.where(total > 0, total, 1)
        return float(np.sum(self.w * (depth - mean[group]) ** 2) / (len(depth) - lost))

    def _quadratic(self, given: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """A, b of the misfit ``n'An - 2 b'n + constant``, the start profiled out."""
        columns = np.column_stack([self.m, self.there, np.ones(len(self.m))])
        gram = columns.T @ self._weighed(columns, given)
        gram = gram - np.outer(gram[:, 4], gram[4]) / gram[4, 4]
        return gram[:3, :3], gram[:3, 3]

    def _normal(self, given: FloatArray | None) -> tuple[FloatArray, float]:
        """Least squares on the unit sphere: a secular equation in the multiplier of its length."""
        a, b = self._quadratic(given)
        values, vectors = np.linalg.eigh(a)
        spread = np.linalg.eigvalsh(self.m.T @ (self.w[:, None] * self.m))
        if spread[0] < _FLATNESS**2 * spread[2]:
            raise FitError(
                "the landmarks of all sections lie in one plane or on one line of the volume, "
                "which does not tell how the sections are tilted: place some away from it"
            )
        c = vectors.T @ b
        length = float(np.linalg.norm(c))
        low, high = -values[0] + max(abs(c[0]), _ROUNDING * length), -values[0] + length

        def excess(shift: float) -> float:
            return float(np.linalg.norm(c / (values + shift))) - 1

        # else the shortest normal is too short, and any direction across lengthens it as well
        if not length > 0 or excess(low) < -_ROUNDING:
            raise FitError(
                "the landmarks do not tell how the sections are tilted: place more, spread over "
                "several sections"
            )
        for _ in range(64):  # bisection: the excess falls with the shift
            shift = 0.5 * (low + high)
            low, high = (shift, high) if excess(shift) > 0 else (low, shift)
        n = vectors @ (c / (values + high))
        return n / np.linalg.norm(n), high

    def judge(
        self, n: FloatArray, pull: float, variance: float
    ) -> tuple[_Judged, float, FloatArray]:
        """What the fit is worth, its start, and the leave-one-out depth errors."""
        given = self._straying(variance)
        across = np.linalg.svd(n[None])[2][1:].T
        design = np.column_stack([self.m @ across, -np.ones(len(self.m))])
        weighed = self._weighed(design, given)
        information = design.T @ weighed
        information[:2, :2] += pull * np.eye(2)
        inverse = np.linalg.inv(information)
        depth = self.m @ n - self.there
        start = float((weighed[:, 2] @ depth) / weighed[:, 2].sum())
        residual = self._weighed((depth - start)[:, None], given)[:, 0]
        own = self.w.copy()
        stray = np.zeros(len(self.p))
        known = np.full(len(self.p), 1 / self.w.sum())
        if given is not None:
            shared = np.concatenate([[0.0], np.diag(given)])
            own -= self.w**2 * shared[self.section]
            stray[1:] = given @ (self.member.T @ (self.w * (depth - start)))
            known = self._depth_variance(variance)
        freedom = own - np.einsum("ij,jk,ik->i", weighed, inverse, weighed)
        usable = freedom > _LEAST_FREEDOM * self.w
        left_out = np.where(usable, residual / np.where(usable, freedom, 1.0), np.nan)
        a, b = self._quadratic(given)
        gain = _gain(a, b, n, across)
        tilt = float(np.linalg.eigvalsh(inverse[:2, :2])[1])
        reversal = gain / variance if variance > 1e-20 else np.inf
        return _Judged(stray, known, tilt, float(reversal)), start, left_out

    def _depth_variance(self, variance: float) -> FloatArray:
        """Of start plus straying, over `variance`, the normal being known."""
        assert self.stiffness is not None
        every = np.column_stack([np.ones(len(self.m)), self.member])
        information = every.T @ (self.w[:, None] * every)
        information[1:, 1:] += variance * self.stiffness
        covariance = np.linalg.inv(information)
        reach = np.column_stack([np.ones(len(self.p)), np.eye(len(self.p))[:, 1:]])
        return np.asarray(np.einsum("ij,jk,ik->i", reach, covariance, reach))


def _gain(a: FloatArray, b: FloatArray, n: FloatArray, across: FloatArray) -> float:
    """How much less the misfit is than with the opposite normal, tilted as suits it best."""
    slope = across.T @ b
    curvature = across.T @ a @ across - (n @ a @ n + b @ n) * np.eye(2)
    if np.linalg.eigvalsh(curvature)[0] <= 0:
        return 0.0
    return max(0.0, float(4 * b @ n - 4 * slope @ np.linalg.solve(curvature, slope)))
