"""The windows about places by which two images are compared: what they hold, where they look."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .ridges import Float32Array

FloatArray = NDArray[np.float64]

# standard deviation of the windows and where they end, in lengths of the scale
_WIDTH_3D = (2.6, 5.0)
_WIDTH_2D = (3.5, 7.0)
# what a window holds where nothing can be compared, and at most whatever is found
_USUAL_SAMPLES = 24.0
_FEWEST_SAMPLES, _MOST_SAMPLES = 4.0, 300.0
_CHANCE_PLACES, _CHANCE_PARTNERS, _FEWEST_CHANCES = 120, 12, 20
# 95 % of squared correlations by chance lie below this over the number of samples (chi squared)
_CHI_SQUARED_95 = 3.84


def window_width(shape: tuple[int, ...], scale_um: float) -> float:
    """Standard deviation of the windows in um."""
    return (_WIDTH_3D if min(shape) > 1 else _WIDTH_2D)[0] * scale_um


def weights(shape: tuple[int, ...], spacing_um: FloatArray, scale_um: float) -> Float32Array:
    """Weights of the voxels about a place, in an array of a shape."""
    end = (_WIDTH_3D if min(shape) > 1 else _WIDTH_2D)[1]
    axes = []
    for n, s in zip(shape, spacing_um, strict=True):
        half = int(np.ceil(end * scale_um / s)) if n > 1 else 0
        axes.append(np.arange(-half, half + 1) * s)
    z, y, x = np.meshgrid(*axes, indexing="ij")
    squared = z**2 + y**2 + x**2
    found = np.exp(-0.5 * squared / window_width(shape, scale_um) ** 2)
    return np.asarray(found, dtype=np.float32)


def overlap(places_um: FloatArray, width_um: float) -> FloatArray:
    """(n, n) share of what two windows show that is the same, 1 for one and the same window."""
    squared = ((places_um[:, None] - places_um[None]) ** 2).sum(-1)
    return np.asarray(np.exp(-squared / (4 * width_um**2)))


def centres_of_edges(first: Float32Array, index: FloatArray, window: Float32Array) -> FloatArray:
    """(n, 3) voxels: where in each window the edges lie by which it is matched.

    A shift that is found by a window is that of what the window shows, which need not lie at its
    middle.
    """
    known = np.isfinite(first)
    filled = np.where(known, first, 0)
    edges = np.zeros(first.shape)
    for axis in range(3):
        if first.shape[axis] > 1:
            edges += np.gradient(filled, axis=axis) ** 2
    edges[ndimage.maximum_filter(~known, size=[3 if n > 1 else 1 for n in first.shape])] = 0
    half = np.array(window.shape) // 2
    padded = np.pad(edges, [(h, h) for h in half])
    around = np.stack(
        np.meshgrid(*[np.arange(-h, h + 1) for h in half], indexing="ij"), axis=-1
    ).astype(np.float64)
    found = np.array(index, dtype=np.float64)
    for i, place in enumerate(np.rint(index).astype(int)):
        weight = window * _cut(padded, place, window.shape)
        if weight.sum() > 0:
            found[i] = place + np.tensordot(weight, around, axes=3) / weight.sum()
    return found


def samples_by_chance(
    first: Float32Array, second: Float32Array, index: FloatArray, window: Float32Array
) -> float:
    """How many independent samples a window holds.

    By windows that have nothing to do with each other, one of either array: of n independent
    samples the squared correlation is 1 / n on average. Where vessels are alike everywhere it is
    larger, and a likeness says less.
    """
    half = np.array(window.shape) // 2
    pad = [(h, h) for h in half]
    at = np.rint(index[:: max(1, len(index) // _CHANCE_PLACES)]).astype(int)
    cuts = []
    for array in (first, second):
        padded = np.pad(array, pad, constant_values=np.nan)
        shown = [_cut(padded, place, window.shape).ravel() for place in at]
        cuts.append(np.array(shown, dtype=np.float32).reshape(len(at), window.size))
    squares: list[FloatArray] = [np.empty(0)]
    for step in range(1, 1 + min(len(at) - 1, _CHANCE_PARTNERS)):
        there = np.roll(np.arange(len(at)), step)
        # others show the same
        apart = np.abs(at - at[there]).max(axis=1) >= 0.8 * half.max()
        squares.append(_squared_correlations(cuts[0][apart], cuts[1][there[apart]], window.ravel()))
    found = np.concatenate(squares)
    known = found[np.isfinite(found)]
    if len(known) < _FEWEST_CHANCES:
        return _USUAL_SAMPLES
    usual = max(float(known.mean()), float(np.quantile(known, 0.95)) / _CHI_SQUARED_95)
    return float(np.clip(1 / max(usual, 1e-9), _FEWEST_SAMPLES, _MOST_SAMPLES))


def _cut(
    padded: NDArray[np.floating], place: NDArray[np.int64], shape: tuple[int, ...]
) -> NDArray[np.floating]:
    return padded[tuple(slice(p, p + n) for p, n in zip(place, shape, strict=True))]


def _squared_correlations(a: Float32Array, b: Float32Array, window: Float32Array) -> FloatArray:
    """(n,) of (n, w) and (n, w) values; NaN where less than half of the weight is known."""
    weight = np.where(np.isfinite(a) & np.isfinite(b), window, 0).astype(np.float64)
    total = weight.sum(axis=1, keepdims=True)
    share = weight / np.maximum(total, 1e-9)
    a, b = np.nan_to_num(a), np.nan_to_num(b)
    off_a = a - (share * a).sum(axis=1, keepdims=True)
    off_b = b - (share * b).sum(axis=1, keepdims=True)
    spread = (share * off_a**2).sum(axis=1) * (share * off_b**2).sum(axis=1)
    squared = (share * off_a * off_b).sum(axis=1) ** 2
    is_known = (total[:, 0] >= 0.5 * window.sum()) & (spread > 0)
    return np.asarray(np.where(is_known, squared / np.where(is_known, spread, 1.0), np.nan))
