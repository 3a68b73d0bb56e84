"""What a window shows, as plain values, and the same window made from them again.

Images are named by their files; landmarks' layers are kept in full, to the last bit.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Points
from napari.utils.colormaps import Colormap
from pydantic import TypeAdapter

from ..errors import BridgecorrError
from ..fitting import FitOptions
from ..geometry import Placement
from ..image import SpatialImage
from ..io.registry import open_image
from .frames import METADATA_KEY, ImageTag, LandmarkTag, is_drawn_by_panel, tag_of, unit_name
from .kept_views import canvas_document, look_as
from .landmark_layers import SIDES, point_arguments, raw_ids
from .landmark_paint import unpainted
from .layers import UNSAVED_FORMATS, image_to_layers
from .plane_bench import bench_of
from .residual_layer import is_residual_layer
from .resliced_layers import record_of, resliced_again

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from ..progress import Progress
    from .viewer_session import ViewerSession

Document = dict[str, Any]

VERSION = 1
_PLACE = ("scale", "translate", "rotate", "shear")
_LOOK = (
    "name",
    "visible",
    "opacity",
    "blending",
    "projection_mode",
    "gamma",
    "interpolation2d",
    "interpolation3d",
    "rendering",
    "contrast_limits",
)
_POINT_LOOK = ("size", "symbol", "face_color", "border_color", "border_width", "shown")


# -- to plain values -----------------------------------------------------------------------------


def window_document(session: ViewerSession) -> Document:
    """What the window shows now; quick, for the GUI thread."""
    viewer = session.viewer
    if viewer is None:
        return {}
    layers: list[Document] = []
    at: dict[Layer, int] = {}
    lost, to_warp, results = [], [], session.result_layers()
    for layer in viewer.layers:
        if is_drawn_by_panel(layer) or is_residual_layer(layer):
            continue  # the panel draws it again
        document = _layer_document(layer)
        if document is None:
            (to_warp if layer in results else lost).append(layer.name)
            continue
        at[layer] = len(layers)
        layers.append(document)
    images = {side: session.image_layer(side) for side in SIDES}
    points = {side: session.point_layer(side) for side in SIDES}
    active = viewer.layers.selection.active
    return {
        "version": VERSION,
        "pair": [pair_name(layer) for layer in images.values()],
        "names": [_image_name(i) for i in (*images.values(), bench_of(session).layer) if i],
        "n_landmarks": len({name for layer in points.values() for name in raw_ids(layer)}),
        "layers": layers,
        "lost": lost,
        "to_warp": to_warp,
        "images": {side: at.get(layer) for side, layer in images.items()},
        "points": {side: at.get(layer) for side, layer in points.items()},
        "active": at.get(active),
        "options": _plain(asdict(session.options)),
        "plane": bench_of(session).document(at),
        **canvas_document(viewer),
    }


def pair_name(layer: Layer | None) -> str:
    """What identifies the image of a layer after a restart; "" for no layer."""
    if layer is None:
        return ""
    tag = tag_of(layer)
    if isinstance(tag, ImageTag):
        source = tag.image.source
        return f"{source.url or Path(source.path).absolute()}#{source.image_index}"
    return f"layer {layer.name}"


def _image_name(layer: Layer) -> str:
    tag = tag_of(layer)
    return tag.image.name if isinstance(tag, ImageTag) else layer.name


def _layer_document(layer: Layer) -> Document | None:
    tag = tag_of(layer)
    if isinstance(layer, Points):
        kind: Document = _point_document(layer)
    elif isinstance(tag, ImageTag) and _is_in_file(tag.image):
        kind = _image_document(tag)
    else:
        return None
    look = {n: _plain(getattr(layer, n)) for n in _LOOK if hasattr(layer, n)}
    if kind["kind"] == "image" and hasattr(layer, "contrast_limits"):
        colormap = layer.colormap
        look["colormap"] = {
            "name": colormap.name,
            "colors": _plain(colormap.colors),
            "controls": _plain(colormap.controls),
            "interpolation": str(getattr(colormap, "interpolation", "linear")),
        }
    place = {n: _plain(getattr(layer, n)) for n in _PLACE}
    place["affine"] = _plain(layer.affine.affine_matrix)
    frame = np.eye(4) if tag is None else tag.frame
    units = [unit_name(u) for u in layer.units]
    return {**kind, "look": look, "place": place, "frame": _plain(frame), "units": units}


def _is_in_file(image: SpatialImage) -> bool:
    return image.source.format not in UNSAVED_FORMATS and not image.source.url


def _image_document(tag: ImageTag) -> Document:
    source, placement = tag.image.source, tag.image.placement
    record = record_of(tag.image)
    resliced = {} if record is None else {"resliced": _plain(record)}
    return {
        "kind": "image",
        "file": {
            **resliced,
            "path": str(Path(source.path).absolute()),
            "image_index": source.image_index,
            "channels": _plain(source.channels),
            "times": _plain(source.times),
            "spacing_um": _plain(placement.spacing_um),
            "orientation": _plain(placement.orientation),
        },
        "channel": tag.channel,
    }


def _point_document(layer: Points) -> Document:
    tag = tag_of(layer)
    table = layer.features
    return {
        "kind": "points",
        "side": tag.side if isinstance(tag, LandmarkTag) else None,
        "rater": tag.rater if isinstance(tag, LandmarkTag) else 1,
        "ndim": layer.ndim,
        "data": _plain(layer.data),
        "features": {
            str(n): {"type": str(table[n].dtype), "values": [_plain(v) for v in table[n]]}
            for n in table
        },
        "points": {n: _plain(unpainted(layer, n)) for n in _POINT_LOOK},
        "current_size": float(layer.current_size),
    }


def _plain(value: Any) -> Any:
    """As JSON can hold it."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if value is None or type(value) in (bool, int, float, str):
        return value
    return str(value)


# -- and back ------------------------------------------------------------------------------------


def open_images(
    document: Document, folder: Path, progress: Progress
) -> list[SpatialImage | str | None]:
    """The image of each layer, or why it cannot be opened; None where it needs none.

    For a job's thread: channels of one image share it. A file that is no longer in its place is
    looked for in `folder`, the session's.
    """
    wanted = [layer.get("file") for layer in document["layers"]]
    progress.begin("opening images", len(wanted))
    opened: dict[str, SpatialImage | str] = {}
    found: list[SpatialImage | str | None] = []
    for file in wanted:
        if file is None:
            found.append(None)
            continue
        key = repr(sorted(file.items()))
        if key not in opened:
            opened[key] = _open(file, folder)
        found.append(opened[key])
        progress.advance()
    return found


def _open(file: Document, folder: Path) -> SpatialImage | str:
    path = Path(file["path"])
    if not path.exists() and (folder / path.name).exists():
        path = folder / path.name
    try:
        if "resliced" in file:
            return resliced_again(file["resliced"], path)
        image = open_image(f"{path}#{file['image_index']}")
        times = file["times"]
        image = image.part(file["channels"], None if times is None else (times[0], times[1]))
        answers = (file["spacing_um"], file["orientation"])
        spacing, orientation = (None if a is None else tuple(a) for a in answers)
        return image.placed(Placement(spacing, orientation))
    except BridgecorrError as error:
        return str(error)


def show_document(
    session: ViewerSession, document: Document, images: list[SpatialImage | str | None]
) -> list[str]:
    """Make the window again; layers of images that are open already are used as they are there.

    Returns
    -------
    list of str
        What could not be made again, one line each.
    """
    viewer = session.viewer
    if viewer is None:
        return []
    missing = [f"the layer {name!r} was in no file" for name in document.get("lost", [])]
    again = [f"{name!r}" for name in document.get("to_warp", [])]
    if again:
        missing.append(f"{', '.join(again)}: press “Warp” in step 5 to make it again")
    made: list[Layer | None] = []
    for saved, image in zip(document["layers"], images, strict=True):
        if isinstance(image, str):
            missing.append(image)
            made.append(None)
        elif image is None:
            made.append(_point_layer(saved))
        else:
            made.append(_open_layer(viewer, saved) or _image_layer(saved, image, made))
    for side in SIDES:  # chosen before they are listed, so that nothing else is guessed
        session.set_image_layer(side, _pick(made, document["images"][side]))
        session.set_point_layer(side, _pick(made, document["points"][side]))
    for layer, saved in zip(made, document["layers"], strict=True):
        if layer is None:
            continue
        if layer not in viewer.layers:
            viewer.layers.append(layer)
        _show_look(layer, saved["look"])
    active = _pick(made, document.get("active"))
    if active is not None:
        viewer.layers.selection.active = active
    plane = document.get("plane")
    if plane is not None:
        try:
            bench_of(session).show_document(plane, _pick(made, plane["layer"]))
        except BridgecorrError as error:
            missing.append(str(error))
    session.images_changed.emit()
    options = TypeAdapter(FitOptions).validate_python(document["options"])
    session.set_options(options, is_step=False)
    session.read_now()
    return missing


def show_view_of(session: ViewerSession, document: Document) -> None:
    """Look where the window looked: the last thing to do, when all layers are there."""
    if session.viewer is not None:
        look_as(session.viewer, document)


def _pick(made: list[Layer | None], number: int | None) -> Any:
    return None if number is None else made[number]


def _open_layer(viewer: Viewer, saved: Document) -> Layer | None:
    """The layer of the same channel of the same file, if the user has opened it already."""
    for layer in viewer.layers:
        tag = tag_of(layer)
        if isinstance(tag, ImageTag) and _image_document(tag) == {
            name: saved[name] for name in ("kind", "file", "channel")
        }:
            frame = np.array(saved["frame"])
            if not np.array_equal(frame, tag.frame):  # opened anew it lies in the world
                layer.metadata = {**layer.metadata, METADATA_KEY: replace(tag, frame=frame)}
                _show_place(layer, saved)
            return layer
    return None


def _image_layer(saved: Document, image: SpatialImage, made: list[Layer | None]) -> Layer:
    # the layers of one image share it: by it they are known as its channels
    for other in made:
        tag = None if other is None else tag_of(other)
        if isinstance(tag, ImageTag) and _image_document(tag)["file"] == saved["file"]:
            image = tag.image
    layers = image_to_layers(image)
    data, arguments, kind = layers[min(saved["channel"], len(layers) - 1)]
    layer = Layer.create(data, arguments, kind)
    frame = np.array(saved["frame"])
    layer.metadata = {**layer.metadata, METADATA_KEY: ImageTag(image, saved["channel"], frame)}
    _show_place(layer, saved)
    return layer


def _point_layer(saved: Document) -> Points:
    frame, side = np.array(saved["frame"]), saved["side"]
    data = np.array(saved["data"], dtype=np.float64).reshape(-1, saved["ndim"])
    base = {} if side is None else point_arguments(side, (), np.empty((0, 3)), frame)
    table = {n: _column(c["values"], c["type"]) for n, c in saved["features"].items()}
    base |= {"ndim": saved["ndim"], "features": table, "units": saved["units"]}
    base.pop("scale", None)
    if saved["ndim"] != 3:
        base.pop("axis_labels", None)
    defaults = base.pop("feature_defaults", None)
    layer = Points(data, **base)
    if side is not None:
        tag = LandmarkTag(side, frame, saved.get("rater", 1))
        layer.metadata = {**layer.metadata, METADATA_KEY: tag}
    if defaults is not None and defaults.keys() == table.keys():
        layer.feature_defaults = defaults
    layer.selected_data = set()
    layer.current_size = saved["current_size"]
    if len(data):
        for name, values in saved["points"].items():
            setattr(layer, name, np.array(values))
    _show_place(layer, saved)
    return layer


def _show_place(layer: Layer, saved: Document) -> None:
    layer.units = tuple(saved["units"])
    for name, value in saved["place"].items():
        setattr(layer, name, np.array(value))


def _show_look(layer: Layer, look: Document) -> None:
    for name, value in look.items():
        if name == "colormap":
            colors, controls = np.array(value["colors"]), value["controls"]
            layer.colormap = Colormap(
                colors,
                name=value["name"],
                controls=controls,
                interpolation=value["interpolation"],
            )
        elif hasattr(layer, name):
            setattr(layer, name, value)


def _column(values: list[Any], wanted: str) -> Any:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    try:
        return column if wanted == "object" else column.astype(wanted)
    except (TypeError, ValueError):
        return column
