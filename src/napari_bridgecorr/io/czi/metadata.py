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
_SMALLEST_PIXEL_UM = 1e-5
"""A pixel of a centimetre is no microscope's, nor one smaller than an atom: the number was stored
in another unit."""

Spacing = tuple[float | None, float | None, float | None]


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
    scans_lines : bool
        The scanner repeated one line instead of covering a frame.
    scene_names : mapping of int to str
    scene_spacing_um : mapping of int to (float or None, float or None, float or None)
        Spacing z, y, x of the scenes that state their own.
    facts : mapping
        Objective, date, wavelengths and the like, for `SpatialImage.metadata`.
    warnings : tuple of str
    """

    spacing_um: Spacing = (None, None, None)
    channels: tuple[Channel, ...] = ()
    time_step_s: float | None = None
    scans_lines: bool = False
    scene_names: dict[int, str] = field(default_factory=dict)
    scene_spacing_um: dict[int, Spacing] = field(default_factory=dict)
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
        if "<!DOCTYPE" in xml:  # ZEN writes none; one may hold entities without end
            raise ValueError("a document type")
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError, RecursionError):
        return CziMetadata(warnings=("the metadata is garbled: names and voxel size unknown",))
    spacing, implausible = _spacing(root.findall("Metadata/Scaling/Items/Distance"))
    scenes = _scenes(root)
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
        scans_lines=_scans_lines(root),
        scene_names={i: e.get("Name", "") for i, e in scenes.items() if e.get("Name")},
        scene_spacing_um=_scene_spacings(scenes),
        facts=_facts(root),
        warnings=warnings,
    )


def _spacing(distances: Iterable[ElementTree.Element]) -> tuple[Spacing, dict[str, float]]:
    """Spacing z, y, x, and by axis what no microscope has."""
    found: dict[str, float] = {}
    implausible: dict[str, float] = {}
    for distance in distances:
        axis = distance.get("Id", "").lower()
        value = _number(distance.findtext("Value"))
        if axis in ("x", "y", "z") and value is not None and value > 0:
            um = value * micrometres_per("m")
            absurd = not _SMALLEST_PIXEL_UM <= um <= _LARGEST_PIXEL_UM
            (implausible if absurd else found)[axis] = um
    return (found.get("z"), found.get("y"), found.get("x")), implausible


def _scenes(root: ElementTree.Element) -> dict[int, ElementTree.Element]:
    found = {}
    for scene in root.findall("Metadata/Information/Image/Dimensions/S/Scenes/Scene"):
        index = scene.get("Index", "")
        if index.isascii() and index.isdigit() and len(index) < 10:
            found[int(index)] = scene
    return found


def _scene_spacings(scenes: dict[int, ElementTree.Element]) -> dict[int, Spacing]:
    stated = {i: _spacing(e.findall("Scaling/Items/Distance"))[0] for i, e in scenes.items()}
    return {i: spacing for i, spacing in stated.items() if any(spacing)}


def _channels(root: ElementTree.Element, full_scale: float | None) -> tuple[Channel, ...]:
    shown = root.findall("Metadata/DisplaySetting/Channels/Channel")
    by_id = {e.get("Id"): e for e in shown if e.get("Id")}
    channels = []
    are_named = any(e.get("Id") in by_id for e in _acquired(root))
    for i, acquired in enumerate(_acquired(root)):
        display = by_id.get(acquired.get("Id"))
        if not are_named and i < len(shown):
            display = shown[i]
        nodes = [e for e in (display, acquired) if e is not None]
        name = next((e.get("Name") for e in (acquired, *nodes) if e.get("Name")), None)
        colour = next(filter(None, (_colour(e.findtext("Color")) for e in nodes)), None)
        limits = None
        if display is not None and full_scale is not None:
            limits = _display_range(display, full_scale)
        excitation, emission = (
            _wavelength(acquired.findtext(f"{which}Wavelength"))
            for which in ("Excitation", "Emission")
        )
        channels.append(Channel(name or f"C{i}", colour, limits, excitation, emission))
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


def _scans_lines(root: ElementTree.Element) -> bool:
    modes = [c.findtext("LaserScanInfo/ScanningMode") or "" for c in _acquired(root)]
    return any(modes) and all(m.lower().startswith("line") for m in modes if m)


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


def _wavelength(text: str | None) -> float | None:
    value = _number(text)
    return value if value is not None and value > 0 else None


def _numbers(texts: Iterable[str | None]) -> tuple[float | None, ...] | None:
    values = tuple(_number(t) for t in texts)
    return values if any(v is not None for v in values) else None
