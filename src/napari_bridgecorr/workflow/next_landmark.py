"""Where the next landmark pair of two images tells most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import RefineError
from ..fitting import Fit, NextLandmark, next_landmark
from ..image import SpatialImage
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
    progress : Progress, optional

    Returns
    -------
    NextLandmark

    Raises
    ------
    FitError
        If the images do not overlap, or the landmarks are too few.
    """
    region = shared_tissue(
        fixed,
        moving,
        result.transform,
        fixed_channel=fixed_channel,
        moving_channel=moving_channel,
        times=times,
        progress=progress,
    )
    return next_landmark(result, region)


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
