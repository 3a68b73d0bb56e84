"""Where the next landmark pair of two images tells most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import RefineError
from ..fitting import Fit, NextLandmark, next_landmark
from ..image import SpatialImage
from ..landmarks import Side
from ..progress import Progress, Silent
from ..refine.structure import Structure, structure_of
from ..transform import Transform

FloatArray = NDArray[np.float64]

_LONGEST = 48
_FEWEST = 30


def where_next(
    result: Fit,
    fixed: SpatialImage,
    moving: SpatialImage,
    *,
    fixed_channel: str | int | None = None,
    moving_channel: str | int | None = None,
    times: tuple[int, int] = (0, 0),
    region: SpatialImage | None = None,
    region_side: Side = "fixed",
    progress: Progress | None = None,
) -> NextLandmark:
    """The place, where both images show tissue, that lowers the predicted error most.

    Parameters
    ----------
    result : Fit
        Of the pairs so far.
    fixed, moving : SpatialImage
        Looked at coarsely, in :func:`shared_tissue`.
    fixed_channel, moving_channel : str or int, optional
        By default the whole of a colour picture, else the first channel.
    times : (int, int)
        Time points of both.
    region : SpatialImage, optional
        Labels: only where they are not 0, in both images, tissue or not. The error that counts is
        the one in there.
    region_side : {"fixed", "moving"}
        The image that they lie on.
    progress : Progress, optional

    Returns
    -------
    NextLandmark

    Raises
    ------
    FitError
        If the images do not overlap, or the landmarks are too few.
    """
    if region is not None:
        within = points_within(region, region_side, fixed, moving, result.transform)
        return next_landmark(result, within)
    tissue = shared_tissue(
        fixed,
        moving,
        result.transform,
        fixed_channel=fixed_channel,
        moving_channel=moving_channel,
        times=times,
        progress=progress,
    )
    return next_landmark(result, tissue)


def points_within(
    region: SpatialImage,
    side: Side,
    fixed: SpatialImage,
    moving: SpatialImage,
    transform: Transform,
) -> FloatArray:
    """Points (n, 3) in fixed world um that fill, evenly, where labels of an image are not 0.

    Those that lie in both images; of the coarsest level that is fine enough.
    """
    level = max(
        (k for k, g in enumerate(region.grids) if k == 0 or g.n_voxels >= _FEWEST * _LONGEST**2),
        default=0,
    )
    grid = region.grids[level]
    where = np.argwhere(np.asarray(region.levels[level][0, 0].compute()) != 0)
    rng = np.random.default_rng(0)
    where = where[rng.permutation(len(where))[: 20 * _LONGEST**2]]
    points = grid.to_world(where + rng.uniform(-0.5, 0.5, where.shape))
    if side == "moving":
        moved = points
        points = transform.inverse().map(moved)
        known = np.isfinite(points).all(axis=1)
        points, moved = points[known], moved[known]
    else:
        moved = transform.map(points)
    kept = fixed.grid.contains(points) & moving.grid.contains(moved)
    return np.asarray(points[kept], dtype=np.float64)


def shared_tissue(
    fixed: SpatialImage,
    moving: SpatialImage,
    transform: Transform,
    *,
    fixed_channel: str | int | None = None,
    moving_channel: str | int | None = None,
    times: tuple[int, int] = (0, 0),
    progress: Progress | None = None,
) -> FloatArray:
    """Points (n, 3) in fixed world um that fill, evenly, what both images show of the tissue.

    Tissue is what Otsu's threshold parts from the background, on some 50 voxels an axis; if there
    is next to none in common, all of the fixed image within the moving one.
    """
    progress = progress or Silent()
    progress.begin("looking for tissue", 2)
    ours = _tissue(fixed, fixed_channel, times[0])
    progress.advance()
    theirs = _tissue(moving, moving_channel, times[1])
    progress.advance()
    rng = np.random.default_rng(0)
    if ours is None:
        size = np.array(fixed.grid.shape)
        points = fixed.grid.to_world(rng.uniform(-0.5, size - 0.5, (20 * _LONGEST**2, 3)))
    else:
        where = np.argwhere(ours.tissue)
        points = ours.grid.to_world(where + rng.uniform(-0.5, 0.5, where.shape))
        points = points[fixed.grid.contains(points)]
    moved = transform.map(points)
    inside = moving.grid.contains(moved)
    points, moved = points[inside], moved[inside]
    if theirs is None:
        return points
    index = np.clip(np.round(theirs.grid.to_index(moved)), 0, np.array(theirs.grid.shape) - 1)
    z, y, x = index.astype(np.int64).T
    shared = theirs.tissue[z, y, x]
    return points[shared] if np.count_nonzero(shared) >= _FEWEST else points


def _tissue(image: SpatialImage, channel: str | int | None, time: int) -> Structure | None:
    """None where nothing tells tissue from background."""
    try:
        return structure_of(image, _LONGEST, channel=channel, time=time)
    except RefineError:
        return None
