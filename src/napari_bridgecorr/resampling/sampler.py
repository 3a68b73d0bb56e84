"""The moving image over voxels of the fixed grid: pulled through the transform, block by block.

One mechanism serves interpolation and averaging: every voxel is sampled at ``samples`` (z, y, x)
regular midpoints. One sample is interpolation at the centre. Enough samples to meet every moving
voxel, each taking the value of the voxel that it falls into, make the volume-weighted mean: every
moving voxel counts by the volume that it shares with the fixed one, and sums are conserved. Where
the axes of both grids are parallel nothing is sampled: the shared volumes are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..geometry import Grid
from ..image import SpatialImage
from ..transform import Affine, Transform
from ..voxel_source import in_memory
from .graphics import on_graphics
from .interpolation import interpolate, interpolate_rows
from .kernels import accumulate
from .midpoints import bricks, enough_samples, midpoints

if TYPE_CHECKING:
    from .overlap import OverlapMean

FloatArray = NDArray[np.float64]
Triple = tuple[int, int, int]

# Working memory: a block is split until its part of the moving image has at most so many voxels
# (times channels), and samples are placed in bricks of at most so many, so that their positions
# stay in the processor's cache.
_MAX_REGION = 24_000_000
_MAX_SAMPLES = 131_072
# pieces that the interpolation loop is shared out in
_CHUNKS = 64
# the box round a block is found from its corner lattice; a map bends between lattice points
_LATTICE = 5
_MARGIN = 2
# a fixed voxel of more than so many moving voxels is averaged by `interpolation="auto"`
_AVERAGE_FROM_VOLUME_RATIO = 2.0

TOLERANCE_VOXELS = 0.02
_NO_HOLES = np.zeros((0, 0, 0, 0), np.bool_)

INTERPOLATIONS = ("auto", "nearest", "linear", "cubic", "mean")
_ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}


@dataclass(frozen=True, eq=False)
class Block:
    """Values over a block of fixed voxels.

    Parameters
    ----------
    values : (c, z, y, x) float32 or float64
        NaN where nothing of the voxel is covered.
    counted : (c, z, y, x) float32 or None
        Fraction (0-1) of the voxel's samples that met data; None where there is one sample a voxel.
    """

    values: NDArray[Any]
    counted: NDArray[np.float32] | None = None

    @property
    def coverage(self) -> NDArray[np.float32]:
        """(c, z, y, x) fraction (0-1) of each voxel that the moving image covers."""
        if self.counted is not None:
            return self.counted
        return np.asarray(np.isfinite(self.values), dtype=np.float32)


class PullSampler:
    """Samples a moving image over the voxels of a fixed grid.

    Parameters
    ----------
    moving : SpatialImage
        Read lazily, full resolution.
    transform : Transform
        Fixed world to moving world.
    grid : Grid
        The fixed grid.
    interpolation : {"auto", "nearest", "linear", "cubic", "mean"}
        ``auto``: nearest for labels; the mean where a fixed voxel holds more than two moving voxels
        (averaging down is never point-sampled), else linear. ``cubic`` is the interpolating
        B-spline (as SciPy's ``order=3``); it may overshoot, and is NaN in every cell with a NaN at
        a corner.
    channels : sequence of int, optional
        Which channels; all by default.
    samples : (int, int, int), optional
        Samples per voxel for the mean, instead of the number that meets every moving voxel.
    tolerance_voxels : float
        How far a mapped position may be from the exact one, in moving voxels; 0: exact, every
        landmark's kernel at every voxel. `map_error_voxels` is the bound that was reached.

    Raises
    ------
    GeometryError
        If the interpolation is unknown, or the voxels are complex numbers or no numbers.
    """

    def __init__(
        self,
        moving: SpatialImage,
        transform: Transform,
        grid: Grid,
        interpolation: str = "auto",
        channels: Sequence[int] | None = None,
        samples: Triple | None = None,
        tolerance_voxels: float = TOLERANCE_VOXELS,
    ) -> None:
        if interpolation not in INTERPOLATIONS:
            raise GeometryError(
                f"interpolation is one of {', '.join(INTERPOLATIONS)}, not {interpolation!r}"
            )
        if moving.dtype.kind not in "buif":
            raise GeometryError(
                f"{moving.name} has voxels of type {moving.dtype}, which cannot be interpolated; "
                "take the magnitude or the phase"
                if moving.dtype.kind == "c"
                else f"{moving.name} has voxels of type {moving.dtype}, which are not numbers"
            )
        self.grid = grid
        self.channels = tuple(channels if channels is not None else range(len(moving.channels)))
        self._moving = moving
        self._transform = transform
        self._to_moving_index = moving.grid.world_to_index
        if interpolation == "auto" and moving.is_labels:
            interpolation = "nearest"
        if interpolation == "auto":
            ratio = abs(float(np.linalg.det(self._steps_in_moving_voxels())))
            interpolation = "mean" if ratio > _AVERAGE_FROM_VOLUME_RATIO else "linear"
        self.interpolation = interpolation
        self._graphics = on_graphics(transform, grid, moving.grid, interpolation)
        quick = transform.lattice_map(grid.index_to_world, self._to_moving_index)
        exact = 0.0 if self._graphics else tolerance_voxels
        self._quick = quick.planned(grid.shape, exact) if quick else None
        self.map_error_voxels = self._quick.error_bound_voxels if self._quick else 0.0
        self.samples: Triple = (1, 1, 1)
        self._stepped = np.zeros(3, np.bool_)
        if interpolation == "mean":
            steps = self._steps_in_moving_voxels()
            self.samples = samples or enough_samples(steps)
            # along an axis on which the moving voxel is the larger one, the mean interpolates
            self._stepped = np.abs(steps).sum(axis=1) > 1 - 1e-6
        self.dtype = np.dtype(np.float32 if np.can_cast(moving.dtype, np.float32) else np.float64)
        self._overlap = self._exact_mean() if interpolation == "mean" else None

    @property
    def device(self) -> str:
        """Torch's name of the device that interpolates; "" where the processor does."""
        return self._graphics.device if self._graphics else ""

    @property
    def is_exact(self) -> bool:
        """Whether shared volumes are computed instead of sampled (`samples` is not used then)."""
        return self._overlap is not None

    def _exact_mean(self) -> OverlapMean | None:
        """The mean by shared volumes; None where the axes are not parallel."""
        from .overlap import OverlapMean, parallel_axes

        if not isinstance(self._transform, Affine):
            return None
        fixed = Grid(self.grid.shape, self._transform.matrix @ self.grid.index_to_world)
        if parallel_axes(self._moving.grid, fixed) is None:
            return None

        def read(time: int, starts: Sequence[int], stops: Sequence[int]) -> NDArray[Any]:
            return self._read(time, np.array([starts, stops], dtype=np.int64))

        return OverlapMean(self._moving.grid, fixed, read, len(self.channels), self.dtype)

    def block(self, time: int, start: Sequence[int], stop: Sequence[int]) -> Block:
        """Values over the voxels ``start <= index < stop`` of the grid.

        The result does not depend on how the grid is cut into blocks.
        """
        if self._overlap is not None:
            return self._overlap.block(time, start, stop)
        shape = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
        box = self._moving_box(start, stop)
        if box is None:
            full = (len(self.channels), *shape)
            return Block(np.full(full, np.nan, self.dtype))
        voxels = int(np.prod(box[1] - box[0])) * len(self.channels)
        if voxels > _MAX_REGION and max(shape) > 1:
            return self._split(time, start, stop)
        return self._sample(time, start, stop, box)

    def _split(self, time: int, start: Sequence[int], stop: Sequence[int]) -> Block:
        axis = int(np.argmax(np.subtract(stop, start)))
        middle = (start[axis] + stop[axis]) // 2
        first_stop, second_start = list(stop), list(start)
        first_stop[axis] = second_start[axis] = middle
        a = self.block(time, start, first_stop)
        b = self.block(time, second_start, stop)
        values = np.concatenate([a.values, b.values], axis=axis + 1)
        if a.counted is None and b.counted is None:
            return Block(values)
        return Block(values, np.concatenate([a.coverage, b.coverage], axis=axis + 1))

    def _sample(
        self, time: int, start: Sequence[int], stop: Sequence[int], box: NDArray[np.int64]
    ) -> Block:
        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        if self.interpolation in _ORDERS:
            values = self._interpolate(time, box, start, stop)
            if values is None:
                return self._sample(time, start, stop, self._grown(box))
            return Block(values)
        region = self._read(time, box)
        full = (len(self.channels), *shape)
        sums, counts = np.zeros(full), np.zeros(full, np.int64)
        for first, last, planes in bricks(start, stop, self.samples, _MAX_SAMPLES):
            where = (
                slice(None),
                *(slice(a - s, b - s) for a, b, s in zip(first, last, start, strict=True)),
            )
            missed = self._add(region, box, first, last, planes, sums[where], counts[where])
            if missed:
                return self._sample(time, start, stop, self._grown(box))
        total = self.samples[0] * self.samples[1] * self.samples[2]
        with np.errstate(invalid="ignore"):
            values = (sums / np.where(counts > 0, counts, np.nan)).astype(self.dtype)
        return Block(values, (counts / total).astype(np.float32))

    def _interpolate(
        self, time: int, box: NDArray[np.int64], start: Sequence[int], stop: Sequence[int]
    ) -> NDArray[Any] | None:
        """Values at the voxel centres; None if the region was too small."""
        order = _ORDERS[self.interpolation]
        size = np.array(self._moving.grid.shape, np.int64)
        holes = _NO_HOLES
        if order == 3:
            from .spline_filter import coefficients, margin

            around = margin(self.dtype)
            box = np.array([np.maximum(box[0] - around, 0), np.minimum(box[1] + around, size)])
            region, holes = coefficients(self._read(time, box))
        else:
            # a graphics card has no room for all of an image
            whole = None if self._graphics else self._whole(time)
            if whole is not None:
                box = np.array([np.zeros(3, np.int64), size])
            region = self._read(time, box) if whole is None else whole
        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        values = np.empty((len(self.channels), *shape), self.dtype)
        z, y, x = (np.arange(a, b, dtype=np.float64) for a, b in zip(start, stop, strict=True))
        if self._graphics is not None:
            lost = self._graphics.interpolate((z, y, x), order, region, box[0], size, values)
            return None if lost else values
        if self._quick is not None:
            missed = np.zeros(z.size * y.size, np.int64)
            arguments: tuple[Any, ...] = (
                z,
                y,
                x,
                *self._quick.row_arguments((z, y, x)),
                order,
                region,
                holes,
            )
            arguments = (*arguments, box[0], size, values, missed)
            interpolate_rows(*arguments)
            return None if missed.any() else values
        planes = max(1, _MAX_SAMPLES // (y.size * x.size))
        missed = np.zeros(_CHUNKS, np.int64)
        for first in range(0, shape[0], planes):
            last = min(first + planes, shape[0])
            index = self._moving_index(z[first:last], y, x)
            out = np.empty((len(region), len(index)), self.dtype)
            interpolate(index, order, region, holes, box[0], size, out, missed)
            values[:, first:last] = out.reshape(len(region), last - first, y.size, x.size)
        return None if missed.any() else values

    def _grown(self, box: NDArray[np.int64]) -> NDArray[np.int64]:
        """A box three times as long: for a map that bends more than its lattice showed."""
        grown = [2 * box[0] - box[1], 2 * box[1] - box[0]]
        return np.asarray(np.clip(grown, 0, self._moving.grid.shape), dtype=np.int64)

    def _add(
        self,
        region: NDArray[Any],
        box: NDArray[np.int64],
        first: Sequence[int],
        last: Sequence[int],
        planes: range,
        sums: FloatArray,
        counts: NDArray[np.int64],
    ) -> int:
        """Add one brick's samples; returns how many fell beside the region."""
        _, my, mx = self.samples
        positions = self._sample_positions(first, last, planes)
        n_z, n_y, n_x = (b - a for a, b in zip(first, last, strict=True))
        fine_z = n_z * len(planes)
        part_sums = np.zeros((len(region), fine_z, n_y, n_x))
        part_counts = np.zeros(part_sums.shape, np.int64)
        missed = np.zeros(fine_z * n_y, np.int64)
        accumulate(
            positions,
            region,
            box[0],
            np.array(self._moving.grid.shape, np.int64),
            np.array([fine_z, n_y, my, n_x, mx], np.int64),
            self._stepped,
            part_sums,
            part_counts,
            missed,
        )
        by_plane = (len(region), n_z, len(planes), n_y, n_x)
        for k in range(len(planes)):  # one after the other: the order of sums is always the same
            sums += part_sums.reshape(by_plane)[:, :, k]
            counts += part_counts.reshape(by_plane)[:, :, k]
        return int(missed.sum())

    def _sample_positions(
        self, first: Sequence[int], last: Sequence[int], planes: range
    ) -> FloatArray:
        """Moving indices (n, 3) of one brick's samples."""
        mz, my, mx = self.samples
        z = midpoints(first[0], last[0], mz)[:, planes.start : planes.stop].ravel()
        y = midpoints(first[1], last[1], my).ravel()
        x = midpoints(first[2], last[2], mx).ravel()
        return self._moving_index(z, y, x)

    def _moving_index(self, z: FloatArray, y: FloatArray, x: FloatArray) -> FloatArray:
        """Moving indices (n, 3) of a lattice of fixed indices, x fastest."""
        if self._quick is not None:
            return self._quick.positions((z, y, x))
        return self._exact_index(z, y, x)

    def _exact_index(self, z: FloatArray, y: FloatArray, x: FloatArray) -> FloatArray:
        """The same for few points far apart, where a coarse grid would be work."""
        return self._transform.map_lattice(
            self.grid.index_to_world, self._to_moving_index, (z, y, x)
        )

    def _moving_box(self, start: Sequence[int], stop: Sequence[int]) -> NDArray[np.int64] | None:
        """Box (2, 3) of moving voxels that a block needs; None if it meets none."""
        axes = [np.linspace(a - 0.5, b - 0.5, _LATTICE) for a, b in zip(start, stop, strict=True)]
        index = self._exact_index(*axes)
        size = np.asarray(self._moving.grid.shape)
        if not np.all(np.isfinite(index)):
            # the transform's domain ends in or near this block: what lies between cannot be guessed
            return self._box_of_samples(start, stop)
        low, high = index.min(axis=0), index.max(axis=0)
        extent = high - low
        affine = isinstance(self._transform, Affine)
        slack = np.full(3, float(_MARGIN)) if affine else _MARGIN + _bend(index)
        low, high = low - slack, high + slack
        if np.any(high < -0.5) or np.any(low > size - 0.5):
            far = np.any(high + extent < -0.5) or np.any(low - extent > size - 0.5)
            return None if affine or far else self._box_of_samples(start, stop)
        lower = np.clip(np.floor(low), 0, size - 1)
        upper = np.clip(np.ceil(high) + 1, lower + 1, size)
        return np.array([lower, upper]).astype(np.int64)

    def _box_of_samples(
        self, start: Sequence[int], stop: Sequence[int]
    ) -> NDArray[np.int64] | None:
        """The same box from every sample's own position: exact, and twice the work."""
        size = np.asarray(self._moving.grid.shape)
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        for brick in bricks(start, stop, self.samples, _MAX_SAMPLES):
            index = self._sample_positions(*brick)
            inside = index[np.all((index >= -0.5) & (index <= size - 0.5), axis=1)]
            if len(inside):
                low = np.minimum(low, inside.min(axis=0))
                high = np.maximum(high, inside.max(axis=0))
        if not np.all(np.isfinite(low)):
            return None
        lower = np.clip(np.floor(low), 0, np.maximum(size - 2, 0))
        upper = np.clip(np.floor(high) + 2, lower + 1, size)
        return np.array([lower, upper]).astype(np.int64)

    def _whole(self, time: int) -> NDArray[Any] | None:
        """All voxels of the channels as the loops take them, if memory holds them like that."""
        held = in_memory(self._moving.data)
        if held is None or held.dtype != self.dtype or not held.flags.writeable:
            return None
        first, last = self.channels[0], self.channels[-1] + 1
        if self.channels != tuple(range(first, last)):
            return None
        whole: NDArray[Any] = held[time, first:last]
        return whole if whole.flags.c_contiguous else None

    def _read(self, time: int, box: NDArray[np.int64]) -> NDArray[Any]:
        if len(self.channels) == 1:
            found = self._read_channel(time, self.channels[0], box)
            # no copy of what is as it should be; a read-only array would be another type to Numba
            if self.interpolation == "cubic" or not found.flags.writeable:
                return np.array(found, self.dtype, order="C")[None]
            return np.ascontiguousarray(found, self.dtype)[None]
        region = np.empty((len(self.channels), *(box[1] - box[0])), self.dtype)
        for k, channel in enumerate(self.channels):
            region[k] = self._read_channel(time, channel, box)
        return region

    def _read_channel(self, time: int, channel: int, box: NDArray[np.int64]) -> NDArray[Any]:
        starts, stops = box.tolist()
        found = self._moving.read(0, (time, channel, *starts), (time + 1, channel + 1, *stops))
        return np.asarray(found[0, 0])

    def _steps_in_moving_voxels(self) -> FloatArray:
        """(3, 3) columns: one step along fixed iz, iy, ix in moving voxels (largest found)."""
        axes = [np.linspace(0, n - 1, 4) for n in self.grid.shape]
        lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        jacobian = self._transform.jacobian(self.grid.to_world(lattice))
        known = np.all(np.isfinite(jacobian), axis=(1, 2))
        linear = jacobian[known] if known.any() else np.eye(3)[None]
        steps = self._to_moving_index[:3, :3] @ linear @ self.grid.index_to_world[:3, :3]
        return np.asarray(steps[int(np.argmax(np.abs(np.linalg.det(steps))))])


def _bend(index: FloatArray) -> FloatArray:
    """How far a map may leave its lattice's hull between the points; (3,) moving voxels.

    Between points a distance h apart a function leaves its chord by ``h^2 f'' / 8`` at most, an
    eighth of the second difference along that axis: four times as much is taken. Where a map bends
    more sharply, samples fall beside the box and it is read again, larger.
    """
    lattice = index.reshape(_LATTICE, _LATTICE, _LATTICE, 3)
    bends = [np.abs(np.diff(lattice, 2, axis=a)).max(axis=(0, 1, 2)) for a in range(3)]
    return np.asarray(0.5 * np.sum(bends, axis=0))
