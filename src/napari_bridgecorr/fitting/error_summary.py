"""What a set of errors comes to: root mean square, percentiles, by axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

PERCENTILES = (25, 50, 68, 75, 90, 95)


@dataclass(frozen=True)
class ErrorSummary:
    """Of (n, 3) error vectors (z, y, x) in um. Numbers of no errors are NaN.

    Parameters
    ----------
    n, n_undefined : int
        Errors that are numbers, which everything below is about, and those that are not.
    rms_um, mean_um, median_um, maximum_um : float
        Of the vectors' lengths.
    percentiles_um : tuple of float
        Of the lengths, at :data:`PERCENTILES` (linear between ranks, as NumPy does).
    rms_zyx_um, bias_zyx_um : (float, float, float)
        Root mean square and mean along each axis; the squares of the first sum to ``rms_um**2``.
    """

    n: int
    n_undefined: int
    rms_um: float
    mean_um: float
    median_um: float
    maximum_um: float
    percentiles_um: tuple[float, ...]
    rms_zyx_um: tuple[float, float, float]
    bias_zyx_um: tuple[float, float, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; undefined numbers are None."""
        return {
            "n": self.n,
            "n_undefined": self.n_undefined,
            "rms_um": _number(self.rms_um),
            "mean_um": _number(self.mean_um),
            "median_um": _number(self.median_um),
            "maximum_um": _number(self.maximum_um),
            "percentiles_um": {
                str(p): _number(v) for p, v in zip(PERCENTILES, self.percentiles_um, strict=True)
            },
            "axes": {
                a: {"rms_um": _number(rms), "bias_um": _number(bias)}
                for a, rms, bias in zip("zyx", self.rms_zyx_um, self.bias_zyx_um, strict=True)
            },
        }


def summarise(errors_um: FloatArray) -> ErrorSummary:
    """Summary of (n, 3) errors; rows that are not finite are counted apart."""
    finite = errors_um[np.isfinite(errors_um).all(axis=1)]
    n_undefined = len(errors_um) - len(finite)
    if not len(finite):
        nan = float("nan")
        none = (nan, nan, nan)
        return ErrorSummary(0, n_undefined, nan, nan, nan, nan, (nan,) * 6, none, none)
    lengths = np.linalg.norm(finite, axis=1)
    return ErrorSummary(
        len(finite),
        n_undefined,
        float(np.sqrt(np.mean(lengths**2))),
        float(lengths.mean()),
        float(np.median(lengths)),
        float(lengths.max()),
        tuple(float(v) for v in np.percentile(lengths, PERCENTILES)),
        _triple(np.sqrt(np.mean(finite**2, axis=0))),
        _triple(finite.mean(axis=0)),
    )


def _triple(values: FloatArray) -> tuple[float, float, float]:
    z, y, x = (float(v) for v in values)
    return z, y, x


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
