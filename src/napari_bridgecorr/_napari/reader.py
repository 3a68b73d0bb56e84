"""napari's reader hooks: what is dropped on the window becomes layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_warning

from ..errors import ReadError
from ..io.landmark_files import LANDMARK_COLUMNS, read_landmarks
from ..io.registry import open_images, parse_image_path, readers
from .landmark_layers import landmarks_to_layers
from .layers import image_to_layers

LayerData = tuple[Any, dict[str, Any], str]
PathOrPaths = str | Sequence[str]
ReaderFunction = Callable[[PathOrPaths], list[LayerData]]

_FIRST_LINE_BYTES = 4096


def get_image_reader(path: PathOrPaths) -> ReaderFunction | None:
    """The image reader, if one of our formats claims every path."""
    places = _places(path)
    if places and all(_is_claimed(parse_image_path(p)[0]) for p in places):
        return read_images
    return None


def read_images(path: PathOrPaths) -> list[LayerData]:
    """Layers of every image of every file, or of the one that ``#N`` names.

    Raises
    ------
    ReadError
        If a file is damaged, empty or mislabelled.
    """
    found: list[LayerData] = []
    for text in _places(path):
        place, number = parse_image_path(text)
        images = open_images(place)
        if number is not None:
            if number >= len(images):
                last = len(images) - 1
                raise ReadError(place, f"has no image #{number}", f"give one of #0 to #{last}")
            images = (images[number],)
        for image in images:
            for warning in image.warnings:
                show_warning(f"{place.name}: {_for_the_window(warning)}")
            found += image_to_layers(image)
    return found


def get_landmark_reader(path: PathOrPaths) -> ReaderFunction | None:
    """The landmark reader, if every path is a CSV whose header is that of landmarks."""
    places = _places(path)
    if places and all(_has_landmark_header(Path(p)) for p in places):
        return read_landmark_layers
    return None


def read_landmark_layers(path: PathOrPaths) -> list[LayerData]:
    """A fixed and a moving Points layer for every landmark file.

    Raises
    ------
    ReadError
        If a line is not a landmark.
    """
    found: list[LayerData] = []
    for text in _places(path):
        found += landmarks_to_layers(read_landmarks(Path(text)))
    return found


def _places(path: PathOrPaths) -> list[str]:
    return [path] if isinstance(path, str) else [str(p) for p in path]


def _is_claimed(place: Path) -> bool:
    # a missing file is ours by its name alone: reading it then says that it does not exist
    return any(r.claim(place).accepted for r in readers()) or any(
        place.match(pattern) for r in readers() for pattern in r.patterns
    )


def _has_landmark_header(place: Path) -> bool:
    try:
        with place.open("rb") as file:
            first = file.read(_FIRST_LINE_BYTES).split(b"\n")[0]
    except OSError:
        return False
    header = [c.strip().strip('"') for c in first.decode("utf-8-sig", "replace").split(",")]
    return set(LANDMARK_COLUMNS) - {"name", "enabled"} <= set(header)


def _for_the_window(warning: str) -> str:
    """The warning with the window's remedy instead of the command line's."""
    return warning.replace("state it with --spacing z,y,x", "state it in the Register panel")
