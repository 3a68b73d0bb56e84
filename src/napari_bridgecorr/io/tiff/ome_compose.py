"""Writes OME-XML: sizes, channels, time, and what it has no words for as annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ...image import Channel
from .ome_xml import AFFINE_NAMESPACE, ROLE_NAMESPACE

_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
# each takes 200 letters of the description
_MOST_POSITIONS = 20_000
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


def compose_ome(
    *,
    name: str,
    shape: Sequence[int],
    dtype: np.dtype[Any],
    channels: Sequence[Channel],
    spacing_um: Sequence[float | None],
    index_to_world: NDArray[np.float64],
    time_step_s: float | None,
    is_labels: bool,
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
    is_labels : bool
        The pixels name objects: an annotation of ours says so.

    Raises
    ------
    ValueError
        If OME-TIFF has no such pixel type.
    """
    if dtype.name not in _TYPES:
        raise ValueError(f"OME-TIFF has no {dtype} pixels")
    t, c, z, y, x = (str(int(n)) for n in shape)
    root = ElementTree.Element(
        "OME",
        {
            "xmlns": _SCHEMA,
            "xmlns:xsi": _XSI,
            "xsi:schemaLocation": f"{_SCHEMA} {_SCHEMA}/ome.xsd",
            "Creator": "napari-bridgecorr",
        },
    )
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
        for key, nm in (
            ("ExcitationWavelength", channel.excitation_nm),
            ("EmissionWavelength", channel.emission_nm),
        ):
            if nm is not None and nm > 0:
                values[key], values[f"{key}Unit"] = repr(float(nm)), "nm"
        ElementTree.SubElement(pixels, "Channel", values)
    n_planes = int(shape[0]) * int(shape[1]) * int(shape[2])
    ElementTree.SubElement(pixels, "TiffData", {"IFD": "0", "PlaneCount": str(n_planes)})
    _add_positions(pixels, [int(n) for n in shape[:3]], index_to_world, spacing_um)
    notes = [(AFFINE_NAMESPACE, " ".join(repr(float(v)) for v in index_to_world.ravel()))]
    if is_labels:
        notes.append((ROLE_NAMESPACE, "labels"))
    annotations = ElementTree.SubElement(root, "StructuredAnnotations")
    for number, (namespace, text) in enumerate(notes):
        ElementTree.SubElement(image, "AnnotationRef", {"ID": f"Annotation:{number}"})
        note = ElementTree.SubElement(
            annotations,
            "MapAnnotation",
            {"ID": f"Annotation:{number}", "Namespace": namespace},
        )
        entry = ElementTree.SubElement(
            ElementTree.SubElement(note, "Value"), "M", {"K": namespace.rpartition("/")[2]}
        )
        entry.text = text
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>{body}'


def _add_positions(
    pixels: Any,
    lengths: Sequence[int],
    index_to_world: NDArray[np.float64],
    spacing_um: Sequence[float | None],
) -> None:
    """Where each plane's first pixel lies, for programs that know no annotation of ours.

    A turned image has no such place: other programs would put its planes side by side wrongly.
    """
    direction = index_to_world[:3, :3]
    if np.any(direction != np.diag(np.diag(direction))) or np.any(np.diag(direction) <= 0):
        return
    n_t, n_c, n_z = lengths
    if n_t * n_c * n_z > _MOST_POSITIONS:
        return
    z0, y0, x0 = (float(v) for v in index_to_world[:3, 3])
    for t in range(n_t):
        for c in range(n_c):
            for z in range(n_z):
                values = {"TheZ": str(z), "TheT": str(t), "TheC": str(c)}
                places = (z0 + z * float(direction[0, 0]), y0, x0)
                for axis, place, spacing in zip("ZYX", places, spacing_um, strict=True):
                    if spacing is None:
                        continue  # a place in voxels of unknown size is none
                    values[f"Position{axis}"] = repr(place)
                    values[f"Position{axis}Unit"] = "µm"
                ElementTree.SubElement(pixels, "Plane", values)


def _printable(text: str) -> str:
    """Text without control characters, which XML cannot hold."""
    return "".join(letter for letter in text if letter.isprintable())
