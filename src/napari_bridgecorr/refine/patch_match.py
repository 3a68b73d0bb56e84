"""The best place of one patch in another: searched everywhere, then found between the steps.

Every shift within the bound is looked at; the best few peaks are each brought to their top by
Gauss-Newton steps on ``sum w (f - a(x) g(x + v + E x) - b(x))^2``: the shift v, a strain E that
tissue may have within the patch (prior: a few percent), a gain a(x) that changes linearly (light
fades with depth) and a quadratic background b(x) (a tumour, a surface). Its curvature, and how
noisy and how rough what is left over is, give the shift's covariance. At the best peak the same is
done once more with what is left over taken for smooth (`patch_noise`), and with a bend besides the
strain: that is several times more exact where an image is coarse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates, maximum_filter, spline_filter

from .patch import Patch
from .patch_kernel import shifted_correlations, spline_values
from .patch_noise import Whitening, whitening

FloatArray = NDArray[np.float64]
Terms = Callable[[FloatArray], FloatArray]

_STRAIN = 0.05
# change of the strain across the patch's radius
_BEND = 0.05
# deviance that squares of the values must explain to be taken for a curved contrast
_CURVED = 12.0
_MOST_PEAKS = 4
_PER_SAMPLE = 2
_FEWEST = 0.5
_ROUNDS = 12
_DONE_STEPS = 2e-3
# samples' edges within which the second look must find the same peak
_BESIDE = 1.0


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
        they are, and that of a click so far off.
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
    # half a sample is near enough to climb from
    strides = np.maximum(np.round(patch.voxel_um / patch.step_um / _PER_SAMPLE), 1).astype(int)
    axes = [k * np.arange(-(r // k), r // k + 1) for r, k in zip(reach, strides, strict=True)]
    shifts = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int64)
    steps = (shifts * patch.step_um) @ patch.to_moving.T
    # one step beyond the bound, to tell a top there from a slope that goes on
    beyond = float(np.linalg.norm(strides * patch.step_um))
    near = np.linalg.norm(steps, axis=1) <= bound_um + beyond
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
    climbed = [look.climb(s * patch.step_um) for s in (np.zeros(3), *starts)]
    peaks = _distinct([_placed(p, patch, bound_um) for p in climbed if p is not None], patch)
    if not peaks:
        return Match((), start)
    best, start = look.settle(peaks[0], start)
    return Match((best, *peaks[1:]), start)


def _placed(peak: Peak, patch: Patch, bound_um: float) -> Peak:
    """With the evidence that a click lies so far off: the bound is three standard deviations."""
    off = float(np.linalg.norm(patch.to_moving @ peak.shift_um)) / bound_um
    return replace(peak, evidence=peak.evidence - 4.5 * off**2)


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
        n_free = len(self._free)
        pairs = [(i, j) for i in range(n_free) for j in range(i, n_free)]
        self._radius_um = float(np.abs(patch.offsets_um).max())
        away = patch.offsets_um[:, self._free] / self._radius_um
        squares = [away[:, i] * away[:, j] for i, j in pairs]
        self._away = away
        # what the parts of a bend shift, in units of the radius
        self._bends = np.column_stack(squares)
        self._trend = np.column_stack([np.ones(len(away)), away, *squares])
        self.basis = np.ascontiguousarray(_orthonormal(self._trend, patch.weights))
        w = patch.weights
        self.left = patch.values - self.basis @ (self.basis.T @ (w * patch.values))

    def at(self, shift_um: FloatArray, bent_um: FloatArray | None = None) -> Peak | None:
        """The agreement at a shift."""
        g, _, w = self._values(shift_um, bent_um)
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
            g, slope, w = self._values(shift, patch.offsets_um @ strain.T)
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
            inverse = _inverse(normal)
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
        full, plain = self.at(shift, patch.offsets_um @ strain.T), self.at(shift)
        if full is None or plain is None:
            return None
        return Peak(shift, plain.correlation, full.evidence, covariance, full.n_effective)

    def settle(self, peak: Peak, start: Peak) -> tuple[Peak, Peak]:
        """A peak, and the start, with the residuals at the peak taken for smooth noise.

        The peak as it was, where the other one is not beside it.
        """
        patch, free = self._patch, self._free
        g, _, w = self._values(peak.shift_um, None)
        left, _ = self._without(self._linear(g), w)
        white = whitening(patch.offsets_um / patch.voxel_um, left, w)
        terms = self._curved if self._is_curved(g, w, white) else self._linear
        n_strains, n_bends = len(self._strains), self._bends.shape[1] * len(free)
        shift, inner = peak.shift_um, np.zeros(n_strains + n_bends)
        spread = np.repeat([_STRAIN, _BEND], [n_strains, n_bends])
        covariance = np.full((3, 3), np.nan)
        for _ in range(_ROUNDS):
            g, slope, w = self._values(shift, self._deformation(inner))
            if w.sum() < _FEWEST * patch.weights.sum():
                return peak, start
            root = np.sqrt(w)
            linear = white(terms(g) * root[:, None])
            values = white(patch.values * root)
            fitted = np.linalg.lstsq(linear, values, rcond=None)[0]
            left = values - linear @ fitted
            gain = fitted[0] + self._away @ fitted[-len(free) :]
            if terms == self._curved:
                gain += 2 * fitted[1] * (g - self._middle(g))
            gain *= root
            slopes = gain[:, None] * slope[:, free]
            moved = np.column_stack(
                [
                    slopes,
                    *(gain * slope[:, i] * patch.offsets_um[:, j] for i, j in self._strains),
                    *(slopes[:, [i]] * self._bends * self._radius_um for i in range(len(free))),
                ]
            )
            design = np.column_stack([linear, white(moved)])
            first = linear.shape[1]
            last = first + len(free)
            noise = max(float(left @ left) / float(w.sum()), 1e-12)
            prior = np.zeros(design.shape[1])
            prior[last:] = noise / spread**2
            normal = design.T @ design + np.diag(prior)
            pull = design.T @ left
            pull[last:] -= prior[last:] * inner
            inverse = _inverse(normal)
            change = inverse @ pull
            move = np.zeros(3)
            move[free] = change[first:last]
            length = float(np.linalg.norm(move / patch.voxel_um))
            damp = min(1.0, 0.7 / max(length, 1e-12))
            shift = shift + damp * move
            inner = np.clip(inner + damp * change[last:], -5 * spread, 5 * spread)
            covariance = np.zeros((3, 3))
            covariance[np.ix_(free, free)] = inverse[first:last, first:last] * noise
            if length < _DONE_STEPS:
                break
        if float(np.linalg.norm((shift - peak.shift_um) / patch.voxel_um)) > _BESIDE:
            return peak, start
        bent = self._deformation(inner)
        before = self._agreement(start.shift_um, bent, white, terms)
        after = self._agreement(shift, bent, white, terms)
        return (
            replace(
                peak,
                shift_um=shift if patch.reference_is_fixed else -self._origin(shift, inner),
                correlation=after,
                covariance_um2=covariance,
            ),
            replace(start, correlation=before),
        )

    def _agreement(
        self, shift_um: FloatArray, bent_um: FloatArray, white: Whitening, terms: Terms
    ) -> float:
        """Squared correlation of what the background does not explain, noise made white."""
        g, _, w = self._values(shift_um, bent_um)
        left, alone = (self._white_left(c, w, white) for c in (terms(g), self._trend))
        return 1 - left / alone if alone > 0 else 0.0

    def _is_curved(self, g: FloatArray, w: FloatArray, white: Whitening) -> bool:
        """Whether squares of the values explain more than chance would."""
        straight, curved = (
            self._white_left(c, w, white) for c in (self._linear(g), self._curved(g))
        )
        return straight > curved * float(np.exp(_CURVED / max(float(w.sum()), 1.0)))

    def _white_left(self, columns: FloatArray, w: FloatArray, white: Whitening) -> float:
        root = np.sqrt(w)
        design, values = white(columns * root[:, None]), white(self._patch.values * root)
        left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
        return float(left @ left)

    def _origin(self, shift_um: FloatArray, inner: FloatArray) -> FloatArray:
        """The frame's place that shift, strain and bend carry to the other image's landmark."""
        free, n = self._free, len(self._strains)
        strain = np.zeros((3, 3))
        for (i, j), e in zip(self._strains, inner[:n], strict=True):
            strain[i, j] = e
        bends = inner[n:].reshape(len(free), -1)
        place = -shift_um
        for _ in range(10):
            near = place[free] / self._radius_um
            squares = [near[i] * near[j] for i in range(len(free)) for j in range(i, len(free))]
            place = -shift_um - strain @ place
            place[free] -= self._radius_um * (bends @ np.array(squares))
        return np.asarray(place)

    def _deformation(self, inner: FloatArray) -> FloatArray:
        """(n, 3) um that strain and bend shift the samples by."""
        patch, n = self._patch, len(self._strains)
        out = np.zeros((len(patch.offsets_um), 3))
        for (i, j), e in zip(self._strains, inner[:n], strict=True):
            out[:, i] += patch.offsets_um[:, j] * e
        bends = inner[n:].reshape(len(self._free), -1)
        out[:, self._free] += self._radius_um * self._bends @ bends.T
        return out

    def _linear(self, g: FloatArray) -> FloatArray:
        """(n, k): the values, a background, and the values with a gain that changes across."""
        return np.column_stack([g, self._trend, g[:, None] * self._away])

    def _curved(self, g: FloatArray) -> FloatArray:
        """The same with the values' squares in second place: no contrast is quite linear."""
        linear = self._linear(g)
        return np.column_stack([linear[:, :1], (g - self._middle(g)) ** 2, linear[:, 1:]])

    def _middle(self, g: FloatArray) -> float:
        w = self._patch.weights
        return float((w * g).sum() / w.sum())

    def _without(self, columns: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What columns leave of the samples, and their factors."""
        root = np.sqrt(w)
        solved = np.linalg.lstsq(columns * root[:, None], self._patch.values * root, rcond=None)
        fitted = np.asarray(solved[0], dtype=np.float64)
        return self._patch.values - columns @ fitted, fitted

    def _values(
        self, shift_um: FloatArray, bent_um: FloatArray | None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Values (n,), slopes (n, 3) per um and weights (n,)."""
        patch = self._patch
        away = shift_um if bent_um is None else shift_um + bent_um
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


def _inverse(normal: FloatArray) -> FloatArray:
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    scales = np.outer(scale, scale)
    return np.asarray(np.linalg.pinv(normal / scales, rcond=1e-10) / scales)


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
