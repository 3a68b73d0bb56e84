"""Landmark and point files of this project and of others. One module per format.

Reading, by content:

>>> landmark_format_of(path)                      # "bigwarp_csv", ... or None; never raises
>>> read_landmarks(path)                          # a LandmarkSet; ReadError says what is missing
>>> read_landmarks(path, LandmarkFileOptions(unit="mm"))
>>> read_landmarks(fixed, LandmarkFileOptions(moving=moving))  # two files of 3D Slicer
>>> read_landmark_file(path, options).warnings    # what the user should know, one line each

====================  ======  ===================================================================
format                holds   what must be said
====================  ======  ===================================================================
``bridgecorr_csv``    pairs   nothing
``bigwarp_csv``       pairs   ``unit``; the images' grids where they are rotated or offset
``slicer_fcsv``       points  nothing (mm, RAS or LPS by its header)
``slicer_json``       points  nothing; ``#N`` where a file holds several lists
``slicer_table``      points  nothing (columns ``label,l,p,s`` or ``label,r,a,s``)
``napari_csv``        points  ``unit``, or ``"px"`` and the image's grid
``points_csv``        points  nothing (columns ``z_um,y_um,x_um``)
``plain_csv``         either  ``unit`` unless its columns name it (``x_mm``, ``X (µm)``);
                              ``columns`` where their names do not tell
====================  ======  ===================================================================

Files of points hold one image: pass the second file as ``moving``. In all of them an unplaced
point is a half pair and a deselected one is not enabled.

Writing: :func:`write_landmarks` (own CSV), :func:`write_landmark_file` (any). Coordinates come
back from every format exactly as they were, except through ``"px"``.
"""

from .files import (
    LandmarkOutput,
    OutputFormat,
    as_output_format,
    format_to_write,
    points_of,
    read_landmark_file,
    read_landmarks,
    read_points_file,
    write_landmark_file,
    write_points_file,
)
from .model import (
    ONE_SIDED,
    WITHOUT_UNIT,
    LandmarkFile,
    LandmarkFileOptions,
    LandmarkFormat,
    NamedPoint,
    PointFile,
)
from .own_csv import LANDMARK_COLUMNS
from .own_csv import write_own_csv as write_landmarks
from .pairing import pair_points
from .points_csv import (
    POINT_COLUMNS,
    PointTable,
    iter_points,
    read_points,
    write_point_chunks,
    write_points,
)
from .recognise import landmark_format_of

__all__ = [
    "LANDMARK_COLUMNS",
    "ONE_SIDED",
    "POINT_COLUMNS",
    "WITHOUT_UNIT",
    "LandmarkFile",
    "LandmarkFileOptions",
    "LandmarkFormat",
    "LandmarkOutput",
    "NamedPoint",
    "OutputFormat",
    "PointFile",
    "PointTable",
    "as_output_format",
    "format_to_write",
    "iter_points",
    "landmark_format_of",
    "pair_points",
    "points_of",
    "read_landmark_file",
    "read_landmarks",
    "read_points",
    "read_points_file",
    "write_landmark_file",
    "write_landmarks",
    "write_point_chunks",
    "write_points",
    "write_points_file",
]
