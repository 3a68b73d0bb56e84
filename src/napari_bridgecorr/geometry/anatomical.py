"""The one place that converts between our world and the RAS and LPS millimetres of other programs.

Our world is (z, y, x) = 1000 x (S, A, R): superior, anterior, right in um. NIfTI writes (R, A, S),
ITK, DICOM and 3D Slicer's files (L, P, S), both in mm.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import GeometryError
from ..units import MICROMETRES_PER_MILLIMETRE

AnatomicalFrame = Literal["RAS", "LPS"]

FloatArray = NDArray[np.float64]


def millimetres_to_world(frame: AnatomicalFrame) -> FloatArray:
    """Matrix that takes (x, y, z, 1) in mm of `frame` to (z, y, x, 1) in um of our world.

    Parameters
    ----------
    frame : {"RAS", "LPS"}

    Returns
    -------
    (4, 4) float64

    Raises
    ------
    GeometryError
        If `frame` is neither.
    """
    if frame not in get_args(AnatomicalFrame):
        raise GeometryError(f"{frame!r} is not an anatomical frame; give RAS or LPS")
    sign = 1.0 if frame == "RAS" else -1.0
    matrix = np.zeros((4, 4))
    matrix[0, 2] = MICROMETRES_PER_MILLIMETRE
    matrix[1, 1] = matrix[2, 0] = sign * MICROMETRES_PER_MILLIMETRE
    matrix[3, 3] = 1.0
    return matrix


def points_from_millimetres(points_mm: ArrayLike, frame: AnatomicalFrame) -> FloatArray:
    """(n, 3) points (x, y, z) in mm of `frame` as (z, y, x) in um."""
    return np.asarray(points_mm, dtype=np.float64) @ millimetres_to_world(frame)[:3, :3].T


def points_to_millimetres(points_um: ArrayLike, frame: AnatomicalFrame) -> FloatArray:
    """(n, 3) points (z, y, x) in um as (x, y, z) in mm of `frame`."""
    # a permutation times a scale: its inverse is its transpose over the scale's square
    back = millimetres_to_world(frame)[:3, :3] / MICROMETRES_PER_MILLIMETRE**2
    return np.asarray(points_um, dtype=np.float64) @ back


def map_from_millimetres(matrix_mm: ArrayLike, frame: AnatomicalFrame) -> FloatArray:
    """An affine map between two mm spaces of `frame` as the same map between our worlds.

    Parameters
    ----------
    matrix_mm : (4, 4) array-like
        Acts on the column (x, y, z, 1) in mm.
    frame : {"RAS", "LPS"}

    Returns
    -------
    (4, 4) float64
        Acts on the column (z, y, x, 1) in um.
    """
    to_world = millimetres_to_world(frame)
    return to_world @ np.asarray(matrix_mm, dtype=np.float64) @ np.linalg.inv(to_world)


def map_to_millimetres(matrix_um: ArrayLike, frame: AnatomicalFrame) -> FloatArray:
    """Inverse of :func:`map_from_millimetres`."""
    to_world = millimetres_to_world(frame)
    return np.linalg.inv(to_world) @ np.asarray(matrix_um, dtype=np.float64) @ to_world


def index_to_world_from_millimetres(matrix_mm: ArrayLike, frame: AnatomicalFrame) -> FloatArray:
    """Matrix (i, j, k, 1) -> mm of `frame` as our (iz, iy, ix, 1) -> (z, y, x, 1) in um."""
    reverse = np.eye(4)[[2, 1, 0, 3]]
    return millimetres_to_world(frame) @ np.asarray(matrix_mm, dtype=np.float64) @ reverse


def index_to_millimetres(index_to_world: ArrayLike, frame: AnatomicalFrame) -> FloatArray:
    """Inverse of :func:`index_to_world_from_millimetres`: (i, j, k, 1) -> mm of `frame`."""
    reverse = np.eye(4)[[2, 1, 0, 3]]
    to_world = millimetres_to_world(frame)
    return np.linalg.inv(to_world) @ np.asarray(index_to_world, dtype=np.float64) @ reverse
