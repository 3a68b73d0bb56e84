"""The voxel table as the report needs it: which column is what, which rows count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid
from ..image import SpatialImage
from .contents import ERROR_COLUMN, ReportContents
from .statistics import Comparison, compare, covered_rows
from .table_figures import ErrorMap

FloatArray = NDArray[np.float64]
Table = Mapping[str, NDArray[Any]]

MOST_DENSITIES = 4


@dataclass(frozen=True, eq=False)
class DensityView:
    """Density channels against one intensity channel.

    Parameters
    ----------
    comparisons : tuple of (str, Comparison)
        By the density's column, those with enough rows.
    too_few : tuple of str
        Columns that share fewer than five covered rows with the intensity.
    left_out : int
        Density channels beyond the first four.
    intensity_name : str
        Column of the intensity.
    density_image, intensity_image : SpatialImage
    """

    comparisons: tuple[tuple[str, Comparison], ...]
    too_few: tuple[str, ...]
    left_out: int
    intensity_name: str
    density_image: SpatialImage
    intensity_image: SpatialImage


def density_view(contents: ReportContents, table: Table) -> DensityView | None:
    """The image of smaller voxels (the microscope) against the other; None if one is missing."""
    if not contents.fixed_columns or not contents.moving_columns:
        return None
    fixed, moving = contents.fixed, contents.moving
    moving_is_dense = moving.grid.voxel_volume_um3 <= fixed.grid.voxel_volume_um3
    if moving_is_dense:
        densities = contents.moving_columns
        intensity = _column_of(contents.fixed_columns, fixed, contents.fixed_channel)
    else:
        densities = contents.fixed_columns
        intensity = _column_of(contents.moving_columns, moving, contents.moving_channel)
    found, too_few = [], []
    for name in densities[:MOST_DENSITIES]:
        coverage = _coverage(table, name if moving_is_dense else intensity)
        comparison = compare(table[name], table[intensity], coverage)
        if comparison is None:
            too_few.append(name)
        else:
            found.append((name, comparison))
    return DensityView(
        tuple(found),
        tuple(too_few),
        max(0, len(densities) - MOST_DENSITIES),
        intensity,
        *((moving, fixed) if moving_is_dense else (fixed, moving)),
    )


def covered_errors(contents: ReportContents, table: Table) -> FloatArray:
    """Predicted errors (um) of the rows that the moving image covers, where they are known."""
    if ERROR_COLUMN not in table:
        return np.empty(0)
    values = np.asarray(table[ERROR_COLUMN], dtype=np.float64)
    return values[_covered(contents, table) & np.isfinite(values)]


def error_map(contents: ReportContents, table: Table) -> ErrorMap | None:
    """Middle z plane of the predicted errors; None unless the table has its whole grid."""
    grid = table_grid(contents.fixed.grid, table)
    if grid is None or ERROR_COLUMN not in table or min(grid.shape[1:]) < 2:
        return None
    covered = _covered(contents, table).reshape(grid.shape)
    planes = np.repeat(np.arange(grid.shape[0]), covered.sum(axis=(1, 2)))
    iz = int(np.median(planes)) if planes.size else grid.shape[0] // 2
    values = np.asarray(table[ERROR_COLUMN], dtype=np.float64).reshape(grid.shape)[iz]
    values = np.where(covered[iz], values, np.nan)
    if not np.any(np.isfinite(values)):
        return None
    points = np.empty((0, 2))
    if contents.fit is not None:
        points = grid.to_index(contents.fit.pairs.fixed_um)[:, 1:]
    return ErrorMap(values, iz, grid.voxel_size_um[1:], points)


def table_grid(fixed: Grid, table: Table) -> Grid | None:
    """The grid whose voxels are the table's rows in order; None if some rows are missing.

    The table may have a spacing of its own, so positions are taken from its rows.
    """
    needed = ("index", "iz", "iy", "ix", "z_um", "y_um", "x_um")
    if any(name not in table for name in needed) or not len(table["index"]):
        return None
    n_z, n_y, n_x = (int(table[name].max()) + 1 for name in ("iz", "iy", "ix"))
    index = table["index"]
    if len(index) != n_z * n_y * n_x or not np.array_equal(index, np.arange(len(index))):
        return None
    first = np.array([table[f"{a}_um"][0] for a in "zyx"], dtype=np.float64)
    matrix = fixed.index_to_world.copy()
    for axis, (count, stride) in enumerate(((n_z, n_y * n_x), (n_y, n_x), (n_x, 1))):
        if count > 1:  # along an axis of one voxel the fixed grid's own step serves
            last = np.array([table[f"{a}_um"][(count - 1) * stride] for a in "zyx"])
            matrix[:3, axis] = (last - first) / (count - 1)
    matrix[:3, 3] = first
    return Grid((n_z, n_y, n_x), matrix)


def _covered(contents: ReportContents, table: Table) -> NDArray[np.bool_]:
    n_rows = len(next(iter(table.values())))
    coverages = [_coverage(table, name) for name in contents.moving_columns]
    return covered_rows(n_rows, coverages)


def _coverage(table: Table, moving_column: str) -> NDArray[Any]:
    """Coverage of a moving column; without such a column, whether it has a value."""
    name = f"{moving_column}_coverage"
    if name in table:
        return table[name]
    return np.isfinite(np.asarray(table[moving_column], dtype=np.float64)).astype(np.float32)


def _column_of(columns: tuple[str, ...], image: SpatialImage, channel: int) -> str:
    """Column of a channel; the first one where the table holds only some channels."""
    if len(columns) == len(image.channels):
        return columns[channel]
    name = image.channels[channel].name
    return next((c for c in columns if c in (name, f"moving_{name}", f"fixed_{name}")), columns[0])
