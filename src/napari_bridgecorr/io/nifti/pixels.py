"""Stored voxels as values: scaled, unpacked, named by label, their axes turned around."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ReadError
from ...image import RGBA
from ..lazy import Block, Shape5
from .library import StoredVoxels

_SAMPLE_COLOURS = {channel.name: channel.colour for channel in RGBA}
_COMPLEX_PARTS: dict[str, Callable[[Block], Block]] = {
    "magnitude": np.abs,
    "phase (rad)": np.angle,
}


class NiftiPixels:
    """Reads boxes of values (see :class:`~napari_bridgecorr.voxel_source.VoxelSource`).

    Colours become channels; a complex number becomes two, magnitude and phase. A scaled value is
    float64 and equals nibabel's to the last bit.

    Parameters
    ----------
    path : Path
        The file that the user named.
    stored : StoredVoxels
    scaling : (float, float) or None
        Slope and intercept.
    is_label : bool
        The values name objects: they become integers, and anything else is refused where it is
        met.
    """

    def __init__(
        self,
        path: Path,
        stored: StoredVoxels,
        scaling: tuple[float, float] | None,
        is_label: bool,
    ) -> None:
        self._path = path
        self._stored = stored
        self._scaling = scaling
        self._is_complex = stored.dtype.kind == "c"
        # each sample is a channel of its own
        self.samples: tuple[str, ...] = (
            tuple(_COMPLEX_PARTS) if self._is_complex else stored.dtype.names or ()
        )
        self._values = self._value_dtype()
        self._name_objects = is_label and self._values.kind == "f"
        self.dtype = np.dtype(np.int32) if self._name_objects else self._values
        x, y, z, t, c = stored.sizes
        self.shape: Shape5 = (t, c * max(1, len(self.samples)), z, y, x)

    @property
    def sample_colours(self) -> tuple[str | None, ...]:
        """One per sample."""
        return tuple(_SAMPLE_COLOURS.get(name) for name in self.samples)

    def _value_dtype(self) -> np.dtype[Any]:
        if self._is_complex:
            return np.dtype(f"f{self._stored.dtype.itemsize // 2}")
        if self.samples:
            return np.dtype(np.uint8)
        if self._scaling is not None:
            return np.dtype(np.float64)
        return self._stored.dtype.newbyteorder("=")

    def read(self, starts: tuple[int, ...], stops: tuple[int, ...]) -> Block:
        """The box ``starts <= index < stops`` along (t, c, z, y, x)."""
        t, c, z, y, x = (slice(a, b) for a, b in zip(starts, stops, strict=True))
        if self._is_complex:
            values = self._complex_parts((x, y, z, t), c)
        elif self.samples:
            stored = self._stored.read((x, y, z, t, slice(0, 1)))
            values = np.concatenate([stored[name] for name in self.samples[c]], axis=-1)
        else:
            values = self._scaled(self._stored.read((x, y, z, t, c)))
        if self._name_objects:
            values = self._as_labels(values)
        return values.transpose(3, 4, 2, 1, 0).astype(self.dtype, copy=False)

    def _scaled(self, stored: Block) -> Block:
        if self._scaling is None:
            return stored
        slope, inter = self._scaling
        with np.errstate(over="ignore", invalid="ignore"):
            # the same operations in the same order as nibabel's, which skips what changes nothing
            wide = np.complex128 if self._is_complex else np.float64
            values = stored.astype(wide)
            if slope != 1.0:
                values = values * slope
            return values + inter if inter != 0.0 else values

    def _complex_parts(self, key: tuple[slice, ...], channels: slice) -> Block:
        n_parts = len(self.samples)
        numbers = range(self.shape[1])[channels]
        # channel 2 k is the magnitude of the file's k, 2 k + 1 its phase
        first, last = numbers[0] // n_parts, numbers[-1] // n_parts
        values = self._scaled(self._stored.read((*key, slice(first, last + 1))))
        parts = tuple(_COMPLEX_PARTS.values())
        with np.errstate(over="ignore", invalid="ignore"):
            return np.stack(
                [parts[n % n_parts](values[..., n // n_parts - first]) for n in numbers], axis=-1
            )

    def _as_labels(self, values: Block) -> Block:
        with np.errstate(invalid="ignore"):
            labels = values.astype(np.int32)
            fits = labels == values
        if not np.all(fits):
            wrong = values[~fits].ravel()[0]
            raise ReadError(
                self._path,
                f"says that its values are labels, but one of them is {wrong:g}",
                "clear its intent code to open it as an image",
            )
        return labels
