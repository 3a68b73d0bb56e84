"""The plane that points or lines determine, with how well they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError

FloatArray = NDArray[np.float64]

# points narrower than this share of their length tell no tilt about that length
_NARROWEST = 1e-3
# points as thick as this share of their width are a cloud
_THICKEST = 0.5
_LEAST_ANGLE_DEGREES = 1.0


@dataclass(frozen=True, eq=False)
class FittedPlane:
    """A point of the plane, its unit normal, and the facts of the fit as plain values."""

    origin_um: FloatArray
    normal: FloatArray
    made: dict[str, Any]


def fit_points(points_um: FloatArray) -> FittedPlane:
    """Least-squares plane (perpendicular distances) of (n, 3) points.

    Raises
    ------
    GeometryError
        If fewer than three points are given, one is not finite, or they determine no plane.
    """
    if len(points_um) < 3:
        raise GeometryError(
            f"a plane needs three points or more that are not on a line, not {len(points_um)}"
        )
    if not np.all(np.isfinite(points_um)):
        raise GeometryError("a point of the plane is not a finite number")
    mean = points_um.mean(axis=0)
    _, extent, directions = np.linalg.svd(points_um - mean, full_matrices=False)
    length, width, thickness = (float(v) for v in extent)
    if length == 0 or width < _NARROWEST * length:
        raise GeometryError(
            "the plane's points lie on one line or spot: add a point well beside that line"
        )
    if thickness > _THICKEST * width:
        raise GeometryError(
            "the points lie as much above and below a plane as along it: "
            "place them on one flat surface, far apart"
        )
    normal = _pointing_up(directions[2])
    residual = (points_um - mean) @ normal
    n_free = len(points_um) - 3
    tilt = None
    if n_free:
        scatter = float(np.sqrt(np.sum(residual**2) / n_free))
        tilt = float(np.rad2deg(np.arctan2(scatter, width)))
    made = {
        "by": "points",
        "points_um": points_um.tolist(),
        "residual_um": residual.tolist(),
        "residual_rms_um": float(np.sqrt(np.mean(residual**2))),
        "tilt_sd_degrees": tilt,
    }
    return FittedPlane(mean, normal, made)


def fit_lines(line_a_um: FloatArray, line_b_um: FloatArray) -> FittedPlane:
    """The plane parallel to two lines and midway between them.

    Parameters
    ----------
    line_a_um, line_b_um : (2, 3) float64

    Raises
    ------
    GeometryError
        If a line has not two different points, or the lines are (nearly) parallel.
    """
    directions = []
    for name, line in (("first", line_a_um), ("second", line_b_um)):
        if line.shape != (2, 3) or not np.all(np.isfinite(line)):
            raise GeometryError(f"the {name} line needs two points of finite z, y, x in um")
        direction = line[1] - line[0]
        length = float(np.linalg.norm(direction))
        if length == 0:
            raise GeometryError(f"the {name} line's two points coincide: draw it longer")
        directions.append(direction / length)
    a, b = directions
    crossed = np.cross(a, b)
    sine = float(np.linalg.norm(crossed))
    angle = float(np.rad2deg(np.arctan2(sine, abs(float(a @ b)))))
    if angle < _LEAST_ANGLE_DEGREES:
        raise GeometryError(
            "the two lines are parallel: draw them in two views that look along different axes"
        )
    normal = _pointing_up(crossed / sine)
    between = line_b_um[0] - line_a_um[0]
    gap = float(between @ normal)
    # feet of the common perpendicular
    along = np.linalg.lstsq(np.column_stack([a, -b]), between - gap * normal, rcond=None)[0]
    foot_a, foot_b = line_a_um[0] + along[0] * a, line_b_um[0] + along[1] * b
    made = {
        "by": "lines",
        "lines_um": [line_a_um.tolist(), line_b_um.tolist()],
        "gap_um": abs(gap),
        "angle_degrees": angle,
    }
    return FittedPlane((foot_a + foot_b) / 2, normal, made)


def _pointing_up(normal: FloatArray) -> FloatArray:
    """The normal or its opposite: its largest component is positive (of equals, the first)."""
    size = np.abs(normal)
    largest = int(np.argmax(size > size.max() - 1e-9))
    unit = normal / np.linalg.norm(normal)
    return np.asarray(-unit if normal[largest] < 0 else unit)
