"""A sampling grid: a shape and an affine from voxel index to world micrometres, without pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import GeometryError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grid:
    """Positions of the voxels of a 3-D image.

    Parameters
    ----------
    shape : (int, int, int)
        Number of voxels in z, y, x. A 2-D image has one voxel in z.
    index_to_world : (4, 4) float64
        Acts on the column ``(iz, iy, ix, 1)`` and gives ``(z, y, x, 1)`` in um. An integer index is
        a voxel's **centre**.

    Raises
    ------
    GeometryError
        If the shape is not positive or the affine is not finite and invertible.
    """

    shape: tuple[int, int, int]
    index_to_world: FloatArray

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError(f"a grid needs three positive sizes (z, y, x), not {self.shape}")
        matrix = np.array(self.index_to_world, dtype=np.float64)
        check_affine(matrix)
        matrix.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "index_to_world", matrix)

    @classmethod
    def from_spacing(
        cls,
        shape: Sequence[int],
        spacing_um: ArrayLike,
        origin_um: ArrayLike = (0.0, 0.0, 0.0),
    ) -> Grid:
        """Axis-aligned grid with `spacing_um` (z, y, x) and voxel (0, 0, 0) at `origin_um`."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.diag(np.broadcast_to(np.asarray(spacing_um, dtype=np.float64), (3,)))
        matrix[:3, 3] = origin_um
        return cls((shape[0], shape[1], shape[2]), matrix)

    @classmethod
    def plane(
        cls,
        centre_um: ArrayLike,
        normal: ArrayLike,
        shape: Sequence[int],
        spacing_um: ArrayLike,
        up: ArrayLike = (0.0, -1.0, 0.0),
    ) -> Grid:
        """Grid whose (y, x) planes are parallel to a plane, centred on a point of it.

        Parameters
        ----------
        centre_um : (3,) array-like
            World position (z, y, x) of the grid's centre.
        normal : (3,) array-like
            Direction of increasing iz; need not be of unit length.
        shape, spacing_um : three values each
            Voxels and spacing in the plane's own z (along the normal), y, x.
        up : (3,) array-like
            World direction that points up on the screen (towards decreasing iy), as nearly as the
            plane allows.

        Raises
        ------
        GeometryError
            If `normal` is zero or parallel to `up`.
        """
        n = np.asarray(normal, dtype=np.float64)
        length = float(np.linalg.norm(n))
        if not np.isfinite(length) or length == 0:
            raise GeometryError("the plane's normal must be a finite direction that is not zero")
        n = n / length
        down = -np.asarray(up, dtype=np.float64)
        down = down - n * (n @ down)
        if np.linalg.norm(down) < 1e-9:
            raise GeometryError("the plane's normal is parallel to its up direction; give another")
        down /= np.linalg.norm(down)
        # (z, y, x) is right-handed when x = z cross y is taken with the components listed (z, y, x)
        across = np.cross(n, down)
        spacing = np.broadcast_to(np.asarray(spacing_um, dtype=np.float64), (3,))
        matrix = np.eye(4)
        matrix[:3, :3] = np.column_stack([n, down, across]) * spacing
        middle = (np.asarray(shape, dtype=np.float64) - 1) / 2
        matrix[:3, 3] = np.asarray(centre_um, dtype=np.float64) - matrix[:3, :3] @ middle
        return cls((shape[0], shape[1], shape[2]), matrix)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Grid)
            and self.shape == other.shape
            and np.array_equal(self.index_to_world, other.index_to_world)
        )

    def __hash__(self) -> int:
        # by value, not by bytes: -0.0 equals 0.0
        return hash((self.shape, tuple(self.index_to_world.ravel().tolist())))

    @property
    def world_to_index(self) -> FloatArray:
        """(4, 4) float64, the inverse of `index_to_world`."""
        return np.asarray(np.linalg.inv(self.index_to_world), dtype=np.float64)

    @property
    def voxel_size_um(self) -> tuple[float, float, float]:
        """Length (um) of one step along iz, iy, ix."""
        z, y, x = np.linalg.norm(self.index_to_world[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def voxel_volume_um3(self) -> float:
        """Volume (um^3) of one voxel."""
        return float(abs(np.linalg.det(self.index_to_world[:3, :3])))

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def centre_um(self) -> FloatArray:
        """(3,) world position of the middle of the grid."""
        middle = (np.asarray(self.shape) - 1) / 2
        return self.to_world(middle).reshape(3)

    def to_world(self, index: ArrayLike) -> FloatArray:
        """World positions (n, 3) in um of (n, 3) indices (fractions allowed)."""
        return apply_affine(self.index_to_world, index)

    def to_index(self, points_um: ArrayLike) -> FloatArray:
        """Indices (n, 3) (fractional) of (n, 3) world positions in um."""
        return apply_affine(self.world_to_index, points_um)

    def corners(self) -> FloatArray:
        """(8, 3) world positions (um) of the outer corners, half a voxel beyond the centres."""
        ends = [(-0.5, n - 0.5) for n in self.shape]
        return self.to_world(np.array(list(product(*ends))))

    def contains(self, points_um: ArrayLike) -> NDArray[np.bool_]:
        """Whether (n, 3) world positions lie within the voxels' extent."""
        index = self.to_index(points_um)
        upper = np.asarray(self.shape) - 0.5
        inside: NDArray[np.bool_] = np.all((index >= -0.5) & (index <= upper), axis=1)
        return inside

    def beyond(self, points_um: ArrayLike, margin_voxels: float = 0.0) -> NDArray[np.bool_]:
        """(n, 3) along which axes (n, 3) world positions lie beyond the voxels' extent.

        Parameters
        ----------
        points_um : (n, 3) array-like
        margin_voxels : float
            How far beyond the outermost voxels' faces still counts as within.
        """
        index = self.to_index(points_um)
        upper = np.asarray(self.shape) - 0.5 + margin_voxels
        outside: NDArray[np.bool_] = (index < -0.5 - margin_voxels) | (index > upper)
        return outside

    def block(self, start: Sequence[int], stop: Sequence[int]) -> Grid:
        """Grid of the voxels ``start <= index < stop``, at their place in the world."""
        shift = np.eye(4)
        shift[:3, 3] = start
        size = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
        return Grid(size, self.index_to_world @ shift)

    def averaged(self, factors: Sequence[int]) -> Grid:
        """Grid of the means of `factors` (z, y, x) voxels; a last incomplete voxel is kept.

        The first mean's centre lies ``(factor - 1) / 2`` voxels inside.
        """
        f = np.asarray(factors, dtype=np.float64)
        step = np.diag([*f, 1.0])
        step[:3, 3] = (f - 1) / 2
        shape = [-(-n // int(k)) for n, k in zip(self.shape, factors, strict=True)]
        return Grid((shape[0], shape[1], shape[2]), self.index_to_world @ step)

    def at_spacing(self, spacing_um: ArrayLike) -> Grid:
        """Grid of the same orientation and extent sampled at `spacing_um` (one value or z, y, x).

        The outer faces coincide on the low side; on the high side the last voxel may reach beyond.
        """
        spacing = np.broadcast_to(np.asarray(spacing_um, dtype=np.float64), (3,))
        if not np.all(np.isfinite(spacing)) or np.any(spacing <= 0):
            raise GeometryError(f"spacing must be positive, not {spacing.tolist()} um")
        size = np.asarray(self.voxel_size_um)
        ratio = spacing / size
        shape = np.maximum(1, np.ceil(np.asarray(self.shape) / ratio - 1e-9)).astype(int)
        step = np.diag([*ratio, 1.0])
        step[:3, 3] = (ratio - 1) / 2
        return Grid((int(shape[0]), int(shape[1]), int(shape[2])), self.index_to_world @ step)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the inverse of :meth:`from_dict`."""
        return {"shape": list(self.shape), "index_to_world": self.index_to_world.tolist()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Grid:
        """Grid from :meth:`to_dict`'s values."""
        z, y, x = values["shape"]
        return cls((z, y, x), np.asarray(values["index_to_world"], dtype=np.float64))


def apply_affine(matrix: FloatArray, points: ArrayLike) -> FloatArray:
    """Apply a 4 x 4 affine to (n, 3) points."""
    p = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    # term by term: a matrix product may round a point differently depending on its neighbours
    z, y, x = p[:, 0:1], p[:, 1:2], p[:, 2:3]
    return z * matrix[:3, 0] + y * matrix[:3, 1] + x * matrix[:3, 2] + matrix[:3, 3]


def check_affine(matrix: FloatArray) -> None:
    """Raise GeometryError unless `matrix` is a finite, invertible 4 x 4 affine."""
    if matrix.shape != (4, 4):
        raise GeometryError(f"an affine is a 4 x 4 matrix, not {matrix.shape}")
    if not np.all(np.isfinite(matrix)):
        raise GeometryError("the affine holds values that are not finite numbers")
    if not np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-12):
        raise GeometryError("the last row of an affine must be 0 0 0 1")
    columns = np.linalg.norm(matrix[:3, :3], axis=0)
    if np.any(columns == 0):
        raise GeometryError("the voxel size is zero along an axis")
    # relative to the spacings, so that 1e-3 um voxels are as legal as 1e3 um ones
    if abs(np.linalg.det(matrix[:3, :3] / columns)) < 1e-9:
        raise GeometryError("the affine squashes the volume flat (its axes are not independent)")
