"""How large the pixels of a TIFF file are, and how far the file is to be believed.

A voxel size is believed where the file means it: OME-XML, ImageJ with a unit of length, or
resolution tags per centimetre. Dots per inch are what any program fills in (72 or 96 mostly) and
count as missing.
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
from .library import TiffContents, TiffSeries
from .ome_xml import OmeImage

MaybeSpacing = tuple[float | None, float | None, float | None]

_PER_INCH, _PER_CENTIMETRE = 2, 3


def scale_of(
    contents: TiffContents, series: TiffSeries, ome: OmeImage | None
) -> tuple[MaybeSpacing, float | None, str]:
    """Spacing (z, y, x) in um, time step in s, and why a spacing is not believed."""
    if contents.ome_xml is not None:
        return (ome.spacing_um, ome.time_step_s, "") if ome else ((None, None, None), None, "")
    x_res, y_res, unit = series.resolution
    if contents.imagej is not None:
        return _imagej_scale(contents.imagej, x_res, y_res)
    if unit == _PER_CENTIMETRE and x_res and y_res:
        centimetre = micrometres_per("cm")
        return (None, centimetre / y_res, centimetre / x_res), None, ""
    if unit == _PER_INCH and x_res:
        return (None, None, None), None, f"its {x_res:.6g} dots per inch are not believed"
    return (None, None, None), None, ""


def _imagej_scale(
    values: dict[str, Any], x_res: float | None, y_res: float | None
) -> tuple[MaybeSpacing, float | None, str]:
    def unit_um(name: str) -> float | None:
        unit = str(values.get(name) or values.get("unit") or "")
        try:
            # "inch" is what ImageJ keeps of dummy dots per inch
            return None if unit in ("inch", "in") else micrometres_per(unit)
        except GeometryError:
            return None

    def number(name: str) -> float:
        try:
            return abs(float(values.get(name) or 0))
        except (TypeError, ValueError):
            return 0.0

    x_um, y_um, z_um = unit_um("unit"), unit_um("yunit"), unit_um("zunit")
    spacing = number("spacing")
    step = number("finterval")
    return (
        (
            spacing * z_um if z_um and spacing else None,
            y_um / y_res if y_um and y_res else None,
            x_um / x_res if x_um and x_res else None,
        ),
        step or None,
        "",
    )


def base_grid(
    shape: Shape5, spacing: MaybeSpacing, why: str
) -> tuple[Grid, tuple[bool, bool, bool], tuple[str, ...]]:
    """Grid at the origin, which spacings are known, and the warning about the others."""
    known = (spacing[0] is not None, spacing[1] is not None, spacing[2] is not None)
    grid = Grid.from_spacing(shape[2:], [size or 1.0 for size in spacing])
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


def level_grid(grid: Grid, shape: Shape5) -> Grid:
    """Grid of a mean pyramid's level.

    A whole factor keeps the low outer faces (the last, incomplete voxel reaches beyond or is cut
    off); any other keeps both.
    """
    step = np.eye(4)
    for axis, (fine, coarse) in enumerate(zip(grid.shape, shape[2:], strict=True)):
        factor = float(round(fine / coarse))
        if coarse not in (fine // factor, -(-fine // factor)):
            factor = fine / coarse
        step[axis, axis] = factor
        step[axis, 3] = (factor - 1) / 2
    return Grid((shape[2], shape[3], shape[4]), grid.index_to_world @ step)
