"""What a visu_pars file says: how the frames of a 2dseq file are stored and what each one is.

A frame is a plane or a volume. Frames come in groups (slices, echoes, repetitions...), of which the
first changes fastest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ReadError, one_line
from .jcamp import Parameters

_SLICE = "FG_SLICE"
# in the order in which one changes faster than the other
_TIME = ("FG_MOVIE", "FG_CYCLE", "FG_REPETITION")
_COMPONENTS = {"FG_COMPLEX": ("real", "imaginary")}
_TYPES = {
    "_8BIT_UNSGN_INT": "u1",
    "_16BIT_SGN_INT": "i2",
    "_32BIT_SGN_INT": "i4",
    "_32BIT_FLOAT": "f4",
}
_ORDERS = {"littleEndian": "<", "bigEndian": ">"}
_MOST_FRAMES = 200_000
_MOST_CHANNELS = 10_000
_MOST_GROUPS = 16
_LONGEST_SIDE = 2**20


@dataclass(frozen=True)
class FrameGroup:
    """One way in which frames differ.

    Parameters
    ----------
    kind : str
        As ``FG_SLICE`` or ``FG_ECHO``.
    length : int
    names : tuple of str
        One per member.
    """

    kind: str
    length: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Frames:
    """The frames of one 2dseq file.

    Parameters
    ----------
    path : Path
        The 2dseq file.
    size : tuple of int
        Voxels of a frame along x, y and, for volumes, z.
    groups : tuple of FrameGroup
        The first changes fastest.
    stored_type : dtype
        Of the numbers in the file.
    slopes, offsets : tuple of float
        One per frame: value = stored x slope + offset.
    exchanges : tuple of (int, int) or None
        Per frame, the two axes that are stored in each other's place.
    is_reversed : bool
        The planes of a volume are stored from the last to the first.
    warnings : tuple of str
    """

    path: Path
    size: tuple[int, ...]
    groups: tuple[FrameGroup, ...]
    stored_type: np.dtype[Any]
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    exchanges: tuple[tuple[int, int] | None, ...]
    is_reversed: bool
    warnings: tuple[str, ...]

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return prod(group.length for group in self.groups)

    @cached_property
    def n_slices(self) -> int:
        """Members of the groups of slices."""
        return prod(group.length for group in self.groups if group.kind == _SLICE)

    @cached_property
    def n_times(self) -> int:
        """Members of the groups of time."""
        return prod(group.length for group in self.groups if group.kind in _TIME)

    @cached_property
    def channel_names(self) -> tuple[str, ...]:
        """Names of what is neither slice nor time; one name where there is nothing else."""
        others = [group for group in self.groups if not _is_space_or_time(group)]
        # the first group changes fastest
        members = product(*(group.names for group in reversed(others)))
        names = tuple(" ".join(reversed(member)) for member in members)
        return names if others else ("signal",)

    @cached_property
    def is_scaled(self) -> bool:
        """Whether stored numbers are not the values themselves."""
        return any(slope != 1 for slope in self.slopes) or any(self.offsets)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values: as stored, or floats that hold every scaled one."""
        native = self.stored_type.newbyteorder("=")
        if not self.is_scaled or native.kind == "f":
            return native
        return np.dtype(np.float32 if native.itemsize <= 2 else np.float64)

    def number(self, time: int, channel: int, index: int) -> int:
        """Which frame holds a time, a channel and a slice."""
        frame, stride = 0, 1
        for group in self.groups:
            if group.kind == _SLICE:
                index, member = divmod(index, group.length)
            elif group.kind in _TIME:
                time, member = divmod(time, group.length)
            else:
                channel, member = divmod(channel, group.length)
            frame += member * stride
            stride *= group.length
        return frame


def read_frames(parameters: Parameters, path: Path) -> Frames:
    """Understand a visu_pars file.

    Raises
    ------
    ReadError
        If it contradicts itself or describes no image.
    """
    size = parameters.whole_numbers("VisuCoreSize")
    kinds = parameters.words("VisuCoreDimDesc")
    if any(kind != "spatial" for kind in kinds):
        raise ReadError(path, "holds spectra, not an image", "open an imaging scan")
    if not 2 <= len(size) <= 3 or (kinds and len(kinds) != len(size)):
        raise ReadError(
            path, f"has frames of {len(size)} dimensions, not 2 or 3", "open an imaging scan"
        )
    if min(size) < 1 or max(size) > _LONGEST_SIDE:
        raise parameters.fault(f"its size makes no sense ({' x '.join(map(str, size))})")
    counts = parameters.whole_numbers("VisuCoreFrameCount")
    n_frames = counts[0] if counts else 1
    if not 1 <= n_frames <= _MOST_FRAMES:
        raise parameters.fault(f"it announces {n_frames} frames")
    stored_type = _stored_type(parameters)
    frames_bytes = n_frames * prod(size) * stored_type.itemsize
    warnings = _check_length(path, frames_bytes)
    groups = _groups(parameters, n_frames, len(size))
    slopes, offsets, more = _scaling(parameters, n_frames)
    return Frames(
        path,
        size,
        groups,
        stored_type,
        slopes,
        offsets,
        _exchanges(parameters, n_frames, size),
        len(size) == 3 and parameters.text("VisuCoreDiskSliceOrder") == "disk_reverse_slice_order",
        warnings + more,
    )


def _is_space_or_time(group: FrameGroup) -> bool:
    return group.kind == _SLICE or group.kind in _TIME


def _stored_type(parameters: Parameters) -> np.dtype[Any]:
    word, order = parameters.text("VisuCoreWordType"), parameters.text("VisuCoreByteOrder")
    if word not in _TYPES:
        raise parameters.fault(f"its numbers are of an unknown type ({word or 'not stated'})")
    if order not in _ORDERS:
        raise parameters.fault(f"its byte order is unknown ({order or 'not stated'})")
    return np.dtype(_ORDERS[order] + _TYPES[word])


def _check_length(path: Path, n_bytes: int) -> tuple[str, ...]:
    found = path.stat().st_size
    if found < n_bytes:
        raise ReadError(
            path,
            f"is cut short ({n_bytes} bytes announced by visu_pars, {found} found)",
            "copy the whole folder again",
        )
    if found > n_bytes:
        return (f"2dseq holds {found - n_bytes} bytes more than visu_pars describes",)
    return ()


def _groups(parameters: Parameters, n_frames: int, n_axes: int) -> tuple[FrameGroup, ...]:
    structs = parameters.structs("VisuFGOrderDesc")
    if not structs:
        n_places = len(parameters.numbers("VisuCorePosition")) // 3
        are_slices = n_axes == 2 and n_places == n_frames
        return (_group(_SLICE if are_slices else "FG_CYCLE", n_frames, ()),)
    if len(structs) > _MOST_GROUPS:
        raise parameters.fault(f"it has {len(structs)} groups of frames")
    comments = [one_line(word) for word in parameters.words("VisuFGElemComment")]
    depending = parameters.structs("VisuGroupDepVals")
    groups = []
    try:
        for length, kind, _, *depends in structs:
            names: Sequence[str] = ()
            if len(depends) == 2:
                first, count = (int(number) for number in depends)
                for name, start in depending[first : first + count] if first >= 0 else ():
                    if name == "VisuFGElemComment" and int(start) >= 0:
                        names = comments[int(start) : int(start) + int(length)]
            groups.append(_group(kind.upper(), int(length), names))
    except ValueError as error:
        raise parameters.fault("its groups of frames cannot be read") from error
    if min(g.length for g in groups) < 1 or prod(g.length for g in groups) != n_frames:
        shape = " x ".join(str(group.length) for group in groups)
        raise parameters.fault(f"its groups ({shape}) are not its {n_frames} frames")
    if prod(g.length for g in groups if not _is_space_or_time(g)) > _MOST_CHANNELS:
        raise parameters.fault("it has too many frames that are neither slices nor repetitions")
    return tuple(groups)


def _group(kind: str, length: int, names: Sequence[str]) -> FrameGroup:
    if not 1 <= length <= _MOST_FRAMES:
        return FrameGroup(kind, length, ())
    if len(names) != length or len(set(names)) != length:
        names = _COMPONENTS.get(kind, ())
    if len(names) != length:
        word = kind.removeprefix("FG_").lower()
        names = [f"{word} {number}" for number in range(1, length + 1)]
    return FrameGroup(kind, length, tuple(names))


def _per_frame(parameters: Parameters, name: str, n_frames: int, default: float) -> list[float]:
    """One number per frame: the file has one for all, one for each, or none."""
    numbers = list(parameters.numbers(name)) or [default]
    if len(numbers) == 1:
        numbers *= n_frames
    if len(numbers) != n_frames:
        raise parameters.fault(f"{name} has {len(numbers)} values for {n_frames} frames")
    return numbers


def _scaling(
    parameters: Parameters, n_frames: int
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[str, ...]]:
    slopes = _per_frame(parameters, "VisuCoreDataSlope", n_frames, 1.0)
    offsets = _per_frame(parameters, "VisuCoreDataOffs", n_frames, 0.0)
    if not all(isfinite(s) and s != 0 for s in slopes) or not all(map(isfinite, offsets)):
        warning = "its scale factors make no sense: the stored numbers are shown"
        return (1.0,) * n_frames, (0.0,) * n_frames, (warning,)
    return tuple(slopes), tuple(offsets), ()


def _exchanges(
    parameters: Parameters, n_frames: int, size: tuple[int, ...]
) -> tuple[tuple[int, int] | None, ...]:
    """Axes that a frame has exchanged in the file (VisuCoreTransposition).

    n below the number of axes exchanges n and n - 1; that number the first and the last. Where the
    two are equally long ParaVision leaves the frame as it is (measured by brukerapi's author on
    crossing localisers).
    """
    found: list[tuple[int, int] | None] = []
    for number in _per_frame(parameters, "VisuCoreTransposition", n_frames, 0.0):
        value = int(number) if abs(number) < 100 else 0
        axes = (0, len(size) - 1) if value >= len(size) else (value - 1, value)
        is_exchanged = value > 0 and size[axes[0]] != size[axes[1]]
        found.append(axes if is_exchanged else None)
    return tuple(found)
