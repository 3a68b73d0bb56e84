"""Pictures inside MCD files: slides, panoramas and photographs. The only importer of Pillow.

A picture is a PNG, JPEG or BMP file within the MCD file, behind a few bytes of a .NET object. Its
head is read when the file is opened, its pixels when they are asked for.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin

from ...errors import ReadError, one_line
from ...image import RGBA, Channel
from ..lazy import Block, Shape5

# the object before the picture; readimc takes 161 bytes for certain
_USUAL_HEAD_BYTES = 161
_LONGEST_HEAD_BYTES = 1024
_LARGEST_BYTES = 2 * 2**30
# deflate expands 1032-fold at most: more is a damaged or hostile header
_LARGEST_RATIO = 1100
# a drawing of a slide is packed 200-fold, photographs 10-fold; what is large and packed as no
# picture is would take minutes and the whole memory
_LARGE_BYTES = 128 * 2**20
_LARGEST_RATIO_OF_LARGE = 300
_KEPT_BYTES = 256 * 2**20

_FORMATS: tuple[tuple[bytes, Callable[[Any], Image.Image]], ...] = (
    # the classes, not Image.open, which refuses large panoramas and tries every format
    (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
)
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    LookupError,
    EOFError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zlib.error,
)
# modes that are shown as another one
_SHOWN_AS = {"P": "RGB", "PA": "RGBA", "1": "L", "LA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB"}
_SAMPLES = {"L": 1, "RGB": 3, "RGBA": 4, "I;16": 1}

_decoding = Lock()


class PictureError(ValueError):
    """A picture that is not there or makes no sense; its text is a clause."""


@dataclass(frozen=True)
class Picture:
    """A picture within a file, as ``(t, c, z, y, x)`` with the rows flipped.

    Parameters
    ----------
    path : str
    name : str
        For errors.
    start, stop : int
        Where its bytes lie.
    mode : str
        Pillow's mode in which it is given: L, RGB, RGBA or I;16.
    size : (int, int)
        Rows and columns.
    """

    path: str
    name: str
    start: int
    stop: int
    mode: str
    size: tuple[int, int]

    @property
    def shape(self) -> Shape5:
        """``(1, samples, 1, rows, columns)``."""
        return (1, _SAMPLES[self.mode], 1, *self.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or uint16."""
        return np.dtype(np.uint16 if self.mode == "I;16" else np.uint8)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Red, green, blue and alpha, or grey."""
        n_samples = _SAMPLES[self.mode]
        return RGBA[:n_samples] if n_samples > 1 else (Channel("grey"),)

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> Block:
        """The box ``starts <= index < stops``.

        Raises
        ------
        ReadError
            If the picture is damaged.
        """
        stored = _decoded(self)[::-1]
        box = stored[starts[3] : stops[3], starts[4] : stops[4], starts[1] : stops[1]]
        # a copy: the whole picture would stay in memory as long as a part of it is used
        return box.transpose(2, 0, 1)[None, :, None].copy()

    def decode(self) -> Block:
        """(rows, columns, samples) as stored, from top to bottom."""
        try:
            image = _opened(self.path, self.start, self.stop)
            shown = image if image.mode == self.mode else image.convert(self.mode)
            pixels = np.asarray(shown)
        except _DAMAGED as error:
            raise ReadError(
                self.path,
                f"is damaged: the picture {self.name} cannot be read ({one_line(error)})",
                "copy it again from the instrument's computer",
            ) from error
        if pixels.shape[:2] != self.size:
            raise ReadError(self.path, f"has changed at {self.name}", "open it again")
        return pixels.reshape(*self.size, -1).astype(self.dtype, copy=False)


def _decoded(picture: Picture) -> Block:
    # four channels are asked for one by one: decode once, and not in four threads
    with _decoding:
        n_bytes = int(np.prod(picture.shape)) * picture.dtype.itemsize
        return _kept(picture) if n_bytes <= _KEPT_BYTES else picture.decode()


@lru_cache(maxsize=1)
def _kept(picture: Picture) -> Block:
    return picture.decode()


def find_picture(path: Path, name: str, start: int, stop: int) -> Picture:
    """The picture in the bytes ``start <= place < stop`` of a file.

    Raises
    ------
    PictureError
        If there is none, or it is damaged or absurd.
    """
    try:
        if not 0 <= start < stop <= path.stat().st_size:
            raise PictureError("it lies outside the file")
        with path.open("rb") as file:
            file.seek(start)
            head = file.read(min(_LONGEST_HEAD_BYTES, stop - start))
        begin = start + _picture_offset(head)
        image = _opened(str(path), begin, stop)
        width, height = image.size
        mode = _SHOWN_AS.get(image.mode, "I;16" if image.mode.startswith("I") else image.mode)
        if mode == "RGB" and "transparency" in image.info:
            mode = "RGBA"
    except PictureError:
        raise
    except _DAMAGED as error:
        raise PictureError(one_line(error) or "it is damaged") from error
    if mode not in _SAMPLES:
        raise PictureError(f"its pixels are of an unknown kind ({image.mode})")
    n_bytes = width * height * _SAMPLES[mode]
    if min(width, height) < 1:
        raise PictureError("it has no pixels")
    most = _LARGEST_RATIO if n_bytes <= _LARGE_BYTES else _LARGEST_RATIO_OF_LARGE
    if n_bytes > min(_LARGEST_BYTES, most * (stop - begin)):
        raise PictureError(f"it claims {width} x {height} pixels in {stop - begin} bytes")
    return Picture(os.path.abspath(path), name, begin, stop, mode, (height, width))  # noqa: PTH100 - for workers elsewhere


def _picture_offset(head: bytes) -> int:
    for magic, _ in _FORMATS:
        if head.startswith(magic, _USUAL_HEAD_BYTES):
            return _USUAL_HEAD_BYTES
    # two bytes prove nothing: a BMP file must be where it is expected
    places = [head.find(magic) for magic, _ in _FORMATS[:2]]
    found = [place for place in places if place >= 0]
    if not found:
        raise PictureError("it is neither PNG, JPEG nor BMP")
    return min(found)


def _opened(path: str, start: int, stop: int) -> Image.Image:
    """The picture with its head read. It has its own copy of nothing but that."""
    window = io.BufferedReader(_Window(path, start, stop), 2**16)
    magic = window.peek(8)[:8]
    for prefix, opener in _FORMATS:
        if magic.startswith(prefix):
            return opener(window)
    raise ValueError("it is neither PNG, JPEG nor BMP")


class _Window(io.RawIOBase):
    """A part of a file as a file. Opens it for each read: a picture may wait for long."""

    def __init__(self, path: str, start: int, stop: int) -> None:
        self._path = path
        self._start, self._stop = start, stop
        self._at = start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (self._start, self._at, self._stop)[whence]
        self._at = max(self._start, base + offset)
        return self._at - self._start

    def tell(self) -> int:
        return self._at - self._start

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._stop - self._at))
        with Path(self._path).open("rb") as file:
            file.seek(self._at)
            data = file.read(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
