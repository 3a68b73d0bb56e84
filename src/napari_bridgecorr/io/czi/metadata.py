"""What a CZI file's XML says: voxel size, channels, time, optics. No pixels here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from ...image import Channel
from ...units import micrometres_per

_LARGEST_PIXEL_UM = 1e4
"""A pixel of a centimetre is no microscope's: the number was stored in another unit."""


@dataclass(frozen=True)
class CziMetadata:
    """Plain values of a file's XML.

    Parameters
    ----------
    spacing_um : (float or None, float or None, float or None)
        Spacing z, y, x where the file states one.
    channels : tuple of Channel
        In the order of axis C; may be shorter than the axis.
    time_step_s : float or None
    scene_names : mapping of int to str
    facts : mapping
        Objective, date, wavelengths and the like, for `SpatialImage.metadata`.
    warnings : tuple of str
    """

    spacing_um: tuple[float | None, float | None, float | None] = (None, None, None)
    channels: tuple[Channel, ...] = ()
    time_step_s: float | None = None
    scene_names: dict[int, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def parse_metadata(xml: str, full_scale: float | None) -> CziMetadata:
    """Read the XML of a file; what cannot be understood is left out, with a warning.

    Parameters
    ----------
    xml : str
    full_scale : float or None
        Largest value of the pixel type, by which display limits (stored as 0-1) are multiplied;
        None where the type has none (floats).
    """
    if not xml.strip():
        return CziMetadata(warnings=("the file has no metadata: names and voxel size unknown",))
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return CziMetadata(warnings=("the metadata is garbled: names and voxel size unknown",))
    spacing, implausible = _spacing(root)
    warnings: tuple[str, ...] = ()
    if implausible:
        stated = ", ".join(f"{a}: {v:g} um" for a, v in implausible.items())
        warnings = (
            f"the voxel size stated ({stated}) is no microscope's and is ignored: "
            "the writing program probably stored micrometres as metres",
        )
    return CziMetadata(
        spacing_um=spacing,
        channels=_channels(root, full_scale),
        time_step_s=_time_step(root),
        scene_names=_scene_names(root),
        facts=_facts(root),
        warnings=warnings,
    )


def _spacing(
    root: ElementTree.Element,
) -> tuple[tuple[float | None, float | None, float | None], dict[str, float]]:
    found: dict[str, float] = {}
    implausible: dict[str, float] = {}
    for distance in root.findall("Metadata/Scaling/Items/Distance"):
        axis = distance.get("Id", "").lower()
        value = _number(distance.findtext("Value"))
        if axis in ("x", "y", "z") and value is not None and value > 0:
            um = value * micrometres_per("m")
            (implausible if um > _LARGEST_PIXEL_UM else found)[axis] = um
    return (found.get("z"), found.get("y"), found.get("x")), implausible


def _channels(root: ElementTree.Element, full_scale: float | None) -> tuple[Channel, ...]:
    shown = root.findall("Metadata/DisplaySetting/Channels/Channel")
    by_id = {e.get("Id"): e for e in shown if e.get("Id")}
    channels = []
    for i, acquired in enumerate(_acquired(root)):
        display = by_id.get(acquired.get("Id"))
        if display is None and i < len(shown):
            display = shown[i]
        nodes = [e for e in (display, acquired) if e is not None]
        name = next((e.get("Name") for e in (acquired, *nodes) if e.get("Name")), None)
        colour = next(filter(None, (_colour(e.findtext("Color")) for e in nodes)), None)
        limits = None
        if display is not None and full_scale is not None:
            limits = _display_range(display, full_scale)
        channels.append(Channel(name or f"C{i}", colour, limits))
    return tuple(channels)


def _acquired(root: ElementTree.Element) -> list[ElementTree.Element]:
    return root.findall("Metadata/Information/Image/Dimensions/Channels/Channel")


def _display_range(display: ElementTree.Element, full_scale: float) -> tuple[float, float] | None:
    low, high = _number(display.findtext("Low")), _number(display.findtext("High"))
    low, high = low or 0.0, 1.0 if high is None else high
    if not 0 <= low < high <= 1 or (low, high) == (0.0, 1.0):  # the whole type's range says nothing
        return None
    return low * full_scale, high * full_scale


def _colour(text: str | None) -> str | None:
    """``#AARRGGBB`` or ``#RRGGBB`` as ``#RRGGBB``."""
    match = re.fullmatch(r"#(?:[0-9A-Fa-f]{2})?([0-9A-Fa-f]{6})", (text or "").strip())
    return f"#{match[1].upper()}" if match else None


def _time_step(root: ElementTree.Element) -> float | None:
    axis = root.find("Metadata/Information/Image/Dimensions/T")
    if axis is None:
        return None
    increment = _number(axis.findtext("Positions/Interval/Increment"))
    if increment is not None and increment > 0:
        return increment
    offsets = [_number(t) for t in (axis.findtext("Positions/List/Offsets") or "").split()]
    times = [t for t in offsets if t is not None]
    if len(times) < 2 or len(times) != len(offsets) or times[-1] <= times[0]:
        return None
    return (times[-1] - times[0]) / (len(times) - 1)


def _scene_names(root: ElementTree.Element) -> dict[int, str]:
    names = {}
    for scene in root.findall("Metadata/Information/Image/Dimensions/S/Scenes/Scene"):
        index, name = scene.get("Index", ""), scene.get("Name", "")
        if index.isdigit() and name:
            names[int(index)] = name
    return names


def _facts(root: ElementTree.Element) -> dict[str, Any]:
    objectives = "Metadata/Information/Instrument/Objectives/Objective"
    channels = _acquired(root)
    facts: dict[str, Any] = {
        "acquisition_date": _text(root, "Metadata/Information/Image/AcquisitionDateAndTime"),
        "objective": _objective(root.find(objectives)),
        "objective_na": _number(root.findtext(f"{objectives}/LensNA")),
        "objective_magnification": _number(root.findtext(f"{objectives}/NominalMagnification")),
        "excitation_nm": _numbers(c.findtext("ExcitationWavelength") for c in channels),
        "emission_nm": _numbers(c.findtext("EmissionWavelength") for c in channels),
        "software": _text(root, "Metadata/Information/Application/Name"),
    }
    return {key: value for key, value in facts.items() if value not in (None, "")}


def _objective(node: ElementTree.Element | None) -> str | None:
    if node is None:
        return None
    return node.get("Name") or (node.findtext("Manufacturer/Model") or "").strip() or None


def _text(root: ElementTree.Element, where: str) -> str | None:
    return (root.findtext(where) or "").strip() or None


def _number(text: str | None) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _numbers(texts: Iterable[str | None]) -> tuple[float | None, ...] | None:
    values = tuple(_number(t) for t in texts)
    return values if any(v is not None for v in values) else None
