"""Groups and arrays of a hierarchy: attributes, and pixels read lazily. `library` knows zarr.

Reading goes through :class:`~.files.Files`, never through zarr's own stores: one place keeps links,
zip members and network answers within bounds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError, one_line
from ..decoded import read_decoded
from ..lazy import lazily, read_indexed
from .files import Folder, Unreadable, folder_at
from .library import (
    FAULTS,
    Checked,
    checked,
    create_array,
    create_group,
    n_chunks,
    open_written,
    write_attributes,
    zarr_array,
)

__all__ = [
    "StoredArray",
    "Unreadable",
    "attributes",
    "create_array",
    "create_group",
    "open_stored",
    "open_written",
    "read_whole",
    "write_attributes",
]

_SMALL_BLOCK_BYTES = 2**20
_LARGE_BLOCK_BYTES = 2**28
# a graph of more blocks is slow to slice, and one of far more is an absurd shape
_MOST_BLOCKS = 2**16
_ABSURDLY_MANY_BLOCKS = 2**20


def _folder(place: Folder | Path) -> Folder:
    return folder_at(place) if isinstance(place, Path) else place


def attributes(place: Folder | Path) -> dict[str, Any]:
    """User attributes of a Zarr group (format 2 or 3).

    Raises
    ------
    Unreadable
        If the folder is no Zarr group or its JSON is broken.
    """
    folder = _folder(place)
    document = folder.json("zarr.json")
    if document is not None:
        if document.get("node_type") == "array":
            raise Unreadable("it is a bare Zarr array, without OME metadata")
        found = document.get("attributes", {})
    else:
        found = folder.json(".zattrs")
        if found is None and folder.json(".zarray") is not None:
            raise Unreadable("it is a bare Zarr array, without OME metadata")
        if found is None:
            found = folder.json(".zgroup")
            if found is None:
                raise Unreadable("it is no Zarr group (neither zarr.json nor .zattrs is in it)")
            found = {}
    if not isinstance(found, dict):
        raise Unreadable("its attributes are no JSON object")
    return found


class StoredArray:
    """Array-like (t, c, z, y, x) view of a stored array, whatever axes it has. Picklable.

    Parameters
    ----------
    metadata : Checked
    folder : Folder
    axes : str
        Name of each stored axis, of ``tczyx``, in any order.
    document_name : str
        File of its metadata.
    """

    def __init__(self, metadata: Checked, folder: Folder, axes: str, document_name: str) -> None:
        self._checked = metadata
        self._document_name = document_name
        self.folder = folder
        self.axes = axes
        self.shape = self._spread(metadata.shape)
        self.chunks = self._spread(metadata.inner)
        self.dtype = metadata.dtype

    def __reduce__(self) -> tuple[Any, ...]:
        # zarr forgets the wrapped codecs when it is pickled
        return open_stored, (self.folder, self.axes)

    @cached_property
    def array(self) -> Any:
        """The zarr array. Made when it is first read: a plate has thousands."""
        return zarr_array(self._checked, self.folder)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 5

    @property
    def fill_value(self) -> Any:
        """What stands where a chunk is absent."""
        return self._checked.metadata.fill_value

    @property
    def file_grid(self) -> tuple[int, ...]:
        """Files (chunks or shards) along each stored axis."""
        metadata = self._checked
        return tuple(-(-n // c) for n, c in zip(metadata.shape, metadata.outer, strict=True))

    def chunk_key(self, place: Sequence[int]) -> str:
        """Key of a chunk's file below the array's folder."""
        return str(self._checked.metadata.encode_chunk_key(tuple(place)))

    def is_chunk_key(self, key: str) -> bool:
        """Whether a file of this key would hold a chunk of the array."""
        numbers = [p for p in re.split(r"[/.]", key) if p != "c"]
        if not all(n.isascii() and n.isdigit() and len(n) < 12 for n in numbers):
            return False
        place = [int(n) for n in numbers]
        grid = self.file_grid
        inside = len(place) == len(grid) and all(i < n for i, n in zip(place, grid, strict=True))
        return inside and self.chunk_key(place) == key

    def _spread(self, lengths: Sequence[int]) -> tuple[int, ...]:
        return tuple(int(lengths[self.axes.index(a)]) if a in self.axes else 1 for a in "tczyx")

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return read_indexed(self, key)

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> NDArray[Any]:
        """The box ``starts <= index < stops`` of (t, c, z, y, x)."""
        return read_decoded(
            self._identity, self.shape, self.chunks, self.dtype, (starts, stops), self._decode
        )

    @cached_property
    def _identity(self) -> str:
        """Says which data these are: the file and its state."""
        state = self.folder.files.state(self.folder.file_key(self._document_name))
        place = f"{self.folder.files!r}:{self.folder.key}"
        return f"{place}:{state}:{self.axes}:{self.shape}"

    def _decode(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> NDArray[Any]:
        wanted = [slice(a, b) for a, b in zip(starts, stops, strict=True)]
        try:
            found = np.asarray(self.array[tuple(wanted["tczyx".index(a)] for a in self.axes)])
        except FAULTS as error:
            reason = one_line(error) or type(error).__name__
            raise ReadError(
                self.folder.files.location,
                f"a chunk cannot be read (array {self.folder.key!r}: {reason})",
                "copy the image again",
            ) from error
        order = [self.axes.index(a) for a in "tczyx" if a in self.axes]
        block = found.transpose(order).astype(self.dtype, copy=False)
        return np.expand_dims(block, tuple(i for i, a in enumerate("tczyx") if a not in self.axes))

    def lazily(self) -> Any:
        """Dask array of it, chunked as stored; tiny chunks are read several at a time."""
        return lazily(self, self.blocks, self._identity)

    @cached_property
    def blocks(self) -> list[int]:
        """Size of a block: compact, not tiny, and so large that there are not too many."""
        blocks = [min(c, n) for c, n in zip(self.chunks, self.shape, strict=True)]
        while True:
            size = self.dtype.itemsize * math.prod(blocks)
            n_blocks = n_chunks(self.shape, blocks)
            few = n_blocks <= _MOST_BLOCKS or size >= _LARGE_BLOCK_BYTES
            if size >= _SMALL_BLOCK_BYTES and few:
                return blocks
            # the shortest axis of the plane grows first, so that blocks stay compact; times and
            # channels are only joined where there would be too many blocks
            axes = (4, 3, 2) if few else (4, 3, 2, 1, 0)
            growing = [i for i in axes if blocks[i] < self.shape[i]]
            if not growing:
                return blocks
            blocks[min(growing, key=lambda i: (i < 2, i == 2, blocks[i]))] *= 2


def open_stored(place: Folder | Path, axes: str) -> StoredArray:
    """Open an array of the given axes.

    Parameters
    ----------
    place : Folder or Path
    axes : str
        Of ``tczyx``, one letter per stored axis.

    Raises
    ------
    Unreadable
        If there is none, or it is broken, absurd, or not numeric.
    """
    folder = _folder(place)
    metadata, document_name = _checked(folder)
    name, shape = folder.name, metadata.shape
    if len(shape) != len(axes):
        raise Unreadable(f"the array {name!r} has {len(shape)} axes, the metadata {len(axes)}")
    stored = StoredArray(metadata, folder, axes, document_name)
    if n_chunks(stored.shape, stored.blocks) > _ABSURDLY_MANY_BLOCKS:
        raise Unreadable(f"the array {name!r} has the absurd shape {shape}")
    return stored


def read_whole(place: Folder | Path, most_bytes: int = 2**20) -> NDArray[Any]:
    """The content of a small array of any number of axes, as of a matrix.

    Raises
    ------
    Unreadable
        If there is none, it is broken, or larger than `most_bytes`.
    """
    folder = _folder(place)
    metadata, _ = _checked(folder)
    if math.prod(metadata.shape) * metadata.dtype.itemsize > most_bytes:
        raise Unreadable(f"the array {folder.name!r} is larger than expected {metadata.shape}")
    try:
        return np.asarray(zarr_array(metadata, folder)[...])
    except FAULTS as error:
        raise Unreadable(f"the array {folder.name!r} cannot be read ({one_line(error)})") from error


def array_axes(place: Folder | Path) -> int | None:
    """Number of axes of an array; None where there is none."""
    folder = _folder(place)
    document = folder.json("zarr.json") or folder.json(".zarray") or {}
    shape = document.get("shape")
    return len(shape) if isinstance(shape, list) else None


def _checked(folder: Folder) -> tuple[Checked, str]:
    """The metadata of an array's folder, and the name of its file."""
    document = folder.json("zarr.json")
    name = "zarr.json"
    if document is None:
        name = ".zarray"
        document = folder.json(name)
    elif document.get("node_type") != "array":
        document = None
    if document is None:
        raise Unreadable(f"there is no array {folder.name!r} in it")
    # of no use here, and untrusted
    document = {k: v for k, v in document.items() if k not in ("attributes", "dimension_names")}
    document["attributes"] = {}
    if document.get("zarr_format") == 2:
        document["filters"] = document.get("filters") or None
    try:
        return checked(json.dumps(document)), name
    except Unreadable as error:
        raise Unreadable(f"the array {folder.name!r} {error}") from error
