"""The only file that talks to pylibCZIrw (Zeiss' libCZI): planes in, planes out.

libCZI does not promise that one reader may be used by several threads at once, so each thread that
reads borrows a reader of its own from a small pool; none is ever shared, and few stay open.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pylibCZIrw import czi

from ...errors import ReadError, WriteError
from .directory import TileGuard, read_directory

Rectangle = tuple[int, int, int, int]
"""x, y, width, height in level-0 pixels of the file's own frame."""

PIXEL_TYPES: Mapping[int, tuple[str, str, int]] = {
    0: ("Gray8", "uint8", 1),
    1: ("Gray16", "uint16", 1),
    2: ("Gray32Float", "float32", 1),
    3: ("Bgr24", "uint8", 3),
    4: ("Bgr48", "uint16", 3),
    8: ("Bgr96Float", "float32", 3),
}
"""Number in the file -> name in the library, numpy dtype, samples per pixel."""

_IDLE_READERS = 4
_LOSSLESS = "zstd1:ExplicitLevel=2;PreProcess=HiLoByteUnpack"
_FAULTS = (RuntimeError, ValueError, MemoryError, OverflowError, OSError)
"""What the library raises; its C++ errors arrive as RuntimeError."""


@dataclass(frozen=True)
class CziFile:
    """A file as it was when it was opened, so that pixels never come from a later one."""

    path: str
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> CziFile:
        """The file as it is now."""
        status = path.stat()
        return cls(str(path), status.st_size, status.st_mtime_ns)


class _Pool:
    """Idle readers, the longest idle first. A process made by forking never uses its parent's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[int, CziFile, czi.CziReader]] = []

    @contextmanager
    def borrow(self, file: CziFile) -> Iterator[czi.CziReader]:
        reader = self._take(file) or _open(file)
        try:
            yield reader
        except BaseException:
            reader.close()
            raise
        self._put(file, reader)

    def close(self) -> None:
        with self._lock:
            closing, self._idle = self._idle, []
        for pid, _, reader in closing:
            if pid == os.getpid():
                reader.close()

    def _take(self, file: CziFile) -> czi.CziReader | None:
        with self._lock:
            for i, (pid, idle_file, _) in enumerate(self._idle):
                if pid == os.getpid() and idle_file == file:
                    return self._idle.pop(i)[2]
        return None

    def _put(self, file: CziFile, reader: czi.CziReader) -> None:
        with self._lock:
            self._idle.append((os.getpid(), file, reader))
            surplus = self._idle[:-_IDLE_READERS]
            self._idle = self._idle[-_IDLE_READERS:]
        for pid, _, old in surplus:
            if pid == os.getpid():
                old.close()


_POOL = _Pool()


def close_readers() -> None:
    """Close every idle reader (Windows cannot replace a file that is open)."""
    _POOL.close()


def _open(file: CziFile) -> czi.CziReader:
    try:
        now = CziFile.of(Path(file.path))
    except OSError as error:
        raise ReadError(file.path, str(error), "put the file back or open it anew") from error
    if now != file:
        raise ReadError(file.path, "it has changed since it was opened", "open it again")
    try:
        return czi.CziReader(file.path)
    except _FAULTS as error:
        raise _damaged(file, error) from error


def _damaged(file: CziFile, error: Exception) -> ReadError:
    return ReadError(
        file.path,
        f"the CZI library refuses it ({error})",
        "copy the file again from its source, or open and save it in ZEN",
    )


@lru_cache(maxsize=_IDLE_READERS)
def guard(file: CziFile) -> TileGuard:
    """Directory of a file, and the check of its tiles (kept for the files used last).

    Raises
    ------
    ReadError
        If the directory is damaged.
    """
    path = Path(file.path)
    return TileGuard(path, read_directory(path))


def check_opens(file: CziFile) -> None:
    """Raise ReadError unless the library accepts the file."""
    with _POOL.borrow(file):
        pass


def read_pixels(
    file: CziFile,
    rectangle: Rectangle,
    plane: Mapping[str, int],
    scene: int | None,
    pixel_type: str,
    factor: int = 1,
) -> NDArray[Any]:
    """Pixels of a rectangle of one plane.

    Parameters
    ----------
    file : CziFile
    rectangle : (x, y, width, height)
        Width and height are multiples of `factor`.
    plane : mapping
        Index along each dimension, as ``{"T": 0, "Z": 3, "C": 1}``.
    scene : int or None
        Tiles of other scenes are left out; None where the file has no scenes.
    pixel_type : str
    factor : int
        Read the file's own pyramid, smaller by this factor.

    Returns
    -------
    (height / factor, width / factor, samples) array
        Samples in the order red, green, blue. 0 where no tile lies.

    Raises
    ------
    ReadError
        If the pixels are damaged or the file has changed.
    """
    wanted = (rectangle[3] // factor, rectangle[2] // factor)
    with _POOL.borrow(file) as reader:
        guard(file).check(rectangle, plane, scene)
        try:
            pixels = reader.read(
                roi=rectangle,
                plane=dict(plane),
                scene=scene,
                zoom=1 / factor,
                pixel_type=pixel_type,
            )
        except _FAULTS as error:
            raise _damaged(file, error) from error
    if pixels.shape[:2] != wanted:
        raise _damaged(file, ValueError(f"{pixels.shape[:2]} pixels came back, not {wanted}"))
    # the library stores and returns blue first
    return np.asarray(pixels)[..., ::-1]


@dataclass(frozen=True)
class Plane:
    """One plane to be written: its place in the stack and its pixels."""

    t: int
    c: int
    z: int
    pixels: NDArray[Any]


def write_planes(
    path: Path,
    planes: Iterable[Plane],
    spacing_m: Sequence[float],
    channel_names: Sequence[str],
    colours: Sequence[str | None],
    origin_px: tuple[int, int],
) -> None:
    """Write a file of one scene, losslessly compressed.

    Parameters
    ----------
    path : Path
        Must not exist.
    planes : iterable of Plane
        (y, x) uint8 or uint16.
    spacing_m : (float, float, float)
        z, y, x in metres, as the file format wants (whatever the library's documentation says).
    channel_names : sequence of str
    colours : sequence of str or None
        ``#RRGGBB``, one per channel.
    origin_px : (int, int)
        Place (y, x) of the first pixel in the file's frame.

    Raises
    ------
    WriteError
        If the library refuses.
    """
    z, y, x = spacing_m
    try:
        with czi.create_czi(str(path), compression_options=_LOSSLESS) as writer:
            for plane in planes:
                where = {"T": plane.t, "C": plane.c, "Z": plane.z}
                location = (origin_px[1], origin_px[0])
                if not writer.write(plane.pixels, location=location, plane=where):
                    raise WriteError(path, "a plane was refused", "check the free disk space")
            writer.write_metadata(
                document_name=path.stem,
                channel_names=dict(enumerate(channel_names)),
                scale_x=x,
                scale_y=y,
                scale_z=z,
                display_settings={
                    i: _display(colour) for i, colour in enumerate(colours) if colour is not None
                },
            )
    except (RuntimeError, ValueError) as error:
        raise WriteError(path, f"the CZI library failed ({error})", "check the disk") from error


def _display(colour: str) -> czi.ChannelDisplaySettingsDataClass:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return czi.ChannelDisplaySettingsDataClass(
        is_enabled=True,
        tinting_mode=czi.TintingMode.Color,
        tinting_color=czi.Rgb8Color(np.uint8(red), np.uint8(green), np.uint8(blue)),
        black_point=0.0,
        white_point=1.0,
    )
