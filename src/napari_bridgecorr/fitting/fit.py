"""From landmark pairs to a transform with its diagnostics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..blas_threads import threads_for
from ..errors import FitError, GeometryError
from ..landmarks import LandmarkPairs
from ..transform import InvertedTransform, KernelMap, Transform
from .checks import check_pairs
from .diagnostics import FitDiagnostics, check_folding
from .evidence import KERNELS, Evidence
from .noise import ISOTROPIC, NoiseShape
from .options import FitOptions, check_options
from .robust import FEWEST, Suspect, find_suspects
from .solution import Solution, solve, swapped

if TYPE_CHECKING:
    from .selection import ModelScore

# beyond this the coordinates in the solution have fewer than six correct digits
_WARN_CONDITION = 1e10
_RESIDUAL_WARNING = 4


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted transform (fixed -> moving) and how it came about.

    Parameters
    ----------
    transform : Transform
    options : FitOptions
        As asked for; for "auto", with the model that was chosen.
    smoothing_um : float or None
        lambda used (``tps`` only).
    pairs : LandmarkPairs
        The landmarks used.
    diagnostics : FitDiagnostics
        Of the map that was fitted: in the moving image's um, or, with the direction
        "moving_to_fixed", in the fixed image's.
    warnings : tuple of str
    suspects : tuple of Suspect
        Landmarks that disagree with the others, the worst first (robust mode only).
    left_out : tuple of str
        Ids of those that were left out of the fit for it.
    noise : NoiseShape
        Of the residuals of the map that was fitted.
    evidence : Evidence or None
        What the landmarks say of the prior (``gp`` only).
    comparison : tuple of ModelScore
        How well each model predicts left-out landmarks (``auto`` only), the best first.
    """

    transform: Transform
    options: FitOptions
    smoothing_um: float | None
    pairs: LandmarkPairs
    diagnostics: FitDiagnostics
    warnings: tuple[str, ...]
    suspects: tuple[Suspect, ...] = ()
    left_out: tuple[str, ...] = ()
    noise: NoiseShape = ISOTROPIC
    evidence: Evidence | None = None
    comparison: tuple[ModelScore, ...] = ()


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
    check_options(options)
    with threads_for(len(pairs)):
        options, comparison = _chosen(pairs, options)
        solved = _solve(pairs, options)
        return _described(solved, len(pairs), options, comparison)


def fit_map(pairs: LandmarkPairs, options: FitOptions | None = None) -> Transform:
    """The transform of :func:`fit` alone, in a third of the time.

    Raises
    ------
    FitError
        As :func:`fit` does.
    """
    options = options or FitOptions()
    check_options(options)
    with threads_for(len(pairs)):
        options, _ = _chosen(pairs, options)
        return _solve(pairs, options).transform(options)


def prior_facts(result: Fit) -> dict[str, Any] | None:
    """What a ``gp`` fit found of the deformation and the landmarks, as plain values; else None.

    ``deformation_sd_um`` is that of one component about the affine trend, ``landmark_sd_um`` the
    standard deviation of a landmark of weight 1 along one axis.
    """
    transform = result.transform
    spline = transform.forward if isinstance(transform, InvertedTransform) else transform
    if result.evidence is None or not isinstance(spline, KernelMap):
        return None
    variance = result.evidence.variance_um2
    return {
        "kernel": spline.kernel,
        "lengths_um": spline.lengths_um[3 - spline.dimensions :].tolist(),
        "deformation_sd_um": float(np.sqrt(variance)),
        "landmark_sd_um": float(np.sqrt(variance * spline.smoothing)),
        "share_of_likelihood": {
            kernel: sum(c.weight for c in result.evidence.candidates if c.prior.kernel == kernel)
            for kernel in KERNELS
        },
    }


def _chosen(pairs: LandmarkPairs, options: FitOptions) -> tuple[FitOptions, tuple[ModelScore, ...]]:
    """The options with the recommended model for "auto", and how it was found."""
    if options.model != "auto":
        return options, ()
    from .selection import compare_models  # it fits, too

    check_pairs(pairs, "translation", options.dimensions)
    comparison = compare_models(pairs, options)
    return replace(options, model=comparison[0].model), comparison


@dataclass(frozen=True, eq=False)
class _Solved:
    """A solution for the landmarks that were used, and those that are suspect."""

    pairs: LandmarkPairs
    source: LandmarkPairs
    solution: Solution
    suspects: tuple[Suspect, ...]
    left_out: tuple[str, ...]

    def transform(self, options: FitOptions) -> Transform:
        """From fixed to moving."""
        found = self.solution.transform
        return found.inverse() if options.direction == "moving_to_fixed" else found


def _solve(pairs: LandmarkPairs, options: FitOptions) -> _Solved:
    check_pairs(pairs, options.model, options.dimensions)
    try:
        backward = options.direction == "moving_to_fixed"
        source, asked = (pairs.swapped(), swapped(options)) if backward else (pairs, options)
        suspects: tuple[Suspect, ...] = ()
        left_out: tuple[str, ...] = ()
        if options.robust != "off":
            suspects = find_suspects(source, asked)
        if suspects and options.robust == "leave_out":
            left_out = tuple(s.id for s in suspects)
            kept = np.array([name not in left_out for name in pairs.ids])
            pairs, source = pairs.subset(kept), source.subset(kept)
            check_pairs(pairs, options.model, options.dimensions)
        return _Solved(pairs, source, solve(source, asked), suspects, left_out)
    except (GeometryError, np.linalg.LinAlgError) as error:
        raise FitError(
            f"the landmarks do not determine {options.model} ({error}): check for misplaced pairs"
        ) from error


def _described(
    solved: _Solved, n: int, options: FitOptions, comparison: tuple[ModelScore, ...]
) -> Fit:
    solution, suspects, left_out = solved.solution, solved.suspects, solved.left_out
    diagnostics = _diagnostics(solved.source, solution)
    return Fit(
        solved.transform(options),
        options,
        solution.smoothing_um,
        solved.pairs,
        diagnostics,
        (
            *_robust_warnings(suspects, left_out, n, options),
            *_warnings(diagnostics, options, {s.id for s in suspects}),
        ),
        suspects,
        left_out,
        solution.noise,
        solution.evidence,
        comparison,
    )


def _diagnostics(pairs: LandmarkPairs, solution: Solution) -> FitDiagnostics:
    return FitDiagnostics(
        pairs.ids,
        solution.transform.map(pairs.fixed_um) - pairs.moving_um,
        solution.leave_one_out_um,
        solution.condition,
        check_folding(solution.transform, pairs.fixed_um),
    )


def _robust_warnings(
    suspects: tuple[Suspect, ...], left_out: tuple[str, ...], n: int, options: FitOptions
) -> tuple[str, ...]:
    if options.robust != "off" and n < FEWEST:
        return (
            f"{n} landmarks are too few to tell wrong ones from right ones: place {FEWEST} or more",
        )
    done = "left out" if left_out else "look at it again"
    found = [f"landmark {s.id!r} is suspect: {s.reason} ({done})" for s in suspects]
    if len(suspects) > n / 4:
        found.append(
            f"{len(suspects)} of {n} landmarks disagree with the others: look for swapped pairs, "
            f"or a model that is too stiff"
        )
    return tuple(found)


def _warnings(diagnostics: FitDiagnostics, options: FitOptions, told: set[str]) -> tuple[str, ...]:
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
            if length > _RESIDUAL_WARNING * typical and name not in told:
                found.append(
                    f"landmark {name!r} is {length:.0f} um from where the others predict it "
                    f"(median {typical:.0f} um): look at it again"
                )
    return tuple(found)
