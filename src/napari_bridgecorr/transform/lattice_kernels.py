"""Compiled loops of :mod:`.lattice_map`: coarse nodes, rows of mapped indices, the error bound.

Every sum is made by one thread in a fixed order: results depend neither on the number of threads
nor on how a lattice is cut into blocks.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import inlined, parallel, serial

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@inlined
def _kernel(r2: float, radius: float, planar: bool) -> float:
    """S of a radius at a squared distance: the kernel itself beyond it; all of it for radius 0."""
    if r2 >= radius * radius:
        if planar:
            return 0.5 * r2 * math.log(r2) if r2 > 0.0 else 0.0
        return -math.sqrt(r2)
    e = r2 / (radius * radius) - 1.0
    # Taylor cubics about the radius; the quartic terms, free, keep the fourth derivative small
    if planar:
        q = e * (0.5 + e * (0.25 + e * (-1.0 / 12.0 + e * 0.01136)))
        return radius * radius * q + r2 * math.log(radius)
    return -radius * (1.0 + e * (0.5 + e * (-0.125 + e * (0.0625 - e * 0.0149))))


@inlined
def _cubic_weights(t: float, w: FloatArray) -> None:
    """Lagrange weights of the nodes -1, 0, 1, 2 at t in [0, 1]."""
    w[0] = -t * (t - 1.0) * (t - 2.0) / 6.0
    w[1] = (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0
    w[2] = -(t + 1.0) * t * (t - 2.0) / 2.0
    w[3] = (t + 1.0) * t * (t - 1.0) / 6.0


@parallel
def planes_of(coarse: FloatArray, z: FloatArray, step: int, first_cell: int) -> FloatArray:
    """(z, 3, coarse y, coarse x): the coarse grid (3, z, y, x) interpolated at each z."""
    _, _, ny, nx = coarse.shape
    out = np.empty((z.size, 3, ny, nx))
    for i in prange(z.size):
        w = np.empty(4)
        cell = math.floor(z[i] / step)
        _cubic_weights(z[i] / step - cell, w)
        k = cell - first_cell
        for a in range(3):
            for j in range(ny):
                for n in range(nx):
                    out[i, a, j, n] = (
                        w[0] * coarse[a, k, j, n]
                        + w[1] * coarse[a, k + 1, j, n]
                        + w[2] * coarse[a, k + 2, j, n]
                        + w[3] * coarse[a, k + 3, j, n]
                    )
    return out


@serial
def fill_row(
    z: float,
    y: float,
    x: FloatArray,
    to_u: FloatArray,
    control: FloatArray,
    weights: FloatArray,
    planar: bool,
    outer: float,
    inner: float,
    plane: FloatArray,
    step: IntArray,
    first_cell: IntArray,
    row: FloatArray,
) -> None:
    """Add the kernels' sums S(inner) at the indices (z, y, x[0..n)), x ascending, to `row` (3, n).

    S(outer) is taken from `plane`, an entry of :func:`planes_of`, and S(inner) - S(outer) added
    where it is not zero; an infinite `outer` means that there is no plane.
    """
    n, m = x.size, control.shape[1]
    far = outer < math.inf
    if far:
        _add_far(y, x, plane, step, first_cell, row)
    u0 = to_u[0, 0] * z + to_u[0, 1] * y + to_u[0, 3]
    u1 = to_u[1, 0] * z + to_u[1, 1] * y + to_u[1, 3]
    u2 = to_u[2, 0] * z + to_u[2, 1] * y + to_u[2, 3]
    e0 = 0.0 if planar else to_u[0, 2]
    e1, e2 = to_u[1, 2], to_u[2, 2]
    ee = e0 * e0 + e1 * e1 + e2 * e2
    for i in range(m):
        c0 = 0.0 if planar else u0 - control[0, i]
        c1, c2 = u1 - control[1, i], u2 - control[2, i]
        w0, w1, w2 = weights[0, i], weights[1, i], weights[2, i]
        if not far:
            for k in range(n):
                d0, d1, d2 = c0 + e0 * x[k], c1 + e1 * x[k], c2 + e2 * x[k]
                s = _kernel(d0 * d0 + d1 * d1 + d2 * d2, inner, planar)
                row[0, k] += w0 * s
                row[1, k] += w1 * s
                row[2, k] += w2 * s
            continue
        # |c + e x|^2 < outer^2 between two roots
        cc = c0 * c0 + c1 * c1 + c2 * c2
        low, high = 0, n
        if ee > 0.0:
            ce = c0 * e0 + c1 * e1 + c2 * e2
            under = ce * ce - ee * (cc - outer * outer)
            if under <= 0.0:
                continue
            half = math.sqrt(under)
            low = np.searchsorted(x, (-ce - half) / ee)
            high = np.searchsorted(x, (-ce + half) / ee)
        elif cc >= outer * outer:
            continue
        for k in range(low, high):
            d0, d1, d2 = c0 + e0 * x[k], c1 + e1 * x[k], c2 + e2 * x[k]
            r2 = d0 * d0 + d1 * d1 + d2 * d2
            s = _kernel(r2, inner, planar) - _kernel(r2, outer, planar)
            row[0, k] += w0 * s
            row[1, k] += w1 * s
            row[2, k] += w2 * s


@inlined
def _add_far(
    y: float,
    x: FloatArray,
    plane: FloatArray,
    step: IntArray,
    first_cell: IntArray,
    row: FloatArray,
) -> None:
    """Add the cubic interpolation of a plane of nodes along y and x to `row`."""
    nx = plane.shape[2]
    n = x.size
    w = np.empty(4)
    cell = math.floor(y / step[1])
    _cubic_weights(y / step[1] - cell, w)
    j = cell - first_cell[1]
    along = np.empty((3, nx))
    for a in range(3):
        for k in range(nx):
            along[a, k] = (
                w[0] * plane[a, j, k]
                + w[1] * plane[a, j + 1, k]
                + w[2] * plane[a, j + 2, k]
                + w[3] * plane[a, j + 3, k]
            )
    start = 0
    per = 1.0 / step[2]
    for c in range(nx - 3):
        # the voxels of this cell; its cubic is turned into powers of t once
        end_x = float((first_cell[2] + c + 1) * step[2])
        begin_x = float((first_cell[2] + c) * step[2])
        stop = start
        while stop < n and x[stop] < end_x:
            stop += 1
        if stop > start:
            for a in range(3):
                f0, f1, f2, f3 = along[a, c], along[a, c + 1], along[a, c + 2], along[a, c + 3]
                a1 = -f0 / 3.0 - 0.5 * f1 + f2 - f3 / 6.0
                a2 = 0.5 * (f0 + f2) - f1
                a3 = (f3 - f0) / 6.0 + 0.5 * (f1 - f2)
                for k in range(start, stop):
                    t = (x[k] - begin_x) * per
                    row[a, k] += f1 + t * (a1 + t * (a2 + t * a3))
        start = stop


@parallel
def node_values(
    z: FloatArray,
    y: FloatArray,
    x: FloatArray,
    to_u: FloatArray,
    control: FloatArray,
    weights: FloatArray,
    planar: bool,
    outer: float,
    inner: float,
    planes: FloatArray,
    step: IntArray,
    first_cell: IntArray,
) -> FloatArray:
    """(3, z, y, x) sums S(inner) at the nodes of a coarse grid; see :func:`fill_row`."""
    out = np.empty((3, z.size, y.size, x.size))
    for line in prange(z.size * y.size):
        iz, iy = line // y.size, line % y.size
        row = np.zeros((3, x.size))
        fill_row(
            z[iz], y[iy], x, to_u, control, weights, planar, outer, inner,
            planes[min(iz, planes.shape[0] - 1)], step, first_cell, row,
        )  # fmt: skip
        for a in range(3):
            for k in range(x.size):
                out[a, iz, iy, k] = row[a, k]
    return out


@serial
def map_row(
    z: float,
    y: float,
    x: FloatArray,
    linear: FloatArray,
    offset: FloatArray,
    to_u: FloatArray,
    control: FloatArray,
    weights: FloatArray,
    planar: bool,
    outer: float,
    plane: FloatArray,
    step: IntArray,
    first_cell: IntArray,
    row: FloatArray,
) -> None:
    """Mapped indices of the voxels (z, y, x[0..n)) into `row` (3, n)."""
    for a in range(3):
        base = linear[a, 0] * z + linear[a, 1] * y + offset[a]
        for k in range(x.size):
            row[a, k] = base + linear[a, 2] * x[k]
    if control.shape[1] > 0:
        fill_row(z, y, x, to_u, control, weights, planar, outer, 0.0, plane, step, first_cell, row)


@parallel
def lattice_positions(
    z: FloatArray,
    y: FloatArray,
    x: FloatArray,
    linear: FloatArray,
    offset: FloatArray,
    to_u: FloatArray,
    control: FloatArray,
    weights: FloatArray,
    planar: bool,
    outer: float,
    planes: FloatArray,
    step: IntArray,
    first_cell: IntArray,
) -> FloatArray:
    """Mapped indices (z * y * x, 3), x fastest, of a lattice of fixed indices."""
    out = np.empty((z.size * y.size * x.size, 3))
    for line in prange(z.size * y.size):
        iz, iy = line // y.size, line % y.size
        row = np.empty((3, x.size))
        map_row(
            z[iz], y[iy], x, linear, offset, to_u, control, weights, planar, outer,
            planes[min(iz, planes.shape[0] - 1)], step, first_cell, row,
        )  # fmt: skip
        start = line * x.size
        for k in range(x.size):
            out[start + k, 0] = row[0, k]
            out[start + k, 1] = row[1, k]
            out[start + k, 2] = row[2, k]
    return out


@inlined
def _derivative_bound(
    r: float, radius: float, outside: float, inside: float, planar: bool
) -> float:
    """Bound on the fourth derivative of S at distances of r and more."""
    if r >= radius:
        return outside / (r * r if planar else r * r * r)
    return max(outside, inside) / (radius * radius if planar else radius * radius * radius)


@parallel
def largest_sum_at(
    points: FloatArray,
    control: FloatArray,
    sizes: FloatArray,
    reach: float,
    radius: float,
    outside: float,
    inside: float,
    planar: bool,
) -> float:
    """Largest sum of bounds on the kernels' fourth derivatives within `reach` of (n, 3) points."""
    n, m = points.shape[0], control.shape[1]
    found = np.zeros(n)
    for k in prange(n):
        total = 0.0
        for i in range(m):
            d0 = 0.0 if planar else points[k, 0] - control[0, i]
            d1, d2 = points[k, 1] - control[1, i], points[k, 2] - control[2, i]
            r = math.sqrt(d0 * d0 + d1 * d1 + d2 * d2) - reach
            total += sizes[i] * _derivative_bound(r, radius, outside, inside, planar)
        found[k] = total
    return float(found.max())


@serial
def largest_sum(
    low: FloatArray,
    high: FloatArray,
    control: FloatArray,
    sizes: FloatArray,
    reach: float,
    radius: float,
    outside: float,
    inside: float,
    planar: bool,
    enough: float,
) -> float:
    """Upper bound, over a box, of the sum that :func:`largest_sum_at` takes at points.

    Boxes are divided until their bound is at most `enough` or they are small beside the kernels.
    """
    m = control.shape[1]
    first_axis = 1 if planar else 0
    stack = np.empty((512, 2, 3))
    stack[0, 0], stack[0, 1] = low, high
    depth, largest = 1, 0.0
    while depth > 0:
        depth -= 1
        a, b = stack[depth, 0].copy(), stack[depth, 1].copy()
        total = 0.0
        for i in range(m):
            r2 = 0.0
            for axis in range(first_axis, 3):
                d = max(a[axis] - control[axis, i], control[axis, i] - b[axis], 0.0)
                r2 += d * d
            r = math.sqrt(r2) - reach
            total += sizes[i] * _derivative_bound(r, radius, outside, inside, planar)
        if total <= largest:
            continue
        widest = first_axis
        for axis in range(first_axis + 1, 3):
            if b[axis] - a[axis] > b[widest] - a[widest]:
                widest = axis
        if total <= enough or b[widest] - a[widest] < 0.2 * (radius + reach) or depth > 500:
            largest = total
            continue
        middle = 0.5 * (a[widest] + b[widest])
        stack[depth, 0], stack[depth, 1] = a, b
        stack[depth, 1, widest] = middle
        stack[depth + 1, 0], stack[depth + 1, 1] = a, b
        stack[depth + 1, 0, widest] = middle
        depth += 2
    return largest
