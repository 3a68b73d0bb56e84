"""Displacement fields: a vector per voxel of a grid."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import TransformError
from ..geometry import Grid
from .base import Transform, as_points

FloatArray = NDArray[np.float64]

_FIT_POINTS = 4096


class DisplacementField(Transform):
    """``x -> x + d(x)``, d interpolated trilinearly between the voxel centres of a grid.

    Parameters
    ----------
    grid : Grid
        Where the vectors stand, in fixed world um.
    displacement_um : (3, z, y, x) array-like
        Displacement along world z, y, x in um. Stored as float32 or float64.

    Notes
    -----
    The outer half of the outermost voxels takes the vector at their centre; beyond the voxels the
    map is NaN. (ITK, and so ANTs and Slicer, do the same and leave points beyond where they are.)
    """

    def __init__(self, grid: Grid, displacement_um: ArrayLike) -> None:
        field = np.array(displacement_um)
        if field.dtype != np.float32:
            field = field.astype(np.float64)
        if field.shape != (3, *grid.shape):
            raise TransformError(
                f"a displacement field on a grid {grid.shape} has the shape {(3, *grid.shape)}, "
                f"not {field.shape}"
            )
        field.setflags(write=False)
        self.grid = grid
        self.displacement_um = field

    @classmethod
    def sample(cls, transform: Transform, grid: Grid) -> DisplacementField:
        """The field that equals `transform` at the voxel centres of `grid`."""
        index = np.indices(grid.shape).reshape(3, -1).T
        points = grid.to_world(index)
        return cls(grid, (transform.map(points) - points).T.reshape(3, *grid.shape))

    def map(self, points_um: ArrayLike) -> FloatArray:
        from .kernels import field_values

        p = as_points(points_um)
        return np.asarray(p + field_values(self.grid.to_index(p), self.displacement_um))

    def jacobian(self, points_um: ArrayLike) -> FloatArray:
        from .kernels import field_gradient

        by_index = field_gradient(self.grid.to_index(as_points(points_um)), self.displacement_um)
        return np.asarray(np.eye(3) + by_index @ self.grid.world_to_index[:3, :3])

    def linear_guess(self) -> FloatArray | None:
        step = max(1, round((self.grid.n_voxels / _FIT_POINTS) ** (1 / 3)))
        index = np.indices([-(-n // step) for n in self.grid.shape]).reshape(3, -1).T * step
        points = self.grid.to_world(index)
        moved = self.map(points)
        known = np.all(np.isfinite(moved), axis=1)
        if not known.any() or np.linalg.matrix_rank(points[known] - points[known].mean(axis=0)) < 3:
            return None
        design = np.column_stack([points, np.ones(len(points))])[known]
        matrix = np.eye(4)
        matrix[:3] = np.linalg.lstsq(design, moved[known], rcond=None)[0].T
        return matrix

    def to_dict(self) -> dict[str, Any]:
        little_endian = self.displacement_um.astype(self.displacement_um.dtype.newbyteorder("<"))
        packed = zlib.compress(little_endian.tobytes(), level=6)
        return {
            "type": "displacement_field",
            "grid": self.grid.to_dict(),
            "dtype": self.displacement_um.dtype.name,
            "encoding": "zlib+base64, little endian, C order (3, z, y, x), um",
            "data": base64.b64encode(packed).decode("ascii"),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DisplacementField:
        """From :meth:`to_dict`'s values."""
        if values["dtype"] not in ("float32", "float64"):
            raise TransformError(f"displacements of type {values['dtype']!r} are not known")
        grid = Grid.from_dict(values["grid"])
        dtype = np.dtype(values["dtype"]).newbyteorder("<")
        size = 3 * grid.n_voxels * dtype.itemsize
        try:
            # never unpack more than the grid can hold, whatever the file claims
            raw = zlib.decompressobj().decompress(base64.b64decode(values["data"]), size + 1)
        except (ValueError, zlib.error) as error:
            raise TransformError("the displacement field's data is damaged") from error
        if len(raw) != size:
            raise TransformError("the displacement field's data does not fill its grid")
        return cls(grid, np.frombuffer(raw, dtype).reshape(3, *grid.shape))
