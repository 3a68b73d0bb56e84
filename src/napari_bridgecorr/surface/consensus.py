"""The planes on which the columns' votes agree: every tilt is tried, none is drawn by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_COARSE_COLUMNS = 16
_COARSE_DEPTHS = 64
_MOST_PER_SIGN = 5
_MOST_SLOPES = 30


@dataclass(frozen=True)
class Candidate:
    """A plane in the lattice of columns.

    Parameters
    ----------
    depth, slope_u, slope_v : float
        ``face = depth + slope_u * (iu - middle) + slope_v * (iv - middle)``, in samples.
    score : float
        Mean vote of all columns, 0 to 1.
    """

    depth: float
    slope_u: float
    slope_v: float
    score: float

    def surface(self, shape: tuple[int, int]) -> FloatArray:
        """(u, v) position along every column, in faces."""
        u = np.arange(shape[0]) - (shape[0] - 1) / 2
        v = np.arange(shape[1]) - (shape[1] - 1) / 2
        return np.asarray(self.depth + self.slope_u * u[:, None] + self.slope_v * v[None, :])


@dataclass(frozen=True, eq=False)
class _Sums:
    """(a, b, d) mean votes of planes of slope a along u, b along v, and depth d in the middle."""

    slopes_u: FloatArray
    slopes_v: FloatArray
    scores: FloatArray


def find_planes(votes: FloatArray, steepest: tuple[float, float]) -> list[Candidate]:
    """Planes of many positive votes, the best first, well apart from each other.

    Parameters
    ----------
    votes : (d, u, v) float64
    steepest : (float, float)
        Largest slopes along u and v, in samples per column.
    """
    pooled, factors = _pooled(votes)
    slopes = [most * f / factors[0] for most, f in zip(steepest, factors[1:], strict=True)]
    sums = _tilted_sums(pooled, slopes)
    left = sums.scores
    found_planes: list[Candidate] = []
    for _ in range(_MOST_PER_SIGN):
        i, j, k = np.unravel_index(int(np.argmax(left)), left.shape)
        if not left[i, j, k] > 0:
            break
        start = (
            k * factors[0] + (factors[0] - 1) / 2,
            sums.slopes_u[i] * factors[0] / factors[1],
            sums.slopes_v[j] * factors[0] / factors[2],
        )
        depth, slope_u, slope_v, score = _polished(votes, start, factors)
        found_planes.append(Candidate(depth, slope_u, slope_v, score))
        # planes of any tilt that pass the middle near this one are this one
        near = np.abs(np.arange(left.shape[2]) - k) <= 2
        left[:, :, near] = -np.inf
    return sorted(found_planes, key=lambda c: -c.score)


def _pooled(votes: FloatArray) -> tuple[FloatArray, tuple[int, int, int]]:
    """Best vote of some depths, mean of some columns, and how many of each."""
    d, u, v = votes.shape
    f = (
        -(-d // _COARSE_DEPTHS),
        max(1, round(u / _COARSE_COLUMNS)),
        max(1, round(v / _COARSE_COLUMNS)),
    )
    padded = np.pad(votes, [(0, -n % k) for n, k in zip(votes.shape, f, strict=True)])
    shape = [n // k for n, k in zip(padded.shape, f, strict=True)]
    blocks = padded.reshape(shape[0], f[0], shape[1], f[1], shape[2], f[2])
    return np.asarray(blocks.max(axis=1).mean(axis=(2, 4))), f


def _tilted_sums(votes: FloatArray, steepest: list[float]) -> _Sums:
    """The mean vote of every plane: slopes along u and v, and depth in the middle."""
    d, nu, nv = votes.shape
    slopes, shifts = [], []
    for n, most in zip((nu, nv), steepest, strict=True):
        # a step moves the outermost column by one sample
        half = (n - 1) / 2
        count = min(int(np.ceil(most * max(half, 0.5))), _MOST_SLOPES)
        slopes.append(np.linspace(-most, most, 2 * count + 1))
        shifts.append(np.rint(np.outer(slopes[-1], np.arange(n) - half)).astype(np.int64))
    margins = [int(np.abs(s).max()) for s in shifts]
    # a little tolerance: slopes are tried in steps
    soft = np.maximum(votes, 0.7 * np.maximum(_moved(votes, 1), _moved(votes, -1)))
    wide = np.pad(soft, [(sum(margins), sum(margins)), (0, 0), (0, 0)]).transpose(1, 2, 0)
    wide = np.ascontiguousarray(wide)
    # columns of a row are added up along every slope, then rows along every slope
    rows = np.zeros((len(slopes[1]), nu, d + 2 * margins[0]))
    for j, shift in enumerate(shifts[1].tolist()):
        for v, s in enumerate(shift):
            rows[j] += wide[:, v, margins[1] + s : margins[1] + s + rows.shape[2]]
    scores = np.zeros((len(slopes[0]), len(slopes[1]), d))
    for i, shift in enumerate(shifts[0].tolist()):
        for u, s in enumerate(shift):
            scores[i] += rows[:, u, margins[0] + s : margins[0] + s + d]
    return _Sums(slopes[0], slopes[1], scores / (nu * nv))


def _moved(votes: FloatArray, by: int) -> FloatArray:
    """Votes moved along the columns, with nothing coming in."""
    out = np.zeros_like(votes)
    if by > 0:
        out[by:] = votes[:-by]
    else:
        out[:by] = votes[-by:]
    return out


def _polished(
    votes: FloatArray, start: tuple[float, float, float], factors: tuple[int, int, int]
) -> tuple[float, float, float, float]:
    """Depth, slopes and score of the best plane near a start, in the votes' own samples."""
    d, nu, nv = votes.shape
    u = (np.arange(nu) - (nu - 1) / 2)[:, None]
    v = (np.arange(nv) - (nv - 1) / 2)[None, :]
    iu, iv = np.indices((nu, nv))
    soft = votes.copy()
    soft[1:] = np.maximum(soft[1:], 0.8 * votes[:-1])
    soft[:-1] = np.maximum(soft[:-1], 0.8 * votes[1:])
    # pooling starts at the lattice's corner, and its last cells may be filled up
    off_u = ((-nu % factors[1]) / 2) * start[1]
    off_v = ((-nv % factors[2]) / 2) * start[2]
    best = (start[0] - off_u - off_v, start[1], start[2])

    def score(plane: tuple[float, float, float]) -> float:
        face = np.rint(plane[0] + plane[1] * u + plane[2] * v).astype(np.int64)
        inside = (face >= 0) & (face < d)
        return float(np.where(inside, soft[np.clip(face, 0, d - 1), iu, iv], 0.0).mean())

    found = score(best)
    steps = np.array([2.0 * factors[0], factors[0] / max(nu / 2, 1), factors[0] / max(nv / 2, 1)])
    while steps[0] > 0.3:
        moved = False
        for offset in np.ndindex(3, 3, 3):
            move = (np.array(offset) - 1) * steps
            z, a, b = (float(p + m) for p, m in zip(best, move, strict=True))
            value = score((z, a, b))
            if value > found + 1e-9:
                found, best, moved = value, (z, a, b), True
        if not moved:
            steps = steps / 2
    return (*best, found)
