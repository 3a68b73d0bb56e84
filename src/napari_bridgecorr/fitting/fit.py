"""From landmark pairs to a transform with its diagnostics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError, GeometryError
from ..landmarks import LandmarkPairs
from ..transform import Transform
from .checks import check_pairs
from .diagnostics import FitDiagnostics, check_folding
from .linear_models import LINEAR_MODELS, fit_affine_planar, normalisation
from .smoothing import choose_smoothing
from .spline_system import SplineSystem

FloatArray = NDArray[np.float64]

# beyond this the coordinates in the solution have fewer than six correct digits
_WARN_CONDITION = 1e10
_RESIDUAL_WARNING = 4


@dataclass(frozen=True)
class FitOptions:
    """What to fit.

    Parameters
    ----------
    model : {"translation", "rigid", "similarity", "affine", "tps"}
    smoothing : "auto" or float
        For ``tps``: lambda in um (3-D; as SciPy's RBFInterpolator takes it) or um^2 (2-D); 0
        interpolates; "auto" chooses it by leave-one-out error.
    dimensions : {3, 2}
        2 for flat images: (y, x) is transformed, z is shifted by the mean difference.
    """

    model: str = "tps"
    smoothing: str | float = "auto"
    dimensions: int = 3


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted transform (fixed -> moving) and how it came about.

    Parameters
    ----------
    transform : Transform
    options : FitOptions
        As asked for.
    smoothing_um : float or None
        lambda used (``tps`` only).
    pairs : LandmarkPairs
        The landmarks used.
    diagnostics : FitDiagnostics
    warnings : tuple of str
    """

    transform: Transform
    options: FitOptions
    smoothing_um: float | None
    pairs: LandmarkPairs
    diagnostics: FitDiagnostics
    warnings: tuple[str, ...]


def fit(pairs: LandmarkPairs, options: FitOptions | None = None) -> Fit:
    """Fit a transform from fixed to moving world coordinates.

    Parameters
    ----------
    pairs : LandmarkPairs
        As :meth:`LandmarkSet.pairs` gives them: enabled and complete.
    options : FitOptions, optional

    Raises
    ------
    FitError
        If the landmarks are too few, coincide, or do not determine the model.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_bridgecorr.landmarks import LandmarkSet
    >>> fixed = np.random.default_rng(0).uniform(0, 100, (8, 3))
    >>> result = fit(LandmarkSet.from_pairs(fixed, fixed + 5).pairs(), FitOptions("translation"))
    >>> result.transform.map([[0, 0, 0]]).round(6).tolist()
    [[5.0, 5.0, 5.0]]
    """
    options = options or FitOptions()
    check_pairs(pairs, options.model, options.dimensions)
    try:
        if options.model == "tps":
            return _fit_spline(pairs, options)
        return _fit_linear(pairs, options)
    except (GeometryError, np.linalg.LinAlgError) as error:
        raise FitError(
            f"the landmarks do not determine {options.model} ({error}): check for misplaced pairs"
        ) from error


def parse_smoothing(text: str | float) -> str | float:
    """``"auto"`` or a finite number >= 0 (um); FitError otherwise."""
    if text == "auto":
        return "auto"
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value) or value < 0:
        raise FitError(f"smoothing is 'auto' or a number >= 0 in um, not {text!r}")
    return value


def _fit_spline(pairs: LandmarkPairs, options: FitOptions) -> Fit:
    system = SplineSystem(pairs.fixed_um, options.dimensions)
    asked = parse_smoothing(options.smoothing)
    if isinstance(asked, str):
        smoothing = choose_smoothing(system, pairs.moving_um)
    else:
        smoothing = asked / system.smoothing_unit
    spline = system.solve(pairs.moving_um, smoothing)
    errors, _ = system.leave_one_out(pairs.moving_um, smoothing)
    if options.dimensions == 2:
        shift = pairs.moving_um[:, 0] - pairs.fixed_um[:, 0]
        possible = np.isfinite(errors[:, 0])
        errors[possible, 0] = ((shift - shift.mean()) * len(shift) / (len(shift) - 1))[possible]
    # B y is data minus prediction; the diagnostics give prediction minus data, as the residuals do
    diagnostics = FitDiagnostics(
        pairs.ids,
        spline.map(pairs.fixed_um) - pairs.moving_um,
        -errors,
        float(np.linalg.cond(system.full_matrix(smoothing))),
        check_folding(spline, pairs.fixed_um),
    )
    return Fit(
        spline, options, spline.smoothing_um, pairs, diagnostics, _warnings(diagnostics, options)
    )


def _fit_linear(pairs: LandmarkPairs, options: FitOptions) -> Fit:
    transform = _linear(pairs, options)
    everyone = np.arange(len(pairs))
    errors = np.full((len(pairs), 3), np.nan)
    for i in everyone:
        rest = everyone != i
        without = LandmarkPairs(
            tuple(name for k, name in enumerate(pairs.ids) if k != i),
            pairs.fixed_um[rest],
            pairs.moving_um[rest],
        )
        try:
            check_pairs(without, options.model, options.dimensions)
        except FitError:
            continue  # without this landmark the model is undetermined: it has no such error
        errors[i] = _linear(without, options).map(pairs.fixed_um[i])[0] - pairs.moving_um[i]
    centre, scale = normalisation(pairs.fixed_um)
    design = np.column_stack([(pairs.fixed_um - centre) / scale, np.ones(len(pairs))])
    if options.dimensions == 2:
        design = design[:, 1:]
    condition = float(np.linalg.cond(design)) if options.model == "affine" else 1.0
    diagnostics = FitDiagnostics(
        pairs.ids,
        transform.map(pairs.fixed_um) - pairs.moving_um,
        errors,
        condition,
        check_folding(transform, pairs.fixed_um),
    )
    return Fit(transform, options, None, pairs, diagnostics, _warnings(diagnostics, options))


def _linear(pairs: LandmarkPairs, options: FitOptions) -> Transform:
    if options.dimensions == 2 and options.model == "affine":
        return fit_affine_planar(pairs.fixed_um, pairs.moving_um)
    if options.dimensions == 2 and options.model != "translation":
        # in the plane a rotation is about z: flatten both sides, shift z by the mean difference
        fixed, moving = pairs.fixed_um.copy(), pairs.moving_um.copy()
        fixed[:, 0], moving[:, 0] = fixed[:, 0].mean(), moving[:, 0].mean()
        return _planar_umeyama(fixed, moving, options.model == "similarity")
    return LINEAR_MODELS[options.model](pairs.fixed_um, pairs.moving_um)


def _planar_umeyama(fixed_um: FloatArray, moving_um: FloatArray, with_scale: bool) -> Transform:
    from ..transform import Affine

    f = (fixed_um - fixed_um.mean(axis=0))[:, 1:]
    m = (moving_um - moving_um.mean(axis=0))[:, 1:]
    # as complex numbers x + i y the least-squares similarity is one quotient
    zf, zm = f[:, 1] + 1j * f[:, 0], m[:, 1] + 1j * m[:, 0]
    product, square = np.vdot(zf, zm), np.vdot(zf, zf).real
    if abs(product) <= 1e-12 * square:
        raise FitError(
            "the landmarks agree with no rotation better than with another: "
            "look for mirrored or swapped landmarks, or use --model affine"
        )
    quotient = product / square
    if not with_scale:
        quotient /= abs(quotient)
    c, s = quotient.real, quotient.imag
    linear = np.array([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])
    return Affine.from_parts(linear, moving_um.mean(axis=0) - linear @ fixed_um.mean(axis=0))


def _warnings(diagnostics: FitDiagnostics, options: FitOptions) -> tuple[str, ...]:
    found = []
    folding = diagnostics.folding
    if folding.n_folded:
        share = 100 * folding.n_folded / folding.n_points
        what = "mirrors space" if folding.n_folded == folding.n_points else "folds"
        found.append(
            f"the transform {what} in {share:.1f} % of the landmarks' box "
            f"(smallest Jacobian determinant {folding.minimum:.3g}): look for swapped or "
            f"misplaced landmarks" + (", or raise the smoothing" if options.model == "tps" else "")
        )
    if diagnostics.condition > _WARN_CONDITION:
        found.append(
            f"the landmarks barely determine the fit (condition {diagnostics.condition:.1e}): "
            f"spread them in depth"
        )
    lengths = diagnostics.leave_one_out_lengths_um
    typical = diagnostics.loo_median_um
    if np.isfinite(typical) and typical > 0:
        for name, length in zip(diagnostics.ids, lengths, strict=True):
            if length > _RESIDUAL_WARNING * typical:
                found.append(
                    f"landmark {name!r} is {length:.0f} um from where the others predict it "
                    f"(median {typical:.0f} um): look at it again"
                )
    return tuple(found)
