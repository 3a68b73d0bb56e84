"""napari's reader hooks: what is dropped on the window becomes layers, or opens the File panel.

The panel takes what must be asked about (a landmark file without unit, the points of one image, a
transform) and what would flood the list of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari import current_viewer
from napari.utils.notifications import show_info, show_warning

from ..errors import ReadError
from ..image import SpatialImage
from ..io.landmark_files import (
    ONE_SIDED,
    WITHOUT_UNIT,
    LandmarkFileOptions,
    landmark_format_of,
    read_landmark_file,
)
from ..io.location import Url
from ..io.registry import is_claimed, parse_image_path, readers
from ..session import is_session
from ..workflow.files import open_file
from ..workflow.kinds import kind_of
from .file_words import landmark_words, warning_words
from .landmark_layers import landmarks_to_layers
from .layers import image_to_layers, is_photograph

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from .file_panel import FilePanel
    from .register_panel import RegisterPanel

LayerData = tuple[Any, dict[str, Any], str]
PathOrPaths = str | Sequence[str]
ReaderFunction = Callable[[PathOrPaths], list[LayerData]]

# napari's word for "taken care of, but no layers"
_NO_LAYERS = cast(list[LayerData], [(None,)])
# a file of more layers than this is chosen from in the panel
_MOST_LAYERS = 100


def get_image_reader(path: PathOrPaths) -> ReaderFunction | None:
    """The image reader, if one of our formats claims every path."""
    places = _places(path)
    if places and all(_is_image(p) for p in places):
        return read_images
    return None


def read_images(path: PathOrPaths) -> list[LayerData]:
    """Layers of every image of every file, or of the one that ``#N`` names.

    Raises
    ------
    ReadError
        If a file is damaged, empty or mislabelled.
    """
    names = _places(path)
    found: list[tuple[str, SpatialImage]] = []
    for name in names:
        contents = open_file(name)
        found += [(contents.name, image) for image in contents.images]
    n_layers = sum(_n_layers(image) for _, image in found)
    viewer = current_viewer()
    if n_layers > _MOST_LAYERS and viewer is not None:
        show_info(f"{names[0]} would make {n_layers} layers: choose in the File panel")
        return _in_panel(viewer, names)
    layers: list[LayerData] = []
    for name, image in found:
        for warning in image.warnings:
            show_warning(f"{name}: {_for_the_window(warning)}")
        layers += image_to_layers(image)
    return layers


def get_landmark_reader(path: PathOrPaths) -> ReaderFunction | None:
    """The landmark reader, if every path is a landmark file of a format that is known."""
    places = _places(path)
    if places and all(landmark_format_of(_local(p)) is not None for p in places):
        return read_landmark_layers
    return None


def read_landmark_layers(path: PathOrPaths) -> list[LayerData]:
    """A Points layer for each side that a landmark file has, or the File panel that asks.

    Raises
    ------
    ReadError
        If a line is not a landmark.
    """
    names = _places(path)
    forms = [landmark_format_of(_local(name)) for name in names]
    viewer = current_viewer()
    if viewer is not None and any(f in WITHOUT_UNIT or f in ONE_SIDED for f in forms):
        return _in_panel(viewer, names)
    if len(names) == 2 and all(f in ONE_SIDED for f in forms):
        file = read_landmark_file(Path(names[0]), LandmarkFileOptions(moving=Path(names[1])))
        return landmarks_to_layers(file.landmarks)
    found: list[LayerData] = []
    for name in names:
        file = read_landmark_file(Path(name))
        for warning in file.warnings:
            show_warning(f"{Path(name).name}: {landmark_words(warning)}")
        found += landmarks_to_layers(file.landmarks)
    return found


def get_transform_reader(path: PathOrPaths) -> ReaderFunction | None:
    """The transform reader, if every path is a transform."""
    places = _places(path)
    if places and all(kind_of(p) == "transform" for p in places):
        return read_transforms
    return None


def read_transforms(path: PathOrPaths) -> list[LayerData]:
    """No layers: the File panel shows the transform and takes it into the session.

    Raises
    ------
    ReadError
        If there is no window.
    """
    viewer = current_viewer()
    if viewer is None:
        raise ReadError(
            _places(path)[0], "is a transform, not an image", "open it in napari's window"
        )
    return _in_panel(viewer, _places(path))


def get_session_reader(path: PathOrPaths) -> ReaderFunction | None:
    """The session reader, if the one path is a session."""
    places = _places(path)
    return open_session if len(places) == 1 and is_session(_local(places[0])) else None


def open_session(path: PathOrPaths) -> list[LayerData]:
    """No layers yet: the Register panel opens the session's images and shows what was shown.

    Raises
    ------
    ReadError
        If there is no window, or the session was not saved from one.
    """
    viewer, place = current_viewer(), _places(path)[0]
    if viewer is None:
        raise ReadError(place, "is a session, not an image", "open it in napari's window")
    _, panel = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Register")
    cast("RegisterPanel", panel).continuing.open_file(_local(place))
    return _NO_LAYERS


def show_file_panel(viewer: Viewer) -> FilePanel:
    """The File panel of a viewer, docked if it was not."""
    _, panel = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "File")
    return cast("FilePanel", panel)


def _in_panel(viewer: Viewer, names: list[str]) -> list[LayerData]:
    show_file_panel(viewer).open(names)
    return _NO_LAYERS


def _places(path: PathOrPaths) -> list[str]:
    return [path] if isinstance(path, str) else [str(p) for p in path]


def _local(name: str) -> Path:
    return Path(parse_image_path(name)[0])


def _is_image(name: str) -> bool:
    place, _ = parse_image_path(name)
    if isinstance(place, Url):
        return True
    if kind_of(name) != "image":
        return False
    # a missing file is ours by its name alone: reading it then says that it does not exist
    return is_claimed(place) or any(
        place.match(pattern) for r in readers() for pattern in r.patterns
    )


def _n_layers(image: SpatialImage) -> int:
    return 1 if is_photograph(image) else len(image.channels)


def _for_the_window(warning: str) -> str:
    """The warning with the window's remedy instead of the command line's."""
    return warning_words(warning).replace("type it under Voxel size", "state it in the File panel")
