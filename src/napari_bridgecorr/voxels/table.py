"""What stands in each row, computed slab by slab.

Writing it to a file is :mod:`napari_bridgecorr.io.table_file`'s work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ..errors import GeometryError
from ..fitting import ErrorModel
from ..geometry import Grid
from ..image import SpatialImage
from ..resampling import PullSampler
from ..transform import Affine, Transform

Rows = dict[str, NDArray[Any]]

_MAX_ROWS = 500_000
# the predicted error varies on the scale of the landmarks' distance: more points say nothing more
_MAX_ERROR_POINTS = 250_000
_CHECK_VOXELS = 24
_CHECK_BRICK = 2
_CHECK_TRIES = 12
_ERROR_COLUMN = "registration_error_um"
_POSITION = ("index", "iz", "iy", "ix", "z_um", "y_um", "x_um")


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    name: str
    dtype: np.dtype[Any]
    description: str


class PointColumn(Protocol):
    """What can be said of every point of the fixed space, as the classes of `evaluate` do."""

    @property
    def description(self) -> str:
        """What the number is, in one sentence."""

    def at(self, points_um: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) values at (n, 3) fixed world points (z, y, x) in um."""


@dataclass(frozen=True)
class TableOptions:
    """Which rows and columns.

    Parameters
    ----------
    spacing_um : (float, float, float) or None
        Rows on a grid of this spacing (z, y, x) over the fixed image instead of its own voxels:
        rows finer than the registration error are not independent.
    fixed_time, moving_time : int
        Time points.
    moving_channels : tuple of int or None
        All by default.
    """

    spacing_um: tuple[float, float, float] | None = None
    fixed_time: int = 0
    moving_time: int = 0
    moving_channels: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class VoxelTable:
    """A table that is computed when its rows are asked for, in slabs of bounded size.

    Parameters
    ----------
    fixed, moving : SpatialImage
    transform : Transform
        Fixed world to moving world.
    error : ErrorModel or None
        Gives ``registration_error_um``; NaN throughout without it.
    masks : mapping of str to SpatialImage
        Each gives a column ``mask_<name>``: the fraction of the voxel where the mask is not 0.
    options : TableOptions
    quantities : mapping of str to PointColumn
        Each gives a column of its name: its value at the voxel's centre.

    Raises
    ------
    GeometryError
        If a channel or time point does not exist.
    """

    fixed: SpatialImage
    moving: SpatialImage
    transform: Transform
    error: ErrorModel | None = None
    masks: Mapping[str, SpatialImage] = field(default_factory=dict)
    options: TableOptions = field(default_factory=TableOptions)
    quantities: Mapping[str, PointColumn] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for image, time in (
            (self.fixed, self.options.fixed_time),
            (self.moving, self.options.moving_time),
        ):
            if not 0 <= time < image.n_times:
                raise GeometryError(f"{image.name} has {image.n_times} time points, no {time}")
        for channel in self.moving_channels:
            if not 0 <= channel < len(self.moving.channels):
                raise GeometryError(
                    f"{self.moving.name} has {len(self.moving.channels)} channels, no {channel}"
                )

    @property
    def grid(self) -> Grid:
        """Where the rows are."""
        spacing = self.options.spacing_um
        return self.fixed.grid if spacing is None else self.fixed.grid.at_spacing(spacing)

    @property
    def n_rows(self) -> int:
        """Number of rows: one per voxel of the grid."""
        return self.grid.n_voxels

    @property
    def moving_channels(self) -> tuple[int, ...]:
        """Numbers of the moving channels that have columns."""
        chosen = self.options.moving_channels
        return chosen if chosen is not None else tuple(range(len(self.moving.channels)))

    def columns(self) -> tuple[Column, ...]:
        """Names, types and meanings, in the table's order."""
        fixed_names, moving_names = self._channel_names()
        sampled = self._moving_sampler()
        found = [Column("index", np.dtype(np.int64), "linear index of the voxel, ix fastest")]
        found += [Column(f"i{a}", np.dtype(np.int32), f"voxel index along {a}") for a in "zyx"]
        found += [
            Column(f"{a}_um", np.dtype(np.float64), f"world {a} of the voxel's centre (um)")
            for a in "zyx"
        ]
        found += [Column(n, self._fixed_dtype(), "fixed image") for n in fixed_names]
        for name in moving_names:
            found.append(Column(name, sampled.dtype, "volume-weighted mean of the moving image"))
            found.append(
                Column(
                    f"{name}_coverage",
                    np.dtype(np.float32),
                    "fraction of the voxel's volume that the moving image covers (0-1)",
                )
            )
        found += [
            Column(f"mask_{n}", np.dtype(np.float32), "fraction of the voxel inside the mask")
            for n in self.masks
        ]
        found += [
            Column(name, np.dtype(np.float32), quantity.description)
            for name, quantity in self.quantities.items()
        ]
        meaning = self.error.description if self.error else "unknown: no landmarks were given"
        found.append(Column(_ERROR_COLUMN, np.dtype(np.float32), meaning))
        return tuple(found)

    def channel_columns(self) -> dict[str, list[str]]:
        """Names of the columns that hold the ``fixed`` and the ``moving`` channels."""
        fixed, moving = self._channel_names()
        return {"fixed": fixed, "moving": moving}

    def slabs(self) -> list[tuple[tuple[int, int, int], tuple[int, int, int]]]:
        """(start, stop) of the blocks of the grid that follow each other in the rows' order."""
        n_z, n_y, n_x = self.grid.shape
        rows = max(1, min(n_y, _MAX_ROWS // n_x))
        planes = max(1, min(n_z, _MAX_ROWS // (n_y * n_x))) if rows == n_y else 1
        return [
            ((z, y, 0), (min(z + planes, n_z), min(y + rows, n_y), n_x))
            for z in range(0, n_z, planes)
            for y in range(0, n_y, rows)
        ]

    def rows(self) -> Iterator[Rows]:
        """The rows, slab after slab; every value a 1-D array under its column's name."""
        fixed_names, moving_names = self._channel_names()
        moving = self._moving_sampler()
        fixed = self._fixed_sampler()
        masks = {
            n: PullSampler(_as_fraction(m), Affine.identity(), self.grid, "mean")
            for n, m in self.masks.items()
        }
        predicted = self._predicted_error()
        for start, stop in self.slabs():
            rows = _position_columns(self.grid, start, stop)
            fixed_values = self._fixed_values(fixed, start, stop)
            for name, values in zip(fixed_names, fixed_values, strict=True):
                rows[name] = values.ravel()
            block = moving.block(self.options.moving_time, start, stop)
            for k, name in enumerate(moving_names):
                rows[name] = block.values[k].ravel()
                rows[f"{name}_coverage"] = block.coverage[k].ravel()
            for name, sampler in masks.items():
                rows[f"mask_{name}"] = sampler.block(0, start, stop).values[0].ravel()
            for name, quantity in self.quantities.items():
                rows[name] = quantity.at(_places(rows)).astype(np.float32)
            rows[_ERROR_COLUMN] = predicted(rows, start)
            yield rows

    def sampling(self) -> dict[str, Any]:
        """How the mean over each voxel was sampled, and how far it is from twice as many samples.

        The error is the root mean square difference over some bricks of wholly covered voxels, per
        moving channel, in the channel's unit. It is zero where shared volumes are computed
        (``exact``).
        """
        coarse = self._moving_sampler()
        z, y, x = (2 * n for n in coarse.samples)
        fine = self._moving_sampler(samples=(z, y, x))
        shape = np.asarray(self.grid.shape)
        size = np.minimum(_CHECK_BRICK, shape)
        rng = np.random.default_rng(0)
        difference = np.zeros((0, len(self.moving_channels)))
        for _ in range(_CHECK_TRIES):
            start = [int(v) for v in rng.integers(0, shape - size + 1)]
            stop = [int(v) for v in start + size]
            a = coarse.block(self.options.moving_time, start, stop)
            inside = np.all(a.coverage == 1, axis=0)
            if inside.any():
                b = fine.block(self.options.moving_time, start, stop)
                found = (a.values - b.values)[:, inside].T
                difference = np.concatenate([difference, found])
            if len(difference) >= _CHECK_VOXELS:
                break
        rms = np.sqrt(np.mean(difference**2, axis=0)) if len(difference) else []
        _, names = self._channel_names()
        return {
            "exact": coarse.is_exact,
            "samples_per_voxel_zyx": list(coarse.samples),
            "checked_voxels": len(difference),
            "rms_difference_to_twice_as_many": {
                n: float(v) for n, v in zip(names, rms, strict=False)
            },
        }

    def _channel_names(self) -> tuple[list[str], list[str]]:
        fixed = [c.name for c in self.fixed.channels]
        moving = [self.moving.channels[c].name for c in self.moving_channels]
        taken = {*_POSITION, _ERROR_COLUMN, *self.quantities, *(f"mask_{n}" for n in self.masks)}
        covered = {f"{n}_coverage" for n in moving}
        if set(fixed) & {*moving, *taken, *covered} or set(moving) & {*taken, *covered}:
            fixed = [f"fixed_{n}" for n in fixed]
            moving = [f"moving_{n}" for n in moving]
        moving = _distinct(moving, taken, ("", "_coverage"))
        taken |= {*moving, *(f"{n}_coverage" for n in moving)}
        return _distinct(fixed, taken, ("",)), moving

    def _moving_sampler(self, samples: tuple[int, int, int] | None = None) -> PullSampler:
        return PullSampler(
            self.moving, self.transform, self.grid, "mean", self.moving_channels, samples
        )

    def _fixed_sampler(self) -> PullSampler | None:
        if self.options.spacing_um is None:
            return None
        return PullSampler(self.fixed, Affine.identity(), self.grid)

    def _fixed_dtype(self) -> np.dtype[Any]:
        sampler = self._fixed_sampler()
        return self.fixed.dtype if sampler is None else sampler.dtype

    def _fixed_values(
        self, sampler: PullSampler | None, start: Sequence[int], stop: Sequence[int]
    ) -> NDArray[Any]:
        if sampler is not None:
            return sampler.block(self.options.fixed_time, start, stop).values
        where = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        block = self.fixed.data[(self.options.fixed_time, slice(None), *where)]
        return np.asarray(block.compute(scheduler="threads"))

    def _predicted_error(self) -> Any:
        """Function of a slab's rows and start that gives its predicted errors."""
        error, grid = self.error, self.grid
        if error is None:
            return lambda rows, _: np.full(len(rows["index"]), np.nan, np.float32)
        if grid.n_voxels <= _MAX_ERROR_POINTS:
            return lambda rows, _: error.predict(_places(rows)).astype(np.float32)
        factor = int(np.ceil((grid.n_voxels / _MAX_ERROR_POINTS) ** (1 / 3)))
        factors = np.minimum(factor, grid.shape)
        coarse = grid.averaged([int(f) for f in factors])
        points = coarse.to_world(np.indices(coarse.shape).reshape(3, -1).T)
        values = error.predict(points).reshape(coarse.shape)

        def interpolate(rows: Rows, start: Sequence[int]) -> NDArray[np.float32]:  # noqa: ARG001
            index = np.stack([rows["iz"], rows["iy"], rows["ix"]]).astype(np.float64)
            index = (index - (factors[:, None] - 1) / 2) / factors[:, None]
            found = map_coordinates(values, index, order=1, mode="nearest")
            return np.asarray(found, np.float32)

        return interpolate


def _places(rows: Rows) -> NDArray[np.float64]:
    return np.column_stack([rows["z_um"], rows["y_um"], rows["x_um"]])


def _position_columns(grid: Grid, start: Sequence[int], stop: Sequence[int]) -> Rows:
    axes = [np.arange(a, b) for a, b in zip(start, stop, strict=True)]
    z, y, x = (a.ravel() for a in np.meshgrid(*axes, indexing="ij"))
    world = grid.to_world(np.column_stack([z, y, x]))
    _, n_y, n_x = grid.shape
    return {
        "index": (z.astype(np.int64) * n_y + y) * n_x + x,
        "iz": z.astype(np.int32),
        "iy": y.astype(np.int32),
        "ix": x.astype(np.int32),
        "z_um": world[:, 0],
        "y_um": world[:, 1],
        "x_um": world[:, 2],
    }


def _as_fraction(mask: SpatialImage) -> SpatialImage:
    """1 inside the mask and 0 outside, as float32."""
    level = (mask.data[:1, :1] != 0).astype(np.float32)
    return replace(mask, levels=(level,), grids=(mask.grid,), channels=mask.channels[:1])


def _distinct(names: list[str], taken: set[str], endings: tuple[str, ...]) -> list[str]:
    """Names made different, with each ending, from each other and from those taken."""
    used = set(taken)
    out: list[str] = []
    for name in names:
        chosen, number = name, 0
        if names.count(name) > 1:
            chosen, number = f"{name}_1", 1
        while any(chosen + ending in used for ending in endings):
            number += 1
            chosen = f"{name}_{number}"
        used.update(chosen + ending for ending in endings)
        out.append(chosen)
    return out
