"""PNG and JPEG pictures of sections as spatial images.

A picture is decoded whole, so its header is asked first how large it will be.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ReadError, one_line
from ..image import RGBA, Channel, Source, SpatialImage
from .codecs import decode_picture
from .lazy import Block, Shape5, lazy_array
from .picture_headers import PictureHeader, jpeg_header, png_header
from .reader import Claim
from .signature import mislabelled, read_head, signature_of
from .tiff.scale import base_grid, scale_of_tags

_ENDINGS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_COPY_AGAIN = "copy or export it again"
_MOST_BYTES = 512 * 2**20
_CHANNELS = {
    1: (Channel("C0"),),
    2: (Channel("C0"), Channel("A")),
    3: RGBA[:3],
    4: RGBA,
}


class PictureReader:
    """Reader of PNG and JPEG pictures (see :class:`~.reader.Reader`)."""

    format_name = "PNG or JPEG"
    patterns = tuple(f"*{ending}" for ending in _ENDINGS)

    def claim(self, path: Path) -> Claim:
        """Claim by name."""
        if path.suffix.lower() in _ENDINGS and not path.is_dir():
            return Claim(True, f"the name ends in {path.suffix}")
        return Claim(False, "the name does not end in .png or .jpg")

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """The picture: its colours as channels, one voxel in z.

        Raises
        ------
        ReadError
            If it is damaged, cut short, mislabelled or too large to be decoded.
        """
        kind = _ENDINGS[path.suffix.lower()]
        header = _header(path, kind)
        picture = _Picture(path, kind, header)
        spacing, why = scale_of_tags(header.density)
        grid, known, warnings = base_grid(picture.shape, spacing, why)
        if header.orientation != 1:
            warnings += (
                "its camera notes that it is to be turned or mirrored: it is shown as it is stored",
            )
        axes = "yx" if header.samples == 1 else "cyx"
        return (
            SpatialImage(
                levels=(lazy_array(picture.shape, picture.dtype, picture.shape, picture.read),),
                grids=(grid,),
                channels=_CHANNELS[header.samples],
                source=Source(path, kind, 0, "", axes),
                voxel_size_known=known,
                warnings=warnings,
            ),
        )


def _header(path: Path, kind: str) -> PictureHeader:
    try:
        head = read_head(path)
        found = signature_of(head)
        if found is None or found.kind != kind:
            raise ReadError(path, *mislabelled(head, kind))
        if path.stat().st_size > _MOST_BYTES:
            raise ReadError(
                path, f"has more than {_MOST_BYTES >> 20} MiB", "convert it to tiled OME-TIFF"
            )
        header = (png_header if kind == "PNG" else jpeg_header)(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ReadError(path, f"is damaged ({one_line(error)})", _COPY_AGAIN) from error
    if header.samples not in _CHANNELS or (kind == "JPEG" and header.samples not in (1, 3)):
        raise ReadError(
            path, f"has {header.samples} colours, as for printing", "save it as RGB or grey"
        )
    if header.bits not in (8, 16):
        raise ReadError(path, f"has {header.bits} bits per colour", "save it with 8 or 16")
    n_bytes = header.size[0] * header.size[1] * header.samples * header.bits // 8
    if n_bytes > _MOST_BYTES:
        raise ReadError(
            path,
            f"unpacks to {n_bytes >> 20} MiB, and pictures of this kind can only be unpacked whole",
            "convert it to tiled OME-TIFF",
        )
    return header


class _Picture:
    """Pixels of one picture; the last one read is kept, for all its channels lie together."""

    _lock = threading.Lock()
    _kept: tuple[object, Block] | None = None

    def __init__(self, path: Path, kind: str, header: PictureHeader) -> None:
        self._path, self._kind = path, kind
        self.shape: Shape5 = (1, header.samples, 1, *header.size)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8 if header.bits == 8 else np.uint16)

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> Block:
        """The box ``starts <= index < stops``."""
        box = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
        return self._pixels()[box].copy()

    def _pixels(self) -> Block:
        try:
            state = self._path.stat()
            key = (self._path, state.st_mtime_ns, state.st_size)
            with _Picture._lock:
                if _Picture._kept is not None and _Picture._kept[0] == key:
                    return _Picture._kept[1]
                _Picture._kept = None
                pixels = self._decoded(self._path.read_bytes())
                _Picture._kept = key, pixels
        except (OSError, RuntimeError, ValueError, TypeError, MemoryError) as error:
            raise ReadError(
                self._path, f"is damaged: it cannot be read ({one_line(error)[:200]})", _COPY_AGAIN
            ) from error
        return pixels

    def _decoded(self, data: bytes) -> Block:
        # the file may have been changed since it was opened
        header = (png_header if self._kind == "PNG" else jpeg_header)(data)
        if (1, header.samples, 1, *header.size) != self.shape:
            raise ValueError("it was changed meanwhile")
        pixels = decode_picture(self._kind, data)
        pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
        if pixels.shape != (*header.size, header.samples):
            raise ValueError(f"it unpacks to {pixels.shape}")
        return pixels.astype(self.dtype, copy=False).transpose(2, 0, 1)[None, :, None]
