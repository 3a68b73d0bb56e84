"""Whether an image can be as large as its file says.

Files of small-animal MRI are often stored ten times too large, because FSL, SPM and others are
tuned to human heads; and a length in m or um is easily written where mm is meant. A file cannot
tell this of itself: the image's extent can. Knows no format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..geometry import Grid
from ..image import DOUBTFUL_SCALE
from ..units import MICROMETRES_PER_MILLIMETRE

# The Allen mouse brain (CCFv3) fills 8 x 13.2 x 11.4 mm (dorsal-ventral, anterior-posterior,
# left-right), with the olfactory bulb and medulla about 15 mm; fields of view around a mouse's
# or a rat's head reach from 10 to 70 mm.
MOUSE_BRAIN_MM = (8.0, 15.0, 11.0)
_RODENT_HEAD_MM = (8.0, 80.0)
# The MNI152 field of view is 181 x 217 x 181 mm; a head coil sees at most about 400 mm.
_HUMAN_HEAD_MM = (80.0, 400.0)
# No scanner's field of view along every axis is larger; a whole body is about 1800 mm along one.
_LARGEST_SCAN_MM = 600.0
# MRI and PET voxels stay below 8 mm in the plane; slices of a localiser may lie 20 mm apart.
_LARGEST_IN_PLANE_MM = 8.0
_LARGEST_STEP_MM = 25.0
# A volume smaller than this holds a cell or two: numbers in m where mm is said come out so.
_SMALLEST_VOLUME_MM = 0.05
# Thick slices are up to 20 times a pixel.
_LARGEST_ANISOTROPY = 60.0
# What a unit mistaken (1000, 1e6) or an animal enlarged (10, 100) makes of a length.
_FACTORS = (10.0, 100.0, 1e3, 1e6)


@dataclass(frozen=True)
class SizeDoubt:
    """Why a stated size is doubtful.

    Parameters
    ----------
    extent_mm : (float, float, float)
        Length of the image along its z, y, x axes.
    voxel_mm : (float, float, float)
        Stated voxel size.
    kind : str
        "human-sized" (right for a person, ten times a rodent), "too large", "too small" or
        "uneven".
    factor : float or None
        How many times too large the sizes would be for a rodent's head; below 1 where they are
        too small; None where no usual mistake explains them.
    """

    extent_mm: tuple[float, float, float]
    voxel_mm: tuple[float, float, float]
    kind: str
    factor: float | None

    @property
    def suggested_spacing_um(self) -> tuple[float, float, float] | None:
        """Voxel size z, y, x if `factor` explains the stated one."""
        if self.factor is None:
            return None
        z, y, x = (
            float(f"{size * MICROMETRES_PER_MILLIMETRE / self.factor:.6g}")
            for size in self.voxel_mm
        )
        return z, y, x

    @property
    def warning(self) -> str:
        """One line for the user, beginning with :data:`~napari_bridgecorr.image.DOUBTFUL_SCALE`."""
        extent, voxel, brain = _by(self.extent_mm), _by(self.voxel_mm), _by(MOUSE_BRAIN_MM)
        if self.kind == "human-sized":
            evidence = (
                f"the image is {extent} mm (z, y, x), as large as a human head. If it is a mouse "
                f"or rat stored ten times too large, as for FSL or SPM, "
            )
        elif self.kind == "uneven":
            evidence = (
                f"voxels of {voxel} mm (z, y, x) differ more between the axes than those of any "
                f"instrument: "
            )
        else:
            evidence = (
                f"by the file the image is {extent} mm (z, y, x) with voxels of {voxel} mm; a "
                f"mouse brain is about {brain} mm. "
            )
            if self.factor is not None:
                times = self.factor if self.factor >= 1 else 1 / self.factor
                evidence += f"The sizes look {times:,.0f} times {self.kind}: "
        return f"{DOUBTFUL_SCALE}: {evidence}{self._advice}"

    @property
    def _advice(self) -> str:
        suggested = self.suggested_spacing_um
        if suggested is None:
            return "state the true voxel size in um with --spacing z,y,x"
        numbers = ",".join(f"{size:.6g}" for size in suggested)
        return f"state the true voxel size in um with --spacing {numbers}"

    def as_metadata(self) -> dict[str, Any]:
        """Plain values for ``SpatialImage.metadata["spacing_suspect"]``."""
        return {
            "kind": self.kind,
            "factor": self.factor,
            "extent_mm": self.extent_mm,
            "suggested_spacing_um": self.suggested_spacing_um,
        }


def doubt_of_size(grid: Grid) -> SizeDoubt | None:
    """What speaks against the stated voxel size of a volume, or None.

    Axes of a single voxel do not count, and flat images (one axis or two) are judged by their
    voxels only where these are too large.

    Parameters
    ----------
    grid : Grid
        Of the full-resolution level.
    """
    voxel = np.asarray(grid.voxel_size_um) / MICROMETRES_PER_MILLIMETRE
    shape = np.asarray(grid.shape)
    extent = voxel * shape
    counted = shape > 1
    if not counted.any():
        return None
    sizes = np.sort(voxel[counted])
    longest = float(extent[counted].max())
    in_plane = float(sizes[min(1, len(sizes) - 1)])
    kind, factor = None, None
    # every axis but the longest: a whole body is long along one axis only
    rest = float(np.sort(extent[counted])[-2]) if counted.sum() > 1 else longest
    if (
        in_plane > _LARGEST_IN_PLANE_MM
        or float(sizes[-1]) > _LARGEST_STEP_MM
        or rest > _LARGEST_SCAN_MM
    ):
        kind, factor = "too large", _factor(longest)
    elif counted.all() and longest < _SMALLEST_VOLUME_MM and _factor(longest):
        kind, factor = "too small", _factor(longest)
    elif counted.all() and sizes[-1] > _LARGEST_ANISOTROPY * sizes[0]:
        kind = "uneven"
    elif counted.all() and _HUMAN_HEAD_MM[0] <= longest <= _HUMAN_HEAD_MM[1]:
        kind, factor = "human-sized", 10.0
    if kind is None:
        return None
    return SizeDoubt(_three(extent), _three(voxel), kind, factor)


def said_of_size(grid: Grid) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    """Warnings and metadata entries that a reader adds to its image (both empty in most cases)."""
    doubt = doubt_of_size(grid)
    if doubt is None:
        return (), {}
    return (doubt.warning,), {"spacing_suspect": doubt.as_metadata()}


def _factor(longest_mm: float) -> float | None:
    """The usual mistake that would make a rodent's head out of `longest_mm`."""
    low, high = _RODENT_HEAD_MM
    for size in _FACTORS:
        for factor in (size, 1 / size):
            if low <= longest_mm / factor <= high:
                return factor
    return None


def _three(values: Any) -> tuple[float, float, float]:
    z, y, x = (float(f"{value:.6g}") for value in values)
    return z, y, x


def _by(values: tuple[float, float, float]) -> str:
    return " x ".join(f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}" for value in values)
