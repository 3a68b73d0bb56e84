"""What a map does, as pictures of the plane that a screen shows: a grid bent by it, folds, errors.

All of it is smooth, so it is worked out at a coarse lattice of the plane's pixels and interpolated
linearly between: to look at, not to measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..fitting import ErrorModel
from ..geometry import Grid
from ..geometry.grid import apply_affine
from ..geometry.view import ShownPlane, round_length_um
from ..transform import Transform

FloatArray = NDArray[np.float64]
Picture = NDArray[np.float32]

# of a map and its derivatives, and of the predicted error, which costs more and varies less
_LATTICE_POINTS = 16_000
_ERROR_POINTS = 2_500
# along each side of the fixed image
_PROBES = 7
# lines across the picture's shorter side, before their distance is rounded
_LINES = 12
_LINE_PX = 1.3
# stripes that mark a fold, in pixels: told from a coloured structure by any eye
_STRIPE_PX = 8
LEVEL = 0.68


@dataclass(frozen=True, eq=False)
class GridPicture:
    """Lines of a regular grid of the moving image, as the map lays them over the plane.

    Parameters
    ----------
    values : (rows, columns) float32
        0 to 1, how much of a pixel a line covers; NaN where the map is not defined.
    spacing_um : float
        Distance of the lines before they are bent.
    bend_um : float
        Greatest distance, in the plane, of a place from where it were without bending.
    """

    values: Picture
    spacing_um: float
    bend_um: float


@dataclass(frozen=True, eq=False)
class FoldPicture:
    """Where the map folds space: one volume of the moving image is shown more than once.

    Parameters
    ----------
    values : (rows, columns) float32
        1 on the stripes of folded places, else NaN.
    share : float
        Part (0-1) of the plane that is folded.
    least, greatest : float
        Local change of volume (the Jacobian determinant), of the moving image per fixed volume.
    """

    values: Picture
    share: float
    least: float
    greatest: float


def straight_part(transform: Transform, grid: Grid) -> FloatArray:
    """(4, 4) affine map nearest to a transform over an image, by least squares.

    Raises
    ------
    GeometryError
        If the transform is defined almost nowhere in the image.
    """
    if transform.matrix_um is not None:
        return transform.matrix_um
    axes = [np.linspace(-0.5, n - 0.5, _PROBES) for n in grid.shape]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    world = grid.to_world(index)
    mapped = transform.map(world)
    known = np.all(np.isfinite(mapped), axis=1)
    if known.sum() < 8:
        raise GeometryError("the map is not defined in the fixed image")
    centre = world[known].mean(axis=0)
    design = np.column_stack([world[known] - centre, np.ones(known.sum())])
    found = np.linalg.lstsq(design, mapped[known], rcond=None)[0]
    matrix = np.eye(4)
    matrix[:3, :3] = found[:3].T
    matrix[:3, 3] = found[3] - found[:3].T @ centre
    return matrix


def bent_grid(
    transform: Transform, plane: ShownPlane, frame: FloatArray, straight: FloatArray
) -> GridPicture:
    """A square grid drawn on the moving image, as the map bends it onto the plane.

    The moving image is first laid over the fixed one without bending (`straight`), so that lines
    are straight and square where the map does not bend.

    Parameters
    ----------
    transform : Transform
        Fixed world to moving world.
    plane : ShownPlane
    frame : (4, 4) float64
        From the plane's frame to world um.
    straight : (4, 4) float64
        As :func:`straight_part` gives it.
    """
    rough = plane.coarser(_LATTICE_POINTS)
    points = _centres(rough)
    world = apply_affine(frame, points)
    back = np.asarray(np.linalg.inv(straight @ frame), dtype=np.float64)
    at = apply_affine(back, transform.map(world))  # where it were without bending, in the frame
    spacing = round_length_um(max(min(plane.shape) * plane.step_um / _LINES, plane.step_um))
    covered = np.zeros(plane.shape, np.float32)
    seen = list(plane.in_plane)
    for axis in seen:
        line = _enlarged(at[:, axis].reshape(rough.shape) / spacing, rough, plane)
        per_pixel = np.hypot(*_slopes(line))
        with np.errstate(invalid="ignore", divide="ignore"):
            pixels = np.abs(line - np.round(line)) / per_pixel
            covered = np.maximum(covered, np.clip(_LINE_PX - pixels, 0, 1))
    shift = np.linalg.norm(at[:, seen] - points[:, seen], axis=1)
    known = shift[np.isfinite(shift)]
    return GridPicture(covered.astype(np.float32), spacing, float(known.max(initial=0.0)))


def folds(transform: Transform, plane: ShownPlane, frame: FloatArray) -> FoldPicture:
    """Where on a plane the map folds or mirrors: its Jacobian determinant is <= 0 there."""
    rough = plane.coarser(_LATTICE_POINTS)
    world = apply_affine(frame, _centres(rough))
    determinant = transform.jacobian_determinant(world).reshape(rough.shape)
    fine = _enlarged(determinant, rough, plane)
    with np.errstate(invalid="ignore"):
        folded = fine <= 0
    rows, columns = (plane.first[k] + np.arange(plane.shape[k]) for k in (0, 1))
    stripe = (rows[:, None] + columns[None, :]) % _STRIPE_PX < _STRIPE_PX // 2
    values = np.where(folded & stripe, np.float32(1), np.float32(np.nan))
    known = determinant[np.isfinite(determinant)]
    if not known.size:
        known = np.array([np.nan])
    return FoldPicture(values, float(folded.mean()), float(known.min()), float(known.max()))


def errors(model: ErrorModel, plane: ShownPlane, frame: FloatArray) -> Picture:
    """(rows, columns) um that the registration error stays below with a probability of 68 %."""
    rough = plane.coarser(_ERROR_POINTS)
    world = apply_affine(frame, _centres(rough))
    return _enlarged(model.radius(world, LEVEL).reshape(rough.shape), rough, plane)


def error_range(model: ErrorModel, grid: Grid) -> tuple[float, float]:
    """Least 68 % error (um) over an image and its 95th percentile: what colours run between."""
    axes = [np.linspace(-0.5, n - 0.5, _PROBES) for n in grid.shape]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    found = model.radius(grid.to_world(index), LEVEL)
    found = found[np.isfinite(found)]
    if not found.size:
        return 0.0, 1.0
    low, high = float(found.min()), float(np.percentile(found, 95))
    return (low, high) if high > low * (1 + 1e-6) else (0.0, max(high, 1e-3) * 1.25)


def _centres(plane: ShownPlane) -> FloatArray:
    """(rows * columns, 3) pixel centres in the plane's frame."""
    points = np.empty((*plane.shape, 3))
    points[..., plane.axis] = plane.position_um
    rows, columns = plane.in_plane
    points[..., rows] = plane.coordinates_um(0)[:, None]
    points[..., columns] = plane.coordinates_um(1)[None, :]
    return points.reshape(-1, 3)


def _enlarged(values: NDArray[np.float64], rough: ShownPlane, plane: ShownPlane) -> Picture:
    """Linear interpolation of a coarser plane's pixels at a finer one's; beyond them as the line
    goes on."""
    found = np.asarray(values, np.float32)
    if rough is plane:
        return found
    for axis in (0, 1):
        n = rough.shape[axis]
        if n == 1:
            found = np.repeat(found, plane.shape[axis], axis=axis)
            continue
        at = plane.coordinates_um(axis) / rough.step_um - rough.first[axis]
        low = np.clip(np.floor(at).astype(np.int64), 0, n - 2)
        part = (at - low).astype(np.float32)
        part = part[:, None] if axis == 0 else part[None, :]
        found = found.take(low, axis) * (1 - part) + found.take(low + 1, axis) * part
    return found


def _slopes(values: Picture) -> tuple[Picture, Picture]:
    """Change per pixel along rows and columns."""
    found = [
        np.gradient(values, axis=k) if values.shape[k] > 1 else np.zeros_like(values)
        for k in (0, 1)
    ]
    return found[0], found[1]
