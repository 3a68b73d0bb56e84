"""What the programs of microscopes note in TIFF files: LSM, MetaMorph, ScanImage and others.

Each function takes tifffile's open file and gives what is said of each series, in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import GeometryError
from ...image import Channel
from ...units import micrometres_per
from .vendor import Described, finite, positive


def describe_lsm(tif: Any) -> list[Described]:
    """Zeiss LSM 510 to 710: voxel size in metres, colours and names of channels."""
    info = tif.lsm_metadata or {}
    size = [positive(info.get(f"VoxelSize{axis}")) for axis in "ZYX"]
    metre = micrometres_per("m")
    z, y, x = (s * metre if s else None for s in size)
    colours = info.get("ChannelColors") or {}
    names, rgba = colours.get("ColorNames") or [], colours.get("Colors") or []
    return [
        Described(
            spacing_um=(z, y, x),
            time_step_s=positive(info.get("TimeIntervall")),
            channels=tuple(
                Channel(str(name).strip("\0 ") or f"C{i}", _hex(rgba[i]) if i < len(rgba) else None)
                for i, name in enumerate(names)
            ),
        )
    ]


def describe_stk(tif: Any) -> list[Described]:
    """MetaMorph stacks: calibration, distances of planes, times in ms."""
    info = tif.stk_metadata or {}
    per_unit = _um(info.get("CalibrationUnits"))
    x, y = (
        size * per_unit if per_unit and size and info.get("SpatialCalibration", True) else None
        for size in (positive(info.get("XCalibration")), positive(info.get("YCalibration")))
    )
    distances = np.abs(np.asarray(info.get("ZDistance", ()), dtype=np.float64)[1:])
    # the first plane's distance is to nothing; it is often 0
    z = _steady(distances)
    times = np.asarray(info.get("TimeCreated", ()), dtype=np.float64)
    step = _steady(np.diff(times) / 1e3, tolerance=0.5) if times.size > 1 else None
    return [
        Described(
            spacing_um=(z * per_unit if z and per_unit else z, y, x),
            time_step_s=step,
        )
    ]


def describe_metaseries(tif: Any) -> list[Described]:
    """MetaMorph and MetaXpress TIFF: calibration and wavelength of the plane."""
    plane = (tif.metaseries_metadata or {}).get("PlaneInfo") or {}
    per_unit = _um(plane.get("spatial-calibration-units"))
    if str(plane.get("spatial-calibration-state", "on")).lower() in ("off", "false"):
        per_unit = None
    x, y = (
        size * per_unit if size and per_unit else None
        for size in (positive(plane.get(f"spatial-calibration-{axis}")) for axis in "xy")
    )
    name = str(plane.get("_IllumSetting_") or plane.get("image-name") or "").strip()
    return [
        Described(
            spacing_um=(None, y, x),
            channels=(Channel(name, emission_nm=positive(plane.get("wavelength"))),)
            if name
            else (),
        )
    ]


def describe_micromanager(tif: Any) -> list[Described]:
    """Micro-Manager: its summary, outside of the tags."""
    summary = (tif.micromanager_metadata or {}).get("Summary") or {}
    size = positive(summary.get("PixelSize_um"))
    aspect = positive(summary.get("PixelAspect")) or 1.0
    z = positive(abs(finite(summary.get("z-step_um")) or 0))
    interval = positive(summary.get("Interval_ms"))
    names = summary.get("ChNames") or []
    colours = summary.get("ChColors") or []
    if not isinstance(names, Sequence) or isinstance(names, str):
        names = []
    return [
        Described(
            spacing_um=(z, size and size * aspect, size),
            time_step_s=interval / 1e3 if interval else None,
            channels=tuple(
                Channel(str(name), _hex_of_int(colours[i]) if i < len(colours) else None)
                for i, name in enumerate(names)
            ),
        )
    ]


def describe_scanimage(tif: Any) -> list[Described]:
    """ScanImage 2016 and later: the field in um, the step of the stack, rates."""
    said = (tif.scanimage_metadata or {}).get("FrameData") or {}

    def value(key: str) -> Any:
        return said.get(f"SI.{key}")

    page = tif.pages.first
    y, x = _scanimage_pixel(value, int(page.imagelength), int(page.imagewidth))
    step = value("hStackManager.actualStackZStepSize") or value("hStackManager.stackZStepSize")
    z = positive(abs(finite(step) or 0))
    n_z = positive(value("hStackManager.numSlices")) or 1
    rate = positive(value("hRoiManager.scanVolumeRate" if n_z > 1 else "hRoiManager.scanFrameRate"))
    saved = value("hChannels.channelSave")
    saved = saved if isinstance(saved, list) else [saved]
    names = value("hChannels.channelName")
    numbers = [int(n) for n in (np.ravel(saved).tolist()) if finite(n)]
    channels = tuple(
        Channel(str(names[n - 1]) if isinstance(names, list) and 0 < n <= len(names) else f"C{n}")
        for n in numbers
    )
    warnings: tuple[str, ...] = ()
    if value("hRoiManager.mroiEnable"):
        warnings = (
            "several regions were scanned (mROI): they stand one below the other in each plane, "
            "not in their places",
        )
        y = x = None
    return [
        Described(
            spacing_um=(z, y, x),
            time_step_s=1 / rate if rate else None,
            channels=channels,
            warnings=warnings,
        )
    ]


def _scanimage_pixel(value: Any, n_y: int, n_x: int) -> tuple[float | None, float | None]:
    corners = value("hRoiManager.imagingFovUm")
    per_degree = 1.0
    if corners is None:
        corners = value("hRoiManager.imagingFovDeg")
        per_degree = positive(value("objectiveResolution")) or 0.0
    try:
        place = np.asarray(corners, dtype=np.float64).reshape(-1, 2) * per_degree
    except (TypeError, ValueError):
        return None, None
    if place.size == 0 or not np.all(np.isfinite(place)):
        return None, None
    x, y = np.ptp(place, axis=0)
    return positive(y / max(1, n_y)), positive(x / max(1, n_x))


def describe_fluoview(tif: Any) -> list[Described]:
    """Olympus FluoView: name, length, origin and resolution of each dimension."""
    sizes: dict[str, float | None] = {}
    step = None
    for entry in (tif.fluoview_metadata or {}).get("Dimensions") or ():
        name = str(entry[0]).strip().upper()
        unit = str(entry[4]).strip() if len(entry) > 4 else ""
        size = positive(entry[3])
        if name in ("X", "Y", "Z"):
            per_unit = _um(unit)
            sizes[name] = size * per_unit if size and per_unit else None
        elif name in ("T", "TIME") and size and unit.lower() in ("s", "sec"):
            step = size
    return [
        Described(spacing_um=(sizes.get("Z"), sizes.get("Y"), sizes.get("X")), time_step_s=step)
    ]


def describe_sis(tif: Any) -> list[Described]:
    """Olympus SIS: the pixel's size in metres."""
    info = tif.sis_metadata or {}
    metre = micrometres_per("m")
    x, y = (positive(info.get(f"pixelsize{axis}")) for axis in "xy")
    return [Described(spacing_um=(None, y and y * metre, x and x * metre))]


def _um(unit: Any) -> float | None:
    try:
        return micrometres_per(str(unit or "").strip("\0 "))
    except GeometryError:
        return None


def _steady(steps: Any, tolerance: float = 0.01) -> float | None:
    """The mean step where all are about as long; None for none and for others."""
    values = np.asarray(steps, dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0 or values.min() <= 0:
        return None
    mean = float(values.mean())
    return mean if float(np.ptp(values)) <= tolerance * mean else None


def _hex(rgba: Any) -> str | None:
    values = [finite(v) for v in np.ravel(rgba)[:3]]
    if len(values) < 3 or None in values:
        return None
    return "#" + "".join(f"{int(min(255, max(0, v or 0))):02X}" for v in values)


def _hex_of_int(colour: Any) -> str | None:
    number = finite(colour)
    return None if number is None else f"#{int(number) & 0xFFFFFF:06X}"
