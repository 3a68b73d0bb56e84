"""How large the pixels of a TIFF file are, and how far the file is to be believed.

A voxel size is believed where the file means it: OME-XML, ImageJ with a unit of length, vendors'
notes, or resolution tags that no print shop would have. Dots per inch are what any program fills in
(72 or 96 mostly) and count as missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import GeometryError
from ...geometry import Grid
from ...image import missing_scale_warning
from ...units import micrometres_per
from ..lazy import Shape5
from .vendor import UNKNOWN, MaybeSpacing

_PER_INCH, _PER_CENTIMETRE = 2, 3
_PRINT_DPI = (72, 75, 90, 96, 100, 120, 144, 150, 180, 200, 240, 300, 350, 360, 400, 600, 1200)
# flatbed scanners end at 4800 dots per inch; what is finer was seen through a microscope
_FINEST_SCANNER_DPI = 5000
_COARSEST_UM, _FINEST_UM = 1e5, 1e-5


def scale_of_tags(resolution: tuple[float | None, float | None, int]) -> tuple[MaybeSpacing, str]:
    """Spacing by the resolution tags (z is never known), and why it is not believed.

    Parameters
    ----------
    resolution : (x, y, unit)
        Pixels per unit; the unit is 1 (none), 2 (inch) or 3 (cm).
    """
    x_res, y_res, unit = resolution
    if unit not in (_PER_INCH, _PER_CENTIMETRE) or not x_res or not y_res:
        return UNKNOWN, ""
    length_um = micrometres_per("inch" if unit == _PER_INCH else "cm")
    y, x = length_um / y_res, length_um / x_res
    inch = micrometres_per("inch")
    # JPEG and many TIFF writers round to whole pixels per cm: 72 dpi becomes 28 per cm, 71.1 dpi
    rounding = 0.51 * inch / micrometres_per("cm") if float(x_res).is_integer() else 0.0
    is_dummy = any(abs(inch / x - dpi) < max(0.005 * dpi, rounding) for dpi in _PRINT_DPI)
    if is_dummy or x_res <= 1 or (unit == _PER_INCH and inch / x < _FINEST_SCANNER_DPI):
        return UNKNOWN, f"its {inch / x:.6g} dots per inch are not believed"
    return (None, y, x), ""


def base_grid(
    shape: Shape5, spacing: MaybeSpacing, why: str, origin_um: Sequence[float | None] | None = None
) -> tuple[Grid, tuple[bool, bool, bool], tuple[str, ...]]:
    """The level-0 grid, which spacings are known, and the warning about the others.

    Parameters
    ----------
    shape : 5 int
    spacing : three of float or None
        Along z, y, x in um.
    why : str
        Why a stated spacing is not believed.
    origin_um : three of float or None, optional
        Where the centre of the first voxel lies; used along axes of known spacing.
    """
    absurd = [s for s in spacing if s is not None and not _FINEST_UM <= s <= _COARSEST_UM]
    if absurd:
        why = f"its {absurd[0]:.6g} um per voxel are not believed"
        z, y, x = (None if s in absurd else s for s in spacing)
        spacing = z, y, x
    known = (spacing[0] is not None, spacing[1] is not None, spacing[2] is not None)
    grid = Grid.from_spacing(shape[2:], [size or 1.0 for size in spacing])
    if origin_um is not None and known[1] and known[2]:
        matrix = grid.index_to_world.copy()
        matrix[:3, 3] = [0.0 if o is None else o for o in origin_um]
        grid = Grid(grid.shape, matrix)
    # the thickness of a single plane is no scale that anybody misses
    is_asked = (shape[2] > 1 or not any(known), True, True)
    missing = "".join(
        axis for axis, k, asked in zip("zyx", known, is_asked, strict=True) if asked and not k
    )
    if not missing:
        return grid, known, ()
    return grid, known, (missing_scale_warning(missing) + (f" ({why})" if why else ""),)


def agreeing_grid(grid: Grid, affine: Any, known: Sequence[bool]) -> Grid | None:
    """The grid of our annotation, unless another program has rescaled the image since."""
    try:
        exact = Grid(grid.shape, affine)
    except GeometryError:
        return None
    pairs = zip(grid.voxel_size_um, exact.voxel_size_um, known, strict=True)
    return exact if all(not k or abs(a - b) <= 1e-6 * b for a, b, k in pairs) else None


def level_grid(grid: Grid, shape: Shape5, is_centred: bool = True) -> Grid:
    """Grid of a pyramid's level.

    A whole factor keeps the low outer faces (the last, incomplete voxel reaches beyond or is cut
    off); any other keeps both.

    Parameters
    ----------
    grid : Grid
        Of the full resolution.
    shape : 5 int
        Of the level.
    is_centred : bool
        The level's voxels lie in the middle of the ones that they stand for; else on the first.
    """
    step = np.eye(4)
    for axis, (fine, coarse) in enumerate(zip(grid.shape, shape[2:], strict=True)):
        factor = float(round(fine / coarse))
        if coarse not in (fine // factor, -(-fine // factor)):
            factor = fine / coarse
        step[axis, axis] = factor
        step[axis, 3] = (factor - 1) / 2 if is_centred else 0.0
    return Grid((shape[2], shape[3], shape[4]), grid.index_to_world @ step)
