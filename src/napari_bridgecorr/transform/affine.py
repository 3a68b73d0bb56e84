"""Affine maps (translation, rigid and similarity are affine maps too)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry.grid import apply_affine, check_affine
from .base import Transform, as_points
from .lattice_map import LatticeMap

FloatArray = NDArray[np.float64]


class Affine(Transform):
    """``x -> A x + b``.

    Parameters
    ----------
    matrix : (4, 4) array-like
        Acts on the column ``(z, y, x, 1)`` in um.

    Raises
    ------
    GeometryError
        If the matrix is not a finite, invertible affine.
    """

    def __init__(self, matrix: ArrayLike) -> None:
        m = np.array(matrix, dtype=np.float64)
        check_affine(m)
        m.setflags(write=False)
        self.matrix = m

    @classmethod
    def identity(cls) -> Affine:
        """The map that leaves every point where it is."""
        return cls(np.eye(4))

    @classmethod
    def from_parts(cls, linear: ArrayLike, offset_um: ArrayLike) -> Affine:
        """From the (3, 3) linear part and the (3,) offset in um."""
        m = np.eye(4)
        m[:3, :3] = linear
        m[:3, 3] = offset_um
        return cls(m)

    def map(self, points_um: ArrayLike) -> FloatArray:
        return apply_affine(self.matrix, as_points(points_um))

    def map_lattice(
        self, before: FloatArray, after: FloatArray, axes: tuple[FloatArray, FloatArray, FloatArray]
    ) -> FloatArray:
        from .kernels import lattice_points

        return lattice_points(np.ascontiguousarray(after @ self.matrix @ before), *axes)

    @property
    def matrix_um(self) -> FloatArray:
        """(4, 4) on the column (z, y, x, 1)."""
        return self.matrix

    def lattice_map(self, before: FloatArray, after: FloatArray) -> LatticeMap:
        return LatticeMap.affine(after @ self.matrix @ before)

    def jacobian(self, points_um: ArrayLike) -> FloatArray:
        n = len(as_points(points_um))
        return np.broadcast_to(self.matrix[:3, :3], (n, 3, 3))

    def inverse(self) -> Affine:
        return Affine(np.linalg.inv(self.matrix))

    def linear_guess(self) -> FloatArray:
        return self.matrix

    def to_dict(self) -> dict[str, Any]:
        return {"type": "affine", "matrix": self.matrix.tolist()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Affine:
        """From :meth:`to_dict`'s values."""
        return cls(values["matrix"])
