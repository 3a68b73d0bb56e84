"""The structure nearest to a click: a branching, a vessel's centre line, or a bright or dark spot.

Ridges are found as by Steger (IEEE TPAMI 20, 1998): where the gradient across a line vanishes,
between the voxels. A branching is where the centre lines of three branches meet, each taken where
the branches are apart: close to the branching the image shows one blob, whose brightest place lies
beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter

from ..geometry.grid import apply_affine
from ..landmarks import Point
from .branches import meeting_place
from .patch import View

FloatArray = NDArray[np.float64]
Kind = Literal["branching", "centre line", "spot"]
KINDS: tuple[Kind, ...] = ("branching", "centre line", "spot")

# of the radius: widths at which structures are looked for
_SCALES = (0.18, 0.28, 0.42)
# of the width: how far beyond the radius branches are followed, and what a filter sees
_BRANCH_REACH, _FILTER_REACH = 5.0, 3.0
# least width in voxels with which a derivative is one
_LEAST_WIDTH = 0.6
# a pyramid level serves whose voxels are no longer than this share of the smallest width
_LEVEL_SHARE = 0.9
# noise would have to be so many standard deviations high to be taken for a structure
_SIGNIFICANT = 5.0
# of the strongest ridge within the radius: what still counts as a branch
_WEAKEST = 0.3
# points of a line that are close to each other, and their spread across it as a share of that along
_FEWEST, _ELONGATED = 4, 0.4
# of the values: differences that rounding makes
_ROUNDING = 1e-9
# a ridge point belongs to the voxel in which it lies
_WITHIN_VOXEL = 0.6
_MOST_VOXELS = 2**22


@dataclass(frozen=True)
class Snapped:
    """What is there.

    Parameters
    ----------
    kind : {"branching", "centre line", "spot"}
    place_um : (float, float, float)
        World (z, y, x).
    is_bright : bool
        Brighter than what is round it, or darker.
    distance_um : float
        From the click.
    """

    kind: Kind
    place_um: Point
    is_bright: bool
    distance_um: float


def snap(
    view: View, point_um: ArrayLike, radius_um: float, kinds: tuple[Kind, ...] = KINDS
) -> Snapped | None:
    """The structure within `radius_um` of a point, to a fraction of a voxel.

    Parameters
    ----------
    view : View
        The image, one of its channels and times. A flat image is looked at in its plane.
    point_um : (3,) float
        World (z, y, x).
    radius_um : float
        Nothing farther away is found. Structures of about a sixth to a half of it in width are.
    kinds : tuple of {"branching", "centre line", "spot"}
        Which to look for; the first of them that is there counts.

    Returns
    -------
    Snapped or None
        None where nothing stands out from the noise.

    Raises
    ------
    ReadError
        If the file is damaged there.
    """
    box = _read(view, np.asarray(point_um, dtype=np.float64), radius_um)
    if box is None:
        return None
    field = _best_field(box, radius_um)
    if field is None:
        return None
    finders = {"branching": _branching, "centre line": _centre_line, "spot": _spot}
    for kind in kinds:
        found = finders[kind](field, radius_um)
        if found is not None and np.linalg.norm(found) <= radius_um:
            place = box.to_world(found)
            z, y, x = (float(v) for v in place)
            length = float(np.linalg.norm(place - np.asarray(point_um)))
            return Snapped(kind, (z, y, x), field.is_bright, length)
    return None


@dataclass(frozen=True, eq=False)
class _Box:
    """Voxels round the point; `axes` are those that are not flat."""

    values: FloatArray
    origin_um: FloatArray
    voxel_um: FloatArray
    axes: NDArray[np.int64]
    index_to_world: FloatArray
    centre: FloatArray

    def to_world(self, offset_um: FloatArray) -> FloatArray:
        index = self.centre.copy()
        index[self.axes] += offset_um / self.voxel_um
        return np.asarray(apply_affine(self.index_to_world, index[None])[0])

    def offsets(self, index: NDArray[np.int64]) -> FloatArray:
        """(n, d) um from the point, of (n, d) voxels."""
        return self.origin_um + index * self.voxel_um


@dataclass(frozen=True, eq=False)
class _Field:
    """The blurred image and its derivatives (per um), of such a sign that structures are hills."""

    box: _Box
    width_um: float
    is_bright: bool
    values: FloatArray
    gradient: FloatArray
    hessian: FloatArray
    least: float


def _read(view: View, point_um: FloatArray, radius_um: float) -> _Box | None:
    image = view.image
    level = 0
    for number, grid in enumerate(image.grids):
        free = np.asarray(grid.shape) > 1
        if free.any() and np.max(np.asarray(grid.voxel_size_um)[free]) <= (
            _LEVEL_SHARE * _SCALES[0] * radius_um
        ):
            level = number
    reach = radius_um * (1 + _SCALES[-1] * (_BRANCH_REACH + _FILTER_REACH))
    grid = image.grids[level]
    size = np.asarray(grid.voxel_size_um)
    flat = np.asarray(grid.shape) == 1
    centre = grid.to_index(point_um)[0]
    if flat.all() or not np.all(np.isfinite(centre)):
        return None
    steps = np.where(flat, 0, reach / size)
    if np.prod(2 * steps + 1) > _MOST_VOXELS:  # a large radius in an image without a pyramid
        steps = np.minimum(steps, _MOST_VOXELS ** (1 / (~flat).sum()) / 2)
    low = np.maximum(np.ceil(centre - steps), 0).astype(int)
    high = np.minimum(np.floor(centre + steps) + 1, grid.shape).astype(int)
    low[flat], high[flat] = 0, 1
    if np.any(high - low < np.where(flat, 1, 3)):
        return None
    t, c = view.time, view.channel
    values = np.asarray(image.read(level, (t, c, *low), (t + 1, c + 1, *high))[0, 0], np.float64)
    known = np.isfinite(values)
    if not known.any():
        return None
    # round 0, since a cut-off derivative of a constant is not quite 0
    values = np.where(known, values - np.median(values[known]), 0.0)
    values = values.squeeze(tuple(np.flatnonzero(flat)))
    axes = np.flatnonzero(~flat)
    return _Box(
        values,
        ((low - centre) * size)[axes],
        size[axes],
        axes,
        grid.index_to_world,
        np.where(flat, 0.0, centre),
    )


def _best_field(box: _Box, radius_um: float) -> _Field | None:
    """At the width and of the sign at which something stands out most near the point."""
    index = np.indices(box.values.shape).reshape(box.values.ndim, -1).T
    away = np.linalg.norm(box.offsets(index), axis=1)
    near = np.flatnonzero(away <= radius_um)
    if not len(near):
        return None
    nearness = np.exp(-((away[near] / radius_um) ** 2))
    noise, tiny = _noise(box.values), _ROUNDING * float(np.abs(box.values).max())
    best: tuple[float, _Field] | None = None
    for share in _SCALES:
        width = share * radius_um
        gradient, hessian, blurred = _derivatives(box, width)
        least = max(_SIGNIFICANT * noise * _noise_gain(box, width), tiny / width**2)
        here = np.moveaxis(hessian.reshape(*hessian.shape[:2], -1)[:, :, near], -1, 0)
        curvature = np.linalg.eigvalsh(here)
        for sign in (1.0, -1.0):
            # a line or a spot is a hill in every direction but one at most
            hill = np.sort(-sign * curvature, axis=1)[:, 1]
            strength = np.where(hill > least, width**2 * hill * nearness, 0.0)
            merit = float(strength.max())
            if merit > (0.0 if best is None else best[0]):
                field = _Field(
                    box, width, sign > 0, sign * blurred, sign * gradient, sign * hessian, least
                )
                best = merit, field
    return None if best is None else best[1]


def _derivatives(box: _Box, width_um: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gradient, Hessian (per um) and values of the blurred image; the widths are physical."""
    n = box.values.ndim
    sigma = np.maximum(width_um / box.voxel_um, _LEAST_WIDTH)

    def derived(*axes: int) -> FloatArray:
        order = [axes.count(a) for a in range(n)]
        scale = np.prod([box.voxel_um[a] for a in axes]) if axes else 1.0
        found = gaussian_filter(box.values, sigma, order=order, mode="nearest", truncate=4.0)
        return np.asarray(found / scale)

    gradient = np.array([derived(a) for a in range(n)])
    hessian = np.empty((n, n, *box.values.shape))
    for a in range(n):
        for b in range(a, n):
            hessian[a, b] = hessian[b, a] = derived(a, b)
    return gradient, hessian, derived()


def _noise(values: FloatArray) -> float:
    """Standard deviation of what changes from voxel to voxel, by the median."""
    fine = values - gaussian_filter(values, 1.0)
    return 1.4826 * float(np.median(np.abs(fine - np.median(fine))))


def _noise_gain(box: _Box, width_um: float) -> float:
    """Standard deviation of a second derivative (per um^2) where the voxels' is 1."""
    sigma = np.maximum(width_um / box.voxel_um, _LEAST_WIDTH)
    plain = 1 / (2 * np.sqrt(np.pi) * sigma)
    second = 3 / (8 * np.sqrt(np.pi) * sigma**5) / box.voxel_um**4
    return float(np.sqrt(np.max(np.prod(plain) / plain * second)))


@dataclass(frozen=True, eq=False)
class _Ridge:
    """(n, d) points (um from the click) of centre lines, their directions and strengths."""

    points: FloatArray
    tangents: FloatArray
    strengths: FloatArray


def _ridge(field: _Field, reach_um: float, radius_um: float) -> _Ridge | None:
    box, n = field.box, field.values.ndim
    index = np.indices(field.values.shape).reshape(n, -1).T
    offsets = box.offsets(index)
    away = np.linalg.norm(offsets, axis=1)
    rows = np.flatnonzero(away <= reach_um)
    hessian = np.moveaxis(field.hessian.reshape(n, n, -1)[:, :, rows], -1, 0)
    gradient = field.gradient.reshape(n, -1)[:, rows].T
    values, vectors = np.linalg.eigh(hessian)
    across = -values[:, n - 2]  # the weaker of the curvatures across
    near = across[away[rows] <= radius_um]
    if not len(near) or near.max() <= field.least:
        return None
    strong = across >= max(field.least, _WEAKEST * near.max())
    rows, gradient, values = rows[strong], gradient[strong], values[strong]
    vectors, across = vectors[strong], across[strong]
    shift = np.zeros_like(gradient)
    for k in range(n - 1):
        v = vectors[:, :, k]
        shift -= v * (np.sum(v * gradient, axis=1) / values[:, k])[:, None]
    inside = np.all(np.abs(shift) <= _WITHIN_VOXEL * box.voxel_um, axis=1)
    if not inside.any():
        return None
    return _Ridge(
        offsets[rows[inside]] + shift[inside],
        vectors[inside][:, :, n - 1],
        across[inside],
    )


def _branching(field: _Field, radius_um: float) -> FloatArray | None:
    reach = radius_um + _BRANCH_REACH * field.width_um
    ridge = _ridge(field, reach, radius_um)
    if ridge is None:
        return None
    return meeting_place(ridge.points, ridge.tangents, ridge.strengths, radius_um, field.width_um)


def _centre_line(field: _Field, radius_um: float) -> FloatArray | None:
    ridge = _ridge(field, radius_um + 2 * field.width_um, radius_um)
    if ridge is None:
        return None
    nearest = int(np.argmin(np.linalg.norm(ridge.points, axis=1)))
    start = ridge.points[nearest]
    close = np.linalg.norm(ridge.points - start, axis=1) <= 2.5 * field.width_um
    weights = ridge.strengths[close] / ridge.strengths[close].sum()
    centre = weights @ ridge.points[close]
    off = (ridge.points[close] - centre) * np.sqrt(weights)[:, None]
    spread, directions = np.linalg.eigh(off.T @ off)
    # every direction from the middle of a spot is a ridge of its own: they fill a ball
    if close.sum() < _FEWEST or spread[-2] > _ELONGATED**2 * spread[-1]:
        return None
    tangent = directions[:, -1]
    # the foot of the click: along the line it knows best
    return np.asarray(centre - tangent * (tangent @ centre))


def _spot(field: _Field, radius_um: float) -> FloatArray | None:
    box = field.box
    peak = field.values == maximum_filter(field.values, 3, mode="nearest")
    index = np.argwhere(peak)
    offsets = box.offsets(index)
    away = np.linalg.norm(offsets, axis=1)
    inner = np.all((index > 0) & (index < np.array(field.values.shape) - 1), axis=1)
    hessian = np.moveaxis(field.hessian[(slice(None), slice(None), *index.T)], -1, 0)
    curvature = -np.linalg.eigvalsh(hessian)[:, -1]
    kept = inner & (away <= radius_um) & (curvature > field.least)
    if not kept.any():
        return None
    merit = np.where(kept, curvature * np.exp(-((away / radius_um) ** 2)), -np.inf)
    place = offsets[int(np.argmax(merit))]
    for _ in range(4):
        gradient = _at(field.gradient, box, place)
        hessian_here = _at(field.hessian, box, place)
        if np.linalg.eigvalsh(hessian_here)[-1] >= 0:
            break
        step = -np.linalg.solve(hessian_here, gradient)
        place = place + np.clip(step, -box.voxel_um, box.voxel_um)
    return np.asarray(place)


def _at(stack: FloatArray, box: _Box, offset_um: FloatArray) -> FloatArray:
    """Values of arrays (their last axes are the box) at a place between the voxels."""
    n = box.values.ndim
    index = (offset_um - box.origin_um) / box.voxel_um
    low = np.clip(np.floor(index).astype(int) - 5, 0, None)
    high = np.minimum(low + 12, box.values.shape)
    near = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    at = (index - low)[:, None]
    flat = stack.reshape(-1, *box.values.shape)
    found = [map_coordinates(part[near], at, order=3, mode="nearest")[0] for part in flat]
    return np.array(found).reshape(stack.shape[:-n])
