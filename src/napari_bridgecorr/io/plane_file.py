"""Reference planes as JSON files."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import GeometryError, ReadError
from ..geometry import Plane
from .atomic import write_text
from .transform_files import read_json_object


def read_plane(path: Path) -> Plane:
    """Read a plane.

    Raises
    ------
    ReadError
        If the file is none of ours or is damaged.
    """
    document = read_json_object(path)
    try:
        return Plane.from_dict(document)
    except GeometryError as error:
        raise ReadError(path, str(error), "write it with `bridgecorr plane`") from error


def write_plane(plane: Plane, path: Path) -> None:
    """Write a plane atomically.

    Raises
    ------
    WriteError
        If the folder cannot be written to.
    """
    write_text(path, json.dumps(plane.to_dict(), indent=1) + "\n")
