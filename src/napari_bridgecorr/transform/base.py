"""What a transform is, what a chain of them is, and what a numeric inverse is.

A transform maps **fixed** world points to **moving** world points, (n, 3) arrays of
(z, y, x) in um.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import TransformError
from .inversion import invert_points
from .lattice_map import LatticeMap

FloatArray = NDArray[np.float64]


class Transform(ABC):
    """A map of world space onto world space, differentiable almost everywhere."""

    @abstractmethod
    def map(self, points_um: ArrayLike) -> FloatArray:
        """Map (n, 3) points (z, y, x) in um. Points outside the domain give NaN."""

    @abstractmethod
    def jacobian(self, points_um: ArrayLike) -> FloatArray:
        """(n, 3, 3) derivatives: ``J[n, i, j] = d map_i / d x_j``, dimensionless."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with a ``type``; see :func:`.codecs.transform_from_dict`."""

    def map_lattice(
        self, before: FloatArray, after: FloatArray, axes: tuple[FloatArray, FloatArray, FloatArray]
    ) -> FloatArray:
        """Map all index triples of three index vectors from one grid to another.

        Parameters
        ----------
        before : (4, 4) float64
            Fixed index to world: of the lattice.
        after : (4, 4) float64
            World to index: of the result.
        axes : three (n_a,) float64
            Indices along z, y, x; fractions allowed.

        Returns
        -------
        (n_z * n_y * n_x, 3) float64
            x fastest. Transforms override this where the affines can be folded into the map.
        """
        from .kernels import affine_points, lattice_points

        world = lattice_points(np.ascontiguousarray(before), *axes)
        return affine_points(np.ascontiguousarray(after), self.map(world))

    def lattice_map(
        self,
        before: FloatArray,  # noqa: ARG002 - for those that have one
        after: FloatArray,  # noqa: ARG002
    ) -> LatticeMap | None:
        """The map between the indices of two grids in the parts that quick loops take.

        Parameters
        ----------
        before, after : (4, 4) float64
            As for :meth:`map_lattice`.

        Returns
        -------
        LatticeMap or None
            None where the map has no such parts: :meth:`map_lattice` then does.
        """
        return None

    def inverse(self) -> Transform:
        """The map back. ``.is_exact`` says whether it is closed-form or numeric."""
        return InvertedTransform(self)

    @property
    def is_exact(self) -> bool:
        """Whether `map` is evaluated in closed form (True) or by iteration (False)."""
        return True

    @property
    def matrix_um(self) -> FloatArray | None:
        """(4, 4) matrix of a map that is affine; None for one that bends."""
        return None

    def linear_guess(self) -> FloatArray | None:
        """(4, 4) affine near the map, where a numeric inverse starts; None if there is none."""
        return None

    def jacobian_determinant(self, points_um: ArrayLike) -> FloatArray:
        """(n,) local change of volume; where it is <= 0 the map folds, outside the domain NaN."""
        j = self.jacobian(points_um)
        with np.errstate(invalid="ignore"):  # NaN and infinity are no surprise here
            # written out: eight times faster than LAPACK on many small matrices
            return np.asarray(
                j[:, 0, 0] * (j[:, 1, 1] * j[:, 2, 2] - j[:, 1, 2] * j[:, 2, 1])
                - j[:, 0, 1] * (j[:, 1, 0] * j[:, 2, 2] - j[:, 1, 2] * j[:, 2, 0])
                + j[:, 0, 2] * (j[:, 1, 0] * j[:, 2, 1] - j[:, 1, 1] * j[:, 2, 0]),
                dtype=np.float64,
            )


class Chain(Transform):
    """Several transforms, the first in the list applied first."""

    def __init__(self, *transforms: Transform) -> None:
        if not transforms:
            raise TransformError("a chain needs at least one transform")
        self.transforms = transforms

    def map(self, points_um: ArrayLike) -> FloatArray:
        p = as_points(points_um)
        for transform in self.transforms:
            p = transform.map(p)
        return p

    def map_lattice(
        self, before: FloatArray, after: FloatArray, axes: tuple[FloatArray, FloatArray, FloatArray]
    ) -> FloatArray:
        from .kernels import affine_points

        first, *others = self.transforms
        if not others:
            return first.map_lattice(before, after, axes)
        if first.matrix_um is not None:
            return Chain(*others).map_lattice(first.matrix_um @ before, after, axes)
        if len(others) == 1 and others[0].matrix_um is not None:
            return first.map_lattice(before, after @ others[0].matrix_um, axes)
        p = first.map_lattice(before, np.eye(4), axes)
        for transform in others:
            p = transform.map(p)
        return affine_points(np.ascontiguousarray(after), p)

    def jacobian(self, points_um: ArrayLike) -> FloatArray:
        p = as_points(points_um)
        total = np.broadcast_to(np.eye(3), (len(p), 3, 3))
        for transform in self.transforms:
            total = transform.jacobian(p) @ total
            p = transform.map(p)
        return total

    def lattice_map(self, before: FloatArray, after: FloatArray) -> LatticeMap | None:
        # affine parts are folded into the grids' matrices about the one that bends
        bending = [t for t in self.transforms if t.matrix_um is None]
        if len(bending) > 1:
            return None
        middle = self.transforms.index(bending[0]) if bending else len(self.transforms) - 1
        for transform in self.transforms[:middle]:
            before = _folded(transform) @ before
        for transform in reversed(self.transforms[middle + 1 :]):
            after = after @ _folded(transform)
        return self.transforms[middle].lattice_map(before, after)

    def inverse(self) -> Transform:
        return Chain(*(t.inverse() for t in reversed(self.transforms)))

    @property
    def is_exact(self) -> bool:
        return all(t.is_exact for t in self.transforms)

    def linear_guess(self) -> FloatArray | None:
        total = np.eye(4)
        for transform in self.transforms:
            guess = transform.linear_guess()
            if guess is None:
                return None
            total = guess @ total
        return total

    def to_dict(self) -> dict[str, Any]:
        return {"type": "chain", "transforms": [t.to_dict() for t in self.transforms]}


class InvertedTransform(Transform):
    """Numeric inverse of a transform that has none in closed form.

    Each point is found by damped Newton iteration to 1e-6 um; a point that is not reached (the map
    folds there, or the field ends) is NaN, never a wrong place.
    """

    def __init__(self, forward: Transform) -> None:
        self.forward = forward

    def map(self, points_um: ArrayLike) -> FloatArray:
        return invert_points(
            self.forward.map,
            self.forward.jacobian,
            as_points(points_um),
            self.forward.linear_guess(),
        )

    def jacobian(self, points_um: ArrayLike) -> FloatArray:
        by_forward = self.forward.jacobian(self.map(points_um))
        return np.asarray(np.linalg.inv(by_forward), dtype=np.float64)

    def inverse(self) -> Transform:
        return self.forward

    @property
    def is_exact(self) -> bool:
        return False

    def linear_guess(self) -> FloatArray | None:
        guess = self.forward.linear_guess()
        return None if guess is None else np.asarray(np.linalg.inv(guess), dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        return {"type": "inverse", "transform": self.forward.to_dict()}


def _folded(transform: Transform) -> FloatArray:
    matrix = transform.matrix_um
    if matrix is None:
        raise TransformError("only affine maps can be folded into a grid")
    return matrix


def as_points(points_um: ArrayLike) -> FloatArray:
    """(n, 3) float64 view or copy of points; TransformError if they are not (n, 3)."""
    p = np.asarray(points_um, dtype=np.float64)
    if p.ndim == 1 and p.size == 3:
        p = p[None]
    if p.ndim != 2 or p.shape[1] != 3:
        raise TransformError(f"points must be an (n, 3) array of z, y, x in um, not {p.shape}")
    return p
