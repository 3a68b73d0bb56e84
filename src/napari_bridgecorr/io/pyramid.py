"""Coarser levels: by volume means, which axes to halve, and where others' pyramids were sampled.

Arrays only: no files, no dask.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Factors = tuple[int, int, int]

# of 16-bit integers so many fit in a 32-bit sum
_MOST_COMPILED = 2**14
# both ways give the same integers
_WORTH_COMPILING = 2**18

PROBE_PX = 64
"""Side of the patch on which the sampling of a pyramid is measured."""


def mean_downsample(
    block: NDArray[Any], factors: Sequence[int], *, labels: bool = False
) -> NDArray[Any]:
    """Mean of each group of voxels; the last, incomplete groups are means of what they hold.

    Parameters
    ----------
    block : (..., z, y, x) array
        Starts on a group's border.
    factors : (int, int, int)
        Voxels per group along z, y, x.
    labels : bool
        The values are names of regions, which have no mean: the commonest name of a group is
        taken, and of equally common ones a region's rather than the background's (0).

    Returns
    -------
    (..., ceil(z / fz), ceil(y / fy), ceil(x / fx)) array
        Of the same dtype. Integers are rounded to the nearest, halves to even. A mean of floats is
        that of the finite values, NaN where there is none.

    Raises
    ------
    ValueError
        If a factor is not a positive integer or `block` has fewer than three axes.
    """
    f = tuple(int(k) for k in factors)
    if block.ndim < 3 or len(f) != 3 or min(f) < 1:
        raise ValueError(f"cannot average {block.ndim} axes by {tuple(factors)}")
    if f == (1, 1, 1) or block.size == 0:
        return block.copy()
    if labels or block.dtype == np.bool_:
        return _commonest(block, f)
    if block.dtype in (np.float32, np.float64):
        return _compiled_mean(block, f)
    is_short = block.dtype.kind in "iu" and block.dtype.itemsize <= 4
    if is_short and block.size >= _WORTH_COMPILING and math.prod(f) < _MOST_COMPILED:
        return _compiled_mean(block, f)
    if np.issubdtype(block.dtype, np.floating):
        return _finite_mean(block, f)
    if np.issubdtype(block.dtype, np.complexfloating):
        return (_sum(block, f, block.dtype) / _counts(block, f)).astype(block.dtype)
    return _rounded_mean(block, f)


def pyramid_factors(
    shape: Sequence[int],
    voxel_size_um: Sequence[float],
    smallest: int = 256,
) -> tuple[Factors, ...]:
    """How to make each coarser level from the one before.

    The finest of the long axes is halved, and with it every long axis whose voxels are less than
    sqrt(2) times as coarse: so voxels become more nearly isotropic and stay so.

    Parameters
    ----------
    shape, voxel_size_um : three values each
        Of the full resolution, z, y, x.
    smallest : int
        Stop when no axis is longer than this; an axis is long above a quarter of it.

    Returns
    -------
    tuple of (fz, fy, fx)
        One per coarser level, each relative to the level before; empty for a small image.
    """
    size = [int(n) for n in shape]
    voxel = [float(v) for v in voxel_size_um]
    levels: list[Factors] = []
    while max(size) > smallest:
        is_long = [n > max(1, smallest // 4) for n in size]
        finest = min(v for v, long in zip(voxel, is_long, strict=True) if long)
        limit = math.sqrt(2) * finest
        factors = [2 if long and v < limit else 1 for v, long in zip(voxel, is_long, strict=True)]
        size = [math.ceil(n / k) for n, k in zip(size, factors, strict=True)]
        voxel = [v * k for v, k in zip(voxel, factors, strict=True)]
        levels.append((factors[0], factors[1], factors[2]))
    return tuple(levels)


def textured_corner(image: NDArray[Any]) -> tuple[int, int]:
    """Corner (y, x) of the patch of `PROBE_PX` around the steepest place of a (y, x) image."""
    slope = ndimage.gaussian_gradient_magnitude(np.nan_to_num(image.astype(np.float64)), 1.0)
    peak = np.unravel_index(int(np.argmax(slope)), slope.shape)
    y, x = (
        int(np.clip(at - PROBE_PX // 2, 0, max(0, n - PROBE_PX)))
        for at, n in zip(peak, image.shape, strict=True)
    )
    return y, x


def sampled_at_centres(fine: NDArray[Any], coarse: NDArray[Any], factor: int) -> bool | None:
    """Whether the pixels of a coarser level lie in the middle of the fine ones they stand for.

    A pyramid of means has its pixel i at ``factor * i + (factor - 1) / 2`` of the finer level; one
    that was smoothed and decimated (ZEN's, for one) has it at ``factor * i``. The finer level,
    smoothed, is sampled at both places; the one nearer to the coarser level is the truth.

    Parameters
    ----------
    fine : (factor * y, factor * x) array
    coarse : (y, x) array
        The same patch of the coarser level.
    factor : int

    Returns
    -------
    bool or None
        None where the patch is too small or too plain to tell.
    """
    if min(coarse.shape) <= 8:
        return None
    smooth = ndimage.gaussian_filter(np.nan_to_num(fine.astype(np.float64)), factor / 2)
    wanted = np.nan_to_num(coarse.astype(np.float64))
    inner = (slice(3, -3), slice(3, -3))

    def misfit(shift: float) -> float:
        at = np.meshgrid(*(np.arange(n) * factor + shift for n in coarse.shape), indexing="ij")
        expected = ndimage.map_coordinates(smooth, at, order=1, mode="nearest")
        return float(np.mean((expected - wanted)[inner] ** 2))

    centre, first = misfit((factor - 1) / 2), misfit(0.0)
    # a plain patch fits either way; in a textured one the wrong place is many times worse
    if abs(centre - first) <= 1e-9 * max(1.0, float(np.mean(wanted**2))):
        return None
    return centre < first


def _compiled_mean(block: NDArray[Any], factors: Factors) -> NDArray[Any]:
    from .pyramid_kernels import finite_means, whole_means

    shape = [-(-n // k) for n, k in zip(block.shape[-3:], factors, strict=True)]
    # one machine code for all: native byte order, C order, four axes
    native = np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("="))
    source = native.reshape(-1, *block.shape[-3:])
    out = np.empty((len(source), *shape), native.dtype)
    if native.dtype.kind == "f":
        finite_means(source, *factors, out)
    else:
        sums = np.empty(0, np.int32 if native.dtype.itemsize <= 2 else np.int64)
        whole_means(source, *factors, sums, out)
    return out.reshape(*block.shape[:-3], *shape).astype(block.dtype, copy=False)


def _starts(length: int, factor: int) -> NDArray[np.intp]:
    return np.arange(0, length, factor, dtype=np.intp)


def _sum(block: NDArray[Any], factors: Factors, dtype: Any) -> NDArray[Any]:
    """Sum of each group, axis by axis; the longest saving first would differ only in speed."""
    total = block
    for axis, factor in zip((-1, -2, -3), factors[::-1], strict=True):
        if factor > 1:
            total = np.add.reduceat(
                total, _starts(total.shape[axis], factor), axis=axis, dtype=dtype
            )
    return total if total is not block else block.astype(dtype)


def _counts(block: NDArray[Any], factors: Factors) -> NDArray[np.int64]:
    """Voxels in each group, (z, y, x)."""
    lengths = [
        np.minimum(k, n - _starts(n, k)) for n, k in zip(block.shape[-3:], factors, strict=True)
    ]
    z, y, x = lengths
    return np.asarray(z[:, None, None] * y[:, None] * x, dtype=np.int64)


def _finite_mean(block: NDArray[Any], factors: Factors) -> NDArray[Any]:
    # float32 sums of thousands of values lose digits that the mean should have
    finite = np.isfinite(block)
    if finite.all():
        mean = _sum(block, factors, np.float64) / _counts(block, factors)
        return mean.astype(block.dtype)
    total = _sum(np.where(finite, block, 0), factors, np.float64)
    count = _sum(finite, factors, np.int64)
    mean = np.full(total.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean.astype(block.dtype)


def _rounded_mean(block: NDArray[Any], factors: Factors) -> NDArray[Any]:
    """Exact for every integer type: quotient and remainder, so that nothing overflows."""
    counts = _counts(block, factors)
    if block.dtype.itemsize < 8:
        # the narrower sum of short integers halves the memory that a large block takes
        narrow = block.dtype.itemsize <= 2 and math.prod(factors) < 2**14
        total = _sum(block, factors, np.int32 if narrow else np.int64)
        counts = counts.astype(total.dtype)
        quotient, rest = np.divmod(total, counts)
    else:
        # 64-bit: sum quotients and remainders by the group's full size apart
        full = np.array(math.prod(factors), dtype=block.dtype)
        high, low = np.divmod(block, full)
        high_sum = _sum(high, factors, block.dtype)
        low_sum = _sum(low, factors, block.dtype)
        per = counts.astype(block.dtype)
        # mean = (full * high_sum + low_sum) / count; count divides into full * high_sum stepwise
        whole, part = np.divmod(high_sum, per)
        quotient, rest = np.divmod(part * full + low_sum, per)
        quotient = quotient + whole * full
        counts = per
    up = (2 * rest > counts) | ((2 * rest == counts) & (quotient % 2 == 1))
    return np.asarray(quotient + up.astype(quotient.dtype)).astype(block.dtype)


def _commonest(block: NDArray[Any], factors: Factors) -> NDArray[Any]:
    """Mode of each group. An incomplete group counts its last voxels twice."""
    members = []
    for offset in product(*(range(f) for f in factors)):
        member = block
        for axis, (factor, first) in enumerate(zip(factors, offset, strict=True), start=-3):
            picks = _starts(block.shape[axis], factor) + first
            member = member.take(np.minimum(picks, block.shape[axis] - 1), axis=axis)
        members.append(member)
    best, votes = members[0].copy(), np.zeros(members[0].shape, dtype=np.int32)
    for member in members:
        # twice the count, so that a region is ahead of as much background by one
        count = np.sum([member == other for other in members], axis=0, dtype=np.int32) * 2
        count += member != 0
        better = count > votes
        best[better] = member[better]
        votes[better] = count[better]
    return best
