"""Where on the slide the pixels of an MCD file lie.

Slide x and y are the stage's, in um, and y points up: the first line of an acquisition is the one
at the largest y. In 20210305_NE_mockData2.mcd of the Bodenmiller group's test data the panorama
shows a piece of tissue with a hole at column 162, row 124 of a picture whose top left corner is at
(15136, 12880): x 15298, y 12756. The first acquisition, whose region's top left corner is at
(15242, 12800), has the hole at column 56, row 46: x 15298, y 12754. (Were y to grow with the row,
the two would lie 200 um apart.) readimc and napari-imc say the same.

Rows are flipped on load, so that row 0 is the last line and y grows with the row, as everywhere
else in this project; no pixel is changed.

The corners of a region (top left, top right, bottom right, bottom left) are outer corners: a
region of 60 x 60 um has 60 x 60 pixels of 1 um, so the first pixel's centre lies half a pixel
inside. ROIStart is the same top left corner, but some versions of the instrument's software write
it 1000 times too large. ROIEnd is not the opposite corner: it is where the stage stood after the
last line, (width + 0.5, -(height - 1) + 0.3) um from the start in the file above. Taken for a
corner it would turn a 60 um region by a degree, so it only serves where the corners are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

import numpy as np
from numpy.typing import NDArray

from ...geometry import Grid
from ...image import MISSING_SCALE, missing_scale_warning
from .schema import Fields, McdAcquisition, Point, number_of

Known = tuple[bool, bool, bool]
FloatArray = NDArray[np.float64]

# what a corner may be off before the user must know: the region is drawn freely, pixels are whole
_MISFIT_PX = 3.0
_MISFIT_SHARE = 0.05


def acquisition_place(
    acquisition: McdAcquisition, size: tuple[int, int]
) -> tuple[Grid, Known, tuple[str, ...]]:
    """Grid of an acquisition whose rows are flipped.

    Parameters
    ----------
    acquisition : McdAcquisition
    size : (int, int)
        Rows and columns.

    Returns
    -------
    (Grid, (bool, bool, bool), tuple of str)
        The grid, which spacings the file states (z, y, x), and what the user must know.
    """
    pitch = _pitch_um(acquisition.fields)
    known = pitch is not None
    warnings = () if known else (missing_scale_warning("yx"),)
    down_um, across_um = pitch or (1.0, 1.0)
    frame, more = _frame(acquisition, size, (down_um, across_um))
    if frame is None:
        frame = (np.array([0.0, size[0] * down_um]), np.array([1.0, 0.0]), np.array([0.0, -1.0]))
    corner, across, down = frame
    grid = flipped_grid(size, corner, across * across_um, down * down_um)
    return grid, (False, known, known), warnings + more


def picture_place(
    corners_um: Sequence[Point], size: tuple[int, int]
) -> tuple[Grid, Known, tuple[str, ...]]:
    """Grid of a picture (rows flipped) whose outer corners are known, as of a panorama."""
    if len(corners_um) == 4:
        a, b, c, d = (np.array(corner, dtype=np.float64) for corner in corners_um)
        across, down = b - a, d - a
        area = abs(across[0] * down[1] - across[1] * down[0])
        extent = max(np.linalg.norm(across), np.linalg.norm(down))
        is_parallelogram = np.linalg.norm(a + c - b - d) <= 0.01 * extent
        if area > 1e-6 * extent**2 and is_parallelogram:
            grid = flipped_grid(size, a, across / size[1], down / size[0])
            return grid, (False, True, True), ()
    grid = Grid.from_spacing((1, *size), (1.0, 1.0, 1.0))
    warning = f"{missing_scale_warning('yx')}; nor does the file say where on the slide it lies"
    return grid, (False, False, False), (warning,)


def photograph_place(
    acquisition: McdAcquisition, region: Grid, size: tuple[int, int]
) -> tuple[Grid, Known, tuple[str, ...]]:
    """Grid of the photograph of a region, which the file puts nowhere: it is laid over the region.

    Parameters
    ----------
    acquisition : McdAcquisition
    region : Grid
        Of the acquisition.
    size : (int, int)
        Rows and columns of the photograph.
    """
    matrix = region.index_to_world.copy()
    corner = matrix @ np.array([0.0, -0.5, -0.5, 1.0])
    matrix[:, 1] *= region.shape[1] / size[0]
    matrix[:, 2] *= region.shape[2] / size[1]
    matrix[:, 3] = corner + (matrix[:, 1] + matrix[:, 2]) / 2
    warning = f"{MISSING_SCALE} in the file: the photograph is laid over {acquisition.name}"
    return Grid((1, *size), matrix), (False, False, False), (warning,)


def panorama_corners(fields: Fields) -> tuple[Point, ...]:
    """The four corners that a panorama states, or nothing."""
    values = [number_of(fields, f"Slide{axis}{n}PosUm") for n in (1, 2, 3, 4) for axis in "XY"]
    numbers = [value for value in values if value is not None]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True)) if len(numbers) == 8 else ()


def slide_corners(fields: Fields) -> tuple[Point, ...]:
    """The four corners of a slide, whose lower left one is the origin, or nothing."""
    width, height = number_of(fields, "WidthUm"), number_of(fields, "HeightUm")
    if not width or not height or min(width, height) <= 0:
        return ()
    return ((0.0, height), (width, height), (width, 0.0), (0.0, 0.0))


def flipped_grid(
    size: tuple[int, int], corner: FloatArray, across: FloatArray, down: FloatArray
) -> Grid:
    """Grid of a picture stored from top to bottom and read from bottom to top.

    Parameters
    ----------
    size : (int, int)
        Rows and columns.
    corner : (2,) array
        Slide x, y of the stored picture's outer top left corner (um).
    across, down : (2,) array
        Slide x, y of one step along a stored row and down to the next (um).
    """
    first = corner + (size[0] - 0.5) * down + 0.5 * across
    matrix = np.eye(4)
    matrix[1:3, 1] = -down[::-1]
    matrix[1:3, 2] = across[::-1]
    matrix[1:3, 3] = first[::-1]
    return Grid((1, *size), matrix + 0.0)  # no -0.0


def _pitch_um(fields: Fields) -> tuple[float, float] | None:
    """Distance between lines and between shots of a line."""
    down = number_of(fields, "AblationDistanceBetweenShotsY")
    across = number_of(fields, "AblationDistanceBetweenShotsX")
    if down is None or across is None or not (1e-3 <= min(down, across) <= max(down, across) < 1e5):
        return None
    return down, across


def _frame(
    acquisition: McdAcquisition, size: tuple[int, int], pitch: tuple[float, float]
) -> tuple[tuple[FloatArray, FloatArray, FloatArray] | None, tuple[str, ...]]:
    """Top left corner, direction along a line, direction to the next line; unit vectors."""
    extent = (size[0] * pitch[0], size[1] * pitch[1])
    corners = acquisition.corners_um
    if corners:
        (ax, ay), (bx, by), _, (dx, dy) = corners
        width, height = hypot(bx - ax, by - ay), hypot(dx - ax, dy - ay)
        if width > 0:
            across = np.array([bx - ax, by - ay]) / width
            down = np.array([across[1], -across[0]])
            if down @ (dx - ax, dy - ay) < 0:
                down = -down
            fits = _fits(width, extent[1], pitch[1]) and _fits(height, extent[0], pitch[0])
            warning = (
                f"the region drawn on the slide ({width:.0f} x {height:.0f} um) is not the size of "
                f"what was ablated ({extent[1]:.0f} x {extent[0]:.0f} um): they share a corner"
            )
            return (np.array([ax, ay]), across, down), (() if fits else (warning,))
    ends = _start_and_end(acquisition.fields)
    if ends is None:
        return None, ("the file does not say where on the slide it lies: it is put at 0, 0",)
    start, end = ends
    # where the stage should stand at the end of an unturned acquisition (see above)
    expected = np.array([extent[1] + 0.5 * pitch[1], -(extent[0] - pitch[0])])
    moved = end - start
    angle = np.arctan2(moved[1], moved[0]) - np.arctan2(expected[1], expected[0])
    if np.linalg.norm(moved - expected) <= _MISFIT_PX * max(pitch) or not np.any(moved):
        angle = 0.0
    across = np.array([np.cos(angle), np.sin(angle)])
    warning = "its place is known by the stage's start and end only, to a few um"
    return (start, across, np.array([across[1], -across[0]])), (warning,)


def _fits(stated: float, ablated: float, step: float) -> bool:
    return abs(stated - ablated) <= max(_MISFIT_PX * step, _MISFIT_SHARE * ablated)


def _start_and_end(fields: Fields) -> tuple[FloatArray, FloatArray] | None:
    """Slide x, y where the stage started and ended."""
    start, end = [], []
    for axis in "XY":
        a = number_of(fields, f"ROIStart{axis}PosUm")
        b = number_of(fields, f"ROIEnd{axis}PosUm")
        if a is None or b is None:
            return None
        if abs(a / 1000 - b) < abs(a - b):
            a /= 1000
        start.append(a)
        end.append(b)
    return np.array(start), np.array(end)
