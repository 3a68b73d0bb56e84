"""A reference plane from an image, from points or from lines; its file and its picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import GeometryError
from ..geometry import Plane
from ..image import SpatialImage
from ..io.atomic import replacing
from ..io.landmark_files import (
    LandmarkFileOptions,
    landmark_format_of,
    read_points,
    read_points_file,
)
from ..progress import Progress
from ..surface import DetectedPlane, DetectOptions, detect_plane


def plane_in_image(
    image: SpatialImage,
    options: DetectOptions | None = None,
    *,
    picture: Path | None = None,
    progress: Progress | None = None,
) -> DetectedPlane:
    """Find the window's glass or the brain's surface, and draw what was found.

    Parameters
    ----------
    image : SpatialImage
    options : DetectOptions, optional
    picture : Path, optional
        A ``.png`` to write.
    progress : Progress, optional

    Raises
    ------
    GeometryError
        If there is no such plane.
    WriteError
        If the picture cannot be written.
    """
    if picture is not None and picture.suffix.lower() != ".png":
        raise GeometryError(f"{picture}: the picture of a plane is a PNG: name it .png")
    found = detect_plane(image, options, progress)
    if picture is not None:
        from ..report.canvas import png  # loads Matplotlib
        from ..report.plane_figure import draw_detected_plane

        content = png(draw_detected_plane(found, image.name))
        with replacing(picture) as temporary:
            temporary.write_bytes(content)
    return found


def plane_through_file(path: Path, reading: LandmarkFileOptions | None = None) -> Plane:
    """The plane through the points of a file of any format (disabled points left out).

    Raises
    ------
    ReadError
        If the file cannot be read.
    GeometryError
        If its points determine no plane.
    """
    if landmark_format_of(path) in (None, "points_csv") and not (reading and reading.columns):
        points = read_points(path).points_um
    else:
        found = read_points_file(path, reading).points
        placed = [p.position_um for p in found if p.enabled and p.position_um is not None]
        points = np.array(placed, dtype=np.float64).reshape(-1, 3)
    try:
        return Plane.through_points(points)
    except GeometryError as error:
        raise GeometryError(f"{path}: {error}") from error
