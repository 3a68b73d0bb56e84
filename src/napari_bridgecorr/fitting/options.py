"""What a user asks of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import FitError
from .linear_models import SCALES, ScaleConvention
from .noise import Sigmas, check_sigmas

Robust = Literal["off", "flag", "leave_out"]
FitDirection = Literal["fixed_to_moving", "moving_to_fixed"]

ROBUST: tuple[Robust, ...] = ("off", "flag", "leave_out")
DIRECTIONS: tuple[FitDirection, ...] = ("fixed_to_moving", "moving_to_fixed")


@dataclass(frozen=True)
class FitOptions:
    """What to fit.

    Parameters
    ----------
    model : {"translation", "rigid", "similarity", "affine", "tps", "gp", "auto"}
        "gp" is the Gaussian-process (kriging) map, "auto" the model that predicts left-out
        landmarks best.
    smoothing : "auto", "gcv" or float
        For ``tps``: lambda in um (3-D; as SciPy's RBFInterpolator takes it) or um^2 (2-D); 0
        interpolates; "auto" chooses it by leave-one-out error, "gcv" by generalised
        cross-validation. A landmark of weight w has lambda / w.
    dimensions : {3, 2}
        2 for flat images: (y, x) is transformed, z is shifted by the mean difference.
    scale : {"least_squares", "symmetric"}
        Of a similarity: with the least residuals in the moving image, or the ratio of the
        landmarks' spreads, which does not depend on the direction.
    fixed_sigma_um, moving_sigma_um : (float, float, float) or None
        Standard error with which landmarks are placed in either image, along z, y, x. Only the
        ratios count. None for both: alike in all directions; for one: that image's are exact.
    robust : {"off", "flag", "leave_out"}
        Look for landmarks that disagree with the others: name them, or fit without them.
    direction : {"fixed_to_moving", "moving_to_fixed"}
        Which way the map is fitted. The second is what 3D Slicer does; the result is then inverted
        (numerically, if it is a spline), and smoothing and diagnostics are in the fixed image's um.
    """

    model: str = "tps"
    smoothing: str | float = "auto"
    dimensions: int = 3
    scale: ScaleConvention = "least_squares"
    fixed_sigma_um: Sigmas | None = None
    moving_sigma_um: Sigmas | None = None
    robust: Robust = "off"
    direction: FitDirection = "fixed_to_moving"


def check_options(options: FitOptions) -> None:
    """Raise FitError for values that do not exist; model and dimensions are checked with pairs."""
    parse_smoothing(options.smoothing)
    check_sigmas(options.fixed_sigma_um, "fixed")
    check_sigmas(options.moving_sigma_um, "moving")
    for name, value, known in (
        ("scale", options.scale, SCALES),
        ("robust", options.robust, ROBUST),
        ("direction", options.direction, DIRECTIONS),
    ):
        if value not in known:
            raise FitError(f"{name} is one of {', '.join(known)}, not {value!r}")


def parse_smoothing(text: str | float) -> str | float:
    """``"auto"``, ``"gcv"`` or a finite number >= 0 (um); FitError otherwise."""
    if isinstance(text, str) and text in ("auto", "gcv"):
        return text
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value) or value < 0:
        raise FitError(f"smoothing is 'auto' or a number >= 0 in um (or 'gcv'), not {text!r}")
    return value
