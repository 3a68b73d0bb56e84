"""What the header of an NRRD or MetaImage file says, in terms that both formats share.

The headers are read here and not by ITK: its parsers take fields at their word, follow data file
names anywhere, and give zeros for a compressed file that is cut short.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError

FloatArray = NDArray[np.float64]
Encoding = Literal["raw", "zlib", "bzip2", "text", "hex"]

HEADER_BYTES = 2**20
MEND = "correct the header, or export the image again"
COPY_AGAIN = "copy or export it again"


@dataclass(frozen=True)
class DataPart:
    """A stretch of voxels, a file of its own in many cases.

    Parameters
    ----------
    path : Path
    offset : int
        Byte at which they begin; -1 where they are the file's last bytes.
    """

    path: Path
    offset: int


@dataclass(frozen=True, eq=False)
class VolumeHeader:
    """One volume.

    Parameters
    ----------
    format : str
        As ``NRRD`` or ``MetaImage``.
    axes : str
        The file's axes, fastest first, of ``xyztc``.
    sizes : tuple of int
        Along `axes`.
    dtype : dtype
        With its byte order.
    encoding : Encoding
    parts : tuple of DataPart
        In the order of the voxels; of equal length.
    affine_mm : (4, 4) float64
        From (i, j, k) to LPS in mm.
    voxel_size_known : (bool, bool, bool)
        Along z, y, x.
    time_step_s : float or None
    channel_names : tuple of str
        As many as there are channels, or none.
    is_label : bool
    metadata : dict
    warnings : tuple of str
    """

    format: str
    axes: str
    sizes: tuple[int, ...]
    dtype: np.dtype[Any]
    encoding: Encoding
    parts: tuple[DataPart, ...]
    affine_mm: FloatArray
    voxel_size_known: tuple[bool, bool, bool]
    time_step_s: float | None
    channel_names: tuple[str, ...]
    is_label: bool
    metadata: dict[str, Any]
    warnings: tuple[str, ...]

    @property
    def n_bytes(self) -> int:
        """Of all voxels."""
        return math.prod(self.sizes) * self.dtype.itemsize

    def size(self, axis: str) -> int:
        """Length along one of ``tczyx``; 1 for an axis that the file lacks."""
        return self.sizes[self.axes.index(axis)] if axis in self.axes else 1


def beside(header: Path, name: str) -> Path:
    """The data file that a header names, if it lies in the header's folder or below.

    Raises
    ------
    ReadError
        If the name leads elsewhere, or there is no such file.
    """
    text = name.strip()
    fault = f"names its data file {text[:80]!r}"
    remedy = "put the data file beside the header and name it without a folder"
    if not text or "\0" in text or len(text) > 1000:
        raise ReadError(header, fault, remedy)
    # a header written under Windows may name a subfolder with a backslash
    parts = PureWindowsPath(text).parts if "\\" in text else Path(text).parts
    if not parts or PureWindowsPath(text).drive or parts[0][:1] in "/\\" or ".." in parts:
        raise ReadError(header, f"{fault}, which is not in its folder", remedy)
    place = header.parent.joinpath(*parts)
    try:
        folder = header.parent.resolve()
        if not place.resolve().is_relative_to(folder):
            raise ReadError(header, f"{fault}, which is a link to outside its folder", remedy)
        if not place.is_file():
            raise ReadError(header, f"{fault}, which is missing", "copy both files")
    except (OSError, ValueError, RuntimeError) as error:
        raise ReadError(header, f"{fault}, which cannot be opened", remedy) from error
    return place


def require_sizes(path: Path, sizes: Sequence[int]) -> None:
    """Raise ReadError unless all are at least 1 and their product is no wonder."""
    if not sizes or min(sizes) < 1 or max(sizes) >= 2**40 or math.prod(sizes) >= 2**56:
        raise ReadError(path, f"has impossible sizes {tuple(sizes)}"[:200], MEND)


def numbers(path: Path, field: str, words: Sequence[str], count: int) -> list[float]:
    """`count` numbers; ReadError if there are others."""
    try:
        found = [float(word) for word in words]
    except ValueError as error:
        raise _not_numbers(path, field, words) from error
    if len(found) != count:
        raise _not_numbers(path, field, words)
    return found


def integers(path: Path, field: str, words: Sequence[str]) -> list[int]:
    """Whole numbers; ReadError if there are others."""
    # int() of a very long text takes quadratic time, and no size is that long
    if not words or any(len(word) > 20 for word in words):
        raise _not_numbers(path, field, words)
    try:
        return [int(word) for word in words]
    except ValueError as error:
        raise _not_numbers(path, field, words) from error


def _not_numbers(path: Path, field: str, words: Sequence[str]) -> ReadError:
    said = " ".join(words)[:60]
    return ReadError(path, f"says {field!r} {said!r}, which makes no sense", MEND)


def read_header_bytes(path: Path) -> bytes:
    """The first :data:`HEADER_BYTES` of a file.

    Raises
    ------
    ReadError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(HEADER_BYTES)
    except OSError as error:
        fault = error.strerror or "unreadable"
        raise ReadError(path, f"cannot be opened ({fault})", "check the file") from error
