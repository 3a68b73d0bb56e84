"""An image resliced in the window: lazy layers that remember image and plane, in its role.

The record lies in the image's metadata (`image.metadata["resliced"]`, plain values), and so in
every layer of it under ``layer.metadata["bridgecorr"]``.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Points

from ..errors import BridgecorrError, SessionError
from ..geometry import Grid, Placement, Plane
from ..image import SpatialImage
from ..io.registry import open_image
from ..session import ImageRef, Output, fingerprint
from ..workflow.reslice import ResliceOptions, options_from, plain_options, reslice_output, resliced
from .frames import RECORD, ImageTag, canvas_position, frame_of, same_place, tag_of
from .layers import UNSAVED_FORMATS, LayerData, image_to_layers
from .views import fit_layers, frame_view, move_points_to_frame, show_view

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ..landmarks import Side
    from .viewer_session import ViewerSession

_LOOK = ("colormap", "gamma", "blending", "opacity", "visible")


@dataclass(frozen=True)
class ChannelLook:
    """How a channel's layer is shown, as napari's arguments."""

    channel: int
    arguments: Mapping[str, Any]


def looks_to_keep(layers: list[Layer]) -> list[ChannelLook]:
    """How an image's layers are shown."""
    found = []
    for layer in layers:
        tag = tag_of(layer)
        names = [n for n in _LOOK if hasattr(layer, n)] if layer._type_string == "image" else []
        look = {name: getattr(layer, name) for name in names}
        if "colormap" in look and not getattr(layer, "rgb", False):
            look["contrast_limits"] = tuple(float(v) for v in layer.contrast_limits)
        else:
            look.pop("colormap", None)
        found.append(ChannelLook(tag.channel if isinstance(tag, ImageTag) else 0, look))
    return found


def resliced_for_window(image: SpatialImage, plane: Plane, options: ResliceOptions) -> SpatialImage:
    """The image along a plane, lazily, with the record that makes it again.

    Raises
    ------
    GeometryError
    """
    result = resliced(image, plane, options, for_view=True)
    source, placement = image.source, image.placement
    record = {
        "source": {
            "path": str(Path(source.path).absolute()),
            "url": source.url,
            "format": source.format,
            "name": image.name,
            "image_index": source.image_index,
            "channels": None if source.channels is None else list(source.channels),
            "times": None if source.times is None else list(source.times),
            "spacing_um": None if placement.spacing_um is None else list(placement.spacing_um),
            "orientation": None if placement.orientation is None else list(placement.orientation),
            # where its layer was, which may have been moved in the viewer
            "index_to_world": image.grid.index_to_world.tolist(),
        },
        "plane": plane.to_dict(),
        "options": plain_options(options),
    }
    # napari need not compute a contrast: it is taken over, or set by what is kept
    channels = tuple(
        replace(c, display_range=c.display_range or (0.0, 1.0)) for c in result.channels
    )
    return replace(result, channels=channels, metadata={**result.metadata, RECORD: record})


def record_of(image: SpatialImage) -> dict[str, Any] | None:
    """The record of an image that was resliced in the window; None for any other."""
    found = image.metadata.get(RECORD)
    return found if isinstance(found, dict) else None


def resliced_again(record: Mapping[str, Any], path: Path) -> SpatialImage:
    """The image of a record, opened and resliced anew; for a job's thread.

    Raises
    ------
    ReadError, GeometryError
    """
    source = record["source"]
    image = open_image(f"{path}#{source['image_index']}")
    times = source["times"]
    image = image.part(source["channels"], None if times is None else (times[0], times[1]))
    answers = (source["spacing_um"], source["orientation"])
    spacing, orientation = (None if a is None else tuple(a) for a in answers)
    image = image.placed(Placement(spacing, orientation))
    matrix = np.array(source["index_to_world"])
    if not same_place(matrix, image.grid.index_to_world):
        moved = matrix @ image.grid.world_to_index
        grids = tuple(Grid(g.shape, moved @ g.index_to_world) for g in image.grids)
        image = replace(image, grids=grids)
    plane = Plane.from_dict(record["plane"])
    return resliced_for_window(image, plane, options_from(record["options"]))


def source_reference(record: Mapping[str, Any], identity: str) -> ImageRef:
    """How a session names the file of the image that was resliced.

    World coordinates are the same in both, so landmarks hold for either.

    Raises
    ------
    SessionError
        If there is no file, or the image was moved in the viewer.
    """
    source = record["source"]
    name, path = source["name"], Path(source["path"])
    if source["format"] in UNSAVED_FORMATS or source["url"] or not path.exists():
        raise SessionError(
            f"the image {name!r} that was resliced is in no file: save it first, open that file "
            "and reslice it"
        )
    answers = (source["spacing_um"], source["orientation"])
    spacing, orientation = (None if a is None else tuple(a) for a in answers)
    channels, times = (
        None if source[k] is None else tuple(source[k]) for k in ("channels", "times")
    )
    stored = open_image(f"{path}#{source['image_index']}").placed(Placement(spacing, orientation))
    if not same_place(np.array(source["index_to_world"]), stored.grid.index_to_world):
        raise SessionError(
            f"the image {name!r} was moved or scaled in the viewer before it was resliced, which "
            "its file does not know of: save it first, open that file and reslice it"
        )
    return ImageRef(
        identity,
        str(path.resolve()),
        source["image_index"],
        spacing_um=spacing,
        orientation=orientation,
        channels=channels,
        times=times,
    )


def resliced_records(session: ViewerSession) -> list[dict[str, Any]]:
    """The records of the resliced images that are in the viewer, one of each."""
    found: dict[int, dict[str, Any]] = {}
    for layer in session.image_layers():
        tag = tag_of(layer)
        record = record_of(tag.image) if isinstance(tag, ImageTag) else None
        if record is not None:
            found[id(record)] = record
    return list(found.values())


def outputs_of(
    records: Sequence[Mapping[str, Any]], stem: str
) -> tuple[list[ImageRef], list[Output]]:
    """What a session says of resliced images, so that ``bridgecorr run`` makes them again.

    Those whose image no file holds are left out.
    """
    images, outputs = [], []
    for number, record in enumerate(records, 1):
        identity = f"resliced {number}"
        try:
            reference = source_reference(record, identity)
            plane = Plane.from_dict(record["plane"])
        except BridgecorrError:
            continue
        name = f"{stem}_resliced_{number}.ome.zarr"
        images.append(replace(reference, fingerprint=fingerprint(Path(reference.path))))
        outputs.append(reslice_output(identity, plane, name, options_from(record["options"])))
    return images, outputs


def layers_for(image: SpatialImage, looks: list[ChannelLook]) -> list[LayerData]:
    """Layers of a resliced image, along its own axes, looking as its image's layers did."""
    made = []
    for data, arguments, kind in image_to_layers(image, upright=True):
        number = arguments["metadata"]["bridgecorr"].channel
        known = [look for look in looks if look.channel == number]
        if known and kind == "image":
            arguments = {**arguments, **known[0].arguments}
        made.append((data, arguments, kind))
    return made


class ReslicedLayers:
    """A resliced image in the viewer: it takes its image's role, and gives it back when undone.

    Parameters
    ----------
    session : ViewerSession
        Held by weak reference.
    layers : list of Layer
        Of the resliced image.
    sources : list of Layer
        Of the image that was resliced.
    side : {"fixed", "moving"} or None
        The role of that image.
    origin_um : (3,)
        World point to look at.
    """

    def __init__(
        self,
        session: ViewerSession,
        layers: list[Layer],
        sources: list[Layer],
        side: Side | None,
        origin_um: Any,
    ) -> None:
        self._session = weakref.ref(session)
        self._layers = layers
        self._sources = [weakref.ref(layer) for layer in sources]
        self._shown = [layer.visible for layer in sources]
        self._side, self._origin_um = side, origin_um

    def do_again(self) -> None:
        """Put the layers above those of their image, which are hidden, and look at the plane."""
        session = self._session()
        viewer = None if session is None else session.viewer
        if session is None or viewer is None:
            return
        listed = viewer.layers
        sources = [i for r in self._sources if (i := r()) is not None and i in listed]
        above = max((listed.index(i) for i in sources), default=len(listed) - 1) + 1
        for layer in self._layers:
            if layer not in listed:
                listed.insert(above, layer)
                above += 1
        for layer in sources:
            layer.visible = False
        first = self._layers[0]
        if self._side is None:
            show_slice_at(viewer, first, self._origin_um)
            fit_layers(viewer, [layer for layer in self._layers if layer.visible] or [first])
            viewer.layers.selection.active = first
            return
        self._give_role(session, self._side, first)

    def take_back(self) -> None:
        """Take the layers out; their image is what it was."""
        session = self._session()
        viewer = None if session is None else session.viewer
        if session is None or viewer is None:
            return
        had_role = self._side is not None and session.image_layer(self._side) in self._layers
        pairs = zip(self._sources, self._shown, strict=True)
        sources = [
            (i, shown) for r, shown in pairs if (i := r()) is not None and i in viewer.layers
        ]
        if had_role and sources and self._side is not None:
            self._give_role(session, self._side, sources[0][0])
        for layer in self._layers:
            if layer in viewer.layers:
                viewer.layers.remove(layer)
        for layer, shown in sources:
            layer.visible = shown

    def _give_role(self, session: ViewerSession, side: Side, layer: Layer) -> None:
        """Let a layer's image be one of the pair; its landmarks stay where they are in tissue."""
        points = session.point_layer(side)
        if isinstance(points, Points):
            move_points_to_frame(points, side, frame_of(layer))
        session.set_image_layer(side, layer)
        show_view(session, side)
        frame_view(session, side)
        canvas = session.canvas_of(side)
        if canvas is not None:
            show_slice_at(canvas, layer, self._origin_um)


def show_slice_at(canvas: ViewerModel, layer: Layer, world_um: Any) -> None:
    """Show the slice through a world point (z, y, x) of a layer's image; the view stays."""
    shown = canvas_position(canvas, frame_of(layer), np.asarray(world_um)[None])
    n = canvas.dims.ndim
    hidden = [axis for axis in canvas.dims.not_displayed if axis >= n - 3]
    canvas.dims.set_point(hidden, [float(shown[axis - (n - 3)]) for axis in hidden])
