"""Compiled loops of the section search: sampling a slab, and mutual information with its slopes."""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import parallel, serial

FloatArray = NDArray[np.float64]


@parallel
def sample_slab(
    volume: NDArray[np.float32], points: FloatArray, offsets: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean over a slab at each point, by linear interpolation, and its derivatives by the index.

    Parameters
    ----------
    volume : (z, y, x) float32
    points : (n, 3) float64
        Indices of the slab's middle.
    offsets : (k, 3) float64
        From the middle to the slices that are averaged, in indices.

    Returns
    -------
    values : (n,) float64
        NaN where the slab leaves the volume or meets NaN.
    slopes : (n, 3) float64
    """
    n, k = points.shape[0], offsets.shape[0]
    values = np.empty(n)
    slopes = np.zeros((n, 3))
    size_z, size_y, size_x = volume.shape
    for i in prange(n):
        total, gz, gy, gx = 0.0, 0.0, 0.0, 0.0
        inside = True
        for j in range(k):
            z = points[i, 0] + offsets[j, 0]
            y = points[i, 1] + offsets[j, 1]
            x = points[i, 2] + offsets[j, 2]
            if not (
                -0.5 <= z <= size_z - 0.5
                and -0.5 <= y <= size_y - 0.5
                and -0.5 <= x <= size_x - 0.5
            ):
                inside = False
                break
            z0 = min(max(math.floor(z), 0), max(size_z - 2, 0))
            y0 = min(max(math.floor(y), 0), max(size_y - 2, 0))
            x0 = min(max(math.floor(x), 0), max(size_x - 2, 0))
            z1, y1, x1 = min(z0 + 1, size_z - 1), min(y0 + 1, size_y - 1), min(x0 + 1, size_x - 1)
            fz, fy, fx = (
                min(max(z - z0, 0.0), 1.0),
                min(max(y - y0, 0.0), 1.0),
                min(max(x - x0, 0.0), 1.0),
            )
            a00 = volume[z0, y0, x0] * (1 - fx) + volume[z0, y0, x1] * fx
            a01 = volume[z0, y1, x0] * (1 - fx) + volume[z0, y1, x1] * fx
            a10 = volume[z1, y0, x0] * (1 - fx) + volume[z1, y0, x1] * fx
            a11 = volume[z1, y1, x0] * (1 - fx) + volume[z1, y1, x1] * fx
            b0 = a00 * (1 - fy) + a01 * fy
            b1 = a10 * (1 - fy) + a11 * fy
            total += b0 * (1 - fz) + b1 * fz
            gz += b1 - b0
            gy += (a01 - a00) * (1 - fz) + (a11 - a10) * fz
            d0 = volume[z0, y0, x1] - volume[z0, y0, x0]
            d1 = volume[z0, y1, x1] - volume[z0, y1, x0]
            d2 = volume[z1, y0, x1] - volume[z1, y0, x0]
            d3 = volume[z1, y1, x1] - volume[z1, y1, x0]
            gx += (d0 * (1 - fy) + d1 * fy) * (1 - fz) + (d2 * (1 - fy) + d3 * fy) * fz
        values[i] = total / k if inside else np.nan
        slopes[i, 0] = gz / k
        slopes[i, 1] = gy / k
        slopes[i, 2] = gx / k
    return values, slopes


@serial
def mutual_information(
    a: NDArray[np.int64], b: FloatArray, n_a: int, n_b: int
) -> tuple[float, FloatArray, FloatArray]:
    """Mutual information (nats) of bins `a` and positions `b` on a scale of bins.

    The second image's histogram is smoothed by cubic B-splines, so that the information has
    derivatives (Thevenaz & Unser, IEEE Trans. Image Process. 9, 2000).

    Parameters
    ----------
    a : (n,) int64
        Bins of the first image; -1 leaves a pixel out.
    b : (n,) float64
        The second image in bins, within 1 and n_b - 3; NaN leaves a pixel out.
    n_a, n_b : int

    Returns
    -------
    information : float
    slopes : (n,) float64
        Its derivatives by b.
    parts : (n,) float64
        What each pixel gives: their mean is the information. NaN where left out.
    """
    joint = np.zeros((n_a, n_b))
    weights = np.empty(4)
    n = 0
    for i in range(a.size):
        if a[i] < 0 or not math.isfinite(b[i]):
            continue
        n += 1
        low = math.floor(b[i])
        f = b[i] - low
        weights[0] = (1 - f) ** 3 / 6
        weights[1] = (3 * f**3 - 6 * f**2 + 4) / 6
        weights[2] = (-3 * f**3 + 3 * f**2 + 3 * f + 1) / 6
        weights[3] = f**3 / 6
        for j in range(4):
            joint[a[i], low - 1 + j] += weights[j]
    slopes = np.zeros(a.size)
    parts = np.full(a.size, np.nan)
    if n == 0:
        return 0.0, slopes, parts
    joint /= n
    by_a, by_b = joint.sum(axis=1), joint.sum(axis=0)
    ratio = np.zeros((n_a, n_b))
    information = 0.0
    for p in range(n_a):
        for q in range(n_b):
            if joint[p, q] > 0:
                ratio[p, q] = math.log(joint[p, q] / (by_a[p] * by_b[q]))
                information += joint[p, q] * ratio[p, q]
            elif by_b[q] > 0:
                # nothing is there yet: as if it were a little
                ratio[p, q] = math.log(1e-6)
    for i in range(a.size):
        if a[i] < 0 or not math.isfinite(b[i]):
            continue
        low = math.floor(b[i])
        f = b[i] - low
        p = a[i]
        slopes[i] = (
            -((1 - f) ** 2) / 2 * ratio[p, low - 1]
            + (9 * f**2 - 12 * f) / 6 * ratio[p, low]
            + (-9 * f**2 + 6 * f + 3) / 6 * ratio[p, low + 1]
            + f**2 / 2 * ratio[p, low + 2]
        ) / n
        parts[i] = (
            (1 - f) ** 3 / 6 * ratio[p, low - 1]
            + (3 * f**3 - 6 * f**2 + 4) / 6 * ratio[p, low]
            + (-3 * f**3 + 3 * f**2 + 3 * f + 1) / 6 * ratio[p, low + 1]
            + f**3 / 6 * ratio[p, low + 2]
        )
    return information, slopes, parts
