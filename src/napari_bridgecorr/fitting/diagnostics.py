"""What a fit says of itself. A residual at a landmark is not the accuracy elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..transform import Transform

FloatArray = NDArray[np.float64]

_LATTICE = 18


@dataclass(frozen=True)
class FoldingCheck:
    """Jacobian determinant over a lattice in the landmarks' bounding box.

    Parameters
    ----------
    n_points, n_folded : int
        Lattice points and those with a determinant <= 0.
    minimum, maximum : float
        Extremes of the determinant (dimensionless; 1 keeps volume).
    """

    n_points: int
    n_folded: int
    minimum: float
    maximum: float


@dataclass(frozen=True, eq=False)
class FitDiagnostics:
    """Errors of a fit, one row per landmark used.

    Parameters
    ----------
    ids : tuple of str
    residual_um : (n, 3) float64
        ``T(fixed) - moving`` along z, y, x.
    leave_one_out_um : (n, 3) float64
        Prediction without the landmark, minus the landmark. NaN if leaving it out makes the fit
        impossible.
    condition : float
        Condition number of the (normalised) system that was solved.
    folding : FoldingCheck
    """

    ids: tuple[str, ...]
    residual_um: FloatArray
    leave_one_out_um: FloatArray
    condition: float
    folding: FoldingCheck

    @property
    def residual_rms_um(self) -> float:
        """Root mean square length of the residuals. Says nothing of the error elsewhere."""
        return float(np.sqrt(np.mean(np.sum(self.residual_um**2, axis=1))))

    @property
    def leave_one_out_lengths_um(self) -> FloatArray:
        """(n,) length of each leave-one-out error."""
        return np.asarray(np.linalg.norm(self.leave_one_out_um, axis=1))

    @property
    def loo_rms_um(self) -> float:
        """Root mean square leave-one-out error (NaN if there is none)."""
        return _over_finite(lambda v: np.sqrt(np.mean(v**2)), self.leave_one_out_lengths_um)

    @property
    def loo_median_um(self) -> float:
        """Median leave-one-out error (NaN if there is none)."""
        return _over_finite(np.median, self.leave_one_out_lengths_um)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; undefined numbers are None."""
        residual = np.linalg.norm(self.residual_um, axis=1)
        return {
            "n": len(self.ids),
            "residual_rms_um": number_or_none(self.residual_rms_um),
            "loo_rms_um": number_or_none(self.loo_rms_um),
            "loo_median_um": number_or_none(self.loo_median_um),
            "condition": number_or_none(self.condition),
            "folding": {
                "n_points": self.folding.n_points,
                "n_folded": self.folding.n_folded,
                "minimum_determinant": number_or_none(self.folding.minimum),
                "maximum_determinant": number_or_none(self.folding.maximum),
            },
            "landmarks": [
                {
                    "id": name,
                    "residual_um": number_or_none(float(r)),
                    "residual_zyx_um": [number_or_none(float(v)) for v in rows],
                    "loo_um": number_or_none(float(e)),
                }
                for name, r, rows, e in zip(
                    self.ids, residual, self.residual_um, self.leave_one_out_lengths_um, strict=True
                )
            ],
        }


def check_folding(transform: Transform, points_um: FloatArray) -> FoldingCheck:
    """Look for folds of `transform` in the bounding box of (n, 3) points."""
    axes = [
        np.linspace(low, high, _LATTICE if high > low else 1)
        for low, high in zip(points_um.min(axis=0), points_um.max(axis=0), strict=True)
    ]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    determinant = transform.jacobian_determinant(lattice)
    return FoldingCheck(
        len(lattice),
        int(np.sum(~(determinant > 0))),
        float(determinant.min()),
        float(determinant.max()),
    )


def number_or_none(value: float) -> float | None:
    """A finite number, or None (JSON has no NaN)."""
    return float(value) if np.isfinite(value) else None


def _over_finite(reduce: Any, values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(reduce(finite)) if finite.size else float("nan")
