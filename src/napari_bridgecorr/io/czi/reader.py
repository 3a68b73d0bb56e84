"""Reader of Zeiss CZI files: one lazy image per scene. The library itself is in `library`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...image import SpatialImage
from ..reader import Claim
from .attachments import embedded_images, time_stamps
from .decode import COMPRESSIONS
from .directory import PIXEL_TYPES
from .guard import guard
from .images import is_for_tiles, make_image
from .library import check_opens
from .metadata import CziMetadata, parse_metadata
from .planes import StoredImage, stored_images
from .segments import MAGIC, CziFile, open_part, read_attachments


class CziReader:
    """Reader of Zeiss CZI files (one image per scene)."""

    format_name = "CZI"
    patterns = ("*.czi",)

    def claim(self, path: Path) -> Claim:
        """Whether the file is a CZI, by its name and first bytes."""
        try:
            with path.open("rb") as file:
                head = file.read(len(MAGIC))
        except OSError as error:
            return Claim(False, f"it cannot be opened ({error.strerror})")
        if head == MAGIC:
            return Claim(True, "it begins as a CZI file does")
        if path.suffix.lower() == ".czi":
            # claimed all the same: read() then says what is wrong with it
            return Claim(True, "the name ends in .czi")
        return Claim(False, "it does not begin as a CZI file does")

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """One lazy image per scene (one image where the file has no scenes).

        Raises
        ------
        ReadError
            If the file is damaged, or has dimensions or pixel types that are not supported.
        """
        try:
            file = CziFile.of(path)
        except OSError as error:
            raise ReadError(path, str(error.strerror), "check the path") from error
        directory = guard(file).directory
        full = directory.full_resolution
        if not full.any():
            raise ReadError(path, "it holds only a preview", "copy the whole file again")
        tiles = directory.tiles[full]
        _refuse_unsupported(path, tiles)
        if not is_for_tiles(tiles):
            check_opens(file)
        metadata = parse_metadata(directory.xml, _full_scale(tiles))
        with open_part(file) as part:
            attachments = read_attachments(part, directory.header.attachments_at)
        stamps = time_stamps(file, attachments)
        stored = [i for i in stored_images(directory.tiles) if np.any(i.in_image & full)]
        images = [
            make_image(
                file, directory, metadata, image, index, _name(metadata, image, stored), stamps
            )
            for index, image in enumerate(stored)
        ]
        photographs, damaged = embedded_images(file, attachments, len(images))
        if damaged:
            images[0] = replace(images[0], warnings=(*images[0].warnings, *damaged))
        return (*images, *photographs)


def _refuse_unsupported(path: Path, tiles: NDArray[Any]) -> None:
    for number in sorted(set(tiles["pixel_type"].tolist())):
        if number not in PIXEL_TYPES:
            raise ReadError(
                path,
                f"its pixels are of type {number}, which is not supported",
                "convert it in ZEN to 8 or 16 bit, 32-bit float, or RGB",
            )
    for number in sorted(set(tiles["compression"].tolist())):
        if number not in COMPRESSIONS:
            raise ReadError(
                path,
                f"its pixels are compressed in the camera's own way ({number})",
                "save it in ZEN without compression, or as zstd or JPEG-XR",
            )


def _name(metadata: CziMetadata, image: StoredImage, every: Sequence[StoredImage]) -> str:
    name = "" if image.scene is None else metadata.scene_names.get(image.scene, "")
    if len({i.scene for i in every}) > 1 and not name:
        name = f"scene {image.scene}"
    return f"{name} {image.suffix}".strip()


def _full_scale(tiles: NDArray[Any]) -> float | None:
    """Largest value of the widest pixel type, None for floats."""
    dtype = np.result_type(*(PIXEL_TYPES[n][1] for n in set(tiles["pixel_type"].tolist())))
    return float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else None
