"""What is embedded in a CZI file: photographs of the slide, and when each frame was taken."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...geometry import Grid
from ...image import RGBA, Channel, Role, Source, SpatialImage, missing_scale_warning
from ..lazy import lazily
from .decode import COMPRESSIONS, Undecodable, decode_jpeg, jpeg_size
from .directory import PIXEL_TYPES, read_directory
from .metadata import CziMetadata, parse_metadata
from .planes import describe_channels, stored_channels, stored_images
from .segments import Attachment, CziFile, open_part
from .tiles import TileLevel

_NAMES = {
    "label": "slide label",
    "slidepreview": "slide preview",
    "prescan": "prescan",
}
# a small copy of what the file holds anyway
_NOT_LISTED = "thumbnail"
_MOST_IMAGES = 16
_MOST_STAMPS = 10**7
# JPEG headers precede the pixels; colour profiles may precede the frame's header
_JPEG_HEAD_BYTES = 2**18
_LARGEST_JPEG_BYTES = 2**28
_LARGEST_EMBEDDED_PX = 2**28
PLACE_UNKNOWN = "a photograph of the slide: where it lies on the scan is not known"


def time_stamps(file: CziFile, attachments: Sequence[Attachment]) -> tuple[float, ...]:
    """Seconds at which the frames were taken; empty where the file does not say."""
    for attachment in attachments:
        if attachment.kind == "CZTIMS" and attachment.size >= 8:
            with open_part(file) as part:
                head = part.read(attachment.position, 8)
                _, count = struct.unpack("<ii", head)
                if not 0 < count <= min(_MOST_STAMPS, (attachment.size - 8) // 8):
                    return ()
                raw = part.read(attachment.position + 8, 8 * count)
            stamps = np.frombuffer(raw, "<f8")
            return tuple(stamps.tolist()) if np.all(np.isfinite(stamps)) else ()
    return ()


def time_step(stamps: Sequence[float], n_times: int) -> float | None:
    """Mean step (s) of stamps that belong to so many times, where they increase."""
    if n_times < 2 or len(stamps) != n_times or any(b <= a for a, b in pairwise(stamps)):
        return None
    return (stamps[-1] - stamps[0]) / (n_times - 1)


def embedded_images(
    file: CziFile, attachments: Sequence[Attachment], first_index: int
) -> tuple[tuple[SpatialImage, ...], tuple[str, ...]]:
    """Photographs of the slide, lazily, and warnings about those that are damaged.

    Parameters
    ----------
    file : CziFile
    attachments : sequence of Attachment
    first_index : int
        Number of the first of them in the file.
    """
    images: list[SpatialImage] = []
    damaged = []
    for attachment in attachments:
        is_picture = attachment.kind in ("CZI", "JPG") and attachment.name.lower() != _NOT_LISTED
        if not is_picture or len(images) == _MOST_IMAGES:
            continue
        name = _NAMES.get(attachment.name.lower(), attachment.name or "attachment")
        make = _embedded_czi if attachment.kind == "CZI" else _photograph
        try:
            image = make(file, attachment)
        except (ReadError, Undecodable):
            damaged.append(f"the embedded {name} is damaged and is left out")
            continue
        role: Role = "slide label" if name == "slide label" else "slide preview"
        source = replace(
            image.source, image_index=first_index + len(images), image_name=name, role=role
        )
        images.append(replace(image, source=source))
    return tuple(images), tuple(damaged)


@dataclass(frozen=True)
class JpegLevel:
    """A photograph (t, c, z, y, x), as a `VoxelSource`: decoded whole, for it is small.

    Parameters
    ----------
    file : CziFile
    position, size : int
        Its bytes.
    rows, columns, samples : int
    """

    file: CziFile
    position: int
    size: int
    rows: int
    columns: int
    samples: int

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Length of t, c, z, y, x."""
        return 1, self.samples, 1, self.rows, self.columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return np.dtype(np.uint8)

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> NDArray[Any]:
        """The box ``starts <= index < stops``."""
        with open_part(self.file) as part:
            raw = part.read(self.position, self.size)
        try:
            pixels = decode_jpeg(raw)
        except Undecodable as error:
            fault = f"an embedded photograph is damaged ({error})"
            raise ReadError(self.file.path, fault, "use the file's other images") from error
        if pixels.shape != (self.rows, self.columns, self.samples):
            fault = "an embedded photograph is not of the size that it states"
            raise ReadError(self.file.path, fault, "use the file's other images")
        box = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
        return pixels.transpose(2, 0, 1)[None, :, None][box]


def _photograph(file: CziFile, attachment: Attachment) -> SpatialImage:
    if attachment.size > _LARGEST_JPEG_BYTES:
        raise Undecodable("it is absurdly large")
    with open_part(file) as part:
        head = part.read(attachment.position, min(attachment.size, _JPEG_HEAD_BYTES))
    level = JpegLevel(file, attachment.position, attachment.size, *jpeg_size(head))
    channels = RGBA[:3] if level.samples == 3 else (Channel("C0"),)
    return _image(file, "JPEG in CZI", level, channels, CziMetadata())


def _embedded_czi(file: CziFile, attachment: Attachment) -> SpatialImage:
    inner = replace(file, start=file.start + attachment.position, length=attachment.size)
    directory = read_directory(inner)
    tiles = directory.tiles[directory.full_resolution]
    known = set(tiles["pixel_type"].tolist()) <= set(PIXEL_TYPES)
    if not tiles.size or not known or not set(tiles["compression"].tolist()) <= set(COMPRESSIONS):
        raise Undecodable("it holds nothing that can be decoded")
    image = next(iter(stored_images(tiles)))
    tiles = tiles[image.in_image]
    stored = stored_channels(file.path, tiles, image)
    level = TileLevel.of(inner, tiles, stored)
    if level.layout.width * level.layout.height > _LARGEST_EMBEDDED_PX:
        raise Undecodable("it is absurdly large")
    metadata = parse_metadata(directory.xml, None)
    described = describe_channels(stored, dict(enumerate(metadata.channels)))
    return _image(file, "CZI in CZI", level, described, metadata)


def _image(
    file: CziFile,
    kind: str,
    level: TileLevel | JpegLevel,
    channels: tuple[Channel, ...],
    metadata: CziMetadata,
) -> SpatialImage:
    spacing = metadata.spacing_um
    known = (spacing[0] is not None, spacing[1] is not None, spacing[2] is not None)
    z_um, y_um, x_um = (1.0 if s is None else s for s in spacing)
    missing = "".join(a for a, k in zip("zyx", known, strict=True) if not k and a != "z")
    return SpatialImage(
        levels=(lazily(level, level.shape),),
        grids=(Grid.from_spacing(level.shape[2:], (z_um, y_um, x_um), (0.0, 0.0, 0.0)),),
        channels=channels,
        source=Source(Path(file.path), kind, axes="cyx" if len(channels) > 1 else "yx"),
        voxel_size_known=known,
        metadata=dict(metadata.facts),
        warnings=(PLACE_UNKNOWN, *((missing_scale_warning(missing),) if missing else ())),
    )
