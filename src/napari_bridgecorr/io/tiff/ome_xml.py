"""What OME-XML says of images: sizes, scale, place, channels, and where their planes lie.

No file access. Nothing is believed that could cost memory: sizes stay numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ...errors import GeometryError
from ...image import Channel
from ...units import micrometres_per
from ..time_units import seconds_per
from .vendor import finite, positive

AFFINE_NAMESPACE = "napari-bridgecorr/index_to_world_um"
ROLE_NAMESPACE = "napari-bridgecorr/role"

# a plate of a thousand images has 50 MB of it; its tree takes ten times as much memory
_MOST_LETTERS = 64 * 2**20
_STEADY = 0.02


@dataclass(frozen=True, slots=True)
class TiffData:
    """A run of planes of an image in a run of pages of a file.

    Parameters
    ----------
    first : (t, c, z)
        The first plane's.
    page : int
        The first page's number in its file.
    count : int or None
        Number of planes; None for all that the file has.
    uuid, file_name : str
        Of the file; empty for the file that holds the document.
    """

    first: tuple[int, int, int]
    page: int
    count: int | None
    uuid: str
    file_name: str


@dataclass(frozen=True)
class OmeImage:
    """What OME-XML says of one image.

    Parameters
    ----------
    name : str
    sizes : mapping
        Length by letter of ``TCZYX``; C counts samples.
    order : str
        DimensionOrder, as ``XYZCT``: which axis runs fastest after x and y.
    spacing_um : three of float or None
        Along z, y, x; None where not stated.
    position_um : three of float or None
        Of the first voxel, along z, y, x, where planes state one place in a unit of length.
    time_step_s : float or None
    channels : tuple of Channel
        As described, one per Channel element (a colour image's element holds several samples).
    affine : (4, 4) float64 or None
        Our own annotation.
    is_labels : bool
        Our own annotation.
    data : tuple of TiffData
    metadata : dict
    """

    name: str
    sizes: Mapping[str, int]
    order: str
    spacing_um: tuple[float | None, float | None, float | None]
    position_um: tuple[float | None, float | None, float | None]
    time_step_s: float | None
    channels: tuple[Channel, ...]
    affine: NDArray[np.float64] | None
    is_labels: bool
    data: tuple[TiffData, ...]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OmeDocument:
    """A document.

    Parameters
    ----------
    uuid : str
        Of the file that holds it.
    images : tuple of OmeImage
    elsewhere : str
        Name of the file that holds the whole document, where this one only refers to it.
    """

    uuid: str
    images: tuple[OmeImage, ...]
    elsewhere: str = ""


def parse_ome(xml: str) -> OmeDocument:
    """The images of a document, in its order.

    Raises
    ------
    ValueError
        If it is not well-formed XML, defines entities, or lacks an image's sizes.
    """
    if len(xml) > _MOST_LETTERS:
        raise ValueError(f"its OME-XML has {len(xml)} letters")
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        raise ValueError("its OME-XML defines entities")
    try:
        root = ElementTree.fromstring(xml.encode("utf-8", "replace"))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f"its OME-XML is damaged ({error})") from error
    reference = root.find("{*}BinaryOnly")
    if reference is not None:
        return OmeDocument(root.get("UUID", ""), (), reference.get("MetadataFile", ""))
    notes = dict(_notes(root))
    wells = _wells(root)
    images = [
        _image(image, pixels, notes, wells.get(image.get("ID", ""), {}))
        for image in root.iterfind("{*}Image")
        if (pixels := image.find("{*}Pixels")) is not None
    ]
    return OmeDocument(root.get("UUID", ""), tuple(images))


def _image(
    image: Any, pixels: Any, notes: Mapping[str, tuple[str, str]], well: dict[str, Any]
) -> OmeImage:
    mine = [
        notes[ref.get("ID", "")]
        for ref in image.iterfind("{*}AnnotationRef")
        if ref.get("ID", "") in notes
    ]
    order = pixels.get("DimensionOrder", "")
    if sorted(order) != sorted("XYZCT") or not order.startswith("XY"):
        raise ValueError(f"its OME-XML has the dimension order {order!r}")
    sizes = {axis: _size(pixels, axis) for axis in "TCZYX"}
    spacing = [_length_um(pixels, f"PhysicalSize{axis}", positive) for axis in "ZYX"]
    planes = list(pixels.iterfind("{*}Plane"))
    heights = _heights_um(planes)
    if spacing[0] is None:
        spacing[0] = _steady_step(heights)
    z, step = heights.get(0), _steady_step(heights)
    place = (
        # planes that go down would need a mirrored image
        z if step is not None or (sizes["Z"] == 1 and z is not None) else None,
        _one_place(planes, "PositionY", spacing[1]),
        _one_place(planes, "PositionX", spacing[2]),
    )
    stage = image.find("{*}StageLabel")
    metadata = dict(well)
    for key, value in (
        ("acquired", image.findtext("{*}AcquisitionDate")),
        ("description", image.findtext("{*}Description")),
        ("stage_label", stage.get("Name") if stage is not None else None),
    ):
        if value and value.strip():
            metadata[key] = value.strip()
    return OmeImage(
        name=image.get("Name", ""),
        sizes=sizes,
        order=order,
        spacing_um=(spacing[0], spacing[1], spacing[2]),
        position_um=place,
        time_step_s=_time_s(pixels, planes),
        channels=tuple(
            Channel(
                ch.get("Name") or ch.get("Fluor") or f"C{i}",
                _colour(ch.get("Color")),
                excitation_nm=_wavelength_nm(ch, "ExcitationWavelength"),
                emission_nm=_wavelength_nm(ch, "EmissionWavelength"),
            )
            for i, ch in enumerate(pixels.iterfind("{*}Channel"))
        ),
        affine=next((m for space, text in mine if (m := _affine(space, text)) is not None), None),
        is_labels=any(s == ROLE_NAMESPACE and text.strip() == "labels" for s, text in mine),
        data=tuple(_data(pixels)),
        metadata=metadata,
    )


def _whole(text: str | None, otherwise: int, what: str) -> int:
    if text is None:
        return otherwise
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number < 2**31:
        raise ValueError(f"its OME-XML has {what} {text[:40]!r}")
    return number


def _size(pixels: Any, axis: str) -> int:
    size = _whole(pixels.get(f"Size{axis}"), 0, f"Size{axis}")
    if size < 1:
        raise ValueError(f"its OME-XML has no Size{axis}")
    return size


def _data(pixels: Any) -> Iterator[TiffData]:
    for block in pixels.iterfind("{*}TiffData"):
        page = block.get("IFD")
        count = block.get("PlaneCount", block.get("NumPlanes"))
        file = block.find("{*}UUID")
        first = [_whole(block.get(f"First{axis}"), 0, f"First{axis}") for axis in "TCZ"]
        n_planes = None if count is None else _whole(count, 0, "PlaneCount")
        if n_planes is None and page is not None:
            n_planes = 1
        yield TiffData(
            first=(first[0], first[1], first[2]),
            page=_whole(page, 0, "IFD"),
            count=n_planes or None,
            uuid=(file.text or "").strip() if file is not None else "",
            file_name=file.get("FileName", "") if file is not None else "",
        )


def _length_um(element: Any, name: str, valid: Any, unit: str = "µm") -> float | None:
    value: float | None = valid(element.get(name))
    if value is None:
        return None
    try:
        return value * micrometres_per(element.get(f"{name}Unit", unit))
    except GeometryError:
        return None  # "pixel" and "reference frame" are legal units that say nothing


def _wavelength_nm(channel: Any, name: str) -> float | None:
    length_um = _length_um(channel, name, positive, "nm")
    return None if length_um is None else length_um / micrometres_per("nm")


def _heights_um(planes: list[Any]) -> dict[int, float]:
    """Height of each z, where all its planes agree on one in a unit of length."""
    found: dict[int, float] = {}
    for plane in planes:
        height = _length_um(plane, "PositionZ", finite, "reference frame")
        z = _whole(plane.get("TheZ"), 0, "TheZ")
        if height is None or found.setdefault(z, height) != height:
            return {}
    return found


def _steady_step(heights: Mapping[int, float]) -> float | None:
    """The step of planes that lie one above the other at about the same distance."""
    if len(heights) < 2 or sorted(heights) != list(range(len(heights))):
        return None
    steps = np.diff([heights[z] for z in range(len(heights))])
    mean = float(np.mean(steps))
    return mean if mean > 0 and float(np.ptp(steps)) <= _STEADY * mean else None


def _one_place(planes: list[Any], name: str, pixel_um: float | None) -> float | None:
    """The planes' position along an axis, if they agree to half a pixel."""
    places = [_length_um(plane, name, finite, "reference frame") for plane in planes]
    known = [p for p in places if p is not None]
    if not known or len(known) < len(places):
        return None
    return known[0] if max(known) - min(known) <= (pixel_um or 0.0) / 2 else None


def _time_s(pixels: Any, planes: list[Any]) -> float | None:
    value = positive(pixels.get("TimeIncrement"))
    per_unit = seconds_per(pixels.get("TimeIncrementUnit", "s"))
    if value is not None:
        return value * per_unit if per_unit is not None else None
    times: dict[int, float] = {}
    for plane in planes:
        seconds, unit = finite(plane.get("DeltaT")), seconds_per(plane.get("DeltaTUnit", "s"))
        if plane.get("TheZ", "0") == plane.get("TheC", "0") == "0" and seconds is not None and unit:
            times[_whole(plane.get("TheT"), 0, "TheT")] = seconds * unit
    if len(times) < 2 or sorted(times) != list(range(len(times))):
        return None
    steps = np.diff([times[t] for t in range(len(times))])
    return float(np.mean(steps)) if steps.min() > 0 else None


def _colour(text: str | None) -> str | None:
    """``#RRGGBB`` of a signed 32-bit RGBA."""
    try:
        return f"#{(int(text or '') & 0xFFFFFFFF) >> 8:06X}"
    except ValueError:
        return None


def _notes(root: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    """Identity, namespace and text of the map annotations that we write."""
    for note in root.iterfind("{*}StructuredAnnotations/{*}MapAnnotation"):
        space = note.get("Namespace", "")
        if space in (AFFINE_NAMESPACE, ROLE_NAMESPACE):
            yield note.get("ID", ""), (space, note.findtext("{*}Value/{*}M") or "")


def _affine(namespace: str, text: str) -> NDArray[np.float64] | None:
    if namespace != AFFINE_NAMESPACE:
        return None
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        return None
    return values.reshape(4, 4) if values.size == 16 else None


def _wells(root: Any) -> dict[str, dict[str, Any]]:
    """Plate and well of each image, by the image's identity."""
    found: dict[str, dict[str, Any]] = {}
    for plate in root.iterfind("{*}Plate"):
        name = plate.get("Name") or plate.get("ID", "")
        rows, columns = plate.get("RowNamingConvention"), plate.get("ColumnNamingConvention")
        for well in plate.iterfind("{*}Well"):
            row = _label(_whole(well.get("Row"), 0, "Row"), rows == "number")
            column = _label(_whole(well.get("Column"), 0, "Column"), columns != "letter")
            for field_number, sample in enumerate(well.iterfind("{*}WellSample")):
                reference = sample.find("{*}ImageRef")
                if reference is not None:
                    found[reference.get("ID", "")] = {
                        "plate": name,
                        "well": row + column,
                        "field": field_number,
                    }
    return found


def _label(number: int, is_number: bool) -> str:
    if is_number:
        return str(number + 1)
    letters = ""
    number += 1
    while number > 0:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


__all__ = ["AFFINE_NAMESPACE", "ROLE_NAMESPACE", "OmeDocument", "OmeImage", "TiffData", "parse_ome"]
