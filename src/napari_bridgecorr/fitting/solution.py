"""One fit of one set of landmarks, with what its leave-one-out errors tell."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..landmarks import LandmarkPairs
from ..transform import Affine, KernelMap, ThinPlateSpline, Transform
from .checks import determined_without
from .evidence import Evidence, weigh_priors
from .linear_models import fit_affine, fit_linear, leave_one_out_linear, leverage, normalisation
from .noise import NoiseShape, noise_shape
from .options import FitOptions, parse_smoothing
from .prior import THIN_PLATE
from .smoothing import choose_smoothing
from .spline_system import SplineSystem

FloatArray = NDArray[np.float64]

_MOST_ROUNDS = 50


@dataclass(frozen=True, eq=False)
class Solution:
    """A map from fixed to moving points.

    Parameters
    ----------
    transform : Affine, ThinPlateSpline or KernelMap
    smoothing_um : float or None
    noise : NoiseShape
    leave_one_out_um : (n, 3) float64
        Prediction without the landmark minus the landmark; NaN where there is none.
    squares : (n,) float64
        Squared leave-one-out error over its predicted variance, but for one common factor.
    linear_condition : float
        Condition number of a linear model's system.
    system : SplineSystem or None
    smoothing : float
        Normalised, of the system.
    evidence : Evidence or None
        What the landmarks say of the prior (``gp`` only).
    """

    transform: Affine | ThinPlateSpline | KernelMap
    smoothing_um: float | None
    noise: NoiseShape
    leave_one_out_um: FloatArray
    squares: FloatArray
    linear_condition: float = 1.0
    system: SplineSystem | None = None
    smoothing: float = 0.0
    evidence: Evidence | None = None

    @property
    def condition(self) -> float:
        """Condition number of the system that was solved."""
        if self.system is None:
            return self.linear_condition
        return self.system.condition(self.smoothing)


def solve(pairs: LandmarkPairs, options: FitOptions) -> Solution:
    """Fit checked `pairs` from fixed to moving; `direction` and `robust` are the caller's work."""
    return (
        _solve_spline(pairs, options)
        if options.model in ("tps", "gp")
        else _solve_linear(pairs, options)
    )


def _solve_spline(pairs: LandmarkPairs, options: FitOptions) -> Solution:
    fixed, moving, weights = pairs.fixed_um, pairs.moving_um, pairs.weights
    affine = fit_affine(fixed, moving, weights, options.dimensions)
    noise = _noise(affine, options)
    asked = parse_smoothing(options.smoothing)
    evidence = None
    if options.model == "gp":
        evidence = weigh_priors(fixed, moving, options.dimensions, weights, noise)
    prior = THIN_PLATE if evidence is None else evidence.chosen.prior
    system = SplineSystem(fixed, options.dimensions, weights, prior)
    if evidence is not None:
        smoothing = evidence.chosen.smoothing
    elif isinstance(asked, str):
        smoothing = choose_smoothing(system, moving, noise, "gcv" if asked == "gcv" else "loo")
    else:
        smoothing = asked / system.smoothing_unit
    spline = system.solve(moving, smoothing, noise)
    left = system.leave_one_out(moving, smoothing, noise)
    errors = -left.errors_um  # prediction minus data, as residuals are
    if options.dimensions == 2:
        shift = moving[:, 0] - fixed[:, 0]
        total = weights.sum()
        mean = weights @ shift / total
        possible = system.is_free
        errors[possible, 0] = ((mean - shift) / (1 - weights / total))[possible]
    return Solution(
        spline,
        spline.smoothing_um if isinstance(spline, ThinPlateSpline) else None,
        noise,
        errors,
        left.squares,
        system=system,
        smoothing=smoothing,
        evidence=evidence,
    )


def _solve_linear(pairs: LandmarkPairs, options: FitOptions) -> Solution:
    fixed, moving, weights = pairs.fixed_um, pairs.moving_um, pairs.weights
    model, dimensions, scale = options.model, options.dimensions, options.scale
    transform = fit_linear(model, fixed, moving, weights, dimensions, scale=scale)
    noise = _noise(transform, options)
    if not noise.is_isotropic and model in ("rigid", "similarity"):
        for _ in range(_MOST_ROUNDS):
            before = transform.matrix
            transform = fit_linear(model, fixed, moving, weights, dimensions, noise, scale)
            if options.fixed_sigma_um is None:
                break  # the covariance does not depend on the map
            noise = _noise(transform, options)
            if np.abs(transform.matrix - before)[:3, :3].max() < 1e-13:
                break
    errors = leave_one_out_linear(
        transform, model, fixed, moving, weights, dimensions, noise, scale
    )
    errors[~determined_without(pairs, model, dimensions)] = np.nan
    freedom = 1 - weights / weights.sum()
    condition = 1.0
    if model == "affine":
        freedom = 1 - leverage(fixed, weights, dimensions)
        centre, size = normalisation(fixed)
        design = np.column_stack([(fixed - centre) / size, np.ones(len(pairs))])
        condition = float(np.linalg.cond(design[:, 3 - dimensions :]))
    white = noise.whitened(errors)[:, 3 - dimensions :]
    squares = np.sum(white**2, axis=1) * weights * freedom
    return Solution(transform, None, noise, errors, squares, condition)


def predicted_squares(
    solution: Solution, used: LandmarkPairs, others: LandmarkPairs, options: FitOptions
) -> tuple[FloatArray, FloatArray]:
    """As ``squares`` and leave-one-out errors (um), of landmarks that the fit did not use."""
    errors = solution.transform.map(others.fixed_um) - others.moving_um
    first = 3 - options.dimensions
    white = solution.noise.whitened(errors)
    system = solution.system
    if system is not None:
        squares = np.zeros(len(others))
        for axis in range(first, 3):
            scale = float(solution.noise.scales[axis])
            lam = solution.smoothing * scale
            spread = system.prediction_variance(others.fixed_um, lam) + lam / others.weights
            squares += white[:, axis] ** 2 * scale / np.maximum(spread, np.finfo(float).tiny)
        return squares, errors
    variance = 1 / others.weights + 1 / used.weights.sum()
    if options.model == "affine":
        centre, size = normalisation(used.fixed_um)
        design, new = (
            np.column_stack([((p - centre) / size)[:, first:], np.ones(len(p))])
            for p in (used.fixed_um, others.fixed_um)
        )
        inverse = np.linalg.inv(design.T @ (design * used.weights[:, None]))
        variance = 1 / others.weights + np.sum(new @ inverse * new, axis=1)
    return np.sum(white[:, first:] ** 2, axis=1) / variance, errors


def swapped(options: FitOptions) -> FitOptions:
    """The options of a fit with fixed and moving exchanged."""
    return replace(
        options, fixed_sigma_um=options.moving_sigma_um, moving_sigma_um=options.fixed_sigma_um
    )


def noise_of(pairs: LandmarkPairs, options: FitOptions, transform: Transform) -> NoiseShape:
    """The residuals' shape of a fit that was made before, of the map that was fitted."""
    if options.direction == "moving_to_fixed":
        pairs, options = pairs.swapped(), swapped(options)
        transform = transform.inverse()
    if not isinstance(transform, Affine):
        transform = fit_affine(pairs.fixed_um, pairs.moving_um, pairs.weights, options.dimensions)
    return _noise(transform, options)


def _noise(transform: Affine, options: FitOptions) -> NoiseShape:
    return noise_shape(
        transform.matrix[:3, :3],
        options.fixed_sigma_um,
        options.moving_sigma_um,
        options.dimensions,
    )
