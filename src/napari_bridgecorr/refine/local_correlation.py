"""Squared local correlation of two images, with its derivative: blind to stain and to sign.

In a window about every voxel the squared correlation coefficient of the two images is taken; the
metric is their weighted mean. What is bright in one image may be dark in the other, here and not
there, as with two stains or two contrasts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

Float32Array = NDArray[np.float32]

_LEAST_FILLED = 0.25  # of a window, below which it says nothing


@dataclass(frozen=True)
class Windows:
    """The windows in which images are compared.

    Parameters
    ----------
    radius : int
        A window reaches this many voxels to either side, along every axis longer than one voxel.
    noise : (float, float)
        Variances within a window below which fixed and moving image are taken to be empty: they
        are added to the windows' own, so that noise does not correlate.
    is_signed : bool
        Whether what is bright in one image must be bright in the other: the square of a negative
        correlation then counts as negative.
    """

    radius: int
    noise: tuple[float, float]
    is_signed: bool = False

    def mean(self, values: Float32Array) -> Float32Array:
        """Mean over the window about each voxel, zeros beyond the array (so it is symmetric)."""
        out = values
        for axis, n in enumerate(values.shape):
            if n > 1:
                out = uniform_filter1d(
                    out, 2 * self.radius + 1, axis, np.float32, mode="constant", cval=0.0
                )
        return out


def local_correlation(
    fixed: Float32Array,
    moved: Float32Array,
    valid: Float32Array,
    weight: Float32Array,
    windows: Windows,
) -> tuple[Float32Array, Float32Array]:
    """Squared correlation about every voxel, and how much each counts.

    Parameters
    ----------
    fixed, moved : (z, y, x) float32
        On one grid.
    valid : (z, y, x) float32
        1 where both have data, else 0.
    weight : (z, y, x) float32
        How much a window about each voxel is to count.
    windows : Windows

    Returns
    -------
    squared, counts : (z, y, x) float32
        `counts` is `weight` where enough of the window has data, else 0.
    """
    found = _statistics(fixed, moved, valid, weight, windows)
    return found.squared, found.counts


def correlation_and_force(
    fixed: Float32Array,
    moved: Float32Array,
    valid: Float32Array,
    weight: Float32Array,
    windows: Windows,
) -> tuple[float, float, Float32Array]:
    """Weighted sum of squared local correlations, sum of weights, derivative by `moved`.

    The derivative is that of the first sum, with `valid` held fixed.
    """
    s = _statistics(fixed, moved, valid, weight, windows)
    scale = np.where(s.counts > 0, s.counts / s.filled, 0.0).astype(np.float32)
    covariance = np.abs(s.covariance) if windows.is_signed else s.covariance
    across = 2 * scale * covariance / s.product
    along = 2 * scale * s.squared / s.moved_variance
    mean = windows.mean
    force = valid * (
        fixed * mean(across)
        - mean(across * s.fixed_mean)
        - moved * mean(along)
        + mean(along * s.moved_mean)
    )
    total = float(np.sum(s.counts * s.squared, dtype=np.float64))
    return total, float(np.sum(s.counts, dtype=np.float64)), force.astype(np.float32, copy=False)


@dataclass(frozen=True)
class _Statistics:
    filled: Float32Array
    counts: Float32Array
    fixed_mean: Float32Array
    moved_mean: Float32Array
    covariance: Float32Array
    moved_variance: Float32Array
    product: Float32Array
    squared: Float32Array


def _statistics(
    fixed: Float32Array,
    moved: Float32Array,
    valid: Float32Array,
    weight: Float32Array,
    windows: Windows,
) -> _Statistics:
    mean = windows.mean
    filled = mean(valid)
    counts = np.where(filled >= _LEAST_FILLED, weight * valid, 0.0).astype(np.float32)
    filled = np.maximum(filled, 1e-3).astype(np.float32)
    f, m = fixed * valid, moved * valid
    f_mean, m_mean = mean(f) / filled, mean(m) / filled
    f_variance = np.maximum(mean(f * fixed) / filled - f_mean**2, 0) + np.float32(windows.noise[0])
    m_variance = np.maximum(mean(m * moved) / filled - m_mean**2, 0) + np.float32(windows.noise[1])
    covariance = mean(f * moved) / filled - f_mean * m_mean
    product = f_variance * m_variance
    squared = covariance * covariance / product
    if windows.is_signed:
        squared = np.copysign(squared, covariance)
    return _Statistics(filled, counts, f_mean, m_mean, covariance, m_variance, product, squared)
