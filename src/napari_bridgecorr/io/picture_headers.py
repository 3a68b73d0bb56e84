"""What JPEG, JPEG 2000 and PNG streams say of their size, before a decoder allocates it.

Decoders believe these headers, and fill what a cut stream lacks with grey. No file access.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_FRAMES = frozenset(
    (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
)
_SCAN, _END, _EXIF, _JFIF = 0xDA, 0xD9, 0xE1, 0xE0
# progressive pictures have about ten; each costs a walk over all pixels
_MOST_SCANS = 100
_SIZ = b"\xff\x4f\xff\x51"
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


@dataclass(frozen=True)
class PictureHeader:
    """What a stream says of itself.

    Parameters
    ----------
    size : (int, int)
        Rows and columns.
    samples : int
        Colour samples, alpha included.
    bits : int
        Per sample, as decoders give it: 8 or 16 (JPEG: 8 or 12).
    density : (x, y, unit)
        Pixels per unit; unit 2 is an inch, 3 a centimetre, 1 none.
    orientation : int
        EXIF's; 1 is upright.
    """

    size: tuple[int, int]
    samples: int
    bits: int
    density: tuple[float | None, float | None, int] = (None, None, 1)
    orientation: int = 1


def jpeg_header(data: bytes) -> PictureHeader:
    """Header of a whole JPEG stream.

    Raises
    ------
    ValueError
        If it is no JPEG, is cut short, or is made to keep a decoder busy.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("it does not begin like JPEG")
    frame: tuple[int, int, int, int] | None = None
    density: tuple[float | None, float | None, int] = (None, None, 1)
    orientation, n_scans, at = 1, 0, 2
    while True:
        found = _MARKER.search(data, at)
        if found is None:
            raise ValueError("it is cut short (its end is missing)")
        code, at = found[0][-1], found.end()
        if code == _END:
            break
        if code in (0xD8, 0x01):
            continue
        if at + 2 > len(data):
            raise ValueError("it is cut short")
        (length,) = struct.unpack_from(">H", data, at)
        body = data[at + 2 : at + length]
        if length < 2 or at + length > len(data):
            raise ValueError("it is cut short")
        if code in _FRAMES and frame is None:
            if len(body) < 6:
                raise ValueError("its frame is damaged")
            frame = struct.unpack_from(">BHHB", body)
        elif code == _JFIF and body[:5] == b"JFIF\0" and len(body) >= 12:
            unit, x, y = struct.unpack_from(">BHH", body, 7)
            density = (x or None, y or None, {1: 2, 2: 3}.get(unit, 1))
        elif code == _EXIF and body[:6] == b"Exif\0\0":
            orientation = _orientation(body[6:])
        elif code == _SCAN:
            n_scans += 1
            if n_scans > _MOST_SCANS:
                raise ValueError(f"it has more than {_MOST_SCANS} scans")
        at += length
    if frame is None or n_scans == 0:
        raise ValueError("it holds no picture")
    bits, height, width, samples = frame
    if min(height, width, samples) < 1:
        raise ValueError(f"it claims {height} x {width} pixels")
    return PictureHeader((height, width), samples, bits, density, orientation)


def _orientation(exif: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return 1
    try:
        (at,) = struct.unpack_from(order + "I", exif, 4)
        (n_tags,) = struct.unpack_from(order + "H", exif, at)
        for number in range(min(n_tags, 200)):
            code, _, _, value = struct.unpack_from(order + "HHIH", exif, at + 2 + 12 * number)
            if code == 0x0112:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass  # a damaged note on the camera says nothing
    return 1


def jpeg2000_header(data: bytes) -> PictureHeader:
    """Header of a JPEG 2000 stream or file.

    Raises
    ------
    ValueError
        If there is none.
    """
    at = data.find(_SIZ, 0, 4096)
    try:
        _, x1, y1, x0, y0 = struct.unpack_from(">H4I", data, at + 6)
        (samples,) = struct.unpack_from(">H", data, at + 40)
        bits = (data[at + 42] & 0x7F) + 1
    except (struct.error, IndexError):
        raise ValueError("its header is cut short") from None
    if at < 0 or x1 <= x0 or y1 <= y0 or samples < 1:
        raise ValueError("it claims no pixels")
    return PictureHeader((y1 - y0, x1 - x0), samples, bits)


def png_header(data: bytes) -> PictureHeader:
    """Header of a whole PNG stream.

    Raises
    ------
    ValueError
        If it is no PNG or is cut short.
    """
    if data[:8] != _PNG or data[12:16] != b"IHDR" or len(data) < 33:
        raise ValueError("it does not begin like PNG")
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    if colour not in _PNG_SAMPLES or not 0 < width < 2**31 or not 0 < height < 2**31:
        raise ValueError(f"it claims {height} x {width} pixels of kind {colour}")
    samples, at = _PNG_SAMPLES[colour], 8
    density: tuple[float | None, float | None, int] = (None, None, 1)
    while True:
        if at + 12 > len(data):
            raise ValueError("it is cut short (its end is missing)")
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        if kind == b"IEND":
            break
        if kind == b"pHYs" and length == 9 and data[at + 16] == 1:
            x, y = struct.unpack_from(">II", data, at + 8)
            density = (x / 100 or None, y / 100 or None, 3)
        if kind == b"tRNS" and colour in (0, 2, 3):
            samples += 1
        at += 12 + length
    return PictureHeader((height, width), samples, 16 if bits == 16 else 8, density)
