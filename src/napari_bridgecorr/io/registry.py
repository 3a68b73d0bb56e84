"""Which reader opens a file. A new format is one more line in `_READERS`."""

from __future__ import annotations

import importlib
import stat
from collections.abc import Iterator
from functools import cache
from os import PathLike, fspath
from pathlib import Path
from typing import cast

from ..errors import GeometryError, ReadError, one_line
from ..image import SpatialImage
from .location import Url, as_url, local_part
from .reader import Reader, Spacing
from .signature import read_head, signature_of

# (module of this package, class); asked in this order. A module, and with it the format's library,
# is imported only when its reader is asked.
_READERS = (
    ("nifti", "NiftiReader"),
    ("itk_volumes", "NrrdReader"),
    ("itk_volumes", "MetaImageReader"),
    ("czi", "CziReader"),
    ("ome_zarr", "OmeZarrReader"),
    ("tiff", "TiffReader"),
    ("pictures", "PictureReader"),
    ("mcd", "McdReader"),
    ("mcd", "ImcTextReader"),
    ("paravision", "ParaVisionReader"),
    # asked after the others: it looks into the files of a folder
    ("itk_volumes", "DicomReader"),
)


# endings that name one format: its reader is asked first, so that no other library is loaded
_ASKED_FIRST = {".czi": "CziReader", ".mcd": "McdReader", ".nii": "NiftiReader"}


def readers() -> tuple[Reader, ...]:
    """Every reader, in the order in which they are asked."""
    return tuple(_each_reader())


def is_claimed(path: Path) -> bool:
    """Whether a reader takes the file for its own; loads no more libraries than it must."""
    return any(reader.claim(path).accepted for reader in _each_reader(path))


def _each_reader(path: Path | None = None) -> Iterator[Reader]:
    first = _ASKED_FIRST.get(path.suffix.lower()) if path else None
    for module, name in sorted(_READERS, key=lambda entry: entry[1] != first):
        yield _reader(module, name)


@cache
def _reader(module: str, name: str) -> Reader:
    loaded = importlib.import_module(f".{module}", __package__)
    return cast(Reader, getattr(loaded, name)())


def parse_image_path(text: str | PathLike[str]) -> tuple[Path | Url, int | None]:
    """Split ``slide.czi#2`` into the file and the image's number.

    A file that is really named with ``#2`` wins. ``https://host/image.zarr#2`` is split too, and
    ``file:///a.nii`` is a path.

    Returns
    -------
    (Path or Url, int or None)
        None where no number is given.
    """
    url = as_url(fspath(text))
    if url is not None:
        address, mark, tail = url.rpartition("#")
        if mark and tail.isascii() and tail.isdigit():
            return Url(address), int(tail)
        return url, None
    whole = Path(local_part(fspath(text)))
    head, mark, tail = str(whole).rpartition("#")
    if not mark or not head or not (tail.isascii() and tail.isdigit()):
        return whole, None
    try:
        whole.lstat()
    except (OSError, ValueError):
        return Path(head), int(tail)
    return whole, None


def open_images(path: str | PathLike[str]) -> tuple[SpatialImage, ...]:
    """Every image of a file, a folder or an address on a network, lazily.

    Raises
    ------
    ReadError
        If there is nothing, nothing readable, or nothing that a reader knows at `path`.
    """
    url = as_url(fspath(path))
    if url is not None:
        return _open_url(url)
    place = Path(local_part(fspath(path)))
    is_folder = _require_readable(place)
    refusals = []
    for reader in _each_reader(place):
        claim = reader.claim(place)
        if claim.accepted:
            try:
                return reader.read(place)
            except GeometryError as error:
                raise ReadError(
                    place, f"its geometry makes no sense ({one_line(error)})", "mend its header"
                ) from error
        if is_folder or any(place.match(pattern) for pattern in reader.patterns):
            refusals.append(f"{reader.format_name}: {one_line(claim.reason)}")
    said = f" ({'; '.join(refusals)})" if refusals else ""
    if is_folder:
        empty = not any(place.iterdir())
        raise ReadError(
            place,
            "is an empty folder" if empty else f"holds nothing that can be read here{said}",
            "name a folder of TIFF planes, an OME-Zarr folder or an image file",
        )
    raise ReadError(place, f"is of no format that is read here{said}", _advice(place))


def _open_url(url: Url) -> tuple[SpatialImage, ...]:
    from .ome_zarr import OmeZarrReader

    try:
        return OmeZarrReader().read_url(url)
    except GeometryError as error:
        raise ReadError(
            url, f"its geometry makes no sense ({one_line(error)})", "mend its metadata"
        ) from error


def open_image(path: str | PathLike[str], spacing_um: Spacing | None = None) -> SpatialImage:
    """One image: the one that ``#N`` names, or the first.

    Parameters
    ----------
    path : path-like
        As ``slide.czi`` or ``slide.czi#2``.
    spacing_um : (float, float, float), optional
        The voxel size (z, y, x) where the user states it.

    Raises
    ------
    ReadError
        As :func:`open_images`, or if there is no such image.
    GeometryError
        If `spacing_um` is not three positive lengths.
    """
    place, number = parse_image_path(path)
    images = open_images(place)
    if number is not None and number >= len(images):
        have = (
            "one image, #0"
            if len(images) == 1
            else f"{len(images)} images, #0 to #{len(images) - 1}"
        )
        raise ReadError(place, f"has no image #{number}", f"it has {have}")
    image = images[number or 0]
    return image if spacing_um is None else image.with_voxel_size(spacing_um)


def _require_readable(path: Path) -> bool:
    """Raise ReadError unless something can be read at `path`; whether it is a folder."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            next(path.iterdir(), None)
            return True
        if not stat.S_ISREG(mode):
            # opening a pipe would wait for ever
            raise ReadError(path, "is neither a file nor a folder", "name an image file")
        if not read_head(path):
            raise ReadError(path, "is empty (0 bytes)", "copy or export it again")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ReadError(path, "does not exist", "check the name and the folder") from error
    except PermissionError as error:
        raise ReadError(path, "may not be read", "ask for permission to read it") from error
    except (OSError, ValueError) as error:
        # a name that is too long or holds a null character, a broken drive
        raise ReadError(path, f"cannot be opened ({one_line(error)})", "check the name") from error
    return False


def _advice(path: Path) -> str:
    found = signature_of(read_head(path))
    if found is not None and found.ending:
        return f"its content is {found.kind}: rename it to end in {found.ending}"
    return "name a file of a format that docs/formats.md lists, or export OME-TIFF or NIfTI"
