"""NRRD and MetaImage files as images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...errors import GeometryError, ReadError, one_line
from ...geometry import Grid
from ...geometry.anatomical import index_to_world_from_millimetres
from ...image import RGBA, Channel, Source, SpatialImage
from ..lazy import lazily
from ..reader import Claim
from ..signature import mislabelled, read_head
from ..size_check import said_of_size
from .meta_image import is_meta_image, parse_meta_image
from .nrrd import is_nrrd, parse_nrrd
from .volume_header import MEND, VolumeHeader
from .voxels import VolumeVoxels

_COLOURS = {channel.name: channel.colour for channel in RGBA}


class NrrdReader:
    """Reader of NRRD files, with attached or detached voxels (see :class:`~..reader.Reader`)."""

    format_name = "NRRD"
    patterns = ("*.nrrd", "*.nhdr")

    def claim(self, path: Path) -> Claim:
        """Claim by name."""
        return _claim_by_name(path, (".nrrd", ".nhdr"))

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """The file's one image, lazily.

        Raises
        ------
        ReadError
            If the file is damaged, truncated, mislabelled or absurd, or names data outside its
            folder.
        """
        return (_read(path, "NRRD", is_nrrd, parse_nrrd),)


class MetaImageReader:
    """Reader of MetaImage files, with attached or detached voxels."""

    format_name = "MetaImage"
    patterns = ("*.mha", "*.mhd")

    def claim(self, path: Path) -> Claim:
        """Claim by name."""
        return _claim_by_name(path, (".mha", ".mhd"))

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """The file's one image, lazily.

        Raises
        ------
        ReadError
            If the file is damaged, truncated, mislabelled or absurd, or names data outside its
            folder.
        """
        return (_read(path, "MetaImage", is_meta_image, parse_meta_image),)


def _claim_by_name(path: Path, endings: tuple[str, ...]) -> Claim:
    said = " or ".join(endings)
    if path.is_dir():
        return Claim(False, "it is a folder")
    if path.name.lower().endswith(endings):
        return Claim(True, f"the name ends in {said}")
    return Claim(False, f"the name does not end in {said}")


def _read(
    path: Path,
    format_name: str,
    is_format: Callable[[bytes], bool],
    parse: Callable[[Path], VolumeHeader],
) -> SpatialImage:
    try:
        head = read_head(path)
        if not is_format(head):
            raise ReadError(path, *mislabelled(head, format_name))
        header = parse(path)
        matrix = index_to_world_from_millimetres(header.affine_mm, "LPS")
        grid = Grid((header.size("z"), header.size("y"), header.size("x")), matrix)
        voxels = VolumeVoxels(path, header)
    except GeometryError as error:
        raise ReadError(path, f"has an impossible geometry ({one_line(error)})", MEND) from error
    except OSError as error:
        raise ReadError(path, f"cannot be opened ({one_line(error)})", "check the file") from error
    size_warnings, size_metadata = said_of_size(grid)
    return SpatialImage(
        levels=(lazily(voxels, voxels.chunks),),
        grids=(grid,),
        channels=_channels(header),
        source=Source(
            path=path,
            format=header.format,
            axes="".join(axis for axis in "tczyx" if axis in header.axes),
            role="labels" if header.is_label else "image",
        ),
        voxel_size_known=header.voxel_size_known,
        time_step_s=header.time_step_s,
        metadata={**header.metadata, **size_metadata},
        warnings=(*header.warnings, *size_warnings),
    )


def _channels(header: VolumeHeader) -> tuple[Channel, ...]:
    if header.channel_names:
        return tuple(Channel(name, _COLOURS.get(name)) for name in header.channel_names)
    return tuple(Channel(f"C{number}") for number in range(header.size("c")))
