"""napari's writer hooks: landmarks, images with their place, and a window's session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Layer, Points
from napari.viewer import current_viewer

from ..errors import WriteError
from ..io.landmark_files import LandmarkOutput, write_landmark_file
from ..session import save_session
from ..workflow.images import convert
from .autosave import Recorder
from .frames import METADATA_KEY, ImageTag
from .landmark_layers import SIDES, points_to_landmarks, side_of
from .layers import LayerData, image_of_layer
from .outputs import require_file
from .register_panel import RegisterPanel
from .viewer_session import session_of


def write_landmark_layers(path: str, layers: list[LayerData]) -> list[str]:
    """Write one Points layer, or a fixed and a moving one, in the format that the name asks for.

    A format of one image (3D Slicer's) takes two layers into two files, one for each side.

    Raises
    ------
    WriteError
        If two layers mark the same side, or the file cannot be written.
    """
    place = Path(path)
    points = [_layer(data) for data in layers]
    sides = dict.fromkeys(SIDES)
    unknown = []
    for layer in points:
        side = side_of(layer)
        if side is None:
            unknown.append(layer)
        elif sides[side] is not None:
            raise WriteError(
                place, f"two layers hold {side} landmarks", "select one fixed and one moving layer"
            )
        else:
            sides[side] = layer
    for layer in unknown:  # in the order of the list: the first free side
        free = next(side for side in SIDES if sides[side] is None)
        sides[free] = layer
    marks = points_to_landmarks(sides["fixed"], sides["moving"])
    given = [side for side in SIDES if sides[side] is not None]
    output = LandmarkOutput(side=given[0]) if len(given) == 1 else None
    return [str(p) for p in write_landmark_file(marks, place, output)]


def write_image_layers(path: str, layers: list[LayerData]) -> list[str]:
    """Write image or labels layers: all channels of one image, or one layer.

    Raises
    ------
    WriteError
        If the layers belong to different images, or the file cannot be written.
    """
    place = Path(path)
    shown = [_layer(data) for data in layers]
    images = [image_of_layer(layer) for layer in shown]
    image = images[0]
    if len(shown) > 1 and any(i is not image for i in images):
        raise WriteError(
            place, "the layers belong to different images", "save the layers of one image at a time"
        )
    tag = shown[0].metadata.get(METADATA_KEY)
    if (
        len(shown) < len(image.channels)
        and isinstance(tag, ImageTag)
        and not getattr(shown[0], "rgb", False)
    ):
        image = image.part(sorted(layer.metadata[METADATA_KEY].channel for layer in shown))
    convert(image, place)
    return [path]


def write_session(path: str, layers: list[LayerData]) -> list[str]:  # noqa: ARG001 - napari's
    """Write the window's session: it opens again as it is, with a fit or not yet.

    Raises
    ------
    WriteError
        If there is no window with a Register panel, or an image is in no file.
    """
    place = Path(path)
    viewer = current_viewer()
    if viewer is None:
        raise WriteError(place, "there is no window to save", "save it from napari's window")
    docked = viewer.window.dock_widgets.values()
    panels = [w for w in docked if isinstance(w, RegisterPanel) and not w.is_closed]
    if not panels:
        raise WriteError(
            place,
            "which images and landmarks belong together is not known",
            "open Plugins > napari-bridgecorr > Register first",
        )
    session = session_of(viewer)
    session.read_now()
    images = [session.image(side) for side in SIDES]
    for image, side in zip(images, SIDES, strict=True):
        if image is not None:
            require_file(image, side)
    stem = place.name.removesuffix(".json").removesuffix(".session")
    record = Recorder().session(images, session.landmarks, session.options, stem)
    save_session(record, place, window=panels[0].continuing.autosave.document())
    return [path]


def _layer(data: LayerData) -> Any:
    """The layer again: napari hands its writers only data and attributes."""
    values, attributes, kind = data
    if kind == "points":
        return Points(values, **_without_selection(attributes))
    return Layer.create(values, attributes, kind)


def _without_selection(attributes: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in attributes.items() if k not in ("properties", "property_choices")}
