"""How much each place along each column looks like the boundary of two media."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# half windows, in samples, over which the media on either side are compared
_WINDOWS = (2, 4, 8)
_CERTAIN_T = 6.0
# a step of less than this share of the image's range is shading, not a boundary
_LEAST_STEP = 0.15
_LINE_WIDTHS = (1, 2, 3)


def compressed(values: FloatArray) -> FloatArray:
    """Values between the dark and the bright end of the image, bright ones pulled together.

    Few bright vessels must not hide the faint light that begins below the glass.
    """
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [0.5, 99.5]) if known.size else (0.0, 0.0)
    if high <= low:
        return np.where(np.isfinite(values), 0.0, np.nan)
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(np.sqrt(share + 0.01))


def noise_of(values: FloatArray) -> float:
    """Standard deviation of the samples' noise, from second differences along the columns."""
    second = values[2:] - 2 * values[1:-1] + values[:-2]
    second = second[np.isfinite(second)]
    if second.size == 0:
        return 0.0
    return float(np.median(np.abs(second)) / 0.6745 / np.sqrt(6.0))


def step_votes(values: FloatArray) -> FloatArray:
    """(d + 1, u, v) votes in [-1, 1] for a boundary at each face between samples.

    Parameters
    ----------
    values : (d, u, v) float64
        NaN where unknown.

    Returns
    -------
    (d + 1, u, v) float64
        Face f lies between samples f - 1 and f. Positive where it is brighter beyond it. Each is
        Welch's t of the samples on both sides, over windows of three lengths, cut off where it is
        certain: no column can outvote others however bright it is.
    """
    range_ = _range(values)
    floor = max(noise_of(values), 0.01 * range_, 1e-12)
    sums = _Sums(values)
    total = np.zeros((values.shape[0] + 1, *values.shape[1:]))
    for width in _WINDOWS:
        n0, m0, v0 = sums.before(width)
        n1, m1, v1 = sums.after(width)
        both = (n0 > 0) & (n1 > 0)
        n0, n1 = np.maximum(n0, 1), np.maximum(n1, 1)
        step = np.where(both, m1 - m0, 0.0)
        error = np.sqrt((v0 + floor**2) / n0 + (v1 + floor**2) / n1)
        certain = np.clip(step / error / _CERTAIN_T, -1.0, 1.0)
        total += certain * np.minimum(np.abs(step) / (_LEAST_STEP * range_ + 1e-12), 1.0)
    return np.asarray(total / len(_WINDOWS))


def line_votes(values: FloatArray) -> FloatArray:
    """(d, u, v) votes in [0, 1] for a thin bright sheet about each sample."""
    range_ = _range(values)
    floor = max(noise_of(values), 0.01 * range_, 1e-12)
    sums = _Sums(values)
    best = np.zeros(values.shape)
    n = len(values)
    for width in _LINE_WIDTHS:
        first = np.arange(n) - width // 2
        core_n, core, _ = sums.between(first, first + width)
        step = np.full(values.shape, np.inf)
        for a, b in ((first - 4, first - 1), (first + width + 1, first + width + 4)):
            flank_n, flank, spread = sums.between(a, b)
            error = np.sqrt(
                floor**2 / np.maximum(core_n, 1) + (spread + floor**2) / np.maximum(flank_n, 1)
            )
            rise = np.where((core_n > 0) & (flank_n > 0), core - flank, 0.0)
            sure = np.clip(rise / error / _CERTAIN_T, 0.0, 1.0)
            step = np.minimum(step, sure * np.minimum(rise / (_LEAST_STEP * range_ + 1e-12), 1.0))
        best = np.maximum(best, step)
    return best


class _Sums:
    """Means and variances over windows along the columns, from running sums."""

    def __init__(self, values: FloatArray) -> None:
        known = np.isfinite(values)
        middle = float(np.median(values[known])) if known.any() else 0.0
        v = np.where(known, values - middle, 0.0)
        self._middle = middle
        self._n, self._s, self._q = (
            np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(x, axis=0)])
            for x in (known.astype(np.float64), v, v * v)
        )

    def before(self, width: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        faces = np.arange(len(self._n))
        return self.between(faces - width, faces)

    def after(self, width: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        faces = np.arange(len(self._n))
        return self.between(faces, faces + width)

    def between(
        self, first: NDArray[np.int64], stop: NDArray[np.int64]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Number, mean and variance of the known samples ``first <= k < stop``."""
        last = len(self._n) - 1
        a, b = np.clip(first, 0, last), np.clip(stop, 0, last)
        n = self._n[b] - self._n[a]
        mean = (self._s[b] - self._s[a]) / np.maximum(n, 1)
        square = (self._q[b] - self._q[a]) / np.maximum(n, 1)
        spread = np.maximum(square - mean**2, 0.0) * n / np.maximum(n - 1, 1)
        return n, mean + self._middle, spread


def _range(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    if known.size == 0:
        return 0.0
    low, high = np.percentile(known, [2, 98])
    return float(high - low)
