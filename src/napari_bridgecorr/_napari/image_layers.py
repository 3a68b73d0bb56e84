"""Which layers of a viewer show images, and which of them belong to one image."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels

from ..image import SpatialImage
from .frames import METADATA_KEY, ImageTag, ViewTag, tag_of
from .layers import image_of_layer

if TYPE_CHECKING:
    from napari.layers import Layer

    from ..landmarks import Side


def first_channels(layers: Iterable[Layer]) -> list[Layer]:
    """One layer for every image: the first of its channels."""
    found: list[Layer] = []
    seen: set[int] = set()
    for layer in layers:
        tag = tag_of(layer)
        if not isinstance(layer, (Image, Labels)) or isinstance(tag, ViewTag):
            continue
        mark = id(tag.image) if isinstance(tag, ImageTag) else id(layer)
        if mark not in seen:
            seen.add(mark)
            found.append(layer)
    return found


def channels_beside(layer: Layer, layers: Iterable[Layer]) -> list[Layer]:
    """Every layer of the image that `layer` is a channel of."""
    tag = tag_of(layer)
    if not isinstance(tag, ImageTag):
        return [layer]
    return [
        other
        for other in layers
        if isinstance(own := tag_of(other), ImageTag) and own.image is tag.image
    ]


def image_name(layer: Layer) -> str:
    """What an image is called, whichever of its channels the layer shows."""
    tag = tag_of(layer)
    return tag.image.name if isinstance(tag, ImageTag) else layer.name


@dataclass(frozen=True, eq=False)
class _Kept:
    layer: weakref.ref[Layer]
    data: Any
    tag: object
    image: SpatialImage


class SideImages:
    """The image of each side, worked out once until its layer is placed anew or shows others.

    It is asked for many times with every change of a landmark, and takes milliseconds.
    """

    def __init__(self) -> None:
        self._kept: dict[Side, _Kept] = {}

    def forget(self) -> None:
        """Work out everything again when it is asked for: something may have changed."""
        self._kept.clear()

    def image(self, side: Side, layer: Layer) -> SpatialImage:
        """The image of a side's layer.

        Raises
        ------
        GeometryError
            If the layer's transform describes no volume.
        """
        kept, tag = self._kept.get(side), layer.metadata.get(METADATA_KEY)
        if (
            kept is None
            or kept.layer() is not layer
            or kept.data is not layer.data
            or kept.tag is not tag
        ):
            kept = _Kept(weakref.ref(layer), layer.data, tag, image_of_layer(layer))
            self._kept[side] = kept
        return kept.image
