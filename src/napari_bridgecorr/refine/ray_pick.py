"""What a click on a 3-D picture means: the brightest place along the line of sight."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from ..geometry import Grid
from ..geometry.grid import apply_affine
from ..landmarks import Point
from .patch import View

FloatArray = NDArray[np.float64]

# a 3-D picture shows the coarsest level; one that is still quickly read says more
_MOST_VOXELS = 2**22
# of a level without coarser ones
_MOST_AT_ALL = 2**26
_STEP = 0.5
# of the range along the ray: what counts as equally bright, so that a saturated vessel's middle is
# taken and not its front
_ALIKE = 0.02


def brightest_on_line(view: View, point_um: ArrayLike, direction: ArrayLike) -> Point | None:
    """The middle of the brightest stretch of a straight line through an image.

    Parameters
    ----------
    view : View
    point_um : (3,) float
        World (z, y, x) of any point of the line.
    direction : (3,) float
        Of the line, in the world, away from the eye: the first of equally bright stretches is
        taken.

    Returns
    -------
    (float, float, float) or None
        None where the line misses the image, or nothing along it differs, or the image is too large
        to be looked through.
    """
    image = view.image
    sizes = [grid.n_voxels for grid in image.grids]
    level = next((k for k, n in enumerate(sizes) if n <= _MOST_VOXELS), len(sizes) - 1)
    if sizes[level] > _MOST_AT_ALL:
        return None
    grid = image.grids[level]
    start = grid.to_index(np.asarray(point_um, dtype=np.float64)[None])[0]
    along = grid.world_to_index[:3, :3] @ np.asarray(direction, dtype=np.float64)
    span = _inside(start, along, np.asarray(grid.shape))
    if span is None:
        return None
    n = max(3, int(np.ceil((span[1] - span[0]) * np.linalg.norm(along) / _STEP)) + 1)
    at = np.linspace(*span, n)
    index = start + at[:, None] * along
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, np.asarray(grid.shape) - 1)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, grid.shape)
    t, c = view.time, view.channel
    box = image.read(level, (t, c, *low), (t + 1, c + 1, *high))[0, 0]
    values = np.nan_to_num(np.asarray(box, dtype=np.float64), nan=-np.inf)
    lowest = values[np.isfinite(values)].min(initial=0.0)
    values = np.where(np.isfinite(values), values, lowest)
    profile = map_coordinates(values, (index - low).T, order=1, mode="nearest")
    spread = float(np.ptp(profile))
    if spread == 0:
        return None
    alike = profile >= profile.max() - _ALIKE * spread
    first = int(np.argmax(alike))
    last = first + int(np.argmin(np.append(alike[first:], False))) - 1
    middle = index[[first, last]].mean(axis=0)
    z, y, x = (float(v) for v in apply_affine(grid.index_to_world, middle[None])[0])
    return z, y, x


def line_meets(grid: Grid, point_um: ArrayLike, direction: ArrayLike) -> bool:
    """Whether a straight line goes through a grid's voxels.

    Parameters
    ----------
    grid : Grid
    point_um : (3,) float
        World (z, y, x) of any point of the line.
    direction : (3,) float
        Of the line, in the world.
    """
    start = grid.to_index(np.asarray(point_um, dtype=np.float64)[None])[0]
    along = grid.world_to_index[:3, :3] @ np.asarray(direction, dtype=np.float64)
    return _inside(start, along, np.asarray(grid.shape)) is not None


def _inside(
    start: FloatArray, along: FloatArray, shape: NDArray[np.int64]
) -> tuple[float, float] | None:
    """Between which multiples of `along` the line lies within the outermost voxels' faces."""
    low, high = -np.inf, np.inf
    for origin, step, n in zip(start, along, shape, strict=True):
        if abs(step) < 1e-12:
            if not -0.5 <= origin <= n - 0.5:
                return None
            continue
        ends = sorted(((-0.5 - origin) / step, (n - 0.5 - origin) / step))
        low, high = max(low, ends[0]), min(high, ends[1])
    return (float(low), float(high)) if low < high and np.isfinite(high - low) else None
