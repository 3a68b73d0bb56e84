"""The only file that talks to zarr: arrays on disk, read lazily and written block by block."""

from __future__ import annotations

import json
import lzma
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from ...errors import ReadError
from ..lazy import lazily, read_indexed

_FAULTS = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    ImportError,
    OSError,
    EOFError,
    MemoryError,
    zlib.error,
    lzma.LZMAError,
)
"""What zarr and its codecs raise on damaged metadata or chunks; they have no common base."""

_METADATA_NAMES = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"})
_LARGEST_JSON = 2**26
_LARGEST_AXIS = 2**31
_LARGEST_CHUNK_BYTES = 2**32
_SMALL_BLOCK_BYTES = 2**20


class Unreadable(Exception):
    """Why a group or array cannot be read, as a clause; callers know the file and the remedy."""


def attributes(folder: Path) -> dict[str, Any]:
    """User attributes of a Zarr group (format 2 or 3).

    Raises
    ------
    Unreadable
        If the folder is no Zarr group or its JSON is broken.
    """
    v3 = folder / "zarr.json"
    if v3.is_file():
        document = _json(v3)
        if document.get("node_type") == "array":
            raise Unreadable("it is a bare Zarr array, without OME metadata")
        found = document.get("attributes", {})
    elif (folder / ".zattrs").is_file():
        found = _json(folder / ".zattrs")
    elif (folder / ".zarray").is_file():
        raise Unreadable("it is a bare Zarr array, without OME metadata")
    elif (folder / ".zgroup").is_file():
        found = {}
    else:
        raise Unreadable("it is no Zarr group (neither zarr.json nor .zattrs is in it)")
    if not isinstance(found, dict):
        raise Unreadable("its attributes are no JSON object")
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise Unreadable(f"{path.name} is absurdly large")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: bad JSON, bad UTF-8
        raise Unreadable(f"{path.name} is no JSON ({error})") from error
    except OSError as error:
        raise Unreadable(f"{path.name} cannot be read ({error.strerror})") from error
    if not isinstance(document, dict):
        raise Unreadable(f"{path.name} is no JSON object")
    return document


def has_chunks(folder: Path) -> bool:
    """Whether an array's folder holds any chunk at all (stops at the first)."""
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    pending.append(Path(entry.path))
                elif entry.name not in _METADATA_NAMES and not entry.name.startswith("."):
                    return True
    return False


@dataclass(frozen=True)
class StoredArray:
    """Array-like (t, c, z, y, x) view of an array on disk, whatever axes it has. Picklable.

    Parameters
    ----------
    array : zarr.Array
    path : Path
    axes : str
        Name of each stored axis, of ``tczyx``, in any order.
    """

    array: Any
    path: Path
    axes: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of t, c, z, y, x."""
        return self._spread(self.array.shape)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Chunk along t, c, z, y, x."""
        return self._spread(self.array.chunks)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, in the machine's byte order."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype).newbyteorder("=")
        return dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 5

    def _spread(self, lengths: Sequence[int]) -> tuple[int, ...]:
        return tuple(int(lengths[self.axes.index(a)]) if a in self.axes else 1 for a in "tczyx")

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return read_indexed(self, key)

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> NDArray[Any]:
        """The box ``starts <= index < stops``."""
        wanted = [slice(a, b) for a, b in zip(starts, stops, strict=True)]
        try:
            found = np.asarray(self.array[tuple(wanted["tczyx".index(a)] for a in self.axes)])
        except _FAULTS as error:
            raise ReadError(
                self.path, f"a chunk cannot be read ({error})", "copy the image again"
            ) from error
        order = [self.axes.index(a) for a in "tczyx" if a in self.axes]
        block = found.transpose(order).astype(self.dtype, copy=False)
        return np.expand_dims(block, tuple(i for i, a in enumerate("tczyx") if a not in self.axes))

    def lazily(self) -> Any:
        """Dask array of it, chunked as stored; tiny chunks are read several at a time."""
        chunks = list(self.chunks)
        size = self.dtype.itemsize * math.prod(chunks)
        while size < _SMALL_BLOCK_BYTES:
            # the shortest axis (in chunks of the plane first) grows, so that blocks stay compact
            open_axes = [i for i in (4, 3, 2) if chunks[i] < self.shape[i]]
            if not open_axes:
                break
            axis = min(open_axes, key=lambda i: (i == 2, chunks[i]))
            chunks[axis] *= 2
            size *= 2
        stamp = f"{self.path}:{_modified_ns(self.path)}:{self.axes}:{self.shape}"
        return lazily(self, chunks, stamp)


def open_stored(folder: Path, axes: str) -> StoredArray:
    """Open an array of the given axes.

    Raises
    ------
    Unreadable
        If there is none, or it is broken, absurd, or not numeric.
    """
    name = folder.name
    if not any((folder / n).is_file() for n in ("zarr.json", ".zarray")):
        raise Unreadable(f"there is no array {name!r} in it")
    try:
        array = zarr.open_array(str(folder), mode="r")
        shape, chunks, dtype = array.shape, array.chunks, np.dtype(array.dtype)
    except _FAULTS as error:
        raise Unreadable(
            f"the array {name!r} is broken ({type(error).__name__}: {error})"
        ) from error
    if len(shape) != len(axes):
        raise Unreadable(f"the array {name!r} has {len(shape)} axes, the metadata {len(axes)}")
    if min(shape) < 1 or max(shape) > _LARGEST_AXIS or min(chunks) < 1:
        raise Unreadable(f"the array {name!r} has the absurd shape {tuple(shape)}")
    if dtype.kind not in "biuf":
        raise Unreadable(f"the array {name!r} holds {dtype}, which are no intensities")
    # zarr decodes whole chunks, beyond the array's end too
    if math.prod(chunks) * dtype.itemsize > _LARGEST_CHUNK_BYTES:
        raise Unreadable(f"the array {name!r} has the absurd chunks {tuple(chunks)}")
    return StoredArray(array, folder, axes)


def _modified_ns(folder: Path) -> int:
    return max(
        (
            (folder / n).stat().st_mtime_ns
            for n in ("zarr.json", ".zarray")
            if (folder / n).is_file()
        ),
        default=0,
    )


def create_group(folder: Path) -> None:
    """Create a group (format 3) without attributes."""
    zarr.create_group(str(folder), zarr_format=3)


def write_attributes(folder: Path, values: dict[str, Any]) -> None:
    """Replace a group's attributes."""
    zarr.open_group(str(folder), mode="r+").attrs.put(values)


def create_array(
    folder: Path,
    shape: Sequence[int],
    dtype: np.dtype[Any],
    chunks: Sequence[int],
    shards: Sequence[int] | None,
    axes: str,
) -> Any:
    """Create an array (format 3, Blosc-Zstd).

    Every chunk is stored, even one of zeros: an absent chunk then always means a damaged copy.

    Returns
    -------
    zarr.Array
        Takes numpy blocks by ``array[slices] = block``.
    """
    return zarr.create_array(
        str(folder),
        shape=tuple(shape),
        dtype=dtype,
        chunks=tuple(chunks),
        shards=None if shards is None else tuple(shards),
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
        fill_value=0,
        dimension_names=tuple(axes),
        zarr_format=3,
        config={"write_empty_chunks": True},
    )
