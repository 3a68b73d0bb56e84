"""Compiled loops of :mod:`.lattice_map`: coarse nodes and rows of mapped indices.

Every sum is made by one thread in an order that depends on nothing but the map: results depend
neither on the number of threads nor on how a lattice is cut into blocks.

Names: a *row* is a line of voxels along x. Along a row the squared distance to a landmark is
``d2 + ee (x - xc)^2``, with ``xc`` the index nearest to it, so that a landmark's reach is an
interval of x and its kernel one square root (or logarithm) a voxel.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import inlined, parallel, serial

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# rows that share their list of near landmarks and their expanded nodes
ROWS = 64


@inlined
def kernel_at(r2: float, kind: int) -> float:
    """The kernel at a squared distance; see :mod:`.lattice_bound`."""
    if kind == 0:
        return -math.sqrt(r2)
    if kind == 1:
        return 0.5 * r2 * math.log(r2) if r2 > 0.0 else 0.0
    s = math.sqrt(r2)
    fall = math.exp(-s)
    if kind == 2:
        return fall
    if kind == 3:
        return (1.0 + s) * fall
    return (1.0 + s + s * s / 3.0) * fall


@inlined
def cubic_weights(t: float, w: FloatArray) -> None:
    """Lagrange weights of the nodes -1, 0, 1, 2 at t in [0, 1]."""
    w[0] = -t * (t - 1.0) * (t - 2.0) / 6.0
    w[1] = (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0
    w[2] = -(t + 1.0) * t * (t - 2.0) / 2.0
    w[3] = (t + 1.0) * t * (t - 1.0) / 6.0


@parallel
def planes_of(coarse: FloatArray, z: FloatArray, step: int, first_cell: int) -> FloatArray:
    """(z, 3, coarse y, coarse x): coarse nodes (coarse z, 3, y, x) interpolated at each z."""
    _, _, ny, nx = coarse.shape
    out = np.empty((z.size, 3, ny, nx))
    for i in prange(z.size):
        w = np.empty(4)
        cell = math.floor(z[i] / step)
        cubic_weights(z[i] / step - cell, w)
        k = cell - first_cell
        for a in range(3):
            for j in range(ny):
                for n in range(nx):
                    out[i, a, j, n] = (
                        w[0] * coarse[k, a, j, n]
                        + w[1] * coarse[k + 1, a, j, n]
                        + w[2] * coarse[k + 2, a, j, n]
                        + w[3] * coarse[k + 3, a, j, n]
                    )
    return out


@serial
def near_rows(
    z: float,
    y: FloatArray,
    x: FloatArray,
    to_u: FloatArray,
    control: FloatArray,
    radius: FloatArray,
    planar: bool,
    found: IntArray,
) -> int:
    """List the landmarks that reach into the rows (z, y[...]); returns how many there are."""
    b, e = to_u[:, 1], to_u[:, 2]
    first = 1 if planar else 0
    ee, be, bb = 0.0, 0.0, 0.0
    for a in range(first, 3):
        ee += e[a] * e[a]
        be += b[a] * e[a]
        bb += b[a] * b[a]
    square = bb - be * be / ee  # of a step along y, beside x
    y_low, y_high = y[0], y[y.size - 1]
    x_low, x_high = x[0], x[x.size - 1]
    count = 0
    for i in range(control.shape[1]):
        if radius[i] <= 0.0:
            continue
        cc, cb, ce = 0.0, 0.0, 0.0
        for a in range(first, 3):
            c = to_u[a, 0] * z + to_u[a, 3] - control[a, i]
            cc += c * c
            cb += c * b[a]
            ce += c * e[a]
        cross = cb - ce * be / ee
        at = y_low
        if square > 1e-12 * bb:
            at = min(max(-cross / square, y_low), y_high)
        nearest = cc - ce * ce / ee + 2.0 * cross * at + square * at * at
        # a little more than the radius: the sums above round
        reach = radius[i] * (1.0 + 1e-9)
        if nearest > reach * reach + 1e-12 * (cc + bb * at * at):
            continue
        low = min(-(ce + be * y_low), -(ce + be * y_high)) / ee
        high = max(-(ce + be * y_low), -(ce + be * y_high)) / ee
        half = reach / math.sqrt(ee) + 1e-6
        if high + half < x_low or low - half > x_high:
            continue
        found[count] = i
        count += 1
    return count


@serial
def add_near(
    sign: float,
    z: float,
    y: float,
    x: FloatArray,
    to_u: FloatArray,
    control: FloatArray,
    weights: FloatArray,
    kind: int,
    radius: FloatArray,
    inside: FloatArray,
    near: IntArray,
    n_near: int,
    row: FloatArray,
) -> None:
    """Add `sign` times kernel minus its polynomial, within the radius, to a row (3, n)."""
    planar = kind == 1
    n = x.size
    e0 = 0.0 if planar else to_u[0, 2]
    e1, e2 = to_u[1, 2], to_u[2, 2]
    ee = e0 * e0 + e1 * e1 + e2 * e2
    u0 = 0.0 if planar else to_u[0, 0] * z + to_u[0, 1] * y + to_u[0, 3]
    u1 = to_u[1, 0] * z + to_u[1, 1] * y + to_u[1, 3]
    u2 = to_u[2, 0] * z + to_u[2, 1] * y + to_u[2, 3]
    per = (n - 1) / (x[n - 1] - x[0]) if n > 1 else 0.0
    for j in range(n_near):
        i = near[j]
        c0 = 0.0 if planar else u0 - control[0, i]
        c1, c2 = u1 - control[1, i], u2 - control[2, i]
        xc = -(c0 * e0 + c1 * e1 + c2 * e2) / ee
        c0, c1, c2 = c0 + e0 * xc, c1 + e1 * xc, c2 + e2 * xc
        d2 = c0 * c0 + c1 * c1 + c2 * c2
        r2 = radius[i] * radius[i]
        if d2 >= r2:
            continue
        half = math.sqrt((r2 - d2) / ee)
        low = int(min(max((xc - half - x[0]) * per, 0.0), float(n)))
        while low > 0 and x[low - 1] > xc - half:
            low -= 1
        while low < n and x[low] <= xc - half:
            low += 1
        high = int(min(max((xc + half - x[0]) * per, 0.0), float(n)))
        while high > 0 and x[high - 1] >= xc + half:
            high -= 1
        while high < n and x[high] < xc + half:
            high += 1
        w0, w1, w2 = sign * weights[0, i], sign * weights[1, i], sign * weights[2, i]
        p0, p1, p2, p3, p4 = inside[i, 0], inside[i, 1], inside[i, 2], inside[i, 3], inside[i, 4]
        per_r2 = 1.0 / r2
        # slices, and loops from 0: Numba would else look for indices from the end in every step
        here = x[low:high]
        row0, row1, row2 = row[0, low:high], row[1, low:high], row[2, low:high]
        if kind == 0:  # no branch in the loop: it runs along memory in SIMD registers
            for k in range(here.size):
                dx = here[k] - xc
                q = d2 + ee * (dx * dx)
                e = q * per_r2 - 1.0
                s = -math.sqrt(q) - (p0 + e * (p1 + e * (p2 + e * (p3 + e * p4))))
                row0[k] += w0 * s
                row1[k] += w1 * s
                row2[k] += w2 * s
            continue
        for k in range(here.size):
            dx = here[k] - xc
            q = d2 + ee * (dx * dx)
            e = q * per_r2 - 1.0
            s = kernel_at(q, kind) - (p0 + e * (p1 + e * (p2 + e * (p3 + e * p4))))
            row0[k] += w0 * s
            row1[k] += w1 * s
            row2[k] += w2 * s


@serial
def expand(
    plane: FloatArray, first_row: int, x: FloatArray, step: int, first_cell: int, out: FloatArray
) -> None:
    """Interpolate rows of nodes along x: `plane` (3, y', x') from `first_row` on into (r, 3, n)."""
    n = x.size
    per = 1.0 / step
    start = 0
    while start < n:
        cell = math.floor(x[start] * per)
        end = float((cell + 1) * step)
        stop = start + 1
        while stop < n and x[stop] < end:
            stop += 1
        c = cell - first_cell
        begin = float(cell * step)
        here = x[start:stop]
        for r in range(out.shape[0]):
            for a in range(3):
                f0, f1 = plane[a, first_row + r, c], plane[a, first_row + r, c + 1]
                f2, f3 = plane[a, first_row + r, c + 2], plane[a, first_row + r, c + 3]
                a1 = -f0 / 3.0 - 0.5 * f1 + f2 - f3 / 6.0
                a2 = 0.5 * (f0 + f2) - f1
                a3 = (f3 - f0) / 6.0 + 0.5 * (f1 - f2)
                line = out[r, a, start:stop]
                for k in range(here.size):
                    t = (here[k] - begin) * per
                    line[k] = f1 + t * (a1 + t * (a2 + t * a3))
        start = stop


@serial
def all_kernels(
    z: float,
    y: float,
    x: FloatArray,
    to_u: FloatArray,
    control: FloatArray,
    weights: FloatArray,
    kind: int,
    row: FloatArray,
) -> None:
    """Add every landmark's kernel to a row (3, n)."""
    planar = kind == 1
    c0, c1, c2 = control[0], control[1], control[2]
    w0, w1, w2 = weights[0], weights[1], weights[2]
    for k in range(x.size):
        u0 = to_u[0, 0] * z + to_u[0, 1] * y + to_u[0, 2] * x[k] + to_u[0, 3]
        u1 = to_u[1, 0] * z + to_u[1, 1] * y + to_u[1, 2] * x[k] + to_u[1, 3]
        u2 = to_u[2, 0] * z + to_u[2, 1] * y + to_u[2, 2] * x[k] + to_u[2, 3]
        s0, s1, s2 = 0.0, 0.0, 0.0
        if kind == 0:  # no branch in the loop: it runs along memory in SIMD registers
            for i in range(c0.size):
                d0, d1, d2 = u0 - c0[i], u1 - c1[i], u2 - c2[i]
                s = -math.sqrt(d0 * d0 + d1 * d1 + d2 * d2)
                s0 += w0[i] * s
                s1 += w1[i] * s
                s2 += w2[i] * s
        else:
            for i in range(c0.size):
                d0 = 0.0 if planar else u0 - c0[i]
                d1, d2 = u1 - c1[i], u2 - c2[i]
                s = kernel_at(d0 * d0 + d1 * d1 + d2 * d2, kind)
                s0 += w0[i] * s
                s1 += w1[i] * s
                s2 += w2[i] * s
        row[0, k] += s0
        row[1, k] += s1
        row[2, k] += s2


@serial
def fill_row(
    z: float,
    y: float,
    x: FloatArray,
    affine: FloatArray,
    to_u: FloatArray,
    control: FloatArray,
    weights: FloatArray,
    kind: int,
    radius: FloatArray,
    inside: FloatArray,
    near: IntArray,
    n_near: int,
    step: int,
    expanded: FloatArray,
    first_row: int,
    row: FloatArray,
) -> None:
    """Mapped indices of the voxels (z, y, x[0..n)) into `row` (3, n).

    `near` and `expanded` (rows of nodes from `first_row` on, along the whole row) are those of the
    coarse grid; without one `expanded` is empty, and every kernel is taken.
    """
    n = x.size
    far = expanded.shape[0] > 0
    if far:
        w = np.empty(4)
        cell = math.floor(y / step)
        cubic_weights(y / step - cell, w)
        w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
        j = cell - first_row
    for a in range(3):
        base = affine[a, 0] * z + affine[a, 1] * y + affine[a, 3]
        along = affine[a, 2]
        line = row[a]
        if far:
            f0, f1 = expanded[j, a], expanded[j + 1, a]
            f2, f3 = expanded[j + 2, a], expanded[j + 3, a]
            for k in range(n):
                line[k] = (base + along * x[k]) + (
                    w0 * f0[k] + w1 * f1[k] + w2 * f2[k] + w3 * f3[k]
                )
        else:
            for k in range(n):
                line[k] = base + along * x[k]
    if far:
        add_near(1.0, z, y, x, to_u, control, weights, kind, radius, inside, near, n_near, row)
    elif control.shape[1] > 0:
        all_kernels(z, y, x, to_u, control, weights, kind, row)


@inlined
def node_rows(y_low: float, y_high: float, step: int, planes: FloatArray) -> int:
    """Rows of nodes that the rows between two indices take; 0 without a coarse grid."""
    if planes.shape[0] == 0:
        return 0
    return int(math.floor(y_high / step) - math.floor(y_low / step)) + 4


@parallel
def node_values(
    z: FloatArray,
    y: FloatArray,
    x: FloatArray,
    affine: FloatArray,
    to_u: FloatArray,
    control: FloatArray,
    weights: FloatArray,
    kind: int,
    radius: FloatArray,
    inside: FloatArray,
    planes: FloatArray,
    step: IntArray,
    first_cell: IntArray,
    own_radius: FloatArray,
    own_inside: FloatArray,
) -> FloatArray:
    """(z, 3, y, x): :func:`fill_row` at a lattice, less what is within another radius.

    That is what a coarse grid holds (its own radius), from the next coarser grid, or what a lattice
    is mapped to (no radius).
    """
    n_chunks = (y.size + ROWS - 1) // ROWS
    out = np.empty((z.size, 3, y.size, x.size))
    for task in prange(z.size * n_chunks):
        iz, chunk = task // n_chunks, task % n_chunks
        rows = y[chunk * ROWS : min((chunk + 1) * ROWS, y.size)]
        near = np.empty(control.shape[1], np.int64)
        own = np.empty(control.shape[1], np.int64)
        expanded = np.empty((node_rows(rows[0], rows[-1], step[1], planes), 3, x.size))
        n_near, n_own, first_row = 0, 0, 0
        planar = kind == 1
        if expanded.shape[0] > 0:
            first_row = math.floor(rows[0] / step[1])
            plane = planes[min(iz, planes.shape[0] - 1)]
            expand(plane, first_row - first_cell[1], x, step[2], first_cell[2], expanded)
            n_near = near_rows(z[iz], rows, x, to_u, control, radius, planar, near)
        if own_radius.size > 0:
            n_own = near_rows(z[iz], rows, x, to_u, control, own_radius, planar, own)
        row = np.empty((3, x.size))
        for r in range(rows.size):
            fill_row(
                z[iz], rows[r], x, affine, to_u, control, weights, kind, radius, inside,
                near, n_near, step[1], expanded, first_row, row,
            )  # fmt: skip
            if n_own > 0:
                add_near(
                    -1.0, z[iz], rows[r], x, to_u, control, weights, kind, own_radius,
                    own_inside, own, n_own, row,
                )  # fmt: skip
            for a in range(3):
                for k in range(x.size):
                    out[iz, a, chunk * ROWS + r, k] = row[a, k]
    return out
