"""What vendors' notes in a TIFF file say of scale, place and channels: who is asked, and slides.

Sees tifffile's open file, not tifffile. Microscopes are in `vendor_microscope`. Notes that make no
sense are worth nothing, but the user hears of it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

from ...errors import one_line
from ...image import Channel, Role
from .library import DAMAGED

MaybeSpacing = tuple[float | None, float | None, float | None]
UNKNOWN: MaybeSpacing = (None, None, None)


@dataclass(frozen=True)
class Described:
    """What notes say of one series.

    Parameters
    ----------
    spacing_um : three of float or None
        Along z, y, x.
    origin_um : (z, y, x) or None
        Where the centre of the first voxel lies.
    time_step_s : float or None
    channels : tuple of Channel
        Empty where nothing is said.
    name, role
        Where they say more than the pages.
    metadata : dict
        Plain values for the image's own.
    warnings : tuple of str
    """

    spacing_um: MaybeSpacing = UNKNOWN
    origin_um: tuple[float, float, float] | None = None
    time_step_s: float | None = None
    channels: tuple[Channel, ...] = ()
    name: str = ""
    role: Role | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


NOTHING = Described()


def positive(value: Any) -> float | None:
    """A positive finite number, or None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def finite(value: Any) -> float | None:
    """A finite number, or None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def describe_vendor(tif: Any, kind: str, n_series: int) -> list[Described]:
    """What the notes say of each series.

    Parameters
    ----------
    tif : tifffile.TiffFile
        Open.
    kind : str
        As of :class:`~.series.TiffContents`.
    n_series : int
    """
    from . import vendor_microscope as microscope

    ask = {
        "lsm": microscope.describe_lsm,
        "stk": microscope.describe_stk,
        "fluoview": microscope.describe_fluoview,
        "scanimage": microscope.describe_scanimage,
        "sis": microscope.describe_sis,
        "svs": _svs,
        "scn": _scn,
        "ndpi": _ndpi,
        "philips": _philips,
        "bif": _bif,
        "qpi": _qpi,
    }.get(kind)
    if ask is None and tif.is_micromanager:
        ask = microscope.describe_micromanager
    if ask is None and tif.is_metaseries:
        ask = microscope.describe_metaseries
    if ask is None:
        return [NOTHING] * n_series
    try:
        said = ask(tif)
    except DAMAGED as error:
        why = f"the notes of the microscope's program are damaged ({one_line(error)[:120]})"
        return [Described(warnings=(why,))] * n_series
    return (list(said) + [NOTHING] * n_series)[:n_series]


def _number_after(text: str, words: str) -> float | None:
    found = re.search(words + r"\s*=\s*\"?([0-9.eE+-]+)", text)
    return positive(found[1]) if found else None


def _svs(tif: Any) -> list[Described]:
    """Aperio: the text of the first page states um per pixel."""
    text = tif.pages.first.description
    size = _number_after(text, "MPP")
    power = _number_after(text, "AppMag")
    metadata = {"objective_magnification": power} if power else {}
    return [Described(spacing_um=(None, size, size), metadata=metadata)]


def _ndpi(tif: Any) -> list[Described]:
    """Hamamatsu: resolution tags state the scale; focal planes lie nanometres apart."""
    series = tif.series[0]
    heights: list[float] = []
    for page in series.pages[: series.shape[0] if series.axes.startswith("Z") else 1]:
        tag = page.tags.get(65424) if hasattr(page, "tags") else None
        if tag is not None:
            heights.append(float(tag.value))
    steps = {round(b - a, 3) for a, b in pairwise(heights)}
    step = positive(abs(steps.pop()) / 1e3) if len(steps) == 1 else None
    return [Described(spacing_um=(step, None, None))]


def _bif(tif: Any) -> list[Described]:
    """Roche: the scan resolution stands in the first page's XMP."""
    tag = tif.pages.first.tags.get(700)
    value = tag.value if tag is not None else b""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    size = _number_after(text, "ScanRes")
    return [Described(spacing_um=(None, size, size))]


def _philips(tif: Any) -> list[Described]:
    """Philips: DICOM's pixel spacing, rows first, in mm; the first one is the slide's."""
    text = tif.pages.first.description
    found = re.search(
        r"DICOM_PIXEL_SPACING[^>]*>\s*(?:\"|&quot;)?([0-9.eE-]+)(?:\"|&quot;)?\s+"
        r"(?:\"|&quot;)?([0-9.eE-]+)",
        text,
    )
    if found is None:
        return []
    y, x = positive(found[1]), positive(found[2])
    return [Described(spacing_um=(None, y and y * 1e3, x and x * 1e3))]


def _qpi(tif: Any) -> list[Described]:
    """Akoya: each channel's page has XML with its name and colour."""
    series = tif.series[0]
    if not series.axes.startswith("C"):
        return []
    channels = []
    for number in range(min(series.shape[0], 1000)):
        page = series.pages[number]
        page = page if hasattr(page, "tags") else page.aspage()
        text = page.description
        name = re.search(r"<Name>([^<]*)</Name>", text)
        colour = re.search(r"<Color>(\d+),(\d+),(\d+)</Color>", text)
        rgb = [min(255, int(n)) for n in colour.groups()] if colour else None
        channels.append(
            Channel(
                name[1].strip() if name and name[1].strip() else f"C{number}",
                "#{:02X}{:02X}{:02X}".format(*rgb) if rgb else None,
            )
        )
    return [Described(channels=tuple(channels))]


def _scn(tif: Any) -> list[Described]:
    """Leica: each image has its view on the slide, in nanometres."""
    root = ElementTree.fromstring(tif.pages.first.description)
    described = []
    for collection in root.iterfind("{*}collection"):
        whole = positive(collection.get("sizeX")), positive(collection.get("sizeY"))
        for image in collection.iterfind("{*}image"):
            pixels, view = image.find("{*}pixels"), image.find("{*}view")
            if pixels is None:
                continue
            said = Described(name=image.get("name", ""))
            if view is not None:
                said = replace(said, **_scn_place(pixels, view, whole))
            described.append(said)
    return described


def _scn_place(pixels: Any, view: Any, whole: tuple[float | None, float | None]) -> dict[str, Any]:
    size_nm = [positive(view.get(f"size{axis}")) for axis in "YX"]
    n = [positive(pixels.get(f"size{axis}")) for axis in "YX"]
    offset_nm = [finite(view.get(f"offset{axis}")) for axis in "YX"]
    if None in (*size_nm, *n):
        return {}
    y, x = (s / k / 1e3 for s, k in zip(size_nm, n, strict=True) if s and k)
    values: dict[str, Any] = {"spacing_um": (None, y, x)}
    if None not in offset_nm:
        top, left = (float(o or 0) / 1e3 for o in offset_nm)
        # the view's corner is the outer one of its first pixel
        values["origin_um"] = (0.0, top + y / 2, left + x / 2)
    # the overview shows the whole slide
    if whole == (size_nm[1], size_nm[0]):
        values["role"] = "slide preview"
    return values
