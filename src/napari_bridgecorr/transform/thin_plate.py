"""The thin-plate spline, evaluated. Fitting it is :mod:`napari_bridgecorr.fitting`'s work."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import TransformError
from .base import Transform, as_points
from .lattice_map import LatticeMap

FloatArray = NDArray[np.float64]

KERNELS = {3: "-r", 2: "r^2 log r"}


class ThinPlateSpline(Transform):
    """``f(x) = P (u, 1) + sum_i w_i U(|u - u_i|)`` with ``u = (x - centre) / scale``.

    In three dimensions ``U(r) = -r``, in two ``U(r) = r^2 log r`` of the (y, x) distance, z being
    shifted only: the bending-energy minimisers (Duchon 1977; Wahba, Spline Models, 1990, ch. 2).

    Parameters
    ----------
    fixed_um, moving_um : (n, 3) array-like
        The landmarks that it was fitted to, (z, y, x) in um.
    weights_um : (n, 3) array-like
        Kernel weights ``w_i``.
    polynomial_um : (3, 4) array-like
        ``P``, acting on ``(u_z, u_y, u_x, 1)``.
    centre_um, scale_um : (3,) array-like, float
        The normalisation: without it the system's condition number grows from 3e2 to 1e8.
    smoothing_um : float
        lambda in the kernel's unit: um for ``-r``, um^2 for ``r^2 log r``; 0 interpolates.
    dimensions : {3, 2}
    """

    def __init__(
        self,
        fixed_um: ArrayLike,
        moving_um: ArrayLike,
        weights_um: ArrayLike,
        polynomial_um: ArrayLike,
        centre_um: ArrayLike,
        scale_um: float,
        smoothing_um: float = 0.0,
        dimensions: int = 3,
    ) -> None:
        self.fixed_um = frozen(fixed_um, (None, 3))
        n = len(self.fixed_um)
        self.moving_um = frozen(moving_um, (n, 3))
        self.weights_um = frozen(weights_um, (n, 3))
        self.polynomial_um = frozen(polynomial_um, (3, 4))
        self.centre_um = frozen(centre_um, (3,))
        self.scale_um = float(scale_um)
        self.smoothing_um = float(smoothing_um)
        self.dimensions = dimensions
        if dimensions not in KERNELS:
            raise TransformError(f"a thin-plate spline has 2 or 3 dimensions, not {dimensions}")
        if not (np.isfinite(self.scale_um) and self.scale_um > 0):
            raise TransformError(f"the spline's scale must be positive, not {scale_um}")
        if not (np.isfinite(self.smoothing_um) and self.smoothing_um >= 0):
            raise TransformError(f"the spline's lambda must be 0 or positive, not {smoothing_um}")
        self._control = np.ascontiguousarray(self._normalise(self.fixed_um).T)
        self._weights = np.ascontiguousarray(self.weights_um.T)

    def _normalise(self, points_um: FloatArray) -> FloatArray:
        return (points_um - self.centre_um) / self.scale_um

    def map(self, points_um: ArrayLike) -> FloatArray:
        from .kernels import spline_map_2d, spline_map_3d

        kernel = spline_map_3d if self.dimensions == 3 else spline_map_2d
        u = self._normalise(as_points(points_um))
        return np.asarray(kernel(u, self._control, self._weights, self.polynomial_um))

    def map_lattice(
        self, before: FloatArray, after: FloatArray, axes: tuple[FloatArray, FloatArray, FloatArray]
    ) -> FloatArray:
        from .kernels import lattice_points, spline_map_2d, spline_map_3d

        # from the lattice straight into normalised coordinates, from the sum straight into indices
        normalise = np.diag([1 / self.scale_um] * 3 + [1.0])
        normalise[:3, 3] = -self.centre_um / self.scale_um
        u = lattice_points(normalise @ before, *axes)
        linear = after[:3, :3]
        polynomial = linear @ self.polynomial_um
        polynomial[:, 3] += after[:3, 3]
        if self.dimensions == 2:
            if np.any(linear[1:, 0] != 0) or np.any(linear[0, 1:] != 0):
                return super().map_lattice(before, after, axes)  # z and the plane mix
            return spline_map_2d(u, self._control, linear @ self._weights, polynomial)
        return spline_map_3d(u, self._control, linear @ self._weights, polynomial)

    def lattice_map(self, before: FloatArray, after: FloatArray) -> LatticeMap:
        normalise = np.diag([1 / self.scale_um] * 3 + [1.0])
        normalise[:3, 3] = -self.centre_um / self.scale_um
        to_u = normalise @ before
        polynomial = np.eye(4)
        polynomial[:3] = self.polynomial_um
        affine = after @ polynomial @ to_u
        return LatticeMap(
            np.ascontiguousarray(affine[:3]),
            np.ascontiguousarray(to_u[:3]),
            self._control,
            np.ascontiguousarray(after[:3, :3] @ self._weights),
            kind=0 if self.dimensions == 3 else 1,
        )

    def jacobian(self, points_um: ArrayLike) -> FloatArray:
        from .kernels import spline_jacobian

        u = self._normalise(as_points(points_um))
        by_u = spline_jacobian(
            u, self._control, self._weights, self.polynomial_um, self.dimensions == 2
        )
        return np.asarray(by_u / self.scale_um)

    def linear_guess(self) -> FloatArray | None:
        """The affine nearest to the spline at its landmarks."""
        matrix = np.eye(4)
        design = np.column_stack([self._normalise(self.fixed_um), np.ones(len(self.fixed_um))])
        if self.dimensions == 2:
            matrix[:3, :3] = self.polynomial_um[:, :3] / self.scale_um
            matrix[:3, 3] = self.polynomial_um[:, 3] - matrix[:3, :3] @ self.centre_um
            return matrix
        solution = np.linalg.lstsq(design, self.map(self.fixed_um), rcond=None)[0].T
        matrix[:3, :3] = solution[:, :3] / self.scale_um
        matrix[:3, 3] = solution[:, 3] - matrix[:3, :3] @ self.centre_um
        if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
            return None
        return matrix

    def to_dict(self) -> dict[str, Any]:
        return {
            "type": "thin_plate_spline",
            "kernel": KERNELS[self.dimensions],
            "dimensions": self.dimensions,
            "lambda": self.smoothing_um,
            "centre_um": self.centre_um.tolist(),
            "scale_um": self.scale_um,
            "fixed_um": self.fixed_um.tolist(),
            "moving_um": self.moving_um.tolist(),
            "weights_um": self.weights_um.tolist(),
            "polynomial_um": self.polynomial_um.tolist(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ThinPlateSpline:
        """From :meth:`to_dict`'s values."""
        dimensions = int(values["dimensions"])
        if values["kernel"] != KERNELS.get(dimensions):
            raise TransformError(
                f"the kernel {values['kernel']!r} in {dimensions} dimensions is not known"
            )
        return cls(
            values["fixed_um"],
            values["moving_um"],
            values["weights_um"],
            values["polynomial_um"],
            values["centre_um"],
            values["scale_um"],
            values["lambda"],
            dimensions,
        )


def frozen(values: ArrayLike, shape: tuple[int | None, ...]) -> FloatArray:
    """Finite numbers of a shape (None: any length), read-only; TransformError otherwise."""
    array = np.array(values, dtype=np.float64)
    fits = array.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits or not np.all(np.isfinite(array)):
        raise TransformError(f"expected finite numbers of shape {shape}, got {array.shape}")
    array.setflags(write=False)
    return array
