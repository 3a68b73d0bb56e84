"""Compiled bounds of :mod:`.cells`, one box after another."""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import parallel

FloatArray = NDArray[np.float64]


@parallel
def box_bounds(
    lower: FloatArray,
    size: FloatArray,
    matrix: FloatArray,
    points: FloatArray,
    weights: FloatArray,
    scale: float,
    planar: bool,
) -> FloatArray:
    """(b,) largest errors of the interpolant in boxes of a lattice.

    Parameters
    ----------
    lower, size : (b, 3) float64
        In indices. A box is made of whole cells, or is part of one.
    matrix : (4, 4) float64
        Index to fixed um.
    points, weights : (n, 3) float64
        Landmarks in um and kernel weights over the spline's scale.
    scale : float
        The spline's, in um.
    planar : bool
        Whether the kernel is the planar one.
    """
    n = points.shape[0]
    out = np.empty(lower.shape[0])
    edges = matrix[:3, :3].copy()
    if planar:
        edges[0] = 0.0  # the planar spline bends in (y, x) only
    length2 = np.zeros(3)
    for k in range(3):
        length2[k] = edges[0, k] ** 2 + edges[1, k] ** 2 + edges[2, k] ** 2
    first = 1 if planar else 0
    for b in prange(lower.shape[0]):
        # the whole cells: what is interpolated in a part of a cell depends on all of it
        cell, whole, within = np.empty(3), np.empty(3), np.empty(3)
        for k in range(3):
            cell[k] = math.floor(lower[b, k])
            whole[k] = math.ceil(lower[b, k] + size[b, k]) - cell[k]
            start = lower[b, k] - cell[k]
            t = min(max(0.5, start), start + size[b, k])
            within[k] = 0.25 if size[b, k] >= 1.0 else t * (1.0 - t)
        centre, part = np.zeros(3), np.zeros(3)
        radius, part_radius = 0.0, 0.0
        variance = 0.0
        for k in range(3):
            variance += within[k] * length2[k]
        for sign in range(4):
            r2, p2 = 0.0, 0.0
            for a in range(first, 3):
                one = 1.0 if sign & 1 else -1.0
                two = 1.0 if sign & 2 else -1.0
                r2 += (
                    edges[a, 0] * whole[0]
                    + one * edges[a, 1] * whole[1]
                    + two * edges[a, 2] * whole[2]
                ) ** 2
                p2 += (
                    edges[a, 0] * size[b, 0]
                    + one * edges[a, 1] * size[b, 1]
                    + two * edges[a, 2] * size[b, 2]
                ) ** 2
            radius = max(radius, 0.5 * math.sqrt(r2))
            part_radius = max(part_radius, 0.5 * math.sqrt(p2))
        for a in range(first, 3):
            for k in range(3):
                centre[a] += matrix[a, k] * (cell[k] + 0.5 * whole[k])
                part[a] += matrix[a, k] * (lower[b, k] + 0.5 * size[b, k])
            centre[a] += matrix[a, 3]
            part[a] += matrix[a, 3]
        best = math.inf
        for split in range(3):
            # landmarks within so many radii are taken one by one: the best split counts
            near = 3.0 if split == 0 else (1.6 if split == 1 else 1.2)
            second = np.zeros((3, 3))
            third = np.zeros(3)
            alone = 0.0
            for i in range(n):
                d = np.zeros(3)
                r2, q2 = 0.0, 0.0
                for a in range(first, 3):
                    d[a] = centre[a] - points[i, a]
                    r2 += d[a] ** 2
                    q2 += (part[a] - points[i, a]) ** 2
                r = math.sqrt(r2)
                w = math.sqrt(weights[i, 0] ** 2 + weights[i, 1] ** 2 + weights[i, 2] ** 2)
                is_near = r <= near * radius
                if is_near and not planar:
                    q = max(0.0, math.sqrt(q2) - part_radius)
                    alone += w * (math.sqrt(q * q + variance) - q)
                    continue
                gap = r - radius
                for k in range(3):
                    if length2[k] == 0.0:
                        continue
                    along = d[0] * edges[0, k] + d[1] * edges[1, k] + d[2] * edges[2, k]
                    if not planar:
                        # (|a|^2 - (a . d / r)^2) / r changes by at most 2 / sqrt(3) |a|^2 / r^2
                        bend = -(length2[k] - (along / r) ** 2) / r
                        third[k] += w * 1.1547005383792517 * length2[k] / gap**2
                    elif is_near:
                        reach = r + radius
                        bend = length2[k] * (2.0 * math.log(reach / scale) + 2.0) / scale
                        green = 1.5 + math.log(2.0 * reach / math.sqrt(length2[k])) + 0.5
                        alone += w * within[k] * length2[k] * green / scale
                    else:
                        # |a|^2 (2 log r + 1) + 2 (a . d / r)^2 changes by at most sqrt(8) |a|^2 / r
                        bend = length2[k] * (2.0 * math.log(r / scale) + 1.0)
                        bend = (bend + 2.0 * (along / r) ** 2) / scale
                        third[k] += w * 2.8284271247461903 * length2[k] / gap / scale
                    for a in range(3):
                        second[k, a] += bend * weights[i, a]
            total = alone
            for k in range(3):
                at_centre = math.sqrt(second[k, 0] ** 2 + second[k, 1] ** 2 + second[k, 2] ** 2)
                total += 0.5 * within[k] * (at_centre + radius * third[k])
            best = min(best, total)
        out[b] = best
    return out
