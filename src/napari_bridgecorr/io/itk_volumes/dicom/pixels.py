"""Boxes of a stack's pixels. Plain planes are read by row; compressed ones by SimpleITK."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import ReadError, one_line
from ...lazy import Block, Shape5, plane_chunks
from .decoder import DecodingError, decode_dicom
from .planes import Plane, PlaneFormat
from .stacks import Stack

# SimpleITK reads a file as a whole
_MOST_DECODED_BYTES = 2**29
# no picture of a scanner is compressed further
_LARGEST_RATIO = 2000
_HELD = ("_lock", "_decoded", "_refused")


class DicomPixels:
    """Reads boxes (see :class:`~napari_bridgecorr.voxel_source.VoxelSource`).

    Raises
    ------
    ReadError
        If a compressed file would be too large in memory.
    """

    def __init__(self, stack: Stack) -> None:
        self._planes = stack.planes
        first = stack.planes[0][0]
        self._format = first.format
        every = [plane for time in stack.planes for plane in time]
        self._scalings = {(plane.slope, plane.intercept) for plane in every}
        self.dtype = value_dtype(first.format, self._scalings)
        self.shape: Shape5 = (
            len(stack.planes),
            first.format.samples,
            len(stack.planes[0]),
            first.format.rows,
            first.format.columns,
        )
        for plane in every:
            if plane.format.by_library:
                _require_decodable(plane)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._decoded: tuple[Path, Block] | None = None
        self._refused: dict[Path, ReadError] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in _HELD}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    @property
    def chunks(self) -> Shape5:
        """Whole planes with their colours."""
        t, _, z, y, x = plane_chunks(self.shape, self.dtype.itemsize * self.shape[1])
        if all(plane.format.by_library for plane in self._planes[0]):
            return t, self.shape[1], z, self.shape[3], x
        return t, self.shape[1], z, y, x

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> Block:
        """The box ``starts <= index < stops`` along (t, c, z, y, x)."""
        shape = [stop - start for start, stop in zip(starts, stops, strict=True)]
        found = np.empty(shape, self.dtype)
        (_, c0, _, y0, x0), (_, c1, _, y1, x1) = starts, stops
        for t in range(starts[0], stops[0]):
            for z in range(starts[2], stops[2]):
                plane = self._planes[t][z]
                rows = (
                    self._decode(plane)[y0:y1]
                    if plane.format.by_library
                    else _scaled(_stored_rows(plane, y0, y1), plane, self.dtype)
                )
                found[t - starts[0], :, z - starts[2]] = rows[:, x0:x1, c0:c1].transpose(2, 0, 1)
        return found

    def _decode(self, plane: Plane) -> Block:
        """A plane's values (rows, columns, samples), by SimpleITK."""
        with self._lock:
            if plane.path in self._refused:
                raise self._refused[plane.path]
            if self._decoded is None or self._decoded[0] != plane.path:
                self._decoded = None
                try:
                    self._decoded = (plane.path, _decoded_frames(plane))
                except ReadError as error:
                    # not again for every block: a hanging decoder costs seconds
                    self._refused[plane.path] = error
                    raise
            found: Block = self._decoded[1][plane.frame].astype(self.dtype, copy=False)
        return found


def _decoded_frames(plane: Plane) -> Block:
    """All frames of a plane's file (frames, rows, columns, samples)."""
    size = (plane.n_frames, plane.format.rows, plane.format.columns, plane.format.samples)
    try:
        values = decode_dicom(plane.path, plane.format.frame_bytes * plane.n_frames)
    except DecodingError as error:
        raise ReadError(
            plane.path,
            f"holds damaged pixels: {one_line(error)}",
            "export it again, or convert it to NIfTI",
        ) from error
    # a table of colours turns one sample into three
    if values.size != np.prod(size, dtype=object) or values.dtype.kind not in "iuf":
        raise ReadError(
            plane.path,
            f"gives {values.shape} pixels where it announces {size}",
            "convert it to NIfTI, for example with dcm2niix",
        )
    return values.reshape(size)


def value_dtype(plane_format: PlaneFormat, scalings: set[tuple[float, float]]) -> np.dtype[Any]:
    """Type that holds every rescaled value, chosen as GDCM and with it ITK choose.

    Parameters
    ----------
    plane_format : PlaneFormat
    scalings : set of (slope, intercept)
        Of all planes of the image.
    """
    bits, signed = plane_format.bits_stored, plane_format.is_signed
    stored = np.dtype(f"{'i' if signed else 'u'}{plane_format.bits_allocated // 8}")
    if scalings == {(1.0, 0.0)}:
        return stored
    if any(slope != int(slope) or intercept != int(intercept) for slope, intercept in scalings):
        return np.dtype(np.float64)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    values = [int(s) * v + int(i) for s, i in scalings for v in (low, high)]
    # the smallest type of one sign: unsigned where nothing is negative
    for name in ("u1", "u2", "u4") if min(values) >= 0 else ("i1", "i2", "i4"):
        limits = np.iinfo(name)
        if limits.min <= min(values) and max(values) <= limits.max:
            return np.dtype(name)
    return np.dtype(np.float64)


def _stored_rows(plane: Plane, first: int, last: int) -> Block:
    """Rows `first` to `last` of a plain plane, (rows, columns, samples), as integers."""
    how = plane.format
    row_bytes = how.columns * how.bits_allocated // 8
    start = plane.pixels.offset + plane.frame * how.frame_bytes
    pieces = []
    try:
        with plane.path.open("rb") as file:
            for sample in range(how.samples if how.is_planar else 1):
                width = row_bytes if how.is_planar else row_bytes * how.samples
                file.seek(start + sample * how.rows * row_bytes + first * width)
                piece = file.read((last - first) * width)
                if len(piece) < (last - first) * width:
                    raise ReadError(plane.path, "has changed since it was opened", "open it again")
                pieces.append(np.frombuffer(piece, how.stored_dtype))
    except OSError as error:
        fault = f"cannot be read ({error.strerror or 'damaged'})"
        raise ReadError(plane.path, fault, "check the file") from error
    if how.is_planar:
        stored = np.stack([p.reshape(last - first, how.columns) for p in pieces], axis=-1)
    else:
        stored = pieces[0].reshape(last - first, how.columns, how.samples)
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    return _unpacked(stored, how)


def _unpacked(stored: Block, how: PlaneFormat) -> Block:
    """Only the bits that count, with their sign."""
    above = how.bits_allocated - how.high_bit - 1
    below = how.high_bit + 1 - how.bits_stored
    if above or below:
        stored = stored << above
    values = stored.view(f"i{stored.dtype.itemsize}") if how.is_signed else stored
    return values >> (above + below) if above or below else values


def _scaled(values: Block, plane: Plane, dtype: np.dtype[Any]) -> Block:
    if (plane.slope, plane.intercept) == (1.0, 0.0):
        return values.astype(dtype, copy=False)
    if dtype.kind in "iu":
        return (values.astype(np.int64) * int(plane.slope) + int(plane.intercept)).astype(dtype)
    return values.astype(np.float64) * plane.slope + plane.intercept


def _require_decodable(plane: Plane) -> None:
    n_bytes = plane.format.frame_bytes * plane.n_frames
    if n_bytes > _LARGEST_RATIO * plane.pixels.length:
        raise ReadError(
            plane.path,
            f"is cut short or its header is wrong ({n_bytes} bytes of pixels in "
            f"{plane.pixels.length})",
            "copy or export it again",
        )
    if n_bytes > _MOST_DECODED_BYTES:
        raise ReadError(
            plane.path,
            f"holds {n_bytes / 2**30:.1f} GiB of compressed pixels, which can only be read at once",
            "convert it to NIfTI, for example with dcm2niix",
        )
