"""The header of a MetaImage (.mha, .mhd): one ``Key = value`` per line, the data file last.

Fields and their defaults follow MetaIO as ITK uses it; tests compare with SimpleITK.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import GeometryError, ReadError
from ...image import MISSING_SCALE
from ...units import MICROMETRES_PER_MILLIMETRE, is_length_unit, micrometres_per
from .volume_header import (
    COPY_AGAIN,
    HEADER_BYTES,
    MEND,
    DataPart,
    Encoding,
    VolumeHeader,
    beside,
    integers,
    numbers,
    read_header_bytes,
    require_sizes,
)

# MET_LONG has been 4 bytes on Windows and 8 elsewhere, but ITK writes and reads 4 for files
_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_MOST_FILES = 100_000


@dataclass(frozen=True)
class _Fields:
    """Keys in lower case, values, and what follows the last line."""

    path: Path
    values: dict[str, str]
    file_names: tuple[str, ...]
    data_offset: int

    def words(self, *keys: str) -> list[str] | None:
        """The value of the first key that is there, in words."""
        for key in keys:
            if key in self.values:
                return self.values[key].split()
        return None

    def is_true(self, *keys: str) -> bool:
        """Whether a flag is set (``True``, ``T`` or ``1``)."""
        words = self.words(*keys)
        return bool(words) and words is not None and words[0][:1].lower() in ("t", "1")


def is_meta_image(head: bytes) -> bool:
    """Whether these first bytes are those of a MetaImage header."""
    text = head[:400].decode("latin-1").lower()
    return "=" in text and any(
        line.split("=")[0].strip() in ("objecttype", "ndims") for line in text.splitlines()
    )


def parse_meta_image(path: Path) -> VolumeHeader:
    """Read and check the header.

    Raises
    ------
    ReadError
        If it is damaged, incomplete, or names data outside its folder.
    """
    fields = _split(path, read_header_bytes(path))
    n_dims = integers(path, "NDims", fields.words("ndims") or ["3"])[0]
    if not 2 <= n_dims <= 4:
        raise ReadError(path, f"has {n_dims} dimensions", "split it into images of 2 to 4")
    sizes = integers(path, "DimSize", fields.words("dimsize") or [])
    if len(sizes) != n_dims:
        raise ReadError(path, f"has {n_dims} dimensions but {len(sizes)} sizes", MEND)
    n_channels = integers(
        path, "ElementNumberOfChannels", fields.words("elementnumberofchannels") or ["1"]
    )[0]
    require_sizes(path, [n_channels, *sizes])
    axes = ("c" if n_channels > 1 else "") + "xyzt"[:n_dims]
    affine, known, step, warnings = _placed(fields, n_dims)
    return VolumeHeader(
        format="MetaImage",
        axes=axes,
        sizes=(n_channels, *sizes) if n_channels > 1 else tuple(sizes),
        dtype=_dtype(fields),
        encoding=_encoding(fields),
        parts=_parts(fields, sizes),
        affine_mm=affine,
        voxel_size_known=known,
        time_step_s=step,
        channel_names=(),
        is_label=False,
        metadata={key: value for key, value in fields.values.items() if len(value) < 200},
        warnings=tuple(warnings),
    )


def _split(path: Path, content: bytes) -> _Fields:
    values: dict[str, str] = {}
    at = 0
    while at < len(content):
        end = content.find(b"\n", at)
        if end < 0:
            end = len(content)
        line = content[at:end].decode("utf-8", "replace").strip()
        at = end + 1
        key, mark, value = line.partition("=")
        if not mark:
            # MetaIO accepts a colon too
            key, mark, value = line.partition(":")
        if not mark:
            if line:
                raise ReadError(path, f"has a line without '=' ({line[:40]!r})", MEND)
            continue
        values[key.strip().lower()] = value.strip()
        if key.strip().lower() == "elementdatafile":
            rest = content[at:] if value.strip().upper().startswith("LIST") else b""
            names = [name.strip() for name in rest.decode("utf-8", "replace").splitlines()]
            return _Fields(path, values, tuple(name for name in names if name), at)
    cut = len(content) < HEADER_BYTES
    raise ReadError(
        path,
        "ends within its header (ElementDataFile is missing)" if cut else "has no end of header",
        COPY_AGAIN,
    )


def _dtype(fields: _Fields) -> np.dtype[np.generic]:
    name = fields.values.get("elementtype", "").upper().removesuffix("_ARRAY")
    if name not in _TYPES:
        raise ReadError(fields.path, f"has an unknown voxel type ({name[:40]!r})", MEND)
    is_big = fields.is_true("binarydatabyteordermsb", "elementbyteordermsb")
    return np.dtype((">" if is_big else "<") + _TYPES[name])


def _encoding(fields: _Fields) -> Encoding:
    if "binarydata" in fields.values and not fields.is_true("binarydata"):
        return "text"
    return "zlib" if fields.is_true("compresseddata") else "raw"


def _parts(fields: _Fields, sizes: list[int]) -> tuple[DataPart, ...]:
    path = fields.path
    offset = integers(path, "HeaderSize", fields.words("headersize") or ["0"])[0]
    if offset < -1:
        raise ReadError(path, f"says that its voxels begin at byte {offset}", MEND)
    words = fields.values["elementdatafile"].split()
    if not words:
        raise ReadError(path, "names no data file", MEND)
    kind = words[0].upper()
    if kind == "LOCAL":
        # ITK counts a stated size of the header from the file's start
        return (DataPart(path, offset or fields.data_offset),)
    if kind == "LIST":
        n_dims = integers(path, "LIST", [words[1].rstrip("dD")])[0] if len(words) > 1 else 0
        per_file = len(sizes) - 1 if not 1 <= n_dims < len(sizes) else n_dims
        return _files(fields, list(fields.file_names), sizes[per_file:], offset)
    if "%" in words[0]:
        return _files(fields, _pattern_names(path, words), sizes[-1:], offset)
    return (DataPart(beside(path, fields.values["elementdatafile"]), offset),)


def _files(
    fields: _Fields, names: list[str], outer_sizes: list[int], offset: int
) -> tuple[DataPart, ...]:
    count = int(np.prod(outer_sizes, dtype=object))
    if len(names) != count:
        raise ReadError(
            fields.path, f"names {len(names)} data files where it needs {count}", COPY_AGAIN
        )
    return tuple(DataPart(beside(fields.path, name), offset) for name in names)


def _pattern_names(path: Path, words: list[str]) -> list[str]:
    """``slice.%03d.raw 1 20 1``: names by number."""
    if len(words) < 4:
        raise ReadError(path, f"does not say which numbers stand for {words[0][:60]!r}", MEND)
    first, last, step = integers(path, "ElementDataFile", words[1:4])
    return numbered_names(path, words[0], first, last, step)


def numbered_names(path: Path, pattern: str, first: int, last: int, step: int) -> list[str]:
    """Names that a C pattern as ``slice.%03d.raw`` gives for `first` to `last`.

    Raises
    ------
    ReadError
        If the pattern is none, or gives no name or too many.
    """
    head, _, tail = pattern.partition("%")
    width, mark, tail = tail.partition("d")
    if not mark or "%" in tail or not (width == "" or width.isdigit()) or len(width) > 3:
        raise ReadError(path, f"names its data files {pattern[:60]!r}", MEND)
    count = (last - first) // step + 1 if step else 0
    if not 1 <= count <= _MOST_FILES:
        raise ReadError(
            path, f"numbers its data files from {first} to {last} in steps of {step}", MEND
        )
    padded = width.startswith("0")
    return [
        head + (f"{n:0{int(width)}d}" if padded else f"{n:{int(width or 0)}d}") + tail
        for n in range(first, first + count * step, step)
    ]


def _placed(
    fields: _Fields, n_dims: int
) -> tuple[np.ndarray, tuple[bool, bool, bool], float | None, list[str]]:
    """Affine in LPS mm, which sizes are known (z, y, x), the time step, warnings."""
    path, n_space = fields.path, min(n_dims, 3)
    warnings = []
    size_words = fields.words("elementspacing", "elementsize")
    spacing = numbers(path, "ElementSpacing", size_words or ["1"] * n_dims, n_dims)
    origin = numbers(
        path, "Offset", fields.words("offset", "position", "origin") or ["0"] * n_dims, n_dims
    )
    unit_words = np.eye(n_dims).astype(int).astype(str).ravel().tolist()
    rows = numbers(
        path,
        "TransformMatrix",
        fields.words("transformmatrix", "rotation", "orientation") or unit_words,
        n_dims**2,
    )
    # the file lists one axis' direction after the other
    directions = np.array(rows).reshape(n_dims, n_dims).T
    if not (np.all(np.isfinite(spacing)) and np.all(np.isfinite(origin))):
        raise GeometryError("it holds values that are not finite numbers")
    if n_dims == 4 and (np.any(directions[:3, 3]) or np.any(directions[3, :3])):
        warnings.append("the file mixes time into space: its fourth axis is taken to be time")
    affine = np.eye(4)
    affine[:n_space, :n_space] = directions[:n_space, :n_space] * spacing[:n_space]
    affine[:n_space, 3] = origin[:n_space]
    unit = (fields.words("distanceunits") or ["mm"])[0]
    if is_length_unit(unit):
        affine[:3] *= micrometres_per(unit) / MICROMETRES_PER_MILLIMETRE
    else:
        warnings.append(f"the file's unit of length {unit[:20]!r} is unknown: mm is assumed")
    z, y, x = (size_words is not None or axis >= n_space for axis in (2, 1, 0))
    if size_words is None:
        axes = ", ".join("zyx"[3 - n_space :])
        warnings.append(
            f"{MISSING_SCALE} along {axes} in the file: 1 mm is assumed; "
            f"state it with --spacing z,y,x"
        )
    step = spacing[3] if n_dims == 4 and spacing[3] > 0 and size_words else None
    return affine, (z, y, x), step, warnings
