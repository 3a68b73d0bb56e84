"""The best place of one patch in another: searched everywhere, then found between the steps.

Every shift within the bound is looked at; the best few peaks are each brought to their top by
Gauss-Newton steps on ``sum w (f - a(x) g(x + v + E x) - b(x))^2``: the shift v, a strain E that
tissue may have within the patch (prior: a few percent), a gain a(x) that changes linearly (light
fades with depth) and a quadratic background b(x) (a tumour, a surface). Its curvature, and how
noisy and how rough what is left over is, give the shift's covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates, maximum_filter, spline_filter

from .patch import Patch
from .patch_kernel import shifted_correlations, spline_values

FloatArray = NDArray[np.float64]

_STRAIN = 0.05
_MOST_PEAKS = 4
_FEWEST = 0.5
_ROUNDS = 12
_DONE_STEPS = 2e-3


@dataclass(frozen=True, eq=False)
class Peak:
    """A place where the images agree better than around it.

    Parameters
    ----------
    shift_um : (3,) float64
        Along the frame's axes.
    correlation : float
        Squared, at the shift alone.
    evidence : float
        Log likelihood above that of no relation at all, with the samples counted as independent as
        they are.
    covariance_um2 : (3, 3) float64
        Of the shift.
    n_effective : float
    """

    shift_um: FloatArray
    correlation: float
    evidence: float
    covariance_um2: FloatArray
    n_effective: float


@dataclass(frozen=True, eq=False)
class Match:
    """What a search found.

    Parameters
    ----------
    peaks : tuple of Peak
        The best first.
    start : Peak or None
        As a place: the shift is zero, its covariance unknown.
    """

    peaks: tuple[Peak, ...]
    start: Peak


def match(patch: Patch, bound_um: float) -> Match | None:
    """Search all shifts whose step in moving world is not longer than `bound_um`."""
    known = np.isfinite(patch.fine)
    if not known.any():
        return None
    fine = patch.fine
    if not known.all():
        nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
        fine = fine[tuple(nearest)]
    look = _Looker(patch, fine, known)
    start = look.at(np.zeros(3))
    if start is None:
        return None
    low = patch.places.min(axis=0)
    reach = np.minimum(low, np.array(fine.shape) - 1 - patch.places.max(axis=0))
    reach = np.where(patch.free, np.maximum(reach, 0), 0)
    axes = [np.arange(-r, r + 1) for r in reach]
    shifts = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int64)
    steps = (shifts * patch.step_um) @ patch.to_moving.T
    # one step beyond the bound, to tell a top there from a slope that goes on
    near = np.linalg.norm(steps, axis=1) <= bound_um + float(np.linalg.norm(patch.step_um))
    part = np.empty(int(near.sum()))
    shifted_correlations(
        look.left, patch.weights, look.basis, patch.places, fine, shifts[near], part
    )
    volume = np.full(len(shifts), -1.0)
    volume[near] = part
    volume = volume.reshape([len(a) for a in axes])
    tops = (volume == maximum_filter(volume, 3, mode="constant", cval=-1.0)) & (volume > 0)
    order = np.argsort(-volume[tops], kind="stable")[:_MOST_PEAKS]
    starts = shifts.reshape(*volume.shape, 3)[tops][order]
    peaks = [p for p in (look.climb(s * patch.step_um) for s in starts) if p is not None]
    return Match(tuple(_distinct(peaks, patch)), start)


def _distinct(peaks: list[Peak], patch: Patch) -> list[Peak]:
    kept: list[Peak] = []
    for peak in sorted(peaks, key=lambda p: -p.evidence):
        if all(np.linalg.norm((peak.shift_um - k.shift_um) / patch.voxel_um) > 0.5 for k in kept):
            kept.append(peak)
    return kept


class _Looker:
    """Evaluates one patch at shifts between the lattice's steps."""

    def __init__(self, patch: Patch, fine: FloatArray, known: NDArray[np.bool_]) -> None:
        self._patch = patch
        self._spline = spline_filter(fine, order=3, mode="mirror")
        self._gap = None if known.all() else (~known).astype(np.float64)
        self._free = [int(a) for a in np.flatnonzero(patch.free)]
        self._strains = [(i, j) for i in self._free for j in self._free]
        away = patch.offsets_um[:, self._free] / np.abs(patch.offsets_um).max()
        n = away.shape[1]
        squares = [away[:, i] * away[:, j] for i in range(n) for j in range(i, n)]
        self._away = away
        self._trend = np.column_stack([np.ones(len(away)), away, *squares])
        self.basis = np.ascontiguousarray(_orthonormal(self._trend, patch.weights))
        w = patch.weights
        self.left = patch.values - self.basis @ (self.basis.T @ (w * patch.values))

    def at(self, shift_um: FloatArray, strain: FloatArray | None = None) -> Peak | None:
        """The agreement at a shift."""
        g, _, w = self._values(shift_um, strain)
        if w.sum() < _FEWEST * self._patch.weights.sum():
            return None
        left, _ = self._without(self._linear(g), w)
        alone, _ = self._without(self._trend, w)
        before = float((w * alone**2).sum())
        r2 = 1 - float((w * left**2).sum()) / before if before > 0 else 0.0
        n = max(float(w.sum()) / self._roughness(left, g, w), 1.0)
        evidence = -n / 2 * float(np.log1p(-min(max(r2, 0.0), 1 - 1e-12)))
        return Peak(shift_um, r2, evidence, np.full((3, 3), np.nan), n)

    def climb(self, shift_um: FloatArray) -> Peak | None:
        """The top near a shift."""
        patch, free = self._patch, self._free
        shift, strain = shift_um.astype(np.float64), np.zeros((3, 3))
        covariance = np.full((3, 3), np.nan)
        for _ in range(_ROUNDS):
            g, slope, w = self._values(shift, strain)
            if w.sum() < _FEWEST * patch.weights.sum():
                return None
            linear = self._linear(g)
            left, fitted = self._without(linear, w)
            noise = max(float((w * left**2).sum() / w.sum()), 1e-12)
            noise *= self._roughness(left, g, w)
            # the gain where each sample lies
            gain = fitted[0] + self._away @ fitted[-len(free) :]
            design = np.column_stack(
                [
                    linear,
                    *(gain * slope[:, i] for i in free),
                    *(gain * slope[:, i] * patch.offsets_um[:, j] for i, j in self._strains),
                ]
            )
            first = linear.shape[1]
            last = first + len(free)
            prior = np.zeros(design.shape[1])
            prior[last:] = noise / _STRAIN**2
            weighted = design * w[:, None]
            normal = weighted.T @ design + np.diag(prior)
            pull = weighted.T @ left
            pull[last:] -= prior[last:] * np.array([strain[i, j] for i, j in self._strains])
            scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
            inverse = np.linalg.pinv(normal / np.outer(scale, scale), rcond=1e-10)
            inverse = inverse / np.outer(scale, scale)
            change = inverse @ pull
            move = np.zeros(3)
            move[free] = change[first:last]
            length = float(np.linalg.norm(move / patch.voxel_um))
            damp = min(1.0, 0.7 / max(length, 1e-12))
            shift = shift + damp * move
            for (i, j), e in zip(self._strains, change[last:], strict=True):
                strain[i, j] = np.clip(strain[i, j] + damp * e, -0.25, 0.25)
            covariance = np.zeros((3, 3))
            covariance[np.ix_(free, free)] = inverse[first:last, first:last] * noise
            if length < _DONE_STEPS:
                break
        full, plain = self.at(shift, strain), self.at(shift)
        if full is None or plain is None:
            return None
        return Peak(shift, plain.correlation, full.evidence, covariance, full.n_effective)

    def _linear(self, g: FloatArray) -> FloatArray:
        """(n, k): the values, a background, and the values with a gain that changes across."""
        return np.column_stack([g, self._trend, g[:, None] * self._away])

    def _without(self, columns: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What columns leave of the samples, and their factors."""
        root = np.sqrt(w)
        solved = np.linalg.lstsq(columns * root[:, None], self._patch.values * root, rcond=None)
        fitted = np.asarray(solved[0], dtype=np.float64)
        return self._patch.values - columns @ fitted, fitted

    def _values(
        self, shift_um: FloatArray, strain: FloatArray | None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Values (n,), slopes (n, 3) per um and weights (n,)."""
        patch = self._patch
        away = shift_um if strain is None else shift_um + patch.offsets_um @ strain.T
        where = patch.places + away / patch.step_um
        out = np.empty((len(where), 4))
        spline_values(self._spline, where, out)
        size = np.asarray(patch.fine.shape) - 1
        inside = np.all((where >= 0) & (where <= size), axis=1)
        if self._gap is not None:
            gap = map_coordinates(self._gap, where.T, order=1, mode="nearest")
            inside &= gap < 1e-9
        w = patch.weights if inside.all() else patch.weights * inside
        return out[:, 0], out[:, 1:] / patch.step_um, w

    def _roughness(self, left: FloatArray, g: FloatArray, w: FloatArray) -> float:
        """How many samples say as much as one independent one.

        Bartlett's formula for the correlation of two series, each taken as autoregressive along
        each axis: what is left over, and the values that it is compared with.
        """
        shape = self._patch.shape
        left_box, g_box, weight = (np.zeros(shape) for _ in range(3))
        left_box.ravel()[self._patch.numbers] = left
        g_box.ravel()[self._patch.numbers] = g - self.basis @ (self.basis.T @ (w * g))
        weight.ravel()[self._patch.numbers] = w
        total = 1.0
        for a in self._free:
            alike = min(_next(left_box, weight, a) * _next(g_box, weight, a), 0.9)
            total *= (1 + alike) / (1 - alike)
        return total


def _next(box: FloatArray, weight: FloatArray, axis: int) -> float:
    """Correlation (0-1) of neighbours along an axis."""
    n = box.shape[axis]
    first, second = np.arange(n - 1), np.arange(1, n)
    a, b = np.take(box, first, axis), np.take(box, second, axis)
    both = np.take(weight, first, axis) * np.take(weight, second, axis)
    power = float((both * (a**2 + b**2)).sum()) / 2
    return max(float((both * a * b).sum()) / power, 0.0) if power > 0 else 0.0


def _orthonormal(columns: FloatArray, w: FloatArray) -> FloatArray:
    """Columns of the same span whose weighted products are 1 and 0."""
    root = np.sqrt(w)
    q, _ = np.linalg.qr(columns * root[:, None])
    return np.asarray(q / np.maximum(root, 1e-150)[:, None] * (root > 0)[:, None])
