"""The header of an NRRD file: ``field: value`` lines up to an empty one.

The format is defined at teem.sourceforge.net/nrrd/format.html. Where it leaves things open, ITK's
reading counts; tests compare with SimpleITK.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import ReadError
from .meta_image import numbered_names
from .nrrd_place import NrrdPlace, place_nrrd
from .volume_header import (
    COPY_AGAIN,
    HEADER_BYTES,
    MEND,
    DataPart,
    Encoding,
    VolumeHeader,
    beside,
    integers,
    read_header_bytes,
    require_sizes,
)

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": (
        "longlong",
        "long long",
        "long long int",
        "signed long long",
        "signed long long int",
        "int64",
        "int64_t",
    ),
    "u8": (
        "ulonglong",
        "unsigned long long",
        "unsigned long long int",
        "uint64",
        "uint64_t",
    ),
    "f4": ("float",),
    "f8": ("double",),
}
_DTYPES = {name: code for code, names in _TYPES.items() for name in names}
_ENCODINGS: dict[str, Encoding] = {
    "raw": "raw",
    "gz": "zlib",
    "gzip": "zlib",
    "bz2": "bzip2",
    "bzip2": "bzip2",
    "txt": "text",
    "text": "text",
    "ascii": "text",
    "hex": "hex",
}
# spellings that the format allows
_SAME = {
    "axismins": "axis mins",
    "axismaxs": "axis maxs",
    "centers": "centerings",
    "lineskip": "line skip",
    "byteskip": "byte skip",
    "datafile": "data file",
}
_COLOURS = ("rgb-color", "rgba-color", "3-color", "4-color")


@dataclass(frozen=True)
class NrrdFields:
    """The header's lines.

    Parameters
    ----------
    path : Path
    values : dict
        Fields, their names in lower case.
    keys : dict
        ``key:=value`` pairs.
    file_names : tuple of str
        Lines after ``data file: LIST``.
    data_offset : int
        Byte after the header.
    """

    path: Path
    values: dict[str, str]
    keys: dict[str, str]
    file_names: tuple[str, ...]
    data_offset: int


def is_nrrd(head: bytes) -> bool:
    """Whether these first bytes are those of an NRRD file."""
    return head.startswith(b"NRRD000")


def parse_nrrd(path: Path) -> VolumeHeader:
    """Read and check the header.

    Raises
    ------
    ReadError
        If it is damaged, incomplete, or names data outside its folder.
    """
    fields = _split(path, read_header_bytes(path))
    for needed in ("dimension", "sizes", "type", "encoding"):
        if needed not in fields.values:
            raise ReadError(path, f"lacks the field {needed!r} in its header", COPY_AGAIN)
    n_dims = integers(path, "dimension", [fields.values["dimension"]])[0]
    if not 2 <= n_dims <= 5:
        raise ReadError(path, f"has {n_dims} dimensions", "split it into images of 2 to 5")
    sizes = integers(path, "sizes", fields.values["sizes"].split())
    if len(sizes) != n_dims:
        raise ReadError(path, f"has {n_dims} dimensions but {len(sizes)} sizes", MEND)
    require_sizes(path, sizes)
    encoding = _ENCODINGS.get(fields.values["encoding"].lower())
    if encoding is None:
        raise ReadError(path, f"has an unknown encoding ({fields.values['encoding'][:40]!r})", MEND)
    dtype = _dtype(fields, encoding)
    place = place_nrrd(path, fields.values, n_dims)
    is_label = dtype.kind in "iu" and any(key.startswith("Segment0_") for key in fields.keys)
    return VolumeHeader(
        format="NRRD",
        axes=place.axes,
        sizes=tuple(sizes),
        dtype=dtype,
        encoding=encoding,
        parts=_parts(fields, encoding, sizes),
        affine_mm=place.affine_mm,
        voxel_size_known=place.voxel_size_known,
        time_step_s=place.time_step_s,
        channel_names=_channel_names(place, sizes),
        is_label=is_label and "c" not in place.axes,
        metadata={
            name: value
            for name, value in {**fields.values, **fields.keys}.items()
            if len(value) < 200
        },
        warnings=place.warnings,
    )


def _split(path: Path, content: bytes) -> NrrdFields:
    values: dict[str, str] = {}
    keys: dict[str, str] = {}
    at, is_first = 0, True
    is_complete = False
    while at < len(content):
        end = content.find(b"\n", at)
        if end < 0:
            end = len(content)
        line = content[at:end].decode("utf-8", "replace").rstrip("\r")
        at = end + 1
        if is_first:
            is_first = False
            continue
        if not line.strip():
            is_complete = True
            break
        if line.startswith("#"):
            continue
        key, mark, value = line.partition(":=")
        if mark and ": " not in key:
            keys[key] = value
            continue
        name, mark, value = line.partition(":")
        if not mark:
            raise ReadError(path, f"has a header line without ':' ({line[:40]!r})", MEND)
        name = name.strip().lower()
        values[_SAME.get(name, name)] = value.strip()
        if _SAME.get(name, name) == "data file" and value.split()[:1] == ["LIST"]:
            names = content[at:].decode("utf-8", "replace").splitlines()
            listed = tuple(name.strip() for name in names if name.strip())
            return NrrdFields(path, values, keys, listed, at)
    # a detached header may end without an empty line
    if not is_complete and (len(content) >= HEADER_BYTES or "data file" not in values):
        raise ReadError(path, "ends within its header", COPY_AGAIN)
    return NrrdFields(path, values, keys, (), at)


def _dtype(fields: NrrdFields, encoding: Encoding) -> np.dtype[np.generic]:
    name = " ".join(fields.values["type"].lower().split())
    if name not in _DTYPES:
        raise ReadError(fields.path, f"has an unknown voxel type ({name[:40]!r})", MEND)
    dtype = np.dtype(_DTYPES[name])
    if dtype.itemsize == 1 or encoding == "text":
        return dtype
    endian = fields.values.get("endian", "").lower()
    if endian not in ("little", "big"):
        raise ReadError(fields.path, "does not say its byte order (field 'endian')", MEND)
    return dtype.newbyteorder("<" if endian == "little" else ">")


def _parts(fields: NrrdFields, encoding: Encoding, sizes: list[int]) -> tuple[DataPart, ...]:
    path, values = fields.path, fields.values
    line_skip = integers(path, "line skip", [values.get("line skip", "0")])[0]
    byte_skip = integers(path, "byte skip", [values.get("byte skip", "0")])[0]
    if line_skip < 0 or byte_skip < -1 or (byte_skip == -1 and encoding != "raw"):
        raise ReadError(
            path, f"skips {line_skip} lines and {byte_skip} bytes before its data", MEND
        )
    if "data file" not in values:
        parts = [DataPart(path, fields.data_offset)]
    else:
        parts = [DataPart(place, 0) for place in _data_files(fields, sizes)]
    if byte_skip == -1:
        return tuple(DataPart(part.path, -1) for part in parts)
    # in a compressed stream bytes are skipped behind the decompression, which is rarely meant
    if byte_skip and encoding != "raw":
        raise ReadError(path, "skips bytes within compressed data", "export it without 'byte skip'")
    return tuple(
        DataPart(part.path, _after_lines(part, line_skip, path) + byte_skip) for part in parts
    )


def _data_files(fields: NrrdFields, sizes: list[int]) -> list[Path]:
    path, value = fields.path, fields.values["data file"]
    words = value.split()
    per_file = len(sizes) - 1
    if words and words[0] == "LIST":
        if len(words) > 1:
            per_file = integers(path, "data file", words[1:2])[0]
        names = list(fields.file_names)
    elif len(words) >= 4 and re.search("%[0-9]*d", words[0]):
        first, last, step = integers(path, "data file", words[1:4])
        if len(words) > 4:
            per_file = integers(path, "data file", words[4:5])[0]
        names = numbered_names(path, words[0], first, last, step)
    else:
        return [beside(path, value)]
    if not 1 <= per_file <= len(sizes):
        raise ReadError(path, f"has data files of {per_file} dimensions", MEND)
    # files may each hold a piece of the slowest axis instead of whole slices
    outer = int(np.prod([1, *sizes[per_file:]], dtype=object))
    if per_file == len(sizes):
        if not names or sizes[-1] % len(names):
            raise ReadError(path, f"spreads {sizes[-1]} slices over {len(names)} files", MEND)
    elif len(names) != outer:
        raise ReadError(path, f"names {len(names)} data files where it needs {outer}", COPY_AGAIN)
    return [beside(path, name) for name in names]


def _after_lines(part: DataPart, n_lines: int, header: Path) -> int:
    """Byte after `n_lines` lines of the data file."""
    if not n_lines:
        return part.offset
    with part.path.open("rb") as file:
        file.seek(part.offset)
        head = file.read(HEADER_BYTES)
    at = 0
    for _ in range(min(n_lines, HEADER_BYTES + 1)):
        at = head.find(b"\n", at) + 1
        if not at:
            raise ReadError(header, f"skips {n_lines} lines that are not there", MEND)
    return part.offset + at


def _channel_names(place: NrrdPlace, sizes: list[int]) -> tuple[str, ...]:
    if "c" not in place.axes or place.channel_kind not in _COLOURS:
        return ()
    count = sizes[place.axes.index("c")]
    return tuple("RGBA"[:count]) if count in (3, 4) else ()
