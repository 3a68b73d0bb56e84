"""The only file that talks to zarr: arrays with bounded codecs over guarded files, and writing.

An array's metadata is checked before anything is read by it, and its codecs are wrapped so that no
chunk unpacks to more than the array states.
"""

from __future__ import annotations

import asyncio
import json
import lzma
import math
import warnings
import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.codecs import BloscCodec
from zarr.codecs.sharding import ShardingCodec
from zarr.storage import StorePath

from ...errors import one_line
from ...versions import library_versions
from .bounds import COMPRESSORS, check_codecs, check_unpacked
from .files import Folder, Unreadable

FAULTS = (
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


@dataclass(frozen=True, eq=False)
class Checked:
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


def n_chunks(shape: Sequence[int], chunks: Sequence[int]) -> int:
    """Chunks that cover a shape."""
    return math.prod(-(-n // c) for n, c in zip(shape, chunks, strict=True))


@lru_cache(maxsize=256)
def checked(text: str) -> Checked:
    """An array's metadata by their JSON.

    Raises
    ------
    Unreadable
        If they are broken, absurd, or not of numbers; the reason goes on from the array's name.
    """
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
    except FAULTS as error:
        raise Unreadable(f"is broken ({type(error).__name__}: {one_line(error)})") from error
    if not shape or min(shape) < 1 or max(shape) > _LARGEST_AXIS or min(inner) < 1:
        raise Unreadable(f"has the absurd shape {shape}")
    if dtype.kind not in "biuf":
        raise Unreadable(f"holds {dtype}, which are no intensities")
    # zarr decodes whole chunks, beyond the array's end too
    chunk_bytes = math.prod(inner) * dtype.itemsize
    if len(inner) != len(shape) or chunk_bytes > _LARGEST_CHUNK_BYTES:
        raise Unreadable(f"has the absurd chunks {inner}")
    n_inner = n_chunks(outer, inner)
    if n_chunks(shape, inner) > _MOST_CHUNKS:
        raise Unreadable(f"is cut into absurdly many chunks of {inner}")
    if n_inner > _MOST_CHUNKS_PER_SHARD:
        raise Unreadable(f"has the absurd shards {outer}")
    # filters may need more room than what they give back
    most = 16 * chunk_bytes + 2**20
    try:
        bounded = _bounded(metadata, most)
    except FAULTS as error:
        raise Unreadable(f"is broken ({one_line(error)})") from error
    native = dtype.newbyteorder("=")
    return Checked(bounded, shape, inner, outer, native, n_inner * (most + 16))


def zarr_array(checked: Checked, folder: Folder) -> Any:
    """The array of these metadata in a folder."""
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
            check_unpacked(self._name, memoryview(packed).cast("B"), self._most)
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
                check_unpacked(name, memoryview(packed.as_numpy_array()), self.most)
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


def open_written(folder: Path) -> Any:
    """Open an array of :func:`create_array` again, to write to it or read from it."""
    # an array that is opened takes no settings of its own
    with zarr.config.set({"array.write_empty_chunks": True}):
        return zarr.open_array(str(folder), mode="r+")


def writing_versions() -> dict[str, str]:
    """Versions of what determines the bytes of a file, besides the pixels."""
    return {
        **library_versions(),
        **{name: version(name) for name in ("zarr", "numcodecs")},
    }
