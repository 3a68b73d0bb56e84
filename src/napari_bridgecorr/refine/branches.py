"""Where the centre lines of three or more branches meet, from points on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

FloatArray = NDArray[np.float64]

# of the width: the shell round a branching in which branches are apart, and still straight
_INNER, _OUTER = 2.2, 5.0
# branches leave at angles larger than this
_APART_DEG = 32.0
# a branch runs through the shell, outwards
_SPANNED, _OUTWARDS = 0.6, 0.8
# of the width: how far from all lines the meeting place lies at most
_MISS = 0.8
_LEAST_BRANCHES = 3
_MOST_STARTS = 80
_MOST_STEPS = 8
_ARRIVED = 0.01


def meeting_place(
    points_um: FloatArray,
    tangents: FloatArray,
    strengths: FloatArray,
    radius_um: float,
    width_um: float,
) -> FloatArray | None:
    """The branching nearest to 0.

    Parameters
    ----------
    points_um : (n, d) float64
        On centre lines.
    tangents : (n, d) float64
        Directions of the lines, of either sign.
    strengths : (n,) float64
    radius_um : float
        No branching farther from 0 is looked for.
    width_um : float
        Of the branches, about.

    Returns
    -------
    (d,) float64 or None
    """
    away = np.linalg.norm(points_um, axis=1)
    starts = points_um[away <= radius_um + 0.5 * width_um]
    if len(starts) > _MOST_STARTS:
        starts = starts[:: -(-len(starts) // _MOST_STARTS)]
    found: list[FloatArray] = []
    for start in starts:
        before, place = start, None
        for _ in range(_MOST_STEPS):
            place = _step(points_um, tangents, strengths, before, width_um)
            if place is None or np.linalg.norm(place - before) < _ARRIVED * width_um:
                break
            before = place
        if place is not None and np.linalg.norm(place) <= radius_um:
            found.append(place)
    return min(found, key=lambda p: float(np.linalg.norm(p))) if found else None


def _step(
    points: FloatArray,
    tangents: FloatArray,
    strengths: FloatArray,
    centre: FloatArray,
    width: float,
) -> FloatArray | None:
    """The place nearest to the lines of all branches that are seen from `centre`."""
    off = points - centre
    away = np.linalg.norm(off, axis=1)
    shell = (away >= _INNER * width) & (away <= _OUTER * width)
    off, away = off[shell], away[shell]
    if len(off) < _LEAST_BRANCHES:
        return None
    direction = off / away[:, None]
    outwards = np.abs(np.sum(direction * tangents[shell], axis=1)) >= _OUTWARDS
    off, away, direction = off[outwards], away[outwards], direction[outwards]
    weight = strengths[shell][outwards]
    if len(off) < _LEAST_BRANCHES:
        return None
    linked = direction @ direction.T >= np.cos(np.radians(_APART_DEG) / 2)
    n_groups, group = connected_components(linked, directed=False)
    d = points.shape[1]
    matrix, vector, lines = np.zeros((d, d)), np.zeros(d), []
    for number in range(n_groups):
        mine = group == number
        if np.ptp(away[mine]) < _SPANNED * (_OUTER - _INNER) * width:
            continue
        share = weight[mine] / weight[mine].sum()
        middle = share @ off[mine]
        spread = (off[mine] - middle) * np.sqrt(share)[:, None]
        line = np.linalg.eigh(spread.T @ spread)[1][:, -1]
        across = np.eye(d) - np.outer(line, line)
        matrix += across
        vector += across @ middle
        lines.append((across, middle))
    if len(lines) < _LEAST_BRANCHES:
        return None
    place = np.linalg.lstsq(matrix, vector, rcond=None)[0]
    misses = [np.linalg.norm(across @ (place - middle)) for across, middle in lines]
    if max(misses) > _MISS * width or np.linalg.norm(place) > _OUTER * width:
        return None
    return np.asarray(centre + place)
