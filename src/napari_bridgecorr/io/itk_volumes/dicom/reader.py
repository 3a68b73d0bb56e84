"""DICOM files and folders as images, one per series and orientation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ....errors import GeometryError, ReadError, one_line
from ....geometry import Grid
from ....geometry.anatomical import index_to_world_from_millimetres
from ....image import RGBA, Channel, Source, SpatialImage
from ...lazy import lazily
from ...reader import Claim
from ...signature import read_head
from ...size_check import said_of_size
from .elements import is_dicom, read_elements
from .pixels import DicomPixels
from .planes import Plane, planes_of
from .stacks import Stack, stacks_of

_ENDINGS = (".dcm", ".dicom", ".ima")
_MOST_FILES = 50_000
# entries looked at before a folder is said to hold no DICOM
_LOOKED_AT = 200
_DEPTH = 4
_COLOURS = {channel.name: channel.colour for channel in RGBA}


class DicomReader:
    """Reader of DICOM files and folders (see :class:`~...reader.Reader`)."""

    format_name = "DICOM"
    patterns = ("*.dcm", "*.dicom", "*.ima")

    def claim(self, path: Path) -> Claim:
        """Claim by name or by the mark after the preamble; a folder by one such file in it."""
        try:
            if path.is_dir():
                if any(_has_mark(file) for file in islice(_files(path), _LOOKED_AT)):
                    return Claim(True, "the folder holds DICOM files")
                return Claim(False, "the folder holds no DICOM files")
            if path.name.lower().endswith(_ENDINGS):
                return Claim(True, "the name ends in .dcm, .dicom or .ima")
            if path.is_file() and "." not in path.name.strip(".") and _has_mark(path):
                return Claim(True, "its first bytes are those of a DICOM file")
        except OSError as error:
            return Claim(False, f"it cannot be looked at ({one_line(error)})")
        return Claim(False, "the name does not end in .dcm, .dicom or .ima")

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """Every series of a folder and its subfolders, or of one file, lazily.

        Raises
        ------
        ReadError
            If nothing readable is there.
        """
        planes, left_out = _planes(path)
        images = []
        stacks = stacks_of(planes)
        for number, stack in enumerate(stacks):
            try:
                images.append(_image(path, stack, number, left_out))
            except GeometryError as error:
                raise ReadError(
                    stack.planes[0][0].path,
                    f"has an impossible geometry ({one_line(error)})",
                    "export it again, or convert it to NIfTI",
                ) from error
        return tuple(images)


def _has_mark(file: Path) -> bool:
    try:
        return is_dicom(read_head(file))
    except OSError:
        return False


def _files(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Regular files of a folder and its subfolders, in order; links are not followed."""
    with os.scandir(folder) as entries:
        found = sorted(islice(entries, _MOST_FILES + 1), key=lambda entry: entry.name)
    for entry in found:
        if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
    for entry in found:
        if (
            depth < _DEPTH
            and not entry.name.startswith(".")
            and entry.is_dir(follow_symlinks=False)
        ):
            try:
                yield from _files(Path(entry.path), depth + 1)
            except OSError:
                continue  # a subfolder that may not be read


def _planes(path: Path) -> tuple[list[Plane], tuple[str, ...]]:
    """All planes, and a warning on files that were left out."""
    if not path.is_dir():
        return planes_of(read_elements(path)), ()
    planes: list[Plane] = []
    refused: list[ReadError] = []
    for number, file in enumerate(_files(path)):
        if number >= _MOST_FILES:
            raise ReadError(
                path, f"holds more than {_MOST_FILES} files", "name the folder of one series"
            )
        if not _has_mark(file):
            continue
        try:
            planes += planes_of(read_elements(file))
        except ReadError as error:
            # a directory or a report is no damaged image
            if error.fault != "holds no image":
                refused.append(error)
    if not planes:
        if refused:
            raise refused[0]
        raise ReadError(path, "holds no DICOM images", "name the folder of a series")
    if not refused:
        return planes, ()
    first = refused[0]
    more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
    return planes, (f"{Path(first.path).name}{more} left out: it {first.fault}",)


def _image(path: Path, stack: Stack, number: int, left_out: tuple[str, ...]) -> SpatialImage:
    pixels = DicomPixels(stack)
    matrix = index_to_world_from_millimetres(stack.affine_mm, "LPS")
    grid = Grid((pixels.shape[2], pixels.shape[3], pixels.shape[4]), matrix)
    size_warnings, size_metadata = said_of_size(grid)
    first = stack.planes[0][0]
    names = ("R", "G", "B", "A")[: pixels.shape[1]] if pixels.shape[1] > 1 else ("C0",)
    t, c, z, *_ = pixels.shape
    has_z = z > 1 or first.position is not None
    return SpatialImage(
        levels=(lazily(pixels, pixels.chunks),),
        grids=(grid,),
        channels=tuple(Channel(name, _COLOURS.get(name)) for name in names),
        source=Source(
            path=path,
            format="DICOM",
            image_index=number,
            image_name=stack.name,
            axes=("t" if t > 1 else "") + ("c" if c > 1 else "") + ("z" if has_z else "") + "yx",
        ),
        voxel_size_known=stack.voxel_size_known,
        metadata={
            **first.details,
            "photometric_interpretation": first.format.photometric,
            **size_metadata,
        },
        warnings=(*left_out, *stack.warnings, *size_warnings),
    )
