"""A small file as a whole, and which transform format it is by its content."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Literal

from ...errors import ReadError, one_line
from ..signature import read_head

Format = Literal[
    "json", "itk text", "itk hdf5", "itk mat", "elastix", "vector image", "ome-zarr transform"
]

LARGEST_TEXT_BYTES = 256 * 2**20
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ITK_TEXT = b"#Insight Transform File"
_IMAGE_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


def format_of(path: Path) -> Format | None:
    """The transform format of what lies at `path`, or None. Never raises.

    By content; the name decides only where the content does not (an image of vectors).
    """
    try:
        if path.is_dir():
            return "ome-zarr transform" if _is_zarr_of_transforms(path) else None
        if not path.is_file():
            return None
        head = read_head(path)
    except (OSError, ValueError):
        return None
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(_ITK_TEXT):
        return "itk text"
    if head.startswith(_HDF5):
        return "itk hdf5"
    if mat_name(head) is not None:
        return "itk mat"
    if start.startswith(b"{"):
        return "json" if _is_own_json(path) else None
    if _is_elastix(head):
        return "elastix"
    if path.name.lower().endswith(_IMAGE_ENDINGS):
        from .vector_image import is_displacement

        return "vector image" if is_displacement(path) else None
    return None


def read_small(path: Path, limit_bytes: int = LARGEST_TEXT_BYTES) -> bytes:
    """The bytes of a file that is not larger than `limit_bytes`.

    Raises
    ------
    ReadError
    """
    try:
        if not path.is_file():
            raise ReadError(path, "it is not a file", "check the path")
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except OSError as error:
        raise ReadError(path, f"it cannot be opened ({one_line(error)})", "check it") from error
    if not content:
        raise ReadError(path, "it is empty (0 bytes)", "copy or export it again")
    if len(content) > limit_bytes:
        raise ReadError(
            path, f"it has more than {limit_bytes >> 20} MiB, no such transform has", "check it"
        )
    return content


def mat_name(head: bytes) -> str | None:
    """Name of the first variable of a MATLAB 4 file that begins with `head`; None if it is none."""
    if len(head) < 21:
        return None
    for order in "<>":
        kind, rows, columns, imaginary, length = struct.unpack(f"{order}5i", head[:20])
        if 0 <= kind < 5000 and imaginary == 0 and 1 < length <= 256 and rows > 0 and columns > 0:
            name = head[20 : 20 + length].rstrip(b"\0")
            if name.isascii() and name.decode("ascii").replace("_", "a").isalnum():
                return name.decode("ascii")
    return None


def _is_own_json(path: Path) -> bool:
    """Whether a JSON file is, or claims to be, a transform of this project."""
    with path.open("rb") as file:
        start = file.read(2**16)
    if b'"bridgecorr-transform"' in start:
        return True
    if len(start) == 2**16:
        return False  # ours says so in its first line
    try:
        document = json.loads(start)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("format") == "bridgecorr-transform"


def _is_elastix(head: bytes) -> bool:
    lines = [line.strip() for line in head.splitlines()]
    stated = [line for line in lines if line and not line.startswith(b"//")]
    # elastix 5.2 and later may also write TOML, where a section is no transform of ours
    return bool(stated) and stated[0].startswith(b"(") and b"(Transform" in head


def _is_zarr_of_transforms(folder: Path) -> bool:
    from .ome_zarr_scene import holds_transforms

    return holds_transforms(folder)
