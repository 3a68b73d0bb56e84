"""Kernels split at a radius: their polynomials within it, and bounds on fourth derivatives.

``S``, the smooth part of a kernel ``U``, is ``U`` beyond a radius ``R`` and a polynomial of
``e = r^2 / R^2 - 1`` within it, which agrees in value and three derivatives at the radius. With
``g(q) = U(sqrt(q))``, the fourth derivative of S along a line at the angle ``cos^2 = s`` to the
radius is ``12 g'' + 48 s q g''' + 16 s^2 q^2 g''''``; what is bounded here is its largest size.

Kinds: 0 ``-r``; 1 ``r^2 log r``; 2, 3, 4 Matern kernels of smoothness 1/2, 3/2, 5/2, of distances
in units of the length scale over sqrt(2 smoothness): ``exp(-r)`` times 1, ``1 + r`` and
``1 + r + r^2 / 3``. The free quartic terms of 0 and 1 were chosen for a small fourth derivative.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ..compiled import inlined, parallel, serial

FloatArray = NDArray[np.float64]

# bounds of kinds 0 and 1, times r^(1 - 4) and r^(2 - 4): of the distance outside, of the radius
# inside
OUTSIDE = (3.0, 6.0)
INSIDE = (9.66, 13.65)
# a landmark's radius grows with its weight to this power: its share of the error then does not
RADIUS_POWER = (1 / 3, 1 / 2, 1 / 3, 1 / 2, 1 / 2)

# parts of a box that are divided side by side
_SLICES = 16
# for so few landmarks, waking the other threads takes longer than the search
_FEW = 400


def polynomials(kind: int, radius: FloatArray) -> FloatArray:
    """(m, 5) coefficients of 1, e, ..., e^4 for (m,) radii; zeros where the radius is 0."""
    out = np.zeros((radius.size, 5))
    r = radius[radius > 0]
    if kind == 0:
        out[radius > 0] = -r[:, None] * np.array([1.0, 0.5, -0.125, 0.0625, -0.0149])
        return out
    if kind == 1:
        log = np.log(r)
        parts = np.array([log, 0.5 + log, 0.25 + 0 * r, -1 / 12 + 0 * r, 0.01136 + 0 * r])
        out[radius > 0] = (r**2 * parts).T
        return out
    one = np.ones_like(r)
    parts = np.array(
        {
            2: [one, -r / 2, r * (r + 1) / 8, -r * (r**2 + 3 * r + 3) / 48, 0 * r],
            3: [1 + r, -(r**2) / 2, r**3 / 8, -(r**3) * (1 + r) / 48, 0 * r],
            4: [1 + r + r**2 / 3, -(r**2) * (1 + r) / 6, r**4 / 24, -(r**5) / 144, 0 * r],
        }[kind]
    )
    out[radius > 0] = (np.exp(-r) * parts).T
    return out


@inlined
def derivative_bound(r: float, radius: float, kind: int) -> float:
    """Bound on the fourth derivative of S at distances of r and more."""
    far = max(r, radius)
    if kind == 0:
        size = OUTSIDE[0] if r >= radius else INSIDE[0]
        return size / (far * far * far)
    if kind == 1:
        size = OUTSIDE[1] if r >= radius else INSIDE[1]
        return size / (far * far)
    s = far
    # `outside`: the largest over s in [0, 1], in a form that falls with the distance; `second` and
    # `third`: g_qq and R^2 |g_qqq| at the radius
    if kind == 2:
        cube = s * s * s
        outside = 3.0 * (s + 1.0) / cube + 1.0
        second = (s + 1.0) / (4.0 * cube)
        third = (s * s + 3.0 * s + 3.0) / (8.0 * cube)
    elif kind == 3:
        outside = 3.0 / s + 3.0 + s
        second = 1.0 / (4.0 * s)
        third = (s + 1.0) / (8.0 * s)
    else:
        outside = 2.0 + s * s / 3.0
        second = 1.0 / 12.0
        third = s / 24.0
    fall = math.exp(-s) * (1.0 + 1e-9)
    if r >= radius:
        return outside * fall
    # within: the extremes are at the centre, and at the radius along it
    inside = max(12.0 * (second + third), abs(12.0 * second - 48.0 * third))
    return max(outside, inside) * fall


@serial
def _sum_near_box(
    low: FloatArray,
    high: FloatArray,
    reach: FloatArray,
    control: FloatArray,
    sizes: FloatArray,
    radius: FloatArray,
    kind: int,
) -> float:
    """Sum of bounds for stencils, as long as `reach` to either side, with centres in a box."""
    low0, low1, low2 = low[0] - reach[0], low[1] - reach[1], low[2] - reach[2]
    high0, high1, high2 = high[0] + reach[0], high[1] + reach[1], high[2] + reach[2]
    z, y, x = control[0], control[1], control[2]
    total = 0.0
    if kind == 0:  # no branch in the loop: it runs along memory in SIMD registers
        for i in range(sizes.size):
            a, b = low0 - z[i], z[i] - high0
            d0 = a if a > b else b
            a, b = low1 - y[i], y[i] - high1
            d1 = a if a > b else b
            a, b = low2 - x[i], x[i] - high2
            d2 = a if a > b else b
            d0 = d0 if d0 > 0.0 else 0.0
            d1 = d1 if d1 > 0.0 else 0.0
            d2 = d2 if d2 > 0.0 else 0.0
            r = math.sqrt(d0 * d0 + d1 * d1 + d2 * d2)
            size = OUTSIDE[0] if r >= radius[i] else INSIDE[0]
            far = r if r >= radius[i] else radius[i]
            total += sizes[i] * size / (far * far * far)
        return total
    for i in range(sizes.size):
        d0 = 0.0 if kind == 1 else max(low0 - z[i], z[i] - high0, 0.0)
        d1, d2 = max(low1 - y[i], y[i] - high1, 0.0), max(low2 - x[i], x[i] - high2, 0.0)
        r = math.sqrt(d0 * d0 + d1 * d1 + d2 * d2)
        total += sizes[i] * derivative_bound(r, radius[i], kind)
    return total


@serial  # little work: waking the other threads takes longer
def sums_at(
    points: FloatArray,
    reach: FloatArray,
    control: FloatArray,
    sizes: FloatArray,
    radius: FloatArray,
    kind: int,
) -> FloatArray:
    """(n,) sums of bounds on the fourth derivatives for stencils about (n, 3) points."""
    found = np.zeros(points.shape[0])
    for k in range(points.shape[0]):
        here = points[k]
        found[k] = _sum_near_box(here, here, reach, control, sizes, radius, kind)
    return found


def largest_sum(
    low: FloatArray,
    high: FloatArray,
    reach: FloatArray,
    control: FloatArray,
    sizes: FloatArray,
    radius: FloatArray,
    kind: int,
    allowed: float,
    smallest: float,
) -> float:
    """Upper bound, over a box, of the sum that :func:`sums_at` takes at points.

    Boxes are divided until their bound is at most `allowed`. Where one with sides of `smallest` has
    more, the search ends, and the result is more than `allowed` but no bound.
    """
    search = _largest_side_by_side if sizes.size > _FEW else _largest
    return float(search(low, high, reach, control, sizes, radius, kind, allowed, smallest))


@serial
def _largest(
    low: FloatArray,
    high: FloatArray,
    reach: FloatArray,
    control: FloatArray,
    sizes: FloatArray,
    radius: FloatArray,
    kind: int,
    allowed: float,
    smallest: float,
) -> float:
    """One after the other."""
    first_axis = 1 if kind == 1 else 0
    stack = np.empty((256, 2, 3))
    stack[0, 0], stack[0, 1] = low, high
    depth, largest = 1, 0.0
    while depth > 0:
        depth -= 1
        a, b = stack[depth, 0].copy(), stack[depth, 1].copy()
        total = _sum_near_box(a, b, reach, control, sizes, radius, kind)
        if total <= largest:
            continue
        longest = first_axis
        for axis in range(first_axis + 1, 3):
            if b[axis] - a[axis] > b[longest] - a[longest]:
                longest = axis
        if total <= allowed:
            largest = total
            continue
        if b[longest] - a[longest] < smallest or depth > 250:
            return total
        middle = 0.5 * (a[longest] + b[longest])
        stack[depth, 0], stack[depth, 1] = a, b
        stack[depth, 1, longest] = middle
        stack[depth + 1, 0], stack[depth + 1, 1] = a, b
        stack[depth + 1, 0, longest] = middle
        depth += 2
    return largest


@parallel
def _largest_side_by_side(
    low: FloatArray,
    high: FloatArray,
    reach: FloatArray,
    control: FloatArray,
    sizes: FloatArray,
    radius: FloatArray,
    kind: int,
    allowed: float,
    smallest: float,
) -> float:
    """Parts of the box side by side."""
    widest = 1 if kind == 1 else 0
    for axis in range(widest + 1, 3):
        if high[axis] - low[axis] > high[widest] - low[widest]:
            widest = axis
    wide = (high[widest] - low[widest]) / _SLICES
    found = np.zeros(_SLICES)
    for part in prange(_SLICES):
        a, b = low.copy(), high.copy()
        a[widest] = low[widest] + part * wide
        b[widest] = low[widest] + (part + 1) * wide
        found[part] = _largest(a, b, reach, control, sizes, radius, kind, allowed, smallest)
    return float(found.max())
