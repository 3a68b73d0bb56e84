"""Landmark and point files of this project and of others. One module per format."""

from .own_csv import (
    LANDMARK_COLUMNS,
    POINT_COLUMNS,
    PointTable,
    read_landmarks,
    read_points,
    write_landmarks,
    write_points,
)

__all__ = [
    "LANDMARK_COLUMNS",
    "POINT_COLUMNS",
    "PointTable",
    "read_landmarks",
    "read_points",
    "write_landmarks",
    "write_points",
]
