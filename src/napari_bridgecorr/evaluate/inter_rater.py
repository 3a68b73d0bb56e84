"""How far two registrations of the same images are from each other (two raters, two methods)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TransformError
from ..fitting.error_summary import ErrorSummary, summarise
from ..geometry import Grid
from ..progress import Progress, Silent
from ..transform import Transform

FloatArray = NDArray[np.float64]

MEANING = (
    "distance (um) in the moving space between the two places that two registrations give the same "
    "point of the fixed image"
)


@dataclass(frozen=True, eq=False)
class RaterDifference:
    """Difference of two registrations at the same points of every slice.

    Parameters
    ----------
    points_um : (n_z, n_y, n_x, 3) float64
        The points, fixed world (z, y, x) in um.
    difference_um : (n_z, n_y, n_x, 3) float64
        ``second(x) - first(x)``. NaN where one of them is not defined.
    """

    points_um: FloatArray
    difference_um: FloatArray

    @property
    def overall(self) -> ErrorSummary:
        """Over all points of all slices."""
        return summarise(self.difference_um.reshape(-1, 3))

    def by_slice(self) -> tuple[ErrorSummary, ...]:
        """Slice by slice, in the order of the fixed image."""
        return tuple(summarise(plane.reshape(-1, 3)) for plane in self.difference_um)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; undefined numbers are None."""
        n_slices, *n_points, _ = self.points_um.shape
        return {
            "meaning": MEANING,
            "slices": n_slices,
            "points_per_slice": n_points,
            **self.overall.to_dict(),
            "by_slice": [
                {
                    "slice": k,
                    "n": s.n,
                    "n_undefined": s.n_undefined,
                    **{
                        key: s.to_dict()[key]
                        for key in ("rms_um", "median_um", "maximum_um", "axes")
                    },
                }
                for k, s in enumerate(self.by_slice())
            ],
        }

    def rows(self) -> Iterator[tuple[int, int, int, FloatArray, FloatArray]]:
        """Slice, row, column, the point and the difference there."""
        for index in np.ndindex(self.points_um.shape[:3]):
            yield (*index, self.points_um[index], self.difference_um[index])


def inter_rater(
    first: Transform,
    second: Transform,
    grid: Grid,
    points: tuple[int, int] = (50, 50),
    progress: Progress | None = None,
) -> RaterDifference:
    """Carry the same regular points of every slice through two registrations.

    As published for BRIDGE (Theranostics, doi 10.7150/thno.125235): the root mean square of the
    differences over 50 x 50 points in each slice of the fixed image.

    Parameters
    ----------
    first, second : Transform
        Fixed world to moving world, of the same two images.
    grid : Grid
        The fixed image's. Its (y, x) planes are the slices.
    points : (int, int)
        Points along y and x, evenly from the first voxel's centre to the last one's. An axis of
        one voxel has one point.
    progress : Progress, optional
        One step per slice.

    Raises
    ------
    TransformError
        If the two have no point in common, or `points` are not positive.
    """
    if min(points) < 1:
        raise TransformError(f"a slice needs at least one point a side, not {points}")
    n_z, n_y, n_x = grid.shape
    y, x = (
        np.linspace(0, n - 1, min(k, 1 if n == 1 else k))
        for n, k in zip((n_y, n_x), points, strict=True)
    )
    shape = (n_z, len(y), len(x), 3)
    where, difference = np.empty(shape), np.empty(shape)
    watch = progress or Silent()
    watch.begin("Comparing", n_z)
    for k in range(n_z):
        index = np.stack(np.meshgrid([float(k)], y, x, indexing="ij"), axis=-1).reshape(-1, 3)
        world = grid.to_world(index)
        where[k] = world.reshape(shape[1:])
        difference[k] = (second.map(world) - first.map(world)).reshape(shape[1:])
        watch.advance()
    found = RaterDifference(where, difference)
    if not found.overall.n:
        raise TransformError(
            "the two registrations are defined at no common point of the fixed image: check that "
            "both belong to it, and their direction"
        )
    return found
