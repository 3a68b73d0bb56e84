"""What a file holds, by its content: an image, landmarks or a transform. `convert` asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from ..io.landmark_files import landmark_format_of
from ..io.registry import parse_image_path
from ..io.transform_files import is_transform_file

Kind = Literal["image", "landmarks", "transform"]

# no image has these endings; what is wrong with such a file, its own readers say best
_LANDMARK_ENDINGS = (".csv", ".tsv", ".fcsv", ".mrk.json")


def is_landmark_file(path: Path) -> bool:
    """Whether a file holds landmarks or points, by its content, or is a table by its name."""
    if landmark_format_of(path) is not None:
        return True
    return path.is_file() and path.name.lower().endswith(_LANDMARK_ENDINGS)


# asked in this order; a test never raises. What nobody knows is an image: the image readers say
# best what is wrong with a file.
_TESTS: tuple[tuple[Kind, Callable[[Path], bool]], ...] = (
    ("transform", is_transform_file),
    ("landmarks", is_landmark_file),
)


def kind_of(path: str | Path) -> Kind:
    """What `path` (an image's may end in ``#N``) holds. Never raises."""
    place, number = parse_image_path(path)
    if not isinstance(place, Path):  # images alone are read from the web
        return "image"
    if number is not None:  # a markups file numbers its lists
        return "landmarks" if landmark_format_of(place) == "slicer_json" else "image"
    return next((kind for kind, holds in _TESTS if holds(place)), "image")
