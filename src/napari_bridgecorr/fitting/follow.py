"""The map of a fit through landmarks that are being moved: every choice kept, nothing judged."""

from __future__ import annotations

import numpy as np

from ..blas_threads import threads_for
from ..errors import FitError, GeometryError
from ..landmarks import LandmarkPairs
from ..transform import Transform
from .checks import check_pairs
from .fit import Fit
from .linear_models import fit_linear
from .prior import THIN_PLATE
from .solution import swapped
from .spline_system import SplineSystem


def follow(result: Fit, pairs: LandmarkPairs) -> Transform:
    """The transform of a fit with its landmarks moved, in milliseconds.

    Model, smoothing, prior, the residuals' shape and who was left out are those of `result`; what
    chooses and judges them (leave-one-out errors, comparisons) is not done. For a landmark that is
    dragged; :func:`fit` is what counts once it rests.

    Parameters
    ----------
    result : Fit
    pairs : LandmarkPairs
        The landmarks of ``result.pairs``, in its order, where they are now.

    Returns
    -------
    Transform
        Fixed world to moving world.

    Raises
    ------
    FitError
        If they are not that fit's landmarks, or no longer determine its model.
    """
    if pairs.ids != result.pairs.ids:
        raise FitError("these are not the landmarks of the fit: fit them first")
    options = result.options
    check_pairs(pairs, options.model, options.dimensions)
    backward = options.direction == "moving_to_fixed"
    source, asked = (pairs.swapped(), swapped(options)) if backward else (pairs, options)
    fixed, moving, weights = source.fixed_um, source.moving_um, source.weights
    try:
        with threads_for(len(pairs)):
            if options.model in ("tps", "gp"):
                chosen = None if result.evidence is None else result.evidence.chosen
                prior = THIN_PLATE if chosen is None else chosen.prior
                system = SplineSystem(fixed, options.dimensions, weights, prior)
                smoothing = (result.smoothing_um or 0.0) / system.smoothing_unit
                if chosen is not None:
                    smoothing = chosen.smoothing
                found: Transform = system.solve(moving, smoothing, result.noise)
            else:
                found = fit_linear(
                    options.model,
                    fixed,
                    moving,
                    weights,
                    options.dimensions,
                    result.noise,
                    asked.scale,
                )
    except (GeometryError, np.linalg.LinAlgError) as error:
        raise FitError(f"the landmarks do not determine {options.model} ({error})") from error
    return found.inverse() if backward else found
