"""What ImageJ (and tifffile's own notes in its manner) say of scale, time and channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import GeometryError
from ...image import Channel
from ...units import micrometres_per
from ..time_units import seconds_per
from .vendor import MaybeSpacing, finite, positive

# what ImageJ's composite mode shows where no lookup tables are stored
_COMPOSITE = ("#FF0000", "#00FF00", "#0000FF", "#FFFFFF", "#00FFFF", "#FF00FF", "#FFFF00")


def imagej_scale(
    notes: Mapping[str, Any], x_res: float | None, y_res: float | None
) -> tuple[MaybeSpacing, float | None]:
    """Spacing (z, y, x) in um and time step in s.

    Parameters
    ----------
    notes : mapping
        ImageJ's description: ``unit``, ``spacing``, ``finterval``...
    x_res, y_res : float or None
        Pixels per unit by the resolution tags.
    """

    def unit_um(name: str) -> float | None:
        unit = str(notes.get(name) or notes.get("unit") or "")
        try:
            # "inch" is what ImageJ keeps of dummy dots per inch
            return None if unit in ("inch", "in") else micrometres_per(unit)
        except GeometryError:
            return None

    x_um, y_um, z_um = unit_um("unit"), unit_um("yunit"), unit_um("zunit")
    spacing = positive(abs(finite(notes.get("spacing")) or 0))
    sizes = [
        spacing * z_um if z_um and spacing else None,
        y_um / y_res if y_um and y_res else None,
        x_um / x_res if x_um and x_res else None,
    ]
    # tifffile keeps what it is given; people give it OME's words
    for i, axis in enumerate("ZYX"):
        stated = positive(notes.get(f"PhysicalSize{axis}"))
        if sizes[i] is None and stated:
            try:
                sizes[i] = stated * micrometres_per(
                    str(notes.get(f"PhysicalSize{axis}Unit") or "um")
                )
            except GeometryError:
                continue
    step = positive(notes.get("finterval"))
    rate = positive(notes.get("fps"))
    if step is not None:
        step = step * (seconds_per(str(notes.get("tunit") or "s")) or 1.0)
    elif rate is not None:
        step = 1 / rate
    return (sizes[0], sizes[1], sizes[2]), step


def imagej_channels(notes: Mapping[str, Any], lengths: tuple[int, int, int]) -> tuple[Channel, ...]:
    """Names, colours and display ranges of the channels of a hyperstack.

    Parameters
    ----------
    notes : mapping
    lengths : (t, c, z)
    """
    n_channels = lengths[1]
    names = _names(notes.get("Labels"), lengths)
    colours = _colours(notes, n_channels)
    ranges = _ranges(notes, n_channels)
    return tuple(
        Channel(names[i] if names else f"C{i}", colours[i], ranges[i]) for i in range(n_channels)
    )


def _names(labels: Any, lengths: tuple[int, int, int]) -> list[str]:
    """The slices' labels, where all slices of a channel bear the same."""
    n_t, n_c, n_z = lengths
    if not isinstance(labels, list | tuple) or len(labels) != n_t * n_c * n_z or n_c < 2:
        return []
    names = [str(label).strip() for label in labels[:n_c]]
    same = all(str(label).strip() == names[i % n_c] for i, label in enumerate(labels))
    return names if same and all(names) and len(set(names)) == n_c else []


def _colours(notes: Mapping[str, Any], n_channels: int) -> list[str | None]:
    mode = str(notes.get("mode") or "")
    tables = notes.get("LUTs")
    if mode in ("grayscale", "gray") or (n_channels < 2 and not isinstance(tables, list)):
        return [None] * n_channels
    if isinstance(tables, list) and len(tables) == n_channels:
        brightest = [np.asarray(table).reshape(3, -1)[:, -1] for table in tables]
        return ["#{:02X}{:02X}{:02X}".format(*(int(v) for v in rgb)) for rgb in brightest]
    if mode == "composite" and n_channels <= len(_COMPOSITE):
        return list(_COMPOSITE[:n_channels])
    return [None] * n_channels


def _ranges(notes: Mapping[str, Any], n_channels: int) -> list[tuple[float, float] | None]:
    ranges = notes.get("Ranges")
    if isinstance(ranges, tuple | list) and len(ranges) == 2 * n_channels:
        pairs = [(finite(ranges[2 * i]), finite(ranges[2 * i + 1])) for i in range(n_channels)]
    elif n_channels == 1:
        pairs = [(finite(notes.get("min")), finite(notes.get("max")))]
    else:
        pairs = [(None, None)] * n_channels
    return [
        (low, high) if low is not None and high is not None and low < high else None
        for low, high in pairs
    ]
