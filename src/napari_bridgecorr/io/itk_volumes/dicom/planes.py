"""Planes of DICOM files: one per file, or many in a multi-frame file, each with its place."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import ReadError
from .elements import PER_FRAME, SHARED, UNCOMPRESSED, Dataset, DicomElements, PixelBytes

_MEND = "export it again, or convert it to NIfTI"
_MOST_FRAMES = 100_000
_CONVERT = "convert it to NIfTI"
Vector = tuple[float, float, float]
Orientation = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class PlaneFormat:
    """How the pixels of a file are stored.

    Parameters
    ----------
    rows, columns, samples : int
    bits_allocated, bits_stored, high_bit : int
    is_signed : bool
    is_planar : bool
        Whether colours are stored one after the other.
    endianness : str
    photometric : str
        As ``MONOCHROME2``.
    by_library : bool
        Whether the pixels are compressed or need a table of colours: SimpleITK reads these.
    """

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_planar: bool
    endianness: str
    photometric: str
    by_library: bool

    @property
    def frame_bytes(self) -> int:
        """Of one uncompressed plane."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """Of the samples as stored."""
        return np.dtype(f"{self.endianness}u{self.bits_allocated // 8}")


@dataclass(frozen=True)
class Plane:
    """One plane.

    Parameters
    ----------
    path : Path
    frame : int
    n_frames : int
        Of its file.
    pixels : PixelBytes
    format : PlaneFormat
    position : 3 float or None
        Centre of the first pixel, LPS mm.
    orientation : 6 float or None
        Unit vectors along a row and along a column.
    spacing : (float, float) or None
        Between rows and between columns, mm.
    step : float or None
        From slice to slice as stated, mm.
    slope, intercept : float
    series : tuple of str
        What tells series apart: UID, echo, kind of image.
    name : str
    instance : tuple of float
        Orders planes at one place: time, acquisition, number.
    has_time : bool
        Whether the frames are those of a film.
    details : dict
    """

    path: Path
    frame: int
    n_frames: int
    pixels: PixelBytes
    format: PlaneFormat
    position: Vector | None
    orientation: Orientation | None
    spacing: tuple[float, float] | None
    step: float | None
    slope: float
    intercept: float
    series: tuple[str, ...]
    name: str
    instance: tuple[float, ...]
    has_time: bool
    details: dict[str, str]


def planes_of(elements: DicomElements) -> list[Plane]:
    """Every plane of a file.

    Raises
    ------
    ReadError
        If it has no pixels, too few of them, or a kind that is not read here.
    """
    path, data = elements.path, elements.data
    if elements.pixels is None:
        raise ReadError(path, "holds no image", "name the file or folder of a series")
    plane_format = _format(elements)
    n_frames = int(_first(path, data, 0x00280008) or 1)
    if not 1 <= n_frames <= _MOST_FRAMES:
        raise ReadError(path, f"says that it has {n_frames} planes", _MEND)
    n_bytes = plane_format.frame_bytes * n_frames
    if not elements.pixels.is_compressed and elements.pixels.length < n_bytes:
        raise ReadError(
            path,
            f"is cut short or its header is wrong ({n_bytes} bytes of pixels announced, "
            f"{elements.pixels.length} found)",
            "copy or export it again",
        )
    shared = (data.items.get(SHARED) or [Dataset()])[0]
    per_frame = data.items.get(PER_FRAME) or []
    return [
        _plane(elements, plane_format, n_frames, number, _layers(data, shared, per_frame, number))
        for number in range(n_frames)
    ]


def _layers(data: Dataset, shared: Dataset, per_frame: list[Dataset], number: int) -> list[Dataset]:
    """Where an element of one frame may stand, the most special place first."""
    own = [per_frame[number]] if number < len(per_frame) else []
    groups = [
        item for place in (*own, shared) for items in place.items.values() for item in items[:1]
    ]
    return [*groups, data]


def _format(elements: DicomElements) -> PlaneFormat:
    path, data = elements.path, elements.data

    def number(tag: int, default: int | None = None) -> int:
        value = data.values.get(tag, b"")
        if len(value) < 2:
            if default is None:
                raise ReadError(path, "does not say how its pixels are stored", _MEND)
            return default
        return int(struct.unpack_from(f"{elements.endianness}H", value)[0])

    rows, columns = number(0x00280010), number(0x00280011)
    samples = number(0x00280002, 1)
    allocated = number(0x00280100)
    stored = number(0x00280101, allocated)
    high_bit = number(0x00280102, stored - 1)
    if not (rows and columns):
        raise ReadError(path, f"has impossible sizes ({rows} rows, {columns} columns)", _MEND)
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated or high_bit >= allocated:
        raise ReadError(path, f"stores pixels in {stored} of {allocated} bits", _CONVERT)
    if high_bit + 1 < stored:
        raise ReadError(path, f"stores {stored} bits up to bit {high_bit}", _CONVERT)
    if samples not in (1, 3, 4):
        raise ReadError(path, f"has {samples} samples per pixel", _CONVERT)
    photometric = _text(data, 0x00280004).upper() or "MONOCHROME2"
    is_plain = photometric in ("MONOCHROME1", "MONOCHROME2") or (
        photometric == "RGB" and samples == 3
    )
    if elements.syntax not in UNCOMPRESSED or not is_plain:
        by_library = True
    else:
        by_library = False
        if (photometric == "RGB") != (samples == 3):
            raise ReadError(path, f"has {samples} samples per pixel in {photometric}", _CONVERT)
    return PlaneFormat(
        rows,
        columns,
        samples,
        allocated,
        stored,
        high_bit,
        number(0x00280103, 0) == 1,
        number(0x00280006, 0) == 1,
        elements.endianness,
        photometric,
        by_library,
    )


def _plane(
    elements: DicomElements,
    plane_format: PlaneFormat,
    n_frames: int,
    frame: int,
    layers: list[Dataset],
) -> Plane:
    path, data = elements.path, elements.data
    assert elements.pixels is not None
    position = _numbers(path, layers, 0x00200032, 3)
    orientation = _numbers(path, layers, 0x00200037, 6)
    spacing = _numbers(path, layers, 0x00280030, 2) or _numbers(path, layers, 0x00181164, 2)
    step = _numbers(path, layers, 0x00180088, 1) or _numbers(path, layers, 0x00180050, 1)
    slope = _numbers(path, layers, 0x00281053, 1)
    intercept = _numbers(path, layers, 0x00281052, 1)
    description = _text(data, 0x0008103E)
    number = _text(data, 0x00200011)
    kind = _text(data, 0x00080008)
    echo = _text(data, 0x00180086) or _text(data, 0x00180081)
    names = {
        "modality": 0x00080060,
        "manufacturer": 0x00080070,
        "series_description": 0x0008103E,
        "series_uid": 0x0020000E,
        "series_number": 0x00200011,
        "image_type": 0x00080008,
        "echo_time_ms": 0x00180081,
        "repetition_time_ms": 0x00180080,
        "sop_class": 0x00080016,
    }
    details = {name: _text(data, tag) for name, tag in names.items()}
    return Plane(
        path=path,
        frame=frame,
        n_frames=n_frames,
        pixels=elements.pixels,
        format=plane_format,
        position=None if position is None else (position[0], position[1], position[2]),
        orientation=None if orientation is None else _unit(orientation),
        spacing=None if not spacing or min(spacing) <= 0 else (spacing[0], spacing[1]),
        step=abs(step[0]) if step and step[0] else None,
        slope=slope[0] if slope and slope[0] else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        series=(_text(data, 0x0020000E), echo, kind),
        name=description or (f"series {number}" if number else ""),
        instance=(
            _float(_text(data, 0x00200100)),
            _float(_text(data, 0x00200012)),
            _float(_text(data, 0x00200013)),
            float(frame),
        ),
        has_time=_text(data, 0x00181063) != "" and n_frames > 1,
        details={name: value for name, value in details.items() if value},
    )


def _unit(values: list[float]) -> Orientation | None:
    """Two unit vectors at right angles, or None: then the plane's orientation is unknown."""
    row, column = np.array(values[:3]), np.array(values[3:])
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    if not (0.9 < lengths[0] < 1.1 and 0.9 < lengths[1] < 1.1 and abs(row @ column) < 0.1):
        return None
    a, b, c, d, e, f = (float(v) for v in values)
    return a, b, c, d, e, f


def _numbers(path: Path, layers: list[Dataset], tag: int, count: int) -> list[float] | None:
    """The first `count` numbers of an element, or None where it is missing."""
    for layer in layers:
        value = layer.values.get(tag, b"").rstrip(b"\0 ")
        if not value:
            continue
        try:
            found = [float(word) for word in value.decode("latin-1").split("\\")]
        except ValueError as error:
            raise _senseless(path, tag, value) from error
        if len(found) < count or not all(math.isfinite(n) and abs(n) < 1e12 for n in found[:count]):
            raise _senseless(path, tag, value)
        return found[:count]
    return None


def _senseless(path: Path, tag: int, value: bytes) -> ReadError:
    said = value[:40].decode("latin-1")
    return ReadError(
        path, f"says {said!r} in its element ({tag >> 16:04X},{tag & 0xFFFF:04X})", _MEND
    )


def _first(path: Path, data: Dataset, tag: int) -> float | None:
    found = _numbers(path, [data], tag, 1)
    return found[0] if found else None


def _text(data: Dataset, tag: int) -> str:
    value = data.values.get(tag, b"")[:200].rstrip(b"\0 ")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _float(text: str) -> float:
    try:
        value = float(text.split("\\")[0])
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0
