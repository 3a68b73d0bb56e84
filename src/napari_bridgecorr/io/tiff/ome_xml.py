"""OME-XML of TIFF files: physical sizes, channels, time and our exact affine. No file access."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ...errors import GeometryError
from ...image import Channel
from ...units import micrometres_per
from ..time_units import seconds_per

AFFINE_NAMESPACE = "napari-bridgecorr/index_to_world_um"
_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_TYPES = {
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "float32": "float",
    "float64": "double",
}


@dataclass(frozen=True)
class OmeImage:
    """What OME-XML says of one image.

    Parameters
    ----------
    name : str
    spacing_um : three of float or None
        Along z, y, x; None where not stated.
    time_step_s : float or None
    channels : tuple of Channel
        As described, one per Channel element (a colour image's element holds several samples).
    affine : (4, 4) float64 or None
        Our own annotation.
    """

    name: str
    spacing_um: tuple[float | None, float | None, float | None]
    time_step_s: float | None
    channels: tuple[Channel, ...]
    affine: NDArray[np.float64] | None


def parse_ome(xml: str) -> tuple[OmeImage, ...]:
    """The images of a document, in its order.

    Raises
    ------
    ValueError
        If it is not well-formed XML.
    """
    try:
        root = ElementTree.fromstring(xml.encode("utf-8"))
    except ElementTree.ParseError as error:
        raise ValueError(f"its OME-XML is damaged ({error})") from error
    affines = _affines(root)
    images = []
    for image in root.iterfind("{*}Image"):
        pixels = image.find("{*}Pixels")
        if pixels is None:
            continue
        references = [ref.get("ID", "") for ref in image.iterfind("{*}AnnotationRef")]
        spacing = [_length_um(pixels, f"PhysicalSize{axis}") for axis in "ZYX"]
        images.append(
            OmeImage(
                name=image.get("Name", ""),
                spacing_um=(spacing[0], spacing[1], spacing[2]),
                time_step_s=_time_s(pixels),
                channels=tuple(
                    Channel(ch.get("Name") or f"C{i}", _colour(ch.get("Color")))
                    for i, ch in enumerate(pixels.iterfind("{*}Channel"))
                ),
                affine=next((affines[r] for r in references if r in affines), None),
            )
        )
    return tuple(images)


def _positive(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _length_um(pixels: Any, name: str) -> float | None:
    value = _positive(pixels.get(name))
    if value is None:
        return None
    try:
        return value * micrometres_per(pixels.get(f"{name}Unit", "µm"))
    except GeometryError:
        return None  # "pixel" and "reference frame" are legal units that say nothing


def _time_s(pixels: Any) -> float | None:
    value = _positive(pixels.get("TimeIncrement"))
    per_unit = seconds_per(pixels.get("TimeIncrementUnit", "s"))
    return value * per_unit if value is not None and per_unit is not None else None


def _colour(text: str | None) -> str | None:
    """``#RRGGBB`` of a signed 32-bit RGBA."""
    try:
        return f"#{(int(text or '') & 0xFFFFFFFF) >> 8:06X}"
    except ValueError:
        return None


def _affines(root: Any) -> dict[str, NDArray[np.float64]]:
    found = {}
    for annotation in root.iterfind("{*}StructuredAnnotations/{*}MapAnnotation"):
        if annotation.get("Namespace") != AFFINE_NAMESPACE:
            continue
        text = annotation.findtext("{*}Value/{*}M") or ""
        try:
            values = np.array([float(word) for word in text.split()])
        except ValueError:
            continue
        if values.size == 16:
            found[annotation.get("ID", "")] = values.reshape(4, 4)
    return found


def compose_ome(
    *,
    name: str,
    shape: Sequence[int],
    dtype: np.dtype[Any],
    channels: Sequence[Channel],
    spacing_um: Sequence[float | None],
    index_to_world: NDArray[np.float64],
    time_step_s: float | None,
) -> str:
    """The document of a file with one image whose planes are in the order c, t, z (z fastest).

    Parameters
    ----------
    name : str
    shape : 5 int
        ``(t, c, z, y, x)``.
    dtype : dtype
    channels : sequence of Channel
    spacing_um : three of float or None
        Along z, y, x; None where unknown, which is then left out.
    index_to_world : (4, 4) float64
        Kept exactly in an annotation: OME-XML has no other place for a rotation.
    time_step_s : float or None

    Raises
    ------
    ValueError
        If OME-TIFF has no such pixel type.
    """
    if dtype.name not in _TYPES:
        raise ValueError(f"OME-TIFF has no {dtype} pixels")
    t, c, z, y, x = (str(int(n)) for n in shape)
    root = ElementTree.Element("OME", {"xmlns": _SCHEMA, "Creator": "napari-bridgecorr"})
    image = ElementTree.SubElement(root, "Image", {"ID": "Image:0", "Name": _printable(name)})
    pixels = ElementTree.SubElement(
        image,
        "Pixels",
        {"ID": "Pixels:0", "DimensionOrder": "XYZTC", "Type": _TYPES[dtype.name]}
        | {"SizeX": x, "SizeY": y, "SizeZ": z, "SizeC": c, "SizeT": t},
    )
    for axis, size in zip("ZYX", spacing_um, strict=True):
        if size is not None:
            pixels.set(f"PhysicalSize{axis}", repr(float(size)))
            pixels.set(f"PhysicalSize{axis}Unit", "µm")
    if time_step_s is not None:
        pixels.set("TimeIncrement", repr(float(time_step_s)))
        pixels.set("TimeIncrementUnit", "s")
    for i, channel in enumerate(channels):
        values = {"ID": f"Channel:0:{i}", "Name": _printable(channel.name), "SamplesPerPixel": "1"}
        if channel.colour is not None:
            rgba = int(channel.colour.lstrip("#")[:6], 16) << 8 | 0xFF
            values["Color"] = str(rgba - 2**32 if rgba >= 2**31 else rgba)
        ElementTree.SubElement(pixels, "Channel", values)
    n_planes = int(shape[0]) * int(shape[1]) * int(shape[2])
    ElementTree.SubElement(pixels, "TiffData", {"IFD": "0", "PlaneCount": str(n_planes)})
    ElementTree.SubElement(image, "AnnotationRef", {"ID": "Annotation:0"})
    notes = ElementTree.SubElement(root, "StructuredAnnotations")
    note = ElementTree.SubElement(
        notes, "MapAnnotation", {"ID": "Annotation:0", "Namespace": AFFINE_NAMESPACE}
    )
    entry = ElementTree.SubElement(
        ElementTree.SubElement(note, "Value"), "M", {"K": "index_to_world_um"}
    )
    entry.text = " ".join(repr(float(v)) for v in index_to_world.ravel())
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>{body}'


def _printable(text: str) -> str:
    """Text without control characters, which XML cannot hold."""
    return "".join(letter for letter in text if letter.isprintable())
