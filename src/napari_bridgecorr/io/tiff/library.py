"""tifffile, at arm's length. The only importer of it: opens files, gives pages, writes levels.

What the pages hold is read in `plane`, how they make up images in `series`; both see tifffile's
objects and never the package.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ...errors import ReadError, one_line
from ..lazy import Block
from ..signature import mislabelled, read_head, signature_of
from .directory import COPY_AGAIN

# what tifffile and its codecs raise on damaged files (imagecodecs' errors are RuntimeErrors)
DAMAGED = (
    tifffile.TiffFileError,
    AssertionError,
    ArithmeticError,
    AttributeError,
    BufferError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
# its complaints about damaged files would stand beside our one line on standard error
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# It resolves file names of OME-XML and of NDTiff's index without asking whether they leave the
# folder; and believes sizes before it looks for the planes. `ome_files` does both with care.
_NEVER: dict[str, Any] = {"is_ome": False, "is_ndtiff": False}


def require_tiff(path: Path) -> None:
    """Raise ReadError unless the first bytes are TIFF's."""
    try:
        head = read_head(path)
    except OSError as error:
        raise ReadError(path, f"cannot be read ({one_line(error)})", COPY_AGAIN) from error
    found = signature_of(head)
    if found is None or found.kind != "TIFF":
        raise ReadError(path, *mislabelled(head, "TIFF"))


@contextmanager
def opened(path: Path, **flags: Any) -> Iterator[Any]:
    """The file as tifffile's ``TiffFile``, whose first page alone has been read.

    Parameters
    ----------
    path : Path
    **flags : bool
        ``is_imagej=False`` and the like: kinds that it must not take the file for.

    Raises
    ------
    ReadError
        Whatever goes wrong while it is open.
    """
    try:
        with tifffile.TiffFile(path, **_NEVER, **flags) as tif:
            text = tif.pages.first.description
            if "<!ENTITY" in text or "<!DOCTYPE" in text:
                raise ReadError(path, "has XML that defines entities", "export it again")
            yield tif
    except DAMAGED as error:
        raise ReadError(path, f"is damaged or cut short ({one_line(error)})", COPY_AGAIN) from error


def page_at(tif: Any, offset: int) -> Any:
    """The page whose directory lies at `offset`, with all that its decoder needs looked up.

    Raises
    ------
    What `DAMAGED` lists.
    """
    first = tif.pages.first
    if offset == first.offset:
        page = first
    else:
        tif.filehandle.seek(offset)
        page = tifffile.TiffPage(tif, index=1)
    return with_decoder(page)


def with_decoder(page: Any) -> Any:
    """The page, having looked up in the open file what its decoder needs (JPEG tables, say)."""
    _ = page.decode, page.jpegtables, page.jpegheader, page.nodata
    return page


def reopened_page(path: str, offset: int) -> Any:
    """The page at `offset` of a file that is opened for it. Raises what `DAMAGED` lists."""
    with tifffile.TiffFile(path, **_NEVER) as tif:
        return page_at(tif, offset)


def write_levels(
    path: Path,
    levels: list[tuple[tuple[int, int, int], Iterator[Block]]],
    dtype: np.dtype[Any],
    tile: tuple[int, int],
    description: str,
    is_large: bool,
) -> None:
    """Write planes and their reduced planes (as SubIFDs), from iterators over tiles.

    Parameters
    ----------
    path : Path
    levels : list of ((planes, rows, columns), iterator)
        Full resolution first; each iterator yields the tiles of plane 0 row by row, then plane 1...
        and is exhausted before the next is begun.
    dtype : dtype
        Of the pixels.
    tile : (int, int)
        Rows and columns of a tile, multiples of 16.
    description : str
        OME-XML.
    is_large : bool
        Use BigTIFF.
    """
    options: dict[str, Any] = {
        "dtype": dtype,
        "tile": tile,
        "photometric": "minisblack",
        # deflate is the one compression that every reader of TIFF knows
        "compression": "zlib",
        # the floating-point predictor is not: floats go without
        "predictor": dtype.kind in "iu",
        "metadata": None,
    }
    with tifffile.TiffWriter(path, bigtiff=is_large, byteorder="<") as tif:
        for number, (shape, tiles) in enumerate(levels):
            first = {"subifds": len(levels) - 1, "description": description.encode()}
            tif.write(
                tiles, shape=shape, **options, **(first if number == 0 else {"subfiletype": 1})
            )
