"""The plane that a screen shows: where it lies, sampled as finely as its pixels.

A canvas draws one plane of a frame whose axes are (z, y, x) in um; the frame is the world, or an
image's own upright axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .grid import Grid

FloatArray = NDArray[np.float64]
Axis = Literal[0, 1, 2]

# A view without an end (a canvas zoomed far out, a lying size) must not ask for all memory.
_MOST_PIXELS_ALONG = 8192


@dataclass(frozen=True)
class ShownPlane:
    """A rectangle of pixels perpendicular to one axis of a canvas frame.

    Rows run along the first of the other two axes, columns along the second, whichever way round
    the screen shows them. Pixel centres lie at whole multiples of `step_um`, so that a picture
    does not shimmer while it is moved, and two views of one zoom share their pixels.

    Parameters
    ----------
    axis : {0, 1, 2}
        The hidden axis of (z, y, x).
    position_um : float
        Where along it.
    thickness_um : float
        How far apart slices are there.
    step_um : float
        Length of a pixel.
    first : (int, int)
        Row and column number of the first pixel: its centre is at ``first * step_um``.
    shape : (int, int)
        Rows and columns.
    """

    axis: Axis
    position_um: float
    thickness_um: float
    step_um: float
    first: tuple[int, int]
    shape: tuple[int, int]

    @property
    def in_plane(self) -> tuple[int, int]:
        """The two axes that are seen, rows first."""
        rows, columns = (a for a in range(3) if a != self.axis)
        return rows, columns

    @property
    def layer_shape(self) -> tuple[int, int, int]:
        """Shape as a (z, y, x) array of one slice."""
        shape = list(self.shape)
        shape.insert(self.axis, 1)
        return shape[0], shape[1], shape[2]

    def to_canvas(self) -> FloatArray:
        """(4, 4) from indices (z, y, x) of the one-slice array to the canvas frame in um."""
        matrix = np.diag([self.step_um] * 3 + [1.0])
        matrix[self.axis, self.axis] = self.thickness_um
        matrix[self.axis, 3] = self.position_um
        for axis, number in zip(self.in_plane, self.first, strict=True):
            matrix[axis, 3] = number * self.step_um
        return matrix

    def grid(self, frame: FloatArray) -> Grid:
        """Its pixels in the world, as a grid of ``(1, rows, columns)`` as thick as they are wide.

        Parameters
        ----------
        frame : (4, 4) float64
            From the canvas frame to world um.
        """
        order = [self.axis, *self.in_plane, 3]
        thin = np.diag([self.step_um / self.thickness_um, 1.0, 1.0, 1.0])
        return Grid((1, *self.shape), (frame @ self.to_canvas())[:, order] @ thin)

    def coordinates_um(self, along: int) -> FloatArray:
        """Centres of the rows (0) or the columns (1) in the canvas frame."""
        number = self.first[along] + np.arange(self.shape[along])
        return np.asarray(number * self.step_um, dtype=np.float64)

    def coarser(self, most_pixels: int) -> ShownPlane:
        """The same rectangle with at most so many pixels (about)."""
        factor = max(1.0, float(np.sqrt(self.shape[0] * self.shape[1] / most_pixels)))
        if factor == 1.0:
            return self
        low = np.array(self.first) * self.step_um
        high = (np.array(self.first) + np.array(self.shape) - 1) * self.step_um
        return _pixels(
            self.axis, self.position_um, self.thickness_um, self.step_um * factor, low, high
        )

    def nearest(self, finer: ShownPlane, along: int) -> NDArray[np.int64]:
        """The row (0) or column (1) of this plane that is nearest to each of a finer one's."""
        number = np.round(finer.coordinates_um(along) / self.step_um) - self.first[along]
        return np.clip(number, 0, self.shape[along] - 1).astype(np.int64)


def shown_plane(
    bounds_um: FloatArray,
    view_um: FloatArray,
    axis: Axis,
    position_um: float,
    thickness_um: float,
    step_um: float,
    margin: float = 0.1,
) -> ShownPlane | None:
    """The part of an image's plane that a screen shows; None where it shows none of it.

    Parameters
    ----------
    bounds_um : (2, 3) float64
        Least and greatest position (z, y, x) of the image in the canvas frame.
    view_um : (2, 3) float64
        The same of what the screen shows; the values along `axis` do not count.
    axis : {0, 1, 2}
        The hidden axis.
    position_um, thickness_um : float
        Of the plane along it.
    step_um : float
        Length of a pixel of the screen.
    margin : float
        Part of the view's extent that is added on each side, so that a small shift shows no gap.
    """
    seen = [a for a in range(3) if a != axis]
    view, bounds = np.asarray(view_um)[:, seen], np.asarray(bounds_um)[:, seen]
    if not (np.all(np.isfinite(view)) and np.all(np.isfinite(bounds)) and step_um > 0):
        return None
    if not bounds_um[0][axis] <= position_um <= bounds_um[1][axis]:
        return None
    around = margin * (view[1] - view[0])
    low, high = np.maximum(view[0] - around, bounds[0]), np.minimum(view[1] + around, bounds[1])
    if np.any(low >= high):
        return None
    step_um = max(step_um, float((high - low).max()) / _MOST_PIXELS_ALONG)
    return _pixels(axis, position_um, thickness_um, step_um, low, high)


def _pixels(
    axis: Axis,
    position_um: float,
    thickness_um: float,
    step_um: float,
    low: FloatArray,
    high: FloatArray,
) -> ShownPlane:
    first = np.ceil(low / step_um - 1e-9).astype(np.int64)
    last = np.maximum(np.floor(high / step_um + 1e-9).astype(np.int64), first)
    rows, columns = (int(n) for n in last - first + 1)
    return ShownPlane(
        axis,
        float(position_um),
        float(thickness_um),
        float(step_um),
        (int(first[0]), int(first[1])),
        (rows, columns),
    )


def checkerboard(plane: ShownPlane, tile_um: float) -> NDArray[np.bool_]:
    """(rows, columns) whether a pixel lies in the tiles that the second picture fills.

    Tiles begin at the frame's origin: they stay where they are while the view moves.
    """
    rows, columns = (np.floor(plane.coordinates_um(k) / tile_um).astype(np.int64) for k in (0, 1))
    return np.asarray((rows[:, None] + columns[None, :]) % 2 == 0)


def curtain(plane: ShownPlane, along: int, edge_um: float) -> NDArray[np.bool_]:
    """(rows, columns) whether a pixel lies beyond a straight edge.

    Parameters
    ----------
    plane : ShownPlane
    along : {0, 1}
        Whether the edge is crossed along the rows' axis or the columns'.
    edge_um : float
        Where the edge is along that axis.
    """
    beyond = plane.coordinates_um(along) >= edge_um
    return np.broadcast_to(beyond[:, None] if along == 0 else beyond[None, :], plane.shape)


def round_length_um(length_um: float) -> float:
    """The number 1, 2 or 5 times a power of ten next below a length."""
    power = 10.0 ** np.floor(np.log10(length_um))
    lead = length_um / power
    return float(power * (5 if lead >= 5 else 2 if lead >= 2 else 1))
