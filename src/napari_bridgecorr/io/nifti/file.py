"""The bytes of a NIfTI file: which version, header extensions, whether the file is whole.

No nibabel here: these checks come before any library sees a damaged file.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ...errors import ReadError, one_line
from ..signature import HEAD_BYTES, mislabelled

ANALYZE = 0
"""The version of a pair that has no magic number: ANALYZE 7.5."""

_EXTENSION_BYTES = 2**20
# a deflate stream expands at most 1032-fold (zlib's technical notes)
_GZIP_RATIO = 1032
# smaller streams are decompressed once on opening, which also checks their checksum
_CHECK_ALL_BYTES = 64 * 2**20
_MAGICS = (b"n+1", b"ni1", b"n+2", b"ni2")
_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
_COPY_AGAIN = "copy or download it again"


@dataclass(frozen=True)
class NiftiHead:
    """The start of a NIfTI file.

    Parameters
    ----------
    version : int
        1 or 2; :data:`ANALYZE` for a pair that is no NIfTI yet.
    endianness : str
        ``<`` or ``>``.
    header : bytes
        The 348 or 540 bytes of the header.
    comments : tuple of bytes
        Content of the header extensions that are comments (code 6).
    data_path : Path
        File that holds the pixels (the ``.img`` of a pair).
    """

    version: int
    endianness: str
    header: bytes
    comments: tuple[bytes, ...]
    data_path: Path


def is_compressed(path: Path) -> bool:
    """Whether the name says gzip."""
    return path.name.lower().endswith(".gz")


def read_nifti_head(path: Path) -> NiftiHead:
    """Read and check the start of a file.

    Raises
    ------
    ReadError
        If the file is not NIfTI, or ends within its header.
    """
    header_path, data_path = _pair(path)
    try:
        with _open(header_path) as file:
            head = file.read(HEAD_BYTES)
            version, endianness = _version(header_path, head, is_pair=header_path != data_path)
            size = 540 if version == 2 else 348
            if len(head) < size:
                raise ReadError(path, f"ends within its header ({len(head)} bytes)", _COPY_AGAIN)
            extensions = head[size:] + file.read(_EXTENSION_BYTES)
    except _DAMAGED as error:
        raise _not_gzip(header_path, error) from error
    except OSError as error:
        raise ReadError(header_path, one_line(error), "check the file") from error
    comments = () if version == ANALYZE else _comments(extensions, endianness)
    return NiftiHead(version, endianness, head[:size], comments, data_path)


def require_complete(path: Path, n_bytes: int) -> None:
    """Raise ReadError unless the (decompressed) file has at least `n_bytes` bytes.

    A compressed file is decompressed only if it is small, or if the length in its trailer is not
    the one expected (several members, padding, or a cut).
    """
    on_disk = path.stat().st_size
    if not is_compressed(path):
        if on_disk < n_bytes:
            raise _too_short(path, n_bytes, on_disk)
        return
    if n_bytes > _GZIP_RATIO * on_disk + HEAD_BYTES:
        raise ReadError(
            path,
            f"is cut short or its header is wrong ({n_bytes} bytes of pixels cannot be compressed "
            f"to {on_disk})",
            _COPY_AGAIN,
        )
    with path.open("rb") as file:
        file.seek(-4, 2)
        (trailer,) = struct.unpack("<I", file.read(4))
    if trailer == n_bytes % 2**32 and n_bytes > _CHECK_ALL_BYTES:
        return
    found = 0
    try:
        with gzip.open(path, "rb") as stream:
            # to the end, not to n_bytes: the checksum is compared there
            while block := stream.read(2**20):
                found += len(block)
                if found > n_bytes + _CHECK_ALL_BYTES:
                    return
    except _DAMAGED as error:
        if found < n_bytes or not isinstance(error, gzip.BadGzipFile):
            raise ReadError(
                path, f"is damaged or cut short ({one_line(error)})", _COPY_AGAIN
            ) from error
        if "CRC" in str(error):
            raise ReadError(path, "is damaged (its checksum is wrong)", _COPY_AGAIN) from error
        # what follows the last member is not gzip: padding, which other readers accept too
    if found < n_bytes:
        raise _too_short(path, n_bytes, found)


def _too_short(path: Path, needed: int, found: int) -> ReadError:
    return ReadError(
        path,
        f"is cut short or its header is wrong ({needed} bytes announced, {found} found)",
        _COPY_AGAIN,
    )


def _pair(path: Path) -> tuple[Path, Path]:
    """Header file and pixel file of what the user named."""
    compressed = ".gz" if is_compressed(path) else ""
    stem = path.name[: len(path.name) - len(compressed)]
    if not stem.lower().endswith((".hdr", ".img")):
        return path, path
    header = path.with_name(stem[:-4] + ".hdr" + compressed)
    pixels = path.with_name(stem[:-4] + ".img" + compressed)
    for half in (header, pixels):
        if not half.is_file():
            raise ReadError(path, f"is half of a pair ({half.name} is missing)", "copy both files")
    return header, pixels


def _open(path: Path) -> BinaryIO:
    if not is_compressed(path):
        return path.open("rb")
    with path.open("rb") as file:
        start = file.read(HEAD_BYTES)
    if not start.startswith(b"\x1f\x8b"):
        fault, remedy = mislabelled(start, "gzip-compressed NIfTI")
        raise ReadError(path, fault, remedy)
    return cast(BinaryIO, gzip.open(path, "rb"))


def _not_gzip(path: Path, error: Exception) -> ReadError:
    return ReadError(path, f"is damaged or cut short ({one_line(error)})", _COPY_AGAIN)


def _version(path: Path, head: bytes, *, is_pair: bool) -> tuple[int, str]:
    for endianness in "<>":
        size = struct.unpack(f"{endianness}i", head[:4].ljust(4, b"\0"))[0]
        if size == 348 and head[344:348] in (b"n+1\0", b"ni1\0"):
            return 1, endianness
        if size == 540 and head[4:8] in (b"n+2\0", b"ni2\0"):
            return 2, endianness
        if size == 348 and len(head) < 348:
            raise ReadError(path, f"ends within its header ({len(head)} bytes)", _COPY_AGAIN)
        if size == 348 and is_pair and head[344:347] not in _MAGICS:
            # these bytes are free in ANALYZE; a magic of the other kind is a damaged NIfTI
            return ANALYZE, endianness
        if size == 348 and head[344:348] == b"\0\0\0\0":
            raise ReadError(
                path,
                "holds an ANALYZE 7.5 header, but ANALYZE keeps header and voxels in two files",
                "name the .hdr or .img file of the pair",
            )
    if head.startswith(b"\x1f\x8b"):
        raise ReadError(
            path,
            "is gzip-compressed though its name does not say so",
            "rename it to end in .nii.gz",
        )
    fault, remedy = mislabelled(head, "NIfTI")
    raise ReadError(path, fault, remedy)


def _comments(extensions: bytes, endianness: str) -> tuple[bytes, ...]:
    """Comment extensions: 4 flag bytes, then (size, code, content) each. Damaged ones end it."""
    if extensions[:1] in (b"", b"\0"):
        return ()
    comments = []
    at = 4
    while at + 8 <= len(extensions):
        size, code = struct.unpack(f"{endianness}ii", extensions[at : at + 8])
        if size < 16 or at + size > len(extensions):
            break
        if code == 6:
            comments.append(extensions[at + 8 : at + size].rstrip(b"\0"))
        at += size
    return tuple(comments)
