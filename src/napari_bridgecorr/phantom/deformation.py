"""The phantom's known deformation: an affine map plus smooth Gaussian bumps, in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import GeometryError, TransformError
from ..geometry import Grid
from ..geometry.grid import apply_affine, check_affine
from ..transform.base import Transform, as_points

FloatArray = NDArray[np.float64]

SMALLEST_DETERMINANT = 0.3
_BLOCK = 65_536


class SmoothDeformation(Transform):
    """``x -> A x + b + sum_k w_k exp(-|x - c_k|^2 / (2 s_k^2))``.

    Parameters
    ----------
    matrix : (4, 4) array-like
        Affine part, acting on the column ``(z, y, x, 1)`` in um.
    centres_um : (m, 3) array-like
        Where the bumps sit, in fixed world.
    widths_um : (m,) array-like
        Standard deviations of the bumps.
    weights_um : (m, 3) array-like
        Displacement at each bump's centre, in moving world.

    Raises
    ------
    GeometryError
        If the matrix is not a finite, invertible affine.
    TransformError
        If the bumps' arrays do not agree, are not finite, or a width is not positive.
    """

    def __init__(
        self,
        matrix: ArrayLike,
        centres_um: ArrayLike,
        widths_um: ArrayLike,
        weights_um: ArrayLike,
    ) -> None:
        self.matrix = _frozen(matrix)
        check_affine(self.matrix)
        self.centres_um = _frozen(np.reshape(centres_um, (-1, 3)))
        self.widths_um = _frozen(np.reshape(widths_um, -1))
        self.weights_um = _frozen(np.reshape(weights_um, (-1, 3)))
        if not len(self.centres_um) == len(self.widths_um) == len(self.weights_um):
            raise TransformError("each bump needs one centre, one width and one weight")
        if np.any(self.widths_um <= 0):
            raise TransformError("the width of a bump must be positive")
        for values in (self.centres_um, self.widths_um, self.weights_um):
            if not np.all(np.isfinite(values)):
                raise TransformError("the bumps hold values that are not finite numbers")

    def bend(self, points_um: ArrayLike) -> FloatArray:
        """(n, 3) sum of the bumps (um, in moving world): what the affine part leaves out."""
        p = as_points(points_um)
        out = np.zeros_like(p)
        for rows in _blocks(len(p)):
            out[rows] = self._bumps(p[rows]) @ self.weights_um
        return out

    def map(self, points_um: ArrayLike) -> FloatArray:
        p = as_points(points_um)
        return apply_affine(self.matrix, p) + self.bend(p)

    def jacobian(self, points_um: ArrayLike) -> FloatArray:
        p = as_points(points_um)
        out = np.empty((len(p), 3, 3))
        for rows in _blocks(len(p)):
            away = p[rows, None, :] - self.centres_um[None]
            slope = self._bumps(p[rows])[:, :, None] * away / self.widths_um[None, :, None] ** 2
            out[rows] = self.matrix[:3, :3] - np.einsum("ki,nkj->nij", self.weights_um, slope)
        return out

    def largest_stretch(self) -> float:
        """Bound on how many times farther apart two points can get."""
        # the steepest slope of a Gaussian of height 1 is exp(-1/2) / s
        bumps = np.linalg.norm(self.weights_um, axis=1) / self.widths_um
        return float(np.linalg.norm(self.matrix[:3, :3], 2) + np.exp(-0.5) * bumps.sum())

    def linear_guess(self) -> FloatArray:
        return self.matrix

    def to_dict(self) -> dict[str, Any]:
        return {
            "type": "smooth_deformation",
            "matrix": self.matrix.tolist(),
            "centres_um": self.centres_um.tolist(),
            "widths_um": self.widths_um.tolist(),
            "weights_um": self.weights_um.tolist(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SmoothDeformation:
        """From :meth:`to_dict`'s values."""
        return cls(
            values["matrix"], values["centres_um"], values["widths_um"], values["weights_um"]
        )

    def _bumps(self, p: FloatArray) -> FloatArray:
        """(n, m) height of each bump at each point."""
        squared = np.sum((p[:, None, :] - self.centres_um[None]) ** 2, axis=2)
        return np.asarray(np.exp(-squared / (2 * self.widths_um**2)), dtype=np.float64)


def random_deformation(
    rng: np.random.Generator,
    linear: FloatArray,
    fixed: Grid,
    moving_centre_um: ArrayLike,
    bend_um: float,
    n_bumps: int = 12,
) -> SmoothDeformation:
    """A smooth deformation of a stated strength over a fixed image.

    Parameters
    ----------
    rng : Generator
        Source of the bumps' places, widths and directions.
    linear : (3, 3) float64
        Linear part of the affine map.
    fixed : Grid
        The image over which the strength is defined.
    moving_centre_um : (3,) array-like
        Where the affine part carries the centre of `fixed`.
    bend_um : float
        Root mean square length, over `fixed`, of the displacement that **no affine map** can take
        up: what a registration with an affine model would be wrong by, at best.
    n_bumps : int
        Number of bumps.

    Raises
    ------
    GeometryError
        If the map would compress the tissue to less than 0.3 of its volume somewhere.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = np.asarray(moving_centre_um) - linear @ fixed.centre_um
    extent = np.asarray(fixed.shape) * np.asarray(fixed.voxel_size_um)
    # bumps about as wide as a third of the image: tissue bends, it does not crumple
    widths = np.linalg.norm(extent) * rng.uniform(0.14, 0.22, n_bumps)
    centres = fixed.to_world(rng.uniform(-0.5, np.asarray(fixed.shape) - 0.5, (n_bumps, 3)))
    weights = rng.normal(size=(n_bumps, 3))
    lattice = _lattice(fixed, 13)
    unit = SmoothDeformation(matrix, centres, widths, weights).bend(lattice)
    design = np.column_stack([lattice - fixed.centre_um, np.ones(len(lattice))])
    left = unit - design @ np.linalg.lstsq(design, unit, rcond=None)[0]
    strength = np.sqrt(np.mean(np.sum(left**2, axis=1)))
    result = SmoothDeformation(matrix, centres, widths, weights * (bend_um / strength))
    smallest = float(result.jacobian_determinant(lattice).min())
    if smallest <= SMALLEST_DETERMINANT:
        raise GeometryError(
            f"a deformation of {bend_um:g} um folds an image of {extent.round().tolist()} um "
            f"(smallest volume ratio {smallest:.2f}); ask for less deformation"
        )
    return result


def _lattice(grid: Grid, n: int) -> FloatArray:
    """(n^3, 3) world positions spread evenly over a grid, its faces included."""
    axes = [np.linspace(-0.5, size - 0.5, n) for size in grid.shape]
    return grid.to_world(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))


def _blocks(n: int) -> list[slice]:
    """Slices of at most a block, so that n points x m bumps stay in the cache."""
    return [slice(i, i + _BLOCK) for i in range(0, n, _BLOCK)]


def _frozen(values: ArrayLike) -> FloatArray:
    out = np.array(values, dtype=np.float64)
    out.setflags(write=False)
    return out
