"""Compiled inner loop of the convex hull. Each point is computed by one thread."""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import inlined, parallel

FloatArray = NDArray[np.float64]

# in units of the body's radius: the body's own corners count as inside
_ON_THE_PLANE = 1e-12


@inlined
def _segment_square(pz: float, py: float, px: float, a: FloatArray, b: FloatArray) -> float:
    """Squared distance of a point from a segment (of length 0, too)."""
    dz, dy, dx = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    wz, wy, wx = pz - a[0], py - a[1], px - a[2]
    square = dz * dz + dy * dy + dx * dx
    t = 0.0
    if square > 0.0:
        t = min(1.0, max(0.0, (wz * dz + wy * dy + wx * dx) / square))
    ez, ey, ex = wz - t * dz, wy - t * dy, wx - t * dx
    square_of_rest: float = ez * ez + ey * ey + ex * ex
    return square_of_rest


@inlined
def _side(
    pz: float, py: float, px: float,
    a: FloatArray, b: FloatArray,
    nz: float, ny: float, nx: float,
) -> float:  # fmt: skip
    """Positive where the point lies on the triangle's side of its edge a -> b."""
    dz, dy, dx = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    wz, wy, wx = pz - a[0], py - a[1], px - a[2]
    height: float = nz * (dy * wx - dx * wy) + ny * (dx * wz - dz * wx) + nx * (dz * wy - dy * wz)
    return height


@parallel
def distances(points: FloatArray, triangles: FloatArray, planes: FloatArray) -> FloatArray:
    """(n,) distances of (n, 3) points from a convex body, 0 inside.

    `triangles` (m, 3, 3) are its surface and `planes` (m, 4) theirs, positive outside: the point of
    the body that is nearest lies on a triangle whose plane the point is outside of. With no planes
    every triangle is asked.
    """
    n, m = points.shape[0], triangles.shape[0]
    with_planes = planes.shape[0] > 0
    out = np.empty(n)
    for i in prange(n):
        pz, py, px = points[i, 0], points[i, 1], points[i, 2]
        best = math.inf
        outside = not with_planes
        for k in range(m):
            if with_planes:
                height = planes[k, 0] * pz + planes[k, 1] * py + planes[k, 2] * px + planes[k, 3]
                if height <= _ON_THE_PLANE:
                    continue
                outside = True
                if height * height >= best:
                    continue
            a, b, c = triangles[k, 0], triangles[k, 1], triangles[k, 2]
            # the plane's foot counts where it lies in the triangle, else the nearest edge
            uz, uy, ux = b[0] - a[0], b[1] - a[1], b[2] - a[2]
            vz, vy, vx = c[0] - a[0], c[1] - a[1], c[2] - a[2]
            nz, ny, nx = uy * vx - ux * vy, ux * vz - uz * vx, uz * vy - uy * vz
            square = nz * nz + ny * ny + nx * nx
            if (
                square > 0.0
                and _side(pz, py, px, a, b, nz, ny, nx) > 0.0
                and _side(pz, py, px, b, c, nz, ny, nx) > 0.0
                and _side(pz, py, px, c, a, nz, ny, nx) > 0.0
            ):
                foot = nz * (pz - a[0]) + ny * (py - a[1]) + nx * (px - a[2])
                best = min(best, foot * foot / square)
            else:
                best = min(best, _segment_square(pz, py, px, a, b))
                best = min(best, _segment_square(pz, py, px, b, c))
                best = min(best, _segment_square(pz, py, px, c, a))
        if math.isnan(pz + py + px):
            out[i] = math.nan
        else:
            out[i] = math.sqrt(best) if outside else 0.0
    return out
