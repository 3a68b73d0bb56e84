"""A Gaussian-process (kriging) map, evaluated. Fitting it is :mod:`napari_bridgecorr.fitting`'s."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import TransformError
from .base import Transform, as_points
from .lattice_map import LatticeMap
from .thin_plate import frozen

FloatArray = NDArray[np.float64]

# by name: the kernel has smoothness order + 1/2, but the last, which is smooth
MATERN_ORDERS = {"matern12": 0, "matern32": 1, "matern52": 2, "matern72": 3, "gaussian": 4}

# smoother kernels have no bound in the quick lattices yet
_MOST_SPLIT = 2


def kernel_unit(kernel: str) -> float:
    """What multiplies a distance in lengths before it enters the kernel."""
    return 1.0 if kernel == "gaussian" else math.sqrt(2 * MATERN_ORDERS[kernel] + 1)


class KernelMap(Transform):
    """``f(x) = P (u, 1) + sum_i w_i k(d_i(x))`` with ``u = (x - centre) / scale``.

    ``d_i`` is the distance from landmark i, each axis divided by its length, and `k` a Matern
    kernel (Matern 1960; Rasmussen & Williams 2006, eq. 4.17) of smoothness 1/2 to 7/2, or their
    limit, the Gaussian. The
    thin-plate spline is the limit of ``matern12`` with infinite lengths (in 3-D).

    Parameters
    ----------
    fixed_um, moving_um : (n, 3) array-like
        The landmarks that it was fitted to, (z, y, x) in um.
    weights_um : (n, 3) array-like
        Kernel weights ``w_i``.
    polynomial_um : (3, 4) array-like
        ``P``, acting on ``(u_z, u_y, u_x, 1)``.
    centre_um, scale_um : (3,) array-like, float
    kernel : {"matern12", "matern32", "matern52", "matern72", "gaussian"}
    lengths_um : (3,) array-like
        Length scales along z, y, x.
    smoothing : float
        Variance of the landmarks over that of the deformation; 0 interpolates.
    dimensions : {3, 2}
        With 2, the distance is that in (y, x), and z is shifted only.
    """

    def __init__(
        self,
        fixed_um: ArrayLike,
        moving_um: ArrayLike,
        weights_um: ArrayLike,
        polynomial_um: ArrayLike,
        centre_um: ArrayLike,
        scale_um: float,
        kernel: str,
        lengths_um: ArrayLike,
        smoothing: float = 0.0,
        dimensions: int = 3,
    ) -> None:
        self.fixed_um = frozen(fixed_um, (None, 3))
        n = len(self.fixed_um)
        self.moving_um = frozen(moving_um, (n, 3))
        self.weights_um = frozen(weights_um, (n, 3))
        self.polynomial_um = frozen(polynomial_um, (3, 4))
        self.centre_um = frozen(centre_um, (3,))
        self.lengths_um = frozen(lengths_um, (3,))
        self.scale_um = float(scale_um)
        self.smoothing = float(smoothing)
        self.kernel = kernel
        self.dimensions = dimensions
        if dimensions not in (2, 3):
            raise TransformError(f"a kernel map has 2 or 3 dimensions, not {dimensions}")
        if kernel not in MATERN_ORDERS:
            raise TransformError(f"the kernel {kernel!r} is not one of {', '.join(MATERN_ORDERS)}")
        if not (np.isfinite(self.scale_um) and self.scale_um > 0 and np.all(self.lengths_um > 0)):
            raise TransformError("the kernel map's scale and lengths must be positive")
        if not (np.isfinite(self.smoothing) and self.smoothing >= 0):
            raise TransformError(f"the map's smoothing must be 0 or positive, not {smoothing}")
        self._order = MATERN_ORDERS[kernel]
        self._unit = self.lengths_um / kernel_unit(kernel)
        self._control = np.ascontiguousarray(self._in_lengths(self.fixed_um).T)
        self._weights = np.ascontiguousarray(self.weights_um.T)

    def _in_lengths(self, points_um: FloatArray) -> FloatArray:
        return (points_um - self.centre_um) / self._unit

    def map(self, points_um: ArrayLike) -> FloatArray:
        from .kernels import affine_points
        from .matern_kernels import matern_map

        p = as_points(points_um)
        first = 3 - self.dimensions
        bent = matern_map(self._in_lengths(p), self._control, self._weights, self._order, first)
        polynomial = np.eye(4)
        polynomial[:3] = self.polynomial_um
        u = (p - self.centre_um) / self.scale_um
        return np.asarray(bent + affine_points(polynomial, u))

    def lattice_map(self, before: FloatArray, after: FloatArray) -> LatticeMap | None:
        if self._order > _MOST_SPLIT:
            return None  # map_lattice evaluates it kernel by kernel
        to_u, to_lengths = np.eye(4), np.eye(4)
        to_u[:3] = np.column_stack([np.eye(3), -self.centre_um]) / self.scale_um
        to_lengths[:3] = np.column_stack([np.eye(3), -self.centre_um]) / self._unit[:, None]
        polynomial = np.eye(4)
        polynomial[:3] = self.polynomial_um
        matrix = after @ polynomial @ to_u @ before
        distances, control = (to_lengths @ before)[:3], self._control
        if self.dimensions == 2:
            # without z, distances are those in the plane
            distances, control = distances.copy(), control.copy()
            distances[0], control[0] = 0.0, 0.0
        return LatticeMap(
            np.ascontiguousarray(matrix[:3]),
            np.ascontiguousarray(distances),
            control,
            np.ascontiguousarray(after[:3, :3] @ self._weights),
            kind=2 + self._order,
        )

    def jacobian(self, points_um: ArrayLike) -> FloatArray:
        from .matern_kernels import matern_jacobian

        p = as_points(points_um)
        first = 3 - self.dimensions
        bent = matern_jacobian(
            self._in_lengths(p), self._control, self._weights, self._order, first
        )
        return np.asarray(bent / self._unit + self.polynomial_um[:, :3] / self.scale_um)

    def linear_guess(self) -> FloatArray | None:
        """The affine nearest to the map at its landmarks."""
        first = 3 - self.dimensions
        design = np.column_stack(
            [
                ((self.fixed_um - self.centre_um) / self.scale_um)[:, first:],
                np.ones(len(self.fixed_um)),
            ]
        )
        polynomial = self.polynomial_um.copy()
        bent = self.map(self.fixed_um) - self._polynomial_part()
        solution = np.linalg.lstsq(design, bent, rcond=None)[0].T
        polynomial[:, first:] += solution
        matrix = np.eye(4)
        matrix[:3, :3] = polynomial[:, :3] / self.scale_um
        matrix[:3, 3] = polynomial[:, 3] - matrix[:3, :3] @ self.centre_um
        if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
            return None
        return matrix

    def _polynomial_part(self) -> FloatArray:
        u = (self.fixed_um - self.centre_um) / self.scale_um
        return np.asarray(u @ self.polynomial_um[:, :3].T + self.polynomial_um[:, 3])

    def to_dict(self) -> dict[str, Any]:
        return {
            "type": "kernel_map",
            "kernel": self.kernel,
            "lengths_um": self.lengths_um.tolist(),
            "smoothing": self.smoothing,
            "dimensions": self.dimensions,
            "centre_um": self.centre_um.tolist(),
            "scale_um": self.scale_um,
            "fixed_um": self.fixed_um.tolist(),
            "moving_um": self.moving_um.tolist(),
            "weights_um": self.weights_um.tolist(),
            "polynomial_um": self.polynomial_um.tolist(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> KernelMap:
        """From :meth:`to_dict`'s values."""
        return cls(
            values["fixed_um"],
            values["moving_um"],
            values["weights_um"],
            values["polynomial_um"],
            values["centre_um"],
            values["scale_um"],
            str(values["kernel"]),
            values["lengths_um"],
            values["smoothing"],
            int(values["dimensions"]),
        )
