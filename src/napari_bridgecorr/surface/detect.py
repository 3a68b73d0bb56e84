"""The window's glass or the brain's surface as a plane: look, agree, measure, fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..geometry import Plane
from ..image import SpatialImage
from ..progress import Progress, Silent
from .boundary import Boundary, most_certain, wanted_boundary
from .columns import Columns
from .edges import Edges
from .look import looks_at
from .options import ADVICE, NAMES, DetectOptions

FloatArray = NDArray[np.float64]

_LEAST_DISTINCT = 0.35
_LEAST_SUPPORT = 0.25


@dataclass(frozen=True, eq=False)
class DetectedPlane:
    """A plane and what it was found from.

    Parameters
    ----------
    plane : Plane
        Its normal points into the tissue, its origin lies in the middle of the region. ``made``
        tells the facts: see :func:`detect_plane`.
    columns : Columns
        The profiles that were searched.
    edges : Edges
        The boundary along each of them.
    inliers : (u, v) bool
        Columns that the plane agrees with.
    residual_um : (u, v) float64
        Distance of each edge from the plane, NaN where there is none.
    """

    plane: Plane
    columns: Columns
    edges: Edges
    inliers: NDArray[np.bool_]
    residual_um: FloatArray


def detect_plane(
    image: SpatialImage, options: DetectOptions | None = None, progress: Progress | None = None
) -> DetectedPlane:
    """Find the glass of the window, or the brain's surface, in an image.

    Every column of the image votes for where two media meet; the plane on which most columns agree
    is found by trying every tilt up to 32 degrees about each axis; then the boundary is measured
    along each column to a part of a voxel, and a plane (or a gently curved surface and the plane
    that touches it) is fitted so that vessels, bubbles and missing corners do not count.

    Parameters
    ----------
    image : SpatialImage
    options : DetectOptions, optional
    progress : Progress, optional

    Returns
    -------
    DetectedPlane
        ``plane.made`` holds ``by`` ("detection"), the options, ``channel``, ``into``, ``looks``
        ("brighter", "darker" or "line": what is seen on going in), ``columns``, ``support``
        (share of the columns that agree), ``distinct`` (1 if their edges lie nowhere else, 0 if
        they lie there by chance), ``confidence`` (0 to 1), ``spread_um`` (robust standard
        deviation of the edges about the surface), ``rms_um`` (of the agreeing edges about the
        plane, the curvature in it), ``tilt_degrees`` against the image's axis,
        ``tilt_sd_degrees``, ``depth_sd_um`` and ``radius_of_curvature_um`` (negative for a hollow,
        None if flat).

    Raises
    ------
    GeometryError
        If there is no such plane, with what was seen instead.
    """
    chosen = options or DetectOptions()
    looks = list(looks_at(image, chosen, progress or Silent()))
    found, into = wanted_boundary(*most_certain(looks, chosen), chosen)
    if found.distinct < _LEAST_DISTINCT:
        raise GeometryError(
            f"no {NAMES[chosen.target]} found in {image.name}: the columns' edges lie about the "
            f"best plane hardly oftener than elsewhere; {ADVICE}"
        )
    if found.support < _LEAST_SUPPORT:
        raise GeometryError(
            f"no {NAMES[chosen.target]} found in {image.name}: the best plane agrees with "
            f"{100 * found.support:.0f} % of the columns only; {ADVICE}"
        )
    return _described(image, found, into, chosen)


def _described(
    image: SpatialImage, found: Boundary, into: int, options: DetectOptions
) -> DetectedPlane:
    columns, sheet = found.look.columns, found.sheet
    frame = columns.frame
    c0, cu, cv = (float(v) for v in sheet.coefficients[:3])
    cosine = 1 / float(np.sqrt(1 + cu**2 + cv**2))
    normal = frame @ np.array([1.0, -cu, -cv]) * cosine * into
    origin = columns.centre_um + frame[:, 0] * c0
    iu, iv = (a.astype(np.float64) for a in np.indices(found.used.shape))
    index = np.column_stack([found.edges.position.ravel() - 0.5, iu.ravel(), iv.ravel()])
    h, u, v = columns.places(index).T
    away = ((h - sheet.tangent_height(u, v)) * cosine * into).reshape(found.used.shape)
    inliers = np.zeros(found.used.shape, dtype=bool)
    inliers[found.used] = sheet.inliers
    away = np.where(found.used, away, np.nan)
    slope_sd = float(np.hypot(*sheet.slope_sd))
    score = min(1.0, found.candidate.score / 0.5)
    looks = "line" if found.kind == "line" else "brighter" if found.sign * into > 0 else "darker"
    made: dict[str, Any] = {
        "by": "detection",
        "target": options.target,
        "channel": image.channels[found.look.channel].name,
        "time": options.time,
        "into": ("+" if into > 0 else "-") + "zyx"[columns.axis],
        "looks": looks,
        "centre_um": columns.centre_um.tolist(),
        "columns": int(found.used.size),
        "distinct": found.distinct,
        "column_um": list(columns.grid.voxel_size_um),
        "support": found.support,
        "confidence": float(min(1.0, found.support / 0.7, max(found.distinct, 0.0) / 0.7) * score),
        "spread_um": sheet.spread_um * cosine,
        "rms_um": float(np.sqrt(np.mean(away[inliers] ** 2))),
        "tilt_degrees": float(np.rad2deg(np.arccos(min(1.0, cosine)))),
        "tilt_sd_degrees": float(np.rad2deg(slope_sd * cosine**2)),
        "depth_sd_um": sheet.height_sd_um * cosine,
        "radius_of_curvature_um": None if sheet.radius_um is None else sheet.radius_um * into,
    }
    plane = Plane.from_normal(origin, normal, made)
    return DetectedPlane(plane, columns, found.edges, inliers, away)
