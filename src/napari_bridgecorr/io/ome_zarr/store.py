"""The only file that talks to zarr: groups and arrays, read lazily and written block by block.

Reading goes through :class:`~.files.Files`, never through zarr's own stores: one place keeps links,
zip members and network answers within bounds. An array's metadata is checked before zarr sees it,
and its codecs are wrapped so that no chunk unpacks to more than the array states.
"""

from __future__ import annotations

import asyncio
import json
import lzma
import math
import re
import warnings
import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.codec import BytesBytesCodec
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.codecs import BloscCodec
from zarr.codecs.sharding import ShardingCodec
from zarr.storage import StorePath

from ...errors import ReadError, one_line
from ..lazy import lazily, read_indexed
from .bounds import COMPRESSORS, check_codecs, check_unpacked
from .files import Folder, Unreadable, folder_at

__all__ = [
    "StoredArray",
    "Unreadable",
    "attributes",
    "create_array",
    "create_group",
    "open_stored",
    "read_whole",
    "write_attributes",
]

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
    Unreadable,
)
"""What zarr and its codecs raise on damaged metadata or chunks; they have no common base."""

_LARGEST_AXIS = 2**26
_LARGEST_CHUNK_BYTES = 2**31
_MOST_CHUNKS = 2**30
_MOST_CHUNKS_PER_SHARD = 2**21
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


@dataclass(frozen=True, eq=False)
class _Checked:
    """An array's metadata, found to be harmless. Shared by arrays that are described alike.

    Parameters
    ----------
    metadata : zarr's
        With bounded codecs.
    shape, inner, outer : tuple of int
        Of the array, of what is decoded at once, and of what one file holds.
    dtype : dtype
        In the machine's byte order.
    most_bytes : int
        Largest file of a chunk or shard that is believed.
    """

    metadata: Any
    shape: tuple[int, ...]
    inner: tuple[int, ...]
    outer: tuple[int, ...]
    dtype: np.dtype[Any]
    most_bytes: int


class StoredArray:
    """Array-like (t, c, z, y, x) view of a stored array, whatever axes it has. Picklable.

    Parameters
    ----------
    checked : _Checked
    folder : Folder
    axes : str
        Name of each stored axis, of ``tczyx``, in any order.
    document_name : str
        File of its metadata.
    """

    def __init__(self, checked: _Checked, folder: Folder, axes: str, document_name: str) -> None:
        self._checked = checked
        self._document_name = document_name
        self.folder = folder
        self.axes = axes
        self.shape = self._spread(checked.shape)
        self.chunks = self._spread(checked.inner)
        self.dtype = checked.dtype

    def __reduce__(self) -> tuple[Any, ...]:
        # zarr forgets the wrapped codecs when it is pickled
        return open_stored, (self.folder, self.axes)

    @cached_property
    def array(self) -> Any:
        """The zarr array. Made when it is first read: a plate has thousands."""
        return _zarr_array(self._checked, self.folder)

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
        checked = self._checked
        return tuple(-(-n // c) for n, c in zip(checked.shape, checked.outer, strict=True))

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
        wanted = [slice(a, b) for a, b in zip(starts, stops, strict=True)]
        try:
            found = np.asarray(self.array[tuple(wanted["tczyx".index(a)] for a in self.axes)])
        except _FAULTS as error:
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
        state = self.folder.files.state(self.folder.file_key(self._document_name))
        place = f"{self.folder.files!r}:{self.folder.key}"
        return lazily(self, self.blocks, f"{place}:{state}:{self.axes}:{self.shape}")

    @cached_property
    def blocks(self) -> list[int]:
        """Size of a block: compact, not tiny, and so large that there are not too many."""
        blocks = [min(c, n) for c, n in zip(self.chunks, self.shape, strict=True)]
        while True:
            size = self.dtype.itemsize * math.prod(blocks)
            n_blocks = _n_chunks(self.shape, blocks)
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


def _n_chunks(shape: Sequence[int], chunks: Sequence[int]) -> int:
    return math.prod(-(-n // c) for n, c in zip(shape, chunks, strict=True))


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
    checked, document_name = _checked(folder)
    name, shape = folder.name, checked.shape
    if len(shape) != len(axes):
        raise Unreadable(f"the array {name!r} has {len(shape)} axes, the metadata {len(axes)}")
    stored = StoredArray(checked, folder, axes, document_name)
    if _n_chunks(stored.shape, stored.blocks) > _ABSURDLY_MANY_BLOCKS:
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
    checked, _ = _checked(folder)
    if math.prod(checked.shape) * checked.dtype.itemsize > most_bytes:
        raise Unreadable(f"the array {folder.name!r} is larger than expected {checked.shape}")
    try:
        return np.asarray(_zarr_array(checked, folder)[...])
    except _FAULTS as error:
        raise Unreadable(f"the array {folder.name!r} cannot be read ({one_line(error)})") from error


def array_axes(place: Folder | Path) -> int | None:
    """Number of axes of an array; None where there is none."""
    folder = _folder(place)
    document = folder.json("zarr.json") or folder.json(".zarray") or {}
    shape = document.get("shape")
    return len(shape) if isinstance(shape, list) else None


def _checked(folder: Folder) -> tuple[_Checked, str]:
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
        return _checked_text(json.dumps(document)), name
    except Unreadable as error:
        raise Unreadable(f"the array {folder.name!r} {error}") from error


@lru_cache(maxsize=256)
def _checked_text(text: str) -> _Checked:
    """Metadata by their JSON; raises Unreadable, whose text goes on from the array's name."""
    document = json.loads(text)
    check_codecs(document)
    try:
        with warnings.catch_warnings():
            # zarr's advice is for those who write such files
            warnings.simplefilter("ignore")
            place = StorePath(_ArrayStore(Folder(_Nowhere()), 0))
            metadata = zarr.Array.from_dict(place, document).metadata
        shape = tuple(int(n) for n in metadata.shape)
        dtype = np.dtype(metadata.dtype.to_native_dtype())
        inner, outer = _chunk_shapes(metadata)
    except _FAULTS as error:
        raise Unreadable(f"is broken ({type(error).__name__}: {one_line(error)})") from error
    if not shape or min(shape) < 1 or max(shape) > _LARGEST_AXIS or min(inner) < 1:
        raise Unreadable(f"has the absurd shape {shape}")
    if dtype.kind not in "biuf":
        raise Unreadable(f"holds {dtype}, which are no intensities")
    # zarr decodes whole chunks, beyond the array's end too
    chunk_bytes = math.prod(inner) * dtype.itemsize
    if len(inner) != len(shape) or chunk_bytes > _LARGEST_CHUNK_BYTES:
        raise Unreadable(f"has the absurd chunks {inner}")
    n_inner = _n_chunks(outer, inner)
    if _n_chunks(shape, inner) > _MOST_CHUNKS:
        raise Unreadable(f"is cut into absurdly many chunks of {inner}")
    if n_inner > _MOST_CHUNKS_PER_SHARD:
        raise Unreadable(f"has the absurd shards {outer}")
    # filters may need more room than what they give back
    most = 16 * chunk_bytes + 2**20
    try:
        bounded = _bounded(metadata, most)
    except _FAULTS as error:
        raise Unreadable(f"is broken ({one_line(error)})") from error
    native = dtype.newbyteorder("=")
    return _Checked(bounded, shape, inner, outer, native, n_inner * (most + 16))


def _zarr_array(checked: _Checked, folder: Folder) -> Any:
    store = _ArrayStore(folder, checked.most_bytes)
    return zarr.Array(zarr.AsyncArray(checked.metadata, StorePath(store)))


class _Nowhere:
    """No files: what metadata are looked at with."""

    name = location = ""
    is_remote = False

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """None."""

    def size(self, key: str) -> int | None:
        """None."""

    def names(self, key: str) -> list[tuple[str, bool]] | None:
        """None."""

    def state(self, key: str) -> str:
        """Never changes."""
        return key


def _chunk_shapes(metadata: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape of what is decoded at once, and of what one file holds."""
    if metadata.zarr_format == 2:
        chunks = tuple(int(n) for n in metadata.chunks)
        return chunks, chunks
    outer = tuple(int(n) for n in metadata.chunk_grid.chunk_shape)
    inner, codecs = outer, metadata.codecs
    # a shard among other codecs is decoded whole
    while len(codecs) == 1 and isinstance(codecs[0], ShardingCodec):
        inner, codecs = tuple(int(n) for n in codecs[0].chunk_shape), codecs[0].codecs
    return inner, outer


def _bounded(metadata: Any, most: int) -> Any:
    """The same metadata with codecs that refuse to unpack more than `most` bytes of a chunk."""
    if metadata.zarr_format == 2:
        compressor, filters = metadata.compressor, metadata.filters
        return replace(
            metadata,
            compressor=None if compressor is None else _BoundedV2(compressor, most),
            filters=None if filters is None else tuple(_BoundedV2(f, most) for f in filters),
        )
    return replace(metadata, codecs=_bounded_codecs(metadata.codecs, most))


def _bounded_codecs(codecs: Iterable[Any], most: int) -> tuple[Any, ...]:
    bounded: list[Any] = []
    for codec in codecs:
        if isinstance(codec, ShardingCodec):
            bounded.append(replace(codec, codecs=_bounded_codecs(codec.codecs, most)))
        elif isinstance(codec, BytesBytesCodec):
            bounded.append(_BoundedV3(codec, most))
        else:
            bounded.append(codec)
    return tuple(bounded)


class _BoundedV2:
    """A codec of Zarr format 2 that checks what it is about to unpack."""

    codec_id = "bounded"

    def __init__(self, codec: Any, most: int) -> None:
        self._codec = codec
        self._most = most
        self._name = str(codec.codec_id)

    def decode(self, packed: Any, out: Any = None) -> Any:
        """Unpack a chunk."""
        if self._name in COMPRESSORS:
            check_unpacked(self._name, memoryview(packed).cast("B").tobytes(), self._most)
        return self._codec.decode(packed) if out is None else self._codec.decode(packed, out)

    def encode(self, plain: Any) -> Any:
        """Pack a chunk."""
        return self._codec.encode(plain)

    def get_config(self) -> Any:
        """As the codec's own."""
        return self._codec.get_config()

    @classmethod
    def from_config(cls, config: Any) -> Any:
        """Bounded codecs are made from codecs, never from JSON."""
        raise NotImplementedError(f"{config}")


@dataclass(frozen=True)
class _BoundedV3(BytesBytesCodec):  # type: ignore[misc,unused-ignore]
    """A bytes-to-bytes codec of Zarr format 3 that checks what it is about to unpack."""

    codec: Any
    most: int
    is_fixed_size = False

    async def decode(self, chunks_and_specs: Iterable[tuple[Any, Any]]) -> Any:
        """Unpack chunks."""
        listed = list(chunks_and_specs)
        name = str(self.codec.to_dict().get("name", ""))
        for packed, _ in listed:
            if packed is not None:
                check_unpacked(name, packed.to_bytes(), self.most)
        return await self.codec.decode(listed)

    async def encode(self, chunks_and_specs: Iterable[tuple[Any, Any]]) -> Any:
        """Pack chunks."""
        return await self.codec.encode(chunks_and_specs)

    def evolve_from_array_spec(self, array_spec: Any) -> Any:
        """See zarr."""
        return replace(self, codec=self.codec.evolve_from_array_spec(array_spec))

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        """See zarr."""
        return int(self.codec.compute_encoded_size(input_byte_length, chunk_spec))

    def to_dict(self) -> Any:
        """As the codec's own."""
        return self.codec.to_dict()


class _ArrayStore(Store):  # type: ignore[misc,unused-ignore]
    """One array's chunks as zarr asks for them. Read only."""

    supports_writes = False
    supports_deletes = False
    supports_listing = False

    def __init__(self, folder: Folder, most_bytes: int) -> None:
        super().__init__(read_only=True)
        self._folder = folder
        self._most_bytes = most_bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ArrayStore) and self._folder == other._folder

    def __hash__(self) -> int:
        return hash(self._folder.key)

    def __str__(self) -> str:
        return f"{self._folder.files.name}/{self._folder.key}"

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Content of a chunk's file, or None."""
        content = await asyncio.to_thread(self._read, key, byte_range)
        return None if content is None else prototype.buffer.from_bytes(content)

    def _read(self, key: str, byte_range: Any) -> bytes | None:
        files, place = self._folder.files, self._folder.file_key(key)
        match byte_range:
            case RangeByteRequest(start=start, end=end):
                return files.read(place, max(0, int(start)), max(0, int(end)))
            case OffsetByteRequest(offset=offset):
                return files.read(place, int(offset), int(offset) + self._most_bytes)
            case SuffixByteRequest(suffix=suffix):
                return files.read(place, -int(suffix))
        content = files.read(place, 0, self._most_bytes + 1)
        if content is not None and len(content) > self._most_bytes:
            raise Unreadable(f"the file of chunk {key!r} is far larger than the chunk")
        return content

    async def get_partial_values(
        self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]
    ) -> list[Any]:
        """Several of :meth:`get`."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether there is a chunk's file."""
        place = self._folder.file_key(key)
        return await asyncio.to_thread(self._folder.files.size, place) is not None

    async def set(self, key: str, value: Any) -> None:
        """Refused."""
        raise NotImplementedError(f"{key}, {value}")

    async def delete(self, key: str) -> None:
        """Refused."""
        raise NotImplementedError(key)

    async def list(self) -> AsyncIterator[str]:
        """Nothing: chunks are asked for by name."""
        nothing: tuple[str, ...] = ()
        for name in nothing:
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:  # noqa: ARG002
        """Nothing: chunks are asked for by name."""
        nothing: tuple[str, ...] = ()
        for name in nothing:
            yield name

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:  # noqa: ARG002
        """Nothing: chunks are asked for by name."""
        nothing: tuple[str, ...] = ()
        for name in nothing:
            yield name


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
    axes: Sequence[str],
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
